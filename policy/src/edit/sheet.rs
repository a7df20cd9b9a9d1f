//! The text of the file with every place where a key is written.

use std::ops::Range;

use super::{
    EditError, Result,
    place::{Holder, Place},
};
use crate::{
    names::{comparable, is_key},
    recipient::is_private_key,
    rules::{Position, Rules},
    yaml::{self, Content, Limits, Node, NodeId, Stream, Style},
};

/// The keys of the file that hold rules; what stands elsewhere only lends its anchors.
pub(super) const WITH_RULES: &[&str] = &["creation_rules", "destination_rules"];

/// A file of rules that is to be edited.
pub(super) struct Sheet<'t> {
    pub(super) text: &'t str,
    pub(super) stream: Stream,
    pub(super) rules: Rules,
    /// In the order of the text; what stands behind an alias is not entered again.
    pub(super) places: Vec<Place>,
    pub(super) limits: Limits,
}

impl<'t> Sheet<'t> {
    pub(super) fn read(text: &'t str, limits: Limits) -> Result<Self> {
        let rules = Rules::parse_with(text, limits)?;
        let stream = yaml::parse_first(text, limits).map_err(|error| {
            EditError::new("invalid-rules", error.message).at(Position {
                line: error.line,
                column: error.column,
            })
        })?;
        let places = places(text, &stream);
        Ok(Self {
            text,
            stream,
            rules,
            places,
            limits,
        })
    }

    /// The root of the document.
    pub(super) fn root(&self) -> Option<NodeId> {
        self.stream.documents.first().map(|document| document.root)
    }

    /// The key that `name` stands for: a name, or a key that stands in the file.
    pub(super) fn key_of(&self, name: &str) -> Result<String> {
        if is_private_key(name) {
            let message = "this is a private key, not the name of a host";
            return Err(EditError::new("unknown-host", message)
                .with_hint("name the host as the rules do, or by its public key"));
        }
        let names = self.rules.names();
        let mut keys = names.keys_of(name);
        if keys.is_empty() {
            keys = names.keys_of(&super::name::anchor_of(name));
        }
        match keys.as_slice() {
            [key] => Ok((*key).to_owned()),
            [] => {
                let key = comparable(name);
                let is_there = self.places.iter().any(|place| place.names(&key));
                if is_there {
                    return Ok(key);
                }
                Err(EditError::new(
                    "unknown-host",
                    format!("the rules know no host {name:?}"),
                ))
            }
            several => {
                let message = format!("the name {name:?} stands for {} keys", several.len());
                Err(EditError::new("ambiguous-host", message)
                    .with_hint("name the host by its recipient"))
            }
        }
        .and_then(|key| {
            let is_age = key.starts_with("age1") || key.starts_with("ssh-");
            is_age.then_some(key).ok_or_else(|| {
                EditError::new("unknown-host", format!("{name:?} is no age recipient"))
                    .with_hint("hosts are age and SSH keys")
            })
        })
    }

    pub(super) fn position(&self, id: NodeId) -> Position {
        let node = self.stream.node(id);
        Position {
            line: node.line,
            column: node.column,
        }
    }

    /// The items of a list, and whether it is written in brackets.
    pub(super) fn items(&self, list: NodeId) -> (&[NodeId], bool) {
        match &self.stream.node(list).content {
            Content::Sequence { items, flow } => (items, *flow),
            _ => (&[], false),
        }
    }

    /// The entries of a mapping, and whether it is written in braces.
    pub(super) fn entries(&self, map: NodeId) -> (&[(NodeId, NodeId)], bool) {
        match &self.stream.node(map).content {
            Content::Mapping { entries, flow } => (entries, *flow),
            _ => (&[], false),
        }
    }

