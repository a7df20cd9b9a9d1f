//! Sets of small numbers, a bit each.

/// A set of numbers below a bound that all sets of one use share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn of(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    pub(super) fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The least number that is in both.
    pub(super) fn first_common(&self, other: &Self) -> Option<usize> {
        first(self.0.iter().zip(&other.0).map(|(l, r)| l & r))
    }

    /// The least number of this set that is not in `other`.
    pub(super) fn first_beyond(&self, other: &Self) -> Option<usize> {
        first(self.0.iter().zip(&other.0).map(|(l, r)| l & !r))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(index, &word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| index * 64 + bit)
        })
    }
}

fn first(words: impl Iterator<Item = u64>) -> Option<usize> {
    let (index, word) = words.enumerate().find(|(_, word)| *word != 0)?;
    Some(index * 64 + word.trailing_zeros() as usize)
}
