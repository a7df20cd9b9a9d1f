//! Who can open: private keys of every kind, and the recipients they answer to.
//!
//! - [`Identities`]: all that one run may use, in the order in which they are tried;
//! - [`source`]: the files and variables they come from, [`imported`]: those of a manifest; [`text`]: what those hold;
//! - [`hybrid`], [`ssh`], [`sealed`], [`plugin`], [`yubikey`]: kinds of keys; [`process`]: what some of them start;
//!   [`person`], [`terminal`], [`remote`], [`ask_password`], [`pinentry`]: who is asked, some by way of a [`prompter`];
//!   [`unlocking`]: those that need one, and [`kept`]: what is left of it for a while;
//! - [`attempt`]: one attempt to open something; [`ahead`]: plugins that are asked once for many files;
//! - [`recipient`]: the public side; [`reach`]: whether both meet; [`envelope`]: the wrapped data key itself.
//!
//! An identity that cannot be used now (its plugin is missing, nobody can be asked for its passphrase) is *locked*:
//! the others are tried, and only where none opens does it matter.

mod ahead;
mod ask_password;
mod attempt;
mod devices;
mod envelope;
mod hybrid;
mod imported;
mod kept;
mod person;
mod pinentry;
mod plugin;
mod process;
mod prompter;
mod reach;
mod recipient;
mod remote;
mod sealed;
mod source;
mod ssh;
mod terminal;
mod text;
mod unlocking;
mod yubikey;

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use age_core::format::{FileKey, Stanza};

use crate::error::{Error, Result};
use devices::is_for_card;

pub(crate) use ahead::WrappedFor;
pub(crate) use ask_password::AskPassword;
pub(crate) use attempt::{Attempt, Effort};
pub(crate) use devices::{Needs, cards, generate as generate_in_card, missing as missing_card};
pub(crate) use kept::{KeepPins, Kept, Opener, Share, Wrapped};
pub(crate) use person::{Answer, INTERRUPTED, Nobody, Person};
pub(crate) use pinentry::Pinentry;
pub(crate) use plugin::Plugins;
pub(crate) use process::Cancel;
pub(crate) use reach::Reach;
pub(crate) use recipient::{canonical, check as check_recipient, wrap};
pub(crate) use remote::{Question, Remote, encode, encode_choice};
pub(crate) use source::{host_recipients, identity_files};
pub(crate) use ssh::recipients_of_public;
pub(crate) use terminal::Terminal;
pub(crate) use unlocking::is_called;
pub(crate) use yubikey::{
    CardInfo, KeyInfo, NewKey, PinPolicy, TouchPolicy, serve_session, watch as watch_cards,
};

/// The identities of one run. Keys are parsed once; any number of files is opened with them, from any thread.
pub(crate) struct Identities {
    list: Vec<Identity>,
    plugins: Plugins,
    /// What is wrong with sources that were found.
    problems: Vec<Error>,
    /// Files that are used although every user can read them.
    exposed: Vec<Error>,
    /// Places that were looked at and hold nothing.
    unused: Vec<String>,
    /// What others have unlocked.
    kept: Kept,
}

/// One private key, or something that stands for one.
pub(crate) struct Identity {
    name: String,
    kind: &'static str,
    recipients: Vec<String>,
    key: Key,
    /// Why it could not be used when it was last tried.
    locked: Mutex<Option<Error>>,
}

enum Key {
    X25519(age::x25519::Identity),
    Hybrid(Box<hybrid::Identity>),
    Ssh(Box<ssh::SshKey>),
    Plugin { plugin: String, text: String },
    Card(Box<yubikey::CardKey>),
    Sealed(sealed::Sealed),
    Command(source::KeyCommand),
}

/// Whether an identity can be used now.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// It is in memory, or will be fetched without a person.
    Usable,
    /// It needs a person, a device or a program that is not there.
    Locked(Error),
}

impl Identities {
    /// Those of an operator: the files given with `-i`, else what sops would use. Prompts go to the terminal; `cancel`
    /// ends plugins.
    pub(crate) fn of_operator(files: &[PathBuf], cancel: Cancel) -> Result<Self> {
        let plugins = devices::operators_plugins(cancel);
        if files.is_empty() {
            Ok(Self::from_environment(
                &|name| std::env::var_os(name),
                plugins,
            ))
        } else {
            Self::from_files(files, plugins)
        }
    }

