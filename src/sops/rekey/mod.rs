//! Other keys for a file: the same data key wrapped for others, or a new one, with every value encrypted again where it
//! stands. Every result is read and opened again before it is handed out.

use std::collections::BTreeMap;

use crate::{
    error::{Error, Result},
    secret::{DataKey, Secret},
    sops::{
        document::{Document, Opened, not_as_meant, not_opened_again},
        encrypt::{Wrap, fresh_key},
        format::{self, MetadataEdit, Parsed, PlainValue, Replacement, edit::Edits},
        metadata::{Entry, Metadata, Others, Renewed, Wrapped},
        selection::{Leaf, Selection, walk},
        shamir,
        tree::{Scalar, SiteId, Span},
        value::Cipher,
        verify,
    },
};

/// The age recipients that a file is to have.
pub(crate) struct Recipients {
    /// Of each key group, as the creation rule has them.
    pub(crate) groups: Vec<Vec<String>>,
    /// Groups that are needed, 0 for all of them.
    pub(crate) threshold: usize,
}

/// What is in hand of a file's key.
pub(crate) struct InHand {
    /// The data key.
    pub(crate) key: DataKey,
    /// Of each key group what was opened: the data key, or with several groups the group's share of it.
    pub(crate) shares: Vec<Option<Secret>>,
    /// The wrapped keys that were opened for it.
    pub(crate) opened: Vec<String>,
}

impl Opened<'_> {
    /// How many encrypted values another selection would leave in clear.
    pub(crate) fn becomes_clear(&self, selection: &Selection) -> Result<usize> {
        let mut clear = 0;
        walk(&self.document.parsed.tree, selection, &mut |leaf, place| {
            if let Leaf::Scalar { site, .. } = leaf {
                clear += usize::from(!place.encrypted && self.values.contains_key(&site));
            }
            Ok(())
        })?;
        Ok(clear)
    }

    /// The file with the same data key for other recipients. Only the lines of those that come or go change; where shares
    /// have to be dealt again, all wrapped keys.
    pub(crate) fn rewrap(
        &self,
        in_hand: &InHand,
        recipients: &Recipients,
        wrap: &mut Wrap<'_>,
    ) -> Result<Document> {
        let metadata = &self.document.metadata;
        let named = names(metadata, recipients)?;
        let groups = match kept_shares(metadata, in_hand, &named) {
            Some(shares) => wrap_new(metadata, &named, &shares, wrap)?,
            None => wrap_all(&in_hand.key, &named, wrap)?,
        };
        let parsed = &self.document.parsed;
        let text = self.with_metadata(parsed, &groups, &named, Others::Stay, None)?;
        self.verified(text, &in_hand.key, &named, Others::Stay)
    }

    /// The file with a new data key: every value, comment and the MAC are encrypted again, in place. Keys of other kinds
    /// than age, to which nothing can be wrapped here, go, or stand in the way where they are to stay. `lastmodified` is in
    /// RFC 3339.
    pub(crate) fn rotate(
        &self,
        recipients: &Recipients,
        others: Others,
        lastmodified: &str,
        wrap: &mut Wrap<'_>,
    ) -> Result<Document> {
        let metadata = &self.document.metadata;
        let has_others = metadata
            .entries()
            .any(|entry| matches!(entry, Entry::Other { .. }));
        if has_others && others == Others::Stay {
            return Err(Error::new(
                "unsupported-recipient",
                "the file needs a new data key, and has keys of other kinds than age to wrap it for",
            )
            .with_hint("re-key this file with sops updatekeys and sops rotate"));
        }
        let named = names(metadata, recipients)?;
        let key = fresh_key()?;
        let groups = wrap_all(&key, &named, wrap)?;
        let cipher = Cipher::new(&key)?;
        let mac = PlainValue::Str(Secret::from(self.mac.clone()));
        let renewed = Renewed {
            lastmodified,
            mac: cipher.encrypt(&mac, lastmodified)?,
        };
        let text = self.with_values(&cipher)?;
        let Document { format, limits, .. } = self.document;
        let parsed = format::read(*format, text, limits)?;
        let text = self.with_metadata(&parsed, &groups, &named, others, Some(&renewed))?;
        self.verified(text, &key, &named, others)
    }

    /// The source with every encrypted text replaced by one of the new key.
    fn with_values(&self, cipher: &Cipher) -> Result<Secret> {
        let parsed = &self.document.parsed;
        let source = parsed.source.expose();
        let mut edits = Edits::new();
        let mut replacements: BTreeMap<SiteId, Replacement> = BTreeMap::new();
        let mut all_in_place = true;
        walk(
            &parsed.tree,
            &self.document.metadata.selection,
            &mut |leaf, place| {
                let (site, old, span) = match leaf {
                    Leaf::Comment(comment) => (comment.site, &comment.text, &comment.span),
                    Leaf::Scalar {
                        site,
                        value: Scalar::Str(text),
                        span,
                    } => (site, text, span),
                    Leaf::Scalar { .. } => return Ok(()),
                };
                let Some(value) = self.values.get(&site) else {
                    return Ok(());
                };
                let text = cipher.encrypt(value, place.path)?;
                match inside(source, span, old.expose()) {
                    Some(span) => edits.replace(span, text.clone()),
                    None => all_in_place = false,
                }
                replacements.insert(site, Replacement::Encrypted(text));
                Ok(())
            },
        )?;
        if all_in_place {
            return edits.apply(source);
        }
        // A text that is folded or escaped cannot be exchanged as it stands.
        format::splice(
            self.document.format,
            parsed,
            &replacements,
            MetadataEdit::Keep,
        )
    }

    fn with_metadata(
        &self,
        parsed: &Parsed,
        groups: &[Vec<Wrapped>],
        named: &Recipients,
        others: Others,
        renewed: Option<&Renewed<'_>>,
    ) -> Result<Secret> {
        let Document {
            format, metadata, ..
        } = self.document;
        let Some(node) = &parsed.metadata else {
            return Err(not_as_meant());
        };
        let new = metadata.rekeyed(node, groups, threshold(named), others, renewed)?;
        format::splice(
            *format,
            parsed,
            &BTreeMap::new(),
            MetadataEdit::Change(&new),
        )
    }

    /// The result, when it means the same as before, opens with `key`, and is for whom it should be.
    fn verified(
        &self,
        text: Secret,
        key: &DataKey,
        named: &Recipients,
        others: Others,
    ) -> Result<Document> {
        let Document {
            format,
            limits,
            parsed,
            metadata,
        } = self.document;
        let document = Document::parse(text, *format, limits).map_err(not_opened_again)?;
        let opened = document.open(key).map_err(not_opened_again)?;
        let meant = verify::events(*format, &parsed.tree, &self.values);
        let same = meant == verify::events(*format, &document.parsed.tree, &opened.values)
            && document.metadata.selection.kind() == metadata.selection.kind()
            && document.metadata.selection.text() == metadata.selection.text()
            && document.metadata.mac_only_encrypted == metadata.mac_only_encrypted
            && is_for(&document.metadata, metadata, named, others);
        drop(opened);
        if same {
            Ok(document)
        } else {
            Err(not_as_meant())
        }
    }
}

