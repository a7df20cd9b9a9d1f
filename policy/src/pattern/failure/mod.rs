//! Why a pattern does not match a text, in terms of its parts: the longest run of parts from its start that can match
//! somewhere, and the part behind it that cannot go on.

use std::ops::Range;

use super::{
    Assertion, Node, parse,
    parts::{Part, What},
};

/// Places tried for one answer.
const MOST_STEPS: usize = 4_000_000;

/// Why a pattern does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The part that is to blame, as bytes of the pattern's source; `None` where it is no single one.
    pub part: Option<Range<usize>>,
    /// What the parts before it match, as bytes of the text: as far to the right as they can.
    pub matched: Range<usize>,
    /// A sentence without capital and period.
    pub reason: String,
}

impl Failure {
    fn without_part(reason: impl Into<String>) -> Self {
        Self {
            part: None,
            matched: 0..0,
            reason: reason.into(),
        }
    }
}

/// `source` does not match `text`.
pub(super) fn failure(source: &str, text: &str) -> Failure {
    let too_involved = || Failure::without_part("the pattern does not match");
    let Ok(Some(alternatives)) = parse::parts(source) else {
        return too_involved();
    };
    let [sequence] = alternatives.as_slice() else {
        let count = alternatives.len();
        return Failure::without_part(format!("none of its {count} alternatives matches"));
    };
    let mut search = Search::new(text);
    blame(source, sequence, &mut search).unwrap_or_else(too_involved)
}

/// `None` where it costs too much.
fn blame(source: &str, sequence: &[Part], search: &mut Search) -> Option<Failure> {
    let mut ends: Vec<usize> = (0..=search.chars.len()).collect();
    for (number, part) in sequence.iter().enumerate() {
        let next = search.step(part, &ends)?;
        if next.is_empty() {
            let end = ends.last().copied()?;
            let before = sequence.get(..number)?;
            let start = search.start_of(before, end)?;
            // The parts before can end at every place from some on: then the part is nowhere there.
            let anywhere = end == search.chars.len()
                && ends.len() > 1
                && ends.last()? - ends.first()? + 1 == ends.len();
            let first = *ends.first()?;
            let reason = reason(source, part, search, start..end, anywhere.then_some(first));
            return Some(Failure {
                part: Some(part.span.clone()),
                matched: search.byte(start)..search.byte(end),
                reason,
            });
        }
        ends = next;
    }
    None // it matches after all
}

/// `matched` in characters; `nowhere_from`: the part was looked for at every place from there on.
fn reason(
    source: &str,
    part: &Part,
    search: &Search,
    matched: Range<usize>,
    nowhere_from: Option<usize>,
) -> String {
    let needed = source.get(part.span.clone()).unwrap_or_default();
    let end = matched.end;
    let before = search.quoted(matched);
    let is_one = matches!(part.what, What::Leaf(Node::Literal(_) | Node::Class(_)));
    if let Some(from) = nowhere_from
        && !matches!(part.what, What::Leaf(Node::Assertion(_)))
    {
        let place = search.quoted(from..search.chars.len());
        return if is_one {
            format!("there is no `{needed}` in {place}")
        } else {
            format!("nothing in {place} matches `{needed}`")
        };
    }
    let behind = match before.as_str() {
        "``" => String::new(),
        _ => format!(" behind {before}"),
    };
    let rest = search.quoted(end..search.chars.len());
    match &part.what {
        What::Leaf(Node::Assertion(Assertion::TextEnd | Assertion::LineEnd)) => {
            format!("{rest} is left{behind}, and `{needed}` asks for the end")
        }
        What::Leaf(Node::Assertion(_)) => format!("`{needed}` does not hold{behind}"),
        _ if end == search.chars.len() => {
            format!("the path ends where `{needed}` is needed{behind}")
        }
        _ if is_one => {
            let found = search.quoted(end..end + 1);
            format!("{found} stands where `{needed}` is needed{behind}")
        }
        _ => format!("`{needed}` does not match the start of {rest}{behind}"),
    }
}

/// A text and how much was tried on it. Places are numbers of characters.
struct Search {
    chars: Vec<char>,
    /// The byte of each character, and of the end.
    bytes: Vec<usize>,
    steps: usize,
}

impl Search {
    fn new(text: &str) -> Self {
        let ends = std::iter::once(text.len());
        Self {
            chars: text.chars().collect(),
            bytes: text.char_indices().map(|(at, _)| at).chain(ends).collect(),
            steps: 0,
        }
    }

