//! A changed plaintext for a file: what did not change keeps its encrypted text, byte for byte, and the rest is encrypted
//! with the data key that the file has. The result is read and opened again before it is handed out.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::{
    error::{Error, Result},
    secret::{DataKey, Secret},
    sops::{
        document::{Document, Opened, not_as_meant, not_opened_again, not_read_again},
        encrypt::{Sealed, encrypt_values},
        format::{self, Format, MetadataEdit, Parsed, PlainValue},
        metadata::Renewed,
        selection::{Leaf, Selection, walk},
        time::Timestamp,
        tree::{MetaNode, MetaValue, Scalar},
        value::Cipher,
        verify,
    },
};

/// Encrypted texts by the path and value behind them, each with its value.
type Known = HashMap<[u8; 32], VecDeque<(String, PlainValue)>>;

impl Opened<'_> {
    /// The file with `plain`, a document of its format, in the place of its own data. Recipients and settings stay as they
    /// are written; MAC and `lastmodified`, in RFC 3339, are new. `key` is the data key with which the file was opened.
    pub(crate) fn edited(
        &self,
        key: &DataKey,
        plain: Secret,
        lastmodified: &str,
    ) -> Result<Secret> {
        let Document {
            format,
            metadata,
            limits,
            ..
        } = self.document;
        let parsed = match format {
            Format::Binary => format::binary::read_plain(plain),
            _ => format::read(*format, plain, limits)?,
        };
        if parsed.metadata.is_some() {
            return Err(Error::new(
                "reserved-key",
                "the edited text has a key that is reserved for the metadata of sops",
            )
            .with_hint("give it another name; the metadata comes back by itself"));
        }
        if parsed.tree.documents.is_empty() {
            return Err(Error::new("empty", "the edited text holds no document")
                .with_hint("to empty the file, leave an empty mapping: {}"));
        }
        let cipher = Cipher::new(key)?;
        let mut known = self.known(&cipher)?;
        let mut seal = |value: PlainValue, path: &str| {
            let kept = known.get_mut(&fact(*format, &value, path));
            match kept.and_then(VecDeque::pop_front) {
                Some((text, value)) => Ok(Sealed { text, value }),
                None => Ok(Sealed {
                    text: cipher.encrypt(&value, path)?,
                    value,
                }),
            }
        };
        let default = Selection::by_default();
        let (selection, mac_only_encrypted) = match format {
            Format::Binary => (&default, metadata.mac_only_encrypted),
            _ => (&metadata.selection, metadata.mac_only_encrypted),
        };
        let (replacements, mac) =
            encrypt_values(&parsed, selection, mac_only_encrypted, &mut seal)?;
        let text = match format {
            // The bytes are one value of the file, and nothing around it changes.
            Format::Binary => {
                format::splice(*format, self.parsed(), &replacements, MetadataEdit::Keep)?
            }
            _ => format::splice(
                *format,
                &parsed,
                &replacements,
                MetadataEdit::Return(self.parsed()),
            )?,
        };
        let Some(lastmodified) = Timestamp::parse(lastmodified).map(Timestamp::to_seconds) else {
            return Err(Error::new(
                "internal",
                "the time of the edit is not in RFC 3339",
            ));
        };
        let mac = cipher.encrypt(&PlainValue::Str(Secret::from(mac)), &lastmodified)?;
        let renewed = Renewed {
            lastmodified: &lastmodified,
            mac,
        };
        let text = self.renewed(text, &renewed)?;
        if let Some(text) = self.with_elements(&text)
            && let Ok(text) = self.verify_edited(&parsed, text, key)
        {
            return Ok(text);
        }
        self.verify_edited(&parsed, text, key)
    }

    /// `text` with the comments that sops wrote as elements of lists as such elements again. In plaintext they are comments,
    /// and would become lines of comments, as other comments are: right, but no line of the file that needed a change.
    fn with_elements(&self, text: &Secret) -> Option<Secret> {
        if self.document.format != Format::Yaml {
            return None;
        }
        let source = self.parsed().source.expose_str()?;
        let element =
            |line: &str| line.trim_start().starts_with("- ENC[") && line.ends_with("type:comment]");
        let elements: HashSet<&str> = source.lines().filter(|line| element(line)).collect();
        if elements.is_empty() {
            return None;
        }
        let mut changed = Secret::with_capacity(text.len() + elements.len());
        for line in text.expose_str()?.split_inclusive('\n') {
            let as_element = line.replacen('#', "- ", 1);
            let is_one =
                line.trim_start().starts_with('#') && elements.contains(as_element.trim_end());
            changed.push(if is_one { &as_element } else { line }.as_bytes());
        }
        Some(changed)
    }

    /// The texts that can stay. One that opens at another place than its own is not among them.
    fn known(&self, cipher: &Cipher) -> Result<Known> {
        let mut known = Known::new();
        let format = self.document.format;
        walk(
            &self.parsed().tree,
            &self.document.metadata.selection,
            &mut |leaf, place| {
                let (site, text) = match leaf {
                    Leaf::Comment(comment) => (comment.site, &comment.text),
                    Leaf::Scalar {
                        site,
                        value: Scalar::Str(text),
                        ..
                    } => (site, text),
                    Leaf::Scalar { .. } => return Ok(()),
                };
                let (Some(value), Some(text)) = (self.values.get(&site), text.expose_str()) else {
                    return Ok(());
                };
                let moved = matches!(value, PlainValue::Comment(_))
                    && cipher.decrypt(text, place.path).is_err();
                if !moved {
                    known
                        .entry(fact(format, value, place.path))
                        .or_default()
                        .push_back((text.to_owned(), value.duplicate()));
                }
                Ok(())
            },
        )?;
        Ok(known)
    }

    /// `text` with another MAC and time. Everything else of its metadata stays.
    fn renewed(&self, text: Secret, renewed: &Renewed<'_>) -> Result<Secret> {
        let Document { format, limits, .. } = self.document;
        let parsed = format::read(*format, text, limits).map_err(not_read_again)?;
        let Some(node) = &parsed.metadata else {
            return Err(not_as_meant());
        };
        let mut new = node.duplicate();
        renewed.put_into(&mut new)?;
        format::splice(
            *format,
            &parsed,
            &BTreeMap::new(),
            MetadataEdit::Change(&new),
        )
    }

    /// The result, when it opens and means what was asked for, and its metadata says what it said before.
    fn verify_edited(&self, meant: &Parsed, text: Secret, key: &DataKey) -> Result<Secret> {
        let Document { format, limits, .. } = self.document;
        let document = Document::parse(text, *format, limits).map_err(not_opened_again)?;
        let opened = document.open(key).map_err(not_opened_again)?;
        let is_same = verify::events(*format, &meant.tree, &BTreeMap::new())
            == verify::events(*format, &document.parsed.tree, &opened.values);
        let same_metadata = match (&self.parsed().metadata, &document.parsed.metadata) {
            (Some(before), Some(after)) => says_the_same(before, after),
            _ => false,
        };
        if !is_same || !same_metadata {
            return Err(not_as_meant());
        }
        Ok(document.parsed.source)
    }
}

/// A digest of a value and the path that it belongs to. Values that a format writes alike are alike.
fn fact(format: Format, value: &PlainValue, path: &str) -> [u8; 32] {
    verify::value_at(format, value, path)
}

/// Whether two metadata differ in MAC and time only.
fn says_the_same(before: &MetaNode, after: &MetaNode) -> bool {
    let (MetaValue::Map(before), MetaValue::Map(after)) = (&before.value, &after.value) else {
        return false;
    };
    let is_renewed = |name: &str| matches!(name, "mac" | "lastmodified");
    before.len() == after.len()
        && before.iter().zip(after).all(|((name, old), (other, new))| {
            name == other && (is_renewed(name) || is_equal(old, new))
        })
}

fn is_equal(one: &MetaNode, other: &MetaNode) -> bool {
    match (&one.value, &other.value) {
        (MetaValue::Map(one), MetaValue::Map(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((name, one), (of, other))| name == of && is_equal(one, other))
        }
        (MetaValue::List(one), MetaValue::List(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_equal(one, other))
        }
        (MetaValue::Scalar { text: one, .. }, MetaValue::Scalar { text: other, .. }) => {
            one == other
        }
        (MetaValue::Null, MetaValue::Null) => true,
        _ => false,
    }
}
