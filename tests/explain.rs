//! `secretsctl explain`: which rule a path gets, by the contract.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, process::Command};

use serde_json::{Value, json};

use crate::support::{Dir, Ran, Sops, ctl, run, run_with_input};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
const B: &str = "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs";

fn repository() -> Dir {
    let dir = Dir::new();
    let rules = format!(
        "creation_rules:
  - path_regex: ^secrets/server1/
    age: [{A}, {B}]
  - path_regex: ^secrets/.*\\.yaml$
    key_groups:
      - age: [{A}]
      - age: [{B}]
    shamir_threshold: 2
  -
  - path_regex: ^broken/
    age: age1nothing
  - path_regex: '^c('
    age: {A}
  - path_regex: ^d/
"
    );
    dir.write(".sops.yaml", rules);
    dir
}

fn explain(dir: &Dir, args: &[&str]) -> Ran {
    run(ctl(["--json", "explain"])
        .args(args)
        .current_dir(dir.path()))
}

#[test]
fn one_object_for_each_path() {
    let dir = repository();
    let ran = explain(
        &dir,
        &["secrets/server1/db.yaml", "./secrets/../secrets/x.yaml"],
    )
    .expect(0);
    assert_eq!(
        ran.json_lines(),
        [
            json!({
                "path": "secrets/server1/db.yaml",
                "matched_text": "secrets/server1/db.yaml",
                "rule": {"index": 0, "line": 2, "path_regex": "^secrets/server1/"},
                "matched_part": {"start": 0, "end": 16, "text": "secrets/server1/"},
                "rules_before": [],
                "also_matches": [1],
                "key_groups": [[A, B]],
                "shamir_threshold": null,
                "names": {},
                "rekey": {"state": "missing", "add": [], "remove": [], "reasons": []},
                "findings": [],
            }),
            json!({
                "path": "./secrets/../secrets/x.yaml",
                "matched_text": "secrets/x.yaml",
                "rule": {"index": 1, "line": 4, "path_regex": "^secrets/.*\\.yaml$"},
                "matched_part": {"start": 0, "end": 14, "text": "secrets/x.yaml"},
                "rules_before": [{
                    "index": 0,
                    "line": 2,
                    "path_regex": "^secrets/server1/",
                    "failed_at": {"start": 9, "end": 10, "text": "s"},
                    "reason": "`x` stands where `s` is needed behind `secrets/`",
                }],
                "also_matches": [],
                "key_groups": [[A], [B]],
                "shamir_threshold": 2,
                "names": {},
                "rekey": {"state": "missing", "add": [], "remove": [], "reasons": []},
                "findings": [],
            }),
        ]
    );
    assert!(ran.stderr.is_empty());
}

#[test]
fn what_sops_cannot_do_is_an_error_of_the_path() {
    let dir = repository();
    let objects = explain(&dir, &["broken/x", "e/x", "secrets/x.yaml"])
        .expect(1)
        .json_lines();
    assert_eq!(objects[0]["rule"]["index"], 2);
    assert_eq!(objects[0]["error"]["code"], "invalid-recipient");
    assert_eq!(objects[0]["error"]["line"], 11);
    assert_eq!(objects[0]["key_groups"], json!([]));
    assert_eq!(objects[0]["findings"][0]["code"], "invalid-recipient");
    assert_eq!(objects[0]["findings"][0]["file"], ".sops.yaml");
    assert_eq!(objects[1]["rule"], Value::Null);
    assert_eq!(objects[1]["error"]["code"], "invalid-pattern");
    assert_eq!(objects[2]["error"], Value::Null);
}

#[test]
fn a_path_without_a_rule() {
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("creation_rules: [{{path_regex: ^a/, age: {A}}}, {{path_regex: ^b/}}]"),
    );
    let objects = explain(&dir, &["x", "b/x"]).expect(1).json_lines();
    assert_eq!(objects[0]["error"]["code"], "no-rule");
    assert_eq!(objects[0]["rule"], Value::Null);
    // A rule without keys is selected without an error.
    assert_eq!(objects[1]["rule"]["index"], 1);
    assert_eq!(objects[1]["key_groups"], json!([]));
    assert_eq!(objects[1].get("error"), None);
    assert_eq!(objects[1]["findings"][0]["code"], "empty-rule");
    explain(&dir, &["b/x"]).expect(0);
}

