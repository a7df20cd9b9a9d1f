//! Old data does not come back unseen. A file carries when it was last modified, bound to its content; its name is not
//! bound to it at all, so that a copy of one file over another passes every check. Both are recognised here by what was
//! delivered before, and are reported always; with `rollback-guard` they are delivered only where a person said so.
//!
//! What was delivered since the memory file system was made is known; with the guard on also, from before, when each file
//! was last modified ([`history`](super::history)). A copy of something from before a reboot is new.

use std::collections::{BTreeMap, HashMap};

use super::{
    Inputs,
    state::{FileRecord, Memory},
};
use crate::{clock::is_earlier, error::Error};

const HINT: &str = "if this is meant, say `accept-old: true` where the secret is configured";

/// The rollback guard during one reconciliation.
pub(super) struct Guard {
    /// Whether it holds back what it finds.
    pub(super) on: bool,
    /// Files by the hash of their data key, as remembered, and with the guard on also as found now.
    owners: HashMap<String, Vec<String>>,
}

impl Guard {
    pub(super) fn new(on: bool, memory: &Memory) -> Self {
        let mut guard = Self {
            on,
            owners: HashMap::new(),
        };
        for record in memory.files.values() {
            guard.add(&record.origin, &record.data_key);
        }
        guard
    }

    /// Adds what is known of a file before anything is delivered.
    pub(super) fn add(&mut self, file: &str, data_key: &str) {
        if data_key.is_empty() {
            return;
        }
        let files = self.owners.entry(data_key.to_owned()).or_default();
        if !files.iter().any(|other| other == file) {
            files.push(file.to_owned());
        }
    }

    /// Why a file is held back, with the guard on.
    pub(super) fn judge(
        &self,
        memory: &Memory,
        file: &str,
        origin: &str,
        lastmodified: &str,
        data_key: &str,
    ) -> Option<Error> {
        if !self.on {
            return None;
        }
        let record = memory.files.get(file);
        if let Some(record) = record.filter(|record| is_earlier(lastmodified, &record.lastmodified))
        {
            return Some(rolled_back(lastmodified, &record.lastmodified).with_hint(HINT));
        }
        // Whoever had the key first is the original.
        let known = record.is_some_and(|record| record.data_key == data_key);
        let mut others = self
            .owners
            .get(data_key)
            .into_iter()
            .flatten()
            .filter(|other| *other != origin);
        others
            .next()
            .filter(|_| !known)
            .map(|other| copied(other).with_hint(HINT))
    }

    /// The newest of what was delivered and what is there now.
    pub(super) fn newest(&self, memory: &Memory, file: &str, lastmodified: &str) -> String {
        match memory.files.get(file) {
            Some(record) if is_earlier(lastmodified, &record.lastmodified) => {
                record.lastmodified.clone()
            }
            _ => lastmodified.to_owned(),
        }
    }
}

/// What is reported of the delivered files, whether the guard is on or not.
pub(super) fn notes(inputs: &Inputs<'_>, files: &BTreeMap<String, FileRecord>) -> Vec<Error> {
    let mut notes = Vec::new();
    let mut by_key: HashMap<&str, &str> = HashMap::new();
    for (file, record) in files {
        let path = inputs.repository.root().join(file);
        if is_earlier(&record.delivered, &record.lastmodified) {
            notes.push(rolled_back(&record.delivered, &record.lastmodified).with_file(&path));
        }
        if record.data_key.is_empty() {
            continue;
        }
        let first = *by_key.entry(&record.data_key).or_insert(&record.origin);
        if first != record.origin {
            notes.push(copied(first).with_file(&path));
        }
    }
    notes
}

fn rolled_back(lastmodified: &str, known: &str) -> Error {
    let message = format!(
        "the file was last modified at {lastmodified}, and one of {known} was delivered before"
    );
    Error::new("rolled-back", message)
}

fn copied(other: &str) -> Error {
    Error::new(
        "copied",
        format!("the file has the data key of {other}: one of them was made by copying"),
    )
}
