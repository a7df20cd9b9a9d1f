//! The operations on a file: parse it, open it with its data key, get plaintext out, encrypt a plaintext document.

use std::collections::BTreeMap;

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    secret::{DataKey, Secret},
    sops::{
        format::{self, Format, MetadataEdit, Parsed, PlainValue, Replacement},
        mac::Mac,
        metadata::Metadata,
        selection::{Leaf, Place, walk},
        tree::{Comment, Scalar, SiteId, Span},
        value::{Cipher, plain_value},
        verify,
    },
};

/// Places around a comment at which it is tried.
const MOST_PLACES: usize = 64;

/// An encrypted file.
pub(crate) struct Document {
    pub(super) format: Format,
    pub(super) parsed: Parsed,
    pub(super) metadata: Metadata,
    pub(super) limits: Limits,
}

impl Document {
    /// Parses an encrypted file and its metadata; nothing is opened.
    pub(crate) fn parse(bytes: Secret, format: Format, limits: &Limits) -> Result<Self> {
        Self::read(bytes, format, limits).map_err(|error| {
            error
                .with_position(Position::START)
                .with_hint("restore the file from its history, or correct it with sops edit")
        })
    }

    fn read(bytes: Secret, format: Format, limits: &Limits) -> Result<Self> {
        let parsed = format::read(format, bytes, limits)?;
        let Some(node) = &parsed.metadata else {
            return Err(Error::new("not-encrypted", "the file has no sops metadata")
                .with_hint("it is not encrypted with sops, or its format is another than its name says: try --input-type"));
        };
        let metadata = Metadata::read(node, parsed.source.expose())?;
        Ok(Self {
            format,
            parsed,
            metadata,
            limits: *limits,
        })
    }

    /// What the file says about itself.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Names the place of the metadata in an error about them, unless it is about another file.
    pub(crate) fn at_metadata(&self, error: Error) -> Error {
        match &self.parsed.metadata {
            Some(node) if error.file.is_none() => {
                let source = self.parsed.source.expose();
                error.with_position(Position::of(source, node.span.start))
            }
            _ => error,
        }
    }

    /// The text of the file.
    pub(crate) fn into_text(self) -> Secret {
        self.parsed.source
    }

