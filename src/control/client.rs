//! The client side, for `secretsctl`: blocking, one call at a time.

use std::{
    io::{self, BufRead as _, BufReader, IoSlice, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::protocol::{INTERFACE, Refused, Reply};
use crate::error::{Error, Result};

/// Bytes of one reply: a listing of the largest repository stays far below.
const REPLY_SIZE: u64 = 256 << 20;

/// Where the daemon listens when nobody says otherwise.
pub(crate) fn default_socket() -> PathBuf {
    let below = if rustix::process::geteuid().is_root() {
        None
    } else {
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
    };
    let own = below.map(|directory| directory.join("secretsd/control"));
    match own {
        Some(own) if own.exists() => own,
        // A member of the readers' group asks the daemon of the machine.
        _ => PathBuf::from("/run/secretsd/control"),
    }
}

/// A connection to the daemon.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Client {
    /// Connects to the socket at `path`.
    pub(crate) fn connect(path: &Path) -> Result<Self> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Self {
                stream: BufReader::new(stream),
                path: path.to_owned(),
            }),
            Err(error) => Err(unreachable(&error).with_file(path)),
        }
    }

    /// Calls `method` and returns its one reply.
    pub(crate) fn call<T: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: impl Serialize,
    ) -> Result<T> {
        self.send(method, parameters, false)?;
        loop {
            let (reply, continues) = self.receive()?;
            if !continues {
                return Ok(reply);
            }
        }
    }

    /// Calls `method`, shows every reply but the last to `progress`, and returns the last.
    pub(crate) fn follow<T: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: impl Serialize,
        mut progress: impl FnMut(T),
    ) -> Result<T> {
        self.send(method, parameters, true)?;
        loop {
            let (reply, continues) = self.receive()?;
            if !continues {
                return Ok(reply);
            }
            progress(reply);
        }
    }

    /// As [`follow`](Self::follow), and passes `file` with the call.
    pub(crate) fn follow_with<T: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: impl Serialize,
        file: OwnedFd,
        mut progress: impl FnMut(T),
    ) -> Result<T> {
        self.send_with(method, parameters, true, Some(file))?;
        loop {
            let (reply, continues) = self.receive()?;
            if !continues {
                return Ok(reply);
            }
            progress(reply);
        }
    }

    fn send(&mut self, method: &str, parameters: impl Serialize, more: bool) -> Result<()> {
        self.send_with(method, parameters, more, None)
    }

    fn send_with(
        &mut self,
        method: &str,
        parameters: impl Serialize,
        more: bool,
        file: Option<OwnedFd>,
    ) -> Result<()> {
        let mut call =
            json!({ "method": format!("{INTERFACE}.{method}"), "parameters": parameters });
        if more && let Value::Object(members) = &mut call {
            members.insert("more".to_owned(), true.into());
        }
        let mut frame = call.to_string().into_bytes();
        frame.push(0);
        let sent = match file {
            Some(file) => pass(self.stream.get_ref(), &frame, &file),
            None => Ok(0),
        };
        let rest = sent.map(|sent| frame.get(sent..).unwrap_or_default());
        match rest.and_then(|rest| self.stream.get_mut().write_all(rest)) {
            // The daemon may have answered and closed before it read the call; the answer is still there.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| self.lost(&error)),
        }
    }

    fn receive<T: DeserializeOwned>(&mut self) -> Result<(T, bool)> {
        let mut frame = Vec::new();
        let mut limited = (&mut self.stream).take(REPLY_SIZE);
        let read = limited.read_until(0, &mut frame);
        read.map_err(|error| self.lost(&error))?;
        if frame.pop() != Some(0) {
            return Err(self.lost(&io::ErrorKind::UnexpectedEof.into()));
        }
        let reply: Reply = serde_json::from_slice(&frame).map_err(|error| self.foreign(&error))?;
        if let Some(error) = reply.error {
            return Err(self.refused(&error, reply.parameters));
        }
        let parameters = match reply.parameters {
            Value::Null => json!({}),
            parameters => parameters,
        };
        let parameters =
            serde_json::from_value(parameters).map_err(|error| self.foreign(&error))?;
        Ok((parameters, reply.continues))
    }

    fn refused(&self, error: &str, parameters: Value) -> Error {
        let name = error.rsplit('.').next().unwrap_or(error);
        let said = serde_json::from_value::<Refused>(parameters).ok();
        match (name, said) {
            ("ConfigurationRefused", Some(said)) => said.into_error("configuration"),
            ("DeliveryFailed", Some(said)) => said.into_error("delivery"),
            ("RekeyRefused", Some(said)) => return said.into_error("rekey"),
            ("UnlockRefused", Some(said)) => return said.into_error("unlock"),
            ("PermissionDenied", said) => {
                let message = said.map_or_else(|| "not permitted".to_owned(), |said| said.message);
                Error::new("permission-denied", message).with_hint("run it as root")
            }
            ("TooManyConnections", _) => Error::new(
                "too-many-connections",
                "the daemon has too many connections open",
            )
            .with_hint("end other programs that talk to it and try again"),
            _ => Error::new("control", format!("the daemon refused the call: {error}"))
                .with_hint("use programs of the same version on both sides"),
        }
        .with_file(&self.path)
    }

    fn lost(&self, error: &io::Error) -> Error {
        Error::new(
            "daemon-unreachable",
            format!("lost the connection to the daemon: {error}"),
        )
        .with_file(&self.path)
        .with_hint("see why it ended with journalctl -u secretsd")
    }

    fn foreign(&self, error: &serde_json::Error) -> Error {
        Error::new(
            "control",
            format!("cannot understand the daemon's reply: {error}"),
        )
        .with_file(&self.path)
        .with_hint("use programs of the same version on both sides")
    }
}

/// Sends the beginning of `frame` and with it `file`; answers how much was sent.
fn pass(stream: &UnixStream, frame: &[u8], file: &OwnedFd) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let frame = [IoSlice::new(frame)];
    Ok(sendmsg(stream, &frame, &mut control, SendFlags::NOSIGNAL)?)
}

fn unreachable(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Error::new(
            "permission-denied",
            "you may not talk to the daemon: only root, its user and the group of socket.readers may",
        )
        .with_hint("run it as root, or join that group"),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Error::new("daemon-unreachable", "no daemon listens on the control socket")
                .with_hint("start secretsd, or name its socket with --socket")
        }
        _ => Error::new(
            "daemon-unreachable",
            format!("cannot connect to the daemon: {error}"),
        )
        .with_hint("name its socket with --socket"),
    }
}
