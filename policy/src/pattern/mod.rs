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
mod failure;
mod fold;
mod lexer;
mod parse;
mod parts;
mod property;
mod sequence;

use std::{borrow::Cow, fmt, ops::Range};

use regex_automata::meta::Regex;

pub use self::ast::{Assertion, Node};
pub(crate) use self::compile::Room;
pub use self::failure::Failure;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    tree: Node,
    regex: Regex,
    beginning: String,
}

impl Pattern {
    /// Parses and compiles `source` as Go's `regexp.Compile` does.
    pub fn parse(source: &str) -> Result<Self, PatternError> {
        let tree = parse::parse(source)?;
        let regex = compile::compile(&tree);
        Self::made(source, tree, regex)
    }

    /// As [`parse`](Self::parse), for one of many patterns, which share `room`.
    pub(crate) fn parse_in(source: &str, room: &Room) -> Result<Self, PatternError> {
        let tree = parse::parse(source)?;
        let regex = compile::compile_in(&tree, room);
        Self::made(source, tree, regex)
    }

    fn made(source: &str, tree: Node, regex: Result<Regex, String>) -> Result<Self, PatternError> {
        let regex = regex.map_err(|message| PatternError { offset: 0, message })?;
        Ok(Self {
            source: source.to_owned(),
            beginning: beginning(&tree),
            tree,
            regex,
        })
    }

    /// Compiles a tree that was made from others. `None` where the automaton is too large.
    pub(crate) fn of(tree: Node) -> Option<Self> {
        let regex = compile::compile(&tree).ok()?;
        Some(Self {
            source: String::new(),
            beginning: beginning(&tree),
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

    /// What every text that matches begins with: `secrets/` for `^secrets/.*`. Empty where the pattern begins with
    /// anything else than plain characters at the start of the text.
    pub fn beginning(&self) -> &str {
        &self.beginning
    }

    /// Does the pattern match anywhere in `text`?
    pub fn is_match(&self, text: &str) -> bool {
        // Of many rules nearly all are for other directories, which is seen without the automaton.
        text.starts_with(&self.beginning) && self.regex.is_match(text)
    }

    /// The part of `text` that the pattern matches first, as long as it can be there: the bytes from and to.
    pub fn find(&self, text: &str) -> Option<Range<usize>> {
        self.regex.find(text).map(|found| found.range())
    }

    /// Which part of the pattern is to blame that it does not match `text`; `None` where it matches.
    pub fn failure(&self, text: &str) -> Option<Failure> {
        (!self.is_match(text)).then(|| failure::failure(&self.source, text))
    }

    /// As [`is_match`](Self::is_match), on text that need not be UTF-8: Go sees each invalid byte as one U+FFFD.
    pub fn is_match_bytes(&self, text: &[u8]) -> bool {
        self.is_match(&text_as_go_sees_it(text))
    }
}

fn beginning(tree: &Node) -> String {
    let Node::Concat(nodes) = tree else {
        return String::new();
    };
    let Some((Node::Assertion(Assertion::TextStart), rest)) = nodes.split_first() else {
        return String::new();
    };
    let literal = |node: &Node| match node {
        Node::Literal(char) => Some(*char),
        _ => None,
    };
    rest.iter().map_while(literal).collect()
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
