//! Runs over many files: how often a PIN, a touch and a card are needed, and which card is used.

use super::*;
use crate::support::{AgeKey, ctl};

/// A repository whose files a card opens, and a host that is to be added to all of them.
struct Repository {
    dir: Dir,
    host: AgeKey,
    recipients: Vec<String>,
}

impl Repository {
    fn new(files: usize, recipients: &[String]) -> Self {
        let dir = Dir::new();
        let host = AgeKey::generate(&dir, "host");
        let shown: Vec<&str> = recipients.iter().map(String::as_str).collect();
        for number in 0..files {
            encrypted(&dir, &format!("repo/{number}.yaml"), &shown);
        }
        let this = Self {
            dir,
            host,
            recipients: recipients.to_vec(),
        };
        this.rules(true);
        this
    }

    /// Rules with the recipients of the files, and the host too.
    fn rules(&self, with_host: bool) {
        let mut all = self.recipients.clone();
        if with_host {
            all.push(self.host.recipient.clone());
        }
        let rules = format!("creation_rules:\n  - age: {}\n", all.join(","));
        self.dir.write("repo/.sops.yaml", rules);
    }

    fn rekey(&self, reader: &Reader, identities: &[&Path]) -> Command {
        let repository = self.dir.join("repo");
        let mut args: Vec<&OsStr> = vec!["-C".as_ref(), repository.as_ref(), "rekey".as_ref()];
        args.push("--yes".as_ref());
        for identity in identities {
            args.extend::<[&OsStr; 2]>(["-i".as_ref(), identity.as_ref()]);
        }
        let mut command = reader.ctl(args);
        command.env("XDG_STATE_HOME", self.dir.join("state"));
        command
    }

    fn contents(&self, files: usize) -> Vec<String> {
        (0..files)
            .map(|number| self.dir.read(format!("repo/{number}.yaml")))
            .collect()
    }

    #[track_caller]
    fn assert_the_host_opens(&self, files: usize) {
        for number in 0..files {
            let file = self.dir.join(format!("repo/{number}.yaml"));
            let mut command = ctl(["decrypt", "-i"]);
            command.arg(&self.host.file).arg(&file);
            assert_eq!(run(&mut command).expect(0).text(), PLAIN);
        }
    }
}

#[test]
fn one_pin_opens_a_whole_repository() {
    let test = "one_pin_opens_a_whole_repository";
    for (policy, verified) in [(ONCE, 1), (ALWAYS, 12)] {
        let Some(reader) = Reader::with(test, &[Model::new(1001).key(1, policy, NEVER)]) else {
            return;
        };
        let card = reader.card(0);
        let repository = Repository::new(12, &[card.recipient(1)]);
        let identity = card.identity_file(&repository.dir, 1);
        with_pin(&repository.rekey(&reader, &[&identity]));
        repository.assert_the_host_opens(12);
        assert_eq!(card.count("verify"), verified);
        assert_eq!(card.count("ecdh"), 12);
        assert_eq!(card.count("refused"), 0);
        assert_eq!(card.tries(), 3);
    }
}

#[test]
fn touches_are_counted_beforehand_and_asked_for_by_file() {
    let test = "touches_are_counted_beforehand_and_asked_for_by_file";
    let Some(reader) = Reader::with(
        test,
        &[Model::new(1002)
            .key(1, NEVER, TOUCH_ALWAYS)
            .key(2, NEVER, TOUCH_CACHED)],
    ) else {
        return;
    };
    let card = reader.card(0);
    let repository = Repository::new(3, &[card.recipient(1)]);
    let identity = card.identity_file(&repository.dir, 1);
    let done = Terminal::run(&repository.rekey(&reader, &[&identity]), |person| {
        person.expect("3 touches needed on YubiKey 1002");
        for number in 0..3 {
            person.expect(&format!("touch YubiKey 1002 now for {number}.yaml"));
        }
    });
    assert_eq!(done.ran.code(), 0, "{}", done.ran);
    repository.assert_the_host_opens(3);
    assert_eq!(card.count("touch"), 3);

    // It forgets that it was touched.
    reader.power_down(card);
    let repository = Repository::new(3, &[card.recipient(2)]);
    let identity = card.identity_file(&repository.dir, 2);
    let done = Terminal::run(&repository.rekey(&reader, &[&identity]), |person| {
        person.expect("a touch needed on YubiKey 1002, and one more every 15 seconds");
    });
    assert_eq!(done.ran.code(), 0, "{}", done.ran);
    assert_eq!(card.count("touch"), 4);
    assert_eq!(card.count("ecdh"), 6);
}

