//! YubiKeys: emulated cards behind the real PC/SC daemon, real age-plugin-yubikey and rage beside ours.

mod administration;
mod hostile;
mod runs;
pub(crate) mod unattended;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    card::{ALWAYS, Card, Model, NEVER, ONCE, PIN, Reader, TOUCH_ALWAYS, TOUCH_CACHED},
    support::{Dir, Sops, peer, run},
    terminal::Terminal,
};

const PLAIN: &str = "password: hunter2\n";

/// A file that `recipients` open, written by ours.
fn encrypted(dir: &Dir, name: &str, recipients: &[&str]) -> PathBuf {
    let file = dir.write(name, PLAIN);
    let mut command =
        crate::support::ctl(["encrypt", "--in-place", "--age", &recipients.join(",")]);
    run(command.arg(&file)).expect(0);
    file
}

/// `secretsctl decrypt FILE -i IDENTITY…`, where the cards are.
fn decrypt(reader: &Reader, file: &Path, identities: &[&Path]) -> Command {
    let mut args: Vec<&OsStr> = vec!["decrypt".as_ref(), file.as_ref()];
    for identity in identities {
        args.extend::<[&OsStr; 2]>(["-i".as_ref(), identity.as_ref()]);
    }
    reader.ctl(args)
}

/// Runs `command` on a terminal where somebody knows the PIN, and asserts that it does what it should.
#[track_caller]
fn with_pin(command: &Command) -> String {
    let done = Terminal::run(command, |person| {
        person.expect("PIN");
        person.enter(&format!("{PIN}\r"));
    });
    assert_eq!(done.ran.code(), 0, "{}\n{}", done.ran, done.seen);
    done.ran.text().to_owned()
}

/// The plugin, in the directory where sops and ours look for it.
fn plugin() -> Option<PathBuf> {
    peer("age-plugin-yubikey")
}

#[test]
fn a_key_without_a_pin_opens_what_ours_and_the_plugin_wrote() {
    let test = "a_key_without_a_pin_opens_what_ours_and_the_plugin_wrote";
    let (Some(sops), Some(plugin)) = (Sops::find("3.13.3"), plugin()) else {
        return;
    };
    let Some(reader) = Reader::with(test, &[Model::new(11_223_344).key(1, NEVER, NEVER)]) else {
        return;
    };
    let card = reader.card(0);
    let dir = Dir::new();
    let identity = card.identity_file(&dir, 1);
    // Ours opens what ours wrote; no plugin is on the path.
    let ours = encrypted(&dir, "ours.yaml", &[&card.recipient(1)]);
    let shown = run(&mut decrypt(&reader, &ours, &[&identity])).expect(0);
    assert_eq!(shown.text(), PLAIN);
    // sops opens it with the real plugin.
    let path = std::env::join_paths(
        std::iter::once(plugin.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let mut command = sops.command(["decrypt"]);
    command
        .arg(&ours)
        .env("SOPS_AGE_KEY_FILE", &identity)
        .env("PATH", &path);
    let shown = run(&mut reader.enter(&command)).expect(0);
    assert_eq!(shown.text(), PLAIN);
    // Ours opens what sops wrote with the plugin.
    let theirs = dir.write("theirs.yaml", PLAIN);
    let mut command = sops.command(["encrypt", "-i", "--age", &card.recipient(1)]);
    command.arg(&theirs).env("PATH", &path);
    run(&mut command).expect(0);
    let shown = run(&mut decrypt(&reader, &theirs, &[&identity])).expect(0);
    assert_eq!(shown.text(), PLAIN);
    assert_eq!(card.count("verify"), 0);
    assert_eq!(card.count("ecdh"), 3);
}
