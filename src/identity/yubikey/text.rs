//! The texts and the stanza that age-plugin-yubikey has made known: recipients, identities, wrapped file keys. No card is
//! needed for any of it; only the point that both sides share comes from one.

use age_core::{
    format::{FILE_KEY_BYTES, FileKey, Stanza},
    primitives::{aead_decrypt, aead_encrypt, hkdf},
    secrecy::ExposeSecret as _,
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    identity::envelope::damaged,
    secret::Secret,
};

/// The name of stanzas, and the label under which their keys are derived.
const STANZA: &str = "piv-p256";
const RECIPIENT: Hrp = Hrp::parse_unchecked("age1yubikey");
const IDENTITY: Hrp = Hrp::parse_unchecked("age-plugin-yubikey-");
/// The tag of an encrypted file key.
const AEAD_TAG_BYTES: usize = 16;

/// A key on P-256 that lives in a card.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Recipient(p256::PublicKey);

/// The first bytes of a recipient's hash: by them a stanza says whom it is for.
pub(super) type Tag = [u8; 4];

impl Recipient {
    /// Reads `age1yubikey1…`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let data = decode(text, RECIPIENT)?;
        // The compressed form and no other: everybody has to write one key in one way.
        (data.len() == 33)
            .then(|| Self::from_point(&data))
            .flatten()
    }

    /// Of a point as cards write it.
    pub(super) fn from_point(point: &[u8]) -> Option<Self> {
        p256::PublicKey::from_sec1_bytes(point).ok().map(Self)
    }

    pub(super) fn tag(&self) -> Tag {
        let hash = Sha256::digest(self.compressed());
        let hash: [u8; 32] = hash.into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }

    /// `age1yubikey1…`.
    pub(crate) fn text(&self) -> String {
        encode(RECIPIENT, &self.compressed())
    }

    fn compressed(&self) -> Vec<u8> {
        self.0.to_encoded_point(true).as_bytes().to_vec()
    }

    /// Wraps a file key; no card is asked.
    pub(crate) fn wrap(&self, file_key: &FileKey) -> Result<Stanza> {
        let ephemeral = random_key()?;
        let public = ephemeral.public_key().to_encoded_point(true);
        let shared = p256::ecdh::diffie_hellman(ephemeral.to_nonzero_scalar(), self.0.as_affine());
        let shared = Secret::new(shared.raw_secret_bytes().to_vec());
        let key = derive(public.as_bytes(), self, &shared);
        Ok(Stanza {
            tag: STANZA.to_owned(),
            args: vec![
                BASE64_STANDARD_NO_PAD.encode(self.tag()),
                BASE64_STANDARD_NO_PAD.encode(public.as_bytes()),
            ],
            body: aead_encrypt(&key, file_key.expose_secret()),
        })
    }
}

/// Writes `AGE-PLUGIN-YUBIKEY-1…`; `slot` is the reference of the key, 0x82 for the first one.
pub(super) fn identity(serial: u32, slot: u8, tag: Tag) -> String {
    let mut data = serial.to_le_bytes().to_vec();
    data.push(slot);
    data.extend(tag);
    encode(IDENTITY, &data).to_uppercase()
}

/// Reads `AGE-PLUGIN-YUBIKEY-1…`: the serial number, the slot's reference and the tag of the recipient.
pub(super) fn parse_identity(text: &str) -> Option<(u32, u8, Tag)> {
    let data = decode(text, IDENTITY)?;
    // What comes after these is for later versions.
    let [a, b, c, d, slot, tag @ ..] = data.as_slice() else {
        return None;
    };
    let tag = tag.first_chunk::<4>()?;
    Some((u32::from_le_bytes([*a, *b, *c, *d]), *slot, *tag))
}

/// It fails only beyond 90 characters, which none of these texts has.
fn encode(prefix: Hrp, data: &[u8]) -> String {
    bech32::encode::<Bech32>(prefix, data).unwrap_or_default()
}

fn decode(text: &str, prefix: Hrp) -> Option<Vec<u8>> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    // The comparison of prefixes ignores case.
    (checked.hrp() == prefix).then(|| checked.byte_iter().collect())
}

/// A wrapped file key, checked as far as that goes without its private key.
pub(super) struct Wrapped<'s> {
    pub(super) tag: Tag,
    ephemeral: p256::PublicKey,
    body: &'s [u8],
}

/// Those among `stanzas` that are for keys in cards. A damaged one is an error, as with age-plugin-yubikey.
pub(super) fn wrapped(stanzas: &[Stanza]) -> Result<Vec<Wrapped<'_>>> {
    let ours = stanzas.iter().filter(|stanza| stanza.tag == STANZA);
    ours.map(|stanza| {
        Wrapped::parse(stanza).ok_or_else(|| damaged("its part for a card is broken"))
    })
    .collect()
}

impl<'s> Wrapped<'s> {
    fn parse(stanza: &'s Stanza) -> Option<Self> {
        let [tag, ephemeral] = stanza.args.as_slice() else {
            return None;
        };
        let tag = BASE64_STANDARD_NO_PAD.decode(tag).ok()?;
        let ephemeral = BASE64_STANDARD_NO_PAD.decode(ephemeral).ok()?;
        if ephemeral.len() != 33 || stanza.body.len() != FILE_KEY_BYTES + AEAD_TAG_BYTES {
            return None;
        }
        Some(Self {
            tag: tag.try_into().ok()?,
            ephemeral: p256::PublicKey::from_sec1_bytes(&ephemeral).ok()?,
            body: &stanza.body,
        })
    }

