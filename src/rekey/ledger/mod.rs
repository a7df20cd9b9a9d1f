//! `.sops-exposed.yaml`: values that a removed recipient could read and that have not changed since. Names only: for each
//! value a digest of its encrypted text, which sops keeps as long as nobody changes the value under the same data key.
//!
//! - here: what is noted, and what becomes of it when its file changes;
//! - [`follow`]: the list beside the files as they are now;
//! - [`text`]: how it is written.

mod follow;
mod text;

pub(super) use text::MOST_BYTES;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    repository::{content_hash, hex},
    sops::{document::Document, metadata::Entry},
};

/// Bytes of a digest that are kept: enough to tell one text from another.
const DIGEST: usize = 16;

/// Digests of encrypted texts by the place of their value, as `["a"]["b"][0]`. A place may stand for several, in a file of
/// several documents.
pub(crate) type Values = BTreeMap<String, BTreeSet<String>>;

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// By path in the repository.
    files: BTreeMap<String, Exposed>,
    /// What somebody has settled by hand.
    done: BTreeSet<Done>,
}

/// Values of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Exposed {
    /// Digests of the wrapped keys when the file was last looked at: where all are others, the data key may be another, too.
    wraps: BTreeSet<String>,
    /// How many elements the lists had then that values stand in.
    lists: BTreeMap<String, usize>,
    /// Who could read what.
    readers: BTreeMap<String, Reader>,
}

/// What one recipient could read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reader {
    /// Since when that is over, in RFC 3339.
    since: String,
    values: Values,
}

/// Values that were settled by hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Done {
    path: String,
    key: String,
    on: String,
    reason: String,
}

/// Values of a file that the same recipients could read until the same time.
pub(crate) struct Open<'l> {
    pub(crate) path: &'l str,
    pub(crate) recipients: Vec<&'l str>,
    pub(crate) since: &'l str,
    pub(crate) keys: Vec<&'l str>,
}

/// What of a file is compared with the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) values: Values,
    /// Digests of the wrapped keys.
    pub(crate) wraps: BTreeSet<String>,
}

impl Texts {
    /// Those of a document.
    pub(crate) fn of(document: &Document) -> Self {
        let mut texts = Self::wraps_of(document);
        for (place, text) in document.encrypted_texts() {
            texts.values.entry(place).or_default().insert(digest(text));
        }
        texts
    }

    /// The wrapped keys alone.
    pub(crate) fn wraps_of(document: &Document) -> Self {
        let wrap = |entry: &Entry| match entry {
            Entry::Age { enc, .. } => Some(digest(enc)),
            Entry::Other { .. } => None,
        };
        Self {
            wraps: document.metadata().entries().filter_map(wrap).collect(),
            values: Values::new(),
        }
    }

    /// How many elements the lists have.
    fn lists(&self) -> BTreeMap<String, usize> {
        let mut lists = BTreeMap::new();
        for place in self.values.keys() {
            let family = family(place);
            if family != *place {
                *lists.entry(family).or_default() += 1;
            }
        }
        lists
    }
}

fn digest(text: &str) -> String {
    let hash = content_hash(text.as_bytes());
    hex(hash.get(..DIGEST).unwrap_or_default())
}

/// The place without the numbers of elements. sops binds a text to this only: an element that moves keeps its text, and
/// equal elements share one.
fn family(place: &str) -> String {
    let parts = place.split_inclusive(']').map(|part| {
        let number = part
            .strip_prefix('[')
            .and_then(|part| part.strip_suffix(']'));
        match number {
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => "[]",
            _ => part,
        }
    });
    parts.collect()
}

impl Exposed {
    /// Brings the list to what the file is now, and takes off what has changed.
    ///
    /// A text that is another is a changed value, unless nothing of the file is as it was: then the file has a new data
    /// key, and nobody can tell. What was open stays open, and is known by its new texts from now on.
    fn follow(&mut self, now: &Texts) {
        let known: BTreeSet<&String> = self
            .readers
            .values()
            .flat_map(|reader| reader.values.values().flatten())
            .collect();
        let is_known = |text: &String| known.contains(text);
        let same_key =
            !self.wraps.is_disjoint(&now.wraps) || now.values.values().flatten().any(is_known);
        let lists = now.lists();
        for reader in self.readers.values_mut() {
            reader.values = match same_key {
                true => unchanged(&reader.values, now),
                false => unknown(&reader.values, now, |list| {
                    self.lists.get(list) == lists.get(list)
                }),
            };
        }
        self.anchor(now);
    }

    /// Takes over the texts of the file after we gave it a new data key, when all that was open is that still.
    fn carry(&mut self, after: &Texts) {
        for reader in self.readers.values_mut() {
            reader
                .values
                .retain(|place, texts| match after.values.get(place) {
                    Some(new) => {
                        texts.clone_from(new);
                        true
                    }
                    None => false,
                });
        }
        self.anchor(after);
    }

    /// Notes what the file was when the values were looked at.
    fn anchor(&mut self, now: &Texts) {
        self.readers.retain(|_, reader| !reader.values.is_empty());
        self.wraps.clone_from(&now.wraps);
        let places = self
            .readers
            .values()
            .flat_map(|reader| reader.values.keys());
        let families: BTreeSet<String> = places.map(|place| family(place)).collect();
        self.lists = now.lists();
        self.lists.retain(|list, _| families.contains(list));
    }

