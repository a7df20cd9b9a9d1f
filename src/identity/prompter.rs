//! A program that asks in our place, on behalf of the daemon: which it is, how long it may take, what its silence means.

use std::{path::PathBuf, time::Duration};

use super::{
    person::{Answer, INTERRUPTED},
    process::{Cancel, Process, Role, is_program},
};
use crate::{
    error::{Error, Result},
    escape,
};

/// How long a question waits for its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
/// What the program may take beyond that.
const GRACE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Prompter {
    name: &'static str,
    program: PathBuf,
    cancel: Cancel,
}

impl Prompter {
    /// The program with this name in a directory of `$PATH`; relative ones are left out. A question is taken back when
    /// `cancel` fires.
    pub(super) fn find(name: &'static str, cancel: Cancel) -> Result<Self> {
        let list = std::env::var_os("PATH").unwrap_or_default();
        let mut programs = std::env::split_paths(&list)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name));
        let program = programs.find(|path| is_program(path)).ok_or_else(|| {
            Error::new(
                "program-missing",
                format!("the program {name} was not found"),
            )
            .with_hint(format!("install {name} in a directory of $PATH"))
        })?;
        Ok(Self {
            name,
            program,
            cancel,
        })
    }

    /// Starts it for one question. `patience`: what to do where nobody answers.
    pub(super) fn start(&self, arguments: &[&str], patience: &'static str) -> Result<Process> {
        let role = Role {
            name: self.name.to_owned(),
            limit: "answer-size",
            failed: "no-answer",
            timeout: "no-answer",
            patience,
        };
        Process::start(
            &self.program,
            arguments,
            role,
            PATIENCE + GRACE,
            &self.cancel,
        )
    }
}

/// A program that ended without an answer: somebody wanted it to end, or nobody was there.
pub(super) fn unanswered<T>(error: &Error) -> Answer<T> {
    if error.code == INTERRUPTED {
        return Answer::Interrupted;
    }
    tracing::info!(%error, "nobody has answered");
    Answer::Declined
}

/// There is no way to show a message: it is in the log.
pub(super) fn tell(message: &str) {
    tracing::info!("{}", escape::text(message));
}
