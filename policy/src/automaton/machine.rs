//! The automaton of one pattern.
//!
//! First a network with empty moves and conditions, as Thompson builds it; then states that are a place in the network
//! together with what stood before it, so that a condition is decided when the next character, or the end, is known.

use std::collections::HashMap;

use super::{Alphabet, TooLarge, alphabet::SetId};
use crate::pattern::{Assertion, Node};

/// Places of one network, and states of one automaton.
const MOST_STATES: usize = 20_000;
/// Moves of one automaton.
const MOST_MOVES: usize = 200_000;

/// Where in a text the pattern must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Anywhere, as sops matches.
    Anywhere,
    /// From the first character on.
    Start,
}

/// Without empty moves; every state can be reached, and reaches an accepting one.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// `None` where no text is accepted.
    pub(super) start: Option<usize>,
    pub(super) states: Vec<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) moves: Vec<(SetId, usize)>,
    pub(super) accepts: bool,
    /// Accepts every rest of a text.
    pub(super) accepts_all: bool,
}

impl Machine {
    /// The texts that `tree` matches at `place`; `None` stands for a pattern that matches everything.
    pub(crate) fn new(
        tree: Option<&Node>,
        place: Place,
        alphabet: &mut Alphabet,
    ) -> Result<Self, TooLarge> {
        let mut network = Network::default();
        let accept = network.add(Part::Accept)?;
        let rest = network.any(alphabet.all, accept)?;
        let mut start = rest;
        if let Some(tree) = tree {
            start = network.build(tree, rest, alphabet)?;
            if place == Place::Anywhere {
                start = network.any(alphabet.all, start)?;
            }
        }
        network.machine(start, alphabet)
    }

    /// From states of any kind: drops those that reach no accepting one.
    pub(super) fn trimmed(start: usize, mut states: Vec<State>, alphabet: &Alphabet) -> Self {
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); states.len()];
        for (number, state) in states.iter().enumerate() {
            for &(_, to) in &state.moves {
                before[to].push(number);
            }
        }
        let mut alive: Vec<bool> = states.iter().map(|state| state.accepts).collect();
        let mut left: Vec<usize> = (0..states.len()).filter(|&state| alive[state]).collect();
        while let Some(state) = left.pop() {
            for &from in &before[state] {
                if !std::mem::replace(&mut alive[from], true) {
                    left.push(from);
                }
            }
        }
        if !alive.get(start).copied().unwrap_or_default() {
            return Self::default();
        }
        for (number, state) in states.iter_mut().enumerate() {
            if alive[number] {
                state.moves.retain(|&(_, to)| alive[to]);
            } else {
                state.moves = Vec::new();
            }
            let stays = state.moves.iter().filter(|&&(_, to)| to == number);
            state.accepts_all = state.accepts && alphabet.is_all(stays.map(|&(set, _)| set));
        }
        Self {
            start: Some(start),
            states,
        }
    }
}

/// What stood before a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Before {
    Nothing,
    Word,
    Other,
}

/// What comes after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    End,
    Word,
    Other,
}

enum Part {
    Accept,
    One(SetId, usize),
    Either(Vec<usize>),
    If(Assertion, usize),
}

#[derive(Default)]
struct Network {
    parts: Vec<Part>,
    has_boundary: bool,
    has_start: bool,
}

impl Network {
    fn add(&mut self, part: Part) -> Result<usize, TooLarge> {
        if self.parts.len() >= MOST_STATES {
            return Err(TooLarge);
        }
        self.parts.push(part);
        Ok(self.parts.len() - 1)
    }

    /// Any number of characters, then `next`.
    fn any(&mut self, all: SetId, next: usize) -> Result<usize, TooLarge> {
        self.repeat_of(next, |network, again| network.add(Part::One(all, again)))
    }

    /// What `build` makes, any number of times, then `next`.
    fn repeat_of(
        &mut self,
        next: usize,
        build: impl FnOnce(&mut Self, usize) -> Result<usize, TooLarge>,
    ) -> Result<usize, TooLarge> {
        let fork = self.add(Part::Either(vec![next]))?;
        let body = build(self, fork)?;
        if let Some(Part::Either(ways)) = self.parts.get_mut(fork) {
            ways.push(body);
        }
        Ok(fork)
    }