#[test]
fn rules_that_sops_cannot_read() {
    let dir = Dir::new();
    let ran = explain(&dir, &["x"]).expect(2);
    assert!(ran.stdout.is_empty(), "{ran}");
    dir.write(".sops.yml", "creation_rules: []");
    let ran = explain(&dir, &["x"]).expect(2);
    assert!(ran.stderr.contains("rename the file"), "{ran}");

    dir.write(".sops.yaml", "creation_rules:\n  - path_regex: [a]\n");
    let ran = explain(&dir, &["x"]).expect(2);
    assert!(ran.stdout.is_empty(), "{ran}");
    let error: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["line"], 2);
    assert_eq!(error["error"]["column"], 17);

    for (content, code) in [
        (&b"\xff\xfe\xff"[..], 2),
        (b"a: \x01", 2),
        (b"", 1),
        (b"creation_rules:", 1),
        (b"creation_rules: []", 1),
    ] {
        dir.write(".sops.yaml", content);
        explain(&dir, &["x"]).expect(code);
    }
    fs::remove_file(dir.join(".sops.yaml")).unwrap();
    fs::create_dir(dir.join(".sops.yaml")).unwrap();
    explain(&dir, &["x"]).expect(2);
}

#[test]
fn where_the_rules_and_the_path_are() {
    let dir = repository();
    fs::create_dir_all(dir.join("sub/deep")).unwrap();
    dir.write(
        "other/rules.yaml",
        format!("creation_rules: [{{path_regex: ^in$, age: {A}}}, {{age: {B}}}]"),
    );
    let matched = |command: &mut std::process::Command| {
        let object = run(command).json();
        (
            object["matched_text"].as_str().unwrap().to_owned(),
            object["key_groups"][0][0].clone(),
        )
    };
    let root = dir.path().canonicalize().unwrap();
    let text = root.to_str().unwrap();

    // From below, and from elsewhere with -C.
    let below =
        matched(ctl(["--json", "explain", "../secrets/x.yaml"]).current_dir(dir.join("sub")));
    assert_eq!(below.0, "secrets/x.yaml");
    let with_c =
        matched(ctl(["--json", "-C", text, "explain", "sub/../secrets/x.yaml"]).current_dir("/"));
    assert_eq!(with_c.0, "secrets/x.yaml");
    // An absolute path inside, and one outside.
    let inside = matched(&mut ctl([
        "--json",
        "-C",
        text,
        "explain",
        &format!("{text}/secrets//x.yaml"),
    ]));
    assert_eq!(inside.0, "secrets/x.yaml");
    let outside = matched(&mut ctl([
        "--json",
        "-C",
        text,
        "explain",
        &format!("{text}x/secrets/x.yaml"),
    ]));
    assert_eq!(outside.0, format!("{text}x/secrets/x.yaml"));
    // Another file with rules: its directory is the repository.
    let named = matched(
        ctl([
            "--json",
            "--config-file",
            "other/rules.yaml",
            "explain",
            "other/in",
        ])
        .current_dir(&root),
    );
    assert_eq!(named, ("in".to_owned(), A.into()));
    let named = matched(
        ctl(["--json", "explain", "in"])
            .current_dir(&root)
            .env("SOPS_CONFIG", "other/rules.yaml"),
    );
    assert_eq!(named, (format!("{text}/in"), B.into()));
}

/// The name by which the user came here counts, when it is one.
#[test]
fn a_working_directory_behind_a_link() {
    let dir = repository();
    let root = dir.path().canonicalize().unwrap();
    std::os::unix::fs::symlink(&root, dir.join("link")).unwrap();
    let link = root.join("link");
    let matched = |pwd: &std::path::Path, path: &OsStr| {
        let ran = run(ctl(["--json", "explain"])
            .arg(path)
            .current_dir(&link)
            .env("PWD", pwd));
        ran.json()["matched_text"].as_str().unwrap().to_owned()
    };
    let absolute = |base: &std::path::Path| base.join("secrets/x.yaml");
    assert_eq!(
        matched(&link, OsStr::new("secrets/x.yaml")),
        "secrets/x.yaml"
    );
    assert_eq!(
        matched(&link, absolute(&link).as_os_str()),
        "secrets/x.yaml"
    );
    assert_eq!(
        matched(&link, absolute(&root).as_os_str()),
        absolute(&root).to_str().unwrap()
    );
    // A name of another directory does not.
    assert_eq!(
        matched("/".as_ref(), absolute(&root).as_os_str()),
        "secrets/x.yaml"
    );
}

#[test]
fn a_path_that_is_not_utf_8() {
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("creation_rules: [{{path_regex: ^a..$, age: {A}}}, {{age: {B}}}]"),
    );
    let ran = run(ctl(["--json", "explain"])
        .arg(OsStr::from_bytes(b"a\xe2\x82"))
        .current_dir(dir.path()));
    let object = ran.expect(0).json();
    assert_eq!(object["path"], "a\u{fffd}\u{fffd}");
    assert_eq!(object["matched_text"], "a\u{fffd}\u{fffd}");
    assert_eq!(object["path_base64"], "YeKC");
    assert_eq!(object["rule"]["index"], 0);
}

