//! Does a file obey its creation rule? Compared is what decides who can read what: recipients, groups, threshold, and
//! which values are encrypted.

use std::collections::BTreeSet;

use crate::rules::{KeyKind, Recipient, Selection, Settings};

/// What an encrypted file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Each entry by its kind and its text in the metadata: an age recipient, a fingerprint, the ARN of a key.
    pub key_groups: Vec<Vec<(KeyKind, String)>>,
    /// 0 where the file does not say.
    pub shamir_threshold: i64,
    /// `None` for a file without parts (binary), whose settings mean nothing.
    pub selection: Option<(Selection, String)>,
    /// Whether clear values are left out of the MAC.
    pub mac_only_encrypted: bool,
}

/// How a file differs from its rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Recipients of the rule that cannot open the file, as the rule writes them.
    pub gaining: Vec<String>,
    /// Recipients of the file that the rule does not name.
    pub losing: Vec<String>,
    /// There are more groups or fewer, or recipients that stay are with others in a group.
    pub groups: bool,
    /// Another number of groups is needed.
    pub threshold: bool,
    /// Other values are encrypted, or the MAC covers others.
    pub selection: bool,
    /// Some who can open the file, alone or together, could not any more: then the file needs a new data key, because
    /// they may know the old one.
    pub rotation: bool,
}

impl Drift {
    /// How `file` differs from the `settings` of its selected rule. Order and the comments of SSH keys do not count.
    pub fn between(settings: &Settings, file: &FileState) -> Self {
        let selection = selects_otherwise(settings, file);
        // Nearly every file obeys its rule, and says so in the same words.
        if is_written_alike(settings, file) {
            return Self {
                selection,
                ..Self::default()
            };
        }
        let (wanted, found) = (wanted_groups(settings), found_groups(file));
        let missing = |from: &[BTreeSet<Key>], than: &[BTreeSet<Key>]| -> Vec<String> {
            let than: BTreeSet<&Key> = than.iter().flatten().collect();
            let all: BTreeSet<&Key> = from.iter().flatten().collect();
            all.into_iter()
                .filter(|key| !than.contains(key))
                .map(|(_, text)| text.clone())
                .collect()
        };
        let gaining = missing(&wanted, &found);
        let losing = missing(&found, &wanted);
        let without = |groups: &[BTreeSet<Key>], gone: &[String]| -> Vec<BTreeSet<Key>> {
            let stays = |key: &&Key| !gone.contains(&key.1);
            let group = |group: &BTreeSet<Key>| group.iter().filter(stays).cloned().collect();
            groups.iter().map(group).collect()
        };
        let sorted = |groups: &[BTreeSet<Key>]| {
            let mut groups = groups.to_vec();
            groups.sort();
            groups
        };
        Self {
            groups: wanted.len() != found.len()
                || sorted(&without(&wanted, &gaining)) != sorted(&without(&found, &losing)),
            threshold: wanted.len() == found.len()
                && wanted.len() > 1
                && needed(settings.shamir_threshold, wanted.len())
                    != needed(file.shamir_threshold, found.len()),
            selection,
            rotation: loses_access(
                (&found, needed(file.shamir_threshold, found.len())),
                (&wanted, needed(settings.shamir_threshold, wanted.len())),
            ),
            gaining,
            losing,
        }
    }

