//! `secretsctl host`: hosts come, are renamed, get other keys and leave, on files of real sops.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    support::{AgeKey, Dir, Ran, Sops, ctl, run, run_with_input},
    terminal::Terminal,
};

struct Repository {
    dir: Dir,
    sops: Sops,
    keys: BTreeMap<&'static str, AgeKey>,
}

const ANCHORS: &str = "\
# Who may read.
keys:
  users:
    - &alice $alice
  hosts:
    - &web1 $web1
    - &db $db

creation_rules:
  - path_regex: ^web/   # the frontends
    key_groups:
      - age:
          - *alice
          - *web1
  - path_regex: ^db/
    key_groups:
      - age: [*alice, *db]
";

const TEXTS: &str = "\
creation_rules:
  - path_regex: ^web/
    age: >-
      $alice,
      $web1
  - path_regex: ^db/
    age:
      - $alice # alice
      - $db # db
";

const SSH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
/// What ssh-to-age makes of it.
const SSH_AS_AGE: &str = "age184gqqn5w5npe5tuwxt5wpflne93d2jqkqt7sm9vjntg8dex2neasnl4ydv";

const FILES: [(&str, &str); 4] = [
    ("web/a.yaml", "# why\nuser: app\nlist: [one, two]\n"),
    ("web/b.env", "A=1\n"),
    ("db/c.json", "{\"password\": \"x\"}"),
    ("db/d.ini", "[s]\nk = v\n"),
];

impl Repository {
    fn new(rules: &str) -> Option<Self> {
        let sops = Sops::find("3.13.3")?;
        let dir = Dir::new();
        let names = ["alice", "web1", "db", "web2", "new"];
        let key = |name| (name, AgeKey::generate(&dir, &format!("keys/{name}")));
        let keys = names.into_iter().map(key).collect();
        let repository = Self { dir, sops, keys };
        repository.write_rules(rules);
        for (name, text) in FILES {
            repository.dir.write(format!("repo/{name}"), text);
            let mut encrypt = repository.sops.command(["encrypt", "--in-place", name]);
            run(encrypt.current_dir(repository.root())).expect(0);
        }
        Some(repository)
    }

    fn root(&self) -> PathBuf {
        self.dir.join("repo")
    }

    fn with_keys(&self, text: &str) -> String {
        let replace = |text: String, (name, key): (&&str, &AgeKey)| {
            text.replace(&format!("${name}"), &key.recipient)
        };
        self.keys.iter().fold(text.to_owned(), replace)
    }

    fn write_rules(&self, text: &str) {
        self.dir.write("repo/.sops.yaml", self.with_keys(text));
    }

    fn rules(&self) -> String {
        let replace = |text: String, (name, key): (&&str, &AgeKey)| {
            text.replace(&key.recipient, &format!("${name}"))
        };
        self.keys
            .iter()
            .fold(self.dir.read("repo/.sops.yaml"), replace)
    }

    fn command(&self, args: &[&str]) -> Command {
        let args: Vec<String> = args.iter().map(|arg| self.with_keys(arg)).collect();
        let mut command = ctl(["-i"]);
        command
            .arg(&self.keys["alice"].file)
            .arg("-C")
            .arg(self.root())
            .args(args)
            .env("XDG_STATE_HOME", self.dir.join("state"));
        command
    }

    fn ctl(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    fn readers(&self, file: &str) -> Vec<&'static str> {
        let opens = |(_, key): &(&&str, &AgeKey)| {
            self.sops.decrypt(&self.root().join(file), key, &[]).code() == 0
        };
        self.keys
            .iter()
            .filter(opens)
            .map(|(name, _)| *name)
            .collect()
    }

    /// All that is there, to compare.
    fn content(&self) -> Vec<(String, Vec<u8>)> {
        let mut content = Vec::new();
        for name in self.dir.tree() {
            let path = self.dir.join(&name);
            if name.starts_with("repo/") && path.is_file() {
                content.push((name, fs::read(path).unwrap()));
            }
        }
        content
    }
}

