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
mod engine;
mod failure;
mod fold;
mod lexer;
mod parse;
mod parts;
mod property;
mod sequence;

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

pub use self::ast::{Assertion, Node};
pub(crate) use self::compile::Room;
use self::engine::Engine;
pub use self::failure::Failure;

/// A pattern that was read and is not compiled yet.
#[derive(Debug)]
pub(crate) struct Draft {
    source: String,
    tree: Node,
}

impl Draft {
    fn new(source: &str) -> Result<Self, PatternError> {
        let (source, tree) = (source.to_owned(), parse::parse(source)?);
        Ok(Self { source, tree })
    }

    /// One of many patterns, which share the room for their automata; it takes its part.
    pub(crate) fn admitted(source: &str, room: &Room) -> Result<Self, PatternError> {
        let draft = Self::new(source)?;
        compile::admit(&draft.tree, room)?;
        Ok(draft)
    }
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    draft: Arc<Draft>,
    engine: Engine,
    beginning: String,
}

impl Pattern {
    /// Parses and compiles `source` as Go's `regexp.Compile` does.
    pub fn parse(source: &str) -> Result<Self, PatternError> {
        Self::of_draft(Arc::new(Draft::new(source)?))
    }

    /// Compiles a tree that was made from others. `None` where the automaton is too large.
    pub(crate) fn of(tree: Node) -> Option<Self> {
        let source = String::new();
        Self::of_draft(Arc::new(Draft { source, tree })).ok()
    }

    /// Compiles what was read.
    pub(crate) fn of_draft(draft: Arc<Draft>) -> Result<Self, PatternError> {
        Ok(Self {
            engine: compile::compile(&draft.tree)?,
            beginning: beginning(&draft.tree),
            draft,
        })
    }

    /// The text that was parsed.
    pub fn source(&self) -> &str {
        &self.draft.source
    }

    /// What the pattern means: Go's flags and shorthands resolved into plain sets of characters.
    pub fn tree(&self) -> &Node {
        &self.draft.tree
    }

    /// What every text that matches begins with: `secrets/` for `^secrets/.*`. Empty where the pattern begins with
    /// anything else than plain characters at the start of the text.
    pub fn beginning(&self) -> &str {
        &self.beginning
    }

    /// Does the pattern match anywhere in `text`?
    pub fn is_match(&self, text: &str) -> bool {
        // Of many rules nearly all are for other directories, which is seen without the automaton.
        self.begins(text) && self.engine.is_match(text)
    }

    /// Whether `text` begins as every text that matches. Directories of one kind are told apart by the end of their names,
    /// which is compared first, and in one step.
    fn begins(&self, text: &str) -> bool {
        let wanted = self.beginning.as_bytes();
        let found = text.as_bytes().get(..wanted.len());
        found.is_some_and(|found| {
            found.last_chunk::<8>() == wanted.last_chunk::<8>() && found == wanted
        })
    }

    /// The part of `text` that the pattern matches first, as long as it can be there: the bytes from and to.
    pub fn find(&self, text: &str) -> Option<Range<usize>> {
        self.engine.find(text)
    }

    /// Which part of the pattern is to blame that it does not match `text`; `None` where it matches.
    pub fn failure(&self, text: &str) -> Option<Failure> {
        (!self.is_match(text)).then(|| failure::failure(self.source(), text))
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
    /// Go would take it, and what it needs is more than we give it.
    pub is_too_large: bool,
}

impl PatternError {
    fn at(offset: usize, message: String) -> Self {
        Self {
            offset,
            message,
            is_too_large: false,
        }
    }

    fn too_large(message: String) -> Self {
        Self {
            is_too_large: true,
            ..Self::at(0, message)
        }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests;
