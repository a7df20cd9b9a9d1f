//! Machines without a person: the PIN from a file, and the daemon with a key in a card.

use super::*;
use crate::{
    machine::eventually,
    support::{AgeKey, daemon, is_root, not_run},
};

#[test]
fn a_pin_from_a_file_opens_and_a_wrong_one_costs_one_try_at_most() {
    let test = "a_pin_from_a_file_opens_and_a_wrong_one_costs_one_try_at_most";
    let Some(reader) = Reader::with(test, &[Model::new(4001).key(1, ONCE, NEVER)]) else {
        return;
    };
    let card = reader.card(0);
    let dir = Dir::new();
    let file = encrypted(&dir, "a.yaml", &[&card.recipient(1)]);
    let identity = card.identity_file(&dir, 1);
    let pin = dir.write("pin", format!("{PIN}\n"));
    let decrypt = || run(decrypt(&reader, &file, &[&identity]).env("SECRETSD_PIN_FILE", &pin));
    dir.chmod("pin", 0o644);
    let refused = decrypt().expect(2);
    assert!(
        refused
            .stderr
            .contains("every user can get at the file with its PIN"),
        "{refused}"
    );
    assert_eq!(card.count("verify"), 0);
    dir.chmod("pin", 0o600);
    assert_eq!(decrypt().expect(0).text(), PLAIN);
    assert_eq!(card.count("verify"), 1);
    reader.power_down(card);

    dir.write("pin", "999999");
    let refused = decrypt().expect(2);
    assert!(
        refused
            .stderr
            .contains("the PIN was wrong, and 2 tries are left"),
        "{refused}"
    );
    // However often it is started again.
    for _ in 0..3 {
        let refused = decrypt().expect(2);
        assert!(
            refused
                .stderr
                .contains("a wrong PIN was given before, and 2 tries are left"),
            "{refused}"
        );
    }
    assert_eq!((card.count("verify"), card.tries()), (2, 2));
    // The right one does not help before a person has given it.
    dir.write("pin", PIN);
    decrypt().expect(2);
    let by_hand = super::decrypt(&reader, &file, &[&identity]);
    assert_eq!(with_pin(&by_hand), PLAIN);
    assert_eq!(card.tries(), 3);
    reader.power_down(card);
    assert_eq!(decrypt().expect(0).text(), PLAIN);
}

/// A machine with a host key and a card, and one secret for each.
pub(crate) struct Machine {
    pub(crate) dir: Dir,
    memory: Dir,
    pub(crate) reader: Reader,
    /// Opens the card's file too, and the daemon does not have it.
    backup: AgeKey,
}

impl Machine {
    fn new(test: &str, extra: &str) -> Option<Self> {
        Self::with_policy(test, extra, ONCE, NEVER)
    }

    pub(crate) fn with_policy(test: &str, extra: &str, pin: u8, touch: u8) -> Option<Self> {
        if !is_root() {
            // In a user namespace the root directory belongs to nobody, and no configuration is trusted.
            not_run(test, "only root can run the daemon beside a card");
            return None;
        }
        let memory = Dir::in_memory(test)?;
        let reader = Reader::with(test, &[Model::new(4002).key(2, pin, touch)])?;
        let dir = Dir::new();
        let host = AgeKey::generate(&dir, "host");
        let card = reader.card(0).recipient(2);
        encrypted(&dir, "repo/host.yaml", &[&host.recipient]);
        let backup = AgeKey::generate(&dir, "backup");
        encrypted(&dir, "repo/card.yaml", &[&card, &backup.recipient]);
        dir.write(
            "repo/.sops.yaml",
            format!(
                "creation_rules:\n  - path_regex: ^host\n    age: {}\n  - path_regex: ^card\n    age: {card}\n",
                host.recipient
            ),
        );
        dir.write("pin", PIN);
        dir.chmod("pin", 0o600);
        dir.write(
            "secretsd.yaml",
            format!(
                "repository: {}\nruntime-directory: {}\nsocket: {{ path: {} }}\nidentities:\n  \
                 - age-key-file: {}\n  - yubikey: {{ serial: 4002, slot: 2 }}\n{extra}",
                dir.join("repo").display(),
                memory.join("secrets").display(),
                memory.join("control/socket").display(),
                host.file.display(),
            ),
        );
        dir.chmod("secretsd.yaml", 0o600);
        Some(Self {
            dir,
            memory,
            reader,
            backup,
        })
    }