#[test]
fn a_host_comes_and_leaves() {
    for (rules, like, name) in [(ANCHORS, "web1", "web1"), (TEXTS, "$web1", "$web1")] {
        let Some(repository) = Repository::new(rules) else {
            return;
        };
        repository.dir.chmod("repo/.sops.yaml", 0o640);
        let plain: Vec<Vec<u8>> = FILES
            .iter()
            .map(|(file, _)| {
                let path = repository.root().join(file);
                repository
                    .sops
                    .decrypt(&path, &repository.keys["alice"], &[])
                    .expect(0)
                    .stdout
            })
            .collect();
        let args = [
            "--json", "host", "add", "web2", "$web2", "--like", like, "--rekey",
        ];
        let before = repository.content();
        let dry = repository
            .ctl(&[&args[..], &["--dry-run"]].concat())
            .expect(1)
            .json();
        assert_eq!(dry["changed"], false);
        assert_eq!(dry["rekey"]["changed"], 2);
        assert_eq!(repository.content(), before);

        let done = repository
            .ctl(&[&args[..], &["--yes"]].concat())
            .expect(0)
            .json();
        assert_eq!(done["changed"], true);
        assert_eq!(done["diff"], dry["diff"]);
        assert_eq!(done["rules"], json!([0]));
        assert_eq!(
            done["hosts"][0]["recipient"],
            repository.keys["web2"].recipient.as_str()
        );
        assert_eq!(done["rekey"]["changed"], 2);
        let added = done["diff"].as_str().unwrap().lines();
        assert!(added.filter(|line| line.starts_with('-')).count() <= 2);
        assert_eq!(repository.dir.mode("repo/.sops.yaml"), 0o640);
        assert_eq!(repository.readers("web/a.yaml"), ["alice", "web1", "web2"]);
        assert_eq!(repository.readers("web/b.env"), ["alice", "web1", "web2"]);
        assert_eq!(repository.readers("db/c.json"), ["alice", "db"]);
        repository.ctl(&["host", "test", "$web2"]).expect(0);

        let plan = repository
            .ctl(&["host", "retire", name, "--rekey", "--dry-run"])
            .expect(1);
        let label = if name == "web1" { "web1 (age1" } else { "age1" };
        let line = format!("new data key: 2 files, no more for {label}");
        assert!(plan.text().contains(&line), "{plan}");
        let retired = repository
            .ctl(&["--json", "host", "retire", name, "--rekey", "--yes"])
            .expect(0)
            .json();
        assert_eq!(retired["rekey"]["exposed"].as_array().unwrap().len(), 2);
        assert_eq!(repository.readers("web/a.yaml"), ["alice", "web2"]);
        assert_eq!(repository.readers("db/d.ini"), ["alice", "db"]);
        assert!(!repository.rules().contains("web1"));
        repository.ctl(&["host", "test", "$web1"]).expect(2);
        repository.ctl(&["rekey", "--dry-run"]).expect(0);
        for ((file, _), plain) in FILES.iter().zip(plain) {
            let path = repository.root().join(file);
            let now = repository
                .sops
                .decrypt(&path, &repository.keys["alice"], &[])
                .expect(0);
            assert!(now.stdout == plain, "{file}");
        }
        assert!(
            !repository
                .dir
                .tree()
                .iter()
                .any(|name| name.contains(".tmp"))
        );
    }
}

