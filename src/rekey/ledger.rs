//! `.sops-exposed.yaml`: values that a removed recipient could read and that have not changed since. Names only: for each
//! value a digest of its encrypted text after the rotation, which sops keeps as long as nobody changes the value.
//!
//! One value stands on one line and everything is sorted, so that Git merges it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use policy::yaml::{self, Content, NodeId, Stream};

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    repository::{LEDGER, Repository, content_hash, hex},
    sops::{document::Document, metadata::Entry},
};

const HEAD: &str = "# Values that somebody could read who may not any more, until they change. secretsctl keeps this list: commit\n# it, and see `secretsctl exposed`.\n";
/// Bytes of a digest that are kept: enough to tell one text from another.
const DIGEST: usize = 16;

/// Digests of encrypted texts by the place of their value, as `["a"]["b"][0]`. A place may stand for several, in a file of
/// several documents.
pub(crate) type Values = BTreeMap<String, BTreeSet<String>>;

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// By path in the repository.
    pub(crate) files: BTreeMap<String, Exposed>,
    /// What somebody has settled by hand.
    pub(crate) done: BTreeSet<Done>,
}

/// Values of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exposed {
    /// Who could read them.
    pub(crate) recipients: BTreeSet<String>,
    /// Since when, in RFC 3339.
    pub(crate) since: String,
    /// Digests of the wrapped keys at that time: where all are others, the data key may be another, too.
    pub(crate) wraps: BTreeSet<String>,
    pub(crate) values: Values,
}

/// Values that were settled by hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Done {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) on: String,
    pub(crate) reason: String,
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
        let mut texts = Self::default();
        for (place, text) in document.encrypted_texts() {
            texts.values.entry(place).or_default().insert(digest(text));
        }
        let wrap = |entry: &Entry| match entry {
            Entry::Age { enc, .. } => Some(digest(enc)),
            Entry::Other { .. } => None,
        };
        texts.wraps = document.metadata().entries().filter_map(wrap).collect();
        texts
    }
}

fn digest(text: &str) -> String {
    let hash = content_hash(text.as_bytes());
    hex(hash.get(..DIGEST).unwrap_or_default())
}

impl Exposed {
    /// The values that are still as they were, of a file that has these now.
    ///
    /// A text that is another is a changed value, unless nothing of the file is as it was: then the file has a new data key,
    /// and nobody can tell. sops gives equal elements of a list one text, so an element is as it was while its text is that
    /// of any element.
    pub(crate) fn open_values(&self, now: &Texts) -> Values {
        let known: BTreeSet<&String> = self.values.values().flatten().collect();
        let same_key = !self.wraps.is_disjoint(&now.wraps)
            || now
                .values
                .values()
                .flatten()
                .any(|text| known.contains(text));
        let mut open = Values::new();
        for (place, texts) in &self.values {
            let Some(present) = now.values.get(place) else {
                continue;
            };
            let of_list: BTreeSet<&String> = match list_of(place) {
                Some(list) => self
                    .values
                    .iter()
                    .filter(|(other, _)| list_of(other) == Some(list))
                    .flat_map(|(_, texts)| texts)
                    .collect(),
                None => texts.iter().collect(),
            };
            let stays = present.iter().any(|text| of_list.contains(text));
            if stays || !same_key {
                open.insert(place.clone(), texts.clone());
            }
        }
        open
    }
}

/// The list that an element stands in.
fn list_of(place: &str) -> Option<&str> {
    let (list, index) = place.strip_suffix(']')?.rsplit_once('[')?;
    index
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(list)
}

