//! What is remembered of a generation: which file each secret came from and how that file looked, so that after a
//! restart unchanged files are not opened again and last good values stay. It lies on the same memory file system as
//! the secrets. No value is in it; of data keys it has keyed hashes, whose key is in it too and dies with it.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufWriter, Read as _, Write as _},
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    delta,
    generation::{Attributes, Fingerprint},
    runtime::{Runtime, generation_number, unusable},
};
use crate::error::Result;

const PREFIX: &str = ".state-";
const TEMPORARY: &str = ".state.new";
/// Changes when the meaning of a field does; another version's file is not read, and everything is opened again.
pub(super) const VERSION: u32 = 1;
/// Bytes of the file.
const SIZE: u64 = 1 << 30;
const BUFFER: usize = 64 << 10;

#[derive(Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Memory {
    version: u32,
    /// Random, hex; keys the hashes of data keys.
    pub(super) salt: String,
    /// By path in the repository.
    pub(super) files: BTreeMap<String, FileRecord>,
    /// By delivered path.
    pub(super) outputs: BTreeMap<Arc<str>, Arc<OutputRecord>>,
    /// Since when a name is degraded, in seconds since 1970.
    pub(super) degraded: BTreeMap<String, u64>,
    /// By name: the hash of the file whose value a unit failed with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) rejected: BTreeMap<String, String>,
    /// Only what is early is in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_early: bool,
}

/// A file that was opened.
#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct FileRecord {
    /// Hash of its bytes.
    pub(super) digest: String,
    /// How it was to be delivered by rules: path and layout; empty when it was not.
    pub(super) layout: String,
    /// The path that it has without links.
    pub(super) origin: String,
    /// Its `lastmodified`.
    pub(super) delivered: String,
    /// The newest `lastmodified` that was delivered.
    pub(super) lastmodified: String,
    /// Keyed hash of its data key.
    pub(super) data_key: String,
    /// What was left out, and why.
    pub(super) left_out: Vec<String>,
    /// Whether all that was wanted of it was delivered.
    pub(super) complete: bool,
}

/// A delivered file. There may be very many, and the daemon keeps them all: hence the shared texts, and a record that
/// stays as it is from one generation to the next.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct OutputRecord {
    pub(super) name: Arc<str>,
    /// The source in the repository; absent for a template.
    pub(super) file: Option<Arc<str>>,
    /// Hash of all that decided its content; absent where the record of the file tells all, by rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Arc<str>>,
    /// Whether it was delivered by rules.
    pub(super) by_rules: bool,
    user: u32,
    group: u32,
    mode: u32,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// The link elsewhere that was made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<Box<Path>>,
    /// When this content was delivered, in seconds since 1970.
    pub(super) since: u64,
}

impl OutputRecord {
    pub(super) fn new(
        name: Arc<str>,
        file: Option<Arc<str>>,
        source: Option<Arc<str>>,
        attributes: Attributes,
        fingerprint: Fingerprint,
        since: u64,
    ) -> Arc<Self> {
        let Attributes { user, group, mode } = attributes;
        let Fingerprint {
            inode,
            size,
            modified,
        } = fingerprint;
        Arc::new(Self {
            name,
            by_rules: file.is_some() && source.is_none(),
            source,
            file,
            user,
            group,
            mode,
            inode,
            size,
            modified,
            link: None,
            since,
        })
    }

    pub(super) fn attributes(&self) -> Attributes {
        Attributes {
            user: self.user,
            group: self.group,
            mode: self.mode,
        }
    }

    /// The same content in another file.
    pub(super) fn moved(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        attributes: Attributes,
    ) -> Arc<Self> {
        if self.fingerprint() == fingerprint && self.attributes() == attributes {
            return Arc::clone(self);
        }
        let Attributes { user, group, mode } = attributes;
        let Fingerprint {
            inode,
            size,
            modified,
        } = fingerprint;
        Arc::new(Self {
            user,
            group,
            mode,
            inode,
            size,
            modified,
            ..Self::clone(self)
        })
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            inode: self.inode,
            size: self.size,
            modified: self.modified,
        }
    }
}

impl Memory {
    /// A new one, with a salt of its own.
    pub(super) fn empty() -> Result<Self> {
        Ok(Self {
            version: VERSION,
            salt: crate::open::salt()?,
            ..Self::default()
        })
    }

