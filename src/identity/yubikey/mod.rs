//! Keys in YubiKeys, spoken to over PC/SC. Recipients, identities and stanzas are those of age-plugin-yubikey.
//!
//! - here: one key ([`CardKey`]), and the cards of a run, each with one session ([`Cards`]);
//! - [`text`]: the texts, and wrapping, for which no card is needed;
//! - [`session`] and [`card`]: both sides of a session, with [`wire`] between them; [`readers`]: where cards are;
//!   [`arrivals`]: when they come and go;
//! - [`new_key`]: a key that was not there before, for which the card wants its [`management`] key;
//! - [`pin`]: who is asked for the PIN.

#[cfg(feature = "yubikey")]
mod arrivals;
#[cfg(feature = "yubikey")]
mod card;
mod held;
#[cfg(feature = "yubikey")]
mod management;
#[cfg(feature = "yubikey")]
mod new_key;
mod pin;
#[cfg(feature = "yubikey")]
mod readers;
mod session;
mod text;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use age_core::format::{FileKey, Stanza};

use super::{Plugins, person, process::Cancel};
use crate::{
    error::{Error, Result},
    harden::harden,
};

use held::Held;
use session::Session;
use wire::Refusal;

pub(super) use text::Recipient;
pub(crate) use wire::{CardInfo, KeyInfo, PinPolicy, TouchPolicy};

/// How long a card may take for one request. It waits 15 seconds for a touch.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait before cards are watched again where there is no PC/SC daemon.
const WATCH_AGAIN: Duration = Duration::from_secs(60);
/// Another limit, in seconds.
const TIME_LIMIT_VARIABLE: &str = "SECRETSD_CARD_TIME_LIMIT";

/// Holds a card for the process that started this one, where that is what this one was started for.
pub(crate) fn serve_session() -> Option<ExitCode> {
    std::env::args_os()
        .nth(1)
        .filter(|argument| argument == session::ARGUMENT)?;
    harden();
    #[cfg(feature = "yubikey")]
    return Some(card::serve());
    #[cfg(not(feature = "yubikey"))]
    return Some(ExitCode::FAILURE);
}

/// The key of an identity: a slot in a card.
pub(super) struct CardKey {
    serial: u32,
    /// From 1 to 20.
    slot: u8,
    /// Of the recipient, where the identity says it.
    tag: Option<text::Tag>,
    /// What the card says.
    seen: OnceLock<Seen>,
}

struct Seen {
    key: KeyInfo,
    recipient: Recipient,
    text: String,
}

impl CardKey {
    /// Whatever key is in `slot`.
    pub(super) fn new(serial: u32, slot: u8) -> Self {
        Self {
            serial,
            slot,
            tag: None,
            seen: OnceLock::new(),
        }
    }

