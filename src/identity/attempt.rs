//! One attempt to open a wrapped key: who is asked, and what came of it.

use std::cell::RefCell;

use super::{Identities, Opener, canonical, envelope, person};
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// How far to go to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Keys in memory only: no program runs and nobody is asked.
    Software,
    /// Commands, plugins, cards and passphrases too.
    All,
}

/// What went wrong with the identities of one attempt.
#[derive(Default)]
struct Tried {
    locked: Vec<Error>,
    unlikely: Vec<Error>,
    failed: Vec<Error>,
    interrupted: Option<Error>,
    /// Which identity opened it, where it needs somebody.
    by: Option<Opener>,
}

/// What came of one attempt to unwrap.
pub(crate) enum Attempt {
    Opened {
        /// The data key or share.
        key: Secret,
        /// The identity, where it needs somebody.
        by: Option<Opener>,
    },
    /// No identity fits.
    Closed {
        /// Identities that could not be tried and may be the right ones.
        locked: Vec<Error>,
        /// Those that could not be tried, and whose recipient this is not as far as one knows.
        unlikely: Vec<Error>,
        /// Those that should have fit and failed.
        failed: Vec<Error>,
    },
}

impl Identities {
    /// One attempt: every identity that `effort` allows is offered `enc`, whatever its recipient says, as sops does.
    /// An error means that `enc` itself is damaged.
    pub(crate) fn attempt(&self, enc: &str, recipient: &str, effort: Effort) -> Result<Attempt> {
        let recipient = canonical(recipient);
        let tried = RefCell::new(Tried::default());
        let opened = envelope::open(enc, |stanzas| {
            let mut tried = tried.borrow_mut();
            for identity in self.cheapest_first() {
                if effort == Effort::Software && identity.cost() > 0 {
                    continue;
                }
                let result = match self.is_taken(identity) {
                    Some(error) => Err(error),
                    None => identity.unwrap(stanzas, recipient, &self.plugins),
                };
                match result {
                    Ok(Some(file_key)) => {
                        tried.by = identity.needs_somebody().then(|| Opener {
                            name: identity.name.clone(),
                            card: identity.card(),
                        });
                        return Some(file_key);
                    }
                    Ok(None) => {}
                    Err(error) if error.code == person::INTERRUPTED => {
                        tried.interrupted = Some(error);
                        return None;
                    }
                    Err(error) if error.is_lock() && identity.may_answer_to(recipient) => {
                        tried.locked.push(error);
                    }
                    Err(error) if error.is_lock() => tried.unlikely.push(error),
                    Err(error) => tried.failed.push(error),
                }
            }
            None
        })?;
        let tried = tried.into_inner();
        match (opened, tried.interrupted) {
            (_, Some(error)) => Err(error),
            (Some(key), None) => Ok(Attempt::Opened { key, by: tried.by }),
            (None, None) => Ok(Attempt::Closed {
                locked: tried.locked,
                unlikely: tried.unlikely,
                failed: tried.failed,
            }),
        }
    }
}

impl Error {
    /// Whether the identity may work another time, or after somebody did something: not the file's fault.
    pub(super) fn is_lock(&self) -> bool {
        matches!(
            self.code,
            "identity-locked"
                | "plugin-missing"
                | "plugin-refused"
                | "plugin-timeout"
                | "invalid-identity"
        )
    }
}
