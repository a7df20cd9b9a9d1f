//! age's hybrid keys (`age1pq1…`, `AGE-SECRET-KEY-PQ-1…`): who wants to open what was wrapped for one has to break ML-KEM-768
//! and X25519. The stanza is `mlkem768x25519` of the age specification (C2SP `age.md`): HPKE with [`kem`], its argument
//! the encapsulated key, its body the sealed file key.

mod kem;

use std::{collections::HashSet, fmt, io, iter, ops::RangeInclusive, str::FromStr};

use age::{DecryptError, EncryptError};
use age_core::{
    format::{FILE_KEY_BYTES, FileKey, Stanza},
    secrecy::ExposeSecret as _,
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use bech32::{Bech32, Checksum, Hrp, primitives::decode::CheckedHrpstring};
use hpke::{
    Deserializable as _, HpkeError, Kem as _, OpModeR, OpModeS, Serializable as _,
    aead::ChaCha20Poly1305, kdf::HkdfSha256,
};
use rand_core::OsRng;
use zeroize::Zeroizing;

use kem::MlKem768X25519;

/// The stanza's first word, and what a key in a file says it is.
pub(super) const NAME: &str = "mlkem768x25519";
/// How the text of an identity begins.
pub(super) const IDENTITY: &str = "AGE-SECRET-KEY-PQ-1";
/// How that of a recipient does.
pub(super) const RECIPIENT: &str = "age1pq1";
/// HPKE's `info`.
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
/// A file that is wrapped for one such recipient must be for no other kind, as age has it.
const LABEL: &str = "postquantum";
const TAG_BYTES: usize = 16;

type PublicKey = <MlKem768X25519 as hpke::Kem>::PublicKey;
type PrivateKey = <MlKem768X25519 as hpke::Kem>::PrivateKey;
type Encapsulated = <MlKem768X25519 as hpke::Kem>::EncappedKey;

/// The text is not that of a key.
pub(super) struct Damaged;

/// A private key.
pub(super) struct Identity(PrivateKey);

impl Identity {
    pub(super) fn recipient(&self) -> Recipient {
        Recipient(Box::new(MlKem768X25519::sk_to_pk(&self.0)))
    }

    /// `None` of a stanza for another key.
    fn open(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != NAME {
            return None;
        }
        let [encapsulated] = stanza.args.as_slice() else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        let encapsulated = BASE64_STANDARD_NO_PAD.decode(encapsulated).ok();
        let encapsulated = encapsulated.and_then(|bytes| Encapsulated::from_bytes(&bytes).ok());
        let Some(encapsulated) = encapsulated else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        if stanza.body.len() != FILE_KEY_BYTES + TAG_BYTES {
            return Some(Err(DecryptError::InvalidHeader));
        }
        // As nothing in a stanza names its recipient, one for somebody else fails in the same way as a damaged one.
        let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, MlKem768X25519>(
            &OpModeR::Base,
            &self.0,
            &encapsulated,
            INFO,
            &stanza.body,
            &[],
        );
        let opened = match opened {
            Ok(opened) => Zeroizing::new(opened),
            // A point that gives everybody the same secret.
            Err(HpkeError::DecapError) => return Some(Err(DecryptError::InvalidHeader)),
            Err(_) => return None,
        };
        let bytes: &[u8; FILE_KEY_BYTES] = opened.as_slice().try_into().ok()?;
        Some(Ok(FileKey::init_with_mut(|key| key.copy_from_slice(bytes))))
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.open(stanza)
    }
}

impl FromStr for Identity {
    type Err = Damaged;

    fn from_str(text: &str) -> Result<Self, Damaged> {
        let seed = Zeroizing::new(decode(text, "AGE-SECRET-KEY-PQ-")?);
        PrivateKey::from_bytes(&seed).map(Self).map_err(|_| Damaged)
    }
}

/// A public key.
#[derive(Clone)]
pub(super) struct Recipient(Box<PublicKey>);

impl age::Recipient for Recipient {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let key = file_key.expose_secret();
        let sealed = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, MlKem768X25519, _>(
            &OpModeS::Base,
            &self.0,
            INFO,
            key,
            &[],
            &mut OsRng,
        );
        let (encapsulated, body) = sealed.map_err(|error| io::Error::other(error.to_string()))?;
        let stanza = Stanza {
            tag: NAME.to_owned(),
            args: vec![BASE64_STANDARD_NO_PAD.encode(encapsulated.to_bytes())],
            body,
        };
        Ok((vec![stanza], iter::once(LABEL.to_owned()).collect()))
    }
}

impl FromStr for Recipient {
    type Err = Damaged;

    fn from_str(text: &str) -> Result<Self, Damaged> {
        let bytes = decode(text, "age1pq")?;
        let key = PublicKey::from_bytes(&bytes).map_err(|_| Damaged)?;
        Ok(Self(Box::new(key)))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Hrp::parse("age1pq").map_err(|_| fmt::Error)?;
        bech32::encode_lower_to_fmt::<Long, _>(f, name, &self.0.to_bytes()).map_err(|_| fmt::Error)
    }
}

/// The checksum of bech32 without its limit of length, as age uses it.
enum Long {}

impl Checksum for Long {
    type MidstateRepr = u32;

    type CorrectionField = <Bech32 as Checksum>::CorrectionField;
    const ROOT_GENERATOR: Self::CorrectionField = Bech32::ROOT_GENERATOR;
    const ROOT_EXPONENTS: RangeInclusive<usize> = Bech32::ROOT_EXPONENTS;

    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = Bech32::TARGET_RESIDUE;
}

/// The bytes behind `name`, which counts in the case that it is given in.
fn decode(text: &str, name: &str) -> Result<Vec<u8>, Damaged> {
    let decoded = CheckedHrpstring::new::<Long>(text).map_err(|_| Damaged)?;
    if !text.starts_with(name) {
        return Err(Damaged);
    }
    Ok(decoded.byte_iter().collect())
}
