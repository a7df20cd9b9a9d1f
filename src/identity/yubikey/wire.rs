//! What both sides of a card session say to each other: a request is a line of words, and so is its answer.
//!
//! | request | answer |
//! | --- | --- |
//! | `list` | every card with its keys, as JSON |
//! | `watch` | the numbers of all cards, as JSON; again whenever others are there |
//! | `open SERIAL` | its version; all that follows is about this card |
//! | `key SLOT` | the key in this slot, as JSON |
//! | `pin` | the state of the PIN, as JSON |
//! | `verify PIN` | nothing |
//! | `ecdh SLOT POINT` | the shared secret |
//! | `generate SLOT PIN-POLICY TOUCH-POLICY NAME PIN` | the new key, as JSON |
//!
//! An answer is `ok`, a blank and what the table says, or `no` and a [`Refusal`] as JSON. PIN, POINT, NAME and secrets are
//! in base64.

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use super::text::{self, Recipient};

/// A card in a reader.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CardInfo {
    pub(crate) serial: u32,
    /// Of the firmware.
    pub(crate) version: String,
    pub(crate) pin: PinState,
    pub(crate) keys: Vec<KeyInfo>,
}

/// How many wrong PINs the card bears.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct PinState {
    /// It was given, and need not be given again before the card loses power.
    pub(crate) verified: bool,
    /// Tries that are left, where the card says it.
    pub(crate) left: Option<u8>,
    /// Tries that there are after a right PIN, where the card says it.
    pub(crate) most: Option<u8>,
    /// It is the one that cards leave the factory with, where the card says it.
    pub(crate) factory: Option<bool>,
}

/// Tries of a card about which no more is known.
const USUAL_TRIES: u8 = 3;

impl PinState {
    /// No wrong PIN was given since the last right one, as far as the card says.
    pub(super) fn is_untouched(&self) -> bool {
        let most = self.most.unwrap_or(USUAL_TRIES);
        self.left.is_none_or(|left| left >= most)
    }
}

/// A key in a card.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KeyInfo {
    /// From 1 to 20.
    pub(crate) slot: u8,
    /// What its certificate calls it.
    pub(crate) name: Option<String>,
    pub(crate) pin_policy: PinPolicy,
    pub(crate) touch_policy: TouchPolicy,
    /// The public key, in base64.
    pub(crate) point: String,
}

/// When the card wants its PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PinPolicy {
    /// Never.
    Never,
    /// Once after it was plugged in.
    Once,
    /// Before each use of the key.
    Always,
}

/// When the card wants to be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TouchPolicy {
    /// Never.
    Never,
    /// For each use of the key.
    Always,
    /// For the first use within 15 seconds.
    Cached,
}

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Refusal {
    /// There is no PC/SC daemon.
    NoService,
    /// The card is in no reader.
    NoCard,
    /// Another program does not share it.
    Busy,
    /// It was taken out or lost its power.
    Removed,
    /// The PIN was wrong; so many tries are left.
    WrongPin(u8),
    /// The key wants a PIN or a touch that it did not get.
    Denied,
    /// There is no key in the slot.
    NoKey,
    /// The key in the slot is of another kind.
    OtherKind,
    /// Something that must not be overwritten is in the slot.
    Occupied,
    /// The management key is of a kind that is not spoken here.
    ManagementKind,
    /// The management key is neither the factory's nor protected by the PIN.
    ManagementKey,
    /// The key was made, and its certificate could not be.
    WithoutCertificate,
    /// The card said something that makes no sense.
    Nonsense,
}

impl KeyInfo {
    /// The recipient; `None` when the card gave something that is none.
    pub(crate) fn recipient(&self) -> Option<Recipient> {
        Recipient::from_point(&decode(&self.point)?)
    }

    /// `AGE-PLUGIN-YUBIKEY-1…` of this key in the card with this number.
    pub(crate) fn identity(&self, serial: u32) -> Option<String> {
        let tag = self.recipient()?.tag();
        Some(text::identity(serial, reference(self.slot), tag))
    }
}

impl PinPolicy {
    /// As the contract writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Once => "once",
            Self::Always => "always",
        }
    }
}

impl TouchPolicy {
    /// As the contract writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::Cached => "cached",
        }
    }
}

/// The card's own number of a slot.
pub(super) fn reference(slot: u8) -> u8 {
    slot.saturating_add(0x81)
}

/// The slot with this number of the card's own.
pub(super) fn slot_of(reference: u8) -> Option<u8> {
    (0x82..=0x95)
        .contains(&reference)
        .then(|| reference.saturating_sub(0x81))
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD_NO_PAD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD_NO_PAD.decode(text).ok()
}
