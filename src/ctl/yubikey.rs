//! `secretsctl yubikey`: the cards that are plugged in, their identities, and new keys in them.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Subcommand, value_parser};
use serde_json::{Value, json};

use super::{Context, interrupt};
use crate::{
    error::{Error, Result},
    escape,
    identity::{
        CardInfo, KeyInfo, NewKey, PinPolicy, TouchPolicy, cards, generate_in_card, missing_card,
    },
    output::{Outcome, Output, numbered},
};

/// Characters of a key's name, besides letters and digits: those that need no quoting in a certificate.
const IN_NAMES: &str = " ._@-";
const LONGEST_NAME: usize = 64;

/// Show the keys in YubiKeys, write their identities, make new ones
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Keys, identities and recipients are those of age-plugin-yubikey, which is not needed. Cards are reached \
                  through pcscd. The PIN is asked for on the terminal, or read from the file that $SECRETSD_PIN_FILE names; \
                  a wrong one is never tried again by itself. A card that does not answer for $SECRETSD_CARD_TIME_LIMIT \
                  seconds is given up [default: 30]."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the cards with their keys: slot, name, policies, recipient, identity
    List,
    /// Write the identity of each key in a card, or of one, as an identity file
    Identity {
        /// Only the key in this slot, from 1 to 20
        #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u8).range(1..=20))]
        slot: Option<u8>,

        /// Write to FILE, which must not exist, instead of to stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Make a key in a card and write its identity; a slot that is in use is never overwritten
    Generate {
        /// In this slot, from 1 to 20 [default: the first free one]
        #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u8).range(1..=20))]
        slot: Option<u8>,

        /// What the key is called
        #[arg(long, value_parser = name)]
        name: Option<String>,

        /// When the PIN is needed: never, once after the card was plugged in, or always
        #[arg(
            long,
            value_name = "POLICY",
            default_value = "once",
            hide_possible_values = true
        )]
        pin_policy: PinPolicy,

        /// When a touch is needed: never, always, or cached for 15 seconds
        #[arg(
            long,
            value_name = "POLICY",
            default_value = "always",
            hide_possible_values = true
        )]
        touch_policy: TouchPolicy,

        /// Write the identity to FILE, which must not exist, instead of to stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let cancel = interrupt::cancel()?;
    let serial = context.global.yubikey.flatten();
    let output = &mut context.output;
    let found: Vec<CardInfo> = cards(cancel.clone())?
        .into_iter()
        .filter(|card| serial.is_none_or(|serial| serial == card.serial))
        .collect();
    match &args.command {
        Command::List if serial.is_some() && found.is_empty() => return Err(missing_card(serial)),
        Command::List => list(&found, output)?,
        Command::Identity { slot, output: file } => {
            let card = only(found, serial)?;
            let keys: Vec<&KeyInfo> = card
                .keys
                .iter()
                .filter(|key| slot.is_none_or(|slot| slot == key.slot))
                .collect();
            if keys.is_empty() {
                return Err(without_key(card.serial, *slot));
            }
            write(card.serial, &keys, file.as_deref(), output)?;
        }
        Command::Generate {
            slot,
            name,
            pin_policy,
            touch_policy,
            output: file,
        } => {
            let card = only(found, serial)?;
            if let Some(file) = file {
                refuse_existing(file)?;
            }
            let wanted = NewKey {
                slot: *slot,
                name: name.clone(),
                pin_policy: *pin_policy,
                touch_policy: *touch_policy,
            };
            let key = generate_in_card(card.serial, &wanted, cancel)?;
            write(card.serial, &[&key], file.as_deref(), output)?;
        }
    }
    Ok(Outcome::Fine)
}

fn list(cards: &[CardInfo], output: &mut Output) -> Result<()> {
    if output.is_json() {
        let cards: Vec<Value> = cards.iter().map(card_member).collect();
        return output.json(&json!(cards));
    }
    for card in cards {
        let pin = match card.pin.left {
            _ if card.pin.verified => "PIN given".to_owned(),
            Some(0) => "PIN blocked".to_owned(),
            Some(1) => "1 try of the PIN left".to_owned(),
            Some(left) => format!("{left} tries of the PIN left"),
            None => "PIN not given".to_owned(),
        };
        output.line(&format!(
            "YubiKey {}  firmware {}  {pin}",
            card.serial,
            escape::text(&card.version)
        ))?;
        for key in &card.keys {
            output.line(&format!(
                "    slot {}  {}  PIN {}  touch {}",
                key.slot,
                escape::text(key.name.as_deref().unwrap_or("without a name")),
                key.pin_policy.name(),
                key.touch_policy.name()
            ))?;
            if let Some((recipient, identity)) = texts(card.serial, key) {
                output.line(&format!("        {recipient}"))?;
                output.line(&format!("        {identity}"))?;
            }
        }
    }
    output.flush()?;
    if cards.is_empty() {
        output.warning(&missing_card(None));
    }
    Ok(())
}

