//! A running helper: a plugin, or the part of us that speaks to a card. It has its own process group and only its three
//! standard descriptors; how long it may take and how much it may say are limited; it is gone, with everything it
//! started, when [`Process`] is.

use std::{
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fs::OFlags,
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};

use crate::{
    error::{Error, Result},
    secret::Secret,
};

use super::person;

/// Bytes that a helper may send in one conversation, or in answer to one request.
const OUTPUT_LIMIT: usize = 1 << 20;
/// Bytes of what it writes to stderr that are kept; the rest is read and dropped.
const STDERR_LIMIT: usize = 2048;
/// How long a helper may take to exit after the conversation: a card wants to be let go of in order.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// What must not reach a helper: identities of other kinds, and our own place in the service manager.
const WITHHELD: &[&str] = &[
    "SOPS_AGE_KEY",
    "SOPS_AGE_KEY_CMD",
    "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "CREDENTIALS_DIRECTORY",
    "SECRETSD_PIN_FILE",
];

/// A switch that ends running helpers, from another thread.
#[derive(Clone)]
pub(crate) struct Cancel(Option<Arc<OwnedFd>>);

impl Cancel {
    /// A switch that has not been thrown.
    pub(crate) fn new() -> Result<Self> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map(|fd| Self(Some(Arc::new(fd))))
            .map_err(|error| Error::new("internal", format!("cannot make an event: {error}")))
    }

    /// Nothing will be cancelled.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    /// Whether it was thrown.
    pub(crate) fn is_fired(&self) -> bool {
        self.is_fired_within(Duration::ZERO)
    }

    /// Waits until it is thrown, for so long at most.
    pub(super) fn is_fired_within(&self, time: Duration) -> bool {
        let Some(event) = &self.0 else {
            std::thread::sleep(time);
            return false;
        };
        let mut wanted = [PollFd::new(event, PollFlags::IN)];
        poll(&mut wanted, timespec(time).as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// To wait for the switch, beside other things.
    pub(super) fn event(&self) -> Option<PollFd<'_>> {
        let event = self.0.as_ref()?;
        Some(PollFd::new(event.as_ref(), PollFlags::IN))
    }

    /// Throws the switch, for good.
    pub(crate) fn fire(&self) {
        if let Some(event) = &self.0 {
            // It fails only when the counter is full, that is, thrown already.
            let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
        }
    }
}

/// What a helper is called in messages, and the codes of what goes wrong with it.
#[derive(Clone)]
pub(super) struct Role {
    /// `the plugin NAME`.
    pub(super) name: String,
    /// The name of the limit on what it says.
    pub(super) limit: &'static str,
    pub(super) failed: &'static str,
    pub(super) timeout: &'static str,
    /// What to do when it takes too long.
    pub(super) patience: &'static str,
}

/// A running helper.
pub(super) struct Process {
    role: Role,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    /// Received and not yet taken.
    incoming: Secret,
    /// How much of `incoming` was taken.
    taken: usize,
    received: usize,
    last_words: Vec<u8>,
    cancel: Cancel,
    time_left: Duration,
}