    /// The entry of a network for `node` that goes on to `next`. At most as deep as the tree.
    fn build(&mut self, node: &Node, next: usize, alphabet: &Alphabet) -> Result<usize, TooLarge> {
        match node {
            Node::Empty => Ok(next),
            Node::Class(_) | Node::Literal(_) => match alphabet.of_node(node) {
                Some(set) => self.add(Part::One(set, next)),
                None => Err(TooLarge), // a tree that the alphabet was not made for
            },
            Node::Assertion(assertion) => {
                match assertion {
                    Assertion::WordBoundary | Assertion::NotWordBoundary => {
                        self.has_boundary = true;
                    }
                    Assertion::TextStart | Assertion::LineStart => self.has_start = true,
                    Assertion::TextEnd | Assertion::LineEnd => {}
                }
                self.add(Part::If(*assertion, next))
            }
            Node::Capture(node) => self.build(node, next, alphabet),
            Node::Concat(nodes) => nodes
                .iter()
                .rev()
                .try_fold(next, |next, node| self.build(node, next, alphabet)),
            Node::Alternate(nodes) => {
                let mut ways = Vec::with_capacity(nodes.len());
                for node in nodes {
                    ways.push(self.build(node, next, alphabet)?);
                }
                self.add(Part::Either(ways))
            }
            Node::Repeat { node, min, max } => {
                let mut entry = match max {
                    None => {
                        self.repeat_of(next, |network, again| network.build(node, again, alphabet))?
                    }
                    Some(max) => {
                        let mut entry = next;
                        for _ in *min..*max {
                            let body = self.build(node, entry, alphabet)?;
                            entry = self.add(Part::Either(vec![next, body]))?;
                        }
                        entry
                    }
                };
                for _ in 0..*min {
                    entry = self.build(node, entry, alphabet)?;
                }
                Ok(entry)
            }
        }
    }

    fn machine(&self, start: usize, alphabet: &mut Alphabet) -> Result<Machine, TooLarge> {
        let word = alphabet.set(alphabet.word).clone();
        let mut numbers = HashMap::new();
        let mut states = Vec::new();
        let mut places = Vec::new();
        let mut number = |place: (usize, Before), places: &mut Vec<(usize, Before)>| {
            *numbers.entry(place).or_insert_with(|| {
                places.push(place);
                places.len() - 1
            })
        };
        number((start, self.seen(Before::Nothing)), &mut places);
        let mut moves_made = 0;
        let mut seen = Seen::new(self.parts.len());
        while let Some(&(part, before)) = places.get(states.len()) {
            let mut moves = Vec::new();
            let sides: &[After] = if self.has_boundary {
                &[After::Word, After::Other]
            } else {
                &[After::Other]
            };
            for &after in sides {
                for at in self.reach(part, before, after, &mut seen) {
                    let Some(&Part::One(set, next)) = self.parts.get(at) else {
                        continue;
                    };
                    let (set, behind) = if !self.has_boundary {
                        (set, Before::Other)
                    } else if after == After::Word {
                        let set = alphabet.set(set).and(&word);
                        (alphabet.number(set), Before::Word)
                    } else {
                        let set = alphabet.set(set).without(&word);
                        (alphabet.number(set), Before::Other)
                    };
                    if !alphabet.set(set).is_empty() {
                        moves.push((set, number((next, self.seen(behind)), &mut places)));
                    }
                }
            }
            moves.sort_unstable();
            moves.dedup();
            moves_made += moves.len();
            if places.len() > MOST_STATES || moves_made > MOST_MOVES {
                return Err(TooLarge);
            }
            let end = self.reach(part, before, After::End, &mut seen);
            let accepts = end.iter().any(|&at| matches!(self.parts[at], Part::Accept));
            states.push(State {
                moves,
                accepts,
                accepts_all: false,
            });
        }
        Ok(Machine::trimmed(0, states, alphabet))
    }

    /// What the conditions of this network can tell apart.
    fn seen(&self, before: Before) -> Before {
        match before {
            Before::Nothing if self.has_start || self.has_boundary => Before::Nothing,
            Before::Word if self.has_boundary => Before::Word,
            _ => Before::Other,
        }
    }

    /// All places that empty moves lead to.
    fn reach(&self, from: usize, before: Before, after: After, seen: &mut Seen) -> Vec<usize> {
        seen.forget();
        let mut left = vec![from];
        let mut reached = Vec::new();
        while let Some(at) = left.pop() {
            if !seen.insert(at) {
                continue;
            }
            match &self.parts[at] {
                Part::Accept | Part::One(..) => reached.push(at),
                Part::Either(ways) => left.extend(ways),
                Part::If(assertion, next) => {
                    if holds(*assertion, before, after) {
                        left.push(*next);
                    }
                }
            }
        }
        reached
    }
}

/// Numbers that were met, forgotten at once: there is one search for each place, and a large network for each search would
/// take the square of its size.
struct Seen {
    rounds: Vec<usize>,
    round: usize,
}

impl Seen {
    fn new(bound: usize) -> Self {
        Self {
            rounds: vec![0; bound],
            round: 0,
        }
    }

    fn forget(&mut self) {
        self.round += 1;
    }

    /// Whether the number is new.
    fn insert(&mut self, number: usize) -> bool {
        std::mem::replace(&mut self.rounds[number], self.round) != self.round
    }
}

/// Paths hold no line feed, so lines are texts.
fn holds(assertion: Assertion, before: Before, after: After) -> bool {
    let boundary = (before == Before::Word) != (after == After::Word);
    match assertion {
        Assertion::TextStart | Assertion::LineStart => before == Before::Nothing,
        Assertion::TextEnd | Assertion::LineEnd => after == After::End,
        Assertion::WordBoundary => boundary,
        Assertion::NotWordBoundary => !boundary,
    }
}
