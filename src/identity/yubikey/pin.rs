//! Where a card's PIN comes from: a file where nobody is there to type it, else the person at the terminal.

use std::{
    fs::OpenOptions,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::wire::PinState;
use crate::{
    error::{Error, Result},
    files::{self, ReadLimit},
    identity::person::{self, Answer, Person},
    secret::Secret,
};

/// Names a file with the PIN, for machines without a person.
pub(super) const FILE: &str = "SECRETSD_PIN_FILE";

const LIMIT: ReadLimit = ReadLimit {
    name: "pin-file-size",
    bytes: 1024,
};

/// Asks for the PIN of `card`, once.
pub(super) fn ask(
    card: &str,
    state: PinState,
    file: Option<&PathBuf>,
    person: &dyn Person,
) -> Result<Secret> {
    if state.left == Some(0) {
        return Err(blocked(card));
    }
    let pin = match file {
        Some(file) => from_file(card, state, file)?,
        None => from_person(card, state, person)?,
    };
    if (6..=8).contains(&pin.len()) {
        return Ok(pin);
    }
    Err(person::locked(
        card,
        "a PIN has 6 to 8 characters; this one was not given to the card",
    ))
}

/// A wrong PIN in a file would be given again at each start, until the card blocks: it costs one try at most.
fn from_file(card: &str, state: PinState, file: &Path) -> Result<Secret> {
    if let Some(left) = state.left
        && !state.is_untouched()
    {
        return Err(person::locked(
            card,
            &format!("a wrong PIN was given before, and {} left", tries(left)),
        )
        .with_hint(format!(
            "without a person no PIN is risked: correct {}, then give the right PIN once on a terminal",
            file.display()
        )));
    }
    // Not waiting for the other end of a pipe; reading refuses what is no regular file.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(file)
        .and_then(|opened| Ok((opened.metadata()?.permissions().mode(), opened)));
    let (mode, opened) = opened.map_err(|error| unreadable(card, &error).with_file(file))?;
    if mode & 0o007 != 0 {
        return Err(
            person::locked(card, "every user can get at the file with its PIN")
                .with_file(file)
                .with_hint("take the file away from others: chmod o= FILE"),
        );
    }
    let text = files::read_open(opened, LIMIT).map_err(|error| error.with_file(file))?;
    Ok(Secret::new(text.expose().trim_ascii().to_vec()))
}

fn unreadable(card: &str, error: &std::io::Error) -> Error {
    person::locked(
        card,
        &format!("the file with its PIN cannot be read: {error}"),
    )
    .with_hint(format!("{FILE} names it"))
}

fn from_person(card: &str, state: PinState, person: &dyn Person) -> Result<Secret> {
    // Said when it matters: somebody has got it wrong before.
    let left = match state.left {
        Some(left) if !state.is_untouched() => format!(" ({} left)", tries(left)),
        _ => String::new(),
    };
    match person.ask_secret(&format!("Enter PIN for {card}{left}:")) {
        Answer::Given(pin) => Ok(pin),
        Answer::Declined => Err(person::locked(card, "no PIN was given")),
        Answer::Interrupted => Err(person::interrupted()),
        Answer::Nobody => Err(person::locked(
            card,
            "it needs its PIN, and there is no terminal to ask on",
        )
        .with_hint(format!(
            "{}, or name a file with the PIN in {FILE}",
            person.otherwise()
        ))),
    }
}

/// The card bears no more tries.
pub(super) fn blocked(card: &str) -> Error {
    person::locked(card, "its PIN is blocked, too many wrong ones were given")
        .with_hint("unblock it with its PUK: ykman piv access unblock-pin")
}

/// `1 try is`, `2 tries are`.
pub(super) fn tries(left: u8) -> String {
    match left {
        1 => "1 try is".to_owned(),
        left => format!("{left} tries are"),
    }
}
