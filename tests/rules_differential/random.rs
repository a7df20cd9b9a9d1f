//! Random choices that are the same in every run.

/// A xorshift generator.
pub(crate) struct Random {
    state: u64,
    /// Whether what is bad, or odd, may come at all; see [`Random::tame`].
    pub(crate) wild: bool,
}

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            wild: true,
        }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from((self.state >> 11) % bound as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// One of the first `tame`, or one of all when this is a wild turn.
    pub(crate) fn tame<T: Copy>(&mut self, from: &[T], tame: usize) -> T {
        let bound = if self.wild { from.len() } else { tame };
        from[self.below(bound)]
    }

    /// Now and then, and never in a tame turn.
    pub(crate) fn rare(&mut self, n: usize) -> bool {
        self.wild && self.one_in(n)
    }
}
