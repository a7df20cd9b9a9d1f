//! The daemon and files that do not obey the rules: it reports them, holds a plan for a person, or changes them, within
//! what is pinned.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    machine::Machine,
    support::{AgeKey, Ran, Sops, clean, run},
};

/// A machine whose rules name one more recipient than its files have.
struct Fleet {
    machine: Machine,
    /// The recipient that is to come.
    guest: AgeKey,
}

impl Fleet {
    fn new(test: &str) -> Option<Self> {
        let machine = Machine::new(test)?;
        let guest = AgeKey::generate(&machine.dir, "guest");
        machine.put("db.yaml", "password: one\nport: 5432\n");
        Some(Self { machine, guest })
    }

    /// Configures `rekey: {…}`, and delivers what the tests look at.
    fn configure(&self, rekey: &str) {
        self.machine.configure(&format!(
            "secrets:\n  db.yaml/password: {{ file: db.yaml, key: password }}\nrekey: {{ {rekey} }}\n"
        ));
    }

    /// Writes the file of pins: recipients, where they may appear, whether they are required.
    fn pin(&self, pins: &[(&str, &str, bool)]) -> String {
        let mut text = String::new();
        for (recipient, below, required) in pins {
            text.push_str(&format!(
                "- {{ recipient: '{recipient}', below: '{below}', required: {required} }}\n"
            ));
        }
        let file = self.machine.dir.join("etc/pinned.yaml");
        self.machine.replace("etc/pinned.yaml", text);
        file.display().to_string()
    }

    fn host(&self) -> &str {
        &self.machine.key.recipient
    }

    fn start(&mut self) {
        let state = self.machine.dir.join("state");
        self.machine.start_with(|command| {
            command.env("STATE_DIRECTORY", state);
        });
    }

    /// Has the rules name both recipients.
    fn invite(&self) {
        self.machine
            .rules(&[("", &[self.host(), &self.guest.recipient])]);
    }

    fn rekey(&self) -> Value {
        self.machine.json(&["status"])["rekey"].take()
    }

    fn pending(&self) -> Value {
        self.machine.json(&["pending"])
    }

    fn text(&self) -> String {
        self.machine.dir.read("repo/db.yaml")
    }

    /// What sops makes of the file with the guest's key.
    fn opened_by_guest(&self) -> Ran {
        let sops = Sops::find("3.13.3").unwrap();
        sops.decrypt(&self.machine.dir.join("repo/db.yaml"), &self.guest, &[])
    }

    #[track_caller]
    fn expect(&self, what: &str, mut condition: impl FnMut(&Value) -> bool) {
        self.machine.forget_notices();
        self.machine.eventually(what, || condition(&self.rekey()));
    }

    /// Waits until a plan is held, and gives it.
    #[track_caller]
    fn expect_held(&self) -> Value {
        self.expect("a plan is held", |rekey| rekey["pending"].is_string());
        self.pending()
    }

    #[track_caller]
    fn expect_changed(&self) {
        self.machine.eventually("the file is re-keyed", || {
            self.text().contains(&self.guest.recipient)
        });
        let plain = self.opened_by_guest().expect(0);
        assert_eq!(plain.text(), "password: one\nport: 5432\n");
    }
}

#[test]
fn off_says_how_many_files_do_not_obey() {
    let Some(mut fleet) = Fleet::new("off_says_how_many_files_do_not_obey") else {
        return;
    };
    fleet.configure("mode: off");
    fleet.start();
    fleet.expect("nothing is to be done", |rekey| {
        rekey["mode"] == "off" && rekey["drift"] == 0
    });
    let before = fleet.text();
    fleet.invite();
    fleet.expect("one file does not obey", |rekey| rekey["drift"] == 1);
    assert_eq!(fleet.text(), before);
    let shown = fleet.machine.ctl(&["status"]).expect(0);
    assert!(
        shown
            .text()
            .contains("rekey       off; 1 file not as the rules say"),
        "{shown}"
    );
    assert!(fleet.pending()["id"].is_null());
    let ran = fleet.machine.ctl(&["rekey", "--daemon", "--yes"]).expect(2);
    assert!(ran.stderr.contains("rekey.mode is off"), "{ran}");
    let ran = fleet
        .machine
        .ctl(&["approve", "0123456789abcdef"])
        .expect(2);
    assert!(ran.stderr.contains("rekey.mode is off"), "{ran}");
    // Another version of the file that obeys arrives.
    let both = [fleet.host().to_owned(), fleet.guest.recipient.clone()];
    fleet
        .machine
        .put_for("db.yaml", "password: two\n", &[&both[0], &both[1]]);
    fleet.expect("it obeys", |rekey| rekey["drift"] == 0);
}

