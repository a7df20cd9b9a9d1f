//! The daemon begins the next generation before there is a change for it. Nobody may see a difference.

use std::{fs, process::Command, time::Duration};

use crate::{
    machine::{BY_RULES, Machine, User},
    support::{clean, run},
};

#[test]
fn what_changes_lead_to_is_what_a_first_delivery_makes() {
    let Some(mut machine) = Machine::new("what_changes_lead_to_is_what_a_first_delivery_makes")
    else {
        return;
    };
    machine.configure(&format!(
        "{BY_RULES}templates:\n  app.env: {{ content: 'A={{{{ secret(\"a.yaml/x\") }}}}' }}\n"
    ));
    machine.put("a.yaml", "x: first\ny: {z: 1, w: 2}\n");
    machine.put("b.yaml", "x: first\n");
    machine.put("c", "whole");
    machine.start();
    type Step<'s> = (&'s dyn Fn(&Machine), &'s str, Option<&'s str>);
    let steps: [Step<'_>; 9] = [
        (
            &|machine| machine.put("a.yaml", "x: second\ny: {z: 1, w: 2}\n"),
            "app.env",
            Some("A=second"),
        ),
        // A value becomes a directory of values, and a directory a value.
        (
            &|machine| machine.put("a.yaml", "x: second\ny: plain\n"),
            "a.yaml/y",
            Some("plain"),
        ),
        (
            &|machine| machine.put("a.yaml", "x: second\ny: {z: {deep: 3}}\n"),
            "a.yaml/y/z/deep",
            Some("3"),
        ),
        (
            &|machine| machine.put("d/e/f.yaml", "x: new\n"),
            "d/e/f.yaml/x",
            Some("new"),
        ),
        (
            &|machine| fs::remove_file(machine.dir.join("repo/b.yaml")).unwrap(),
            "b.yaml/x",
            None,
        ),
        // A file becomes a directory of files, and the other way round.
        (
            &|machine| {
                fs::remove_file(machine.dir.join("repo/c")).unwrap();
                let ours = &[&*machine.key.recipient];
                let text = machine.encrypted("inner.env", "A=b\n", ours);
                machine.replace("repo/c/inner.env", text);
            },
            "c/inner.env",
            Some("A=b\n"),
        ),
        (
            &|machine| {
                fs::remove_dir_all(machine.dir.join("repo/c")).unwrap();
                machine.put("c", "again");
            },
            "c",
            Some("again"),
        ),
        // The same values in another file.
        (
            &|machine| {
                let to = machine.dir.join("repo/g.yaml");
                fs::rename(machine.dir.join("repo/d/e/f.yaml"), to).unwrap();
            },
            "g.yaml/x",
            Some("new"),
        ),
        (
            &|machine| machine.put("a.yaml", "x: last\n"),
            "a.yaml/y/z/deep",
            None,
        ),
    ];
    for (number, (change, name, value)) in steps.into_iter().enumerate() {
        expect_ready(&machine);
        change(&machine);
        machine.eventually(&format!("step {number}"), || {
            machine.delivered(name).as_deref() == value
        });
        expect_ready(&machine);
        assert_eq!(
            tree(&machine, "secrets"),
            first_delivery(&machine),
            "step {number}"
        );
    }
    assert_eq!(machine.stop(), 0);
    let left = fs::read_dir(machine.dir.join("run/secrets.d")).unwrap();
    assert_eq!(
        left.count(),
        2,
        "one generation and what is remembered of it"
    );
}

#[test]
fn a_delivered_file_that_others_changed_is_repaired() {
    let Some(mut machine) = Machine::new("a_delivered_file_that_others_changed_is_repaired") else {
        return;
    };
    machine.configure(BY_RULES);
    machine.put("a.yaml", "x: first\n");
    machine.put("b.yaml", "x: of b\n");
    machine.start();
    expect_ready(&machine);
    let changed = machine.dir.join("run/secrets/b.yaml/x");
    fs::remove_file(&changed).unwrap();
    fs::write(&changed, "forged").unwrap();
    machine.put("a.yaml", "x: second\n");
    machine.expect_delivered("a.yaml/x", "second");
    machine.expect_delivered("b.yaml/x", "of b");
    machine.expect_state("ok");
}

#[test]
fn a_kill_at_any_moment_leaves_last_good_values() {
    let Some(mut machine) = Machine::new("a_kill_at_any_moment_leaves_last_good_values") else {
        return;
    };
    machine.configure(BY_RULES);
    let plain = |value: &str| format!("x: {value}\ny: {value}\nz: {value}\n");
    let versions = ["old", "new"]
        .map(|value| machine.encrypted("a.yaml", &plain(value), &[&machine.key.recipient]));
    machine.put("b.yaml", "x: of b\n");
    machine.replace("repo/a.yaml", &versions[0]);
    for round in 0..24_u64 {
        machine.start();
        expect_ready(&machine);
        machine.replace(
            "repo/a.yaml",
            &versions[usize::try_from(round % 2).unwrap()],
        );
        // From before the change is noticed until after the next generation is begun.
        std::thread::sleep(Duration::from_micros(18_000 + round * 1_000));
        machine.kill();
        let values =
            ["x", "y", "z"].map(|key| machine.delivered(&format!("a.yaml/{key}")).unwrap());
        assert!(
            values.iter().all(|value| *value == values[0]),
            "round {round}: {values:?}"
        );

        // Only who remembers what was delivered can keep it now.
        machine.replace("repo/a.yaml", "x: ENC[AES256_GCM,damaged]\n");
        machine.start();
        let kept = machine.delivered("a.yaml/x");
        assert_eq!(kept.as_ref(), Some(&values[0]), "round {round}");
        machine.expect_delivered("b.yaml/x", "of b");
        machine.kill();
        machine.replace(
            "repo/a.yaml",
            &versions[usize::try_from(round % 2).unwrap()],
        );
    }
}