    /// Adds what is noted of a copy of the file.
    fn join(&mut self, other: Self) {
        self.wraps.extend(other.wraps);
        self.lists.extend(other.lists);
        for (recipient, theirs) in other.readers {
            let ours = self.readers.entry(recipient).or_insert_with(|| Reader {
                since: theirs.since.clone(),
                values: Values::new(),
            });
            for (place, texts) in theirs.values {
                ours.values.entry(place).or_default().extend(texts);
            }
        }
    }
}

/// The values whose text is one that is known, wherever in a list it stands now.
fn unchanged(values: &Values, now: &Texts) -> Values {
    let mut known: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
    for (place, texts) in values {
        known.entry(family(place)).or_default().extend(texts);
    }
    let stays = |(place, texts): (&String, &BTreeSet<String>)| {
        let known = known.get(&family(place))?;
        let texts: BTreeSet<String> = texts
            .iter()
            .filter(|text| known.contains(text))
            .cloned()
            .collect();
        (!texts.is_empty()).then(|| (place.clone(), texts))
    };
    now.values.iter().filter_map(stays).collect()
}

/// The values that stand where those did, when all texts are others. Of a list that has another length every element may
/// be one of them.
fn unknown(values: &Values, now: &Texts, as_long: impl Fn(&String) -> bool) -> Values {
    let families: BTreeSet<String> = values.keys().map(|place| family(place)).collect();
    let stays = |(place, _): &(&String, &BTreeSet<String>)| {
        let family = family(place);
        values.contains_key(*place) || families.contains(&family) && !as_long(&family)
    };
    now.values
        .iter()
        .filter(stays)
        .map(|(place, texts)| (place.clone(), texts.clone()))
        .collect()
}

impl Ledger {
    /// Whether values of the file at `path` are on the list.
    pub(crate) fn names(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Notes that `recipients` could read everything in the file at `path`, which is this now.
    pub(crate) fn expose(&mut self, path: &str, recipients: &[String], now: &str, file: &Texts) {
        let entry = self.files.entry(path.to_owned()).or_default();
        for recipient in recipients {
            let reader = Reader {
                since: now.to_owned(),
                values: file.values.clone(),
            };
            entry.readers.insert(recipient.clone(), reader);
        }
        entry.anchor(file);
        self.tidy(path);
    }

    /// Brings the list to what the file at `path` is now.
    pub(crate) fn changed(&mut self, path: &str, now: &Texts) {
        if let Some(entry) = self.files.get_mut(path) {
            entry.follow(now);
        }
        self.tidy(path);
    }

    /// Carries what is open in the file at `path` over a rotation of ours: its texts are others, its values are not. The
    /// list has followed the file until then.
    pub(crate) fn carry(&mut self, path: &str, after: &Texts) {
        if let Some(entry) = self.files.get_mut(path) {
            entry.carry(after);
        }
        self.tidy(path);
    }

    /// Follows the wrapped keys of the file at `path` over a re-wrap, which changes no value.
    pub(crate) fn rewrapped(&mut self, path: &str, after: &Texts) {
        if let Some(entry) = self.files.get_mut(path) {
            entry.wraps.clone_from(&after.wraps);
        }
    }

    fn tidy(&mut self, path: &str) {
        if self
            .files
            .get(path)
            .is_some_and(|entry| entry.readers.is_empty())
        {
            self.files.remove(path);
        }
    }

    /// What is on the list. The same values that several could read are told once.
    pub(crate) fn open(&self) -> Vec<Open<'_>> {
        let mut open: Vec<Open<'_>> = Vec::new();
        for (path, exposed) in &self.files {
            let mut of_file: Vec<Open<'_>> = Vec::new();
            for (recipient, reader) in &exposed.readers {
                let keys: Vec<&str> = reader.values.keys().map(String::as_str).collect();
                let same = of_file
                    .iter_mut()
                    .find(|one| one.since == reader.since && one.keys == keys);
                match same {
                    Some(one) => one.recipients.push(recipient),
                    None => of_file.push(Open {
                        path,
                        recipients: vec![recipient],
                        since: &reader.since,
                        keys,
                    }),
                }
            }
            of_file.sort_by_key(|one| one.since);
            open.append(&mut of_file);
        }
        open
    }

    /// Settles values of the file at `path` by hand: these, with the elements of a list that are equal, or all. How many
    /// that are.
    pub(crate) fn settle(&mut self, path: &str, keys: &[String], now: &str, reason: &str) -> usize {
        let Some(entry) = self.files.get_mut(path) else {
            return 0;
        };
        let mut settled: BTreeSet<String> = BTreeSet::new();
        for reader in entry.readers.values_mut() {
            let mut texts: BTreeSet<String> = BTreeSet::new();
            for (_, of_key) in reader.values.iter().filter(|(key, _)| keys.contains(key)) {
                texts.extend(of_key.iter().cloned());
            }
            reader.values.retain(|key, of_key| {
                let stays = !keys.is_empty() && of_key.is_disjoint(&texts);
                if !stays {
                    settled.insert(key.clone());
                }
                stays
            });
        }
        entry.readers.retain(|_, reader| !reader.values.is_empty());
        for key in &settled {
            self.done.insert(Done {
                path: path.to_owned(),
                key: key.clone(),
                on: now.to_owned(),
                reason: reason.to_owned(),
            });
        }
        self.tidy(path);
        settled.len()
    }
}

#[cfg(test)]
mod tests;
