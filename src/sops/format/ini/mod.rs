//! INI files: sections of keys, everything text. [`layout`] says where everything stands; here it becomes a tree, and new
//! text is put in.

mod assign;
mod layout;

pub(super) use assign::{put, remove};

use std::collections::BTreeMap;

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        format::{
            MetadataEdit, Parsed, PlainValue, Replacement, dotenv::text_of, edit::Edits, flat,
        },
        tree::{Comment, Item, MetaNode, Node, Scalar, SiteId, Span, Tree},
    },
};
use layout::{Key, Layout, Remark, Section, trim};

/// The section with the metadata.
const METADATA: &str = "sops";

/// Reads a file.
pub(crate) fn read(source: Secret, limits: &Limits) -> Result<Parsed> {
    let layout = Layout::read(source.expose(), limits)?;
    let mut sites = 0;
    let mut items = Vec::new();
    let mut metadata = None;
    for section in layout.sections {
        if section.name != METADATA {
            items.push(section_item(section, &mut sites));
            continue;
        }
        let place = Position::of(source.expose(), section.name_span.start);
        if metadata.is_some() {
            return Err(
                Error::new("metadata", "there is a second [sops] section").with_position(place)
            );
        }
        metadata = Some(section_metadata(section).map_err(|error| error.with_position(place))?);
    }
    Ok(Parsed {
        source,
        tree: Tree {
            documents: vec![items],
            sites,
        },
        metadata,
    })
}

/// Puts new text into the source.
pub(crate) fn splice(
    parsed: &Parsed,
    replacements: &BTreeMap<SiteId, Replacement>,
    metadata: MetadataEdit<'_>,
) -> Result<Secret> {
    let source = parsed.source.expose();
    let layout = Layout::read(
        source,
        &Limits {
            values: usize::MAX,
            ..Limits::default()
        },
    )?;
    let mut splicer = Splicer {
        source,
        replacements,
        edits: Edits::new(),
        site: 0,
    };
    for section in layout
        .sections
        .iter()
        .filter(|section| section.name != METADATA)
    {
        splicer.section(section)?;
    }
    match metadata {
        MetadataEdit::Cut => cut(source, &layout, &mut splicer.edits),
        MetadataEdit::Add(node) => {
            refuse_what_would_be_lost(source, &layout)?;
            splicer
                .edits
                .replace(source.len()..source.len(), block(source, node)?);
        }
        MetadataEdit::Change(node) => change(source, &layout, node, &mut splicer.edits)?,
        MetadataEdit::Keep => {}
        MetadataEdit::Return(from) => {
            refuse_what_would_be_lost(source, &layout)?;
            let block = returned(source, from.source.expose())?;
            splicer.edits.replace(source.len()..source.len(), block);
        }
    }
    splicer.edits.apply(source)
}

fn section_item(section: Section, sites: &mut usize) -> Item {
    let mut next = || {
        *sites += 1;
        *sites - 1
    };
    let mut items = Vec::new();
    items.extend(section.remark.map(|remark| comment(remark, next())));
    for key in section.keys {
        let value = Node::Scalar {
            site: next(),
            value: Scalar::Str(key.value),
            span: key.value_span,
        };
        items.push(Item::Entry {
            key: key.name,
            key_span: key.name_span,
            value,
        });
        // sops puts the comment of a key behind it.
        items.extend(key.remark.map(|remark| comment(remark, next())));
    }
    Item::Entry {
        key: section.name,
        key_span: section.name_span,
        value: Node::Map(items, section.span),
    }
}

fn comment(remark: Remark, site: SiteId) -> Item {
    let start = remark.pieces.first().map_or(0, |piece| piece.start);
    let end = remark.pieces.last().map_or(start, |piece| piece.end);
    Item::Comment(Comment {
        site,
        text: remark.text,
        span: start..end,
        inline: remark.inline,
    })
}