#[test]
fn without_rekey_the_files_wait() {
    let Some(repository) = Repository::new(ANCHORS) else {
        return;
    };
    let ran = repository
        .ctl(&["host", "add", "web2", "$web2", "--like", "web1", "--yes"])
        .expect(0);
    assert!(ran.text().contains("added web2, in 1 rule"), "{ran}");
    assert!(ran.text().contains("secretsctl rekey"), "{ran}");
    let expected = ANCHORS
        .replace("    - &db $db\n", "    - &db $db\n    - &web2 $web2\n")
        .replace(
            "          - *web1\n",
            "          - *web1\n          - *web2\n",
        );
    assert_eq!(repository.rules(), expected);
    let test = repository
        .ctl(&["--json", "host", "test", "web2"])
        .expect(1)
        .json();
    let paths: Vec<&str> = test
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["web/a.yaml", "web/b.env"]);
    assert_eq!(test[0]["add"], json!([repository.keys["web2"].recipient]));
    let ran = repository.ctl(&["host", "test", "web2"]).expect(1);
    assert!(ran.text().contains("cannot open 2 of 2 files"), "{ran}");
    repository.ctl(&["host", "test", "web1"]).expect(0);
    let list = repository.ctl(&["--json", "host", "list"]).expect(0).json();
    let entry = |name: &str, rules: Value, files: usize, by_rules: usize| {
        json!({"name": name, "recipient": repository.keys[name].recipient, "rules": rules, "files": files,
            "files_by_rules": by_rules, "kind": "host"})
    };
    assert_eq!(
        list,
        json!([
            entry("web1", json!([0]), 2, 2),
            entry("db", json!([1]), 2, 2),
            entry("web2", json!([0]), 0, 2)
        ])
    );
    let all = repository
        .ctl(&["--json", "host", "list", "--all"])
        .expect(0)
        .json();
    assert_eq!(all[0]["name"], "alice");
    let human = repository.ctl(&["host", "list"]).expect(0);
    assert!(
        human.text().contains("1 rule  0 files, 2 by the rules"),
        "{human}"
    );

    repository.ctl(&["rekey", "--yes"]).expect(0);
    repository.ctl(&["host", "test", "web2"]).expect(0);
    // A name is no key: nothing is to be done for it.
    repository
        .ctl(&["host", "rename", "web2", "front", "--yes"])
        .expect(0);
    assert_eq!(
        repository.rules(),
        expected
            .replace("&web2", "&front")
            .replace("*web2", "*front")
    );
    repository.ctl(&["rekey", "--dry-run"]).expect(0);
    // Another key is a removal, too.
    let ran = repository
        .ctl(&[
            "--json", "host", "replace", "front", "$new", "--rekey", "--yes",
        ])
        .expect(0)
        .json();
    assert_eq!(ran["rekey"]["files"][2]["action"], "rotate");
    assert_eq!(repository.readers("web/a.yaml"), ["alice", "new", "web1"]);
}

#[test]
fn rules_and_files_change_together_or_not_at_all() {
    let Some(repository) = Repository::new(ANCHORS) else {
        return;
    };
    let before = repository.content();
    let add = [
        "host", "add", "web2", "$web2", "--like", "web1", "--rekey", "--yes",
    ];
    // Somebody who opens nothing.
    let mut stranger = ctl(["-i"]);
    stranger
        .arg(&repository.keys["db"].file)
        .arg("-C")
        .arg(repository.root())
        .args(add.map(|arg| repository.with_keys(arg)))
        .env("XDG_STATE_HOME", repository.dir.join("state"));
    let ran = run(&mut stranger).expect(2);
    assert!(ran.stderr.contains("without --rekey"), "{ran}");
    assert_eq!(repository.content(), before);
    // Rules that sops reads otherwise than they were meant.
    repository.write_rules(&ANCHORS.replace(
        "    key_groups:\n      - age: [",
        "    path_regexp: x\n    key_groups:\n      - age: [",
    ));
    let doubtful = repository.content();
    let ran = repository.ctl(&add).expect(2);
    assert!(ran.stderr.contains("path_regexp"), "{ran}");
    assert_eq!(repository.content(), doubtful);
    repository.write_rules(ANCHORS);

    // Killed at every step: another re-key brings rules and files together.
    let mut kills = 0;
    for place in ["begun", "written", "committed", "renamed", "synced"] {
        for number in 0..4 {
            for (name, content) in &before {
                repository.dir.write(name, content);
            }
            let mut command = repository.command(&add);
            let ran = run(command.env("SECRETSD_FAULT", format!("{place}:{number}")));
            if ran.code() == 0 {
                continue;
            }
            kills += 1;
            let ran = repository.ctl(&["rekey", "--yes"]).expect(0);
            let expected: &[&str] = match repository.rules().contains("web2") {
                true => &["alice", "web1", "web2"],
                false => &["alice", "web1"],
            };
            for file in ["web/a.yaml", "web/b.env"] {
                let readers = repository.readers(file);
                assert_eq!(readers, expected, "{place}:{number} {ran}");
            }
        }
    }
    // The rules and two files.
    assert_eq!(kills, 1 + 3 + 1 + 3 + 1);
}