#[test]
fn a_person_approves_the_plan_that_was_shown() {
    let Some(mut fleet) = Fleet::new("a_person_approves_the_plan_that_was_shown") else {
        return;
    };
    let mark = fleet.machine.dir.join("mark");
    fleet.configure(&format!(
        "mode: approve, on-rekey: [/bin/sh, -c, 'pwd > {}; env >> {0}']",
        mark.display()
    ));
    fleet.start();
    let before = fleet.text();
    fleet.invite();
    let held = fleet.expect_held();
    let first = held["id"].as_str().unwrap().to_owned();
    assert_eq!(held["files"][0]["path"], "db.yaml");
    assert_eq!(held["files"][0]["action"], "rewrap");
    assert_eq!(held["files"][0]["add"][0], fleet.guest.recipient.as_str());
    let shown = fleet.machine.ctl(&["pending"]).expect(1);
    assert!(
        shown
            .text()
            .contains(&format!("secretsctl approve {first}")),
        "{shown}"
    );
    let asked = fleet
        .machine
        .ctl(&["rekey", "--daemon", "--dry-run"])
        .expect(1);
    assert_eq!(asked.text(), shown.text());
    assert_eq!(fleet.text(), before);

    // Another plan has another name, and the old one is void.
    let both = [fleet.host().to_owned(), fleet.guest.recipient.clone()];
    fleet.machine.rules(&[("db", &[&both[0], &both[1]])]);
    fleet.expect("another plan is held", |rekey| {
        rekey["pending"].as_str().is_some_and(|id| id != first)
    });
    let ran = fleet.machine.ctl(&["approve", &first]).expect(2);
    assert!(ran.stderr.contains("no such plan"), "{ran}");
    assert_eq!(fleet.text(), before);

    let id = fleet.pending()["id"].as_str().unwrap().to_owned();
    let done = fleet.machine.json(&["approve", &id]);
    assert_eq!(done["changed"], 1, "{done}");
    assert_eq!(done["files"][0]["action"], "rewrap");
    fleet.expect_changed();
    assert!(fleet.pending()["id"].is_null());
    let status = fleet.rekey();
    assert_eq!(
        (&status["drift"], &status["last"]["files"]),
        (&0.into(), &1.into())
    );
    let real = fleet.machine.dir.join("repo").canonicalize().unwrap();
    fleet
        .machine
        .eventually("on-rekey ran in the repository", || {
            let text = fs::read_to_string(&mark).unwrap_or_default();
            text.starts_with(real.to_str().unwrap()) && !text.contains("TEST_MARK")
        });
    // What was done is done: nothing is left to approve, by either way.
    fleet.machine.ctl(&["approve", &id]).expect(2);
    let ran = fleet.machine.ctl(&["rekey", "--daemon", "--yes"]).expect(0);
    assert!(ran.text().contains("0 files changed"), "{ran}");

    // Who leaves could read what was there, and that is said.
    fleet.machine.rules(&[("", &[&both[0]])]);
    fleet.expect_held();
    let ran = fleet
        .machine
        .ctl(&["rekey", "--daemon", "--yes", "--json"])
        .expect(0);
    let done = ran.json();
    assert_eq!(done["files"][0]["action"], "rotate");
    assert_eq!(done["exposed"][0]["recipients"][0], both[1].as_str());
    fleet.opened_by_guest().expect(128);
    assert!(
        fleet
            .machine
            .dir
            .read("repo/.sops-exposed.yaml")
            .contains("password")
    );
    fleet.machine.expect_delivered("db.yaml/password", "one");
}

