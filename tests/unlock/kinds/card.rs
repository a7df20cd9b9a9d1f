//! A key in a card, emulated behind the real PC/SC daemon.

use crate::{
    card::{ALWAYS, NEVER, ONCE, PIN},
    support::{Ran, run},
    terminal::{OnTerminal, Terminal},
    yubikey::unattended::{Machine, configured},
};

fn with(machine: &Machine, keys: &[&str]) -> OnTerminal {
    Terminal::run(&machine.ctl(&["unlock"]), |person| {
        for pin in keys {
            person.expect("Enter PIN for YubiKey 4002");
            person.enter(&format!("{pin}\r"));
        }
    })
}

#[test]
fn a_card_is_unlocked_with_one_pin_and_let_go_of() {
    let test = "a_card_is_unlocked_with_one_pin_and_let_go_of";
    let Some(machine) = Machine::with_policy(test, &configured(), ONCE, NEVER) else {
        return;
    };
    let card = machine.reader.card(0);
    let _daemon = machine.start();
    let ask = |args: &[&str]| -> Ran { run(&mut machine.ctl(args)) };
    crate::machine::eventually("the daemon answers", || {
        let status = ask(&["status", "--json"]);
        status.code() == 1 && status.json()["state"] == "locked"
    });
    assert!(machine.delivered("host") && !machine.delivered("card"));
    assert_eq!(card.count("verify"), 0);

    let refused = with(&machine, &["999999"]).ran.expect(2);
    assert!(refused.stderr.contains("2 tries are left"), "{refused}");
    assert_eq!((card.count("verify"), card.tries()), (1, 2));
    assert!(!machine.delivered("card"));

    let done = with(&machine, &[PIN]);
    assert!(done.seen.contains("2 tries are left"), "{}", done.seen);
    let told = done.ran.expect(0);
    assert!(
        told.text().contains("unlocked YubiKey 4002 slot 2"),
        "{told}"
    );
    assert!(machine.delivered("card"));
    assert_eq!((card.count("verify"), card.count("ecdh")), (2, 1));
    // It is for others again, and what was unlocked needs it no more.
    drop(machine.reader.hold("exclusive"));
    card.tell(&serde_json::json!({ "inserted": false }));
    machine.reader.wait_for(0);
    machine.set("card.yaml", "changed");
    machine.expect_delivered("card", "changed");
    assert_eq!(
        ask(&["lock", "4002"]).expect(0).text(),
        "1 data key wiped\n"
    );
    // Without the card nobody is asked.
    machine.set("card.yaml", "hidden");
    crate::machine::eventually("it is locked", || {
        ask(&["status", "--json"]).json()["state"] == "locked"
    });
    let refused = with(&machine, &[]).ran.expect(2);
    assert!(refused.stderr.contains("not plugged in"), "{refused}");
    assert_eq!((card.count("verify"), card.count("ecdh")), (2, 1));
}

/// The daemon's own questions are answered by this pinentry.
fn answering(machine: &Machine) -> std::ffi::OsString {
    let bin = machine.dir.write("bin/pinentry", format!("#!/bin/sh\necho OK\nwhile read -r line; do\n  case $line in\n  GETPIN) echo asked >>{}; printf 'D {PIN}\\nOK\\n';;\n  BYE) exit 0;;\n  *) echo OK;;\n  esac\ndone\n", machine.dir.join("asked").display()));
    machine.dir.chmod("bin/pinentry", 0o755);
    let path = std::env::var_os("PATH").unwrap();
    let first = std::iter::once(bin.parent().unwrap().to_owned());
    std::env::join_paths(first.chain(std::env::split_paths(&path))).unwrap()
}

#[test]
fn a_card_that_comes_is_used_and_what_it_opened_goes_with_it() {
    let test = "a_card_that_comes_is_used_and_what_it_opened_goes_with_it";
    let more = format!(
        "unlock: {{ prompt: pinentry, keep: until-removed, cache-pin: true }}\n{}",
        configured()
    );
    let Some(machine) = Machine::with_policy(test, &more, ALWAYS, NEVER) else {
        return;
    };
    let card = machine.reader.card(0);
    let put = |is_in: bool| {
        card.tell(&serde_json::json!({ "inserted": is_in }));
        machine.reader.wait_for(usize::from(is_in));
    };
    put(false);
    let path = answering(&machine);
    let _daemon = machine.start_with(|command| {
        command.env("PATH", path);
    });
    let ask = |args: &[&str]| -> Ran { run(&mut machine.ctl(args)) };
    let state = || {
        let status = ask(&["status", "--json"]).json();
        let identities = status["identities"].as_array().unwrap().clone();
        let ours = identities.iter().find(|one| one["kind"] == "yubikey");
        (
            status["state"].as_str().unwrap().to_owned(),
            ours.unwrap()["state"].as_str().unwrap().to_owned(),
        )
    };
    let asked = || {
        std::fs::read_to_string(machine.dir.join("asked"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    crate::machine::eventually("the daemon answers", || {
        let status = ask(&["status", "--json"]);
        status.code() == 1 && status.json()["state"] == "locked"
    });
    assert!(machine.delivered("host") && !machine.delivered("card"));
    assert_eq!((card.count("verify"), asked()), (0, 0));

    put(true);
    machine.expect_delivered("card", "hunter2");
    crate::machine::eventually("it is unlocked", || {
        state() == ("ok".to_owned(), "unlocked".to_owned())
    });
    assert_eq!((card.count("verify"), asked()), (1, 1));
    // With the PIN, which is kept, the card opens a file with another data key.
    machine.encrypt("card.yaml", "rotated");
    machine.expect_delivered("card", "rotated");
    assert_eq!((card.count("verify"), asked()), (2, 1));

    put(false);
    crate::machine::eventually("it is locked", || state().1 == "locked");
    // What is delivered stays.
    machine.expect_delivered("card", "rotated");
    machine.set("card.yaml", "changed");
    crate::machine::eventually("a change is locked", || state().0 == "locked");
    assert_eq!((card.count("verify"), asked()), (2, 1));
    // It comes again, and is asked for again.
    put(true);
    machine.expect_delivered("card", "changed");
    assert_eq!((card.count("verify"), asked()), (3, 2));
}
