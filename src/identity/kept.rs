//! What is kept of an identity that a person has unlocked: the data keys of files, never a passphrase or a private key,
//! and the PIN of a card only where the configuration wants it. A key is found again by the exact text that it was wrapped
//! in: a file whose values change keeps that text and is opened without a person, a file with a new data key is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use super::Identities;
use crate::secret::Secret;

/// Data keys, shared between those who find them and those who use them. Each is wiped when it goes.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    keys: BTreeMap<Wrapped, Key>,
    /// Whom unlocked identities answer to, by their names. It is no secret, and outlives the keys: without it, what was
    /// delivered by the rules would be nobody's.
    recipients: BTreeMap<String, BTreeSet<String>>,
    is_asking: bool,
    pins: Pins,
}

struct Key {
    key: Secret,
    by: Opener,
    until: Option<Instant>,
}

/// The PINs of cards, by the cards' numbers.
#[derive(Default)]
struct Pins {
    keep: KeepPins,
    pins: BTreeMap<u32, (Secret, Option<Instant>)>,
}

/// Whether PINs are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeepPins {
    #[default]
    No,
    For(Duration),
    UntilLock,
}

/// An identity that needs somebody and has opened something.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    pub(crate) name: String,
    /// The number of its card.
    pub(crate) card: Option<u32>,
}

/// A hash of a wrapped key's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wrapped([u8; 32]);

impl Wrapped {
    /// Of exactly this text.
    pub(crate) fn of(enc: &str) -> Self {
        Self(Sha256::digest(enc.as_bytes()).into())
    }
}

/// A data key, or one group's share of it, that an identity which needs somebody has opened.
pub(crate) struct Share {
    pub(crate) wrapped: Wrapped,
    pub(crate) key: Secret,
    pub(crate) by: Opener,
}

/// What is kept for one identity.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) keys: usize,
    /// When the first of them goes.
    pub(crate) until: Option<Instant>,
}

impl Kept {
    /// The key that was wrapped as `enc`.
    pub(crate) fn find(&self, enc: &str) -> Option<Secret> {
        let store = self.store();
        let key = store.keys.get(&Wrapped::of(enc))?;
        let is_over = key.until.is_some_and(|until| until <= Instant::now());
        (!is_over).then(|| key.key.duplicate())
    }

    /// Keeps `shares` until then. Keys that no file of today is wrapped with are dropped, where `all` names them all.
    pub(crate) fn keep(
        &self,
        shares: Vec<Share>,
        until: Option<Instant>,
        all: Option<&BTreeSet<Wrapped>>,
    ) {
        let mut store = self.store();
        for Share { wrapped, key, by } in shares {
            store.keys.insert(wrapped, Key { key, by, until });
        }
        if let Some(all) = all {
            store.keys.retain(|wrapped, _| all.contains(wrapped));
        }
    }

    /// Wipes the keys of the identities with these names; answers how many.
    pub(crate) fn wipe(&self, is_meant: impl Fn(&str) -> bool) -> usize {
        let mut store = self.store();
        let before = store.keys.len();
        store.keys.retain(|_, key| !is_meant(&key.by.name));
        before - store.keys.len()
    }

    /// The cards that have opened what is kept.
    pub(crate) fn cards(&self) -> BTreeSet<u32> {
        let store = self.store();
        let cards = store.keys.values().filter_map(|key| key.by.card);
        cards.chain(store.pins.pins.keys().copied()).collect()
    }

    /// Wipes what cards have opened that are not in `there`, and their PINs; answers how many keys.
    pub(crate) fn wipe_cards_but(&self, there: &BTreeSet<u32>) -> usize {
        let mut store = self.store();
        let before = store.keys.len();
        let is_there = |card: &u32| there.contains(card);
        store
            .keys
            .retain(|_, key| key.by.card.as_ref().is_none_or(is_there));
        store.pins.pins.retain(|card, _| is_there(card));
        before - store.keys.len()
    }

    /// Whether PINs are kept from now on. Those that were are wiped.
    pub(crate) fn set_keep_pins(&self, keep: KeepPins) {
        let pins = BTreeMap::new();
        self.store().pins = Pins { keep, pins };
    }

    /// Wipes all PINs.
    pub(crate) fn wipe_pins(&self) {
        self.store().pins.pins.clear();
    }

    /// The PIN of this card, where it is kept.
    pub(super) fn pin(&self, card: u32) -> Option<Secret> {
        let store = self.store();
        let (pin, until) = store.pins.pins.get(&card)?;
        let is_over = until.is_some_and(|until| until <= Instant::now());
        (!is_over).then(|| pin.duplicate())
    }

    /// Keeps a PIN that the card has taken, where PINs are kept.
    pub(super) fn keep_pin(&self, card: u32, pin: &Secret) {
        let pins = &mut self.store().pins;
        let until = match pins.keep {
            KeepPins::No => return,
            KeepPins::UntilLock => None,
            KeepPins::For(time) => Instant::now().checked_add(time),
        };
        pins.pins.insert(card, (pin.duplicate(), until));
    }

