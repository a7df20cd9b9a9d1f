//! Who can open a file: every source that sops reads, every kind of key, prompts on a real terminal.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    support::{AgeKey, Dir, Ran, Sops, ctl, peer, run},
    terminal::Terminal,
};

const PLAIN: &str = "password: hunter2\n";

/// Encrypts [`PLAIN`] with real sops for these recipients.
fn encrypted(dir: &Dir, sops: &Sops, recipients: &[&str]) -> PathBuf {
    let bytes = sops.encrypt(dir, "secret.yaml", PLAIN, recipients, &[]);
    dir.write("secret.yaml", bytes)
}

fn ssh_key(dir: &Dir, name: &str, kind: &str, passphrase: &str) -> (PathBuf, String) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let status = Command::new("ssh-keygen")
        .args(["-q", "-C", "root@host", "-t", kind, "-N", passphrase, "-f"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    let public = fs::read_to_string(path.with_extension("pub")).unwrap();
    (path, public.trim().to_owned())
}

/// Runs without a controlling terminal, wherever the tests run.
fn without_terminal(command: &Command) -> Command {
    let mut wrapped = Command::new("setsid");
    wrapped.arg("--wait").arg(command.get_program());
    wrapped.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped.stdin(std::process::Stdio::null());
    wrapped
}

fn decrypt(file: &Path) -> Command {
    ctl(["decrypt".as_ref(), file.as_os_str()])
}

fn opened(ran: Ran) {
    let ran = ran.expect(0);
    assert_eq!(ran.text(), PLAIN, "{ran}");
    assert_eq!(ran.stderr, "");
}

#[test]
fn every_source_of_sops() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let (ed25519, ed25519_public) = ssh_key(&dir, "home/.ssh/id_ed25519", "ed25519", "");
    let (rsa, rsa_public) = ssh_key(&dir, "other/.ssh/id_rsa", "rsa", "");
    let file = encrypted(&dir, &sops, &[&key.recipient, &ed25519_public, &rsa_public]);
    dir.write("config/sops/age/keys.txt", fs::read(&key.file).unwrap());
    dir.write(
        "home2/.config/sops/age/keys.txt",
        fs::read(&key.file).unwrap(),
    );
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let sources = [
        ("SOPS_AGE_KEY", key.secret.clone()),
        (
            "SOPS_AGE_KEY",
            format!("# a comment\n\n{0} {0}\n", key.secret),
        ),
        ("SOPS_AGE_KEY_FILE", path(&key.file)),
        ("SOPS_AGE_KEY_CMD", format!("cat '{}'", path(&key.file))),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", path(&ed25519)),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", path(&rsa)),
        (
            "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
            format!("cat {}", path(&rsa)),
        ),
        ("XDG_CONFIG_HOME", path(&dir.join("config"))),
        ("HOME", path(&dir.join("home"))),
        ("HOME", path(&dir.join("other"))),
        ("HOME", path(&dir.join("home2"))),
    ];
    for (variable, value) in sources {
        // What sops opens, we open.
        for mut command in [
            sops.command(["decrypt".as_ref(), file.as_os_str()]),
            decrypt(&file),
        ] {
            if variable == "HOME" {
                command.env_remove("XDG_CONFIG_HOME");
            }
            let ran = run(command.env(variable, &value)).expect(0);
            assert_eq!(ran.text(), PLAIN, "{variable}={value}: {ran}");
        }
    }
}

#[test]
fn a_command_learns_which_recipient_is_tried() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let (ours, other) = (
        AgeKey::generate(&dir, "ours"),
        AgeKey::generate(&dir, "other"),
    );
    let file = encrypted(&dir, &sops, &[&other.recipient, &ours.recipient]);
    let script = dir.write(
        "keys",
        format!(
            "#!/bin/sh\necho \"$SOPS_AGE_RECIPIENT\" >> '{}'\n[ \"$SOPS_AGE_RECIPIENT\" = {} ] && cat '{}'\n",
            dir.join("asked").display(),
            ours.recipient,
            ours.file.display()
        ),
    );
    opened(run(
        decrypt(&file).env("SOPS_AGE_KEY_CMD", format!("sh {}", script.display()))
    ));
    let asked = dir.read("asked");
    assert_eq!(
        asked.lines().collect::<Vec<_>>(),
        [&other.recipient, &ours.recipient]
    );
    // With a key at hand it does not run at all.
    fs::remove_file(dir.join("asked")).unwrap();
    opened(run(decrypt(&file)
        .env("SOPS_AGE_KEY", &ours.secret)
        .env("SOPS_AGE_KEY_CMD", format!("sh {}", script.display()))));
    assert!(!dir.exists("asked"));
}

