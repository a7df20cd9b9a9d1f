//! `make bench`: re-keying with a key in a card that takes 50 ms for each use, beside the card's own time and beside a loop of
//! real `sops updatekeys` with the real plugin. The card is emulated, behind the real PC/SC daemon. Nothing is asserted.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    reason = "a bench prints, ends by panicking, and does not need all of the tests' helpers"
)]

#[path = "../tests/card/mod.rs"]
mod card;
mod figures;
#[path = "../tests/machine.rs"]
mod machine;
#[path = "../tests/support.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use card::{Card, Model, NEVER, ONCE, PIN, Reader};
use figures::{row, title};
use support::{AgeKey, Dir, Sops, ctl, peer, run};

const FILES: usize = 200;
const CARD_TIME: Duration = Duration::from_millis(50);

fn main() {
    card::emulator::run_if_asked();
    let model = Model::new(1).key(1, ONCE, NEVER).key(2, NEVER, NEVER);
    let Some(reader) = Reader::with("the bench", &[model]) else {
        return;
    };
    let card = reader.card(0);
    let delay = u64::try_from(CARD_TIME.as_millis()).unwrap();
    card.tell(&serde_json::json!({ "delay": delay }));
    title(&format!(
        "one host added to {FILES} files, a card that takes {} ms for each",
        CARD_TIME.as_millis()
    ));
    let floor = CARD_TIME * u32::try_from(FILES).unwrap();
    row("the card alone", floor, None);
    let show = |what: &str, (took, counted): (Duration, String)| {
        row(&format!("{what}: {counted}"), took, Some(floor));
    };
    show("secretsctl rekey", ours(&reader, card, false));
    show("... with a key on disk", ours(&reader, card, true));
    if let (Some(sops), Some(plugin)) = (Sops::find("3.13.3"), peer("age-plugin-yubikey")) {
        show("sops updatekeys", theirs(&reader, card, &sops, &plugin));
    }
}

/// Files for the key in `slot` of the card and, with `on_disk`, for a key on disk; rules that name a host too.
fn repository(card: &Card, slot: u8, on_disk: bool) -> (Dir, Option<PathBuf>) {
    let dir = Dir::new();
    let host = AgeKey::generate(&dir, "host");
    let key = AgeKey::generate(&dir, "key");
    let mut recipients = vec![card.recipient(slot)];
    recipients.extend(on_disk.then_some(key.recipient));
    for number in 0..FILES {
        let file = dir.write(format!("repo/{number}.yaml"), "password: hunter2\n");
        let mut command = ctl(["encrypt", "--in-place", "--age", &recipients.join(",")]);
        run(command.arg(&file)).expect(0);
    }
    recipients.push(host.recipient);
    let rules = format!("creation_rules:\n  - age: {}\n", recipients.join(","));
    dir.write("repo/.sops.yaml", rules);
    (dir, on_disk.then_some(key.file))
}

fn ours(reader: &Reader, card: &Card, on_disk: bool) -> (Duration, String) {
    let (dir, key) = repository(card, 1, on_disk);
    let pin = dir.write("pin", PIN);
    dir.chmod("pin", 0o600);
    let repository = dir.join("repo");
    let mut args = vec![
        "-C".into(),
        repository.into_os_string(),
        "rekey".into(),
        "--yes".into(),
    ];
    let identities = std::iter::once(card.identity_file(&dir, 1)).chain(key);
    args.extend(identities.flat_map(|file| ["-i".into(), file.into_os_string()]));
    let mut command = reader.ctl(args);
    command
        .env("XDG_STATE_HOME", dir.join("state"))
        .env("SECRETSD_PIN_FILE", &pin);
    let before = counts(card);
    let started = Instant::now();
    run(&mut command).expect(0);
    let took = started.elapsed();
    (took, since(before, counts(card)))
}

/// One file at a time, as people loop over them; the PIN is never needed, because nobody could type it so often.
fn theirs(reader: &Reader, card: &Card, sops: &Sops, plugin: &Path) -> (Duration, String) {
    let (dir, _) = repository(card, 2, false);
    let identity = card.identity_file(&dir, 2);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", plugin.parent().unwrap().display());
    let before = counts(card);
    let started = Instant::now();
    for number in 0..FILES {
        let file = dir.join(format!("repo/{number}.yaml"));
        let config = dir.join("repo/.sops.yaml");
        let mut command = sops.command(["--config"]);
        command
            .arg(&config)
            .args(["updatekeys", "--yes"])
            .arg(&file)
            .env("SOPS_AGE_KEY_FILE", &identity)
            .env("PATH", &path);
        run(&mut reader.enter(&command)).expect(0);
    }
    let took = started.elapsed();
    (took, since(before, counts(card)))
}

fn counts(card: &Card) -> [u64; 2] {
    ["verify", "ecdh"].map(|what| card.count(what))
}

fn since(before: [u64; 2], after: [u64; 2]) -> String {
    let [pins, uses] = [after[0] - before[0], after[1] - before[1]];
    format!("PIN given {pins} times, key used {uses} times")
}
