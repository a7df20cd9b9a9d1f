//! One part of an opened document, or all its leaves, as text.

use std::collections::HashSet;

use crate::{
    error::{Error, Result},
    secret::Secret,
    sops::{
        document::Opened,
        format::{Format, PlainValue, json, yaml},
        number::format_float_general,
        tree::{Item, Node, Scalar},
        value::plain_value,
    },
};

/// The key of a YAML merge.
const MERGE: &str = "<<";

/// One step from a mapping or list to what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    /// Elements are counted from 0; comments do not count.
    Index(usize),
}

impl Step {
    /// A path as sops writes it: `["a"]["b"][0]`, with either kind of quotes; there are no escapes. The empty text is
    /// the whole document.
    pub(crate) fn parse_path(text: &str) -> Result<Vec<Self>> {
        let wrong = || {
            Error::new(
                "path",
                format!("{text} is not a path like [\"a\"][\"b\"][0]"),
            )
            .with_hint("quote it for the shell: '[\"a\"][\"b\"][0]'")
        };
        let mut steps = Vec::new();
        for part in text.split('[').filter(|part| !part.is_empty()) {
            let part = part.strip_suffix(']').ok_or_else(wrong)?;
            if part.starts_with(['"', '\'']) {
                let mut inner = part.chars();
                let closed = inner.next().is_some()
                    && inner
                        .next_back()
                        .is_some_and(|last| matches!(last, '"' | '\''));
                steps.push(Self::Key(if closed {
                    inner.as_str().to_owned()
                } else {
                    return Err(wrong());
                }));
            } else {
                steps.push(Self::Index(part.parse().map_err(|_| wrong())?));
            }
        }
        Ok(steps)
    }

    /// The path as [`Step::parse_path`] reads it.
    pub(crate) fn show_path(path: &[Self]) -> String {
        path.iter()
            .map(|step| match step {
                Self::Key(key) => format!("[\"{key}\"]"),
                Self::Index(index) => format!("[{index}]"),
            })
            .collect()
    }
}

/// A value that holds no others.
pub(crate) struct Leaf {
    pub(crate) path: Vec<Step>,
    /// As sops prints it, without a line break at the end; nothing for null.
    pub(crate) value: Secret,
}