#[test]
fn what_is_wrong_with_one_source_is_told_only_when_nothing_opens() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let file = encrypted(&dir, &sops, &[&key.recipient]);
    let broken = dir.write("broken", "AGE-SECRET-KEY-1NONSENSE\n");
    opened(run(decrypt(&file)
        .env("SOPS_AGE_KEY_FILE", &broken)
        .env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", dir.join("missing"))
        .env("SOPS_AGE_KEY", &key.secret)));
    let ran = run(decrypt(&file)
        .env("SOPS_AGE_KEY_FILE", &broken)
        .env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", dir.join("missing")))
    .expect(2);
    for told in [&key.recipient, "broken", "missing", "SOPS_AGE_KEY"] {
        assert!(ran.stderr.contains(told), "{told}: {ran}");
    }
    assert!(!ran.stderr.contains("NONSENSE"), "{ran}");
    assert!(ran.stdout.is_empty());
}

#[test]
fn a_named_identity_replaces_the_defaults() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let (key, other) = (
        AgeKey::generate(&dir, "key"),
        AgeKey::generate(&dir, "other"),
    );
    let file = encrypted(&dir, &sops, &[&key.recipient]);
    let mut command = decrypt(&file);
    command.arg("--json").arg("-i").arg(&other.file);
    let ran = run(command.env("SOPS_AGE_KEY", &key.secret)).expect(2);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["code"], "no-identity", "{ran}");
    let hint = error["error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains(&key.recipient) && hint.contains(&other.recipient),
        "{hint}"
    );
    command.arg("-i").arg(&key.file);
    opened(run(&mut command));

    for unusable in ["missing", "empty", "broken"] {
        dir.write("empty", "# nothing\n");
        dir.write("broken", "nonsense\n");
        let ran = run(decrypt(&file).arg("-i").arg(dir.join(unusable))).expect(2);
        assert!(ran.stderr.contains(unusable), "{ran}");
    }
}

#[test]
fn a_host_key_opens_what_is_for_the_recipient_derived_from_it() {
    let Some(sops) = Sops::both() else { return };
    let dir = Dir::new();
    for passphrase in ["", "12345"] {
        let (path, public) = ssh_key(&dir, &format!("host{passphrase}"), "ed25519", passphrase);
        let ran = run(ctl(["identity", "show", "--json", "-i"]).arg(&path)).expect(0);
        let shown = &ran.json()["identities"][0];
        assert_eq!(shown["kind"], "ssh-ed25519");
        let recipients = &shown["recipients"];
        assert!(public.starts_with(recipients[0].as_str().unwrap()));
        let derived = recipients[1].as_str().unwrap();
        assert!(derived.starts_with("age1"));
        if passphrase.is_empty() {
            assert_eq!(shown["state"], "usable");
            for sops in &sops {
                let file = encrypted(&dir, sops, &[derived]);
                opened(run(decrypt(&file).arg("-i").arg(&path)));
            }
        } else {
            assert_eq!(shown["state"], "locked");
        }
    }
}

/// An identity file that only the passphrase `12345` opens.
pub(crate) fn protected(dir: &Dir, key: &AgeKey) -> Option<PathBuf> {
    let (age, plugin) = (peer("age")?, peer("age-plugin-batchpass")?);
    let file = dir.join("protected.age");
    let mut command = Command::new(age);
    command
        .args(["-e", "-a", "-j", "batchpass", "-o"])
        .args([&file, &key.file])
        .env("PATH", plugin.parent().unwrap())
        .env("AGE_PASSPHRASE", "12345")
        .env("AGE_PASSPHRASE_WORK_FACTOR", "4");
    run(&mut command).expect(0);
    Some(file)
}

