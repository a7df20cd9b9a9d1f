//! Identities whose keys are in cards: which cards a run needs, and which of them are cheap.

use super::{
    Identities, Identity, Key, Plugins, Terminal,
    process::Cancel,
    yubikey::{self, CardInfo, CardKey, KeyInfo, NewKey, TouchPolicy},
};
use crate::error::{Error, Result};

use std::sync::Arc;

/// Who can open a file.
pub(crate) struct Needs<'f> {
    /// The recipients of each key group.
    pub(crate) groups: Vec<Vec<&'f str>>,
    /// So many groups have to be opened.
    pub(crate) needed: usize,
}

/// Touches that a run will ask for.
pub(crate) struct Touches {
    serial: u32,
    times: usize,
    policy: TouchPolicy,
}

impl Identities {
    /// The keys in the card with this number, or in every card that is plugged in, and no others.
    pub(crate) fn of_yubikey(serial: Option<u32>, cancel: Cancel) -> Result<Self> {
        let plugins = operators_plugins(cancel);
        let mut identities = Self::empty(plugins);
        let cards = yubikey::list(&identities.plugins)?;
        let cards: Vec<CardInfo> = cards
            .into_iter()
            .filter(|card| serial.is_none_or(|serial| serial == card.serial))
            .collect();
        if cards.is_empty() {
            return Err(missing(serial));
        }
        for key in cards.into_iter().flat_map(yubikey::keys) {
            identities.add(vec![Identity::of_card(key)]);
        }
        Ok(identities)
    }

    /// Adds whatever key is in a slot (1 to 20) of a card.
    pub(super) fn add_card(&mut self, serial: u32, slot: u8) {
        self.add(vec![Identity::of_card(CardKey::new(serial, slot))]);
    }

    /// Asks those cards for their keys that may open something for one of `recipients`. No PIN and no touch is needed;
    /// a card that is not there is not tried again afterwards.
    pub(crate) fn look_at_cards(&self, recipients: &[&str]) {
        if self.kept.is_asking() {
            return;
        }
        for identity in &self.list {
            let may = recipients
                .iter()
                .any(|recipient| identity.may_answer_to(super::canonical(recipient)));
            if may {
                identity.look_at_card(&self.plugins);
            }
        }
    }

    /// Asks every card for the keys of our identities.
    pub(crate) fn look_at_all_cards(&self) {
        for identity in &self.list {
            identity.look_at_card(&self.plugins);
        }
    }

    /// Asks the cards of which it is not known what they open.
    pub(crate) fn look_at_unknown_cards(&self) {
        if self.kept.is_asking() {
            return;
        }
        for identity in &self.list {
            if identity.recipients().next().is_none() {
                identity.look_at_card(&self.plugins);
            }
        }
    }

    /// What it costs to open what is wrapped for `recipient`, as far as it is known.
    pub(crate) fn cost_of(&self, recipient: &str) -> Option<u8> {
        self.opener(recipient).map(Identity::cost)
    }

