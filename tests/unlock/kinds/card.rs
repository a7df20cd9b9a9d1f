//! A key in a card, emulated behind the real PC/SC daemon.

use crate::{
    card::{NEVER, ONCE, PIN},
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
    let mut daemon = machine.start();
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
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}
