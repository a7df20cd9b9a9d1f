//! Encrypting a plaintext document for a creation rule.

use std::collections::BTreeMap;

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    secret::{DataKey, Secret},
    sops::{
        document::{Document, not_as_meant, not_opened_again},
        format::{self, Format, MetadataEdit, Parsed, PlainValue, Replacement},
        mac::Mac,
        metadata::NewMetadata,
        selection::{Kind, Leaf, Selection, walk},
        shamir,
        time::Timestamp,
        tree::{SiteId, Span},
        value::{Cipher, plain_value},
        verify,
    },
};

/// Encrypts bytes to one recipient: gets the index of the key group, the recipient and the bytes.
pub(crate) type Wrap<'w> = dyn FnMut(usize, &str, &[u8]) -> Result<String> + 'w;

/// How a document is to be encrypted; what a creation rule says.
pub(crate) struct Settings {
    /// Recipients of each key group; one group unless Shamir's sharing is wanted.
    pub(crate) groups: Vec<Vec<String>>,
    /// Groups that are needed, 0 for all of them.
    pub(crate) threshold: usize,
    pub(crate) selection: Selection,
    pub(crate) mac_only_encrypted: bool,
}

/// Encrypts a plaintext document with a fresh data key. `wrap` encrypts the key, or a group's share of it, to one
/// recipient: it gets the group's index, the recipient and the bytes. `lastmodified` is in RFC 3339.
pub(crate) fn encrypt(
    plain: Secret,
    format: Format,
    settings: &Settings,
    lastmodified: &str,
    wrap: &mut Wrap<'_>,
    limits: &Limits,
) -> Result<String> {
    let parsed = if format == Format::Binary {
        format::binary::read_plain(plain)
    } else {
        format::read(format, plain, limits)?
    };
    if parsed.metadata.is_some() {
        return Err(Error::new(
            "already-encrypted",
            "the file already has sops metadata, or a key that is reserved for it",
        )
        .with_hint("it is encrypted already; to change it use secretsctl edit or set"));
    }
    if parsed.tree.documents.is_empty() {
        return Err(Error::new("empty", "the file has no document to encrypt"));
    }
    let Some(lastmodified) = Timestamp::parse(lastmodified).map(Timestamp::to_seconds) else {
        return Err(Error::new(
            "internal",
            "the time of encryption is not in RFC 3339",
        ));
    };
    let key = fresh_key()?;
    let (groups, threshold) = wrap_key(&key, settings, wrap)?;
    let default = Selection::by_default();
    let (selection, mac_only_encrypted) = match format {
        // A binary file is one value: sops ignores the settings.
        Format::Binary => (None, false),
        _ => (Some(&settings.selection), settings.mac_only_encrypted),
    };
    let cipher = Cipher::new(&key)?;
    let mut seal = |value: PlainValue, path: &str| {
        Ok(Sealed {
            text: cipher.encrypt(&value, path)?,
            value,
        })
    };
    let (replacements, mac) = encrypt_values(
        &parsed,
        selection.unwrap_or(&default),
        mac_only_encrypted,
        &mut seal,
    )?;
    let mac = cipher.encrypt(&PlainValue::Str(Secret::from(mac)), &lastmodified)?;
    let node = NewMetadata {
        groups,
        threshold,
        lastmodified: &lastmodified,
        mac,
        selection,
        mac_only_encrypted,
    }
    .into_node();
    let text = format::splice(format, &parsed, &replacements, MetadataEdit::Add(&node))?;
    verify_encrypted(&parsed, text, format, &key, limits)
}

pub(super) fn fresh_key() -> Result<DataKey> {
    let mut bytes = zeroize::Zeroizing::new(vec![0; 32]);
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(
            "randomness",
            format!("the system gave no random bytes: {error}"),
        )
    })?;
    Ok(DataKey::new(Secret::new(std::mem::take(&mut *bytes))))
}

