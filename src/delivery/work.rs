//! One file of the repository, once: opened if it must be, its parts put into the generation that is being written.
//! What fails is degraded alone and keeps its last good value.

use std::sync::Arc;

use super::{
    check::Check,
    contents::{Contents, Value},
    desired::{Unit, Wanted},
    draft::{Draft, Placed, Refused},
    generation::Attributes,
    guard::Guard,
    state::{FileRecord, OutputRecord},
};
use crate::error::{Error, Result};

/// What all threads share.
pub(super) struct Work<'a> {
    pub(super) check: Check<'a>,
    pub(super) draft: &'a Draft<'a>,
    pub(super) guard: &'a Guard,
    /// Seconds since 1970.
    pub(super) now: u64,
}

impl<'a> std::ops::Deref for Work<'a> {
    type Target = Check<'a>;

    fn deref(&self) -> &Check<'a> {
        &self.check
    }
}

/// What came of one wanted file.
pub(super) struct Done {
    pub(super) wanted: Wanted,
    pub(super) file: Option<Arc<str>>,
    /// The file in the generation; absent where there is not even a last good one.
    pub(super) record: Option<Arc<OutputRecord>>,
    /// Since when this content is in place, in seconds since 1970; absent where nothing is.
    pub(super) since: Option<u64>,
    pub(super) new_file: bool,
    pub(super) new_content: bool,
    /// Why it is degraded, if it is.
    pub(super) cause: Option<Box<Error>>,
}

/// A value that was delivered before, in the generation that is being written.
pub(super) struct Kept {
    pub(super) record: Arc<OutputRecord>,
    pub(super) placed: Placed,
    /// Why it has not the owner that is wanted now.
    refused: Option<Box<Error>>,
}

/// What came of one file of the repository.
pub(super) struct UnitDone {
    pub(super) file: Arc<str>,
    pub(super) outputs: Vec<Done>,
    pub(super) record: FileRecord,
    pub(super) notes: Vec<Error>,
}