#[test]
fn what_is_pinned_happens_by_itself() {
    let Some(mut fleet) = Fleet::new("what_is_pinned_happens_by_itself") else {
        return;
    };
    let pinned = fleet.pin(&[
        (fleet.host(), ".", true),
        (&fleet.guest.recipient, "db.yaml", false),
    ]);
    fleet.configure(&format!("mode: auto, pinned-recipients: {pinned}"));
    fleet.start();
    fs::create_dir_all(fleet.machine.dir.join("repo/.git")).unwrap();
    fleet.machine.dir.write("repo/.git/index.lock", "");
    let before = fleet.text();
    fleet.invite();
    // Not while git is at work.
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(fleet.text(), before);
    fs::remove_file(fleet.machine.dir.join("repo/.git/index.lock")).unwrap();
    fleet.expect_changed();
    fleet.expect("nothing is to be done", |rekey| {
        rekey["drift"] == 0 && rekey["last"]["files"] == 1 && rekey["failure"].is_null()
    });
    // Who is not required may go by itself, too, and cannot open what was there.
    let host = fleet.host().to_owned();
    fleet.machine.rules(&[("", &[&host])]);
    fleet.machine.eventually("the guest has left", || {
        !fleet.text().contains(&fleet.guest.recipient)
    });
    fleet.opened_by_guest().expect(128);
}

