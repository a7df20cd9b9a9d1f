//! One value, put in or taken out.

use super::{inside, item_start, node_span, quote, render};
use crate::{
    error::{Error, Result},
    secret::Secret,
    sops::{
        extract::Step,
        format::{Parsed, PlainValue, edit::Edits},
        tree::{Item, Node, Scalar, Span},
        value::plain_value,
    },
};

/// A text with `value` at `path`.
pub(in super::super) fn put(
    parsed: &Parsed,
    path: &[Step],
    present: bool,
    value: &Node,
) -> Result<Secret> {
    let source = parsed.source.expose();
    let layout = Layout::of(parsed);
    let Container { items, span, last } = container(parsed, path)?;
    let level = path.len();
    let mut edits = Edits::new();
    if present {
        let (_, old) = position(items, last).ok_or_else(nothing_there)?;
        let text = layout.render(value, layout.unit.as_deref(), level)?;
        edits.replace(node_span(old).clone(), text);
        return edits.apply(source);
    }
    let entry = |unit: Option<&str>| {
        let mut text = Secret::default();
        if let Step::Key(key) = last {
            text.push(quote(key.as_bytes()).expose());
            text.push(layout.colon.as_bytes());
        }
        text.push(layout.render(value, unit, level)?.expose());
        Ok::<_, Error>(text)
    };
    let unit = layout.unit.as_deref();
    match items.last() {
        Some(before) => {
            let start = item_start(before, span.start);
            let lead = source.get(..start).unwrap_or_default();
            let lead = lead.get(lead.trim_ascii_end().len()..).unwrap_or_default();
            let on_lines = lead.contains(&b'\n');
            let mut text = Secret::default();
            text.push(b",");
            text.push(match lead {
                [] if layout.colon.ends_with(' ') => b" ",
                lead => lead,
            });
            text.push(entry(unit.filter(|_| on_lines))?.expose());
            let end = end_of(before);
            edits.replace(end..end, text);
        }
        None => {
            let mut text = Secret::default();
            if let Some(unit) = unit {
                text.push(format!("\n{}", unit.repeat(level)).as_bytes());
            }
            text.push(entry(unit)?.expose());
            if let Some(unit) = unit {
                text.push(format!("\n{}", unit.repeat(level - 1)).as_bytes());
            }
            edits.replace(span.start + 1..span.end - 1, text);
        }
    }
    edits.apply(source)
}

/// A text without what is at `path`.
pub(in super::super) fn remove(parsed: &Parsed, path: &[Step]) -> Result<Secret> {
    let Container { items, span, last } = container(parsed, path)?;
    let (at, _) = position(items, last).ok_or_else(nothing_there)?;
    let mut edits = Edits::new();
    let previous = at.checked_sub(1).and_then(|before| items.get(before));
    match (previous, items.get(at), items.get(at + 1)) {
        (_, Some(item), Some(next)) => {
            edits.remove(item_start(item, span.start)..item_start(next, span.end));
        }
        (Some(previous), Some(item), None) => edits.remove(end_of(previous)..end_of(item)),
        _ => edits.remove(span.start + 1..span.end - 1),
    }
    edits.apply(parsed.source.expose())
}

/// What the last step of a path is in.
struct Container<'t, 'p> {
    items: &'t [Item],
    /// With its brackets.
    span: Span,
    last: &'p Step,
}

fn container<'t, 'p>(parsed: &'t Parsed, path: &'p [Step]) -> Result<Container<'t, 'p>> {
    let inner = inside(parsed.source.expose());
    let mut span = inner.start.saturating_sub(1)..inner.end + 1;
    let first = parsed.tree.documents.first();
    let mut items = first.map(Vec::as_slice).unwrap_or_default();
    let Some((last, steps)) = path.split_last() else {
        return Err(nothing_there());
    };
    for step in steps {
        match position(items, step) {
            Some((_, Node::Map(inner, place) | Node::List(inner, place))) => {
                items = inner;
                span = place.clone();
            }
            _ => return Err(nothing_there()),
        }
    }
    Ok(Container { items, span, last })
}

fn position<'t>(items: &'t [Item], step: &Step) -> Option<(usize, &'t Node)> {
    items
        .iter()
        .enumerate()
        .find_map(|(at, item)| match (item, step) {
            (Item::Entry { key, value, .. }, Step::Key(wanted)) if key == wanted => {
                Some((at, value))
            }
            (Item::Element(value), Step::Index(wanted)) if at == *wanted => Some((at, value)),
            _ => None,
        })
}

fn end_of(item: &Item) -> usize {
    match item {
        Item::Entry { value, .. } | Item::Element(value) => node_span(value).end,
        Item::Comment(comment) => comment.span.end,
    }
}

fn nothing_there() -> Error {
    Error::new(
        "internal",
        "the path leads to nothing that could be changed",
    )
}

/// How the file is written.
struct Layout {
    /// One level of indentation; none where all is on one line.
    unit: Option<String>,
    /// Between a key and its value.
    colon: String,
}

impl Layout {
    fn of(parsed: &Parsed) -> Self {
        let source = parsed.source.expose();
        let text =
            |span: Span| String::from_utf8_lossy(source.get(span).unwrap_or_default()).into_owned();
        let first = parsed.tree.documents.iter().flatten().next();
        let Some(Item::Entry {
            key_span, value, ..
        }) = first
        else {
            return Self {
                unit: Some("\t".to_owned()),
                colon: ": ".to_owned(),
            };
        };
        let lead = text(inside(source).start..key_span.start);
        Self {
            unit: lead.rsplit_once('\n').map(|(_, indent)| indent.to_owned()),
            colon: text(key_span.end..node_span(value).start),
        }
    }

    fn render(&self, node: &Node, unit: Option<&str>, level: usize) -> Result<Secret> {
        let (open, close, items) = match node {
            Node::Map(items, _) => (b"{", b"}", items),
            Node::List(items, _) => (b"[", b"]", items),
            Node::Scalar { value, .. } => return scalar(value),
        };
        let mut text = Secret::default();
        text.push(open);
        for (index, item) in items.iter().enumerate() {
            let (key, value) = match item {
                Item::Entry { key, value, .. } => (Some(key), value),
                Item::Element(value) => (None, value),
                Item::Comment(_) => continue,
            };
            text.push(match (index, unit) {
                (0, _) => b"",
                (_, None) if self.colon.ends_with(' ') => b", ",
                (_, _) => b",",
            });
            if let Some(unit) = unit {
                text.push(format!("\n{}", unit.repeat(level + 1)).as_bytes());
            }
            if let Some(key) = key {
                text.push(quote(key.as_bytes()).expose());
                text.push(self.colon.as_bytes());
            }
            text.push(self.render(value, unit, level + 1)?.expose());
        }
        if let Some(unit) = unit.filter(|_| !items.is_empty()) {
            text.push(format!("\n{}", unit.repeat(level)).as_bytes());
        }
        text.push(close);
        Ok(text)
    }
}

/// A float stays one.
fn scalar(value: &Scalar) -> Result<Secret> {
    let Some(value) = plain_value(value)? else {
        return Ok(Secret::from("null".to_owned()));
    };
    let mut text = render(&value)?;
    let is_whole = text
        .expose()
        .iter()
        .all(|b| b.is_ascii_digit() || *b == b'-');
    if matches!(value, PlainValue::Float(_)) && is_whole {
        text.push(b".0");
    }
    Ok(text)
}
