//! `secretsctl rekey` and `exposed`, on files of real sops.

mod exposed;
mod faults;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    process::Command,
};

use serde_json::Value;

use crate::support::{AgeKey, Dir, Ran, Sops, ctl, not_run, run};

/// A repository for two people and a host, made by sops.
struct Repository {
    dir: Dir,
    sops: Sops,
    keys: BTreeMap<&'static str, AgeKey>,
}

const FILES: [(&str, &str); 5] = [
    (
        "s/a.yaml",
        "# why\nuser: app\nlist:\n  - one\n  - one\n  - two\n",
    ),
    ("s/b.json", "{\"password\": \"x\", \"n\": 1}"),
    ("s/c.env", "# c\nA=1\nB=2\n"),
    ("s/d.ini", "[s]\nk = v\n"),
    ("s/e.txt", "bytes"),
];

impl Repository {
    fn new() -> Option<Self> {
        Self::with(&["alice", "bob"])
    }

    fn with(recipients: &[&str]) -> Option<Self> {
        let sops = Sops::find("3.13.3")?;
        let dir = Dir::new();
        let keys = ["alice", "bob", "web", "old"]
            .into_iter()
            .map(|name| (name, AgeKey::generate(&dir, &format!("keys/{name}"))))
            .collect();
        let repository = Self { dir, sops, keys };
        repository.rules(recipients);
        for (name, text) in FILES {
            repository.make(name, text);
        }
        Some(repository)
    }

    fn make(&self, name: &str, text: &str) {
        self.dir.write(format!("repo/{name}"), text);
        let mut encrypt = self.sops.command(["encrypt", "--in-place", name]);
        run(encrypt.current_dir(self.root())).expect(0);
    }

    fn root(&self) -> PathBuf {
        self.dir.join("repo")
    }

    fn rules(&self, recipients: &[&str]) {
        let mut rules = "keys:\n".to_owned();
        for name in recipients {
            rules.push_str(&format!("  - &{name} {}\n", self.keys[name].recipient));
        }
        let all: Vec<_> = recipients.iter().map(|name| format!("*{name}")).collect();
        rules.push_str(&format!(
            "creation_rules:\n  - path_regex: ^s/\n    age: [{}]\n",
            all.join(", ")
        ));
        self.dir.write("repo/.sops.yaml", rules);
    }

    fn raw_rules(&self, rule: &str) {
        let mut rule = rule.to_owned();
        for (name, key) in &self.keys {
            rule = rule.replace(&format!("${name}"), &key.recipient);
        }
        self.dir
            .write("repo/.sops.yaml", format!("creation_rules:\n{rule}"));
    }

    fn command(&self, who: &str, args: &[&str]) -> Command {
        let mut command = ctl(["-i"]);
        command
            .arg(&self.keys[who].file)
            .args(args)
            .env("XDG_STATE_HOME", self.dir.join("state"))
            .current_dir(self.root());
        command
    }

    fn rekey(&self, who: &str, args: &[&str]) -> Ran {
        let mut all = vec!["--json", "rekey"];
        all.extend(args);
        run(&mut self.command(who, &all))
    }

    fn opens(&self, who: &str, name: &str) -> bool {
        let ran = self
            .sops
            .decrypt(&self.root().join(name), &self.keys[who], &[]);
        ran.code() == 0
    }

    fn content(&self) -> Vec<Vec<u8>> {
        let read = |(name, _): (&str, &str)| self.dir.read_bytes(format!("repo/{name}"));
        FILES.into_iter().map(read).collect()
    }

    /// Nothing of ours is left beside the files.
    fn is_clean(&self) {
        let tree = self.dir.tree();
        assert!(!tree.iter().any(|path| path.contains(".tmp")), "{tree:?}");
        assert!(
            !tree
                .iter()
                .any(|path| path.ends_with(".json") && path.contains("state/")),
            "{tree:?}"
        );
    }
}

fn actions(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let files = report["files"].as_array().unwrap();
    files
        .iter()
        .map(|file| {
            let reasons: Vec<_> = file["reasons"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r.as_str().unwrap())
                .collect();
            format!(
                "{} {} {}",
                file["path"].as_str().unwrap(),
                file["action"].as_str().unwrap(),
                reasons.join(",")
            )
        })
        .collect()
}

