//! The metadata of a file whose keys change. Whatever else it says stays.

use super::{
    Entry, Metadata, NewMetadata,
    new::{map, quoted},
    read::OTHER_KINDS,
};
use crate::{
    error::{Error, Result},
    sops::tree::{MetaNode, MetaValue},
};

/// A recipient of the changed file.
pub(crate) enum Wrapped {
    /// It keeps what it has.
    Kept { recipient: String },
    /// It gets this.
    Fresh { recipient: String, enc: String },
}

impl Wrapped {
    fn recipient(&self) -> &str {
        match self {
            Self::Kept { recipient } | Self::Fresh { recipient, .. } => recipient,
        }
    }
}

/// What becomes of keys of other kinds than age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    Stay,
    Go,
}

/// What changes besides the keys when the values are encrypted anew.
pub(crate) struct Renewed<'a> {
    pub(crate) lastmodified: &'a str,
    pub(crate) mac: String,
}

impl Renewed<'_> {
    /// Writes both into the metadata.
    pub(crate) fn put_into(&self, node: &mut MetaNode) -> Result<()> {
        let MetaValue::Map(fields) = &mut node.value else {
            return Err(not_a_mapping());
        };
        for (name, text) in [("lastmodified", self.lastmodified), ("mac", &self.mac)] {
            match field_mut(fields, name) {
                Some(node) => *node = quoted(text),
                None => fields.push((name.to_owned(), quoted(text))),
            }
        }
        Ok(())
    }
}

impl Metadata {
    /// `node`, of which this is the meaning, with the age keys of `groups`; those of other kinds stay as they are, or go.
    pub(crate) fn rekeyed(
        &self,
        node: &MetaNode,
        groups: &[Vec<Wrapped>],
        threshold: usize,
        others: Others,
        renewed: Option<&Renewed<'_>>,
    ) -> Result<MetaNode> {
        let mut new = node.duplicate();
        let MetaValue::Map(fields) = &mut new.value else {
            return Err(not_a_mapping());
        };
        match (self.groups.as_slice(), groups) {
            ([_], [group]) if field(fields, "age").is_some_and(is_plain_list) => {
                if let Some(list) = field_mut(fields, "age") {
                    set_list(list, group)?;
                }
            }
            _ => self.set_groups(fields, groups, threshold, others)?,
        }
        if others == Others::Go {
            for (_, list) in fields.iter_mut().filter(|(name, _)| is_other(name)) {
                list.value = MetaValue::List(Vec::new());
            }
        }
        if let Some(renewed) = renewed {
            renewed.put_into(&mut new)?;
        }
        Ok(new)
    }

    /// Writes all lists anew, in the layout of sops 3.13.
    fn set_groups(
        &self,
        fields: &mut Vec<(String, MetaNode)>,
        groups: &[Vec<Wrapped>],
        threshold: usize,
        others: Others,
    ) -> Result<()> {
        let stay = others == Others::Stay;
        if stay
            && self
                .entries()
                .any(|entry| matches!(entry, Entry::Other { .. }))
        {
            return Err(Error::new(
                "unsupported-recipient",
                "the key groups change, and the file has keys of other kinds than age",
            )
            .with_hint("re-key this file with sops updatekeys"));
        }
        let mut lists = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let before = self.groups.get(index).map_or(&[][..], Vec::as_slice);
            let entries = group.iter().map(|wrapped| match wrapped {
                Wrapped::Fresh { recipient, enc } => Ok((recipient.as_str(), enc.clone())),
                Wrapped::Kept { recipient } => before
                    .iter()
                    .find_map(|entry| match entry {
                        Entry::Age { recipient: of, enc } if of == recipient => {
                            Some((recipient.as_str(), enc.clone()))
                        }
                        _ => None,
                    })
                    .ok_or_else(|| Error::new("internal", "a key is kept that is not there")),
            });
            lists.push(entries.collect::<Result<Vec<_>>>()?);
        }
        let fresh = NewMetadata {
            groups: lists,
            threshold,
            lastmodified: "",
            mac: String::new(),
            selection: None,
            mac_only_encrypted: false,
        };
        let is_about_keys = |name: &str| {
            ["age", "key_groups", "shamir_threshold"]
                .iter()
                .any(|key| name.eq_ignore_ascii_case(key))
        };
        fields.retain(|(name, _)| !is_about_keys(name));
        if let MetaValue::Map(from) = fresh.into_node().value {
            fields.extend(from.into_iter().filter(|(name, _)| is_about_keys(name)));
        }
        fields.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(())
    }
}

