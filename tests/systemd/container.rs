//! A booted systemd with secretsd and its units installed, in a container that is thrown away.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    identity::protected,
    support::{AgeKey, Dir, Ran, Sops, install, is_root, not_run, run},
};

/// Longest time from the start to the end. It is a guard against waiting for ever, not a measure.
const SECONDS: &str = "90";

/// See the module. Files of the repository lie in `/srv/secrets`, prepared ones in `/test/files`.
pub(super) struct Container {
    dir: Dir,
    sops: Sops,
    key: AgeKey,
}

impl Container {
    /// With a key, rules, the units of `contrib/systemd` and the configuration `more`.
    pub(super) fn new(test: &str, more: &str) -> Option<Self> {
        if !is_root() {
            not_run(test, "only root can boot a container");
            return None;
        }
        for program in ["systemd-nspawn", "dbus-daemon"] {
            let found = Command::new(program).arg("--version").output();
            if !found.is_ok_and(|found| found.status.success()) {
                not_run(
                    test,
                    &format!("{program} is missing; `contrib/setup` installs it"),
                );
                return None;
            }
        }
        let sops = Sops::find("3.13.3")?;
        let dir = Dir::new();
        let key = AgeKey::generate(&dir, "key");
        let container = Self { dir, sops, key };
        container.install();
        container.configure(more);
        Some(container)
    }

    /// What a package would install, below directories that are empty on a machine of its own.
    fn install(&self) {
        for directory in ["usr/bin", "srv/secrets", "out", "files"] {
            let directory = match directory {
                "out" | "files" => self.dir.join(directory),
                _ => self.dir.join("root").join(directory),
            };
            fs::create_dir_all(directory).unwrap();
        }
        let programs = [
            env!("CARGO_BIN_EXE_secretsd"),
            env!("CARGO_BIN_EXE_secretsctl"),
        ];
        install(&programs, &self.dir.join("root/usr/bin"));
        for (from, to) in shipped() {
            let content = fs::read(&from).unwrap();
            self.dir.write(Path::new("root").join(&to), content);
            let mode = fs::metadata(&from).unwrap().permissions();
            fs::set_permissions(self.dir.join("root").join(to), mode).unwrap();
        }
        let test = fs::read(source("tests/systemd/secretsd-test.service")).unwrap();
        self.dir.write(
            "root/usr/local/lib/systemd/system/secretsd-test.service",
            test,
        );
        self.dir.write(
            "helpers",
            fs::read(source("tests/systemd/helpers")).unwrap(),
        );
        let rules = format!("creation_rules:\n  - age: '{}'\n", self.key.recipient);
        self.dir.write("root/srv/secrets/.sops.yaml", rules);
        let key = fs::read(&self.key.file).unwrap();
        self.dir.write("root/etc/secretsd/key.txt", key);
        self.dir.chmod("root/etc/secretsd/key.txt", 0o600);
        self.dir.write(
            "binds",
            "/usr/bin/secretsd\n/usr/bin/secretsctl\n/usr/local/lib/systemd\n/usr/local/lib/tmpfiles.d\n/etc/secretsd\n/srv/secrets\n",
        );
    }

    /// Writes the configuration: what every test needs, and `more`.
    fn configure(&self, more: &str) {
        self.dir.write(
            "root/etc/secretsd/secretsd.yaml",
            format!(
                "repository: /srv/secrets\nidentities:\n  - age-key-file: key.txt\n\
                 watch: {{ debounce: 20ms }}\nlog: {{ level: debug }}\n{more}"
            ),
        );
    }

    /// As `systemctl enable` would, before the boot: `unit` is wanted by `target`.
    pub(super) fn enable(&self, unit: &str, target: &str) {
        let wants = format!("root/usr/local/lib/systemd/system/{target}.wants");
        fs::create_dir_all(self.dir.join(&wants)).unwrap();
        std::os::unix::fs::symlink(format!("../{unit}"), self.dir.join(wants).join(unit)).unwrap();
    }

    /// Encrypts `plain` into the repository.
    pub(super) fn put(&self, name: &str, plain: &str) {
        let text = self.encrypted(name, plain);
        self.dir.write(format!("root/srv/secrets/{name}"), text);
    }

    /// Encrypts `plain`, to be put in the place of `name` later: `put PREPARED NAME`.
    pub(super) fn prepare(&self, prepared: &str, name: &str, plain: &str) {
        let text = self.encrypted(name, plain);
        self.dir.write(format!("files/{prepared}"), text);
    }

    /// Encrypts `plain` into the repository for a key behind the passphrase `12345`, which becomes the prepared file
    /// `sealed`. `false` where a peer is missing.
    #[must_use]
    pub(super) fn put_sealed(&self, name: &str, plain: &str) -> bool {
        let key = AgeKey::generate(&self.dir, "operator");
        let Some(sealed) = protected(&self.dir, &key) else {
            return false;
        };
        self.dir.write("files/sealed", fs::read(sealed).unwrap());
        let recipients = [key.recipient.as_str()];
        let text = self.sops.encrypt(&self.dir, name, plain, &recipients, &[]);
        self.dir.write(format!("root/srv/secrets/{name}"), text);
        true
    }

    fn encrypted(&self, name: &str, plain: &str) -> Vec<u8> {
        let recipients = [self.key.recipient.as_str()];
        self.sops.encrypt(&self.dir, name, plain, &recipients, &[])
    }

    /// Boots, runs `script`, and asserts that nothing in it failed.
    #[track_caller]
    pub(super) fn boot(&self, script: &str) {
        self.dir
            .write("run", format!("#!/bin/bash\n. /test/helpers\n{script}"));
        self.dir.chmod("run", 0o755);
        let mut boot = Command::new(source("tests/systemd/boot"));
        let ran: Ran = run(boot.arg(self.dir.path()).arg(SECONDS));
        let read = |name: &str| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        let code = ran.code();
        assert!(
            code == 0,
            "{ran}\nlog:\n{}\njournal:\n{}",
            read("out/log"),
            read("out/journal")
        );
        // Where the container never came to the script, it cannot have failed in it.
        assert!(self.dir.exists("out/log"), "{ran}");
    }
}

/// Every file of `contrib/systemd` that is installed, and where to.
pub(super) fn shipped() -> Vec<(PathBuf, PathBuf)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(source("contrib/systemd")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let to = match name.as_str() {
            "drop-ins" => continue,
            "user" => {
                files.push((
                    path.join("secretsd.service"),
                    "usr/local/lib/systemd/user/secretsd.service".into(),
                ));
                continue;
            }
            "secretsd.tmpfiles" => "usr/local/lib/tmpfiles.d/secretsd.conf".to_owned(),
            "secretsd-generator" => format!("usr/local/lib/systemd/system-generators/{name}"),
            _ => format!("usr/local/lib/systemd/system/{name}"),
        };
        files.push((path, to.into()));
    }
    files
}

/// A file of this repository.
pub(super) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
