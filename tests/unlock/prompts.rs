//! The daemon asks by itself: through systemd's password agents, or with a pinentry.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Locked, PASSPHRASE, SECRETS};
use crate::{
    machine::{Machine, eventually},
    support::{is_root, not_run},
};

/// Where systemd's questions lie.
const QUESTIONS: &str = "/run/systemd/ask-password";
/// What gives an answer to one of them.
const REPLY: &str = "/lib/systemd/systemd-reply-password";

/// The socket on which the question about `what` is to be answered.
fn question(what: &Path) -> Option<String> {
    let mut texts = fs::read_dir(QUESTIONS)
        .ok()?
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let text = texts.find(|text| text.contains(what.to_str().unwrap()))?;
    assert!(
        text.contains("\nEcho=0\n") && text.contains("\nAcceptCached=0\n"),
        "{text}"
    );
    let socket = text.lines().find_map(|line| line.strip_prefix("Socket="));
    socket.map(str::to_owned)
}

/// Answers as systemd-tty-ask-password-agent does; without an answer the question is refused.
fn reply(socket: &str, answer: Option<&str>) {
    let mut command = Command::new(REPLY);
    command.args([if answer.is_some() { "1" } else { "0" }, socket]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(answer.unwrap_or_default().as_bytes())
        .unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// The socket of a question, another one than `before`, whose file may still lie there.
#[track_caller]
fn asked(what: &Path, before: Option<&str>) -> String {
    let mut socket = None;
    eventually("systemd is asked", || {
        socket = question(what).filter(|socket| Some(socket.as_str()) != before);
        socket.is_some()
    });
    socket.unwrap()
}

#[track_caller]
fn is_not_asked(machine: &Machine, what: &Path) {
    // A whole delivery, after which it would ask.
    machine.ctl(&["reload"]);
    assert_eq!(question(what), None);
}

fn asking_systemd(test: &str) -> Option<Locked> {
    if !is_root() || !Path::new(REPLY).exists() {
        not_run(
            test,
            "only root may ask through systemd, and systemd must be installed",
        );
        return None;
    }
    Locked::new(test, &format!("unlock: {{ prompt: systemd }}\n{SECRETS}"))
}

#[test]
fn systemd_is_asked_once_for_what_is_locked() {
    let test = "systemd_is_asked_once_for_what_is_locked";
    let Some(mut locked) = asking_systemd(test) else {
        return;
    };
    locked.machine.start();
    let (machine, sealed) = (&locked.machine, &locked.sealed);
    // Nobody waits for the answer.
    assert_eq!(machine.delivered("host").as_deref(), Some("of the host"));
    let first = asked(sealed, None);
    reply(&first, Some("wrong"));
    // It was wrong, and may be tried again.
    let second = asked(sealed, Some(&first));
    reply(&second, Some(PASSPHRASE));
    machine.expect_delivered("op", "of the operator");
    machine.expect_state("ok");
    assert!(!machine.log().contains(PASSPHRASE));
    // A value that changes needs nobody; what was locked again is asked for again, once.
    locked.set("op.yaml", "changed");
    machine.expect_delivered("op", "changed");
    locked.put("op.yaml", "key: rotated\n");
    reply(&asked(sealed, Some(&second)), None);
    eventually("it was refused", || {
        machine.log().contains("nothing was unlocked")
    });
    is_not_asked(machine, sealed);
    assert_eq!(machine.delivered("op").as_deref(), Some("changed"));
    // From a terminal it can be unlocked all the same.
    locked.unlocked();
    assert_eq!(machine.delivered("op").as_deref(), Some("rotated"));
}

#[test]
fn whoever_comes_takes_the_place_of_the_daemons_question() {
    let test = "whoever_comes_takes_the_place_of_the_daemons_question";
    let Some(mut locked) = asking_systemd(test) else {
        return;
    };
    locked.machine.start();
    asked(&locked.sealed, None);
    locked.unlocked();
    let machine = &locked.machine;
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
    eventually("the question is taken back", || {
        question(&locked.sealed).is_none()
    });
    is_not_asked(machine, &locked.sealed);
}

/// A pinentry that writes down what it is told, and answers with what is in the file `answer`.
fn pinentry(machine: &Machine) -> PathBuf {
    let (log, answer) = (machine.dir.join("told"), machine.dir.join("answer"));
    let script = format!(
        "#!/bin/sh\necho 'OK Pleased to meet you'\nwhile IFS= read -r line; do\n  printf '%s\\n' \"$line\" >>{}\n  \
         case $line in\n  GETPIN) cat {};;\n  BYE) echo 'OK closing connection'; exit 0;;\n  *) echo OK;;\n  esac\ndone\n",
        log.display(),
        answer.display(),
    );
    machine.dir.write("bin/pinentry", script);
    machine.dir.chmod("bin/pinentry", 0o755);
    machine.dir.join("bin")
}

#[test]
fn a_pinentry_is_asked_and_may_be_cancelled() {
    let test = "a_pinentry_is_asked_and_may_be_cancelled";
    let more = format!("unlock: {{ prompt: pinentry }}\n{SECRETS}");
    let Some(mut locked) = Locked::new(test, &more) else {
        return;
    };
    let bin = pinentry(&locked.machine);
    // What pinentry says of a person who clicks the window away.
    locked
        .machine
        .dir
        .write("answer", "ERR 83886179 Operation cancelled <Pinentry>\n");
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    locked.machine.start_with(|command| {
        command.env("PATH", path.unwrap());
    });
    let machine = &locked.machine;
    let told = || fs::read_to_string(machine.dir.join("told")).unwrap_or_default();
    eventually("it was refused", || {
        machine.log().contains("nothing was unlocked")
    });
    let asked = told();
    assert!(asked.contains("SETDESC Enter passphrase for /"), "{asked}");
    assert!(
        asked.contains("SETTIMEOUT 300\n") && asked.contains("\nGETPIN\n"),
        "{asked}"
    );
    machine.ctl(&["reload"]);
    assert_eq!(told().matches("GETPIN").count(), 1);
    assert_eq!(machine.delivered("op"), None);

    // Percent signs stand for bytes: this is the passphrase.
    machine
        .dir
        .write("answer", "S PASSWORD_FROM_CACHE\nD 123%345\nOK\n");
    locked.put("new.yaml", "key: another\n");
    locked.configure(&format!("{more}  new: {{ file: new.yaml, key: key }}\n"));
    machine.expect_delivered("new", "another");
    assert_eq!(machine.delivered("op").as_deref(), Some("of the operator"));
    assert_eq!(told().matches("GETPIN").count(), 2);
    assert!(!machine.log().contains(PASSPHRASE));
}

#[test]
fn a_missing_program_is_named() {
    let test = "a_missing_program_is_named";
    let more = format!("unlock: {{ prompt: pinentry }}\n{SECRETS}");
    let Some(mut locked) = Locked::new(test, &more) else {
        return;
    };
    locked.machine.start_with(|command| {
        command.env("PATH", "/nonexistent");
    });
    let machine = &locked.machine;
    eventually("it is said", || {
        machine.log().contains("the program pinentry was not found")
    });
    assert_eq!(machine.delivered("host").as_deref(), Some("of the host"));
    locked.unlocked();
}
