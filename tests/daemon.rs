//! `secretsd` in the foreground: it delivers, says so, keeps what was good, and stops.

use std::{fs, process::Command};

use rustix::process::Signal;

use crate::{
    machine::{Machine, User},
    support::run,
};

#[test]
fn delivers_says_so_and_stops() {
    let Some(mut machine) = Machine::new("delivers_says_so_and_stops") else {
        return;
    };
    machine.put("db.yaml", "password: first\nport: 5432\n");
    machine.configure_secrets(&["db.yaml/password", "db.yaml/port"]);
    machine.start();
    assert_eq!(
        machine.delivered("db.yaml/password").as_deref(),
        Some("first")
    );
    assert_eq!(machine.delivered("db.yaml/port").as_deref(), Some("5432"));

    let status = machine.ctl(&["status", "--json"]).expect(0).json();
    assert_eq!(status["state"], "ok");
    assert_eq!(status["secrets"], 2);
    assert_eq!(status["repository"]["watch"], "inotify");
    assert_eq!(status["identities"][0]["state"], "usable");
    assert_eq!(status["rekey"]["mode"], "off");
    assert!(status["generation"].as_u64().unwrap() >= 1);
    assert!(
        machine
            .ctl(&["status"])
            .expect(0)
            .text()
            .contains("state       ok")
    );

    assert!(machine.dir.exists("run/credentials"));
    let list = machine.ctl(&["list", "--json"]).expect(0).json();
    let entry = &list.as_array().unwrap()[0];
    assert_eq!(entry["name"], "db.yaml/password");
    assert_eq!(entry["state"], "delivered");
    assert_eq!(entry["file"], "db.yaml");
    assert_eq!(machine.ctl(&["list"]).expect(0).text().lines().count(), 2);

    assert_eq!(machine.stop(), 0);
    assert_eq!(
        machine.delivered("db.yaml/password").as_deref(),
        Some("first")
    );
    assert!(!machine.dir.exists("run/control"));
    assert!(!machine.dir.exists("run/credentials"));
    let gone = machine.ctl(&["status"]).expect(2);
    assert!(gone.stderr.contains("hint:"), "{gone}");
}

#[test]
fn takes_everything_away_when_asked() {
    let Some(mut machine) = Machine::new("takes_everything_away_when_asked") else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.start_with(|command| {
        command.arg("--remove-on-exit");
    });
    machine.expect_delivered("db.yaml/password", "first");
    assert_eq!(machine.stop(), 0);
    assert!(!machine.dir.exists("run/secrets"));
    let left = fs::read_dir(machine.dir.join("run/secrets.d"));
    assert_eq!(left.map_or(0, Iterator::count), 0, "something was left");
}

#[test]
fn an_interrupt_stops_as_well() {
    let Some(mut machine) = Machine::new("an_interrupt_stops_as_well") else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.start();
    machine.signal(Signal::INT);
    assert_eq!(machine.ended(), 0);
}

#[test]
fn a_broken_secret_keeps_its_last_good_value() {
    let Some(mut machine) = Machine::new("a_broken_secret_keeps_its_last_good_value") else {
        return;
    };
    machine.configure_secrets(&["good.yaml/key", "bad.yaml/key"]);
    machine.put("good.yaml", "key: good 1\n");
    machine.put("bad.yaml", "key: bad 1\n");
    machine.start();
    let broken = machine
        .dir
        .read("repo/bad.yaml")
        .replace("ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:AA");
    machine.replace("repo/bad.yaml", &broken);
    machine.expect_state("degraded");
    assert_eq!(machine.delivered("bad.yaml/key").as_deref(), Some("bad 1"));

    // The others go on.
    machine.put("good.yaml", "key: good 2\n");
    machine.expect_delivered("good.yaml/key", "good 2");
    let status = machine.ctl(&["status", "--json"]).expect(1).json();
    assert_eq!(status["degraded"][0]["name"], "bad.yaml/key");
    assert!(
        status["degraded"][0]["cause"]
            .as_str()
            .unwrap()
            .contains("bad.yaml")
    );
    let reload = machine.ctl(&["reload", "--json"]).expect(1).json();
    assert_eq!(reload["degraded"][0]["name"], "bad.yaml/key");
    assert_eq!(
        machine.json(&["wait", "good.yaml/key"])["degraded"],
        serde_json::json!([])
    );
    machine.ctl(&["wait", "bad.yaml/key"]).expect(1);

    // A restart and a crash keep it.
    machine.stop();
    machine.start();
    assert_eq!(machine.delivered("bad.yaml/key").as_deref(), Some("bad 1"));
    machine.kill();
    assert_eq!(machine.delivered("bad.yaml/key").as_deref(), Some("bad 1"));
    machine.start();
    assert_eq!(machine.delivered("bad.yaml/key").as_deref(), Some("bad 1"));
    assert_eq!(machine.state(), "degraded");

    machine.put("bad.yaml", "key: bad 2\n");
    machine.expect_delivered("bad.yaml/key", "bad 2");
    machine.expect_state("ok");
}

#[test]
fn an_unreadable_file_degrades_its_secrets() {
    let Some(mut machine) = Machine::of("an_unreadable_file_degrades_its_secrets", User::Nobody)
    else {
        return;
    };
    machine.put("a.yaml", "key: of a\n");
    machine.put("b.yaml", "key: of b\n");
    machine
        .configure("secrets:\n  a: { file: a.yaml, key: key }\n  b: { file: b.yaml, key: key }\n");
    machine.start();
    machine.dir.chmod("repo/a.yaml", 0o000);
    machine.expect_state("degraded");
    assert_eq!(machine.delivered("a").as_deref(), Some("of a"));
    assert_eq!(machine.delivered("b").as_deref(), Some("of b"));
    machine.dir.chmod("repo/a.yaml", 0o600);
    machine.expect_state("ok");
}

