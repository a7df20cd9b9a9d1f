//! One encrypted value: the text `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, AES-GCM over it, and the types behind it.
//!
//! sops writes nonces of 32 bytes, so the first counter block comes from GHASH; old files hold other lengths. Therefore
//! the mode is put together here from its parts.

use aes::cipher::{
    Array, BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher, consts::U16,
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ghash::{GHash, universal_hash::UniversalHash};
use subtle::ConstantTimeEq;

use crate::{
    error::{Error, Result},
    secret::{DataKey, Secret},
    sops::{
        format::PlainValue,
        number::{format_float, parse_bool, parse_float, parse_int},
        time::Timestamp,
        tree::Scalar,
    },
};

/// Bytes of a nonce that we write.
const NONCE: usize = 32;
const TAG: usize = 16;

/// Base64 as Go decodes it: padding is needed, the unused bits of the last character are not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A data key made ready for many values.
pub(crate) struct Cipher {
    block: Block,
    hash: GHash,
}

enum Block {
    Aes128(aes::Aes128),
    Aes192(aes::Aes192),
    Aes256(aes::Aes256),
}

impl Cipher {
    /// sops makes keys of 32 bytes; it also opens files with 16 and 24.
    pub(crate) fn new(key: &DataKey) -> Result<Self> {
        let bytes = key.expose();
        let invalid = |_| {
            Error::new("damaged", format!("the data key has {} bytes, not 32", bytes.len()))
                .with_hint("the metadata was damaged, or shares of different data keys were mixed; restore the file from its history")
        };
        let block = match bytes.len() {
            16 => Block::Aes128(aes::Aes128::new_from_slice(bytes).map_err(invalid)?),
            24 => Block::Aes192(aes::Aes192::new_from_slice(bytes).map_err(invalid)?),
            _ => Block::Aes256(aes::Aes256::new_from_slice(bytes).map_err(invalid)?),
        };
        let mut hash_key = Array::default();
        block.encrypt(&mut hash_key);
        Ok(Self {
            block,
            hash: GHash::new(&hash_key),
        })
    }

    /// The value behind `text`, authenticated together with `path` (keys from the root, each followed by a colon).
    pub(crate) fn decrypt(&self, text: &str, path: &str) -> Result<PlainValue> {
        let Some(Envelope {
            mut data,
            nonce,
            kind,
        }) = Envelope::parse(text)
        else {
            return Err(Error::new(
                "damaged",
                "the value is not in the format of sops, ENC[AES256_GCM,…]",
            )
            .with_hint(
                "the text was damaged or written by hand; restore the file from its history",
            ));
        };
        let authentic = data.len() >= TAG && !nonce.is_empty() && {
            let tag = data.split_off(data.len() - TAG);
            bool::from(self.tag(&nonce, path.as_bytes(), &data).ct_eq(&tag))
        };
        if !authentic {
            return Err(Error::new("damaged", "the encrypted value does not authenticate")
                .with_hint("the value was changed, or moved from another place or file; restore the file from its history"));
        }
        self.block.keystream(&self.counter(&nonce), &mut data);
        typed(Secret::new(data), kind)
    }

    /// The `ENC[...]` text of `value` with a fresh nonce. An empty text stays empty, as in sops.
    pub(crate) fn encrypt(&self, value: &PlainValue, path: &str) -> Result<String> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| {
            Error::new(
                "randomness",
                format!("the system gave no random bytes: {error}"),
            )
        })?;
        Ok(self.encrypt_with(value, path, &nonce))
    }

    fn encrypt_with(&self, value: &PlainValue, path: &str, nonce: &[u8; NONCE]) -> String {
        let kind = match value {
            PlainValue::Str(_) => "str",
            PlainValue::Int(_) => "int",
            PlainValue::Float(_) => "float",
            PlainValue::Bool(_) => "bool",
            PlainValue::Time(_) => "time",
            PlainValue::Comment(_) => "comment",
        };
        let mut plain = plain_bytes(value);
        if plain.is_empty() {
            return String::new();
        }
        // Encrypted in place: after this the buffer holds no plaintext.
        let mut data = std::mem::take(&mut *plain);
        self.block.keystream(&self.counter(nonce), &mut data);
        let tag = self.tag(nonce, path.as_bytes(), &data);
        format!(
            "ENC[AES256_GCM,data:{},iv:{},tag:{},type:{kind}]",
            BASE64.encode(data),
            BASE64.encode(nonce),
            BASE64.encode(tag)
        )
    }

    /// The first counter block: a nonce of 12 bytes as it is, any other hashed.
    fn counter(&self, nonce: &[u8]) -> Array<u8, U16> {
        let mut counter = Array::<u8, U16>::default();
        if nonce.len() == 12 {
            counter[..12].copy_from_slice(nonce);
            counter[15] = 1;
            return counter;
        }
        let mut hash = self.hash.clone();
        hash.update_padded(nonce);
        counter[8..].copy_from_slice(&bit_length(nonce));
        hash.update(&[counter]);
        hash.finalize()
    }

    fn tag(&self, nonce: &[u8], associated: &[u8], data: &[u8]) -> [u8; TAG] {
        let mut hash = self.hash.clone();
        hash.update_padded(associated);
        hash.update_padded(data);
        let mut lengths = Array::<u8, U16>::default();
        lengths[..8].copy_from_slice(&bit_length(associated));
        lengths[8..].copy_from_slice(&bit_length(data));
        hash.update(&[lengths]);
        let mut mask = self.counter(nonce);
        self.block.encrypt(&mut mask);
        let mut tag = [0; TAG];
        for ((tag, hash), mask) in tag.iter_mut().zip(hash.finalize()).zip(mask) {
            *tag = hash ^ mask;
        }
        tag
    }
}

