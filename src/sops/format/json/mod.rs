//! JSON, as Go's decoder reads it: numbers of 63 bits stay integers, repeated keys are all kept, invalid UTF-8 becomes
//! U+FFFD. Stricter than sops where it is lax: the document must be whole, and nothing may follow it.

mod assign;
mod change;
mod reader;

pub(super) use assign::{put, remove};

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        format::{MetadataEdit, Parsed, PlainValue, Replacement, edit::Edits},
        tree::{Item, MetaNode, MetaValue, Node, SiteId, Span, Tree},
    },
};

/// The reserved key.
const METADATA: &str = "sops";

/// Reads a document.
pub(crate) fn read(source: Secret, limits: &Limits) -> Result<Parsed> {
    let (document, metadata, sites) = reader::read(source.expose(), limits)?;
    let tree = Tree {
        documents: vec![document],
        sites,
    };
    Ok(Parsed {
        source,
        tree,
        metadata,
    })
}

/// Reads one value, which is not a document. Its spans are those of `text`.
pub(crate) fn read_value(text: &[u8], limits: &Limits) -> Result<Node> {
    reader::read_value(text, limits)
}

/// Puts new text into the source.
pub(crate) fn splice(
    parsed: &Parsed,
    replacements: &BTreeMap<SiteId, Replacement>,
    metadata: MetadataEdit<'_>,
) -> Result<Secret> {
    let mut splicer = Splicer {
        replacements,
        edits: Edits::new(),
    };
    for document in &parsed.tree.documents {
        splicer.items(document)?;
    }
    let source = parsed.source.expose();
    match metadata {
        MetadataEdit::Cut => cut(parsed, &mut splicer.edits),
        MetadataEdit::Add(node) => add(parsed, node, &mut splicer.edits),
        MetadataEdit::Change(node) => change::edits(parsed, node, &mut splicer.edits)?,
        MetadataEdit::Keep => {}
        MetadataEdit::Return(from) => put_back(parsed, from, &mut splicer.edits),
    }
    splicer.edits.apply(source)
}

/// A string literal as Go's encoder writes it.
pub(crate) fn quote(text: &[u8]) -> Secret {
    let mut quoted = Secret::with_capacity(text.len() + 2);
    quoted.push(b"\"");
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let mut done = 0;
        for (at, character) in valid.char_indices() {
            let escape = match character {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\u{8}' => "\\b",
                '\u{c}' => "\\f",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => "",
                _ => continue,
            };
            quoted.push(valid.as_bytes().get(done..at).unwrap_or_default());
            done = at + character.len_utf8();
            if escape.is_empty() {
                // Writing to a Secret cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            } else {
                quoted.push(escape.as_bytes());
            }
        }
        quoted.push(valid.as_bytes().get(done..).unwrap_or_default());
        for _ in chunk.invalid() {
            quoted.push(b"\\ufffd");
        }
    }
    quoted.push(b"\"");
    quoted
}

/// A value as Go's encoder writes it; comments have no place in JSON.
pub(crate) fn render(value: &PlainValue) -> Result<Secret> {
    Ok(match value {
        PlainValue::Str(text) => quote(text.expose()),
        PlainValue::Time(text) => quote(text.as_bytes()),
        PlainValue::Int(value) => Secret::from(value.to_string()),
        PlainValue::Bool(value) => Secret::from(value.to_string()),
        PlainValue::Float(value) if value.is_finite() => Secret::from(render_float(*value)),
        PlainValue::Float(_) => {
            return Err(Error::new(
                "unsupported-value",
                "the value is no number that JSON can hold",
            ));
        }
        PlainValue::Comment(_) => {
            return Err(Error::new("unsupported-value", "JSON has no comments"));
        }
    })
}

