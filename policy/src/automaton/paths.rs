//! The paths among the texts that a machine accepts.

use std::collections::HashMap;

use super::{Alphabet, Machine, Room, TooLarge, machine::Draft};

/// States of one automaton of paths: four for each of the pattern's.
const MOST_STATES: usize = 80_000;

/// A machine that accepts paths only.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    pub(super) machine: Machine,
    /// Whether a state stands at the start of a path's part.
    pub(super) at_part: Vec<bool>,
}

/// How far a part of a path is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// Nothing yet: neither `/` nor the end may follow.
    Start,
    /// It is `.` so far.
    Dot,
    /// It is `..` so far.
    Dots,
    /// It is a name.
    Name,
}

impl Paths {
    /// The paths that `machine` accepts.
    pub(crate) fn of(
        machine: &Machine,
        alphabet: &mut Alphabet,
        room: &mut Room,
    ) -> Result<Self, TooLarge> {
        let Some(start) = machine.start else {
            return Ok(Self::default());
        };
        let [all, dot, slash] =
            [alphabet.all, alphabet.dot, alphabet.slash].map(|id| alphabet.set(id).clone());
        let name = all.without(&dot).without(&slash);
        let plain = all.without(&slash);
        let mut numbers = HashMap::new();
        let mut places = vec![(start, Part::Start)];
        numbers.insert((start, Part::Start), 0);
        let mut states = Vec::new();
        while let Some(&(state, part)) = places.get(states.len()) {
            if places.len() > MOST_STATES {
                return Err(TooLarge);
            }
            let ways: &[_] = match part {
                Part::Start => &[(&name, Part::Name), (&dot, Part::Dot)],
                Part::Dot => &[(&name, Part::Name), (&dot, Part::Dots)],
                Part::Dots => &[(&plain, Part::Name)],
                Part::Name => &[(&plain, Part::Name), (&slash, Part::Start)],
            };
            let mut moves = Vec::new();
            for step in machine.moves(state) {
                for (allowed, part) in ways {
                    let set = alphabet.set(step.set()).and(allowed);
                    if set.is_empty() {
                        continue;
                    }
                    let place = (step.to(), *part);
                    let to = *numbers.entry(place).or_insert_with(|| {
                        places.push(place);
                        places.len() - 1
                    });
                    moves.push((alphabet.number(set), to));
                }
            }
            room.take(1 + moves.len())?;
            states.push(Draft {
                moves,
                accepts: machine.accepts(state) && part == Part::Name,
            });
        }
        let at_part = places
            .iter()
            .map(|(_, part)| *part == Part::Start)
            .collect();
        Ok(Self {
            machine: Machine::trimmed(0, states, alphabet)?,
            at_part,
        })
    }

    /// Whether there is no path at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.machine.start.is_none()
    }
}
