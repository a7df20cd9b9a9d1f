//! The files of a generation: opened and rendered in memory, and what was in place before where that must do.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _};

use super::{
    changes,
    checked::{Checked, about},
    contents,
    entries::{Arrival, Attributes},
    manifest::{Entry, Manifest},
    run::Run,
    templates::{self, Placeholder},
};
use crate::{
    delivery::NewFile,
    error::{Error, Result},
    files::{self, ReadLimit},
    identity::Identities,
    limits::Limits,
    secret::Secret,
};

/// A file to be written.
pub(super) struct File<'m> {
    pub(super) entry: &'m Entry,
    pub(super) template: bool,
    pub(super) arrival: Arrival,
    pub(super) attributes: Option<Attributes>,
    pub(super) content: Option<Secret>,
    /// Why it is not what it should be.
    pub(super) cause: Option<Error>,
}

impl<'m> Run<'m> {
    /// Opens and renders everything, in memory.
    pub(super) fn files(
        &self,
        entries: Vec<Checked<'m>>,
        identities: &Identities,
    ) -> Result<Vec<File<'m>>> {
        let Manifest {
            secrets,
            templates,
            placeholders,
            ..
        } = self.manifest;
        let mut contents = contents::open(secrets, identities, self.isolate)?.into_iter();
        let (of_secrets, of_templates): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| !entry.template);
        let mut files: Vec<File<'m>> = Vec::new();
        for entry in of_secrets {
            let content = contents.next().unwrap_or_else(|| Ok(Secret::default()));
            files.push(File::new(entry, content));
        }
        let mut last_good = BTreeMap::new();
        if self.isolate {
            for file in files.iter().filter(|file| file.content.is_none()) {
                let kept = self.last_good(&file.arrival.location);
                last_good.insert(file.entry.name.as_str(), kept);
            }
        }
        // Of equal texts the last secret counts, of equal names too.
        let mut by_text: BTreeMap<&str, Placeholder<'_>> = BTreeMap::new();
        for file in &files {
            let name = file.entry.name.as_str();
            let kept = last_good.get(name).and_then(Option::as_ref);
            // What its owner may have written must not get into what others trust.
            let kept = kept.filter(|(_, attributes)| attributes.user == 0);
            let value = file.content.as_ref().or(kept.map(|(content, _)| content));
            if let Some(text) = placeholders.get(name) {
                by_text.insert(text, Placeholder { text, name, value });
            }
        }
        let by_text: Vec<Placeholder<'_>> = by_text.into_values().collect();
        let mut rendered = Vec::new();
        for (entry, template) in of_templates.into_iter().zip(templates) {
            let content = templates::text(template)
                .and_then(|text| templates::render(&text, &by_text))
                .map_err(|error| about(entry.entry, true, error));
            rendered.push(File::new(entry, content));
        }
        files.extend(rendered);
        Ok(files)
    }

    /// What is in place at `location`.
    fn last_good(&self, location: &str) -> Option<(Secret, Attributes)> {
        let path = self.link.join(location);
        if !changes::is_in_place(&self.link) {
            return None;
        }
        let status = fs::metadata(&path).ok()?;
        let content =
            files::read_regular(&path, ReadLimit::of_file(Limits::default().file_size)).ok()?;
        let attributes = Attributes {
            user: status.uid(),
            group: status.gid(),
            mode: status.mode() & 0o777,
        };
        Some((content, attributes))
    }

    /// Gives what could not be had its value from before; what has none is left out.
    pub(super) fn keep_last_good(&self, files: &mut [File<'m>]) {
        for file in files.iter_mut().filter(|file| file.cause.is_some()) {
            // Nobody is known to whom the new value could be given.
            file.content = file.content.take().filter(|_| file.attributes.is_some());
            if let Some((content, attributes)) = self.last_good(&file.arrival.location) {
                let is_trusted = attributes.user == 0
                    || file
                        .attributes
                        .is_none_or(|now| now.user == attributes.user);
                if file.content.is_none() && !is_trusted {
                    // Its owner may have written it: it is nobody else's secret.
                    continue;
                }
                file.content.get_or_insert(content);
                file.attributes.get_or_insert(attributes);
            }
        }
    }
}

impl<'m> File<'m> {
    fn new(checked: Checked<'m>, content: Result<Secret>) -> Self {
        let Checked {
            entry,
            template,
            arrival,
            attributes,
            problem,
        } = checked;
        let (content, unread) = match (content, &problem) {
            (Ok(content), None) => (Some(content), None),
            (Ok(_), Some(_)) => (None, None),
            (Err(error), _) => (None, Some(error)),
        };
        let (attributes, unowned) = match attributes {
            Ok(attributes) => (Some(attributes), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            entry,
            template,
            arrival,
            attributes,
            content,
            cause: problem.or(unowned).or(unread),
        }
    }
}

/// The files of a generation. Where two have one place the later one is there, a secret with the mode of the first as its
/// file is written to again.
pub(super) fn new_files<'f>(files: &'f [File<'_>]) -> Vec<NewFile<'f>> {
    let mut new: Vec<NewFile<'f>> = Vec::with_capacity(files.len());
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files {
        let (Some(content), Some(attributes)) = (&file.content, file.attributes) else {
            continue;
        };
        let location = file.arrival.location.as_str();
        let Attributes { user, group, mode } = attributes;
        let mut written = NewFile {
            location,
            content,
            mode,
            user,
            group,
        };
        match places.get(location).and_then(|place| new.get_mut(*place)) {
            Some(first) => {
                if !file.template {
                    written.mode = first.mode;
                }
                *first = written;
            }
            None => {
                places.insert(location, new.len());
                new.push(written);
            }
        }
    }
    new
}
