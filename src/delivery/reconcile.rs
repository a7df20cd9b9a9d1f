//! From what should be delivered to a generation in place.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Delivery, Inputs,
    check::{Check, leaves_of},
    desired::Desired,
    generation::{self, Draft, Previous},
    guard::{self, Guard},
    links,
    owners::Owners,
    report::{LOCKED, Report, SecretState, State},
    runtime::Runtime,
    state::{FileRecord, Memory},
    templates::Values,
    work::{Done, UnitDone, Work},
};
use crate::{
    config::Config,
    error::{Error, Result},
    files::{self, Trust},
    identity::Identities,
    repository::{RULES, Repository},
};

/// For those who have read the link and not yet opened what it leads to: the old generation stays so long.
const GRACE: Duration = Duration::from_millis(10);

/// The outcome of all units and templates.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) outputs: Vec<Done>,
    files: BTreeMap<String, FileRecord>,
    notes: Vec<Error>,
}

impl Outcome {
    pub(super) fn add(&mut self, done: UnitDone) {
        self.outputs.extend(done.outputs);
        self.notes.extend(done.notes);
        // A file that was never opened leaves nothing to remember.
        if done.record != FileRecord::default() {
            self.files
                .insert(done.file.as_ref().to_owned(), done.record);
        }
    }
}

impl Delivery {
    /// Brings what is delivered in step with the configuration, the repository and the identities. The runtime
    /// directory and the allowed file systems of `config` must be those that [`Delivery::open`] was given. The
    /// repository is opened anew each time, because deploys replace its directory.
    pub(crate) fn reconcile(&mut self, config: &Config, identities: &Identities) -> Result<Report> {
        // A plugin that failed is tried again, once in each run.
        identities.forget_failures();
        let repository = Repository::open(&config.repository, config.limits)?;
        let inputs = &Inputs {
            config,
            repository: &repository,
            identities,
        };
        let now = SystemTime::now();
        let owners = Mutex::new(Owners::default());
        let known: HashSet<&str> = self
            .memory
            .outputs
            .values()
            .filter_map(|record| record.file.as_deref())
            .collect();
        let mut desired =
            Desired::collect(inputs, &owners, &mut self.seen, |file| known.contains(file))?;
        let mut notes = std::mem::take(&mut desired.notes);
        notes.extend(distrust(&config.repository));

        let leaves = leaves_of(&self.memory);
        let check = Check {
            inputs,
            memory: &self.memory,
            previous: self.previous.as_ref(),
            owners: &owners,
            leaves: &leaves,
        };
        let (mut outcome, draft) = match check.unchanged(&desired) {
            Some(outcome) => (outcome, None),
            None => {
                let draft = Draft::create(&self.runtime)?;
                let outcome = deliver(check, &desired, &draft, seconds(now))?;
                (outcome, Some(draft))
            }
        };
        outcome.notes.extend(notes);
        outcome.notes.extend(guard::notes(inputs, &outcome.files));
        let first = self.previous.is_none();
        Settling {
            runtime: &self.runtime,
            previous: &mut self.previous,
            memory: &mut self.memory,
            first,
            now,
        }
        .settle(inputs, outcome, draft)
    }
}

/// Fills `draft`.
fn deliver(
    check: Check<'_>,
    desired: &Desired<'_>,
    draft: &Draft<'_>,
    now: u64,
) -> Result<Outcome> {
    let on = check.inputs.config.rollback_guard;
    let mut guard = Guard::new(on, check.memory);
    if on {
        // Nothing may be delivered before it is known which files share a data key.
        let work = Work {
            check,
            draft,
            guard: &guard,
            now,
        };
        let found = in_parallel(&desired.units, |unit| Ok(work.data_key_of(unit)))?;
        for (unit, key) in desired.units.iter().zip(found) {
            guard.add(&unit.origin, key.as_deref().unwrap_or_default());
        }
    }
    let work = Work {
        check,
        draft,
        guard: &guard,
        now,
    };
    let mut outcome = Outcome::default();
    for done in in_parallel(&desired.units, |unit| work.process(unit))? {
        outcome.add(done);
    }
    if !desired.templates.is_empty() {
        let values = Arc::new(Values::new(draft.reader()?, &outcome.outputs));
        for template in &desired.templates {
            outcome.outputs.push(work.render(template, &values)?);
        }
    }
    Ok(outcome)
}

