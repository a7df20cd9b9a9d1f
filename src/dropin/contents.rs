//! What is in the encrypted files: looked at without a key, or opened, each file once.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use super::{checked::about, manifest::Secret as Wanted};
use crate::{
    error::{Error, Result},
    files::{self, ReadLimit},
    identity::Identities,
    limits::Limits,
    open::open_document,
    secret::Secret,
    sops::{Outline, document::Document, format::Format},
};

/// One file has one format, whichever secrets come from it.
pub(super) fn check_formats(secrets: &[Wanted]) -> Vec<Result<()>> {
    let mut known: HashMap<&str, &Wanted> = HashMap::new();
    let mut results = Vec::with_capacity(secrets.len());
    for wanted in secrets {
        let first = *known.entry(&wanted.sops_file).or_insert(wanted);
        results.push(if first.format.format() == wanted.format.format() {
            Ok(())
        } else {
            let message = format!(
                "its file has another format here than for the secret `{}`",
                first.entry.name
            );
            Err(Error::new("manifest", message).with_file(Path::new(&wanted.sops_file)))
        });
    }
    results
}

/// Whether every file is there and one of its format, and has the keys that are asked for. Nothing says that they can be
/// opened, or that they are encrypted at all.
pub(super) fn check_files(secrets: &[Wanted]) -> Vec<Result<()>> {
    let mut known: HashMap<&str, Result<Outline>> = HashMap::new();
    let mut results = Vec::with_capacity(secrets.len());
    for wanted in secrets {
        let file = wanted.sops_file.as_str();
        let outline = known.entry(file).or_insert_with(|| {
            let content = read(file)?;
            Outline::read(content, wanted.format.format(), &Limits::default())
        });
        let result = match outline {
            Ok(outline) if has_key(wanted) => outline.expect_text_at(&keys(wanted)),
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        };
        results.push(result.map_err(|error| error.with_file(Path::new(file))));
    }
    results
}

/// The values of all secrets, in their order. Without `goes_on` the first that cannot be had is an error, and no more
/// files are opened.
pub(super) fn open(
    secrets: &[Wanted],
    identities: &Identities,
    goes_on: bool,
) -> Result<Vec<Result<Secret>>> {
    let mut of_file: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (number, wanted) in secrets.iter().enumerate() {
        let file = wanted.sops_file.as_str();
        let place = *places.entry(file).or_insert(of_file.len());
        match of_file.get_mut(place) {
            Some((_, numbers)) => numbers.push(number),
            None => of_file.push((file, vec![number])),
        }
    }
    let mut results: BTreeMap<usize, Result<Secret>> = BTreeMap::new();
    for (file, numbers) in of_file {
        let wanted: Vec<&Wanted> = numbers
            .iter()
            .filter_map(|number| secrets.get(*number))
            .collect();
        let values = open_file(file, &wanted, identities);
        for ((number, wanted), value) in numbers.into_iter().zip(wanted).zip(values) {
            let value = value
                .map_err(|error| about(&wanted.entry, false, error.with_file(Path::new(file))));
            match value {
                Err(error) if !goes_on => return Err(error),
                value => results.insert(number, value),
            };
        }
    }
    Ok(results.into_values().collect())
}

fn open_file(file: &str, wanted: &[&Wanted], identities: &Identities) -> Vec<Result<Secret>> {
    let format = wanted
        .first()
        .map_or(Format::Yaml, |first| first.format.format());
    let all = |error: Error| wanted.iter().map(|_| Err(error.clone())).collect();
    let document =
        read(file).and_then(|content| Document::parse(content, format, &Limits::default()));
    let document = match document {
        Ok(document) => document,
        Err(error) => return all(error),
    };
    let opened = match open_document(&document, identities) {
        Ok(opened) => opened,
        Err(error) => return all(error),
    };
    wanted
        .iter()
        .map(|wanted| match has_key(wanted) {
            true => opened.text_at(&keys(wanted)),
            false => opened.plaintext(),
        })
        .collect()
}

/// Whether a part of the document is wanted; other formats are always delivered whole.
fn has_key(wanted: &Wanted) -> bool {
    matches!(wanted.format.format(), Format::Yaml | Format::Json) && !wanted.key.is_empty()
}

fn keys(wanted: &Wanted) -> Vec<&str> {
    wanted.key.split('/').collect()
}

fn read(file: &str) -> Result<Secret> {
    let limit = ReadLimit::of_file(Limits::default().file_size);
    files::read_regular(Path::new(file), limit)
}
