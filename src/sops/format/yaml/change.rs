//! Metadata that changes in place, in every document.

use policy::yaml::{Content, Document, NodeId, Stream};

use crate::{
    error::{Error, Result},
    sops::{
        format::{change, edit::Edits},
        tree::{MetaNode, Span},
    },
};

use super::{
    column, decrypt, line_end, line_start, metadata,
    read::{self, Read},
    render::{self, Context},
};

/// Edits that put `new` in the place of each document's metadata.
pub(super) fn edits(text: &str, read: &Read, new: &MetaNode, edits: &mut Edits) -> Result<()> {
    let indent = decrypt::indent(&read.stream);
    for document in &read.stream.documents {
        for (key, value) in read::metadata_entries(&read.stream, document) {
            let old = metadata::read(&read.stream, value)?;
            let in_place = change::changes(&Block { indent }, text, &old, new)
                .filter(|_| !is_flow(&read.stream, value));
            match in_place {
                Some(changes) => {
                    for (span, part) in changes {
                        edits.replace(span, part);
                    }
                }
                None => whole(text, &read.stream, document, (key, value), new, edits)?,
            }
        }
    }
    Ok(())
}

fn is_flow(stream: &Stream, value: NodeId) -> bool {
    matches!(
        stream.node(value).content,
        Content::Mapping { flow: true, .. } | Content::Alias { .. }
    )
}

/// Writes the entry anew.
fn whole(
    text: &str,
    stream: &Stream,
    document: &Document,
    (key, value): (NodeId, NodeId),
    new: &MetaNode,
    edits: &mut Edits,
) -> Result<()> {
    let span = stream.node(value).span.clone();
    if let Content::Mapping { flow: true, .. } = stream.node(document.root).content {
        edits.replace(span, metadata::write_flow(new));
        return Ok(());
    }
    let start = line_start(text, stream.node(key).outer_start());
    let before = text.get(start..stream.node(key).span.start);
    if before.is_none_or(|before| !before.trim().is_empty()) {
        return Err(Error::new(
            "metadata",
            "the sops entry does not begin on a line of its own, so it cannot be changed in place",
        )
        .with_hint("bring the file into the layout of sops: sops rotate --in-place"));
    }
    let prefix = before.unwrap_or_default();
    let mut lines = String::new();
    for line in metadata::write(new, decrypt::indent(stream)).lines() {
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(prefix);
        lines.push_str(line);
    }
    edits.replace(start..line_end(text, span.end), lines);
    Ok(())
}

/// Block style, a key or element on each line.
struct Block {
    indent: usize,
}

impl change::Syntax for Block {
    fn scalar(&self, source: &str, place: &Span, new: &str) -> Option<String> {
        let old = source.get(place.clone())?;
        if old.starts_with('"') {
            return Some(render::double_quoted(new).expose_str()?.to_owned());
        }
        if let Some(body) = old.strip_prefix("|\n")
            && let Some(lines) = new.strip_suffix('\n')
            && !lines.ends_with('\n')
            && !lines.starts_with([' ', '\n'])
        {
            // Like the old lines, however far these are indented.
            let indent: String = body.chars().take_while(|char| *char == ' ').collect();
            return Some(format!(
                "|\n{indent}{}",
                lines.replace('\n', &format!("\n{indent}"))
            ));
        }
        let line = line_start(source, place.start);
        let lead = source.get(line..place.start)?;
        let key = lead.len() - lead.trim_start_matches([' ', '-']).len();
        let rendered = render::string(new, Context::of_key(key, self.indent));
        Some(rendered.join().expose_str()?.to_owned())
    }

    fn element(&self, source: &str, place: &Span) -> Option<Span> {
        let start = line_start(source, place.start);
        let lead = source.get(start..place.start)?.trim_start_matches(' ');
        let after_dash = lead.strip_prefix('-')?;
        (after_dash.trim().is_empty() && column(source, place.start) > 0)
            .then(|| start..line_end(source, place.end))
    }

    fn joint(&self, source: &str, _: &Span, elements: &[Span]) -> Option<String> {
        let joint = elements
            .windows(2)
            .map(|pair| match pair {
                [left, right] => source.get(left.end..right.start),
                _ => None,
            })
            .next()
            .unwrap_or(Some("\n"))?;
        let all_alike = elements.windows(2).all(
            |pair| matches!(pair, [left, right] if source.get(left.end..right.start) == Some(joint)),
        );
        (joint.trim().is_empty() && all_alike).then(|| joint.to_owned())
    }
}