fn card_member(card: &CardInfo) -> Value {
    let keys: Vec<Value> = card
        .keys
        .iter()
        .map(|key| key_member(card.serial, key))
        .collect();
    json!({
        "serial": card.serial,
        "version": card.version,
        "pin_tries": card.pin.left,
        "pin_given": card.pin.verified,
        "keys": keys,
    })
}

fn key_member(serial: u32, key: &KeyInfo) -> Value {
    let (recipient, identity) = texts(serial, key).unzip();
    json!({
        "serial": serial,
        "slot": key.slot,
        "name": key.name,
        "pin_policy": key.pin_policy.name(),
        "touch_policy": key.touch_policy.name(),
        "recipient": recipient,
        "identity": identity,
    })
}

fn texts(serial: u32, key: &KeyInfo) -> Option<(String, String)> {
    Some((key.recipient()?.text(), key.identity(serial)?))
}

/// The one card that is meant.
fn only(cards: Vec<CardInfo>, serial: Option<u32>) -> Result<CardInfo> {
    let serials: Vec<String> = cards.iter().map(|card| card.serial.to_string()).collect();
    let mut cards = cards.into_iter();
    match (cards.next(), cards.next()) {
        (Some(card), None) => Ok(card),
        (None, _) => Err(missing_card(serial)),
        (Some(_), Some(_)) => Err(Error::new(
            "several-cards",
            format!("several YubiKeys are plugged in: {}", serials.join(", ")),
        )
        .with_hint("choose one with --yubikey SERIAL")),
    }
}

fn without_key(serial: u32, slot: Option<u8>) -> Error {
    let message = match slot {
        Some(slot) => format!("slot {slot} of YubiKey {serial} holds no key that age can use"),
        None => format!("YubiKey {serial} holds no key that age can use"),
    };
    Error::new("no-key", message).with_hint("make one with secretsctl yubikey generate")
}

/// The identities as a file, on stdout or in `file`; with `--json` what they are on stdout too.
fn write(serial: u32, keys: &[&KeyInfo], file: Option<&Path>, output: &mut Output) -> Result<()> {
    let text: Vec<String> = keys.iter().map(|key| file_text(serial, key)).collect();
    let text = text.join("\n");
    if let Some(file) = file {
        create(file, text.as_bytes())?;
    }
    if output.is_json() {
        let keys: Vec<Value> = keys.iter().map(|key| key_member(serial, key)).collect();
        return output.json(&json!(keys));
    }
    match file {
        None => output.verbatim(text.as_bytes()),
        Some(file) => {
            let identities = match keys.len() {
                1 => "1 identity".to_owned(),
                number => format!("{number} identities"),
            };
            output.line(&format!("{identities} written to {}", escape::path(file)))
        }
    }
}

/// As age-plugin-yubikey lays it out, so that tools which read its comments find what they look for.
fn file_text(serial: u32, key: &KeyInfo) -> String {
    let (recipient, identity) = texts(serial, key).unwrap_or_default();
    let name = escape::text(key.name.as_deref().unwrap_or("without a name"));
    let pin = match key.pin_policy {
        PinPolicy::Never => "Never  (no PIN is needed)",
        PinPolicy::Once => "Once   (the PIN is needed once after the card was plugged in)",
        PinPolicy::Always => "Always (the PIN is needed for each file)",
    };
    let touch = match key.touch_policy {
        TouchPolicy::Never => "Never  (no touch is needed)",
        TouchPolicy::Always => "Always (a touch is needed for each file)",
        TouchPolicy::Cached => "Cached (a touch counts for 15 seconds)",
    };
    format!(
        "#       Serial: {serial}, Slot: {}\n#         Name: {name}\n#   PIN policy: {pin}\n\
         # Touch policy: {touch}\n#    Recipient: {recipient}\n{identity}\n",
        key.slot
    )
}

fn create(file: &Path, text: &[u8]) -> Result<()> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut opened| {
            opened.write_all(text)?;
            opened.sync_all()
        });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => existing(file),
        _ => Error::new("output", format!("cannot write the file: {error}")).with_file(file),
    })
}

/// Before something is done that cannot be undone.
fn refuse_existing(file: &Path) -> Result<()> {
    match file.symlink_metadata() {
        Ok(_) => Err(existing(file)),
        Err(_) => Ok(()),
    }
}

fn existing(file: &Path) -> Error {
    Error::new("output", "the file exists, and nothing is overwritten")
        .with_file(file)
        .with_hint("name another file, or take this one away")
}

fn name(text: &str) -> Result<String, String> {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || IN_NAMES.contains(char);
    if text.trim() != text || text.is_empty() || text.len() > LONGEST_NAME {
        return Err(format!(
            "a name has 1 to {}, and no blanks around it",
            numbered(LONGEST_NAME, "character")
        ));
    }
    match text.chars().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a name has letters, digits and these characters: {IN_NAMES:?}"
        )),
    }
}
