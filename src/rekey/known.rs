//! What re-keying that nobody watches knows of each file, so that it changes only files that are still what they were.
//!
//! What a file says of its recipients is not authenticated, and its name is not either: whoever can write to the
//! repository can put one file in the place of another, an old version in the place of the new one, or a recipient that
//! no key was wrapped for into the metadata. A re-key would make all of that true. So of each file is kept by which data key
//! it is known, whom and how it was encrypted for, and how new it was. It is learned at the very first look, and from then
//! on only from what was re-keyed here. Values that change are nothing strange: they leave all of that as it is.
//!
//! It lies on disk, beside the journal, and tells nothing about values or keys: data keys are hashed with a random salt.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use policy::drift::{FileState, address, needed};
use serde::{Deserialize, Serialize};

use super::place::{self, Purpose};
use crate::{
    clock::is_earlier,
    error::{Error, Result},
    files::{ReadLimit, Replacing, Trust, read_regular, replace, trust},
    identity::{Effort, Identities},
    limits::Limits,
    open::{fingerprint, in_hand, salt},
    repository::{ContentHash, Repository, content_hash, hex},
    sops::{document::Document, format::Format},
    survey::{each_in_parallel, state},
};

const LIMIT: ReadLimit = ReadLimit {
    name: "known-size",
    bytes: 256 << 20,
};

const PURPOSE: Purpose = Purpose {
    code: "known-files",
    nowhere: "there is no place for what is known of the files",
    set: "set STATE_DIRECTORY, XDG_STATE_HOME or HOME",
    closed: "let secretsd's user write there, or set STATE_DIRECTORY",
};

/// What is known of all files of one repository.
pub(crate) struct Known {
    place: PathBuf,
    is_new: bool,
    content: Content,
    /// Whether it is another than on disk.
    is_changed: bool,
}

#[derive(Default, Deserialize, Serialize)]
struct Content {
    /// Keys the hashes of data keys.
    salt: String,
    /// By path in the repository.
    files: BTreeMap<String, Entry>,
    /// Data keys that were replaced here, and the path that they were known from.
    retired: BTreeMap<String, String>,
}

/// One file.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
struct Entry {
    /// Keyed hash of its data key.
    key: String,
    /// Digest of its groups, threshold and selection.
    state: String,
    /// The newest `lastmodified`.
    newest: String,
}

/// A file as it is now: opened, its MAC verified.
pub(crate) struct Sight {
    path: String,
    entry: Entry,
    /// Of its bytes.
    content: ContentHash,
}

/// What is not as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strange {
    /// Nothing is known of it, or it has another data key.
    Unknown,
    /// Its data key is known from another path.
    Copied,
    /// Somebody else has changed whom or how it is encrypted for, or what it says about that.
    Recipients,
    /// It is an older version.
    Older,
}

impl Strange {
    /// Its name for machines.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown-file",
            Self::Copied => "copied-file",
            Self::Recipients => "recipients-changed",
            Self::Older => "older-file",
        }
    }
}

impl Known {
    /// Reads what is known of `repository`; nothing, at the very first look.
    pub(crate) fn read(repository: &Repository) -> Result<Self> {
        let (place, _) = place::of(repository, "known-", &PURPOSE)?;
        let content = match read_regular(&place, LIMIT) {
            Ok(text) => {
                if let Trust::Untrusted(reason) = trust(&place)? {
                    return Err(unusable(&place, &reason));
                }
                serde_json::from_slice(text.expose())
                    .map(Some)
                    .map_err(|error| unusable(&place, &error.to_string()))?
            }
            Err(error) if error.code == "file-missing" => None,
            Err(error) => return Err(error),
        };
        let is_new = content.is_none();
        let content: Content = match content {
            Some(content) => content,
            None => Content {
                salt: salt()?,
                ..Content::default()
            },
        };
        Ok(Self {
            place,
            is_new,
            is_changed: false,
            content,
        })
    }

