//! A machine with an empty `/run`, encrypted files of every format, and the program under its other name. Where
//! `SECRETSD_SOPS_INSTALL_SECRETS` names the original, everything is done with it too, and must come out the same.

use std::{cell::RefCell, io::Write as _, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    host::Host,
    support::{AgeKey, Ran, run},
};

/// Every file below /run, what it holds (without its spaces), and what is mounted there.
const TREE: &str = r#"
    cd /run
    find . -mindepth 1 | LC_ALL=C sort | while IFS= read -r path; do
        mode=$(stat -c '%a %u:%g' "$path")
        case $path in */age-keys.txt) [ "$ORIGINAL" = 1 ] && continue ;; esac
        if [ -L "$path" ]; then printf '%s\n' "$path -> $(readlink "$path") ${mode#* }"
        elif [ -d "$path" ]; then printf '%s\n' "$path/ $mode"
        elif [ -f "$path" ]; then printf '%s\n' "$path $mode $(od -An -v -c "$path" | tr -d ' \n')"
        else printf '%s\n' "$path $mode special"; fi
    done
    sed -n 's|^[^ ]* [^ ]* [^ ]* [^ ]* \(/run/[^ ]*\) \([^ ]*\) .*- \([^ ]*\) \([^ ]*\) .*|mount \1 \2 \3 \4|p' /proc/self/mountinfo
"#;

pub(super) const DATABASE: &str = "database:\n    password: hunter2\n    port: 5432\n    list:\n        - a\n    none: null\nplain: text\nempty: \"\"\nday: 2001-01-01\n";

/// See the module.
pub(super) struct World {
    pub(super) host: Host,
    pub(super) other: AgeKey,
    original: Option<PathBuf>,
}

/// One program on one such machine.
pub(super) struct Stage<'w> {
    pub(super) world: &'w World,
    program: PathBuf,
    pub(super) is_original: bool,
    /// What happened, to compare.
    transcript: RefCell<Vec<String>>,
}

impl World {
    pub(super) fn new(test: &str) -> Option<Self> {
        let host = Host::root(test)?;
        let other = AgeKey::generate(&host.dir, "other");
        for (name, plain) in [
            ("db.yaml", DATABASE),
            (
                "db.json",
                "{\"a\": {\"b\": \"nested\"}, \"top\": \"level\", \"n\": 5}",
            ),
            ("app.env", "A=1\nB=two words\n"),
            ("app.ini", "[section]\nkey = value\n"),
            ("blob.txt", "bytes\nwithout end"),
        ] {
            host.put(name, plain);
        }
        host.put_for("foreign.yaml", "x: y\n", &[&other.recipient]);
        host.dir.write("repo/clear.yaml", "plain: text\n");
        let original = std::env::var_os("SECRETSD_SOPS_INSTALL_SECRETS").map(PathBuf::from);
        Some(Self {
            host,
            other,
            original,
        })
    }