#[test]
fn remarks_and_never_a_private_key() {
    let dir = Dir::new();
    let rules = format!(
        "creation_rules:
  - path_regex: ^a$
    age: [{A}, {A}]
    encypted_regex: x
  - path_regex: ^b$
    age: AGE-SECRET-KEY-1CANARY
  - path_regex: ^c$
    age: {A}
    key_groups: [age: [{A}], age: [{B}]]
    shamir_threshold: 3
"
    );
    dir.write(".sops.yaml", rules);
    let ran = explain(&dir, &["a", "b", "c"]).expect(1);
    assert!(!ran.text().contains("CANARY"), "{ran}");
    let codes: Vec<Vec<_>> = ran
        .json_lines()
        .iter()
        .map(|object| {
            let findings = object["findings"].as_array().unwrap();
            findings
                .iter()
                .map(|finding| finding["code"].as_str().unwrap().to_owned())
                .collect()
        })
        .collect();
    assert_eq!(codes[0], ["duplicate-recipient", "unknown-key"]);
    assert_eq!(codes[1], ["private-key-in-rules"]);
    assert_eq!(codes[2], ["threshold-out-of-range", "ignored-key"]);
    assert!(
        ran.text().contains("did you mean encrypted_regex?"),
        "{ran}"
    );

    let ran = run(ctl(["explain", "a", "b", "c"]).current_dir(dir.path())).expect(1);
    assert!(
        !ran.text().contains("CANARY") && !ran.stderr.contains("CANARY"),
        "{ran}"
    );
}

#[test]
fn for_people() {
    let dir = repository();
    let ran = run(ctl(["explain", "secrets/x.yaml", "e\x1b/x"]).current_dir(dir.path())).expect(1);
    let expected = format!(
        "secrets/x.yaml
  rule       .sops.yaml:4: ^secrets/.*\\.yaml$
  no match   .sops.yaml:2: ^secrets/server1/
                                    ^ `x` stands where `s` is needed behind `secrets/`
  group 1    {A}
  group 2    {B}
  needed     2 of 2 groups
  re-key     there is no such file

e\\u{{1b}}/x
  no match   .sops.yaml:2: ^secrets/server1/
                            ^ `e` stands where `s` is needed
  no match   .sops.yaml:4: ^secrets/.*\\.yaml$
                            ^ `e` stands where `s` is needed
  no match   .sops.yaml:10: ^broken/
                             ^ `e` stands where `b` is needed
  error .sops.yaml:12: path_regex does not compile, at character 3: missing closing )
  hint: patterns are those of Go (RE2): https://golang.org/s/re2syntax
"
    );
    assert_eq!(ran.text(), expected);
}

/// Hostile text in patterns and names, a part that is wider when it is escaped, and more rules than one wants to read.
#[test]
fn for_people_with_odd_rules() {
    let dir = Dir::new();
    let mut rules = String::from("creation_rules:\n");
    for number in 0..30 {
        rules.push_str(&format!("  - path_regex: ^x{number}/\n"));
    }
    rules.push_str(&format!(
        "  - path_regex: \"^\\e\\u202Ea$\"
    age: {A}
  - path_regex: ^a|^b
  - key_groups:
      - age:
          - {A} # one \u{202e}two
          - {B}
"
    ));
    dir.write(".sops.yaml", rules);
    let run_it = |args: &[&str], path: &str| {
        let mut command = ctl(["explain"]);
        run(command.args(args).arg(path).current_dir(dir.path())).expect(0)
    };
    let ran = run_it(&[], "\u{1b}\u{202e}b");
    let text = ran.text();
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{ran}");
    assert!(
        text.contains(
            "  no match   .sops.yaml:32: ^\\u{1b}\\u{202e}a$
                                           ^ `b` stands where `a` is needed behind `\\u{1b}\\u{202e}`
"
        ),
        "{ran}"
    );
    assert!(
        text.contains("  no match   and 31 more before it (-v shows all)\n"),
        "{ran}"
    );
    let all = run_it(&["-v"], "\u{1b}\u{202e}b");
    assert_eq!(all.text().matches("no match").count(), 32, "{all}");
    assert!(
        all.text()
            .contains("\n             none of its 2 alternatives matches\n"),
        "{all}"
    );
    let far = run_it(&[], "c");
    assert!(
        far.text()
            .contains("  no match   32 rules before it (-v shows all)\n"),
        "{far}"
    );
    let colored = run_it(&["--color", "always", "-v"], "c");
    assert!(
        colored.text().contains("\x1b[31m^\x1b[0m `c` stands"),
        "{colored}"
    );
    let mut plain = ctl(["explain", "c"]);
    let plain = run(plain.env("NO_COLOR", "1").current_dir(dir.path()));
    assert!(!plain.text().contains('\x1b'), "{plain}");
}

