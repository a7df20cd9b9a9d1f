//! The daemon with identities that a person has to unlock: it boots without them, is unlocked from a terminal, keeps data
//! keys as long as it may, and is locked again. With a passphrase here; [`kinds`] has plugins and cards, [`protocol`] what
//! peers may do.

mod kinds;
mod prompts;
mod protocol;

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    identity::protected,
    machine::{Machine, User},
    support::{AgeKey, ctl, run},
    terminal::{OnTerminal, Terminal},
};

/// The passphrase of [`protected`].
const PASSPHRASE: &str = "12345";
/// What is asked.
const PROMPT: &str = "Enter passphrase for ";
const SECRETS: &str =
    "secrets:\n  host: { file: host.yaml, key: key }\n  op: { file: op.yaml, key: key }\n";

/// A machine with a host key and an operator's key behind a passphrase, and one secret for each.
struct Locked {
    machine: Machine,
    operator: AgeKey,
    sealed: PathBuf,
}

impl Locked {
    fn new(test: &str, more: &str) -> Option<Self> {
        let machine = Machine::new(test)?;
        let operator = AgeKey::generate(&machine.dir, "operator");
        let sealed = protected(&machine.dir, &operator)?;
        machine.dir.chmod("protected.age", 0o600);
        let this = Self {
            machine,
            operator,
            sealed,
        };
        this.configure(more);
        this.put("host.yaml", "key: of the host\n");
        this.put("op.yaml", "key: of the operator\n");
        Some(this)
    }

    fn configure(&self, more: &str) {
        self.machine.configure(more);
        let text = self.machine.dir.read("etc/secretsd.yaml").replace(
            "identities:\n",
            &format!("identities:\n  - age-key-file: {}\n", self.sealed.display()),
        );
        self.machine.replace("etc/secretsd.yaml", text);
    }

    /// Encrypts a file for whom its name says.
    fn put(&self, name: &str, plain: &str) {
        match name.starts_with("host") {
            true => self.machine.put(name, plain),
            false => {
                self.machine
                    .put_for(name, plain, &[&self.operator.recipient]);
            }
        }
    }

    /// Changes a value as an operator does who has the key: the data key stays wrapped as it is.
    fn set(&self, name: &str, value: &str) {
        let file = self.machine.dir.join("repo").join(name);
        let mut command = ctl(["set", "-i"]);
        command.arg(&self.operator.file).arg(&file);
        command.args(["[\"key\"]", &format!("\"{value}\"")]);
        run(&mut command).expect(0);
    }

    /// `secretsctl unlock ARGS` at a terminal.
    fn unlock(&self, args: &[&str], person: impl FnOnce(&mut Terminal)) -> OnTerminal {
        let all = [&["unlock"], args].concat();
        let command = self.machine.ctl_command(User::Own, &all);
        let done = Terminal::run(&command, person);
        assert!(done.echoes, "the terminal was left without echo");
        assert!(!done.seen.contains(PASSPHRASE), "{}", done.seen);
        assert!(!self.machine.log().contains(PASSPHRASE));
        done
    }

    /// Unlocks as it should be.
    #[track_caller]
    fn unlocked(&self) {
        let done = self.unlock(&[], |person| {
            person.expect(PROMPT);
            person.enter(&format!("{PASSPHRASE}\r"));
        });
        done.ran.expect(0);
    }

    /// The identity behind the passphrase, as the status has it.
    fn identity(&self) -> Value {
        let status = self.machine.json(&["status"]);
        let identities = status["identities"].as_array().unwrap();
        let sealed = self.sealed.to_str().unwrap();
        let found = identities.iter().find(|one| one["name"] == sealed);
        found.unwrap().clone()
    }
}