impl Ledger {
    /// Reads the list of the repository; an empty one where there is none.
    pub(crate) fn read(repository: &Repository, limits: &Limits) -> Result<Self> {
        let content = match repository.read(Path::new(LEDGER)) {
            Ok(content) => content,
            Err(error) if error.code == "file-missing" => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let text = content.expose_str().unwrap_or_default();
        Self::parse(text, limits).map_err(|error| error.with_file(&repository.root().join(LEDGER)))
    }

    fn parse(text: &str, limits: &Limits) -> Result<Self> {
        let stream = yaml::parse_first(text, limits.of_yaml()).map_err(|error| {
            let position = Position::from(&error);
            Error::new("ledger", error.message)
                .with_position(position)
                .with_hint("the list was damaged, or a merge left its marks; correct it or restore it from its history")
        })?;
        let Some(document) = stream.documents.first() else {
            return Ok(Self::default());
        };
        let reader = Reader { stream: &stream };
        let mut ledger = Self::default();
        for (name, node) in reader.map(document.root)? {
            match name.as_str() {
                "exposed" => {
                    for (path, node) in reader.map(node)? {
                        ledger.files.insert(path, reader.exposed(node)?);
                    }
                }
                "done" => {
                    for node in reader.list(node)? {
                        ledger.done.insert(reader.done(node)?);
                    }
                }
                _ => return Err(reader.wrong(node, "a key that is not known here")),
            }
        }
        Ok(ledger)
    }

    /// The text of the list.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from(HEAD);
        // Writing to a string cannot fail.
        if !self.files.is_empty() {
            text.push_str("exposed:\n");
        }
        for (path, exposed) in &self.files {
            let _ = writeln!(text, "  {}:", quoted(path));
            let _ = writeln!(text, "    since: {}", quoted(&exposed.since));
            text.push_str("    recipients:\n");
            for recipient in &exposed.recipients {
                let _ = writeln!(text, "      - {}", quoted(recipient));
            }
            text.push_str("    wraps:\n");
            for wrap in &exposed.wraps {
                let _ = writeln!(text, "      - {}", quoted(wrap));
            }
            text.push_str("    values:\n");
            for (place, digests) in &exposed.values {
                let digests: Vec<_> = digests.iter().map(|digest| quoted(digest)).collect();
                let _ = writeln!(text, "      {}: [{}]", quoted(place), digests.join(", "));
            }
        }
        if !self.done.is_empty() {
            text.push_str("done:\n");
        }
        for done in &self.done {
            let _ = writeln!(
                text,
                "  - {{path: {}, key: {}, on: {}, reason: {}}}",
                quoted(&done.path),
                quoted(&done.key),
                quoted(&done.on),
                quoted(&done.reason)
            );
        }
        text
    }

    /// Notes that `recipients` could read everything in the file at `path`, which is this now.
    pub(crate) fn expose(&mut self, path: &str, recipients: &[String], now: &str, file: &Texts) {
        let entry = self.files.entry(path.to_owned()).or_default();
        entry.recipients.extend(recipients.iter().cloned());
        now.clone_into(&mut entry.since);
        entry.values.clone_from(&file.values);
        entry.wraps.clone_from(&file.wraps);
    }

    /// Carries the open values of the file at `path` over a rotation: their texts are others, they are not.
    pub(crate) fn carry(&mut self, path: &str, before: &Texts, after: &Texts) {
        let Some(entry) = self.files.get_mut(path) else {
            return;
        };
        let open = entry.open_values(before);
        let renewed = |place: String| {
            let texts = after.values.get(&place)?.clone();
            Some((place, texts))
        };
        entry.values = open.into_keys().filter_map(renewed).collect();
        entry.wraps.clone_from(&after.wraps);
        if entry.values.is_empty() {
            self.files.remove(path);
        }
    }

    /// Follows the wrapped keys of the file at `path` over a re-wrap.
    pub(crate) fn rewrapped(&mut self, path: &str, before: &Texts, after: &Texts) {
        let Some(entry) = self.files.get_mut(path) else {
            return;
        };
        if !entry.wraps.is_disjoint(&before.wraps) {
            entry.wraps.clone_from(&after.wraps);
        }
    }