#[test]
fn what_a_rekey_would_change() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let rules = |keys: &str, more: &str| {
        format!(
            "keys:
  - &alice {A}
  - &bob {B}
creation_rules:
  - path_regex: ^secrets/
    {more}
    key_groups: [age: {keys}]
  - path_regex: ^none/
"
        )
    };
    dir.write(".sops.yaml", rules("[*alice, *bob]", ""));
    dir.write("secrets/a.yaml", "a: b\n");
    let mut command = sops.command(["encrypt", "--in-place", "secrets/a.yaml"]);
    run(command.current_dir(dir.path())).expect(0);
    dir.write("secrets/plain.yaml", "a: b\n");
    let a = dir.read("secrets/a.yaml");
    dir.write("secrets/cut.yaml", a.split("sops:").next().unwrap());
    std::os::unix::fs::symlink("../../etc/passwd", dir.join("secrets/out")).unwrap();

    let paths = [
        "secrets/a.yaml",
        "secrets/plain.yaml",
        "secrets/no.yaml",
        "secrets/cut.yaml",
        "secrets/out",
        "secrets",
        "secrets/no/such/file",
    ];
    let objects = explain(&dir, &paths[..5]).expect(0).json_lines();
    let states: Vec<_> = objects
        .iter()
        .map(|object| &object["rekey"]["state"])
        .collect();
    assert_eq!(
        states,
        [
            "obeys",
            "not-encrypted",
            "missing",
            "unreadable",
            "unreadable"
        ]
    );
    assert_eq!(objects[0]["names"], json!({A: "alice", B: "bob"}));
    assert_eq!(objects[3]["rekey"]["error"]["code"], "not-encrypted");
    assert_eq!(objects[4]["rekey"]["error"]["code"], "file-outside");
    let ran = explain(&dir, &["secrets/no/such/file", "none/x"]).expect(0);
    assert_eq!(ran.json_lines()[0]["rekey"]["state"], "missing");
    // Names are known from elsewhere, too.
    let from_below = run(ctl(["--json", "explain", "a.yaml"]).current_dir(dir.join("secrets")));
    assert_eq!(from_below.json()["rekey"]["state"], "obeys");

    // Bob leaves, somebody comes, other values are to be encrypted.
    let changed = rules("[*alice]", "encrypted_regex: ^x$").replace(A, &format!("{A} # x"));
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
    dir.write(
        ".sops.yaml",
        changed.replace("[*alice]", &format!("[*alice, '{ssh} root@web1']")),
    );
    let object = explain(&dir, &["secrets/a.yaml"]).expect(0).json();
    assert_eq!(
        object["rekey"],
        json!({
            "state": "differs",
            "add": [ssh],
            "remove": [B],
            "reasons": ["recipients-added", "recipients-removed", "selection-changed"],
        })
    );
    assert_eq!(object["names"][B], "bob");
    assert_eq!(object["names"][ssh], "root@web1");
    let ran = run(ctl(["explain", "secrets/a.yaml"]).current_dir(dir.path())).expect(0);
    let expected = format!(
        "secrets/a.yaml
  rule       .sops.yaml:5: ^secrets/
  matches    secrets/
  recipients alice      {A}
             root@web1  {ssh} root@web1
  re-key     + root@web1  {ssh}
             - bob  {B}
             the settings of what is encrypted change
"
    );
    assert_eq!(ran.text(), expected);
    // `check` calls them by the same names.
    let ran = run(ctl(["check"]).current_dir(dir.path()));
    let message = "would gain access: root@web1 (ssh-ed25519 …+VHtZ6isGN); \
                   would lose access: bob (age1jcre6…4ndtvs)";
    assert!(ran.text().contains(message), "{ran}");
}

#[test]
fn a_pipe_in_place_of_the_rules_is_refused() {
    let dir = repository();
    fs::remove_file(dir.join(".sops.yaml")).unwrap();
    run(Command::new("mkfifo").arg(dir.join(".sops.yaml"))).expect(0);
    dir.write("x.yaml", "a: 1\n");
    let commands: [&[&str]; 3] = [&["explain", "x.yaml"], &["check"], &["encrypt", "x.yaml"]];
    for command in commands {
        // Waiting for somebody to write into it would never end.
        let mut bounded = Command::new("timeout");
        bounded.args(["60", env!("CARGO_BIN_EXE_secretsctl")]);
        let ran = run(bounded.args(command).current_dir(dir.path())).expect(2);
        assert!(ran.stderr.contains("a pipe, not a file"), "{ran}");
    }
    // One that a person names is read.
    let mut named = ctl(["--config-file", "/dev/stdin", "explain", "x.yaml"]);
    let rules = format!("creation_rules:\n  - age: {A}\n");
    run_with_input(named.current_dir(dir.path()), rules.as_bytes()).expect(0);
}
