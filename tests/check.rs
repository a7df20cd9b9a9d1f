//! `secretsctl check`: the order of rules, their reading, and every file beside its rule. Files are made by real sops.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::support::{AgeKey, Dir, Ran, Sops, age_identity, ctl, run};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
const B: &str = "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs";

fn check(dir: &Dir, args: &[&str]) -> Ran {
    run(ctl(["--json", "check"]).args(args).current_dir(dir.path()))
}

/// Severity, code, file and line of every finding but the note that there is no catch-all.
fn found(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|finding| finding["code"] != "no-catch-all")
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            format!(
                "{} {} {}:{}",
                text("severity"),
                text("code"),
                text("file"),
                finding["line"]
            )
        })
        .collect()
}

fn with_rules(rules: &str) -> Dir {
    let dir = Dir::new();
    dir.write(".sops.yaml", rules);
    dir
}

#[test]
fn order_with_witnesses_and_places() {
    let dir = with_rules(&format!(
        "creation_rules:
  - path_regex: ^secrets/.*\\.yaml$
    age: {A}
  - path_regex: ^secrets/prod/
    age: {B}
  - path_regex: ^secrets/prod/db\\.yaml$
    age: [{A}, {B}]
"
    ));
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(
        found(&ran),
        [
            "warning overlapping-rules .sops.yaml:4",
            "error unreachable-rule .sops.yaml:6"
        ]
    );
    let report = ran.json();
    let finding = |code: &str| -> Value {
        let findings = report["findings"].as_array().unwrap();
        findings
            .iter()
            .find(|finding| finding["code"] == code)
            .cloned()
            .unwrap()
    };
    let overlap = finding("overlapping-rules");
    assert_eq!(overlap["witness"], "secrets/prod/a.yaml");
    assert_eq!(overlap["related"][0]["line"], 2);
    assert_eq!(finding("unreachable-rule")["related"][0]["line"], 2);
    assert_eq!(report["rules"], 3);

    // A file that exists shows it better.
    dir.write("secrets/prod/web.yaml", "");
    let ran = check(&dir, &[]).expect(1);
    assert!(ran.text().contains("secrets/prod/web.yaml"), "{ran}");
}

#[test]
fn severity_decides_the_exit_code() {
    let overlap = format!(
        "creation_rules: [{{path_regex: ^a/.*x, age: {A}}}, {{path_regex: ^a/y, age: {B}}}]\n"
    );
    let dir = with_rules(&overlap);
    check(&dir, &[]).expect(0);
    check(&dir, &["--deny", "warnings"]).expect(1);
    let fallback = format!("creation_rules: [{{path_regex: ^a/, age: {A}}}, {{age: {B}}}]\n");
    dir.write(".sops.yaml", fallback);
    let ran = check(&dir, &["--deny", "warnings"]).expect(0);
    assert_eq!(found(&ran), ["note overlapping-rules .sops.yaml:1"]);
}

#[test]
fn what_sops_reads_otherwise_than_it_was_meant() {
    let dir = with_rules(&format!(
        "creation_rule: []
creation_rules:
  - path_regexp: ^a/
    age: {A}
  -
  - path_regex: ^/etc/
    age: {B}
# {}
",
        age_identity()
    ));
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(
        found(&ran),
        [
            "warning unknown-key .sops.yaml:1",
            "error unknown-key .sops.yaml:3",
            "error catch-all-not-last .sops.yaml:3",
            "error dropped-rule .sops.yaml:5",
            "error rule-matches-nothing .sops.yaml:6",
            "warning absolute-pattern .sops.yaml:6",
            "error private-key-in-rules .sops.yaml:8",
        ]
    );
    let human = run(ctl(["check"]).current_dir(dir.path())).expect(1);
    for text in [ran.text(), human.text()] {
        assert!(!text.contains("QQQQ"), "{text}");
    }

    dir.write(
        ".sops.yaml",
        format!("creation_rules:\n  - age: {A}\n    age: {B}\n"),
    );
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(found(&ran), ["error duplicate-key .sops.yaml:3"]);
}