    fn once(&self, with_pin: bool) -> crate::support::Ran {
        let config = self.dir.join("secretsd.yaml");
        let args: [&OsStr; 3] = ["--once".as_ref(), "--config".as_ref(), config.as_ref()];
        let mut command = self.reader.enter(&daemon(args));
        if with_pin {
            command.env("SECRETSD_PIN_FILE", self.dir.join("pin"));
        }
        run(&mut command)
    }

    /// Runs the daemon without a PIN.
    pub(crate) fn start(&self) -> Running {
        self.start_with(|_| ())
    }

    /// As [`start`](Self::start), with a changed command.
    pub(crate) fn start_with(&self, change: impl FnOnce(&mut Command)) -> Running {
        let config = self.dir.join("secretsd.yaml");
        let args: [&OsStr; 2] = ["--config".as_ref(), config.as_ref()];
        let mut command = self.reader.enter(&daemon(args));
        change(&mut command);
        let log = std::fs::File::create(self.dir.join("log")).unwrap();
        Running(
            command
                .stdout(std::process::Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap(),
        )
    }

    /// `secretsctl ARGS` against it.
    pub(crate) fn ctl(&self, args: &[&str]) -> Command {
        let socket = self.memory.join("control/socket");
        let mut all: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        all.extend::<[&OsStr; 2]>(["--socket".as_ref(), socket.as_ref()]);
        self.reader.ctl(all)
    }

    /// Changes the password in a file of the repository.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let mut command = crate::support::ctl(["set", "-i"]);
        let file = self.dir.join("repo").join(name);
        command.arg(&self.backup.file).arg(file);
        command.args(["[\"password\"]", &format!("\"{value}\"")]);
        run(&mut command).expect(0);
    }

    /// Encrypts a file of the repository anew, with another data key.
    pub(crate) fn encrypt(&self, name: &str, value: &str) {
        let card = self.reader.card(0).recipient(2);
        let recipients = [card.as_str(), &self.backup.recipient];
        let aside = self.dir.write("aside.yaml", format!("password: {value}\n"));
        let mut command =
            crate::support::ctl(["encrypt", "--in-place", "--age", &recipients.join(",")]);
        run(command.arg(&aside)).expect(0);
        std::fs::rename(aside, self.dir.join("repo").join(name)).unwrap();
    }

    pub(crate) fn delivered(&self, name: &str) -> bool {
        self.is_delivered(name, "hunter2")
    }

    #[track_caller]
    pub(crate) fn expect_delivered(&self, name: &str, value: &str) {
        eventually(&format!("{name} is {value}"), || {
            self.is_delivered(name, value)
        });
    }

    /// Looked at from where the daemon may have mounted its own file system.
    fn is_delivered(&self, name: &str, value: &str) -> bool {
        let path = self.memory.join("secrets").join(name);
        let shown = self.reader.run(Path::new("cat"), &[path.as_ref()]);
        shown.code() == 0 && shown.text() == value
    }
}

/// A daemon that ends with the test, also where that fails.
pub(crate) struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn configured() -> String {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let secret = |name: &str| {
        format!(
            "  {name}: {{ file: {name}.yaml, key: password, owner: {}, group: {} }}\n",
            user.as_raw(),
            group.as_raw()
        )
    };
    format!("secrets:\n{}{}", secret("host"), secret("card"))
}

