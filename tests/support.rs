//! What the tests share: directories that clean up, running programs, real sops and age beside ours, throw-away keys.

#![allow(
    dead_code,
    reason = "not every helper is needed by every set of modules"
)]

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
};

/// A directory for one test, removed when it is dropped.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A directory on a memory file system, or nothing (said loudly) where this machine has none to write to.
    pub(crate) fn in_memory(test: &str) -> Option<Self> {
        let candidates = [
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            Some("/dev/shm".into()),
        ];
        let directory = candidates.into_iter().flatten().find_map(|parent| {
            let statfs = rustix::fs::statfs(&parent).ok()?;
            let is_tmpfs = statfs.f_type == 0x0102_1994;
            is_tmpfs
                .then(|| tempfile::tempdir_in(parent).ok())
                .flatten()
        });
        if directory.is_none() {
            not_run(test, "there is no tmpfs that this user can write to");
        }
        directory.map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, with its directories.
    pub(crate) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> String {
        String::from_utf8(self.read_bytes(name)).unwrap()
    }

    pub(crate) fn read_bytes(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn exists(&self, name: impl AsRef<Path>) -> bool {
        self.join(name).symlink_metadata().is_ok()
    }

    pub(crate) fn mode(&self, name: impl AsRef<Path>) -> u32 {
        self.join(name).metadata().unwrap().mode() & 0o7777
    }

    pub(crate) fn chmod(&self, name: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(self.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Everything below, relative and sorted: directories with a slash, links as `name -> target`. To compare a tree
    /// before and after.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.path().to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path
                    .strip_prefix(self.path())
                    .unwrap()
                    .display()
                    .to_string();
                let kind = path.symlink_metadata().unwrap().file_type();
                if kind.is_symlink() {
                    found.push(format!(
                        "{name} -> {}",
                        fs::read_link(&path).unwrap().display()
                    ));
                } else if kind.is_dir() {
                    found.push(format!("{name}/"));
                    open.push(path);
                } else {
                    found.push(name);
                }
            }
        }
        found.sort();
        found
    }
}

/// What a program did.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// How it was called.
    command: String,
}

impl Ran {
    /// The exit code; -1 when a signal ended it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Asserts the exit code, and shows everything when it is another.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    /// The one JSON value on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// The JSON values on stdout, one per line.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}\n{self}"));
        self.text().lines().map(parse).collect()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(
            f,
            "$ {}\n{}\nstdout: {stdout}\nstderr: {}",
            self.command, self.status, self.stderr
        )
    }
}

/// `secretsctl ARGS`, without what the caller's environment says about keys and rules.
pub(crate) fn ctl<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secretsctl"));
    command.args(args);
    clean(&mut command);
    command
}

/// `secretsd ARGS`, as [`ctl`].
pub(crate) fn daemon<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secretsd"));
    command.args(args);
    clean(&mut command);
    command
}

/// Takes away every variable that could give a program keys, rules or another home.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SOPS_") || text.starts_with("AGE") || text.starts_with("SECRETSD_") {
            command.env_remove(&name);
        }
    }
    // A directory that cannot exist: no key of the person who runs the tests is ever tried.
    command
        .env("HOME", "/nonexistent")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("XDG_STATE_HOME", "/dev/null/none")
        .env_remove("STATE_DIRECTORY")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
}

/// Runs `command` to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output();
    finished(command, output)
}

/// Runs `command` to its end and gives it `input`.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program that does not read its input to the end is no failure of the test.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output()
    });
    finished(command, output)
}

/// What a finished program did.
pub(crate) fn finished(command: &Command, output: std::io::Result<Output>) -> Ran {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let _ = write!(shown, " {}", arg.to_string_lossy());
    }
    let output = output.unwrap_or_else(|error| panic!("{shown}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran {
        status: output.status,
        stdout: output.stdout,
        stderr,
        command: shown,
    }
}

/// A program of others that tests need (`sops-3.13.3`, `age`, ...): from `$SECRETSD_PEERS`, or where `contrib/setup`
/// puts them. `None` is said loudly, and is a failure in CI.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let directory = match std::env::var_os("SECRETSD_PEERS") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin"),
    };
    let program = directory.join(name);
    if program.exists() {
        return Some(program);
    }
    not_run(
        name,
        &format!(
            "{} is missing; `contrib/setup` installs it",
            program.display()
        ),
    );
    None
}