    /// What is still open, file by file, beside what the files are now; `look` finds that, `None` for a file that is gone.
    /// Nobody knows where the values of such a file are now, so all of them stay open.
    pub(crate) fn open(
        &self,
        look: impl Fn(&str) -> Result<Option<Texts>>,
    ) -> Result<Vec<(&str, &Exposed, Values)>> {
        let mut open = Vec::new();
        for (path, exposed) in &self.files {
            let values = match look(path)? {
                Some(now) => exposed.open_values(&now),
                None => exposed.values.clone(),
            };
            if !values.is_empty() {
                open.push((path.as_str(), exposed, values));
            }
        }
        Ok(open)
    }

    /// Settles values of the file at `path` by hand: these, or all. How many that are.
    pub(crate) fn settle(&mut self, path: &str, keys: &[String], now: &str, reason: &str) -> usize {
        let Some(entry) = self.files.get_mut(path) else {
            return 0;
        };
        let settled: Vec<String> = entry
            .values
            .keys()
            .filter(|key| keys.is_empty() || keys.contains(key))
            .cloned()
            .collect();
        for key in &settled {
            entry.values.remove(key);
            self.done.insert(Done {
                path: path.to_owned(),
                key: key.clone(),
                on: now.to_owned(),
                reason: reason.to_owned(),
            });
        }
        if entry.values.is_empty() {
            self.files.remove(path);
        }
        settled.len()
    }
}

/// A quoted YAML scalar; those of JSON are some.
fn quoted(text: &str) -> String {
    let is_plain = |char: char| char == ' ' || char.is_ascii_graphic() && char != '\'';
    if text.contains('"') && text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    serde_json::Value::from(text).to_string()
}

struct Reader<'s> {
    stream: &'s Stream,
}

