//! Private keys that `secretsctl check` finds in clear, wherever they lie.

use std::fs;

use crate::{
    check_git::{encrypted, found},
    support::{Dir, Ran, age_identity, ctl, run},
};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
/// What a key holds; of an ed25519 key in form only.
const DATA: &str = "MC4CAQAwBQYDK2VwBCIEIHcHbQpzGKV9PBbBclGyZkXfTC";

fn with_rules() -> Dir {
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {A}\n"),
    );
    dir.write("secrets/a.yaml", encrypted("a"));
    dir
}

fn check(dir: &Dir, args: &[&str]) -> Ran {
    run(ctl(["--json", "check"]).args(args).current_dir(dir.path()))
}

/// The files with a key, and the code of what is said.
fn keys(ran: &Ran) -> Vec<String> {
    let all = found(ran).into_iter();
    all.filter(|finding| finding.contains("key")).collect()
}

#[test]
fn a_placeholder_is_none() {
    let dir = with_rules();
    let fake = format!("AGE-SECRET-KEY-1{}", "Q".repeat(58));
    dir.write("README.md", format!("export SOPS_AGE_KEY={fake}\n"));
    assert_eq!(keys(&check(&dir, &[]).expect(0)), [""; 0]);
    // The second of a line is looked at, too.
    dir.write("README.md", format!("not {fake}, but {}\n", age_identity()));
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(keys(&ran), ["error unencrypted-key-material README.md"]);
    assert_eq!(ran.json()["findings"][1]["column"], 85);
}

#[test]
fn keys_on_one_line() {
    let dir = with_rules();
    let key = format!("-----BEGIN PRIVATE KEY-----\\n{DATA}\\n-----END PRIVATE KEY-----\\n");
    dir.write("account.json", format!("{{\"private_key\": \"{key}\"}}\n"));
    dir.write("app.env", format!("TLS_KEY=\"{key}\"\n"));
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(
        keys(&ran),
        [
            "error unencrypted-key-material account.json",
            "error unencrypted-key-material app.env"
        ]
    );
    assert!(!ran.text().contains(DATA), "{ran}");
}

/// What is no secret by its name may hold one all the same.
#[test]
fn keys_in_the_files_of_sops_itself() {
    let dir = with_rules();
    let comment = format!("# {}\n", age_identity());
    dir.write(".sops-exposed.yaml", format!("{comment}files: []\n"));
    dir.write("old/.sops.yml", format!("{comment}creation_rules: []\n"));
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(
        keys(&ran),
        [
            "error unencrypted-key-material .sops-exposed.yaml",
            "error unencrypted-key-material old/.sops.yml",
        ]
    );
    // Each is told where it was asked about.
    let ran = check(&dir, &["old"]).expect(1);
    assert_eq!(keys(&ran), ["error unencrypted-key-material old/.sops.yml"]);

    fs::rename(dir.join(".sops.yaml"), dir.join("rules.yaml")).unwrap();
    dir.write(".sops.yaml", format!("{comment}creation_rules: []\n"));
    let ran = check(&dir, &["--config-file", "rules.yaml"]).expect(1);
    assert_eq!(
        keys(&ran),
        [
            "error unencrypted-key-material .sops-exposed.yaml",
            "error unencrypted-key-material .sops.yaml",
            "error unencrypted-key-material old/.sops.yml",
        ]
    );
}

/// One that is told as a wrong recipient does not hide the next.
#[test]
fn every_line_of_the_rules() {
    let dir = with_rules();
    let (first, second) = (age_identity(), age_identity());
    dir.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {first}\n# {second}\n"),
    );
    let ran = check(&dir, &[]).expect(1);
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap().iter();
    let lines: Vec<_> = findings
        .filter(|finding| finding["code"] == "private-key-in-rules")
        .map(|finding| finding["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [3, 4], "{ran}");
    assert!(!ran.text().contains(&first) && !ran.text().contains(&second));
}
