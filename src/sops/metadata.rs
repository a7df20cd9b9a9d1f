//! The `sops` block, as every version since 3.7 writes it: read into [`Metadata`], and made for a new file.

use crate::{
    error::{Error, Position, Result},
    secret::{DataKey, Secret},
    sops::{
        number::{Timestamp, parse_bool, parse_float},
        selection::{Kind, Selection},
        shamir,
        tree::{MetaNode, MetaValue},
    },
};

/// The version written into new files: sops compares it with its own, so it is one whose files ours are like.
const VERSION: &str = "3.13.3";

/// The lists of keys that are not age's, and the field that tells one key from another.
const OTHER_KINDS: [(&str, &str); 6] = [
    ("kms", "arn"),
    ("gcp_kms", "resource_id"),
    ("hckms", "key_id"),
    ("azure_kv", "vault_url"),
    ("hc_vault", "vault_address"),
    ("pgp", "fp"),
];

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
    /// Interprets `node`, which stands in `source`. As tolerant as sops: any case of the names, numbers as text, one
    /// mapping where a list is expected; more so for dates, which may be unquoted.
    pub(crate) fn read(node: &MetaNode, source: &[u8]) -> Result<Self> {
        let reader = Reader { source };
        let top = reader.map(node, "sops")?;
        let flat = reader.group(top)?;
        let groups = if flat.is_empty() {
            reader.groups(top)?
        } else {
            vec![flat]
        };
        if groups.iter().all(Vec::is_empty) {
            return Err(reader.error(node, "the metadata names no key that could open the file"));
        }
        Ok(Self {
            groups,
            threshold: reader.integer(top, "shamir_threshold")?,
            lastmodified: reader.lastmodified(node, top)?,
            mac: reader.text(top, "mac")?,
            selection: reader.selection(node, top)?,
            mac_only_encrypted: reader.boolean(top, "mac_only_encrypted")?,
            version: reader.text(top, "version")?,
        })
    }

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

/// What the metadata of a new file is made from.
pub(crate) struct NewMetadata<'a> {
    /// Recipient and wrapped key or share.
    pub(crate) groups: Vec<Vec<(&'a str, String)>>,
    /// Written with several groups only.
    pub(crate) threshold: usize,
    pub(crate) lastmodified: &'a str,
    pub(crate) mac: String,
    /// A binary file has none.
    pub(crate) selection: Option<&'a Selection>,
    pub(crate) mac_only_encrypted: bool,
}

impl NewMetadata<'_> {
    /// The block in the layout of sops 3.13: names sorted at every level.
    pub(crate) fn into_node(self) -> MetaNode {
        let mut fields = vec![
            ("lastmodified", quoted(self.lastmodified)),
            ("mac", quoted(&self.mac)),
            ("version", quoted(VERSION)),
        ];
        let several = self.groups.len() != 1;
        let mut lists: Vec<_> = self.groups.into_iter().map(age_list).collect();
        match lists.pop() {
            Some(only) if !several => fields.push(("age", only)),
            last => {
                lists.extend(last);
                let groups = lists.into_iter().map(|list| {
                    // sops writes these two lists even where they are empty.
                    map(vec![
                        ("age", list),
                        ("hc_vault", node(MetaValue::List(Vec::new()))),
                    ])
                });
                fields.push(("key_groups", node(MetaValue::List(groups.collect()))));
                fields.push(("shamir_threshold", unquoted(&self.threshold.to_string())));
            }
        }
        if let Some(selection) = self.selection {
            fields.push((selection.kind().name(), quoted(selection.text())));
        }
        if self.mac_only_encrypted {
            fields.push(("mac_only_encrypted", unquoted("true")));
        }
        fields.sort_unstable_by_key(|(name, _)| *name);
        map(fields)
    }
}

fn age_list(group: Vec<(&str, String)>) -> MetaNode {
    let entries = group.into_iter().map(|(recipient, enc)| {
        map(vec![
            ("enc", quoted(&enc)),
            ("recipient", quoted(recipient)),
        ])
    });
    node(MetaValue::List(entries.collect()))
}

fn map(fields: Vec<(&str, MetaNode)>) -> MetaNode {
    node(MetaValue::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    ))
}

fn quoted(text: &str) -> MetaNode {
    node(MetaValue::Scalar {
        text: text.to_owned(),
        quoted: true,
    })
}

fn unquoted(text: &str) -> MetaNode {
    node(MetaValue::Scalar {
        text: text.to_owned(),
        quoted: false,
    })
}

fn node(value: MetaValue) -> MetaNode {
    MetaNode { value, span: 0..0 }
}

type Fields = [(String, MetaNode)];

/// Reads fields; knows the text for the places of errors.
struct Reader<'a> {
    source: &'a [u8],
}

