//! A host is called otherwise, or has another key.

use super::{
    Edit, EditError, Result,
    list::rules_of,
    name::{anchor_of, anchors, check_name},
    sheet::Sheet,
    splice::Splices,
    verify::{Change, applied},
};
use crate::{
    names::{comparable, is_key, name_above, name_in, ssh_comment},
    recipient::is_private_key,
    yaml::{Content, Limits},
};

/// Gives the host `old` the name `new`: its anchor with all aliases, and comments that are its name.
///
/// # Errors
///
/// An unknown name, a new one that is taken or cannot be written, a host whose name stands nowhere.
pub fn rename(text: &str, old: &str, new: &str, limits: Limits) -> Result<Edit> {
    let sheet = Sheet::read(text, limits)?;
    check_name(new)?;
    let key = sheet.key_of(old)?;
    let (old_anchor, new_anchor) = (anchor_of(old), anchor_of(new));
    let names = sheet.rules.names();
    let is_taken = names.keys_of(new).iter().any(|other| *other != key)
        || new_anchor != old_anchor && anchors(&sheet).any(|anchor| anchor == new_anchor);
    if is_taken {
        let message = format!("there is a host {new} already");
        return Err(EditError::new("host-exists", message).with_hint("choose another name"));
    }
    let mut splices = Splices::default();
    let mut seen = std::collections::BTreeSet::new();
    for place in sheet.places.iter().filter(|place| place.names(&key)) {
        let node = sheet.stream.node(place.node);
        let target = sheet.stream.node(place.target);
        let is_called = |name: &str| name == old || name == old_anchor;
        if let Some(anchor) = &target.anchor
            && is_called(&anchor.name)
            && place.only().is_some()
            && anchor.name != new_anchor
        {
            let span = match &node.content {
                Content::Alias { .. } => node.span.clone(),
                _ => anchor.span.clone(),
            };
            // Behind the `*` or the `&`.
            splices.replace(span.start + 1..span.end, new_anchor.as_str());
        }
        let span = sheet.span(place.node);
        let mut comments = Vec::new();
        comments.extend(
            sheet
                .comment_behind(span.end)
                .map(|found| (found, name_in as fn(&str) -> Option<&str>)),
        );
        comments.extend(
            sheet
                .comment_above(span.start)
                .map(|found| (found, name_above as fn(&str) -> Option<&str>)),
        );
        for (comment, read) in comments {
            let text = sheet.slice(comment.clone());
            if read(text) == Some(old)
                && place.only().is_some()
                && let Some(at) = text.find(old)
                && seen.insert(comment.start)
            {
                let start = comment.start + at;
                splices.replace(start..start + old.len(), new);
            }
        }
        for (number, part) in place.parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let written = sheet.slice(part.clone());
            if place.keys.get(number) == Some(&key)
                && ssh_comment(written) == Some(old)
                && new_anchor == new.replace('.', "-")
            {
                splices.replace(part.end - old.len()..part.end, new);
            }
        }
    }
    let (text, rules) = applied(&sheet, splices, Change::Renamed)?;
    let after = Sheet::read(&text, limits)?;
    if after.rules.names().keys_of(new) != [key.as_str()] {
        let message = format!("the name {old} cannot be changed to {new} where it stands");
        return Err(EditError::new("cannot-edit", message).with_hint(
            "anchors are of letters, digits, `-` and `_` only; or edit the name by hand",
        ));
    }
    Ok(Edit {
        text,
        hosts: vec![(new.to_owned(), key)],
        rules,
        unnamed: Vec::new(),
    })
}

/// Gives the host `name` the key `recipient`, wherever its old one is written.
///
/// # Errors
///
/// An unknown name, a key that is in the file already, places that are written in a way that cannot be edited.
pub fn replace(text: &str, name: &str, recipient: &str, limits: Limits) -> Result<Edit> {
    let sheet = Sheet::read(text, limits)?;
    let old = sheet.key_of(name)?;
    let new = comparable(recipient);
    if is_private_key(recipient) || !is_key(&new) {
        return Err(EditError::new(
            "invalid-recipient",
            format!("the new recipient of {name} is no public key"),
        ));
    }
    if let Some(place) = sheet.places.iter().find(|place| place.names(&new)) {
        let message = match sheet.rules.names().name_of(&new) {
            _ if new == old => format!("this is the recipient of {name} already"),
            Some(other) => format!("this is the recipient of {other}"),
            None => "this recipient is in the rules already".to_owned(),
        };
        return Err(EditError::new("recipient-exists", message)
            .at(sheet.position(place.node))
            .with_hint("each host has a key of its own"));
    }
    let rules = rules_of(&sheet, &old);
    let mut splices = Splices::default();
    for place in sheet.places.iter().filter(|place| place.names(&old)) {
        if place.is_alias() {
            continue;
        }
        for number in 0..place.keys.len() {
            if place.keys.get(number) != Some(&old) {
                continue;
            }
            let part = place.part(&sheet, number)?;
            let comment = ssh_comment(sheet.slice(part.clone()));
            let text = match comment.filter(|_| new.starts_with("ssh-")) {
                Some(comment) => format!("{new} {comment}"),
                None => new.clone(),
            };
            splices.replace(part, text);
        }
    }
    let change = Change::Replaced {
        old: &old,
        new: &new,
    };
    let before = sheet.rules.names().name_of(&old);
    let called = before.unwrap_or(name).to_owned();
    let (text, _) = applied(&sheet, splices, change)?;
    let after = Sheet::read(&text, limits)?;
    let is_named = before.is_none() || after.rules.names().name_of(&new).is_some();
    Ok(Edit {
        text,
        unnamed: (!is_named).then(|| called.clone()).into_iter().collect(),
        hosts: vec![(called, new)],
        rules,
    })
}
