//! New texts until they are written beside the old ones. Many together do not fit into memory: what is beyond a limit waits
//! in a file without a name, beside the journal. The texts are encrypted files, no secrets.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    error::{Error, Result},
    files::state_directory,
    repository::{ContentHash, content_hash},
    secret::Secret,
};

/// Bytes of texts that are kept in memory.
const IN_MEMORY: u64 = 32 << 20;

/// One text.
pub(crate) struct Text {
    hash: ContentHash,
    place: Place,
}

enum Place {
    Memory(Secret),
    File {
        file: Arc<File>,
        at: u64,
        length: usize,
    },
}

impl From<Secret> for Text {
    fn from(text: Secret) -> Self {
        Self {
            hash: content_hash(text.expose()),
            place: Place::Memory(text),
        }
    }
}

impl Text {
    /// The digest of the text.
    pub(crate) fn hash(&self) -> ContentHash {
        self.hash
    }

    /// The text.
    pub(crate) fn read(&self) -> Result<Secret> {
        let (file, at, length) = match &self.place {
            Place::Memory(text) => return Ok(text.duplicate()),
            Place::File { file, at, length } => (file, *at, *length),
        };
        let mut bytes = vec![0; length];
        let read = file.read_exact_at(&mut bytes, at);
        let text = Secret::new(bytes);
        if read.is_err() || content_hash(text.expose()) != self.hash {
            return Err(Error::new(
                "file-unreadable",
                "a new text that waited on disk cannot be read back",
            )
            .with_hint("look at the disk that holds the state directory; nothing was changed"));
        }
        Ok(text)
    }
}

/// Where texts wait.
#[derive(Default)]
pub(super) struct Spool {
    in_memory: AtomicU64,
    in_file: AtomicU64,
    file: OnceLock<Option<Arc<File>>>,
}

impl Spool {
    /// Keeps a text. Where no file can be had, or it is full, that is memory.
    pub(super) fn keep(&self, text: Text) -> Text {
        let Place::Memory(content) = &text.place else {
            return text;
        };
        let length = content.expose().len();
        let bytes = u64::try_from(length).unwrap_or(u64::MAX);
        if self.in_memory.fetch_add(bytes, Ordering::Relaxed) < IN_MEMORY {
            return text;
        }
        let Some(file) = self.file.get_or_init(open) else {
            return text;
        };
        let at = self.in_file.fetch_add(bytes, Ordering::Relaxed);
        if file.write_all_at(content.expose(), at).is_err() {
            return text;
        }
        Text {
            hash: text.hash,
            place: Place::File {
                file: file.clone(),
                at,
                length,
            },
        }
    }
}

fn open() -> Option<Arc<File>> {
    let directory = state_directory()?.join("rekey");
    tempfile::tempfile_in(directory).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_in_a_file_is_what_it_was() {
        let spool = Spool::default();
        let directory = tempfile::tempdir().unwrap();
        let file = Arc::new(tempfile::tempfile_in(directory.path()).unwrap());
        spool.file.set(Some(file.clone())).unwrap();
        let keep = |text: &str| spool.keep(Text::from(Secret::from(text.to_owned())));
        let small = keep("small");
        spool.in_memory.store(IN_MEMORY, Ordering::Relaxed);
        let (first, second) = (keep("first"), keep("second"));
        for (text, expected) in [(&small, "small"), (&first, "first"), (&second, "second")] {
            assert_eq!(text.read().unwrap().expose_str(), Some(expected));
        }
        assert_eq!(file.metadata().unwrap().len(), 11);
        file.write_all_at(b"x", 2).unwrap();
        assert_eq!(first.read().err().unwrap().code, "file-unreadable");
        assert!(second.read().is_ok());
    }
}
