//! From tokens to nodes, with the comments where go-yaml puts them.
//!
//! go-yaml is not symmetric here: the start of a block collection takes no comments, its end does; a comment is lost where
//! two claim the same place. Every step that looks odd below is observable in what sops makes of a file.

mod attach;
mod flow;

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
};

use self::attach::lines;

use super::{
    Anchor, Comments, Content, DEEPEST, Document, Limits, Node, NodeId, Stream, Style, Tag,
    YamlError,
    comments::{Lexer, Part},
    scalar,
    tokens::{Kind, Place},
};

/// Reads at most `documents` documents.
pub(super) fn stream(text: &str, documents: usize, limits: Limits) -> Result<Stream, YamlError> {
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => (text.len() - body.len(), body),
        None => (0, text),
    };
    let mut stream = match super::lines::read(body, limits) {
        Some(stream) => stream,
        None => by_tokens(body, documents, limits)?,
    };
    if mark > 0 {
        stream.shift(mark);
    }
    Ok(stream)
}

/// As [`stream`], of a text without a byte order mark, whatever its layout.
pub(super) fn by_tokens(text: &str, documents: usize, limits: Limits) -> Result<Stream, YamlError> {
    Parser::new(text, limits)?.run(documents)
}

impl Stream {
    /// Moves every span, because a byte order mark stands before the text.
    fn shift(&mut self, by: usize) {
        let nodes = self.nodes.iter_mut().flat_map(|node| {
            let tag = node.tag.iter_mut().map(|tag| &mut tag.span);
            let anchor = node.anchor.iter_mut().map(|anchor| &mut anchor.span);
            let comments = node.comments.iter_mut().flat_map(|comments| {
                let Comments { head, line, foot } = &mut **comments;
                head.iter_mut().chain(line).chain(foot)
            });
            tag.chain(anchor).chain(comments).chain([&mut node.span])
        });
        let documents = self.documents.iter_mut().flat_map(|document| {
            let Document {
                start,
                end,
                head,
                foot,
                ..
            } = document;
            start.iter_mut().chain(end).chain(head).chain(foot)
        });
        for span in nodes.chain(documents).chain(&mut self.comments) {
            *span = span.start + by..span.end + by;
        }
    }
}

struct Named {
    node: NodeId,
    /// Nodes it stands for, itself included.
    weight: usize,
    /// Levels it has.
    height: usize,
    /// Its end was not read yet.
    open: bool,
}

struct Parser<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    limits: Limits,
    stream: Stream,
    anchors: HashMap<String, Named>,
    handles: HashMap<String, String>,
    /// Comments above a `-` whose item is a collection: they belong to the collection.
    stem: Vec<Part>,
    weight: usize,
    depth: usize,
    /// The deepest level reached since it was last reset, to measure what has an anchor.
    deepest: usize,
}

