//! The `sops` block, as every version since 3.7 writes it: [`read`] into [`Metadata`], made [`new`] for a
//! file, and [`rekeyed`].

mod new;
mod read;
mod rekeyed;

pub(crate) use new::NewMetadata;
pub(crate) use rekeyed::{Others, Renewed, Wrapped};

use crate::{
    error::{Error, Result},
    secret::{DataKey, Secret},
    sops::{selection::Selection, shamir},
};

/// What the metadata of a file says. Nothing in it is authenticated but `mac`.
pub(crate) struct Metadata {
    /// One group: each entry holds the data key. Several: each entry of a group holds that group's share.
    pub(crate) groups: Vec<Vec<Entry>>,
    /// Groups that are needed; 0 where the file does not say. Without meaning for one group.
    pub(crate) threshold: i64,
    /// RFC 3339 with second precision, which the MAC is bound to.
    pub(crate) lastmodified: String,
    /// Empty where the file has none.
    pub(crate) mac: String,
    pub(crate) selection: Selection,
    pub(crate) mac_only_encrypted: bool,
    /// The version of sops that wrote the file last.
    pub(crate) version: String,
}

/// One key that can open the file, or its group's part of it.
#[derive(Clone)]
pub(crate) enum Entry {
    Age {
        /// As in the creation rule; never used for opening.
        recipient: String,
        /// An armored age file.
        enc: String,
    },
    Other {
        /// The name of the list: `pgp`, `kms`, …
        kind: &'static str,
        /// Fingerprint, ARN or address.
        id: String,
    },
}

impl Metadata {
    /// The data key. `unwrap` opens one entry: `Ok(None)` where no identity fits. An entry that fails does not stop the
    /// others; its error is told when the key cannot be had.
    pub(crate) fn recover(
        &self,
        unwrap: &mut dyn FnMut(&Entry) -> Result<Option<Secret>>,
    ) -> Result<DataKey> {
        let mut failure = None;
        let mut opened = Vec::new();
        for group in &self.groups {
            opened.extend(open_group(group, unwrap, &mut failure));
        }
        if self.groups.len() == 1 {
            return match opened.pop() {
                Some(key) => Ok(DataKey::new(key)),
                None => Err(failure.unwrap_or_else(|| self.no_identity())),
            };
        }
        let needed = usize::try_from(self.threshold).unwrap_or(0).max(2);
        if opened.len() < needed {
            return Err(failure.unwrap_or_else(|| {
                Error::new(
                    "no-identity",
                    format!(
                        "{} of {} key groups could be opened, {needed} are needed",
                        opened.len(),
                        self.groups.len()
                    ),
                )
                .with_hint("add identities of the other groups")
            }));
        }
        shamir::combine(&opened).map(DataKey::new)
    }

    /// All entries of all groups.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.groups.iter().flatten()
    }

    fn no_identity(&self) -> Error {
        let keys: Vec<_> = self
            .entries()
            .map(|entry| match entry {
                Entry::Age { recipient, .. } => recipient.clone(),
                Entry::Other { kind, id } => format!("{kind} {id}"),
            })
            .collect();
        Error::new("no-identity", "no identity opens this file").with_hint(format!(
            "give an identity of one of its recipients: {}",
            keys.join(", ")
        ))
    }
}

/// The content of one group, age first as sops tries it.
fn open_group(
    group: &[Entry],
    unwrap: &mut dyn FnMut(&Entry) -> Result<Option<Secret>>,
    failure: &mut Option<Error>,
) -> Option<Secret> {
    for entry in group {
        match unwrap(entry) {
            Ok(Some(secret)) => return Some(secret),
            Ok(None) => {}
            // An identity that waits for a person is the better news: with it the file may open.
            Err(error) if failure.is_none() || error.code == "locked" => *failure = Some(error),
            Err(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::tree::{MetaNode, MetaValue};
    use new::{map, node, quoted, unquoted};

    fn entry(recipient: &str) -> MetaNode {
        map(vec![("recipient", quoted(recipient)), ("enc", quoted("x"))])
    }

    fn read(fields: Vec<(&str, MetaNode)>) -> Result<Metadata> {
        let mut all = vec![("lastmodified", quoted("2024-05-06T07:08:09.5+00:00"))];
        all.extend(fields);
        Metadata::read(&map(all), b"")
    }

    #[test]
    fn every_shape_of_a_list() {
        for list in [entry("a"), node(MetaValue::List(vec![entry("a")]))] {
            let metadata = read(vec![("AGE", list), ("pgp", node(MetaValue::Null))]).unwrap();
            assert!(
                matches!(metadata.groups.as_slice(), [group] if matches!(group.as_slice(), [Entry::Age { recipient, .. }] if recipient == "a"))
            );
            assert_eq!(metadata.lastmodified, "2024-05-06T07:08:09Z");
            assert_eq!(metadata.selection.text(), "_unencrypted");
        }
        for (threshold, expected) in [("2", 2), ("2.000000", 2), ("-1", -1), ("", 0)] {
            let fields = vec![("age", entry("a")), ("shamir_threshold", quoted(threshold))];
            assert_eq!(read(fields).unwrap().threshold, expected);
        }
        for (name, value) in [
            ("age", quoted("x")),
            ("mac", entry("a")),
            ("lastmodified", quoted("yesterday")),
            ("mac_only_encrypted", quoted("perhaps")),
            ("shamir_threshold", quoted("2.5")),
            ("encrypted_regex", quoted("(")),
        ] {
            assert!(
                read(vec![("pgp", entry("a")), (name, value)]).is_err(),
                "{name}"
            );
        }
        assert!(read(vec![]).is_err());
    }

    #[test]
    fn groups_open_by_quorum() {
        let groups = (0..3)
            .map(|i| map(vec![("age", entry(&i.to_string()))]))
            .collect();
        let metadata = read(vec![
            ("age", node(MetaValue::List(Vec::new()))),
            ("key_groups", node(MetaValue::List(groups))),
            ("shamir_threshold", unquoted("2")),
        ])
        .unwrap();
        let shares = shamir::split(&[7; 32], 3, 2).unwrap();
        let open = |wanted: &[&str]| {
            metadata.recover(&mut |entry| {
                let Entry::Age { recipient, .. } = entry else {
                    return Ok(None);
                };
                let share = &shares[recipient.parse::<usize>().unwrap()];
                Ok(wanted
                    .contains(&recipient.as_str())
                    .then(|| share.duplicate()))
            })
        };
        assert_eq!(open(&["0", "2"]).unwrap().expose(), [7; 32]);
        assert_eq!(open(&["0", "1", "2"]).unwrap().expose(), [7; 32]);
        assert_eq!(open(&["1"]).err().unwrap().code, "no-identity");
    }

    #[test]
    fn a_locked_identity_is_told_rather_than_a_broken_entry() {
        let metadata = read(vec![(
            "age",
            node(MetaValue::List(vec![entry("a"), entry("b"), entry("c")])),
        )])
        .unwrap();
        let mut codes = ["damaged", "locked", "damaged"].into_iter();
        let error = metadata
            .recover(&mut |_| Err(Error::new(codes.next().unwrap(), "")))
            .err()
            .unwrap();
        assert_eq!(error.code, "locked");
    }
}
