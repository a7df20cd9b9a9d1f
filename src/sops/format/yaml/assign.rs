//! One value, put in or taken out.

use policy::yaml::{Content, NodeId, Style};

use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        extract::Step,
        format::{Parsed, PlainValue, edit::Edits},
        tree::{Item, Node, Scalar},
        value::plain_value,
    },
};

use super::{
    decrypt, encrypt, line_end, line_start, not_utf8, print,
    read::{self, Place, PlaceKind, Read},
    refuse_at,
    render::{self, Context, Rendered},
};

/// A text with `value` at `path`.
pub(in super::super) fn put(
    parsed: &Parsed,
    path: &[Step],
    present: bool,
    value: &Node,
) -> Result<Secret> {
    edited(parsed, |editor| editor.put(path, present, value))
}

/// A text without what is at `path`.
pub(in super::super) fn remove(parsed: &Parsed, path: &[Step]) -> Result<Secret> {
    edited(parsed, |editor| editor.remove(path))
}

fn edited(parsed: &Parsed, edit: impl FnOnce(&mut Editor<'_>) -> Result<()>) -> Result<Secret> {
    let Some(text) = parsed.source.expose_str() else {
        return Err(not_utf8());
    };
    // The text was within its limits when it was read.
    let limits = Limits {
        nesting: usize::MAX,
        values: usize::MAX,
        ..Limits::default()
    };
    let read = read::read(text, &limits)?;
    let mut editor = Editor {
        text,
        read: &read,
        indent: level(&read),
        edits: Edits::new(),
    };
    edit(&mut editor)?;
    editor.edits.apply(text.as_bytes())
}

/// Columns of one level, as the first nested mapping shows it.
fn level(read: &Read) -> usize {
    let stream = &read.stream;
    let mut open: Vec<NodeId> = stream
        .documents
        .iter()
        .rev()
        .map(|document| document.root)
        .collect();
    while let Some(id) = open.pop() {
        let Content::Mapping {
            entries,
            flow: false,
        } = &stream.node(id).content
        else {
            continue;
        };
        for &(_, value) in entries {
            let nested = stream.node(value);
            let columns = nested.column.saturating_sub(stream.node(id).column);
            if let Content::Mapping { flow: false, .. } = nested.content
                && (2..10).contains(&columns)
            {
                return columns;
            }
        }
        open.extend(entries.iter().rev().map(|&(_, value)| value));
    }
    decrypt::INDENT
}

struct Editor<'a> {
    text: &'a str,
    read: &'a Read,
    indent: usize,
    edits: Edits,
}

/// A mapping or list that a path leads to.
#[derive(Clone, Copy)]
struct Around {
    id: NodeId,
    /// Inside brackets or braces, or in some itself.
    flow: bool,
    /// The mapping or list that it stands in, and its number there.
    parent: Option<(NodeId, usize)>,
    parent_flow: bool,
}

