//! `secretsctl check --fix`: the order of the rules is repaired in place, and nothing else changes.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::support::{Dir, Ran, age_identity, ctl, run};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
const B: &str = "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs";

fn fix(dir: &Dir, args: &[&str]) -> Ran {
    run(ctl(["check", "--fix"]).args(args).current_dir(dir.path()))
}

fn json(dir: &Dir, args: &[&str]) -> Ran {
    run(ctl(["--json", "check", "--fix"])
        .args(args)
        .current_dir(dir.path()))
}

fn codes(findings: &Value) -> Vec<String> {
    let findings = findings.as_array().unwrap().iter();
    let code = |finding: &Value| finding["code"].as_str().unwrap().to_owned();
    findings
        .map(code)
        .filter(|code| code != "no-catch-all")
        .collect()
}

fn wrong_order() -> String {
    format!(
        "keys:
  - &admin {A} # the admin
creation_rules:
  # for everything else
  - age: *admin # everybody

  # server 1
  - path_regex: ^secrets/server1/
    # both of them
    age: [*admin, {B}]
stores: {{}}
"
    )
}

fn right_order() -> String {
    format!(
        "keys:
  - &admin {A} # the admin
creation_rules:
  # server 1
  - path_regex: ^secrets/server1/
    # both of them
    age: [*admin, {B}]

  # for everything else
  - age: *admin # everybody
stores: {{}}
"
    )
}

#[test]
fn the_order_is_repaired_in_place() {
    let dir = Dir::new();
    let file = dir.write("rules/.sops.yaml", wrong_order());
    dir.chmod("rules/.sops.yaml", 0o640);
    fs::create_dir(dir.join("repository")).unwrap();
    symlink("../rules/.sops.yaml", dir.join("repository/.sops.yaml")).unwrap();
    let check = |args: &[&str]| {
        run(ctl(["check"])
            .args(args)
            .current_dir(dir.join("repository")))
    };

    // The findings say how.
    let ran = check(&[]).expect(1);
    assert!(ran.text().contains("hint: move it to the end (the whole order, by line: 8, 5); secretsctl check --fix does it"), "{ran}");

    let dry = check(&["--fix", "--dry-run"]).expect(1);
    assert_eq!(fs::read_to_string(&file).unwrap(), wrong_order());
    let diff = format!(
        "\
--- a/.sops.yaml
+++ b/.sops.yaml
@@ -1,11 +1,11 @@
 keys:
   - &admin {A} # the admin
 creation_rules:
-  # for everything else
-  - age: *admin # everybody
-
   # server 1
   - path_regex: ^secrets/server1/
     # both of them
     age: [*admin, {B}]
+
+  # for everything else
+  - age: *admin # everybody
 stores: {{}}
--fix would repair 2 findings; nothing was written

error[catch-all-not-last]"
    );
    assert!(dry.text().starts_with(&diff), "{dry}");

    let done = check(&["--fix"]).expect(0);
    assert!(
        done.text().contains("repaired 2 findings in .sops.yaml\n"),
        "{done}"
    );
    assert!(!done.text().contains("error["), "{done}");
    assert_eq!(fs::read_to_string(&file).unwrap(), right_order());
    assert_eq!(dir.mode("rules/.sops.yaml"), 0o640);
    assert_eq!(
        dir.tree(),
        [
            "repository/",
            "repository/.sops.yaml -> ../rules/.sops.yaml",
            "rules/",
            "rules/.sops.yaml"
        ]
    );

    let again = check(&["--fix"]).expect(0);
    assert!(again.text().starts_with("nothing to fix: "), "{again}");
    assert_eq!(fs::read_to_string(&file).unwrap(), right_order());
}

#[test]
fn as_json() {
    let dir = Dir::new();
    dir.write(".sops.yaml", wrong_order());
    let dry = json(&dir, &["--dry-run"]).expect(1).json();
    assert_eq!(
        codes(&dry["findings"]),
        ["catch-all-not-last", "unreachable-rule"]
    );
    assert_eq!(
        codes(&dry["fixed"]),
        ["catch-all-not-last", "unreachable-rule"]
    );
    assert_eq!(dir.read(".sops.yaml"), wrong_order());
    let done = json(&dir, &[]).expect(0).json();
    assert_eq!(codes(&done["findings"]), ["overlapping-rules"]);
    assert_eq!(done["fixed"], dry["fixed"]);
    assert_eq!(done["diff"], dry["diff"]);
    assert!(
        done["diff"]
            .as_str()
            .unwrap()
            .contains("\n+  - age: *admin # everybody\n")
    );
    assert_eq!(dir.read(".sops.yaml"), right_order());
    let again = json(&dir, &[]).expect(0).json();
    assert_eq!(again["fixed"], serde_json::json!([]));
    // Without --fix there is no such member.
    let plain = run(ctl(["--json", "check"]).current_dir(dir.path()))
        .expect(0)
        .json();
    assert!(plain.get("fixed").is_none() && plain.get("diff").is_none());
    let github =
        run(ctl(["check", "--fix", "--format", "github"]).current_dir(dir.path())).expect(0);
    assert!(!github.text().contains("nothing to fix"), "{github}");
}

