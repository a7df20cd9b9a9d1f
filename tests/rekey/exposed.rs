//! The list of exposed values: what closes an entry, and what does not.

use std::fs;

use serde_json::{Value, json};

use super::{Repository, actions};
use crate::support::{Ran, run};

const LIST: &str = "repo/.sops-exposed.yaml";

impl Repository {
    fn exposed(&self) -> Ran {
        run(&mut self.command("alice", &["--json", "exposed"]))
    }

    /// What is open of the file: for each group of recipients, by their names, the values.
    fn open(&self, path: &str) -> Vec<(String, Vec<String>)> {
        let report = self.exposed().json();
        let texts = |value: &Value| -> Vec<String> {
            let items = value.as_array().unwrap().iter();
            items
                .map(|item| item.as_str().unwrap().to_owned())
                .collect()
        };
        let name = |text: String| {
            let found = self.keys.iter().find(|(_, key)| key.recipient == text);
            found.unwrap().0.to_owned()
        };
        let entries = report["exposed"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["path"] == path)
            .map(|entry| {
                let mut who: Vec<_> = texts(&entry["recipients"]).into_iter().map(name).collect();
                who.sort();
                (who.join(" "), texts(&entry["keys"]))
            })
            .collect()
    }

    fn keys_of(&self, path: &str) -> Vec<String> {
        let open = self.open(path);
        open.into_iter().flat_map(|(_, keys)| keys).collect()
    }

    fn by_sops(&self, args: &[&str]) {
        let mut command = self.sops.command(args);
        let key = &self.keys["alice"].file;
        run(command
            .env("SOPS_AGE_KEY_FILE", key)
            .current_dir(self.root()))
        .expect(0);
    }

    fn ours(&self, args: &[&str]) -> Ran {
        run(&mut self.command("alice", args)).expect(0)
    }

    /// Takes somebody away.
    fn without(recipients: &[&str], left: &[&str]) -> Option<Self> {
        let repository = Self::with(recipients)?;
        repository.rules(left);
        repository.rekey("alice", &["--yes"]).expect(0);
        Some(repository)
    }
}

#[test]
fn what_was_seen_changed_is_not_opened_by_a_foreign_rotation() {
    let Some(repository) = Repository::without(&["alice", "bob", "old"], &["alice", "bob"]) else {
        return;
    };
    let rotate = |name: &str| repository.by_sops(&["rotate", "--in-place", name]);
    // By set, unset and edit of ours.
    repository.ours(&["set", "s/a.yaml", "[\"user\"]", "\"new\""]);
    rotate("s/a.yaml");
    let list = ["[\"list\"][0]", "[\"list\"][1]", "[\"list\"][2]"];
    assert_eq!(repository.keys_of("s/a.yaml"), list);
    repository.ours(&["unset", "s/b.json", "[\"n\"]"]);
    rotate("s/b.json");
    assert_eq!(repository.keys_of("s/b.json"), ["[\"password\"]"]);
    let mut edit = repository.command("alice", &["edit", "s/c.env"]);
    run(edit.env("EDITOR", "sed -i s/A=1/A=one/")).expect(0);
    rotate("s/c.env");
    assert_eq!(repository.keys_of("s/c.env"), ["[\"B\"]"]);
    // By sops, and seen when we write the list or the file.
    repository.by_sops(&["set", "s/d.ini", "[\"s\"][\"k\"]", "\"new\""]);
    let text = repository.dir.read(LIST);
    repository.exposed().expect(1);
    assert_eq!(repository.dir.read(LIST), text, "exposed writes nothing");
    let ran = repository.rekey("alice", &["--yes"]).expect(0);
    assert_eq!(ran.json()["changed"], 0);
    rotate("s/d.ini");
    assert!(repository.keys_of("s/d.ini").is_empty());
    let text = repository.dir.read(LIST);
    repository.rekey("alice", &["--yes"]).expect(0);
    let again = repository.dir.read(LIST);
    assert!(text == again || !again.contains("d.ini"), "{again}");
    // What has changed after a rotation that nobody could see through closes, too.
    repository.ours(&["set", "s/b.json", "[\"password\"]", "\"new\""]);
    assert!(repository.keys_of("s/b.json").is_empty());
    rotate("s/a.yaml");
    repository.ours(&["set", "s/a.yaml", "[\"list\"][2]", "\"new\""]);
    assert_eq!(repository.keys_of("s/a.yaml"), list[..2]);
    // The same value is no other one.
    repository.ours(&["set", "s/c.env", "[\"B\"]", "\"2\""]);
    assert_eq!(repository.keys_of("s/c.env"), ["[\"B\"]"]);
    // From another directory, by another name.
    std::os::unix::fs::symlink("a.yaml", repository.root().join("s/link.yaml")).unwrap();
    let file = repository.root().join("s/link.yaml");
    let mut set = repository.command("alice", &["set", file.to_str().unwrap()]);
    let place = ["[\"list\"][0]", "\"first\""];
    run(set.args(place).current_dir(repository.dir.path())).expect(0);
    assert_eq!(repository.keys_of("s/a.yaml"), list[1..2]);
    repository.is_clean();
}

