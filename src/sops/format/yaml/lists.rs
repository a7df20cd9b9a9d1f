//! Comments of lists: sops writes them as encrypted elements, and prints them as comments again.

use std::collections::BTreeMap;

use policy::yaml::{Content, NodeId, Stream};

use crate::{
    error::{Error, Result},
    secret::Secret,
    sops::format::edit::Edits,
};

use super::{column, refuse_at};

/// Comment lines by the element that they were.
pub(super) type Comments = BTreeMap<NodeId, Secret>;

/// Turns elements of a list into comment lines.
///
/// A comment at the start of a list is the list's own. It goes above the list's dash where the list is the first thing
/// behind it, and below the key where nothing else is in the list.
pub(super) fn turn_into_comments(
    text: &str,
    stream: &Stream,
    sequence: NodeId,
    comments: &Comments,
    edits: &mut Edits,
) -> Result<()> {
    let Content::Sequence { items, flow: false } = &stream.node(sequence).content else {
        let error = Error::new(
            "comment",
            "an encrypted comment stands in brackets, where no comment can stand",
        )
        .with_hint("write the list with one element on each line");
        return Err(refuse_at(text, stream.node(sequence).span.start, error));
    };
    let list = List {
        text,
        stream,
        items,
    };
    let leading = items
        .iter()
        .take_while(|item| comments.contains_key(item))
        .count();
    let above = list.dash_before(stream.node(sequence).span.start);
    let mut rest = items.as_slice();
    if leading == items.len() {
        return list.empty(comments, above, edits);
    }
    if let Some(above) = above {
        let (own, others) = items.split_at(leading);
        rest = others;
        for (number, item) in own.iter().enumerate() {
            list.insert_above(above, comments.get(item), edits);
            if let Some(&next) = items.get(number + 1) {
                list.remove(*item, next, edits)?;
            }
        }
    }
    for item in rest {
        if let Some(comment) = comments.get(item) {
            edits.replace(
                list.dash(*item)?..stream.node(*item).span.end,
                comment.duplicate(),
            );
        }
    }
    Ok(())
}

struct List<'a> {
    text: &'a str,
    stream: &'a Stream,
    items: &'a [NodeId],
}

impl List<'_> {
    /// The list holds nothing but comments.
    fn empty(&self, comments: &Comments, above: Option<usize>, edits: &mut Edits) -> Result<()> {
        let start = self
            .items
            .first()
            .map_or(Ok(0), |&first| self.dash(first))?;
        let end = self
            .items
            .last()
            .map_or(start, |&last| self.stream.node(last).span.end);
        if self
            .stream
            .comments
            .iter()
            .any(|comment| start < comment.start && comment.start < end)
        {
            return Err(self.refuse(start));
        }
        if let Some(above) = above {
            for item in self.items {
                self.insert_above(above, comments.get(item), edits);
            }
            edits.replace(start..end, "[]".to_owned());
            return Ok(());
        }
        let before = self.text.get(..start).unwrap_or_default().trim_end();
        let key = self.key_column(before)?;
        let mut lines = Secret::from(" []".to_owned());
        for item in self.items {
            if let Some(comment) = comments.get(item) {
                lines.push(b"\n");
                lines.push(" ".repeat(key).as_bytes());
                lines.push(comment.expose());
            }
        }
        edits.replace(before.len()..end, lines);
        Ok(())
    }

    /// The column of the key whose colon ends the text before the list.
    fn key_column(&self, before: &str) -> Result<usize> {
        if !before.ends_with(':') {
            return Err(self.refuse(before.len()));
        }
        let line = before.rsplit('\n').next().unwrap_or_default();
        // Behind the dashes of lists around it.
        let key = line.trim_start_matches(' ');
        let mut behind = key;
        while let Some(rest) = behind.strip_prefix("- ") {
            behind = rest.trim_start_matches(' ');
        }
        Ok(line.chars().count() - behind.chars().count())
    }

    /// Removes an element up to the one after it, or up to the comment between them, which then stands behind the dash
    /// of the list.
    fn remove(&self, item: NodeId, next: NodeId, edits: &mut Edits) -> Result<()> {
        let (start, end) = (self.dash(item)?, self.dash(next)?);
        let comments = self.stream.comments.iter();
        let between = comments.filter(|comment| start < comment.start && comment.start < end);
        let end = between.map(|comment| comment.start).min().unwrap_or(end);
        edits.remove(start..end);
        Ok(())
    }

    fn insert_above(&self, dash: usize, comment: Option<&Secret>, edits: &mut Edits) {
        let Some(comment) = comment else { return };
        let mut line = comment.duplicate();
        line.push(b"\n");
        line.push(" ".repeat(column(self.text, dash)).as_bytes());
        edits.replace(dash..dash, line);
    }

    /// The dash of an element.
    fn dash(&self, item: NodeId) -> Result<usize> {
        let start = self.stream.node(item).outer_start();
        self.dash_before(start).ok_or_else(|| self.refuse(start))
    }

    /// The dash that stands before this place on its line, with nothing but blanks between.
    fn dash_before(&self, place: usize) -> Option<usize> {
        let line = self.text.get(..place)?.trim_end_matches([' ', '\t']);
        (line.ends_with('-') && line.len() < place).then(|| line.len() - 1)
    }

    fn refuse(&self, place: usize) -> Error {
        let error = Error::new(
            "comment",
            "an encrypted comment of a list does not stand on a line of its own",
        )
        .with_hint("write every element of the list on its own line, with its dash");
        refuse_at(self.text, place, error)
    }
}
