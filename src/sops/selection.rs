//! Which leaves of a document are encrypted, and the walk over all leaves that decides it.

use policy::pattern::Pattern;

use crate::{
    error::{Error, Result},
    sops::tree::{Comment, Item, Node, Scalar, SiteId, Span, Tree},
};

/// The setting sops takes where a file has none.
const DEFAULT_SUFFIX: &str = "_unencrypted";

/// One of the six partial-encryption settings; a file has exactly one.
#[derive(Clone)]
pub(crate) struct Selection {
    kind: Kind,
    text: String,
    pattern: Option<Pattern>,
}

/// The settings, named as their metadata fields are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    EncryptedCommentRegex,
    EncryptedRegex,
    EncryptedSuffix,
    UnencryptedCommentRegex,
    UnencryptedRegex,
    UnencryptedSuffix,
}

impl Kind {
    /// All settings.
    pub(crate) const ALL: [Self; 6] = [
        Self::EncryptedCommentRegex,
        Self::EncryptedRegex,
        Self::EncryptedSuffix,
        Self::UnencryptedCommentRegex,
        Self::UnencryptedRegex,
        Self::UnencryptedSuffix,
    ];

    /// The setting with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in metadata and creation rules.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EncryptedCommentRegex => "encrypted_comment_regex",
            Self::EncryptedRegex => "encrypted_regex",
            Self::EncryptedSuffix => "encrypted_suffix",
            Self::UnencryptedCommentRegex => "unencrypted_comment_regex",
            Self::UnencryptedRegex => "unencrypted_regex",
            Self::UnencryptedSuffix => "unencrypted_suffix",
        }
    }

    fn looks_at_comments(self) -> bool {
        matches!(
            self,
            Self::EncryptedCommentRegex | Self::UnencryptedCommentRegex
        )
    }

    fn names_the_encrypted(self) -> bool {
        matches!(
            self,
            Self::EncryptedCommentRegex | Self::EncryptedRegex | Self::EncryptedSuffix
        )
    }
}

impl Selection {
    /// A setting. A pattern that does not compile is an error, where sops would leave everything in clear.
    pub(crate) fn new(kind: Kind, text: &str) -> Result<Self> {
        let pattern = match kind {
            Kind::EncryptedSuffix | Kind::UnencryptedSuffix => None,
            _ => Some(Pattern::parse(text).map_err(|error| {
                Error::new("selection", format!("{} is not a pattern that sops understands: {error}", kind.name()))
                    .with_hint("sops would take it as matching nothing; correct it in the creation rule and in the file")
            })?),
        };
        Ok(Self {
            kind,
            text: text.to_owned(),
            pattern,
        })
    }

    /// What sops does without a setting: everything is encrypted but what is below a key ending in `_unencrypted`.
    pub(crate) fn by_default() -> Self {
        Self {
            kind: Kind::UnencryptedSuffix,
            text: DEFAULT_SUFFIX.to_owned(),
            pattern: None,
        }
    }

    /// Which of the settings it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The suffix or pattern as written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a comment with this text switches encryption on or off.
    pub(crate) fn marks(&self, comment: &[u8]) -> bool {
        self.kind.looks_at_comments()
            && self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match_bytes(comment))
    }

    fn names(&self, key: &str) -> bool {
        match self.kind {
            Kind::EncryptedSuffix | Kind::UnencryptedSuffix => key.ends_with(&self.text),
            Kind::EncryptedRegex | Kind::UnencryptedRegex => self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(key)),
            Kind::EncryptedCommentRegex | Kind::UnencryptedCommentRegex => false,
        }
    }
}

/// What the walk meets.
pub(crate) enum Leaf<'t> {
    Comment(&'t Comment),
    Scalar {
        site: SiteId,
        value: &'t Scalar,
        span: &'t Span,
    },
}

/// Where a leaf stands.
pub(crate) struct Place<'p> {
    /// Keys from the root, each followed by a colon; a comment has the path of what it stands in. It is authenticated
    /// together with the value.
    pub(crate) path: &'p str,
    /// Whether the selection has it encrypted.
    pub(crate) encrypted: bool,
    /// Whether it is an element of a list.
    pub(crate) in_list: bool,
}

/// Calls `visit` for every leaf in document order.
pub(crate) fn walk<'t>(
    tree: &'t Tree,
    selection: &Selection,
    visit: &mut dyn FnMut(Leaf<'t>, Place<'_>) -> Result<()>,
) -> Result<()> {
    let mut walker = Walker {
        selection,
        path: String::new(),
        visit,
    };
    for document in &tree.documents {
        walker.items(
            document,
            false,
            Marks {
                keys: false,
                comments: 0,
            },
        )?;
    }
    Ok(())
}

struct Walker<'s, 't, 'v> {
    selection: &'s Selection,
    path: String,
    visit: &'v mut dyn FnMut(Leaf<'t>, Place<'_>) -> Result<()>,
}

/// What the ancestors say: whether a key of the path is named, and how many comments that mark are active.
#[derive(Clone, Copy)]
struct Marks {
    keys: bool,
    comments: usize,
}

