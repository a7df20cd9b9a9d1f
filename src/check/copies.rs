//! Files and values that were copied, which shows without any key.
//!
//! Each wrapping of a data key and each encryption of a value has randomness of its own. So an equal text in two files
//! was not made twice but copied: a data key, and whoever can open one file can open the other; a value, and it opens
//! in the other file only if the whole file was the source (its key and its path are part of the encryption).

use std::{
    collections::{HashMap, HashSet, hash_map::Entry as MapEntry},
    hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState},
    path::Path,
};

use policy::rules::Severity;

use super::{Finding, view::Reader};
use crate::{
    error::Position,
    escape,
    limits::Limits,
    sops::{document::Document, format::Format, metadata::Entry},
};

const CODE: &str = "duplicate-data-key";

/// What of a file would show in a copy of it, as hashes.
#[derive(Default)]
pub(super) struct Traces {
    wraps: Vec<u64>,
    values: Vec<u64>,
}

/// Makes [`Traces`]; only those of one maker compare.
#[derive(Default)]
pub(super) struct Tracer(RandomState);

impl Tracer {
    pub(super) fn traces(&self, document: &Document) -> Traces {
        let mut traces = Traces::default();
        for entry in document.metadata().entries() {
            // An empty one wraps nothing: the file was damaged or made by hand.
            if let Entry::Age { enc, .. } = entry
                && !enc.trim().is_empty()
            {
                traces.wraps.push(self.0.hash_one(enc.trim().as_bytes()));
            }
        }
        // A broken document is told elsewhere.
        let _ = document.ciphertexts(&mut |text, _, _| traces.values.push(self.0.hash_one(text)));
        traces
    }

    /// Where the value stands: its position and the keys that lead to it.
    fn find(&self, reader: &Reader<'_>, file: &Path, value: u64) -> Option<(Position, String)> {
        let content = reader.read(file).ok()?;
        let document =
            Document::parse(content, Format::from_path(file), &Limits::default()).ok()?;
        let mut found = None;
        let looked = document.ciphertexts(&mut |text, path, offset| {
            if found.is_none() && self.0.hash_one(text) == value {
                found = Some((
                    document.position(offset),
                    path.trim_end_matches(':').replace(':', "."),
                ));
            }
        });
        looked.ok().and(found)
    }
}

/// Finds files that are copies of others, in whole or in part.
#[derive(Default)]
pub(super) struct Copies<'f> {
    wraps: First<'f>,
    values: First<'f>,
    /// Pairs of files, so that each is told once, the earlier one first.
    of_files: Vec<(&'f Path, &'f Path)>,
    of_values: Vec<(&'f Path, &'f Path, u64)>,
}

impl<'f> Copies<'f> {
    /// With room for all of these: there may be very many, and growing means moving and wiping them all.
    pub(super) fn with_room_for<'t>(traces: impl Iterator<Item = &'t Traces>) -> Self {
        let count = |(wraps, values), traces: &Traces| {
            (wraps + traces.wraps.len(), values + traces.values.len())
        };
        let (wraps, values) = traces.fold((0, 0), count);
        let mut copies = Self::default();
        copies.wraps.reserve(wraps);
        copies.values.reserve(values);
        copies
    }

    pub(super) fn add(&mut self, file: &'f Path, traces: &Traces) {
        for wrap in &traces.wraps {
            if let Some(first) = first(&mut self.wraps, *wrap, file) {
                self.of_files.push((first, file));
            }
        }
        for value in &traces.values {
            if let Some(first) = first(&mut self.values, *value, file) {
                self.of_values.push((first, file, *value));
            }
        }
    }

    /// The findings, one for each pair of files of which one is told about.
    pub(super) fn findings(
        self,
        tracer: &Tracer,
        reader: &Reader<'_>,
        tells: &dyn Fn(&Path) -> bool,
    ) -> Vec<Finding> {
        let mut told: HashSet<(&Path, &Path)> = HashSet::new();
        let mut findings = Vec::new();
        let other_way = |(first, second): (&'f Path, &'f Path)| match tells(second) {
            true => (second, first),
            false => (first, second),
        };
        for pair in self.of_files {
            if told.insert(pair) {
                let (file, other) = other_way(pair);
                let message = format!(
                    "the file has the data key of {}: whoever can open one can open the other",
                    escape::path(other)
                );
                let hint = "give it a data key of its own: sops rotate --in-place";
                findings.push(Finding::new(CODE, Severity::Warning, file, message, hint));
            }
        }
        for (first, second, value) in self.of_values {
            if told.contains(&(first, second)) || !(tells(first) || tells(second)) {
                continue;
            }
            let (file, other) = other_way((first, second));
            let here = tracer.find(reader, file, value);
            let there = tracer.find(reader, other, value);
            let (Some((position, key)), Some((line, _))) = (here, there) else {
                continue; // changed since; perhaps another value did not
            };
            told.insert((first, second));
            let message = format!(
                "the encrypted value of {} is that of {}, line {}: it was copied as text, which does not open here",
                escape::text(&key),
                escape::path(other),
                line.line
            );
            let hint = "set the value itself: sops set, or sops edit";
            let finding = Finding::new(CODE, Severity::Warning, file, message, hint);
            findings.push(finding.at(position));
        }
        findings
    }
}

/// The first file with each trace.
type First<'f> = HashMap<u64, &'f Path, BuildHasherDefault<AsItIs>>;

/// Traces are hashes already, with a key that nobody knows.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The first file with this trace, if it is another one.
fn first<'f>(traces: &mut First<'f>, trace: u64, file: &'f Path) -> Option<&'f Path> {
    match traces.entry(trace) {
        MapEntry::Occupied(first) => Some(*first.get()).filter(|first| *first != file),
        MapEntry::Vacant(free) => {
            free.insert(file);
            None
        }
    }
}