#[test]
fn rules_that_cannot_be_read() {
    let dir = Dir::new();
    let ran = check(&dir, &[]).expect(2);
    assert!(ran.stdout.is_empty(), "{ran}");
    dir.write(".sops.yml", "creation_rules: []\n");
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(found(&ran), ["error wrong-file-name .sops.yml:1"]);
    dir.write(".sops.yaml", "creation_rules: [\n");
    let ran = check(&dir, &[]).expect(2);
    assert!(ran.stderr.contains("\"line\":"), "{ran}");
    for empty in ["", "creation_rules:\n"] {
        dir.write(".sops.yaml", empty);
        check(&dir, &[]).expect(2);
    }
}

#[test]
fn files_beside_their_rules() {
    let Some(sops) = Sops::both() else { return };
    for sops in sops {
        let dir = Dir::new();
        let key = AgeKey::generate(&dir, "keys/identity.txt");
        let other = AgeKey::generate(&dir, "keys/other.txt");
        fs::remove_dir_all(dir.join("keys")).unwrap();
        let rules = |all: &str| {
            format!(
                "creation_rules:
  - path_regex: ^secrets/part
    age: {0}
    encrypted_regex: ^password$
  - path_regex: ^secrets/
    age: {all}
",
                key.recipient
            )
        };
        dir.write(".sops.yaml", rules(&key.recipient));
        let encrypt = |path: &str, content: &str| {
            dir.write(path, content);
            let mut command = sops.command(["encrypt", "--in-place", path]);
            run(command.current_dir(dir.path())).expect(0);
        };
        encrypt("secrets/a.yaml", "a: 1\nlist: [x, y]\n# words\nb: two\n");
        encrypt("secrets/b.json", "{\"a\": 1}\n");
        encrypt("secrets/c.env", "A=1\n");
        encrypt("secrets/d.ini", "[a]\nb = c\n");
        encrypt("secrets/e.txt", "binary\n");
        encrypt("secrets/part.yaml", "user: a\npassword: b\n");
        let ran = check(&dir, &[]).expect(0);
        assert_eq!(found(&ran), ["note overlapping-rules .sops.yaml:5"]);
        assert_eq!(ran.json()["files"], 6);

        // Somebody joins: every file of that rule drifts, and says who gains.
        dir.write(
            ".sops.yaml",
            rules(&format!("[{}, {}]", other.recipient, key.recipient)),
        );
        let ran = check(&dir, &[]).expect(1);
        let drifting: Vec<_> = found(&ran)
            .into_iter()
            .filter(|finding| finding.starts_with("error drift"))
            .collect();
        assert_eq!(drifting.len(), 5, "{ran}");
        assert!(
            ran.text()
                .contains(&format!("would gain access: {}", other.recipient)),
            "{ran}"
        );

        // Another choice of what is encrypted drifts, too; a binary file has none.
        let narrow = rules(&key.recipient).replace(
            "path_regex: ^secrets/\n",
            "path_regex: ^secrets/\n    encrypted_regex: ^x$\n",
        );
        dir.write(".sops.yaml", narrow);
        let ran = check(&dir, &[]).expect(1);
        assert_eq!(ran.text().matches("\"code\":\"drift\"").count(), 4, "{ran}");
        dir.write(".sops.yaml", rules(&key.recipient));

        // Damage, plaintext, copies.
        let part = dir.read("secrets/part.yaml");
        let clear = part
            .lines()
            .map(|line| match line.starts_with("password:") {
                true => "password: hunter2-canary".to_owned(),
                false => line.to_owned(),
            });
        let clear: Vec<_> = clear.collect();
        dir.write("secrets/part.yaml", clear.join("\n"));
        dir.write("secrets/clear.yaml", "a: b\n");
        let a = dir.read("secrets/a.yaml");
        dir.write("secrets/cut.yaml", a.split("sops:").next().unwrap());
        dir.write("README.md", "about keys: -----BEGIN PRIVATE KEY-----\n");
        fs::copy(dir.join("secrets/a.yaml"), dir.join("secrets/copy.yaml")).unwrap();
        fs::copy(dir.join("secrets/a.yaml"), dir.join("elsewhere.yaml")).unwrap();
        let json = dir.read("secrets/b.json");
        dir.write(
            "secrets/b.json",
            format!("<<<<<<< ours\n{json}\n=======\n>>>>>>> theirs\n"),
        );
        let a = dir.read("secrets/c.env");
        let without: Vec<_> = a
            .lines()
            .filter(|line| !line.starts_with("sops_mac="))
            .collect();
        dir.write("secrets/c.env", without.join("\n") + "\n");
        let d = dir
            .read("secrets/d.ini")
            .replace("lastmodified", "lastmodifie")
            + "; lastmodified\n";
        dir.write("secrets/d.ini", d);
        let identity = age_identity() + "\n";
        dir.write("notes/identity.txt", identity);
        let ran = check(&dir, &[]).expect(1);
        let mut findings = found(&ran);
        findings.retain(|finding| !finding.contains("overlapping"));
        assert_eq!(
            findings,
            [
                "error no-rule elsewhere.yaml:1",
                "error unencrypted-key-material notes/identity.txt:1",
                "warning duplicate-data-key secrets/a.yaml:1",
                "error merge-conflict secrets/b.json:1",
                "error mac-missing secrets/c.env:1",
                "error plaintext-file secrets/clear.yaml:1",
                "warning duplicate-data-key secrets/copy.yaml:1",
                "error broken-metadata secrets/cut.yaml:1",
                "error broken-metadata secrets/d.ini:4",
                "error plaintext-value secrets/part.yaml:2",
            ],
            "{ran}"
        );
        let human = run(ctl(["check"]).current_dir(dir.path())).expect(1);
        let github = run(ctl(["check", "--format", "github"]).current_dir(dir.path())).expect(1);
        assert!(
            github
                .text()
                .contains("::error file=secrets/part.yaml,line=2,"),
            "{github}"
        );
        for text in [ran.text(), human.text(), github.text()] {
            assert!(
                !text.contains("hunter2") && !text.contains("QQQQ"),
                "{text}"
            );
        }
    }
}

