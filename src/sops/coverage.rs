//! Is there anything in a document that its settings select for encryption?

use crate::{
    error::Result,
    limits::Limits,
    secret::Secret,
    sops::{
        document::Document,
        format::{self, Format},
        selection::{Leaf, Selection, walk},
        tree::{Item, Node, Scalar, Tree},
        value::plain_value,
    },
};

impl Document {
    /// Whether sops wrote metadata and left every value in clear, because the settings select none.
    pub(crate) fn encrypts_nothing(&self) -> Result<bool> {
        let selection = &self.metadata().selection;
        Ok(self.format() != Format::Binary
            && look(&self.parsed.tree, selection)? == Selected::Nothing)
    }
}

/// What encryption would find in a plaintext document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// No value that it would change.
    Nothing,
    /// Values, in manifests of Kubernetes of which none is a Secret.
    OtherManifest,
    /// Values.
    Something,
}

/// Kinds of manifests that hold secrets: that of Kubernetes, and the one whose operator reads files of sops.
const SECRET_KINDS: &[&[u8]] = &[b"Secret", b"SopsSecret"];
/// Kinds that hold credentials wherever: kubeconfig files, and the keys of the API server.
const CREDENTIAL_KINDS: &[&[u8]] = &[b"Config", b"EncryptionConfiguration"];
/// What rules for Secrets select, and manifests of other kinds have without a secret in it. Any other key that a rule
/// selects was meant.
const DATA_KEYS: &[&str] = &["data", "stringData", "binaryData"];
/// Manifests in lists of manifests, one in the other.
const DEEPEST_LIST: usize = 4;

/// Looks at a plaintext document, of which `selection` is encrypted; `None` stands for all. A file without parts is one
/// value.
pub(crate) fn plain(
    plain: Secret,
    format: Format,
    selection: Option<&Selection>,
    limits: &Limits,
) -> Result<Plain> {
    if format == Format::Binary {
        return Ok(Plain::Something);
    }
    let parsed = format::read(format, plain, limits)?;
    let (is_selected, is_data) = match selection {
        Some(selection) => {
            let mut is_data = true;
            let found = look_with(&parsed.tree, selection, &mut |path| {
                is_data &= path.split(':').any(|key| DATA_KEYS.contains(&key));
            })?;
            (found == Selected::Something, is_data)
        }
        None => (true, true),
    };
    // Between two `---` there may be nothing at all.
    let is_empty = |document: &[Item]| document.iter().all(|item| matches!(item, Item::Comment(_)));
    let documents = parsed.tree.documents.iter();
    let mut documents = documents.filter(|document| !is_empty(document)).peekable();
    Ok(if !is_selected {
        Plain::Nothing
    } else if is_data
        && documents.peek().is_some()
        && documents.all(|document| is_other_manifest(document, DEEPEST_LIST))
    {
        Plain::OtherManifest
    } else {
        Plain::Something
    })
}

/// Whether a document is a manifest and no Secret, nor a list with one.
fn is_other_manifest(document: &[Item], depth: usize) -> bool {
    let entries = document.iter().filter_map(|item| match item {
        Item::Entry { key, value, .. } => Some((key.as_str(), value)),
        _ => None,
    });
    let of = |name: &str| {
        let mut all = entries.clone().filter(|(key, _)| *key == name);
        all.next().map(|(_, value)| value)
    };
    let text = |name: &str| match of(name) {
        Some(Node::Scalar {
            value: Scalar::Str(text),
            ..
        }) => Some(text.expose()),
        _ => None,
    };
    let (Some(_), Some(kind)) = (text("apiVersion"), text("kind")) else {
        return false;
    };
    if SECRET_KINDS.contains(&kind) || CREDENTIAL_KINDS.contains(&kind) {
        return false;
    }
    match of("items") {
        Some(Node::List(items, _)) if kind.ends_with(b"List") => {
            depth > 0
                && items.iter().all(|item| match item {
                    Item::Element(Node::Map(inner, _)) => is_other_manifest(inner, depth - 1),
                    Item::Comment(_) => true,
                    _ => false,
                })
        }
        _ => true,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Selected {
    /// There are no values at all.
    None,
    /// There are values, and every one stays in clear.
    Nothing,
    Something,
}

/// Null and the empty text do not count: sops leaves them as they are.
fn look(tree: &Tree, selection: &Selection) -> Result<Selected> {
    look_with(tree, selection, &mut |_| ())
}

/// As [`look`]; `see` is given the path of every value that would be encrypted.
fn look_with(tree: &Tree, selection: &Selection, see: &mut dyn FnMut(&str)) -> Result<Selected> {
    let mut found = Selected::None;
    walk(tree, selection, &mut |leaf, place| {
        let Leaf::Scalar { value, .. } = leaf else {
            return Ok(());
        };
        let counts = match value {
            Scalar::Str(text) => !text.is_empty(),
            value => plain_value(value)?.is_some(),
        };
        if counts && place.encrypted {
            see(place.path);
            found = Selected::Something;
        } else if counts && found == Selected::None {
            found = Selected::Nothing;
        }
        Ok(())
    })?;
    Ok(found)
}