    /// The point that the card multiplies with its key.
    pub(super) fn point(&self) -> Vec<u8> {
        self.ephemeral.to_encoded_point(false).as_bytes().to_vec()
    }

    /// The file key, with what the card has made of the point.
    pub(super) fn unwrap(&self, recipient: &Recipient, shared: &Secret) -> Result<FileKey> {
        let ephemeral = self.ephemeral.to_encoded_point(true);
        let key = derive(ephemeral.as_bytes(), recipient, shared);
        let file_key = aead_decrypt(&key, FILE_KEY_BYTES, self.body)
            .map(Zeroizing::new)
            .map_err(|_| damaged("it is for a key in a card, which does not open it"))?;
        let bytes: &[u8; FILE_KEY_BYTES] = file_key
            .as_slice()
            .try_into()
            .map_err(|_| Error::new("internal", "a file key has another length"))?;
        Ok(FileKey::init_with_mut(|target| {
            target.copy_from_slice(bytes);
        }))
    }
}

fn derive(ephemeral: &[u8], recipient: &Recipient, shared: &Secret) -> Zeroizing<[u8; 32]> {
    let salt = [ephemeral, &recipient.compressed()].concat();
    Zeroizing::new(hkdf(&salt, STANZA.as_bytes(), shared.expose()))
}

fn random_key() -> Result<p256::SecretKey> {
    loop {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|error| {
            Error::new(
                "internal",
                format!("no random bytes from the system: {error}"),
            )
        })?;
        // All but a few of 2^32 numbers are keys.
        if let Ok(key) = p256::SecretKey::from_slice(bytes.as_slice()) {
            return Ok(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What age-plugin-yubikey itself has written for a card with this number.
    const IDENTITY_TEXT: &str = "AGE-PLUGIN-YUBIKEY-1XPQ6KQYZJ2TU65CGH5MHD";

    #[test]
    fn identities_are_read_and_written_as_the_plugin_does() {
        let (serial, slot, tag) = parse_identity(IDENTITY_TEXT).unwrap();
        assert_eq!((serial, slot), (11_223_344, 0x82));
        assert_eq!(tag, [0x92, 0x97, 0xcd, 0x53]);
        assert_eq!(identity(serial, slot, tag), IDENTITY_TEXT);
        let damaged = IDENTITY_TEXT.replace("MHD", "MHH");
        assert!(parse_identity(&damaged).is_none());
    }

    #[test]
    fn what_is_wrapped_is_unwrapped_by_its_key_only() {
        let [key, other] = [random_key().unwrap(), random_key().unwrap()];
        let recipient = Recipient(key.public_key());
        let again = Recipient::parse(&recipient.text()).unwrap();
        assert!(again == recipient);
        let file_key = FileKey::new(Box::new([7; FILE_KEY_BYTES]));
        let stanzas = [recipient.wrap(&file_key).unwrap()];
        let wrapped = wrapped(&stanzas).unwrap();
        assert_eq!(wrapped[0].tag, recipient.tag());
        let shared = |key: &p256::SecretKey| {
            let point = p256::PublicKey::from_sec1_bytes(&wrapped[0].point()).unwrap();
            let shared = p256::ecdh::diffie_hellman(key.to_nonzero_scalar(), point.as_affine());
            Secret::new(shared.raw_secret_bytes().to_vec())
        };
        let opened = wrapped[0].unwrap(&recipient, &shared(&key)).unwrap();
        assert!(opened.expose_secret() == file_key.expose_secret());
        assert!(wrapped[0].unwrap(&recipient, &shared(&other)).is_err());
    }

    /// Its coordinate is larger than any.
    fn no_point() -> Vec<u8> {
        let mut data = vec![0xff; 33];
        data[0] = 2;
        data
    }

    #[test]
    fn damaged_stanzas_and_recipients_are_refused() {
        let key = random_key().unwrap();
        let recipient = Recipient(key.public_key());
        let file_key = FileKey::new(Box::new([7; FILE_KEY_BYTES]));
        let good = || recipient.wrap(&file_key).unwrap();
        let spoilt: [fn(&mut Stanza); 7] = [
            |stanza| stanza.args.truncate(1),
            |stanza| stanza.args.push("x".to_owned()),
            |stanza| stanza.args[0].push('A'),
            |stanza| stanza.args[1].truncate(40),
            // No point of the curve.
            |stanza| stanza.args[1] = BASE64_STANDARD_NO_PAD.encode(no_point()),
            |stanza| stanza.body.truncate(31),
            |stanza| stanza.body.push(0),
        ];
        for (number, spoil) in spoilt.into_iter().enumerate() {
            let mut stanza = good();
            spoil(&mut stanza);
            let stanzas = [stanza];
            assert!(wrapped(&stanzas).is_err(), "{number}");
        }
        assert!(wrapped(&[good()]).is_ok());
        for data in [
            no_point(),
            vec![2; 32],
            recipient.compressed()[1..].to_vec(),
        ] {
            assert!(Recipient::parse(&encode(RECIPIENT, &data)).is_none());
        }
    }
}
