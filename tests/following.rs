//! The daemon follows changes: of the repository as a whole, links to it, the configuration, identities.

use std::{fs, os::unix::fs::symlink, process::Command};

use rustix::process::Signal;

use crate::{
    machine::Machine,
    support::{not_run, run},
};

#[test]
fn follows_a_repository_that_is_replaced() {
    let Some(mut machine) = Machine::new("follows_a_repository_that_is_replaced") else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.start();
    // Twice, because the second time needs watches of the new directory.
    for value in ["second", "third"] {
        let next = machine.encrypted(
            "db.yaml",
            &format!("password: {value}\n"),
            &[&machine.key.recipient],
        );
        machine.dir.write("next/db.yaml", next);
        fs::copy(
            machine.dir.join("repo/.sops.yaml"),
            machine.dir.join("next/.sops.yaml"),
        )
        .unwrap();
        fs::rename(
            machine.dir.join("repo"),
            machine.dir.join(format!("old-{value}")),
        )
        .unwrap();
        fs::rename(machine.dir.join("next"), machine.dir.join("repo")).unwrap();
        machine.expect_delivered("db.yaml/password", value);
    }
    machine.put("db.yaml", "password: fourth\n");
    machine.expect_delivered("db.yaml/password", "fourth");
}

#[test]
fn follows_links_on_the_way_to_the_repository() {
    let Some(mut machine) = Machine::new("follows_links_on_the_way_to_the_repository") else {
        return;
    };
    // app -> versions/A, and the repository is app/secrets.
    let dir = machine.dir.path().to_owned();
    machine.put("db.yaml", "password: first\n");
    fs::create_dir(dir.join("versions")).unwrap();
    for version in ["a", "b", "c"] {
        let text = machine.encrypted(
            "db.yaml",
            &format!("password: of {version}\n"),
            &[&machine.key.recipient],
        );
        machine
            .dir
            .write(format!("versions/{version}/secrets/db.yaml"), text);
        let rules = format!("versions/{version}/secrets/.sops.yaml");
        fs::copy(dir.join("repo/.sops.yaml"), dir.join(rules)).unwrap();
    }
    symlink("versions/a", dir.join("app")).unwrap();
    fs::rename(dir.join("repo"), dir.join("unused")).unwrap();
    symlink(dir.join("app/secrets"), dir.join("repo")).unwrap();
    machine.start();
    machine.expect_delivered("db.yaml/password", "of a");

    // Switched in one step, as deploys do.
    symlink("versions/b", dir.join("app.new")).unwrap();
    fs::rename(dir.join("app.new"), dir.join("app")).unwrap();
    machine.expect_delivered("db.yaml/password", "of b");

    // Removed and made again, as `ln -sfn` does.
    fs::remove_file(dir.join("app")).unwrap();
    symlink("versions/c", dir.join("app")).unwrap();
    machine.expect_delivered("db.yaml/password", "of c");

    // An ancestor of the target is replaced.
    fs::rename(dir.join("versions"), dir.join("versions.old")).unwrap();
    fs::create_dir(dir.join("versions")).unwrap();
    fs::rename(dir.join("versions.old/b"), dir.join("versions/c")).unwrap();
    machine.expect_delivered("db.yaml/password", "of b");
}

#[test]
fn keeps_everything_while_the_repository_is_away() {
    let Some(mut machine) = Machine::new("keeps_everything_while_the_repository_is_away") else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.start();
    fs::rename(machine.dir.join("repo"), machine.dir.join("away")).unwrap();
    machine.expect_state("degraded");
    assert_eq!(
        machine.delivered("db.yaml/password").as_deref(),
        Some("first")
    );
    machine.ctl(&["reload"]).expect(2);
    fs::rename(machine.dir.join("away"), machine.dir.join("repo")).unwrap();
    machine.expect_state("ok");
}

