//! The side of a session that asks: a process of ours that holds the card, with a limit on how long it may take.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde::de::DeserializeOwned;

use super::wire::{CardInfo, KeyInfo, PinPolicy, PinState, Refusal, TouchPolicy, decode, encode};
use crate::{
    error::{Error, Result},
    identity::process::{Cancel, Process, Role},
    secret::Secret,
};

/// The argument by which this program knows that it is to hold a card.
pub(super) const ARGUMENT: &str = "--card-session";
/// This program, also where its file was replaced since it was started.
const PROGRAM: &str = "/proc/self/exe";

/// A running session, with one card or with none yet.
pub(super) struct Session {
    process: Process,
    time_limit: Duration,
}

/// Done, or refused by the other side. An error means that there is no other side any more.
pub(super) type Asked<T> = Result<Result<T, Refusal>>;

impl Session {
    /// Starts the process.
    pub(super) fn start(name: &str, time_limit: Duration, cancel: &Cancel) -> Result<Self> {
        if !cfg!(feature = "yubikey") {
            return Err(Error::new(
                "not-built",
                "this program was built without the feature that speaks to YubiKeys",
            )
            .with_hint("use age-plugin-yubikey, or build with the cargo feature `yubikey`"));
        }
        let role = Role {
            name: name.to_owned(),
            limit: "card-output",
            failed: "card-failed",
            timeout: "card-timeout",
            patience: "take it out, put it back and try again",
        };
        let process = Process::start(Path::new(PROGRAM), &[ARGUMENT], role, time_limit, cancel)?;
        Ok(Self {
            process,
            time_limit,
        })
    }

    /// Every card.
    pub(super) fn list(&mut self) -> Asked<Vec<CardInfo>> {
        self.ask_json(&["list"])
    }

    /// Opens the card with this number.
    pub(super) fn open(&mut self, serial: u32) -> Asked<()> {
        Ok(self.ask(&["open", &serial.to_string()])?.map(drop))
    }

    /// The key in a slot.
    pub(super) fn key(&mut self, slot: u8) -> Asked<KeyInfo> {
        self.ask_json(&["key", &slot.to_string()])
    }

    /// The state of the PIN.
    pub(super) fn pin(&mut self) -> Asked<PinState> {
        self.ask_json(&["pin"])
    }

    /// Gives the PIN to the card.
    pub(super) fn verify(&mut self, pin: &Secret) -> Asked<()> {
        let mut request = Secret::from("verify ".to_owned());
        request.push(Secret::from(encode(pin.expose())).expose());
        Ok(self.exchange(request)?.map(drop))
    }

    /// What the key in a slot makes of a point.
    pub(super) fn ecdh(&mut self, slot: u8, point: &[u8]) -> Asked<Secret> {
        let answer = self.ask(&["ecdh", &slot.to_string(), &encode(point)])?;
        Ok(answer.and_then(|shared| {
            let shared = shared.expose_str().and_then(decode);
            shared.map(Secret::new).ok_or(Refusal::Nonsense)
        }))
    }

    /// A new key.
    pub(super) fn generate(
        &mut self,
        slot: u8,
        pin_policy: PinPolicy,
        touch_policy: TouchPolicy,
        name: &str,
        pin: &Secret,
    ) -> Asked<KeyInfo> {
        let words = [
            "generate",
            &slot.to_string(),
            pin_policy.name(),
            touch_policy.name(),
            &encode(name.as_bytes()),
        ];
        let mut request = Secret::from(words.join(" "));
        request.push(b" ");
        request.push(Secret::from(encode(pin.expose())).expose());
        Ok(self.exchange(request)?.and_then(|key| parsed(&key)))
    }

    /// Which cards are there. From then on [`next_cards`](Self::next_cards) is all that can be asked.
    pub(super) fn watch(&mut self) -> Asked<BTreeSet<u32>> {
        self.ask_json(&["watch"])
    }

    /// Which cards are there, as soon as others are.
    pub(super) fn next_cards(&mut self) -> Asked<BTreeSet<u32>> {
        self.process.begin(Duration::MAX);
        Ok(self.answer()?.and_then(|answer| parsed(&answer)))
    }

    /// Lets go of the card in order.
    pub(super) fn end(mut self) {
        self.process.finish();
    }

    fn ask_json<T: DeserializeOwned>(&mut self, words: &[&str]) -> Asked<T> {
        Ok(self.ask(words)?.and_then(|answer| parsed(&answer)))
    }

    fn ask(&mut self, words: &[&str]) -> Asked<Secret> {
        self.exchange(Secret::from(words.join(" ")))
    }

    fn exchange(&mut self, mut request: Secret) -> Asked<Secret> {
        self.process.begin(self.time_limit);
        request.push(b"\n");
        self.process.send(request.expose())?;
        self.answer()
    }

    fn answer(&mut self) -> Asked<Secret> {
        let line = self.process.line()?;
        let line = line.expose().trim_ascii_end();
        if let Some(refusal) = line.strip_prefix(b"no ") {
            return Ok(Err(
                serde_json::from_slice(refusal).unwrap_or(Refusal::Nonsense)
            ));
        }
        match line.strip_prefix(b"ok") {
            Some(answer) => Ok(Ok(Secret::new(answer.trim_ascii_start().to_vec()))),
            None => Err(Error::new(
                "card-failed",
                "the session with the card ended in nonsense",
            )),
        }
    }
}

fn parsed<T: DeserializeOwned>(answer: &Secret) -> Result<T, Refusal> {
    serde_json::from_slice(answer.expose()).map_err(|_| Refusal::Nonsense)
}
