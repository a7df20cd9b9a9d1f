//! Whether key groups and threshold mean what somebody meant by them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, KeyKind, Position, Recipient, Rule, Settings, Severity};
use crate::{
    drift::{key, needed},
    recipient::looks_like,
};

impl Rule {
    /// About the recipients, their groups and how many groups are needed.
    pub(super) fn quorum_findings(&self, settings: &Settings, found: &mut Vec<Finding>) {
        let groups = &settings.key_groups;
        self.empty_groups(groups, found);
        misplaced(groups, found);
        self.accidental_groups(groups, found);
        self.threshold_out_of_range(groups.len(), found);
        let alone = self.alone(groups, found);
        duplicates(groups, &alone, found);
        for member in self.keys.dropped_duplicates() {
            found.push(Finding::new(
                "duplicate-recipient",
                Severity::Note,
                member.position,
                "this recipient is in the group already",
                "name it once",
            ));
        }
    }

    fn empty_groups(&self, groups: &[Vec<Recipient>], found: &mut Vec<Finding>) {
        for (number, group) in groups.iter().enumerate() {
            if !group.is_empty() {
                continue;
            }
            let message = match self.keys.groups.get(number) {
                Some(_) => "a key group without keys: sops refuses to encrypt",
                None => "the rule names no recipient: sops selects it and refuses to encrypt",
            };
            found.push(Finding::new(
                "empty-rule",
                Severity::Error,
                self.group_position(number),
                message,
                "add a recipient",
            ));
        }
    }

    /// Several groups and no threshold: every group is needed, which one dash too many says as well as intent does.
    ///
    /// One kind of key for each group is what a list of keys by kind becomes when each kind gets a dash of its own; who
    /// wants a quorum seldom divides it so.
    fn accidental_groups(&self, groups: &[Vec<Recipient>], found: &mut Vec<Finding>) {
        if groups.len() < 2
            || groups.iter().any(Vec::is_empty)
            || self
                .shamir_threshold
                .is_some_and(|threshold| threshold != 0)
        {
            return;
        }
        let kinds: Vec<BTreeSet<KeyKind>> = groups
            .iter()
            .map(|group| group.iter().map(|member| member.kind).collect())
            .collect();
        let all: BTreeSet<&KeyKind> = kinds.iter().flatten().collect();
        let one_of_each = kinds.iter().all(|kinds| kinds.len() == 1) && all.len() == groups.len();
        let message = "a key of every group is needed to open these files, because the rule has several groups and no \
                       shamir_threshold";
        let (severity, hint) = if one_of_each {
            (
                Severity::Warning,
                "remove the dash in front of this group, if anybody in either should be able to open the files alone",
            )
        } else {
            (
                Severity::Note,
                "set shamir_threshold to say that this is meant",
            )
        };
        let position = self.group_position(1);
        let finding = Finding::new("unexpected-key-group", severity, position, message, hint);
        found.push(finding.with_related(self.group_position(0), "the first group"));
    }

    fn threshold_out_of_range(&self, groups: usize, found: &mut Vec<Finding>) {
        // With one group sops never looks at it.
        let (Some(threshold), true) = (self.shamir_threshold, groups > 1) else {
            return;
        };
        let message = if usize::try_from(threshold).is_ok_and(|threshold| threshold > groups) {
            format!(
                "shamir_threshold is {threshold}, and there are only {groups} key groups: sops refuses to encrypt"
            )
        } else if threshold != 0 && threshold < 2 {
            format!("shamir_threshold is {threshold}, and sops refuses fewer than 2")
        } else {
            return;
        };
        let hint = format!("use a number from 2 to {groups}, or leave it out to need every group");
        found.push(Finding::new(
            "threshold-out-of-range",
            Severity::Error,
            self.position,
            message,
            &hint,
        ));
    }

    /// Reports, and returns, the recipients that meet a threshold of two or more on their own.
    fn alone(
        &self,
        groups: &[Vec<Recipient>],
        found: &mut Vec<Finding>,
    ) -> BTreeSet<(KeyKind, String)> {
        let mut alone = BTreeSet::new();
        if let ([group], Some(threshold @ 2..)) = (groups, self.shamir_threshold) {
            if !group.is_empty() {
                let message = format!(
                    "each recipient opens these files alone although shamir_threshold is {threshold}: there is only one \
                     key group, and sops counts groups"
                );
                found.push(Finding::new(
                    "threshold-too-low",
                    Severity::Warning,
                    self.position,
                    message,
                    "divide the recipients among key_groups, or remove shamir_threshold",
                ));
            }
            return alone;
        }
        let needed = needed(self.shamir_threshold.unwrap_or_default(), groups.len());
        let needed = usize::try_from(needed).unwrap_or_default();
        if groups.len() < 2 || needed < 2 {
            return alone;
        }
        let mut places: BTreeMap<(KeyKind, String), BTreeMap<usize, Position>> = BTreeMap::new();
        for (number, group) in groups.iter().enumerate() {
            for member in group {
                let places = places.entry(key(member.kind, &member.text)).or_default();
                places.entry(number).or_insert(member.position);
            }
        }
        for (recipient, places) in places {
            let Some(&position) = places.values().nth(needed - 1) else {
                continue;
            };
            let message = format!(
                "this recipient opens these files alone: it is in {} key groups, and {needed} are needed",
                places.len()
            );
            let hint = "name it in fewer groups, or raise shamir_threshold";
            let mut finding = Finding::new(
                "threshold-too-low",
                Severity::Warning,
                position,
                message,
                hint,
            );
            for &other in places.values().filter(|&&other| other != position) {
                finding = finding.with_related(other, "it is here, too");
            }
            found.push(finding);
            alone.insert(recipient);
        }
        alone
    }

    fn group_position(&self, number: usize) -> Position {
        let group = self.keys.groups.get(number);
        group.map_or(self.position, |group| group.position)
    }
}

/// Recipients in the field of another kind of key. sops takes any text for a fingerprint or an address, and fails when it
/// encrypts.
fn misplaced(groups: &[Vec<Recipient>], found: &mut Vec<Finding>) {
    for member in groups.iter().flatten() {
        let Some((kind, field)) = looks_like(&member.text) else {
            continue;
        };
        if kind != member.kind {
            found.push(Finding::new(
                "invalid-recipient",
                Severity::Error,
                member.position,
                format!("this key is of the kind {field}, and stands in a field for another one"),
                &format!("name it below {field}"),
            ));
        }
    }
}

/// Recipients that are named more than once; not those of `told`.
fn duplicates(
    groups: &[Vec<Recipient>],
    told: &BTreeSet<(KeyKind, String)>,
    found: &mut Vec<Finding>,
) {
    let mut seen: BTreeMap<(KeyKind, String), (usize, &Recipient)> = BTreeMap::new();
    for (number, group) in groups.iter().enumerate() {
        for member in group {
            let key = key(member.kind, &member.text);
            let is_told = told.contains(&key);
            let Some((before, first)) = seen.insert(key, (number, member)) else {
                continue;
            };
            let message = if before != number {
                if is_told {
                    continue;
                }
                "this recipient is in more than one key group: it counts for each of them"
            } else if first.text == member.text {
                "this recipient is named twice: sops writes it twice"
            } else {
                "this recipient is named twice, with another comment: sops takes it for two, and writes both"
            };
            let finding = Finding::new(
                "duplicate-recipient",
                Severity::Warning,
                member.position,
                message,
                "name it once",
            );
            found.push(finding.with_related(first.position, "named here"));
        }
    }
}
