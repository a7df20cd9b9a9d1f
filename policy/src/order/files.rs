//! Which existing files each rule matches.

use super::{bits::Bits, languages::Languages, parallel};
use crate::rules::Rule;

/// Files by number, in the order of their bytes.
pub(super) struct Files<'f> {
    pub(super) paths: Vec<&'f str>,
    /// For each rule; `None` where there was too much to try. Of a pattern that does not compile: nothing.
    pub(super) matching: Vec<Option<Bits>>,
    /// The rule that each file gets; `None` where none matches, or where that was not worked out.
    pub(super) selected: Vec<Option<usize>>,
}

impl<'f> Files<'f> {
    /// At most `most_tries` pairs of rule and file are tried.
    pub(super) fn new(
        rules: &[Rule],
        languages: &Languages,
        paths: &[&'f str],
        most_tries: usize,
    ) -> Self {
        let mut paths = paths.to_vec();
        paths.sort_unstable();
        paths.dedup();
        let ranges: Vec<_> = (0..rules.len())
            .map(|rule| {
                let prefix = languages.prefix(rule);
                let from = paths.partition_point(|path| *path < prefix);
                let to = paths.partition_point(|path| *path < prefix || path.starts_with(prefix));
                from..to
            })
            .collect();
        let mut tries = 0_usize;
        let affordable: Vec<bool> = ranges
            .iter()
            .map(|range| {
                tries = tries.saturating_add(range.len());
                tries <= most_tries
            })
            .collect();
        let matching = parallel::for_each(rules.len(), |rule| {
            if !affordable.get(rule).copied().unwrap_or_default() {
                return None;
            }
            let mut matching = Bits::of(paths.len());
            for number in ranges.get(rule).cloned().unwrap_or_default() {
                let matches = |path| rules.get(rule)?.matches(path).ok();
                if paths
                    .get(number)
                    .copied()
                    .and_then(matches)
                    .unwrap_or_default()
                {
                    matching.insert(number);
                }
            }
            Some(matching)
        });
        let mut selected = vec![None; paths.len()];
        for (rule, matching) in matching.iter().enumerate() {
            let Some(matching) = matching else { break };
            for number in matching.iter() {
                if let Some(selected) = selected.get_mut(number) {
                    selected.get_or_insert(rule);
                }
            }
        }
        Self {
            paths,
            matching,
            selected,
        }
    }

    /// An existing file that both rules match.
    pub(super) fn common(&self, left: usize, right: usize) -> Option<&'f str> {
        let (left, right) = (self.of(left)?, self.of(right)?);
        self.paths.get(left.first_common(right)?).copied()
    }

    /// An existing file that the rule matches.
    pub(super) fn first(&self, rule: usize) -> Option<&'f str> {
        let matching = self.of(rule)?;
        self.paths.get(matching.first_common(matching)?).copied()
    }

    /// The files that the rule matches and no earlier one.
    pub(super) fn taken(&self, rule: usize) -> impl Iterator<Item = &'f str> {
        let matching = self.of(rule).into_iter().flat_map(Bits::iter);
        matching
            .filter(move |&file| self.selected.get(file) == Some(&Some(rule)))
            .filter_map(|file| self.paths.get(file).copied())
    }

    pub(super) fn of(&self, rule: usize) -> Option<&Bits> {
        self.matching.get(rule)?.as_ref()
    }
}
