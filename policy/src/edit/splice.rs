//! Pieces of text that are put in, taken out or replaced.

use std::ops::Range;

use super::{EditError, Result};

/// Changes of one text.
#[derive(Debug, Default)]
pub(super) struct Splices(Vec<(Range<usize>, String)>);

impl Splices {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Several at one place stay in the order in which they come.
    pub(super) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.0.push((at..at, text.into()));
    }

    pub(super) fn remove(&mut self, range: Range<usize>) {
        self.0.push((range, String::new()));
    }

    pub(super) fn replace(&mut self, range: Range<usize>, text: impl Into<String>) {
        self.0.push((range, text.into()));
    }

    /// The new text.
    pub(super) fn apply(mut self, text: &str) -> Result<String> {
        self.0.sort_by_key(|(range, _)| range.start);
        let mut result = String::with_capacity(text.len() + 128);
        let mut at = 0;
        for (range, new) in self.0 {
            let between = text.get(at..range.start).ok_or_else(overlap)?;
            result.push_str(between);
            result.push_str(&new);
            at = range.end;
        }
        result.push_str(text.get(at..).ok_or_else(overlap)?);
        Ok(result)
    }
}

fn overlap() -> EditError {
    EditError::new("cannot-edit", "two changes of the rules overlap")
        .with_hint("edit the rules by hand; nothing was changed")
}
