//! Metadata in formats without nesting: `age__list_0__map_enc` for `age[0].enc`.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    error::{Error, Result},
    secret::Secret,
    sops::{
        format::edit::Edits,
        tree::{MetaNode, MetaValue, Span},
    },
};

const MAP: &str = "__map_";
const LIST: &str = "__list_";

/// sops nests five levels; more is an attack on our stack.
const DEEPEST: usize = 16;

/// A key, its decoded text, and where it stands.
pub(crate) struct Flat {
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// Nests `fields` again, in whatever order they come.
pub(crate) fn nest(fields: Vec<Flat>, span: Span) -> Result<MetaNode> {
    let mut root = Branch::default();
    for Flat { key, text, span } in fields {
        root.place(&key, text, &span)?;
    }
    root.into_node(span)
}

/// Every scalar of `node` with its flat key, in order.
pub(crate) fn flatten(node: &MetaNode) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    if let MetaValue::Map(fields) = &node.value {
        for (key, value) in fields {
            descend(key.clone(), value, &mut flat);
        }
    }
    flat
}

/// A line of the metadata as it stands in the source.
pub(crate) struct Line {
    pub(crate) key: String,
    /// The decoded text.
    pub(crate) text: String,
    /// The value as it is written.
    pub(crate) value: Span,
    /// The whole line, line break included.
    pub(crate) whole: Span,
}

/// Turns `lines` into `new`: a text that differs is written anew where it stands, a line whose key is gone goes, too, and a
/// new one comes behind the last line of its list, or of all. `value` writes a text, `line` a line for a key and its text, without line break.
pub(crate) fn change(
    source: &[u8],
    lines: &[Line],
    new: &MetaNode,
    edits: &mut Edits,
    value: impl Fn(&str) -> Result<Secret>,
    line: impl Fn(&str, &str) -> Result<Secret>,
) -> Result<()> {
    let wanted = flatten(new);
    let texts: HashMap<&str, &str> = wanted
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_str()))
        .collect();
    for old in lines {
        match texts.get(old.key.as_str()) {
            None => edits.remove(old.whole.clone()),
            Some(text) if *text != old.text => edits.replace(old.value.clone(), value(text)?),
            Some(_) => {}
        }
    }
    let known: HashSet<&str> = lines.iter().map(|line| line.key.as_str()).collect();
    for (key, text) in wanted
        .iter()
        .filter(|(key, _)| !known.contains(key.as_str()))
    {
        let list = key.split(LIST).next().filter(|name| *name != key);
        let kin = list.and_then(|list| {
            let of_list = |line: &&Line| line.key.split(LIST).next() == Some(list);
            lines.iter().rfind(of_list)
        });
        let Some(before) = kin.or(lines.last()) else {
            return Err(Error::new("internal", "no metadata that could be changed"));
        };
        let end = before.whole.end;
        let is_ended = source.get(..end).is_some_and(|text| text.ends_with(b"\n"));
        let mut added = Secret::default();
        added.push(if is_ended { b"" } else { b"\n" });
        added.push(line(key, text)?.expose());
        added.push(if is_ended { b"\n" } else { b"" });
        edits.replace(end..end, added);
    }
    Ok(())
}

fn descend(key: String, node: &MetaNode, flat: &mut Vec<(String, String)>) {
    match &node.value {
        MetaValue::Map(fields) => {
            for (name, value) in fields {
                descend(format!("{key}{MAP}{name}"), value, flat);
            }
        }
        MetaValue::List(items) => {
            for (index, value) in items.iter().enumerate() {
                descend(format!("{key}{LIST}{index}"), value, flat);
            }
        }
        MetaValue::Scalar { text, .. } => flat.push((key, text.clone())),
        MetaValue::Null => {}
    }
}

/// A node while it is put together: a value, or what is below it by name or by index.
#[derive(Default)]
struct Branch {
    value: Option<(String, Span)>,
    fields: BTreeMap<String, Self>,
    elements: BTreeMap<usize, Self>,
}

