//! Replacing parts of a text: what every splicer ends with.

use crate::{
    error::{Error, Result},
    secret::Secret,
    sops::tree::Span,
};

/// New text for spans of a source, in any order; they must not overlap.
#[derive(Default)]
pub(crate) struct Edits(Vec<(Span, Secret)>);

impl Edits {
    /// No edits.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Puts `text` in the place of `span`; an empty span inserts.
    pub(crate) fn replace(&mut self, span: Span, text: impl Into<Secret>) {
        self.0.push((span, text.into()));
    }

    /// Takes `span` out.
    pub(crate) fn remove(&mut self, span: Span) {
        self.0.push((span, Secret::default()));
    }

    /// The source with all edits made. Edits at one place are made in the order in which they were asked for.
    pub(crate) fn apply(mut self, source: &[u8]) -> Result<Secret> {
        self.0.sort_by_key(|(span, _)| (span.start, span.end));
        let grown: usize = self.0.iter().map(|(_, text)| text.len()).sum();
        let mut result = Secret::with_capacity(source.len() + grown);
        let mut done = 0;
        for (span, text) in &self.0 {
            let Some(kept) = source.get(done..span.start) else {
                return Err(Error::new("internal", "two edits of the file overlap"));
            };
            result.push(kept);
            result.push(text.expose());
            done = span.end;
        }
        let Some(rest) = source.get(done..) else {
            return Err(Error::new(
                "internal",
                "an edit reaches beyond the end of the file",
            ));
        };
        result.push(rest);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_apply_in_place() {
        let mut edits = Edits::new();
        edits.replace(4..5, "X".to_owned());
        edits.remove(0..2);
        edits.replace(6..6, "end".to_owned());
        assert_eq!(edits.apply(b"abcdef").unwrap().expose(), b"cdXfend");
    }

    #[test]
    fn overlaps_and_overruns_are_refused() {
        for spans in [[0..3, 2..4], [0..1, 9..9], [0..1, 2..9]] {
            let mut edits = Edits::new();
            for span in spans {
                edits.remove(span);
            }
            assert!(edits.apply(b"abcdef").is_err());
        }
    }
}
