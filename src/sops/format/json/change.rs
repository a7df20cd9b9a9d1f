//! Metadata that changes in place.

use super::{quote_str, render_metadata};
use crate::{
    error::{Error, Result},
    sops::{
        format::{Parsed, change, edit::Edits},
        tree::{MetaNode, Span},
    },
};

/// Edits that put `new` in the place of the metadata.
pub(super) fn edits(parsed: &Parsed, new: &MetaNode, edits: &mut Edits) -> Result<()> {
    let (Some(old), Some(source)) = (&parsed.metadata, parsed.source.expose_str()) else {
        return Err(Error::new(
            "encoding",
            "the file is not UTF-8, so its metadata cannot be changed in place",
        )
        .with_hint("bring the file into the layout of sops: sops rotate --in-place"));
    };
    match change::changes(&Json, source, old, new) {
        Some(changes) => {
            for (span, part) in changes {
                edits.replace(span, part);
            }
        }
        None => edits.replace(old.span.clone(), whole(source, old, new)),
    }
    Ok(())
}

/// The object anew, with the indentation of the old one.
fn whole(source: &str, old: &MetaNode, new: &MetaNode) -> String {
    let written = source.get(old.span.clone()).unwrap_or_default();
    let indent_of = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let mut lines = written.split('\n');
    let inner = lines.nth(1).map(|line| line.get(..indent_of(line)));
    let line = source.get(..old.span.start).unwrap_or_default();
    let line = line.rsplit('\n').next().unwrap_or_default();
    let outer = line.get(..indent_of(line)).unwrap_or_default();
    let one = match inner.flatten().map(|inner| inner.strip_prefix(outer)) {
        Some(Some(one)) if !one.is_empty() => Some(one),
        Some(_) => Some("\t"),
        None => None,
    };
    let level = one.map_or(0, |one| outer.len() / one.len());
    render_metadata(new, one, level)
}

struct Json;

impl change::Syntax for Json {
    fn scalar(&self, source: &str, place: &Span, text: &str) -> Option<String> {
        let quoted = source.get(place.clone())?.starts_with('"');
        Some(if quoted {
            quote_str(text)
        } else {
            text.to_owned()
        })
    }

    fn element(&self, _: &str, place: &Span) -> Option<Span> {
        Some(place.clone())
    }

    fn joint(&self, source: &str, place: &Span, elements: &[Span]) -> Option<String> {
        match elements {
            [left, right, ..] => Some(source.get(left.end..right.start)?.to_owned()),
            [only] => Some(format!(",{}", source.get(place.start + 1..only.start)?)),
            [] => None,
        }
    }
}
