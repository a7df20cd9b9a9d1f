//! `secretsctl access`: who can read what. Files are made by real sops.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use serde_json::{Value, json};

use crate::support::{Dir, Ran, Sops, ctl, is_root, run};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
const B: &str = "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs";
const SSH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

fn access(dir: &Dir, args: &[&str]) -> Ran {
    run(ctl(["access"]).args(args).current_dir(dir.path()))
}

fn json_of(dir: &Dir, args: &[&str]) -> Value {
    let mut command = ctl(["--json", "access"]);
    let ran = run(command.args(args).current_dir(dir.path())).expect(0);
    assert!(ran.stderr.is_empty(), "{ran}");
    ran.json()
}

fn encrypt(sops: &Sops, dir: &Dir, path: impl AsRef<OsStr>) {
    let path = path.as_ref();
    dir.write(path, "a: b\n");
    let mut command = sops.command(["encrypt", "--in-place"]);
    run(command.arg(path).current_dir(dir.path())).expect(0);
}

fn rules(one: &str, groups: &str) -> String {
    format!(
        "keys:
  - &alice {A}
  - &bob {B} # the one with the beard
  - &web1 {SSH} root@web1
creation_rules:
  - path_regex: ^one/
    key_groups: [age: {one}]
  - path_regex: ^groups/
    {groups}
  - path_regex: ^never/
    age: age1nothing
"
    )
}

const TWO_OF_THREE: &str =
    "{shamir_threshold: 2, key_groups: [age: [*alice], age: [*alice, *bob], age: [*web1]]}";

/// In `repository` files of every kind obey their rules; then the rules change.
fn repository(sops: &Sops) -> Dir {
    let dir = Dir::new();
    let groups = |text: &str| {
        text.trim_matches(['{', '}'])
            .replace(", key_groups", "\n    key_groups")
    };
    dir.write(".sops.yaml", rules("[*alice, *bob]", &groups(TWO_OF_THREE)));
    for path in ["one/a.yaml", "one/sub/b.json", "one/c.txt", "groups/g.yaml"] {
        let content = if path.ends_with("json") {
            "{}\n"
        } else {
            "a: b\n"
        };
        dir.write(path, content);
        let mut command = sops.command(["encrypt", "--in-place", path]);
        run(command.current_dir(dir.path())).expect(0);
    }
    dir.write("README.md", "ENC[AES256_GCM,data: is how it begins\n");
    dir.write("one/plain.yaml", "a: b\n");
    dir.write("elsewhere.yaml", dir.read("one/a.yaml"));
    dir.write("nested/.sops.yaml", "creation_rules: []\n");
    dir.write("nested/a.yaml", dir.read("one/a.yaml"));
    dir
}

#[test]
fn files_that_obey() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = repository(&sops);
    let all = json_of(&dir, &[]);
    assert_eq!(
        all[3],
        json!({
            "path": "one/c.txt",
            "recipients": [A, B],
            "by_rules": [A, B],
            "add": [],
            "remove": [],
            "rule": {"index": 0, "line": 6},
            "names": {A: "alice", B: "bob"},
        })
    );
    let ssh = format!("{SSH} root@web1");
    assert_eq!(
        all[1],
        json!({
            "path": "groups/g.yaml",
            "recipients": [A, B, ssh],
            "by_rules": [A, B, ssh],
            "add": [],
            "remove": [],
            "rule": {"index": 1, "line": 8},
            "key_groups": [[A], [A, B], [ssh]],
            "shamir_threshold": 2,
            "key_groups_by_rules": [[A], [A, B], [ssh]],
            "shamir_threshold_by_rules": 2,
            "names": {A: "alice", B: "bob", ssh.as_str(): "web1"},
        })
    );
    assert_eq!(all[0]["path"], "elsewhere.yaml");
    assert_eq!(all[0]["rule"], Value::Null);
    assert_eq!(all[0]["by_rules"], json!([]));
    assert_eq!(all[0]["remove"], json!([]));
    assert_eq!(all.as_array().unwrap().len(), 5);

    assert_eq!(
        access(&dir, &[]).expect(0).text(),
        "\
elsewhere.yaml  alice  bob  (no rule)
groups/g.yaml   [alice]  [alice  bob]  [web1]  2 of 3 groups needed
one/a.yaml      alice  bob
one/c.txt       alice  bob
one/sub/b.json  alice  bob
5 encrypted files
"
    );
    // One who is in two groups needs nobody else.
    assert_eq!(
        access(&dir, &["--by", "recipient"]).expect(0).text(),
        format!(
            "\
alice  {A}
  elsewhere.yaml  (no rule)
  groups/g.yaml
  one/a.yaml
  one/c.txt
  one/sub/b.json

bob  {B}
  elsewhere.yaml  (no rule)
  groups/g.yaml  1 of 2 groups
  one/a.yaml
  one/c.txt
  one/sub/b.json

web1  {SSH} root@web1
  groups/g.yaml  1 of 2 groups

5 encrypted files
"
        )
    );
    let ran = access(&dir, &["-v"]).expect(0);
    assert!(ran.stderr.contains("has a .sops.yaml of its own"), "{ran}");
    // From anywhere in the repository, and the answer is about all of it.
    let below = run(ctl(["--json", "access"]).current_dir(dir.join("one/sub"))).expect(0);
    assert_eq!(below.json(), all);
}

