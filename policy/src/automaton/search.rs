//! Questions about machines, answered with the shortest path that shows the answer, and the most natural of these.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, hash_map::Entry},
};

use super::{Alphabet, Machine, Paths, TooLarge, alphabet::SymbolSet};

/// Cost of a character in a witness; and what an unnatural one, and a part that starts with a dot, cost beyond it.
const CHARACTER: usize = 100;
const MOST_RANK: usize = 20;
const LEADING_DOT: usize = 150;
/// Nodes of one search, and states in the sets of its nodes: what is remembered takes memory, on each thread.
const MOST_NODES: usize = 200_000;
const MOST_OTHERS: usize = 1_000_000;

/// Steps that all searches of one analysis may take together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(u64);

impl Budget {
    pub(crate) fn new(steps: u64) -> Self {
        Self(steps)
    }

    /// What is left.
    pub(crate) fn left(&self) -> u64 {
        self.0
    }

    fn spend(&mut self, steps: usize) -> Result<(), TooLarge> {
        match self.0.checked_sub(steps as u64) {
            Some(left) => self.0 = left,
            None => {
                self.0 = 0;
                return Err(TooLarge);
            }
        }
        Ok(())
    }
}

/// How a node of a search was reached: from which one, by which character.
type Origin = Option<(usize, char)>;
/// A machine by number, and one of its states.
type Other = (u32, u32);

fn text_of(origins: &[Origin], mut at: usize) -> String {
    let mut characters = Vec::new();
    while let Some(Some((from, c))) = origins.get(at) {
        characters.push(*c);
        at = *from;
    }
    characters.into_iter().rev().collect()
}

/// The character that stands for `set`, and what it costs.
fn choose(alphabet: &Alphabet, set: &SymbolSet, at_part: bool) -> Option<(char, usize)> {
    let symbol = set.first()?;
    let c = alphabet.representative(symbol);
    let dot = if at_part && c == '.' { LEADING_DOT } else { 0 };
    Some((c, CHARACTER + symbol.min(MOST_RANK) + dot))
}

/// A path that both accept.
pub(crate) fn common_path(
    left: &Paths,
    right: &Machine,
    alphabet: &Alphabet,
    budget: &mut Budget,
) -> Result<Option<String>, TooLarge> {
    let (Some(l), Some(r)) = (left.machine.start, right.start) else {
        return Ok(None);
    };
    let mut origins: Vec<Origin> = vec![None];
    let mut nodes = vec![(l, r)];
    let mut open = BinaryHeap::from([(Reverse(0_usize), Reverse(0_usize))]);
    let mut done = HashSet::new();
    // What the best way to a node costs that is known: a worse one is not remembered.
    let mut known: HashMap<(usize, usize), usize> = HashMap::new();
    while let Some((Reverse(cost), Reverse(node))) = open.pop() {
        let (l, r) = nodes[node];
        if !done.insert((l, r)) {
            continue;
        }
        if left.machine.accepts(l) && right.accepts(r) {
            return Ok(Some(text_of(&origins, node)));
        }
        let right_moves = right.moves(r);
        for left_move in left.machine.moves(l) {
            budget.spend(right_moves.len() + 1)?;
            for right_move in right_moves {
                let to = (left_move.to(), right_move.to());
                if done.contains(&to) {
                    continue;
                }
                let both = alphabet
                    .set(left_move.set())
                    .and(alphabet.set(right_move.set()));
                let Some((c, more)) = choose(alphabet, &both, left.at_part[l]) else {
                    continue;
                };
                match known.entry(to) {
                    Entry::Occupied(best) if *best.get() <= cost + more => continue,
                    Entry::Occupied(mut best) => *best.get_mut() = cost + more,
                    Entry::Vacant(free) => {
                        free.insert(cost + more);
                    }
                }
                if nodes.len() >= MOST_NODES {
                    return Err(TooLarge);
                }
                origins.push(Some((node, c)));
                nodes.push(to);
                open.push((Reverse(cost + more), Reverse(nodes.len() - 1)));
            }
        }
    }
    Ok(None)
}