impl Editor<'_> {
    fn put(&mut self, path: &[Step], present: bool, value: &Node) -> Result<()> {
        let Some((last, steps)) = path.split_last() else {
            return Err(nothing_there());
        };
        let around = self.around(steps)?;
        if present {
            let number = self.number(around.id, last).ok_or_else(nothing_there)?;
            return self.replace(around.id, around.flow, number, value);
        }
        self.add(around, last, value)
    }

    /// The container at the end of `steps`.
    fn around(&self, steps: &[Step]) -> Result<Around> {
        let documents = self.read.stream.documents.first();
        let root = documents.ok_or_else(nothing_there)?.root;
        let mut around = Around {
            id: root,
            flow: self.is_flow(root),
            parent: None,
            parent_flow: false,
        };
        for step in steps {
            let number = self.number(around.id, step).ok_or_else(nothing_there)?;
            let (_, id) = self.child(around.id, number).ok_or_else(nothing_there)?;
            if let Content::Alias { .. } = self.read.stream.node(id).content {
                let error = Error::new("alias", "the path leads through an alias, and what it stands for is used elsewhere, too")
                    .with_hint("write the content out in place of the alias with secretsctl edit");
                return Err(refuse_at(
                    self.text,
                    self.read.stream.node(id).span.start,
                    error,
                ));
            }
            around = Around {
                id,
                flow: around.flow || self.is_flow(id),
                parent: Some((around.id, number)),
                parent_flow: around.flow,
            };
        }
        Ok(around)
    }

    fn is_flow(&self, id: NodeId) -> bool {
        matches!(
            self.read.stream.node(id).content,
            Content::Mapping { flow: true, .. } | Content::Sequence { flow: true, .. }
        )
    }

    fn number(&self, container: NodeId, step: &Step) -> Option<usize> {
        match (&self.read.stream.node(container).content, step) {
            (Content::Mapping { entries, .. }, Step::Key(wanted)) => entries
                .iter()
                .position(|&(key, _)| self.read.stream.follow(key).as_scalar() == Some(wanted)),
            (Content::Sequence { items, .. }, Step::Index(index)) => {
                (*index < items.len()).then_some(*index)
            }
            _ => None,
        }
    }

    /// Key, of an entry, and value.
    fn child(&self, container: NodeId, number: usize) -> Option<(Option<NodeId>, NodeId)> {
        match &self.read.stream.node(container).content {
            Content::Mapping { entries, .. } => {
                let &(key, value) = entries.get(number)?;
                Some((Some(key), value))
            }
            Content::Sequence { items, .. } => Some((None, *items.get(number)?)),
            _ => None,
        }
    }

    fn length(&self, container: NodeId) -> usize {
        match &self.read.stream.node(container).content {
            Content::Mapping { entries, .. } => entries.len(),
            Content::Sequence { items, .. } => items.len(),
            _ => 0,
        }
    }

    /// Start with tag and anchor of a child, and its end.
    fn extent(&self, container: NodeId, number: usize) -> Option<(usize, usize)> {
        let (key, value) = self.child(container, number)?;
        let stream = &self.read.stream;
        let first = key.unwrap_or(value);
        let start = stream.node(first).outer_start();
        let end = stream.node(value).span.end.max(stream.node(first).span.end);
        Some((start, end))
    }

    /// Puts a value in the place of another.
    fn replace(&mut self, parent: NodeId, flow: bool, number: usize, value: &Node) -> Result<()> {
        let (key, id) = self.child(parent, number).ok_or_else(nothing_there)?;
        let old = self.read.stream.node(id);
        if flow {
            let text = in_flow(value)?;
            if old.span.is_empty() {
                let (_, end) = self.extent(parent, number).ok_or_else(nothing_there)?;
                let colon = self.behind_key(key.unwrap_or(id)).unwrap_or(end);
                let missing = if colon == end { ": " } else { " " };
                self.edits.replace(colon..colon, missing.to_owned());
                self.edits.replace(colon..colon, text);
            } else {
                self.edits.replace(old.outer_start()..old.span.end, text);
            }
            return Ok(());
        }
        let column = self.read.stream.node(parent).column - 1;
        let rendered = self.render(value, column, key.is_some())?;
        let kind = match old.content {
            Content::Scalar { style, .. } => Some(PlaceKind::Scalar { node: id, style }),
            Content::Alias { .. } => Some(PlaceKind::Alias),
            _ => None,
        };
        if let (Some(kind), Node::Scalar { value, .. }) = (kind, value) {
            let place = Place {
                span: old.span.clone(),
                kind,
                flow: false,
                aliased: false,
                parent,
            };
            self.replace_scalar(&place, value, rendered)?;
            encrypt::remove_kept_lines(self.text, &place, &mut self.edits);
            return Ok(());
        }
        let after = match key {
            Some(key) => self.behind_key(key)?,
            None => self.behind_dash(id)?,
        };
        self.put_behind(after, old.outer_start(), old.span.end, rendered);
        Ok(())
    }

    fn replace_scalar(&mut self, place: &Place, value: &Scalar, rendered: Rendered) -> Result<()> {
        match plain_value(value)? {
            Some(value @ PlainValue::Str(_)) => {
                decrypt::replace(
                    self.text,
                    self.read,
                    place,
                    &value,
                    self.indent,
                    &mut self.edits,
                );
            }
            _ => decrypt::replace_scalar(
                self.text,
                self.read,
                place,
                rendered.line,
                rendered.below,
                &mut self.edits,
            ),
        }
        Ok(())
    }

    /// Puts a value behind a colon or dash, in the place of what stands from `start` to `end`. A comment on the line of the
    /// key stays.
    fn put_behind(&mut self, after: usize, start: usize, end: usize, rendered: Rendered) {
        let own_end = line_end(self.text, after);
        let between = self.text.get(after..own_end).unwrap_or_default();
        let mut line = Secret::default();
        if !rendered.line.is_empty() {
            line.push(b" ");
            line.push(rendered.line.expose());
        }
        if start > own_end && between.trim_start().starts_with('#') {
            self.edits.replace(after..after, line);
            self.edits
                .replace(own_end..end, rendered.below.unwrap_or_default());
            return;
        }
        self.edits.replace(after..end.max(after), line);
        if let Some(below) = rendered.below {
            let end = line_end(self.text, end.max(after));
            self.edits.replace(end..end, below);
        }
    }

    /// Adds an entry or element behind the last one.
    fn add(&mut self, around: Around, step: &Step, value: &Node) -> Result<()> {
        let node = self.read.stream.node(around.id);
        let length = self.length(around.id);
        let Some((first, _)) = self.extent(around.id, 0) else {
            let whole = match step {
                Step::Key(key) => Node::Map(vec![entry(key, value.duplicate()?)], 0..0),
                Step::Index(_) => Node::List(vec![Item::Element(value.duplicate()?)], 0..0),
            };
            return match around.parent {
                Some((parent, number)) => self.replace(parent, around.parent_flow, number, &whole),
                None => self.fill(around.id, &whole),
            };
        };
        let (_, last) = self
            .extent(around.id, length - 1)
            .ok_or_else(nothing_there)?;
        if around.flow {
            let mut text = Secret::from(", ".to_owned());
            match step {
                Step::Key(key) => text.push(in_flow_entry(key, value)?.expose()),
                Step::Index(_) => text.push(in_flow(value)?.expose()),
            }
            self.edits.replace(last..last, text);
            return Ok(());
        }
        let column = node.column - 1;
        let (is_key, head) = match step {
            Step::Key(key) => {
                let mut head = render::key(key);
                head.push(b":");
                (true, head)
            }
            Step::Index(_) => (false, Secret::from("-".to_owned())),
        };
        let rendered = self.render(value, column, is_key)?;
        let lead = self.text.get(line_start(self.text, first)..first);
        let lead = lead.filter(|lead| is_key && lead.trim_start_matches(' ').is_empty());
        let mut at = line_end(self.text, last);
        let mut text = Secret::default();
        let is_of_dos = self
            .text
            .get(at..)
            .is_some_and(|rest| rest.starts_with('\r'));
        text.push(if is_of_dos { b"\r\n" } else { b"\n" });
        text.push(
            lead.map_or_else(|| " ".repeat(column), str::to_owned)
                .as_bytes(),
        );
        text.push(head.expose());
        if !rendered.line.is_empty() {
            text.push(b" ");
        }
        text.push(rendered.join().expose());
        // The blank lines behind a block that keeps them are its own.
        if self.keeps_breaks(around.id) {
            let rest = self.text.get(at..).unwrap_or_default();
            let blank = rest.len() - rest.trim_start_matches(['\n', ' ']).len();
            let lines = rest.get(..blank).unwrap_or_default();
            at += lines.rfind('\n').unwrap_or_default();
        }
        self.edits.replace(at..at, text);
        Ok(())
    }

    /// Whether the last scalar in a container is a block that keeps its line breaks.
    fn keeps_breaks(&self, container: NodeId) -> bool {
        let stream = &self.read.stream;
        let mut last = container;
        while let Some((_, child)) = self
            .length(last)
            .checked_sub(1)
            .and_then(|number| self.child(last, number))
        {
            last = child;
        }
        let node = stream.node(last);
        let header = self
            .text
            .get(node.span.start..line_end(self.text, node.span.start));
        matches!(
            node.content,
            Content::Scalar {
                style: Style::Literal | Style::Folded,
                ..
            }
        ) && header.is_some_and(|header| header.split('#').next().unwrap_or_default().contains('+'))
    }

    /// Gives an empty document its first entry.
    fn fill(&mut self, root: NodeId, whole: &Node) -> Result<()> {
        let root = self.read.stream.node(root);
        let (start, end) = (root.outer_start(), root.span.end);
        let mut text = Secret::default();
        let before = self.text.get(..start).unwrap_or_default();
        let is_at_start = before.is_empty() || before.ends_with('\n');
        text.push(if is_at_start { b"" } else { b"\n" });
        text.push(print::block(whole, 0, self.indent, false)?.expose());
        let rest = self.text.get(end..).unwrap_or_default();
        let is_ended = rest.is_empty() || rest.starts_with('\n');
        text.push(if is_ended && !rest.is_empty() {
            b""
        } else {
            b"\n"
        });
        self.edits.replace(start..end, text);
        Ok(())
    }

    fn remove(&mut self, path: &[Step]) -> Result<()> {
        let Some((last, steps)) = path.split_last() else {
            return Err(nothing_there());
        };
        let around = self.around(steps)?;
        let number = self.number(around.id, last).ok_or_else(nothing_there)?;
        if self.length(around.id) == 1 {
            let empty = match last {
                Step::Key(_) => Node::Map(Vec::new(), 0..0),
                Step::Index(_) => Node::List(Vec::new(), 0..0),
            };
            return match around.parent {
                Some((parent, number)) => self.replace(parent, around.parent_flow, number, &empty),
                None => {
                    let span = self.read.stream.node(around.id).span.clone();
                    self.edits.replace(span, "{}".to_owned());
                    Ok(())
                }
            };
        }
        let (start, end) = self.extent(around.id, number).ok_or_else(nothing_there)?;
        let next = self.extent(around.id, number + 1);
        let previous = number
            .checked_sub(1)
            .and_then(|before| self.extent(around.id, before));
        if around.flow {
            match (next, previous) {
                (Some((next, _)), _) => self.edits.remove(start..next),
                (None, Some((_, previous))) => self.edits.remove(previous..end),
                (None, None) => return Err(nothing_there()),
            }
            return Ok(());
        }
        let start = match last {
            Step::Key(_) => start,
            Step::Index(_) => self.behind_dash_at(start)? - 1,
        };
        let line = line_start(self.text, start);
        let is_first_on_line = self
            .text
            .get(line..start)
            .is_some_and(|lead| lead.trim_start_matches(' ').is_empty());
        if !is_first_on_line {
            // Behind a dash: the next one takes its place.
            let next = match (next, last) {
                (Some((next, _)), Step::Key(_)) => next,
                (Some((next, _)), Step::Index(_)) => self.behind_dash_at(next)? - 1,
                (None, _) => return Err(self.refuse(start)),
            };
            self.edits.remove(start..next);
            return Ok(());
        }
        let last_line = line_end(self.text, end);
        let behind = self.text.get(end..last_line).unwrap_or_default();
        if behind.trim_start().starts_with('#') {
            // The comment stays, on a line of its own.
            let blanks = behind.len() - behind.trim_start().len();
            self.edits.remove(start..end + blanks);
        } else {
            let mut after = last_line;
            let rest = self.text.get(after..).unwrap_or_default();
            after += rest.len() - rest.strip_prefix('\r').unwrap_or(rest).len();
            let rest = self.text.get(after..).unwrap_or_default();
            after += usize::from(rest.starts_with('\n'));
            self.edits.remove(line..after);
        }
        Ok(())
    }

    /// Behind the colon of a key.
    fn behind_key(&self, key: NodeId) -> Result<usize> {
        let end = self.read.stream.node(key).span.end;
        let rest = self.text.get(end..).unwrap_or_default();
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        match rest.get(blanks..).is_some_and(|rest| rest.starts_with(':')) {
            true => Ok(end + blanks + 1),
            false => Err(self.refuse(end)),
        }
    }

    fn behind_dash(&self, item: NodeId) -> Result<usize> {
        self.behind_dash_at(self.read.stream.node(item).outer_start())
    }

    /// Behind the dash of the element that starts there.
    fn behind_dash_at(&self, start: usize) -> Result<usize> {
        let before = self.text.get(..start).unwrap_or_default().trim_end();
        match before.ends_with('-') {
            true => Ok(before.len()),
            false => Err(self.refuse(start)),
        }
    }

    fn refuse(&self, place: usize) -> Error {
        let error = Error::new("layout", "the text cannot be changed here in place")
            .with_hint("write a key or element on each line, or use secretsctl edit");
        refuse_at(self.text, place, error)
    }

    /// The text of a value in block style, behind a key or dash at `column`.
    fn render(&self, value: &Node, column: usize, is_key: bool) -> Result<Rendered> {
        let context = match is_key {
            true => Context::of_key(column, self.indent),
            false => Context::of_dash(column, self.indent),
        };
        let items = match value {
            Node::Scalar { value, .. } => return scalar(value, context),
            Node::Map(items, _) | Node::List(items, _) => items,
        };
        if items.is_empty() {
            return Ok(Rendered {
                line: in_flow(value)?,
                below: None,
            });
        }
        if is_key {
            let inner = (column / self.indent + 1) * self.indent;
            let mut below = Secret::from("\n".to_owned());
            below.push(print::block(value, inner, self.indent, false)?.expose());
            return Ok(Rendered {
                line: Secret::default(),
                below: Some(below),
            });
        }
        Ok(Rendered {
            line: print::block(value, column + 2, self.indent, true)?,
            below: None,
        })
    }
}

