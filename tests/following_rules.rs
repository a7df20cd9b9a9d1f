//! The daemon where the rules decide what is delivered: files and rules that come, change and go.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::json;

use crate::{
    machine::{BY_RULES, Machine, User, as_user, receive, send},
    support::{AgeKey, in_mount_namespace, is_root, run},
};

#[test]
fn follows_changed_new_and_removed_files() {
    let Some(mut machine) = Machine::new("follows_changed_new_and_removed_files") else {
        return;
    };
    machine.configure(BY_RULES);
    machine.put("db.yaml", "password: first\n");
    machine.start();

    // Replaced, as by git.
    machine.put("db.yaml", "password: second\n");
    machine.expect_delivered("db.yaml/password", "second");

    // Written in place, as by sops itself.
    let text = machine.encrypted("db.yaml", "password: third\n", &[&machine.key.recipient]);
    machine.dir.write("repo/db.yaml", text);
    machine.expect_delivered("db.yaml/password", "third");

    // In directories that did not exist.
    machine.put("new/deep/app.env", "TOKEN=fourth\n");
    machine.expect_delivered("new/deep/app.env", "TOKEN=fourth\n");
    machine.put("new/deep/app.env", "TOKEN=fifth\n");
    machine.expect_delivered("new/deep/app.env", "TOKEN=fifth\n");

    fs::remove_file(machine.dir.join("repo/db.yaml")).unwrap();
    machine.eventually("the secret is gone", || {
        machine.delivered("db.yaml/password").is_none()
    });
    fs::rename(machine.dir.join("repo/new"), machine.dir.join("away")).unwrap();
    machine.eventually("the directory's secret is gone", || {
        machine.delivered("new/deep/app.env").is_none()
    });
    machine.expect_state("ok");
}

#[test]
fn follows_the_rules() {
    let Some(mut machine) = Machine::new("follows_the_rules") else {
        return;
    };
    machine.configure(BY_RULES);
    let other = AgeKey::generate(&machine.dir, "other");
    let (ours, theirs) = (machine.key.recipient.clone(), other.recipient.clone());
    let both: [&str; 2] = [&ours, &theirs];
    machine.put_for("a.yaml", "key: of a\n", &both);
    machine.put_for("b.yaml", "key: of b\n", &both);
    machine.rules(&[("^a", &[&ours]), ("", &[&theirs])]);
    machine.start();
    machine.expect_delivered("a.yaml/key", "of a");
    assert!(machine.delivered("b.yaml/key").is_none());

    machine.rules(&[("^a", &[&theirs]), ("", &[&ours])]);
    machine.expect_delivered("b.yaml/key", "of b");
    machine.eventually("a is no longer ours", || {
        machine.delivered("a.yaml/key").is_none()
    });
}

#[test]
fn broken_rules_are_told_with_their_place() {
    let Some(mut machine) = Machine::new("broken_rules_are_told_with_their_place") else {
        return;
    };
    machine.configure(BY_RULES);
    machine.put("a.yaml", "key: of a\n");
    machine.start();
    machine.expect_delivered("a.yaml/key", "of a");
    machine.replace("repo/.sops.yaml", "creation_rules: 5\n");
    let ran = machine.ctl(&["--json", "reload"]).expect(2);
    let value: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    let error = &value["error"];
    let file = machine.dir.join("repo/.sops.yaml");
    assert_eq!(error["file"], file.to_str().unwrap(), "{ran}");
    assert_eq!(
        (&error["line"], &error["column"]),
        (&1.into(), &17.into()),
        "{ran}"
    );
    assert!(error["hint"].is_string(), "{ran}");
    machine.expect_delivered("a.yaml/key", "of a");
}

#[test]
fn waits_for_names() {
    let Some(mut machine) = Machine::new("waits_for_names") else {
        return;
    };
    machine.configure(BY_RULES);
    machine.put("db.yaml", "password: first\n");
    machine.start();
    machine.ctl(&["wait"]).expect(0);
    machine.ctl(&["wait", "db.yaml/password"]).expect(0);
    let late = machine
        .ctl(&["wait", "later.yaml/key", "--timeout", "0.05", "--json"])
        .expect(1);
    assert_eq!(late.json()["waiting"][0], "later.yaml/key");
    let waiting = machine
        .ctl_command(User::Own, &["wait", "later.yaml/key"])
        .spawn()
        .unwrap();
    machine.put("later.yaml", "key: late\n");
    assert!(waiting.wait_with_output().unwrap().status.success());
}