    /// Reads `AGE-PLUGIN-YUBIKEY-1…`; `None` when it is damaged.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (serial, reference, tag) = text::parse_identity(text)?;
        Some(Self {
            tag: Some(tag),
            ..Self::new(serial, wire::slot_of(reference)?)
        })
    }

    fn of(serial: u32, key: KeyInfo) -> Option<Self> {
        let this = Self::new(serial, key.slot);
        this.seen.set(Seen::new(key)?).ok()?;
        Some(this)
    }

    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    /// From 1 to 20.
    pub(super) fn slot(&self) -> u8 {
        self.slot
    }

    /// The recipient, once the card was looked at.
    pub(super) fn recipient(&self) -> Option<&str> {
        self.seen.get().map(|seen| seen.text.as_str())
    }

    /// When it wants to be touched, once the card was looked at.
    pub(super) fn touch_policy(&self) -> Option<TouchPolicy> {
        self.seen.get().map(|seen| seen.key.touch_policy)
    }

    /// Asks the card what is in the slot, unless that is known. It needs no PIN.
    pub(super) fn look(&self, plugins: &Plugins) -> Result<()> {
        self.seen(plugins).map(drop)
    }

    fn seen(&self, plugins: &Plugins) -> Result<&Seen> {
        if let Some(seen) = self.seen.get() {
            return Ok(seen);
        }
        let card = plugins.cards.card(self.serial);
        let key = locked(&card).key(self.slot, plugins)?;
        let unfit = |why: &str| {
            let name = name_of(self.serial);
            person::locked(&name, &format!("the key in slot {} {why}", self.slot))
        };
        let seen = Seen::new(key).ok_or_else(|| unfit("makes no sense"))?;
        if self.tag.is_some_and(|tag| tag != seen.recipient.tag()) {
            return Err(
                unfit("is another one than the identity names").with_hint(format!(
                    "its recipient is {}; write the identity anew with secretsctl yubikey identity",
                    seen.text
                )),
            );
        }
        Ok(self.seen.get_or_init(|| seen))
    }

    /// Whether one of these stanzas may be for this key.
    fn may_match(&self, wrapped: &[text::Wrapped<'_>]) -> bool {
        let tag = match self.seen.get() {
            Some(seen) => Some(seen.recipient.tag()),
            None => self.tag,
        };
        wrapped
            .iter()
            .any(|wrapped| tag.is_none_or(|tag| tag == wrapped.tag))
    }

    /// The file key in one of `stanzas`, if it is for this key. `refused`: why it is not to be tried again now.
    pub(super) fn unwrap(
        &self,
        stanzas: &[Stanza],
        refused: Option<Error>,
        plugins: &Plugins,
    ) -> Result<Option<FileKey>> {
        let wrapped = text::wrapped(stanzas)?;
        if !self.may_match(&wrapped) {
            return Ok(None);
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let seen = self.seen(plugins)?;
        let tag = seen.recipient.tag();
        let Some(ours) = wrapped.iter().find(|wrapped| wrapped.tag == tag) else {
            return Ok(None);
        };
        let card = plugins.cards.card(self.serial);
        let shared = locked(&card).ecdh(&seen.key, &ours.point(), plugins)?;
        ours.unwrap(&seen.recipient, &shared).map(Some)
    }
}

impl Seen {
    fn new(key: KeyInfo) -> Option<Self> {
        let recipient = key.recipient()?;
        let text = recipient.text();
        Some(Self {
            key,
            recipient,
            text,
        })
    }
}

/// The cards of a run. Each has one session, which all identities and files share.
pub(super) struct Cards {
    time_limit: Duration,
    /// Where the PIN is, on machines without a person.
    pin_file: Option<PathBuf>,
    held: Mutex<BTreeMap<u32, Arc<Mutex<Held>>>>,
    /// What is being opened, for those who are to touch a card.
    purpose: Mutex<String>,
}

impl Cards {
    /// As the environment has it.
    pub(super) fn from_environment() -> Self {
        let time_limit = std::env::var(TIME_LIMIT_VARIABLE)
            .ok()
            .and_then(|seconds| seconds.trim_end_matches('s').parse().ok())
            .map_or(TIME_LIMIT, Duration::from_secs);
        let pin_file = std::env::var_os(pin::FILE).filter(|file| !file.is_empty());
        Self {
            time_limit,
            pin_file: pin_file.map(PathBuf::from),
            ..Self::none()
        }
    }

    /// Without a PIN.
    pub(super) fn none() -> Self {
        Self {
            time_limit: TIME_LIMIT,
            pin_file: None,
            held: Mutex::default(),
            purpose: Mutex::default(),
        }
    }

    fn card(&self, serial: u32) -> Arc<Mutex<Held>> {
        let mut held = locked(&self.held);
        held.entry(serial)
            .or_insert_with(|| Arc::new(Mutex::new(Held::new(serial))))
            .clone()
    }

    /// What is opened from now on.
    pub(super) fn set_purpose(&self, purpose: String) {
        *locked(&self.purpose) = purpose;
    }

    fn purpose(&self) -> String {
        locked(&self.purpose).clone()
    }

    /// Lets go of all cards, and forgets which of them refused.
    pub(super) fn end_sessions(&self) {
        locked(&self.held).clear();
    }
}

/// All cards with their keys.
pub(super) fn list(plugins: &Plugins) -> Result<Vec<CardInfo>> {
    let mut session = Session::start(
        "the look at the cards",
        plugins.cards.time_limit,
        &plugins.cancel,
    )?;
    let cards = session.list()?.map_err(|refusal| {
        let (reason, hint) = reason(refusal);
        Error::new("cards", format!("no card can be looked at: {reason}")).with_hint(hint)
    })?;
    session.end();
    Ok(cards)
}

/// Tells the numbers of all cards, now and whenever they are others; `None`: nobody knows. Blocks until `cancel` fires.
pub(crate) fn watch(cancel: &Cancel, mut tell: impl FnMut(Option<BTreeSet<u32>>)) {
    loop {
        let watched =
            Session::start("the watch for cards", TIME_LIMIT, cancel).and_then(|mut session| {
                let mut cards = session.watch()?;
                while let Ok(there) = cards {
                    tell(Some(there));
                    cards = session.next_cards()?;
                }
                Ok(())
            });
        if cancel.is_fired() {
            return;
        }
        if let Err(error) = watched {
            tracing::debug!(%error, "cards cannot be watched");
        }
        tell(None);
        if cancel.is_fired_within(WATCH_AGAIN) {
            return;
        }
    }
}

/// What a new key is to be like.
pub(crate) struct NewKey {
    /// The first free one where none is named.
    pub(crate) slot: Option<u8>,
    pub(crate) name: Option<String>,
    pub(crate) pin_policy: PinPolicy,
    pub(crate) touch_policy: TouchPolicy,
}

/// Makes a key in the card with this number.
pub(super) fn generate(serial: u32, wanted: &NewKey, plugins: &Plugins) -> Result<KeyInfo> {
    let card = plugins.cards.card(serial);
    let key = locked(&card).generate(wanted, plugins)?;
    Ok(key)
}

/// The keys of `card` as keys of identities.
pub(super) fn keys(card: CardInfo) -> impl Iterator<Item = CardKey> {
    let serial = card.serial;
    card.keys
        .into_iter()
        .filter_map(move |key| CardKey::of(serial, key))
}

/// How messages name a card.
pub(super) fn name_of(serial: u32) -> String {
    format!("YubiKey {serial}")
}

/// A refusal in words.
fn explain(card: &str, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Occupied => Error::new(
            "slot-occupied",
            format!("the slot of {card} is in use, and nothing is overwritten"),
        )
        .with_hint("name another slot, or none to take the first free one"),
        Refusal::ManagementKind => Error::new(
            "management-key",
            format!("the management key of {card} is of a kind that is not known"),
        )
        .with_hint("change it first: ykman piv access change-management-key --generate --protect"),
        Refusal::ManagementKey => Error::new(
            "management-key",
            format!(
                "the management key of {card} is neither the factory's nor protected by the PIN"
            ),
        )
        .with_hint("protect it: ykman piv access change-management-key --protect"),
        Refusal::WithoutCertificate => Error::new(
            "no-certificate",
            format!("the key was made in {card}, but not its certificate: the card was not touched in time, or taken out"),
        )
        .with_hint(
            "the key can be used: secretsctl yubikey identity writes its identity; age-plugin-yubikey does not see it",
        ),
        Refusal::WrongPin(0) => pin::blocked(card),
        other => {
            let (reason, hint) = reason(other);
            person::locked(card, &reason).with_hint(hint)
        }
    }
}