#[test]
fn what_is_not_pinned_waits() {
    let Some(mut fleet) = Fleet::new("what_is_not_pinned_waits") else {
        return;
    };
    let machine = &fleet.machine;
    let (host, guest) = (machine.key.recipient.clone(), fleet.guest.recipient.clone());
    let third = AgeKey::generate(&machine.dir, "third").recipient;
    machine.put_for("a/x.yaml", "x: 1\n", &[&host, &third]);
    let groups = |groups: &[&str], threshold: usize| {
        let groups = groups.iter().map(|one| format!("{{age: ['{one}']}}"));
        let groups = groups.collect::<Vec<_>>().join(", ");
        format!("key_groups: [{groups}], shamir_threshold: {threshold}")
    };
    let rules = |a: &str, rest: &str| {
        format!("creation_rules:\n  - {{path_regex: ^a/, {a}}}\n  - {{path_regex: .*, {rest}}}\n")
    };
    let as_it_is = rules(&format!("age: '{host},{third}'"), &format!("age: '{host}'"));
    machine.replace("repo/.sops.yaml", &as_it_is);
    let pinned = fleet.pin(&[
        (&host, ".", true),
        (&third, "a", true),
        (&guest, "a", false),
    ]);
    fleet.configure(&format!("mode: auto, pinned-recipients: {pinned}"));
    fleet.start();
    let files =
        || ["db.yaml", "a/x.yaml"].map(|name| fleet.machine.dir.read(format!("repo/{name}")));
    let before = files();
    let pinned_to_a = format!("age: '{host},{third}'");
    for (what, text, expected) in [
        (
            "a recipient where it is not pinned",
            rules(&pinned_to_a, &format!("age: '{host},{guest}'")),
            ("db.yaml", "unpinned-recipient", Some(&guest)),
        ),
        (
            "the loss of a required one",
            rules(&format!("age: '{host}'"), &format!("age: '{host}'")),
            ("a/x.yaml", "required-recipient-lost", Some(&third)),
        ),
        (
            "another selection",
            rules(
                &format!("{pinned_to_a}, encrypted_regex: ^x$"),
                &format!("age: '{host}'"),
            ),
            ("a/x.yaml", "selection-changed", None),
        ),
    ] {
        fleet.machine.replace("repo/.sops.yaml", &as_it_is);
        fleet.expect("all obey", |rekey| {
            rekey["drift"] == 0 && rekey["pending"].is_null()
        });
        fleet.machine.replace("repo/.sops.yaml", &text);
        let held = fleet.expect_held();
        let (path, code, recipient) = expected;
        let doubts = held["doubts"].as_array().unwrap();
        assert_eq!(doubts.len(), 1, "{what}: {held}");
        assert_eq!(
            (&doubts[0]["path"], &doubts[0]["code"]),
            (&path.into(), &code.into()),
            "{what}"
        );
        assert_eq!(
            doubts[0]["recipient"].as_str(),
            recipient.map(String::as_str),
            "{what}"
        );
        assert_eq!(files(), before, "{what}");
    }

    // Becoming a quorum of two happens by itself, being one no longer does not.
    let obey = || {
        fleet.expect("all obey", |rekey| {
            rekey["drift"] == 0 && rekey["pending"].is_null()
        });
    };
    fleet.machine.replace("repo/.sops.yaml", &as_it_is);
    obey();
    // Both are in both groups: this host could not open what it writes, and the other one is required.
    let both = format!("{host}','{third}");
    let two = rules(&groups(&[&both, &both], 2), &format!("age: '{host}'"));
    fleet.machine.replace("repo/.sops.yaml", &two);
    fleet.machine.eventually("two are needed", || {
        files()[1].contains("shamir_threshold: 2")
    });
    obey();
    let with_quorum = files();
    fleet.machine.replace("repo/.sops.yaml", &as_it_is);
    let held = fleet.expect_held();
    assert_eq!(held["doubts"][0]["code"], "lower-threshold", "{held}");
    assert_eq!(files(), with_quorum);
    let id = held["id"].as_str().unwrap();
    fleet.machine.ctl(&["approve", id]).expect(0);
    let before = files();

    // Rules that others can write say nothing that happens by itself.
    fleet.machine.replace("repo/.sops.yaml", &as_it_is);
    obey();
    let repository = fleet.machine.dir.join("repo");
    fs::set_permissions(&repository, fs::Permissions::from_mode(0o777)).unwrap();
    let pinned_guest = rules(
        &format!("age: '{host},{third},{guest}'"),
        &format!("age: '{host}'"),
    );
    fleet.machine.replace("repo/.sops.yaml", &pinned_guest);
    let held = fleet.expect_held();
    assert_eq!(held["doubts"][0]["code"], "untrusted-rules", "{held}");
    assert_eq!(files(), before);
    let shown = fleet.machine.ctl(&["pending"]).expect(1);
    assert!(shown.text().contains("others than root"), "{shown}");
    fs::set_permissions(&repository, fs::Permissions::from_mode(0o755)).unwrap();
    fleet.machine.ctl(&["reload"]).expect(0);
    fleet.machine.eventually("the pinned guest is let in", || {
        fleet.machine.dir.read("repo/a/x.yaml").contains(&guest)
    });
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let Some(mut fleet) = Fleet::new("what_cannot_be_done_is_said_and_changes_nothing") else {
        return;
    };
    let (host, guest) = (fleet.host().to_owned(), fleet.guest.recipient.clone());
    let third = AgeKey::generate(&fleet.machine.dir, "third").recipient;
    let pinned = fleet.pin(&[
        (&host, ".", false),
        (&guest, ".", false),
        (&third, ".", false),
    ]);
    let both = format!("creation_rules:\n  - age: '{host},{guest}'\n");
    let only = format!("creation_rules:\n  - age: '{host}'\n");
    fleet.configure(&format!(
        "mode: auto, pinned-recipients: {pinned}, required-recipients: ['{host}']"
    ));
    fleet.start();
    let before = fleet.text();
    let failure = |what: &str, text: &str| {
        fleet.expect(what, |rekey| {
            let message = rekey["failure"]["message"].as_str().unwrap_or_default();
            message.contains(text)
        });
        assert_eq!(fleet.text(), before, "{what}");
    };
    fleet.machine.replace(
        "repo/.sops.yaml",
        format!("creation_rules:\n  - age: '{guest}'\n"),
    );
    failure("a required recipient is left out", "which is required");
    let misspelt = format!("creation_rules:\n  - path_regexp: x\n    age: '{host},{guest}'\n");
    fleet.machine.replace("repo/.sops.yaml", misspelt);
    failure("a misspelt key", "may not mean what was meant");
    fleet
        .machine
        .replace("repo/.sops.yaml", "creation_rules: [");
    failure("broken rules", "");
    let shown = fleet.machine.ctl(&["status"]);
    assert!(shown.text().contains("files are not re-keyed"), "{shown}");

    // A large file that sops did not write is nobody's concern.
    let large = fs::File::create(fleet.machine.dir.join("repo/large.bin")).unwrap();
    large.set_len(65 << 20).unwrap();

    // One that only others can open is held, and nothing comes of approving it.
    fleet.machine.put_for("other.yaml", "x: 1\n", &[&third]);
    fleet.machine.replace("repo/.sops.yaml", &both);
    let held = fleet.expect_held();
    assert_eq!(held["doubts"][0]["code"], "unknown-file", "{held}");
    let id = held["id"].as_str().unwrap();
    let ran = fleet.machine.ctl(&["approve", id]).expect(2);
    assert!(
        ran.stderr
            .contains("no file was changed, because one cannot be"),
        "{ran}"
    );
    fs::remove_file(fleet.machine.dir.join("repo/other.yaml")).unwrap();
    fleet.expect_changed();
    // A file with two names stops all.
    fleet.machine.replace("repo/.sops.yaml", &only);
    fleet.expect("the guest has left", |rekey| {
        rekey["drift"] == 0 && !fleet.text().contains(&guest)
    });
    let before = fleet.text();
    fs::hard_link(
        fleet.machine.dir.join("repo/db.yaml"),
        fleet.machine.dir.join("elsewhere.yaml"),
    )
    .unwrap();
    fleet.machine.replace("repo/.sops.yaml", &both);
    fleet.expect("a file with two names", |rekey| {
        let message = rekey["failure"]["message"].as_str().unwrap_or_default();
        message.contains("no file was changed")
    });
    assert_eq!(fleet.text(), before);
    fs::remove_file(fleet.machine.dir.join("elsewhere.yaml")).unwrap();
    fleet.machine.ctl(&["reload"]).expect(0);
    fleet.expect_changed();
    fleet.expect("all is well", |rekey| {
        rekey["failure"].is_null() && rekey["drift"] == 0
    });
    let log = fleet.machine.log();
    assert!(
        log.contains("files do not obey the rules and are not re-keyed"),
        "{log}"
    );
}