    /// The touches that opening files will take.
    pub(crate) fn touches<'f>(&self, files: impl Iterator<Item = Needs<'f>>) -> Vec<Touches> {
        let mut touches: Vec<Touches> = Vec::new();
        for file in files {
            let cheapest = |group: &Vec<&str>| {
                let openers = group.iter().filter_map(|recipient| self.opener(recipient));
                openers.min_by_key(|opener| opener.cost())
            };
            let mut openers: Vec<&Identity> = file.groups.iter().filter_map(cheapest).collect();
            openers.sort_by_key(|opener| opener.cost());
            let touched = openers.into_iter().take(file.needed);
            for (serial, policy) in touched.filter_map(Identity::touch) {
                let same = |known: &&mut Touches| known.serial == serial && known.policy == policy;
                match touches.iter_mut().find(same) {
                    Some(known) => known.times += 1,
                    None => touches.push(Touches {
                        serial,
                        times: 1,
                        policy,
                    }),
                }
            }
        }
        touches
    }

    /// What is opened from now on, for those who are asked for a touch.
    pub(crate) fn set_purpose(&self, purpose: &str) {
        self.plugins.cards.set_purpose(purpose.to_owned());
    }

    /// Lets go of all cards, and of what plugins have opened.
    pub(crate) fn end_sessions(&self) {
        self.plugins.cards.end_sessions();
        self.plugins.ahead.clear();
    }

    /// The order in which identities are tried. What a card costs may be known only after it was asked.
    pub(super) fn cheapest_first(&self) -> Vec<&Identity> {
        let mut list: Vec<&Identity> = self.list.iter().collect();
        list.sort_by_key(|identity| identity.cost());
        list
    }

    /// The cheapest identity that can be used and answers to `recipient`.
    fn opener(&self, recipient: &str) -> Option<&Identity> {
        let recipient = super::canonical(recipient);
        self.list
            .iter()
            .filter(|identity| identity.known_lock().is_none())
            .filter(|identity| identity.recipients().any(|ours| ours == recipient))
            .min_by_key(|identity| identity.cost())
    }
}

impl Identity {
    fn of_card(key: CardKey) -> Self {
        let name = format!("YubiKey {} slot {}", key.serial(), key.slot());
        Self::new(&name, "yubikey", Vec::new(), Key::Card(Box::new(key)))
    }

    /// Whether a program of ours or of others has to be started for it.
    pub(crate) fn needs_helper(&self) -> bool {
        matches!(self.key, Key::Plugin { .. } | Key::Card(_))
    }

    fn look_at_card(&self, plugins: &Plugins) {
        if let Key::Card(key) = &self.key
            && self.known_lock().is_none()
            && let Err(error) = key.look(plugins)
        {
            self.note(Some(error));
        }
    }

    /// The card that has to be touched for it.
    fn touch(&self) -> Option<(u32, TouchPolicy)> {
        let Key::Card(key) = &self.key else {
            return None;
        };
        let policy = key.touch_policy()?;
        (policy != TouchPolicy::Never).then(|| (key.serial(), policy))
    }
}

impl std::fmt::Display for Touches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let card = yubikey::name_of(self.serial);
        match (self.policy, self.times) {
            (TouchPolicy::Cached, _) => {
                write!(f, "a touch needed on {card}, and one more every 15 seconds")
            }
            (_, 1) => write!(f, "1 touch needed on {card}"),
            (_, times) => write!(f, "{times} touches needed on {card}"),
        }
    }
}

/// The cards that are plugged in, with their keys.
pub(crate) fn cards(cancel: Cancel) -> Result<Vec<CardInfo>> {
    yubikey::list(&operators_plugins(cancel))
}

/// Makes a key in the card with this number. Nothing is overwritten.
pub(crate) fn generate(serial: u32, wanted: &NewKey, cancel: Cancel) -> Result<KeyInfo> {
    yubikey::generate(serial, wanted, &operators_plugins(cancel))
}

/// No card, or not this one, is plugged in.
pub(crate) fn missing(serial: Option<u32>) -> Error {
    let message = match serial {
        Some(serial) => format!("{} is not plugged in", yubikey::name_of(serial)),
        None => "no YubiKey is plugged in".to_owned(),
    };
    Error::new("no-card", message).with_hint("see which are there: secretsctl yubikey list")
}

/// With the terminal to ask on, if there is one.
pub(super) fn operators_plugins(cancel: Cancel) -> Plugins {
    let plugins = Plugins::of_operator().with_cancel(cancel);
    match Terminal::open() {
        Some(terminal) => plugins.with_person(Arc::new(terminal)),
        None => plugins,
    }
}

/// Whether a recipient is a key in a card.
pub(super) fn is_for_card(recipient: &str) -> bool {
    recipient.starts_with("age1yubikey1")
}
