//! From go-yaml's nodes to the tree that sops makes of them.

use policy::yaml::{Comments, Content, Document, NodeId, Resolved, Stream, Style, YamlError};

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    secret::Secret,
    sops::tree::{Comment, Item, MetaNode, Node, Scalar, Span, Tree},
};

use super::metadata;

/// The key of the metadata.
pub(super) const METADATA: &str = "sops";

/// How a site is written.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The scalar without tag and anchor, the comment from its `#` on, or the alias.
    pub(super) span: Span,
    pub(super) kind: PlaceKind,
    /// Inside brackets or braces.
    pub(super) flow: bool,
    /// It is reached through an alias of a collection: its text is somebody else's.
    pub(super) aliased: bool,
    /// The mapping or sequence that it stands in.
    pub(super) parent: NodeId,
}

#[derive(Clone, Debug)]
pub(super) enum PlaceKind {
    Comment,
    Alias,
    Scalar { node: NodeId, style: Style },
}

/// What reading gives: the tree for everyone, the rest for the splicer.
pub(super) struct Read {
    pub(super) stream: Stream,
    pub(super) tree: Tree,
    pub(super) metadata: Option<MetaNode>,
    /// By site.
    pub(super) places: Vec<Place>,
}

pub(super) fn read(text: &str, limits: &Limits) -> Result<Read> {
    let stream = policy::yaml::parse(text, limits.of_yaml()).map_err(refuse)?;
    if let Some(first) = stream.documents.first() {
        refuse_repeated_keys(&stream, first.root)?;
    } else if !text.is_empty() {
        return Err(Error::new(
            "empty",
            "the file holds no document, only blanks or comments",
        ));
    }
    let mut builder = Builder {
        text,
        stream: &stream,
        places: Vec::new(),
        flow: false,
        aliased: false,
        parent: 0,
        root: 0,
    };
    let mut metadata = None;
    let mut documents = Vec::new();
    for (index, document) in stream.documents.iter().enumerate() {
        if index == 0 {
            metadata = first_metadata(&stream, document)?;
        }
        documents.push(builder.document(document)?);
    }
    let places = builder.places;
    let tree = Tree {
        documents,
        sites: places.len(),
    };
    Ok(Read {
        stream,
        tree,
        metadata,
        places,
    })
}

/// The entries of a document's root that are metadata: where the `sops` keys stand.
pub(super) fn metadata_entries(stream: &Stream, document: &Document) -> Vec<(NodeId, NodeId)> {
    match &stream.node(document.root).content {
        Content::Mapping { entries, .. } => entries
            .iter()
            .copied()
            .filter(|&(key, _)| is_metadata(stream, key))
            .collect(),
        _ => Vec::new(),
    }
}

fn is_metadata(stream: &Stream, key: NodeId) -> bool {
    stream.follow(key).as_scalar() == Some(METADATA)
}

fn first_metadata(stream: &Stream, document: &Document) -> Result<Option<MetaNode>> {
    let mut entries = metadata_entries(stream, document).into_iter();
    let Some((_, value)) = entries.next() else {
        return Ok(None);
    };
    if let Some((again, _)) = entries.next() {
        return Err(at(
            stream,
            again,
            Error::new("metadata", "there are two sops entries"),
        ));
    }
    metadata::read(stream, value).map(Some)
}

pub(super) fn at(stream: &Stream, id: NodeId, error: Error) -> Error {
    let node = stream.node(id);
    error.with_position(Position {
        line: node.line,
        column: node.column,
    })
}

fn refuse(error: YamlError) -> Error {
    let position = Position::from(&error);
    let code = if error.limit.is_some() {
        "limit"
    } else {
        "syntax"
    };
    let refusal = Error::new(code, error.message).with_position(position);
    match error.limit {
        Some("nodes") => refusal.with_hint("raise `values` in `limits` of the configuration"),
        Some(_) => refusal.with_hint("raise `nesting` in `limits` of the configuration"),
        None => refusal,
    }
}

/// sops refuses a mapping of the first document in which two keys are written with the same text.
fn refuse_repeated_keys(stream: &Stream, root: NodeId) -> Result<()> {
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        match &stream.node(id).content {
            Content::Sequence { items, .. } => open.extend(items),
            Content::Mapping { entries, .. } => {
                open.extend(entries.iter().map(|&(_, value)| value));
                refuse_repeated(stream, entries)?;
            }
            Content::Scalar { .. } | Content::Alias { .. } => {}
        }
    }
    Ok(())
}

