//! Which recipients may appear where. Re-keying that nobody watches may not go beyond it: whoever can change the rules
//! could otherwise name themselves.

use std::collections::BTreeSet;

use crate::{
    drift::{self, Drift, FileState},
    rules::{KeyKind, Settings},
};

/// One recipient and where it may appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// As a rule writes it; SSH keys compare without their comment.
    pub recipient: String,
    /// Directories or files of the repository, clean and relative: it may appear in these and beneath them. The empty
    /// path is the repository itself.
    pub below: Vec<String>,
    /// Nobody but a person may take it away from a file there.
    pub required: bool,
}

/// All that is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(Vec<Pin>);

/// Why a person has to look at what the rules ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// This recipient is not pinned where the file is.
    Unpinned(String),
    /// This recipient, which is required there, loses access.
    RequiredLost(String),
    /// Some could open the file, alone or together, who could not and who are not new: fewer groups are needed, or
    /// groups were merged.
    Quorum,
    /// Other values are encrypted, or the MAC covers others.
    Selection,
}

impl Doubt {
    /// Its name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unpinned(_) => "unpinned-recipient",
            Self::RequiredLost(_) => "required-recipient-lost",
            Self::Quorum => "lower-threshold",
            Self::Selection => "selection-changed",
        }
    }

    /// The recipient that it is about.
    pub fn recipient(&self) -> Option<&str> {
        match self {
            Self::Unpinned(recipient) | Self::RequiredLost(recipient) => Some(recipient),
            Self::Quorum | Self::Selection => None,
        }
    }
}

impl Pins {
    /// What is pinned.
    pub fn new(pins: Vec<Pin>) -> Self {
        Self(pins)
    }

    /// Why the file at `path` may not obey its rule without a person's word.
    ///
    /// Every recipient of the rule must be pinned, also one that the file names already: what a file says of its
    /// recipients is not authenticated, and a new data key would be wrapped for all of them.
    pub fn doubts(&self, path: &str, settings: &Settings, file: &FileState) -> Vec<Doubt> {
        let mut doubts = BTreeSet::new();
        for recipient in settings.key_groups.iter().flatten() {
            let mut pins = self.0.iter();
            if !pins.any(|pin| pin.is_for(recipient.kind, &recipient.text) && pin.covers(path)) {
                doubts.insert(Doubt::Unpinned(recipient.text.clone()));
            }
        }
        for (kind, text) in file.key_groups.iter().flatten() {
            let mut pins = self.0.iter().filter(|pin| pin.required);
            if loses(settings, file, *kind, text)
                && pins.any(|pin| pin.is_for(*kind, text) && pin.covers(path))
            {
                doubts.insert(Doubt::RequiredLost(text.clone()));
            }
        }
        if widens_quorum(settings, file) {
            doubts.insert(Doubt::Quorum);
        }
        if Drift::between(settings, file).selection {
            doubts.insert(Doubt::Selection);
        }
        doubts.into_iter().collect()
    }
}

impl Pin {
    fn is_for(&self, kind: KeyKind, text: &str) -> bool {
        drift::address(kind, &self.recipient) == drift::address(kind, text)
    }