    /// None, yet.
    pub(crate) fn empty(plugins: Plugins) -> Self {
        Self {
            list: Vec::new(),
            plugins,
            problems: Vec::new(),
            exposed: Vec::new(),
            unused: Vec::new(),
            kept: Kept::default(),
        }
    }

    fn add(&mut self, identities: Vec<Identity>) {
        self.list.extend(identities);
        // Cheapest first; where two cost the same, the order of the sources stays.
        self.list.sort_by_key(Identity::cost);
    }

    /// All identities, in the order in which they are tried.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Identity> {
        self.list.iter()
    }

    /// Which plugins run, and whom they ask.
    pub(crate) fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// What is wrong with those that are used all the same.
    pub(crate) fn exposed(&self) -> &[Error] {
        &self.exposed
    }

    /// What is wrong with sources that could have held identities.
    pub(crate) fn problems(&self) -> &[Error] {
        &self.problems
    }

    /// Places that were looked at in vain.
    pub(crate) fn unused(&self) -> &[String] {
        &self.unused
    }

    /// Every recipient text that one of these identities is known to answer to, SSH keys without comment.
    pub(crate) fn recipients(&self) -> Vec<&str> {
        let mut recipients: Vec<&str> = Vec::new();
        for identity in &self.list {
            for recipient in identity.recipients() {
                if !recipients.contains(&recipient) {
                    recipients.push(recipient);
                }
            }
        }
        recipients
    }

    /// Whether `recipient` is one of [`Self::recipients`]; comments do not count.
    pub(crate) fn answers_to(&self, recipient: &str) -> bool {
        let recipient = canonical(recipient);
        self.list
            .iter()
            .any(|identity| identity.recipients().any(|ours| ours == recipient))
            || self.kept.answers_to(recipient)
    }

    /// Lets identities be tried again that could not be used before.
    pub(crate) fn forget_failures(&self) {
        self.end_sessions();
        for identity in &self.list {
            identity.note(None);
            if let Key::Sealed(sealed) = &identity.key {
                sealed.forget_refusal();
            }
        }
    }
}

