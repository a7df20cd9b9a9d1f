//! The rules in another order: a text edit that moves the items of the list with their comments and leaves every other
//! character where it is.

use std::ops::Range;

use super::{Position, Rule, Rules, RulesError};
use crate::yaml::{self, Content, Limits, NodeId, Resolved, Stream};

/// `text` with the rules in `order`, which holds the number of each rule once.
///
/// Comment lines above an item belong to it, as do those below it that are indented further than its dash; empty lines
/// between items stay where they are. The result is read again: it holds the same rules, settings and comments.
///
/// # Errors
///
/// What [`Rules::parse_with`] refuses, and lists that cannot be edited this way: an anchor that would stand behind its
/// alias, empty items, comments within a list in brackets, a list that is merged from elsewhere.
pub fn reordered(text: &str, order: &[usize], limits: Limits) -> Result<String, RulesError> {
    let rules = Rules::parse_with(text, limits)?;
    let stream = yaml::parse_first(text, limits)
        .map_err(|error| cannot(error.message, error.line, error.column))?;
    let list = List::find(&stream)?;
    let mut places = vec![None; list.items.len()];
    for (place, &item) in order.iter().enumerate() {
        match places.get_mut(item) {
            Some(known @ None) => *known = Some(place),
            _ => return Err(list.cannot("the order does not name every rule once")),
        }
    }
    let places: Option<Vec<usize>> = places.into_iter().collect();
    let Some(places) = places else {
        return Err(list.cannot("the order does not name every rule once"));
    };
    list.check_aliases(&places)?;
    let result = match list.is_flow {
        true => list.swap_in_brackets(text, order)?,
        false => list.swap_lines(text, order)?,
    };
    if is_same(&rules, order, &result, limits)
        && list.has_same_values(text, order, &result, limits)
        && comments(text, &stream) == comments_of(&result, limits)
    {
        Ok(result)
    } else {
        Err(list.cannot("moving the items would change what they mean"))
    }
}

/// The items of `creation_rules`.
struct List<'s> {
    stream: &'s Stream,
    items: Vec<NodeId>,
    is_flow: bool,
    /// Of the list itself.
    span: Range<usize>,
    position: Position,
}

impl<'s> List<'s> {
    fn find(stream: &'s Stream) -> Result<Self, RulesError> {
        let missing = || {
            cannot(
                "creation_rules does not stand in this file as a list of its own",
                1,
                1,
            )
        };
        let root = stream.documents.first().ok_or_else(missing)?.root;
        let Content::Mapping { entries, .. } = &stream.node(root).content else {
            return Err(missing());
        };
        let is_list = |key: NodeId| stream.node(key).as_scalar() == Some("creation_rules");
        let (_, value) = entries
            .iter()
            .find(|(key, _)| is_list(*key))
            .ok_or_else(missing)?;
        let node = stream.follow(*value);
        let Content::Sequence { items, flow } = &node.content else {
            return Err(missing());
        };
        let list = Self {
            stream,
            items: items.clone(),
            is_flow: *flow,
            span: node.span.clone(),
            position: Position {
                line: node.line,
                column: node.column,
            },
        };
        let is_null =
            |&&id: &&NodeId| matches!(stream.follow(id).resolve(), Ok(Some(Resolved::Null)));
        match items.iter().find(is_null) {
            None => Ok(list),
            Some(&id) => {
                let node = stream.node(id);
                let error = cannot("an item of creation_rules is empty", node.line, node.column);
                Err(error.with_hint("remove its dash, and try again"))
            }
        }
    }

    /// Whether the items of the list in `result` are those of this one in `order`, to the last character of each value:
    /// the line breaks at the end of a block scalar may depend on what follows it.
    fn has_same_values(&self, text: &str, order: &[usize], result: &str, limits: Limits) -> bool {
        let Ok(stream) = yaml::parse_first(result, limits) else {
            return false;
        };
        let Ok(moved) = List::find(&stream) else {
            return false;
        };
        let mut left: Vec<(NodeId, NodeId)> = Vec::new();
        for (&new, &old) in moved.items.iter().zip(order) {
            match self.items.get(old) {
                Some(&old) => left.push((old, new)),
                None => return false,
            }
        }
        while let Some((old, new)) = left.pop() {
            let (old, new) = (self.stream.node(old), stream.node(new));
            match (&old.content, &new.content) {
                (Content::Scalar { text: old, .. }, Content::Scalar { text: new, .. }) => {
                    if old != new {
                        return false;
                    }
                }
                (Content::Sequence { items: old, .. }, Content::Sequence { items: new, .. })
                    if old.len() == new.len() =>
                {
                    left.extend(old.iter().copied().zip(new.iter().copied()));
                }
                (Content::Mapping { entries: old, .. }, Content::Mapping { entries: new, .. })
                    if old.len() == new.len() =>
                {
                    for (&(old_key, old), &(new_key, new)) in old.iter().zip(new) {
                        left.extend([(old_key, new_key), (old, new)]);
                    }
                }
                // Anchors keep their order, so the same name is the same node.
                (Content::Alias { .. }, Content::Alias { .. })
                    if text.get(old.span.clone()) == result.get(new.span.clone()) => {}
                _ => return false,
            }
        }
        true
    }