#[test]
fn the_daemon_delivers_what_the_card_opens_and_without_it_the_rest() {
    let test = "the_daemon_delivers_what_the_card_opens_and_without_it_the_rest";
    let Some(machine) = Machine::new(test, &configured()) else {
        return;
    };
    let card = machine.reader.card(0);
    // The PIN is nowhere: the others are delivered, and the cause is told.
    let degraded = machine.once(false).expect(1);
    assert!(
        degraded.stderr.contains("YubiKey 4002 is locked"),
        "{degraded}"
    );
    assert!(machine.delivered("host") && !machine.delivered("card"));
    // Booted without the card.
    card.tell(&serde_json::json!({ "inserted": false }));
    machine.reader.wait_for(0);
    let degraded = machine.once(true).expect(1);
    assert!(
        degraded.stderr.contains("it is not plugged in"),
        "{degraded}"
    );
    assert!(machine.delivered("host") && !machine.delivered("card"));
    assert_eq!(card.count("verify"), 0);
    card.tell(&serde_json::json!({ "inserted": true }));
    machine.reader.wait_for(1);
    machine.once(true).expect(0);
    assert!(machine.delivered("host") && machine.delivered("card"));
    assert_eq!((card.count("verify"), card.count("ecdh")), (1, 1));
}

/// The daemon that runs on: the card comes later, is let go of after each delivery, and goes again.
#[test]
fn a_card_may_come_after_the_daemon_has_started() {
    let test = "a_card_may_come_after_the_daemon_has_started";
    let Some(machine) = Machine::new(test, &configured()) else {
        return;
    };
    let card = machine.reader.card(0);
    card.tell(&serde_json::json!({ "inserted": false }));
    machine.reader.wait_for(0);
    let config = machine.dir.join("secretsd.yaml");
    let args: [&OsStr; 2] = ["--config".as_ref(), config.as_ref()];
    let mut command = machine.reader.enter(&daemon(args));
    let mut daemon = command
        .env("SECRETSD_PIN_FILE", machine.dir.join("pin"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let socket = machine.memory.join("control/socket");
    let ask = |what: &str| {
        let args: [&OsStr; 4] = [
            what.as_ref(),
            "--json".as_ref(),
            "--socket".as_ref(),
            socket.as_ref(),
        ];
        run(&mut machine.reader.ctl(args))
    };
    let identity = |status: &serde_json::Value| {
        let identities = status["identities"].as_array().unwrap();
        let card = identities.iter().find(|one| one["kind"] == "yubikey");
        card.unwrap().clone()
    };
    eventually("the daemon answers", || {
        let status = ask("status");
        status.code() == 1 && status.json()["state"] != "starting"
    });
    let status = ask("status").json();
    assert_eq!(identity(&status)["name"], "YubiKey 4002 slot 2");
    assert_eq!(identity(&status)["state"], "locked");
    assert!(
        status.to_string().contains("it is not plugged in"),
        "{status}"
    );
    assert!(machine.delivered("host") && !machine.delivered("card"));

    card.tell(&serde_json::json!({ "inserted": true }));
    machine.reader.wait_for(1);
    ask("reload").expect(0);
    assert!(machine.delivered("card"));
    assert_eq!(identity(&ask("status").json())["state"], "usable");
    // Idle, it leaves the card to others.
    drop(machine.reader.hold("exclusive"));

    // What was delivered stays when the card is gone.
    card.tell(&serde_json::json!({ "inserted": false }));
    machine.reader.wait_for(0);
    ask("reload").expect(0);
    assert!(machine.delivered("host") && machine.delivered("card"));
    assert_eq!((card.count("verify"), card.count("ecdh")), (1, 1));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn delivery_by_rules_knows_what_the_card_holds() {
    let test = "delivery_by_rules_knows_what_the_card_holds";
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let extra = format!(
        "deliver: by-rules\ndefaults: {{ owner: {}, group: {} }}\n",
        user.as_raw(),
        group.as_raw()
    );
    let Some(machine) = Machine::new(test, &extra) else {
        return;
    };
    let done = machine.once(true).expect(0);
    for name in ["host.yaml/password", "card.yaml/password"] {
        assert!(machine.delivered(name), "{name}: {done}");
    }
}