impl Reader<'_> {
    fn map(&self, id: NodeId) -> Result<Vec<(String, NodeId)>> {
        match &self.stream.follow(id).content {
            Content::Mapping { entries, .. } => entries
                .iter()
                .map(|&(key, value)| Ok((self.text(key)?, value)))
                .collect(),
            Content::Scalar { text, .. } if text.is_empty() => Ok(Vec::new()),
            _ => Err(self.wrong(id, "a mapping is needed here")),
        }
    }

    fn list(&self, id: NodeId) -> Result<Vec<NodeId>> {
        match &self.stream.follow(id).content {
            Content::Sequence { items, .. } => Ok(items.clone()),
            Content::Scalar { text, .. } if text.is_empty() => Ok(Vec::new()),
            _ => Err(self.wrong(id, "a list is needed here")),
        }
    }

    fn text(&self, id: NodeId) -> Result<String> {
        let node = self.stream.follow(id);
        let text = node.as_scalar().map(str::to_owned);
        text.ok_or_else(|| self.wrong(id, "a text is needed here"))
    }

    fn texts(&self, id: NodeId) -> Result<BTreeSet<String>> {
        self.list(id)?
            .into_iter()
            .map(|item| self.text(item))
            .collect()
    }

    fn exposed(&self, id: NodeId) -> Result<Exposed> {
        let mut exposed = Exposed::default();
        for (name, node) in self.map(id)? {
            match name.as_str() {
                "recipients" => exposed.recipients = self.texts(node)?,
                "since" => exposed.since = self.text(node)?,
                "wraps" => exposed.wraps = self.texts(node)?,
                "values" => {
                    for (place, node) in self.map(node)? {
                        exposed.values.insert(place, self.texts(node)?);
                    }
                }
                _ => return Err(self.wrong(node, "a key that is not known here")),
            }
        }
        Ok(exposed)
    }

    fn done(&self, id: NodeId) -> Result<Done> {
        let mut done = Done {
            path: String::new(),
            key: String::new(),
            on: String::new(),
            reason: String::new(),
        };
        for (name, node) in self.map(id)? {
            let text = self.text(node)?;
            match name.as_str() {
                "path" => done.path = text,
                "key" => done.key = text,
                "on" => done.on = text,
                "reason" => done.reason = text,
                _ => return Err(self.wrong(node, "a key that is not known here")),
            }
        }
        Ok(done)
    }

    fn wrong(&self, id: NodeId, message: &str) -> Error {
        let node = self.stream.node(id);
        Error::new("ledger", message)
            .with_position(Position {
                line: node.line,
                column: node.column,
            })
            .with_hint("the list was damaged; correct it or restore it from its history")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(entries: &[(&str, &str)]) -> Values {
        let mut values = Values::new();
        for (place, text) in entries {
            values
                .entry((*place).to_owned())
                .or_default()
                .insert((*text).to_owned());
        }
        values
    }

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn texts(entries: &[(&str, &str)], wraps: &[&str]) -> Texts {
        Texts {
            values: values(entries),
            wraps: set(wraps),
        }
    }

    fn exposed() -> Exposed {
        Exposed {
            recipients: set(&["age1old"]),
            since: "2025-01-01T00:00:00Z".to_owned(),
            wraps: set(&["w1", "w2"]),
            values: values(&[("[\"a\"]", "1"), ("[\"l\"][0]", "2"), ("[\"l\"][1]", "3")]),
        }
    }

    #[test]
    fn reads_back() {
        let mut ledger = Ledger::default();
        ledger.files.insert("a \"b\"\n.yaml".to_owned(), exposed());
        ledger.done.insert(Done {
            path: "x".to_owned(),
            key: "[\"k\"]".to_owned(),
            on: "2025".to_owned(),
            reason: "why: # not".to_owned(),
        });
        assert_eq!(
            Ledger::parse(&ledger.text(), &Limits::default()).unwrap(),
            ledger
        );
        assert_eq!(
            Ledger::parse(HEAD, &Limits::default()).unwrap(),
            Ledger::default()
        );
        for wrong in ["exposed: 1", "x: {}", "exposed: {a: {b: c}}", "<<<<<<< a\n"] {
            assert!(Ledger::parse(wrong, &Limits::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_still_open() {
        let open = |now: &[(&str, &str)], wraps: &[&str]| -> Vec<String> {
            exposed()
                .open_values(&texts(now, wraps))
                .into_keys()
                .collect()
        };
        let all = ["[\"a\"]", "[\"l\"][0]", "[\"l\"][1]"];
        // Nothing has changed; one value; its wraps only, as updatekeys does.
        assert_eq!(
            open(&[(all[0], "1"), (all[1], "2"), (all[2], "3")], &["w1"]),
            all
        );
        assert_eq!(
            open(&[(all[0], "9"), (all[1], "2"), (all[2], "3")], &["w1"]),
            all[1..]
        );
        assert_eq!(
            open(&[(all[0], "9"), (all[1], "2"), (all[2], "3")], &["w9"]),
            all[1..]
        );
        // An element goes: the others move up, and are what they were.
        assert_eq!(open(&[(all[0], "1"), (all[1], "3")], &["w1"]), all[..2]);
        // Another data key: nobody can tell.
        assert_eq!(
            open(&[(all[0], "7"), (all[1], "8"), (all[2], "9")], &["w9"]),
            all
        );
        // All changed, under the same key.
        assert!(open(&[(all[0], "7"), (all[1], "8"), (all[2], "9")], &["w2"]).is_empty());
        assert!(open(&[], &["w1"]).is_empty());
    }

    #[test]
    fn our_rotation_carries_over() {
        let mut ledger = Ledger::default();
        ledger.files.insert("f".to_owned(), exposed());
        let before = [("[\"a\"]", "9"), ("[\"l\"][0]", "2"), ("[\"l\"][1]", "3")];
        let after = [
            ("[\"a\"]", "10"),
            ("[\"l\"][0]", "12"),
            ("[\"l\"][1]", "13"),
        ];
        ledger.carry("f", &texts(&before, &["w1"]), &texts(&after, &["w5"]));
        let entry = &ledger.files["f"];
        assert_eq!(
            entry.values,
            values(&[("[\"l\"][0]", "12"), ("[\"l\"][1]", "13")])
        );
        assert_eq!(entry.wraps, set(&["w5"]));
    }
}
