//! What a document means, in a form that can be compared: after every edit the new text is read again, and its meaning
//! must be the one that was wanted.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest, Sha256};

use crate::{
    secret::Secret,
    sops::{
        extract::Step,
        format::{Format, PlainValue},
        tree::{Comment, Item, Node, Scalar, SiteId, Tree},
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

/// A digest of a value at a path. Two values with the same one are written alike in this format.
pub(super) fn value_at(format: Format, value: &PlainValue, path: &str) -> [u8; 32] {
    let none = BTreeMap::new();
    let mut digest = Events {
        format,
        values: &none,
        hash: Sha256::new(),
        yaml_comments: Vec::new(),
    };
    digest.event('p', path.as_bytes());
    digest.value(value);
    for comment in &digest.yaml_comments {
        digest.hash.update(comment);
    }
    digest.hash.finalize().into()
}

/// A digest of a plaintext value.
pub(super) fn node(format: Format, node: &Node) -> [u8; 32] {
    let mut outliner = Outliner::new(format);
    outliner.node(node, None);
    outliner.finish().data
}

/// A plaintext document, without the value at `path` of its first document.
pub(super) fn outline(format: Format, tree: &Tree, path: Option<&[Step]>) -> Outline {
    let mut outliner = Outliner::new(format);
    for (index, document) in tree.documents.iter().enumerate() {
        outliner.items('D', document, path.filter(|_| index == 0));
    }
    outliner.finish()
}

/// What a document means, its comments apart: where each begins, and a digest of its text.
pub(super) struct Outline {
    pub(super) data: [u8; 32],
    pub(super) comments: Vec<(usize, [u8; 32])>,
}

struct Outliner {
    format: Format,
    hash: Sha256,
    comments: Vec<(usize, [u8; 32])>,
}

impl Outliner {
    fn new(format: Format) -> Self {
        Self {
            format,
            hash: Sha256::new(),
            comments: Vec::new(),
        }
    }

    fn finish(self) -> Outline {
        Outline {
            data: self.hash.finalize().into(),
            comments: self.comments,
        }
    }

    /// Without what `left_out` leads to, which is met once.
    fn items(&mut self, kind: char, items: &[Item], mut left_out: Option<&[Step]>) {
        self.event(kind, b"");
        let mut index = 0;
        for item in items {
            let (key, value) = match item {
                Item::Comment(comment) => {
                    self.comment(comment);
                    continue;
                }
                Item::Entry { key, value, .. } => (Some(key), value),
                Item::Element(value) => (None, value),
            };
            let rest = match (left_out, key) {
                (Some([Step::Key(wanted), rest @ ..]), Some(key)) if key == wanted => Some(rest),
                (Some([Step::Index(wanted), rest @ ..]), None) if index == *wanted => Some(rest),
                _ => None,
            };
            index += 1;
            if rest.is_some() {
                left_out = None;
            }
            if rest.is_some_and(<[Step]>::is_empty) {
                self.comments_of(value);
                continue;
            }
            if let Some(key) = key {
                self.event('k', key.as_bytes());
            }
            self.node(value, rest);
        }
        self.event('e', b"");
    }

    fn node(&mut self, node: &Node, left_out: Option<&[Step]>) {
        match node {
            Node::Map(items, _) => self.items('M', items, left_out),
            Node::List(items, _) => self.items('L', items, left_out),
            Node::Scalar { value, .. } => {
                let digest = match (value, Option::<PlainValue>::from(value)) {
                    (_, Some(value)) => value_at(self.format, &value, ""),
                    (Scalar::Unsupported(what), None) => Sha256::digest(what).into(),
                    (_, None) => [0; 32],
                };
                self.event('v', &digest);
            }
        }
    }

    fn comments_of(&mut self, node: &Node) {
        if let Node::Map(items, _) | Node::List(items, _) = node {
            for item in items {
                match item {
                    Item::Comment(comment) => self.comment(comment),
                    Item::Entry { value, .. } | Item::Element(value) => self.comments_of(value),
                }
            }
        }
    }

    fn comment(&mut self, comment: &Comment) {
        let text = comment.text.expose().trim_ascii();
        self.comments
            .push((comment.span.start, Sha256::digest(text).into()));
    }

    fn event(&mut self, kind: char, bytes: &[u8]) {
        let mut head = String::new();
        // Writing to a String cannot fail.
        let _ = write!(head, "{kind}{}:", bytes.len());
        self.hash.update(head);
        self.hash.update(bytes);
    }
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
