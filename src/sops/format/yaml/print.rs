//! A part of a document as a document of its own, laid out as sops does it: four columns a level, comments above what
//! they belong to.

use std::collections::BTreeMap;

use super::{
    assign,
    render::{Context, key, value},
};
use crate::{
    error::Result,
    secret::Secret,
    sops::{
        format::PlainValue,
        tree::{Comment, Item, Node, Scalar, SiteId},
        value::plain_value,
    },
};

const INDENT: usize = 4;

/// The text of a mapping or list; `values` are the decrypted ones.
pub(crate) fn print(node: &Node, values: &BTreeMap<SiteId, PlainValue>) -> Result<Secret> {
    let mut printer = Printer {
        values,
        text: Secret::default(),
        indent: INDENT,
        keeps_floats: false,
    };
    match node {
        Node::Map(items, _) | Node::List(items, _) if printer.is_empty(items) => {
            printer.empty(node);
        }
        Node::Map(items, _) | Node::List(items, _) => printer.block(items, 0, false)?,
        Node::Scalar { .. } => printer.scalar(node, Context::of_key(0, INDENT))?,
    }
    Ok(printer.text)
}

/// The lines of a plaintext mapping or list at `column`, without the last line break; the first one stands behind a dash
/// where `behind_dash`. A float stays one.
pub(super) fn block(
    node: &Node,
    column: usize,
    indent: usize,
    behind_dash: bool,
) -> Result<Secret> {
    let none = BTreeMap::new();
    let mut printer = Printer {
        values: &none,
        text: Secret::default(),
        indent,
        keeps_floats: true,
    };
    if let Node::Map(items, _) | Node::List(items, _) = node {
        printer.block(items, column, behind_dash)?;
    }
    let text = printer.text.expose();
    Ok(Secret::new(
        text.strip_suffix(b"\n").unwrap_or(text).to_vec(),
    ))
}

struct Printer<'a> {
    values: &'a BTreeMap<SiteId, PlainValue>,
    text: Secret,
    indent: usize,
    /// Whether a float without a fraction is printed as one.
    keeps_floats: bool,
}

impl<'a> Printer<'a> {
    /// Items at `column`; the first one stands behind a dash where `behind_dash`.
    fn block(&mut self, items: &[Item], column: usize, mut behind_dash: bool) -> Result<()> {
        for item in items {
            if !std::mem::take(&mut behind_dash) {
                self.text.push(" ".repeat(column).as_bytes());
            }
            match item {
                Item::Comment(Comment { site, text, .. }) => match self.values.get(site) {
                    Some(PlainValue::Comment(text)) => self.comment(text, column),
                    _ => self.comment(text, column),
                },
                Item::Entry {
                    key: name, value, ..
                } => {
                    if name == "<<" {
                        // As go-yaml prints this key, quoted or not.
                        self.text.push(b"!!merge ");
                    }
                    self.text.push(key(name).expose());
                    self.text.push(b":");
                    self.below_key(value, column)?;
                }
                Item::Element(value) => match self.comment_of(value) {
                    Some(text) => self.comment(text, column),
                    None => {
                        self.text.push(b"- ");
                        self.behind_dash(value, column)?;
                    }
                },
            }
        }
        Ok(())
    }

    fn below_key(&mut self, node: &Node, column: usize) -> Result<()> {
        match node {
            Node::Map(items, _) | Node::List(items, _) if !self.is_empty(items) => {
                self.text.push(b"\n");
                self.block(items, (column / self.indent + 1) * self.indent, false)
            }
            _ => {
                self.text.push(b" ");
                self.single(node, Context::of_key(column, self.indent))
            }
        }
    }

    fn behind_dash(&mut self, node: &Node, column: usize) -> Result<()> {
        match node {
            Node::Map(items, _) | Node::List(items, _) if !self.is_empty(items) => {
                self.block(items, column + 2, true)
            }
            _ => self.single(node, Context::of_dash(column, self.indent)),
        }
    }

    fn single(&mut self, node: &Node, context: Context) -> Result<()> {
        match node {
            Node::Scalar { .. } => self.scalar(node, context),
            Node::Map(..) | Node::List(..) => {
                self.empty(node);
                Ok(())
            }
        }
    }

    fn empty(&mut self, node: &Node) {
        self.text.push(match node {
            Node::Map(..) => b"{}\n",
            _ => b"[]\n",
        });
    }

    fn scalar(&mut self, node: &Node, context: Context) -> Result<()> {
        let Node::Scalar {
            site, value: clear, ..
        } = node
        else {
            return Ok(());
        };
        if self.keeps_floats {
            self.text
                .push(assign::scalar(clear, context)?.join().expose());
            self.text.push(b"\n");
            return Ok(());
        }
        let clear = match self.values.get(site) {
            Some(_) => None,
            None => plain_value(clear)?,
        };
        match self.values.get(site).or(clear.as_ref()) {
            Some(known) => self.text.push(value(known, context).join().expose()),
            None => self.text.push(b"null"),
        }
        self.text.push(b"\n");
        Ok(())
    }

    fn comment(&mut self, text: &Secret, column: usize) {
        for (index, line) in text.expose().split(|&b| b == b'\n').enumerate() {
            if index > 0 {
                self.text.push(" ".repeat(column).as_bytes());
            }
            self.text.push(b"#");
            self.text.push(line);
            self.text.push(b"\n");
        }
    }

    fn comment_of(&self, node: &Node) -> Option<&'a Secret> {
        match node {
            Node::Scalar {
                site,
                value: Scalar::Str(_),
                ..
            } => match self.values.get(site) {
                Some(PlainValue::Comment(text)) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Comments alone make no block.
    fn is_empty(&self, items: &[Item]) -> bool {
        items.iter().all(|item| match item {
            Item::Comment(_) => true,
            Item::Element(value) => self.comment_of(value).is_some(),
            Item::Entry { .. } => false,
        })
    }
}
