//! One value of a plaintext document, set or taken away by an edit of its text. The result is read again: it must differ
//! at that place only.

use std::collections::HashMap;

use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        extract::Step,
        format::{self, Format, Parsed, json},
        tree::{Item, Node, Scalar, Span},
        verify,
    },
};

/// A value as JSON: what a place is to hold.
pub(crate) struct Json(Node);

impl Json {
    /// Reads a value. Integers stay integers.
    pub(crate) fn parse(text: &Secret, limits: &Limits) -> Result<Self> {
        let node = json::read_value(text.expose(), limits).map_err(|error| {
            // Its position is one in the value, and its text may be from it.
            Error::new(
                error.code,
                format!("the value is not JSON: {}", error.message),
            )
            .with_hint("a text needs double quotes: '\"text\"'")
        })?;
        refuse_long_integers(&node, text.expose())?;
        Ok(Self(node))
    }
}

/// sops would make a float of them, which holds other digits.
fn refuse_long_integers(node: &Node, text: &[u8]) -> Result<()> {
    match node {
        Node::Map(items, _) | Node::List(items, _) => {
            items.iter().try_for_each(|item| match item {
                Item::Entry { value, .. } | Item::Element(value) => {
                    refuse_long_integers(value, text)
                }
                Item::Comment(_) => Ok(()),
            })
        }
        Node::Scalar {
            value: Scalar::Float(_),
            span,
            ..
        } if text
            .get(span.clone())
            .is_some_and(|text| !text.iter().any(|b| matches!(b, b'.' | b'e' | b'E'))) =>
        {
            Err(Error::new(
                "unsupported-value",
                "the value holds an integer of more than 63 bits",
            )
            .with_hint("put it in quotes, as a text"))
        }
        Node::Scalar { .. } => Ok(()),
    }
}

/// What became of a document.
pub(crate) enum Assigned {
    /// Its text after the change.
    Changed(Secret),
    /// It holds that value already, or there is nothing to take away.
    Same,
}

/// `plain` with `value` at `path` in its first document. What is missing on the way is made.
pub(crate) fn set(
    plain: Secret,
    format: Format,
    path: &[Step],
    value: Json,
    limits: &Limits,
) -> Result<Assigned> {
    let parsed = read(plain, format, path, limits)?;
    let Json(value) = value;
    let value = match format {
        Format::Dotenv | Format::Ini => as_text(value)?,
        _ => value,
    };
    let target = locate(root(&parsed), path, value)?;
    let at = path.get(..target.depth).unwrap_or_default();
    let wanted = verify::node(format, &target.value);
    let lost = match &target.present {
        Some(present) if verify::node(format, present.value) == wanted => {
            return Ok(Assigned::Same);
        }
        Some(present) => present.range.clone(),
        None => 0..0,
    };
    let text = format::put(format, &parsed, at, target.present.is_some(), &target.value)?;
    let again = same_but_for(at, Some(at), &parsed, text, format, &lost, limits)?;
    let found = find(root(&again), at).map(|found| verify::node(format, found));
    if found == Some(wanted) {
        Ok(Assigned::Changed(again.source))
    } else {
        Err(cannot())
    }
}

/// `plain` without what is at `path` in its first document.
pub(crate) fn unset(
    plain: Secret,
    format: Format,
    path: &[Step],
    limits: &Limits,
) -> Result<Assigned> {
    let parsed = read(plain, format, path, limits)?;
    let Some(lost) = lost_with(&parsed, format, path) else {
        return Ok(Assigned::Same);
    };
    let text = format::remove(format, &parsed, path)?;
    let again = same_but_for(path, None, &parsed, text, format, &lost, limits)?;
    Ok(Assigned::Changed(again.source))
}

