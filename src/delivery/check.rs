//! Whether anything has changed since the last generation, told without opening a file.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::{
    Inputs,
    desired::{ByRules, Desired, Unit, Wanted, of_location, source_of},
    generation::Previous,
    owners::Owners,
    reconcile::Outcome,
    state::{Memory, OutputRecord},
    work::{Done, UnitDone},
};
use crate::error::Error;

/// What is there to compare with.
#[derive(Clone, Copy)]
pub(super) struct Check<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) memory: &'a Memory,
    pub(super) previous: Option<&'a Previous>,
    pub(super) owners: &'a Mutex<Owners>,
    /// What was delivered by rules, by the file it came from.
    pub(super) leaves: &'a LeavesOf<'a>,
}

/// Delivered paths and what is remembered of them, by the path of their file in the repository.
pub(super) type LeavesOf<'a> = HashMap<&'a str, Vec<(&'a Arc<str>, &'a Arc<OutputRecord>)>>;

/// Sorts what is remembered by files.
pub(super) fn leaves_of(memory: &Memory) -> LeavesOf<'_> {
    let mut leaves = LeavesOf::new();
    for (location, record) in memory.outputs.iter().filter(|(_, record)| record.by_rules) {
        if let Some(file) = &record.file {
            leaves.entry(file).or_default().push((location, record));
        }
    }
    leaves
}

impl Check<'_> {
    /// The outcome, where everything is as it was.
    pub(super) fn unchanged(&self, desired: &Desired<'_>) -> Option<Outcome> {
        self.previous?;
        // What is only compared comes before what costs a system call for each file.
        let clean = self.memory.degraded.is_empty()
            && desired.units.iter().all(|unit| self.is_same(unit))
            && desired.units.iter().all(|unit| self.is_intact(unit))
            && desired
                .templates
                .iter()
                .all(|template| self.is_template_clean(template));
        if !clean {
            return None;
        }
        let mut outcome = Outcome::default();
        for unit in &desired.units {
            let mut done = self.unit_done(unit);
            for wanted in self.wanted_of(unit) {
                let output = self.as_it_is(wanted, Some(Arc::clone(&unit.file)))?;
                done.outputs.push(output);
            }
            outcome.add(done);
        }
        for template in &desired.templates {
            outcome.push(self.as_it_is(template.wanted.clone(), None)?);
        }
        (outcome.outputs().count() == self.memory.outputs.len()).then_some(outcome)
    }

    /// Delivered paths whose content may be another one now: those of files that are not as they were, or not there, and
    /// of all templates.
    pub(super) fn stale(&self, desired: &Desired<'_>) -> Vec<&str> {
        let mut same: HashMap<&str, bool> = HashMap::new();
        for unit in &desired.units {
            let is_same = self.is_same(unit);
            let of_file = same.entry(&unit.file).or_insert(true);
            *of_file = *of_file && is_same;
        }
        let is_stale = |record: &OutputRecord| {
            let file = record.file.as_deref();
            !file.is_some_and(|file| same.get(file).is_some_and(|same| *same))
        };
        let outputs = self.memory.outputs.iter();
        outputs
            .filter(|(_, record)| is_stale(record))
            .map(|(location, _)| &**location)
            .collect()
    }

    fn as_it_is(&self, wanted: Wanted, file: Option<Arc<str>>) -> Option<Done> {
        let record = self.memory.outputs.get(&wanted.location)?;
        let same = wanted
            .attributes
            .as_ref()
            .is_ok_and(|attributes| *attributes == record.attributes());
        same.then(|| Done {
            wanted,
            file,
            since: Some(record.since),
            record: Some(Arc::clone(record)),
            new_file: false,
            new_content: false,
            cause: None,
        })
    }

    /// The named secrets of a unit, and the leaves that it had.
    pub(super) fn wanted_of(&self, unit: &Unit) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = unit
            .named
            .iter()
            .map(|named| named.wanted.clone())
            .collect();
        wanted.extend(
            self.delivered_by_rules(unit)
                .map(|(location, _)| self.at(Arc::clone(location))),
        );
        wanted
    }

    /// Whether nothing that decides the content has changed since the last generation.
    pub(super) fn is_same(&self, unit: &Unit) -> bool {
        let (Some(record), Ok(digest)) = (self.memory.files.get(&*unit.file), &unit.digest) else {
            return false;
        };
        let same = record.complete
            && record.digest == *digest
            && record.layout == ByRules::describe(unit.by_rules.as_ref());
        same && unit.named.iter().all(|named| {
            let source = source_of(digest, unit.format, &named.key);
            self.memory
                .outputs
                .get(&named.wanted.location)
                .is_some_and(|record| {
                    record.source.as_deref() == Some(&*source) && record.name == named.wanted.name
                })
        })
    }

    /// Whether everything of a unit is in the last generation as it was written there.
    fn is_intact(&self, unit: &Unit) -> bool {
        let Some(previous) = self.previous else {
            return false;
        };
        let is_there = |location: &str, record: &OutputRecord| {
            previous.has(location, &record.fingerprint(), &record.attributes())
        };
        let named = unit.named.iter().all(|named| {
            let location = &named.wanted.location;
            let record = self.memory.outputs.get(location);
            record.is_some_and(|record| is_there(location, record))
        });
        named
            && self
                .delivered_by_rules(unit)
                .all(|(location, record)| is_there(location, record))
    }

    /// What this file's delivery by rules consisted of.
    fn delivered_by_rules(
        &self,
        unit: &Unit,
    ) -> impl Iterator<Item = (&Arc<str>, &Arc<OutputRecord>)> {
        let leaves = self
            .leaves
            .get(&*unit.file)
            .filter(|_| unit.by_rules.is_some());
        leaves.into_iter().flatten().copied()
    }

    /// A unit of which nothing is known but what is remembered.
    pub(super) fn unit_done(&self, unit: &Unit) -> UnitDone {
        let record = self
            .memory
            .files
            .get(&*unit.file)
            .cloned()
            .unwrap_or_default();
        let notes = record
            .left_out
            .iter()
            .map(|reason| left_out(self.inputs, &unit.file, reason))
            .collect();
        UnitDone {
            file: Arc::clone(&unit.file),
            outputs: Vec::new(),
            record,
            notes,
        }
    }

    pub(super) fn at(&self, location: Arc<str>) -> Wanted {
        of_location(location, self.inputs.config, self.owners)
    }
}

pub(super) fn left_out(inputs: &Inputs<'_>, file: &str, reason: &str) -> Error {
    Error::new(
        "left-out",
        format!("the value {reason}, so it is not delivered"),
    )
    .with_file(&inputs.repository.root().join(file))
    .with_hint("rename the key, or use `layout: files`")
}