#[test]
fn a_re_key_that_was_interrupted_is_finished_by_the_next_start() {
    let test = "a_re_key_that_was_interrupted_is_finished_by_the_next_start";
    let Some(mut fleet) = Fleet::new(test) else {
        return;
    };
    if !cfg!(debug_assertions) {
        return;
    }
    let pinned = fleet.pin(&[
        (fleet.host(), ".", false),
        (&fleet.guest.recipient, ".", false),
    ]);
    fleet.configure(&format!("mode: auto, pinned-recipients: {pinned}"));
    fleet.machine.put("second.yaml", "x: 1\n");
    let before =
        ["db.yaml", "second.yaml"].map(|name| fleet.machine.dir.read(format!("repo/{name}")));
    for fault in ["begun:0", "written:1", "committed:0", "renamed:0"] {
        for (name, text) in ["db.yaml", "second.yaml"].iter().zip(&before) {
            fleet.machine.replace(format!("repo/{name}"), text);
        }
        let host = fleet.host().to_owned();
        fleet.machine.rules(&[("", &[&host])]);
        // What the round before has learned of the files is not what they are now.
        let _ = fs::remove_dir_all(fleet.machine.dir.join("state"));
        let state = fleet.machine.dir.join("state");
        fleet.machine.start_with(|command| {
            command
                .env("STATE_DIRECTORY", state)
                .env("SECRETSD_FAULT", fault);
        });
        fleet.invite();
        assert_eq!(fleet.machine.ended(), -1, "{fault}");
        fleet.start();
        fleet.expect_changed();
        let names = fs::read_dir(fleet.machine.dir.join("repo")).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "{fault}: {names:?}");
        assert_eq!(fleet.machine.stop(), 0);
    }
}

