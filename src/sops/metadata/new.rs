//! The metadata of a new file.

use crate::sops::{
    selection::Selection,
    tree::{MetaNode, MetaValue},
};

/// The version written into new files: sops compares it with its own, so it is one whose files ours are like.
const VERSION: &str = "3.13.3";

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

pub(super) fn map(fields: Vec<(&str, MetaNode)>) -> MetaNode {
    node(MetaValue::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    ))
}

pub(super) fn quoted(text: &str) -> MetaNode {
    node(MetaValue::Scalar {
        text: text.to_owned(),
        quoted: true,
    })
}

pub(super) fn unquoted(text: &str) -> MetaNode {
    node(MetaValue::Scalar {
        text: text.to_owned(),
        quoted: false,
    })
}

pub(super) fn node(value: MetaValue) -> MetaNode {
    MetaNode { value, span: 0..0 }
}