#[test]
fn runs_as_an_ordinary_user() {
    let Some(mut machine) = Machine::of("runs_as_an_ordinary_user", User::Nobody) else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    // The places that follow from $XDG_RUNTIME_DIR, and no configuration file.
    let (repository, key) = (machine.dir.join("repo"), machine.dir.join("host.txt"));
    let home = machine.dir.join("run");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let daemon = machine.daemon_command();
    let mut command = Command::new(daemon.get_program());
    command
        .arg("--repository")
        .arg(&repository)
        .arg("--identity")
        .arg(&key)
        .env("XDG_RUNTIME_DIR", &home)
        .env("NOTIFY_SOCKET", machine.dir.join("notify"));
    machine.spawn(command);
    machine.expect_notice("READY=1");
    machine.expect_delivered("db.yaml/password", "first");
    assert!(machine.dir.exists("run/secretsd/control"));
    let program = machine
        .ctl_command(User::Nobody, &[])
        .get_program()
        .to_owned();
    let mut status = as_user(User::Nobody, Command::new(program));
    status.arg("status").env("XDG_RUNTIME_DIR", &home);
    run(&mut status).expect(0);
    machine.put("db.yaml", "password: second\n");
    machine.expect_delivered("db.yaml/password", "second");
    assert_eq!(machine.stop(), 0);
}

#[test]
fn runs_as_root_with_the_places_of_the_system() {
    let test = "runs_as_root_with_the_places_of_the_system";
    let Some(machine) = Machine::new(test) else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    // In a mount namespace with a /run of its own; what is seen there is written to a file.
    let script = r#"
        set -eu
        mount -t tmpfs tmpfs /run
        "$1/secretsd" --repository "$2/repo" --identity "$2/host.txt" >"$2/log" 2>&1 &
        daemon=$!
        for i in $(seq 600); do [ -S /run/secretsd/control ] && break; sleep 0.1; done
        "$1/secretsctl" wait --timeout 60
        "$1/secretsctl" status --json
        cat /run/secrets/db.yaml/password
        echo
        readlink /run/secrets
        grep ' /run/secrets.d ' /proc/self/mountinfo | sed 's/.* - //'
        kill -TERM $daemon
        wait $daemon
    "#;
    let programs = Path::new(env!("CARGO_BIN_EXE_secretsd")).parent().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh"])
        .arg(programs)
        .arg(machine.dir.path());
    let Some(mut command) = in_mount_namespace(test, &command) else {
        return;
    };
    let ran = run(&mut command);
    assert_eq!(ran.code(), 0, "{ran}\n{}", machine.log());
    let lines: Vec<&str> = ran.text().lines().collect();
    let status = lines.iter().find(|line| line.starts_with('{')).unwrap();
    let status: serde_json::Value = serde_json::from_str(status).unwrap();
    assert_eq!(status["state"], "ok");
    assert_eq!(status["runtime"]["directory"], "/run/secrets");
    assert!(lines.contains(&"first"), "{ran}");
    assert!(
        lines.iter().any(|line| line.starts_with("/run/secrets.d/")),
        "{ran}"
    );
    let swap = status["runtime"]["swap"].as_str().unwrap();
    if is_root() {
        // The kernel refuses noswap inside a user namespace only.
        assert_eq!(swap, "never", "{ran}");
    }
}

#[test]
fn a_long_call_delays_nobody_and_shows_progress() {
    let Some(mut machine) = Machine::new("a_long_call_delays_nobody_and_shows_progress") else {
        return;
    };
    machine.configure(BY_RULES);
    machine.put("db.yaml", "password: first\n");
    machine.start();
    let mut waiting = machine.connect();
    send(
        &mut waiting,
        &json!({
            "method": "io.secretsd.Control.Wait",
            "parameters": { "names": ["later.yaml/key"] },
            "more": true,
        }),
    );
    let progress = receive(&mut waiting).unwrap();
    assert_eq!(progress["continues"], true);
    assert_eq!(progress["parameters"]["waiting"], json!(["later.yaml/key"]));
    assert_eq!(machine.state(), "ok");
    machine.ctl(&["reload"]).expect(0);
    machine.put("later.yaml", "key: late\n");
    let reply = receive(&mut waiting).unwrap();
    assert!(reply.get("continues").is_none(), "{reply}");
    assert_eq!(reply["parameters"]["waiting"], json!([]));
}

#[test]
fn a_pipe_in_place_of_the_rules_takes_nothing_away() {
    let Some(mut machine) = Machine::new("a_pipe_in_place_of_the_rules_takes_nothing_away") else {
        return;
    };
    machine.configure(BY_RULES);
    machine.put("a.yaml", "key: of a\n");
    machine.start();
    let rules = machine.dir.read("repo/.sops.yaml");
    fs::remove_file(machine.dir.join("repo/.sops.yaml")).unwrap();
    run(Command::new("mkfifo").arg(machine.dir.join("repo/.sops.yaml"))).expect(0);
    let ran = machine.ctl(&["reload"]).expect(2);
    assert!(ran.stderr.contains("a pipe, not a file"), "{ran}");
    machine.expect_delivered("a.yaml/key", "of a");
    machine.replace("repo/.sops.yaml", rules);
    machine.expect_state("ok");
}