    fn covers(&self, path: &str) -> bool {
        self.below.iter().any(|below| {
            let rest = path.strip_prefix(below.as_str());
            below.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Whether this recipient of the file would open it no more, or no more alone where it did.
pub fn loses(settings: &Settings, file: &FileState, kind: KeyKind, recipient: &str) -> bool {
    let key = drift::address(kind, recipient);
    let (wanted, found) = (drift::wanted_groups(settings), drift::found_groups(file));
    let alone = |groups: &[BTreeSet<drift::Key>], threshold| {
        drift::opens_alone(groups, drift::needed(threshold, groups.len()), &key)
    };
    let is_named = wanted.iter().any(|group| group.contains(&key));
    !is_named || alone(&found, file.shamir_threshold) && !alone(&wanted, settings.shamir_threshold)
}

/// Whether those who open the file already could open it in more ways, or a new one alone where several are needed.
fn widens_quorum(settings: &Settings, file: &FileState) -> bool {
    let (wanted, found) = (drift::wanted_groups(settings), drift::found_groups(file));
    if found.len() < 2 {
        return false;
    }
    let known: BTreeSet<&drift::Key> = found.iter().flatten().collect();
    let mut new = BTreeSet::new();
    let mut in_two_groups = wanted.iter().flatten().filter(|key| !known.contains(key));
    if in_two_groups.any(|key| !new.insert(key)) {
        return true;
    }
    let of_old: Vec<BTreeSet<drift::Key>> = wanted
        .iter()
        .map(|group| {
            group
                .iter()
                .filter(|key| known.contains(key))
                .cloned()
                .collect()
        })
        .filter(|group: &BTreeSet<drift::Key>| !group.is_empty())
        .collect();
    let needed = drift::needed(settings.shamir_threshold, wanted.len());
    let enough = drift::needed(file.shamir_threshold, found.len());
    drift::loses_access((&of_old, needed), (&found, enough))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Rules, Selection};

    fn pins(pins: &[(&str, &[&str], bool)]) -> Pins {
        let pin = |(recipient, below, required): &(&str, &[&str], bool)| Pin {
            recipient: (*recipient).to_owned(),
            below: below.iter().map(|path| (*path).to_owned()).collect(),
            required: *required,
        };
        Pins::new(pins.iter().map(pin).collect())
    }

    fn doubts(pins: &Pins, path: &str, rule: &str, groups: &[&[&str]], threshold: i64) -> String {
        let rules = Rules::parse(&format!("creation_rules:\n  - {rule}\n")).unwrap();
        let group = |group: &&[&str]| {
            let ids = group.iter();
            ids.map(|id| (KeyKind::Pgp, (*id).to_owned())).collect()
        };
        let file = FileState {
            key_groups: groups.iter().map(group).collect(),
            shamir_threshold: threshold,
            selection: Some((Selection::UnencryptedSuffix, "_unencrypted".to_owned())),
            mac_only_encrypted: false,
        };
        let found = pins.doubts(path, &rules.all()[0].settings().unwrap(), &file);
        let shown = found.iter().map(|doubt| match doubt.recipient() {
            Some(recipient) => format!("{} {recipient}", doubt.code()),
            None => doubt.code().to_owned(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn recipients_are_pinned_by_path() {
        let pins = pins(&[("A", &[""], true), ("B", &["s/one", "s/two.yaml"], false)]);
        for (path, expected) in [
            ("s/one/a.yaml", ""),
            ("s/one", ""),
            ("s/two.yaml", ""),
            ("s/onetwo/a.yaml", "unpinned-recipient B"),
            ("s/two.yaml.bak", "unpinned-recipient B"),
            ("one/a.yaml", "unpinned-recipient B"),
        ] {
            // Whether the file names it already makes no difference.
            for groups in [&[&["A"][..]][..], &[&["A", "B"]]] {
                assert_eq!(
                    doubts(&pins, path, "pgp: 'A,B'", groups, 0),
                    expected,
                    "{path}"
                );
            }
        }
        let lost = |rule: &str| doubts(&pins, "s/one/a", rule, &[&["A", "B"]], 0);
        assert_eq!(lost("pgp: A"), "");
        assert_eq!(lost("pgp: B"), "required-recipient-lost A");
        // Still named, but of no use without somebody else.
        let quorum = "{key_groups: [pgp: [A], pgp: [B]], shamir_threshold: 2}";
        assert_eq!(lost(quorum), "required-recipient-lost A");
        assert_eq!(
            lost("{key_groups: [pgp: [A], pgp: [A, B]], shamir_threshold: 2}"),
            ""
        );
    }

    #[test]
    fn what_makes_a_quorum_weaker() {
        let pins = pins(&[
            ("A", &[""], false),
            ("B", &[""], false),
            ("C", &[""], false),
        ]);
        let doubts = |rule: &str, groups: &[&[&str]], threshold: i64| {
            doubts(&pins, "a.yaml", rule, groups, threshold)
        };
        let two = "key_groups: [pgp: [A], pgp: [B]]";
        let low = "{key_groups: [pgp: [A], pgp: [B], pgp: [C]], shamir_threshold: 2}";
        for (rule, groups, threshold, expected) in [
            (two, &[&["A"][..], &["B"]][..], 0, ""),
            (two, &[&["A", "B"]], 0, ""),
            ("pgp: 'A,B'", &[&["A"], &["B"]], 0, "lower-threshold"),
            ("pgp: A", &[&["A"], &["B"]], 0, "lower-threshold"),
            (
                "key_groups: [pgp: [A, C], pgp: [B]]",
                &[&["A"], &["B"]],
                0,
                "",
            ),
            (
                "key_groups: [pgp: [A, C], pgp: [B, C]]",
                &[&["A"], &["B"]],
                0,
                "lower-threshold",
            ),
            (
                "key_groups: [pgp: [A, B], pgp: [B]]",
                &[&["A"], &["B"]],
                0,
                "lower-threshold",
            ),
            (low, &[&["A"], &["B"], &["C"]], 3, "lower-threshold"),
            (low, &[&["A"], &["B"], &["C"]], 2, ""),
            (low, &[&["A"], &["B"]], 2, ""),
        ] {
            assert_eq!(
                doubts(rule, groups, threshold),
                expected,
                "{rule} {groups:?}"
            );
        }
    }

    #[test]
    fn another_selection() {
        let pins = pins(&[("A", &[""], false)]);
        let found = doubts(&pins, "a", "{pgp: A, encrypted_regex: ^a}", &[&["A"]], 0);
        assert_eq!(found, "selection-changed");
    }
}