    /// An empty one with the same salt.
    pub(super) fn successor(&self) -> Self {
        Self {
            version: VERSION,
            salt: self.salt.clone(),
            ..Self::default()
        }
    }

    /// What is remembered of generation `number`, and of which one that is written in full where it is a difference;
    /// nothing when its file is missing or not ours.
    pub(super) fn read(runtime: &Runtime, number: u64) -> Option<(Self, Option<u64>)> {
        let (mut memory, base) = match Self::read_full(runtime, number) {
            Some(memory) => (memory, None),
            None => delta::read(runtime, number).map(|(memory, base)| (memory, Some(base)))?,
        };
        memory.share();
        Some((memory, base))
    }

    /// Lets equal texts be one, as they are where they were not read.
    fn share(&mut self) {
        let mut known: HashSet<Arc<str>> = HashSet::new();
        for (location, record) in &mut self.outputs {
            let record = Arc::make_mut(record);
            if record.name == *location {
                record.name = Arc::clone(location);
            }
            if let Some(file) = &mut record.file {
                match known.get(file) {
                    Some(same) => *file = Arc::clone(same),
                    None => {
                        known.insert(Arc::clone(file));
                    }
                }
            }
        }
    }

    pub(super) fn read_full(runtime: &Runtime, number: u64) -> Option<Self> {
        let memory: Self = read_json(runtime, &format!("{PREFIX}{number}"))?;
        (memory.version == VERSION).then_some(memory)
    }

    /// Remembers this of generation `number`: whole or not at all.
    pub(super) fn write(&self, runtime: &Runtime, number: u64) -> Result<()> {
        write_json(runtime, &format!("{PREFIX}{number}"), self)?;
        // What was written as a difference is in it now.
        let _ = remove_file(runtime, &format!("{}{number}", delta::PREFIX));
        Ok(())
    }

    /// Forgets what is remembered of generation `number`.
    pub(super) fn remove(runtime: &Runtime, number: u64) -> Result<()> {
        for prefix in [PREFIX, delta::PREFIX] {
            remove_file(runtime, &format!("{prefix}{number}")).map_err(|error| {
                unusable(&runtime.base, format!("cannot be cleaned up: {error}"))
            })?;
        }
        Ok(())
    }

    /// Removes what is remembered of generations that `keep` does not name.
    pub(super) fn prune(runtime: &Runtime, keep: impl Fn(u64) -> bool) -> Result<()> {
        let failed =
            |error: Errno| unusable(&runtime.base, format!("cannot be cleaned up: {error}"));
        let mut old = Vec::new();
        for entry in rustix::fs::Dir::read_from(&runtime.base_dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let number = name
                .strip_prefix(PREFIX)
                .or_else(|| name.strip_prefix(delta::PREFIX));
            let stale = match number {
                Some(number) => generation_number(number).is_none_or(|number| !keep(number)),
                None => name == TEMPORARY,
            };
            if stale {
                old.push(name.to_owned());
            }
        }
        for name in old {
            remove_file(runtime, &name).map_err(failed)?;
        }
        Ok(())
    }
}

pub(super) fn read_json<T: DeserializeOwned>(runtime: &Runtime, name: &str) -> Option<T> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&runtime.base_dir, name, flags, Mode::empty()).ok()?;
    let mut text = Vec::new();
    File::from(file).take(SIZE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes a file whole or not at all.
pub(super) fn write_json(runtime: &Runtime, name: &str, value: &impl Serialize) -> Result<()> {
    let failed = |error: Errno| unusable(&runtime.base, format!("cannot be written: {error}"));
    remove_file(runtime, TEMPORARY).map_err(failed)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&runtime.base_dir, TEMPORARY, flags, Mode::RUSR | Mode::WUSR)
        .map_err(failed)?;
    // Not as one text first: it would be the largest piece of memory that a change needs.
    let mut file = BufWriter::with_capacity(BUFFER, File::from(file));
    let written = serde_json::to_writer(&mut file, value).map_err(std::io::Error::from);
    written.and_then(|()| file.flush()).map_err(|error| {
        let _ = remove_file(runtime, TEMPORARY);
        failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })?;
    rustix::fs::renameat(&runtime.base_dir, TEMPORARY, &runtime.base_dir, name).map_err(failed)
}

fn remove_file(runtime: &Runtime, name: &str) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(&runtime.base_dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}