/// Indented lines of a metadata block; `indent` is one level, `None` puts all on one line.
pub(crate) fn render_metadata(node: &MetaNode, indent: Option<&str>, level: usize) -> String {
    let (open, close, items): (_, _, Vec<String>) = match &node.value {
        MetaValue::Null => return "null".to_owned(),
        MetaValue::Scalar {
            text,
            quoted: false,
        } => return text.clone(),
        MetaValue::Scalar { text, .. } => return quote_str(text),
        MetaValue::List(items) => (
            '[',
            ']',
            items
                .iter()
                .map(|item| render_metadata(item, indent, level + 1))
                .collect(),
        ),
        MetaValue::Map(fields) => {
            let separator = if indent.is_some() { ": " } else { ":" };
            let field = |(key, value): &(String, MetaNode)| {
                format!(
                    "{}{separator}{}",
                    quote_str(key),
                    render_metadata(value, indent, level + 1)
                )
            };
            ('{', '}', fields.iter().map(field).collect())
        }
    };
    match indent {
        _ if items.is_empty() => format!("{open}{close}"),
        None => format!("{open}{}{close}", items.join(",")),
        Some(indent) => {
            let (inner, outer) = (indent.repeat(level + 1), indent.repeat(level));
            format!(
                "{open}\n{inner}{}\n{outer}{close}",
                items.join(&format!(",\n{inner}"))
            )
        }
    }
}

fn quote_str(text: &str) -> String {
    quote(text.as_bytes())
        .expose_str()
        .unwrap_or_default()
        .to_owned()
}

/// Shortest digits, with an exponent for the very small and the very large.
fn render_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

struct Splicer<'a> {
    replacements: &'a BTreeMap<SiteId, Replacement>,
    edits: Edits,
}