type Wrapped<'s> = (Vec<Vec<(&'s str, String)>>, usize);

fn wrap_key<'s>(key: &DataKey, settings: &'s Settings, wrap: &mut Wrap<'_>) -> Result<Wrapped<'s>> {
    let groups = &settings.groups;
    if groups.is_empty() || groups.iter().any(Vec::is_empty) {
        return Err(Error::new(
            "key-groups",
            "there is a key group without recipients, or none at all",
        )
        .with_hint("name the recipients in the creation rule or with --age"));
    }
    let threshold = if settings.threshold == 0 {
        groups.len()
    } else {
        settings.threshold
    };
    let shares = match groups.len() {
        1 => vec![Secret::new(key.expose().to_vec())],
        count => shamir::split(key.expose(), count, threshold)?,
    };
    let mut wrapped = Vec::new();
    for (index, (group, share)) in groups.iter().zip(&shares).enumerate() {
        let entries = group
            .iter()
            .map(|recipient| Ok((recipient.as_str(), wrap(index, recipient, share.expose())?)));
        wrapped.push(entries.collect::<Result<_>>()?);
    }
    Ok((wrapped, threshold))
}

/// A value with its encrypted text.
pub(super) struct Sealed {
    pub(super) text: String,
    /// As it counts in the MAC.
    pub(super) value: PlainValue,
}

/// What makes the encrypted text of a value at a path.
pub(super) type Seal<'s> = dyn FnMut(PlainValue, &str) -> Result<Sealed> + 's;

/// The encrypted texts of a plaintext document, and its MAC.
pub(super) fn encrypt_values(
    parsed: &Parsed,
    selection: &Selection,
    mac_only_encrypted: bool,
    seal: &mut Seal<'_>,
) -> Result<(BTreeMap<SiteId, Replacement>, String)> {
    let mut mac = Mac::new(mac_only_encrypted);
    let mut replacements = BTreeMap::new();
    let position = |span: &Span| Position::of(parsed.source.expose(), span.start);
    walk(&parsed.tree, selection, &mut |leaf, place| {
        let (site, value) = match leaf {
            Leaf::Comment(comment) => (
                comment.site,
                Some(PlainValue::Comment(comment.text.duplicate())),
            ),
            Leaf::Scalar { site, value, span } => (
                site,
                plain_value(value).map_err(|error| error.with_position(position(span)))?,
            ),
        };
        let Some(value) = value else { return Ok(()) };
        if !place.encrypted {
            mac.add(&value, false);
        } else {
            let Sealed { text, value } = seal(value, place.path)?;
            mac.add(&value, true);
            if selection.kind() == Kind::UnencryptedCommentRegex && selection.marks(text.as_bytes())
            {
                return Err(Error::new("selection", "unencrypted_comment_regex matches encrypted text, so the file could not be opened again")
                    .with_hint("make the pattern narrower"));
            }
            // Nothing is behind an empty text, so it stays.
            if !text.is_empty() {
                replacements.insert(site, Replacement::Encrypted(text));
            }
        }
        Ok(())
    })?;
    Ok((replacements, mac.finish()))
}

/// Opens the result and compares it with what was to be encrypted.
fn verify_encrypted(
    parsed: &Parsed,
    text: Secret,
    format: Format,
    key: &DataKey,
    limits: &Limits,
) -> Result<String> {
    let document = Document::parse(text, format, limits).map_err(not_opened_again)?;
    let opened = document.open(key).map_err(not_opened_again)?;
    let meant = verify::events(format, &parsed.tree, &BTreeMap::new());
    if meant != verify::events(format, &document.parsed.tree, &opened.values) {
        return Err(not_as_meant());
    }
    match document.parsed.source.expose_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(
            Error::new("not-text", "a value that stays in clear is not UTF-8")
                .with_hint("have the value encrypted, or encrypt the file as binary"),
        ),
    }
}
