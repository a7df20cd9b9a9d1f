//! New hosts: into the list of anchors, and into every rule that names the host that they are to be like.

use std::{collections::HashSet, ops::Range};

use super::{
    Edit, EditError, Result,
    definition::{Definition, definition, is_beside},
    name::{anchor_of, anchors, check_name},
    place::{Holder, Place},
    sheet::{Sheet, quoted_as},
    splice::Splices,
    verify::{Change, applied},
};
use crate::{
    names::{comparable, is_key, name_above, name_in, ssh_comment},
    recipient::is_private_key,
    yaml::{Limits, NodeId},
};

/// A host that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHost {
    /// What it is called.
    pub name: String,
    /// Its age or SSH key.
    pub recipient: String,
}

/// Adds `hosts` to the list of anchors, and to every key group that names the host `like`.
///
/// # Errors
///
/// Names and keys that are in the file already, names that cannot be written, a file without a list of anchors where
/// `like` is not given, and places that are written in a way that cannot be edited.
pub fn add(text: &str, hosts: &[NewHost], like: Option<&str>, limits: Limits) -> Result<Edit> {
    let sheet = Sheet::read(text, limits)?;
    let hosts = checked(&sheet, hosts)?;
    let like = like.map(|like| sheet.key_of(like)).transpose()?;
    let mut adding = Adding {
        definition: definition(&sheet, like.as_deref())?,
        sheet: &sheet,
        hosts: &hosts,
        splices: Splices::default(),
        done: HashSet::new(),
    };
    adding.define()?;
    if let Some(like) = &like {
        for place in sheet.places.iter().filter(|place| place.names(like)) {
            adding.beside(place, like)?;
        }
    }
    let splices = adding.splices;
    let keys: Vec<String> = hosts.iter().map(|host| host.key.clone()).collect();
    let change = Change::Added {
        keys: &keys,
        like: like.as_deref(),
    };
    let (text, rules) = applied(&sheet, splices, change)?;
    let after = Sheet::read(&text, limits)?;
    let mut unnamed = Vec::new();
    for host in &hosts {
        match after.rules.names().keys_of(&host.name).as_slice() {
            [key] if *key == host.key => {}
            [] => unnamed.push(host.name.clone()),
            _ => {
                let message = format!("the name {:?} would stand for another key", host.name);
                return Err(EditError::new("cannot-edit", message)
                    .with_hint("choose another name; nothing was changed"));
            }
        }
    }
    let hosts = hosts.into_iter().map(|host| (host.name, host.key));
    Ok(Edit {
        text,
        hosts: hosts.collect(),
        rules,
        unnamed,
    })
}

/// A new host as it is written.
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) anchor: String,
    /// The key without comment.
    pub(super) key: String,
}

fn checked(sheet: &Sheet<'_>, hosts: &[NewHost]) -> Result<Vec<Checked>> {
    let names = sheet.rules.names();
    let mut taken: HashSet<String> = names
        .all()
        .chain(anchors(sheet))
        .map(str::to_owned)
        .collect();
    let mut checked: Vec<Checked> = Vec::new();
    for host in hosts {
        let NewHost { name, recipient } = host;
        check_name(name)?;
        let key = comparable(recipient);
        if is_private_key(recipient) || !is_key(&key) {
            let message = format!("the recipient of {name} is no public key");
            return Err(EditError::new("invalid-recipient", message));
        }
        let anchor = anchor_of(name);
        let is_new = !taken.contains(name) && !taken.contains(&anchor);
        taken.extend([name.clone(), anchor.clone()]);
        if !is_new {
            let message = format!("there is a host {name} already");
            return Err(EditError::new("host-exists", message).with_hint(
                "choose another name, or give that host another key with secretsctl host replace",
            ));
        }
        let before = sheet.places.iter().find(|place| place.names(&key));
        let twice = checked.iter().find(|other| other.key == key);
        if before.is_some() || twice.is_some() {
            let who = twice.map(|other| other.name.as_str());
            let message = match who.or_else(|| names.name_of(&key)) {
                Some(other) => format!("the recipient of {name} is that of {other}"),
                None => format!("the recipient of {name} is in the rules already"),
            };
            let error = EditError::new("recipient-exists", message).with_hint(
                "each host has a key of its own; to rename one, use secretsctl host rename",
            );
            return Err(match before {
                Some(place) => error.at(sheet.position(place.node)),
                None => error,
            });
        }
        checked.push(Checked {
            name: name.clone(),
            anchor,
            key,
        });
    }
    Ok(checked)
}

