//! Identities that need somebody: which of them are meant, what they may open, and who has them in hand now.

use std::collections::BTreeSet;

use super::{Identities, Identity, Kept, canonical, person};
use crate::error::{Error, Result};

impl Identities {
    /// Those of the daemon: what others have unlocked is in `kept`.
    #[must_use]
    pub(crate) fn with_kept(mut self, kept: Kept) -> Self {
        self.plugins = self.plugins.with_kept(kept.clone());
        self.kept = kept;
        self
    }

    /// What others have unlocked.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Leaves, of those that need somebody, only the ones called `wanted`: by their name, the last part of a path, or the
    /// number of a card.
    pub(crate) fn unlock_only(&mut self, wanted: &str) -> Result<()> {
        if !self
            .list
            .iter()
            .any(|identity| identity.needs_somebody() && is_called(&identity.name, wanted))
        {
            let mut names: Vec<&str> = Vec::new();
            for identity in self
                .list
                .iter()
                .filter(|identity| identity.needs_somebody())
            {
                if !names.contains(&identity.name()) {
                    names.push(identity.name());
                }
            }
            let error = Error::new(
                "unknown-identity",
                format!("the daemon has no identity `{wanted}` that could be unlocked"),
            );
            return Err(error.with_hint(match names.as_slice() {
                [] => "none of its identities needs a person".to_owned(),
                names => format!("those that need a person are: {}", names.join(", ")),
            }));
        }
        self.list
            .retain(|identity| !identity.needs_somebody() || is_called(&identity.name, wanted));
        Ok(())
    }

    /// Whether one of them needs more than memory.
    pub(crate) fn need_somebody(&self) -> bool {
        self.list.iter().any(Identity::needs_somebody)
    }

    /// Whether one that needs somebody may answer to `recipient`, as far as that can be told without using it.
    pub(crate) fn may_be_unlocked_for(&self, recipient: &str) -> bool {
        let recipient = canonical(recipient);
        self.list
            .iter()
            .any(|identity| identity.needs_somebody() && identity.may_answer_to(recipient))
    }

    /// Whether it is known of every identity whom it answers to, from itself or because it was unlocked once.
    pub(crate) fn are_known(&self) -> bool {
        self.list.iter().all(|identity| {
            identity.recipients().next().is_some() || self.kept.has_learned(identity.name())
        })
    }

    /// The numbers of the cards that hold their keys.
    pub(crate) fn cards(&self) -> BTreeSet<u32> {
        self.list.iter().filter_map(Identity::card).collect()
    }

    /// Why an identity is left alone now.
    pub(super) fn is_taken(&self, identity: &Identity) -> Option<Error> {
        (identity.needs_somebody() && self.kept.is_asking()).then(|| {
            person::locked(
                identity.name(),
                "somebody is being asked for it now; see secretsctl unlock",
            )
        })
    }
}

/// Whether `wanted` may stand for the identity `name`.
pub(crate) fn is_called(name: &str, wanted: &str) -> bool {
    let card = |name: &str| {
        let rest = name.strip_prefix("YubiKey ")?;
        Some(rest.split(' ').next()?.to_owned())
    };
    name == wanted
        || name.starts_with('/') && name.rsplit('/').next() == Some(wanted)
        || card(name)
            .is_some_and(|serial| serial == wanted || format!("YubiKey {serial}") == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_short() {
        for (name, wanted) in [
            ("/etc/keys.age", "/etc/keys.age"),
            ("/etc/keys.age", "keys.age"),
            ("YubiKey 4002 slot 2", "YubiKey 4002 slot 2"),
            ("YubiKey 4002 slot 2", "4002"),
            ("YubiKey 4002 slot 2", "YubiKey 4002"),
        ] {
            assert!(is_called(name, wanted), "{wanted}");
        }
        for (name, wanted) in [
            ("/etc/keys.age", "keys"),
            ("/etc/keys.age", ""),
            ("YubiKey 4002 slot 2", "400"),
            ("YubiKey 4002 slot 2", "2"),
        ] {
            assert!(!is_called(name, wanted), "{wanted}");
        }
    }
}
