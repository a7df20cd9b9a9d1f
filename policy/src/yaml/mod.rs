//! YAML as go-yaml v3 reads it, which is what sops and `.sops.yaml` are read with.
//!
//! The tokens come from [`libyaml_safer`], a sibling of go-yaml's own scanner. On top of them stand go-yaml's rules that
//! libyaml does not have: which node a comment belongs to ([`comments`]), and what a plain scalar means ([`resolve()`]).
//! Every node knows its byte span, so that text can be edited in place.
//!
//! No input makes it panic: `libyaml_safer` panics on three inputs (a block scalar or an escape cut off by the end of the
//! text, a tag with a comma behind it), and none of them reaches it (see [`tokens`]). They are kept away rather than
//! caught because a program built with `panic = "abort"` catches nothing.

mod comments;
mod lines;
mod parse;
mod resolve;
mod scalar;
mod source;
mod time;
mod tokens;

use std::{fmt, ops::Range};

pub(crate) use resolve::base64;
pub use resolve::{Resolved, resolve};
pub use source::decode;

/// A byte range of the text.
pub type Span = Range<usize>;

/// The number of a node in its [`Stream`].
pub type NodeId = usize;

/// How much a text may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Levels of mappings and sequences, aliases followed. Never more than [`DEEPEST`].
    pub nesting: usize,
    /// Nodes, each alias counted as everything it stands for.
    pub nodes: usize,
}

/// The highest nesting limit there is: reading is recursive.
pub const DEEPEST: usize = 256;

impl Default for Limits {
    fn default() -> Self {
        Self {
            nesting: 64,
            nodes: 1_000_000,
        }
    }
}

/// All documents of a text.
#[derive(Debug, Default)]
pub struct Stream {
    nodes: Vec<Node>,
    /// In the order of the text.
    pub documents: Vec<Document>,
    /// Every comment of the text, from its `#` to the end of its line, also those that go-yaml gives to no node.
    pub comments: Vec<Span>,
}

impl Stream {
    /// The node with this number.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The node with this number, or what it is an alias of.
    pub fn follow(&self, id: NodeId) -> &Node {
        match self.node(id).content {
            // An alias never names another alias: only what has an anchor can be named.
            Content::Alias { target } => self.node(target),
            _ => self.node(id),
        }
    }
}

/// One document.
#[derive(Debug)]
pub struct Document {
    /// Its content; an empty plain scalar where there is none.
    pub root: NodeId,
    /// Its `---`.
    pub start: Option<Span>,
    /// Its `...`.
    pub end: Option<Span>,
    /// Comments that stand apart above the first node.
    pub head: Vec<Span>,
    /// Comments behind the last node.
    pub foot: Vec<Span>,
}

/// A scalar, sequence, mapping or alias.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// From its first to its last character, without tag and anchor. Of a missing value: the empty span where it would
    /// stand. A block scalar ends with its last line that is not empty, line break not included.
    pub span: Span,
    /// Line of its start, from 1.
    pub line: usize,
    /// Column of its start in characters, from 1.
    pub column: usize,
    /// Its explicit tag.
    pub tag: Option<Tag>,
    /// Its anchor.
    pub anchor: Option<Anchor>,
    /// Its comments, where it has any.
    comments: Option<Box<Comments>>,
}

impl Node {
    /// The comments that go-yaml gives to this node, without the empty lines between them.
    pub fn comments(&self) -> &Comments {
        const NONE: &Comments = &Comments {
            head: Vec::new(),
            line: Vec::new(),
            foot: Vec::new(),
        };
        self.comments.as_deref().unwrap_or(NONE)
    }

    /// The start of the node with tag and anchor.
    pub fn outer_start(&self) -> usize {
        let tag = self
            .tag
            .as_ref()
            .map_or(self.span.start, |tag| tag.span.start);
        let anchor = self
            .anchor
            .as_ref()
            .map_or(self.span.start, |anchor| anchor.span.start);
        self.span.start.min(tag).min(anchor)
    }

    /// The text of a scalar.
    pub fn as_scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// What a node is.
#[derive(Debug)]
pub enum Content {
    /// A scalar with its decoded text.
    Scalar {
        /// Escapes, folding and chomping are done.
        text: String,
        /// How it is written.
        style: Style,
    },
    /// A sequence.
    Sequence {
        /// Its items.
        items: Vec<NodeId>,
        /// Whether it is written in brackets.
        flow: bool,
    },
    /// A mapping.
    Mapping {
        /// Keys and values. Keys may repeat.
        entries: Vec<(NodeId, NodeId)>,
        /// Whether it is written in braces.
        flow: bool,
    },
    /// An alias.
    Alias {
        /// The node that it names; never an alias, never one that holds the alias.
        target: NodeId,
    },
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes; also a missing value.
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// An explicit tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// As go-yaml shortens it: `!!str`, or the whole URI.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// An anchor.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// Without the `&`.
    pub name: String,
    /// Where it stands, `&` included.
    pub span: Span,
}

/// The comments of a node, each from its `#` to the end of its line.
#[derive(Clone, Debug, Default)]
pub struct Comments {
    /// Above the node.
    pub head: Vec<Span>,
    /// On its line.
    pub line: Vec<Span>,
    /// Below the node.
    pub foot: Vec<Span>,
}

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// A sentence without capital and period.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The limit that was exceeded, by the name of its field in [`Limits`].
    pub limit: Option<&'static str>,
}

impl YamlError {
    fn new(message: impl Into<String>, line: usize, column: usize) -> Self {
        Self {
            message: message.into(),
            line,
            column,
            limit: None,
        }
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

impl std::error::Error for YamlError {}

/// Reads all documents of `text`.
///
/// # Errors
///
/// Everything that go-yaml refuses to parse, aliases that hold themselves, and texts over the limits.
pub fn parse(text: &str, limits: Limits) -> Result<Stream, YamlError> {
    parse::stream(text, usize::MAX, limits)
}

/// Reads the first document of `text` only, as Go's `yaml.Unmarshal` does: what follows it may be anything.
///
/// # Errors
///
/// As [`parse()`].
pub fn parse_first(text: &str, limits: Limits) -> Result<Stream, YamlError> {
    parse::stream(text, 1, limits)
}
