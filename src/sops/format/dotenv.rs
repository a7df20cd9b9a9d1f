//! Environment files as sops reads them: lines `KEY=value` and `#comment`, no quotes, no blanks trimmed; `\n` in a value
//! is a line break.

use std::collections::BTreeMap;

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        extract::Step,
        format::{MetadataEdit, Parsed, PlainValue, Replacement, edit::Edits, flat},
        number::format_float_general,
        tree::{Comment, Item, MetaNode, Node, Scalar, SiteId, Span, Tree},
    },
};

/// Keys that begin so are metadata, wherever they stand.
pub(super) const PREFIX: &str = "sops_";

/// Reads a file.
pub(crate) fn read(source: Secret, limits: &Limits) -> Result<Parsed> {
    let text = source.expose();
    let mut items = Vec::new();
    let mut metadata = Vec::new();
    for line in lines(text) {
        let at = |error: Error| error.with_position(Position::of(text, line.start));
        if items.len() >= limits.values {
            return Err(at(Error::new(
                "limit",
                format!("more than {} values", limits.values),
            )
            .with_hint("the limit is `values` in `limits` of the configuration")));
        }
        let content = text.get(line.clone()).unwrap_or_default();
        let site = items.len();
        if let Some(comment) = content.strip_prefix(b"#") {
            let text = Secret::new(comment.to_vec());
            items.push(Item::Comment(Comment {
                site,
                text,
                span: line,
                inline: false,
            }));
            continue;
        }
        let Some(equals) = content.iter().position(|&b| b == b'=') else {
            return Err(at(Error::new(
                "syntax",
                "the line is neither KEY=value nor a comment",
            )
            .with_hint("comments begin with # in the first column")));
        };
        let (key_span, span) = (
            line.start..line.start + equals,
            line.start + equals + 1..line.end,
        );
        let Ok(key) = std::str::from_utf8(content.get(..equals).unwrap_or_default()) else {
            return Err(at(Error::new("syntax", "the key is not UTF-8")));
        };
        let value = unescape(text.get(span.clone()).unwrap_or_default());
        match key.strip_prefix(PREFIX) {
            Some(key) => {
                let Some(text) = value.expose_str() else {
                    return Err(at(Error::new("metadata", "the metadata is not UTF-8")));
                };
                metadata.push(flat::Flat {
                    key: key.to_owned(),
                    text: text.to_owned(),
                    span,
                });
            }
            None => {
                let value = Node::Scalar {
                    site,
                    value: Scalar::Str(value),
                    span,
                };
                items.push(Item::Entry {
                    key: key.to_owned(),
                    key_span,
                    value,
                });
            }
        }
    }
    let metadata = match (metadata.first(), metadata.last()) {
        (Some(first), Some(last)) => {
            let span = first.span.start..last.span.end;
            let error_place = Position::of(text, span.start);
            Some(flat::nest(metadata, span).map_err(|error| error.with_position(error_place))?)
        }
        _ => None,
    };
    let sites = items.len();
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
    let mut edits = Edits::new();
    for item in parsed.tree.documents.iter().flatten() {
        match item {
            Item::Comment(Comment { site, span, .. }) => {
                if let Some(replacement) = replacements.get(site) {
                    edits.replace(span.start + 1..span.end, render(replacement));
                }
            }
            Item::Entry {
                value: Node::Scalar { site, span, .. },
                ..
            } => {
                if let Some(replacement) = replacements.get(site) {
                    edits.replace(span.clone(), render(replacement));
                }
            }
            Item::Entry { .. } | Item::Element(_) => {}
        }
    }
    match metadata {
        MetadataEdit::Cut => {
            for line in lines(source).filter(|line| {
                source
                    .get(line.clone())
                    .is_some_and(|text| text.starts_with(PREFIX.as_bytes()))
            }) {
                edits.remove(line.start..source.len().min(line.end + 1));
            }
        }
        MetadataEdit::Add(node) => edits.replace(source.len()..source.len(), block(source, node)),
        MetadataEdit::Change(node) => change(source, node, &mut edits)?,
        MetadataEdit::Keep => {}
        MetadataEdit::Return(from) => edits.replace(
            source.len()..source.len(),
            returned(source, from.source.expose()),
        ),
    }
    edits.apply(source)
}

/// A text with this value of a key.
pub(crate) fn put(parsed: &Parsed, path: &[Step], value: &Node) -> Result<Secret> {
    let (
        [Step::Key(key)],
        Node::Scalar {
            value: Scalar::Str(text),
            ..
        },
    ) = (path, value)
    else {
        return Err(no_nesting());
    };
    let source = parsed.source.expose();
    let text = render(&Replacement::Plain(PlainValue::Str(text.duplicate())));
    let mut edits = Edits::new();
    match line_of(parsed, key) {
        Some((_, value)) => edits.replace(value, text),
        None => {
            let mut line = Secret::default();
            line.push(if source.is_empty() || source.ends_with(b"\n") {
                b""
            } else {
                b"\n"
            });
            line.push(key.as_bytes());
            line.push(b"=");
            line.push(text.expose());
            line.push(b"\n");
            edits.replace(source.len()..source.len(), line);
        }
    }
    edits.apply(source)
}

