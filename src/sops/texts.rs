//! The encrypted texts of a document and where they stand. Nothing is opened.

use crate::sops::{
    document::Document,
    extract::Step,
    format::Format,
    tree::{Item, Node, Scalar},
};

/// The place of a binary file's one value.
const WHOLE: &str = "[\"*\"]";

impl Document {
    /// Every encrypted value with its place as `["a"]["b"][0]`, comments left out. Documents of one file count together.
    pub(crate) fn encrypted_texts(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        for document in &self.parsed.tree.documents {
            collect(document, &mut Vec::new(), &mut found);
        }
        if self.format == Format::Binary {
            for (place, _) in &mut found {
                *place = WHOLE.to_owned();
            }
        }
        found
    }
}

fn collect<'d>(items: &'d [Item], path: &mut Vec<Step>, found: &mut Vec<(String, &'d str)>) {
    let mut index = 0;
    for item in items {
        let (step, value) = match item {
            Item::Comment(_) => continue,
            Item::Entry { key, value, .. } => (Step::Key(key.clone()), value),
            Item::Element(value) => (Step::Index(index), value),
        };
        let text = match value {
            Node::Scalar {
                value: Scalar::Str(text),
                ..
            } => text.expose_str(),
            _ => None,
        };
        // sops writes the comments of lists as elements.
        if text.is_some_and(|text| text.starts_with("ENC[") && text.ends_with("type:comment]")) {
            continue;
        }
        index += 1;
        path.push(step);
        match (value, text) {
            (Node::Map(items, _) | Node::List(items, _), _) => collect(items, path, found),
            (Node::Scalar { .. }, Some(text)) if text.starts_with("ENC[") => {
                found.push((Step::show_path(path), text));
            }
            (Node::Scalar { .. }, _) => {}
        }
        path.pop();
    }
}