/// Two of three groups are enough; the one that a key on disk opens is one of them.
#[test]
fn a_quorum_takes_the_cheapest_groups() {
    let test = "a_quorum_takes_the_cheapest_groups";
    let models = [
        Model::new(1014).key(1, NEVER, TOUCH_ALWAYS),
        Model::new(1015).key(1, NEVER, NEVER),
    ];
    let (Some(sops), Some(reader)) = (Sops::find("3.13.3"), Reader::with(test, &models)) else {
        return;
    };
    let Some(plugin) = plugin() else { return };
    let [slow, quick] = [reader.card(0), reader.card(1)];
    let repository = Repository::new(0, &[]);
    let groups = |others: &str| {
        format!(
            "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [{}]\n      - age: [{}]\n{others}",
            slow.recipient(1),
            quick.recipient(1)
        )
    };
    let key = AgeKey::generate(&repository.dir, "third");
    let third = format!("      - age: [{}]\n", key.recipient);
    repository.dir.write("repo/.sops.yaml", groups(&third));
    let file = repository.dir.write("repo/0.yaml", PLAIN);
    let mut command = sops.command(["encrypt", "-i"]);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", plugin.parent().unwrap().display());
    run(command
        .arg(&file)
        .env("PATH", path)
        .current_dir(repository.dir.join("repo")))
    .expect(0);
    let identities = [slow, quick].map(|card| card.identity_file(&repository.dir, 1));
    let mut identities: Vec<&Path> = identities.iter().map(PathBuf::as_path).collect();
    let shown = run(&mut decrypt(&reader, &file, &identities)).expect(0);
    assert_eq!(shown.text(), PLAIN);
    assert_eq!((slow.count("ecdh"), quick.count("ecdh")), (1, 1));
    identities.push(&key.file);
    let shown = run(&mut decrypt(&reader, &file, &identities)).expect(0);
    assert_eq!(shown.text(), PLAIN);
    assert_eq!((slow.count("ecdh"), quick.count("ecdh")), (1, 2));
    // Told beforehand: both cards are needed, and one of them wants a touch.
    identities.pop();
    let host = format!("{}, {}", key.recipient, repository.host.recipient);
    repository.dir.write(
        "repo/.sops.yaml",
        groups(&format!("      - age: [{host}]\n")),
    );
    let done = Terminal::run(&repository.rekey(&reader, &identities), |person| {
        person.expect("1 touch needed on YubiKey 1014");
        person.expect("touch YubiKey 1014 now for 0.yaml");
    });
    assert_eq!(done.ran.code(), 0, "{}", done.ran);
    assert_eq!((slow.count("touch"), quick.count("touch")), (2, 0));
}

#[test]
fn a_card_is_left_alone_when_a_key_on_disk_opens_the_file() {
    let test = "a_card_is_left_alone_when_a_key_on_disk_opens_the_file";
    let Some(reader) = Reader::with(test, &[Model::new(1003).key(1, ONCE, TOUCH_ALWAYS)]) else {
        return;
    };
    let card = reader.card(0);
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let file = encrypted(&dir, "a.yaml", &[&card.recipient(1), &key.recipient]);
    let identity = card.identity_file(&dir, 1);
    let shown = run(&mut decrypt(&reader, &file, &[&identity, &key.file])).expect(0);
    assert_eq!(shown.text(), PLAIN);
    for what in ["verify", "ecdh", "touch", "refused"] {
        assert_eq!(card.count(what), 0, "{what}");
    }
}

#[test]
fn the_card_that_needs_no_touch_is_used_first() {
    let test = "the_card_that_needs_no_touch_is_used_first";
    let models = [
        Model::new(1004).key(1, NEVER, TOUCH_ALWAYS),
        Model::new(1005).key(1, NEVER, NEVER),
    ];
    let Some(reader) = Reader::with(test, &models) else {
        return;
    };
    let [slow, quick] = [reader.card(0), reader.card(1)];
    let dir = Dir::new();
    let file = encrypted(&dir, "a.yaml", &[&slow.recipient(1), &quick.recipient(1)]);
    let identities = [slow, quick].map(|card| card.identity_file(&dir, 1));
    let identities: Vec<&Path> = identities.iter().map(PathBuf::as_path).collect();
    let shown = run(&mut decrypt(&reader, &file, &identities)).expect(0);
    assert_eq!(shown.text(), PLAIN);
    assert_eq!((slow.count("ecdh"), quick.count("ecdh")), (0, 1));
}

