//! What every format's reader produces: a tree in document order whose parts know their byte span in the source.
//!
//! It is sops' own model (documents of ordered items, comments among them) with spans added. Aliases are expanded as
//! sops does at load, so one span may be behind several sites; the format's splicer knows what to do with those.

use std::ops::Range;

use crate::secret::Secret;

/// A byte range of the source text.
pub(crate) type Span = Range<usize>;

/// Number of a scalar or comment, counted from 0 in document order over all documents (metadata not counted).
pub(crate) type SiteId = usize;

/// The data of a file, without its metadata.
#[derive(Default)]
pub(crate) struct Tree {
    /// YAML may hold several documents; every other format has one. Each is the list of items of its root mapping.
    pub(crate) documents: Vec<Vec<Item>>,
    /// How many sites there are in all documents.
    #[expect(dead_code, reason = "a reader's own count, for those who number more")]
    pub(crate) sites: usize,
}

/// An element of a mapping or a list, in order.
pub(crate) enum Item {
    /// A member of a mapping.
    Entry {
        /// The key as sops sees it.
        key: String,
        /// Where the key stands in the source.
        key_span: Span,
        /// What it holds.
        value: Node,
    },
    /// An element of a list.
    Element(Node),
    /// A comment, in a mapping or a list, at the place where sops puts it.
    Comment(Comment),
}

/// A comment; its text is what follows the comment character (a leading space included).
pub(crate) struct Comment {
    pub(crate) site: SiteId,
    pub(crate) text: Secret,
    pub(crate) span: Span,
    /// It stands behind a value on the same line (YAML, sops 3.13 and later keep it there).
    #[cfg_attr(not(test), expect(dead_code, reason = "splicers look at the source"))]
    pub(crate) inline: bool,
}

/// A value.
pub(crate) enum Node {
    /// A mapping; its items are entries and comments.
    Map(Vec<Item>, Span),
    /// A list; its items are elements and comments.
    List(Vec<Item>, Span),
    /// Anything else.
    Scalar {
        site: SiteId,
        value: Scalar,
        span: Span,
    },
}

impl Node {
    /// Where it stands.
    pub(crate) fn span(&self) -> &Span {
        match self {
            Self::Map(_, span) | Self::List(_, span) | Self::Scalar { span, .. } => span,
        }
    }
}

/// A scalar, typed as sops types it (reference 1.3.1 for YAML, 1.4 for JSON).
pub(crate) enum Scalar {
    Null,
    Str(Secret),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// RFC 3339 with as many fraction digits as needed (Go's RFC3339Nano), for example `2020-01-01T00:00:00Z`.
    Time(String),
    /// The reader met something sops cannot walk (an integer over 63 bits, say); the text names it for the error.
    Unsupported(String),
}

/// The metadata as found, before it is interpreted: flattened forms (dotenv, INI) are nested again by their readers.
pub(crate) struct MetaNode {
    pub(crate) value: MetaValue,
    pub(crate) span: Span,
}

impl MetaNode {
    /// A copy with the same places.
    pub(crate) fn duplicate(&self) -> Self {
        let value = match &self.value {
            MetaValue::Map(fields) => MetaValue::Map(
                fields
                    .iter()
                    .map(|(name, node)| (name.clone(), node.duplicate()))
                    .collect(),
            ),
            MetaValue::List(items) => MetaValue::List(items.iter().map(Self::duplicate).collect()),
            MetaValue::Scalar { text, quoted } => MetaValue::Scalar {
                text: text.clone(),
                quoted: *quoted,
            },
            MetaValue::Null => MetaValue::Null,
        };
        Self {
            value,
            span: self.span.clone(),
        }
    }
}

/// A metadata value. Nothing in the metadata is secret.
pub(crate) enum MetaValue {
    Map(Vec<(String, MetaNode)>),
    List(Vec<MetaNode>),
    /// The decoded text; `quoted` is false for plain YAML scalars and JSON numbers, booleans and nulls.
    Scalar {
        text: String,
        quoted: bool,
    },
    Null,
}
