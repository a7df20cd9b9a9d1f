//! From YAML nodes to values as go-yaml v3 decodes them into Go's types: what converts, what is an error, what is left
//! out without a word, and what a merge key adds.

use std::collections::HashSet;

use super::{Position, RulesError};
use crate::yaml::{Content, Node, NodeId, Resolved, Stream};

/// go-yaml's measure against documents that are mostly aliases.
const ALIASES_BEFORE_CHECK: u32 = 100;
const STEPS_BEFORE_CHECK: u32 = 1000;
const MOST_ALIASES_LOW: f64 = 400_000.0;
const MOST_ALIASES_HIGH: f64 = 4_000_000.0;

pub(super) type Result<T> = std::result::Result<T, RulesError>;

/// Decodes nodes of one stream.
pub(super) struct Decoder<'s> {
    text: &'s str,
    stream: &'s Stream,
    steps: u32,
    steps_in_aliases: u32,
    aliases: u32,
}

/// A key of a mapping with its value.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) key: NodeId,
    pub(super) value: NodeId,
}

/// What go-yaml makes of a node when Go's type does not say what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Text(String),
    List(Vec<(Self, Position)>),
    /// Something that is no text, by the name to call it.
    Other(&'static str),
}

impl<'s> Decoder<'s> {
    pub(super) fn new(text: &'s str, stream: &'s Stream) -> Self {
        Self {
            text,
            stream,
            steps: 0,
            steps_in_aliases: 0,
            aliases: 0,
        }
    }

    /// Where the node starts, tag and anchor included; of an alias, where the alias stands.
    pub(super) fn position(&self, id: NodeId) -> Position {
        let node = self.stream.node(id);
        let start = node.outer_start();
        if start == node.span.start {
            return Position {
                line: node.line,
                column: node.column,
            };
        }
        // Counted from the node and not from the start of the text, which would take the square of the text's length.
        let between = self.text.get(start..node.span.start).unwrap_or_default();
        let lines = between.matches('\n').count();
        let column = if lines == 0 {
            node.column.saturating_sub(between.chars().count())
        } else {
            let before = self.text.get(..start).unwrap_or_default();
            before
                .rsplit('\n')
                .next()
                .unwrap_or_default()
                .chars()
                .count()
                + 1
        };
        Position {
            line: node.line - lines.min(node.line),
            column,
        }
    }

    /// The line of the node's last character.
    pub(super) fn last_line(&self, id: NodeId) -> usize {
        let node = self.stream.node(id);
        let written = self.text.get(node.span.clone()).unwrap_or_default();
        node.line + written.trim_end().matches('\n').count()
    }

    pub(super) fn error(&self, id: NodeId, message: impl Into<String>) -> RulesError {
        RulesError::new(message, self.position(id))
    }

    /// The text of a scalar, whatever its type; `None` for null.
    pub(super) fn string(&mut self, id: NodeId) -> Result<Option<String>> {
        self.enter(id, |decoder, id| decoder.string_here(id))
    }

