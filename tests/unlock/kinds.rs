//! Identities of other kinds: plugins that ask, keys in cards.

#[cfg(feature = "yubikey")]
mod card;

use std::process::Command;

use crate::{
    machine::eventually,
    plugin::Setup,
    support::{Dir, Ran, ctl, daemon, run},
    terminal::Terminal,
};

/// Asks everything that a plugin can ask, and goes on only with the right answers.
const ASKS: &str = r#"[ -n "$key" ] || return 0
printf -- '-> msg\ndG91Y2gb\n'; IFS= read -r a; IFS= read -r b
printf -- '-> request-secret\nUElOG1szMW0\n'; IFS= read -r a; IFS= read -r b
[ "$b" = MTIzNDU2 ] || { printf -- '-> error internal\nd3Jvbmc\n'; exit 1; }
printf -- '-> request-public\nbmFtZQ\n'; IFS= read -r a; IFS= read -r b
[ "$b" = bWU ] || exit 1
printf -- '-> confirm eWVz bm8\nc3VyZQ\n'; IFS= read -r a; IFS= read -r b
[ "$a" = "-> ok yes" ] || exit 1
"#;

#[test]
fn a_plugin_asks_at_the_terminal_of_whoever_unlocks() {
    let test = "a_plugin_asks_at_the_terminal_of_whoever_unlocks";
    let (Some(setup), Some(memory)) = (Setup::new(), Dir::in_memory(test)) else {
        return;
    };
    setup.asks(ASKS);
    let config = setup.configuration(&memory, "[toy]");
    let socket = memory.join("control/socket");
    let mut command = daemon(["--config"]);
    command
        .arg(config)
        .env("TOY_LOG", "/dev/null")
        .stderr(std::process::Stdio::null());
    let mut running = command.spawn().unwrap();
    let secretsctl = |args: &[&str]| -> Command {
        let mut command = ctl(args);
        command.arg("--socket").arg(&socket);
        command
    };
    let ask = |args: &[&str]| -> Ran { run(&mut secretsctl(args)) };
    eventually("the daemon answers", || {
        let status = ask(&["status", "--json"]);
        status.code() == 1 && status.json()["state"] == "locked"
    });
    let done = Terminal::run(&secretsctl(&["unlock"]), |person| {
        person.expect("age-plugin-toy: touch");
        person.expect("age-plugin-toy: PIN");
        person.enter("654321\r");
    });
    let refused = done.ran.expect(2);
    assert!(refused.stderr.contains("wrong"), "{refused}");
    let done = Terminal::run(&secretsctl(&["unlock", "identity.txt"]), |person| {
        person.expect("age-plugin-toy: touch");
        person.expect("age-plugin-toy: PIN");
        person.enter("123456\r");
        person.expect("age-plugin-toy: name");
        person.enter("me\r");
        person.expect("sure (y: yes, n: no)");
        person.enter("y\r");
    });
    assert!(
        !done.seen.contains('\x1b') && !done.seen.contains("123456"),
        "{}",
        done.seen
    );
    done.ran.expect(0);
    ask(&["status"]).expect(0);
    assert_eq!(ask(&["lock"]).expect(0).text(), "1 data key wiped\n");
    running.kill().unwrap();
    running.wait().unwrap();
}