/// Tag and anchor in front of a node.
#[derive(Default)]
struct Properties {
    tag: Option<Tag>,
    anchor: Option<Anchor>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, limits: Limits) -> Result<Self, YamlError> {
        Ok(Self {
            text,
            lexer: Lexer::new(text)?,
            limits,
            stream: Stream::default(),
            anchors: HashMap::new(),
            handles: HashMap::new(),
            stem: Vec::new(),
            weight: 0,
            depth: 0,
            deepest: 0,
        })
    }

    fn run(mut self, documents: usize) -> Result<Stream, YamlError> {
        self.lexer.peek()?;
        self.lexer.skip()?; // the start of the stream
        let mut first = true;
        while self.stream.documents.len() < documents && self.document(mem::take(&mut first))? {}
        self.stream.comments = mem::take(&mut self.lexer.all);
        Ok(self.stream)
    }

    /// Reads one document; false at the end of the stream.
    fn document(&mut self, first: bool) -> Result<bool, YamlError> {
        if !first {
            while let Kind::DocumentEnd = self.lexer.peek()?.kind {
                self.lexer.skip()?;
            }
        }
        let token = self.lexer.peek()?;
        let implicit = match token.kind {
            Kind::StreamEnd => return Ok(false),
            Kind::Version { .. } | Kind::TagDirective { .. } | Kind::DocumentStart => false,
            _ => first,
        };
        let mut head = Vec::new();
        let start = if implicit {
            self.directives()?;
            head = split_at_gap(&mut self.lexer.collected.head);
            None
        } else {
            self.directives()?;
            let token = self.lexer.peek()?;
            if !matches!(token.kind, Kind::DocumentStart) {
                return Err(token.start.error("did not find expected <document start>"));
            }
            let span = token.start.index..token.end.index;
            self.lexer.skip()?;
            Some(span)
        };
        let token = self.lexer.peek()?;
        let root = match token.kind {
            Kind::Version { .. }
            | Kind::TagDirective { .. }
            | Kind::DocumentStart
            | Kind::DocumentEnd
            | Kind::StreamEnd => {
                let place = token.start;
                self.missing(place)?
            }
            _ => self.node(true, false)?,
        };
        let token = self.lexer.peek()?;
        let mut end = None;
        if let Kind::DocumentEnd = token.kind {
            end = Some(token.start.index..token.end.index);
            self.lexer.skip()?;
        }
        let mut collected = mem::take(&mut self.lexer.collected);
        self.stem.clear();
        if collected.foot.is_empty() {
            collected.foot = collected.head;
        }
        self.handles.clear();
        let (head, foot) = (lines(head), lines(collected.foot));
        self.stream.documents.push(Document {
            root,
            start,
            end,
            head,
            foot,
        });
        Ok(true)
    }

    fn directives(&mut self) -> Result<(), YamlError> {
        let mut version = false;
        loop {
            let token = self.lexer.peek()?;
            match &token.kind {
                Kind::Version { .. } if version => {
                    return Err(token.start.error("found duplicate %YAML directive"));
                }
                Kind::Version { major: 1, minor: 1 } => version = true,
                Kind::Version { major, minor } => {
                    let message = format!(
                        "found incompatible YAML document: sops reads %YAML 1.1, not {major}.{minor}"
                    );
                    return Err(token.start.error(message));
                }
                Kind::TagDirective { handle, prefix } => match self.handles.entry(handle.clone()) {
                    Entry::Occupied(_) => {
                        return Err(token.start.error("found duplicate %TAG directive"));
                    }
                    Entry::Vacant(place) => _ = place.insert(prefix.clone()),
                },
                _ => return Ok(()),
            }
            self.lexer.skip()?;
        }
    }

    /// Reads one node. `indentless`: a sequence at the indentation of its key is one, too.
    fn node(&mut self, block: bool, indentless: bool) -> Result<NodeId, YamlError> {
        if let Kind::Alias(_) = self.lexer.peek()?.kind {
            return self.alias();
        }
        let (properties, after) = self.properties()?;
        let token = self.lexer.peek()?;
        let read: fn(&mut Self, NodeId) -> Result<(), YamlError> = match token.kind {
            Kind::BlockEntry if indentless => Self::indentless_sequence,
            Kind::Scalar { .. } => Self::scalar,
            Kind::FlowSequenceStart => Self::flow_sequence,
            Kind::FlowMappingStart => Self::flow_mapping,
            Kind::BlockSequenceStart if block => Self::block_sequence,
            Kind::BlockMappingStart if block => Self::block_mapping,
            _ => match after {
                Some(place) => return self.add(properties, place, |_, _| Ok(())),
                None => return Err(token.start.error("did not find expected node content")),
            },
        };
        let place = token.start;
        self.add(properties, place, read)
    }

    /// Tag and anchor, and the place behind them where there are any.
    fn properties(&mut self) -> Result<(Properties, Option<Place>), YamlError> {
        let mut properties = Properties::default();
        let mut after = None;
        loop {
            let token = self.lexer.peek()?;
            let span = token.start.index..token.end.index;
            match &token.kind {
                Kind::Anchor(name) if properties.anchor.is_none() => {
                    properties.anchor = Some(Anchor {
                        name: name.clone(),
                        span,
                    });
                }
                Kind::Tag { handle, suffix } if properties.tag.is_none() => {
                    let prefix = match (handle.as_str(), self.handles.get(handle)) {
                        ("", _) => "",
                        (_, Some(prefix)) => prefix,
                        ("!", None) => "!",
                        ("!!", None) => LONG_PREFIX,
                        (_, None) => return Err(token.start.error("found undefined tag handle")),
                    };
                    properties.tag = Some(Tag {
                        name: shorten(format!("{prefix}{suffix}")),
                        span,
                    });
                }
                _ => return Ok((properties, after)),
            }
            after = Some(token.end);
            self.lexer.skip()?;
        }
    }

    /// Adds a node and lets `read` fill it. Limits and anchors are kept here.
    fn add(
        &mut self,
        properties: Properties,
        place: Place,
        read: impl FnOnce(&mut Self, NodeId) -> Result<(), YamlError>,
    ) -> Result<NodeId, YamlError> {
        let id = self.stream.nodes.len();
        let weight_before = self.weight;
        self.weigh(1, place)?;
        self.depth += 1;
        let deepest_before = mem::replace(&mut self.deepest, self.depth);
        self.dive(0, place)?;
        let name = properties.anchor.as_ref().map(|anchor| anchor.name.clone());
        if let Some(name) = &name {
            let named = Named {
                node: id,
                weight: 0,
                height: 0,
                open: true,
            };
            self.anchors.insert(name.clone(), named);
        }
        self.stream.nodes.push(Node {
            content: Content::Scalar {
                text: String::new(),
                style: Style::Plain,
            },
            span: place.index.min(self.text.len())..place.index.min(self.text.len()),
            line: place.line + 1,
            column: place.column + 1,
            tag: properties.tag,
            anchor: properties.anchor,
            comments: None,
        });
        read(self, id)?;
        if let Some(named) = name.and_then(|name| self.anchors.get_mut(&name))
            && named.node == id
        {
            named.open = false;
            named.weight = self.weight - weight_before;
            named.height = self.deepest - self.depth + 1;
        }
        self.deepest = self.deepest.max(deepest_before);
        self.depth -= 1;
        Ok(id)
    }

    /// A value that is not there.
    fn missing(&mut self, place: Place) -> Result<NodeId, YamlError> {
        self.add(Properties::default(), place, |_, _| Ok(()))
    }

    fn alias(&mut self) -> Result<NodeId, YamlError> {
        let token = self.lexer.skip()?;
        let Kind::Alias(name) = token.kind else {
            return Err(token.start.error("did not find expected alias"));
        };
        let (target, weight, height) = match self.anchors.get(&name) {
            None => {
                return Err(token
                    .start
                    .error(format!("unknown anchor '{name}' referenced")));
            }
            Some(named) if named.open => {
                return Err(token
                    .start
                    .error(format!("anchor '{name}' value contains itself")));
            }
            Some(named) => (named.node, named.weight, named.height),
        };
        self.weigh(weight.saturating_sub(1), token.start)?;
        self.dive(height, token.start)?;
        let (start, end) = (token.start, token.end);
        self.add(Properties::default(), start, |parser, id| {
            parser.set(id, Content::Alias { target }, end.index);
            parser.attach_all(id);
            Ok(())
        })
    }

    fn weigh(&mut self, nodes: usize, place: Place) -> Result<(), YamlError> {
        self.weight = self.weight.saturating_add(nodes);
        if self.weight <= self.limits.nodes {
            return Ok(());
        }
        let message = format!("more than {} values, aliases expanded", self.limits.nodes);
        Err(YamlError {
            limit: Some("nodes"),
            ..place.error(message)
        })
    }

    fn dive(&mut self, levels: usize, place: Place) -> Result<(), YamlError> {
        let limit = self.limits.nesting.min(DEEPEST);
        self.deepest = self.deepest.max(self.depth.saturating_add(levels));
        // The scalars of the last level make one more.
        if self.deepest <= limit + 1 {
            return Ok(());
        }
        let message = format!("mappings and sequences are nested more than {limit} levels deep");
        Err(YamlError {
            limit: Some("nesting"),
            ..place.error(message)
        })
    }

    fn scalar(&mut self, id: NodeId) -> Result<(), YamlError> {
        self.attach_all(id);
        let token = self.lexer.skip()?;
        let Kind::Scalar { mut text, style } = token.kind else {
            return Err(token.start.error("did not find expected scalar"));
        };
        let span = scalar::span(self.text, style, token.start.index..token.end.index);
        scalar::take_back_line_break(
            self.text,
            style,
            token.start.index..token.end.index,
            &mut text,
        );
        self.set(id, Content::Scalar { text, style }, span.end);
        Ok(())
    }

    fn block_sequence(&mut self, id: NodeId) -> Result<(), YamlError> {
        self.attach_stem(id);
        self.lexer.skip()?;
        let items = self.entries(|kind| matches!(kind, Kind::BlockEntry | Kind::BlockEnd))?;
        let token = self.lexer.peek()?;
        if !matches!(token.kind, Kind::BlockEnd) {
            return Err(token.start.error("did not find expected '-' indicator"));
        }
        self.lexer.skip()?;
        self.set_items(id, items);
        Ok(())
    }

    fn indentless_sequence(&mut self, id: NodeId) -> Result<(), YamlError> {
        let ends = |kind: &Kind| {
            matches!(
                kind,
                Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd
            )
        };
        let items = self.entries(ends)?;
        self.set_items(id, items);
        Ok(())
    }

    /// The items behind each `-`; `ends` tells the tokens before which an item is missing.
    fn entries(&mut self, ends: impl Fn(&Kind) -> bool) -> Result<Vec<NodeId>, YamlError> {
        let mut items = Vec::new();
        loop {
            let token = self.lexer.peek()?;
            if !matches!(token.kind, Kind::BlockEntry) {
                return Ok(items);
            }
            let place = token.end;
            let above = self.lexer.collected.head.len();
            self.lexer.skip()?;
            self.split_stem(above)?;
            let missing = ends(&self.lexer.peek()?.kind);
            items.push(if missing {
                self.missing(place)?
            } else {
                self.node(true, false)?
            });
        }
    }

    /// Where the item behind a `-` is a collection, the comments above the `-` are its own, and those between the `-` and
    /// its first child are the child's.
    fn split_stem(&mut self, above: usize) -> Result<(), YamlError> {
        if above == 0 {
            return Ok(());
        }
        if let Kind::BlockSequenceStart | Kind::BlockMappingStart = self.lexer.peek()?.kind {
            let below = self.lexer.collected.head.split_off(above);
            self.stem = mem::replace(&mut self.lexer.collected.head, below);
        }
        Ok(())
    }

    fn block_mapping(&mut self, id: NodeId) -> Result<(), YamlError> {
        self.attach_stem(id);
        self.lexer.skip()?;
        let mut entries: Vec<(NodeId, NodeId)> = Vec::new();
        loop {
            let token = self.lexer.peek()?;
            let place = token.end;
            match token.kind {
                Kind::Key => self.lexer.skip()?,
                Kind::BlockEnd => break,
                _ => return Err(token.start.error("did not find expected key")),
            };
            let key = self.block_child(place)?;
            if let Some(&(before, _)) = entries.last() {
                self.replace_foot(key, before);
            }
            let token = self.lexer.peek()?;
            let value = if let Kind::Value = token.kind {
                let place = token.end;
                self.lexer.skip()?;
                self.block_child(place)?
            } else {
                let place = token.start;
                self.missing(place)?
            };
            self.pass_foot(value, key);
            entries.push((key, value));
        }
        self.attach_end(id);
        self.lexer.skip()?;
        if let Some(&(last, _)) = entries.last() {
            self.replace_foot(id, last);
        }
        let end = entries
            .last()
            .map(|&(_, value)| self.stream.node(value).span.end);
        let end = end.unwrap_or(self.stream.node(id).span.start);
        self.set(
            id,
            Content::Mapping {
                entries,
                flow: false,
            },
            end,
        );
        Ok(())
    }

    fn block_child(&mut self, place: Place) -> Result<NodeId, YamlError> {
        match self.lexer.peek()?.kind {
            Kind::Key | Kind::Value | Kind::BlockEnd => self.missing(place),
            _ => self.node(true, true),
        }
    }

    fn set(&mut self, id: NodeId, content: Content, end: usize) {
        let end = end.min(self.text.len());
        if let Some(node) = self.stream.nodes.get_mut(id) {
            node.content = content;
            node.span = node.span.start.min(end)..end;
        }
    }

    fn set_items(&mut self, id: NodeId, items: Vec<NodeId>) {
        let start = self.stream.node(id).span.start;
        let end = items
            .last()
            .map_or(start, |&item| self.stream.node(item).span.end);
        self.set(id, Content::Sequence { items, flow: false }, end);
    }
}

const LONG_PREFIX: &str = "tag:yaml.org,2002:";

fn shorten(tag: String) -> String {
    match tag.strip_prefix(LONG_PREFIX) {
        Some(name) => format!("!!{name}"),
        None => tag,
    }
}

/// Splits off what stands above the last empty line.
fn split_at_gap(parts: &mut Vec<Part>) -> Vec<Part> {
    match parts.iter().rposition(|part| *part == Part::Blank) {
        Some(gap) => {
            let below = parts.split_off(gap);
            mem::replace(parts, below.into_iter().skip(1).collect())
        }
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
