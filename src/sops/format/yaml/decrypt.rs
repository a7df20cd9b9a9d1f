//! Plaintext in the place of `ENC[...]`, and the metadata cut out.

use std::collections::{BTreeMap, BTreeSet};

use policy::yaml::{Content, Document, NodeId, Stream, Style};

use crate::{
    error::{Error, Result},
    secret::Secret,
    sops::{
        format::{PlainValue, Replacement, edit::Edits},
        tree::{SiteId, Span},
    },
};

use super::{
    line_end, line_start, lists,
    read::{self, Place, PlaceKind, Read},
    refuse_at,
    render::{self, Context},
};

/// Columns of a level where the file does not tell.
pub(super) const INDENT: usize = 4;

pub(super) fn splice(
    text: &str,
    read: &Read,
    replacements: &BTreeMap<SiteId, Replacement>,
) -> Result<Secret> {
    let indent = indent(&read.stream);
    let mut edits = Edits::new();
    let mut list_comments: BTreeMap<NodeId, lists::Comments> = BTreeMap::new();
    let cuts = cuts(text, &read.stream)?;
    for (site, replacement) in replacements {
        let Some(place) = read.places.get(*site) else {
            return Err(Error::new(
                "internal",
                "a replacement for a value that is not there",
            ));
        };
        let Replacement::Plain(value) = replacement else {
            return Err(Error::new("internal", "encrypted text in a decrypted file"));
        };
        if place.aliased {
            return Err(refuse_alias(text, place));
        }
        match (value, &place.kind) {
            (PlainValue::Comment(_), PlaceKind::Comment) if is_cut(&cuts, &place.span) => {}
            (PlainValue::Comment(comment), PlaceKind::Comment) => {
                edits.replace(place.span.clone(), comment_text(text, place, comment)?);
            }
            (PlainValue::Comment(comment), PlaceKind::Scalar { node, .. }) => {
                let comment = comment_text(text, place, comment)?;
                list_comments
                    .entry(place.parent)
                    .or_default()
                    .insert(*node, comment);
            }
            (PlainValue::Comment(_), PlaceKind::Alias) => return Err(refuse_alias(text, place)),
            (value, _) => replace(text, read, place, value, indent, &mut edits),
        }
    }
    for (sequence, comments) in &list_comments {
        lists::turn_into_comments(text, &read.stream, *sequence, comments, &mut edits)?;
    }
    remove_lost_comments(text, read, &cuts, &mut edits);
    for cut in &cuts {
        edits.replace(cut.span.clone(), kept(text, read, replacements, cut)?);
    }
    let mut result = edits.apply(text.as_bytes())?;
    if !result.is_empty() && !result.expose().ends_with(b"\n") {
        result.push(b"\n");
    }
    Ok(result)
}

/// Columns of one level, as the layout of the metadata shows it.
pub(super) fn indent(stream: &Stream) -> usize {
    let Some(document) = stream.documents.first() else {
        return INDENT;
    };
    let root = stream.node(document.root).column;
    let entries = read::metadata_entries(stream, document);
    let first = entries.first().map(|&(_, value)| stream.node(value));
    match first.map(|node| (&node.content, node.column)) {
        Some((Content::Mapping { flow: false, .. }, column))
            if (root + 2..root + 10).contains(&column) =>
        {
            column - root
        }
        _ => INDENT,
    }
}

/// Where the value of a site stands.
pub(super) fn context(stream: &Stream, place: &Place, indent: usize) -> Context {
    let parent = stream.node(place.parent);
    match parent.content {
        _ if place.flow => Context::Flow,
        Content::Sequence { .. } => Context::of_dash(parent.column - 1, indent),
        _ => Context::of_key(parent.column - 1, indent),
    }
}

/// Puts a value in the place of a scalar or alias. A comment behind it stays on its line.
pub(super) fn replace(
    text: &str,
    read: &Read,
    place: &Place,
    value: &PlainValue,
    indent: usize,
    edits: &mut Edits,
) {
    let rendered = render::value(value, context(&read.stream, place, indent));
    // A block that keeps its line breaks would keep the blank lines behind it, too.
    if rendered.line.expose().ends_with(b"+")
        && blank_line_follows(text, place.span.end)
        && let PlainValue::Str(value) = value
        && let Some(value) = value.expose_str()
    {
        let quoted = render::double_quoted(value);
        return replace_scalar(text, read, place, quoted, None, edits);
    }
    replace_scalar(text, read, place, rendered.line, rendered.below, edits);
}