impl Block {
    fn encrypt(&self, block: &mut Array<u8, U16>) {
        match self {
            Self::Aes128(cipher) => cipher.encrypt_block(block),
            Self::Aes192(cipher) => cipher.encrypt_block(block),
            Self::Aes256(cipher) => cipher.encrypt_block(block),
        }
    }

    fn keystream(&self, counter: &Array<u8, U16>, data: &mut [u8]) {
        match self {
            Self::Aes128(cipher) => counter_mode(cipher, counter, data),
            Self::Aes192(cipher) => counter_mode(cipher, counter, data),
            Self::Aes256(cipher) => counter_mode(cipher, counter, data),
        }
    }
}

/// The bytes that are encrypted and hashed for a value.
pub(crate) fn plain_bytes(value: &PlainValue) -> zeroize::Zeroizing<Vec<u8>> {
    zeroize::Zeroizing::new(match value {
        PlainValue::Str(text) | PlainValue::Comment(text) => text.expose().to_vec(),
        PlainValue::Int(value) => value.to_string().into_bytes(),
        PlainValue::Float(value) => format_float(*value).into_bytes(),
        PlainValue::Bool(value) => if *value { "True" } else { "False" }.into(),
        PlainValue::Time(text) => text.clone().into_bytes(),
    })
}

/// A scalar of a plaintext document as a value that can be encrypted; `None` for null.
pub(crate) fn plain_value(scalar: &Scalar) -> Result<Option<PlainValue>> {
    Ok(Some(match scalar {
        Scalar::Null => return Ok(None),
        Scalar::Str(text) => PlainValue::Str(text.duplicate()),
        Scalar::Int(value) => PlainValue::Int(*value),
        Scalar::Float(value) => PlainValue::Float(*value),
        Scalar::Bool(value) => PlainValue::Bool(*value),
        Scalar::Time(text) => PlainValue::Time(text.clone()),
        Scalar::Unsupported(what) => {
            return Err(
                Error::new("unsupported-value", format!("sops cannot handle {what}"))
                    .with_hint("write the value in quotes"),
            );
        }
    }))
}