#[test]
fn follows_a_checkout() {
    let Some(mut machine) = Machine::new("follows_a_checkout") else {
        return;
    };
    let names: Vec<String> = (0..5)
        .map(|number| format!("dir{number}/db.yaml/password"))
        .collect();
    machine.configure_secrets(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let repository = machine.dir.join("repo");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&repository).args(args);
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_AUTHOR_NAME", "t"),
            ("GIT_AUTHOR_EMAIL", "t@example.org"),
            ("GIT_COMMITTER_NAME", "t"),
            ("GIT_COMMITTER_EMAIL", "t@example.org"),
        ] {
            command.env(name, value);
        }
        run(&mut command).expect(0);
    };
    if Command::new("git").arg("--version").output().is_err() {
        return not_run("follows_a_checkout", "git is missing");
    }
    git(&["init", "-q", "-b", "main"]);
    for branch in ["main", "other"] {
        if branch == "other" {
            git(&["checkout", "-q", "-b", "other"]);
        }
        for number in 0..5 {
            let plain = format!("password: {branch} {number}\n");
            machine.put(&format!("dir{number}/db.yaml"), &plain);
        }
        git(&["add", "."]);
        git(&["commit", "-q", "-m", branch]);
    }
    machine.start();
    for branch in ["main", "other", "main"] {
        git(&["checkout", "-q", branch]);
        for number in 0..5 {
            let value = format!("{branch} {number}");
            machine.expect_delivered(&format!("dir{number}/db.yaml/password"), &value);
        }
    }

    // While git holds its lock, nothing is taken up.
    machine.ctl(&["reload"]).expect(0);
    machine.dir.write("repo/.git/index.lock", "");
    let generation = machine.json(&["status"])["generation"].clone();
    machine.put("dir0/db.yaml", "password: half way\n");
    machine.eventually("the change was seen", || {
        machine.log().contains("a checkout is in progress")
    });
    assert_eq!(machine.json(&["status"])["generation"], generation);
    fs::remove_file(machine.dir.join("repo/.git/index.lock")).unwrap();
    machine.expect_delivered("dir0/db.yaml/password", "half way");
}

#[test]
fn follows_the_configuration() {
    let Some(mut machine) = Machine::new("follows_the_configuration") else {
        return;
    };
    machine.put("db.yaml", "password: first\nuser: app\n");
    let secret = |name: &str, key: &str| format!("  {name}: {{ file: db.yaml, key: {key} }}\n");
    let configured = |entries: &str| format!("include: [more.d/*.yaml]\nsecrets:\n{entries}");
    machine.configure(&configured(&secret("one", "password")));
    machine.start();
    machine.expect_delivered("one", "first");

    // A changed file is noticed.
    machine.configure(&configured(&secret("two", "password")));
    machine.expect_delivered("two", "first");
    assert!(machine.delivered("one").is_none());

    // So is an included one, also the first one in its directory.
    let more = format!("secrets:\n{}", secret("three", "user"));
    machine.dir.write("etc/more.d/a.yaml", more);
    machine.expect_delivered("three", "app");

    // A bad one changes nothing and is reported.
    let good = machine.dir.read("etc/secretsd.yaml");
    machine.replace("etc/secretsd.yaml", format!("{good}nonsense: true\n"));
    machine.eventually("the status says so", || {
        !machine.json(&["status"])["configuration"].is_null()
    });
    let status = machine.ctl(&["status"]).expect(1);
    assert!(status.text().contains("nonsense"), "{status}");
    assert_eq!(machine.delivered("two").as_deref(), Some("first"));
    machine.put("db.yaml", "password: second\nuser: app\n");
    machine.expect_delivered("two", "second");
    let reload = machine.ctl(&["reload", "--json"]).expect(2);
    let error: serde_json::Value = serde_json::from_str(&reload.stderr).unwrap();
    assert!(error["error"]["line"].is_u64(), "{reload}");

    // What needs a restart is refused, too.
    let moved = good.replace("run/secrets\n", "run/elsewhere\n");
    assert_ne!(moved, good);
    machine.replace("etc/secretsd.yaml", moved);
    let reload = machine.ctl(&["reload"]).expect(2);
    assert!(reload.stderr.contains("runtime-directory"), "{reload}");

    // A signal makes it look as well, and is acknowledged.
    machine.replace("etc/secretsd.yaml", good);
    machine.ctl(&["reload"]).expect(0);
    machine.signal(Signal::HUP);
    machine.expect_notice("RELOADING=1");
    machine.expect_notice("READY=1");
    assert_eq!(machine.state(), "ok");
}

#[test]
fn follows_identities() {
    let Some(mut machine) = Machine::new("follows_identities") else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.configure("secrets:\n  one: { file: db.yaml, key: password }\n");
    let key = machine.dir.join("host.txt");
    let aside = machine.dir.join("aside.txt");
    fs::rename(&key, &aside).unwrap();
    machine.start();
    let status = machine.json(&["status"]);
    assert_ne!(status["state"], "ok");
    assert_eq!(status["degraded"][0]["name"], "one");
    machine.ctl(&["status"]).expect(1);
    machine.ctl(&["wait"]).expect(1);

    fs::rename(&aside, &key).unwrap();
    machine.expect_state("ok");
    assert_eq!(machine.delivered("one").as_deref(), Some("first"));
}

