//! Parts of the tree while it is built, with their weight as Go counts it.

use std::collections::VecDeque;

use super::Node;

/// What Go limits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    /// Levels of the tree.
    pub(super) height: u32,
    /// Instructions when every repetition is written out.
    pub(super) size: u64,
    /// The largest product of nested counts.
    pub(super) copies: u64,
}

/// Something that a repetition can follow.
pub(super) enum Piece {
    One(Node, Measure),
    /// A concatenation or an alternation, which melts into one of its own kind.
    Many(Kind, Sequence),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Concat,
    Alternate,
}

/// The members of a concatenation or an alternation.
#[derive(Default)]
pub(super) struct Sequence {
    nodes: VecDeque<Node>,
    /// Of the members: the greatest height and copies, the sum of the sizes.
    members: Measure,
    /// Some member is more than what Go joins into one node: literals in a row, or single characters to choose from.
    composed: bool,
}

impl Piece {
    /// A node without parts.
    pub(super) fn one(node: Node) -> Self {
        Self::One(
            node,
            Measure {
                height: 1,
                size: 1,
                copies: 1,
            },
        )
    }

    pub(super) fn measure(&self) -> Measure {
        match self {
            Self::One(_, measure) => *measure,
            Self::Many(kind, sequence) => sequence.measure(*kind),
        }
    }

    pub(super) fn capture(self) -> Self {
        let inner = self.measure();
        let measure = Measure {
            height: inner.height + 1,
            size: inner.size + 2,
            ..inner
        };
        Self::One(Node::Capture(Box::new(self.into_node())), measure)
    }

    /// `counted`: written with braces; only these count as copies.
    pub(super) fn repeat(self, min: u32, max: Option<u32>, counted: bool) -> Self {
        let inner = self.measure();
        let (least, most) = (u64::from(min), max.map(u64::from));
        let size = match most {
            None if least == 0 => inner.size + 2,
            None => inner.size * least + 1,
            Some(most) => inner.size * most + most.saturating_sub(least),
        };
        let copies = match most {
            _ if !counted => inner.copies,
            Some(0) => 1,
            most => inner.copies * most.unwrap_or(least).max(1),
        };
        let measure = Measure {
            height: inner.height + 1,
            size: size.max(1),
            copies,
        };
        Self::One(
            Node::Repeat {
                node: Box::new(self.into_node()),
                min,
                max,
            },
            measure,
        )
    }

    pub(super) fn into_node(self) -> Node {
        match self {
            Self::One(node, _) => node,
            Self::Many(Kind::Concat, sequence) => Node::Concat(sequence.nodes.into()),
            Self::Many(Kind::Alternate, sequence) => Node::Alternate(sequence.nodes.into()),
        }
    }
}

impl Sequence {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Appends a member to this sequence, which is of kind `kind`.
    pub(super) fn add(&mut self, kind: Kind, piece: Piece) {
        match piece {
            Piece::Many(other, sequence) if other == kind => self.append(sequence),
            piece => {
                let measure = piece.measure();
                let node = piece.into_node();
                let joined = match kind {
                    Kind::Concat => matches!(node, Node::Literal(_)),
                    Kind::Alternate => matches!(node, Node::Literal(_) | Node::Class(_)),
                };
                self.nodes.push_back(node);
                self.composed |= !joined;
                self.grow(measure);
            }
        }
    }

    /// Moves the smaller part to the larger: nested groups that melt one by one must not cost their square.
    fn append(&mut self, mut other: Self) {
        if self.nodes.len() >= other.nodes.len() {
            self.nodes.append(&mut other.nodes);
        } else {
            while let Some(node) = self.nodes.pop_back() {
                other.nodes.push_front(node);
            }
            self.nodes = other.nodes;
        }
        self.composed |= other.composed;
        self.grow(other.members);
    }

    fn grow(&mut self, by: Measure) {
        self.members.height = self.members.height.max(by.height);
        self.members.size += by.size;
        self.members.copies = self.members.copies.max(by.copies);
    }

    fn measure(&self, kind: Kind) -> Measure {
        let height = if self.composed {
            self.members.height + 1
        } else {
            1
        };
        let branches = match kind {
            Kind::Concat => 0,
            Kind::Alternate => self.nodes.len().saturating_sub(1) as u64,
        };
        Measure {
            height,
            size: self.members.size + branches,
            ..self.members
        }
    }
}