/// Says that a test, or a part of one, cannot run on this machine. In CI that is a failure.
#[track_caller]
pub(crate) fn not_run(what: &str, why: &str) {
    let line = format!("NOT RUN: {what}: {why}\n");
    // Past the capture of the test harness: a test that did not run must not look like one that passed.
    if let Ok(mut terminal) = fs::OpenOptions::new().append(true).open("/proc/self/fd/2") {
        let _ = terminal.write_all(line.as_bytes());
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
}

/// Copies programs so that every user may run them.
///
/// Not by this process: another test may be starting a program just now, and a file that a child still has open for
/// writing cannot be run.
pub(crate) fn install(programs: &[&str], directory: &Path) {
    let mut install = Command::new("install");
    install.args(["-m", "755"]).args(programs).arg(directory);
    run(&mut install).expect(0);
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `command` in a mount namespace of its own, where mounts of the test cannot reach the machine. As root a real one;
/// otherwise in a user namespace where the caller is root; `None` (said loudly) where neither is allowed.
pub(crate) fn in_mount_namespace(test: &str, command: &Command) -> Option<Command> {
    let flags: &[&str] = if is_root() {
        &["--mount"]
    } else {
        &["--user", "--map-root-user", "--mount"]
    };
    let probe = Command::new("unshare").args(flags).arg("true").output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        not_run(
            test,
            "unshare (util-linux) cannot make a mount namespace here",
        );
        return None;
    }
    let mut wrapped = Command::new("unshare");
    wrapped.args(flags).args(["--propagation", "private", "--"]);
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    wrapped.stdin(Stdio::null());
    Some(wrapped)
}

/// A throw-away age key.
pub(crate) struct AgeKey {
    /// `age1...`
    pub(crate) recipient: String,
    /// `AGE-SECRET-KEY-1...`
    pub(crate) secret: String,
    /// A file that holds it, as age-keygen writes it.
    pub(crate) file: PathBuf,
}

/// A throw-away age identity. A made-up one has a wrong checksum and is none.
pub(crate) fn age_identity() -> String {
    use age::secrecy::ExposeSecret as _;

    let identity = age::x25519::Identity::generate();
    identity.to_string().expose_secret().to_owned()
}

impl AgeKey {
    /// Makes a key and writes it to `NAME.txt` in `dir`.
    pub(crate) fn generate(dir: &Dir, name: &str) -> Self {
        use age::secrecy::ExposeSecret as _;

        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        let secret = identity.to_string().expose_secret().to_owned();
        let file = dir.write(
            format!("{name}.txt"),
            format!("# public key: {recipient}\n{secret}\n"),
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        Self {
            recipient,
            secret,
            file,
        }
    }
}

/// Real sops of one version.
#[derive(Clone)]
pub(crate) struct Sops(PathBuf);

impl Sops {
    /// `version` as in `3.13.3`; see [`peer`].
    pub(crate) fn find(version: &str) -> Option<Self> {
        peer(&format!("sops-{version}")).map(Self)
    }

    /// Both versions that tests compare with, or nothing when one is missing.
    pub(crate) fn both() -> Option<[Self; 2]> {
        Some([Self::find("3.13.3")?, Self::find("3.9.4")?])
    }

    /// `sops ARGS` in a clean environment.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.0);
        command.args(args);
        clean(&mut command);
        // Without it 3.9 asks the network whether there is a newer version.
        command.env("SOPS_DISABLE_VERSION_CHECK", "1");
        command
    }

    /// Encrypts `plain` as if it were in a file called `name`. `settings` are further arguments of `sops encrypt`.
    pub(crate) fn encrypt(
        &self,
        dir: &Dir,
        name: &str,
        plain: impl AsRef<[u8]>,
        recipients: &[&str],
        settings: &[&str],
    ) -> Vec<u8> {
        let path = dir.write(format!("plain/{name}"), plain);
        let mut command = self.command(["encrypt", "--age", &recipients.join(",")]);
        command.args(settings).arg(&path).current_dir(dir.path());
        run(&mut command).expect(0).stdout
    }

    /// Decrypts the file at `path` with `key`.
    pub(crate) fn decrypt(&self, path: &Path, key: &AgeKey, settings: &[&str]) -> Ran {
        let mut command = self.command(["decrypt"]);
        run(command
            .args(settings)
            .arg(path)
            .env("SOPS_AGE_KEY_FILE", &key.file))
    }
}