/// Two cards and three hosts, as most people have it; the second card lies in a safe.
#[test]
fn a_card_that_is_not_there_asks_for_nothing() {
    let test = "a_card_that_is_not_there_asks_for_nothing";
    let models = [
        Model::new(1006).key(1, ONCE, NEVER),
        Model::new(1007).key(1, ONCE, NEVER),
    ];
    let Some(reader) = Reader::with(test, &models) else {
        return;
    };
    let [absent, present] = [reader.card(0), reader.card(1)];
    absent.tell(&serde_json::json!({ "inserted": false }));
    reader.wait_for(1);
    let keys = Dir::new();
    let hosts = ["a", "b", "c"].map(|name| AgeKey::generate(&keys, name).recipient);
    let mut recipients = vec![absent.recipient(1), present.recipient(1)];
    recipients.extend(hosts);
    let repository = Repository::new(4, &recipients);
    let identities = [absent, present].map(|card| card.identity_file(&repository.dir, 1));
    let identities: Vec<&Path> = identities.iter().map(PathBuf::as_path).collect();
    let done = Terminal::run(&repository.rekey(&reader, &identities), |person| {
        person.expect("Enter PIN for YubiKey 1007:");
        person.enter(&format!("{PIN}\r"));
    });
    assert_eq!(done.ran.code(), 0, "{}", done.ran);
    assert_eq!(done.seen.matches("PIN").count(), 1, "{}", done.seen);
    assert!(!done.seen.contains("1006"), "{}", done.seen);
    repository.assert_the_host_opens(4);
    assert_eq!((present.count("verify"), present.count("ecdh")), (1, 4));
}

#[test]
fn a_card_is_named_on_the_command_line() {
    let test = "a_card_is_named_on_the_command_line";
    let models = [
        Model::new(1008).key(1, NEVER, NEVER),
        Model::new(1009).key(4, NEVER, NEVER).key(7, NEVER, NEVER),
    ];
    let Some(reader) = Reader::with(test, &models) else {
        return;
    };
    let [first, second] = [reader.card(0), reader.card(1)];
    let dir = Dir::new();
    let both = encrypted(
        &dir,
        "both.yaml",
        &[&first.recipient(1), &second.recipient(7)],
    );
    let other = encrypted(&dir, "other.yaml", &[&first.recipient(1)]);
    let decrypt = |file: &Path, card: &[&str]| {
        let mut args: Vec<&OsStr> = vec!["decrypt".as_ref(), file.as_ref(), "--yubikey".as_ref()];
        args.extend(card.iter().map(OsStr::new));
        run(&mut reader.ctl(args))
    };
    assert_eq!(decrypt(&both, &["1009"]).expect(0).text(), PLAIN);
    assert_eq!((first.count("ecdh"), second.count("ecdh")), (0, 1));
    let refused = decrypt(&other, &["1009"]).expect(2);
    assert!(
        refused.stderr.contains("no identity opens the file"),
        "{refused}"
    );
    assert_eq!(decrypt(&other, &[]).expect(0).text(), PLAIN);
    let refused = decrypt(&other, &["77"]).expect(2);
    assert!(
        refused.stderr.contains("YubiKey 77 is not plugged in"),
        "{refused}"
    );
    let shown = run(&mut reader.ctl(["identity", "show", "--json", "--yubikey", "1009"])).expect(0);
    let shown = shown.json();
    assert_eq!(shown["identities"][1]["recipients"][0], second.recipient(7));
    assert_eq!(shown["identities"][0]["kind"], "yubikey");
}

/// Does my backup key work for everything?
#[test]
fn a_card_tells_which_files_it_opens_without_its_pin() {
    let test = "a_card_tells_which_files_it_opens_without_its_pin";
    let Some(reader) = Reader::with(test, &[Model::new(1020).key(1, ONCE, NEVER)]) else {
        return;
    };
    let card = reader.card(0);
    let repository = Repository::new(2, &[card.recipient(1)]);
    let root = repository.dir.join("repo");
    let mut args: Vec<&OsStr> = vec!["-C".as_ref(), root.as_ref()];
    args.extend(["identity", "check", "--yubikey", "1020"].map(OsStr::new));
    let all = run(&mut reader.ctl(&args)).expect(0);
    assert!(all.text().contains("all of 2 files open"), "{all}");
    encrypted(
        &repository.dir,
        "repo/2.yaml",
        &[&repository.host.recipient],
    );
    let some = run(&mut reader.ctl(&args)).expect(1);
    assert!(
        some.text().contains("1 of 3 files do not open\n  2.yaml"),
        "{some}"
    );
    assert_eq!((card.count("verify"), card.count("ecdh")), (0, 0));
    args.push("--open".as_ref());
    let tried = Terminal::run(&reader.ctl(&args), |person| {
        person.expect("PIN");
        person.enter(&format!("{PIN}\r"));
    });
    assert!(
        tried.ran.expect(1).text().contains("1 of 3 files"),
        "{}",
        tried.seen
    );
    assert_eq!((card.count("verify"), card.count("ecdh")), (1, 2));
}

