//! Binding the control socket.
//!
//! The socket appears under its name with its final owner and mode: it is bound in a directory that only the daemon can
//! enter and then renamed, so that nobody slips in between `bind` and `chmod`. A lock beside it keeps two daemons that
//! start at the same time from taking it from each other.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::{
            fs::{
                DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
                PermissionsExt as _,
            },
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, FlockOperation, Gid, Mode};

use super::Readers;
use crate::error::{Error, Result};

/// Bytes of a socket's path, without the NUL that ends it: a limit of the kernel.
const PATH_LENGTH: usize = 107;
/// Name of the socket inside the private directory.
const NEW: &str = "new";

/// A listening control socket. Dropping one that we bound removes it, unless somebody else's is there by now.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    readers: Readers,
    /// Absent where the socket is the service manager's.
    bound: Option<Bound>,
}

/// What we know of a socket that we bound.
#[derive(Debug)]
struct Bound {
    /// Device and inode of the socket.
    identity: (u64, u64),
    /// Held as long as the socket is.
    _lock: File,
}

impl ControlSocket {
    /// Binds `path` so that only the daemon's user, root and `readers` can connect.
    pub(crate) fn bind(path: &Path, readers: Readers) -> Result<Self> {
        if path.as_os_str().len() > PATH_LENGTH {
            return Err(failure(
                path,
                format!("the path of the control socket is longer than {PATH_LENGTH} bytes"),
            )
            .with_hint("set socket.path to a shorter path"));
        }
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(failure(
                path,
                "the path of the control socket names no file",
            ));
        };
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        prepare_directory(directory)?;
        let mut lock_name = name.to_owned();
        lock_name.push(".lock");
        let lock = lock(&directory.join(lock_name), path)?;
        refuse_occupied(path)?;
        let (listener, identity) = bind_aside(directory, path, readers)
            .map_err(|error| failure(path, format!("cannot make the control socket: {error}")))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            readers,
            bound: Some(Bound {
                identity,
                _lock: lock,
            }),
        })
    }

    /// Takes over a socket that the service manager opened at `path`, and opens it to `readers`.
    pub(crate) fn adopt(listener: UnixListener, path: &Path, readers: Readers) -> Result<Self> {
        let address = listener.local_addr().ok();
        let found = address.as_ref().and_then(|address| address.as_pathname());
        if found != Some(path) {
            let found = found.unwrap_or(Path::new("another place")).display();
            return Err(failure(
                path,
                format!("the service manager opened the control socket at {found}, which is not `socket.path`"),
            )
            .with_hint("let ListenStream= of secretsd.socket and `socket.path` be the same"));
        }
        open_to(readers, rustix::fs::CWD, path).map_err(|error| {
            failure(
                path,
                format!("cannot open the control socket to its readers: {error}"),
            )
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            readers,
            bound: None,
        })
    }

    /// The socket and who may read from it, for the server.
    pub(super) fn listener(&self) -> io::Result<(tokio::net::UnixListener, Readers)> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        Ok((tokio::net::UnixListener::from_std(listener)?, self.readers))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let Some(bound) = &self.bound else { return };
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == bound.identity);
        if is_ours {
            // What cannot be removed is a stale socket, which the next start replaces.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the directory where it is missing, and refuses one in which others could replace the socket.
fn prepare_directory(directory: &Path) -> Result<()> {
    if !directory.exists() {
        // The mode is set again because the umask may have taken from it what readers need.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o755)))
            .map_err(|error| {
                failure(
                    directory,
                    format!("cannot make the directory of the control socket: {error}"),
                )
            })?;
    }
    let metadata = fs::metadata(directory).map_err(|error| {
        failure(
            directory,
            format!("cannot look at the directory of the control socket: {error}"),
        )
    })?;
    let own = rustix::process::geteuid().as_raw();
    let owned = metadata.uid() == 0 || metadata.uid() == own;
    if owned && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(failure(
        directory,
        "others can write to the directory of the control socket",
    )
    .with_hint("give it to root or the daemon's user, with mode 0755"))
}

fn lock(path: &Path, socket: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(|error| failure(path, format!("cannot open the lock file: {error}")))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(in_use(socket)),
        Err(error) => Err(failure(path, format!("cannot lock it: {error}"))),
    }
}

/// A stale socket may be replaced; a live one, or a file that is no socket, may not.
fn refuse_occupied(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failure(path, format!("cannot look at it: {error}"))),
    };
    if !metadata.file_type().is_socket() {
        return Err(failure(
            path,
            "there is a file that is no socket at the control socket's place",
        )
        .with_hint("remove it, or set socket.path to another path"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) | Err(_) => Err(in_use(path)),
    }
}

fn bind_aside(
    directory: &Path,
    path: &Path,
    readers: Readers,
) -> io::Result<(UnixListener, (u64, u64))> {
    // Mode 0700 from the start; removed on drop.
    let aside = tempfile::Builder::new()
        .prefix(".control-")
        .tempdir_in(directory)?;
    let handle = File::open(aside.path())?;
    // By way of the descriptor, because the path of the private directory may be too long for a socket.
    let new = format!(
        "/proc/self/fd/{}/{NEW}",
        rustix::fd::AsRawFd::as_raw_fd(&handle)
    );
    let listener = UnixListener::bind(new)?;
    open_to(readers, handle.as_fd(), Path::new(NEW))?;
    let new = aside.path().join(NEW);
    let metadata = fs::symlink_metadata(&new)?;
    fs::rename(&new, path)?;
    Ok((listener, (metadata.dev(), metadata.ino())))
}

/// Gives the socket `name` in `directory` its group and mode.
fn open_to(readers: Readers, directory: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<()> {
    let mode = match readers {
        Readers::Group(gid) => {
            let gid = Gid::from_raw(gid);
            rustix::fs::chownat(directory, name, None, Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            0o660
        }
        Readers::Nobody => 0o600,
    };
    rustix::fs::chmodat(directory, name, Mode::from_raw_mode(mode), AtFlags::empty())
}

fn in_use(path: &Path) -> Error {
    failure(path, "another daemon serves the control socket")
        .with_hint("stop it first, or set socket.path to another path")
}

fn failure(path: &Path, message: impl Into<String>) -> Error {
    Error::new("control-socket", message).with_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn replaces_a_stale_socket_and_refuses_a_live_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control");
        fs::create_dir(path.parent().unwrap()).unwrap();
        drop(UnixListener::bind(&path).unwrap());

        let socket = ControlSocket::bind(&path, Readers::Nobody).unwrap();
        assert_eq!(mode(&path), 0o600);
        UnixStream::connect(&path).unwrap();
        let error = ControlSocket::bind(&path, Readers::Nobody).unwrap_err();
        assert_eq!(error.code, "control-socket");
        UnixStream::connect(&path).unwrap();

        drop(socket);
        assert!(!path.exists());
        let left: Vec<_> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["control.lock"]);
    }

    #[test]
    fn refuses_a_file_and_a_live_socket_of_another_program() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "precious").unwrap();
        ControlSocket::bind(&path, Readers::Nobody).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"precious");

        let path = directory.path().join("foreign");
        let _foreign = UnixListener::bind(&path).unwrap();
        ControlSocket::bind(&path, Readers::Nobody).unwrap_err();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn refuses_a_directory_that_others_can_write() {
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        rustix::fs::chmod(&open, Mode::from_raw_mode(0o777)).unwrap();
        let error = ControlSocket::bind(&open.join("control"), Readers::Nobody).unwrap_err();
        assert!(error.hint.is_some());
    }
}