#[test]
fn boots_locked_and_is_unlocked_from_a_terminal() {
    let Some(mut locked) = Locked::new("boots_locked_and_is_unlocked_from_a_terminal", SECRETS)
    else {
        return;
    };
    locked.machine.start();
    let machine = &locked.machine;
    // What the host key opens is there.
    assert_eq!(machine.delivered("host").as_deref(), Some("of the host"));
    assert_eq!(machine.delivered("op"), None);
    let status = machine.ctl(&["status", "--json"]).expect(1).json();
    assert_eq!(status["state"], "locked");
    assert_eq!(status["degraded"][0]["name"], "op");
    let cause = status["degraded"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("secretsctl unlock"), "{cause}");
    assert_eq!(locked.identity()["state"], "locked");
    assert_eq!(locked.identity()["kind"], "passphrase");

    let done = locked.unlock(&["--json"], |person| {
        person.expect(PROMPT);
        person.enter("wrong\r");
        person.expect("wrong passphrase");
        person.expect(PROMPT);
        person.enter(&format!("{PASSPHRASE}\r"));
    });
    let told = done.ran.expect(0).json();
    assert_eq!(told["changed"], serde_json::json!(["op"]));
    assert_eq!(told["identities"][0]["keys"], 1);
    assert_eq!(told["degraded"], serde_json::json!([]));
    // When it returns it is there.
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
    machine.ctl(&["status"]).expect(0);
    assert_eq!(locked.identity()["state"], "unlocked");
    assert_eq!(locked.identity()["keys"], 1);

    // A changed value needs nobody, a file with a new data key does.
    locked.set("op.yaml", "changed");
    machine.expect_delivered("op", "changed");
    locked.put("op.yaml", "key: rotated\n");
    machine.expect_state("locked");
    assert_eq!(machine.delivered("op").as_deref(), Some("changed"));
    locked.unlocked();
    assert_eq!(machine.delivered("op").as_deref(), Some("rotated"));
    assert_eq!(machine.state(), "ok");
    // The key of the file as it was is not kept on.
    assert_eq!(locked.identity()["keys"], 1);
    // Nothing is left to ask for.
    let done = locked.unlock(&[], |_| ());
    let text = done.ran.expect(0);
    assert!(text.text().contains("nothing had to be unlocked"), "{text}");
}

#[test]
fn lock_forgets_at_once_and_takes_nothing_away() {
    let Some(mut locked) = Locked::new("lock_forgets_at_once_and_takes_nothing_away", SECRETS)
    else {
        return;
    };
    locked.machine.start();
    locked.unlocked();
    let machine = &locked.machine;
    let told = machine.ctl(&["lock", "--json"]).expect(0).json();
    assert_eq!(told["keys"], 1);
    assert_eq!(locked.identity()["state"], "locked");
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
    machine.ctl(&["reload"]).expect(0);
    assert_eq!(machine.state(), "ok");
    locked.set("op.yaml", "changed");
    machine.expect_state("locked");
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
    // The rest goes on.
    locked.put("host.yaml", "key: changed\n");
    machine.expect_delivered("host", "changed");
    assert_eq!(
        machine.ctl(&["lock"]).expect(0).text(),
        "0 data keys wiped\n"
    );
    // By its name, of which the last part is enough.
    let unknown = machine.ctl(&["lock", "nobody.age"]).expect(2);
    assert!(unknown.stderr.contains("protected.age"), "{unknown}");
    machine.ctl(&["lock", "protected.age"]).expect(0);
}

