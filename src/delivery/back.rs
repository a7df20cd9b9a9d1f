//! The way back: a unit has failed with new values, and the generation before returns. The values that it failed with are
//! rejected until their files change.

use std::collections::BTreeSet;

use super::{Delivery, generation::Previous, removal, state::Memory};
use crate::error::{Error, Result};

/// Code of the error of a value that is in its file and not delivered.
pub(super) const REJECTED: &str = "rolled-back";

impl Delivery {
    /// Lets the generation before `current` return, and rejects what `names` have now. What else was new in `current` comes back
    /// with the next [reconciliation](Self::reconcile).
    pub(crate) fn go_back(&mut self, current: u64, names: &BTreeSet<String>) -> Result<()> {
        let impossible = |why: &str| {
            Error::new(
                "no-way-back",
                format!("the previous generation does not return: {why}"),
            )
        };
        if self.runtime.current() != Some(current) {
            return Err(impossible("there is a newer one meanwhile"));
        }
        let numbers = removal::numbers(&self.runtime)?;
        let before = numbers.into_iter().rfind(|number| *number < current);
        let Some(number) = before else {
            return Err(impossible("there is none"));
        };
        let known = Previous::open(&self.runtime, number).zip(Memory::read(&self.runtime, number));
        let Some((previous, (mut memory, base))) = known else {
            return Err(impossible("what is remembered of it cannot be read"));
        };
        let outputs = self.memory.outputs.values();
        let rejected = outputs
            .filter(|record| names.contains(&*record.name))
            .filter_map(|record| {
                let file = self.memory.files.get(record.file.as_deref()?)?;
                Some((record.name.as_ref().to_owned(), file.digest.clone()))
            });
        memory.rejected.extend(rejected);
        self.runtime.switch_to(number)?;
        self.start_over();
        self.previous = Some(previous);
        self.memory = memory;
        self.base = base;
        Ok(())
    }
}

/// Why a value is not delivered although its file has it.
pub(super) fn rejected() -> Error {
    Error::new(
        REJECTED,
        "a unit failed with this value, so that the one before is in place",
    )
    .with_hint("correct the value; a new look is taken when its file changes")
}