impl Node {
    /// A second copy of a plaintext value.
    fn duplicate(&self) -> Result<Self> {
        let item = |item: &Item| match item {
            Item::Entry { key, value, .. } => Ok(entry(key, value.duplicate()?)),
            Item::Element(value) => Ok(Item::Element(value.duplicate()?)),
            Item::Comment(_) => Err(nothing_there()),
        };
        Ok(match self {
            Self::Map(items, span) => {
                Self::Map(items.iter().map(item).collect::<Result<_>>()?, span.clone())
            }
            Self::List(items, span) => {
                Self::List(items.iter().map(item).collect::<Result<_>>()?, span.clone())
            }
            Self::Scalar { site, value, span } => Self::Scalar {
                site: *site,
                value: match plain_value(value)? {
                    None => Scalar::Null,
                    Some(PlainValue::Str(text) | PlainValue::Comment(text)) => Scalar::Str(text),
                    Some(PlainValue::Int(value)) => Scalar::Int(value),
                    Some(PlainValue::Float(value)) => Scalar::Float(value),
                    Some(PlainValue::Bool(value)) => Scalar::Bool(value),
                    Some(PlainValue::Time(value)) => Scalar::Time(value),
                },
                span: span.clone(),
            },
        })
    }
}

fn entry(key: &str, value: Node) -> Item {
    Item::Entry {
        key: key.to_owned(),
        key_span: 0..0,
        value,
    }
}

