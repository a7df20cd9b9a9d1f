//! `secretsctl set` and `unset`, on files of real sops.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    process::{Command, Stdio},
};

use crate::support::{AgeKey, Dir, Ran, Sops, ctl, not_run, run, run_with_input};

/// Part of every new value.
const MARK: &str = "CanaryQx4v";

struct Files {
    dir: Dir,
    sops: [Sops; 2],
    key: AgeKey,
}

impl Files {
    fn new() -> Option<Self> {
        let sops = Sops::both()?;
        let dir = Dir::new();
        let key = AgeKey::generate(&dir, "key");
        Some(Self { dir, sops, key })
    }

    /// A file that one of the two versions encrypts.
    fn make(&self, name: &str, plain: &str, version: usize, settings: &[&str]) -> Vec<u8> {
        let recipients = [self.key.recipient.as_str()];
        let text = self.sops[version].encrypt(&self.dir, name, plain, &recipients, settings);
        self.dir.write(name, &text);
        text
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = ctl(args);
        command
            .arg("-i")
            .arg(&self.key.file)
            .current_dir(self.dir.path());
        command
    }

    fn ctl(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// Both versions of sops find this.
    #[track_caller]
    fn holds(&self, name: &str, plain: &str) {
        for sops in &self.sops {
            let ran = sops.decrypt(&self.dir.join(name), &self.key, &[]).expect(0);
            // 3.9 ends JSON without a line break.
            assert_eq!(ran.text().trim_end(), plain.trim_end(), "{name}");
        }
    }

    /// Lines that differ from `before`, when there are as many; the one with the time left out.
    #[track_caller]
    fn changed_lines(&self, name: &str, before: &[u8]) -> Vec<String> {
        let (old, new) = (lines(before), lines(&self.dir.read_bytes(name)));
        assert_eq!(old.len(), new.len(), "{}", self.dir.read(name));
        let pairs = old.into_iter().zip(new);
        pairs
            // The time has seconds only, and may be the same.
            .filter(|(old, new)| old != new && !new.contains("lastmodified"))
            .map(|(_, new)| new)
            .collect()
    }

    /// Lines of `before` that are gone, and new ones, but for MAC and time.
    fn diff(&self, name: &str, before: &[u8]) -> (Vec<String>, Vec<String>) {
        let (old, new) = (lines(before), lines(&self.dir.read_bytes(name)));
        let without = |lines: &[String], others: &[String]| {
            let renewed = |line: &str| line.contains("mac") || line.contains("lastmodified");
            let fresh = lines
                .iter()
                .filter(|line| !others.contains(line) && !renewed(line));
            fresh.cloned().collect()
        };
        (without(&old, &new), without(&new, &old))
    }
}

fn lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

const YAML: &str = "\
# about all
user: app # inline
db:
    # about the password
    password: old
    port: 5432
hosts:
    # first
    - one
    - one
    - two
text: |
    several
    lines
empty: {}
";

#[test]
fn one_value_changes_and_nothing_else() {
    let Some(files) = Files::new() else { return };
    let cases = [
        ("a.yaml", YAML, "[\"db\"][\"password\"]", "password: "),
        (
            "a.json",
            "{\"a\": {\"b\": \"old\", \"n\": 1}, \"l\": [1, 2]}",
            "[\"a\"][\"b\"]",
            "\"b\": ",
        ),
        ("a.env", "# c\nA=old\n\nB=2\n", "[\"A\"]", "A="),
        (
            "a.ini",
            "top = 1\n; about s\n[s]\n; k\nkey = old\nlonger = x\n",
            "[\"s\"][\"key\"]",
            "key",
        ),
    ];
    for version in [0, 1] {
        for (name, plain, place, line) in cases {
            let before = files.make(name, plain, version, &[]);
            let theirs = files.sops[0].decrypt(&files.dir.join(name), &files.key, &[]);
            let expected = theirs.text().replace("old", MARK);
            files
                .ctl(&["set", name, place, &format!("\"{MARK}\"")])
                .expect(0);
            let changed = files.changed_lines(name, &before);
            assert_eq!(changed.len(), 2, "{name}: {changed:#?}");
            assert!(changed[0].trim_start().starts_with(line), "{changed:#?}");
            assert!(changed.iter().any(|line| line.contains("mac")));
            let found = files.sops[0]
                .decrypt(&files.dir.join(name), &files.key, &[])
                .expect(0);
            assert_eq!(found.text(), expected);
            files.sops[1]
                .decrypt(&files.dir.join(name), &files.key, &[])
                .expect(0);
        }
    }
}

#[test]
fn new_values_come_last_and_keep_their_types() {
    let Some(files) = Files::new() else { return };
    let before = files.make("a.yaml", YAML, 0, &[]);
    for (place, value) in [
        (
            "[\"db\"][\"new\"]",
            "{\"n\": 5, \"f\": 1.5, \"z\": null, \"list\": [true, \"5\"]}",
        ),
        ("[\"hosts\"][3]", "{\"name\": \"three\", \"more\": []}"),
        ("[\"empty\"][\"a\"][0]", "\"x\""),
        ("[\"last\"]", "\"two\\nlines\\n\""),
    ] {
        files.ctl(&["set", "a.yaml", place, value]).expect(0);
    }
    let expected = YAML
        .replace(" # inline", "")
        .replace("user: app", "# inline\nuser: app")
        .replace("    port: 5432\n", "    port: 5432\n    new:\n        \"n\": 5\n        f: 1.5\n        z: null\n        list:\n            - true\n            - \"5\"\n")
        .replace("    - two\n", "    - two\n    - name: three\n      more: []\n")
        .replace("empty: {}\n", "empty:\n    a:\n        - x\nlast: |\n    two\n    lines\n");
    let found = files.sops[0]
        .decrypt(&files.dir.join("a.yaml"), &files.key, &[])
        .expect(0);
    assert_eq!(found.text(), expected);
    files.sops[1]
        .decrypt(&files.dir.join("a.yaml"), &files.key, &[])
        .expect(0);
    let (gone, new) = files.diff("a.yaml", &before);
    assert_eq!(gone, ["empty: {}"]);
    assert!(
        new.iter()
            .any(|line| line.contains("\"n\": ENC[") && line.ends_with("type:int]"))
    );
    assert!(
        new.iter()
            .any(|line| line.contains("f: ENC[") && line.ends_with("type:float]"))
    );

    let before = files.make(
        "a.json",
        "{\n  \"a\": {\"b\": [1]},\n  \"e\": {}\n}\n",
        0,
        &[],
    );
    for (place, value) in [
        ("[\"a\"][\"b\"][1]", "2.0"),
        ("[\"e\"][\"x\"]", "{\"y\": 9007199254740993}"),
        ("[\"new\"]", "[]"),
    ] {
        files.ctl(&["set", "a.json", place, value]).expect(0);
    }
    let found = files.sops[0]
        .decrypt(&files.dir.join("a.json"), &files.key, &[])
        .expect(0);
    assert_eq!(
        found.text(),
        "{\n\t\"a\": {\n\t\t\"b\": [\n\t\t\t1,\n\t\t\t2\n\t\t]\n\t},\n\t\"e\": {\n\t\t\"x\": {\n\t\t\t\"y\": 9007199254740993\n\t\t}\n\t},\n\t\"new\": []\n}\n"
    );
    let (gone, _) = files.diff("a.json", &before);
    assert_eq!(gone.len(), 2, "{gone:#?}");

    files.make("a.ini", "[s]\nlong_name = v\n", 0, &[]);
    files
        .ctl(&["set", "a.ini", "[\"s\"][\"k\"]", "\"a;b\""])
        .expect(0);
    files
        .ctl(&["set", "a.ini", "[\"t\"][\"k\"]", "true"])
        .expect(0);
    files.holds(
        "a.ini",
        "[s]\nlong_name = v\nk         = `a;b`\n\n[t]\nk = true\n",
    );
    files.make("a.env", "A=1\n", 1, &[]);
    files
        .ctl(&["set", "a.env", "[\"B\"]", "\"x\\ny\""])
        .expect(0);
    files.holds("a.env", "A=1\nB=x\\ny\n");
}

#[test]
fn what_cannot_be_set_is_refused_with_a_hint() {
    let Some(files) = Files::new() else { return };
    files.make("a.yaml", YAML, 0, &[]);
    files.make("a.env", "A=1\n", 0, &[]);
    files.make("a.ini", "[s]\nk = v\n", 0, &[]);
    files.make("a.bin", "x", 0, &[]);
    let tree = |files: &Files| {
        ["a.yaml", "a.env", "a.ini", "a.bin"].map(|name| files.dir.read_bytes(name))
    };
    let before = tree(&files);
    for (name, place, value, says) in [
        ("a.yaml", "[\"hosts\"][5]", "1", "3 elements"),
        ("a.yaml", "[\"user\"][\"x\"]", "1", "must be unset first"),
        ("a.yaml", "[\"hosts\"][\"x\"]", "1", "numbers in lists"),
        ("a.yaml", "[\"new\"][1]", "1", "begins with [0]"),
        ("a.yaml", "[\"user\"]", MARK, "is not JSON"),
        (
            "a.yaml",
            "[\"user\"]",
            "123456789012345678901234567890",
            "63 bits",
        ),
        ("a.yaml", "[\"sops\"]", "1", "reserved"),
        ("a.yaml", "user", "1", "not a path"),
        ("a.yaml", "", "1", "whole document"),
        ("a.env", "[\"A\"]", "[1]", "no lists or mappings"),
        ("a.env", "[\"A\"]", "null", "no null"),
        ("a.env", "[\"sops_mac\"]", "1", "reserved"),
        ("a.env", "[\"A\"]", "\"a\\\\nb\"", "edit"),
        ("a.ini", "[\"s\"]", "\"x\"", "section"),
        ("a.bin", "[\"data\"]", "\"x\"", "secretsctl edit"),
        ("missing.yaml", "[\"a\"]", "1", "No such file"),
    ] {
        let ran = files.ctl(&["set", name, place, value]).expect(2);
        assert!(ran.stderr.contains(says), "{ran}");
        assert!(!ran.stderr.contains(MARK), "{ran}");
    }
    assert!(tree(&files) == before);
    for args in [
        &["set", "a.yaml", "[\"a\"]"][..],
        &["set", "a.yaml", "[\"a\"]", "1", "--value-stdin"],
        &["set", "a.yaml", "[\"a\"]", "--value-stdin", "--value-file"],
    ] {
        files.ctl(args).expect(2);
    }
}

#[test]
fn the_value_comes_from_a_file_or_from_stdin_too() {
    let Some(files) = Files::new() else { return };
    files.make("a.env", "A=1\nB=2\n", 0, &[]);
    files.dir.write("value", "\"from a file\"\n");
    files
        .ctl(&["set", "--value-file", "a.env", "[\"A\"]", "value"])
        .expect(0);
    let mut command = files.command(&["-v", "set", "a.env", "[\"B\"]", "--value-stdin"]);
    let ran = run_with_input(&mut command, format!("\"{MARK}\"").as_bytes()).expect(0);
    assert!(ran.stdout.is_empty() && !ran.stderr.contains(MARK), "{ran}");
    files.holds("a.env", &format!("A=from a file\nB={MARK}\n"));
    let mut command = files.command(&["set", "a.env", "[\"B\"]", "--value-stdin"]);
    let ran = run_with_input(&mut command, format!("{{\"{MARK}\": ").as_bytes()).expect(2);
    assert!(!ran.stderr.contains(MARK), "{ran}");
}

#[test]
fn unset_takes_a_key_and_leaves_the_comments() {
    let Some(files) = Files::new() else { return };
    let before = files.make("a.yaml", YAML, 0, &[]);
    for place in [
        "[\"user\"]",
        "[\"db\"][\"password\"]",
        "[\"hosts\"][0]",
        "[\"text\"]",
        "[\"empty\"]",
    ] {
        files.ctl(&["unset", "a.yaml", place]).expect(0);
    }
    files.holds(
        "a.yaml",
        "# about all\n# inline\ndb:\n    # about the password\n    port: 5432\nhosts:\n    # first\n    - one\n    - two\n",
    );
    let (gone, new) = files.diff("a.yaml", &before);
    // The comment behind the value is on a line of its own now, with the text that it had.
    assert_eq!((gone.len(), new.len()), (5, 1), "{gone:#?}{new:#?}");
    assert!(gone[0].ends_with(&new[0]));

    files
        .ctl(&["unset", "a.yaml", "[\"db\"][\"port\"]"])
        .expect(0);
    let ran = files
        .ctl(&["decrypt", "a.yaml", "--extract", "[\"db\"]"])
        .expect(0);
    assert_eq!(ran.text(), "{}\n");
    let now = files.dir.read_bytes("a.yaml");
    let ran = files
        .ctl(&["unset", "a.yaml", "[\"db\"][\"port\"]"])
        .expect(2);
    assert!(
        ran.stderr.contains("nothing at [\"db\"][\"port\"]") && ran.stderr.contains("--idempotent")
    );
    files
        .ctl(&["unset", "--idempotent", "a.yaml", "[\"db\"][\"port\"]"])
        .expect(0);
    assert!(files.dir.read_bytes("a.yaml") == now);

    files.make(
        "a.ini",
        "[s]\n; about k\nk = v\nl = w\n[t]\nx = y\n",
        0,
        &[],
    );
    files.ctl(&["unset", "a.ini", "[\"s\"][\"k\"]"]).expect(0);
    files.ctl(&["unset", "a.ini", "[\"t\"]"]).expect(0);
    files.holds("a.ini", "[s]\nl = w\n");
    files.make("a.env", "# about A\nA=1\nB=2\n", 0, &[]);
    files.ctl(&["unset", "a.env", "[\"A\"]"]).expect(0);
    files.holds("a.env", "# about A\nB=2\n");
}

#[test]
fn the_same_value_is_written_unless_idempotent() {
    let Some(files) = Files::new() else { return };
    let before = files.make("a.yaml", YAML, 0, &[]);
    files
        .ctl(&["set", "--idempotent", "a.yaml", "[\"user\"]", "\"app\""])
        .expect(0);
    assert!(files.dir.read_bytes("a.yaml") == before);
    // As sops does: another MAC, and the text of the value stays.
    files
        .ctl(&["set", "a.yaml", "[\"user\"]", "\"app\""])
        .expect(0);
    assert!(files.dir.read_bytes("a.yaml") != before);
    let changed = files.changed_lines("a.yaml", &before);
    assert!(
        changed
            .iter()
            .all(|line| line.contains("mac") || line.contains("lastmodified"))
    );
}

#[test]
fn what_is_encrypted_is_for_the_settings_of_the_file() {
    let Some(files) = Files::new() else { return };
    let settings = ["--encrypted-regex", "^secret", "--mac-only-encrypted"];
    files.make("a.yaml", "# note\nclear: 1\nsecret: x\n", 0, &settings[..2]);
    files
        .ctl(&["set", "a.yaml", "[\"clear\"]", "\"seen\""])
        .expect(0);
    files
        .ctl(&["set", "a.yaml", "[\"more\"][\"secret2\"]", "\"hidden\""])
        .expect(0);
    let text = files.dir.read("a.yaml");
    assert!(
        text.starts_with("# note\nclear: seen\nsecret: ENC["),
        "{text}"
    );
    assert!(text.contains("more:\n    secret2: ENC["), "{text}");
    files.holds(
        "a.yaml",
        "# note\nclear: seen\nsecret: x\nmore:\n    secret2: hidden\n",
    );
}

#[test]
fn every_document_of_a_file_gets_the_new_mac() {
    let Some(files) = Files::new() else { return };
    let before = files.make("a.yaml", "a: 1\n---\nb: 2\n# end\n", 0, &[]);
    files.ctl(&["set", "a.yaml", "[\"a\"]", "3"]).expect(0);
    assert_eq!(files.changed_lines("a.yaml", &before).len(), 3);
    files.holds("a.yaml", "a: 3\n---\nb: 2\n# end\n");
}

#[test]
fn the_file_keeps_what_it_is() {
    let Some(files) = Files::new() else { return };
    let before = files.make("a.env", "A=1\n", 0, &[]);
    let file = files.dir.join("a.env");
    files.dir.chmod("a.env", 0o440);
    symlink("a.env", files.dir.join("link.env")).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    let has_attribute = rustix::fs::setxattr(&file, "user.note", b"kept", flags).is_ok();
    files.ctl(&["set", "link.env", "[\"A\"]", "2"]).expect(0);
    assert_eq!(files.dir.mode("a.env"), 0o440);
    assert!(
        files
            .dir
            .join("link.env")
            .symlink_metadata()
            .unwrap()
            .is_symlink()
    );
    if has_attribute {
        let mut value = [0; 4];
        rustix::fs::getxattr(&file, "user.note", &mut value).unwrap();
        assert_eq!(&value, b"kept");
    } else {
        not_run("the_file_keeps_what_it_is", "no extended attributes here");
    }
    files.holds("a.env", "A=2\n");

    // What does not belong together is not touched: another name, a wrong MAC.
    fs::hard_link(&file, files.dir.join("other.env")).unwrap();
    let ran = files.ctl(&["set", "a.env", "[\"A\"]", "3"]).expect(2);
    assert!(ran.stderr.contains("hard link"), "{ran}");
    let broken = String::from_utf8(before).unwrap().replace("A=", "B=");
    files.dir.write("broken.env", &broken);
    files.ctl(&["set", "broken.env", "[\"A\"]", "3"]).expect(2);
    assert_eq!(files.dir.read("broken.env"), broken);
    let names: Vec<_> = files
        .dir
        .tree()
        .into_iter()
        .filter(|name| name.contains("tmp"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn no_change_of_many_at_once_is_lost() {
    let Some(files) = Files::new() else { return };
    files.make("a.env", "A=1\n", 0, &[]);
    let start = |number: usize| {
        let place = format!("[\"K{number}\"]");
        let mut command = files.command(&["set", "a.env", &place, "1"]);
        command.stderr(Stdio::inherit()).spawn().unwrap()
    };
    let children: Vec<_> = (0..12).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let plain = files.ctl(&["decrypt", "a.env"]).expect(0);
    assert_eq!(plain.text().lines().count(), 13, "{plain}");
}

/// The list of exposed values closes an entry when its value changes, and only then.
#[test]
fn a_new_value_is_exposed_no_more() {
    let Some(files) = Files::new() else { return };
    let other = AgeKey::generate(&files.dir, "other");
    let rules = |recipients: &str| {
        files.dir.write(
            "repo/.sops.yaml",
            format!("creation_rules:\n  - age: {recipients}\n"),
        );
    };
    let (one, two) = (&files.key.recipient, &other.recipient);
    let plain = "a: x\nb: y\nlist:\n  - p\n  - q\n";
    let text = files.sops[0].encrypt(&files.dir, "s.yaml", plain, &[one, two], &[]);
    files.dir.write("repo/s.yaml", text);
    rules(one);
    let in_repository = |args: &[&str]| {
        let mut command = ctl(args);
        let command = command
            .arg("-i")
            .arg(&files.key.file)
            .env("XDG_STATE_HOME", files.dir.join("state"))
            .current_dir(files.dir.join("repo"));
        run(command)
    };
    in_repository(&["rekey", "--yes"]).expect(0);
    let open = || in_repository(&["--json", "exposed"]).json()["exposed"][0]["keys"].to_string();
    assert_eq!(open().matches("[\\\"").count(), 4);
    in_repository(&["set", "s.yaml", "[\"a\"]", "\"new\""]).expect(0);
    in_repository(&["unset", "s.yaml", "[\"list\"][0]"]).expect(0);
    in_repository(&["set", "s.yaml", "[\"b\"]", "\"y\""]).expect(0);
    let open = open();
    assert!(
        !open.contains("[\\\"a\\\"]") && open.contains("[\\\"b\\\"]"),
        "{open}"
    );
    assert!(open.contains("[\\\"list\\\"][0]"), "{open}");
}

/// A file that a person wrote by hand before it was encrypted keeps its layout.
#[test]
fn the_layout_of_a_file_stays() {
    let Some(files) = Files::new() else { return };
    let plain = "# head\n\nuser:   \"app\"   # who\nflow: {a: 1, 'b': [x, y]}\n\nlist:\n- one\n-   two\n\n# end\n";
    files.dir.write("plain.yaml", plain);
    let encrypted = files
        .ctl(&["encrypt", "--age", &files.key.recipient, "plain.yaml"])
        .expect(0);
    files.dir.write("a.yaml", &encrypted.stdout);
    for (place, value) in [
        ("[\"flow\"][\"b\"][2]", "\"z\""),
        ("[\"flow\"][\"c\"]", "{\"d\": \"a, b\"}"),
        ("[\"list\"][2]", "3"),
        ("[\"user\"]", "\"root\""),
    ] {
        files.ctl(&["set", "a.yaml", place, value]).expect(0);
    }
    files
        .ctl(&["unset", "a.yaml", "[\"flow\"][\"a\"]"])
        .expect(0);
    let ran = files.ctl(&["decrypt", "a.yaml"]).expect(0);
    assert_eq!(
        ran.text(),
        "# head\n\nuser:   root   # who\nflow: {'b': [x, \"y\", z], c: {d: 'a, b'}}\n\nlist:\n- one\n-   two\n- 3\n\n# end\n"
    );
    let inode = |name: &str| files.dir.join(name).metadata().unwrap().ino();
    let before = inode("a.yaml");
    files
        .ctl(&["set", "--idempotent", "a.yaml", "[\"list\"][2]", "3"])
        .expect(0);
    assert_eq!(inode("a.yaml"), before);
}

#[test]
fn what_an_alias_stands_for_does_not_change_unseen() {
    let Some(files) = Files::new() else { return };
    files.dir.write(
        "plain.yaml",
        "b_unencrypted: &b\n  x: 1\nc_unencrypted: *b\nm_unencrypted:\n  <<: *b\n  z: 3\nsecret: q\n",
    );
    let ran = files
        .ctl(&["encrypt", "--age", &files.key.recipient, "plain.yaml"])
        .expect(0);
    files.dir.write("a.yaml", &ran.stdout);
    for place in ["[\"c_unencrypted\"][\"x\"]", "[\"b_unencrypted\"][\"x\"]"] {
        let ran = files.ctl(&["set", "a.yaml", place, "5"]).expect(2);
        assert!(ran.stderr.contains("secretsctl edit"), "{ran}");
    }
    files
        .ctl(&["unset", "a.yaml", "[\"b_unencrypted\"]"])
        .expect(2);
    assert!(files.dir.read_bytes("a.yaml") == ran.stdout);
    files
        .ctl(&["set", "a.yaml", "[\"c_unencrypted\"]", "\"own\""])
        .expect(0);
    files
        .ctl(&["set", "a.yaml", "[\"m_unencrypted\"][\"x\"]", "4"])
        .expect(0);
    let ran = files.ctl(&["decrypt", "a.yaml"]).expect(0);
    assert_eq!(
        ran.text(),
        "b_unencrypted: &b\n  x: 1\nc_unencrypted: own\nm_unencrypted:\n  <<: *b\n  z: 3\n  x: 4\nsecret: q\n"
    );
}