impl Branch {
    fn place(&mut self, key: &str, text: String, span: &Span) -> Result<()> {
        let broken = |what: &str| {
            Err(
                Error::new("metadata", format!("the metadata key {key:.100} {what}")).with_hint(
                    "the metadata was damaged or edited by hand; restore the file from its history",
                ),
            )
        };
        let mut branch = self;
        let mut rest = Some((MAP, key));
        for _ in 0..DEEPEST {
            let Some((kind, step)) = rest else { break };
            let (name, next) = split(step);
            rest = next;
            branch = if kind == MAP {
                branch.fields.entry(name.to_owned()).or_default()
            } else {
                let Ok(index) = name.parse() else {
                    return broken("has no number after __list_");
                };
                branch.elements.entry(index).or_default()
            };
        }
        if rest.is_some() {
            return broken("is nested too deeply");
        }
        if branch.value.replace((text, span.clone())).is_some() {
            return broken("is there twice");
        }
        Ok(())
    }

    fn into_node(self, span: Span) -> Result<MetaNode> {
        let broken = |what: &str| {
            Err(Error::new("metadata", what)
                .with_hint("the metadata was damaged or edited by hand; number the entries of each list from 0 without gaps"))
        };
        match (self.value, self.fields.is_empty(), self.elements.is_empty()) {
            (Some((text, span)), true, true) => Ok(MetaNode {
                value: MetaValue::Scalar { text, quoted: true },
                span,
            }),
            (None, _, true) => {
                let fields = self
                    .fields
                    .into_iter()
                    .map(|(key, branch)| Ok((key, branch.into_node(span.clone())?)));
                Ok(MetaNode {
                    value: MetaValue::Map(fields.collect::<Result<_>>()?),
                    span,
                })
            }
            (None, true, false) => {
                if self.elements.keys().copied().ne(0..self.elements.len()) {
                    return broken("a list in the metadata has a gap");
                }
                let elements = self
                    .elements
                    .into_values()
                    .map(|branch| branch.into_node(span.clone()));
                Ok(MetaNode {
                    value: MetaValue::List(elements.collect::<Result<_>>()?),
                    span,
                })
            }
            _ => broken("a key of the metadata is a value and a list or mapping at once"),
        }
    }
}

/// The first step of a flat key, and the kind and text of what follows.
fn split(key: &str) -> (&str, Option<(&'static str, &str)>) {
    let next = [MAP, LIST]
        .into_iter()
        .filter_map(|kind| Some((key.find(kind)?, kind)))
        .min();
    match next {
        Some((at, kind)) => {
            let (name, rest) = key.split_at(at);
            (
                name,
                Some((kind, rest.get(kind.len()..).unwrap_or_default())),
            )
        }
        None => (key, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(key: &str, text: &str) -> Flat {
        Flat {
            key: key.to_owned(),
            text: text.to_owned(),
            span: 0..0,
        }
    }

    #[test]
    fn any_order_nests_and_flattens_in_order() {
        let keys = ["age__list_10__map_enc", "age__list_2__map_enc", "mac"];
        let more = (0..10)
            .filter(|i| *i != 2)
            .map(|i| field(&format!("age__list_{i}__map_enc"), "x"));
        let fields = keys
            .into_iter()
            .map(|key| field(key, key))
            .chain(more)
            .collect();
        let flat = flatten(&nest(fields, 0..0).unwrap());
        assert_eq!(flat.len(), 12);
        assert_eq!(flat[2].0, keys[1]);
        assert_eq!(flat[10].1, keys[0]);
    }

    #[test]
    fn broken_keys_are_refused() {
        let deep = format!("a{}", "__map_a".repeat(100_000));
        for keys in [
            vec!["a", "a"],
            vec!["a", "a__map_b"],
            vec!["a__list_0", "a__map_b"],
            vec!["a__list_1"],
            vec!["a__list_x"],
            vec![&deep],
        ] {
            let fields = keys.into_iter().map(|key| field(key, "")).collect();
            assert!(nest(fields, 0..0).is_err());
        }
    }
}
