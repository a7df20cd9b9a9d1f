//! What patterns say about files that exist: each line is a rule list, the files, and what is to be found.

use super::{Severity, analyse, rules};

/// Severity, code, number of the rule, and witness of everything but the order.
fn found(patterns: &[&str], files: &[&str]) -> Vec<String> {
    const ORDER: &[&str] = &[
        "no-catch-all",
        "overlapping-rules",
        "unreachable-rule",
        "catch-all-not-last",
    ];
    let findings = analyse(&rules(patterns), files).findings;
    let findings = findings
        .iter()
        .filter(|finding| !ORDER.contains(&finding.code));
    findings
        .map(|finding| {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            let number = finding.position.line.saturating_sub(2) / 2;
            let witness = finding.witness.as_deref().unwrap_or("-");
            format!("{severity} {} {number} {witness}", finding.code)
        })
        .collect()
}

/// `expected` is one finding a line.
#[track_caller]
fn expect(patterns: &[&str], files: &[&str], expected: &[&str]) {
    assert_eq!(found(patterns, files), expected, "{patterns:?} {files:?}");
}

/// As people publish them: nothing above a note.
#[test]
fn published_rules_bring_no_warning() {
    let files = [
        "README.md",
        "flake.nix",
        "hosts/web1/configuration.nix",
        "hosts/web1/secrets.yaml",
        "hosts/web2/secrets.yaml",
        "k8s/apps/prod/db.sops.yaml",
        "k8s/apps/prod/deployment.yaml",
        "secrets/common.yaml",
        "secrets/dev/a.enc.yaml",
        "secrets/dev/b.yaml.enc",
        "secrets/prod/.env",
        "secrets/prod/.env.production",
        "secrets/prod/a.json",
        "secrets/server1/db.yaml",
        "secrets/server01/db.yaml",
        "terraform/prod.tfvars.json",
    ];
    for patterns in [
        &[
            "secrets/[^/]+\\.(yaml|json|env|ini)$",
            "secrets/server1/[^/]+\\.(yaml|json|env|ini)$",
        ][..],
        &[
            "secrets/.*\\.yaml$",
            "hosts/web1/secrets\\.yaml$",
            "hosts/web2/.*",
        ],
        &[".*.yaml", ".*.json"],
        &[".*\\.sops\\.ya?ml$", ".*\\.enc\\.ya?ml"],
        &["\\.env$", "\\.env"],
        &["secrets.yaml$", "secrets/common.yaml$"],
        &["^secrets/(dev|prod)/.*$", "^secrets/server[0-9]+/", ""],
        &["\\.yaml", "\\.json"],
        &["(?i)\\.YAML$"],
        &["(^|/)secrets/", "[^/]+\\.tfvars\\.json$"],
        &["^secrets[/\\\\]dev[/\\\\]"],
        &["/prod/", "/dev/"],
        &["k8s/.*/prod/.*.yaml"],
    ] {
        let loud = found(patterns, &files);
        let loud: Vec<_> = loud
            .iter()
            .filter(|finding| !finding.starts_with("note"))
            .collect();
        assert!(loud.is_empty(), "{patterns:?} {loud:?}");
    }
}

#[test]
fn rules_without_files() {
    let note = "note rule-matches-no-file 0 -";
    expect(&["^a/"], &[], &[]);
    expect(&["^a/", ""], &["b"], &[note]);
    expect(&["", "^a/"], &["b"], &[]);
    expect(
        &["^/a", ".*"],
        &["b"],
        &[
            "error rule-matches-nothing 0 -",
            "warning absolute-pattern 0 -",
        ],
    );
    // One character.
    let near = |file: &str| format!("warning rule-matches-no-file 0 {file}");
    expect(
        &["^secrets/server1/"],
        &["secrets/server01/a.yaml"],
        &[&near("secrets/server01/a.yaml")],
    );
    expect(
        &["^secrets/server01/"],
        &["secrets/server1/a.yaml"],
        &[&near("secrets/server1/a.yaml")],
    );
    expect(
        &["^secrets/prod/", ""],
        &["secrets/production/a"],
        &[&near("secrets/production/a")],
    );
    expect(&["^secrets/"], &["secret/a", "x"], &[&near("secret/a")]);
    expect(&[r"\.yaml$"], &["x/a.yml"], &[&near("x/a.yml")]);
    expect(
        &[r"^sécrets/.*\.yaml$"],
        &["secrets/a.yaml"],
        &[&near("secrets/a.yaml")],
    );
    // Other readings.
    expect(
        &["^Secrets/PROD/"],
        &["secrets/prod/a"],
        &[&near("secrets/prod/a")],
    );
    expect(
        &["^server1/.*$"],
        &["secrets/server1/a"],
        &[&near("secrets/server1/a")],
    );
    expect(
        &[r"^secrets/.*\.yaml$"],
        &["secrets/a.yaml.enc"],
        &[&near("secrets/a.yaml.enc")],
    );
    expect(
        &[r"^secrets/*\.yaml$"],
        &["secrets/abc.yaml"],
        &[&near("secrets/abc.yaml")],
    );
    expect(
        &[r"^hosts/*/secrets\.yaml$"],
        &["hosts/web/secrets.yaml"],
        &[&near("hosts/web/secrets.yaml")],
    );
    expect(
        &[r"^secrets\\server\\a$"],
        &["secrets/server/a"],
        &[&near("secrets/server/a"), "warning absolute-pattern 0 -"],
    );
    // A file that has a rule of its own was not forgotten, and neither was one that is only a little like it.
    expect(
        &["^hosts/web1/", "^hosts/web2/", ""],
        &["hosts/web2/a", "README.md"],
        &[note],
    );
    expect(&[r"\.env$"], &["a.enc"], &[note]);
    expect(&["^secrets/prod/"], &["secrets/staging/a"], &[note]);
    // Its rule is a fallback for the rule's own paths.
    expect(
        &["^secrets/server1/", "^secrets/"],
        &["secrets/server01/a"],
        &[&near("secrets/server01/a")],
    );
}

