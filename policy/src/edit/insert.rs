//! New items, entries and keys beside those that are there, written as these are.

use std::ops::Range;

use super::{
    EditError, Result,
    add::{Adding, Naming, New},
    place::Place,
};
use crate::yaml::{Content, NodeId, Style};

impl Adding<'_> {
    /// Puts items behind the one with this number.
    pub(super) fn items(
        &mut self,
        list: NodeId,
        number: usize,
        new: &[New],
        naming: Naming,
    ) -> Result<()> {
        let sheet = self.sheet;
        let (items, is_flow) = sheet.items(list);
        let Some(&item) = items.get(number) else {
            return Ok(());
        };
        let span = sheet.span(item);
        if is_flow {
            let before = number.checked_sub(1).and_then(|number| items.get(number));
            let before = before.map(|&item| sheet.span(item));
            let next = items.get(number + 1).map(|&item| sheet.span(item));
            self.in_brackets(span, before, next, new, naming);
            return Ok(());
        }
        let Some(dash) = sheet.dash_before(span.start) else {
            let why = "the dash of this item is not found";
            return Err(EditError::not_understood(why, sheet.position(item)));
        };
        let indent = " ".repeat(sheet.slice(sheet.line_start(dash)..dash).chars().count());
        let gap = sheet.slice(dash + 1..span.start);
        self.lines(span.end, &indent, &format!("-{gap}"), new, naming);
        Ok(())
    }

    /// Makes an empty list one with items.
    pub(super) fn fill(&mut self, key: NodeId, value: NodeId, new: &[New]) {
        let sheet = self.sheet;
        let key = sheet.span(key);
        let value = sheet.span(value);
        if !value.is_empty() {
            let before = sheet.slice(key.end..value.start).trim_end();
            self.splices.remove(key.end + before.len()..value.end);
        }
        let indent = format!("{}  ", sheet.slice(sheet.line_start(key.start)..key.start));
        self.lines(value.end.max(key.end), &indent, "- ", new, Naming::Behind);
    }

    /// Puts lines behind that of byte `end`.
    fn lines(&mut self, end: usize, indent: &str, lead: &str, new: &[New], naming: Naming) {
        let sheet = self.sheet;
        let at = sheet.line_end(end);
        let nl = sheet.line_break(at);
        let gap = sheet
            .comment_behind(end)
            .map_or("  ", |comment| sheet.slice(end..comment.start));
        for (text, name) in new {
            let mut line = String::new();
            match (naming, name) {
                (Naming::Above, Some(name)) => {
                    line.push_str(&format!("{nl}{indent}# {name}{nl}{indent}{lead}{text}"));
                }
                (Naming::Behind, Some(name)) => {
                    line.push_str(&format!("{nl}{indent}{lead}{text}{gap}# {name}"));
                }
                _ => line.push_str(&format!("{nl}{indent}{lead}{text}")),
            }
            self.splices.insert(at, line);
        }
    }

    /// Puts items behind the one at `span` in brackets or braces.
    fn in_brackets(
        &mut self,
        span: Range<usize>,
        before: Option<Range<usize>>,
        next: Option<Range<usize>>,
        new: &[New],
        naming: Naming,
    ) {
        let sheet = self.sheet;
        let line_end = sheet.line_end(span.end);
        let rest = sheet.slice(span.end..line_end).trim_start();
        let has_comma = rest.starts_with(',');
        let behind = rest.trim_start_matches(',').trim_start();
        let stands_alone = behind.is_empty() || behind.starts_with('#');
        if sheet.leads(span.start) && stands_alone {
            let indent = sheet.slice(sheet.line_start(span.start)..span.start);
            let nl = sheet.line_break(line_end);
            if !has_comma {
                self.splices.insert(span.end, ",");
            }
            for (number, (text, name)) in new.iter().enumerate() {
                let is_last = number + 1 == new.len();
                let comma = if has_comma || !is_last { "," } else { "" };
                let comment = match (naming, name) {
                    (Naming::Behind, Some(name)) => format!(" # {name}"),
                    _ => String::new(),
                };
                let above = match (naming, name) {
                    (Naming::Above, Some(name)) => format!("{nl}{indent}# {name}"),
                    _ => String::new(),
                };
                let line = format!("{above}{nl}{indent}{text}{comma}{comment}");
                self.splices.insert(line_end, line);
            }
            return;
        }
        let plain = |gap: &str| gap.starts_with(',') && gap.trim_matches([',', ' ']).is_empty();
        let gaps = [
            before.map(|before| sheet.slice(before.end..span.start)),
            next.map(|next| sheet.slice(span.end..next.start)),
        ];
        let gap = gaps.into_iter().flatten().find(|gap| plain(gap));
        for (text, _) in new {
            let item = format!("{}{text}", gap.unwrap_or(", "));
            self.splices.insert(span.end, item);
        }
    }

    /// Puts entries behind that with this number, called as it is.
    pub(super) fn entries(&mut self, map: NodeId, number: usize, new: &[New]) -> Result<()> {
        let sheet = self.sheet;
        let (entries, is_flow) = sheet.entries(map);
        let Some(&(key, value)) = entries.get(number) else {
            return Ok(());
        };
        let name = sheet.stream.node(key).as_scalar().unwrap_or_default();
        let called = sheet.stream.node(value).anchor.as_ref();
        let called = called.map_or(name, |anchor| anchor.name.as_str());
        let new: Vec<New> = new
            .iter()
            .zip(self.hosts)
            .map(|((text, comment), host)| {
                let name = match name.contains(called) {
                    true => name.replace(called, &host.anchor),
                    false => host.anchor.clone(),
                };
                (format!("{name}: {text}"), comment.clone())
            })
            .collect();
        let span = sheet.span(key).start..sheet.span(value).end;
        if is_flow {
            let next = entries.get(number + 1).map(|&(key, _)| sheet.span(key));
            self.in_brackets(span, None, next, &new, Naming::Behind);
            return Ok(());
        }
        if !sheet.leads(span.start) {
            let why = "the key of this value does not start its line";
            return Err(EditError::not_understood(why, sheet.position(key)));
        }
        let indent = sheet
            .slice(sheet.line_start(span.start)..span.start)
            .to_owned();
        self.lines(span.end, &indent, "", &new, Naming::Behind);
        Ok(())
    }

    /// Puts keys behind that of `like` in a text with commas.
    pub(super) fn part(&mut self, place: &Place, like: &str) -> Result<()> {
        let sheet = self.sheet;
        let node = sheet.stream.node(place.node);
        let Some(number) = place.keys.iter().position(|key| key == like) else {
            return Ok(());
        };
        let part = place.part(sheet, number)?;
        let other = |number: usize| place.parts.get(number).cloned().flatten();
        let between = match number.checked_sub(1).and_then(other) {
            Some(before) => sheet.slice(before.end..part.start),
            None => match other(number + 1) {
                Some(next) => sheet.slice(part.end..next.start),
                None => "",
            },
        };
        let (is_block, is_plain) = match &node.content {
            Content::Scalar { style, .. } => (
                matches!(style, Style::Literal | Style::Folded),
                *style == Style::Plain,
            ),
            _ => (false, false),
        };
        let is_separator = between.matches(',').count() == 1
            && between
                .trim_matches([',', ' ', '\t', '\r', '\n'])
                .is_empty();
        let separator = if is_separator {
            between.to_owned()
        } else if between.is_empty() && is_block && sheet.leads(part.start) {
            let start = sheet.line_start(part.start);
            let nl = sheet.line_break(sheet.line_end(part.end));
            format!(",{nl}{}", sheet.slice(start..part.start))
        } else {
            ",".to_owned()
        };
        // A comma would end the text.
        let needs_quotes = is_plain && place.is_in_flow;
        if needs_quotes {
            self.splices.insert(node.span.start, "\"");
        }
        for host in self.hosts {
            let key = self.with_comment(place, number, host);
            self.splices.insert(part.end, format!("{separator}{key}"));
        }
        if needs_quotes {
            self.splices.insert(node.span.end, "\"");
        }
        Ok(())
    }
}
