//! From the tree to an automaton, by way of `regex-syntax`'s own tree and never through pattern text.

use std::sync::atomic::{AtomicUsize, Ordering};

use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_syntax::hir::{Class, ClassUnicodeRange, Hir, Look, Repetition};

use super::{Assertion, Node, PatternError, engine::Engine};

/// Bytes of the automaton; Go would take up to 128 MiB.
const MAX_AUTOMATON: usize = 64 << 20;
/// Bytes of all automata of one list of rules.
const MAX_TOGETHER: usize = 192 << 20;
/// Bytes of an automaton without states, with what is kept beside it.
const FRAME: usize = 2 << 10;
/// Bytes of a state, or of one range of characters in one.
const STATE: usize = 24;
/// Bytes for a set that has more than ASCII, besides its ranges: characters are read byte by byte.
const FAR_CHARACTERS: usize = 320;

/// What the automata of one list of rules may still take together.
#[derive(Debug)]
pub(crate) struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Self {
        Self(AtomicUsize::new(MAX_TOGETHER))
    }
}

/// Takes out of `room` what the automaton of `tree` will need. Whoever asks for patterns in their order gets always the
/// same answers, and can build them in any.
pub(super) fn admit(tree: &Node, room: &Room) -> Result<(), PatternError> {
    let needs = size(tree).saturating_add(FRAME);
    if needs > MAX_AUTOMATON {
        return Err(too_large(MAX_AUTOMATON));
    }
    let take = |left: usize| left.checked_sub(needs);
    let taken = room
        .0
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
    taken.map(|_| ()).map_err(|_| {
        PatternError::too_large(format!(
            "this pattern and those before it need automata of more than {} MiB together",
            MAX_TOGETHER >> 20
        ))
    })
}

/// Bytes that the states for `node` take, rather more than less.
fn size(node: &Node) -> usize {
    match node {
        Node::Empty => 0,
        Node::Class(set) => {
            let is_ascii = |range: &ClassUnicodeRange| range.end().is_ascii();
            let far = usize::from(!set.ranges().iter().all(is_ascii)) * FAR_CHARACTERS;
            far + STATE * set.ranges().len().max(1)
        }
        Node::Literal(literal) => STATE * literal.len_utf8(),
        Node::Assertion(_) => STATE,
        Node::Capture(node) => size(node),
        Node::Repeat { node, min, max } => {
            let times = max.unwrap_or(min.saturating_add(1)).max(1);
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            times.saturating_mul(size(node).saturating_add(STATE))
        }
        Node::Concat(nodes) | Node::Alternate(nodes) => {
            let each = nodes.iter().map(|node| size(node).saturating_add(STATE));
            each.fold(STATE, usize::saturating_add)
        }
    }
}

/// Builds the automaton, or says why not.
pub(super) fn compile(tree: &Node) -> Result<Engine, PatternError> {
    let config = Config::new()
        .nfa_size_limit(Some(MAX_AUTOMATON))
        .which_captures(WhichCaptures::Implicit);
    let nfa = Compiler::new().configure(config).build_from_hir(&hir(tree));
    let nfa = nfa.map_err(|error| match error.size_limit() {
        Some(limit) => too_large(limit),
        None => PatternError::at(0, format!("the pattern cannot be compiled: {error}")),
    })?;
    Engine::new(nfa)
        .map_err(|error| PatternError::at(0, format!("the pattern cannot be compiled: {error}")))
}

fn too_large(limit: usize) -> PatternError {
    let limit = limit >> 20;
    PatternError::too_large(format!(
        "the pattern needs an automaton of more than {limit} MiB"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::parse;

    #[test]
    fn sizes_are_foreseen() {
        for pattern in [
            "",
            "a",
            "é",
            "abcdefghijklmnopqrstuvwxyz",
            "^hosts/server-000/[^/]+\\.yaml$",
            "[a-z]",
            ".",
            ".*",
            "\\p{L}",
            "\\pN+",
            "[\\p{L}\\d]{1,63}",
            "(?i)abcdefghij",
            "(?i)straße",
            "a{1000}",
            "(?:a{0,30}){30}",
            "(a|b|cde|fg[h-k])*",
            ".{10}",
            "[^a]*b[^c]*d",
            "\\b\\w+\\B(?m)^$",
            "[\\x{80}-\\x{10ffff}]",
            "(?:)*",
        ] {
            let tree = parse::parse(pattern).unwrap();
            let (foreseen, took) = (size(&tree) + FRAME, compile(&tree).unwrap().memory_usage());
            assert!(foreseen >= took, "{pattern}: {foreseen} of {took}");
            assert!(foreseen < took * 5, "{pattern}: {foreseen} of {took}");
        }
    }
}
