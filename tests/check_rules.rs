//! `secretsctl check` on rules that are read otherwise than they look: each list beside what is found, and where.

use std::{fs, path::Path};

use crate::support::{Dir, ctl, run};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
const B: &str = "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs";
const C: &str = "age13fy9jlfpnf958p4f5thsj95g4r3hm248djq6j4d504nswcmqw9xshy25ms";
const SSH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
const PGP: &str = "85D77543B3D624B63CEA9E6DBC17301B491B3F21";

/// Severity, code, line and column of everything but the note that there is no catch-all.
fn found(rules: &str, files: &[&str]) -> Vec<String> {
    let dir = Dir::new();
    dir.write(".sops.yaml", rules);
    for file in files {
        dir.write(file, "");
    }
    let ran = run(ctl(["--json", "check"]).current_dir(dir.path()));
    let report = ran.json();
    let about_rules = report["findings"].as_array().unwrap().iter();
    about_rules
        .filter(|finding| finding["file"] == ".sops.yaml" && finding["code"] != "no-catch-all")
        .map(|finding| {
            format!(
                "{} {} {}:{}",
                finding["severity"].as_str().unwrap(),
                finding["code"].as_str().unwrap(),
                finding["line"],
                finding["column"]
            )
        })
        .collect()
}

/// A, B, C, SSH and PGP stand for keys.
#[track_caller]
fn expect(rules: &str, expected: &[&str]) {
    let mut text = rules.to_owned();
    for (name, key) in [
        ("{A}", A),
        ("{B}", B),
        ("{C}", C),
        ("{SSH}", SSH),
        ("{PGP}", PGP),
    ] {
        text = text.replace(name, key);
    }
    assert_eq!(found(&text, &[]), expected, "{text}");
}

#[test]
fn misspelt_and_ignored_keys() {
    expect(
        "creation_rules:\n  - key_groups:\n      - kms: [{arnn: x}]\n        age: [{A}]\n",
        &["error unknown-key 3:16"],
    );
    expect(
        "creation_rules:\n  - age: {A}\nstores: {yaml: {indnt: 2}, jsn: {}}\n",
        &["warning unknown-key 3:17", "warning unknown-key 3:28"],
    );
    expect(
        "creation_rules:\n  - age: {A}\n    key_groups:\n      - age: [{B}]\n",
        &["error ignored-key 2:5"],
    );
    // The list itself is misspelt: nothing can be checked, and the place is named.
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("keys: []\ncreation_rule:\n  - age: {A}\n"),
    );
    let ran = run(ctl(["check"]).current_dir(dir.path())).expect(2);
    assert!(
        ran.stderr
            .contains(".sops.yaml:2:1\n  hint: did you mean creation_rules?"),
        "{ran}"
    );
}

#[test]
fn groups_and_thresholds() {
    let group = |threshold: &str, groups: &[&str]| {
        let mut rules = String::from("creation_rules:\n");
        rules.push_str(&format!(
            "  - shamir_threshold: {threshold}\n    key_groups:\n"
        ));
        for group in groups {
            rules.push_str(&format!("      - {group}\n"));
        }
        rules
    };
    // One dash too many.
    expect(
        &group("null", &["age: [{A}]", "pgp: [{PGP}]"]),
        &["warning unexpected-key-group 5:9"],
    );
    expect(
        &group("0", &["age: [{A}, {B}]", "pgp: [{PGP}]"]),
        &["warning unexpected-key-group 5:9"],
    );
    expect(
        &group("null", &["age: [{A}]", "age: [{B}]"]),
        &["note unexpected-key-group 5:9"],
    );
    expect(&group("2", &["age: [{A}]", "pgp: [{PGP}]"]), &[]);
    expect(&group("null", &["{age: [{A}], pgp: [{PGP}]}"]), &[]);
    expect(
        &group("null", &["age: [{A}]", "pgp: []"]),
        &["error empty-rule 5:9"],
    );
    // One recipient is enough.
    expect(
        &group("2", &["age: [{A}]", "age: [{B}, {A}]", "age: [{C}]"]),
        &["warning threshold-too-low 5:79"],
    );
    expect(
        &group("2", &["age: ['{SSH} a']", "age: ['{SSH} b']"]),
        &["warning threshold-too-low 5:15"],
    );
    expect(
        &group("null", &["age: [{A}]", "{age: [{A}], pgp: [{PGP}]}"]),
        &[
            "note unexpected-key-group 5:9",
            "warning threshold-too-low 5:16",
        ],
    );
    expect(
        &group("3", &["age: [{A}]", "age: [{B}, {A}]", "age: [{C}]"]),
        &["warning duplicate-recipient 5:79"],
    );
    expect(
        &group("2", &["age: [{A}, {B}]"]),
        &["warning threshold-too-low 2:5"],
    );
    expect(&group("1", &["age: [{A}, {B}]"]), &[]);
    expect(
        "creation_rules:\n  - shamir_threshold: 2\n    age: '{A},{B}'\n",
        &["warning threshold-too-low 2:5"],
    );
    for out_of_range in ["1", "3", "-1"] {
        expect(
            &group(out_of_range, &["age: [{A}]", "age: [{B}]"]),
            &["error threshold-out-of-range 2:5"],
        );
    }
}