    /// Looks at `paths`: at those that software identities open.
    pub(crate) fn look(
        &self,
        repository: &Repository,
        identities: &Identities,
        limits: &Limits,
        paths: &[PathBuf],
    ) -> BTreeMap<PathBuf, Sight> {
        let look = |path: &PathBuf| -> Result<Sight> {
            let content = repository.read(path)?;
            let hash = content_hash(content.expose());
            let document = Document::parse(content, Format::from_path(path), limits)?;
            let key = in_hand(&document, identities, Effort::Software)?.key;
            document.open(&key)?;
            Ok(Sight {
                path: super::name(path),
                entry: Entry {
                    key: fingerprint(&self.content.salt, &key),
                    state: digest(&state(&document)),
                    newest: document.metadata().lastmodified.clone(),
                },
                content: hash,
            })
        };
        let sights = each_in_parallel(paths, look);
        let sights = paths.iter().cloned().zip(sights);
        sights
            .filter_map(|(path, sight)| Some((path, sight.ok()?)))
            .collect()
    }

    /// Whether nothing was ever looked at.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Takes what is seen into account: all of it at the very first look, later how new known files are. A look at which
    /// nothing could be opened was none.
    pub(crate) fn see<'s>(&mut self, sights: impl ExactSizeIterator<Item = &'s Sight>) {
        if sights.len() == 0 {
            return;
        }
        for sight in sights {
            if self.is_new {
                self.learn(sight);
            } else if let Some(entry) = self.content.files.get_mut(&sight.path)
                && entry.key == sight.entry.key
                && is_earlier(&entry.newest, &sight.entry.newest)
            {
                entry.newest.clone_from(&sight.entry.newest);
                self.is_changed = true;
            }
        }
        self.is_new = false;
    }

    /// From now on the file is known as this.
    pub(crate) fn learn(&mut self, sight: &Sight) {
        let Sight { path, entry, .. } = sight;
        let old = self.content.files.insert(path.clone(), entry.clone());
        self.is_changed |= old.as_ref() != Some(entry);
        if let Some(old) = old.filter(|old| old.key != entry.key) {
            self.content.retired.insert(old.key, path.clone());
        }
    }

    /// What is not as it is known.
    pub(crate) fn strange(&self, sight: &Sight) -> Option<Strange> {
        let Sight { path, entry, .. } = sight;
        let known = self.content.files.get(path);
        if let Some(known) = known.filter(|known| known.key == entry.key) {
            return if is_earlier(&entry.newest, &known.newest) {
                Some(Strange::Older)
            } else {
                (known.state != entry.state).then_some(Strange::Recipients)
            };
        }
        if self
            .content
            .files
            .values()
            .any(|other| other.key == entry.key)
        {
            return Some(Strange::Copied);
        }
        Some(match self.content.retired.get(&entry.key) {
            Some(from) if from == path => Strange::Older,
            Some(_) => Strange::Copied,
            None => Strange::Unknown,
        })
    }

    /// Writes it, if there is something new.
    pub(crate) fn write(&mut self) -> Result<()> {
        if self.is_new || !self.is_changed {
            return Ok(());
        }
        let text = serde_json::to_vec(&self.content)
            .map_err(|error| Error::new("internal", error.to_string()))?;
        replace(&self.place, &text, Replacing::Mode(0o600))?;
        self.is_changed = false;
        Ok(())
    }
}

impl Sight {
    /// Digest of its bytes.
    pub(crate) fn content(&self) -> &ContentHash {
        &self.content
    }
}

/// Groups, threshold and selection, whatever their order.
fn digest(state: &FileState) -> String {
    let group = |group: &Vec<_>| {
        let keys = group
            .iter()
            .map(|(kind, text): &(_, String)| address(*kind, text));
        let mut keys: Vec<String> = keys.map(|key| format!("{key:?}")).collect();
        keys.sort();
        keys
    };
    let mut groups: Vec<Vec<String>> = state.key_groups.iter().map(group).collect();
    groups.sort();
    let enough = needed(state.shamir_threshold, groups.len());
    let all = format!(
        "{groups:?} {enough} {:?} {}",
        state.selection, state.mac_only_encrypted
    );
    hex(&content_hash(all.as_bytes()))
}

fn unusable(place: &Path, reason: &str) -> Error {
    Error::new(
        "known-files",
        format!("what is known of the files is not used: {reason}"),
    )
    .with_file(place)
    .with_hint(
        "restore the file, or look at all files and remove it: what is there then counts as known",
    )
}