#[test]
fn a_flood_of_events_loses_nothing() {
    let Some(mut machine) = Machine::new("a_flood_of_events_loses_nothing") else {
        return;
    };
    machine.configure_secrets(&["db.yaml/password", "new/db.yaml/password"]);
    machine.put("db.yaml", "password: first\n");
    machine.start();
    // Stopped, so that the queue overflows; afterwards it must look by itself.
    machine.signal(Signal::STOP);
    let noise = machine.dir.join("repo/noise");
    fs::create_dir(&noise).unwrap();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 100_000 {
        return not_run(
            "a_flood_of_events_loses_nothing",
            "the queue of this machine is too long",
        );
    }
    let repository = machine.dir.join("repo");
    for number in 0..limit {
        let file = repository.join(format!("noise-{}.tmp", number % 1000));
        fs::write(&file, "").unwrap();
        fs::remove_file(&file).unwrap();
    }
    machine.put("db.yaml", "password: second\n");
    machine.put("new/db.yaml", "password: third\n");
    machine.signal(Signal::CONT);
    machine.expect_delivered("db.yaml/password", "second");
    machine.expect_delivered("new/db.yaml/password", "third");
    machine.eventually("it says so", || machine.log().contains("overflow"));
    machine.put("new/db.yaml", "password: fourth\n");
    machine.expect_delivered("new/db.yaml/password", "fourth");
}

#[test]
fn polls_where_nothing_can_be_watched() {
    let Some(mut machine) = Machine::new("polls_where_nothing_can_be_watched") else {
        return;
    };
    machine.configure_secrets(&["db.yaml/password", "new.yaml/password"]);
    machine.put("db.yaml", "password: first\n");
    let config = machine.dir.read("etc/secretsd.yaml");
    machine.replace(
        "etc/secretsd.yaml",
        config.replace("debounce: 20ms", "debounce: 20ms, poll: 100ms"),
    );
    // A user namespace in which nobody gets an inotify instance.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c"]);
    command.arg("echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"");
    let probe = run(Command::new("unshare").args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        "echo 0 > /proc/sys/user/max_inotify_instances",
    ]));
    if probe.code() != 0 {
        return not_run(
            "polls_where_nothing_can_be_watched",
            "no user namespaces here",
        );
    }
    let daemon = machine.daemon_command();
    command.arg(daemon.get_program()).args(daemon.get_args());
    for (name, value) in daemon.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    machine.spawn(command);
    machine.expect_notice("READY=1");
    let status = machine.json(&["status"]);
    assert_eq!(status["repository"]["watch"], "poll");
    assert!(
        status["repository"]["watch_reason"]
            .as_str()
            .unwrap()
            .contains("inotify")
    );
    machine.put("db.yaml", "password: second\n");
    machine.expect_delivered("db.yaml/password", "second");
    machine.put("new.yaml", "password: third\n");
    machine.expect_delivered("new.yaml/password", "third");
}

#[test]
fn an_identity_that_goes_away_is_told() {
    let Some(mut machine) = Machine::new("an_identity_that_goes_away_is_told") else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.start();
    machine.expect_state("ok");
    let key = machine.dir.read("host.txt");
    let state_of_identity = || machine.json(&["status"])["identities"][0]["state"].clone();
    fs::remove_file(machine.dir.join("host.txt")).unwrap();
    machine.expect_state("degraded");
    assert_eq!(state_of_identity(), "unreadable");
    machine.ctl(&["status"]).expect(1);
    // What was delivered stays, and nothing of it is degraded.
    machine.expect_delivered("db.yaml/password", "first");
    assert_eq!(machine.json(&["status"])["degraded"], serde_json::json!([]));
    machine.replace("host.txt", "# nothing\n");
    machine.eventually("the file is empty", || state_of_identity() == "empty");
    machine.expect_state("degraded");
    // Every user can read it, until it is taken away from them.
    machine.replace("host.txt", key);
    machine.eventually("the file is refused", || {
        state_of_identity() == "unreadable"
    });
    machine.dir.chmod("host.txt", 0o600);
    machine.expect_state("ok");
}