impl Opened<'_> {
    /// How many documents the file has; only YAML files have more than one.
    pub(crate) fn documents(&self) -> usize {
        self.parsed().tree.documents.len()
    }

    /// Every leaf of the first document in order. What a merge key brings in stands among the keys around it, unless
    /// one of them has its name.
    pub(crate) fn leaves(&self) -> Result<Vec<Leaf>> {
        let mut leaves = Vec::new();
        if let Some(items) = self.parsed().tree.documents.first() {
            self.collect_items(items, &mut Vec::new(), &mut leaves)?;
        }
        Ok(leaves)
    }

    /// What stands at `path` in the first document, as `sops decrypt --extract` prints it: strings as they are, other
    /// values and whole mappings and lists in the file's format.
    pub(crate) fn extract(&self, path: &[Step]) -> Result<Secret> {
        let Some((first, rest)) = path.split_first() else {
            return self.plaintext();
        };
        let root = self
            .parsed()
            .tree
            .documents
            .first()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut node = self.find(root, first).ok_or_else(|| not_found(path))?;
        for step in rest {
            node = match node {
                Node::Map(items, _) | Node::List(items, _) => {
                    self.find(items, step).ok_or_else(|| not_found(path))?
                }
                Node::Scalar { .. } => return Err(not_found(path)),
            };
        }
        self.print(node)
    }

    fn print(&self, node: &Node) -> Result<Secret> {
        let format = self.document.format();
        match (node, format) {
            (Node::Scalar { .. }, _) => {
                let value = self.value(node)?;
                let mut text = scalar_text(format, value.as_ref())?;
                if format == Format::Yaml && !matches!(value, Some(PlainValue::Str(_))) {
                    text.push(b"\n");
                }
                Ok(text)
            }
            (_, Format::Json | Format::Binary) => {
                let mut text = Secret::default();
                self.print_json(node, 0, &mut text)?;
                // Up to 3.9 sops ended neither files nor parts of them with a line break.
                if matches!(node, Node::Map(..)) && self.parsed().source.expose().ends_with(b"\n") {
                    text.push(b"\n");
                }
                Ok(text)
            }
            (_, Format::Yaml) => yaml::print(node, &self.values),
            (_, Format::Dotenv | Format::Ini) => Err(Error::new(
                "path",
                "the path leads to a section, not to a value",
            )
            .with_hint("add the key: [\"section\"][\"key\"]")),
        }
    }

    fn print_json(&self, node: &Node, level: usize, text: &mut Secret) -> Result<()> {
        let (open, close, items) = match node {
            Node::Map(items, _) => (b"{", b"}", items),
            Node::List(items, _) => (b"[", b"]", items),
            Node::Scalar { .. } => {
                let value = self.value(node)?;
                text.push(
                    match &value {
                        Some(value) => json::render(value)?,
                        None => Secret::from("null".to_owned()),
                    }
                    .expose(),
                );
                return Ok(());
            }
        };
        text.push(open);
        let mut empty = true;
        for item in items {
            let (key, value) = match item {
                Item::Entry { key, value, .. } => (Some(key), value),
                Item::Element(value) if !self.is_comment(value) => (None, value),
                Item::Element(_) | Item::Comment(_) => continue,
            };
            text.push(if empty { b"\n" } else { b",\n" });
            empty = false;
            text.push("\t".repeat(level + 1).as_bytes());
            if let Some(key) = key {
                text.push(json::quote(key.as_bytes()).expose());
                text.push(b": ");
            }
            self.print_json(value, level + 1, text)?;
        }
        if !empty {
            text.push(b"\n");
            text.push("\t".repeat(level).as_bytes());
        }
        text.push(close);
        Ok(())
    }

    fn collect_items(
        &self,
        items: &[Item],
        path: &mut Vec<Step>,
        leaves: &mut Vec<Leaf>,
    ) -> Result<()> {
        let mut index = 0;
        for item in items {
            let (step, value) = match item {
                Item::Comment(_) => continue,
                Item::Element(value) if self.is_comment(value) => continue,
                Item::Element(value) => {
                    index += 1;
                    (Step::Index(index - 1), value)
                }
                Item::Entry { key, value, .. } if self.merges(key, value) => {
                    self.collect_merged(items, value, path, leaves)?;
                    continue;
                }
                Item::Entry { key, value, .. } => (Step::Key(key.clone()), value),
            };
            path.push(step);
            self.collect(value, path, leaves)?;
            path.pop();
        }
        Ok(())
    }

    fn collect(&self, node: &Node, path: &mut Vec<Step>, leaves: &mut Vec<Leaf>) -> Result<()> {
        match node {
            Node::Map(items, _) | Node::List(items, _) => self.collect_items(items, path, leaves),
            Node::Scalar { .. } => {
                let value = match self.value(node)? {
                    Some(value) => scalar_text(self.document.format(), Some(&value))?,
                    None => Secret::default(),
                };
                leaves.push(Leaf {
                    path: path.clone(),
                    value,
                });
                Ok(())
            }
        }
    }

    /// What `step` leads to; through a merge where the mapping itself has no such key.
    fn find<'t>(&self, items: &'t [Item], step: &Step) -> Option<&'t Node> {
        match step {
            Step::Key(wanted) => {
                let entries = || {
                    items.iter().filter_map(|item| match item {
                        Item::Entry { key, value, .. } => Some((key.as_str(), value)),
                        _ => None,
                    })
                };
                let own = entries()
                    .find(|(key, _)| key == wanted)
                    .map(|(_, value)| value);
                own.or_else(|| {
                    let merges = entries().filter(|(key, value)| self.merges(key, value));
                    merges
                        .flat_map(|(_, value)| merged(value))
                        .find_map(|items| self.find(items, step))
                })
            }
            Step::Index(index) => items
                .iter()
                .filter_map(|item| match item {
                    Item::Element(value) if !self.is_comment(value) => Some(value),
                    _ => None,
                })
                .nth(*index),
        }
    }

    /// Whether an entry is a YAML merge: of one mapping, or of a list of them.
    fn merges(&self, key: &str, value: &Node) -> bool {
        let all_maps = |items: &[Item]| {
            items
                .iter()
                .all(|item| matches!(item, Item::Element(Node::Map(..)) | Item::Comment(_)))
        };
        self.document.format() == Format::Yaml
            && key == MERGE
            && match value {
                Node::Map(..) => true,
                Node::List(items, _) => all_maps(items),
                Node::Scalar { .. } => false,
            }
    }

    /// Of several mappings the first that has a key counts; keys of the mapping around them count before all.
    fn collect_merged(
        &self,
        around: &[Item],
        merge: &Node,
        path: &mut Vec<Step>,
        leaves: &mut Vec<Leaf>,
    ) -> Result<()> {
        let mut taken: HashSet<&str> = keys(around).collect();
        for items in merged(merge) {
            for item in items {
                let Item::Entry { key, value, .. } = item else {
                    continue;
                };
                if key != MERGE && taken.insert(key) {
                    path.push(Step::Key(key.clone()));
                    self.collect(value, path, leaves)?;
                    path.pop();
                }
            }
        }
        Ok(())
    }

    /// The value of a scalar; `None` for null.
    fn value(&self, node: &Node) -> Result<Option<PlainValue>> {
        let Node::Scalar { site, value, .. } = node else {
            return Ok(None);
        };
        match self.values.get(site) {
            Some(value) => Ok(Some(value.duplicate())),
            None => plain_value(value),
        }
    }

    fn is_comment(&self, node: &Node) -> bool {
        let Node::Scalar {
            site,
            value: Scalar::Str(_),
            ..
        } = node
        else {
            return false;
        };
        matches!(self.values.get(site), Some(PlainValue::Comment(_)))
    }
}

