//! What a host can be called.

use super::{EditError, Result, sheet::Sheet};
use crate::{
    names::{fit, is_key, name_in},
    recipient::is_private_key,
    yaml::{Content, NodeId},
};

/// `name` as an anchor: sops reads letters, digits, `-` and `_` only.
pub(super) fn anchor_of(name: &str) -> String {
    let keep = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => c,
        _ => '-',
    };
    name.trim().chars().map(keep).collect()
}

/// Refuses what cannot be a name.
pub(super) fn check_name(name: &str) -> Result<()> {
    let why = if name.trim() != name || name.is_empty() {
        "it is empty, or has blanks at its ends"
    } else if is_private_key(name) {
        return Err(
            EditError::new("invalid-name", "this is a private key, not a name")
                .with_hint("give the name first, then the recipient"),
        );
    } else if is_key(name) || name.starts_with("age1") || name.starts_with("ssh-") {
        "it looks like a key"
    } else if name
        .chars()
        .any(|c| c.is_control() || c == '#' || c == '\u{feff}')
        || fit(name).is_none()
        || name_in(&format!("# {name}")) != Some(name)
    {
        "it is too long, or has characters that a name cannot have"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(80).collect();
    Err(
        EditError::new("invalid-name", format!("{shown:?} is no name: {why}"))
            .with_hint("names are of letters, digits, `-`, `_` and `.`"),
    )
}

/// All anchors of the file, also those of lists and mappings.
pub(super) fn anchors<'s>(sheet: &'s Sheet<'_>) -> impl Iterator<Item = &'s str> {
    let mut found = Vec::new();
    let mut left: Vec<NodeId> = sheet.root().into_iter().collect();
    while let Some(id) = left.pop() {
        let node = sheet.stream.node(id);
        found.extend(node.anchor.as_ref().map(|anchor| anchor.name.as_str()));
        match &node.content {
            Content::Sequence { items, .. } => left.extend(items),
            Content::Mapping { entries, .. } => {
                left.extend(entries.iter().flat_map(|&(key, value)| [key, value]));
            }
            Content::Scalar { .. } | Content::Alias { .. } => {}
        }
    }
    found.into_iter()
}