/// The parts of the text, decoded; the tag is joined to the data because only their sum is looked at.
struct Envelope<'a> {
    data: Vec<u8>,
    nonce: Vec<u8>,
    kind: &'a str,
}

impl<'a> Envelope<'a> {
    /// As sops reads it: each part reaches as far as it can, text after the last bracket of the line is ignored.
    fn parse(text: &'a str) -> Option<Self> {
        let body = text
            .split('\n')
            .next()?
            .strip_prefix("ENC[AES256_GCM,data:")?;
        let (body, _) = body.rsplit_once(']')?;
        let (body, kind) = split_last(body, ",type:")?;
        let (body, tag) = split_last(body, ",tag:")?;
        let (data, nonce) = split_last(body, ",iv:")?;
        if data.is_empty() {
            return None;
        }
        let mut data = decode(data)?;
        data.extend(decode(tag)?);
        Some(Self {
            data,
            nonce: decode(nonce)?,
            kind,
        })
    }
}

/// Splits at the last separator that has something behind it.
fn split_last<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let at = text
        .rmatch_indices(separator)
        .find(|(at, _)| at + separator.len() < text.len())?
        .0;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.contains('\r') {
        BASE64.decode(text.replace('\r', ""))
    } else {
        BASE64.decode(text)
    }
    .ok()
}

fn typed(plain: Secret, kind: &str) -> Result<PlainValue> {
    let text = || plain.expose_str();
    let value = match kind {
        "str" => return Ok(PlainValue::Str(plain)),
        "comment" => return Ok(PlainValue::Comment(plain)),
        "int" => text().and_then(parse_int).map(PlainValue::Int),
        "float" => text().and_then(parse_float).map(PlainValue::Float),
        "bool" => text().and_then(parse_bool).map(PlainValue::Bool),
        "time" => text()
            .and_then(Timestamp::parse)
            .map(|time| PlainValue::Time(time.to_nanoseconds())),
        "bytes" => {
            return Err(Error::new("damaged", "the value is tagged type:bytes, which no sops can open")
                .with_hint("the type is not authenticated and was probably changed; restore the file from its history"));
        }
        _ => {
            return Err(Error::new("damaged", "the value has an unknown type tag")
                .with_hint("the type is not authenticated and was probably changed; restore the file from its history"));
        }
    };
    value.ok_or_else(|| {
        Error::new("damaged", format!("the value is tagged type:{kind}, but what it holds is not one"))
            .with_hint("the type is not authenticated and was probably changed; restore the file from its history")
    })
}

fn counter_mode<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>>(
    cipher: &C,
    counter: &Array<u8, U16>,
    data: &mut [u8],
) {
    let mut stream = ctr::Ctr32BE::from_core(ctr::CtrCore::inner_iv_init(cipher, counter));
    // The first block masks the tag.
    stream.apply_keystream(&mut [0; 16]);
    stream.apply_keystream(data);
}

