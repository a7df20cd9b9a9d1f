//! One value, put in or taken out.

use super::{
    end_of_line,
    layout::{Key, Layout, Section, trim},
    render_value, start_of_line,
};
use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        extract::Step,
        format::{Parsed, edit::Edits},
        tree::{Item, Node, Scalar},
    },
};

/// A text with `value` at `path`: the text of a key, or a new section with one.
pub(in super::super) fn put(parsed: &Parsed, path: &[Step], value: &Node) -> Result<Secret> {
    let source = parsed.source.expose();
    let layout = read(source)?;
    let mut edits = Edits::new();
    match (path, value) {
        (
            [Step::Key(name), Step::Key(key)],
            Node::Scalar {
                value: Scalar::Str(text),
                ..
            },
        ) => {
            let section = section(&layout, name).ok_or_else(no_place)?;
            match section.keys.iter().find(|known| known.name == *key) {
                Some(known) => edits.replace(known.value_span.clone(), render_value(text)?),
                None => append(source, section, key, text, &mut edits)?,
            }
        }
        ([Step::Key(name)], Node::Map(items, _)) => {
            let mut text = Secret::default();
            if !source.is_empty() {
                text.push(if source.ends_with(b"\n") {
                    b"\n"
                } else {
                    b"\n\n"
                });
            }
            text.push(format!("[{name}]\n").as_bytes());
            for item in items {
                let Item::Entry {
                    key,
                    value:
                        Node::Scalar {
                            value: Scalar::Str(value),
                            ..
                        },
                    ..
                } = item
                else {
                    return Err(no_place());
                };
                text.push(line(key, 0, value)?.expose());
            }
            edits.replace(source.len()..source.len(), text);
        }
        _ => return Err(no_place()),
    }
    edits.apply(source)
}

/// A text without a key or section. The comment of either goes with it.
pub(in super::super) fn remove(parsed: &Parsed, path: &[Step]) -> Result<Secret> {
    let source = parsed.source.expose();
    let layout = read(source)?;
    let mut edits = Edits::new();
    match path {
        [Step::Key(name)] => {
            let section = section(&layout, name).ok_or_else(no_place)?;
            edits.remove(section.span.clone());
        }
        [Step::Key(name), Step::Key(key)] => {
            let section = section(&layout, name).ok_or_else(no_place)?;
            let key = section.keys.iter().find(|known| known.name == *key);
            remove_key(source, key.ok_or_else(no_place)?, &mut edits);
        }
        _ => return Err(no_place()),
    }
    edits.apply(source)
}

fn remove_key(source: &[u8], key: &Key, edits: &mut Edits) {
    let start = start_of_line(source, key.name_span.start);
    edits.remove(start..end_of_line(source, key.value_span.end));
    let Some(remark) = &key.remark else { return };
    let above = remark.pieces.iter().filter(|piece| piece.end <= start);
    for piece in above {
        edits.remove(start_of_line(source, piece.start)..end_of_line(source, piece.end));
    }
}

/// A new line behind the last key, or behind the header.
fn append(
    source: &[u8],
    section: &Section,
    key: &str,
    value: &Secret,
    edits: &mut Edits,
) -> Result<()> {
    let last = section.keys.iter().max_by_key(|key| key.value_span.end);
    let at = match last {
        Some(last) => end_of_line(source, last.value_span.end),
        None if section.name_span.is_empty() => 0,
        None => end_of_line(source, section.name_span.end),
    };
    // The equal sign stands where the others have it.
    let width = last.and_then(|last| {
        let lead = source.get(last.name_span.start..last.value_span.start)?;
        lead.iter().position(|&b| b == b'=')?.checked_sub(1)
    });
    let mut text = Secret::default();
    let is_ended = at == 0 || source.get(..at).is_some_and(|text| text.ends_with(b"\n"));
    text.push(if is_ended { b"" } else { b"\n" });
    text.push(line(key, width.unwrap_or_default(), value)?.expose());
    let is_header_next = at == 0 && source.starts_with(b"[");
    text.push(if is_header_next { b"\n" } else { b"" });
    edits.replace(at..at, text);
    Ok(())
}

fn line(key: &str, width: usize, value: &Secret) -> Result<Secret> {
    let quoted =
        key.contains(['"', '=', ':', '#', ';', '[']) || trim(key.as_bytes()).len() != key.len();
    let name = if quoted {
        format!("`{key}`")
    } else {
        key.to_owned()
    };
    let mut line = Secret::from(format!("{name:width$} = "));
    line.push(render_value(value)?.expose());
    line.push(b"\n");
    Ok(line)
}

fn section<'l>(layout: &'l Layout, name: &str) -> Option<&'l Section> {
    layout.sections.iter().find(|section| section.name == name)
}

fn read(source: &[u8]) -> Result<Layout> {
    let limits = Limits {
        values: usize::MAX,
        ..Limits::default()
    };
    Layout::read(source, &limits)
}

fn no_place() -> Error {
    Error::new(
        "path",
        "an INI file holds sections with keys, nothing below them",
    )
    .with_hint("name a section and a key: '[\"section\"][\"key\"]'")
}
