//! Which pairs of rules can meet at all, by what their paths start with: the answer for nearly all pairs of a large fleet,
//! without looking at each.

use std::collections::HashMap;

use super::languages::Languages;

/// Rules by the start of their paths.
pub(super) struct Candidates<'l> {
    languages: &'l Languages,
    of_prefix: HashMap<&'l str, Vec<usize>>,
    /// Sorted.
    prefixes: Vec<&'l str>,
}

impl<'l> Candidates<'l> {
    pub(super) fn new(rules: usize, languages: &'l Languages) -> Self {
        let mut of_prefix: HashMap<&str, Vec<usize>> = HashMap::new();
        for rule in 0..rules {
            of_prefix
                .entry(languages.prefix(rule))
                .or_default()
                .push(rule);
        }
        let mut prefixes: Vec<&str> = of_prefix.keys().copied().collect();
        prefixes.sort_unstable();
        Self {
            languages,
            of_prefix,
            prefixes,
        }
    }

    /// The rules before `later` that may meet it, in order.
    pub(super) fn before(&self, later: usize) -> Vec<usize> {
        let prefix = self.languages.prefix(later);
        let longer = self.prefixes.partition_point(|other| *other < prefix);
        let longer = self.prefixes.iter().skip(longer);
        let longer = longer
            .take_while(|other| other.starts_with(prefix))
            .copied();
        let shorter = prefix.char_indices().filter_map(|(at, _)| prefix.get(..at));
        let mut before: Vec<usize> = longer
            .chain(shorter)
            .filter_map(|prefix| self.of_prefix.get(prefix))
            .flat_map(|rules| rules.iter().copied().take_while(|&rule| rule < later))
            .collect();
        before.sort_unstable();
        before
    }
}
