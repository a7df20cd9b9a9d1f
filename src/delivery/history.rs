//! What the rollback guard remembers beyond a reboot: of each file, the newest `lastmodified` that was delivered. It
//! lies on disk and tells nothing that the repository does not tell: neither values nor keys, nor hashes of them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::state::{FileRecord, Memory};
use crate::{
    clock::is_earlier,
    error::{Error, Result},
    files::{self, ReadLimit, Replacing, Trust},
    repository::{content_hash, hex},
};

const LIMIT: ReadLimit = ReadLimit {
    name: "history-size",
    bytes: 64 << 20,
};

/// What is on disk for one repository.
pub(super) struct History {
    repository: PathBuf,
    /// Absent where there is no place for it.
    file: Option<PathBuf>,
    /// Whether what is there could not be read.
    unread: bool,
    newest: BTreeMap<String, String>,
}

#[derive(Deserialize, Serialize)]
struct Written {
    repository: PathBuf,
    /// The newest `lastmodified`, by path in the repository.
    newest: BTreeMap<String, String>,
}

impl History {
    /// Reads what is known of `repository`, and why that is nothing where something should be.
    pub(super) fn read(repository: &Path) -> (Self, Option<Error>) {
        let name = hex(&content_hash(repository.as_os_str().as_bytes()));
        let file =
            files::state_directory().map(|directory| directory.join(format!("newest-{name}.json")));
        let (newest, problem) = match file.as_deref().map(read) {
            Some(Ok(newest)) => (newest, None),
            Some(Err(error)) => (BTreeMap::new(), Some(error)),
            None => (BTreeMap::new(), None),
        };
        let history = Self {
            repository: repository.to_owned(),
            file,
            unread: problem.is_some(),
            newest,
        };
        (history, problem)
    }

    /// Whether it is that of `repository`.
    pub(super) fn is_of(&self, repository: &Path) -> bool {
        self.repository == repository
    }

    /// Adds to `memory` what it does not know by itself. It may know older things only: what was delivered while the
    /// guard was off.
    pub(super) fn recall(&self, memory: &mut Memory) {
        for (file, newest) in &self.newest {
            let record = memory
                .files
                .entry(file.clone())
                .or_insert_with(|| FileRecord {
                    origin: file.clone(),
                    ..FileRecord::default()
                });
            if is_newer(newest, &record.lastmodified) {
                record.lastmodified.clone_from(newest);
            }
        }
    }

    /// Writes what `memory` knows, where it is something new.
    pub(super) fn record(&mut self, memory: &Memory) -> Result<()> {
        let mut newest = self.newest.clone();
        for (file, record) in &memory.files {
            let known = newest.get(file).map_or("", String::as_str);
            if is_newer(&record.lastmodified, known) {
                newest.insert(file.clone(), record.lastmodified.clone());
            }
        }
        if newest == self.newest {
            return Ok(());
        }
        let Some(file) = &self.file else {
            return Err(Error::new(
                "no-history",
                "the rollback guard forgets at a reboot: there is no directory for what it knows",
            )
            .with_hint("set STATE_DIRECTORY, XDG_STATE_HOME or HOME"));
        };
        let written = Written {
            repository: self.repository.clone(),
            newest,
        };
        if self.unread {
            // Somebody may yet find out what it knew.
            let _ = fs::rename(file, file.with_extension("unread"));
            self.unread = false;
        }
        write(file, &written).map_err(|error| {
            Error::new(
                "no-history",
                format!("the rollback guard forgets at a reboot: {}", error.message),
            )
            .with_file(file)
            .with_hint("let secretsd's user write there, or set STATE_DIRECTORY")
        })?;
        self.newest = written.newest;
        Ok(())
    }
}

/// Whether `new` is a later time than `known`; any time is later than none.
fn is_newer(new: &str, known: &str) -> bool {
    if known.is_empty() {
        return !new.is_empty();
    }
    is_earlier(known, new)
}

fn read(file: &Path) -> Result<BTreeMap<String, String>> {
    let unused = |reason: String| {
        Error::new(
            "no-history",
            format!("what the rollback guard knew is not used: {reason}"),
        )
        .with_file(file)
    };
    let content = match files::read_regular(file, LIMIT) {
        Ok(content) => content,
        Err(error) if error.code == "file-missing" => return Ok(BTreeMap::new()),
        Err(error) => return Err(unused(error.message)),
    };
    // Whoever can write it can make old content new.
    if let Trust::Untrusted(reason) = files::trust(file)? {
        return Err(unused(reason));
    }
    serde_json::from_slice(content.expose())
        .map(|written: Written| written.newest)
        .map_err(|error| unused(error.to_string()))
}

fn write(file: &Path, written: &Written) -> Result<()> {
    if let Some(directory) = file.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| Error::new("no-history", error.to_string()))?;
    }
    let text =
        serde_json::to_vec(written).map_err(|error| Error::new("no-history", error.to_string()))?;
    files::replace(file, &text, Replacing::Mode(0o600))
}