/// The end of a reconciliation: what was written is put in place, and remembered.
struct Settling<'d> {
    runtime: &'d Runtime,
    previous: &'d mut Option<Previous>,
    memory: &'d mut Memory,
    /// Whether nothing was in place before.
    first: bool,
    now: SystemTime,
}

impl Settling<'_> {
    fn settle(
        mut self,
        inputs: &Inputs<'_>,
        mut outcome: Outcome,
        draft: Option<Draft<'_>>,
    ) -> Result<Report> {
        for done in &mut outcome.outputs {
            let (Some(link), Some(_)) = (&done.wanted.link, &done.record) else {
                continue;
            };
            let target = self.runtime.link.join(&*done.wanted.location);
            if let Err(error) = links::check(link, &target, &self.runtime.base) {
                done.cause.get_or_insert(Box::new(error));
                // One that was made before stays with its last good value.
                let before = self.memory.outputs.get(&done.wanted.location);
                if before.is_none_or(|before| before.link != done.wanted.link) {
                    done.wanted.link = None;
                }
            }
        }
        let memory = self.remember(&mut outcome);
        let draft = draft.filter(|_| self.is_new(&outcome));
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
    fn is_new(&self, outcome: &Outcome) -> bool {
        let written = outcome.outputs.iter().filter(|done| done.record.is_some());
        if self.previous.is_none() {
            // Where everything failed there is nothing to put in place.
            return written.count() > 0 || outcome.outputs.is_empty();
        }
        let locations: BTreeSet<&str> =
            written.clone().map(|done| &*done.wanted.location).collect();
        written.clone().any(|done| done.new_file)
            || !self
                .memory
                .outputs
                .keys()
                .map(|location| &**location)
                .eq(locations)
    }

    /// What to remember of this reconciliation.
    fn remember(&self, outcome: &mut Outcome) -> Memory {
        let mut memory = self.memory.successor();
        // Of files that are gone the age and key stay known: they may come back as something else.
        for (file, record) in &self.memory.files {
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
        for done in &outcome.outputs {
            if let Some(record) = &done.record {
                let mut record = record.clone();
                record.link.clone_from(&done.wanted.link);
                memory
                    .outputs
                    .insert(Arc::clone(&done.wanted.location), record);
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
        }
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
            }
            // Somebody removed the link, or the first switch was interrupted.
            if self.runtime.current() != Some(previous.number) {
                self.runtime.switch_to(previous.number)?;
            }
            return Ok(());
        };
        let number = generation::numbers(self.runtime)?
            .last()
            .map_or(1, |last| last.saturating_add(1));
        self.memory.write(self.runtime, number)?;
        let committed = draft.commit(number)?;
        if let Err(error) = self.runtime.switch_to(number) {
            // The next start would remove it too.
            let _ = generation::remove(self.runtime, number);
            return Err(error);
        }
        *self.previous = Some(committed);
        Ok(())
    }

    fn make_links(&self, outcome: &mut Outcome, old: &Memory) {
        let mut wanted: HashSet<PathBuf> = HashSet::new();
        for done in &mut outcome.outputs {
            let (Some(link), Some(_)) = (&done.wanted.link, &done.record) else {
                continue;
            };
            wanted.insert(link.clone());
            let target = self.runtime.link.join(&*done.wanted.location);
            if let Err(error) = links::make(link, &target, &self.runtime.base) {
                done.cause.get_or_insert(Box::new(error));
            }
        }
        for (location, record) in &old.outputs {
            let Some(link) = record.link.as_ref().filter(|link| !wanted.contains(*link)) else {
                continue;
            };
            if let Err(error) = links::remove(link, &self.runtime.link.join(&**location)) {
                outcome.notes.push(error);
            }
        }
    }

    /// Removes generations that are not kept, and from the kept ones what is no longer delivered.
    fn prune(&self, keep: usize, current: u64) -> Result<()> {
        let mut numbers = generation::numbers(self.runtime)?;
        numbers.retain(|number| *number != current);
        let spare = numbers.len().saturating_sub(keep.saturating_sub(1));
        let (spare, kept) = numbers.split_at_checked(spare).unwrap_or_default();
        // By what is wanted now, not by what has just gone: an earlier run may have been killed before it came to this.
        let outputs = &self.memory.outputs;
        let is_wanted = |location: &str| outputs.contains_key(location);
        let mut results: Vec<Result<()>> = kept
            .iter()
            .map(|number| generation::retain(self.runtime, *number, &is_wanted))
            .collect();
        if !spare.is_empty() {
            std::thread::sleep(GRACE);
        }
        results.extend(
            spare
                .iter()
                .map(|number| generation::remove(self.runtime, *number)),
        );
        results.push(Memory::prune(self.runtime, |number| {
            number == current || kept.contains(&number)
        }));
        // What cannot be removed keeps nothing else from being removed.
        results.into_iter().collect()
    }

    fn report(&self, outcome: Outcome, old: &Memory, generation: u64) -> Report {
        let mut report = Report {
            generation,
            first: self.first,
            notes: outcome.notes,
            ..Report::default()
        };
        let names: HashSet<&str> = outcome
            .outputs
            .iter()
            .map(|done| &*done.wanted.name)
            .collect();
        let gone = old
            .outputs
            .values()
            .filter(|record| !names.contains(&*record.name));
        report.removed = gone.map(|record| record.name.as_ref().to_owned()).collect();
        for done in outcome.outputs {
            let Done {
                wanted,
                file,
                record,
                new_content,
                cause,
                ..
            } = done;
            if new_content {
                report.changed.push(wanted.name.as_ref().to_owned());
            }
            report.locked |= cause.as_ref().is_some_and(|cause| cause.code == LOCKED);
            let (state, since) = match cause {
                Some(cause) => {
                    let since = self
                        .memory
                        .degraded
                        .get(&*wanted.name)
                        .copied()
                        .unwrap_or(seconds(self.now));
                    (State::degraded(cause, record.is_some()), since)
                }
                None => (
                    State::Delivered,
                    record.map_or(seconds(self.now), |record| record.since),
                ),
            };
            let path = wanted
                .link
                .unwrap_or_else(|| self.runtime.link.join(&*wanted.location));
            let since = UNIX_EPOCH + Duration::from_secs(since);
            let on_change = wanted.on_change;
            report.secrets.push(SecretState {
                name: wanted.name,
                path,
                file,
                state,
                since,
                on_change,
            });
        }
        report.changed.sort();
        report.removed.sort();
        report
            .secrets
            .sort_by(|one, other| one.name.cmp(&other.name));
        report
    }
}

/// A repository that others can write to is delivered, as one that somebody pulls is; but it is said who its authors are.
fn distrust(repository: &Path) -> Option<Error> {
    let rules = repository.join(RULES);
    // The rules are the file that matters most; where there are none, the directory stands for all.
    let judged = files::trust(&rules).or_else(|_| files::trust(repository));
    let Ok(Trust::Untrusted(reason)) = judged else {
        return None;
    };
    let message = format!("others can replace any secret of the repository: {reason}");
    Some(
        Error::new("untrusted", message)
            .with_file(repository)
            .with_hint("let it and every directory above belong to root or to secretsd's user, and take write permission from all others"),
    )
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Runs `task` on every item, on as many threads as there are cores; the results come in the order of the items. The
/// first error ends it.
fn in_parallel<I: Sync, T: Send>(
    items: &[I],
    task: impl Fn(&I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(items.len());
    if threads <= 1 {
        return items.iter().map(task).collect();
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<(usize, Result<T>)>> = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        let mut own = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { break };
            let result = task(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            own.push((number, result));
        }
        results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut own);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