/// Line breaks are two characters in it, but for 3.13.0 and 3.13.1, which wrote real ones.
fn section_metadata(section: Section) -> Result<MetaNode> {
    let mut fields = Vec::new();
    for key in section.keys {
        let Some(text) = key.value.expose_str() else {
            return Err(Error::new("metadata", "the metadata is not UTF-8"));
        };
        fields.push(flat::Flat {
            key: key.name,
            text: text.replace("\\n", "\n"),
            span: key.value_span,
        });
    }
    flat::nest(fields, section.span)
}

struct Splicer<'a> {
    source: &'a [u8],
    replacements: &'a BTreeMap<SiteId, Replacement>,
    edits: Edits,
    site: SiteId,
}

impl<'a> Splicer<'a> {
    fn section(&mut self, section: &Section) -> Result<()> {
        if let Some(remark) = &section.remark {
            self.remark(remark, section.name_span.start, None)?;
        }
        section.keys.iter().try_for_each(|key| self.key(key))
    }

    fn key(&mut self, key: &Key) -> Result<()> {
        // Behind a value in these quotes no comment is seen.
        let mut hides_comment = false;
        let text = match self.next() {
            Some(Replacement::Encrypted(text)) => Some(Secret::from(text.clone())),
            Some(Replacement::Plain(value)) => {
                let at = || Position::of(self.source, key.name_span.start);
                let text =
                    render_value(&text_of(value)).map_err(|error| error.with_position(at()))?;
                hides_comment =
                    text.expose().starts_with(b"`") || text.expose().starts_with(b"\"\"\"");
                Some(text)
            }
            None => None,
        };
        if let Some(text) = text {
            self.edits.replace(key.value_span.clone(), text);
        }
        match &key.remark {
            Some(remark) => self.remark(remark, key.name_span.start, Some(hides_comment)),
            None => Ok(()),
        }
    }

    /// A comment comes back as sops prints it: each line with a comment character and a blank. `owner` is where the key
    /// or section has its name; for a key, `of_key` says whether a comment behind the value would be lost.
    fn remark(&mut self, remark: &Remark, owner: usize, of_key: Option<bool>) -> Result<()> {
        let lines = match self.next() {
            None => None,
            Some(Replacement::Encrypted(text)) => Some(Secret::from(format!("; {text}"))),
            Some(Replacement::Plain(PlainValue::Comment(text))) => {
                Some(render_comment(text, of_key.is_some()))
            }
            Some(Replacement::Plain(_)) => {
                return Err(Error::new("internal", "a value in the place of a comment"));
            }
        };
        let (above, behind) = match remark.pieces.split_last() {
            Some((last, others)) if remark.inline => (others, Some(last)),
            _ => (remark.pieces.as_slice(), None),
        };
        match (lines, above.split_first(), behind) {
            (Some(lines), Some((first, others)), behind) => {
                self.edits.replace(first.clone(), lines);
                for piece in others {
                    let line = start_of_line(self.source, piece.start)
                        ..end_of_line(self.source, piece.end);
                    self.edits.remove(line);
                }
                if let Some(piece) = behind {
                    self.edits.remove(piece.clone());
                }
            }
            (Some(lines), None, Some(piece)) => {
                // A header reaches to the last bracket of its line, and encrypted text has brackets.
                if of_key.unwrap_or(true) || lines.expose().contains(&b'\n') {
                    self.move_above(lines, piece, owner);
                } else {
                    self.edits.replace(piece.clone(), lines);
                }
            }
            (None, _, Some(piece)) if of_key == Some(true) => {
                let text = self.source.get(piece.clone()).unwrap_or_default();
                self.move_above(Secret::new(text.to_vec()), piece, owner);
            }
            (None, _, _) | (Some(_), None, None) => {}
        }
        Ok(())
    }

    fn move_above(&mut self, mut lines: Secret, piece: &Span, owner: usize) {
        let line_start = start_of_line(self.source, owner);
        lines.push(b"\n");
        self.edits.replace(line_start..line_start, lines);
        self.edits.remove(piece.clone());
    }

