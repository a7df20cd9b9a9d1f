//! Metadata that changes in place: only texts that differ, and only the elements that come or go, are written anew. What
//! cannot be done so is for the format to write as a whole.

use crate::sops::tree::{MetaNode, MetaValue, Span};

/// How one format writes parts of its metadata.
pub(super) trait Syntax {
    /// The text of a scalar that stands at `place` in `source`.
    fn scalar(&self, source: &str, place: &Span, text: &str) -> Option<String>;

    /// What belongs to an element of a list, of which the value stands at `place`.
    fn element(&self, source: &str, place: &Span) -> Option<Span>;

    /// What stands between two elements of the list at `place`, of which these are all.
    fn joint(&self, source: &str, place: &Span, elements: &[Span]) -> Option<String>;
}

/// Edits that turn `old` into `new`; `None` where they differ in more than can be changed in place.
pub(super) fn changes(
    syntax: &impl Syntax,
    source: &str,
    old: &MetaNode,
    new: &MetaNode,
) -> Option<Vec<(Span, String)>> {
    let mut edits = Vec::new();
    node(syntax, source, old, new, &mut edits)?;
    Some(edits)
}

fn node(
    syntax: &impl Syntax,
    source: &str,
    old: &MetaNode,
    new: &MetaNode,
    edits: &mut Vec<(Span, String)>,
) -> Option<()> {
    match (&old.value, &new.value) {
        (MetaValue::Null, MetaValue::Null) => Some(()),
        (MetaValue::Scalar { text: old_text, .. }, MetaValue::Scalar { text, quoted }) => {
            if old_text != text {
                // A number stays one: old versions of sops do not take a text for it.
                let is_number = !quoted && text.bytes().all(|byte| byte.is_ascii_digit());
                let written = match is_number && !text.is_empty() {
                    true => text.clone(),
                    false => syntax.scalar(source, &old.span, text)?,
                };
                edits.push((old.span.clone(), written));
            }
            Some(())
        }
        (MetaValue::Map(olds), MetaValue::Map(news)) => {
            if olds.len() != news.len() {
                return None;
            }
            for ((old_name, old), (name, new)) in olds.iter().zip(news) {
                if old_name != name {
                    return None;
                }
                node(syntax, source, old, new, edits)?;
            }
            Some(())
        }
        (MetaValue::List(olds), MetaValue::List(news)) => {
            list(syntax, source, &old.span, olds, news, edits)
        }
        _ => None,
    }
}

fn list(
    syntax: &impl Syntax,
    source: &str,
    place: &Span,
    olds: &[MetaNode],
    news: &[MetaNode],
    edits: &mut Vec<(Span, String)>,
) -> Option<()> {
    let same = |(old, new): (&MetaNode, &MetaNode)| identity(old) == identity(new);
    if olds.len() == news.len() && olds.iter().zip(news).all(same) {
        for (old, new) in olds.iter().zip(news) {
            node(syntax, source, old, new, edits)?;
        }
        return Some(());
    }
    let elements: Option<Vec<Span>> = olds
        .iter()
        .map(|old| syntax.element(source, &old.span))
        .collect();
    let elements = elements?;
    let (first, last) = (elements.first()?, elements.last()?);
    let joint = syntax.joint(source, place, &elements)?;
    let mut texts = Vec::new();
    let mut left = olds.iter().zip(&elements);
    for new in news {
        // Those that stay keep their order; a new one is written like the last of the old ones.
        let model = left
            .by_ref()
            .find(|(old, _)| identity(old) == identity(new))
            .or_else(|| olds.last().zip(elements.last()))?;
        texts.push(written_like(syntax, source, model, new)?);
    }
    if texts.is_empty() {
        return None;
    }
    edits.push((first.start..last.end, texts.join(&joint)));
    Some(())
}

/// The text of `new` in the form of the element `model`.
fn written_like(
    syntax: &impl Syntax,
    source: &str,
    model: (&MetaNode, &Span),
    new: &MetaNode,
) -> Option<String> {
    let (old, element) = model;
    let mut edits = changes(syntax, source, old, new)?;
    edits.sort_by_key(|(span, _)| span.start);
    let mut text = String::new();
    let mut done = element.start;
    for (span, part) in edits {
        text.push_str(source.get(done..span.start)?);
        text.push_str(&part);
        done = span.end;
    }
    text.push_str(source.get(done..element.end)?);
    Some(text)
}

/// By which an element is known: the recipient of a key, and nothing in the case of a group.
fn identity(node: &MetaNode) -> Option<&str> {
    let MetaValue::Map(fields) = &node.value else {
        return None;
    };
    fields.iter().find_map(|(name, value)| match &value.value {
        MetaValue::Scalar { text, .. } if name == "recipient" => Some(text.as_str()),
        _ => None,
    })
}