/// A float stays one: sops itself would print `1` for 1.0.
pub(super) fn scalar(value: &Scalar, context: Context) -> Result<Rendered> {
    let Some(value) = plain_value(value)? else {
        return Ok(Rendered {
            line: Secret::from("null".to_owned()),
            below: None,
        });
    };
    let mut rendered = render::value(&value, context);
    let is_whole = |line: &Secret| {
        line.expose()
            .iter()
            .all(|b| b.is_ascii_digit() || *b == b'-')
    };
    if matches!(value, PlainValue::Float(_)) && is_whole(&rendered.line) {
        rendered.line.push(b".0");
    }
    Ok(rendered)
}

fn in_flow(node: &Node) -> Result<Secret> {
    let (open, close, items) = match node {
        Node::Map(items, _) => (b"{", b"}", items),
        Node::List(items, _) => (b"[", b"]", items),
        Node::Scalar { value, .. } => return Ok(scalar(value, Context::Flow)?.join()),
    };
    let mut text = Secret::default();
    text.push(open);
    for (index, item) in items.iter().enumerate() {
        text.push(if index > 0 { b", " } else { b"" });
        match item {
            Item::Entry { key, value, .. } => text.push(in_flow_entry(key, value)?.expose()),
            Item::Element(value) => text.push(in_flow(value)?.expose()),
            Item::Comment(_) => {}
        }
    }
    text.push(close);
    Ok(text)
}

fn in_flow_entry(key: &str, value: &Node) -> Result<Secret> {
    let mut text = match key.contains([',', '[', ']', '{', '}', '?']) {
        true => render::double_quoted(key),
        false => render::key(key),
    };
    text.push(b": ");
    text.push(in_flow(value)?.expose());
    Ok(text)
}

fn nothing_there() -> Error {
    Error::new(
        "internal",
        "the path leads to nothing that could be changed",
    )
}