fn blank_line_follows(text: &str, at: usize) -> bool {
    let behind = text.get(line_end(text, at)..).unwrap_or_default();
    let mut lines = behind.split('\n').skip(1);
    lines.next().is_some_and(|line| line.trim().is_empty()) && lines.next().is_some()
}

/// The same with ready text: `line` for the place itself, `below` for the lines after it.
pub(super) fn replace_scalar(
    text: &str,
    read: &Read,
    place: &Place,
    line: Secret,
    below: Option<Secret>,
    edits: &mut Edits,
) {
    let mut span = place.span.clone();
    if let PlaceKind::Scalar { node, style } = place.kind {
        remove_tag(text, &read.stream, node, edits);
        if matches!(style, Style::Literal | Style::Folded) {
            let header = line_end(text, span.start).min(span.end);
            let comment = text
                .get(span.start..header)
                .and_then(|header| header.find('#'))
                .map(|at| span.start + at);
            if let Some(comment) = comment {
                let blank = text.get(span.start..comment).unwrap_or_default();
                let header_end = span.start + blank.trim_end().len();
                edits.remove(header..span.end);
                span.end = header_end;
            }
        }
    }
    if span.is_empty()
        && text
            .get(..span.start)
            .is_some_and(|before| before.ends_with([':', '-', '?']))
    {
        edits.replace(span.clone(), " ".to_owned());
    }
    let after = span.end;
    let touches = text
        .get(span.end..)
        .is_some_and(|rest| rest.starts_with('#'));
    edits.replace(span.clone(), line);
    if touches {
        // Behind quotes a comment needs no blank.
        edits.replace(span.end..span.end, " ".to_owned());
    }
    if let Some(below) = below {
        let end = line_end(text, after);
        edits.replace(end..end, below);
    }
}

/// An explicit tag says what the old text was.
fn remove_tag(text: &str, stream: &Stream, node: NodeId, edits: &mut Edits) {
    let node = stream.node(node);
    let Some(tag) = &node.tag else { return };
    let rest = text.get(tag.span.end..).unwrap_or_default();
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    edits.remove(tag.span.start..tag.span.end + blanks);
}

