//! The new text holds what it should and nothing else.

use std::collections::BTreeSet;

use super::{EditError, Result, sheet::Sheet, splice::Splices};
use crate::{
    names::{comparable, is_key},
    rules::{KeyKind, Position, Rule},
    yaml::{Content, NodeId, Stream, Style},
};

/// What is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'c> {
    /// These came; where a host is given, beside it in every rule.
    Added {
        keys: &'c [String],
        like: Option<&'c str>,
    },
    Removed(&'c str),
    Replaced {
        old: &'c str,
        new: &'c str,
    },
    Renamed,
}

/// Applies the changes and reads the result again. Gives it with the numbers of the rules that name others than before.
pub(super) fn applied(
    before: &Sheet<'_>,
    splices: Splices,
    change: Change<'_>,
) -> Result<(String, Vec<usize>)> {
    let text = splices.apply(before.text)?;
    let after = Sheet::read(&text, before.limits).map_err(|error| {
        let why = format!("it could not be read any more ({})", error.message);
        unexpected(&why)
    })?;
    if tree_of(before, &|key| change.expected(key)) != tree_of(&after, &|key| change.counted(key)) {
        return Err(unexpected("other data would change, too"));
    }
    let (old, new) = (before.rules.all(), after.rules.all());
    if old.len() != new.len() || before.rules.stores != after.rules.stores {
        return Err(unexpected("the rules would be others"));
    }
    let mut changed = Vec::new();
    for (old, new) in old.iter().zip(new) {
        if rule_changes(old, new, change)? {
            changed.push(old.index);
        }
    }
    let (old, new) = (before.comments(), after.comments());
    let is_kept = match change {
        Change::Added { .. } => is_within(&old, &new),
        Change::Removed(_) => is_within(&new, &old),
        Change::Replaced { .. } => old == new,
        Change::Renamed => old.len() == new.len(),
    };
    if !is_kept {
        return Err(unexpected("comments would be lost"));
    }
    if let Change::Removed(key) | Change::Replaced { old: key, .. } = change {
        refuse_left(&after, key)?;
    }
    Ok((text, changed))
}

/// The key may stand in a text that is no list of keys, in one that is melted with another for example.
fn refuse_left(after: &Sheet<'_>, key: &str) -> Result<()> {
    let written = key.split(' ').next_back().unwrap_or(key);
    let is_comment = |at: usize| {
        let comments = &after.stream.comments;
        comments.iter().any(|comment| comment.contains(&at))
    };
    let mut found = after.text.match_indices(written).map(|(at, _)| at);
    let Some(at) = found.find(|&at| !is_comment(at)) else {
        return Ok(());
    };
    let before = after.slice(0..at);
    let position = Position {
        line: before.matches('\n').count() + 1,
        column: after.slice(after.line_start(at)..at).chars().count() + 1,
    };
    let why =
        "the key stands in a text that is no list of keys (a comma too few?), and would stay there";
    Err(EditError::not_understood(why, position))
}

impl Change<'_> {
    /// What should become of a key that was there.
    fn expected(self, key: &str) -> Option<String> {
        match self {
            Self::Removed(gone) if gone == key => None,
            Self::Replaced { old, new } if old == key => Some(new.to_owned()),
            _ => Some(key.to_owned()),
        }
    }

    /// A key that is there now, unless it is one that came.
    fn counted(self, key: &str) -> Option<String> {
        match self {
            Self::Added { keys, .. } if keys.iter().any(|new| new == key) => None,
            _ => Some(key.to_owned()),
        }
    }

    fn group(self, group: &BTreeSet<(KeyKind, String)>) -> BTreeSet<(KeyKind, String)> {
        let age = |key: &str| (KeyKind::Age, key.to_owned());
        let mut expected: BTreeSet<_> = group
            .iter()
            .filter_map(|(kind, key)| match kind {
                KeyKind::Age => Some((*kind, self.expected(key)?)),
                _ => Some((*kind, key.clone())),
            })
            .collect();
        if let Self::Added {
            keys,
            like: Some(like),
        } = self
            && group.contains(&age(like))
        {
            expected.extend(keys.iter().map(|key| age(key)));
        }
        expected
    }
}