    fn string_here(&self, id: NodeId) -> Result<Option<String>> {
        let node = self.stream.node(id);
        match self.resolve(id)? {
            Some(Resolved::Null) => Ok(None),
            Some(Resolved::Binary(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(self.error(id, "this !!binary value is not UTF-8 text")),
            },
            Some(_) => Ok(Some(node.as_scalar().unwrap_or_default().to_owned())),
            None => Err(self.mismatch(id, "a text")),
        }
    }

    /// A number as Go converts it to `int`: fractions are cut off.
    pub(super) fn integer(&mut self, id: NodeId) -> Result<Option<i64>> {
        self.enter(id, |decoder, id| match decoder.resolve(id)? {
            Some(Resolved::Null) => Ok(None),
            Some(Resolved::Int(number)) => Ok(Some(number)),
            Some(Resolved::Float(number)) if number <= TWO_TO_63 => Ok(Some(truncate(number))),
            _ => Err(decoder.mismatch(id, "an integer")),
        })
    }

    /// A Boolean; here also the words of YAML 1.1 count, quoted or not.
    pub(super) fn boolean(&mut self, id: NodeId) -> Result<Option<bool>> {
        self.enter(id, |decoder, id| {
            let resolved = decoder.resolve(id)?;
            match resolved {
                Some(Resolved::Null) => return Ok(None),
                Some(Resolved::Bool(value)) => return Ok(Some(value)),
                Some(Resolved::Str | Resolved::Binary(_)) => {}
                _ => return Err(decoder.mismatch(id, "true or false")),
            }
            match decoder.string_here(id)?.as_deref() {
                Some("y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON") => Ok(Some(true)),
                Some("n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF") => Ok(Some(false)),
                _ => Err(decoder.mismatch(id, "true or false")),
            }
        })
    }

    /// The items of a list, each decoded with `item`, which returns `None` for null: such items are dropped. `None`
    /// where the list itself is null.
    pub(super) fn list<T>(
        &mut self,
        id: NodeId,
        mut item: impl FnMut(&mut Self, NodeId) -> Result<Option<T>>,
    ) -> Result<Option<Vec<T>>> {
        self.enter(id, |decoder, id| {
            let stream = decoder.stream;
            let Content::Sequence { items, .. } = &stream.node(id).content else {
                return match decoder.resolve(id)? {
                    Some(Resolved::Null) => Ok(None),
                    _ => Err(decoder.mismatch(id, "a list")),
                };
            };
            let mut decoded = Vec::with_capacity(items.len());
            for &id in items {
                decoded.extend(item(decoder, id)?);
            }
            Ok(Some(decoded))
        })
    }

    /// The fields of a mapping in the order in which Go sets them: its own, then those that merge keys add. `known` are
    /// the names that may be set only once. False where the mapping is null.
    pub(super) fn mapping(
        &mut self,
        id: NodeId,
        known: &[&str],
        mut set: impl FnMut(&mut Self, Field) -> Result<()>,
    ) -> Result<bool> {
        self.enter(id, |decoder, id| {
            decoder.mapping_here(id, known, &mut set, None)
        })
    }

    fn mapping_here(
        &mut self,
        id: NodeId,
        known: &[&str],
        set: &mut dyn FnMut(&mut Self, Field) -> Result<()>,
        mut merged: Option<&mut HashSet<String>>,
    ) -> Result<bool> {
        let Content::Mapping { entries, .. } = &self.stream.node(id).content else {
            return match self.resolve(id)? {
                Some(Resolved::Null) => Ok(false),
                _ => Err(self.mismatch(id, "a mapping")),
            };
        };
        self.refuse_repeated_keys(entries)?;
        let mut merge = None;
        let mut done = HashSet::new();
        for &(key, value) in entries {
            if is_merge(self.stream.node(key)) {
                merge = Some(value);
                continue;
            }
            let Some(name) = self.string(key)? else {
                continue;
            };
            if let Some(merged) = &mut merged
                && !merged.insert(name.clone())
            {
                continue; // set nearer to the rule
            }
            if known.contains(&name.as_str()) && !done.insert(name.clone()) {
                return Err(self
                    .error(key, format!("the key {name} is set twice"))
                    .with_code("duplicate-key"));
            }
            set(self, Field { name, key, value })?;
        }
        let Some(merge) = merge else { return Ok(true) };
        let mut own = HashSet::new();
        let merged = match merged {
            Some(merged) => merged,
            None => {
                for &(key, _) in entries {
                    if let Value::Text(name) = self.map_key(key)? {
                        own.insert(name);
                    }
                }
                &mut own
            }
        };
        let sources = match &self.stream.node(merge).content {
            Content::Sequence { items, .. } => items.clone(),
            _ => vec![merge],
        };
        for source in sources {
            if !matches!(self.stream.follow(source).content, Content::Mapping { .. }) {
                let message = "a merge key needs a mapping, or a list of mappings";
                return Err(self.error(source, message));
            }
            self.enter(source, |decoder, source| {
                decoder.mapping_here(source, known, set, Some(&mut *merged))
            })?;
        }
        Ok(true)
    }

    /// go-yaml compares keys by their text, and all lists and mappings among them are equal.
    fn refuse_repeated_keys(&self, entries: &[(NodeId, NodeId)]) -> Result<()> {
        let mut seen = HashSet::new();
        for &(key, _) in entries {
            let node = self.stream.node(key);
            let identity = match &node.content {
                Content::Scalar { text, .. } => (0, text.as_str()),
                Content::Sequence { .. } => (1, ""),
                Content::Mapping { .. } => (2, ""),
                Content::Alias { .. } => (3, self.text.get(node.span.clone()).unwrap_or_default()),
            };
            if !seen.insert(identity) {
                let name = node.as_scalar().unwrap_or_default();
                let message = format!("the key {name:?} appears twice in one mapping");
                return Err(self
                    .error(key, message)
                    .with_code("duplicate-key")
                    .with_hint("remove one of them"));
            }
        }
        Ok(())
    }

    /// A node of any type.
    pub(super) fn value(&mut self, id: NodeId) -> Result<Value> {
        self.enter(id, |decoder, id| {
            let stream = decoder.stream;
            match &stream.node(id).content {
                Content::Sequence { items, .. } => {
                    let decode = |&id: &NodeId| Ok((decoder.value(id)?, decoder.position(id)));
                    items
                        .iter()
                        .map(decode)
                        .collect::<Result<_>>()
                        .map(Value::List)
                }
                Content::Mapping { .. } => {
                    let mut set =
                        |decoder: &mut Self, field: Field| decoder.value(field.value).map(drop);
                    decoder.generic_mapping(id, &mut set)?;
                    Ok(Value::Other("a mapping"))
                }
                _ => Ok(match decoder.resolve(id)? {
                    Some(Resolved::Null) => Value::Null,
                    Some(Resolved::Str | Resolved::Binary(_)) => {
                        Value::Text(decoder.string_here(id)?.unwrap_or_default())
                    }
                    Some(Resolved::Bool(_)) => Value::Other("true or false"),
                    Some(Resolved::Time(_)) => Value::Other("a date"),
                    _ => Value::Other("a number"),
                }),
            }
        })
    }

    /// A mapping whose keys may be of any scalar type.
    fn generic_mapping(
        &mut self,
        id: NodeId,
        set: &mut dyn FnMut(&mut Self, Field) -> Result<()>,
    ) -> Result<()> {
        if let Content::Mapping { entries, .. } = &self.stream.node(id).content {
            for &(key, _) in entries {
                self.map_key(key)?;
            }
        }
        self.mapping_here(id, &[], set, None).map(drop)
    }

    fn map_key(&mut self, id: NodeId) -> Result<Value> {
        match self.value(id)? {
            Value::List(_) | Value::Other("a mapping") => {
                Err(self.error(id, "a list or mapping cannot be a key"))
            }
            key => Ok(key),
        }
    }

    fn resolve(&self, id: NodeId) -> Result<Option<Resolved>> {
        let wrong = |error: crate::yaml::YamlError| self.error(id, error.message);
        self.stream.node(id).resolve().map_err(wrong)
    }

    fn mismatch(&self, id: NodeId, wanted: &str) -> RulesError {
        let found = match &self.stream.node(id).content {
            Content::Sequence { .. } => "a list",
            Content::Mapping { .. } => "a mapping",
            _ => "this value",
        };
        self.error(id, format!("{wanted} is needed here, not {found}"))
    }

    /// Runs `decode` on the node, or on what it is an alias of.
    fn enter<T>(
        &mut self,
        id: NodeId,
        decode: impl FnOnce(&mut Self, NodeId) -> Result<T>,
    ) -> Result<T> {
        self.step(id)?;
        let Content::Alias { target } = self.stream.node(id).content else {
            return decode(self, id);
        };
        self.aliases += 1;
        let decoded = self.step(id).and_then(|()| decode(self, target));
        self.aliases -= 1;
        decoded
    }

    fn step(&mut self, id: NodeId) -> Result<()> {
        self.steps = self.steps.saturating_add(1);
        if self.aliases > 0 {
            self.steps_in_aliases = self.steps_in_aliases.saturating_add(1);
        }
        if self.steps_in_aliases <= ALIASES_BEFORE_CHECK || self.steps <= STEPS_BEFORE_CHECK {
            return Ok(());
        }
        let steps = f64::from(self.steps);
        let above = (steps - MOST_ALIASES_LOW).clamp(0.0, MOST_ALIASES_HIGH - MOST_ALIASES_LOW);
        let allowed = 0.99 - 0.89 * (above / (MOST_ALIASES_HIGH - MOST_ALIASES_LOW));
        if f64::from(self.steps_in_aliases) / steps > allowed {
            return Err(self.error(id, "nearly everything in this file comes from aliases"));
        }
        Ok(())
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// As Go on amd64: what does not fit becomes the least number.
#[expect(clippy::cast_possible_truncation, reason = "cut off, as Go does")]
fn truncate(number: f64) -> i64 {
    if number >= TWO_TO_63 {
        i64::MIN
    } else {
        number as i64
    }
}

fn is_merge(key: &Node) -> bool {
    let Content::Scalar { text, style } = &key.content else {
        return false;
    };
    let tag = key.tag.as_ref().map_or("!", |tag| tag.name.as_str());
    text == "<<"
        && (tag == "!!merge" || matches!(tag, "!" | "") && *style == crate::yaml::Style::Plain)
}