#[test]
fn a_person_who_cannot_unlock_changes_nothing() {
    let Some(mut locked) = Locked::new("a_person_who_cannot_unlock_changes_nothing", SECRETS)
    else {
        return;
    };
    locked.machine.start();
    let machine = &locked.machine;
    let still_locked = || {
        machine.expect_state("locked");
        assert_eq!(machine.delivered("op"), None);
        assert_eq!(locked.identity()["state"], "locked");
    };
    let done = locked.unlock(&[], |person| {
        for _ in 0..3 {
            person.expect(PROMPT);
            person.enter("wrong\r");
            person.expect("wrong passphrase");
        }
    });
    let ran = done.ran.expect(2);
    assert!(
        ran.stderr.contains("the passphrases given were wrong"),
        "{ran}"
    );
    still_locked();

    let done = locked.unlock(&[], |person| {
        person.expect(PROMPT);
        person.enter("123\x03");
    });
    done.ran.expect(130);
    still_locked();

    // Ctrl-D: no answer.
    let done = locked.unlock(&[], |person| {
        person.expect(PROMPT);
        person.enter("\x04");
    });
    let ran = done.ran.expect(2);
    assert!(ran.stderr.contains("no passphrase was given"), "{ran}");

    // Without a terminal nobody can be asked.
    let command = machine.ctl_command(User::Own, &["unlock"]);
    let mut alone = std::process::Command::new("setsid");
    alone
        .arg("--wait")
        .arg(command.get_program())
        .args(command.get_args());
    let ran = run(crate::support::clean(&mut alone)).expect(2);
    assert!(ran.stderr.contains("no terminal to ask on"), "{ran}");
    still_locked();

    let unknown = machine.ctl(&["unlock", "host.txt"]).expect(2);
    assert!(unknown.stderr.contains("protected.age"), "{unknown}");
    locked.unlocked();
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
}

#[test]
fn the_daemon_goes_on_while_somebody_is_asked() {
    let Some(mut locked) = Locked::new("the_daemon_goes_on_while_somebody_is_asked", SECRETS)
    else {
        return;
    };
    locked.machine.start();
    let machine = &locked.machine;
    let done = locked.unlock(&[], |person| {
        person.expect(PROMPT);
        locked.put("host.yaml", "key: meanwhile\n");
        machine.expect_delivered("host", "meanwhile");
        machine.ctl(&["reload"]).expect(1);
        // A second one is refused.
        let second = machine.ctl(&["unlock"]).expect(2);
        assert!(second.stderr.contains("somebody else"), "{second}");
        // A file that came meanwhile is opened, too.
        locked.put("op.yaml", "key: newer\n");
        person.enter(&format!("{PASSPHRASE}\r"));
    });
    done.ran.expect(0);
    machine.expect_delivered("op", "newer");

    // `lock` ends it.
    locked.put("op.yaml", "key: newest\n");
    machine.expect_state("locked");
    let done = locked.unlock(&[], |person| {
        person.expect(PROMPT);
        machine.ctl(&["lock"]).expect(0);
        person.enter(&format!("{PASSPHRASE}\r"));
    });
    done.ran.expect(2);
    machine.expect_state("locked");
    assert_eq!(machine.delivered("op").as_deref(), Some("newer"));
    locked.unlocked();
    assert_eq!(machine.delivered("op").as_deref(), Some("newest"));
}

/// Both ways: what is opened for an identity that is gone is not kept, and one identity's keys stay while another is unlocked.
#[test]
fn keys_of_an_identity_that_went_while_it_was_asked_for_are_not_kept() {
    let test = "keys_of_an_identity_that_went_while_it_was_asked_for_are_not_kept";
    let Some(mut locked) = Locked::new(test, SECRETS) else {
        return;
    };
    locked.machine.start();
    let machine = &locked.machine;
    let done = locked.unlock(&[], |person| {
        person.expect(PROMPT);
        // Without the sealed identity.
        machine.configure(SECRETS);
        machine.ctl(&["reload"]);
        person.enter(&format!("{PASSPHRASE}\r"));
    });
    drop(done);
    crate::machine::eventually("nothing is asked", || {
        machine.ctl(&["lock"]).text() == "0 data keys wiped\n"
    });
    assert_eq!(machine.delivered("op"), None);
}

#[test]
fn once_is_for_one_delivery() {
    let more = format!("unlock: {{ keep: once }}\n{SECRETS}");
    let Some(mut locked) = Locked::new("once_is_for_one_delivery", &more) else {
        return;
    };
    locked.machine.start();
    locked.unlocked();
    let machine = &locked.machine;
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
    assert_eq!(locked.identity()["state"], "locked");
    // What is delivered is not asked for.
    let done = locked.unlock(&[], |_| ());
    done.ran.expect(0);
    locked.set("op.yaml", "changed");
    machine.expect_state("locked");
    locked.unlocked();
    assert_eq!(machine.delivered("op").as_deref(), Some("changed"));
    assert_eq!(
        machine.ctl(&["lock"]).expect(0).text(),
        "0 data keys wiped\n"
    );
}