fn not_a_mapping() -> Error {
    Error::new("internal", "the metadata is no mapping")
}

fn is_other(name: &str) -> bool {
    OTHER_KINDS.iter().any(|(kind, _)| *kind == name)
}

/// Whether every element is a mapping with a recipient and its text, as sops writes them.
fn is_plain_list(node: &MetaNode) -> bool {
    let MetaValue::List(items) = &node.value else {
        return false;
    };
    let is_plain = |item: &MetaNode| {
        recipient_of(item).is_some()
            && matches!(&item.value, MetaValue::Map(fields) if field(fields, "enc").is_some())
    };
    !items.is_empty() && items.iter().all(is_plain)
}

/// Those that stay keep their order, new ones come last.
fn set_list(list: &mut MetaNode, group: &[Wrapped]) -> Result<()> {
    let MetaValue::List(items) = &mut list.value else {
        return Err(Error::new("internal", "the age keys are no list"));
    };
    let wanted = |recipient: &str| {
        group
            .iter()
            .find(|wrapped| wrapped.recipient() == recipient)
    };
    let mut seen: Vec<String> = Vec::new();
    items.retain(|item| {
        let recipient = recipient_of(item).unwrap_or_default();
        let stays = wanted(recipient).is_some() && !seen.iter().any(|seen| seen == recipient);
        seen.push(recipient.to_owned());
        stays
    });
    for item in items.iter_mut() {
        let found = recipient_of(item).and_then(&wanted);
        if let (Some(Wrapped::Fresh { enc, .. }), MetaValue::Map(fields)) = (found, &mut item.value)
            && let Some(node) = field_mut(fields, "enc")
        {
            *node = like(node, enc);
        }
    }
    for wrapped in group {
        let Wrapped::Fresh { recipient, enc } = wrapped else {
            continue;
        };
        if !seen.iter().any(|seen| seen == recipient) {
            let recipient_first = items.last().is_some_and(|item| {
                matches!(&item.value, MetaValue::Map(fields) if fields.first().is_some_and(|(name, _)| name == "recipient"))
            });
            let mut fields = vec![("enc", quoted(enc)), ("recipient", quoted(recipient))];
            if recipient_first {
                fields.reverse();
            }
            items.push(map(fields));
        }
    }
    Ok(())
}

/// Another text in the same place.
fn like(node: &MetaNode, text: &str) -> MetaNode {
    MetaNode {
        value: quoted(text).value,
        span: node.span.clone(),
    }
}

fn recipient_of(item: &MetaNode) -> Option<&str> {
    let MetaValue::Map(fields) = &item.value else {
        return None;
    };
    match &field(fields, "recipient")?.value {
        MetaValue::Scalar { text, .. } => Some(text.trim()),
        _ => None,
    }
}

fn field<'n>(fields: &'n [(String, MetaNode)], name: &str) -> Option<&'n MetaNode> {
    let found = fields.iter().find(|(key, _)| key == name);
    found.map(|(_, node)| node)
}

fn field_mut<'n>(fields: &'n mut [(String, MetaNode)], name: &str) -> Option<&'n mut MetaNode> {
    let found = fields.iter_mut().find(|(key, _)| key == name);
    found.map(|(_, node)| node)
}
