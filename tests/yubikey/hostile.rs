//! What goes wrong: PINs, cards that say nonsense or nothing, other programs, keys that are not those that were meant.

use serde_json::json;

use super::*;
use crate::support::{AgeKey, ctl};

/// A reader with one card that has one key, and a file for it.
struct Case {
    reader: Reader,
    dir: Dir,
    identity: PathBuf,
    file: PathBuf,
}

impl Case {
    fn new(test: &str, model: &Model) -> Option<Self> {
        let reader = Reader::with(test, std::slice::from_ref(model))?;
        let dir = Dir::new();
        let file = encrypted(&dir, "a.yaml", &[&reader.card(0).recipient(1)]);
        let identity = reader.card(0).identity_file(&dir, 1);
        Some(Self {
            reader,
            dir,
            identity,
            file,
        })
    }

    fn card(&self) -> &Card {
        self.reader.card(0)
    }

    fn decrypt(&self) -> Command {
        decrypt(&self.reader, &self.file, &[&self.identity])
    }
}

#[test]
fn a_wrong_pin_is_given_once_and_the_rest_is_told() {
    let test = "a_wrong_pin_is_given_once_and_the_rest_is_told";
    let Some(case) = Case::new(test, &Model::new(2001).key(1, ONCE, NEVER)) else {
        return;
    };
    let answers = |prompt: &str, pin: &str| {
        let done = Terminal::run(&case.decrypt(), |person| {
            person.expect(prompt);
            person.enter(&format!("{pin}\r"));
        });
        assert!(done.echoes);
        assert!(!done.seen.contains(pin), "{}", done.seen);
        assert!(!done.ran.stderr.contains(pin), "{}", done.ran);
        done.ran
    };
    let wrong = answers("Enter PIN for YubiKey 2001:", "111222").expect(2);
    assert!(
        wrong
            .stderr
            .contains("the PIN was wrong, and 2 tries are left"),
        "{wrong}"
    );
    assert_eq!((case.card().count("verify"), case.card().tries()), (1, 2));
    // Too short to be one: the card is not asked.
    let wrong = answers("Enter PIN for YubiKey 2001 (2 tries are left):", "12345").expect(2);
    assert!(
        wrong.stderr.contains("a PIN has 6 to 8 characters"),
        "{wrong}"
    );
    assert_eq!(case.card().count("verify"), 1);
    answers("(2 tries are left):", "111222").expect(2);
    let wrong = answers("(1 try is left):", "111222").expect(2);
    assert!(wrong.stderr.contains("its PIN is blocked"), "{wrong}");
    assert!(wrong.stderr.contains("unblock-pin"), "{wrong}");
    // A blocked card is not asked again, and nobody is asked for its PIN.
    let blocked = Terminal::run(&case.decrypt(), |_| {});
    assert_eq!(blocked.ran.code(), 2);
    assert!(!blocked.seen.contains("Enter PIN"), "{}", blocked.seen);
    assert!(
        blocked.ran.stderr.contains("its PIN is blocked"),
        "{}",
        blocked.ran
    );
    assert_eq!((case.card().count("verify"), case.card().tries()), (3, 0));
}

/// Nobody at the terminal, or somebody who does not want to.
#[test]
fn no_pin_is_an_error_that_changes_nothing() {
    let test = "no_pin_is_an_error_that_changes_nothing";
    let Some(case) = Case::new(test, &Model::new(2002).key(1, ONCE, NEVER)) else {
        return;
    };
    let alone = run(&mut case.decrypt()).expect(2);
    assert!(
        alone.stderr.contains("there is no terminal to ask on"),
        "{alone}"
    );
    assert!(alone.stderr.contains("SECRETSD_PIN_FILE"), "{alone}");
    let declined = Terminal::run(&case.decrypt(), |person| {
        person.expect("PIN");
        person.enter("\u{4}");
    });
    assert!(
        declined.ran.stderr.contains("no PIN was given"),
        "{}",
        declined.ran
    );
    let interrupted = Terminal::run(&case.decrypt(), |person| {
        person.expect("PIN");
        person.enter("\u{3}");
    });
    assert_eq!(interrupted.ran.code(), 130);
    assert!(interrupted.echoes);
    assert_eq!(case.card().count("verify"), 0);
}