#[test]
fn many_at_once() {
    let Some(repository) = Repository::new(ANCHORS) else {
        return;
    };
    let ed = SSH;
    let scan = format!(
        "# web3:22 SSH-2.0-OpenSSH_9.2\nweb3 ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7\nweb3 {ed}\nweb3 ecdsa-sha2-nistp256 AAAA\n\n[web4.example.org]:2222,10.0.0.4 {}\n",
        repository.keys["new"].recipient
    );
    let file = repository.dir.write("scan", &scan);
    let args = ["--json", "host", "add", "--like", "web1", "--yes", "--from"];
    let mut command = repository.command(&args);
    let done = run(command.arg(&file)).expect(0).json();
    let names: Vec<&str> = done["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["web3", "web4.example.org"]);
    let rules = repository.rules();
    assert!(
        rules.contains(&format!(
            "    - &web3 {ed}\n    - &web4-example-org $new  # web4.example.org\n"
        )),
        "{rules}"
    );
    assert!(
        rules.contains("*web1\n          - *web3\n          - *web4-example-org\n"),
        "{rules}"
    );
    repository
        .ctl(&["host", "retire", "web3", "web4.example.org", "--yes"])
        .expect(0);
    assert_eq!(repository.rules(), ANCHORS);
    // The same from standard input.
    let mut command = repository.command(&[&args[..], &["-"]].concat());
    run_with_input(&mut command, scan.as_bytes()).expect(0);
    repository.write_rules(ANCHORS);
    for (input, why) in [
        (format!("|1|abc=|def= {ed}\n"), "hashed"),
        (format!("@revoked web3 {ed}\n"), "marker"),
        (
            "web3 ecdsa-sha2-nistp256 AAAA\n".to_owned(),
            "begins with neither",
        ),
        ("web3\n".to_owned(), "a line needs a name"),
        (String::new(), "no host"),
        (
            format!("web3 {ed}\nweb3 {}\n", repository.keys["new"].recipient),
            "second key",
        ),
        (format!("web3 {ed}\nweb4 {ed}\n"), "that of web3"),
        (
            format!("web3 {}\n", repository.keys["new"].secret),
            "private key",
        ),
    ] {
        let mut command = repository.command(&["host", "add", "--from", "-", "--yes"]);
        let ran = run_with_input(&mut command, input.as_bytes()).expect(2);
        assert!(ran.stderr.contains(why), "{input}: {ran}");
        assert!(!ran.stderr.contains("AGE-SECRET-KEY-1"), "{ran}");
        assert_eq!(repository.rules(), ANCHORS);
    }
}

#[test]
fn what_is_refused() {
    let Some(repository) = Repository::new(ANCHORS) else {
        return;
    };
    let before = repository.content();
    let secret = repository.keys["new"].secret.clone();
    let private = repository.keys["new"].file.to_str().unwrap().to_owned();
    let ssh = repository.dir.write(
        "id",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nCANARY\n-----END OPENSSH PRIVATE KEY-----\n",
    );
    let several = repository
        .dir
        .write("several", repository.with_keys("$new\n$web2\n"));
    let damaged = format!("{}x", repository.keys["new"].recipient);
    let cases: &[(&[&str], &str)] = &[
        (&["add", "new", &secret], "private key"),
        (&["add", &secret, "$new"], "private key"),
        (&["retire", &secret], "private key"),
        (&["add", "new", &private], "age-keygen -y"),
        (&["add", "new", ssh.to_str().unwrap()], "ssh-keygen -y -f"),
        (&["add", "new", several.to_str().unwrap()], "--from"),
        (&["add", "new", &damaged], "damaged"),
        (&["add", "new", "ssh-dss AAAA"], "not a recipient"),
        (&["add", "new", "nowhere"], "no file of this name"),
        (&["add", "web1", "$new"], "there is a host web1 already"),
        (&["add", "new", "$web1"], "is that of web1"),
        (&["add", "a b\tc", "$new"], "is no name"),
        (&["add", "age1abc", "$new"], "looks like a key"),
        (
            &["add", "new", "$new", "--like", "wbe1"],
            "did you mean web1?",
        ),
        (&["rename", "web1", "db"], "there is a host db already"),
        (&["rename", "web1", "a.b"], "letters, digits"),
        (&["replace", "web1", "$web1"], "already"),
        (&["replace", "web1", "$db"], "of db"),
        (&["retire", "web9"], "no host"),
        (&["test", "web9"], "no host"),
    ];
    for (args, why) in cases {
        let mut all = vec!["host"];
        all.extend(*args);
        if args[0] != "test" {
            all.push("--yes");
        }
        let ran = repository.ctl(&all).expect(2);
        assert!(ran.stderr.contains(why), "{why}: {ran}");
        for text in [&ran.stderr, ran.text()] {
            assert!(!text.contains(&secret) && !text.contains("CANARY"), "{ran}");
        }
        assert_eq!(repository.content(), before);
    }
    // Nobody is there to ask.
    for args in [&["host"][..], &["--json", "host"]] {
        let ran = repository
            .ctl(&[args, &["retire", "web1"]].concat())
            .expect(2);
        assert!(ran.stderr.contains("--dry-run"), "{ran}");
        assert_eq!(repository.content(), before);
    }
    // A rule that nobody could read.
    let mut rules = ANCHORS.to_owned();
    rules.push_str("  - path_regex: ^only/\n    age: [*web1]\n");
    repository.write_rules(&rules);
    let ran = repository
        .ctl(&["host", "retire", "web1", "--yes"])
        .expect(2);
    assert!(ran.stderr.contains(".sops.yaml:18:5"), "{ran}");
    assert_eq!(repository.rules(), rules);
    repository.write_rules(ANCHORS);
    // One host, two keys: what ssh-to-age makes of an SSH key is opened by the same private key.
    repository
        .ctl(&["host", "add", "web3", SSH, "--yes"])
        .expect(0);
    let ran = repository
        .ctl(&["host", "add", "web4", SSH_AS_AGE, "--yes"])
        .expect(2);
    assert!(ran.stderr.contains("same host"), "{ran}");
    // From one to the other is a way to go.
    repository
        .ctl(&["host", "replace", "web3", SSH_AS_AGE, "--yes"])
        .expect(0);
    let ran = repository
        .ctl(&["host", "add", "web4", SSH, "--yes"])
        .expect(2);
    assert!(ran.stderr.contains("same host"), "{ran}");
}

#[test]
fn links_modes_marks_and_line_breaks() {
    let Some(repository) = Repository::new(ANCHORS) else {
        return;
    };
    let windows = format!(
        "\u{feff}{}",
        repository.with_keys(ANCHORS).replace('\n', "\r\n")
    );
    repository.dir.write("repo/conf/rules.yaml", &windows);
    repository.dir.chmod("repo/conf/rules.yaml", 0o604);
    fs::remove_file(repository.root().join(".sops.yaml")).unwrap();
    symlink("conf/rules.yaml", repository.root().join(".sops.yaml")).unwrap();
    for rekey in [&[][..], &["--rekey"]] {
        let add = ["host", "add", "web2", "$web2", "--like", "web1", "--yes"];
        repository.ctl(&[&add[..], rekey].concat()).expect(0);
        let now = repository.dir.read("repo/conf/rules.yaml");
        assert!(
            now.starts_with('\u{feff}') && now.matches("\r\n").count() == now.matches('\n').count()
        );
        repository
            .ctl(&[&["host", "retire", "web2", "--yes"][..], rekey].concat())
            .expect(0);
        assert_eq!(repository.dir.read("repo/conf/rules.yaml"), windows);
        assert_eq!(repository.dir.mode("repo/conf/rules.yaml"), 0o604);
        let link = fs::read_link(repository.root().join(".sops.yaml")).unwrap();
        assert_eq!(link, Path::new("conf/rules.yaml"));
    }
    // A file elsewhere is edited, and cannot be a part of the transaction.
    let outside = repository.dir.write("outside.yaml", &windows);
    fs::remove_file(repository.root().join(".sops.yaml")).unwrap();
    symlink(&outside, repository.root().join(".sops.yaml")).unwrap();
    let ran = repository
        .ctl(&["host", "retire", "web1", "--rekey", "--yes"])
        .expect(2);
    assert!(ran.stderr.contains("leave out --rekey"), "{ran}");
    assert_eq!(repository.dir.read("outside.yaml"), windows);
    repository
        .ctl(&["host", "retire", "web1", "--yes"])
        .expect(0);
    assert_ne!(repository.dir.read("outside.yaml"), windows);
    // One name of two.
    fs::remove_file(repository.root().join(".sops.yaml")).unwrap();
    fs::hard_link(&outside, repository.root().join(".sops.yaml")).unwrap();
    let ran = repository.ctl(&["host", "retire", "db", "--yes"]).expect(2);
    assert!(ran.stderr.contains("hard links"), "{ran}");
    let mode = fs::metadata(&outside).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0);
}

