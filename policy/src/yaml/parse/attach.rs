//! Comments given to nodes. Where two claim one place the later wins, as in go-yaml.

use std::mem;

use super::Parser;
use crate::yaml::{Comments, NodeId, Span, comments::Part};

impl Parser<'_> {
    fn comments(&mut self, id: NodeId) -> Option<&mut Comments> {
        self.stream
            .nodes
            .get_mut(id)
            .map(|node| &mut **node.comments.get_or_insert_default())
    }

    /// Scalars and aliases take everything that was collected.
    pub(super) fn attach_all(&mut self, id: NodeId) {
        let collected = mem::take(&mut self.lexer.collected);
        self.stem.clear();
        let (head, line, foot) = (
            lines(collected.head),
            lines(collected.line),
            lines(collected.foot),
        );
        if head.len() + line.len() + foot.len() > 0
            && let Some(comments) = self.comments(id)
        {
            *comments = Comments { head, line, foot };
        }
    }

    /// So does a flow collection, but the comments at its end replace those on the line and below.
    pub(super) fn attach_head(&mut self, id: NodeId) {
        let head = lines(mem::take(&mut self.lexer.collected).head);
        self.stem.clear();
        if !head.is_empty()
            && let Some(comments) = self.comments(id)
        {
            comments.head = head;
        }
    }

    pub(super) fn attach_stem(&mut self, id: NodeId) {
        let head = lines(mem::take(&mut self.stem));
        if !head.is_empty()
            && let Some(comments) = self.comments(id)
        {
            comments.head = head;
        }
    }

    pub(super) fn attach_end(&mut self, id: NodeId) {
        let collected = mem::take(&mut self.lexer.collected);
        self.stem.clear();
        let (line, foot) = (lines(collected.line), lines(collected.foot));
        if line.len() + foot.len() > 0
            && let Some(comments) = self.comments(id)
        {
            comments.line = line;
            comments.foot = foot;
        }
    }

    /// A comment below a value is kept with its key, unless the key has one.
    pub(super) fn pass_foot(&mut self, value: NodeId, key: NodeId) {
        if self.stream.node(key).comments().foot.is_empty() {
            self.replace_foot(value, key);
        }
    }

    /// Moves the foot comments of `from` to `to`, in place of those it has.
    pub(super) fn replace_foot(&mut self, from: NodeId, to: NodeId) {
        if self.stream.node(from).comments().foot.is_empty() {
            return;
        }
        let Some(foot) = self
            .comments(from)
            .map(|comments| mem::take(&mut comments.foot))
        else {
            return;
        };
        if let Some(comments) = self.comments(to) {
            comments.foot = foot;
        }
    }
}

pub(super) fn lines(parts: Vec<Part>) -> Vec<Span> {
    let spans = parts.into_iter().filter_map(|part| match part {
        Part::Line(span) => Some(span),
        Part::Blank => None,
    });
    spans.collect()
}
