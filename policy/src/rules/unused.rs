//! Recipients in a list of keys that no rule takes from there.

use std::collections::HashSet;

use super::{Text, decode::Decoder, schema::TOP};
use crate::{
    recipient::{check_age, is_private_key},
    yaml::{Content, NodeId, Stream},
};

/// Every recipient outside of what sops reads, `keys:` for example, that nothing sops reads names: neither by an alias
/// nor by its text.
pub(super) fn unused(decoder: &Decoder<'_>, stream: &Stream, root: NodeId) -> Vec<Text> {
    let Content::Mapping { entries, .. } = &stream.node(root).content else {
        return Vec::new();
    };
    let is_read = |key: NodeId| {
        let name = stream.node(key).as_scalar().unwrap_or_default();
        TOP.contains(&name) || name == "<<"
    };
    let (read, other): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| is_read(*key));
    let mut used = Visit::new(stream);
    for (_, value) in read {
        used.visit(value);
    }
    let named: HashSet<&str> = used
        .order
        .iter()
        .filter_map(|&id| stream.node(id).as_scalar())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .collect();
    let mut candidates = Visit::new(stream);
    for (_, value) in other {
        candidates.visit(value);
    }
    candidates
        .order
        .into_iter()
        .filter(|id| !used.seen.contains(id))
        .filter_map(|id| {
            let text = stream.node(id).as_scalar()?;
            let is_new = |one: &str| is_recipient(one) && !named.contains(one);
            let unused = text.split(',').map(str::trim).all(is_new);
            unused.then(|| Text {
                text: text.to_owned(),
                position: decoder.position(id),
            })
        })
        .collect()
}

/// An age key, or the fingerprint of a PGP key.
fn is_recipient(text: &str) -> bool {
    let fingerprint = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    !is_private_key(text) && (fingerprint || check_age(text).is_ok())
}

/// What can be reached, aliases followed, each node once.
struct Visit<'s> {
    stream: &'s Stream,
    seen: HashSet<NodeId>,
    order: Vec<NodeId>,
}

impl<'s> Visit<'s> {
    fn new(stream: &'s Stream) -> Self {
        Self {
            stream,
            seen: HashSet::new(),
            order: Vec::new(),
        }
    }

    fn visit(&mut self, from: NodeId) {
        let mut left = vec![from];
        while let Some(id) = left.pop() {
            if !self.seen.insert(id) {
                continue;
            }
            self.order.push(id);
            match &self.stream.node(id).content {
                Content::Scalar { .. } => {}
                Content::Sequence { items, .. } => left.extend(items.iter().rev()),
                Content::Mapping { entries, .. } => {
                    for &(key, value) in entries.iter().rev() {
                        left.extend([value, key]);
                    }
                }
                Content::Alias { target } => left.push(*target),
            }
        }
    }
}