    fn next(&mut self) -> Option<&'a Replacement> {
        let site = self.site;
        self.site += 1;
        self.replacements.get(&site)
    }
}

fn start_of_line(source: &[u8], at: usize) -> usize {
    let before = source.get(..at).unwrap_or_default();
    before
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |at| at + 1)
}

/// Behind the line break.
fn end_of_line(source: &[u8], at: usize) -> usize {
    let after = source.get(at..).unwrap_or_default();
    at + after
        .iter()
        .position(|&b| b == b'\n')
        .map_or(after.len(), |at| at + 1)
}

fn cut(source: &[u8], layout: &Layout, edits: &mut Edits) {
    edits.remove(metadata_span(source, layout));
}

/// The metadata with what stands between it and the data; empty where there is none.
fn metadata_span(source: &[u8], layout: &Layout) -> Span {
    let mut sections = layout.sections.iter();
    let at = sections.position(|section| section.name == METADATA);
    let Some((at, section)) = at.and_then(|at| Some((at, layout.sections.get(at)?))) else {
        return 0..0;
    };
    let mut start = section.span.start;
    // sops 3.7 ends every INI file with a blank line, also a decrypted one: then the one before the metadata stays.
    if at + 1 == layout.sections.len() && !source.ends_with(b"\n\n") {
        // The blank line before it goes, too.
        let before = source.get(..start).unwrap_or_default();
        let content = before.trim_ascii_end().len();
        start = if content == 0 {
            0
        } else {
            before
                .len()
                .min(content + line_feed(before.get(content..).unwrap_or_default()))
        };
    }
    start..section.span.end
}

/// The metadata as `from` has it, to stand behind `source`.
fn returned(source: &[u8], from: &[u8]) -> Result<Secret> {
    let limits = Limits {
        values: usize::MAX,
        ..Limits::default()
    };
    let span = metadata_span(from, &Layout::read(from, &limits)?);
    let block = from.get(span).unwrap_or_default();
    let mut returned = Secret::default();
    if !source.is_empty() {
        returned.push(if source.ends_with(b"\n") { b"" } else { b"\n" });
        // Of a section that is not the last one the blank line before it stays with the data.
        let is_apart = block.starts_with(b"\n") || source.ends_with(b"\n\n");
        returned.push(if is_apart { b"" } else { b"\n" });
    }
    returned.push(match source {
        [] => block.trim_ascii_start(),
        _ => block,
    });
    Ok(returned)
}

/// A new line has its equal sign where the others have it, if its key is not too long.
fn change(source: &[u8], layout: &Layout, new: &MetaNode, edits: &mut Edits) -> Result<()> {
    let mut sections = layout.sections.iter();
    let Some(section) = sections.find(|section| section.name == METADATA) else {
        return Err(Error::new("internal", "no metadata that could be changed"));
    };
    let mut old = Vec::new();
    for key in &section.keys {
        let start = start_of_line(source, key.name_span.start);
        let end = end_of_line(source, key.value_span.end);
        old.push(flat::Line {
            key: key.name.clone(),
            text: key
                .value
                .expose_str()
                .unwrap_or_default()
                .replace("\\n", "\n"),
            value: key.value_span.clone(),
            whole: start..end,
        });
    }
    let width = section
        .keys
        .iter()
        .filter_map(|key| {
            let lead = source.get(key.name_span.start..key.value_span.start)?;
            lead.iter().position(|&b| b == b'=')?.checked_sub(1)
        })
        .max()
        .unwrap_or(0);
    let value = |text: &str| render_value(&Secret::from(text.replace('\n', "\\n")));
    flat::change(source, &old, new, edits, value, |key, text| {
        let mut line = Secret::from(format!("{key:width$} = "));
        line.push(value(text)?.expose());
        Ok(line)
    })
}

