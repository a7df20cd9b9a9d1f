//! Path patterns as automata: whether two of them meet, whether some cover another one, and on which path.
//!
//! Whole texts are accepted or not, so "matches anywhere" becomes a pattern between two `.*`. The universe is that of
//! paths as sops sees them below the directory of `.sops.yaml`: not empty, parts joined by single `/`, none of them `.`
//! or `..`, no control characters.
//!
//! - [`alphabet`]: characters that no pattern tells apart are one symbol;
//! - [`machine`]: an automaton without empty moves for one pattern, conditions (`^`, `\b`) worked into its states;
//! - [`paths`]: the same, restricted to the universe;
//! - [`search`]: intersection and inclusion, each with a witness;
//! - [`mod@nearly`]: texts that one character keeps from being accepted.
//!
//! Everything is exact. What costs too much ends with [`TooLarge`], never with a guess.

mod alphabet;
mod machine;
mod nearly;
mod paths;
mod search;

pub(crate) use self::alphabet::Alphabet;
pub(crate) use self::machine::{Machine, Place};
pub(crate) use self::nearly::nearly;
pub(crate) use self::paths::Paths;
pub(crate) use self::search::{Budget, common_path, uncovered_path};

/// The patterns need more states or steps than the analysis spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// How many states and moves may still be kept. The automata of all rules share one memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room(usize);

impl Room {
    pub(crate) fn new(states_and_moves: usize) -> Self {
        Self(states_and_moves)
    }

    pub(crate) fn left(self) -> usize {
        self.0
    }

    fn take(&mut self, states_and_moves: usize) -> Result<(), TooLarge> {
        self.0 = self.0.checked_sub(states_and_moves).ok_or(TooLarge)?;
        Ok(())
    }
}