#[test]
fn a_passphrase_is_asked_for_on_the_terminal() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let (ssh, public) = ssh_key(&dir, "ssh", "ed25519", "12345");
    let file = encrypted(&dir, &sops, &[&key.recipient, &public]);
    let Some(protected) = protected(&dir, &key) else {
        return;
    };
    for identity in [&protected, &ssh] {
        let mut command = decrypt(&file);
        command.arg("-i").arg(identity);
        let ran = Terminal::run(&command, |terminal| {
            terminal.expect(identity.file_name().unwrap().to_str().unwrap());
            terminal.enter("wrong\r");
            terminal.expect("wrong passphrase");
            // What is typed before the prompt is thrown away.
            terminal.expect(identity.file_name().unwrap().to_str().unwrap());
            // With a correction.
            terminal.enter("1234x\x7f5\r");
        });
        assert!(!ran.seen.contains("1234"), "{}", ran.seen);
        assert!(ran.echoes, "the terminal was left without echo");
        opened(ran.ran);
    }
}

#[test]
fn a_passphrase_that_nobody_gives_leaves_the_identity_locked() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let file = encrypted(&dir, &sops, &[&key.recipient]);
    let Some(protected) = protected(&dir, &key) else {
        return;
    };
    let mut command = decrypt(&file);
    command.args(["--json", "-i"]).arg(&protected);
    let ran = run(&mut without_terminal(&command)).expect(2);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["code"], "locked", "{ran}");

    let ran = Terminal::run(&command, |terminal| {
        for _ in 0..3 {
            terminal.expect("passphrase");
            terminal.enter("wrong\r");
            terminal.expect("wrong passphrase");
        }
    });
    ran.ran.expect(2);
    // Beside a key that opens, nobody is asked.
    command.arg("-i").arg(&key.file);
    opened(run(&mut without_terminal(&command)));
}

#[test]
fn an_interrupt_at_the_prompt_leaves_the_terminal_as_it_was() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let file = encrypted(&dir, &sops, &[&key.recipient]);
    let Some(protected) = protected(&dir, &key) else {
        return;
    };
    let mut command = decrypt(&file);
    command.arg("-i").arg(&protected);
    let ran = Terminal::run(&command, |terminal| {
        terminal.expect("passphrase");
        terminal.enter("123\x03");
    });
    assert!(ran.echoes, "the terminal was left without echo");
    assert_eq!(ran.ran.expect(130).text(), "");
}

#[test]
fn what_would_be_used_is_shown() {
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let ran =
        run(ctl(["identity", "check", "--json"]).env("SOPS_AGE_KEY_FILE", &key.file)).expect(0);
    let json = ran.json();
    assert_eq!(json["identities"][0]["name"], key.file.to_str().unwrap());
    assert_eq!(json["identities"][0]["kind"], "x25519");
    assert_eq!(json["identities"][0]["state"], "usable");
    assert_eq!(json["identities"][0]["recipients"][0], key.recipient);
    assert!(!ran.text().contains(&key.secret));
    run(&mut ctl(["identity", "show"])).expect(0);
    run(&mut ctl(["identity", "check"])).expect(1);
    let broken = dir.write("broken", "nonsense\x1b[31m\n");
    let ran = run(ctl(["identity", "check"])
        .env("SOPS_AGE_KEY", &key.secret)
        .env("SOPS_AGE_KEY_FILE", broken))
    .expect(1);
    assert!(ran.text().contains(&key.recipient), "{ran}");
    assert!(!ran.stderr.contains('\x1b'), "{ran}");
}

#[test]
fn no_core_of_a_program_that_reads_keys() {
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let plain = dir.write("file.yaml", "a: b\n");
    run(ctl(["encrypt", "--in-place", "--age", &key.recipient]).arg(&plain)).expect(0);
    // What it starts has its limits; the shell before it lifts the soft one as far as it may.
    let seen = dir.join("limit");
    let script = dir.write(
        "key.sh",
        format!(
            "ulimit -c >'{}'; cat '{}'\n",
            seen.display(),
            key.file.display()
        ),
    );
    let program = ctl(["decrypt"]);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args())
        .arg(&plain);
    crate::support::clean(&mut command);
    command.env("SOPS_AGE_KEY_CMD", format!("sh '{}'", script.display()));
    run(&mut command).expect(0);
    assert_eq!(dir.read("limit"), "0\n");
}

