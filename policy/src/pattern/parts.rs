//! The parts of a pattern with their places in its text. The tree that patterns are compiled from has lost both places
//! and groups.

use std::ops::Range;

use super::Node;

/// Open groups at once. Go takes more of them where they leave no trace in its tree.
const DEEPEST: usize = 100;

/// One part.
#[derive(Debug)]
pub(super) struct Part {
    /// Byte offsets in the text of the pattern.
    pub(super) span: Range<usize>,
    pub(super) what: What,
}

/// What a part is.
#[derive(Debug)]
pub(super) enum What {
    /// A character, a set of them or a condition.
    Leaf(Node),
    /// A group with its alternatives.
    Group(Vec<Vec<Part>>),
    /// `part` so many times.
    Repeat {
        part: Box<Part>,
        min: u32,
        max: Option<u32>,
    },
}

/// The parts while the pattern is read.
#[derive(Debug, Default)]
pub(super) struct Parts {
    group: Group,
    outer: Vec<Group>,
}

#[derive(Debug, Default)]
struct Group {
    start: usize,
    alternatives: Vec<Vec<Part>>,
    items: Vec<Part>,
}

impl Group {
    fn close(mut self) -> Vec<Vec<Part>> {
        self.alternatives.push(self.items);
        self.alternatives
    }
}

impl Parts {
    pub(super) fn leaf(&mut self, span: Range<usize>, node: Node) {
        let what = What::Leaf(node);
        self.group.items.push(Part { span, what });
    }

    pub(super) fn open(&mut self, start: usize) {
        let group = Group {
            start,
            ..Group::default()
        };
        self.outer.push(std::mem::replace(&mut self.group, group));
    }

    pub(super) fn next_alternative(&mut self) {
        let items = std::mem::take(&mut self.group.items);
        self.group.alternatives.push(items);
    }

    pub(super) fn close(&mut self, end: usize) {
        let outer = self.outer.pop().unwrap_or_default();
        let group = std::mem::replace(&mut self.group, outer);
        self.group.items.push(Part {
            span: group.start..end,
            what: What::Group(group.close()),
        });
    }

    pub(super) fn repeat(&mut self, end: usize, min: u32, max: Option<u32>) {
        if let Some(part) = self.group.items.pop() {
            self.group.items.push(Part {
                span: part.span.start..end,
                what: What::Repeat {
                    part: Box::new(part),
                    min,
                    max,
                },
            });
        }
    }

    pub(super) fn is_too_deep(&self) -> bool {
        self.outer.len() > DEEPEST
    }

    /// The alternatives of the whole pattern. Groups that only hold a sequence have become part of the one around them.
    pub(super) fn finish(self) -> Vec<Vec<Part>> {
        flat(self.group.close())
    }
}

/// At most as deep as groups nest.
fn flat(alternatives: Vec<Vec<Part>>) -> Vec<Vec<Part>> {
    let mut done = Vec::with_capacity(alternatives.len());
    for items in alternatives {
        let mut sequence = Vec::with_capacity(items.len());
        for item in items {
            match item.what {
                What::Group(inner) => {
                    let mut inner = flat(inner);
                    match inner.pop() {
                        Some(only) if inner.is_empty() => sequence.extend(only),
                        last => {
                            inner.extend(last);
                            let what = What::Group(inner);
                            sequence.push(Part { what, ..item });
                        }
                    }
                }
                _ => sequence.push(item),
            }
        }
        done.push(sequence);
    }
    match done.as_mut_slice() {
        // `(a|b)` alone is the alternatives of what is around it.
        [only] if only.len() == 1 => match only.pop() {
            Some(Part {
                what: What::Group(inner),
                ..
            }) => inner,
            other => vec![other.into_iter().collect()],
        },
        _ => done,
    }
}