/// What a file says of itself and what it is called prove nothing: only what is known from before may be re-keyed by itself.
#[test]
fn files_that_are_not_what_they_were_wait() {
    let Some(mut fleet) = Fleet::new("files_that_are_not_what_they_were_wait") else {
        return;
    };
    let machine = &fleet.machine;
    let (host, guest) = (machine.key.recipient.clone(), fleet.guest.recipient.clone());
    let rules = format!(
        "creation_rules:\n  - {{path_regex: ^open/, age: '{host},{guest}'}}\n  - {{age: '{host}'}}\n"
    );
    machine.replace("repo/.sops.yaml", &rules);
    machine.put_for("open/a.yaml", "a: old\n", &[&host, &guest]);
    let old = machine.dir.read("repo/open/a.yaml");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    machine.put_for("open/a.yaml", "a: new\n", &[&host, &guest]);
    let pinned = fleet.pin(&[(&host, ".", true), (&guest, "open", false)]);
    fleet.configure(&format!("mode: auto, pinned-recipients: {pinned}"));
    fleet.start();
    let obeys = || {
        fleet.expect("all obey", |rekey| {
            rekey["drift"] == 0 && rekey["pending"].is_null()
        });
    };
    // What is there at the first look counts as known.
    fleet.machine.eventually("the first look is over", || {
        let state = fs::read_dir(fleet.machine.dir.join("state/rekey"));
        state.is_ok_and(|mut names| {
            names.any(|name| {
                name.unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("known-")
            })
        })
    });
    obeys();
    let honest = fleet.machine.dir.read("repo/open/a.yaml");
    let in_place = |name: &str, text: &str, code: &str| {
        fleet.machine.replace(format!("repo/{name}"), text);
        let held = fleet.expect_held();
        let codes = held["doubts"].as_array().unwrap().iter();
        let codes: Vec<_> = codes.map(|doubt| doubt["code"].as_str().unwrap()).collect();
        assert_eq!(codes, [code], "{name}: {held}");
        assert_eq!(fleet.machine.dir.read(format!("repo/{name}")), text);
    };
    // A secret that the guest must not read, under a name that is the guest's to read: copied, and moved.
    let closed = fleet.text();
    in_place("open/b.yaml", &closed, "copied-file");
    fs::remove_file(fleet.machine.dir.join("repo/db.yaml")).unwrap();
    fs::remove_file(fleet.machine.dir.join("repo/open/b.yaml")).unwrap();
    in_place("open/c.yaml", &closed, "copied-file");
    fs::remove_file(fleet.machine.dir.join("repo/open/c.yaml")).unwrap();
    fleet.machine.replace("repo/db.yaml", &closed);
    obeys();
    // A new one: nobody knows where it comes from.
    let new = fleet.machine.encrypted("n.yaml", "n: 1\n", &[&host]);
    let new = String::from_utf8(new).unwrap();
    in_place("open/n.yaml", &new, "unknown-file");
    fs::remove_file(fleet.machine.dir.join("repo/open/n.yaml")).unwrap();
    obeys();
    // A recipient in the metadata that no key was wrapped for, so that the file seems to obey.
    let entry = honest
        .find("        - recipient:")
        .or_else(|| honest.find("        - enc:"))
        .unwrap();
    let forged = honest.replacen(
        &guest,
        "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        1,
    );
    assert!(entry > 0 && forged != honest);
    in_place("open/a.yaml", &forged, "recipients-changed");
    fleet.machine.replace("repo/open/a.yaml", &honest);
    obeys();
    // An old version, which a re-key would make new.
    let old_alone = fleet.machine.dir.write("old.yaml", &old);
    let mut command = Sops::find("3.13.3").unwrap().command([
        "--config",
        "/dev/null",
        "rotate",
        "--rm-age",
        &guest,
        "-i",
    ]);
    command
        .arg(&old_alone)
        .env("SOPS_AGE_KEY_FILE", fleet.machine.dir.join("host.txt"));
    run(&mut command).expect(0);
    in_place(
        "open/a.yaml",
        &fleet.machine.dir.read("old.yaml"),
        "unknown-file",
    );
    fleet.machine.replace("repo/open/a.yaml", &honest);
    obeys();

    // A required recipient that could open the file alone must be able to, whatever else names it.
    let other = AgeKey::generate(&fleet.machine.dir, "other").recipient;
    let quorum = format!(
        "creation_rules:\n  - path_regex: ^open/\n    shamir_threshold: 2\n    key_groups: [{{age: ['{host}', '{other}']}}, {{age: ['{guest}']}}]\n  - {{age: '{host}'}}\n"
    );
    fleet.machine.replace("repo/.sops.yaml", &quorum);
    let held = fleet.expect_held();
    let lost = held["doubts"].as_array().unwrap().iter();
    let lost = lost
        .filter(|doubt| doubt["code"] == "required-recipient-lost")
        .count();
    assert!(lost > 0, "{held}");
    fleet.machine.replace("repo/.sops.yaml", &rules);
    obeys();

    // Other values are nothing strange, and what a person approves is known from then on.
    fleet.machine.put_for("open/d.yaml", "d: 1\n", &[&host]);
    let held = fleet.expect_held();
    let id = held["id"].as_str().unwrap().to_owned();
    // In the meantime another file is put there: that is another plan.
    fleet.machine.replace("repo/open/d.yaml", &closed);
    fleet.expect("another plan is held", |rekey| {
        rekey["pending"].as_str().is_some_and(|other| other != id)
    });
    fleet.machine.ctl(&["approve", &id]).expect(2);
    let second = fleet.pending()["id"].as_str().unwrap().to_owned();
    fleet.machine.put_for("open/d.yaml", "d: 1\n", &[&host]);
    fleet.expect("a third plan is held", |rekey| {
        let third = rekey["pending"].as_str();
        third.is_some_and(|third| third != id && third != second)
    });
    let id = fleet.pending()["id"].as_str().unwrap().to_owned();
    fleet.machine.ctl(&["approve", &id]).expect(0);
    let mut set = clean_ctl(&fleet, &["set", "repo/open/d.yaml", "[\"d\"]", "\"2\""]);
    run(&mut set).expect(0);
    obeys();
    let closed_to_guest = format!("creation_rules:\n  - {{age: '{host}'}}\n");
    fleet.machine.replace("repo/.sops.yaml", closed_to_guest);
    fleet.machine.eventually("the guest has left", || {
        let text = |name: &str| fleet.machine.dir.read(format!("repo/open/{name}"));
        !text("a.yaml").contains(&guest) && !text("d.yaml").contains(&guest)
    });
    // It stays known when the daemon starts again.
    assert_eq!(fleet.machine.stop(), 0);
    fleet.machine.replace("repo/.sops.yaml", &rules);
    fleet.start();
    fleet.machine.eventually("the guest is back", || {
        let text = |name: &str| fleet.machine.dir.read(format!("repo/open/{name}"));
        text("a.yaml").contains(&guest) && text("d.yaml").contains(&guest)
    });
}

