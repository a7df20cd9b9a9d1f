//! Black-box tests of the built programs, one module per feature.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends by panicking"
)]

mod access;
mod authoring;
mod by_rules;
mod canary;
#[cfg(feature = "yubikey")]
mod card;
mod check;
mod check_fix;
mod check_git;
mod check_hostile;
mod check_keys;
mod check_output;
mod check_rules;
mod cli;
mod config;
mod control;
mod corpus;
mod daemon;
mod daemon_rekey;
mod decrypt;
mod delivery;
mod differential;
mod docs;
mod dropin;
mod editing;
mod example;
mod explain;
mod following;
mod following_rules;
mod hooks;
mod host;
mod host_cycle;
mod identity;
mod layering;
mod machine;
mod next_generation;
mod plugin;
mod post_quantum;
mod rekey;
mod rollback;
mod rules_differential;
mod support;
mod systemd;
mod templates;
mod terminal;
mod unlock;
#[cfg(feature = "yubikey")]
mod yubikey;

/// A file that nobody declares above would be a test that never runs.
#[test]
fn every_file_is_declared() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let declared = std::fs::read_to_string(directory.join("tests.rs")).unwrap();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if stem != "tests" && path.extension().is_some_and(|extension| extension == "rs") {
            assert!(
                declared.lines().any(|line| line == format!("mod {stem};")),
                "tests.rs does not declare {stem}.rs"
            );
        }
    }
}
