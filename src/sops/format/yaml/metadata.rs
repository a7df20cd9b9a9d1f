//! The `sops` mapping: reading it, and writing it in the layout of sops 3.13.

use policy::yaml::{Content, NodeId, Resolved, Stream, Style};

use crate::{
    error::{Error, Result},
    sops::tree::{MetaNode, MetaValue},
};

use super::{
    read::at,
    render::{self, Context},
};

/// The metadata node with this number.
pub(super) fn read(stream: &Stream, id: NodeId) -> Result<MetaNode> {
    let node = stream.follow(id);
    let span = stream.node(id).span.clone();
    let value = match &node.content {
        Content::Mapping { entries, .. } => {
            let mut fields = Vec::new();
            for &(key, value) in entries {
                let Some(name) = stream.follow(key).as_scalar() else {
                    return Err(at(
                        stream,
                        key,
                        Error::new("metadata", "a key of the metadata is not a string"),
                    ));
                };
                fields.push((name.to_owned(), read(stream, value)?));
            }
            MetaValue::Map(fields)
        }
        Content::Sequence { items, .. } => MetaValue::List(
            items
                .iter()
                .map(|&item| read(stream, item))
                .collect::<Result<_>>()?,
        ),
        Content::Scalar { text, style } => match node.resolve() {
            Ok(Some(Resolved::Null)) => MetaValue::Null,
            _ => MetaValue::Scalar {
                text: text.clone(),
                quoted: *style != Style::Plain,
            },
        },
        Content::Alias { .. } => {
            return Err(at(
                stream,
                id,
                Error::new("internal", "an alias names an alias"),
            ));
        }
    };
    Ok(MetaNode { value, span })
}

/// The lines of the `sops` entry at column 0, line break included. `indent` is the number of columns of one level.
pub(super) fn write(metadata: &MetaNode, indent: usize) -> String {
    let mut out = String::from("sops:");
    value(&mut out, metadata, 0, 0, indent);
    out
}

/// Writes a value behind `key:` or `-`. `level` is the column of the mapping or dash that it belongs to, `column` the
/// one at which an item of a list continues.
fn value(out: &mut String, node: &MetaNode, level: usize, continued: usize, indent: usize) {
    let deeper = (level / indent + 1) * indent;
    match &node.value {
        MetaValue::Map(fields) if fields.is_empty() => out.push_str(" {}\n"),
        MetaValue::List(items) if items.is_empty() => out.push_str(" []\n"),
        MetaValue::Map(fields) => {
            let column = if continued > 0 { continued } else { deeper };
            for (index, (key, field)) in fields.iter().enumerate() {
                if continued > 0 && index == 0 {
                    out.push(' ');
                } else {
                    if index == 0 {
                        out.push('\n');
                    }
                    out.push_str(&" ".repeat(column));
                }
                out.push_str(render::key(key).expose_str().unwrap_or_default());
                out.push(':');
                value(out, field, column, 0, indent);
            }
        }
        MetaValue::List(items) => {
            let column = if continued > 0 { continued } else { deeper };
            for (index, item) in items.iter().enumerate() {
                if continued > 0 && index == 0 {
                    out.push(' ');
                } else {
                    if index == 0 {
                        out.push('\n');
                    }
                    out.push_str(&" ".repeat(column));
                }
                out.push('-');
                value(out, item, column, column + 2, indent);
            }
        }
        MetaValue::Null => out.push_str(" null\n"),
        MetaValue::Scalar {
            text,
            quoted: false,
        } => {
            out.push(' ');
            out.push_str(text);
            out.push('\n');
        }
        MetaValue::Scalar { text, quoted: true } => {
            let context = if continued > 0 {
                Context::of_dash(level, indent)
            } else {
                Context::of_key(level, indent)
            };
            out.push(' ');
            out.push_str(
                render::string(text, context)
                    .join()
                    .expose_str()
                    .unwrap_or_default(),
            );
            out.push('\n');
        }
    }
}

/// The value of the `sops` entry in one line, for a document in braces.
pub(super) fn write_flow(node: &MetaNode) -> String {
    match &node.value {
        MetaValue::Null => "null".to_owned(),
        MetaValue::Scalar {
            text,
            quoted: false,
        } => text.clone(),
        MetaValue::Scalar { text, quoted: true } => quoted(text),
        MetaValue::List(items) => {
            format!(
                "[{}]",
                items.iter().map(write_flow).collect::<Vec<_>>().join(", ")
            )
        }
        MetaValue::Map(fields) => {
            let fields = fields
                .iter()
                .map(|(key, field)| format!("{}: {}", quoted(key), write_flow(field)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    render::double_quoted(text)
        .expose_str()
        .unwrap_or_default()
        .to_owned()
}
