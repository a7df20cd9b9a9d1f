//! What looks at the files of the repository have shown, so that one that is the same is not read again.

use std::{collections::HashMap, path::Path, time::SystemTime};

use super::Inputs;
use crate::{
    error::{Error, Result},
    repository::{ContentHash, Stamp, content_hash, hex},
    sops::{document::Document, format::Format, is_encrypted, metadata::Entry},
};

/// What is known of a file from an earlier look at it.
pub(super) struct Seen {
    hash: ContentHash,
    /// By which it is recognised without reading it; absent where it was read too soon after a change.
    stamp: Option<Stamp>,
    /// Whether it is meant to be a file of sops.
    pub(super) encrypted: bool,
    /// Whom the file itself names; read when it is first asked for.
    recipients: Option<Vec<String>>,
}

/// What looks have shown, by path: those of this reconciliation, and those of the one before that are not repeated yet.
#[derive(Default)]
pub(super) struct SeenFiles {
    now: HashMap<String, Seen>,
    before: HashMap<String, Seen>,
}

impl SeenFiles {
    /// Begins another reconciliation; what is not looked at in it is forgotten.
    pub(super) fn begin(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

/// Looks at a file: its hash, and whether it can be one of sops. Its content is not kept, and not read where the file
/// is the one of the last look.
pub(super) fn look<'s>(
    inputs: &Inputs<'_>,
    seen: &'s mut SeenFiles,
    file: &str,
) -> Result<&'s mut Seen> {
    let now = SystemTime::now();
    let stamp = inputs.repository.stamp(Path::new(file))?;
    if let Some(before) = seen.before.remove(file) {
        seen.now.insert(file.to_owned(), before);
    }
    let seen = &mut seen.now;
    let known = seen.get(file).is_some_and(|seen| seen.stamp == Some(stamp));
    if !known {
        let content = inputs.repository.read(Path::new(file))?;
        let hash = content_hash(content.expose());
        let stamp = Some(stamp).filter(|stamp| stamp.is_settled(now));
        match seen.get_mut(file).filter(|seen| seen.hash == hash) {
            Some(seen) => seen.stamp = stamp,
            None => {
                let encrypted = is_encrypted(content.expose(), Format::from_path(Path::new(file)));
                seen.insert(
                    file.to_owned(),
                    Seen {
                        hash,
                        stamp,
                        encrypted,
                        recipients: None,
                    },
                );
            }
        }
    }
    seen.get_mut(file)
        .ok_or_else(|| Error::new("internal", "a file was looked at and not noted"))
}

impl Seen {
    pub(super) fn digest(&self) -> String {
        hex(&self.hash)
    }

    /// The age recipients in the metadata of the file; none where it is not encrypted or cannot be read.
    pub(super) fn recipients(&mut self, inputs: &Inputs<'_>, file: &str) -> &[String] {
        if !self.encrypted {
            return &[];
        }
        self.recipients.get_or_insert_with(|| {
            let format = Format::from_path(Path::new(file));
            let content = inputs.repository.read(Path::new(file));
            let document =
                content.and_then(|content| Document::parse(content, format, &inputs.config.limits));
            let Ok(document) = document else {
                return Vec::new();
            };
            let recipients = document
                .metadata()
                .entries()
                .filter_map(|entry| match entry {
                    Entry::Age { recipient, .. } => Some(recipient.clone()),
                    Entry::Other { .. } => None,
                });
            recipients.collect()
        })
    }
}
