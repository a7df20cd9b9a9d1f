//! Questions about machines, answered with the shortest path that shows the answer, and the most natural of these.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use super::{Alphabet, Machine, Paths, TooLarge, alphabet::SymbolSet};

/// Cost of a character in a witness; and what an unnatural one, and a part that starts with a dot, cost beyond it.
const CHARACTER: usize = 100;
const MOST_RANK: usize = 20;
const LEADING_DOT: usize = 150;

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
    while let Some((Reverse(cost), Reverse(node))) = open.pop() {
        let (l, r) = nodes[node];
        if !done.insert((l, r)) {
            continue;
        }
        let (left_state, right_state) = (&left.machine.states[l], &right.states[r]);
        if left_state.accepts && right_state.accepts {
            return Ok(Some(text_of(&origins, node)));
        }
        for &(left_set, left_to) in &left_state.moves {
            budget.spend(right_state.moves.len() + 1)?;
            for &(right_set, right_to) in &right_state.moves {
                if done.contains(&(left_to, right_to)) {
                    continue;
                }
                let both = alphabet.set(left_set).and(alphabet.set(right_set));
                let Some((c, more)) = choose(alphabet, &both, left.at_part[l]) else {
                    continue;
                };
                origins.push(Some((node, c)));
                nodes.push((left_to, right_to));
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
    let all: Vec<(usize, usize)> = outer
        .iter()
        .enumerate()
        .filter_map(|(number, machine)| Some((number, machine.start?)))
        .collect();
    let mut origins: Vec<Origin> = vec![None];
    let mut nodes = vec![(start, all)];
    let mut open = BinaryHeap::from([(Reverse(0_usize), Reverse(0_usize))]);
    let mut done: HashMap<usize, Vec<Vec<(usize, usize)>>> = HashMap::new();
    while let Some((Reverse(cost), Reverse(node))) = open.pop() {
        let (state, others) = std::mem::take(&mut nodes[node]);
        let state_of = |&(machine, state): &(usize, usize)| &outer[machine].states[state];
        if others.iter().any(|other| state_of(other).accepts_all) {
            continue;
        }
        let known = done.entry(state).or_default();
        budget.spend(1 + known.iter().map(Vec::len).sum::<usize>())?;
        if known.iter().any(|smaller| is_subset(smaller, &others)) {
            continue;
        }
        known.retain(|larger| !is_subset(&others, larger));
        known.push(others.clone());
        let here = &inner.machine.states[state];
        if here.accepts && !others.iter().any(|other| state_of(other).accepts) {
            return Ok(Some(text_of(&origins, node)));
        }
        for &(set, to) in &here.moves {
            for block in blocks(alphabet.set(set), &others, outer, alphabet, budget)? {
                let Some((c, more)) = choose(alphabet, &block, inner.at_part[state]) else {
                    continue;
                };
                let mut reached = Vec::new();
                for &(machine, state) in &others {
                    for &(set, to) in &outer[machine].states[state].moves {
                        budget.spend(1)?;
                        if !alphabet.set(set).and(&block).is_empty() {
                            reached.push((machine, to));
                        }
                    }
                }
                reached.sort_unstable();
                reached.dedup();
                origins.push(Some((node, c)));
                nodes.push((to, reached));
                open.push((Reverse(cost + more), Reverse(nodes.len() - 1)));
            }
        }
    }
    Ok(None)
}

/// `set` in parts that no move of `others` tells apart.
fn blocks(
    set: &SymbolSet,
    others: &[(usize, usize)],
    outer: &[&Machine],
    alphabet: &Alphabet,
    budget: &mut Budget,
) -> Result<Vec<SymbolSet>, TooLarge> {
    let mut blocks = vec![set.clone()];
    let mut used = HashSet::new();
    for &(machine, state) in others {
        for &(by, _) in &outer[machine].states[state].moves {
            if !used.insert(by) {
                continue;
            }
            budget.spend(blocks.len())?;
            let by = alphabet.set(by);
            blocks = blocks
                .iter()
                .flat_map(|block| [block.and(by), block.without(by)])
                .filter(|block| !block.is_empty())
                .collect();
        }
    }
    Ok(blocks)
}

/// Both are sorted.
fn is_subset(small: &[(usize, usize)], large: &[(usize, usize)]) -> bool {
    let mut rest = large.iter();
    small.len() <= large.len() && small.iter().all(|item| rest.any(|other| other == item))
}