    fn byte(&self, at: usize) -> usize {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    /// Where `part` can end when it starts at one of `starts`; sorted, as these are.
    fn step(&mut self, part: &Part, starts: &[usize]) -> Option<Vec<usize>> {
        self.steps += starts.len() + 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        match &part.what {
            What::Leaf(node) => Some(self.leaf(node, starts)),
            What::Group(alternatives) => {
                let mut ends = Vec::new();
                for sequence in alternatives {
                    ends.extend(self.sequence(sequence, starts)?);
                }
                ends.sort_unstable();
                ends.dedup();
                Some(ends)
            }
            What::Repeat { part, min, max } => self.repeat(part, *min, *max, starts),
        }
    }

    fn sequence(&mut self, sequence: &[Part], starts: &[usize]) -> Option<Vec<usize>> {
        let mut ends = starts.to_vec();
        for part in sequence {
            ends = self.step(part, &ends)?;
        }
        Some(ends)
    }

    fn leaf(&self, node: &Node, starts: &[usize]) -> Vec<usize> {
        let starts = starts.iter().copied();
        match node {
            Node::Assertion(assertion) => starts.filter(|&at| self.holds(*assertion, at)).collect(),
            Node::Literal(literal) => {
                let here = starts.filter(|&at| self.chars.get(at) == Some(literal));
                here.map(|at| at + 1).collect()
            }
            Node::Class(class) => {
                let holds = |c: char| {
                    let ranges = class.ranges();
                    ranges
                        .binary_search_by(|range| match c {
                            _ if c < range.start() => std::cmp::Ordering::Greater,
                            _ if c > range.end() => std::cmp::Ordering::Less,
                            _ => std::cmp::Ordering::Equal,
                        })
                        .is_ok()
                };
                let here = starts.filter(|&at| self.chars.get(at).copied().is_some_and(holds));
                here.map(|at| at + 1).collect()
            }
            // Nothing else is a leaf.
            _ => starts.collect(),
        }
    }

    fn repeat(
        &mut self,
        part: &Part,
        min: u32,
        max: Option<u32>,
        starts: &[usize],
    ) -> Option<Vec<usize>> {
        let mut at = starts.to_vec();
        for _ in 0..min {
            at = self.step(part, &at)?;
        }
        let mut seen = vec![false; self.chars.len() + 1];
        self.steps += seen.len() / 64; // so long a list is not free
        let mut mark = |places: Vec<usize>| -> Vec<usize> {
            let new = |at: &usize| {
                seen.get_mut(*at)
                    .is_some_and(|seen| !std::mem::replace(seen, true))
            };
            places.into_iter().filter(new).collect()
        };
        let mut ends = mark(at);
        let mut newest = ends.clone();
        let mut left = max.map(|max| max.saturating_sub(min));
        // More times than there are new places change nothing.
        while !newest.is_empty() && left != Some(0) {
            newest = mark(self.step(part, &newest)?);
            ends.extend(&newest);
            left = left.map(|left| left - 1);
        }
        ends.sort_unstable();
        Some(ends)
    }

    /// The leftmost place from which `sequence` reaches `end`.
    fn start_of(&mut self, sequence: &[Part], end: usize) -> Option<usize> {
        if sequence.is_empty() {
            return Some(end);
        }
        for start in 0..=end {
            if self.sequence(sequence, &[start])?.contains(&end) {
                return Some(start);
            }
        }
        None
    }

    fn holds(&self, assertion: Assertion, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|at| self.chars.get(at));
        let after = self.chars.get(at);
        let is_word = |c: Option<&char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
        let boundary = is_word(before) != is_word(after);
        match assertion {
            Assertion::TextStart => before.is_none(),
            Assertion::TextEnd => after.is_none(),
            Assertion::LineStart => before.is_none_or(|c| *c == '\n'),
            Assertion::LineEnd => after.is_none_or(|c| *c == '\n'),
            Assertion::WordBoundary => boundary,
            Assertion::NotWordBoundary => !boundary,
        }
    }

    /// Long texts lose their middle.
    fn quoted(&self, range: Range<usize>) -> String {
        const MOST: usize = 60;
        let chars = self.chars.get(range).unwrap_or_default();
        if chars.len() <= MOST {
            return format!("`{}`", chars.iter().collect::<String>());
        }
        let part = |part: Option<&[char]>| part.unwrap_or_default().iter().collect::<String>();
        let start = part(chars.get(..MOST / 2));
        let end = part(chars.get(chars.len() - MOST / 2..));
        format!("`{start}…{end}`")
    }
}

#[cfg(test)]
mod tests;