fn bit_length(bytes: &[u8]) -> [u8; 8] {
    (bytes.len() as u64 * 8).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IV: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    fn cipher(length: u8) -> Cipher {
        Cipher::new(&DataKey::new(Secret::new((0..length).collect()))).unwrap()
    }

    fn nonce() -> [u8; NONCE] {
        std::array::from_fn(|i| 0x20 + i as u8)
    }

    fn str(text: &str) -> PlainValue {
        PlainValue::Str(Secret::from(text.to_owned()))
    }

    #[test]
    fn known_values() {
        for (value, path, data, tag, kind) in [
            (
                str("hunter2"),
                "db:password:",
                "f7SfPOh95A==",
                "PjY22yRCWRIcuDplnCWrWg==",
                "str",
            ),
            (
                PlainValue::Int(42),
                "n:",
                "I/M=",
                "UzMwOWR3/DEzgoo5/g7l1A==",
                "int",
            ),
            (
                PlainValue::Bool(true),
                "b:",
                "Q7OELQ==",
                "Xq4LZhlfz3uJ5oyclH/P0A==",
                "bool",
            ),
            (
                PlainValue::Float(1.5),
                "f:",
                "Ju/E",
                "uJBeK8Rb0IhyEwRMiZ5ZVA==",
                "float",
            ),
            (
                PlainValue::Comment(Secret::from(" note".to_owned())),
                ":",
                "N6+ePOg=",
                "cPJU+gQfuk2Cck4/gS4NwA==",
                "comment",
            ),
            (
                PlainValue::Time("2020-01-01T00:00:00Z".into()),
                "t:",
                "JfHDeKA/5w72YDJH1rpRz72hh/4=",
                "WS7hQOY0HVj+PLwiHNB48Q==",
                "time",
            ),
        ] {
            let text = format!("ENC[AES256_GCM,data:{data},iv:{IV},tag:{tag},type:{kind}]");
            assert_eq!(cipher(32).encrypt_with(&value, path, &nonce()), text);
            let opened = cipher(32).decrypt(&text, path).unwrap();
            assert_eq!(plain_bytes(&opened), plain_bytes(&value));
            let error = cipher(32).decrypt(&text, "other:").err().unwrap();
            assert_eq!(error.code, "damaged");
        }
    }

    #[test]
    fn short_keys_and_the_empty_text() {
        for length in [16, 24] {
            let text = cipher(length).encrypt(&str("x"), "a:").unwrap();
            assert_eq!(
                *plain_bytes(&cipher(length).decrypt(&text, "a:").unwrap()),
                b"x"
            );
        }
        assert_eq!(cipher(32).encrypt(&str(""), "a:").unwrap(), "");
        for length in [0, 15, 31, 33] {
            assert!(Cipher::new(&DataKey::new(Secret::new(vec![0; length]))).is_err());
        }
    }

    /// Vectors of NIST's GCM specification, test cases 4 to 6: nonces of 12, 8 and 60 bytes.
    #[test]
    fn nonces_of_any_length() {
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect()
        };
        let cipher = Cipher::new(&DataKey::new(Secret::new(bytes(
            "feffe9928665731c6d6a8f9467308308",
        ))))
        .unwrap();
        let plain = bytes(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let associated = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        for (nonce, tag) in [
            (
                "cafebabefacedbaddecaf888",
                "5bc94fbc3221a5db94fae95ae7121a47",
            ),
            ("cafebabefacedbad", "3612d2e79e3b0785561be14aaca2fccb"),
            (
                "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
                "619cc5aefffe0bfa462af43c1699d050",
            ),
        ] {
            let nonce = bytes(nonce);
            let mut data = plain.clone();
            cipher.block.keystream(&cipher.counter(&nonce), &mut data);
            assert_eq!(cipher.tag(&nonce, &associated, &data).to_vec(), bytes(tag));
        }
    }

    #[test]
    fn texts_that_are_no_values() {
        let good = cipher(32).encrypt(&str("x"), "a:").unwrap();
        for text in [
            "",
            "ENC[",
            "ENC[AES256_GCM,data:,iv:AA==,tag:AA==,type:str]",
            &format!(" {good}"),
            &good[..good.len() - 1],
        ] {
            assert!(cipher(32).decrypt(text, "a:").is_err());
        }
        assert!(
            cipher(32)
                .decrypt(&format!("{good} trailing"), "a:")
                .is_ok()
        );
        for kind in ["bytes", "int", "float", "bool", "time", "nonsense"] {
            let error = cipher(32)
                .decrypt(&good.replace("type:str", &format!("type:{kind}")), "a:")
                .err()
                .unwrap();
            assert_eq!(error.code, "damaged");
        }
    }

    #[test]
    fn a_nonce_of_no_bytes_is_refused() {
        let text = "ENC[AES256_GCM,data:AAAA,iv:\r,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]";
        assert!(cipher(32).decrypt(text, "a:").is_err());
    }
}
