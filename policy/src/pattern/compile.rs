//! From the tree to an automaton, by way of `regex-syntax`'s own tree and never through pattern text.

use std::sync::atomic::{AtomicUsize, Ordering};

use regex_automata::{
    meta::{self, BuildError, Regex},
    util::syntax,
};
use regex_syntax::hir::{Class, Hir, Look, Repetition};

use super::{Assertion, Node};

/// Bytes of the automaton; Go would take up to 128 MiB.
const MAX_AUTOMATON: usize = 64 << 20;
/// Bytes of all automata of one list of rules.
const MAX_TOGETHER: usize = 192 << 20;
/// Bytes up to which one remembers what it met while it matched.
const MAX_CACHE: usize = 256 << 10;

/// What the automata of one list of rules may still take together.
#[derive(Debug)]
pub(crate) struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(MAX_TOGETHER))
    }
}

/// As [`compile`]; what it takes comes out of `room`. Whoever asks for the patterns in their order gets always the same.
pub(super) fn compile_in(tree: &Node, room: &Room) -> Result<Regex, String> {
    let left = room.0.load(Ordering::Relaxed);
    let limit = left.min(MAX_AUTOMATON);
    let compiled = match limit {
        0 => Err(None),
        _ => build(tree, limit).map_err(Some),
    };
    let takes = match &compiled {
        Ok(regex) => regex.memory_usage(),
        // As much was made before it showed.
        Err(_) => limit,
    };
    let _ = room
        .0
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left.saturating_sub(takes))
        });
    compiled.map_err(|error| match error {
        Some(error) if limit == MAX_AUTOMATON || error.size_limit().is_none() => why(&error),
        _ => format!(
            "the patterns of all rules need automata of more than {MAX_TOGETHER} bytes together"
        ),
    })
}

/// Builds the automaton, or says why not.
pub(super) fn compile(tree: &Node) -> Result<Regex, String> {
    build(tree, MAX_AUTOMATON).map_err(|error| why(&error))
}

fn build(tree: &Node, limit: usize) -> Result<Regex, Box<BuildError>> {
    // There may be thousands, each of which sees few texts: what makes one faster on long ones only takes memory.
    let config = meta::Config::new()
        .nfa_size_limit(Some(limit))
        .dfa(false)
        .onepass(false)
        .hybrid_cache_capacity(MAX_CACHE);
    Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new())
        .build_from_hir(&hir(tree))
        .map_err(Box::new)
}

fn why(error: &BuildError) -> String {
    match error.size_limit() {
        Some(limit) => format!("the pattern needs an automaton of more than {limit} bytes"),
        None => format!("the pattern cannot be compiled: {error}"),
    }
}

/// At most as deep as the tree, whose height the parser limits.
fn hir(node: &Node) -> Hir {
    match node {
        Node::Empty => Hir::empty(),
        Node::Class(set) if set.ranges().is_empty() => Hir::fail(),
        Node::Class(set) => Hir::class(Class::Unicode(set.clone())),
        Node::Literal(c) => Hir::literal(c.encode_utf8(&mut [0; 4]).as_bytes()),
        Node::Assertion(assertion) => Hir::look(match assertion {
            Assertion::TextStart => Look::Start,
            Assertion::TextEnd => Look::End,
            Assertion::LineStart => Look::StartLF,
            Assertion::LineEnd => Look::EndLF,
            Assertion::WordBoundary => Look::WordAscii,
            Assertion::NotWordBoundary => Look::WordAsciiNegate,
        }),
        // Only whether the pattern matches is asked.
        Node::Capture(node) => hir(node),
        Node::Repeat { node, min, max } => Hir::repetition(Repetition {
            min: *min,
            max: *max,
            greedy: true,
            sub: Box::new(hir(node)),
        }),
        Node::Concat(nodes) => Hir::concat(nodes.iter().map(hir).collect()),
        Node::Alternate(nodes) => Hir::alternation(nodes.iter().map(hir).collect()),
    }
}