    /// The file's format.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Decrypts every value and verifies the MAC: what is returned is what was encrypted.
    pub(crate) fn open(&self, key: &DataKey) -> Result<Opened<'_>> {
        let cipher = Cipher::new(key).map_err(|error| self.at_metadata(error))?;
        let mut mac = Mac::new(self.metadata.mac_only_encrypted);
        let mut values = BTreeMap::new();
        let mut previous = String::new();
        walk(
            &self.parsed.tree,
            &self.metadata.selection,
            &mut |leaf, place| match leaf {
                Leaf::Comment(comment) => {
                    let open = || open_comment(&cipher, comment, place.path, &previous);
                    if place.encrypted
                        && let Some(text) = self.at(&comment.span, open())?
                    {
                        values.insert(comment.site, PlainValue::Comment(text));
                    }
                    Ok(())
                }
                Leaf::Scalar { site, value, span } => {
                    previous.clear();
                    previous.push_str(place.path);
                    let Some(clear) = self.at(span, plain_value(value))? else {
                        return Ok(());
                    };
                    if place.encrypted {
                        let Some(value) = self.at(span, open_scalar(&cipher, &clear, &place))?
                        else {
                            return Ok(());
                        };
                        mac.add(&value, true);
                        values.insert(site, value);
                    } else {
                        mac.add(&clear, false);
                    }
                    Ok(())
                }
            },
        )?;
        let mac = self
            .check_mac(&cipher, mac.finish(), &values)
            .map_err(|error| self.at_metadata(error))?;
        Ok(Opened {
            document: self,
            values,
            mac,
        })
    }

    /// The MAC, when it is the one that is stored.
    fn check_mac(
        &self,
        cipher: &Cipher,
        computed: String,
        values: &BTreeMap<SiteId, PlainValue>,
    ) -> Result<String> {
        let refuse = |message: &str| {
            Error::new("mac", message).with_hint(
                "the file was changed by something that does not have its key, or merged by hand; \
                 restore it from its history, or make the change again with sops",
            )
        };
        if self.metadata.mac.is_empty() {
            return Err(refuse(
                "the file has no MAC, so nothing says that its values belong together",
            ));
        }
        let Ok(stored) = cipher.decrypt(&self.metadata.mac, &self.metadata.lastmodified) else {
            return Err(refuse(
                "the MAC of the file cannot be opened: it, lastmodified or the data key was changed",
            ));
        };
        // Both sides are hashes of what the caller may see anyway; there is nothing to time.
        let is = |mac: &str| matches!(&stored, PlainValue::Str(stored) if stored.expose() == mac.as_bytes());
        if is(&computed) {
            return Ok(computed);
        }
        if self.format == Format::Json {
            let of_floats = self.mac_of_floats(values)?;
            if is(&of_floats) {
                return Ok(of_floats);
            }
        }
        Err(refuse("the MAC of the file does not match its values"))
    }

    /// The MAC as sops up to 3.13.1 computes it for JSON: every number in clear is a float, which shows where an
    /// integer has more digits than a float can hold.
    fn mac_of_floats(&self, values: &BTreeMap<SiteId, PlainValue>) -> Result<String> {
        let mut mac = Mac::new(self.metadata.mac_only_encrypted);
        walk(
            &self.parsed.tree,
            &self.metadata.selection,
            &mut |leaf, place| {
                let Leaf::Scalar { site, value, span } = leaf else {
                    return Ok(());
                };
                let written = self.parsed.source.expose().get(span.clone());
                let number = written.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
                match (values.get(&site), value, number) {
                    (Some(value), _, _) => mac.add(value, place.encrypted),
                    (None, Scalar::Int(_), Some(number)) => {
                        mac.add(&PlainValue::Float(number), place.encrypted);
                    }
                    (None, value, _) => {
                        if let Some(value) = plain_value(value)? {
                            mac.add(&value, place.encrypted);
                        }
                    }
                }
                Ok(())
            },
        )?;
        Ok(mac.finish())
    }

    /// Where values stand in clear that should be encrypted: the first `most` of them.
    pub(crate) fn values_in_clear(&self, most: usize) -> Result<Vec<Position>> {
        let mut found = Vec::new();
        walk(
            &self.parsed.tree,
            &self.metadata.selection,
            &mut |leaf, place| {
                let Leaf::Scalar { value, span, .. } = leaf else {
                    return Ok(());
                };
                if !place.encrypted || found.len() >= most {
                    return Ok(());
                }
                let in_clear = match value {
                    Scalar::Null => false,
                    Scalar::Str(text) => !text.is_empty() && !text.expose().starts_with(b"ENC["),
                    value => self.at(span, plain_value(value))?.is_some(),
                };
                if in_clear {
                    found.push(Position::of(self.parsed.source.expose(), span.start));
                }
                Ok(())
            },
        )?;
        Ok(found)
    }

    /// Every encrypted value as it is written, with the path of its keys and the byte where it starts.
    pub(crate) fn ciphertexts(&self, each: &mut dyn FnMut(&[u8], &str, usize)) -> Result<()> {
        walk(
            &self.parsed.tree,
            &self.metadata.selection,
            &mut |leaf, place| {
                if let Leaf::Scalar { value, span, .. } = leaf
                    && let Scalar::Str(text) = value
                    && text.expose().starts_with(b"ENC[")
                {
                    each(text.expose(), place.path, span.start);
                }
                Ok(())
            },
        )
    }

    /// The position of a byte of the file.
    pub(crate) fn position(&self, offset: usize) -> Position {
        Position::of(self.parsed.source.expose(), offset)
    }

    fn at<T>(&self, span: &Span, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            error.with_position(Position::of(self.parsed.source.expose(), span.start))
        })
    }
}

/// A document whose MAC was verified.
pub(crate) struct Opened<'d> {
    pub(super) document: &'d Document,
    /// What was encrypted, by site.
    pub(super) values: BTreeMap<SiteId, PlainValue>,
    /// The MAC of the values, as the file has it.
    pub(super) mac: String,
}