#[test]
fn files_that_differ() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = repository(&sops);
    dir.write(
        ".sops.yaml",
        rules(
            &format!("['{SSH} new comment', *alice]"),
            "key_groups: [age: [*alice], age: [*bob, *alice], age: [*web1]]",
        ),
    );
    fs::remove_file(dir.join("elsewhere.yaml")).unwrap();
    let all = json_of(&dir, &["--by", "file"]);
    assert_eq!(all[1]["path"], "one/a.yaml");
    assert_eq!(all[1]["recipients"], json!([A, B]));
    assert_eq!(all[1]["by_rules"], json!([format!("{SSH} new comment"), A]));
    assert_eq!(all[1]["add"], json!([format!("{SSH} new comment")]));
    assert_eq!(all[1]["remove"], json!([B]));
    assert_eq!(all[0]["shamir_threshold"], 2);
    assert_eq!(all[0]["shamir_threshold_by_rules"], 3);
    assert_eq!(
        access(&dir, &[]).expect(0).text(),
        "\
groups/g.yaml   [alice]  [alice  bob]  [web1]  2 of 3 groups needed  (by the rule 3 of 3 groups needed)
one/a.yaml      alice  -bob  +web1
one/c.txt       alice  -bob  +web1
one/sub/b.json  alice  -bob  +web1
4 encrypted files, 4 differ from the rules: + would gain access, - would lose it
"
    );
    let ran = access(&dir, &["web1", "--color", "always"]).expect(0);
    assert!(
        ran.text().contains("\x1b[32m+ one/a.yaml\x1b[0m\n"),
        "{ran}"
    );
    assert!(
        ran.text()
            .contains("  groups/g.yaml  1 of 2 groups  \x1b[33m(by the rule"),
        "{ran}"
    );
    assert_eq!(
        access(&dir, &["--csv", "--by", "recipient", "bob"])
            .expect(0)
            .text(),
        format!(
            "path,recipient,name,file,rules,groups\r\n\
             groups/g.yaml,{B},bob,yes,yes,1 of 2\r\n\
             one/a.yaml,{B},bob,yes,no,\r\n\
             one/c.txt,{B},bob,yes,no,\r\n\
             one/sub/b.json,{B},bob,yes,no,\r\n"
        )
    );
}