fn refuse_repeated(stream: &Stream, entries: &[(NodeId, NodeId)]) -> Result<()> {
    let texts = entries
        .iter()
        .filter_map(|&(key, _)| Some((stream.node(key).as_scalar()?, key)));
    let mut sorted: Vec<_> = texts.collect();
    // Equal texts stay in the order of the file, in which the numbers of nodes grow.
    sorted.sort_unstable();
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    let repeated = pairs.filter(|((before, _), (text, _))| before == text);
    let Some(((_, before), (text, again))) = repeated.min_by_key(|(_, (_, again))| *again) else {
        return Ok(());
    };
    let line = stream.node(*before).line;
    let message = format!("mapping key {text:?} already defined at line {line}");
    let error = Error::new("repeated-key", message).with_hint("remove or rename one of them");
    Err(at(stream, *again, error))
}

struct Builder<'a> {
    text: &'a str,
    stream: &'a Stream,
    places: Vec<Place>,
    flow: bool,
    aliased: bool,
    parent: NodeId,
    /// Of the document that is being read.
    root: NodeId,
}

impl Builder<'_> {
    fn document(&mut self, document: &Document) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        self.parent = document.root;
        self.root = document.root;
        self.comments(&mut items, &document.head, false);
        let root = self.stream.node(document.root);
        match &root.content {
            Content::Mapping { .. } => self.mapping(document.root, &mut items, false)?,
            Content::Scalar { .. } if self.scalar(document.root)?.is_null() => {
                let Comments { head, line, .. } = root.comments();
                self.comments(&mut items, head, false);
                self.comments(&mut items, line, false);
            }
            Content::Scalar { .. } | Content::Alias { .. } => {
                return Err(self.refuse_root(document.root, "a single value"));
            }
            Content::Sequence { .. } => return Err(self.refuse_root(document.root, "a list")),
        }
        self.comments(&mut items, &document.foot, false);
        Ok(items)
    }

    fn refuse_root(&self, id: NodeId, what: &str) -> Error {
        let error = Error::new(
            "structure",
            format!("the document is {what}, but sops needs a mapping at the top"),
        );
        at(self.stream, id, error).with_hint("put it under a key, or encrypt the file as binary")
    }

    /// The entries of a mapping. `handled`: its own comments were taken by the list it stands in.
    fn mapping(&mut self, id: NodeId, items: &mut Vec<Item>, handled: bool) -> Result<()> {
        let stream = self.stream;
        let node = stream.node(id);
        let Content::Mapping { entries, flow } = &node.content else {
            return Ok(());
        };
        let before = self.enter(id, *flow);
        if !handled {
            self.comments(items, &node.comments().head, false);
            self.comments(items, &node.comments().line, false);
        }
        let top = self.root == id;
        for &(key, value) in entries {
            let Comments { head, line, foot } = stream.node(key).comments();
            self.comments(items, head, false);
            self.comments(items, line, false);
            let value_node = stream.node(value);
            let plain = matches!(
                value_node.content,
                Content::Scalar { .. } | Content::Alias { .. }
            );
            if plain {
                self.comments(items, &value_node.comments().head, false);
                self.comments(items, &value_node.comments().line, true);
            }
            if !(top && is_metadata(stream, key)) {
                let name = self.key(key)?;
                let key_span = stream.node(key).span.clone();
                let value = self.value(value, plain)?;
                items.push(Item::Entry {
                    key: name,
                    key_span,
                    value,
                });
            }
            if plain {
                self.comments(items, &value_node.comments().foot, false);
            }
            self.comments(items, foot, false);
        }
        if !handled {
            self.comments(items, &node.comments().foot, false);
        }
        (self.flow, self.parent) = before;
        Ok(())
    }

    /// Goes into a mapping or sequence; the result is what to set back.
    fn enter(&mut self, id: NodeId, flow: bool) -> (bool, NodeId) {
        let before = (self.flow, self.parent);
        self.flow |= flow;
        self.parent = id;
        before
    }

    fn key(&self, id: NodeId) -> Result<String> {
        let node = self.stream.follow(id);
        let refuse = |what: &str| {
            let error = Error::new(
                "key-type",
                format!("sops needs strings as keys, but this key is {what}"),
            );
            Err(at(self.stream, id, error).with_hint("put the key in quotes"))
        };
        match node.resolve().map_err(refuse_scalar)? {
            Some(Resolved::Str) => Ok(node.as_scalar().unwrap_or_default().to_owned()),
            Some(Resolved::Binary(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Ok(text),
                Err(_) => refuse("binary data"),
            },
            Some(Resolved::Null) => refuse("null"),
            Some(Resolved::Bool(_)) => refuse("a boolean"),
            Some(Resolved::Time(_)) => refuse("a date"),
            Some(Resolved::Int(_) | Resolved::Uint(_) | Resolved::Float(_)) => refuse("a number"),
            None => refuse("a list or a mapping"),
        }
    }

    fn value(&mut self, id: NodeId, handled: bool) -> Result<Node> {
        let stream = self.stream;
        let node = stream.node(id);
        let span = node.span.clone();
        match &node.content {
            Content::Mapping { .. } => {
                let mut items = Vec::new();
                self.mapping(id, &mut items, handled)?;
                Ok(Node::Map(items, span))
            }
            Content::Sequence {
                items: children,
                flow,
            } => {
                let before = self.enter(id, *flow);
                let items = self.sequence(id, children, handled)?;
                (self.flow, self.parent) = before;
                Ok(Node::List(items, span))
            }
            Content::Scalar { style, .. } => {
                let value = self.scalar(id)?;
                let site = self.site(
                    span.clone(),
                    PlaceKind::Scalar {
                        node: id,
                        style: *style,
                    },
                );
                Ok(Node::Scalar { site, value, span })
            }
            Content::Alias { target } => match stream.node(*target).content {
                Content::Scalar { .. } => {
                    let value = self.scalar(*target)?;
                    let site = self.site(span.clone(), PlaceKind::Alias);
                    Ok(Node::Scalar { site, value, span })
                }
                _ => {
                    let aliased_before = std::mem::replace(&mut self.aliased, true);
                    let value = self.value(*target, false)?;
                    self.aliased = aliased_before;
                    Ok(value)
                }
            },
        }
    }

    fn sequence(&mut self, id: NodeId, children: &[NodeId], handled: bool) -> Result<Vec<Item>> {
        let stream = self.stream;
        let mut items = Vec::new();
        let own = stream.node(id).comments();
        if !handled {
            self.comments(&mut items, &own.head, false);
            self.comments(&mut items, &own.line, false);
        }
        for &child in children {
            let Comments { head, line, foot } = stream.node(child).comments();
            self.comments(&mut items, head, false);
            self.comments(&mut items, line, true);
            let value = self.value(child, true)?;
            items.push(Item::Element(value));
            self.comments(&mut items, foot, false);
        }
        if !handled {
            self.comments(&mut items, &own.foot, false);
        }
        Ok(items)
    }

    fn scalar(&self, id: NodeId) -> Result<Scalar> {
        let node = self.stream.node(id);
        let resolved = node.resolve().map_err(refuse_scalar)?;
        Ok(match resolved {
            Some(Resolved::Null) => Scalar::Null,
            Some(Resolved::Bool(value)) => Scalar::Bool(value),
            Some(Resolved::Int(value)) => Scalar::Int(value),
            Some(Resolved::Uint(value)) => {
                Scalar::Unsupported(format!("the integer {value} has more than 63 bits"))
            }
            Some(Resolved::Float(value)) => Scalar::Float(value),
            Some(Resolved::Time(text)) => Scalar::Time(text),
            Some(Resolved::Binary(bytes)) => Scalar::Str(Secret::new(bytes)),
            Some(Resolved::Str) | None => Scalar::Str(Secret::from(
                node.as_scalar().unwrap_or_default().to_owned(),
            )),
        })
    }

    fn comments(&mut self, items: &mut Vec<Item>, spans: &[Span], inline: bool) {
        for span in spans {
            let text = self.text.get(span.start + 1..span.end).unwrap_or_default();
            let site = self.site(span.clone(), PlaceKind::Comment);
            let text = Secret::from(text.to_owned());
            items.push(Item::Comment(Comment {
                site,
                text,
                span: span.clone(),
                inline,
            }));
        }
    }

    fn site(&mut self, span: Span, kind: PlaceKind) -> usize {
        let (flow, aliased, parent) = (self.flow, self.aliased, self.parent);
        self.places.push(Place {
            span,
            kind,
            flow,
            aliased,
            parent,
        });
        self.places.len() - 1
    }
}

impl Scalar {
    fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

fn refuse_scalar(error: YamlError) -> Error {
    let position = Position::from(&error);
    Error::new("syntax", error.message).with_position(position)
}