/// A path of `inner` that none of `outer` accepts; `None` where they cover it together.
///
/// A node is a state of `inner` with the set of states that `outer` can be in. From a smaller set less is accepted, so a
/// node whose set holds that of another one with the same state has nothing to add (de Wulf, Doyen, Henzinger, Raskin:
/// Antichains, 2006).
pub(crate) fn uncovered_path(
    inner: &Paths,
    outer: &[&Machine],
    alphabet: &Alphabet,
    budget: &mut Budget,
) -> Result<Option<String>, TooLarge> {
    let Some(start) = inner.machine.start else {
        return Ok(None);
    };
    let mut all: Vec<Other> = Vec::with_capacity(outer.len());
    for (number, machine) in outer.iter().enumerate() {
        if let Some(start) = machine.start {
            all.push((small(number)?, small(start)?));
        }
    }
    let mut held = all.len();
    let mut origins: Vec<Origin> = vec![None];
    let mut nodes = vec![(start, all)];
    let mut open = BinaryHeap::from([(Reverse(0_usize), Reverse(0_usize))]);
    let mut done: HashMap<usize, Vec<Vec<Other>>> = HashMap::new();
    while let Some((Reverse(cost), Reverse(node))) = open.pop() {
        let (state, others) = std::mem::take(&mut nodes[node]);
        let machine = |other: &Other| outer[other.0 as usize];
        if others
            .iter()
            .any(|other| machine(other).accepts_all(other.1 as usize))
        {
            held -= others.len();
            continue;
        }
        let known = done.entry(state).or_default();
        budget.spend(1 + known.iter().map(Vec::len).sum::<usize>())?;
        if known.iter().any(|smaller| is_subset(smaller, &others)) {
            held -= others.len();
            continue;
        }
        known.retain(|larger| {
            let stays = !is_subset(&others, larger);
            if !stays {
                held -= larger.len();
            }
            stays
        });
        known.push(others.clone());
        if inner.machine.accepts(state)
            && !others
                .iter()
                .any(|other| machine(other).accepts(other.1 as usize))
        {
            return Ok(Some(text_of(&origins, node)));
        }
        for step in inner.machine.moves(state) {
            for block in blocks(alphabet.set(step.set()), &others, outer, alphabet, budget)? {
                let Some((c, more)) = choose(alphabet, &block, inner.at_part[state]) else {
                    continue;
                };
                let mut reached = Vec::new();
                for other in &others {
                    for by in machine(other).moves(other.1 as usize) {
                        budget.spend(1)?;
                        if !alphabet.set(by.set()).and(&block).is_empty() {
                            reached.push((other.0, small(by.to())?));
                        }
                    }
                }
                reached.sort_unstable();
                reached.dedup();
                reached.shrink_to_fit();
                held += reached.len();
                if nodes.len() >= MOST_NODES || held > MOST_OTHERS {
                    return Err(TooLarge);
                }
                origins.push(Some((node, c)));
                nodes.push((step.to(), reached));
                open.push((Reverse(cost + more), Reverse(nodes.len() - 1)));
            }
        }
    }
    Ok(None)
}

/// `set` in parts that no move of `others` tells apart.
fn blocks(
    set: &SymbolSet,
    others: &[Other],
    outer: &[&Machine],
    alphabet: &Alphabet,
    budget: &mut Budget,
) -> Result<Vec<SymbolSet>, TooLarge> {
    let mut blocks = vec![set.clone()];
    let mut used = HashSet::new();
    for &(machine, state) in others {
        for step in outer[machine as usize].moves(state as usize) {
            if !used.insert(step.set()) {
                continue;
            }
            budget.spend(blocks.len())?;
            let by = alphabet.set(step.set());
            blocks = blocks
                .iter()
                .flat_map(|block| [block.and(by), block.without(by)])
                .filter(|block| !block.is_empty())
                .collect();
        }
    }
    Ok(blocks)
}

fn small(number: usize) -> Result<u32, TooLarge> {
    u32::try_from(number).map_err(|_| TooLarge)
}

/// Both are sorted.
fn is_subset(small: &[Other], large: &[Other]) -> bool {
    let mut rest = large.iter();
    small.len() <= large.len() && small.iter().all(|item| rest.any(|other| other == item))
}