    /// Runs `case` with our program and, where it is there, with the original; both must do the same.
    pub(super) fn both(&self, name: &str, case: impl Fn(&Stage<'_>)) {
        let ours = self.stage(name, self.host.called("sops-install-secrets"), false, &case);
        if let Some(original) = &self.original {
            let theirs = self.stage(name, original.clone(), true, &case);
            assert_eq!(
                ours.join("\n"),
                theirs.join("\n"),
                "{name}: not as the original"
            );
        }
    }

    /// Runs `case` where we differ on purpose.
    pub(super) fn ours(&self, name: &str, case: impl Fn(&Stage<'_>)) {
        self.stage(name, self.host.called("sops-install-secrets"), false, &case);
    }

    fn stage(
        &self,
        name: &str,
        program: PathBuf,
        is_original: bool,
        case: &impl Fn(&Stage<'_>),
    ) -> Vec<String> {
        let of = if is_original { "the original" } else { "ours" };
        let _named = Named(format!("{name}, {of}"));
        let clear = "mount -t tmpfs -o mode=755 test /run; mkdir /run/nixos";
        self.host.sh(clear).expect(0);
        let stage = Stage {
            world: self,
            program,
            is_original,
            transcript: RefCell::default(),
        };
        case(&stage);
        // With what is mounted below.
        self.host.sh("umount -l /run").expect(0);
        stage.transcript.into_inner()
    }

    /// Path of a file of the repository.
    pub(super) fn file(&self, name: &str) -> String {
        self.host.dir.join("repo").join(name).display().to_string()
    }

    /// A secret at its usual place.
    pub(super) fn secret(&self, name: &str, file: &str, more: &Value) -> Value {
        let mut secret = json!({
            "name": name, "key": name, "path": format!("/run/secrets/{name}"), "owner": null, "uid": 0,
            "group": null, "gid": 0, "sopsFile": self.file(file), "format": "yaml", "mode": "0400",
            "restartUnits": [], "reloadUnits": [], "sopsFileHash": "", "neededForUsers": false,
        });
        merge(&mut secret, more);
        secret
    }

    /// A whole manifest as the NixOS module writes it.
    pub(super) fn manifest(&self, secrets: &[Value], more: &Value) -> Value {
        let mut manifest = json!({
            "secrets": secrets, "templates": [], "placeholderBySecretName": {},
            "secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets", "keepGenerations": 1,
            "gnupgHome": null, "sshKeyPaths": [], "ageKeyFile": self.host.key.file, "ageSshKeyPaths": [],
            "useTmpfs": false, "userMode": false,
            "logging": { "keyImport": true, "secretChanges": true },
        });
        merge(&mut manifest, more);
        manifest
    }

    /// The group of directories.
    pub(super) fn keys(&self) -> String {
        let group = self.host.sh("getent group keys || getent group nogroup");
        group.expect(0).text().split(':').nth(2).unwrap().to_owned()
    }
}

impl Stage<'_> {
    /// Runs the program on `manifest`; `call` are variables, flags and `%`, which is the manifest.
    pub(super) fn call(&self, call: &str, manifest: &Value) -> Ran {
        let path = self
            .world
            .host
            .dir
            .write("manifest.json", manifest.to_string());
        self.call_text(call, &path.display().to_string())
    }

    /// The same on a manifest that lies somewhere.
    pub(super) fn call_text(&self, call: &str, manifest: &str) -> Ran {
        let mut command = self.world.host.command("env");
        command.env(
            "PATH",
            format!("/run/bin:{}", std::env::var("PATH").unwrap()),
        );
        let mut program = Some(&self.program);
        for word in call.split_whitespace() {
            let is_variable = word.contains('=') && !word.starts_with('-');
            if !is_variable && let Some(program) = program.take() {
                command.arg(program);
            }
            command.arg(word.replace('%', manifest));
        }
        let ran = run(&mut command);
        for secret in ["hunter2", "AGE-SECRET-KEY-1"] {
            let said = ran.stderr.contains(secret) || ran.text().contains(secret);
            assert!(!said, "{secret} was told");
        }
        self.note(format!("{call}: {}\n{}", ran.code(), ran.text()));
        ran
    }

    /// The program, for a script.
    pub(super) fn program(&self) -> String {
        self.program.display().to_string()
    }

    /// An ordinary run.
    pub(super) fn install(&self, manifest: &Value) -> Ran {
        self.call("%", manifest)
    }

    pub(super) fn sh(&self, script: &str) -> Ran {
        self.world.host.sh(script)
    }

    /// All that is in /run, but for what the test itself put there; the original must come to the same.
    pub(super) fn tree(&self) -> Vec<String> {
        let tree = self.listing();
        self.note(tree.join("\n"));
        tree
    }

    /// The same, for one program alone.
    pub(super) fn listing(&self) -> Vec<String> {
        let mut command = self.world.host.command("sh");
        command
            .args(["-euc", TREE])
            .env("ORIGINAL", if self.is_original { "1" } else { "0" });
        let ran = run(&mut command).expect(0);
        let tree: Vec<String> = ran
            .text()
            .lines()
            .filter(|line| !line.starts_with("./nixos/ ") && !line.starts_with("./bin"))
            .map(str::to_owned)
            .collect();
        tree
    }

    /// Asserts what is in /run. `K` stands for the group of directories.
    #[track_caller]
    pub(super) fn expect_tree(&self, expected: &[&str]) {
        self.note(self.listing().join("\n"));
        self.expect_listing(expected);
    }

    /// The same, for one program alone.
    #[track_caller]
    pub(super) fn expect_listing(&self, expected: &[&str]) {
        let keys = self.world.keys();
        let expected: Vec<String> = expected
            .iter()
            .map(|line| line.replace(":K", &format!(":{keys}")))
            .collect();
        assert_eq!(self.listing().join("\n"), expected.join("\n"));
    }

    pub(super) fn note(&self, text: String) {
        self.transcript.borrow_mut().push(text);
    }
}

/// Says which case it was that failed.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "in the case: {}", self.0);
        }
    }
}

fn merge(base: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
}