impl Process {
    /// Starts `program` with these arguments.
    pub(super) fn start(
        program: &Path,
        arguments: &[&str],
        role: Role,
        time_limit: Duration,
        cancel: &Cancel,
    ) -> Result<Self> {
        let (failed, name) = (role.failed, role.name.clone());
        let failed = |error: std::io::Error| {
            Error::new(failed, format!("{name} cannot be started: {error}")).with_file(program)
        };
        // What we opened is closed on exec already; what whoever started us left open is not.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for variable in WITHHELD {
            command.env_remove(variable);
        }
        let mut child = command.spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::new("internal", "a helper has no pipes"));
        };
        let process = Self {
            role,
            child,
            stdin: Some(stdin),
            stdout,
            stderr: Some(stderr),
            incoming: Secret::default(),
            taken: 0,
            received: 0,
            last_words: Vec::new(),
            cancel: cancel.clone(),
            time_left: time_limit,
        };
        process
            .make_nonblocking()
            .map_err(|error| failed(error.into()))?;
        Ok(process)
    }

    /// The next request has this much time, and room for its answer.
    pub(super) fn begin(&mut self, time_limit: Duration) {
        self.time_left = time_limit;
        self.received = 0;
        if self.taken == self.incoming.len() {
            self.incoming = Secret::default();
            self.taken = 0;
        }
    }

    /// Sends all of `bytes`. That a helper does not listen any more is no error yet: it may have said all that it
    /// wanted, and reading tells.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut left = bytes;
        while let Some(stdin) = self.stdin.as_ref().filter(|_| !left.is_empty()) {
            match rustix::io::write(stdin, left) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(Errno::AGAIN) => self.wait(true)?,
                Err(Errno::INTR) => {}
                Err(_) => self.stdin = None,
            }
        }
        Ok(())
    }

    /// The next line, with its line break.
    pub(super) fn line(&mut self) -> Result<Secret> {
        let mut searched = 0;
        loop {
            let unread = self.incoming.expose().get(self.taken..).unwrap_or_default();
            if let Some(at) = unread.iter().skip(searched).position(|&byte| byte == b'\n') {
                let length = searched + at + 1;
                let line = Secret::new(unread.get(..length).unwrap_or_default().to_vec());
                self.taken += length;
                return Ok(line);
            }
            searched = unread.len();
            if !self.receive()? {
                self.wait(false)?;
            }
        }
    }

    /// Lets the helper end by itself, for a moment. It is ended by `drop` in any case.
    pub(super) fn finish(&mut self) {
        self.stdin = None;
        self.await_end();
    }

    /// Asks the helper to end, so that it can clear away what it has left elsewhere.
    pub(super) fn terminate(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::TERM);
        }
        self.await_end();
    }

    fn await_end(&self) {
        let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) else {
            return;
        };
        if let Ok(exited) = pidfd_open(pid, PidfdFlags::empty()) {
            let mut fds = [PollFd::new(&exited, PollFlags::IN)];
            let _ = poll(&mut fds, timespec(EXIT_GRACE.min(self.time_left)).as_ref());
        }
    }

    /// Reads what there is; `false` when there is nothing now.
    fn receive(&mut self) -> Result<bool> {
        let mut chunk = zeroize::Zeroizing::new([0_u8; 4096]);
        match rustix::io::read(&self.stdout, chunk.as_mut_slice()) {
            Ok(0) => Err(self.died()),
            Ok(read) => {
                self.received += read;
                if self.received > OUTPUT_LIMIT {
                    return Err(Error::new(
                        self.role.failed,
                        format!(
                            "{} sent more than the limit {} of {OUTPUT_LIMIT} bytes",
                            self.role.name, self.role.limit
                        ),
                    ));
                }
                self.incoming.push(chunk.get(..read).unwrap_or_default());
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(_) => Err(self.died()),
        }
    }

    /// Waits until the helper says something, or with `to_write` until it listens too.
    fn wait(&mut self, to_write: bool) -> Result<()> {
        let started = Instant::now();
        let (ready, heard) = {
            let mut fds = Vec::with_capacity(4);
            if let Some(stderr) = &self.stderr {
                fds.push(PollFd::new(stderr, PollFlags::IN));
            }
            let errors = fds.len();
            if let Some(cancel) = &self.cancel.0 {
                fds.push(PollFd::new(cancel.as_ref(), PollFlags::IN));
            }
            let others = fds.len();
            match (&self.stdin, to_write) {
                // Its output is left where it is while it does not listen: the pipe's size is the limit.
                (Some(stdin), true) => fds.push(PollFd::new(stdin, PollFlags::OUT)),
                _ => fds.push(PollFd::new(&self.stdout, PollFlags::IN)),
            }
            match poll(&mut fds, timespec(self.time_left).as_ref()) {
                Ok(ready) => {
                    let hit = |range: std::ops::Range<usize>| {
                        fds.get(range)
                            .unwrap_or_default()
                            .iter()
                            .any(|fd| !fd.revents().is_empty())
                    };
                    if hit(errors..others) {
                        return Err(person::interrupted());
                    }
                    (ready > 0, hit(0..errors))
                }
                Err(Errno::INTR) => (true, false),
                Err(error) => {
                    return Err(Error::new("internal", format!("cannot wait: {error}")));
                }
            }
        };
        if heard {
            self.drain_stderr();
        }
        self.time_left = self.time_left.saturating_sub(started.elapsed());
        if !ready || self.time_left.is_zero() {
            return Err(Error::new(
                self.role.timeout,
                format!("{} took too long and was ended", self.role.name),
            )
            .with_hint(self.role.patience));
        }
        Ok(())
    }

    /// Takes what the helper wrote to stderr and keeps the last of it.
    fn drain_stderr(&mut self) {
        let Some(stderr) = &self.stderr else { return };
        let mut chunk = [0_u8; 4096];
        match rustix::io::read(stderr, &mut chunk) {
            Ok(0) => self.stderr = None,
            Ok(read) => {
                self.last_words
                    .extend_from_slice(chunk.get(..read).unwrap_or_default());
                let excess = self.last_words.len().saturating_sub(STDERR_LIMIT);
                self.last_words.drain(..excess);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.stderr = None,
        }
    }

    fn died(&mut self) -> Error {
        self.drain_stderr();
        let words = String::from_utf8_lossy(&self.last_words);
        let error = Error::new(
            self.role.failed,
            format!("{} ended in the middle of the conversation", self.role.name),
        );
        match words.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            Some(line) => {
                let line: String = line.chars().take(200).collect();
                error.with_hint(format!("its last words: {line}"))
            }
            None => error,
        }
    }

    fn make_nonblocking(&self) -> rustix::io::Result<()> {
        let fds: [Option<BorrowedFd<'_>>; 3] = [
            self.stdin.as_ref().map(AsFd::as_fd),
            Some(self.stdout.as_fd()),
            self.stderr.as_ref().map(AsFd::as_fd),
        ];
        for fd in fds.into_iter().flatten() {
            let flags = rustix::fs::fcntl_getfl(fd)?;
            rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group first: as long as its leader is not waited for, its number cannot become somebody else's.
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Whether it can be started.
pub(super) fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

fn timespec(duration: Duration) -> Option<Timespec> {
    Timespec::try_from(duration).ok()
}