/// stdout is for the program that reads the format; the change is shown all the same.
#[test]
fn formats_for_programs() {
    for format in ["github", "sarif"] {
        let dir = Dir::new();
        dir.write(".sops.yaml", wrong_order());
        let dry = fix(&dir, &["--dry-run", "--format", format]).expect(1);
        assert!(dry.stderr.contains("\n+  - age: *admin"), "{dry}");
        assert_eq!(dir.read(".sops.yaml"), wrong_order());
        let done = fix(&dir, &["--format", format]).expect(0);
        assert!(done.stderr.contains("\n+  - age: *admin"), "{done}");
        assert!(!done.text().contains("+  - age"), "{done}");
        assert_eq!(dir.read(".sops.yaml"), right_order());
    }
}

#[test]
fn quiet() {
    let dir = Dir::new();
    dir.write(".sops.yaml", wrong_order());
    let dry = fix(&dir, &["-q", "--dry-run"]).expect(1);
    assert!(dry.text().starts_with("error[catch-all-not-last]"), "{dry}");
    let done = fix(&dir, &["-q"]).expect(0);
    assert_eq!((done.text(), done.stderr.as_str()), ("", ""), "{done}");
    assert_eq!(dir.read(".sops.yaml"), right_order());
}

/// How many line breaks a block scalar ends with may depend on what follows it.
#[test]
fn a_value_that_would_change_is_left() {
    let dir = Dir::new();
    let rules =
        format!("creation_rules:\n  - age: {A}\n  - path_regex: ^a/\n    age: |+\n      {B}\n\n\n");
    dir.write(".sops.yaml", &rules);
    let ran = fix(&dir, &[]).expect(2);
    assert!(ran.stderr.contains("would change what they mean"), "{ran}");
    assert_eq!(dir.read(".sops.yaml"), rules);
}

/// What an order repairs is repaired, the rest stays a finding.
#[test]
fn a_part_of_the_findings() {
    let dir = Dir::new();
    let rule = |pattern: &str, key: &str| format!("  - path_regex: {pattern}\n    age: {key}\n");
    dir.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n{}{}{}",
            rule("^a/", A),
            rule("^a/b/", B),
            rule("^a/", A)
        ),
    );
    let dry = fix(&dir, &["--dry-run"]).expect(1);
    assert!(dry.text().contains("would repair 1 finding;"), "{dry}");
    let ran = json(&dir, &[]).expect(1).json();
    assert_eq!(codes(&ran["fixed"]), ["unreachable-rule"]);
    assert_eq!(
        codes(&ran["findings"]),
        ["overlapping-rules", "overlapping-rules", "unreachable-rule"]
    );
    assert_eq!(
        dir.read(".sops.yaml"),
        format!(
            "creation_rules:\n{}{}{}",
            rule("^a/b/", B),
            rule("^a/", A),
            rule("^a/", A)
        )
    );
}

#[test]
fn what_is_refused_changes_nothing() {
    let anchor = format!(
        "creation_rules:
  - age: &all {A}
  - path_regex: ^a/
    age: *all
"
    );
    let comments =
        format!("creation_rules: [{{age: {A}}}, # x\n  {{path_regex: ^a/, age: {B}}}]\n");
    let empty = format!("creation_rules:\n  - age: {A}\n  -\n  - path_regex: ^a/\n    age: {B}\n");
    let cases = [
        (anchor, "the anchor &all would stand behind its alias"),
        (comments, "comments within the brackets"),
        (empty, "an item of creation_rules is empty"),
    ];
    for (rules, why) in cases {
        let dir = Dir::new();
        dir.write(".sops.yaml", &rules);
        let ran = fix(&dir, &[]).expect(2);
        assert!(ran.stderr.contains(why) && ran.stdout.is_empty(), "{ran}");
        assert_eq!(dir.read(".sops.yaml"), rules);
        assert_eq!(dir.tree(), [".sops.yaml"]);
        // It is still said what is wrong.
        run(ctl(["check"]).current_dir(dir.path())).expect(1);
    }
    // Rules that sops cannot read are told as without --fix.
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("creation_rules:\n  - age: {A}\n    age: {B}\n"),
    );
    assert_eq!(
        codes(&json(&dir, &[]).expect(1).json()["findings"]),
        ["duplicate-key"]
    );
    dir.write(".sops.yaml", "creation_rules: [\n");
    fix(&dir, &[]).expect(2);
    run(ctl(["check", "--dry-run"]).current_dir(dir.path())).expect(2);
}

#[test]
fn private_keys_and_control_characters_are_not_shown() {
    let dir = Dir::new();
    let key = age_identity();
    dir.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - age: {A} # \u{202e}x\n  - path_regex: ^a/\n    age: {B} # {key}\n"
        ),
    );
    for ran in [fix(&dir, &["--dry-run"]), json(&dir, &["--dry-run"])] {
        let ran = ran.expect(1);
        assert!(
            !ran.text().contains(&key) && !ran.text().contains('\u{202e}'),
            "{ran}"
        );
        assert!(ran.text().contains("^a/"), "{ran}");
    }
}

#[test]
fn other_line_ends_and_a_byte_order_mark_stay() {
    let dir = Dir::new();
    let text =
        |first: &str, second: &str| format!("\u{feff}creation_rules:\r\n{first}\r\n{second}");
    let (all, a) = (
        format!("- age: {A}"),
        format!("- {{age: {B}, path_regex: ^a/}}"),
    );
    dir.write(".sops.yaml", text(&all, &a));
    fix(&dir, &[]).expect(0);
    assert_eq!(dir.read(".sops.yaml"), text(&a, &all));
}
