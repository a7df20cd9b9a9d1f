//! The text behind a path of keys, for those who know texts and mappings and nothing else: no lists, no numbers, no
//! other types.

use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        document::Opened,
        extract::merged,
        format::{self, Format, PlainValue},
        tree::{Item, Node, Scalar},
    },
};

/// The key of a YAML merge.
const MERGE: &str = "<<";

impl Opened<'_> {
    /// The text at `keys`, from the root of the first document. A time counts as text.
    pub(crate) fn text_at(&self, keys: &[&str]) -> Result<Secret> {
        let tree = &self.parsed().tree;
        let root = tree.documents.first().map(Vec::as_slice);
        let node = node_at(
            root.unwrap_or_default(),
            keys,
            self.document.format() == Format::Yaml,
        )?;
        let Node::Scalar { site, value, .. } = node else {
            return Err(no_text(keys));
        };
        match (self.values.get(site), value) {
            (Some(PlainValue::Str(text)), _) | (None, Scalar::Str(text)) => Ok(text.duplicate()),
            (Some(PlainValue::Time(text)), _) | (None, Scalar::Time(text)) => {
                Ok(Secret::from(text.clone()))
            }
            _ => Err(no_text(keys)),
        }
    }
}

/// A file that is looked at and not opened: whether it is one of its format, and what keys it has.
pub(crate) struct Outline {
    root: Vec<Item>,
    yaml: bool,
}

impl Outline {
    /// Parses a file, encrypted or not.
    pub(crate) fn read(content: Secret, format: Format, limits: &Limits) -> Result<Self> {
        // A binary file is JSON with a value of its own.
        let format = match format {
            Format::Binary => Format::Json,
            other => other,
        };
        let parsed = format::read(format, content, limits)?;
        Ok(Self {
            root: parsed.tree.documents.into_iter().next().unwrap_or_default(),
            yaml: format == Format::Yaml,
        })
    }

    /// Whether there is a text at `keys`, which the encrypted form of every value is.
    pub(crate) fn expect_text_at(&self, keys: &[&str]) -> Result<()> {
        match node_at(&self.root, keys, self.yaml)? {
            Node::Scalar {
                value: Scalar::Str(_) | Scalar::Time(_),
                ..
            } => Ok(()),
            _ => Err(no_text(keys)),
        }
    }
}

fn node_at<'t>(root: &'t [Item], keys: &[&str], yaml: bool) -> Result<&'t Node> {
    let mut items = root;
    let mut left = keys.iter().enumerate().peekable();
    while let Some((at, key)) = left.next() {
        let found = find(items, key, yaml).ok_or_else(|| {
            let message = format!("there is no key `{}`", shown(keys, at));
            Error::new("no-such-key", message)
                .with_hint("a slash in `key` leads from a mapping to what is in it")
        })?;
        match found {
            found if left.peek().is_none() => return Ok(found),
            Node::Map(inner, _) => items = inner,
            Node::List(..) | Node::Scalar { .. } => {
                let message = format!("`{}` is no mapping, so no key is in it", shown(keys, at));
                return Err(Error::new("no-such-key", message));
            }
        }
    }
    Err(Error::new("no-such-key", "there is no key"))
}

/// Of equal keys the last counts, as for those who read a mapping into a table; all count before what is merged.
fn find<'t>(items: &'t [Item], wanted: &str, yaml: bool) -> Option<&'t Node> {
    let own = |items: &'t [Item], wanted: &str| {
        items.iter().rev().find_map(|item| match item {
            Item::Entry { key, value, .. } if key == wanted => Some(value),
            _ => None,
        })
    };
    own(items, wanted).or_else(|| {
        let merge = own(items, MERGE).filter(|_| yaml)?;
        merged(merge)
            .into_iter()
            .find_map(|items| own(items, wanted))
    })
}

fn no_text(keys: &[&str]) -> Error {
    let message = format!(
        "the value of the key `{}` is no text",
        shown(keys, keys.len())
    );
    Error::new("no-text", message).with_hint(
        "write numbers and the like in quotes; an empty `key` delivers the whole document",
    )
}

fn shown(keys: &[&str], last: usize) -> String {
    keys.iter()
        .take(last + 1)
        .copied()
        .collect::<Vec<_>>()
        .join("/")
}