/// How a new name stands beside a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    Not,
    Behind,
    Above,
}

pub(super) struct Adding<'a> {
    pub(super) sheet: &'a Sheet<'a>,
    pub(super) hosts: &'a [Checked],
    definition: Option<Definition>,
    pub(super) splices: Splices,
    /// Lists and mappings that have the new hosts.
    done: HashSet<NodeId>,
}

/// One new item or entry: its text, and the comment that names it.
pub(super) type New = (String, Option<String>);

impl Adding<'_> {
    /// Writes the anchors.
    fn define(&mut self) -> Result<()> {
        let sheet = self.sheet;
        let place = match &self.definition {
            None => return Ok(()),
            Some(Definition::Behind(place)) => place.clone(),
            &Some(Definition::Empty { key, value }) => {
                let new = self.anchored(1, str::to_owned);
                self.fill(key, value, &new);
                return Ok(());
            }
        };
        let node = sheet.stream.node(place.node);
        let column = self.key_column(&place).unwrap_or(1);
        let new = self.anchored(column, |key| quoted_as(node, key));
        match place.holder {
            Holder::Item { list, number } => {
                self.done.insert(list);
                self.items(list, number, &new, Naming::Behind)
            }
            Holder::Value { map, number } => {
                self.done.insert(map);
                self.entries(map, number, &new)
            }
            Holder::Root => Err(self.not_understood("a key stands alone", &place)),
        }
    }

    /// The new keys with their anchors, the keys in this column.
    fn anchored(&self, column: usize, quoted: impl Fn(&str) -> String) -> Vec<New> {
        let text = |host: &Checked| -> New {
            let pad = " ".repeat(column.saturating_sub(host.anchor.len()).max(1));
            let text = format!("&{}{pad}{}", host.anchor, quoted(&host.key));
            let name = (host.anchor != host.name).then(|| host.name.clone());
            (text, name)
        };
        self.hosts.iter().map(text).collect()
    }

    /// How far from its anchor's name the key stands, where keys of different lengths of names stand in one column.
    fn key_column(&self, place: &Place) -> Option<usize> {
        let offsets = |place: &Place| {
            let node = self.sheet.stream.node(place.node);
            let anchor = node.anchor.as_ref()?;
            let gap = node.span.start.checked_sub(anchor.span.end)?;
            Some((gap, anchor.name.len() + gap))
        };
        let (_, column) = offsets(place)?;
        let places = self.sheet.places.iter();
        let mut together =
            places.filter(|other| other.is_definition(self.sheet) && is_beside(place, other));
        let is_aligned =
            |other: &Place| offsets(other).is_some_and(|(gap, at)| gap > 1 && at == column);
        together.any(is_aligned).then_some(column)
    }

    /// Writes the new hosts beside `like` at this place.
    fn beside(&mut self, place: &Place, like: &str) -> Result<()> {
        let sheet = self.sheet;
        let (Holder::Item { list: holder, .. } | Holder::Value { map: holder, .. }) = place.holder
        else {
            return Err(self.not_understood("a key stands alone", place));
        };
        let is_list_item = matches!(place.holder, Holder::Item { .. });
        if is_list_item && self.done.contains(&holder) {
            return Ok(());
        }
        match (place.holder, place.only()) {
            (Holder::Item { list, number }, Some(_)) => {
                let is_alias = place.is_alias();
                if is_alias && self.definition.is_none() {
                    return Err(self.not_understood("no anchor can be made for its alias", place));
                }
                self.done.insert(list);
                let naming = self.naming(place, like);
                let new: Vec<New> = self
                    .hosts
                    .iter()
                    .map(|host| match is_alias {
                        true => (format!("*{}", host.anchor), None),
                        false => (self.literal(place, host), Some(host.name.clone())),
                    })
                    .collect();
                self.items(list, number, &new, naming)
            }
            (Holder::Value { map, number }, Some(_)) if !place.is_in_rules => {
                if place.is_definition(sheet) || self.done.contains(&map) {
                    return Ok(());
                }
                if place.is_alias() {
                    return Err(self.not_understood("an alias stands outside of a list", place));
                }
                self.done.insert(map);
                let new: Vec<New> = self
                    .hosts
                    .iter()
                    .map(|host| (self.literal(place, host), Some(host.name.clone())))
                    .collect();
                self.entries(map, number, &new)
            }
            (_, Some(_)) if place.is_alias() => {
                let error = self.not_understood("one alias is all that stands here", place);
                Err(EditError {
                    hint: Some("write it as a list, [*name], and try again".to_owned()),
                    ..error
                })
            }
            // The text is edited where it is written.
            _ if place.is_alias() => Ok(()),
            (_, only) => {
                let is_called = |other: &Place| other.is_alias() && other.target == place.node;
                if only.is_some() && sheet.places.iter().any(is_called) {
                    let why = "an anchor stands on a text, and aliases use it as one key";
                    return Err(self.not_understood(why, place));
                }
                self.part(place, like)
            }
        }
    }

    /// The key as it stands at this place: quoted alike, and with the name as the comment of an SSH key.
    fn literal(&self, place: &Place, host: &Checked) -> String {
        let node = self.sheet.stream.node(place.node);
        quoted_as(node, &self.with_comment(place, 0, host))
    }

    pub(super) fn with_comment(&self, place: &Place, number: usize, host: &Checked) -> String {
        let part = place.parts.get(number).cloned().flatten();
        let has_comment = part.is_some_and(|part| ssh_comment(self.sheet.slice(part)).is_some());
        let is_plain = host.anchor == host.name.replace('.', "-");
        match has_comment && is_plain && host.key.starts_with("ssh-") {
            true => format!("{} {}", host.key, host.name),
            false => host.key.clone(),
        }
    }

    /// How the place names its key: new ones are named in the same way.
    fn naming(&self, place: &Place, key: &str) -> Naming {
        if place.is_alias() {
            return Naming::Not;
        }
        let names: Vec<&str> = self.sheet.rules.names().all_of(key).collect();
        let span = self.sheet.span(place.node);
        let is_name = |found: Option<Range<usize>>, read: fn(&str) -> Option<&str>| {
            let name = found.and_then(|comment| read(self.sheet.slice(comment)));
            name.is_some_and(|name| names.contains(&name))
        };
        // The comment of an SSH key cannot go with keys of another kind.
        let part = place.parts.first().cloned().flatten();
        let by_itself = part.and_then(|part| ssh_comment(self.sheet.slice(part)));
        let is_other = self.hosts.iter().any(|host| !host.key.starts_with("ssh-"));
        if is_name(self.sheet.comment_behind(span.end), name_in)
            || is_other && by_itself.is_some_and(|name| names.contains(&name))
        {
            Naming::Behind
        } else if is_name(self.sheet.comment_above(span.start), name_above) {
            Naming::Above
        } else if names.is_empty() {
            Naming::Behind
        } else {
            Naming::Not
        }
    }

    fn not_understood(&self, why: &str, place: &Place) -> EditError {
        EditError::not_understood(why, self.sheet.position(place.node))
    }
}