#[test]
fn what_is_not_looked_at_is_said() {
    let dir = with_rules(&format!("creation_rules: [{{age: {A}}}]\n"));
    dir.write("nested/.sops.yaml", "creation_rules: []\n");
    dir.write("nested/a.yaml", "a: b\n");
    dir.write("docs/readme.md", "text\n");
    symlink("loop", dir.join("loop")).unwrap();
    symlink("..", dir.join("docs/up")).unwrap();
    let ran = check(&dir, &[]).expect(0);
    assert_eq!(found(&ran), ["note nested-rules nested/.sops.yaml:1"]);
    let ran = run(ctl(["--json", "check"]).current_dir(dir.join("docs"))).expect(0);
    assert_eq!(ran.json()["files"], 1);
}

/// Every setting of a rule, as sops writes it into files of every format: nothing differs.
#[test]
fn a_file_that_sops_just_made_obeys_its_rule() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN root@server one";
    let dir = with_rules(&format!(
        "creation_rules:
  - path_regex: ^groups/
    shamir_threshold: 2
    key_groups:
      - age: [{A}]
      - age: [{B}]
      - age: [{ssh}]
  - path_regex: ^merged/
    key_groups:
      - merge: [{{age: [{B}]}}]
        age: [{A}]
  - path_regex: ^ssh/
    age: ['{ssh}', {A}]
  - path_regex: ^mac/
    age: {A}
    mac_only_encrypted: true
    encrypted_regex: ^pass
  - path_regex: ^suffix/
    age: {A}
    unencrypted_suffix: _clear
  - path_regex: ^comment/
    age: {A}
    encrypted_comment_regex: secret
"
    ));
    let mut made = 0;
    for directory in ["groups", "merged", "ssh", "mac", "suffix", "comment"] {
        for (name, content) in [
            (
                "a.yaml",
                "pass: a\nx_clear: b\n# secret\nc: d\nn: null\ne: \"\"\nf: 1.5\n---\npass: q\n",
            ),
            ("a.json", "{\"pass\": \"a\", \"n\": [1, null, {}]}\n"),
            ("a.env", "pass=a\n#c\n"),
            ("a.ini", "[a]\npass = b\n"),
            ("a.txt", "words\n"),
        ] {
            let path = format!("{directory}/{name}");
            dir.write(&path, content);
            let mut command = sops.command(["encrypt", "--in-place", &path]);
            run(command.current_dir(dir.path())).expect(0);
            made += 1;
        }
    }
    let ran = check(&dir, &[]).expect(0);
    // Without comments in them, a setting about comments selects nothing.
    let in_clear =
        ["a.env", "a.ini", "a.json"].map(|name| format!("warning plaintext-file comment/{name}:1"));
    assert_eq!(found(&ran), in_clear);
    assert_eq!(ran.json()["files"], made);
}