/// Length up to and with the first line feed.
fn line_feed(blanks: &[u8]) -> usize {
    blanks
        .iter()
        .position(|&b| b == b'\n')
        .map_or(0, |at| at + 1)
}

/// sops would drop these, and here they would stay in clear in an encrypted file.
fn refuse_what_would_be_lost(source: &[u8], layout: &Layout) -> Result<()> {
    if let Some(span) = &layout.trailing {
        return Err(Error::new(
            "comment",
            "a comment at the end of an INI file belongs to nothing, and sops loses it",
        )
        .with_position(Position::of(source, span.start))
        .with_hint("move it above a key or delete it"));
    }
    for key in layout.sections.iter().flat_map(|section| &section.keys) {
        if let Some(span) = &key.shadowed {
            return Err(Error::new(
                "duplicate-key",
                "a key is given twice, and the first value counts for nothing",
            )
            .with_position(Position::of(source, span.start))
            .with_hint("delete the value that is not meant"));
        }
    }
    Ok(())
}

/// The metadata section, its equal signs in one column.
fn block(source: &[u8], node: &MetaNode) -> Result<Secret> {
    let mut block = Secret::default();
    if !source.is_empty() {
        block.push(if source.ends_with(b"\n") {
            b"\n"
        } else {
            b"\n\n"
        });
    }
    block.push(format!("[{METADATA}]\n").as_bytes());
    let fields = flat::flatten(node);
    let width = fields.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, text) in fields {
        block.push(format!("{key:width$} = ").as_bytes());
        block.push(render_value(&Secret::from(text.replace('\n', "\\n")))?.expose());
        block.push(b"\n");
    }
    Ok(block)
}

/// A value as sops prints it, or in the quotes in which it reads back.
fn render_value(value: &Secret) -> Result<Secret> {
    let text = value.expose();
    let any = |wanted: &[u8]| text.iter().any(|b| wanted.contains(b));
    let as_sops: &[u8] = if any(b"\n`") {
        b"\"\"\""
    } else if any(b"#;") {
        b"`"
    } else if trim(text).len() != text.len() {
        b"\""
    } else {
        b""
    };
    if as_sops.is_empty() && !any(b"\"'\\") {
        return Ok(value.duplicate());
    }
    for quote in [as_sops, b"\"", b"'", b"`", b"\"\"\""] {
        let mut line = Secret::with_capacity(text.len() + 8);
        for part in [b"k=", quote, text, quote, b"\n[end]\n"] {
            line.push(part);
        }
        if reads_back(&line, value) {
            let mut rendered = Secret::with_capacity(text.len() + 6);
            for part in [quote, text, quote] {
                rendered.push(part);
            }
            return Ok(rendered);
        }
    }
    Err(Error::new(
        "unsupported-value",
        "the value cannot be written in an INI file so that it reads back",
    )
    .with_hint("take it out with --extract"))
}

/// Whether the line holds one key with this value, no comment, and the header after it is one.
fn reads_back(line: &Secret, value: &Secret) -> bool {
    let Ok(layout) = Layout::read(line.expose(), &Limits::default()) else {
        return false;
    };
    let [first, end] = layout.sections.as_slice() else {
        return false;
    };
    let [key] = first.keys.as_slice() else {
        return false;
    };
    key.value.expose() == value.expose()
        && key.remark.is_none()
        && end.remark.is_none()
        && layout.trailing.is_none()
}

fn render_comment(text: &Secret, of_key: bool) -> Secret {
    let mut lines = Secret::with_capacity(text.len() + 16);
    for (index, line) in text.expose().split(|&b| b == b'\n').enumerate() {
        if index > 0 {
            lines.push(b"\n");
        }
        match line {
            [mark @ (b'#' | b';'), rest @ ..] => {
                lines.push(&[*mark, b' ']);
                lines.push(trim(rest));
            }
            _ => {
                lines.push(b"; ");
                lines.push(if of_key { trim(line) } else { line });
            }
        }
    }
    lines
}