#[test]
fn recipients() {
    // Named twice, also by another comment.
    expect(
        "creation_rules:\n  - age: ['{SSH} a@b', '{SSH} c@d']\n",
        &["warning duplicate-recipient 2:99"],
    );
    expect(
        "creation_rules:\n  - age: ['{SSH} a@b', '{SSH}']\n",
        &["warning duplicate-recipient 2:99"],
    );
    expect(
        "creation_rules:\n  - key_groups: [{age: ['{SSH} a', '{SSH} b']}]\n",
        &["warning duplicate-recipient 2:111"],
    );
    expect(
        "creation_rules:\n  - age: '{A},{B},{A}'\n",
        &["warning duplicate-recipient 2:10"],
    );
    expect(
        "creation_rules:\n  - kms: 'arn:aws:kms:x+role|a:b,arn:aws:kms:x'\n",
        &[],
    );
    // In the field of another kind.
    expect(
        "creation_rules:\n  - pgp: {A}\n",
        &["error invalid-recipient 2:10"],
    );
    expect(
        "creation_rules:\n  - key_groups: [{pgp: ['{SSH}']}]\n",
        &["error invalid-recipient 2:25"],
    );
    expect(
        "creation_rules:\n  - age: {PGP}\n",
        &["error invalid-recipient 2:10"],
    );
    expect(
        "creation_rules:\n  - kms: {PGP}\n",
        &["error invalid-recipient 2:10"],
    );
    expect(
        "creation_rules:\n  - pgp: '85D7 7543 B3D6 24B6 3CEA  9E6D BC17 301B 491B 3F21'\n",
        &[],
    );
    // Melted by a line break.
    expect(
        "creation_rules:\n  - age: >-\n      {A}\n      {B}\n",
        &["error melted-recipients 2:10"],
    );
    expect("creation_rules:\n  - age: >-\n      {A},\n      {B}\n", &[]);
}

#[test]
fn recipients_that_no_rule_names() {
    let rules = |keys: &str, rule: &str| format!("keys:\n{keys}creation_rules:\n  - age: {rule}\n");
    expect(
        &rules("  - &a {A}\n  - &b {B}\n", "*a"),
        &["note unused-recipient 3:5"],
    );
    expect(
        &rules("  - users:\n    - &a {A}\n    - &s '{SSH} root@x'\n", "*a"),
        &["note unused-recipient 4:7"],
    );
    expect(
        &rules("  - &p {PGP}\n  - x: {B}\n", "{A}"),
        &["note unused-recipient 2:5", "note unused-recipient 3:8"],
    );
    // The whole list is named; a list of aliases that nobody names uses nothing.
    expect(&rules("  all: &all [{A}, &b {B}]\n  b: *b\n", "*all"), &[]);
    expect(
        &rules("  - &a {A}\n  - &b {B}\n  - &both [*a, *b]\n", "[*a]"),
        &["note unused-recipient 3:5"],
    );
    expect(
        &rules("  - &a {A}\n  - &b {B}\n  - &both [*a, *b]\n", "*both"),
        &[],
    );
    // Written out in the rule; words; anchors of whole rules; a merged mapping.
    expect(&rules("  - &a {A}\n", "'{B}, {A}'"), &[]);
    expect(&rules("  - &name alice\n  - 42\n  -\n", "{A}"), &[]);
    expect(
        "x-rule: &rule\n  age: {A}\ncreation_rules:\n  - <<: *rule\n",
        &[],
    );
    expect("x: &x\n  creation_rules: [{age: {A}}]\n<<: *x\n", &[]);
}

/// Every page of documentation about rules shows rules that bring its finding.
#[test]
fn examples_of_the_pages() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/codes");
    for code in [
        "absolute-pattern",
        "catch-all-not-last",
        "duplicate-recipient",
        "no-catch-all",
        "not-analysed",
        "overlapping-rules",
        "rule-matches-no-file",
        "rule-matches-nothing",
        "threshold-too-low",
        "unanchored-pattern",
        "unescaped-dot",
        "unexpected-key-group",
        "unreachable-rule",
        "unused-recipient",
    ] {
        let page = fs::read_to_string(directory.join(format!("{code}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {code}\n\n")), "{code}");
        let example = page
            .split("```yaml\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next());
        let dir = Dir::new();
        dir.write(".sops.yaml", example.unwrap());
        dir.write("secrets/server01/db.yaml", "");
        let ran = run(ctl(["--json", "check"]).current_dir(dir.path()));
        assert!(
            ran.text().contains(&format!("\"code\":\"{code}\"")),
            "{code} {ran}"
        );
    }
}