fn clean_ctl(fleet: &Fleet, args: &[&str]) -> std::process::Command {
    let mut command = crate::support::ctl(args);
    command
        .current_dir(fleet.machine.dir.path())
        .env("SOPS_AGE_KEY_FILE", fleet.machine.dir.join("host.txt"));
    command
}

#[test]
fn what_others_hold_up_is_said() {
    let Some(mut fleet) = Fleet::new("what_others_hold_up_is_said") else {
        return;
    };
    let pinned = fleet.pin(&[
        (fleet.host(), ".", false),
        (&fleet.guest.recipient, ".", false),
    ]);
    let auto = format!("mode: auto, pinned-recipients: {pinned}");
    fleet.configure(&auto);
    fleet.start();
    let before = fleet.text();
    let mut holder = std::process::Command::new("flock")
        .arg("--no-fork")
        .arg(fleet.machine.dir.join("repo"))
        .args(["sleep", "60"])
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    fleet.invite();
    fleet.expect("the lock is told", |rekey| {
        let message = rekey["failure"]["message"].as_str().unwrap_or_default();
        message.contains("is changing this repository")
    });
    fleet.machine.ctl(&["status"]).expect(1);
    assert_eq!(fleet.text(), before);
    holder.kill().unwrap();
    holder.wait().unwrap();
    // It is tried again by itself.
    fleet.expect_changed();

    // Pins that cannot be read: those in force may not be those that are meant.
    let host = fleet.host().to_owned();
    fleet
        .machine
        .replace("etc/pinned.yaml", "- { recipent: x }\n");
    fleet
        .machine
        .eventually("the configuration is refused", || {
            !fleet.machine.json(&["status"])["configuration"].is_null()
        });
    fleet.machine.rules(&[("", &[&host])]);
    let held = fleet.expect_held();
    assert_eq!(held["doubts"][0]["code"], "configuration-refused", "{held}");
}

#[test]
fn changing_is_not_for_everybody() {
    let Some(mut fleet) = Fleet::new("changing_is_not_for_everybody") else {
        return;
    };
    if !crate::support::is_root() {
        return;
    }
    fleet.machine.configure(&format!(
        "socket: {{ path: {}, readers: nogroup }}\nrekey: {{ mode: approve }}\n",
        fleet.machine.socket().display()
    ));
    fleet.start();
    fleet.invite();
    let id = fleet.expect_held()["id"].as_str().unwrap().to_owned();
    let nobody = |args: &[&str]| {
        let mut command = fleet
            .machine
            .ctl_command(crate::machine::User::Nobody, args);
        run(clean(&mut command))
    };
    nobody(&["pending"]).expect(1);
    for args in [&["approve", &id][..], &["rekey", "--daemon", "--yes"]] {
        let ran = nobody(args).expect(2);
        assert!(ran.stderr.contains("only root"), "{ran}");
    }
    assert!(!fleet.text().contains(&fleet.guest.recipient));
}
