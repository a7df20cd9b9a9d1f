//! How the list is written: one value stands on one line and everything is sorted, so that Git merges it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Component, Path},
};

use policy::yaml::{self, Content, NodeId, Stream};

use super::{Done, Exposed, Ledger, Reader as Person};
use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    repository::{LEDGER, Repository},
};

pub(super) const HEAD: &str = "# Values that somebody could read who may not any more, until they change. secretsctl keeps this list: commit\n# it, and see `secretsctl exposed`.\n";

/// The list of a large repository is larger than any of its files.
pub(crate) const MOST_BYTES: u64 = 128 << 20;
/// A node takes some 250 bytes of memory while the list is read.
const MOST_NODES: usize = 2_000_000;

fn of_list(limits: &Limits) -> yaml::Limits {
    yaml::Limits {
        nodes: MOST_NODES,
        ..limits.of_yaml()
    }
}

impl Ledger {
    /// Reads the list of the repository; an empty one where there is none.
    pub(crate) fn read(repository: &Repository, limits: &Limits) -> Result<Self> {
        let content = match repository.read_at_most(Path::new(LEDGER), MOST_BYTES) {
            Ok(content) => content,
            Err(error) if error.code == "file-missing" => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let parsed = match content.expose_str() {
            Some(text) => Self::parse(text, limits),
            None => Err(damaged(Position::START, "the list is not UTF-8")),
        };
        parsed.map_err(|error| error.with_file(&repository.root().join(LEDGER)))
    }

    pub(super) fn parse(text: &str, limits: &Limits) -> Result<Self> {
        let stream = yaml::parse_first(text, of_list(limits))
            .map_err(|error| damaged(Position::from(&error), error.message))?;
        let Some(document) = stream.documents.first() else {
            // Nothing at all is what a crash or a redirection leaves. We leave a comment.
            return match text.trim().is_empty() {
                true => Err(damaged(
                    Position::START,
                    "the list is empty, so nobody knows what was on it",
                )),
                false => Ok(Self::default()),
            };
        };
        let reader = Reader { stream: &stream };
        let mut ledger = Self::default();
        for (name, node) in reader.map(document.root)? {
            match name.as_str() {
                "exposed" => {
                    for (path, node) in reader.paths(node)? {
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

    /// The text of the list; an error where nobody could read it again.
    pub(crate) fn checked_text(&self) -> Result<String> {
        let text = self.text();
        // Of a value a line tells the place and a list with the digest.
        let too_many = text.lines().count() > MOST_NODES / 4;
        if too_many || u64::try_from(text.len()).is_ok_and(|bytes| bytes > MOST_BYTES) {
            return Err(Error::new("ledger", "more values are exposed than a list can hold")
                .with_hint("settle what is on it already, see secretsctl exposed --done; nothing was changed"));
        }
        Ok(text)
    }

    /// The text of the list.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(HEAD);
        // Writing to a string cannot fail.
        if !self.files.is_empty() {
            text.push_str("exposed:\n");
        }
        for (path, exposed) in &self.files {
            let _ = writeln!(text, "  {}:", quoted(path));
            text.push_str("    wraps:\n");
            for wrap in &exposed.wraps {
                let _ = writeln!(text, "      - {}", quoted(wrap));
            }
            if !exposed.lists.is_empty() {
                text.push_str("    lists:\n");
            }
            for (list, elements) in &exposed.lists {
                let _ = writeln!(text, "      {}: {elements}", quoted(list));
            }
            text.push_str("    recipients:\n");
            for (recipient, person) in &exposed.readers {
                let _ = writeln!(text, "      {}:", quoted(recipient));
                let _ = writeln!(text, "        since: {}", quoted(&person.since));
                text.push_str("        values:\n");
                for (place, digests) in &person.values {
                    let digests: Vec<_> = digests.iter().map(|digest| quoted(digest)).collect();
                    let _ = writeln!(
                        text,
                        "          {}: [{}]",
                        quoted(place),
                        digests.join(", ")
                    );
                }
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
}

/// A quoted YAML scalar; those of JSON are some.
fn quoted(text: &str) -> String {
    let is_plain = |char: char| char == ' ' || char.is_ascii_graphic() && char != '\'';
    if text.contains('"') && text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    serde_json::Value::from(text).to_string()
}

fn damaged(position: Position, message: impl Into<String>) -> Error {
    Error::new("ledger", message)
        .with_position(position)
        .with_hint("the list was damaged, or a merge left its marks; correct it or restore it from its history")
}

struct Reader<'s> {
    stream: &'s Stream,
}

impl Reader<'_> {
    fn map(&self, id: NodeId) -> Result<Vec<(String, NodeId)>> {
        match &self.stream.follow(id).content {
            Content::Mapping { entries, .. } => {
                let mut seen = BTreeSet::new();
                let entry = |&(key, value): &(NodeId, NodeId)| {
                    let text = self.text(key)?;
                    match seen.insert(text.clone()) {
                        true => Ok((text, value)),
                        false => Err(self.wrong(key, "a key that stands here already")),
                    }
                };
                entries.iter().map(entry).collect()
            }
            Content::Scalar { text, .. } if text.is_empty() => Ok(Vec::new()),
            _ => Err(self.wrong(id, "a mapping is needed here")),
        }
    }

    /// A mapping whose keys are files of the repository.
    fn paths(&self, id: NodeId) -> Result<Vec<(String, NodeId)>> {
        if let Content::Mapping { entries, .. } = &self.stream.follow(id).content {
            for &(key, _) in entries {
                if !is_inside(&self.text(key)?) {
                    let message = "a path that does not stay inside the repository";
                    return Err(self.wrong(key, message));
                }
            }
        }
        self.map(id)
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
                "wraps" => exposed.wraps = self.texts(node)?,
                "lists" => {
                    for (list, node) in self.map(node)? {
                        let elements = self.text(node)?.parse();
                        let elements =
                            elements.map_err(|_| self.wrong(node, "a number is needed here"))?;
                        exposed.lists.insert(list, elements);
                    }
                }
                "recipients" => {
                    for (recipient, node) in self.map(node)? {
                        exposed.readers.insert(recipient, self.person(node)?);
                    }
                }
                _ => return Err(self.wrong(node, "a key that is not known here")),
            }
        }
        Ok(exposed)
    }

    fn person(&self, id: NodeId) -> Result<Person> {
        let mut person = Person::default();
        for (name, node) in self.map(id)? {
            match name.as_str() {
                "since" => person.since = self.text(node)?,
                "values" => {
                    for (place, node) in self.map(node)? {
                        person.values.insert(place, self.texts(node)?);
                    }
                }
                _ => return Err(self.wrong(node, "a key that is not known here")),
            }
        }
        Ok(person)
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
        let position = Position {
            line: node.line,
            column: node.column,
        };
        damaged(position, message)
    }
}

fn is_inside(path: &str) -> bool {
    let is_name = |part: Component<'_>| matches!(part, Component::Normal(_));
    !path.is_empty() && !path.contains('\0') && Path::new(path).components().all(is_name)
}
