//! From the tree to an automaton, by way of `regex-syntax`'s own tree and never through pattern text.

use regex_automata::{
    meta::{self, Regex},
    util::syntax,
};
use regex_syntax::hir::{Class, Hir, Look, Repetition};

use super::{Assertion, Node};

/// Bytes of the automaton; Go would take up to 128 MiB.
const MAX_AUTOMATON: usize = 64 << 20;

/// Builds the automaton, or says why not.
pub(super) fn compile(tree: &Node) -> Result<Regex, String> {
    let config = meta::Config::new().nfa_size_limit(Some(MAX_AUTOMATON));
    let result = Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new())
        .build_from_hir(&hir(tree));
    result.map_err(|error| match error.size_limit() {
        Some(limit) => format!("the pattern needs an automaton of more than {limit} bytes"),
        None => format!("the pattern cannot be compiled: {error}"),
    })
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