    /// Whether the file obeys its rule.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether other values are to be encrypted, or the MAC is to cover others.
fn selects_otherwise(settings: &Settings, file: &FileState) -> bool {
    let Some((kind, text)) = &file.selection else {
        return false;
    };
    let wanted = match &settings.selection {
        Some((kind, text)) => (*kind, text.as_str()),
        None => (Selection::UnencryptedSuffix, "_unencrypted"),
    };
    wanted != (*kind, text.as_str()) || settings.mac_only_encrypted != file.mac_only_encrypted
}

/// Whether the same recipients stand in the same groups, in the same order, and as many groups are needed.
fn is_written_alike(settings: &Settings, file: &FileState) -> bool {
    let (wanted, found) = (&settings.key_groups, &file.key_groups);
    let is_key = |(wanted, (kind, text)): (&Recipient, &(KeyKind, String))| {
        wanted.kind == *kind && wanted.text == *text
    };
    let is_group = |(wanted, found): (&Vec<Recipient>, &Vec<(KeyKind, String)>)| {
        wanted.len() == found.len() && wanted.iter().zip(found).all(is_key)
    };
    wanted.len() == found.len()
        && needed(settings.shamir_threshold, wanted.len())
            == needed(file.shamir_threshold, found.len())
        && wanted.iter().zip(found).all(is_group)
}

/// The key groups of a rule.
pub(crate) fn wanted_groups(settings: &Settings) -> Vec<BTreeSet<Key>> {
    let group = |group: &Vec<Recipient>| {
        let keys = group.iter();
        keys.map(|one| address(one.kind, &one.text)).collect()
    };
    settings.key_groups.iter().map(group).collect()
}

/// The key groups of a file.
pub(crate) fn found_groups(file: &FileState) -> Vec<BTreeSet<Key>> {
    let group = |group: &Vec<(KeyKind, String)>| {
        let keys = group.iter();
        keys.map(|(kind, text)| address(*kind, text)).collect()
    };
    file.key_groups.iter().map(group).collect()
}

/// A recipient in the form in which it is compared.
pub type Key = (KeyKind, String);

type Quorum<'g> = (&'g [BTreeSet<Key>], i64);

/// Whether some who open `found` do not open `wanted`. Where that is not plain to see the answer is yes, which costs a
/// new data key and no more.
pub(crate) fn loses_access((found, enough): Quorum<'_>, (wanted, needed): Quorum<'_>) -> bool {
    if let [only] = wanted {
        return found.iter().flatten().any(|key| !only.contains(key));
    }
    if found.len() < 2 || needed > enough {
        return true;
    }
    // Members of so many different groups must be members of as many different ones.
    let mut free: Vec<&BTreeSet<Key>> = wanted.iter().collect();
    let takes = |group: &BTreeSet<Key>| {
        let equal = free.iter().position(|wanted| *wanted == group);
        let at = equal.or_else(|| free.iter().position(|wanted| group.is_subset(wanted)));
        at.map(|at| free.swap_remove(at)).is_some()
    };
    // Groups that are equal take each other first.
    let (equal, others): (Vec<_>, Vec<_>) = found.iter().partition(|group| wanted.contains(group));
    !equal.into_iter().chain(others).all(takes)
}

/// By which a recipient of the rules is compared with another one: SSH keys without their comments.
pub(crate) fn key(kind: KeyKind, text: &str) -> Key {
    if kind == KeyKind::Age && text.starts_with("ssh-") {
        let parts: Vec<_> = text.split_whitespace().take(2).collect();
        return (kind, parts.join(" "));
    }
    (kind, text.to_owned())
}

/// By which a recipient of the rules is compared with one of a file. The metadata give only the address of a cloud key,
/// and sops' own text of it has more behind that.
pub fn address(kind: KeyKind, text: &str) -> Key {
    let text = match kind {
        KeyKind::Kms => text.split(['+', '|']).next().unwrap_or_default(),
        KeyKind::AzureKeyVault => text.split("/keys/").next().unwrap_or_default(),
        KeyKind::HcVault => text.split("/v1/").next().unwrap_or_default(),
        _ => return key(kind, text),
    };
    (kind, text.to_owned())
}

/// Whether this recipient is in as many groups as are needed.
pub(crate) fn opens_alone(groups: &[BTreeSet<Key>], needed: i64, key: &Key) -> bool {
    let groups = groups.iter().filter(|group| group.contains(key)).count();
    i64::try_from(groups).is_ok_and(|groups| groups >= needed.max(1))
}

