//! A machine for the tests of the daemon: a repository made with real sops, a key, a configuration, and `secretsd`
//! running on them, as whoever runs the tests or as the user `nobody`.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixDatagram, UnixStream},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{AgeKey, Dir, Ran, Sops, clean, install, is_root, run};

/// Longest time for something to happen. It is a guard against waiting for ever, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);
/// The user and group that have nothing.
const NOBODY: u32 = 65534;

/// Configuration in which the rules decide what is delivered.
pub(crate) const BY_RULES: &str = "deliver: by-rules\n";

/// See the module.
pub(crate) struct Machine {
    pub(crate) dir: Dir,
    pub(crate) key: AgeKey,
    sops: Sops,
    /// Copies of the programs that every user may run.
    programs: tempfile::TempDir,
    user: User,
    daemon: Option<Child>,
    notify: UnixDatagram,
}

/// Whose process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// `nobody` where the tests run as root.
    Nobody,
    /// Whoever runs the tests.
    Own,
}

impl Machine {
    /// With a key, a repository with one rule, and a configuration that delivers `db.yaml/password`.
    pub(crate) fn new(test: &str) -> Option<Self> {
        Self::of(test, User::Own)
    }

    /// As [`new`](Self::new); everything belongs to `user`, and the daemon runs as that user.
    pub(crate) fn of(test: &str, user: User) -> Option<Self> {
        let sops = Sops::find("3.13.3")?;
        let dir = Dir::in_memory(test)?;
        dir.chmod("", 0o755);
        let key = AgeKey::generate(&dir, "host");
        let programs = tempfile::tempdir().unwrap();
        fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).unwrap();
        install(
            &[
                env!("CARGO_BIN_EXE_secretsd"),
                env!("CARGO_BIN_EXE_secretsctl"),
            ],
            programs.path(),
        );
        let notify = UnixDatagram::bind(dir.join("notify")).unwrap();
        notify.set_nonblocking(true).unwrap();
        dir.chmod("notify", 0o777);
        let machine = Self {
            dir,
            key,
            sops,
            programs,
            user,
            daemon: None,
            notify,
        };
        machine.rules(&[("", &[&machine.key.recipient])]);
        machine.configure_secrets(&["db.yaml/password"]);
        Some(machine)
    }

    /// Writes `.sops.yaml`: path patterns and their recipients.
    pub(crate) fn rules(&self, rules: &[(&str, &[&str])]) {
        let mut text = "creation_rules:\n".to_owned();
        for (pattern, recipients) in rules {
            let recipients = recipients.join(",");
            text.push_str(&format!(
                "  - path_regex: '{pattern}'\n    age: '{recipients}'\n"
            ));
        }
        self.replace("repo/.sops.yaml", text);
    }

    /// Writes the configuration: what every test needs, and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let at = |name: &str| self.dir.join(name).display().to_string();
        self.replace(
            "etc/secretsd.yaml",
            format!(
                "repository: {}\nruntime-directory: {}\nidentities:\n  - age-key-file: {}\n\
                 watch: {{ debounce: 20ms }}\nlog: {{ level: debug }}\n{}{more}",
                at("repo"),
                at("run/secrets"),
                at("host.txt"),
                if more.contains("socket:") {
                    String::new()
                } else {
                    format!("socket: {{ path: {} }}\n", at("run/control"))
                },
            ),
        );
    }

    /// Configures secrets whose names are a file and a key in it, as they would be by rules.
    pub(crate) fn configure_secrets(&self, names: &[&str]) {
        let mut text = "secrets:\n".to_owned();
        for name in names {
            let (file, key) = name.rsplit_once('/').unwrap();
            text.push_str(&format!("  {name}: {{ file: {file}, key: {key} }}\n"));
        }
        self.configure(&text);
    }

    /// Encrypts `plain` for `recipients` into `repo/NAME`.
    pub(crate) fn put_for(&self, name: &str, plain: &str, recipients: &[&str]) {
        let text = self.encrypted(name, plain, recipients);
        self.replace(format!("repo/{name}"), text);
    }

    /// Encrypts `plain` for this machine into `repo/NAME`.
    pub(crate) fn put(&self, name: &str, plain: &str) {
        self.put_for(name, plain, &[&self.key.recipient]);
    }

    /// What real sops makes of `plain`.
    pub(crate) fn encrypted(&self, name: &str, plain: &str, recipients: &[&str]) -> Vec<u8> {
        self.sops.encrypt(&self.dir, name, plain, recipients, &[])
    }

    /// Replaces a file as editors and git do: a new file is renamed over it.
    pub(crate) fn replace(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let name = name.as_ref();
        let aside = self.dir.write(name.with_extension("new~"), content);
        fs::rename(aside, self.dir.join(name)).unwrap();
    }

    /// Starts the daemon and waits until it says that the secrets are in place.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.start_with(|_| ());
    }

    /// As [`start`](Self::start), with a changed command.
    #[track_caller]
    pub(crate) fn start_with(&mut self, change: impl FnOnce(&mut Command)) {
        let mut command = self.daemon_command();
        change(&mut command);
        self.spawn(command);
        self.expect_notice("READY=1");
    }

    /// `secretsd` on this machine's configuration, logging to `log`.
    pub(crate) fn daemon_command(&self) -> Command {
        let mut command = Command::new(self.programs.path().join("secretsd"));
        command
            .arg("--config")
            .arg(self.dir.join("etc/secretsd.yaml"));
        clean(&mut command)
            .env("NOTIFY_SOCKET", self.dir.join("notify"))
            .env("TEST_MARK", "environment-of-the-daemon");
        command
    }

    /// Runs `command` as this machine's daemon.
    pub(crate) fn spawn(&mut self, command: Command) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        if self.user == User::Nobody {
            self.give_away();
        }
        let mut command = as_user(self.user, command);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
    }

    /// Runs the daemon where it must end by itself: with an error.
    pub(crate) fn refused(&self, command: &Command) -> Ran {
        let mut bounded = Command::new("timeout");
        bounded.args(["--signal=KILL", "60"]);
        bounded.arg(command.get_program()).args(command.get_args());
        run(clean(&mut bounded)).expect(2)
    }

    /// Everything belongs to `nobody`.
    fn give_away(&self) {
        let mut command = Command::new("chown");
        command.args(["-R", &format!("{NOBODY}:{NOBODY}")]);
        run(command.arg(self.dir.path())).expect(0);
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.daemon.as_ref().unwrap().id()).unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Tells the daemon to stop and returns its exit code.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal(rustix::process::Signal::TERM);
        self.ended()
    }

    /// Ends the daemon at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.ended();
    }

    /// Waits for the daemon's end. -1: a signal.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> i32 {
        let mut daemon = self.daemon.take().unwrap();
        let mut status = None;
        eventually("the daemon ends", || {
            status = daemon.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code().unwrap_or(-1)
    }

    /// Waits for a message to the service manager.
    #[track_caller]
    pub(crate) fn expect_notice(&mut self, line: &str) {
        let mut said = String::new();
        let mut buffer = [0; 4096];
        let start = Instant::now();
        while !said.lines().any(|other| other == line) {
            if let Ok(count) = self.notify.recv(&mut buffer) {
                said.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                continue;
            }
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{}: {ended:?}\n{}", line, self.log());
            assert!(
                start.elapsed() < PATIENCE,
                "no {line} in:\n{said}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes the messages to the service manager: a daemon whose messages nobody takes waits in the end.
    pub(crate) fn forget_notices(&self) {
        while self.notify.recv(&mut [0; 4096]).is_ok() {}
    }

    /// `secretsctl ARGS` against this machine's daemon.
    pub(crate) fn ctl(&self, args: &[&str]) -> Ran {
        run(&mut self.ctl_command(self.user, args))
    }

    /// The same as a command of `user`.
    pub(crate) fn ctl_command(&self, user: User, args: &[&str]) -> Command {
        let mut command = Command::new(self.programs.path().join("secretsctl"));
        if !args.contains(&"--socket") {
            command.arg("--socket").arg(self.socket());
        }
        command.args(args);
        clean(&mut command);
        as_user(user, command)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("run/control")
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The JSON that `secretsctl ARGS --json` prints, with whatever exit code.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let mut args = args.to_vec();
        args.push("--json");
        self.ctl(&args).json()
    }

    pub(crate) fn state(&self) -> String {
        self.json(&["status"])["state"].as_str().unwrap().to_owned()
    }

    /// A delivered file, if it is there.
    pub(crate) fn delivered(&self, name: &str) -> Option<String> {
        let path = self.dir.join("run/secrets").join(name);
        fs::read_to_string(path).ok()
    }

    /// Waits until `name` is delivered with `value`.
    #[track_caller]
    pub(crate) fn expect_delivered(&self, name: &str, value: &str) {
        self.eventually(&format!("{name} is {value}"), || {
            self.delivered(name).as_deref() == Some(value)
        });
    }

    /// Waits until the daemon is in `state`.
    #[track_caller]
    pub(crate) fn expect_state(&self, state: &str) {
        self.eventually(&format!("the state is {state}"), || self.state() == state);
    }

    /// As [`eventually`], with the log.
    #[track_caller]
    pub(crate) fn eventually(&self, what: &str, condition: impl FnMut() -> bool) {
        let happened = happens(condition);
        assert!(happened, "never happened: {what}\n{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // Where the daemon could mount its own file system.
        if is_root() {
            let base = self.dir.join("run/secrets.d");
            let _ = Command::new("umount")
                .arg("--quiet")
                .arg(base)
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// `command` as `user`.
pub(crate) fn as_user(user: User, command: Command) -> Command {
    if user == User::Own || !is_root() {
        return command;
    }
    let mut command = command;
    command.uid(NOBODY).gid(NOBODY);
    command
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(happens(condition), "never happened: {what}");
}

fn happens(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Sends one Varlink message.
pub(crate) fn send(stream: &mut UnixStream, message: &serde_json::Value) {
    let mut frame = message.to_string().into_bytes();
    frame.push(0);
    stream.write_all(&frame).unwrap();
}

/// Receives one Varlink message; `None`: the daemon closed the connection.
pub(crate) fn receive(stream: &mut UnixStream) -> Option<serde_json::Value> {
    let mut frame = Vec::new();
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) {
        if byte[0] == 0 {
            return Some(serde_json::from_slice(&frame).unwrap());
        }
        frame.push(byte[0]);
    }
    None
}