/// Whether a file has these age recipients and the keys of other kinds that it had before.
fn is_for(metadata: &Metadata, before: &Metadata, named: &Recipients, others: Others) -> bool {
    let of_age = |group: &[Entry]| {
        let recipients = group.iter().filter_map(|entry| match entry {
            Entry::Age { recipient, .. } => Some(recipient.trim().to_owned()),
            Entry::Other { .. } => None,
        });
        let mut recipients: Vec<_> = recipients.collect();
        recipients.sort();
        recipients.dedup();
        recipients
    };
    let count = |metadata: &Metadata| {
        let entries = metadata
            .entries()
            .filter(|entry| matches!(entry, Entry::Other { .. }));
        entries.count()
    };
    let wanted = named.groups.iter().map(|group| {
        let mut wanted = group.clone();
        wanted.sort();
        wanted.dedup();
        wanted
    });
    let needed = usize::try_from(metadata.threshold).unwrap_or(0);
    metadata.groups.iter().map(|group| of_age(group)).eq(wanted)
        && match others {
            Others::Stay => count(metadata) == count(before),
            Others::Go => count(metadata) == 0,
        }
        && (named.groups.len() == 1 || needed == threshold(named))
}

/// The recipients in the words of the file, where it has them already: an SSH key is the same whatever its comment says.
fn names(metadata: &Metadata, recipients: &Recipients) -> Result<Recipients> {
    if recipients.groups.is_empty() || recipients.groups.iter().any(Vec::is_empty) {
        return Err(Error::new(
            "key-groups",
            "the rule has a key group without recipients, or none at all",
        )
        .with_hint("name the recipients in the creation rule"));
    }
    let known: Vec<&str> = metadata
        .entries()
        .filter_map(|entry| match entry {
            Entry::Age { recipient, .. } => Some(recipient.trim()),
            Entry::Other { .. } => None,
        })
        .collect();
    let name = |wanted: &String| {
        let same = known.iter().find(|known| key_of(known) == key_of(wanted));
        same.map_or_else(|| wanted.trim().to_owned(), |known| (*known).to_owned())
    };
    Ok(Recipients {
        groups: recipients
            .groups
            .iter()
            .map(|group| group.iter().map(name).collect())
            .collect(),
        threshold: recipients.threshold,
    })
}