#[test]
fn a_card_that_says_nonsense_or_nothing_is_given_up() {
    let test = "a_card_that_says_nonsense_or_nothing_is_given_up";
    for (mood, says) in [
        ("garbage", "makes no sense"),
        ("short", "makes no sense"),
        ("silent", "YubiKey 2003 took too long and was ended"),
    ] {
        let models = [
            Model::new(2003).key(1, NEVER, NEVER),
            Model::new(2004).key(1, NEVER, TOUCH_ALWAYS),
        ];
        let Some(reader) = Reader::with(test, &models) else {
            return;
        };
        let [bad, good] = [reader.card(0), reader.card(1)];
        let dir = Dir::new();
        let only = encrypted(&dir, "only.yaml", &[&bad.recipient(1)]);
        let both = encrypted(&dir, "both.yaml", &[&bad.recipient(1), &good.recipient(1)]);
        let identities = [bad, good].map(|card| card.identity_file(&dir, 1));
        let identities: Vec<&Path> = identities.iter().map(PathBuf::as_path).collect();
        bad.tell(&json!({ "mood": mood }));
        // The other card still opens what it can.
        let mut command = decrypt(&reader, &both, &identities);
        command.env("SECRETSD_CARD_TIME_LIMIT", "2");
        assert_eq!(run(&mut command).expect(0).text(), PLAIN, "{mood}");
        // Also when it does not answer from the beginning.
        let mut command = decrypt(&reader, &both, &identities);
        command.env("SECRETSD_CARD_TIME_LIMIT", "2");
        assert_eq!(run(&mut command).expect(0).text(), PLAIN, "{mood}");
        let named = ["decrypt", both.to_str().unwrap(), "--yubikey", "2004"];
        assert_eq!(
            run(&mut reader.ctl(named)).expect(0).text(),
            PLAIN,
            "{mood}"
        );
        let mut command = decrypt(&reader, &only, &identities);
        command.env("SECRETSD_CARD_TIME_LIMIT", "2");
        let refused = run(&mut command).expect(2);
        assert!(refused.stderr.contains(says), "{mood}: {refused}");
        assert!(refused.stderr.contains("only.yaml"), "{mood}: {refused}");
    }
}

#[test]
fn a_touch_that_does_not_come_is_told() {
    let test = "a_touch_that_does_not_come_is_told";
    let Some(case) = Case::new(test, &Model::new(2005).key(1, ONCE, TOUCH_ALWAYS)) else {
        return;
    };
    case.card().tell(&json!({ "touch": false }));
    let done = Terminal::run(&case.decrypt(), |person| {
        person.expect("PIN");
        person.enter(&format!("{PIN}\r"));
        person.expect("touch YubiKey 2005 now");
    });
    assert_eq!(done.ran.code(), 2);
    assert!(
        done.ran.stderr.contains("it was not touched in time"),
        "{}",
        done.ran
    );
    assert_eq!(
        (case.card().count("verify"), case.card().count("refused")),
        (1, 1)
    );
}

#[test]
fn without_the_daemon_the_hint_says_how_to_start_it() {
    let dir = Dir::new();
    let mut command = ctl(["yubikey", "list"]);
    command.env("PCSCLITE_CSOCK_NAME", dir.join("none"));
    let refused = run(&mut command).expect(2);
    assert!(
        refused.stderr.contains("there is no PC/SC daemon"),
        "{refused}"
    );
    assert!(
        refused.stderr.contains("systemctl start pcscd.socket"),
        "{refused}"
    );
}

#[test]
fn a_card_that_another_program_keeps_is_named() {
    let test = "a_card_that_another_program_keeps_is_named";
    let Some(case) = Case::new(test, &Model::new(2006).key(1, NEVER, NEVER)) else {
        return;
    };
    {
        let _other = case.reader.hold("exclusive");
        let refused = run(&mut case.decrypt()).expect(2);
        assert!(
            refused
                .stderr
                .contains("another program keeps it for itself"),
            "{refused}"
        );
        assert!(
            refused.stderr.contains("gpgconf --kill scdaemon"),
            "{refused}"
        );
        let refused = run(&mut case.reader.ctl(["yubikey", "list"])).expect(2);
        assert!(
            refused
                .stderr
                .contains("another program keeps it for itself"),
            "{refused}"
        );
    }
    run(&mut case.decrypt()).expect(0);
}

