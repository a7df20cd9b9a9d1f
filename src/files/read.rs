//! Reading: with a limit that has a name, and never hanging on a FIFO or a device that somebody put in a file's place.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::{FileType, OFlags};

use crate::{
    error::{Error, Position, Result},
    secret::Secret,
};

/// Bytes that there is room for when more comes than was said.
const MORE: usize = 16 << 10;

/// How many bytes a file may have, and the name that the limit goes by in messages and configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimit {
    pub(crate) name: &'static str,
    pub(crate) bytes: u64,
}

impl ReadLimit {
    /// That of a file of the repository, or of one that a command is given.
    pub(crate) const fn of_file(bytes: u64) -> Self {
        Self {
            name: "file-size",
            bytes,
        }
    }
}

/// The content of the regular file at `path`; links are followed, anything else than a regular file is refused.
pub(crate) fn read_regular(path: &Path, limit: ReadLimit) -> Result<Secret> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| unreadable(&error))
        .and_then(|file| read_open(file, limit))
        .map_err(|error| error.with_file(path))
}

/// As [`read_regular`], and pipes too: an operator may name `/dev/stdin` or a shell's `<(command)`, and can interrupt
/// what never ends. Not for the daemon.
pub(crate) fn read_any(path: &Path, limit: ReadLimit) -> Result<Secret> {
    File::open(path)
        .map_err(|error| unreadable(&error))
        .and_then(|file| read_limited(file, 0, limit))
        .map_err(|error| {
            error
                .with_file(path)
                .with_hint("name a file that exists and that you may read")
        })
}

/// What comes out of a program.
pub(crate) fn read_stream(stream: impl Read, limit: ReadLimit) -> Result<Secret> {
    read_limited(stream, 0, limit)
}

/// The content of an open file, which must be a regular one. The error does not name it.
pub(crate) fn read_open(file: File, limit: ReadLimit) -> Result<Secret> {
    let status = rustix::fs::fstat(&file).map_err(|error| unreadable(&error.into()))?;
    let kind = FileType::from_raw_mode(status.st_mode);
    if kind != FileType::RegularFile {
        let what = match kind {
            FileType::Directory => "a directory",
            FileType::Fifo => "a pipe",
            FileType::Socket => "a socket",
            _ => "a device",
        };
        return Err(Error::new("not-a-file", format!("{what}, not a file")));
    }
    let size = u64::try_from(status.st_size).unwrap_or(0);
    if size > limit.bytes {
        return Err(too_large(limit));
    }
    read_limited(file, size, limit)
}

fn read_limited(mut file: impl Read, size: u64, limit: ReadLimit) -> Result<Secret> {
    // One byte of room more than the file has: its end is then found without growing, that is, without a copy.
    let room = usize::try_from(size.min(limit.bytes)).map_err(|_| too_large(limit))? + 1;
    let mut content = Secret::new(vec![0; room]);
    let mut filled = 0;
    loop {
        if filled == content.len() {
            content.push(&[0; MORE]);
        }
        match file.read(content.behind(filled)) {
            Ok(0) => {
                content.truncate(filled);
                return Ok(content);
            }
            Ok(read) => {
                filled += read;
                if filled as u64 > limit.bytes {
                    return Err(too_large(limit));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
}

fn unreadable(error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::NotFound => "file-missing",
        io::ErrorKind::PermissionDenied => "file-denied",
        _ => "file-unreadable",
    };
    Error::new(code, format!("cannot read the file: {error}"))
}

fn too_large(limit: ReadLimit) -> Error {
    Error::new(
        "limit",
        format!(
            "the file is larger than the limit {} of {} bytes",
            limit.name, limit.bytes
        ),
    )
    .with_position(Position::START)
    .with_hint(format!(
        "check that it is the file that was meant; limit: {}",
        limit.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ReadLimit = ReadLimit {
        name: "file-size",
        bytes: 20_000,
    };

    #[test]
    fn reads_up_to_the_limit_and_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![b'x'; 20_000]).unwrap();
        assert_eq!(read_regular(&path, LIMIT).unwrap().len(), 20_000);
        assert_eq!(read_any(&path, LIMIT).unwrap().len(), 20_000);
        std::fs::write(&path, vec![b'x'; 20_001]).unwrap();
        for error in [read_regular(&path, LIMIT), read_any(&path, LIMIT)] {
            let error = error.err().unwrap();
            assert_eq!(error.code, "limit");
            assert!(error.message.contains("file-size"), "{error}");
            assert_eq!(error.file.as_deref(), Some(path.as_path()));
        }
    }

    #[test]
    fn a_pipe_does_not_hang() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(read_regular(&path, LIMIT).err().unwrap().code, "not-a-file");
    }
}
