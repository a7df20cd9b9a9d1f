//! From what should be delivered to a generation in place.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Delivery, Inputs,
    check::{Check, leaves_of},
    desired::Desired,
    draft::Draft,
    guard::{self, Guard},
    history::History,
    owners::Owners,
    parallel::in_parallel,
    report::Report,
    settle::Settling,
    state::FileRecord,
    templates::Values,
    work::{Done, UnitDone, Work},
};
use crate::{
    config::{Config, Deliver},
    error::{Error, Result},
    files::{self, Trust},
    identity::Identities,
    repository::{RULES, Repository},
};

/// The outcome of all units and templates.
#[derive(Default)]
pub(super) struct Outcome {
    /// By file of the repository, and templates; not as one list, which would be the largest piece of memory of all.
    outputs: Vec<Vec<Done>>,
    pub(super) files: BTreeMap<String, FileRecord>,
    pub(super) notes: Vec<Error>,
}

impl Outcome {
    pub(super) fn outputs(&self) -> impl Iterator<Item = &Done> {
        self.outputs.iter().flatten()
    }

    pub(super) fn outputs_mut(&mut self) -> impl Iterator<Item = &mut Done> {
        self.outputs.iter_mut().flatten()
    }

    pub(super) fn into_outputs(self) -> impl Iterator<Item = Done> {
        self.outputs.into_iter().flatten()
    }

    /// Adds what belongs to no file of the repository.
    pub(super) fn push(&mut self, done: Done) {
        self.outputs.push(vec![done]);
    }

    pub(super) fn add(&mut self, done: UnitDone) {
        self.outputs.push(done.outputs);
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
        if config.deliver == Deliver::ByRules {
            // Which files are ours depends on what the cards hold.
            identities.look_at_unknown_cards();
        }
        let repository = Repository::open(&config.repository, config.limits)?;
        let inputs = &Inputs {
            config,
            repository: &repository,
            identities,
        };
        let forgotten = self.recall(config);
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
        notes.extend(forgotten);

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
                let draft = match (self.spare.take(), &self.previous) {
                    (Some(spare), Some(previous)) if spare.of == previous.number => {
                        Draft::resume(&self.runtime, spare, check.stale(&desired).into_iter())?
                    }
                    _ => Draft::create(&self.runtime)?,
                };
                let outcome = deliver(check, &desired, &draft, seconds(now))?;
                (outcome, Some(draft))
            }
        };
        outcome.notes.extend(notes);
        outcome.notes.extend(guard::notes(inputs, &outcome.files));
        // What was delivered before users were made was nobody's yet.
        let first = self.previous.is_none() || (self.memory.is_early && !config.is_early);
        let mut report = Settling {
            runtime: &self.runtime,
            previous: &mut self.previous,
            memory: &mut self.memory,
            base: &mut self.base,
            first,
            now,
        }
        .settle(inputs, outcome, draft)?;
        if let Some(history) = self.history.as_mut().filter(|_| config.rollback_guard) {
            report.notes.extend(history.record(&self.memory).err());
        }
        Ok(report)
    }

    /// With the guard on, what is known from before the last reboot counts; the error is why it does not.
    fn recall(&mut self, config: &Config) -> Option<Error> {
        let is_known = |history: &History| history.is_of(&config.repository);
        if !config.rollback_guard || self.history.as_ref().is_some_and(is_known) {
            return None;
        }
        let (history, problem) = History::read(&config.repository);
        history.recall(&mut self.memory);
        self.history = Some(history);
        problem
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
        let values = Arc::new(Values::new(draft.reader()?, outcome.outputs()));
        for template in &desired.templates {
            let done = work.render(template, &values)?;
            outcome.push(done);
        }
    }
    Ok(outcome)
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

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
