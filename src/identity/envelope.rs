//! The `enc` text of one recipient: an armored age file that holds a data key or one share of it.

use std::{
    cell::RefCell,
    io::{Read as _, Write as _},
    iter,
};

use age::{
    Decryptor, Encryptor,
    armor::{ArmoredReader, ArmoredWriter, Format},
};
use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// Bytes of one `enc` text (`wrapped-key`); the largest real ones, for post-quantum recipients, have 3 KiB. age reads
/// headers in quadratic time, hence a limit of its own.
const WRAPPED_KEY_LIMIT: usize = 64 << 10;
/// Longer than any data key or share.
const KEY_LIMIT: usize = 64;
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// The stanzas in the header of `enc`.
pub(super) fn stanzas(enc: &str) -> Result<Vec<Stanza>> {
    let seen = RefCell::new(Vec::new());
    open(enc, |stanzas| {
        let stanza = |stanza: &Stanza| Stanza {
            tag: stanza.tag.clone(),
            args: stanza.args.clone(),
            body: stanza.body.clone(),
        };
        seen.replace(stanzas.iter().map(stanza).collect());
        None
    })?;
    Ok(seen.into_inner())
}

/// Opens `enc` with the file key that `unwrap` finds in its stanzas; `None` when it finds none.
pub(super) fn open(
    enc: &str,
    unwrap: impl Fn(&[Stanza]) -> Option<FileKey>,
) -> Result<Option<Secret>> {
    // As in Go's reader, white space around the armor is no fault; that of age in Rust is stricter.
    let armored = enc.trim();
    if armored.len() > WRAPPED_KEY_LIMIT {
        return Err(Error::new(
            "limit",
            format!(
                "a wrapped data key is larger than the limit wrapped-key of {WRAPPED_KEY_LIMIT} bytes"
            ),
        ));
    }
    if !armored.starts_with(BEGIN) {
        return Err(damaged("it does not begin as an armored age file does"));
    }
    let decryptor =
        Decryptor::new_buffered(ArmoredReader::new(armored.as_bytes())).map_err(describe)?;
    let one = One(unwrap);
    let mut payload = match decryptor.decrypt(iter::once(&one as &dyn age::Identity)) {
        Ok(payload) => payload,
        Err(age::DecryptError::NoMatchingKeys) => return Ok(None),
        Err(error) => return Err(describe(error)),
    };
    let mut key = Zeroizing::new([0; KEY_LIMIT + 1]);
    let mut length = 0;
    // Up to the end, not only as many bytes as a key has: the end is authenticated with the last byte.
    while let Some(room) = key.get_mut(length..).filter(|room| !room.is_empty()) {
        match payload.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(_) => return Err(damaged("its content fails authentication")),
        }
    }
    match key.get(..length) {
        Some(bytes) if (1..=KEY_LIMIT).contains(&length) => Ok(Some(Secret::new(bytes.to_vec()))),
        _ => Err(damaged("its content is no data key")),
    }
}

/// Wraps `data` for one recipient.
pub(super) fn seal(recipient: &dyn age::Recipient, data: &[u8]) -> Result<String> {
    let internal = |error: &dyn std::fmt::Display| {
        Error::new("internal", format!("cannot wrap a data key: {error}"))
    };
    let encryptor =
        Encryptor::with_recipients(iter::once(recipient)).map_err(|error| internal(&error))?;
    let mut text = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut text, Format::AsciiArmor)
        .map_err(|error| internal(&error))?;
    let mut writer = encryptor
        .wrap_output(armor)
        .map_err(|error| internal(&error))?;
    writer.write_all(data).map_err(|error| internal(&error))?;
    writer
        .finish()
        .and_then(ArmoredWriter::finish)
        .map_err(|error| internal(&error))?;
    String::from_utf8(text).map_err(|error| internal(&error))
}

/// Offers all stanzas at once to one function: it sees which identities fail and goes on to the next.
struct One<F>(F);

impl<F: Fn(&[Stanza]) -> Option<FileKey>> age::Identity for One<F> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        (self.0)(stanzas).map(Ok)
    }
}

/// A recipient that keeps what went wrong: age's own error types have no room for it.
pub(super) struct Reporting<F> {
    pub(super) wrap: F,
    pub(super) error: RefCell<Option<Error>>,
}

impl<F: Fn(&FileKey) -> Result<Vec<Stanza>>> age::Recipient for Reporting<F> {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, std::collections::HashSet<String>), age::EncryptError> {
        match (self.wrap)(file_key) {
            Ok(stanzas) => Ok((stanzas, std::collections::HashSet::new())),
            Err(error) => {
                self.error.replace(Some(error));
                Err(std::io::Error::other("see the reported error").into())
            }
        }
    }
}

pub(super) fn damaged(how: &str) -> Error {
    Error::new(
        "damaged-key",
        format!("a wrapped data key is damaged: {how}"),
    )
    .with_hint("restore the file from its history")
}

/// age's texts are made for its own programs, and long.
fn describe(error: age::DecryptError) -> Error {
    use age::DecryptError as E;
    match error {
        E::InvalidMac => damaged("its header fails authentication"),
        E::DecryptionFailed | E::KeyDecryptionFailed => damaged("it fails authentication"),
        E::UnknownFormat => damaged("it is of a version of age that is not known"),
        E::Io(_) => damaged("its armor is broken or incomplete"),
        _ => damaged("its header is broken"),
    }
}