#[test]
fn a_card_can_be_taken_out_and_put_back() {
    let test = "a_card_can_be_taken_out_and_put_back";
    let Some(reader) = Reader::with(test, &[Model::new(1010).key(1, NEVER, NEVER)]) else {
        return;
    };
    let card = reader.card(0);
    let dir = Dir::new();
    let file = encrypted(&dir, "a.yaml", &[&card.recipient(1)]);
    let identity = card.identity_file(&dir, 1);
    card.tell(&serde_json::json!({ "inserted": false }));
    reader.wait_for(0);
    let refused = run(&mut decrypt(&reader, &file, &[&identity])).expect(2);
    assert!(
        refused
            .stderr
            .contains("YubiKey 1010 is locked: it is not plugged in"),
        "{refused}"
    );
    card.tell(&serde_json::json!({ "inserted": true }));
    reader.wait_for(1);
    run(&mut decrypt(&reader, &file, &[&identity])).expect(0);
}

/// Whatever ends a run in its middle, all files are as they were.
#[test]
fn a_run_that_fails_changes_nothing_and_risks_no_second_pin() {
    let test = "a_run_that_fails_changes_nothing_and_risks_no_second_pin";
    let model = Model::new(1011)
        .key(1, ONCE, TOUCH_ALWAYS)
        .key(2, NEVER, TOUCH_ALWAYS);
    let Some(reader) = Reader::with(test, &[model]) else {
        return;
    };
    let card = reader.card(0);
    let wrong = Repository::new(5, &[card.recipient(1)]);
    let before = wrong.contents(5);
    let identity = card.identity_file(&wrong.dir, 1);
    let done = Terminal::run(&wrong.rekey(&reader, &[&identity]), |person| {
        person.expect("Enter PIN");
        person.enter("111222\r");
    });
    assert_eq!(done.ran.code(), 2, "{}", done.ran);
    assert_eq!(done.seen.matches("Enter PIN").count(), 1, "{}", done.seen);
    assert_eq!((card.count("verify"), card.tries()), (1, 2));
    assert_eq!(wrong.contents(5), before);

    let pulled = Repository::new(5, &[card.recipient(2)]);
    let before = pulled.contents(5);
    let identity = card.identity_file(&pulled.dir, 2);
    card.tell(&serde_json::json!({ "touch-time": 500 }));
    let done = Terminal::run(&pulled.rekey(&reader, &[&identity]), |person| {
        person.expect("for 2.yaml");
        card.tell(&serde_json::json!({ "inserted": false }));
    });
    assert_eq!(done.ran.code(), 2, "{}", done.ran);
    assert!(
        done.ran.stderr.contains("YubiKey 1011 is locked"),
        "{}",
        done.ran
    );
    assert_eq!(pulled.contents(5), before);
    card.tell(&serde_json::json!({ "inserted": true, "touch-time": 1 }));
    reader.wait_for(1);
    run(&mut pulled.rekey(&reader, &[&identity])).expect(0);
    pulled.assert_the_host_opens(5);
}

/// As when another program has reset it between two files.
#[test]
fn a_card_that_forgot_its_pin_is_given_it_again() {
    let test = "a_card_that_forgot_its_pin_is_given_it_again";
    let Some(reader) = Reader::with(test, &[Model::new(1012).key(1, ONCE, TOUCH_ALWAYS)]) else {
        return;
    };
    let card = reader.card(0);
    let repository = Repository::new(3, &[card.recipient(1)]);
    let identity = card.identity_file(&repository.dir, 1);
    card.tell(&serde_json::json!({ "touch-time": 1000 }));
    let done = Terminal::run(&repository.rekey(&reader, &[&identity]), |person| {
        person.expect("Enter PIN");
        person.enter(&format!("{PIN}\r"));
        // It listens again when the touch has come.
        person.expect("for 0.yaml");
        card.tell(&serde_json::json!({ "forget": true }));
        person.expect("Enter PIN");
        person.enter(&format!("{PIN}\r"));
    });
    assert_eq!(done.ran.code(), 0, "{}", done.ran);
    repository.assert_the_host_opens(3);
    let counts = ["verify", "ecdh", "refused"].map(|what| card.count(what));
    assert_eq!(counts, [2, 3, 1]);
}

#[test]
fn several_commands_use_one_card_at_the_same_time() {
    let test = "several_commands_use_one_card_at_the_same_time";
    let Some(reader) = Reader::with(test, &[Model::new(1013).key(1, NEVER, NEVER)]) else {
        return;
    };
    let card = reader.card(0);
    let dir = Dir::new();
    let file = encrypted(&dir, "a.yaml", &[&card.recipient(1)]);
    let identity = card.identity_file(&dir, 1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let shown = run(&mut decrypt(&reader, &file, &[&identity])).expect(0);
                assert_eq!(shown.text(), PLAIN);
            });
        }
    });
    assert_eq!(card.count("ecdh"), 4);
}