    fn cannot(&self, message: &str) -> RulesError {
        cannot(message, self.position.line, self.position.column)
    }

    /// From the first character of an item, tag and anchor included, to its last.
    fn span_of(&self, id: NodeId) -> Range<usize> {
        self.stream.node(id).outer_start()..self.end_of(id)
    }

    fn end_of(&self, id: NodeId) -> usize {
        let mut end = 0;
        self.visit(id, &mut |node| {
            end = end.max(self.stream.node(node).span.end);
        });
        end
    }

    fn visit(&self, id: NodeId, look: &mut dyn FnMut(NodeId)) {
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            look(id);
            match &self.stream.node(id).content {
                Content::Sequence { items, .. } => left.extend(items),
                Content::Mapping { entries, .. } => {
                    left.extend(entries.iter().flat_map(|&(key, value)| [key, value]));
                }
                Content::Scalar { .. } | Content::Alias { .. } => {}
            }
        }
    }

    /// An anchor must stand before its aliases in the new order, too.
    fn check_aliases(&self, places: &[usize]) -> Result<(), RulesError> {
        let spans: Vec<_> = self.items.iter().map(|&id| self.span_of(id)).collect();
        let mut wrong = None;
        for (&item, place) in self.items.iter().zip(places) {
            self.visit(item, &mut |id| {
                let Content::Alias { target } = self.stream.node(id).content else {
                    return;
                };
                let target = self.stream.node(target);
                let holder = spans
                    .iter()
                    .position(|span| span.contains(&target.outer_start()));
                if holder
                    .and_then(|holder| places.get(holder))
                    .is_some_and(|holder| holder > place)
                {
                    wrong = Some(target);
                }
            });
        }
        let Some(target) = wrong else { return Ok(()) };
        let name = target
            .anchor
            .as_ref()
            .map_or("", |anchor| anchor.name.as_str());
        let message = format!("the anchor &{name} would stand behind its alias");
        let hint = format!(
            "define &{name} above creation_rules, in a list of keys for example, and try again"
        );
        Err(cannot(message, target.line, target.column).with_hint(hint))
    }

    fn swap_in_brackets(&self, text: &str, order: &[usize]) -> Result<String, RulesError> {
        let is_inside = |comment: &yaml::Span| self.span.contains(&comment.start);
        if self.stream.comments.iter().any(is_inside) {
            let error = self.cannot("there are comments within the brackets of creation_rules");
            return Err(error.with_hint("write the rules as a list with dashes, and try again"));
        }
        let spans: Vec<_> = self.items.iter().map(|&id| self.span_of(id)).collect();
        let mut result = String::with_capacity(text.len());
        let mut at = 0;
        for (span, &item) in spans.iter().zip(order) {
            let moved = spans.get(item).cloned().unwrap_or_default();
            result.push_str(text.get(at..span.start).unwrap_or_default());
            result.push_str(text.get(moved).unwrap_or_default());
            at = span.end;
        }
        result.push_str(text.get(at..).unwrap_or_default());
        Ok(result)
    }

    fn swap_lines(&self, text: &str, order: &[usize]) -> Result<String, RulesError> {
        let lines = Lines::of(text);
        let unusual =
            || self.cannot("the items of creation_rules do not start on lines of their own");
        let first = lines.number(self.span.start);
        let indent = self.span.start - lines.start(first);
        let is_dash = |line: usize| {
            let line = lines.text(line);
            let (before, rest) = line.split_at_checked(indent).unwrap_or_default();
            before.bytes().all(|byte| byte == b' ') && rest.starts_with('-')
        };
        let is_comment = |line: usize| lines.text(line).trim_start().starts_with('#');
        let is_blank = |line: usize| lines.text(line).trim().is_empty();
        let is_deeper = |line: usize| {
            let text = lines.text(line);
            text.len() - text.trim_start_matches(' ').len() > indent
        };

        // Each item's own lines: from its dash to its last character, and comments below that belong to it.
        let mut own: Vec<Range<usize>> = Vec::new();
        for &item in &self.items {
            let from = own.last().map_or(first, |before| before.end);
            let content = lines.number(self.stream.node(item).outer_start());
            let dash = (from..=content)
                .find(|&line| is_dash(line))
                .ok_or_else(unusual)?;
            let mut end = lines.number(self.end_of(item).max(1) - 1).max(content) + 1;
            while end < lines.count() && is_comment(end) && is_deeper(end) {
                end += 1;
            }
            own.push(dash..end);
        }
        let mut chunks: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        for (number, own) in own.iter().enumerate() {
            let lead = match chunks.last() {
                // What stands apart above the first item is about the whole list.
                None => (0..own.start)
                    .rev()
                    .take_while(|&line| is_comment(line))
                    .last()
                    .unwrap_or(own.start),
                Some((_, before)) => before.end,
            };
            let blank = if number == 0 {
                0
            } else {
                (lead..own.start).take_while(|&line| is_blank(line)).count()
            };
            chunks.push((lead..lead + blank, lead + blank..own.end));
        }
        let (Some((_, head)), Some((_, tail))) = (chunks.first(), chunks.last()) else {
            return Ok(text.to_owned());
        };
        let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut moved = String::new();
        for ((blank, _), &item) in chunks.iter().zip(order) {
            moved.push_str(lines.slice(blank.clone()));
            let body = chunks
                .get(item)
                .map(|(_, body)| body.clone())
                .unwrap_or_default();
            moved.push_str(lines.slice(body));
            if !moved.ends_with('\n') {
                moved.push_str(line_break);
            }
        }
        let ends_open = !lines.slice(tail.clone()).ends_with('\n');
        if ends_open {
            moved.truncate(moved.len() - line_break.len());
        }
        let before = lines.slice(0..head.start);
        let behind = lines.slice(tail.end..lines.count());
        Ok([before, &moved, behind].concat())
    }
}

