//! Binary files: the bytes are one value under the key `data` of a JSON document.

use std::collections::BTreeMap;

use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        format::{MetadataEdit, Parsed, PlainValue, Replacement, json},
        tree::{Item, Node, Scalar, SiteId, Tree},
    },
};

/// The key of the bytes.
const DATA: &str = "data";

/// Reads an encrypted file.
pub(crate) fn read(source: Secret, limits: &Limits) -> Result<Parsed> {
    let parsed = json::read(source, limits).map_err(|error| {
        error.with_hint("a file of this name is a binary one for sops, which encrypts it as JSON; was another format meant, use --input-type")
    })?;
    data(&parsed)?;
    Ok(parsed)
}

/// A plaintext file: all of it is the value.
pub(crate) fn read_plain(source: Secret) -> Parsed {
    let span = 0..source.len();
    let value = Node::Scalar {
        site: 0,
        value: Scalar::Str(source.duplicate()),
        span: span.clone(),
    };
    let item = Item::Entry {
        key: DATA.to_owned(),
        key_span: 0..0,
        value,
    };
    Parsed {
        source,
        tree: Tree {
            documents: vec![vec![item]],
            sites: 1,
        },
        metadata: None,
    }
}

/// The bytes themselves where the metadata is cut, a JSON document where it is added.
pub(crate) fn splice(
    parsed: &Parsed,
    replacements: &BTreeMap<SiteId, Replacement>,
    metadata: MetadataEdit<'_>,
) -> Result<Secret> {
    let (site, bytes) = data(parsed)?;
    match (metadata, replacements.get(&site)) {
        (MetadataEdit::Cut, Some(Replacement::Plain(PlainValue::Str(text)))) => {
            Ok(text.duplicate())
        }
        (MetadataEdit::Cut, None) => Ok(bytes.duplicate()),
        (MetadataEdit::Add(node), replacement) => {
            let text = match replacement {
                Some(Replacement::Encrypted(text)) => text.as_bytes(),
                _ => bytes.expose(),
            };
            let mut file = Secret::from(format!("{{\n\t\"{DATA}\": "));
            file.push(json::quote(text).expose());
            file.push(
                format!(
                    ",\n\t\"sops\": {}\n}}\n",
                    json::render_metadata(node, Some("\t"), 1)
                )
                .as_bytes(),
            );
            Ok(file)
        }
        (kept @ (MetadataEdit::Keep | MetadataEdit::Change(_)), _) => {
            json::splice(parsed, replacements, kept)
        }
        (MetadataEdit::Cut, Some(_)) => Err(not_bytes()),
        (MetadataEdit::Return(_), _) => Err(Error::new(
            "internal",
            "the value of a binary file is changed where it stands",
        )),
    }
}

fn data(parsed: &Parsed) -> Result<(SiteId, &Secret)> {
    let items = parsed.tree.documents.iter().flatten();
    let mut found = items.filter_map(|item| match item {
        Item::Entry { key, value, .. } if key == DATA => Some(value),
        _ => None,
    });
    match found.next() {
        Some(Node::Scalar {
            site,
            value: Scalar::Str(text),
            ..
        }) => Ok((*site, text)),
        _ => Err(not_bytes()),
    }
}

fn not_bytes() -> Error {
    Error::new(
        "damaged",
        "the file holds no text under \"data\", as an encrypted binary file does",
    )
    .with_hint("it may be a JSON file with an unusual name: use --input-type json")
}