/// Whether the rule names others than before; an error where these are not those that are meant.
fn rule_changes(old: &Rule, new: &Rule, change: Change<'_>) -> Result<bool> {
    let text = |rule: &Rule| {
        let regex = rule.path_regex.as_ref().map(|regex| regex.text.clone());
        let unknown: Vec<_> = rule
            .unknown_keys
            .iter()
            .map(|key| key.text.clone())
            .collect();
        let selection: Vec<_> = rule
            .selection
            .iter()
            .map(|(selection, text)| (*selection, text.text.clone()))
            .collect();
        (regex, unknown, selection)
    };
    if text(old) != text(new) {
        return Err(unexpected("a rule would have other settings"));
    }
    let (old_settings, new_settings) = match (old.settings(), new.settings()) {
        (Ok(old), Ok(new)) => (old, new),
        // sops refuses the rule, before and after.
        (Err(_), Err(_)) => return Ok(false),
        _ => return Err(unexpected("a rule would be refused by sops")),
    };
    if (
        old_settings.shamir_threshold,
        old_settings.selection,
        old_settings.mac_only_encrypted,
        old_settings.key_groups.len(),
    ) != (
        new_settings.shamir_threshold,
        new_settings.selection,
        new_settings.mac_only_encrypted,
        new_settings.key_groups.len(),
    ) {
        return Err(unexpected("a rule would have other settings"));
    }
    let mut changes = false;
    let groups = old_settings.key_groups.iter().zip(&new_settings.key_groups);
    for (old, new) in groups {
        let members = |group: &[crate::rules::Recipient]| -> BTreeSet<(KeyKind, String)> {
            let members = group.iter();
            members
                .map(|one| match one.kind {
                    KeyKind::Age => (one.kind, comparable(&one.text)),
                    _ => (one.kind, one.text.clone()),
                })
                .collect()
        };
        let (old, new) = (members(old), members(new));
        if change.group(&old) != new {
            return Err(unexpected("a rule would name others than it should"));
        }
        changes |= old != new;
    }
    Ok(changes)
}

/// Whether all of `few` are among `many`; both are sorted.
fn is_within(few: &[&str], many: &[&str]) -> bool {
    let mut many = many.iter();
    few.iter().all(|one| many.any(|other| other == one))
}

fn unexpected(why: &str) -> EditError {
    EditError::new(
        "cannot-edit",
        format!("this file is written in a way that cannot be edited: {why}"),
    )
    .with_hint("edit it by hand; nothing was changed")
}

/// Data as they are read, aliases expanded, with the keys taken apart.
#[derive(Debug, PartialEq, Eq)]
enum Tree {
    Text(bool, Option<String>, String),
    Keys(Vec<String>),
    List(Vec<Self>),
    Map(Vec<(Option<Self>, Self)>),
}

/// Which key counts as what in a comparison; `None` for one that does not count.
type Counted<'c> = &'c dyn Fn(&str) -> Option<String>;

fn tree_of(sheet: &Sheet<'_>, counted: Counted<'_>) -> Option<Tree> {
    tree(&sheet.stream, sheet.root()?, counted)
}

/// `None` for what is empty: whether an empty list is written as one or not there at all says nothing.
fn tree(stream: &Stream, id: NodeId, counted: Counted<'_>) -> Option<Tree> {
    let node = stream.follow(id);
    match &node.content {
        Content::Sequence { items, .. } => {
            let items = items.iter().filter_map(|&item| tree(stream, item, counted));
            let items: Vec<_> = items.collect();
            (!items.is_empty()).then_some(Tree::List(items))
        }
        Content::Mapping { entries, .. } => {
            let entries = entries.iter().filter_map(|&(key, value)| {
                let value = tree(stream, value, counted)?;
                Some((tree(stream, key, counted), value))
            });
            let entries: Vec<_> = entries.collect();
            (!entries.is_empty()).then_some(Tree::Map(entries))
        }
        Content::Scalar { text, .. } if text.is_empty() => None,
        Content::Scalar { text, style } => {
            let parts: Vec<&str> = text.split(',').map(str::trim).collect();
            if parts.iter().any(|part| is_key(part)) {
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                let keys: Vec<String> = parts
                    .filter_map(|part| match is_key(part) {
                        true => counted(&comparable(part)),
                        false => Some(part.to_owned()),
                    })
                    .collect();
                return (!keys.is_empty()).then_some(Tree::Keys(keys));
            }
            let tag = node.tag.as_ref().map(|tag| tag.name.clone());
            Some(Tree::Text(*style == Style::Plain, tag, text.clone()))
        }
        // An alias names no alias.
        Content::Alias { .. } => None,
    }
}