/// The lines of a text, each with its line break.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0)
            .chain(breaks)
            .filter(|&at| at < text.len());
        Self {
            text,
            starts: starts.collect(),
        }
    }

    fn count(&self) -> usize {
        self.starts.len()
    }

    /// The line that holds this byte.
    fn number(&self, at: usize) -> usize {
        self.starts
            .partition_point(|&start| start <= at)
            .saturating_sub(1)
    }

    fn start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.text.len())
    }

    fn text(&self, line: usize) -> &'t str {
        self.slice(line..line + 1)
    }

    fn slice(&self, lines: Range<usize>) -> &'t str {
        self.text
            .get(self.start(lines.start)..self.start(lines.end))
            .unwrap_or_default()
    }
}

/// Whether `result` has the same rules in this order, and everything else unchanged.
fn is_same(rules: &Rules, order: &[usize], result: &str, limits: Limits) -> bool {
    let Ok(result) = Rules::parse_with(result, limits) else {
        return false;
    };
    let names = |rules: &Rules| -> Vec<String> {
        let keys = rules.unknown_keys.iter().chain(&rules.unused);
        keys.map(|key| key.text.clone()).collect()
    };
    let moved = result.all().iter().zip(order);
    rules.all().len() == result.all().len()
        && rules.stores == result.stores
        && names(rules) == names(&result)
        && rules.dropped.len() == result.dropped.len()
        && moved.into_iter().all(|(new, &old)| {
            rules
                .all()
                .get(old)
                .is_some_and(|old| is_same_rule(old, new))
        })
}

fn is_same_rule(left: &Rule, right: &Rule) -> bool {
    type Summary<'r> = (
        Option<&'r str>,
        Option<i64>,
        Vec<(super::Selection, &'r str)>,
        bool,
        Vec<&'r str>,
        Result<Vec<Vec<(super::KeyKind, String)>>, String>,
    );
    fn summary(rule: &Rule) -> Summary<'_> {
        let groups = rule.keys.groups().map(|groups| {
            let group = |group: Vec<super::Recipient>| {
                group.into_iter().map(|one| (one.kind, one.text)).collect()
            };
            groups.into_iter().map(group).collect()
        });
        (
            rule.path_regex.as_ref().map(|source| source.text.as_str()),
            rule.shamir_threshold,
            rule.selection
                .iter()
                .map(|(selection, text)| (*selection, text.text.as_str()))
                .collect(),
            rule.mac_only_encrypted,
            rule.unknown_keys
                .iter()
                .map(|key| key.text.as_str())
                .collect(),
            groups.map_err(|error| error.message),
        )
    }
    summary(left) == summary(right)
}

/// All comments, sorted.
fn comments<'t>(text: &'t str, stream: &Stream) -> Vec<&'t str> {
    let comments = stream
        .comments
        .iter()
        .filter_map(|span| text.get(span.clone()));
    let mut comments: Vec<&str> = comments.map(str::trim_end).collect();
    comments.sort_unstable();
    comments
}

fn comments_of(text: &str, limits: Limits) -> Vec<&str> {
    match yaml::parse_first(text, limits) {
        Ok(stream) => comments(text, &stream),
        Err(_) => Vec::new(),
    }
}

fn cannot(message: impl Into<String>, line: usize, column: usize) -> RulesError {
    let message = format!("the rules cannot be put in order here: {}", message.into());
    RulesError::new(message, Position { line, column })
        .with_code("cannot-reorder")
        .with_hint("move the rules by hand")
}

#[cfg(test)]
mod tests;
