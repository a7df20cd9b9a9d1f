//! Patterns in the dialect of Go's `regexp` package, which is what sops compiles `path_regex` and the `*_regex`
//! settings with.
//!
//! The dialect differs from that of the `regex` crate in many places that compile in both and mean something else
//! (`\d`, `[a&&b]`, `\<`, `a{01}`), so no pattern text ever reaches that crate's parser. [`parse`](Pattern::parse) reads
//! Go's grammar into a tree of our own, [`Node`], and the automaton is built from the tree. A pattern that Go refuses
//! is an error here; one that Go takes and that is too large to build is an error too, never another pattern.
//!
//! Facts are those of Go 1.26, whose tables are Unicode 15.0.

mod ast;
mod class;
mod compile;
mod fold;
mod lexer;
mod parse;
mod property;
mod sequence;

use std::{borrow::Cow, fmt};

use regex_automata::meta::Regex;

pub use self::ast::{Assertion, Node};

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    tree: Node,
    regex: Regex,
}

impl Pattern {
    /// Parses and compiles `source` as Go's `regexp.Compile` does.
    pub fn parse(source: &str) -> Result<Self, PatternError> {
        let tree = parse::parse(source)?;
        let regex =
            compile::compile(&tree).map_err(|message| PatternError { offset: 0, message })?;
        Ok(Self {
            source: source.to_owned(),
            tree,
            regex,
        })
    }

    /// Compiles a tree that was made from others. `None` where the automaton is too large.
    pub(crate) fn of(tree: Node) -> Option<Self> {
        let regex = compile::compile(&tree).ok()?;
        Some(Self {
            source: String::new(),
            tree,
            regex,
        })
    }

    /// The text that was parsed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the pattern means: Go's flags and shorthands resolved into plain sets of characters.
    pub fn tree(&self) -> &Node {
        &self.tree
    }

    /// Does the pattern match anywhere in `text`?
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// As [`is_match`](Self::is_match), on text that need not be UTF-8: Go sees each invalid byte as one U+FFFD.
    pub fn is_match_bytes(&self, text: &[u8]) -> bool {
        self.is_match(&text_as_go_sees_it(text))
    }
}

/// Decodes UTF-8 as Go's `range` over a string does: one U+FFFD for each invalid byte. (Rust's lossy decoding gives
/// one for a whole truncated sequence, and a pattern such as `^..$` can tell.)
pub fn text_as_go_sees_it(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len() + 8);
    for chunk in text.utf8_chunks() {
        decoded.push_str(chunk.valid());
        decoded.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(decoded)
}

/// Why a pattern cannot be used, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// Byte offset in the pattern.
    pub offset: usize,
    /// A sentence without capital and period.
    pub message: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests;
