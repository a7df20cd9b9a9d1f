//! What a document means, in a form that can be compared: after every edit the new text is read again, and its meaning
//! must be the one that was wanted.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest, Sha256};

use crate::{
    secret::Secret,
    sops::{
        format::{Format, PlainValue},
        tree::{Item, Node, Scalar, SiteId, Tree},
        value::plain_bytes,
    },
};

/// A digest of everything that sops sees in a document: keys, nesting, values with their types, comments. `values` takes
/// the place of what stands at its sites.
///
/// Comments are left out of formats that have none. A float without a fraction counts as an integer: JSON and YAML
/// print both alike. INI comments count without the blanks and comment characters at the ends of their lines, which
/// sops itself does not keep. Those of YAML count with their texts only: one that moves from a list's elements to a line
/// of its own may belong to another list then.
pub(super) fn events(
    format: Format,
    tree: &Tree,
    values: &BTreeMap<SiteId, PlainValue>,
) -> [u8; 32] {
    let mut digest = Events {
        format,
        values,
        hash: Sha256::new(),
        yaml_comments: Vec::new(),
    };
    for document in &tree.documents {
        digest.items('D', document);
    }
    digest.yaml_comments.sort_unstable();
    for comment in &digest.yaml_comments {
        digest.hash.update(comment);
    }
    digest.hash.finalize().into()
}

struct Events<'a> {
    format: Format,
    values: &'a BTreeMap<SiteId, PlainValue>,
    hash: Sha256,
    yaml_comments: Vec<[u8; 32]>,
}

impl Events<'_> {
    fn items(&mut self, kind: char, items: &[Item]) {
        self.event(kind, b"");
        for item in items {
            match item {
                Item::Comment(comment) => match self.values.get(&comment.site) {
                    Some(value) => self.value(value),
                    None => self.comment(comment.text.expose()),
                },
                Item::Entry { key, value, .. } => {
                    self.event('k', key.as_bytes());
                    self.node(value);
                }
                Item::Element(value) => self.node(value),
            }
        }
        self.event('e', b"");
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Map(items, _) => self.items('M', items),
            Node::List(items, _) => self.items('L', items),
            Node::Scalar { site, value, .. } => match (self.values.get(site), value) {
                (Some(value), _) => self.value(value),
                (None, Scalar::Null) => self.event('n', b""),
                (None, Scalar::Unsupported(what)) => self.event('u', what.as_bytes()),
                (None, scalar) => {
                    let value: Option<PlainValue> = scalar.into();
                    if let Some(value) = value {
                        self.value(&value);
                    }
                }
            },
        }
    }

    fn value(&mut self, value: &PlainValue) {
        let kind = match value {
            PlainValue::Comment(text) => return self.comment(text.expose()),
            _ if matches!(self.format, Format::Dotenv | Format::Ini) => 's',
            PlainValue::Str(_) => 's',
            PlainValue::Int(_) | PlainValue::Float(_) => '0',
            PlainValue::Bool(_) => 'b',
            // JSON has no times.
            PlainValue::Time(_) if self.format == Format::Json => 's',
            PlainValue::Time(_) => 't',
        };
        let bytes = plain_bytes(value);
        // There is no integer -0.
        self.event(
            kind,
            if bytes.as_slice() == b"-0" {
                b"0"
            } else {
                &bytes
            },
        );
    }

    fn comment(&mut self, text: &[u8]) {
        match self.format {
            Format::Json | Format::Binary => {}
            Format::Ini => {
                let mut plain = Secret::with_capacity(text.len());
                for line in text.split(|&b| b == b'\n') {
                    plain.push(trim_comment(line));
                    plain.push(b"\n");
                }
                self.event('c', plain.expose());
            }
            Format::Yaml => self.yaml_comments.push(Sha256::digest(text).into()),
            Format::Dotenv => self.event('c', text),
        }
    }

    fn event(&mut self, kind: char, bytes: &[u8]) {
        let mut head = String::new();
        // Writing to a String cannot fail.
        let _ = write!(head, "{kind}{}:", bytes.len());
        self.hash.update(head);
        self.hash.update(bytes);
    }
}

fn trim_comment(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    let start = line
        .iter()
        .position(|b| !matches!(b, b'#' | b';' | b' ' | b'\t'))
        .unwrap_or(line.len());
    line.get(start..).unwrap_or_default()
}