#[test]
fn runs_commands_when_their_secret_changes() {
    let Some(mut machine) = Machine::new("runs_commands_when_their_secret_changes") else {
        return;
    };
    machine.put("db.yaml", "password: first\nuser: app\n");
    let marks = machine.dir.join("marks");
    fs::create_dir(&marks).unwrap();
    let command = |name: &str| {
        let file = marks.join(name);
        let script = format!("env >> {}; echo said by {name}", file.display());
        format!("on-change: [/bin/sh, -c, '{script}']")
    };
    machine.configure(&format!(
        "secrets:\n  password: {{ file: db.yaml, key: password, {} }}\n  \
         user: {{ file: db.yaml, key: user, {} }}\n  \
         bad: {{ file: db.yaml, key: password, on-change: [/nonexistent/program] }}\n",
        command("password"),
        command("user"),
    ));
    machine.start();
    machine.put("db.yaml", "password: second\nuser: app\n");
    machine.expect_delivered("password", "second");
    machine.eventually("its command runs", || machine.dir.exists("marks/password"));
    machine.eventually("its output is logged", || {
        machine.log().contains("said by password")
    });
    machine.eventually("a failure is logged", || {
        machine.log().contains("cannot run the on-change command")
    });
    // Nothing ran at the first delivery, and nothing for what has not changed.
    assert!(!machine.dir.exists("marks/user"), "{}", machine.log());
    let environment = machine.dir.read("marks/password");
    assert!(
        !environment.contains("environment-of-the-daemon"),
        "{environment}"
    );
    assert!(!environment.contains("NOTIFY_SOCKET"), "{environment}");
}

#[test]
fn refuses_a_second_daemon_and_replaces_a_stale_socket() {
    let Some(mut machine) = Machine::new("refuses_a_second_daemon_and_replaces_a_stale_socket")
    else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.start();
    // The same socket and runtime directory.
    let second = machine.refused(&machine.daemon_command());
    assert!(second.stderr.contains("error:"), "{second}");
    // Another socket, the same runtime directory.
    let config = machine.dir.read("etc/secretsd.yaml");
    let other = machine
        .dir
        .write("etc/other.yaml", config.replace("run/control", "run/other"));
    let mut command = Command::new(machine.daemon_command().get_program());
    command.arg("--config").arg(&other);
    machine.refused(&command);
    assert_eq!(machine.state(), "ok");
    machine.put("db.yaml", "password: second\n");
    machine.expect_delivered("db.yaml/password", "second");

    machine.kill();
    assert!(machine.dir.exists("run/control"));
    machine.start();
    assert_eq!(machine.state(), "ok");
}

#[test]
fn refuses_to_start_without_anything_to_deliver_from() {
    let Some(mut machine) = Machine::new("refuses_to_start_without_anything_to_deliver_from")
    else {
        return;
    };
    fs::rename(machine.dir.join("repo"), machine.dir.join("away")).unwrap();
    let ran = machine.refused(&machine.daemon_command());
    assert!(ran.stderr.contains("repo"), "{ran}");
    assert!(!machine.dir.exists("run/secrets"));

    // With something delivered before, it stays and waits.
    fs::rename(machine.dir.join("away"), machine.dir.join("repo")).unwrap();
    machine.put("db.yaml", "password: first\n");
    machine.start();
    machine.stop();
    fs::rename(machine.dir.join("repo"), machine.dir.join("away")).unwrap();
    machine.start();
    assert_eq!(machine.state(), "degraded");
    assert_eq!(
        machine.delivered("db.yaml/password").as_deref(),
        Some("first")
    );
    fs::rename(machine.dir.join("away"), machine.dir.join("repo")).unwrap();
    machine.expect_state("ok");
}

#[test]
fn a_key_that_every_user_can_read_is_not_used() {
    let Some(mut machine) = Machine::new("a_key_that_every_user_can_read_is_not_used") else {
        return;
    };
    machine.put("db.yaml", "password: hunter2\n");
    machine.dir.chmod("host.txt", 0o604);
    fs::create_dir(machine.dir.join("run")).unwrap();
    let once = |more: &[&str]| {
        let mut command = machine.daemon_command();
        run(command.arg("--once").args(more))
    };
    let refused = once(&[]).expect(2);
    assert!(
        refused
            .stderr
            .contains("every user can read the private key in this file"),
        "{refused}"
    );
    once(&["--allow-insecure-identity"]).expect(0);
    machine.dir.chmod("host.txt", 0o600);
    machine.start();
    assert_eq!(
        machine.delivered("db.yaml/password").as_deref(),
        Some("hunter2")
    );
}

/// Whoever owns a delivered file may do with it what they like, and must not get at the daemon's memory by that.
#[test]
fn a_file_that_its_owner_has_made_enormous_is_replaced() {
    let Some(mut machine) = Machine::new("a_file_that_its_owner_has_made_enormous_is_replaced")
    else {
        return;
    };
    machine.put("db.yaml", "password: hunter2\n");
    machine.start();
    let file = machine.dir.join("run/secrets/db.yaml/password");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let enlarged = fs::OpenOptions::new().write(true).open(&file).unwrap();
    enlarged.set_len(100 << 40).unwrap();
    machine.put("db.yaml", "password: changed\n");
    machine.expect_delivered("db.yaml/password", "changed");
    machine.put("db.yaml", "password: hunter2\n");
    machine.expect_delivered("db.yaml/password", "hunter2");
}
