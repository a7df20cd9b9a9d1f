//! Plugins that are asked once for many files: a session costs a person a PIN, and the protocol has room for all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use age_core::{
    format::{FILE_KEY_BYTES, FileKey, Stanza},
    secrecy::ExposeSecret as _,
};
use sha2::{Digest as _, Sha256};

use super::{Identities, Identity, Key, envelope, person};
use crate::{error::Result, secret::Secret};

/// What plugins were asked ahead of time, until the run or delivery is over.
#[derive(Clone, Default)]
pub(super) struct Ahead(Arc<Mutex<BTreeMap<Question, Option<Secret>>>>);

/// A hash of an identity and of stanzas that it was to open.
type Question = [u8; 32];

/// One wrapped key.
pub(crate) struct WrappedFor {
    pub(crate) recipient: String,
    pub(crate) enc: String,
}

impl Ahead {
    /// What came of asking; `None` where nobody did.
    pub(super) fn find(&self, identity: &str, stanzas: &[Stanza]) -> Option<Option<FileKey>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = known.get(&question(identity, stanzas))?;
        let key: Option<&[u8; FILE_KEY_BYTES]> =
            key.as_ref().and_then(|key| key.expose().try_into().ok());
        Some(key.map(|key| FileKey::init_with_mut(|target| target.copy_from_slice(key))))
    }

    pub(super) fn keep(&self, identity: &str, stanzas: &[Stanza], key: Option<FileKey>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key.map(|key| Secret::new(key.expose_secret().to_vec()));
        known.insert(question(identity, stanzas), key);
    }

    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

fn question(identity: &str, stanzas: &[Stanza]) -> Question {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(identity.as_bytes());
    for stanza in stanzas {
        add(stanza.tag.as_bytes());
        add(&(stanza.args.len() as u64).to_le_bytes());
        stanza.args.iter().for_each(|arg| add(arg.as_bytes()));
        add(&stanza.body);
    }
    hash.finalize().into()
}

impl Identities {
    /// Whether asking ahead could save anything.
    pub(crate) fn have_plugins(&self) -> bool {
        let is_plugin = |identity: &Identity| matches!(identity.key, Key::Plugin { .. });
        self.list.iter().any(is_plugin)
    }

    /// Has each plugin open in one session what it is needed for: of each file one of these wrapped keys, unless a key in
    /// memory or a card that needs no touch opens it. What comes of it shows when the files are opened.
    pub(crate) fn look_ahead(&self, files: &[Vec<WrappedFor>]) -> Result<()> {
        if self.kept.is_asking() {
            return Ok(());
        }
        let mut found: BTreeSet<usize> = BTreeSet::new();
        for identity in self.cheapest_first() {
            let Key::Plugin { plugin, text } = &identity.key else {
                continue;
            };
            let wanted = files.iter().enumerate().filter(|(number, file)| {
                !found.contains(number) && !self.is_cheaper(file, identity)
            });
            let questions: Vec<(usize, Vec<Stanza>)> = wanted
                .map(|(number, file)| (number, stanzas_for(identity, file)))
                .filter(|(_, stanzas)| !stanzas.is_empty())
                .collect();
            if questions.len() < 2 || identity.known_lock().is_some() {
                continue;
            }
            let stanzas: Vec<&[Stanza]> = questions
                .iter()
                .map(|(_, stanzas)| stanzas.as_slice())
                .collect();
            match self.plugins.unwrap_ahead(plugin, text, &stanzas) {
                Ok(are_found) => {
                    let numbers = questions.iter().map(|(number, _)| *number);
                    let hits = numbers.zip(are_found).filter(|(_, is_found)| *is_found);
                    found.extend(hits.map(|(number, _)| number));
                }
                Err(error) if error.code == person::INTERRUPTED => return Err(error),
                Err(error) if error.is_lock() => identity.note(Some(error)),
                // Each file tells it.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether something cheaper than `identity` is known to open the file.
    fn is_cheaper(&self, file: &[WrappedFor], identity: &Identity) -> bool {
        let mut costs = file
            .iter()
            .filter_map(|wrapped| self.cost_of(&wrapped.recipient));
        costs.any(|cost| cost < identity.cost())
    }
}

/// Those of the first wrapped key that may be for it.
fn stanzas_for(identity: &Identity, file: &[WrappedFor]) -> Vec<Stanza> {
    let mut wrapped = file.iter();
    let ours = wrapped.find(|wrapped| identity.may_answer_to(super::canonical(&wrapped.recipient)));
    ours.and_then(|wrapped| envelope::stanzas(&wrapped.enc).ok())
        .unwrap_or_default()
}
