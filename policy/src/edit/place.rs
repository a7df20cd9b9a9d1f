//! One place of the file that names one key or several.

use std::ops::Range;

use super::{EditError, Result, sheet::Sheet};
use crate::yaml::NodeId;

/// Where a key, or a text that holds several, is written or stands as an alias.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) node: NodeId,
    /// The node with the text: another one where this is an alias.
    pub(super) target: NodeId,
    /// In the form in which keys are compared.
    pub(super) keys: Vec<String>,
    /// Where each key stands, if it is written here, as it is.
    pub(super) parts: Vec<Option<Range<usize>>>,
    pub(super) holder: Holder,
    pub(super) is_in_rules: bool,
    /// Whether it is within brackets or braces.
    pub(super) is_in_flow: bool,
    /// The keys of the mappings around it, the outermost first.
    pub(super) groups: Vec<String>,
}

/// What holds a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Root,
    Item { list: NodeId, number: usize },
    Value { map: NodeId, number: usize },
}

impl Place {
    pub(super) fn names(&self, key: &str) -> bool {
        self.keys.iter().any(|other| other == key)
    }

    pub(super) fn is_alias(&self) -> bool {
        self.node != self.target
    }

    /// The only key of the place.
    pub(super) fn only(&self) -> Option<&str> {
        match self.keys.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether a key is given here by which aliases call it.
    pub(super) fn is_definition(&self, sheet: &Sheet<'_>) -> bool {
        let node = sheet.stream.node(self.node);
        let is_entry = match self.holder {
            Holder::Item { .. } => true,
            Holder::Value { .. } => !self.is_in_rules,
            Holder::Root => false,
        };
        is_entry && !self.is_alias() && node.anchor.is_some() && self.only().is_some()
    }

    /// Where the key with this number stands in the text.
    pub(super) fn part(&self, sheet: &Sheet<'_>, number: usize) -> Result<Range<usize>> {
        let part = self.parts.get(number).cloned().flatten();
        part.ok_or_else(|| {
            let why = "the key is written with escapes, or over several lines";
            EditError::not_understood(why, sheet.position(self.node))
        })
    }

    /// The keys of the mappings that it stands in, without that of its own value.
    pub(super) fn groups_around(&self) -> &[String] {
        match self.holder {
            Holder::Value { .. } => self.groups.split_last().map_or(&[], |(_, around)| around),
            _ => &self.groups,
        }
    }
}