#[test]
fn a_host_comes() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.rules(&["alice", "bob", "web"]);
    let before = repository.content();
    let dry = repository.rekey("alice", &["--dry-run"]).expect(1);
    assert_eq!(repository.content(), before);
    assert_eq!(actions(&dry)[0], "s/a.yaml rewrap recipients-added");
    assert_eq!(
        dry.json()["files"][0]["add"][0],
        repository.keys["web"].recipient.as_str()
    );
    let ran = repository.rekey("alice", &["--yes"]).expect(0);
    assert_eq!(actions(&ran), actions(&dry));
    assert_eq!(ran.json()["changed"], 5);
    assert_eq!(ran.json()["exposed"], Value::from(Vec::<Value>::new()));
    for (name, _) in FILES {
        for who in ["alice", "bob", "web"] {
            assert!(repository.opens(who, name), "{who} {name}");
        }
    }
    // Only lines came, but for the comma of JSON.
    for (before, (name, _)) in before.iter().zip(FILES) {
        let after = repository.dir.read(format!("repo/{name}"));
        let before = String::from_utf8(before.clone()).unwrap();
        let lost = before
            .lines()
            .filter(|line| !after.lines().any(|other| other == *line));
        let json = name.ends_with("json") || name.ends_with("txt");
        assert!(lost.count() <= usize::from(json), "{name}");
    }
    let ran = repository.rekey("web", &["--yes"]).expect(0);
    assert_eq!(ran.json()["changed"], 0);
    repository.rekey("web", &["--dry-run"]).expect(0);
    assert!(!repository.dir.exists("repo/.sops-exposed.yaml"));
    repository.is_clean();
}