/// A text without a key.
pub(crate) fn remove(parsed: &Parsed, path: &[Step]) -> Result<Secret> {
    let source = parsed.source.expose();
    let mut edits = Edits::new();
    if let [Step::Key(key)] = path
        && let Some((start, value)) = line_of(parsed, key)
    {
        edits.remove(start..source.len().min(value.end + 1));
    }
    edits.apply(source)
}

/// Where the line of a key starts, and its value. Of several the first counts, as in sops.
fn line_of(parsed: &Parsed, wanted: &str) -> Option<(usize, Span)> {
    let items = parsed.tree.documents.iter().flatten();
    items.into_iter().find_map(|item| match item {
        Item::Entry {
            key,
            key_span,
            value,
        } if key == wanted => Some((key_span.start, value.span().clone())),
        _ => None,
    })
}

fn no_nesting() -> Error {
    Error::new(
        "path",
        "an environment file holds keys with texts, nothing below them",
    )
    .with_hint("name one key: '[\"KEY\"]'")
}

fn change(source: &[u8], new: &MetaNode, edits: &mut Edits) -> Result<()> {
    let mut old = Vec::new();
    for line in lines(source) {
        let content = source.get(line.clone()).unwrap_or_default();
        let Some(content) = content.strip_prefix(PREFIX.as_bytes()) else {
            continue;
        };
        let equals = content.iter().position(|&b| b == b'=').unwrap_or_default();
        let value = line.start + PREFIX.len() + equals + 1..line.end;
        let text = unescape(source.get(value.clone()).unwrap_or_default());
        old.push(flat::Line {
            key: String::from_utf8_lossy(content.get(..equals).unwrap_or_default()).into_owned(),
            text: text.expose_str().unwrap_or_default().to_owned(),
            value,
            whole: line.start..source.len().min(line.end + 1),
        });
    }
    let value = |text: &str| Ok(Secret::from(text.replace('\n', "\\n")));
    flat::change(source, &old, new, edits, value, |key, text| {
        let text = text.replace('\n', "\\n");
        Ok(Secret::from(format!("{PREFIX}{key}={text}")))
    })
}

/// A value of another type as sops prints it where everything is text.
pub(crate) fn text_of(value: &PlainValue) -> Secret {
    match value {
        PlainValue::Str(text) | PlainValue::Comment(text) => text.duplicate(),
        PlainValue::Int(value) => Secret::from(value.to_string()),
        PlainValue::Bool(value) => Secret::from(value.to_string()),
        PlainValue::Time(text) => Secret::from(text.clone()),
        PlainValue::Float(value) => Secret::from(with_point(
            &format_float_general(*value).to_ascii_uppercase(),
        )),
    }
}

/// A float must not look like an integer.
fn with_point(text: &str) -> String {
    let whole = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if whole {
        format!("{text}.0")
    } else {
        text.to_owned()
    }
}

fn block(source: &[u8], node: &MetaNode) -> String {
    let mut block = String::new();
    if !source.is_empty() && !source.ends_with(b"\n") {
        block.push('\n');
    }
    for (key, text) in flat::flatten(node) {
        block.push_str(&format!("{PREFIX}{key}={}\n", text.replace('\n', "\\n")));
    }
    block
}

/// The lines of the metadata as `from` has them.
fn returned(source: &[u8], from: &[u8]) -> Secret {
    let mut block = Secret::default();
    let mut end = None;
    for line in lines(from) {
        let content = from.get(line.clone()).unwrap_or_default();
        if content.starts_with(PREFIX.as_bytes()) {
            let is_ended = match end {
                None => source.is_empty() || source.ends_with(b"\n"),
                Some(_) => false,
            };
            block.push(if is_ended { b"" } else { b"\n" });
            block.push(content);
            end = Some(line.end);
        }
    }
    // A file without a line break at its end stays one.
    block.push(if end == Some(from.len()) { b"" } else { b"\n" });
    block
}

fn render(replacement: &Replacement) -> Secret {
    let value = match replacement {
        Replacement::Encrypted(text) => return Secret::from(text.clone()),
        // A comment is not escaped.
        Replacement::Plain(PlainValue::Comment(text)) => return text.duplicate(),
        Replacement::Plain(value) => text_of(value),
    };
    let mut escaped = Secret::with_capacity(value.len());
    for (index, line) in value.expose().split(|&b| b == b'\n').enumerate() {
        escaped.push(if index == 0 { b"" } else { b"\\n" });
        escaped.push(line);
    }
    escaped
}

fn unescape(text: &[u8]) -> Secret {
    let mut plain = Secret::with_capacity(text.len());
    let (mut done, mut at) = (0, 0);
    while let Some(found) = text
        .get(at..)
        .and_then(|rest| rest.windows(2).position(|pair| pair == b"\\n"))
    {
        plain.push(text.get(done..at + found).unwrap_or_default());
        plain.push(b"\n");
        at += found + 2;
        done = at;
    }
    plain.push(text.get(done..).unwrap_or_default());
    plain
}

/// Lines that are not empty, without their line feed; a carriage return is part of the line.
fn lines(text: &[u8]) -> impl Iterator<Item = Span> {
    let mut start = 0;
    text.split(|&b| b == b'\n').filter_map(move |line| {
        let span = start..start + line.len();
        start = span.end + 1;
        (!line.is_empty()).then_some(span)
    })
}