#[test]
fn a_person_is_asked() {
    let Some(repository) = Repository::new(ANCHORS) else {
        return;
    };
    let asked = |answer: &str, code: i32| {
        // Its questions must reach the terminal, and are on standard output: both are the terminal here.
        let args: Vec<String> = repository
            .command(&["host", "retire", "web1"])
            .get_args()
            .map(|arg| format!("'{}'", arg.to_str().unwrap()))
            .collect();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!(
            "{} {} >/dev/tty 2>/dev/tty",
            env!("CARGO_BIN_EXE_secretsctl"),
            args.join(" ")
        ));
        let ran = Terminal::run(&shell, |terminal| {
            terminal.expect("-    - &web1");
            terminal.expect("Write the rules? [y/N]");
            terminal.enter(answer);
        });
        assert_eq!(ran.ran.code(), code, "{} {}", ran.ran, ran.seen);
    };
    asked("n\r", 2);
    assert_eq!(repository.rules(), ANCHORS);
    asked("y\r", 0);
    assert!(!repository.rules().contains("web1"));
}

/// For each shape of rules that the edits know, before and after each edit: what `explain` says of some paths differs by
/// the host and by nothing else, and sops encrypts to whom `explain` says.
#[test]
fn every_shape_by_what_its_rules_say() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let names = ["alice", "bob", "web1", "web2", "db", "new"];
    let keys: Vec<(&str, AgeKey)> = names
        .into_iter()
        .map(|name| (name, AgeKey::generate(&dir, name)))
        .collect();
    let with_keys = |text: &str| {
        let text = text
            .replace(
                "$sshnew",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINQ2936gtJxPUGLtx/n0H9RB7hJBIMjZ5zk1oJbaKFsS",
            )
            .replace(
                "$ssh1",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAh4xMkLvJ5qGiyXfaNYqi/lJQAPAtqdB1Ot97QORmBl",
            )
            .replace(
                "$ssh2",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGrAlyU88XQzrTKm9cHRa2rlcgzJMVCexiDQbxKhTOlz",
            );
        keys.iter().fold(text, |text, (name, key)| {
            text.replace(&format!("${name}"), &key.recipient)
        })
    };
    let new = with_keys("$new");
    let paths = [
        "a",
        "b.yaml",
        "c.json",
        "web/x.yaml",
        "all/x",
        "secrets/x.yaml",
        "after",
        "z",
    ];
    let explain = |root: &Path| -> Vec<Value> {
        let mut command = ctl(["--json", "explain"]);
        run(command.args(paths).current_dir(root)).json_lines()
    };
    let mut by_sops = 0;
    let mut edits = 0;
    let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy/shapes");
    for entry in fs::read_dir(shapes).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let content = fs::read_to_string(&path).unwrap();
        let before = with_keys(&format!("{}\n", content.split("\n=== ").next().unwrap()));
        let like = if before.contains("&web1") || before.contains("# web1") {
            "web1".to_owned()
        } else {
            with_keys("$web1")
        };
        let root = dir.join(&stem);
        let file = format!("{stem}/.sops.yaml");
        dir.write(&file, &before);
        let said = explain(&root);
        for operation in ["add", "retire", "rename", "replace"] {
            dir.write(&file, &before);
            let mut command = ctl(["host", operation]);
            match operation {
                "add" => command.args(["fresh", &new, "--like", &like]),
                "rename" => command.args([&like, "front"]),
                "replace" => command.args([&like, &new]),
                _ => command.arg(&like),
            };
            let ran = run(command.arg("--yes").current_dir(&root));
            if ran.code() != 0 {
                assert_eq!(dir.read(&file), before, "{ran}");
                continue;
            }
            edits += 1;
            let old = [with_keys("$web1"), with_keys("$ssh1"), with_keys("$ssh2")];
            for (before, after) in said.iter().zip(explain(&root)) {
                let (groups, changed) = (&before["key_groups"], &after["key_groups"]);
                for member in ["path", "matched_text", "shamir_threshold", "error"] {
                    assert_eq!(before[member], after[member], "{stem} {operation}");
                }
                assert_eq!(before["rule"]["index"], after["rule"]["index"]);
                let without = |groups: &Value| -> Vec<Vec<String>> {
                    let groups = groups.as_array().unwrap().iter();
                    let is_other = |text: &String| {
                        *text != new
                            && !(operation != "add" && old.iter().any(|old| text.starts_with(old)))
                    };
                    groups
                        .map(|group| {
                            let texts = group.as_array().unwrap().iter();
                            texts
                                .map(|text| text.as_str().unwrap().to_owned())
                                .filter(is_other)
                                .collect()
                        })
                        .collect()
                };
                if operation == "rename" {
                    let plain = |value: &Value| value.to_string().replace(" front", " web1");
                    assert_eq!(plain(groups), plain(changed), "{stem}");
                } else {
                    assert_eq!(without(groups), without(changed), "{stem} {operation}");
                }
            }
            // What sops itself reads.
            if before.contains("pgp:") || stem == "escaped" {
                continue;
            }
            for after in explain(&root)
                .iter()
                .filter(|after| after["error"].is_null())
                .take(3)
            {
                let name = after["path"].as_str().unwrap();
                let plain = dir.write(format!("{stem}/{name}"), "{\"a\": \"b\"}");
                let mut encrypt =
                    sops.command(["encrypt", "--input-type", "json", "--output-type", "json"]);
                let encrypted = run(encrypt.arg(&plain).current_dir(&root)).expect(0).json();
                let found = encrypted["sops"].to_string();
                let mut count = 0;
                for text in after["key_groups"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|group| group.as_array().unwrap())
                {
                    assert!(
                        found.contains(text.as_str().unwrap()),
                        "{stem} {operation}: {found}"
                    );
                    count += 1;
                }
                assert_eq!(
                    found.matches("\"recipient\":").count(),
                    count,
                    "{stem} {operation}"
                );
                by_sops += 1;
            }
        }
    }
    assert!(edits > 120 && by_sops > 100, "{edits} {by_sops}");
}