/// What the card has been told stays with it: our end resets nothing.
#[test]
fn the_card_keeps_its_state_for_other_programs() {
    let test = "the_card_keeps_its_state_for_other_programs";
    let Some(case) = Case::new(test, &Model::new(2007).key(1, ONCE, NEVER)) else {
        return;
    };
    // Without it the daemon takes the power from a card that nobody uses.
    let _other = case.reader.hold("shared");
    assert_eq!(with_pin(&case.decrypt()), PLAIN);
    let list = run(&mut case.reader.ctl(["yubikey", "list"])).expect(0);
    assert!(list.text().contains("PIN given"), "{list}");
    assert_eq!(run(&mut case.decrypt()).expect(0).text(), PLAIN);
    assert_eq!(
        (case.card().count("verify"), case.card().count("ecdh")),
        (1, 2)
    );
}

#[test]
fn a_key_that_is_not_the_one_that_was_meant_is_not_used() {
    let test = "a_key_that_is_not_the_one_that_was_meant_is_not_used";
    let Some(case) = Case::new(
        test,
        &Model::new(2008).key(1, NEVER, NEVER).key(2, NEVER, NEVER),
    ) else {
        return;
    };
    let tag = |slot| case.card().tag(slot);
    let cases = [
        (2, tag(1), "is another one than the identity names"),
        (3, tag(1), "there is no key in the slot"),
    ];
    for (slot, tag, says) in cases {
        let identity = crate::card::identity(2008, slot, tag);
        let recipient = case.card().recipient(1);
        let text = format!("# Recipient: {recipient}\n{identity}\n");
        let path = case.dir.write("other.txt", text);
        let refused = run(&mut decrypt(&case.reader, &case.file, &[&path])).expect(2);
        assert!(refused.stderr.contains(says), "{refused}");
    }
    assert_eq!(case.card().count("ecdh"), 0);
    // A slot that no such card has.
    let identity = crate::card::identity(2008, 90, tag(1));
    let path = case.dir.write("other.txt", format!("{identity}\n"));
    let refused = run(&mut decrypt(&case.reader, &case.file, &[&path])).expect(2);
    assert!(
        refused
            .stderr
            .contains("the identity of a YubiKey is damaged"),
        "{refused}"
    );
}

/// Older cards do not describe their keys; the certificate does.
#[test]
fn an_older_card_is_known_by_its_certificates() {
    let test = "an_older_card_is_known_by_its_certificates";
    let model = Model::new(2009)
        .version([5, 1, 2])
        .key(1, NEVER, NEVER)
        .key(2, NEVER, NEVER)
        .without_certificate()
        .key(3, NEVER, NEVER);
    let Some(case) = Case::new(test, &model) else {
        return;
    };
    // A certificate of another kind, and an object that is none.
    case.card()
        .tell(&json!({ "object": { "id": 0x5f_c10f, "content": [0, 1, 2] } }));
    run(&mut case.decrypt()).expect(0);
    let list = run(&mut case.reader.ctl(["yubikey", "list", "--json"]))
        .expect(0)
        .json();
    let keys = list[0]["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1, "{list}");
    assert_eq!(keys[0]["recipient"], case.card().recipient(1));
    assert_eq!(keys[0]["touch_policy"], "never");
}

#[test]
fn an_interrupted_wait_for_a_touch_lets_go_of_the_card() {
    let test = "an_interrupted_wait_for_a_touch_lets_go_of_the_card";
    let Some(case) = Case::new(test, &Model::new(2010).key(1, NEVER, TOUCH_ALWAYS)) else {
        return;
    };
    let key = AgeKey::generate(&case.dir, "unused");
    assert!(key.file.exists());
    case.card().tell(&json!({ "touch-time": 3000 }));
    let done = Terminal::run(&case.decrypt(), |person| {
        person.expect("touch YubiKey 2010 now");
        person.enter("\u{3}");
    });
    assert_eq!(done.ran.code(), 130, "{}", done.ran);
    case.card().tell(&json!({ "touch-time": 1 }));
    run(&mut case.decrypt()).expect(0);
}
