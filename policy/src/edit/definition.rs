//! Where new anchors are to stand.

use super::{
    EditError, Result,
    list::{Kind, group_kind, word_kind},
    place::{Holder, Place},
    sheet::{Sheet, WITH_RULES},
};
use crate::yaml::{Content, NodeId};

/// Where new anchors stand.
pub(super) enum Definition {
    /// Behind this one.
    Behind(Place),
    /// In a list of hosts that has none.
    Empty { key: NodeId, value: NodeId },
}

/// Where the new anchors are to stand.
pub(super) fn definition(sheet: &Sheet<'_>, like: Option<&str>) -> Result<Option<Definition>> {
    let definitions: Vec<&Place> = sheet
        .places
        .iter()
        .filter(|place| place.is_definition(sheet))
        .collect();
    if let Some(like) = like
        && let Some(place) = definitions.iter().find(|place| place.names(like))
    {
        // Within a rule the anchor stands beside the other one; a list of anchors grows at its end.
        return Ok(Some(Definition::Behind(match place.is_in_rules {
            true => (*place).clone(),
            false => last_beside(&definitions, place).clone(),
        })));
    }
    let lists = definitions.iter().filter(|place| !place.is_in_rules);
    let best = lists
        .filter(|place| group_kind(place) != Kind::Person)
        .max_by_key(|place| {
            let together = definitions.iter().filter(|other| is_beside(place, other));
            let is_host = group_kind(place) == Kind::Host;
            // The first of equals.
            (is_host, together.count(), std::cmp::Reverse(place.node))
        });
    // A list that the last host has left comes before one that is not said to be of hosts.
    let empty = match best {
        Some(place) if group_kind(place) == Kind::Host => None,
        _ => empty_list(sheet),
    };
    match (best, empty, like) {
        (_, Some((key, value)), _) => Ok(Some(Definition::Empty { key, value })),
        (Some(place), None, _) => {
            let place = last_beside(&definitions, place).clone();
            Ok(Some(Definition::Behind(place)))
        }
        (None, None, Some(_)) => Ok(None),
        (None, None, None) => Err(EditError::new(
            "no-place",
            "the file has no list of anchors for hosts, so no rule could name the new host",
        )
        .with_hint(
            "name a host with --like: the new one goes into every rule that names that one",
        )),
    }
}

/// The first empty list, outside of the rules, whose name says that it is of hosts: its key and itself.
fn empty_list(sheet: &Sheet<'_>) -> Option<(NodeId, NodeId)> {
    let root = sheet.root()?;
    let (top, _) = sheet.entries(root);
    let name = |key: NodeId| sheet.stream.node(key).as_scalar().unwrap_or_default();
    let outside = top
        .iter()
        .filter(|(key, _)| !WITH_RULES.contains(&name(*key)));
    let inner = outside
        .clone()
        .flat_map(|&(_, value)| sheet.entries(value).0);
    let mut all = outside.chain(inner);
    let found = all.find(|(key, value)| {
        let node = sheet.stream.node(*value);
        let is_empty = match &node.content {
            Content::Sequence { items, flow } => *flow && items.is_empty(),
            _ => node.span.is_empty(),
        };
        let is_line = sheet.leads(sheet.span(*key).start);
        is_empty && is_line && node.anchor.is_none() && word_kind(name(*key)) == Some(Kind::Host)
    });
    found.copied()
}

pub(super) fn is_beside(left: &Place, right: &Place) -> bool {
    match (left.holder, right.holder) {
        (Holder::Item { list, .. }, Holder::Item { list: other, .. }) => list == other,
        (Holder::Value { map, .. }, Holder::Value { map: other, .. }) => map == other,
        _ => false,
    }
}

fn last_beside<'p>(definitions: &[&'p Place], place: &'p Place) -> &'p Place {
    let mut together = definitions.iter().rev();
    let last = together.find(|other| is_beside(place, other));
    last.copied().unwrap_or(place)
}