impl Identity {
    fn new(name: &str, kind: &'static str, recipients: Vec<String>, key: Key) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            recipients,
            key,
            locked: Mutex::new(None),
        }
    }

    /// Where it comes from: a path or a variable.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `x25519`, `ssh-ed25519`, `ssh-rsa`, `yubikey`, `plugin`, `passphrase`, `command`, `mlkem768x25519`.
    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The name of the plugin that it needs.
    pub(crate) fn plugin(&self) -> Option<&str> {
        match &self.key {
            Key::Plugin { plugin, .. } => Some(plugin),
            _ => None,
        }
    }

    /// The recipients it is known to answer to.
    pub(crate) fn recipients(&self) -> impl Iterator<Item = &str> {
        let inside = match &self.key {
            Key::Sealed(sealed) if self.recipients.is_empty() => sealed.opened(),
            _ => None,
        };
        let seen = match &self.key {
            Key::Card(key) if self.recipients.is_empty() => key.recipient(),
            _ => None,
        };
        let known = self.recipients.iter().map(String::as_str).chain(seen);
        known.chain(
            inside
                .unwrap_or_default()
                .iter()
                .flat_map(|identity| identity.recipients.iter().map(String::as_str)),
        )
    }

    /// Whether it can be used, as far as that can be told without trying.
    pub(crate) fn state(&self, plugins: &Plugins) -> State {
        let known = self
            .locked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let error = match (&self.key, known) {
            (_, Some(error)) => Some(error),
            (Key::Plugin { plugin, .. }, None) => plugins.program(plugin).err(),
            (Key::Sealed(sealed), None) if sealed.opened().is_none() => Some(person::locked(
                &self.name,
                "it is protected by a passphrase",
            )),
            _ => None,
        };
        error.map_or(State::Usable, State::Locked)
    }

    /// Whether `recipient` may be one of its own, as far as that can be told without using it.
    fn may_answer_to(&self, recipient: &str) -> bool {
        if self.recipients().any(|ours| ours == recipient) {
            return true;
        }
        match &self.key {
            Key::Plugin { plugin, .. } => recipient.starts_with(&format!("age1{plugin}1")),
            Key::Card(_) => self.recipients().next().is_none() && is_for_card(recipient),
            // Native keys, which nobody has seen yet.
            Key::Sealed(_) => self.recipients().next().is_none(),
            Key::Command(_) => true,
            _ => false,
        }
    }

    /// Whether it is, or was before it was opened, more than a key in memory.
    pub(crate) fn needs_somebody(&self) -> bool {
        match &self.key {
            Key::X25519(_) | Key::Hybrid(_) | Key::Ssh(_) => false,
            Key::Plugin { .. } | Key::Card(_) | Key::Sealed(_) | Key::Command(_) => true,
        }
    }

    /// The number of the card that holds its key.
    fn card(&self) -> Option<u32> {
        match &self.key {
            Key::Card(key) => Some(key.serial()),
            // Of several, whichever: it is asked for after one has opened something.
            Key::Sealed(sealed) => sealed.opened()?.iter().find_map(Self::card),
            _ => None,
        }
    }

    /// What it costs to try: nothing, a command, a card, a plugin, a touch, a person.
    fn cost(&self) -> u8 {
        match &self.key {
            Key::X25519(_) | Key::Hybrid(_) | Key::Ssh(_) => 0,
            Key::Command(_) => 1,
            Key::Card(key) if key.touch_policy() == Some(TouchPolicy::Never) => 2,
            Key::Plugin { .. } => 3,
            Key::Card(_) => 4,
            // What is inside may be a key in a card.
            Key::Sealed(sealed) => match sealed.opened() {
                Some(inside) => inside.iter().map(Self::cost).max().unwrap_or(0),
                None => 5,
            },
        }
    }

    fn unwrap(
        &self,
        stanzas: &[Stanza],
        recipient: &str,
        plugins: &Plugins,
    ) -> Result<Option<FileKey>> {
        match &self.key {
            Key::X25519(key) => self.offer(key, stanzas),
            Key::Hybrid(key) => self.offer(key.as_ref(), stanzas),
            Key::Ssh(key) => {
                for key in key.identities() {
                    if let Some(file_key) = self.offer(key, stanzas)? {
                        return Ok(Some(file_key));
                    }
                }
                Ok(None)
            }
            Key::Plugin { plugin, text } => {
                if let Some(error) = self.known_lock() {
                    return Err(error);
                }
                let result = plugins.unwrap(plugin, text, stanzas);
                if let Err(error) = &result
                    && error.is_lock()
                {
                    self.note(Some(error.clone()));
                }
                result
            }
            Key::Card(key) => {
                let result = key.unwrap(stanzas, self.known_lock(), plugins);
                if let Err(error) = &result
                    && error.is_lock()
                {
                    self.note(Some(error.clone()));
                }
                result
            }
            Key::Sealed(sealed) => {
                if sealed.opened().is_none() && sealed.cannot_match(stanzas, recipient) {
                    return Ok(None);
                }
                let identities = sealed
                    .open(&self.name, plugins.person.as_ref())
                    .inspect_err(|error| self.note(Some(error.clone())))?;
                first_of(identities, stanzas, recipient, plugins)
            }
            Key::Command(command) => match command.identities(recipient).as_ref() {
                Ok(identities) => first_of(identities, stanzas, recipient, plugins),
                Err(error) => {
                    self.note(Some(error.clone()));
                    Err(error.clone())
                }
            },
        }
    }

    fn offer(&self, key: &dyn age::Identity, stanzas: &[Stanza]) -> Result<Option<FileKey>> {
        key.unwrap_stanzas(stanzas).transpose().map_err(|_| {
            envelope::damaged(&format!(
                "it is for the identity {}, which cannot open it",
                self.name
            ))
        })
    }

    fn known_lock(&self) -> Option<Error> {
        self.locked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, error: Option<Error>) {
        *self.locked.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

fn first_of(
    identities: &[Identity],
    stanzas: &[Stanza],
    recipient: &str,
    plugins: &Plugins,
) -> Result<Option<FileKey>> {
    for identity in identities {
        if let Some(file_key) = identity.unwrap(stanzas, recipient, plugins)? {
            return Ok(Some(file_key));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod interop;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