impl Reader<'_> {
    fn groups(&self, top: &Fields) -> Result<Vec<Vec<Entry>>> {
        let Some(list) = field(top, "key_groups") else {
            return Ok(Vec::new());
        };
        self.list(list, "key_groups")?
            .into_iter()
            .map(|group| self.group(self.map(group, "key_groups")?))
            .collect()
    }

    /// age comes first: that is what sops tries first.
    fn group(&self, fields: &Fields) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if let Some(list) = field(fields, "age") {
            for node in self.list(list, "age")? {
                let key = self.map(node, "age")?;
                entries.push(Entry::Age {
                    recipient: self.text(key, "recipient")?,
                    enc: self.text(key, "enc")?,
                });
            }
        }
        for (kind, id) in OTHER_KINDS {
            let Some(list) = field(fields, kind) else {
                continue;
            };
            for node in self.list(list, kind)? {
                entries.push(Entry::Other {
                    kind,
                    id: self.text(self.map(node, kind)?, id)?,
                });
            }
        }
        Ok(entries)
    }

    fn selection(&self, node: &MetaNode, top: &Fields) -> Result<Selection> {
        let mut found = None;
        for kind in Kind::ALL {
            let text = self.text(top, kind.name())?;
            if text.is_empty() {
                continue;
            }
            if found.is_some() {
                return Err(self
                    .error(node, "the metadata has more than one setting of what is encrypted")
                    .with_hint("sops allows one of encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, encrypted_comment_regex and unencrypted_comment_regex"));
            }
            let at = field(top, kind.name()).unwrap_or(node);
            found = Some(
                Selection::new(kind, &text)
                    .map_err(|error| error.with_position(self.position(at)))?,
            );
        }
        Ok(found.unwrap_or_else(Selection::by_default))
    }

    fn lastmodified(&self, node: &MetaNode, top: &Fields) -> Result<String> {
        let Some(field) = field(top, "lastmodified") else {
            return Err(self.error(node, "the metadata has no lastmodified"));
        };
        let text = self.scalar(field, "lastmodified")?;
        match Timestamp::parse(text) {
            Some(time) => Ok(time.to_seconds()),
            None => Err(self.error(
                field,
                "lastmodified is not a time like 2024-05-06T07:08:09Z",
            )),
        }
    }

    /// An absent field is the empty text.
    fn text(&self, fields: &Fields, name: &str) -> Result<String> {
        field(fields, name).map_or(Ok(String::new()), |node| {
            Ok(self.scalar(node, name)?.to_owned())
        })
    }

    fn boolean(&self, fields: &Fields, name: &str) -> Result<bool> {
        let Some(node) = field(fields, name) else {
            return Ok(false);
        };
        let text = self.scalar(node, name)?;
        let value = match text {
            "" => Some(false),
            _ => parse_bool(text).or_else(|| parse_float(text).map(|number| number != 0.0)),
        };
        value.ok_or_else(|| self.error(node, &format!("{name} is not true or false")))
    }

    /// A whole number, also as `2.0`, which sops 3.9 writes into INI files.
    fn integer(&self, fields: &Fields, name: &str) -> Result<i64> {
        let Some(node) = field(fields, name) else {
            return Ok(0);
        };
        let text = self.scalar(node, name)?;
        let whole =
            |number: f64| (number.fract() == 0.0 && number.abs() < 1e9).then_some(number as i64);
        let value = match text {
            "" => Some(0),
            _ => text
                .parse()
                .ok()
                .or_else(|| parse_float(text).and_then(whole)),
        };
        value.ok_or_else(|| self.error(node, &format!("{name} is not a whole number")))
    }

    fn scalar<'n>(&self, node: &'n MetaNode, name: &str) -> Result<&'n str> {
        match &node.value {
            MetaValue::Scalar { text, .. } => Ok(text),
            MetaValue::Null => Ok(""),
            MetaValue::List(_) | MetaValue::Map(_) => Err(self.error(
                node,
                &format!("{name} in the metadata is not a single value"),
            )),
        }
    }

    /// One mapping stands for a list of one.
    fn list<'n>(&self, node: &'n MetaNode, name: &str) -> Result<Vec<&'n MetaNode>> {
        match &node.value {
            MetaValue::List(items) => Ok(items.iter().collect()),
            MetaValue::Null => Ok(Vec::new()),
            MetaValue::Map(fields) if fields.is_empty() => Ok(Vec::new()),
            MetaValue::Map(_) => Ok(vec![node]),
            MetaValue::Scalar { text, .. } if text.is_empty() => Ok(Vec::new()),
            MetaValue::Scalar { .. } => {
                Err(self.error(node, &format!("{name} in the metadata is not a list")))
            }
        }
    }

    fn map<'n>(&self, node: &'n MetaNode, name: &str) -> Result<&'n Fields> {
        match &node.value {
            MetaValue::Map(fields) => Ok(fields),
            _ => Err(self.error(
                node,
                &format!("{name} in the metadata does not hold mappings"),
            )),
        }
    }

    fn error(&self, node: &MetaNode, message: &str) -> Error {
        Error::new("metadata", message)
            .with_position(self.position(node))
            .with_hint(
                "the metadata was damaged or edited by hand; restore the file from its history",
            )
    }

    fn position(&self, node: &MetaNode) -> Position {
        Position::of(self.source, node.span.start)
    }
}

/// The last field of that name, an exact one first: what sops' decoder finds.
fn field<'n>(fields: &'n Fields, name: &str) -> Option<&'n MetaNode> {
    let last = |test: &dyn Fn(&str) -> bool| {
        fields
            .iter()
            .rev()
            .find(|(key, _)| test(key))
            .map(|(_, node)| node)
    };
    last(&|key| key == name).or_else(|| last(&|key| key.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut open = |wanted: &[&str]| {
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