#[test]
fn whom_one_can_ask_for() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = repository(&sops);
    let paths = |args: &[&str]| -> Vec<String> {
        let all = json_of(&dir, args);
        let all = all.as_array().unwrap().iter();
        all.map(|file| file["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let web1 = ["groups/g.yaml"];
    for asked in ["web1", SSH, &format!("{SSH} of another name"), "root@web1"] {
        assert_eq!(paths(&[asked]), web1, "{asked}");
    }
    assert_eq!(paths(&[B]).len(), 5);
    assert_eq!(paths(&["the one with the beard"]).len(), 5);
    assert_eq!(paths(&["web1", "alice"]).len(), 5);
    // The private key of SSH opens also what is for the key that ssh-to-age makes of it.
    let derived = "age184gqqn5w5npe5tuwxt5wpflne93d2jqkqt7sm9vjntg8dex2neasnl4ydv";
    let text = dir.read(".sops.yaml");
    let with_derived = text.replace("age: age1nothing", &format!("age: {derived}"));
    dir.write(".sops.yaml", with_derived);
    encrypt(&sops, &dir, "never/x.yaml");
    for asked in ["web1", SSH] {
        assert_eq!(paths(&[asked]), ["groups/g.yaml", "never/x.yaml"]);
    }
    assert_eq!(paths(&[derived]), ["never/x.yaml"]);

    // Written down, and used by nobody.
    let text = dir.read(".sops.yaml");
    let other = "age1c77ycdp5wy8lmx7xjw5v8yzrmlf09tuppx5zhrfljfaqgv9f3gcqj4y5g3";
    dir.write(
        ".sops.yaml",
        text.replace(
            "creation_rules",
            &format!("  - &old {other}\ncreation_rules"),
        ),
    );
    let ran = access(&dir, &["old"]).expect(0);
    assert_eq!(
        ran.text(),
        format!("old  {other}\n  nothing\n\n0 encrypted files\n")
    );

    for (asked, hint) in [
        ("bbo", "did you mean bob?"),
        ("age1unknown", "--by recipient lists all"),
        ("", "--by recipient lists all"),
        ("\x1b[31m", "--by recipient lists all"),
    ] {
        let ran = access(&dir, &["alice", asked]).expect(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(hint), "{ran}");
        assert!(!ran.stderr.contains('\x1b'), "{ran}");
    }
    let secret = "AGE-SECRET-KEY-1CANARY";
    let ran = access(&dir, &[secret]).expect(2);
    assert!(!ran.stderr.contains("CANARY"), "{ran}");
    let ran = access(&dir, &["--csv", "--json"]).expect(2);
    assert!(ran.stdout.is_empty(), "{ran}");
}

/// The metadata of a file name the address of a Vault key only.
#[test]
fn keys_of_clouds() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let rules = |more: &str| format!("creation_rules:\n  - age: {A} # alice\n{more}");
    dir.write(".sops.yaml", rules(""));
    encrypt(&sops, &dir, "a.yaml");
    let vault = "https://vault.example/v1/sops/keys/one";
    let entry = "    hc_vault:
        - vault_address: https://vault.example
          engine_path: sops
          key_name: one
          created_at: \"2026-01-01T00:00:00Z\"
          enc: vault:v1:AAAA
";
    let text = dir
        .read("a.yaml")
        .replace("sops:\n", &format!("sops:\n{entry}"));
    dir.write("a.yaml", text);
    dir.write(
        ".sops.yaml",
        rules(&format!("    hc_vault_transit_uri: {vault} # the vault\n")),
    );
    assert_eq!(
        access(&dir, &[]).expect(0).text(),
        "a.yaml  alice  the vault\n1 encrypted file\n"
    );
    for asked in [vault, "https://vault.example", "the vault"] {
        let ran = access(&dir, &[asked]).expect(0);
        assert!(
            ran.text().starts_with("the vault  https://vault.example"),
            "{ran}"
        );
        assert!(ran.text().contains("\n  a.yaml\n"), "{ran}");
    }
}

#[test]
fn without_rules_or_files() {
    let dir = Dir::new();
    let ran = access(&dir, &[]).expect(2);
    assert!(ran.stdout.is_empty(), "{ran}");
    dir.write(".sops.yml", "creation_rules: []\n");
    assert!(
        access(&dir, &[])
            .expect(2)
            .stderr
            .contains("rename the file")
    );
    for nothing in ["", "creation_rules:\n"] {
        dir.write(".sops.yaml", nothing);
        access(&dir, &[]).expect(2);
    }
    dir.write(".sops.yaml", "creation_rules: []\n");
    assert_eq!(json_of(&dir, &[]), json!([]));
    assert_eq!(access(&dir, &[]).expect(0).text(), "0 encrypted files\n");
    let ran = access(&dir, &["--by", "recipient"]).expect(0);
    assert_eq!(ran.text(), "0 encrypted files\n");
    assert_eq!(
        access(&dir, &["--csv"]).expect(0).text(),
        "path,recipient,name,file,rules,groups\r\n"
    );
}

/// What cannot be read or worked out is said, and the rest is there.
#[test]
fn what_cannot_be_told() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = repository(&sops);
    let encrypted = dir.read("one/a.yaml");
    dir.write("one/cut.yaml", encrypted.split("sops:").next().unwrap());
    dir.write("never/a.yaml", &encrypted);
    dir.write("never/b.yaml", &encrypted);
    dir.write("one/denied.yaml", &encrypted);
    dir.chmod("one/denied.yaml", 0o000);
    let ran = run(ctl(["--json", "access"]).current_dir(dir.path())).expect(1);
    let all = ran.json();
    let all = all.as_array().unwrap();
    let never: Vec<_> = all
        .iter()
        .filter(|file| file["path"].as_str().unwrap().starts_with("never/"))
        .collect();
    assert_eq!(never.len(), 2);
    assert_eq!(never[0]["error"]["code"], "invalid-recipient");
    assert_eq!(never[0]["recipients"], json!([A, B]));
    assert_eq!(never[0]["by_rules"], json!([]));
    // The rule is told of once, each file once.
    let told = 2 + usize::from(!is_root());
    assert_eq!(ran.stderr.lines().count(), told, "{ran}");
    assert!(ran.stderr.contains("one/cut.yaml"), "{ran}");
    let ran = access(&dir, &[]).expect(1);
    assert!(
        ran.text()
            .contains("never/a.yaml     alice  bob  (its rule is in error)\n"),
        "{ran}"
    );
    assert!(ran.stderr.contains(".sops.yaml:12"), "{ran}");
    let ran = access(&dir, &["--csv"]).expect(1);
    assert!(
        ran.text()
            .contains(&format!("never/a.yaml,{A},alice,yes,error,\r\n")),
        "{ran}"
    );
}