fn comment_text(text: &str, place: &Place, comment: &Secret) -> Result<Secret> {
    let is_line = comment
        .expose_str()
        .is_some_and(|text| !text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']));
    if !is_line {
        let error = Error::new("comment", "an encrypted comment is not one line of text")
            .with_hint("delete its line: comments are not part of the MAC");
        return Err(refuse_at(text, place.span.start, error));
    }
    let mut line = Secret::with_capacity(comment.len() + 1);
    line.push(b"#");
    line.push(comment.expose());
    Ok(line)
}

/// sops writes an encrypted comment into the braces of an empty mapping and never finds it again: go-yaml gives it to
/// no node. Nothing opens it, and as text it is of no use.
fn remove_lost_comments(text: &str, read: &Read, cuts: &[Cut], edits: &mut Edits) {
    let comments = read
        .places
        .iter()
        .filter(|place| matches!(place.kind, PlaceKind::Comment));
    let found: BTreeSet<usize> = comments.map(|place| place.span.start).collect();
    for comment in &read.stream.comments {
        let before = text.get(..comment.start).unwrap_or_default();
        let after = text.get(comment.end..).unwrap_or_default();
        let is_lost = !found.contains(&comment.start)
            && !is_cut(cuts, comment)
            && text
                .get(comment.clone())
                .is_some_and(|comment| comment.starts_with("#ENC["));
        let opened = before.trim_ascii_end();
        let closed = after.trim_ascii_start();
        if is_lost && opened.ends_with('{') && closed.starts_with('}') {
            edits.remove(opened.len()..text.len() - closed.len());
        }
    }
}

pub(super) fn refuse_alias(text: &str, place: &Place) -> Error {
    let error = Error::new("alias", "an alias of a mapping or list stands for encrypted values")
        .with_hint("write the content out in place of the alias: every encrypted value belongs to its own path");
    refuse_at(text, place.span.start, error)
}

/// The metadata of one document.
struct Cut {
    span: Span,
    /// Nothing else is in the document.
    only: bool,
    flow: bool,
}

fn is_cut(cuts: &[Cut], span: &Span) -> bool {
    cuts.iter()
        .any(|cut| cut.span.start <= span.start && span.start < cut.span.end)
}

fn cuts(text: &str, stream: &Stream) -> Result<Vec<Cut>> {
    let mut cuts = Vec::new();
    for document in &stream.documents {
        for (key, value) in read::metadata_entries(stream, document) {
            let cut = match &stream.node(document.root).content {
                Content::Mapping {
                    flow: true,
                    entries,
                } => cut_flow(text, stream, document, entries, key, value),
                Content::Mapping { entries, .. } => {
                    cut_block(text, stream, entries.len() == 1, key, value)
                }
                _ => continue,
            };
            cuts.push(cut);
        }
    }
    Ok(cuts)
}

fn cut_block(text: &str, stream: &Stream, only: bool, key: NodeId, value: NodeId) -> Cut {
    let start = stream.node(key).outer_start();
    let line = line_start(text, start);
    // `--- sops:` and `? sops` are possible, if nobody writes them.
    let before = text.get(line..start).unwrap_or_default();
    let start = match before.trim_start() {
        "" => line,
        "?" => line + before.len() - 1,
        _ => start,
    };
    let end = line_end(
        text,
        stream.node(value).span.end.max(stream.node(key).span.end),
    );
    let rest = text.get(end..).unwrap_or_default();
    let end = end
        + if rest.starts_with("\r\n") {
            2
        } else {
            usize::from(rest.starts_with('\n'))
        };
    let rest = text.get(end..).unwrap_or_default();
    // Blanks of a last line that has nothing else are what is left of the metadata.
    let end = if rest.trim_start_matches([' ', '\t']).is_empty() {
        text.len()
    } else {
        end
    };
    Cut {
        span: start..end,
        only,
        flow: false,
    }
}

fn cut_flow(
    text: &str,
    stream: &Stream,
    document: &Document,
    entries: &[(NodeId, NodeId)],
    key: NodeId,
    value: NodeId,
) -> Cut {
    let index = entries
        .iter()
        .position(|&(other, _)| other == key)
        .unwrap_or_default();
    let end = stream.node(value).span.end;
    let start = stream.node(key).outer_start();
    let span = match (
        index.checked_sub(1).and_then(|before| entries.get(before)),
        entries.get(index + 1),
    ) {
        (_, Some(&(next, _))) => start..stream.node(next).outer_start(),
        (Some(&(_, before)), None) => stream.node(before).span.end..end,
        (None, None) => {
            let root = &stream.node(document.root).span;
            start
                ..text
                    .get(..root.end.saturating_sub(1))
                    .map_or(end, |inner| inner.trim_end().len())
                    .max(end)
        }
    };
    Cut {
        span,
        only: false,
        flow: true,
    }
}

/// What is left of a cut: comments that sops counts as data, and `{}` where nothing else is in the document.
fn kept(
    text: &str,
    read: &Read,
    replacements: &BTreeMap<SiteId, Replacement>,
    cut: &Cut,
) -> Result<Secret> {
    let mut kept = Secret::default();
    if cut.flow {
        return Ok(kept);
    }
    let mut seen = BTreeSet::new();
    for (site, place) in read.places.iter().enumerate() {
        let inside = cut.span.start <= place.span.start && place.span.end <= cut.span.end;
        if !inside || !matches!(place.kind, PlaceKind::Comment) || !seen.insert(place.span.start) {
            continue;
        }
        match replacements.get(&site) {
            Some(Replacement::Plain(PlainValue::Comment(comment))) => {
                kept.push(comment_text(text, place, comment)?.expose());
            }
            _ => kept.push(text.get(place.span.clone()).unwrap_or_default().as_bytes()),
        }
        kept.push(b"\n");
    }
    if cut.only {
        kept.push(b"{}\n");
    }
    Ok(kept)
}