#[test]
fn each_sees_what_was_there_in_its_time() {
    let Some(repository) = Repository::without(&["alice", "old", "web"], &["alice", "web"]) else {
        return;
    };
    repository.by_sops(&["set", "s/b.json", "[\"password\"]", "\"new\""]);
    repository.rules(&["alice"]);
    let ran = repository.rekey("alice", &["--yes"]).expect(0);
    let (n, both) = ("[\"n\"]", ["[\"n\"]", "[\"password\"]"]);
    let recipients = json!([repository.keys["web"].recipient]);
    assert_eq!(ran.json()["exposed"][1]["recipients"], recipients);
    let mut open = repository.open("s/b.json");
    open.sort();
    let strings = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let expected = [
        ("old".to_owned(), strings(&[n])),
        ("web".to_owned(), strings(&both)),
    ];
    assert_eq!(open, expected);
    repository.ours(&["set", "s/b.json", "[\"password\"]", "\"newer\""]);
    let keys: Vec<_> = repository
        .open("s/b.json")
        .into_iter()
        .map(|one| one.1)
        .collect();
    assert!(
        !keys.is_empty() && keys.iter().all(|keys| *keys == [n]),
        "{keys:?}"
    );
    repository.ours(&["set", "s/b.json", "[\"n\"]", "2"]);
    assert!(repository.open("s/b.json").is_empty());
}

#[test]
fn files_that_move_or_go() {
    let Some(repository) = Repository::without(&["alice", "old"], &["alice"]) else {
        return;
    };
    let root = repository.root();
    repository.by_sops(&["set", "s/a.yaml", "[\"user\"]", "\"new\""]);
    fs::rename(root.join("s/a.yaml"), root.join("s/moved.yaml")).unwrap();
    assert_eq!(
        repository.keys_of("s/moved.yaml"),
        ["[\"list\"][0]", "[\"list\"][1]", "[\"list\"][2]"]
    );
    assert!(repository.keys_of("s/a.yaml").is_empty());
    fs::remove_file(root.join("s/b.json")).unwrap();
    let ran = run(&mut repository.command("alice", &["exposed"])).expect(1);
    assert!(ran.text().contains("the file is gone"), "{ran}");
    let report = repository.exposed().json();
    let gone: Vec<_> = report["exposed"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["gone"] == true)
        .map(|entry| entry["path"].clone())
        .collect();
    assert_eq!(gone, ["s/b.json"]);
    // The list follows when it is written.
    repository
        .rekey("alice", &["--yes", "--rotate", "always"])
        .expect(0);
    let list = repository.dir.read(LIST);
    assert!(
        list.contains("s/moved.yaml") && !list.contains("s/a.yaml"),
        "{list}"
    );
    assert_eq!(repository.keys_of("s/moved.yaml").len(), 3);
    run(&mut repository.command(
        "alice",
        &[
            "exposed",
            "--done",
            "s/b.json",
            "--reason",
            "not used any more",
        ],
    ))
    .expect(1);
    assert!(repository.open("s/b.json").is_empty());
}

#[test]
fn a_list_that_is_none() {
    let Some(repository) = Repository::without(&["alice", "bob", "old"], &["alice", "bob"]) else {
        return;
    };
    let good = repository.dir.read(LIST);
    repository.rules(&["alice"]);
    let before = repository.content();
    let path = good
        .lines()
        .position(|line| line.contains("s/a.yaml"))
        .unwrap()
        + 1;
    let wrong = [
        (good.replace("s/a.yaml", "../../etc/passwd"), path),
        (good.replace("s/a.yaml", "/etc/passwd"), path),
        (good.replace("s/b.json", "s/a.yaml"), 0),
        (String::new(), 1),
        (format!("<<<<<<< HEAD\n{good}"), 1),
    ];
    for (text, line) in wrong {
        repository.dir.write(LIST, &text);
        for args in [
            &["--json", "exposed"][..],
            &["--json", "rekey", "--yes"],
            &["--json", "rekey", "--dry-run"],
            &["--json", "exposed", "--done", "s/c.env", "--reason", "x"],
        ] {
            let ran = run(&mut repository.command("alice", args)).expect(2);
            let error: Value = serde_json::from_str(&ran.stderr).unwrap();
            let error = &error["error"];
            assert_eq!(error["code"], "ledger", "{ran}");
            assert!(
                error["file"]
                    .as_str()
                    .unwrap()
                    .ends_with(".sops-exposed.yaml"),
                "{ran}"
            );
            assert!(line == 0 || error["line"] == line, "{line}: {ran}");
            assert!(error["hint"].as_str().unwrap().contains("restore"), "{ran}");
        }
        assert_eq!(repository.content(), before);
        assert_eq!(repository.dir.read(LIST), text);
    }
    // A value is changed all the same.
    let ran = repository.ours(&["set", "s/b.json", "[\"n\"]", "7"]);
    assert!(ran.stderr.contains("not brought up to date"), "{ran}");
    repository.dir.write(LIST, &good);
    let ran = repository.rekey("alice", &["--yes"]).expect(0);
    assert_eq!(actions(&ran)[0], "s/a.yaml rotate recipients-removed");
    assert!(!repository.keys_of("s/b.json").contains(&"x".to_owned()));
}
