//! The tree of a pattern.

use regex_syntax::hir::ClassUnicode;

/// A pattern without flags, shorthands and group names: what is left decides which texts match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Matches the empty text.
    Empty,
    /// One character of a set; the empty set matches nothing.
    Class(ClassUnicode),
    /// Exactly this character.
    Literal(char),
    /// A condition on the place between two characters.
    Assertion(Assertion),
    /// A capturing group. It means what its content means; it counts for Go's limit on nesting.
    Capture(Box<Self>),
    /// `node` at least `min` and at most `max` times.
    Repeat {
        /// What is repeated.
        node: Box<Self>,
        /// The least number of times.
        min: u32,
        /// The greatest number of times, if there is one.
        max: Option<u32>,
    },
    /// One after the other; never empty.
    Concat(Vec<Self>),
    /// Any one of these; never empty.
    Alternate(Vec<Self>),
}

/// A condition on a place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assertion {
    /// `^` and `\A`: before the first character.
    TextStart,
    /// `$` and `\z`: after the last character, also when that is a line break.
    TextEnd,
    /// `(?m)^`: at the start or after a line feed.
    LineStart,
    /// `(?m)$`: at the end or before a line feed.
    LineEnd,
    /// `\b`: between an ASCII word character and something else.
    WordBoundary,
    /// `\B`: not `\b`.
    NotWordBoundary,
}