fn read(plain: Secret, format: Format, path: &[Step], limits: &Limits) -> Result<Parsed> {
    if format == Format::Binary {
        return Err(
            Error::new("path", "a binary file is one value, without places in it")
                .with_hint("change it with secretsctl edit, or encrypt it anew"),
        );
    }
    if path.is_empty() {
        return Err(Error::new("path", "the path names the whole document")
            .with_hint("name a key: '[\"key\"]'"));
    }
    if let Some(Step::Key(key)) = path.first()
        && format.reserves(key)
    {
        return Err(Error::new(
            "reserved-key",
            "the key is reserved for the metadata of sops",
        )
        .with_hint("take another name"));
    }
    format::read(format, plain, limits)
}

/// Where a value goes.
struct Target<'t> {
    /// How many steps of the path lead there.
    depth: usize,
    /// What is there now.
    present: Option<Present<'t>>,
    /// What goes there: the value, and what is missing around it.
    value: Node,
}

struct Present<'t> {
    value: &'t Node,
    /// With its key.
    range: Span,
}

fn locate<'t>(root: &'t [Item], path: &[Step], value: Node) -> Result<Target<'t>> {
    let mut items = root;
    for (number, step) in path.iter().enumerate() {
        let (depth, rest) = (number + 1, path.get(number + 1..).unwrap_or_default());
        let Some((range, child)) = child(items, step) else {
            refuse_gap(items, step)?;
            return Ok(Target {
                depth,
                present: None,
                value: wrap(rest, value)?,
            });
        };
        match child {
            Node::Map(inner, _) if matches!(rest.first(), Some(Step::Key(_))) => items = inner,
            Node::List(inner, _) if matches!(rest.first(), Some(Step::Index(_))) => items = inner,
            Node::Map(..) | Node::List(..) if !rest.is_empty() => {
                return Err(leads_nowhere(path.get(..depth).unwrap_or_default()));
            }
            Node::Scalar { value: scalar, .. }
                if !rest.is_empty() && !matches!(scalar, Scalar::Null) =>
            {
                return Err(leads_nowhere(path.get(..depth).unwrap_or_default()));
            }
            _ => {
                return Ok(Target {
                    depth,
                    present: Some(Present {
                        value: child,
                        range,
                    }),
                    value: wrap(rest, value)?,
                });
            }
        }
    }
    Err(cannot())
}

fn leads_nowhere(path: &[Step]) -> Error {
    Error::new(
        "path",
        format!(
            "{} does not hold what the path goes on with",
            Step::show_path(path)
        ),
    )
    .with_hint(
        "keys are in mappings and numbers in lists; a value that is in the way must be unset first",
    )
}

/// A list has no element without one before it.
fn refuse_gap(items: &[Item], step: &Step) -> Result<()> {
    let elements = items.iter().filter(|item| matches!(item, Item::Element(_)));
    match (step, elements.count()) {
        (Step::Index(index), length) if *index > length => Err(Error::new(
            "path",
            format!("the list has {length} elements, so the next one is [{length}]"),
        )
        .with_hint(format!("append with [{length}]"))),
        _ => Ok(()),
    }
}

/// `value` in the mappings and lists that `steps` go through.
fn wrap(steps: &[Step], value: Node) -> Result<Node> {
    let mut node = value;
    for step in steps.iter().rev() {
        node = match step {
            Step::Key(key) => Node::Map(
                vec![Item::Entry {
                    key: key.clone(),
                    key_span: 0..0,
                    value: node,
                }],
                0..0,
            ),
            Step::Index(0) => Node::List(vec![Item::Element(node)], 0..0),
            Step::Index(_) => {
                return Err(Error::new("path", "a new list begins with [0]")
                    .with_hint("set its elements one after the other, or give it as a whole"));
            }
        };
    }
    Ok(node)
}

/// Formats without types hold the text that sops prints for a value.
fn as_text(value: Node) -> Result<Node> {
    let Node::Scalar { site, value, span } = value else {
        return Err(Error::new(
            "unsupported-value",
            "files of this format hold texts, no lists or mappings",
        )
        .with_hint("set one key at a time, or keep such values in a YAML or JSON file"));
    };
    let text = match Option::<format::PlainValue>::from(&value) {
        Some(value) => format::text_of(&value),
        None => {
            return Err(
                Error::new("unsupported-value", "files of this format have no null")
                    .with_hint("give an empty text: '\"\"', or use secretsctl unset"),
            );
        }
    };
    Ok(Node::Scalar {
        site,
        value: Scalar::Str(text),
        span,
    })
}