impl Opened<'_> {
    /// The source text with every value opened and the metadata cut out.
    pub(crate) fn plaintext(&self) -> Result<Secret> {
        let Document {
            format,
            parsed,
            limits,
            ..
        } = self.document;
        let replacements = self
            .values
            .iter()
            .map(|(&site, value)| (site, Replacement::Plain(value.duplicate())));
        let text = format::splice(*format, parsed, &replacements.collect(), MetadataEdit::Cut)?;
        if *format == Format::Binary {
            return Ok(text);
        }
        let again = format::read(*format, text, limits).map_err(not_read_again)?;
        let meant = verify::events(*format, &parsed.tree, &self.values);
        if again.metadata.is_some()
            || meant != verify::events(*format, &again.tree, &BTreeMap::new())
        {
            return Err(not_as_meant());
        }
        Ok(again.source)
    }

    pub(super) fn parsed(&self) -> &Parsed {
        &self.document.parsed
    }
}

/// The result of an edit is no text of its format.
pub(super) fn not_read_again(error: Error) -> Error {
    not_as_meant().with_hint(format!("the result could not be read again: {error}"))
}

/// The result of an edit does not open with its own key.
pub(super) fn not_opened_again(error: Error) -> Error {
    not_as_meant().with_hint(format!("the result could not be opened again: {error}"))
}

pub(super) fn not_as_meant() -> Error {
    Error::new(
        "not-as-meant",
        "the result would not read back as what was meant, so nothing was written",
    )
}

/// The text of an encrypted comment; `None` for one that is in clear, as sops leaves those that were added by hand.
///
/// sops writes some comments at the end of a block so that they read back in another one, and cannot open them then.
/// Such a comment belongs to something around it, or to something around the `previous` value.
fn open_comment(
    cipher: &Cipher,
    comment: &Comment,
    path: &str,
    previous: &str,
) -> Result<Option<Secret>> {
    let text = String::from_utf8_lossy(comment.text.expose());
    if !text.starts_with("ENC[") {
        let remains =
            text.contains("AES256_GCM,") || text.contains(",iv:") && text.contains(",tag:");
        return match remains {
            true => Err(damaged_comment()),
            false => Ok(None),
        };
    }
    let around = |path| prefixes(path).chain([":"]).take(MOST_PLACES);
    let places = [path]
        .into_iter()
        .chain(around(path))
        .chain(around(previous));
    match places
        .filter_map(|path| cipher.decrypt(&text, path).ok())
        .next()
    {
        Some(PlainValue::Comment(text)) => Ok(Some(text)),
        Some(_) => Err(
            Error::new("damaged", "an encrypted comment is not tagged type:comment").with_hint(
                "a value was put in the place of a comment; restore the file from its history",
            ),
        ),
        None => Err(damaged_comment()),
    }
}

/// A path and those above it, the longest first.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices(':')
        .filter_map(|(at, _)| path.get(..=at))
}

fn damaged_comment() -> Error {
    Error::new("damaged", "an encrypted comment is damaged")
        .with_hint("restore the comment from the file's history, or delete its line: comments are not part of the MAC")
}

/// The value behind a scalar that should be encrypted; `None` for the empty text, which stays as it is.
fn open_scalar(
    cipher: &Cipher,
    clear: &PlainValue,
    place: &Place<'_>,
) -> Result<Option<PlainValue>> {
    let PlainValue::Str(text) = clear else {
        return Err(Error::new(
            "not-encrypted-value",
            "the value should be encrypted, but stands in clear",
        )
        .with_hint("it was added by hand; encrypt it with sops edit or set"));
    };
    if text.is_empty() {
        return Ok(None);
    }
    match cipher.decrypt(text.expose_str().unwrap_or_default(), place.path)? {
        // sops writes the comments of lists as elements.
        PlainValue::Comment(_) if !place.in_list => Err(Error::new("damaged", "a value is tagged type:comment")
            .with_hint("the type is not authenticated and was probably changed, which hides the value; restore the file from its history")),
        value => Ok(Some(value)),
    }
}

impl PlainValue {
    /// A second copy, made on purpose.
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Self::Str(text) => Self::Str(text.duplicate()),
            Self::Int(value) => Self::Int(*value),
            Self::Float(value) => Self::Float(*value),
            Self::Bool(value) => Self::Bool(*value),
            Self::Time(text) => Self::Time(text.clone()),
            Self::Comment(text) => Self::Comment(text.duplicate()),
        }
    }
}

impl From<&Scalar> for Option<PlainValue> {
    fn from(scalar: &Scalar) -> Self {
        plain_value(scalar).ok().flatten()
    }
}
