//! The automaton of one pattern.
//!
//! First a network with empty moves and conditions, as Thompson builds it; then states that are a place in the network
//! together with what stood before it, so that a condition is decided when the next character, or the end, is known.

use std::collections::HashMap;

use super::{Alphabet, Room, TooLarge, alphabet::SetId};
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
    states: Vec<State>,
    /// Of all states, one after the other.
    moves: Vec<Move>,
}

/// Small, because there may be millions.
#[derive(Debug, Default)]
struct State {
    /// Behind the last of its moves.
    end: u32,
    accepts: bool,
    accepts_all: bool,
}

/// To another state with any character of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    set: u32,
    to: u32,
}

impl Move {
    pub(super) fn set(self) -> SetId {
        self.set as usize
    }

    pub(super) fn to(self) -> usize {
        self.to as usize
    }
}

/// A state while its machine is made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) moves: Vec<(SetId, usize)>,
    pub(super) accepts: bool,
}

impl Machine {
    /// The texts that `tree` matches at `place`; `None` stands for a pattern that matches everything.
    pub(crate) fn new(
        tree: Option<&Node>,
        place: Place,
        alphabet: &mut Alphabet,
        room: &mut Room,
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
        network.machine(start, alphabet, room)
    }

    pub(super) fn moves(&self, state: usize) -> &[Move] {
        let end = |state: usize| self.states.get(state).map_or(0, |state| state.end as usize);
        let start = state.checked_sub(1).map_or(0, end);
        self.moves.get(start..end(state)).unwrap_or_default()
    }

    pub(super) fn accepts(&self, state: usize) -> bool {
        self.states.get(state).is_some_and(|state| state.accepts)
    }

    /// Whether the state accepts every rest of a text.
    pub(super) fn accepts_all(&self, state: usize) -> bool {
        self.states
            .get(state)
            .is_some_and(|state| state.accepts_all)
    }

    /// From states of any kind: drops those that reach no accepting one.
    pub(super) fn trimmed(
        start: usize,
        drafts: Vec<Draft>,
        alphabet: &Alphabet,
    ) -> Result<Self, TooLarge> {
        let alive = alive(&drafts);
        if !alive.get(start).copied().unwrap_or_default() {
            return Ok(Self::default());
        }
        let small = |number: usize| u32::try_from(number).map_err(|_| TooLarge);
        let mut states = Vec::with_capacity(drafts.len());
        let all = drafts.iter().map(|draft| draft.moves.len()).sum();
        let mut moves = Vec::with_capacity(all);
        for (number, draft) in drafts.into_iter().enumerate() {
            let mut stays = Vec::new();
            for &(set, to) in draft
                .moves
                .iter()
                .filter(|&&(_, to)| alive[number] && alive[to])
            {
                let set_number = small(set)?;
                let to_number = small(to)?;
                moves.push(Move {
                    set: set_number,
                    to: to_number,
                });
                if to == number {
                    stays.push(set);
                }
            }
            states.push(State {
                end: small(moves.len())?,
                accepts: draft.accepts,
                accepts_all: draft.accepts && alphabet.is_all(stays.into_iter()),
            });
        }
        moves.shrink_to_fit();
        Ok(Self {
            start: Some(start),
            states,
            moves,
        })
    }
}

/// Which states reach an accepting one.
fn alive(states: &[Draft]) -> Vec<bool> {
    // What leads to each, one after the other.
    let mut ends = vec![0; states.len() + 1];
    for &(_, to) in states.iter().flat_map(|state| &state.moves) {
        ends[to + 1] += 1;
    }
    for to in 0..states.len() {
        ends[to + 1] += ends[to];
    }
    let mut filled = ends.clone();
    let mut before = vec![0; ends.last().copied().unwrap_or_default()];
    for (number, state) in states.iter().enumerate() {
        for &(_, to) in &state.moves {
            before[filled[to]] = number;
            filled[to] += 1;
        }
    }
    let mut alive: Vec<bool> = states.iter().map(|state| state.accepts).collect();
    let mut left: Vec<usize> = (0..states.len()).filter(|&state| alive[state]).collect();
    while let Some(state) = left.pop() {
        for &from in &before[ends[state]..ends[state + 1]] {
            if !std::mem::replace(&mut alive[from], true) {
                left.push(from);
            }
        }
    }
    alive
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

    fn machine(
        &self,
        start: usize,
        alphabet: &mut Alphabet,
        room: &mut Room,
    ) -> Result<Machine, TooLarge> {
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
            room.take(1 + moves.len())?;
            if places.len() > MOST_STATES || moves_made > MOST_MOVES {
                return Err(TooLarge);
            }
            let end = self.reach(part, before, After::End, &mut seen);
            let accepts = end.iter().any(|&at| matches!(self.parts[at], Part::Accept));
            states.push(Draft { moves, accepts });
        }
        Machine::trimmed(0, states, alphabet)
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