/// A rule for everything does not ask for the encryption of a README.
#[test]
fn plaintext_under_a_rule_for_everything() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    for rule in [String::new(), "path_regex: .*, ".to_owned()] {
        let dir = with_rules(&format!("creation_rules: [{{{rule}age: {A}}}]\n"));
        dir.write("secrets/a.yaml", "a: b\n");
        let mut command = sops.command(["encrypt", "--in-place", "secrets/a.yaml"]);
        run(command.current_dir(dir.path())).expect(0);
        for plain in [
            "README.md",
            "flake.nix",
            "values.yaml",
            "secrets/README.md",
            "secrets/b.json",
        ] {
            dir.write(plain, "{}\n");
        }
        let ran = check(&dir, &[]).expect(1);
        assert_eq!(found(&ran), ["error plaintext-file secrets/b.json:1"]);
    }
}

#[test]
fn for_people() {
    let dir = with_rules(&format!(
        "creation_rules:\n  - age: {A}\n  - path_regex: ^a\\x07/\n    age: {B}\n"
    ));
    let ran = run(ctl(["check"]).current_dir(dir.path())).expect(1);
    let expected = "\
error[catch-all-not-last]: this rule matches every path, so no rule behind it is ever used
  --> .sops.yaml:2:5
2 |   - age: age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l
  |     ^
  hint: move it to the end of creation_rules, or give it a path_regex

error[rule-matches-nothing]: no path can match this pattern: paths are relative to the directory of .sops.yaml
  --> .sops.yaml:3:5
3 |   - path_regex: ^a\\x07/
  |     ^
  hint: write the path without a leading /, ./ or ../, and nothing before ^ or behind $

0 files, 2 rules: 2 errors, 0 warnings, 0 notes
";
    assert_eq!(ran.text(), expected);
}

/// However many rules there are and whatever they hold: an answer, and a word about what was not worked out.
#[test]
fn rules_of_any_size_come_to_an_end() {
    let mut rules = String::from("creation_rules:\n");
    for number in 0..2_000 {
        rules.push_str(&format!(
            "  - path_regex: ^hosts/server{number}/\n    pgp: '{number}'\n"
        ));
    }
    let dir = with_rules(&format!(
        "{rules}  - path_regex: ^hosts/server7/x\n    pgp: A\n"
    ));
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(found(&ran), ["error unreachable-rule .sops.yaml:4002"]);

    let patterns = [
        "(.*a){30}",
        "(.*a){30}b",
        "((a|b)*.{40}x){20}",
        "(a{1000}){1000}",
        "(.*c){30}",
    ];
    let rules: String = patterns
        .iter()
        .map(|pattern| {
            format!(
                "  - path_regex: '{pattern}'\n    pgp: '{}'\n",
                pattern.len()
            )
        })
        .collect();
    let dir = with_rules(&format!("creation_rules:\n{rules}"));
    let ran = check(&dir, &[]).expect(1);
    let found = found(&ran);
    assert!(
        found.contains(&"error invalid-pattern .sops.yaml:8".to_owned()),
        "{ran}"
    );
    assert!(
        found.contains(&"error unreachable-rule .sops.yaml:4".to_owned()),
        "{ran}"
    );
}