/// Where the comments are that go with what is at `path`: in it, or in a mapping or list that it leaves empty. In INI files
/// the comment that belongs to a key goes with it, too.
fn lost_with(parsed: &Parsed, format: Format, path: &[Step]) -> Option<Span> {
    let mut items = root(parsed);
    let mut around = 0..parsed.source.len();
    for (number, step) in path.iter().enumerate() {
        let (range, node) = child(items, step)?;
        if number + 1 == path.len() {
            let entries = items
                .iter()
                .filter(|item| !matches!(item, Item::Comment(_)));
            let own = items.iter().skip_while(|item| !is_of(item, node)).nth(1);
            return Some(match own {
                Some(Item::Comment(comment)) if format == Format::Ini => {
                    comment.span.start.min(range.start)..range.end.max(comment.span.end)
                }
                _ if entries.count() == 1 => around,
                _ => range,
            });
        }
        match node {
            Node::Map(inner, _) | Node::List(inner, _) => items = inner,
            Node::Scalar { .. } => return None,
        }
        around = range;
    }
    None
}

/// The text read again, when it means without what is at `added` what it meant without what was at `removed`, and has lost
/// no comment but those within `lost`.
fn same_but_for(
    removed: &[Step],
    added: Option<&[Step]>,
    before: &Parsed,
    text: Secret,
    format: Format,
    lost: &Span,
    limits: &Limits,
) -> Result<Parsed> {
    let after = format::read(format, text, limits)
        .map_err(|error| cannot().with_hint(format!("the result could not be read: {error}")))?;
    let (old, new) = (
        verify::outline(format, &before.tree, Some(removed)),
        verify::outline(format, &after.tree, added),
    );
    let mut left: HashMap<[u8; 32], usize> = HashMap::new();
    for (_, text) in new.comments {
        *left.entry(text).or_default() += 1;
    }
    let mut all_there = true;
    for (at, text) in old.comments {
        match left.get_mut(&text).filter(|count| **count > 0) {
            Some(count) => *count -= 1,
            None => all_there &= lost.contains(&at),
        }
    }
    let none_added = left.values().all(|count| *count == 0);
    if old.data == new.data && all_there && none_added && after.metadata.is_none() {
        Ok(after)
    } else {
        Err(cannot())
    }
}

fn cannot() -> Error {
    Error::new(
        "not-as-meant",
        "the text cannot be changed at this place without changing more of it",
    )
    .with_hint("use secretsctl edit")
}

fn root(parsed: &Parsed) -> &[Item] {
    let first = parsed.tree.documents.first();
    first.map(Vec::as_slice).unwrap_or_default()
}

fn find<'t>(root: &'t [Item], path: &[Step]) -> Option<&'t Node> {
    let mut items = root;
    let mut found = None;
    for step in path {
        let (_, node) = child(items, step)?;
        found = Some(node);
        items = match node {
            Node::Map(inner, _) | Node::List(inner, _) => inner,
            Node::Scalar { .. } => &[],
        };
    }
    found
}

fn is_of(item: &Item, node: &Node) -> bool {
    matches!(item, Item::Entry { value, .. } | Item::Element(value) if std::ptr::eq(value, node))
}

/// What `step` leads to, and where it stands with its key.
fn child<'t>(items: &'t [Item], step: &Step) -> Option<(Span, &'t Node)> {
    let mut index = 0;
    items.iter().find_map(|item| match (item, step) {
        (
            Item::Entry {
                key,
                key_span,
                value,
            },
            Step::Key(wanted),
        ) if key == wanted => {
            let place = value.span();
            let start = key_span.start.min(place.start);
            Some((start..place.end.max(key_span.end), value))
        }
        (Item::Element(value), Step::Index(wanted)) => {
            index += 1;
            (index - 1 == *wanted).then(|| (value.span().clone(), value))
        }
        _ => None,
    })
}