    /// Wipes the PIN of this card.
    pub(super) fn wipe_pin(&self, card: u32) {
        self.store().pins.pins.remove(&card);
    }

    /// Wipes what has had its time; answers how many keys.
    pub(crate) fn expire(&self) -> usize {
        let now = Instant::now();
        let mut store = self.store();
        let is_left = |until: Option<Instant>| until.is_none_or(|until| until > now);
        store.pins.pins.retain(|_, (_, until)| is_left(*until));
        let before = store.keys.len();
        store.keys.retain(|_, key| is_left(key.until));
        before - store.keys.len()
    }

    /// When the next key has had its time.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        let store = self.store();
        let keys = store.keys.values().filter_map(|key| key.until);
        let pins = store.pins.pins.values().filter_map(|(_, until)| *until);
        keys.chain(pins).min()
    }

    /// What is kept for the identity with this name.
    pub(crate) fn held_by(&self, name: &str) -> Option<Held> {
        let store = self.store();
        let keys = || store.keys.values().filter(|key| key.by.name == name);
        let held = Held {
            keys: keys().count(),
            until: keys().filter_map(|key| key.until).min(),
        };
        (held.keys > 0).then_some(held)
    }

    /// Notes whom these identities answer to.
    pub(crate) fn learn(&self, identities: &Identities) {
        let mut store = self.store();
        for identity in identities
            .iter()
            .filter(|identity| identity.needs_somebody())
        {
            let known = store.recipients.entry(identity.name.clone()).or_default();
            known.extend(identity.recipients().map(str::to_owned));
        }
    }

    pub(super) fn has_learned(&self, name: &str) -> bool {
        let store = self.store();
        let known = store.recipients.get(name);
        known.is_some_and(|recipients| !recipients.is_empty())
    }

    /// Forgets whom other identities than these answer to.
    pub(crate) fn unlearn(&self, is_configured: impl Fn(&str) -> bool) {
        self.store()
            .recipients
            .retain(|name, _| is_configured(name));
    }

    /// Whether an identity that was unlocked before answers to `recipient`.
    pub(super) fn answers_to(&self, recipient: &str) -> bool {
        let store = self.store();
        let mut all = store.recipients.values();
        all.any(|recipients| recipients.contains(recipient))
    }

    /// While somebody is asked, nobody else uses devices and programs.
    pub(crate) fn set_asking(&self, is_asking: bool) {
        self.store().is_asking = is_asking;
    }

    pub(super) fn is_asking(&self) -> bool {
        self.store().is_asking
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn share(enc: &str, by: &str) -> Share {
        Share {
            wrapped: Wrapped::of(enc),
            key: Secret::new(enc.as_bytes().to_vec()),
            by: Opener {
                name: by.to_owned(),
                card: (by == "two").then_some(2),
            },
        }
    }

    #[test]
    fn keys_are_found_by_their_text_until_their_time() {
        let kept = Kept::default();
        kept.keep(vec![share("a", "one")], None, None);
        let later = Instant::now() + Duration::from_secs(3600);
        kept.keep(vec![share("b", "two")], Some(later), None);
        kept.keep(vec![share("c", "two")], Some(Instant::now()), None);
        assert!(kept.find("a").is_some_and(|key| key.expose() == b"a"));
        assert!(kept.find("b").is_some() && kept.find("A").is_none());
        // Before anybody has come to wipe it.
        assert!(kept.find("c").is_none());
        assert_eq!(kept.held_by("two").map(|held| held.keys), Some(2));
        assert_eq!(kept.expire(), 1);
        assert_eq!(kept.next_end(), Some(later));
        assert_eq!(kept.wipe(|name| name == "two"), 1);
        assert!(kept.held_by("two").is_none() && kept.next_end().is_none());
        kept.keep(Vec::new(), None, Some(&BTreeSet::new()));
        assert!(kept.find("a").is_none());
    }

    #[test]
    fn what_a_card_has_opened_goes_with_it() {
        let kept = Kept::default();
        kept.keep(vec![share("a", "one"), share("b", "two")], None, None);
        let pin = Secret::new(b"123456".to_vec());
        kept.keep_pin(2, &pin);
        assert!(kept.pin(2).is_none());
        kept.set_keep_pins(KeepPins::UntilLock);
        kept.keep_pin(2, &pin);
        kept.keep_pin(3, &pin);
        assert_eq!(kept.wipe_cards_but(&BTreeSet::from([2])), 0);
        assert!(
            kept.pin(2)
                .is_some_and(|kept| kept.expose() == pin.expose())
        );
        assert!(kept.pin(3).is_none());
        assert_eq!(kept.wipe_cards_but(&BTreeSet::new()), 1);
        assert!(kept.pin(2).is_none() && kept.find("a").is_some());
        kept.set_keep_pins(KeepPins::For(Duration::ZERO));
        kept.keep_pin(2, &pin);
        assert!(kept.pin(2).is_none() && kept.next_end().is_some());
        assert_eq!(kept.expire(), 0);
        assert!(kept.next_end().is_none());
    }
}
