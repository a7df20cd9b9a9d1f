//! A host leaves: out of every rule, and out of the list of anchors.

use std::{collections::HashSet, ops::Range};

use super::{
    Edit, EditError, Result,
    list::rules_of,
    place::{Holder, Place},
    sheet::Sheet,
    splice::Splices,
    verify::{Change, applied},
};
use crate::{
    names::{comparable, name_above},
    yaml::{Limits, NodeId},
};

/// Rounds in which a key that one list names several times is taken out.
const ROUNDS: usize = 100;

/// Takes the host `name` out of the file.
///
/// # Errors
///
/// An unknown name, a rule that would be left without recipients, and places that are written in a way that cannot be
/// edited.
pub fn retire(text: &str, name: &str, limits: Limits) -> Result<Edit> {
    let sheet = Sheet::read(text, limits)?;
    let key = sheet.key_of(name)?;
    let called = sheet.rules.names().name_of(&key).unwrap_or(name).to_owned();
    refuse_empty_rules(&sheet, &key, &called)?;
    let rules = rules_of(&sheet, &key);
    let mut now = text.to_owned();
    for _ in 0..ROUNDS {
        let sheet = Sheet::read(&now, limits)?;
        let (splices, is_last) = round(&sheet, &key)?;
        if is_last {
            now = applied(&sheet, splices, Change::Removed(&key))?.0;
            break;
        }
        now = splices.apply(&now)?;
    }
    // Everything together, beside the text as it was.
    let mut whole = Splices::default();
    whole.replace(0..text.len(), now);
    let (text, _) = applied(&sheet, whole, Change::Removed(&key))?;
    Ok(Edit {
        text,
        hosts: vec![(called, key)],
        rules,
        unnamed: Vec::new(),
    })
}

/// A rule, or one of its groups, without anybody is one that sops cannot encrypt by.
fn refuse_empty_rules(sheet: &Sheet<'_>, key: &str, called: &str) -> Result<()> {
    for rule in sheet.rules.all() {
        let Ok(settings) = rule.settings() else {
            continue;
        };
        let is_alone = |group: &Vec<crate::rules::Recipient>| {
            !group.is_empty() && group.iter().all(|one| comparable(&one.text) == key)
        };
        if settings.key_groups.iter().any(is_alone) {
            let what = match settings.key_groups.len() {
                1 => "rule",
                _ => "key group of the rule",
            };
            let message = format!("{called} is the only recipient of this {what}");
            return Err(EditError::new("no-recipients", message)
                .at(rule.position)
                .with_hint("name others there first, or remove the rule"));
        }
    }
    Ok(())
}

/// Takes the key out of each list once, and tells whether that was all. Anchors go in the last round, after their
/// aliases.
fn round(sheet: &Sheet<'_>, key: &str) -> Result<(Splices, bool)> {
    let mut removing = Removing {
        sheet,
        key,
        splices: Splices::default(),
    };
    let mut seen = HashSet::new();
    let places = sheet.places.iter().rev();
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for place in places.filter(|place| place.names(key)) {
        let is_first = match place.holder {
            Holder::Item { list, .. } if place.only().is_some() => seen.insert(list),
            _ => true,
        };
        if is_first {
            now.push(place);
        } else {
            later.push(place);
        }
    }
    let is_last = later.is_empty();
    for place in now {
        let has_anchor = sheet.stream.node(place.node).anchor.is_some();
        if is_last || !has_anchor {
            removing.place(place)?;
        }
    }
    if removing.splices.is_empty() && !is_last {
        let why = "the key stands several times in one list";
        let place = later.first().map_or(0, |place| place.node);
        return Err(EditError::not_understood(why, sheet.position(place)));
    }
    Ok((removing.splices, is_last))
}

struct Removing<'a> {
    sheet: &'a Sheet<'a>,
    key: &'a str,
    splices: Splices,
}