#[test]
fn hostile_names() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("creation_rules:\n  - age:\n      - {A} # @cmd|'/c calc'!A1\n      - {B} # a,b \"c\" \u{202e}d\n"),
    );
    for name in [
        &b"a\nb.yaml"[..],
        b"a,b.yaml",
        b"\x1b[31m.yaml",
        b"=1+1.yaml",
        b"\xff.yaml",
    ] {
        encrypt(&sops, &dir, OsStr::from_bytes(name));
    }
    for args in [&[][..], &["--by", "recipient"], &["--csv"]] {
        let ran = access(&dir, args).expect(0);
        let text = ran.text();
        assert!(!text.contains(['\x1b', '\u{202e}']), "{ran}");
        for shown in ["a\\nb.yaml", "\\u{1b}[31m.yaml", "\\xff.yaml"] {
            assert!(text.contains(shown), "{ran}");
        }
    }
    let ran = access(&dir, &["--csv"]).expect(0);
    let lines: Vec<_> = ran.text().split("\r\n").collect();
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[11], "");
    assert!(
        lines.contains(&format!("'=1+1.yaml,{A},'@cmd|'/c calc'!A1,yes,yes,").as_str()),
        "{ran}"
    );
    assert!(
        lines.contains(
            &format!("\"a,b.yaml\",{B},\"a,b \"\"c\"\" \\u{{202e}}d\",yes,yes,").as_str()
        ),
        "{ran}"
    );
    let all = json_of(&dir, &[]);
    let file = all
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file.get("path_base64").is_some())
        .unwrap();
    assert_eq!(file["path"], "\u{fffd}.yaml");
    assert_eq!(file["path_base64"], "/y55YW1s");
}