/// Why a card cannot be used now, and what to do.
fn reason(refusal: Refusal) -> (String, &'static str) {
    let again = "take it out, put it back and try again";
    let (reason, hint) = match refusal {
        Refusal::NoService => (
            "there is no PC/SC daemon",
            "install pcscd and start it: systemctl start pcscd.socket",
        ),
        Refusal::NoCard => ("it is not plugged in", "plug it in and try again"),
        Refusal::Busy => (
            "another program keeps it for itself",
            "end that program; GnuPG lets go of it with: gpgconf --kill scdaemon",
        ),
        Refusal::Removed => ("it was taken out or lost its power", again),
        Refusal::WrongPin(left) => {
            return (
                format!("the PIN was wrong, and {} left", pin::tries(left)),
                "it is not tried again by itself; when no try is left the PIN is blocked",
            );
        }
        Refusal::Denied => (
            "it did not use its key: it was not touched in time",
            "touch it when it blinks",
        ),
        Refusal::NoKey => (
            "there is no key in the slot",
            "see which slots have keys: secretsctl yubikey list",
        ),
        Refusal::OtherKind => (
            "the key in the slot is of another kind; age needs one on P-256",
            "see which slots have keys: secretsctl yubikey list",
        ),
        _ => ("it answered something that makes no sense", again),
    };
    (reason.to_owned(), hint)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
