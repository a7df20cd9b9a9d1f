//! Going through the text as go-yaml's scanner does: what is a blank, a line break, a comment.

use super::{Lexer, Part};
use crate::yaml::tokens::Place;

impl Lexer<'_> {
    /// Reads the comment that starts here up to the end of its line.
    pub(super) fn take_comment(&mut self) -> Part {
        let start = self.place.index;
        while self.place.index < self.text.len() && self.break_length(self.place.index) == 0 {
            self.step();
        }
        let span = start..self.place.index;
        self.all.push(span.clone());
        Part::Line(span)
    }

    /// Skips blanks, and line breaks too where the scanner has read them in search of more of a scalar.
    pub(super) fn skip_blank(&mut self, breaks: bool) {
        loop {
            if self.is_blank(self.place.index) {
                self.step();
            } else if breaks && self.break_length(self.place.index) > 0 {
                self.step_line();
            } else {
                return;
            }
        }
    }

    /// One character on.
    pub(super) fn step(&mut self) {
        self.place.index += 1;
        while self
            .byte(self.place.index)
            .is_some_and(|byte| byte & 0xc0 == 0x80)
        {
            self.place.index += 1;
        }
        self.place.column += 1;
    }

    /// Behind the line break that starts here.
    pub(super) fn step_line(&mut self) {
        let length = self.break_length(self.place.index);
        if length > 0 {
            self.place = Place {
                index: self.place.index + length,
                line: self.place.line + 1,
                column: 0,
            };
        }
    }

    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    pub(super) fn is_blank(&self, at: usize) -> bool {
        matches!(self.byte(at), Some(b' ' | b'\t'))
    }

    /// Length of the line break that starts here, or 0.
    pub(super) fn break_length(&self, at: usize) -> usize {
        match self.text.get(at..).unwrap_or_default() {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            [0xc2, 0x85, ..] => 2,
            [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
            _ => 0,
        }
    }

    /// How many line breaks stand before this byte, with nothing but blanks between them.
    pub(super) fn breaks_before(&self, at: usize) -> usize {
        let mut rest = self.text.get(..at).unwrap_or(self.text);
        let mut count = 0;
        loop {
            rest = match rest {
                [before @ .., b' ' | b'\t'] => before,
                [before @ .., b'\r', b'\n'] | [before @ .., b'\r' | b'\n'] => {
                    count += 1;
                    before
                }
                [before @ .., 0xc2, 0x85] | [before @ .., 0xe2, 0x80, 0xa8 | 0xa9] => {
                    count += 1;
                    before
                }
                _ => return count,
            };
        }
    }
}