/// What of a recipient's text tells it from others.
fn key_of(recipient: &str) -> Vec<&str> {
    let words = recipient.split_whitespace();
    if recipient.trim_start().starts_with("ssh-") {
        words.take(2).collect()
    } else {
        words.collect()
    }
}

fn threshold(named: &Recipients) -> usize {
    match named.threshold {
        0 => named.groups.len(),
        threshold => threshold,
    }
}

/// Each group's share as it is, where nothing but the recipients changes and the shares that new ones need are in hand.
fn kept_shares<'h>(
    metadata: &Metadata,
    in_hand: &'h InHand,
    named: &Recipients,
) -> Option<Vec<Option<&'h Secret>>> {
    if metadata.groups.len() != named.groups.len() {
        return None;
    }
    let needed = usize::try_from(metadata.threshold).unwrap_or(0);
    if named.groups.len() > 1 && needed != threshold(named) {
        return None;
    }
    let mut shares = Vec::new();
    for (index, wanted) in named.groups.iter().enumerate() {
        let before = metadata.groups.get(index)?;
        let share = in_hand.shares.get(index).and_then(Option::as_ref);
        let all_known = wanted.iter().all(|wanted| has(before, wanted));
        if share.is_none() && !all_known {
            return None;
        }
        shares.push(share);
    }
    Some(shares)
}

fn has(group: &[Entry], wanted: &str) -> bool {
    let is =
        |entry: &Entry| matches!(entry, Entry::Age { recipient, .. } if recipient.trim() == wanted);
    group.iter().any(is)
}

fn wrap_new(
    metadata: &Metadata,
    named: &Recipients,
    shares: &[Option<&Secret>],
    wrap: &mut Wrap<'_>,
) -> Result<Vec<Vec<Wrapped>>> {
    let mut groups = Vec::new();
    for (index, wanted) in named.groups.iter().enumerate() {
        let before = metadata.groups.get(index).map_or(&[][..], Vec::as_slice);
        let mut wrapped = Vec::new();
        for recipient in wanted {
            let share = shares.get(index).copied().flatten();
            wrapped.push(match share {
                Some(share) if !has(before, recipient) => Wrapped::Fresh {
                    recipient: recipient.clone(),
                    enc: wrap(index, recipient, share.expose())?,
                },
                _ => Wrapped::Kept {
                    recipient: recipient.clone(),
                },
            });
        }
        groups.push(wrapped);
    }
    Ok(groups)
}

fn wrap_all(key: &DataKey, named: &Recipients, wrap: &mut Wrap<'_>) -> Result<Vec<Vec<Wrapped>>> {
    let shares = match named.groups.len() {
        1 => vec![Secret::new(key.expose().to_vec())],
        count => shamir::split(key.expose(), count, threshold(named))?,
    };
    let mut groups = Vec::new();
    for (index, (group, share)) in named.groups.iter().zip(&shares).enumerate() {
        let mut wrapped = Vec::new();
        for recipient in group {
            wrapped.push(Wrapped::Fresh {
                recipient: recipient.clone(),
                enc: wrap(index, recipient, share.expose())?,
            });
        }
        groups.push(wrapped);
    }
    Ok(groups)
}

/// Where `text` stands within `span`, if it does so as it is.
fn inside(source: &[u8], span: &Span, text: &[u8]) -> Option<Span> {
    let written = source.get(span.clone())?;
    let at = written
        .windows(text.len().max(1))
        .position(|part| part == text)?;
    let start = span.start + at;
    Some(start..start + text.len())
}

#[cfg(test)]
mod tests;
