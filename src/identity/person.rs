//! The person who may be asked: for a passphrase, a PIN, a touch. There may be none.

use crate::{error::Error, secret::Secret};

/// Somebody to show messages to and to ask. What is asked comes from plugins and file names: implementations escape it.
pub(crate) trait Person: Send + Sync {
    /// Shows a message (`touch your key now`). Whether anybody sees it is not known.
    fn tell(&self, message: &str);

    /// Asks for one of two answers; `true` is `yes`. Without `no` there is only one answer to give.
    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Answer<bool>;

    /// Asks for something that may be seen while it is typed.
    fn ask(&self, message: &str) -> Answer<Secret>;

    /// Asks for a passphrase or PIN, unseen.
    fn ask_secret(&self, message: &str) -> Answer<Secret>;

    /// Why nobody is asked any more, where that is known better than by what was asked for.
    fn ended(&self) -> Option<Error> {
        None
    }

    /// What to do where there is nobody to ask.
    fn otherwise(&self) -> &'static str {
        ON_A_TERMINAL
    }
}

/// What to do where there is nobody.
const ON_A_TERMINAL: &str = "run the command on a terminal";
pub(super) const UNLOCK: &str = "unlock it with secretsctl unlock";

/// What came of asking.
pub(crate) enum Answer<T> {
    /// The person answered.
    Given(T),
    /// There is nobody to ask: the identity stays locked.
    Nobody,
    /// The person did not want to answer.
    Declined,
    /// The person pressed Ctrl-C.
    Interrupted,
}

impl<T> Answer<T> {
    /// What was given, as something else.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Given(answer) => Answer::Given(change(answer)),
            Self::Declined => Answer::Declined,
            Self::Nobody => Answer::Nobody,
            Self::Interrupted => Answer::Interrupted,
        }
    }
}

/// Nobody can be asked; what to do instead.
pub(crate) struct Nobody(&'static str);

impl Nobody {
    /// In scripts and CI.
    pub(crate) const HERE: Self = Self(ON_A_TERMINAL);
    /// By the daemon, until somebody comes.
    pub(crate) const YET: Self = Self(UNLOCK);
}

impl Person for Nobody {
    fn tell(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Answer<bool> {
        Answer::Nobody
    }

    fn ask(&self, _: &str) -> Answer<Secret> {
        Answer::Nobody
    }

    fn ask_secret(&self, _: &str) -> Answer<Secret> {
        Answer::Nobody
    }

    fn otherwise(&self) -> &'static str {
        self.0
    }
}

/// The code of [`interrupted`].
pub(crate) const INTERRUPTED: &str = "interrupted";

/// The error of everything that a person or a signal ended.
pub(super) fn interrupted() -> Error {
    Error::new(INTERRUPTED, "interrupted")
}

/// The error of an identity that needs somebody.
pub(super) fn locked(name: &str, reason: &str) -> Error {
    Error::new(
        "identity-locked",
        format!("the identity {name} is locked: {reason}"),
    )
}