    pub(super) fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before.rfind('\n').map_or(0, |found| found + 1)
    }

    /// Where the line break stands that ends the line of byte `at`.
    pub(super) fn line_end(&self, at: usize) -> usize {
        let behind = self.text.get(at..).unwrap_or_default();
        let end = at + behind.find('\n').unwrap_or(behind.len());
        match self
            .text
            .get(..end)
            .is_some_and(|text| text.ends_with('\r'))
            && end > at
        {
            true => end - 1,
            false => end,
        }
    }

    /// The line break of the line that ends at `end`; that of the file where it has none.
    pub(super) fn line_break(&self, end: usize) -> &'static str {
        let behind = self.text.get(end..).unwrap_or_default();
        let is_last = behind.is_empty();
        match behind.starts_with("\r\n") || is_last && self.text.contains("\r\n") {
            true => "\r\n",
            false => "\n",
        }
    }

    pub(super) fn slice(&self, range: Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or_default()
    }

    /// Whether only blanks stand before byte `at` in its line.
    pub(super) fn leads(&self, at: usize) -> bool {
        self.slice(self.line_start(at)..at)
            .trim_matches(' ')
            .is_empty()
    }

    /// The dash of the list item that starts at byte `start`.
    pub(super) fn dash_before(&self, start: usize) -> Option<usize> {
        let before = self.slice(0..start).trim_end_matches([' ', '\t']);
        before.ends_with('-').then(|| before.len() - 1)
    }

    /// From the first character, tag and anchor included, to the last.
    pub(super) fn span(&self, id: NodeId) -> Range<usize> {
        let node = self.stream.node(id);
        node.outer_start()..node.span.end
    }

    /// The comment behind byte `end` in its line.
    pub(super) fn comment_behind(&self, end: usize) -> Option<Range<usize>> {
        let line = end..self.line_end(end);
        let comment = self
            .stream
            .comments
            .iter()
            .find(|span| line.contains(&span.start))?;
        Some(comment.start..comment.end.min(line.end))
    }

    /// The comment that fills the line above that of byte `at`.
    pub(super) fn comment_above(&self, at: usize) -> Option<Range<usize>> {
        let end = self.line_start(at).checked_sub(1)?;
        let line = self.line_start(end)..end;
        let comment = self
            .stream
            .comments
            .iter()
            .find(|span| line.contains(&span.start))?;
        let alone = self.slice(line.start..comment.start).trim().is_empty();
        alone.then(|| comment.start..comment.end.min(self.line_end(comment.start)))
    }

    /// All comments, sorted.
    pub(super) fn comments(&self) -> Vec<&'t str> {
        let comments = self.stream.comments.iter();
        let mut comments: Vec<&str> = comments
            .map(|span| self.slice(span.clone()).trim_end())
            .collect();
        comments.sort_unstable();
        comments
    }
}

/// Quotes around `text` as `node` has them; a block scalar gives none.
pub(super) fn quoted_as(node: &Node, text: &str) -> String {
    match &node.content {
        Content::Scalar {
            style: Style::SingleQuoted,
            ..
        } => format!("'{text}'"),
        Content::Scalar {
            style: Style::DoubleQuoted,
            ..
        } => format!("\"{text}\""),
        _ => text.to_owned(),
    }
}

/// The keys in a text, each with its place among the parts between commas.
pub(super) fn keys_in(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| is_key(part))
}

struct Open {
    node: NodeId,
    holder: Holder,
    is_in_rules: bool,
    is_in_flow: bool,
    groups: Vec<String>,
}

fn places(text: &str, stream: &Stream) -> Vec<Place> {
    let mut found = Vec::new();
    let mut left: Vec<Open> = Vec::new();
    left.extend(stream.documents.first().map(|document| Open {
        node: document.root,
        holder: Holder::Root,
        is_in_rules: false,
        is_in_flow: false,
        groups: Vec::new(),
    }));
    while let Some(open) = left.pop() {
        let node = stream.node(open.node);
        match &node.content {
            Content::Sequence { items, flow } => {
                let items = items.iter().enumerate().rev();
                left.extend(items.map(|(number, &item)| Open {
                    node: item,
                    holder: Holder::Item {
                        list: open.node,
                        number,
                    },
                    is_in_rules: open.is_in_rules,
                    is_in_flow: open.is_in_flow || *flow,
                    groups: open.groups.clone(),
                }));
            }
            Content::Mapping { entries, flow } => {
                let entries = entries.iter().enumerate().rev();
                left.extend(entries.map(|(number, &(key, value))| {
                    let name = stream.follow(key).as_scalar().unwrap_or_default();
                    let starts_rules = open.groups.is_empty() && WITH_RULES.contains(&name);
                    let mut groups = open.groups.clone();
                    groups.push(name.to_owned());
                    Open {
                        node: value,
                        holder: Holder::Value {
                            map: open.node,
                            number,
                        },
                        is_in_rules: open.is_in_rules || starts_rules,
                        is_in_flow: open.is_in_flow || *flow,
                        groups,
                    }
                }));
            }
            Content::Scalar { .. } | Content::Alias { .. } => {
                let target = match node.content {
                    Content::Alias { target } => target,
                    _ => open.node,
                };
                let keys: Vec<&str> =
                    keys_in(stream.node(target).as_scalar().unwrap_or_default()).collect();
                if keys.is_empty() {
                    continue;
                }
                let parts = match target == open.node {
                    true => parts(text, node, &keys),
                    false => vec![None; keys.len()],
                };
                found.push(Place {
                    node: open.node,
                    target,
                    keys: keys.into_iter().map(comparable).collect(),
                    parts,
                    holder: open.holder,
                    is_in_rules: open.is_in_rules,
                    is_in_flow: open.is_in_flow,
                    groups: open.groups,
                });
            }
        }
    }
    found
}

/// Where each of the `keys` stands in the text of the scalar; `None` where it is not written as it is, with an escape or
/// a line break within.
fn parts(text: &str, node: &Node, keys: &[&str]) -> Vec<Option<Range<usize>>> {
    let mut at = node.span.start;
    let find = |key: &&str| {
        let found = text.get(at..node.span.end)?.find(*key)?;
        let part = at + found..at + found + key.len();
        at = part.end;
        Some(part)
    };
    keys.iter().map(find).collect()
}
