//! Which text a machine would accept if one character were other, missing or too many.

use super::{Alphabet, Machine};

/// The states that are reached without and with one difference, before one character of a text.
#[derive(Clone, Default)]
struct Front {
    exact: Vec<usize>,
    differing: Vec<usize>,
}

/// The first of `texts` that is one character away from what `machine` accepts; none of them is accepted as it is. They
/// are sorted, so that what two of them start with is looked at once.
pub(crate) fn nearly<'t>(
    machine: &Machine,
    alphabet: &Alphabet,
    texts: &[&'t str],
    steps: &mut u64,
) -> Option<&'t str> {
    let start = machine.start?;
    let mut first = Front {
        exact: vec![start],
        differing: Vec::new(),
    };
    first.differing = after_any(machine, &first.exact);
    let mut fronts = vec![first];
    let mut before: Vec<char> = Vec::new();
    for text in texts {
        let characters: Vec<char> = text.chars().collect();
        let common = before
            .iter()
            .zip(&characters)
            .take_while(|(l, r)| l == r)
            .count();
        fronts.truncate(common + 1);
        for &c in characters.iter().skip(fronts.len() - 1) {
            let Some(front) = fronts.last() else { break };
            let next = advance(machine, alphabet, front, c);
            *steps = steps.checked_sub(1 + (next.exact.len() + next.differing.len()) as u64)?;
            let is_dead = next.differing.is_empty() && next.exact.is_empty();
            fronts.push(next);
            if is_dead {
                break;
            }
        }
        let is_whole = fronts.len() == characters.len() + 1;
        let accepts = |&state: &usize| machine.accepts(state);
        if is_whole
            && fronts
                .last()
                .is_some_and(|front| front.differing.iter().any(accepts))
        {
            return Some(text);
        }
        before = characters;
        before.truncate(fronts.len() - 1);
    }
    None
}

fn advance(machine: &Machine, alphabet: &Alphabet, front: &Front, c: char) -> Front {
    let symbol = alphabet.symbol(c);
    let exact = after(machine, alphabet, &front.exact, symbol);
    let mut differing = after(machine, alphabet, &front.differing, symbol);
    // One too many in the text, another one, or one of the pattern left out.
    differing.extend(&front.exact);
    differing.extend(after_any(machine, &front.exact));
    differing.extend(after_any(machine, &exact));
    differing.sort_unstable();
    differing.dedup();
    Front { exact, differing }
}

fn after(
    machine: &Machine,
    alphabet: &Alphabet,
    from: &[usize],
    symbol: Option<usize>,
) -> Vec<usize> {
    let Some(symbol) = symbol else {
        return Vec::new();
    };
    let moves = from.iter().flat_map(|&state| machine.moves(state));
    let mut reached: Vec<usize> = moves
        .filter(|step| alphabet.set(step.set()).contains(symbol))
        .map(|step| step.to())
        .collect();
    reached.sort_unstable();
    reached.dedup();
    reached
}

fn after_any(machine: &Machine, from: &[usize]) -> Vec<usize> {
    let moves = from.iter().flat_map(|&state| machine.moves(state));
    let mut reached: Vec<usize> = moves.map(|step| step.to()).collect();
    reached.sort_unstable();
    reached.dedup();
    reached
}