#[test]
fn keys_are_wiped_when_their_time_is_over() {
    let more = |keep: &str| format!("unlock: {{ keep: {keep} }}\n{SECRETS}");
    let test = "keys_are_wiped_when_their_time_is_over";
    let Some(mut locked) = Locked::new(test, &more("8h")) else {
        return;
    };
    locked.machine.start();
    locked.unlocked();
    let machine = &locked.machine;
    let identity = locked.identity();
    assert_eq!(identity["state"], "unlocked");
    assert!(
        identity["until"].as_str().unwrap().ends_with('Z'),
        "{identity}"
    );
    locked.set("op.yaml", "changed");
    machine.expect_delivered("op", "changed");

    // Another policy is in force at once.
    locked.configure(&more("1ms"));
    machine.eventually("it is locked", || locked.identity()["state"] == "locked");
    locked.set("op.yaml", "changed again");
    machine.expect_state("locked");
    // Its time may be over before the delivery: then it stays locked, and that is told.
    let done = locked.unlock(&[], |person| {
        person.expect(PROMPT);
        person.enter(&format!("{PASSPHRASE}\r"));
    });
    assert!((0..=1).contains(&done.ran.code()), "{}", done.ran);
    machine.eventually("it is locked again", || {
        locked.identity()["state"] == "locked"
    });
    locked.set("op.yaml", "changed at last");
    machine.expect_state("locked");
    assert_ne!(machine.delivered("op").as_deref(), Some("changed at last"));
}

#[test]
fn keys_go_with_their_identity() {
    let Some(mut locked) = Locked::new("keys_go_with_their_identity", SECRETS) else {
        return;
    };
    locked.machine.start();
    locked.unlocked();
    let machine = &locked.machine;
    machine.configure(SECRETS);
    machine.eventually("it is gone", || {
        machine.json(&["status"])["identities"]
            .as_array()
            .unwrap()
            .len()
            == 1
    });
    locked.set("op.yaml", "changed");
    machine.expect_state("degraded");
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
}

#[test]
fn by_rules_an_unlocked_identity_is_known_from_then_on() {
    let test = "by_rules_an_unlocked_identity_is_known_from_then_on";
    let Some(mut locked) = Locked::new(test, crate::machine::BY_RULES) else {
        return;
    };
    let rules = [
        ("^host", [locked.machine.key.recipient.as_str()]),
        ("^op", [locked.operator.recipient.as_str()]),
    ];
    let rules = rules
        .each_ref()
        .map(|(path, keys)| (*path, keys.as_slice()));
    locked.machine.rules(&rules);
    locked.machine.start();
    let machine = &locked.machine;
    // Whom the identity answers to is nowhere to be read.
    assert_eq!(machine.state(), "locked");
    assert_eq!(machine.delivered("op.yaml/key"), None);
    locked.unlocked();
    assert_eq!(
        machine.delivered("op.yaml/key").as_deref(),
        Some("of the operator")
    );
    assert_eq!(machine.state(), "ok");
    locked.put("op-new.yaml", "key: another\n");
    machine.expect_state("locked");
    locked.unlocked();
    assert_eq!(
        machine.delivered("op-new.yaml/key").as_deref(),
        Some("another")
    );
    // What was delivered stays, also when the daemon knows less again.
    machine.ctl(&["lock"]).expect(0);
    machine.ctl(&["reload"]).expect(0);
    assert_eq!(machine.state(), "ok");
    locked.machine.stop();
    locked.machine.start();
    let machine = &locked.machine;
    assert_eq!(
        machine.delivered("op.yaml/key").as_deref(),
        Some("of the operator")
    );
}
