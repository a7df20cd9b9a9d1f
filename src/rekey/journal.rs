//! The record of a transaction, in the user's state directory: which files are to be replaced by which. It holds names and
//! digests of encrypted files, no secrets.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::place::{self, Purpose};
use super::transaction::fault;
use crate::{
    error::{Error, Result},
    files::{ReadLimit, read_regular, unwritable},
    repository::{ContentHash, Repository, content_hash, hex},
};

/// As large as any file that is changed: the list of exposed values.
const MOST_BYTES: u64 = super::ledger::MOST_BYTES;
/// A journal of more files than any limit allows.
const LARGEST: u64 = 1 << 30;

const PREFIX: &str = "";
const PURPOSE: Purpose = Purpose {
    code: "journal",
    nowhere: "there is no place for the journal",
    set: "set XDG_STATE_HOME or HOME",
    closed: "a journal is kept there while files change; set XDG_STATE_HOME to a directory that you can write",
};

/// One file of the transaction.
pub(super) struct Entry {
    /// Relative to the repository.
    pub(super) path: PathBuf,
    /// The new file, beside the old one.
    pub(super) temporary: PathBuf,
    /// Digest of the content that it was made from; `None` for a file that was not there.
    pub(super) old: Option<ContentHash>,
    /// Digest of the new content.
    pub(super) new: ContentHash,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// New files are being written; the old ones have their names.
    Preparing,
    /// All new files are complete; they take the names one after the other.
    Committing,
}

/// What an interrupted run left, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// Nothing was left.
    Nothing,
    /// It had changed nothing yet; its files were removed.
    Undone,
    /// The files that were left got their new content.
    Finished {
        /// How many.
        files: usize,
        /// All files of the transaction, also those that had theirs.
        paths: Vec<PathBuf>,
    },
}

/// A transaction that is under way.
pub(super) struct Journal {
    file: PathBuf,
    root: PathBuf,
    entries: Vec<Entry>,
}

impl Journal {
    /// Writes the record, before anything else is written.
    pub(super) fn begin(repository: &Repository, entries: Vec<Entry>) -> Result<Self> {
        let (file, root) = place::of(repository, PREFIX, &PURPOSE)?;
        let mut journal = Self {
            file,
            root,
            entries,
        };
        journal.set(Phase::Preparing)?;
        Ok(journal)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Records how far the transaction is; on disk when this returns.
    pub(super) fn set(&mut self, phase: Phase) -> Result<()> {
        let entries = self.entries.iter().map(|entry| {
            json!([
                hex(entry.path.as_os_str().as_bytes()),
                hex(entry.temporary.as_os_str().as_bytes()),
                entry.old.map(|old| hex(&old)),
                hex(&entry.new),
            ])
        });
        let record = json!({
            "version": 1,
            "root": hex(self.root.as_os_str().as_bytes()),
            "committing": phase == Phase::Committing,
            "files": entries.collect::<Vec<_>>(),
        });
        let temporary = temporary(&self.file);
        self.write(&temporary, record.to_string().as_bytes())
            .map_err(|error| {
                let _ = fs::remove_file(&temporary);
                unwritable("write the journal", &error).with_file(&self.file)
            })
    }

    /// Like any other file, but under a name that the next run finds: whoever is killed here leaves it behind.
    fn write(&self, temporary: &Path, record: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(temporary)?;
        file.write_all(record)?;
        fault("noted");
        file.sync_all()?;
        fs::rename(temporary, &self.file)?;
        match self.file.parent() {
            Some(directory) => fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Takes the new files away, and the record.
    pub(super) fn undo(self, repository: &Repository) -> Result<()> {
        for entry in &self.entries {
            repository.remove(&entry.temporary)?;
        }
        self.end()
    }

    /// Takes the record away.
    pub(super) fn end(self) -> Result<()> {
        fs::remove_file(&self.file).map_err(|error| {
            Error::new("journal", format!("cannot remove the journal: {error}"))
                .with_file(&self.file)
                .with_hint("every file is in place; remove this one")
        })
    }
}

/// Brings to an end what a run before left for this repository.
pub(crate) fn recover(repository: &Repository) -> Result<Recovered> {
    let (file, root) = place::of(repository, PREFIX, &PURPOSE)?;
    // One that was not complete stands for nothing that had been done.
    let _ = fs::remove_file(temporary(&file));
    let limit = ReadLimit::of_file(LARGEST);
    let content = match read_regular(&file, limit) {
        Ok(content) => content,
        Err(error) if error.code == "file-missing" => return Ok(Recovered::Nothing),
        Err(error) => return Err(error),
    };
    let Some((phase, entries)) = parse(content.expose(), &root) else {
        return Err(Error::new(
            "journal",
            "the journal of an interrupted re-key cannot be read",
        )
        .with_file(&file)
        .with_hint(
            "look at the repository (git status), remove files .secretsd-rekey-*.tmp, then remove the journal",
        ));
    };
    let journal = Journal {
        file,
        root,
        entries,
    };
    if phase == Phase::Preparing {
        journal.undo(repository)?;
        return Ok(Recovered::Undone);
    }
    let mut files = 0;
    for entry in &journal.entries {
        // What cannot be read now is left for another time, with the record.
        let hash = |path: &Path| match repository.read_at_most(path, MOST_BYTES) {
            Ok(content) => Ok(Some(content_hash(content.expose()))),
            Err(error) if error.code == "file-missing" => Ok(None),
            Err(error) => Err(error),
        };
        // What somebody has changed since is not overwritten.
        if hash(&entry.temporary)? == Some(entry.new) && hash(&entry.path)? == entry.old {
            repository.take_place(&entry.temporary, &entry.path)?;
            files += 1;
        } else {
            // Renamed already, or changed by somebody: the run that follows looks at the file anyway.
            repository.remove(&entry.temporary)?;
        }
        if let Some(parent) = entry.path.parent() {
            repository.sync(parent)?;
        }
    }
    let paths = journal.entries.iter().map(|entry| entry.path.clone());
    let paths = paths.collect();
    journal.end()?;
    Ok(Recovered::Finished { files, paths })
}

fn parse(text: &[u8], root: &Path) -> Option<(Phase, Vec<Entry>)> {
    let record: Value = serde_json::from_slice(text).ok()?;
    let path = |value: &Value| -> Option<PathBuf> {
        let bytes = unhex(value.as_str()?)?;
        Some(PathBuf::from(OsStr::from_bytes(&bytes)))
    };
    if record.get("version")? != 1 || path(record.get("root")?)? != root {
        return None;
    }
    let digest = |value: &Value| -> Option<ContentHash> { unhex(value.as_str()?)?.try_into().ok() };
    let phase = match record.get("committing")?.as_bool()? {
        true => Phase::Committing,
        false => Phase::Preparing,
    };
    let mut entries = Vec::new();
    for file in record.get("files")?.as_array()? {
        entries.push(Entry {
            path: path(file.get(0)?)?,
            temporary: path(file.get(1)?)?,
            old: match file.get(2)? {
                Value::Null => None,
                old => Some(digest(old)?),
            },
            new: digest(file.get(3)?)?,
        });
    }
    Some((phase, entries))
}

/// Whether a run before left something for this repository that [`recover`] would bring to an end. Nothing is written.
pub(crate) fn is_unfinished(repository: &Repository) -> bool {
    let root = fs::canonicalize(repository.root()).ok();
    let file = root.and_then(|root| place::file_of(&root, PREFIX));
    file.is_some_and(|file| file.symlink_metadata().is_ok())
}

fn temporary(journal: &Path) -> PathBuf {
    journal.with_extension("tmp")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}