#[test]
fn a_value_whose_new_owner_is_refused_stays() {
    let test = "a_value_whose_new_owner_is_refused_stays";
    let Some(mut machine) = Machine::of(test, User::Nobody) else {
        return;
    };
    machine.put("a.yaml", "x: of x\ny: of y\n");
    let configure = |machine: &Machine, more: &str| {
        machine.configure(&format!(
            "secrets:\n  x: {{ file: a.yaml, key: x }}\n  y: {{ file: a.yaml, key: y{more} }}\n  z: {{ file: b.yaml, key: z }}\n"
        ));
    };
    configure(&machine, "");
    machine.put("b.yaml", "z: old\n");
    machine.start();
    expect_ready(&machine);
    configure(&machine, ", owner: root");
    machine.signal(rustix::process::Signal::HUP);
    machine.expect_state("degraded");
    machine.expect_delivered("y", "of y");
    // Nor is it lost by a change of something else in the same file, or in another.
    for (file, plain, name, value) in [
        ("a.yaml", "x: new\ny: of y\n", "x", "new"),
        ("b.yaml", "z: first\n", "z", "first"),
        ("a.yaml", "x: newer\ny: of y\n", "x", "newer"),
    ] {
        expect_ready(&machine);
        machine.put(file, plain);
        machine.expect_delivered(name, value);
        machine.expect_delivered("y", "of y");
    }
    expect_ready(&machine);
    // Where it is not what was written, the rest of its file is there all the same.
    let forged = machine.dir.join("run/secrets/y");
    fs::remove_file(&forged).unwrap();
    fs::write(&forged, "forged").unwrap();
    machine.put("b.yaml", "z: second\n");
    machine.expect_delivered("z", "second");
    machine.expect_delivered("x", "newer");
    let generation = fs::read_link(machine.dir.join("run/secrets")).unwrap();
    assert!(generation.join("x").exists());
    assert!(!generation.join("y").exists(), "a forged file is kept");
    configure(&machine, "");
    machine.expect_state("ok");
    machine.expect_delivered("y", "of y");
}

#[test]
fn a_switch_that_failed_leaves_nothing_that_a_restart_believes() {
    let test = "a_switch_that_failed_leaves_nothing_that_a_restart_believes";
    let Some(mut machine) = Machine::new(test) else {
        return;
    };
    machine.configure(BY_RULES);
    machine.put("a.yaml", "x: first\n");
    machine.put("b.yaml", "x: of b\n");
    machine.start();
    expect_ready(&machine);
    let block = machine.dir.join("run/.secrets.secretsd-new");
    fs::create_dir(&block).unwrap();
    // Twice: the second time nothing was begun, and the whole state is written.
    for value in ["second", "third"] {
        machine.put("a.yaml", &format!("x: {value}\n"));
        assert_ne!(machine.ctl(&["reload"]).code(), 0);
        machine.expect_delivered("a.yaml/x", "first");
    }
    let names = fs::read_dir(machine.dir.join("run/secrets.d"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.ends_with("-2")).collect();
    assert!(left.is_empty(), "{left:?}");
    fs::remove_dir(&block).unwrap();
    machine.put("a.yaml", "x: last\n");
    machine.expect_delivered("a.yaml/x", "last");
    machine.kill();

    fs::remove_file(machine.dir.join("host.txt")).unwrap();
    machine.start();
    assert_eq!(machine.delivered("a.yaml/x").as_deref(), Some("last"));
    assert_eq!(machine.delivered("b.yaml/x").as_deref(), Some("of b"));
    machine.expect_state("degraded");
}

/// Waits until nothing is left to do before the next change.
#[track_caller]
fn expect_ready(machine: &Machine) {
    machine.forget_notices();
    let base = machine.dir.join("run/secrets.d");
    machine.eventually("the next generation is begun", || {
        let names = fs::read_dir(&base)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let names: Vec<String> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let has = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
        let mode = fs::metadata(base.join(".new")).map(|metadata| metadata.permissions());
        has(".new")
            && !has(".delta")
            && mode
                .is_ok_and(|mode| std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777 == 0o700)
            && count(&base.join(".new")) == count(&machine.dir.join("run/secrets/"))
    });
}

fn count(directory: &std::path::Path) -> String {
    let mut command = Command::new("find");
    command
        .arg(directory)
        .args(["-mindepth", "1", "-printf", "%P\n"]);
    let ran = run(clean(&mut command));
    let mut lines: Vec<&str> = ran.text().lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Names, kinds, modes and contents of what is below `run/NAME`.
fn tree(machine: &Machine, name: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", "cd \"$1\" && find . -printf '%p %y %m %s\\n' | sort && find . -type f | sort | xargs head -v -c 100", "sh"]);
    let ran = run(clean(command.arg(machine.dir.join("run").join(name)))).expect(0);
    ran.text().to_owned()
}

/// The same made from nothing.
fn first_delivery(machine: &Machine) -> String {
    let config = machine.dir.read("etc/secretsd.yaml");
    let config = config.replace("/run/secrets\n", "/run/fresh\n");
    let config = machine.dir.write("etc/fresh.yaml", config);
    let mut command = crate::support::daemon(["--once", "--config"]);
    run(command.arg(config)).expect(0);
    let fresh = tree(machine, "fresh");
    // Root's is a mount.
    let mut remove = Command::new("sh");
    let script = "umount -l \"$1.d\" 2>/dev/null; rm -r \"$1\" \"$1.d\"";
    remove.args(["-c", script, "sh"]);
    run(clean(remove.arg(machine.dir.join("run/fresh")))).expect(0);
    fresh
}