#[test]
fn dots_by_what_they_do() {
    let note = "note unescaped-dot 0 -";
    expect(&["^a/[^/]+.yaml$"], &[], &[note]);
    expect(&["^a/[^/]+.yaml$"], &["a/b.yaml"], &[note]);
    expect(
        &["^a/[^/]+.yaml$"],
        &["a/b.yaml", "a/b-yaml"],
        &["warning unescaped-dot 0 a/b-yaml"],
    );
    expect(
        &["^a/[^/]+.(yaml|json)$"],
        &["a/json", "a/b-json"],
        &["warning unescaped-dot 0 a/b-json"],
    );
    // The file has another rule already.
    expect(
        &["^a/b-yaml$", "^a/[^/]+.yaml$"],
        &["a/b-yaml", "a/b.yaml"],
        &["note unescaped-dot 1 -"],
    );
    // Another rule's paths.
    expect(
        &["^a/b.yaml$", "^a/b-yaml$"],
        &[],
        &["note unescaped-dot 0 -"],
    );
    expect(
        &["^a/(b|c)-yaml$", "^a/[bx].yaml$"],
        &[],
        &["warning unescaped-dot 1 a/b-yaml"],
    );
    for quiet in [
        r"^a/b\.yaml$",
        "^a/server./",
        "^a/.*$",
        "^a/[.]yaml$",
        "^a/.+",
    ] {
        expect(&[quiet], &[], &[]);
    }
}

#[test]
fn anchors_by_what_they_do() {
    // Behind.
    expect(
        &[r"^a/.*\.yaml"],
        &["a/b.yaml"],
        &["note unanchored-pattern 0 a/a.yaml.bak"],
    );
    for file in ["a/b.yaml.bak", "a/b.yaml~", "a/b.yaml.orig", "a/b.yaml.j2"] {
        let expected = format!("warning unanchored-pattern 0 {file}");
        expect(&[r"^a/.*\.yaml"], &["a/b.yaml", file], &[&expected]);
    }
    for quiet in ["a/b.yaml.enc", "a/b.yamlx"] {
        let found = found(&[r"^a/.*\.yaml"], &[quiet]);
        assert_eq!(found, ["note unanchored-pattern 0 a/a.yaml.bak"], "{quiet}");
    }
    expect(&[r"^a/\.env"], &["a/.env.production"], &[]);
    expect(
        &[r"^a/\.env"],
        &["a/.env.bak"],
        &["warning unanchored-pattern 0 a/.env.bak"],
    );
    expect(&["^a/"], &["a/b.yaml.bak"], &[]);
    expect(&[r"^a/.*\.yaml$"], &["a/b.yaml"], &[]);
    // Before.
    let note = "note unanchored-pattern 0 not-secrets/a";
    expect(&["secrets/"], &["secrets/a"], &[note]);
    expect(&["secrets/"], &["secrets/a", "hosts/x/secrets/a"], &[note]);
    expect(&["secrets/"], &["k8s-secrets/a"], &[note]);
    expect(
        &["secrets/"],
        &["secrets/a", "not-secrets/b"],
        &["warning unanchored-pattern 0 not-secrets/b"],
    );
    expect(
        &[r"(prod|dev)/.*\.yaml"],
        &[],
        &["note unanchored-pattern 0 not-prod/a.yaml.bak"],
    );
    for quiet in [
        "^secrets/",
        "(^|/)secrets/",
        "/secrets/",
        r"\.yaml$",
        r"secrets\.yaml$",
        r"-secret/.*\.yaml$",
    ] {
        expect(&[quiet], &[], &[]);
    }
}

#[test]
fn absolute_paths_and_other_separators() {
    let told = [
        "error rule-matches-nothing 0 -",
        "warning absolute-pattern 0 -",
    ];
    for nothing in [
        "^/home/alice/infra/secrets/",
        r"^/etc/.*\.yaml$",
        r"^\./secrets/",
        r"^\.\./x",
    ] {
        expect(&[nothing], &[], &told);
    }
    let warning = "warning absolute-pattern 0 -";
    expect(
        &["^(secrets/|/home/alice/secrets/)"],
        &["secrets/a"],
        &[warning],
    );
    expect(&["/home/alice/infra/.*"], &[], &[warning]);
    expect(&["/home/alice/infra/.*"], &["nfs/home/alice/infra/x"], &[]);
    expect(&[r"^C:/Users/.*"], &[], &[warning]);
    expect(&[r"secrets\\server1"], &[], &[warning]);
    expect(&[r"secrets\\server1"], &[r"secrets\server1"], &[]);
    for quiet in [
        r"^secrets[\\/]server1",
        r"^secrets(/|\\)server1",
        "/prod/",
        "^/?secrets/",
        r"(^|/)etc/",
    ] {
        expect(&[quiet], &[], &[]);
    }
}
