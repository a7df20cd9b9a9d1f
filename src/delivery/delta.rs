//! What is remembered of a generation, written as the difference to that of another one, so that remembering a change
//! costs what the change costs. It counts until the whole is written, which nobody waits for.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    runtime::Runtime,
    state::{FileRecord, Memory, OutputRecord, VERSION, read_json, write_json},
};
use crate::error::Result;

pub(super) const PREFIX: &str = ".delta-";

/// A record that is absent is one that is gone.
#[derive(Deserialize, Serialize)]
struct Delta<F, O> {
    version: u32,
    /// The generation that this is the difference to.
    base: u64,
    files: BTreeMap<String, Option<F>>,
    outputs: BTreeMap<Arc<str>, Option<O>>,
    degraded: BTreeMap<String, u64>,
    #[serde(default)]
    rejected: BTreeMap<String, String>,
}

/// Remembers `new` of generation `number`, given that `old` is remembered in full of generation `base`.
pub(super) fn write(
    runtime: &Runtime,
    number: u64,
    new: &Memory,
    old: &Memory,
    base: u64,
) -> Result<()> {
    let delta = Delta {
        version: VERSION,
        base,
        files: difference(&old.files, &new.files),
        outputs: difference(&old.outputs, &new.outputs),
        degraded: new.degraded.clone(),
        rejected: new.rejected.clone(),
    };
    // A switch to this number may have failed before; what it left in full would be preferred.
    Memory::remove(runtime, number)?;
    write_json(runtime, &format!("{PREFIX}{number}"), &delta)
}

/// What is remembered of generation `number` as a difference, and which one it is the difference to.
pub(super) fn read(runtime: &Runtime, number: u64) -> Option<(Memory, u64)> {
    let delta: Delta<FileRecord, Arc<OutputRecord>> =
        read_json(runtime, &format!("{PREFIX}{number}"))?;
    if delta.version != VERSION {
        return None;
    }
    let mut memory = Memory::read_full(runtime, delta.base)?;
    apply(&mut memory.files, delta.files);
    apply(&mut memory.outputs, delta.outputs);
    memory.degraded = delta.degraded;
    memory.rejected = delta.rejected;
    // It was written by a daemon, which delivers everything.
    memory.is_early = false;
    Some((memory, delta.base))
}

fn difference<'m, K: Clone + Ord, V: PartialEq>(
    old: &BTreeMap<K, V>,
    new: &'m BTreeMap<K, V>,
) -> BTreeMap<K, Option<&'m V>> {
    let mut changed = BTreeMap::new();
    let mut before = old.iter().peekable();
    for (key, value) in new {
        // Both are in order: what comes before `key` in the old one only is gone.
        while let Some((gone, _)) = before.next_if(|(other, _)| *other < key) {
            changed.insert(gone.clone(), None);
        }
        let same = before.next_if(|(other, _)| *other == key);
        if same.is_none_or(|(_, old)| old != value) {
            changed.insert(key.clone(), Some(value));
        }
    }
    changed.extend(before.map(|(gone, _)| (gone.clone(), None)));
    changed
}

fn apply<K: Ord, V>(memory: &mut BTreeMap<K, V>, changed: BTreeMap<K, Option<V>>) {
    for (key, value) in changed {
        match value {
            Some(value) => memory.insert(key, value),
            None => memory.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_what_makes_them_equal() {
        let maps = [
            "",
            "a1",
            "a1 b1",
            "a2 b1",
            "b1",
            "b1 c1",
            "a1 c1",
            "a1 b2 c3 d4",
            "c1 d4",
        ];
        let map = |text: &str| -> BTreeMap<String, String> {
            text.split_whitespace()
                .map(|pair| (pair[..1].to_owned(), pair[1..].to_owned()))
                .collect()
        };
        for old in maps.map(map) {
            for new in maps.map(map) {
                let changed = difference(&old, &new);
                let changed = changed
                    .into_iter()
                    .map(|(key, value)| (key, value.cloned()))
                    .collect();
                let mut applied = old.clone();
                apply(&mut applied, changed);
                assert_eq!(applied, new);
                assert_eq!(difference(&old, &new).is_empty(), old == new);
            }
        }
    }
}
