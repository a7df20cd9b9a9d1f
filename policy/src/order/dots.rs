//! Dots that stand for a literal `.` although they match any character.

use regex_syntax::hir::ClassUnicode;

use crate::pattern::Node;

/// The tree with a literal `.` in place of each dot in front of a name (`.yaml`, `.(json|env)`); `None` where there is
/// no such dot. A dot in front of anything else (`server./`) is taken for meant.
pub(super) fn strict(tree: &Node) -> Option<Node> {
    let mut found = false;
    let tree = replaced(tree, &mut found);
    found.then_some(tree)
}

/// At most as deep as the tree.
fn replaced(node: &Node, found: &mut bool) -> Node {
    match node {
        Node::Concat(nodes) => {
            let next = nodes.iter().skip(1).map(Some).chain([None]);
            let pairs = nodes.iter().zip(next);
            let strict = pairs.map(|(node, next)| match node {
                Node::Class(set) if is_any(set) && next.is_some_and(starts_with_name) => {
                    *found = true;
                    Node::Literal('.')
                }
                _ => replaced(node, found),
            });
            Node::Concat(strict.collect())
        }
        Node::Alternate(nodes) => {
            Node::Alternate(nodes.iter().map(|node| replaced(node, found)).collect())
        }
        Node::Capture(node) => Node::Capture(Box::new(replaced(node, found))),
        Node::Repeat { node, min, max } => Node::Repeat {
            node: Box::new(replaced(node, found)),
            min: *min,
            max: *max,
        },
        leaf => leaf.clone(),
    }
}

/// `.`, with or without `(?s)`.
fn is_any(set: &ClassUnicode) -> bool {
    let ranges: Vec<(char, char)> = set
        .ranges()
        .iter()
        .map(|range| (range.start(), range.end()))
        .collect();
    matches!(
        ranges.as_slice(),
        [('\0', char::MAX)] | [('\0', '\t'), ('\x0b', char::MAX)]
    )
}

/// At most as deep as the tree.
fn starts_with_name(node: &Node) -> bool {
    match node {
        Node::Literal(c) => c.is_ascii_alphanumeric(),
        // A letter in both cases, behind `(?i)`.
        Node::Class(set) => {
            let single =
                |range: &regex_syntax::hir::ClassUnicodeRange| range.start() == range.end();
            let ranges = set.ranges();
            let letter = |range: &regex_syntax::hir::ClassUnicodeRange| {
                range.start().is_ascii_alphanumeric()
            };
            ranges.len() <= 4 && ranges.iter().all(single) && ranges.first().is_some_and(letter)
        }
        Node::Capture(node) => starts_with_name(node),
        Node::Repeat { node, min, .. } => *min > 0 && starts_with_name(node),
        Node::Concat(nodes) => nodes.first().is_some_and(starts_with_name),
        Node::Alternate(nodes) => nodes.iter().all(starts_with_name),
        Node::Empty | Node::Assertion(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::pattern::Pattern;

    #[test]
    fn which_dots_are_meant_literally() {
        let strict = |source: &str| {
            let pattern = Pattern::parse(source).unwrap();
            super::strict(pattern.tree()).and_then(Pattern::of)
        };
        for loose in [
            ".yaml$",
            "a/.*.yaml",
            "x.(yaml|json)",
            "(?i).yaml",
            "^.env",
            "(.enc)?.yml",
            ".(ya?ml)",
        ] {
            let strict = strict(loose).unwrap_or_else(|| panic!("{loose}"));
            assert!(
                !strict.is_match("a/xyaml") && !strict.is_match("xyml"),
                "{loose}"
            );
        }
        for meant in [
            "server./", "a.*", r"\.yaml", ".", "..", ".+", "a.-b", "[.]yaml", "(.|a)/",
        ] {
            assert!(strict(meant).is_none(), "{meant}");
        }
    }
}
