//! The YAML of a configuration file as a tree whose parts know their position.

use std::{collections::HashMap, io::BufRead, path::PathBuf, sync::Arc};

use libyaml_safer::{ErrorKind, Event, EventData, Mark, Parser, ScalarStyle};

use super::Place;
use crate::error::{Error, Position, Result};

/// Levels of mappings and lists in a configuration file.
const NESTING: usize = 32;
/// Nodes of a configuration file after aliases are expanded.
const NODES: usize = 1_000_000;

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
    // The parser does not cope with some texts that end in the middle of a line.
    let text = format!("{text}\n");
    let mut input = text.as_bytes();
    let mut parser = Parser::new();
    parser.set_input_string(&mut input);
    let mut builder = Builder {
        file,
        parser,
        anchors: HashMap::new(),
        nodes: 0,
    };
    let node = builder.document()?;
    Ok(node.unwrap_or_else(|| Node {
        place: builder.place(Mark::default()),
        value: Value::Map(Vec::new()),
    }))
}

struct Builder<'a, R> {
    file: &'a Arc<PathBuf>,
    parser: Parser<R>,
    /// Finished nodes by anchor, each with the number of nodes in it.
    anchors: HashMap<String, (Node, usize)>,
    nodes: usize,
}

impl<R: BufRead> Builder<'_, R> {
    fn document(&mut self) -> Result<Option<Node>> {
        let mut root = None;
        loop {
            let event = self.next()?;
            match event.data {
                EventData::StreamEnd => return Ok(root),
                EventData::StreamStart { .. } | EventData::DocumentEnd { .. } => {}
                EventData::DocumentStart { .. } => {
                    if root.is_some() {
                        return Err(self.error(
                            event.start_mark,
                            "a second YAML document is not allowed here",
                        ));
                    }
                    let first = self.next()?;
                    root = Some(self.node(first, 0)?);
                }
                _ => return Err(self.error(event.start_mark, "content outside of a document")),
            }
        }
    }

    fn node(&mut self, event: Event, depth: usize) -> Result<Node> {
        let mark = event.start_mark;
        if depth > NESTING {
            return Err(self.error(
                mark,
                format!("more than {NESTING} levels of mappings and lists"),
            ));
        }
        self.count(mark, 1)?;
        let before = self.nodes;
        let (anchor, value) = match event.data {
            EventData::Alias { anchor } => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.error(
                        mark,
                        format!("the anchor `{anchor}` is not defined before its use"),
                    ));
                };
                self.count(mark, size)?;
                return Ok(Node {
                    place: self.place(mark),
                    value: node.value,
                });
            }
            EventData::Scalar {
                anchor,
                value,
                style,
                ..
            } => {
                let plain = style == ScalarStyle::Plain;
                let value = match value.as_str() {
                    "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
                    _ => Value::Text { text: value, plain },
                };
                (anchor, value)
            }
            EventData::SequenceStart { anchor, .. } => {
                let mut items = Vec::new();
                loop {
                    let event = self.next()?;
                    if event.data == EventData::SequenceEnd {
                        break (anchor, Value::List(items));
                    }
                    items.push(self.node(event, depth + 1)?);
                }
            }
            EventData::MappingStart { anchor, .. } => (anchor, Value::Map(self.members(depth)?)),
            _ => return Err(self.error(mark, "this is not valid YAML")),
        };
        let node = Node {
            place: self.place(mark),
            value,
        };
        if let Some(anchor) = anchor {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn members(&mut self, depth: usize) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        loop {
            let event = self.next()?;
            if event.data == EventData::MappingEnd {
                return Ok(members);
            }
            let key = self.node(event, depth + 1)?;
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
            let value = self.next()?;
            let node = self.node(value, depth + 1)?;
            members.push(Member {
                key: text,
                key_place: key.place,
                node,
            });
        }
    }

    fn next(&mut self) -> Result<Event> {
        self.parser.parse().map_err(|error| {
            let mark = error
                .problem_mark()
                .or(error.context_mark())
                .unwrap_or_default();
            let message = match error.kind() {
                ErrorKind::Reader => {
                    "it holds bytes that are no UTF-8 or control characters that YAML forbids"
                        .to_owned()
                }
                _ => error.problem().to_owned(),
            };
            self.error(mark, format!("this is not valid YAML: {message}"))
        })
    }

    fn count(&mut self, mark: Mark, nodes: usize) -> Result<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES {
            return Err(self.error(
                mark,
                format!("more than {NODES} values after aliases are expanded"),
            ));
        }
        Ok(())
    }

    fn place(&self, mark: Mark) -> Place {
        let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).saturating_add(1);
        Place {
            file: Arc::clone(self.file),
            position: Position {
                line: position(mark.line),
                column: position(mark.column),
            },
        }
    }

    fn error(&self, mark: Mark, message: impl Into<String>) -> Error {
        self.place(mark).error("config-syntax", message)
    }
}