impl<'t> Walker<'_, 't, '_> {
    fn items(&mut self, items: &'t [Item], in_list: bool, above: Marks) -> Result<()> {
        // Comments stay active until the item that they precede is done.
        let mut marks = above;
        for item in items {
            match item {
                Item::Comment(comment) => {
                    let before = marks;
                    marks.comments += usize::from(self.selection.marks(comment.text.expose()));
                    // A comment that switches encryption on stays readable itself; one that switches it off, too.
                    let deciding = if self.selection.kind == Kind::EncryptedCommentRegex {
                        before
                    } else {
                        marks
                    };
                    self.leaf(Leaf::Comment(comment), in_list, deciding)?;
                }
                Item::Entry { key, value, .. } => {
                    let length = self.path.len();
                    self.path.push_str(key);
                    self.path.push(':');
                    let keys = marks.keys || self.selection.names(key);
                    self.node(value, false, Marks { keys, ..marks })?;
                    self.path.truncate(length);
                    marks = above;
                }
                Item::Element(value) => {
                    self.node(value, true, marks)?;
                    marks = above;
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &'t Node, in_list: bool, marks: Marks) -> Result<()> {
        match node {
            Node::Map(items, _) => self.items(items, false, marks),
            Node::List(items, _) => self.items(items, true, marks),
            Node::Scalar { site, value, span } => self.leaf(
                Leaf::Scalar {
                    site: *site,
                    value,
                    span,
                },
                in_list,
                marks,
            ),
        }
    }

    fn leaf(&mut self, leaf: Leaf<'t>, in_list: bool, marks: Marks) -> Result<()> {
        let kind = self.selection.kind;
        let marked = if kind.looks_at_comments() {
            marks.comments > 0
        } else {
            marks.keys
        };
        let path = if self.path.is_empty() {
            ":"
        } else {
            &self.path
        };
        (self.visit)(
            leaf,
            Place {
                path,
                encrypted: marked == kind.names_the_encrypted(),
                in_list,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn comment(text: &str) -> Item {
        Item::Comment(Comment {
            site: 0,
            text: Secret::from(text.to_owned()),
            span: 0..0,
            inline: false,
        })
    }

    fn scalar() -> Node {
        Node::Scalar {
            site: 0,
            value: Scalar::Bool(true),
            span: 0..0,
        }
    }

    fn entry(key: &str, value: Node) -> Item {
        Item::Entry {
            key: key.to_owned(),
            key_span: 0..0,
            value,
        }
    }

    /// The paths of what is encrypted, comments with `#`.
    fn encrypted(kind: Kind, text: &str, items: Vec<Item>) -> Vec<String> {
        let tree = Tree {
            documents: vec![items],
            sites: 0,
        };
        let mut found = Vec::new();
        walk(
            &tree,
            &Selection::new(kind, text).unwrap(),
            &mut |leaf, place| {
                if place.encrypted {
                    let mark = if matches!(leaf, Leaf::Comment(_)) {
                        "#"
                    } else {
                        ""
                    };
                    found.push(format!("{mark}{}", place.path));
                }
                Ok(())
            },
        )
        .unwrap();
        found
    }

    #[test]
    fn ancestors_count_and_comments_take_the_path_around_them() {
        let items = || {
            vec![
                comment("top"),
                entry(
                    "a_x",
                    Node::Map(vec![comment("inner"), entry("b", scalar())], 0..0),
                ),
                entry(
                    "c",
                    Node::List(vec![comment("in list"), Item::Element(scalar())], 0..0),
                ),
            ]
        };
        assert_eq!(
            encrypted(Kind::EncryptedSuffix, "_x", items()),
            ["#a_x:", "a_x:b:"]
        );
        assert_eq!(
            encrypted(Kind::UnencryptedSuffix, "_x", items()),
            ["#:", "#c:", "c:"]
        );
        assert_eq!(
            encrypted(Kind::EncryptedRegex, "^(b|c)$", items()),
            ["a_x:b:", "#c:", "c:"]
        );
        assert_eq!(
            encrypted(Kind::UnencryptedRegex, "_", items()),
            ["#:", "#c:", "c:"]
        );
    }

    #[test]
    fn comments_reach_to_the_next_item_and_into_it() {
        let items = || {
            vec![
                comment("mark"),
                comment("second"),
                entry(
                    "a",
                    Node::Map(
                        vec![comment("inner"), entry("b", scalar()), entry("c", scalar())],
                        0..0,
                    ),
                ),
                entry("d", scalar()),
                comment("mark"),
            ]
        };
        assert_eq!(
            encrypted(Kind::EncryptedCommentRegex, "mark", items()),
            ["#:", "#a:", "a:b:", "a:c:"]
        );
        assert_eq!(
            encrypted(Kind::UnencryptedCommentRegex, "mark", items()),
            ["d:"]
        );
    }

    #[test]
    fn a_broken_pattern_is_refused() {
        assert!(Selection::new(Kind::EncryptedRegex, "(").is_err());
    }
}