#[test]
fn check_says_which_files_of_the_repository_open() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let [mine, other] = ["mine", "other"].map(|name| AgeKey::generate(&dir, name));
    dir.write(
        "repo/.sops.yaml",
        format!(
            "keys:\n  - &web {}\ncreation_rules:\n  - age: *web\n",
            other.recipient
        ),
    );
    let put = |name: &str, recipients: &[&str]| {
        let text = sops.encrypt(&dir, name, PLAIN, recipients, &[]);
        dir.write(format!("repo/{name}"), text)
    };
    put("a.yaml", &[&mine.recipient]);
    put("b.yaml", &[&mine.recipient, &other.recipient]);
    let check = |args: &[&str], key: &AgeKey| {
        let mut command = ctl(["-C".as_ref(), dir.join("repo").as_os_str()]);
        command.args(["identity", "check", "-i"]).arg(&key.file);
        run(command.args(args))
    };
    for args in [&[][..], &["--open"]] {
        let ran = check(args, &mine).expect(0);
        assert!(ran.text().contains("all of 2 files open"), "{ran}");
        let ran = check(args, &other).expect(1);
        assert!(
            ran.text().contains("1 of 2 files do not open\n  a.yaml  "),
            "{ran}"
        );
    }
    put("c.yaml", &[&other.recipient]);
    let told = check(&["--json"], &mine).expect(1).json();
    assert_eq!(told["files"]["opened"], 2);
    assert_eq!(
        told["files"]["closed"],
        serde_json::json!([{ "path": "c.yaml", "why": "it is for web" }])
    );
    // What a recipient promises and the wrapped key does not keep shows when it is tried.
    let text = dir
        .read("repo/c.yaml")
        .replace(&other.recipient, &mine.recipient);
    dir.write("repo/c.yaml", text);
    check(&[], &mine).expect(0);
    let ran = check(&["--open"], &mine).expect(1);
    assert!(ran.text().contains("  c.yaml  "), "{ran}");
}

#[test]
fn check_knows_what_it_cannot_know() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let Some(sealed) = protected(&dir, &key) else {
        return;
    };
    dir.write(
        "repo/.sops.yaml",
        format!("creation_rules:\n  - age: {}\n", key.recipient),
    );
    dir.write(
        "repo/a.yaml",
        sops.encrypt(&dir, "a.yaml", PLAIN, &[&key.recipient], &[]),
    );
    let mut command = ctl(["-C".as_ref(), dir.join("repo").as_os_str()]);
    command.args(["identity", "check", "-i"]).arg(&sealed);
    let ran = run(&mut without_terminal(&command)).expect(1);
    assert!(
        ran.text().contains("a.yaml  perhaps with an identity"),
        "{ran}"
    );
    let done = Terminal::run(command.arg("--open"), |terminal| {
        terminal.expect("passphrase");
        terminal.enter("12345\r");
    });
    assert!(
        done.ran.text().contains("all of 1 file open"),
        "{}",
        done.ran
    );
}

#[test]
fn show_tells_the_recipients_of_a_file_and_of_the_host() {
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let (ssh, public) = ssh_key(&dir, "id", "ed25519", "x");
    let show = |file: &Path| run(ctl(["identity", "show"]).arg(file)).expect(0);
    assert!(show(&key.file).text().contains(&key.recipient));
    // Without its passphrase.
    let key = public.rsplit_once(' ').unwrap().0;
    assert!(show(&ssh).text().contains(key));
    run(ctl(["identity", "show"]).arg(dir.join("none"))).expect(2);
    let host = run(&mut ctl(["identity", "show", "--host"]));
    match fs::read_to_string("/etc/ssh/ssh_host_ed25519_key.pub") {
        Ok(public) => {
            let public = public.trim().rsplit_once(' ').unwrap().0.to_owned();
            assert!(host.expect(0).text().contains(&public));
        }
        Err(_) => assert!(host.expect(2).stderr.contains("this host has no SSH key")),
    }
}

#[test]
fn a_key_that_every_user_can_read_is_told_of() {
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let check = |variable: &str| {
        let mut command = ctl(["identity", "check"]);
        match variable {
            "-i" => command.arg("-i").arg(&key.file),
            _ => command.env(variable, &key.file),
        };
        run(&mut command)
    };
    for variable in ["-i", "SOPS_AGE_KEY_FILE"] {
        dir.chmod("key.txt", 0o604);
        let told = check(variable).expect(1);
        assert!(
            told.stderr
                .contains("every user can read the private key in this file"),
            "{told}"
        );
        assert!(
            told.stderr.contains("key.txt") && told.text().contains(&key.recipient),
            "{told}"
        );
        dir.chmod("key.txt", 0o640);
        check(variable).expect(0);
    }
}