/// A single value as text; a string is itself.
fn scalar_text(format: Format, value: Option<&PlainValue>) -> Result<Secret> {
    Ok(match value {
        Some(PlainValue::Str(text)) => text.duplicate(),
        Some(PlainValue::Time(text)) if format == Format::Yaml => Secret::from(text.clone()),
        Some(PlainValue::Float(value)) if format == Format::Yaml => {
            Secret::from(if value.is_nan() {
                ".nan".to_owned()
            } else if value.is_infinite() {
                if *value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
            } else {
                format_float_general(*value)
            })
        }
        Some(value) => json::render(value)?,
        None => Secret::from("null".to_owned()),
    })
}

/// The items of every mapping that a merge brings in, and of those merged into these, in order of precedence.
pub(super) fn merged(node: &Node) -> Vec<&[Item]> {
    let mut found = Vec::new();
    let mut waiting = vec![node];
    while let Some(node) = waiting.pop() {
        match node {
            Node::Map(items, _) => {
                found.push(items.as_slice());
                waiting.extend(items.iter().rev().filter_map(|item| match item {
                    Item::Entry { key, value, .. } if key == MERGE => Some(value),
                    _ => None,
                }));
            }
            Node::List(items, _) => {
                waiting.extend(items.iter().rev().filter_map(|item| match item {
                    Item::Element(value) => Some(value),
                    _ => None,
                }));
            }
            Node::Scalar { .. } => {}
        }
    }
    found
}

fn keys(items: &[Item]) -> impl Iterator<Item = &str> {
    items.iter().filter_map(|item| match item {
        Item::Entry { key, .. } => Some(key.as_str()),
        _ => None,
    })
}

fn not_found(path: &[Step]) -> Error {
    Error::new(
        "path",
        format!("there is nothing at {}", Step::show_path(path)),
    )
    .with_hint("names are those of the file, and elements of lists are counted from 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_sops_reads_them() {
        let key = |text: &str| Step::Key(text.to_owned());
        for (text, expected) in [
            ("", vec![]),
            ("[\"a\"]['b'][0]", vec![key("a"), key("b"), Step::Index(0)]),
            (
                "[\"a b:]\"][+1][01]",
                vec![key("a b:]"), Step::Index(1), Step::Index(1)],
            ),
            ("[\"\"]", vec![key("")]),
        ] {
            assert_eq!(Step::parse_path(text).unwrap(), expected);
        }
        for text in [
            "a", "[a]", "[]", "[\"]", "[\"a\"", "[\"a\"]x", "[-1]", " [\"a\"]", "[1.5]",
        ] {
            assert_eq!(Step::parse_path(text).unwrap_err().code, "path", "{text}");
        }
    }
}