impl Removing<'_> {
    fn place(&mut self, place: &Place) -> Result<()> {
        match (place.holder, place.only()) {
            (Holder::Item { list, number }, Some(_)) => self.item(list, number, place),
            (Holder::Value { map, number }, Some(_)) if !place.is_in_rules => {
                self.entry(map, number)
            }
            (Holder::Value { .. }, Some(_)) => {
                // Other kinds of keys stand beside it, or the rule would have been refused.
                self.splices.replace(self.sheet.span(place.node), "\"\"");
                Ok(())
            }
            (Holder::Root, _) => Err(self.not_understood("a key stands alone", place)),
            // Taken out of the text that it is an alias of.
            _ if place.is_alias() => Ok(()),
            _ => self.parts(place),
        }
    }

    fn item(&mut self, list: NodeId, number: usize, place: &Place) -> Result<()> {
        let sheet = self.sheet;
        let (items, is_flow) = sheet.items(list);
        let span = sheet.span(place.node);
        if is_flow {
            let neighbour = |number: usize| items.get(number).map(|&item| sheet.span(item));
            let before = number.checked_sub(1).and_then(neighbour);
            self.in_brackets(span, before, neighbour(number + 1));
            return Ok(());
        }
        let dash = sheet.dash_before(span.start);
        let Some(dash) = dash.filter(|&dash| sheet.leads(dash)) else {
            let why = "the item does not start on a line of its own";
            return Err(self.not_understood(why, place));
        };
        if items.len() == 1 {
            self.empty_list(list, place)?;
        }
        self.lines(dash, span.end);
        Ok(())
    }

    /// The list stays, and says that it is empty.
    fn empty_list(&mut self, list: NodeId, place: &Place) -> Result<()> {
        let sheet = self.sheet;
        let owner = self.key_of(list);
        let node = sheet.stream.node(list);
        let properties = [
            node.anchor.as_ref().map(|anchor| anchor.span.end),
            node.tag.as_ref().map(|tag| tag.span.end),
        ];
        let colon = owner.and_then(|key| {
            let end = sheet.span(key).end;
            let behind = sheet.slice(end..sheet.line_end(end));
            let gap = behind.len() - behind.trim_start().len();
            behind.trim_start().starts_with(':').then(|| end + gap + 1)
        });
        let Some(colon) = colon else {
            let why = "nothing would be left of the list that it stands in";
            return Err(self.not_understood(why, place));
        };
        let at = properties.into_iter().flatten().max();
        self.splices.insert(at.unwrap_or(colon).max(colon), " []");
        Ok(())
    }

    /// The key in a mapping whose value this list is.
    fn key_of(&self, list: NodeId) -> Option<NodeId> {
        let mut left: Vec<NodeId> = self.sheet.root().into_iter().collect();
        while let Some(id) = left.pop() {
            let (items, _) = self.sheet.items(id);
            left.extend(items);
            for &(key, value) in self.sheet.entries(id).0 {
                if value == list {
                    return Some(key);
                }
                left.push(value);
            }
        }
        None
    }

    fn entry(&mut self, map: NodeId, number: usize) -> Result<()> {
        let sheet = self.sheet;
        let (entries, is_flow) = sheet.entries(map);
        let span_of = |number: usize| {
            let &(key, value) = entries.get(number)?;
            Some(sheet.span(key).start..sheet.span(value).end)
        };
        let Some(span) = span_of(number) else {
            return Ok(());
        };
        if is_flow {
            let before = number.checked_sub(1).and_then(span_of);
            self.in_brackets(span, before, span_of(number + 1));
        } else if sheet.leads(span.start) {
            self.lines(span.start, span.end);
        } else {
            let position = entries.get(number).map_or(map, |&(key, _)| key);
            let why = "the key of this value does not start its line";
            return Err(EditError::not_understood(why, sheet.position(position)));
        }
        Ok(())
    }

    /// Takes out the lines from that of `start` to that of `end`, and the line above where it names the key.
    fn lines(&mut self, start: usize, end: usize) {
        let sheet = self.sheet;
        let names: Vec<&str> = sheet.rules.names().all_of(self.key).collect();
        let mut from = sheet.line_start(start);
        if let Some(comment) = sheet.comment_above(start)
            && name_above(sheet.slice(comment.clone())).is_some_and(|name| names.contains(&name))
        {
            from = sheet.line_start(comment.start);
        }
        let end = sheet.line_end(end);
        let behind = end + sheet.line_break(end).len();
        if behind <= sheet.text.len() {
            self.splices.remove(from..behind);
        } else {
            // The last line, without a line break: that before it goes.
            let before = sheet.slice(0..from);
            let before = before.strip_suffix('\n').unwrap_or(before);
            let before = before.strip_suffix('\r').unwrap_or(before);
            self.splices.remove(before.len()..sheet.text.len());
        }
    }

    fn in_brackets(
        &mut self,
        span: Range<usize>,
        before: Option<Range<usize>>,
        next: Option<Range<usize>>,
    ) {
        let sheet = self.sheet;
        let rest = sheet.slice(span.end..sheet.line_end(span.end));
        let trimmed = rest.trim_start();
        let has_comma = trimmed.starts_with(',');
        let behind = trimmed.trim_start_matches(',').trim_start();
        let stands_alone = behind.is_empty() || behind.starts_with('#');
        let comma_before = before.as_ref().and_then(|before| {
            let gap = sheet.slice(before.end..span.start);
            let comma = gap.find(',')?;
            // Not one within a comment.
            gap.get(..comma)?
                .trim()
                .is_empty()
                .then(|| before.end + comma)
        });
        if sheet.leads(span.start) && stands_alone {
            self.lines(span.start, span.end);
            if !has_comma && let Some(comma) = comma_before {
                self.splices.remove(comma..comma + 1);
            }
            return;
        }
        let is_plain = |range: &Range<usize>| !sheet.slice(range.clone()).contains('#');
        if let Some(next) = next {
            let range = span.start..next.start;
            if is_plain(&range) {
                self.splices.remove(range);
            } else {
                let comma = rest.len() - trimmed.len() + usize::from(has_comma);
                self.splices.remove(span.start..span.end + comma);
            }
        } else if let Some(before) = before {
            let range = before.end..span.start;
            if is_plain(&range) {
                self.splices.remove(before.end..span.end);
            } else {
                if let Some(comma) = comma_before {
                    self.splices.remove(comma..comma + 1);
                }
                self.splices.remove(span);
            }
        } else {
            let comma = rest.len() - trimmed.len() + 1;
            let end = if has_comma {
                span.end + comma
            } else {
                span.end
            };
            self.splices.remove(span.start..end);
        }
    }

    /// Takes the key out of a text with commas.
    fn parts(&mut self, place: &Place) -> Result<()> {
        let sheet = self.sheet;
        let node = sheet.stream.node(place.node);
        let kept: Vec<usize> = (0..place.keys.len())
            .filter(|&number| place.keys.get(number).is_some_and(|key| key != self.key))
            .collect();
        for number in (0..place.keys.len()).filter(|number| !kept.contains(number)) {
            let part = place.part(sheet, number)?;
            let behind = sheet.slice(part.end..node.span.end);
            let comma = behind.len() - behind.trim_start().len();
            if behind.trim_start().starts_with(',') {
                let rest = behind.get(comma + 1..).unwrap_or_default();
                let gap = rest.len() - rest.trim_start().len();
                let is_end = rest.trim_matches(['\'', '"']).trim().is_empty();
                if !is_end {
                    self.splices.remove(part.start..part.end + comma + 1 + gap);
                    continue;
                }
                if is_end && sheet.leads(part.start) {
                    // What is before ends with a comma, too.
                    let before = sheet.slice(node.span.start..part.start).trim_end();
                    let from = node.span.start + before.len();
                    self.splices.remove(from..part.end + comma + 1);
                    continue;
                }
            }
            let before = sheet.slice(node.span.start..part.start);
            let Some(comma) = before.rfind(',') else {
                return Err(self.not_understood("the key stands several times in one text", place));
            };
            let kept = before.get(..comma).unwrap_or_default().trim_end();
            self.splices.remove(node.span.start + kept.len()..part.end);
        }
        Ok(())
    }

    fn not_understood(&self, why: &str, place: &Place) -> EditError {
        EditError::not_understood(why, self.sheet.position(place.node))
    }
}
