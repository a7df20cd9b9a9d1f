//! What all commands share: options, errors, exit codes.

use std::{fs, process::Stdio};

use crate::support::{Dir, ctl, run};

#[test]
fn wrong_usage_is_an_error_like_every_other() {
    let ran = run(&mut ctl(["--no-such-option"])).expect(2);
    assert!(ran.stdout.is_empty());
    assert!(
        ran.stderr.starts_with(
            "secretsctl: error: unexpected argument '--no-such-option' found\n  hint: "
        ),
        "{ran}"
    );

    let ran = run(&mut ctl(["--json", "no-such-command"])).expect(2);
    assert!(ran.stdout.is_empty());
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["code"], "usage");

    let ran = run(&mut ctl([""; 0])).expect(2);
    assert!(
        ran.stderr
            .starts_with("secretsctl: error: no command was given\n"),
        "{ran}"
    );
}

#[test]
fn help_and_version_are_results() {
    for arg in ["--help", "--version", "help"] {
        let ran = run(&mut ctl([arg])).expect(0);
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran}");
    }
}

#[test]
fn arguments_cannot_steer_the_terminal() {
    let ran = run(&mut ctl(["--\x1b[31m\u{9b}x"])).expect(2);
    assert!(!ran.stderr.contains(['\x1b', '\u{9b}']), "{ran}");
}

#[test]
fn colours_are_asked_for_or_on_a_terminal() {
    let colored = |args: &[&str]| run(&mut ctl(args)).stderr.contains('\x1b');
    assert!(!colored(&["-C", "/nonexistent", "man"]));
    assert!(!colored(&["-C", "/nonexistent", "--color", "never", "man"]));
    assert!(colored(&["-C", "/nonexistent", "--color", "always", "man"]));
}

#[test]
fn a_missing_directory_is_named() {
    let ran = run(&mut ctl(["-C", "/nonexistent/a", "man"])).expect(2);
    assert!(
        ran.stderr.contains("\n  --> /nonexistent/a\n  hint: "),
        "{ran}"
    );
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = ctl(["man"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(status.status.code(), Some(0));
    assert!(status.stderr.is_empty());
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = ctl(["man"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[test]
fn every_shell_has_completions() {
    let dir = Dir::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(ctl(["completion", shell]).current_dir(dir.path())).expect(0);
        assert!(ran.text().contains("completion"), "{ran}");
    }
    assert!(dir.tree().is_empty());
}
