//! A path that a pattern matches, made from its tree alone: cheap, and checked with the pattern.

use crate::{
    pattern::{Node, Pattern},
    rules::Rule,
};

/// Characters of a sample; longer ones are not worth their search.
const LONGEST: usize = 300;

/// A natural path that `rule` matches, where one is found at once.
pub(super) fn path(rule: &Rule) -> Option<String> {
    let Some(pattern) = rule.pattern().ok()? else {
        return Some("a".to_owned());
    };
    of(pattern.tree(), pattern)
}

/// A natural path that the tree of another pattern describes and `pattern` matches.
pub(super) fn of(tree: &Node, pattern: &Pattern) -> Option<String> {
    let mut text = String::new();
    write(tree, &mut text);
    let mut text = text.replace("//", "/");
    if text.is_empty() || text.ends_with('/') {
        text.push('a');
    }
    let text = text.strip_prefix('/').unwrap_or(&text);
    (is_path(text) && pattern.is_match(text)).then(|| text.to_owned())
}

/// Whether `text` is a clean relative path without control characters.
pub(super) fn is_path(text: &str) -> bool {
    text.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !text.chars().any(|c| matches!(c, '\0'..='\x1f' | '\x7f'))
}

/// At most as deep as the tree.
fn write(node: &Node, text: &mut String) {
    if text.len() > LONGEST {
        return;
    }
    match node {
        Node::Empty | Node::Assertion(_) => {}
        Node::Literal(c) => text.push(*c),
        Node::Class(set) => {
            let contains = |c: char| {
                let ranges = set.ranges();
                ranges
                    .iter()
                    .any(|range| (range.start()..=range.end()).contains(&c))
            };
            let natural = ('a'..='z').chain('0'..='9').chain(['-', '_', '.']);
            let first = set
                .ranges()
                .first()
                .map(regex_syntax::hir::ClassUnicodeRange::start);
            text.extend(natural.into_iter().find(|&c| contains(c)).or(first));
        }
        Node::Capture(node) => write(node, text),
        // `.*` between two parts reads better as a name than as nothing.
        Node::Repeat { node, min, max } => {
            let times = match max {
                Some(max) => (*min).min(*max),
                None => (*min).max(1),
            };
            for _ in 0..times.min(64) {
                write(node, text);
            }
        }
        Node::Concat(nodes) => nodes.iter().for_each(|node| write(node, text)),
        Node::Alternate(nodes) => {
            if let Some(node) = nodes.first() {
                write(node, text);
            }
        }
    }
}
