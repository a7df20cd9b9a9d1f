//! The end of a reconciliation: what was written is put in place, remembered and reported.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Inputs,
    back::REJECTED,
    delta,
    draft::Draft,
    generation::Previous,
    links,
    reconcile::{Outcome, seconds},
    removal,
    report::{Report, SecretState, State},
    runtime::Runtime,
    state::{FileRecord, Memory},
    work::Done,
};
use crate::error::Result;

/// For those who have read the link and not yet opened what it leads to: the old generation stays so long.
pub(super) const GRACE: Duration = Duration::from_millis(10);

/// The end of a reconciliation: what was written is put in place, and remembered.
pub(super) struct Settling<'d> {
    pub(super) runtime: &'d Runtime,
    pub(super) previous: &'d mut Option<Previous>,
    pub(super) memory: &'d mut Memory,
    /// See [`Delivery`](super::Delivery).
    pub(super) base: &'d mut Option<u64>,
    /// Whether nothing was in place before.
    pub(super) first: bool,
    pub(super) now: SystemTime,
}

impl Settling<'_> {
    pub(super) fn settle(
        mut self,
        inputs: &Inputs<'_>,
        mut outcome: Outcome,
        draft: Option<Draft<'_>>,
    ) -> Result<Report> {
        for done in outcome.outputs_mut() {
            let (Some(link), Some(_)) = (&done.wanted.link, done.since) else {
                continue;
            };
            let target = self.runtime.link.join(&*done.wanted.location);
            if let Err(error) = links::check(link, &target, &self.runtime.base) {
                done.cause.get_or_insert(Box::new(error));
                // One that was made before stays with its last good value.
                let before = self.memory.outputs.get(&done.wanted.location);
                if before.is_none_or(|before| before.link.as_deref() != done.wanted.link.as_deref())
                {
                    done.wanted.link = None;
                }
            }
        }
        let mut memory = self.remember(&mut outcome);
        memory.is_early = inputs.config.is_early;
        let draft = draft.filter(|_| self.is_new(&outcome, &memory));
        let old = std::mem::replace(self.memory, memory);
        if let Err(error) = self.put_in_place(draft, &old) {
            *self.memory = old;
            return Err(error);
        }
        let current = self.previous.as_ref().map_or(0, |previous| previous.number);
        self.make_links(&mut outcome, &old);
        if let Err(error) = self.prune(inputs.config.keep_generations, current) {
            outcome.notes.push(error);
        }
        Ok(self.report(outcome, &old, current))
    }

    /// Whether what was written is another generation than the one in place.
    fn is_new(&self, outcome: &Outcome, memory: &Memory) -> bool {
        let mut written = outcome.outputs().filter(|done| done.since.is_some());
        if self.previous.is_none() {
            // Where everything failed there is nothing to put in place.
            return written.next().is_some() || outcome.outputs().next().is_none();
        }
        written.any(|done| done.new_file) || !self.memory.outputs.keys().eq(memory.outputs.keys())
    }

    /// What to remember of this reconciliation.
    fn remember(&self, outcome: &mut Outcome) -> Memory {
        let mut memory = self.memory.successor();
        // Of files that are gone the age and key stay known: they may come back as something else.
        let gone = self.memory.files.iter();
        for (file, record) in gone.filter(|(file, _)| !outcome.files.contains_key(*file)) {
            memory.files.insert(
                file.clone(),
                FileRecord {
                    digest: String::new(),
                    complete: false,
                    ..record.clone()
                },
            );
        }
        memory.files.append(&mut outcome.files);
        let mut outputs = Vec::with_capacity(outcome.outputs().count());
        for done in outcome.outputs_mut() {
            if let Some(mut record) = done.record.take() {
                let link = done.wanted.link.as_deref();
                if record.link.as_deref() != link {
                    Arc::make_mut(&mut record).link = link.map(Into::into);
                }
                outputs.push((Arc::clone(&done.wanted.location), record));
            }
            if done.cause.is_some() {
                let since = self
                    .memory
                    .degraded
                    .get(&*done.wanted.name)
                    .copied()
                    .unwrap_or(seconds(self.now));
                memory
                    .degraded
                    .insert(done.wanted.name.as_ref().to_owned(), since);
            }
            // While its file stays as it is.
            if done
                .cause
                .as_ref()
                .is_some_and(|cause| cause.code == REJECTED)
            {
                let name: &str = &done.wanted.name;
                let rejected = self.memory.rejected.get_key_value(name);
                memory
                    .rejected
                    .extend(rejected.map(|(name, digest)| (name.clone(), digest.clone())));
            }
        }
        // All at once: made one by one it would take twice the memory.
        memory.outputs = outputs.into_iter().collect();
        memory
    }

    /// Writes what is remembered and switches to the new generation, if there is one.
    fn put_in_place(&mut self, draft: Option<Draft<'_>>, old: &Memory) -> Result<()> {
        let Some(draft) = draft else {
            let Some(previous) = &self.previous else {
                return Ok(());
            };
            if self.memory != old {
                self.memory.write(self.runtime, previous.number)?;
                *self.base = None;
            }
            // Somebody removed the link, or the first switch was interrupted.
            if self.runtime.current() != Some(previous.number) {
                self.runtime.switch_to(previous.number)?;
            }
            return Ok(());
        };
        let number = removal::numbers(self.runtime)?
            .last()
            .map_or(1, |last| last.saturating_add(1));
        let base = self.remember_as(number, draft.is_begun(), old)?;
        let committed = draft.commit(number).and_then(|committed| {
            self.runtime.switch_to(number)?;
            Ok(committed)
        });
        if committed.is_err() {
            // The next start would remove it too; the next switch takes the same number.
            let _ = removal::remove(self.runtime, number);
            let _ = Memory::remove(self.runtime, number);
        }
        *self.previous = Some(committed?);
        *self.base = base;
        Ok(())
    }

    /// Writes what is remembered of generation `number`, and answers which one it is the difference to. A draft that was
    /// begun holds a small change, and its readers wait.
    fn remember_as(&self, number: u64, is_begun: bool, old: &Memory) -> Result<Option<u64>> {
        match self
            .previous
            .as_ref()
            .filter(|_| is_begun && self.base.is_none())
        {
            Some(Previous { number: base, .. }) => {
                delta::write(self.runtime, number, self.memory, old, *base)?;
                Ok(Some(*base))
            }
            None => {
                self.memory.write(self.runtime, number)?;
                Ok(None)
            }
        }
    }

    fn make_links(&self, outcome: &mut Outcome, old: &Memory) {
        let mut wanted: HashSet<PathBuf> = HashSet::new();
        for done in outcome.outputs_mut() {
            let (Some(link), Some(_)) = (&done.wanted.link, done.since) else {
                continue;
            };
            wanted.insert(link.clone());
            let target = self.runtime.link.join(&*done.wanted.location);
            if let Err(error) = links::make(link, &target, &self.runtime.base) {
                done.cause.get_or_insert(Box::new(error));
            }
        }
        for (location, record) in &old.outputs {
            let Some(link) = record
                .link
                .as_ref()
                .filter(|link| !wanted.contains(&***link))
            else {
                continue;
            };
            if let Err(error) = links::remove(link, &self.runtime.link.join(&**location)) {
                outcome.notes.push(error);
            }
        }
    }

    /// Removes generations that are not kept, and from the kept ones what is no longer delivered.
    fn prune(&self, keep: usize, current: u64) -> Result<()> {
        let mut numbers = removal::numbers(self.runtime)?;
        numbers.retain(|number| *number != current);
        let spare = numbers.len().saturating_sub(keep.saturating_sub(1));
        let (spare, kept) = numbers.split_at_checked(spare).unwrap_or_default();
        // By what is wanted now, not by what has just gone: an earlier run may have been killed before it came to this.
        let outputs = &self.memory.outputs;
        let is_wanted = |location: &str| outputs.contains_key(location);
        let mut results: Vec<Result<()>> = kept
            .iter()
            .map(|number| removal::retain(self.runtime, *number, &is_wanted))
            .collect();
        if !spare.is_empty() {
            std::thread::sleep(GRACE);
        }
        results.extend(
            spare
                .iter()
                .map(|number| removal::remove(self.runtime, *number)),
        );
        results.push(Memory::prune(self.runtime, |number| {
            number == current || Some(number) == *self.base || kept.contains(&number)
        }));
        // What cannot be removed keeps nothing else from being removed.
        results.into_iter().collect()
    }

    /// Whether owner, group or mode is another than before.
    fn is_given_away(&self, location: &str, old: &Memory) -> bool {
        let attributes = |memory: &Memory| {
            let record = memory.outputs.get(location);
            record.map(|record| record.attributes())
        };
        attributes(self.memory) != attributes(old)
    }

    fn report(&self, mut outcome: Outcome, old: &Memory, generation: u64) -> Report {
        let mut report = Report {
            generation,
            first: self.first,
            notes: std::mem::take(&mut outcome.notes),
            secrets: Vec::with_capacity(outcome.outputs().count()),
            ..Report::default()
        };
        if !old.outputs.is_empty() {
            let names: HashSet<&str> = outcome.outputs().map(|done| &*done.wanted.name).collect();
            let gone = old.outputs.values().map(|record| &record.name);
            let gone = gone.filter(|name| !names.contains(&***name));
            report.removed = gone.cloned().collect();
        }
        for done in outcome.into_outputs() {
            let Done {
                wanted,
                file,
                since: in_place,
                new_file,
                new_content,
                cause,
                ..
            } = done;
            if new_content {
                report.changed.push(Arc::clone(&wanted.name));
            } else if new_file && self.is_given_away(&wanted.location, old) {
                report.given_away.push(Arc::clone(&wanted.name));
            }
            let (state, since) = match cause {
                Some(cause) => {
                    let since = self
                        .memory
                        .degraded
                        .get(&*wanted.name)
                        .copied()
                        .unwrap_or(seconds(self.now));
                    (State::degraded(cause, in_place.is_some()), since)
                }
                None => (State::Delivered, in_place.unwrap_or(seconds(self.now))),
            };
            let since = UNIX_EPOCH + Duration::from_secs(since);
            report.secrets.push(SecretState {
                name: wanted.name,
                location: wanted.location,
                link: wanted.link,
                file,
                state,
                since,
                on_change: wanted.on_change,
                restart_units: wanted.restart_units,
                reload_units: wanted.reload_units,
                rollback: wanted.rollback,
            });
        }
        report.changed.sort();
        report.given_away.sort();
        report.removed.sort();
        report
            .secrets
            .sort_by(|one, other| one.name.cmp(&other.name));
        report
    }
}
