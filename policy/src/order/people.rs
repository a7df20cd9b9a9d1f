//! Whom rules name and what they encrypt, each as a number that is cheap to compare.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use crate::{
    drift::{Key, key, needed},
    rules::{Recipient, Rule, Selection},
};

/// Equal numbers mean the same.
pub(super) struct Meaning {
    /// `None` where sops cannot use the rule.
    pub(super) people: Option<usize>,
    /// Which values it encrypts.
    pub(super) encrypts: usize,
}

/// What each rule means.
pub(super) fn meanings(rules: &[Rule]) -> Vec<Meaning> {
    let mut people = HashMap::new();
    let mut encrypts = HashMap::new();
    rules
        .iter()
        .map(|rule| Meaning {
            people: whom(rule).map(|whom| number(&mut people, whom)),
            encrypts: number(&mut encrypts, encrypted(rule)),
        })
        .collect()
}

fn number<T: Hash + Eq>(known: &mut HashMap<T, usize>, what: T) -> usize {
    let next = known.len();
    *known.entry(what).or_insert(next)
}

fn encrypted(rule: &Rule) -> (Vec<(Selection, &str)>, bool) {
    let settings = rule.selection.iter();
    let settings = settings.map(|(selection, text)| (*selection, text.text.as_str()));
    (settings.collect(), rule.mac_only_encrypted)
}

/// Groups, sorted, as their order says nothing; and how many of them are needed.
fn whom(rule: &Rule) -> Option<(Vec<BTreeSet<Key>>, i64)> {
    let settings = rule.settings().ok()?;
    let set = |group: Vec<Recipient>| group.iter().map(|one| key(one.kind, &one.text)).collect();
    let mut groups: Vec<BTreeSet<_>> = settings.key_groups.into_iter().map(set).collect();
    groups.sort();
    let threshold = match groups.len() {
        0 | 1 => 1,
        all => needed(settings.shamir_threshold, all),
    };
    Some((groups, threshold))
}