#[test]
fn somebody_goes() {
    let Some(repository) = Repository::with(&["alice", "bob", "old"]) else {
        return;
    };
    repository.rules(&["alice", "bob"]);
    let ran = repository.rekey("alice", &["--yes"]).expect(0);
    assert_eq!(actions(&ran)[1], "s/b.json rotate recipients-removed");
    let exposed = &ran.json()["exposed"];
    assert_eq!(exposed.as_array().unwrap().len(), 5);
    assert_eq!(
        exposed[0]["keys"],
        serde_json::json!([
            "[\"list\"][0]",
            "[\"list\"][1]",
            "[\"list\"][2]",
            "[\"user\"]"
        ])
    );
    assert_eq!(exposed[4]["keys"], serde_json::json!(["[\"*\"]"]));
    for (name, _) in FILES {
        assert!(
            repository.opens("bob", name) && !repository.opens("old", name),
            "{name}"
        );
    }
    repository.is_clean();

    // The list empties as values change, whoever changes them.
    let exposed = || run(&mut repository.command("alice", &["--json", "exposed"]));
    assert_eq!(
        exposed().expect(1).json()["exposed"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    let set = |path: &str, value: &str, name: &str| {
        let mut command = repository.sops.command(["set", name, path, value]);
        let key = &repository.keys["alice"].file;
        run(command
            .env("SOPS_AGE_KEY_FILE", key)
            .current_dir(repository.root()))
        .expect(0);
    };
    set("[\"password\"]", "\"new\"", "s/b.json");
    set("[\"list\"][2]", "\"three\"", "s/a.yaml");
    let list = exposed().expect(1).json();
    let keys = |path: &str| -> Vec<String> {
        let files = list["exposed"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == path);
        let keys = file.map_or(&[][..], |file| file["keys"].as_array().unwrap());
        keys.iter()
            .map(|key| key.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys("s/b.json"), ["[\"n\"]"]);
    assert_eq!(
        keys("s/a.yaml"),
        ["[\"list\"][0]", "[\"list\"][1]", "[\"user\"]"]
    );
    // Our own rotation is no change of a value, and one by sops proves nothing.
    repository
        .rekey("alice", &["--yes", "--rotate", "always"])
        .expect(0);
    assert_eq!(exposed().expect(1).json(), list);
    let mut rotate = repository
        .sops
        .command(["rotate", "--in-place", "s/a.yaml"]);
    let key = &repository.keys["alice"].file;
    run(rotate
        .env("SOPS_AGE_KEY_FILE", key)
        .current_dir(repository.root()))
    .expect(0);
    assert_eq!(exposed().expect(1).json(), list);

    let done = |args: &[&str]| {
        let mut all = vec!["exposed", "--done"];
        all.extend(args);
        run(&mut repository.command("alice", &all))
    };
    done(&["s/a.yaml"]).expect(2);
    done(&["s/a.yaml", "--reason", " "]).expect(2);
    done(&["s/nothing.yaml", "--reason", "x"]).expect(2);
    done(&[
        "s/a.yaml",
        "--key",
        "[\"user\"]",
        "--reason",
        "a name, no secret",
    ])
    .expect(1);
    for name in ["s/a.yaml", "s/b.json", "s/c.env", "s/d.ini"] {
        done(&[name, "--reason", "the host was destroyed"]).expect(1);
    }
    done(&["s/e.txt", "--reason", "the host was destroyed"]).expect(0);
    let list = repository.dir.read("repo/.sops-exposed.yaml");
    assert!(list.contains("a name, no secret"), "{list}");
    for (_, text) in FILES {
        assert!(!list.contains(text) && !list.contains("app"), "{list}");
    }
}

#[test]
fn quorums_and_settings() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let groups = "  - path_regex: ^s/\n    shamir_threshold: 2\n    key_groups:\n      - age: [$alice]\n      - age: [$bob, $web]\n";
    repository.raw_rules(groups);
    let ran = repository.rekey("alice", &["--yes"]).expect(2);
    assert_eq!(
        actions(&ran)[0],
        "s/a.yaml blocked recipients-added,groups-changed"
    );
    assert!(ran.stderr.contains("loses-access"), "{ran}");
    let both = |args: &[&str]| {
        let mut command = repository.command("alice", &["-i"]);
        command
            .arg(&repository.keys["web"].file)
            .args(["--json", "rekey"])
            .args(args);
        run(&mut command)
    };
    let ran = both(&["--yes"]).expect(0);
    // Alice and Bob could open it alone, and cannot any more.
    assert_eq!(
        actions(&ran)[0],
        "s/a.yaml rotate recipients-added,groups-changed"
    );
    assert!(!repository.opens("alice", "s/a.yaml"));
    let text = repository.dir.read("repo/s/a.yaml");
    assert!(text.contains("shamir_threshold: 2"), "{text}");
    let keys = ["alice", "web"]
        .map(|name| repository.keys[name].secret.clone())
        .join("\n");
    for (name, _) in FILES {
        let mut decrypt = repository.sops.command(["decrypt", name]);
        run(decrypt
            .env("SOPS_AGE_KEY", &keys)
            .current_dir(repository.root()))
        .expect(0);
    }
    repository.raw_rules("  - path_regex: ^s/\n    age: $alice,$bob,$web\n");
    let ran = both(&["--yes"]).expect(0);
    assert_eq!(actions(&ran)[0], "s/a.yaml rewrap groups-changed");
    assert!(repository.opens("bob", "s/e.txt"));

    // Less is encrypted only when that is allowed.
    repository.raw_rules("  - path_regex: ^s/\n    age: $alice,$bob,$web\n    encrypted_regex: ^(list|A|k|password)$\n");
    let ran = both(&["--yes"]).expect(2);
    assert!(ran.stderr.contains("becomes-plaintext"), "{ran}");
    let ran = both(&["--yes", "--allow-plaintext"]).expect(0);
    assert_eq!(actions(&ran)[0], "s/a.yaml rotate selection-changed");
    assert_eq!(actions(&ran)[4], "s/e.txt none ");
    let text = repository.dir.read("repo/s/a.yaml");
    assert!(text.contains("user: app\n"), "{text}");
    for (name, _) in FILES {
        assert!(repository.opens("web", name), "{name}");
    }
}

#[test]
fn thresholds_go_up_and_down() {
    let (Some(repository), Some(oldest)) = (Repository::new(), Sops::find("3.9.4")) else {
        return;
    };
    let rule = |threshold: usize| {
        repository.raw_rules(&format!(
            "  - path_regex: ^s/\n    shamir_threshold: {threshold}\n    key_groups:\n      - age: [$alice]\n      - age: [$bob]\n      - age: [$web]\n"
        ));
    };
    let secrets = |names: &[&str]| -> String {
        let secrets: Vec<_> = names
            .iter()
            .map(|name| repository.keys[name].secret.as_str())
            .collect();
        secrets.join("\n")
    };
    let all = repository
        .dir
        .write("keys/all.txt", secrets(&["alice", "bob", "web"]));
    let rekey = || {
        let mut command = repository.command("alice", &["--json", "-i"]);
        run(command.arg(&all).args(["rekey", "--yes"])).expect(0)
    };
    let opens = |sops: &Sops, name: &str, keys: &[&str]| {
        let mut decrypt = sops.command(["decrypt", name]);
        decrypt
            .env("SOPS_AGE_KEY", secrets(keys))
            .current_dir(repository.root());
        run(&mut decrypt).code() == 0
    };
    rule(2);
    rekey();
    for (threshold, action) in [(3, "rotate"), (2, "rewrap")] {
        rule(threshold);
        assert_eq!(
            actions(&rekey())[0],
            format!("s/a.yaml {action} threshold-changed")
        );
        for (name, _) in FILES {
            for sops in [&repository.sops, &oldest] {
                assert!(
                    opens(sops, name, &["alice", "bob", "web"]),
                    "{name} {threshold}"
                );
                assert_eq!(
                    opens(sops, name, &["alice", "web"]),
                    threshold == 2,
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn what_is_refused() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.rules(&["alice", "bob", "web"]);
    // Nobody is there to be asked.
    let ran = repository.rekey("alice", &[]).expect(2);
    assert!(ran.stderr.contains("--dry-run"), "{ran}");
    let before = repository.content();
    // Another's key opens nothing.
    let ran = repository.rekey("old", &["--yes"]).expect(2);
    assert!(ran.stderr.contains("no-identity"), "{ran}");
    assert!(
        actions(&ran)
            .iter()
            .all(|action| action.contains("blocked")),
        "{ran}"
    );
    assert_eq!(repository.content(), before);
    // One broken file stops all.
    let damaged = repository
        .dir
        .read("repo/s/c.env")
        .replace("A=ENC[AES256_GCM,data:", "A=ENC[AES256_GCM,data:AAAA");
    repository.dir.write("repo/s/c.env", &damaged);
    let ran = repository.rekey("alice", &["--yes"]).expect(2);
    assert_eq!(actions(&ran)[2], "s/c.env blocked recipients-added");
    assert_eq!(ran.json()["changed"], 0);
    assert!(!repository.opens("web", "s/a.yaml"));
    for (args, changed) in [(&["--dry-run"][..], 0), (&["--dry-run", "--keep-going"], 4)] {
        let ran = repository.rekey("alice", args).expect(1);
        assert_eq!(ran.json()["changed"], changed, "{ran}");
    }
    let ran = repository
        .rekey("alice", &["--yes", "--keep-going"])
        .expect(1);
    assert_eq!(ran.json()["changed"], 4);
    assert!(repository.opens("web", "s/a.yaml"));
    assert_eq!(repository.dir.read("repo/s/c.env"), damaged);
    // The last one of us.
    repository.rules(&["bob", "web"]);
    let ran = repository.rekey("alice", &["--yes", "s/a.yaml"]).expect(2);
    assert!(ran.stderr.contains("loses-access"), "{ran}");
    repository
        .rekey("alice", &["--yes", "--allow-losing-access", "s/a.yaml"])
        .expect(0);
    assert!(!repository.opens("alice", "s/a.yaml") && repository.opens("web", "s/a.yaml"));
    // Rules that mean what nobody wrote.
    let rules = repository.dir.read("repo/.sops.yaml");
    repository.dir.write(
        "repo/.sops.yaml",
        rules.replace("path_regex", "path_regexp"),
    );
    let ran = repository.rekey("bob", &["--yes"]).expect(2);
    assert!(ran.stderr.contains("unknown-key"), "{ran}");
    repository.raw_rules("  - path_regex: ^s/\n    age: []\n");
    let ran = repository.rekey("bob", &["--yes", "s/b.json"]).expect(2);
    assert!(ran.stderr.contains("hint"), "{ran}");
    for path in ["nothing", "../keys/bob.txt"] {
        repository.rules(&["bob", "web"]);
        let ran = repository.rekey("bob", &["--yes", path]).expect(2);
        assert!(ran.stderr.contains("hint"), "{ran}");
    }
    repository.is_clean();
}

#[test]
fn modes_links_and_places() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let root = repository.root();
    let file = |name: &str| root.join(name);
    fs::set_permissions(file("s/a.yaml"), fs::Permissions::from_mode(0o440)).unwrap();
    symlink("a.yaml", file("s/link.yaml")).unwrap();
    fs::copy(file("s/b.json"), repository.dir.join("outside.json")).unwrap();
    symlink("../../outside.json", file("s/out.json")).unwrap();
    fs::hard_link(file("s/c.env"), file("s/hard.env")).unwrap();
    repository.make("s/sub/new.yaml", "x: y\n");
    repository.dir.write("repo/other/plain.yaml", "x: y\n");
    fs::create_dir_all(file("t")).unwrap();
    fs::copy(file("s/e.txt"), file("t/nobody.txt")).unwrap();
    let is_xattr = Command::new("setfattr")
        .args(["-n", "user.note", "-v", "kept"])
        .arg(file("s/d.ini"))
        .status();
    repository.rules(&["alice", "bob", "web"]);
    let ran = repository
        .rekey("alice", &["--yes", "--keep-going"])
        .expect(1);
    assert_eq!(
        actions(&ran),
        [
            "s/a.yaml rewrap recipients-added",
            "s/b.json rewrap recipients-added",
            "s/c.env blocked recipients-added",
            "s/d.ini rewrap recipients-added",
            "s/e.txt rewrap recipients-added",
            "s/hard.env blocked recipients-added",
            "s/out.json blocked ",
            "s/sub/new.yaml rewrap recipients-added",
            "t/nobody.txt no-rule ",
        ]
    );
    assert_eq!(
        fs::metadata(file("s/a.yaml")).unwrap().mode() & 0o7777,
        0o440
    );
    assert!(
        fs::symlink_metadata(file("s/link.yaml"))
            .unwrap()
            .is_symlink()
    );
    assert!(repository.opens("web", "s/link.yaml"));
    match is_xattr {
        Ok(status) if status.success() => {
            let shown = Command::new("getfattr")
                .args(["-d"])
                .arg(file("s/d.ini"))
                .output()
                .unwrap();
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            assert!(shown.contains("user.note=\"kept\""), "{shown}");
        }
        _ => not_run(
            "extended attributes",
            "setfattr, or a file system that has them, is missing",
        ),
    }
    // Only what was asked for.
    repository.rules(&["alice", "bob"]);
    let ran = repository
        .rekey("alice", &["--yes", "s/sub", "s/b.json"])
        .expect(0);
    assert_eq!(ran.json()["changed"], 2);
    assert!(repository.opens("web", "s/a.yaml") && !repository.opens("web", "s/sub/new.yaml"));
}

#[test]
fn killed_at_every_step() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let names: Vec<String> = (0..6)
        .map(|number| format!("s/more{number}.yaml"))
        .collect();
    for name in &names {
        repository.make(name, "a: b\n");
    }
    let original: Vec<(PathBuf, Vec<u8>)> = FILES
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .chain(names)
        .map(|name| {
            let path = repository.root().join(&name);
            let content = fs::read(&path).unwrap();
            (path, content)
        })
        .collect();
    repository.rules(&["alice", "web"]);
    let places = [
        ("noted", 2),
        ("begun", 1),
        ("written", 11),
        ("committed", 1),
        ("renamed", 12),
        ("synced", 1),
    ];
    for (place, times) in places {
        for number in 0..times {
            for (path, content) in &original {
                fs::write(path, content).unwrap();
            }
            let _ = fs::remove_file(repository.root().join(".sops-exposed.yaml"));
            let fault = format!("{place}:{number}");
            let mut command = repository.command("alice", &["rekey", "--yes"]);
            let ran = run(command.env("SECRETSD_FAULT", &fault));
            assert_eq!(ran.code(), -1, "{fault}: {ran}");
            for (path, _) in &original {
                let name = path.strip_prefix(repository.root()).unwrap();
                let opens = ["alice", "bob"].map(|who| {
                    repository
                        .sops
                        .decrypt(path, &repository.keys[who], &[])
                        .code()
                        == 0
                });
                assert!(opens[0], "{fault}: {}", name.display());
            }
            let ran = repository.rekey("alice", &["--yes"]).expect(0);
            let told = ran.stderr.contains("interrupted") || fault == "noted:0";
            assert!(told, "{fault}: {ran}");
            repository.rekey("alice", &["--dry-run"]).expect(0);
            repository.is_clean();
            let exposed = run(&mut repository.command("alice", &["--json", "exposed"])).expect(1);
            assert_eq!(
                exposed.json()["exposed"].as_array().unwrap().len(),
                original.len(),
                "{fault}"
            );
        }
    }
}

#[test]
fn two_at_a_time() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.rules(&["alice", "bob", "web"]);
    let root = fs::File::open(repository.root()).unwrap();
    rustix::fs::flock(&root, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let ran = repository.rekey("alice", &["--yes"]).expect(2);
    assert!(ran.stderr.contains("another secretsctl"), "{ran}");
    repository.rekey("alice", &["--dry-run"]).expect(1);
    drop(root);
    repository.rekey("alice", &["--yes"]).expect(0);
}