impl Splicer<'_> {
    fn items(&mut self, items: &[Item]) -> Result<()> {
        for item in items {
            match item {
                Item::Entry { value, .. } | Item::Element(value) => self.node(value)?,
                Item::Comment(_) => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        match node {
            Node::Map(items, _) => self.items(items),
            Node::List(items, span) => self.list(items, span),
            Node::Scalar { site, span, .. } => {
                match self.replacements.get(site) {
                    Some(Replacement::Plain(value)) => {
                        self.edits.replace(span.clone(), render(value)?);
                    }
                    Some(Replacement::Encrypted(text)) => {
                        self.edits.replace(span.clone(), quote(text.as_bytes()));
                    }
                    None => {}
                }
                Ok(())
            }
        }
    }

    /// The comments of a YAML list come as elements; in plaintext they have no place.
    fn list(&mut self, items: &[Item], span: &Span) -> Result<()> {
        let is_comment = |item: &&Item| {
            let Item::Element(Node::Scalar { site, .. }) = item else {
                return false;
            };
            matches!(
                self.replacements.get(site),
                Some(Replacement::Plain(PlainValue::Comment(_)))
            )
        };
        let comments = items.iter().filter(is_comment).count();
        if comments == 0 {
            return self.items(items);
        }
        if comments == items.len() {
            self.edits.remove(span.start + 1..span.end - 1);
            return Ok(());
        }
        let kept: Vec<bool> = items.iter().map(|item| !is_comment(&item)).collect();
        let first_kept = kept.iter().position(|&kept| kept).unwrap_or_default();
        let mut previous_end = span.start + 1;
        for (index, item) in items.iter().enumerate() {
            let Item::Element(element) = item else {
                continue;
            };
            let place = node_span(element);
            if kept.get(index).copied().unwrap_or(true) {
                self.node(element)?;
            } else if index < first_kept {
                // Up to the next element, whose blanks are the same as its own.
                let next = items
                    .get(index + 1)
                    .map_or(place.end, |next| item_start(next, place.end));
                self.edits.remove(place.start..next);
            } else {
                self.edits.remove(previous_end..place.end);
            }
            previous_end = place.end;
        }
        Ok(())
    }
}

fn item_start(item: &Item, otherwise: usize) -> usize {
    match item {
        Item::Element(node) => node_span(node).start,
        Item::Entry { key_span, .. } => key_span.start,
        Item::Comment(_) => otherwise,
    }
}

fn node_span(node: &Node) -> &Span {
    node.span()
}

/// Start and end of every member of the root but the metadata.
fn members(parsed: &Parsed) -> impl Iterator<Item = Span> {
    parsed
        .tree
        .documents
        .iter()
        .flatten()
        .filter_map(|item| match item {
            Item::Entry {
                key_span, value, ..
            } => Some(key_span.start..node_span(value).end),
            _ => None,
        })
}

/// What is between the braces of the root.
fn inside(source: &[u8]) -> Span {
    let start = source
        .iter()
        .position(|&b| b == b'{')
        .map_or(0, |at| at + 1);
    let end = source.iter().rposition(|&b| b == b'}').unwrap_or(start);
    start..end.max(start)
}

fn cut(parsed: &Parsed, edits: &mut Edits) {
    let Some(metadata) = &parsed.metadata else {
        return;
    };
    let inside = inside(parsed.source.expose());
    let before = members(parsed)
        .filter(|member| member.end <= metadata.span.start)
        .last();
    let after = members(parsed).find(|member| member.start >= metadata.span.end);
    match (before, after) {
        (Some(before), _) => edits.remove(before.end..metadata.span.end),
        (None, Some(after)) => {
            let source = parsed
                .source
                .expose()
                .get(inside.clone())
                .unwrap_or_default();
            let blanks = source.len() - source.trim_ascii_start().len();
            edits.remove(inside.start + blanks..after.start);
        }
        (None, None) => edits.remove(inside),
    }
}

/// The metadata as `from` has it, behind the last member.
fn put_back(parsed: &Parsed, from: &Parsed, edits: &mut Edits) {
    let Some(metadata) = &from.metadata else {
        return;
    };
    let source = from.source.expose();
    let old = inside(source);
    let before = members(from)
        .filter(|member| member.end <= metadata.span.start)
        .last();
    let is_last = members(from).all(|member| member.end <= metadata.span.start);
    let text = |span: Span| source.get(span).unwrap_or_default();
    let member = text(before.map_or(old.start, |before| before.end)..metadata.span.end);
    let comma = member.iter().position(|&b| !b.is_ascii_whitespace());
    let member = match comma {
        Some(at) if member.get(at) == Some(&b',') => member.get(at + 1..).unwrap_or_default(),
        _ => member,
    };
    let mut added = Secret::default();
    match members(parsed).last() {
        Some(last) => {
            added.push(b",");
            added.push(member);
            edits.replace(last.end..last.end, added);
        }
        None => {
            added.push(member);
            added.push(match is_last {
                true => text(metadata.span.end..old.end),
                false => b"\n",
            });
            edits.replace(inside(parsed.source.expose()), added);
        }
    }
}

fn add(parsed: &Parsed, node: &MetaNode, edits: &mut Edits) {
    let source = parsed.source.expose();
    let inside = inside(source);
    let Some(first) = members(parsed).next() else {
        edits.replace(
            inside,
            format!(
                "\n\t\"{METADATA}\": {}\n",
                render_metadata(node, Some("\t"), 1)
            ),
        );
        return;
    };
    let end = members(parsed).last().map_or(first.end, |last| last.end);
    let lead = source.get(inside.start..first.start).unwrap_or_default();
    let text = match lead
        .iter()
        .rposition(|&b| b == b'\n')
        .and_then(|at| lead.get(at + 1..))
    {
        Some(indent) => {
            let indent = std::str::from_utf8(indent).unwrap_or("\t");
            format!(
                ",\n{indent}\"{METADATA}\": {}",
                render_metadata(node, Some(indent), 1)
            )
        }
        None => format!(",\"{METADATA}\":{}", render_metadata(node, None, 0)),
    };
    edits.replace(end..end, text);
}
