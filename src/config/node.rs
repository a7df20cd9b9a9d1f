//! The YAML of a configuration file as a tree whose parts know their position.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use policy::yaml::{self, Content, Limits, NodeId, Stream, Style};

use super::Place;
use crate::error::{Position, Result};

/// How much a configuration file may hold.
const LIMITS: Limits = Limits {
    nesting: 32,
    nodes: 1_000_000,
};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    List(Vec<Node>),
    Map(Vec<Member>),
    /// An unquoted `null`, `~` or nothing.
    Null,
    Text {
        text: String,
        /// Not quoted, so that `true` and `5` mean more than text.
        plain: bool,
    },
}

/// One key of a mapping with its value.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

/// Reads the only document of a file; an empty file is an empty mapping.
pub(super) fn parse(file: &Arc<PathBuf>, text: &str) -> Result<Node> {
    let builder = Builder { file };
    let stream = yaml::parse(text, LIMITS).map_err(|error| {
        let message = match error.limit {
            Some(_) => error.message,
            None => format!("this is not valid YAML: {}", error.message),
        };
        builder
            .place(error.line, error.column)
            .error("config-syntax", message)
    })?;
    match stream.documents.as_slice() {
        [] => Ok(Node {
            place: builder.place(1, 1),
            value: Value::Map(Vec::new()),
        }),
        [document] => builder.node(&stream, document.root),
        [_, second, ..] => {
            let root = stream.node(second.root);
            let place = builder.place(root.line, root.column);
            Err(place.error(
                "config-syntax",
                "a second YAML document is not allowed here",
            ))
        }
    }
}

struct Builder<'a> {
    file: &'a Arc<PathBuf>,
}

impl Builder<'_> {
    /// As deep as the limit allows.
    fn node(&self, stream: &Stream, id: NodeId) -> Result<Node> {
        let node = stream.node(id);
        let place = self.place(node.line, node.column);
        let value = match &stream.follow(id).content {
            Content::Scalar { text, style } => {
                let plain = *style == Style::Plain;
                match text.as_str() {
                    "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
                    _ => Value::Text {
                        text: text.clone(),
                        plain,
                    },
                }
            }
            Content::Sequence { items, .. } => Value::List(
                items
                    .iter()
                    .map(|item| self.node(stream, *item))
                    .collect::<Result<_>>()?,
            ),
            Content::Mapping { entries, .. } => Value::Map(self.members(stream, entries)?),
            Content::Alias { .. } => {
                return Err(place.error("config-syntax", "an alias of an alias"));
            }
        };
        Ok(Node { place, value })
    }

    fn members(&self, stream: &Stream, entries: &[(NodeId, NodeId)]) -> Result<Vec<Member>> {
        let mut members = Vec::with_capacity(entries.len());
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (key, value) in entries {
            let key = self.node(stream, *key)?;
            let Value::Text { text, .. } = key.value else {
                return Err(key.place.error("config-syntax", "a key must be plain text"));
            };
            if let Some(line) = seen.insert(text.clone(), key.place.position.line) {
                return Err(key
                    .place
                    .error(
                        "duplicate-key",
                        format!("`{text}` is given twice; it stands in line {line} already"),
                    )
                    .with_hint("remove one of the two"));
            }
            members.push(Member {
                key: text,
                key_place: key.place,
                node: self.node(stream, *value)?,
            });
        }
        Ok(members)
    }

    fn place(&self, line: usize, column: usize) -> Place {
        Place {
            file: Arc::clone(self.file),
            position: Position { line, column },
        }
    }
}
