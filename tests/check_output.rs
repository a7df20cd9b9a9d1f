//! The ways in which `secretsctl check` writes its findings, and the comments that allow some.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use crate::support::{Dir, Ran, ctl, peer, run};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
const B: &str = "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs";

fn check(dir: &Dir, args: &[&str]) -> Ran {
    run(ctl(["check"]).args(args).current_dir(dir.path()))
}

/// Code and line of every finding.
fn found(ran: &Ran) -> Vec<String> {
    codes(ran, "findings")
}

fn codes(ran: &Ran, list: &str) -> Vec<String> {
    let report = ran.json();
    let list = report[list].as_array().unwrap();
    list.iter()
        .map(|one| format!("{} {}", one["code"].as_str().unwrap(), one["line"]))
        .collect()
}

/// Two rules, of which the second is never reached, a plaintext file, and a file name that does what it can.
fn with_mistakes() -> Dir {
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - path_regex: ^secrets/\n    age: {A}\n  - path_regex: ^secrets/db\n    age: {B}\n"
        ),
    );
    dir.write("secrets/db.yaml", "password: hunter2\n");
    dir.write("secrets/,a:b%25\n::error::\u{1b}[31m é.yaml", "a: b\n");
    dir
}

#[test]
fn sarif_that_the_standard_knows() {
    let dir = with_mistakes();
    let rules = fs::read_to_string(dir.join(".sops.yaml")).unwrap();
    let comment = "# secretsctl: allow(no-catch-all) nothing lies elsewhere\n";
    dir.write(".sops.yaml", format!("{comment}{rules}"));
    let ran = check(&dir, &["--format", "sarif"]).expect(1);
    let log = ran.json();
    let sarif = &log["runs"][0];
    let results = sarif["results"].as_array().unwrap();
    let result = |code: &str| {
        results
            .iter()
            .find(|result| result["ruleId"] == code)
            .unwrap_or_else(|| panic!("no {code} in {ran}"))
    };
    let unreachable = result("unreachable-rule");
    assert_eq!(unreachable["level"], "error");
    let place = &unreachable["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], ".sops.yaml");
    assert_eq!(place["region"]["startLine"], 5);
    let related = &unreachable["relatedLocations"][0]["physicalLocation"];
    assert_eq!(related["region"]["startLine"], 3);
    for result in results {
        let number = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(
            sarif["tool"]["driver"]["rules"][number]["id"],
            result["ruleId"]
        );
    }
    let uris: Vec<_> = results
        .iter()
        .map(|result| &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        .collect();
    assert!(
        uris.iter()
            .any(|uri| *uri == "secrets/%2Ca%3Ab%2525%0A%3A%3Aerror%3A%3A%1B%5B31m%20%C3%A9.yaml"),
        "{uris:?}"
    );
    assert_eq!(
        result("no-catch-all")["suppressions"][0]["justification"],
        "nothing lies elsewhere"
    );
    is_sarif(&ran);

    // Without rules, and without findings.
    let dir = Dir::new();
    dir.write(".sops.yml", "");
    is_sarif(&check(&dir, &["--format", "sarif"]).expect(1));
    dir.write(".sops.yaml", format!("creation_rules: [age: {A}]\n"));
    fs::remove_file(dir.join(".sops.yml")).unwrap();
    let ran = run(ctl(["--json", "check", "--format", "sarif"]).current_dir(dir.path())).expect(0);
    assert_eq!(ran.json()["runs"][0]["results"], serde_json::json!([]));
    is_sarif(&ran);
}

/// Asks another implementation of the standard.
pub(crate) fn is_sarif(ran: &Ran) {
    let Some(validator) = peer("sarif") else {
        return;
    };
    let mut child = std::process::Command::new(validator)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(ran.stdout.as_ref()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
}

#[test]
fn annotations_of_github() {
    let dir = with_mistakes();
    let ran = check(&dir, &["--format", "github"]).expect(1);
    let lines: Vec<_> = ran.text().lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("::")), "{ran}");
    let hostile = "::error file=secrets/%2Ca%3Ab%2525\\n%3A%3Aerror%3A%3A\\u{1b}[31m é.yaml,line=1,col=1,title=plaintext-file::";
    assert!(lines.iter().any(|line| line.starts_with(hostile)), "{ran}");
    // One JSON value and lines that are none exclude each other.
    run(ctl(["--json", "check", "--format", "github"]).current_dir(dir.path())).expect(2);
}

#[test]
fn every_code_has_a_page() {
    let dir = Dir::new();
    let ran = check(&dir, &["--explain", "drift"]).expect(0);
    assert!(ran.text().starts_with("# drift\n\nA file"), "{ran}");
    let ran = run(ctl(["--json", "check", "--explain", "drift"]).current_dir(dir.path())).expect(0);
    assert_eq!(ran.json()["code"], "drift");
    let ran = check(&dir, &["--explain", "drft"]).expect(2);
    assert!(ran.stderr.contains("drift"), "{ran}");
}

#[test]
fn a_comment_with_a_reason_allows_a_finding() {
    let dir = with_mistakes();
    let rules = |first: &str, second: &str, top: &str| {
        dir.write(
            ".sops.yaml",
            format!(
                "{top}creation_rules:\n  - path_regex: ^secrets/ {first}\n    age: {A}\n  {second}\n  - path_regex: ^secrets/db\n    age: {B}\n"
            ),
        );
        run(ctl(["--json", "check"]).current_dir(dir.path()))
    };
    let ran = rules("", "", "").expect(1);
    let all = [
        "no-catch-all 1",
        "unreachable-rule 5",
        "plaintext-file 1",
        "plaintext-file 1",
    ];
    assert_eq!(found(&ran), all);

    let ran = rules(
        "# secretsctl: allow(plaintext-file secrets/db.yaml) a template",
        "# secretsctl: allow(unreachable-rule) for later",
        "# secretsctl: allow(no-catch-all) as meant\n",
    )
    .expect(1);
    assert_eq!(found(&ran), ["plaintext-file 1"]);
    let allowed = codes(&ran, "allowed");
    assert_eq!(
        allowed,
        ["no-catch-all 1", "unreachable-rule 6", "plaintext-file 1"]
    );
    assert_eq!(ran.json()["allowed"][1]["reason"], "for later");
    let ran = rules(
        "# secretsctl: allow(plaintext-file) templates",
        "# secretsctl: allow(unreachable-rule) for later",
        "# secretsctl: allow(no-catch-all) as meant\n",
    )
    .expect(0);
    assert_eq!(found(&ran), [""; 0]);
    let human = check(&dir, &["--deny", "warnings"]).expect(0);
    assert_eq!(
        human.text(),
        "2 files, 2 rules: 0 errors, 0 warnings, 0 notes, 4 allowed by comments\n"
    );

    // Beside another rule, without a reason, with an unknown code, and for files in general: nothing is allowed.
    let ran = rules(
        "# secretsctl: allow(unreachable-rule) the wrong place",
        "# secretsctl: allow(unreachable-rule)",
        "# secretsctl: allow(plaintext-file) everywhere\n# secretsctl: allow(nonsense) what\n",
    )
    .expect(1);
    let mut said = found(&ran);
    said.sort();
    assert_eq!(
        said,
        [
            "invalid-suppression 2",
            "invalid-suppression 6",
            "no-catch-all 1",
            "plaintext-file 1",
            "plaintext-file 1",
            "unreachable-rule 7",
            "unused-suppression 1",
            "unused-suppression 4",
        ]
    );
    // A comment about a comment is not possible.
    let ran = rules(
        "",
        "",
        "# secretsctl: allow(unused-suppression, invalid-suppression) no\n",
    );
    assert!(found(&ran.expect(1)).contains(&"unused-suppression 1".to_owned()));
}

#[test]
fn the_example_is_clean() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/example");
    let ran = run(ctl(["--json", "check", "--deny", "warnings"]).current_dir(example)).expect(0);
    // The fallback is wider than the rules before it, as is usual.
    assert_eq!(found(&ran), ["overlapping-rules 28"]);
}

#[test]
fn quiet_says_errors_only() {
    let dir = with_mistakes();
    let ran = check(&dir, &["-q"]).expect(1);
    assert!(ran.text().contains("error[unreachable-rule]"), "{ran}");
    assert!(!ran.text().contains("note["), "{ran}");
    assert!(!ran.text().contains("2 rules"), "{ran}");
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("creation_rules: [{{path_regex: ^a/, age: {A}}}]\n"),
    );
    assert_eq!(check(&dir, &["-q"]).expect(0).text(), "");
}

#[test]
fn a_comment_without_its_colon() {
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("# secretsctl allow(no-catch-all) no others\ncreation_rules: [{{path_regex: ^a/, age: {A}}}]\n"),
    );
    let ran = check(&dir, &["--json"]).expect(0);
    assert_eq!(found(&ran), ["invalid-suppression 1", "no-catch-all 1"]);
}