impl Work<'_> {
    /// An error is about the whole generation.
    pub(super) fn process(&self, unit: &Unit) -> Result<UnitDone> {
        // Whether the generation before is as it was written shows when its files are taken over.
        if self.is_same(unit)
            && let Some(done) = self.carry(unit)?
        {
            return Ok(done);
        }
        match self.open(unit) {
            Ok(contents) => self.deliver(unit, contents),
            Err(cause) => self.degrade(unit, &cause),
        }
    }

    /// Everything of a clean unit, taken over. `None`: something has changed meanwhile.
    fn carry(&self, unit: &Unit) -> Result<Option<UnitDone>> {
        let mut done = self.unit_done(unit);
        for wanted in self.wanted_of(unit) {
            let output = self.last_good(unit, wanted, None)?;
            if output.record.is_none() {
                for output in &done.outputs {
                    self.draft.discard(&output.wanted.location);
                }
                return Ok(None);
            }
            done.outputs.push(output);
        }
        Ok(Some(done))
    }

    /// Everything of a unit that cannot be opened.
    fn degrade(&self, unit: &Unit, cause: &Error) -> Result<UnitDone> {
        let mut done = self.unit_done(unit);
        done.record.complete = false;
        let mut wanted = self.wanted_of(unit);
        if let Some(by_rules) = unit
            .by_rules
            .as_ref()
            .filter(|_| wanted.len() == unit.named.len())
        {
            // Nothing is known of its leaves: it stands for all of them.
            wanted.push(self.at(by_rules.location.as_str().into()));
        }
        for wanted in wanted {
            done.outputs
                .push(self.last_good(unit, wanted, Some(Box::new(cause.clone())))?);
        }
        Ok(done)
    }

    fn deliver(&self, unit: &Unit, contents: Contents) -> Result<UnitDone> {
        let Contents {
            values,
            record,
            notes,
        } = contents;
        let mut done = UnitDone {
            record,
            notes,
            ..self.unit_done(unit)
        };
        for value in values {
            let Value {
                wanted,
                source,
                content,
            } = value;
            let output = match (&wanted.attributes, content) {
                (Err(cause), _) => {
                    let cause = cause.clone();
                    self.last_good(unit, wanted, Some(cause))?
                }
                (_, Err(cause)) => {
                    let file = self.inputs.repository.root().join(&*unit.file);
                    self.last_good(unit, wanted, Some(Box::new(cause.with_file(&file))))?
                }
                (Ok(attributes), Ok(value)) => {
                    let before = self.memory.outputs.get(&wanted.location);
                    let fingerprint = before.map(|before| before.fingerprint());
                    let previous = self.previous.zip(fingerprint.as_ref());
                    match self
                        .draft
                        .put(previous, &wanted.location, &value, attributes)
                    {
                        Ok(placed) => {
                            let since = before
                                .filter(|_| !placed.new_content)
                                .map_or(self.now, |before| before.since);
                            let file = Some(Arc::clone(&unit.file));
                            let record = OutputRecord::new(
                                Arc::clone(&wanted.name),
                                file,
                                source,
                                *attributes,
                                placed.fingerprint,
                                since,
                            );
                            self.done(unit, wanted, Some(record), &placed, None)
                        }
                        Err(Refused::File(cause)) => {
                            self.last_good(unit, wanted, Some(Box::new(cause)))?
                        }
                        Err(Refused::All(error)) => return Err(error),
                    }
                }
            };
            done.record.complete &= output.cause.is_none();
            done.outputs.push(output);
        }
        Ok(done)
    }

    /// Takes over what was delivered before, with the owner and mode that are wanted now where that is possible.
    pub(super) fn last_good_of(&self, wanted: &Wanted) -> Result<Option<Kept>> {
        let (Some(record), Some(previous)) =
            (self.memory.outputs.get(&wanted.location), self.previous)
        else {
            return Ok(None);
        };
        if record.name != wanted.name {
            return Ok(None);
        }
        let before = record.attributes();
        let keep = |attributes: &Attributes| {
            let fingerprint = record.fingerprint();
            let location = &wanted.location;
            self.draft
                .keep(previous, location, &fingerprint, &before, attributes)
        };
        let kept = |placed: Placed, attributes: Attributes, refused: Option<Error>| Kept {
            record: record.moved(placed.fingerprint, attributes),
            placed,
            refused: refused.map(Box::new),
        };
        let attributes = *wanted.attributes.as_ref().unwrap_or(&before);
        match keep(&attributes) {
            Ok(placed) => Ok(placed.map(|placed| kept(placed, attributes, None))),
            // The wanted owner cannot be had; the value is kept for the owner that it has.
            Err(Refused::File(refused)) => match keep(&before) {
                Ok(placed) => Ok(placed.map(|placed| kept(placed, before, Some(refused)))),
                Err(Refused::File(_)) => Ok(None),
                Err(Refused::All(error)) => Err(error),
            },
            Err(Refused::All(error)) => Err(error),
        }
    }

    fn last_good(&self, unit: &Unit, wanted: Wanted, cause: Option<Box<Error>>) -> Result<Done> {
        let cause = cause.or_else(|| wanted.attributes.as_ref().err().cloned());
        Ok(match self.last_good_of(&wanted)? {
            Some(Kept {
                record,
                placed,
                refused,
            }) => self.done(unit, wanted, Some(record), &placed, cause.or(refused)),
            None => self.done(unit, wanted, None, &Placed::default(), cause),
        })
    }

    fn done(
        &self,
        unit: &Unit,
        wanted: Wanted,
        record: Option<Arc<OutputRecord>>,
        placed: &Placed,
        cause: Option<Box<Error>>,
    ) -> Done {
        let file = Some(Arc::clone(&unit.file));
        Done {
            wanted,
            file,
            since: record.as_ref().map(|record| record.since),
            record,
            new_file: placed.new_file,
            new_content: placed.new_content,
            cause,
        }
    }
}
