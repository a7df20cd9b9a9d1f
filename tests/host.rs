//! A host for `secretsd --once`: a repository made with real sops, a key and a configuration on a memory file system.
//! The program runs as root in a mount namespace of its own, so that what it mounts cannot reach the machine, or as the
//! user `nobody`, who has nothing.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    process::{Child, Command, Stdio},
};

use crate::support::{AgeKey, Dir, Ran, Sops, clean, install, is_root, not_run, run};

/// The user and group that have nothing.
pub(crate) const NOBODY: u32 = 65534;

/// See the module.
pub(crate) struct Host {
    pub(crate) dir: Dir,
    pub(crate) key: AgeKey,
    pub(crate) sops: Sops,
    /// A copy of the program that every user may run.
    programs: tempfile::TempDir,
    as_nobody: bool,
    /// Keeps the mount namespace.
    holder: Option<Child>,
}

impl Host {
    /// The program runs as root and may mount.
    pub(crate) fn root(test: &str) -> Option<Self> {
        if !is_root() {
            not_run(test, "it needs root, for users and mounts");
            return None;
        }
        let mut host = Self::new(test)?;
        let holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sleep", "3600"])
            .stdin(Stdio::null())
            .spawn();
        host.holder = Some(holder.unwrap());
        // Until the namespace is another than ours.
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let pid = host.holder.as_ref().unwrap().id().to_string();
        while namespace(&pid) == namespace("self") {
            std::thread::yield_now();
        }
        Some(host)
    }

    /// The program runs without any right, as `nobody` where the tests run as root.
    pub(crate) fn nobody(test: &str) -> Option<Self> {
        let mut host = Self::new(test)?;
        if is_root() {
            host.as_nobody = true;
            for name in ["run", "key.txt"] {
                chown(host.dir.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        Some(host)
    }

    fn new(test: &str) -> Option<Self> {
        let sops = Sops::find("3.13.3")?;
        let dir = Dir::in_memory(test)?;
        dir.chmod("", 0o755);
        for name in ["run", "repo", "etc"] {
            fs::create_dir(dir.join(name)).unwrap();
            dir.chmod(name, 0o755);
        }
        let key = AgeKey::generate(&dir, "key");
        let programs = tempfile::tempdir().unwrap();
        fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).unwrap();
        install(&[env!("CARGO_BIN_EXE_secretsd")], programs.path());
        let host = Self {
            dir,
            key,
            sops,
            programs,
            as_nobody: false,
            holder: None,
        };
        host.rules(&[("", &[&host.key.recipient])]);
        host.configure("");
        Some(host)
    }

    /// Writes `.sops.yaml`: path patterns and their recipients.
    pub(crate) fn rules(&self, rules: &[(&str, &[&str])]) {
        let mut text = "creation_rules:\n".to_owned();
        for (pattern, recipients) in rules {
            text.push_str(&format!(
                "  - path_regex: '{pattern}'\n    age: '{}'\n",
                recipients.join(",")
            ));
        }
        self.dir.write("repo/.sops.yaml", text);
    }

    /// Writes the configuration: what every test needs, and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let at = |name: &str| self.dir.join(name).display().to_string();
        let text = format!(
            "repository: {}\nruntime-directory: {}\nsocket: {{ path: {} }}\nidentities:\n  - age-key-file: {}\n{more}",
            at("repo"),
            at("run/secrets"),
            at("run/control"),
            at("key.txt"),
        );
        self.dir.write("etc/secretsd.yaml", text);
        self.dir.chmod("etc/secretsd.yaml", 0o644);
    }

    /// Encrypts `plain` for this host into `repo/NAME`.
    pub(crate) fn put(&self, name: &str, plain: impl AsRef<[u8]>) {
        self.put_for(name, plain, &[&self.key.recipient]);
    }

    /// Encrypts `plain` for `recipients` into `repo/NAME`.
    pub(crate) fn put_for(&self, name: &str, plain: impl AsRef<[u8]>, recipients: &[&str]) {
        let text = self.sops.encrypt(&self.dir, name, plain, recipients, &[]);
        self.dir.write(format!("repo/{name}"), text);
    }

    /// A command where the program runs and as whom it runs.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = match &self.holder {
            Some(holder) => {
                let mut command = Command::new("nsenter");
                command
                    .args(["--target", &holder.id().to_string(), "--mount", "--"])
                    .arg(program);
                command
            }
            None if self.as_nobody => {
                let mut command = Command::new("setpriv");
                let nobody = NOBODY.to_string();
                command
                    .args([
                        "--reuid",
                        &nobody,
                        "--regid",
                        &nobody,
                        "--clear-groups",
                        "--",
                    ])
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        clean(&mut command);
        command.env_remove("XDG_RUNTIME_DIR");
        command
    }

    /// `secretsd`, without arguments.
    pub(crate) fn secretsd(&self) -> Command {
        self.command(self.programs.path().join("secretsd"))
    }

    /// The program under another name.
    pub(crate) fn called(&self, name: &str) -> std::path::PathBuf {
        let link = self.programs.path().join(name);
        if !link.is_symlink() {
            std::os::unix::fs::symlink("secretsd", &link).unwrap();
        }
        link
    }

    /// `secretsd --once` with the configuration.
    pub(crate) fn once(&self) -> Ran {
        run(self
            .secretsd()
            .args(["--once", "--config"])
            .arg(self.dir.join("etc/secretsd.yaml")))
    }

    /// `secretsd --check-config`.
    pub(crate) fn check(&self) -> Ran {
        run(self
            .secretsd()
            .args(["--check-config", "--config"])
            .arg(self.dir.join("etc/secretsd.yaml")))
    }

    /// A script where the program runs; `$D` is the directory of the host, `$S` the program.
    pub(crate) fn sh(&self, script: &str) -> Ran {
        let mut command = self.command("sh");
        command
            .args(["-euc", script])
            .env("D", self.dir.path())
            .env("S", self.programs.path().join("secretsd"));
        run(&mut command)
    }

    /// The content of a file below the runtime directory, as root or the program's user sees it.
    #[track_caller]
    pub(crate) fn secret(&self, name: &str) -> Vec<u8> {
        let path = self.dir.join("run/secrets").join(name);
        run(self.command("cat").arg(path)).expect(0).stdout
    }

    /// Everything below the link, sorted: `NAME`, directories left out.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let ran = self
            .sh("cd \"$D/run/secrets\" && find . -type f | LC_ALL=C sort")
            .expect(0);
        ran.text()
            .lines()
            .map(|line| line.trim_start_matches("./").to_owned())
            .collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}
