//! YAML, as sops reads and writes it with go-yaml v3: every document of the file, comments in the order in which go-yaml
//! gives them out, aliases expanded.
//!
//! What sops prints anew, is edited here in place. For a file laid out as sops writes it both give the same bytes, with
//! two exceptions: a comment behind a value stays there (sops moves it above), and a string that sops would print so
//! that it reads back as another is put in double quotes.

mod assign;
mod change;
mod decrypt;
mod encrypt;
mod lists;
mod metadata;
mod print;
mod read;
mod render;

pub(super) use assign::{put, remove};
pub(crate) use print::print;

use std::collections::BTreeMap;

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        format::{MetadataEdit, Parsed, Replacement, edit::Edits},
        tree::SiteId,
    },
};

/// Reads all documents.
pub(crate) fn read(source: Secret, limits: &Limits) -> Result<Parsed> {
    let source = to_utf8(source)?;
    let Some(text) = source.expose_str() else {
        return Err(not_utf8());
    };
    let read = read::read(text, limits)?;
    Ok(Parsed {
        tree: read.tree,
        metadata: read.metadata,
        source,
    })
}

/// Puts new text into the source.
pub(crate) fn splice(
    parsed: &Parsed,
    replacements: &BTreeMap<SiteId, Replacement>,
    metadata: MetadataEdit<'_>,
) -> Result<Secret> {
    let Some(text) = parsed.source.expose_str() else {
        return Err(not_utf8());
    };
    // The text was within its limits when it was read.
    let limits = Limits {
        nesting: usize::MAX,
        values: usize::MAX,
        ..Limits::default()
    };
    let read = read::read(text, &limits)?;
    match metadata {
        MetadataEdit::Add(node) => {
            let blocks = vec![encrypt::Block::new(node)];
            encrypt::splice(text, &read, replacements, &blocks)
        }
        MetadataEdit::Return(from) => {
            let Some(from) = from.source.expose_str() else {
                return Err(not_utf8());
            };
            let blocks = encrypt::blocks(from, &read::read(from, &limits)?)?;
            encrypt::splice(text, &read, replacements, &blocks)
        }
        MetadataEdit::Change(node) if replacements.is_empty() => {
            let mut edits = Edits::new();
            change::edits(text, &read, node, &mut edits)?;
            edits.apply(text.as_bytes())
        }
        MetadataEdit::Change(_) => Err(Error::new(
            "internal",
            "values and metadata are changed one after the other",
        )),
        MetadataEdit::Keep => encrypt::splice(text, &read, replacements, &[]),
        MetadataEdit::Cut => decrypt::splice(text, &read, replacements),
    }
}

/// UTF-8 without a byte order mark.
fn to_utf8(source: Secret) -> Result<Secret> {
    let text = policy::yaml::decode(source.expose()).map_err(|error| {
        let position = Position::from(&error);
        Error::new("encoding", error.message).with_position(position)
    })?;
    if text.len() == source.len() {
        return Ok(source);
    }
    Ok(Secret::new(text.into_owned().into_bytes()))
}

fn not_utf8() -> Error {
    Error::new("internal", "the text of a YAML file is not UTF-8")
}

/// Column of a byte, from 0, in characters.
fn column(text: &str, offset: usize) -> usize {
    let line = text
        .get(..offset)
        .unwrap_or_default()
        .rsplit('\n')
        .next()
        .unwrap_or_default();
    line.chars().count()
}

/// Where the line of a byte starts.
fn line_start(text: &str, offset: usize) -> usize {
    text.get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1)
}

/// Where the line of a byte ends, before its line break.
fn line_end(text: &str, offset: usize) -> usize {
    let rest = text.get(offset..).unwrap_or_default();
    let end = offset + rest.find('\n').unwrap_or(rest.len());
    if text
        .get(..end)
        .is_some_and(|line| end > offset && line.ends_with('\r'))
    {
        end - 1
    } else {
        end
    }
}

fn refuse_at(text: &str, offset: usize, error: Error) -> Error {
    error.with_position(Position::of(text.as_bytes(), offset))
}

#[cfg(test)]
mod tests;