/// How many of these groups are needed; 0 stands for all.
pub fn needed(threshold: i64, groups: usize) -> i64 {
    match threshold {
        0 => i64::try_from(groups).unwrap_or(i64::MAX),
        threshold => threshold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;

    fn drift(rule: &str, file: &FileState) -> Drift {
        let rules = Rules::parse(&format!("creation_rules:\n  - {rule}\n")).unwrap();
        Drift::between(&rules.all()[0].settings().unwrap(), file)
    }

    fn file(groups: &[&[&str]]) -> FileState {
        let group = |group: &&[&str]| {
            group
                .iter()
                .map(|id| (KeyKind::Pgp, (*id).to_owned()))
                .collect()
        };
        FileState {
            key_groups: groups.iter().map(group).collect(),
            shamir_threshold: 0,
            selection: Some((Selection::UnencryptedSuffix, "_unencrypted".to_owned())),
            mac_only_encrypted: false,
        }
    }

    #[test]
    fn what_counts() {
        assert!(drift("pgp: 'A,B'", &file(&[&["B", "A"]])).is_none());
        let found = drift("pgp: 'A,C'", &file(&[&["A", "B"]]));
        assert_eq!(
            (found.gaining, found.losing),
            (vec!["C".into()], vec!["B".into()])
        );
        let groups = "key_groups: [pgp: [A], pgp: [B]]";
        assert!(drift(groups, &file(&[&["B"], &["A"]])).is_none());
        assert!(drift(groups, &file(&[&["A", "B"]])).groups);
        // Whoever comes or goes, what stays is compared.
        let found = drift(groups, &file(&[&["A"], &["C"]]));
        assert!(!found.groups && found.losing == ["C"]);
        assert!(drift(groups, &file(&[&["A"]])).groups);
        let moved = "key_groups: [pgp: [A, C], pgp: [B]]";
        assert!(drift(moved, &file(&[&["A"], &["B", "C", "D"]])).groups);
        let mut with_threshold = file(&[&["A"], &["B"]]);
        with_threshold.shamir_threshold = 2;
        assert!(drift(groups, &with_threshold).is_none());
        let three = "{key_groups: [pgp: [A], pgp: [B], pgp: [C]], shamir_threshold: 2}";
        let mut all = file(&[&["A"], &["B"], &["C"]]);
        assert!(drift(three, &all).threshold);
        all.shamir_threshold = 2;
        assert!(drift(three, &all).is_none());
    }

    #[test]
    fn when_somebody_loses_access() {
        let rotates = |rule: &str, groups: &[&[&str]], threshold: i64| {
            let mut file = file(groups);
            file.shamir_threshold = threshold;
            drift(rule, &file).rotation
        };
        let two = "key_groups: [pgp: [A, B], pgp: [C, D]]";
        let three = "{key_groups: [pgp: [A], pgp: [B], pgp: [C]], shamir_threshold: 2}";
        for (rule, groups, threshold, expected) in [
            ("pgp: 'A,B'", &[&["A"][..]][..], 0, false),
            ("pgp: A", &[&["A", "B"]], 0, true),
            ("pgp: 'A,B'", &[&["A"], &["B"]], 0, false),
            ("pgp: 'A'", &[&["A"], &["B"]], 0, true),
            (two, &[&["A", "B", "C", "D"]], 0, true),
            (two, &[&["A"], &["C"]], 0, false),
            (two, &[&["C", "D"], &["A"]], 0, false),
            (two, &[&["A"], &["B"]], 0, true),
            (two, &[&["A"], &["C"], &["E"]], 2, true),
            (three, &[&["A"], &["B"], &["C"]], 0, false),
            (three, &[&["A"], &["B"]], 0, false),
        ] {
            assert_eq!(
                rotates(rule, groups, threshold),
                expected,
                "{rule} {groups:?}"
            );
        }
        let all = "key_groups: [pgp: [A], pgp: [B], pgp: [C]]";
        assert!(rotates(all, &[&["A"], &["B"], &["C"]], 2));
    }

    #[test]
    fn settings_that_mean_the_same() {
        let mut one = file(&[&["A"]]);
        assert!(drift("{pgp: A, shamir_threshold: 2}", &one).is_none());
        assert!(drift("{pgp: A, unencrypted_suffix: _unencrypted}", &one).is_none());
        assert!(drift("{pgp: A, encrypted_regex: ^a}", &one).selection);
        assert!(drift("{pgp: A, mac_only_encrypted: true}", &one).selection);
        one.selection = None;
        assert!(drift("{pgp: A, encrypted_regex: ^a}", &one).is_none());
    }
}
