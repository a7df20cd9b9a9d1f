//! The management key where it is one of AES, as newer cards have it: the library speaks 3DES only. Both sides prove that
//! they know the key, over a connection of our own to the card that the library has open; the card does not tell the two
//! apart.

use std::ffi::CString;

use aes::{
    Aes128, Aes192, Aes256,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use subtle::ConstantTimeEq as _;

use super::wire::Refusal;
use crate::secret::Secret;

/// How the card calls the key.
const KEY: u8 = 0x9b;
/// What cards leave the factory with, as often as the kind of key needs it.
const FACTORY: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// The object behind the PIN in which the key may be kept.
const PROTECTED: [u8; 3] = [0x5f, 0xc1, 0x09];
const BLOCK: usize = 16;

type Done<T> = Result<T, Refusal>;
type Block = [u8; BLOCK];

/// Proves to the card in `reader` that the management key is known: the one behind the PIN, which must have been given,
/// or the factory's.
pub(super) fn authenticate(reader: &str) -> Done<()> {
    let context = pcsc::Context::establish(pcsc::Scope::System).map_err(refusal)?;
    let reader = CString::new(reader).map_err(|_| Refusal::Nonsense)?;
    let mut card = context
        .connect(&reader, pcsc::ShareMode::Shared, pcsc::Protocols::T1)
        .map_err(refusal)?;
    let done = card
        .transaction()
        .map_err(refusal)
        .and_then(|connection| prove(&connection));
    // The state of the card is all that this was for.
    let _ = card.disconnect(pcsc::Disposition::LeaveCard);
    done
}

fn prove(connection: &pcsc::Transaction<'_>) -> Done<()> {
    let described = ask(connection, &[0, 0xf7, 0, KEY, 0])?.ok_or(Refusal::ManagementKind)?;
    let algorithm = match find(described.expose(), 1) {
        Some([algorithm]) => *algorithm,
        _ => return Err(Refusal::Nonsense),
    };
    let [a, b, c] = PROTECTED;
    let request = [0, 0xcb, 0x3f, 0xff, 5, 0x5c, 3, a, b, c];
    let object = ask(connection, &request)?.unwrap_or_default();
    let protected = find(object.expose(), 0x53)
        .and_then(|object| find(object, 0x88))
        .and_then(|keys| find(keys, 0x89));
    for key in protected.into_iter().chain([FACTORY.repeat(4).as_slice()]) {
        let cipher = Cipher::new(algorithm, key)?;
        if cipher.is_some_and(|cipher| cipher.prove(connection, algorithm).is_ok()) {
            return Ok(());
        }
    }
    Err(Refusal::ManagementKey)
}

enum Cipher {
    Aes128(Box<Aes128>),
    Aes192(Box<Aes192>),
    Aes256(Box<Aes256>),
}

impl Cipher {
    /// With as much of `key` as it needs; `None` where that is not enough.
    fn new(algorithm: u8, key: &[u8]) -> Done<Option<Self>> {
        fn made<C: KeyInit>(key: &[u8], length: usize) -> Option<Box<C>> {
            C::new_from_slice(key.get(..length)?).ok().map(Box::new)
        }
        Ok(match algorithm {
            0x08 => made(key, 16).map(Self::Aes128),
            0x0a => made(key, 24).map(Self::Aes192),
            0x0c => made(key, 32).map(Self::Aes256),
            _ => return Err(Refusal::ManagementKind),
        })
    }

    fn prove(&self, connection: &pcsc::Transaction<'_>, algorithm: u8) -> Done<()> {
        let request = [0, 0x87, algorithm, KEY, 4, 0x7c, 2, 0x80, 0];
        let witness = ask(connection, &request)?.ok_or(Refusal::ManagementKey)?;
        let witness = self.decrypt(block(&witness, 0x80)?);
        let mut challenge = [0; BLOCK];
        getrandom::fill(&mut challenge).map_err(|_| Refusal::Nonsense)?;
        let mut request = Secret::new(vec![0, 0x87, algorithm, KEY, 0x26, 0x7c, 0x24, 0x80, 0x10]);
        request.push(&witness);
        request.push(&[0x81, 0x10]);
        request.push(&challenge);
        let answer = ask(connection, request.expose())?.ok_or(Refusal::ManagementKey)?;
        let expected = self.encrypt(challenge);
        match bool::from(expected.ct_eq(&block(&answer, 0x82)?)) {
            true => Ok(()),
            false => Err(Refusal::ManagementKey),
        }
    }

    fn encrypt(&self, block: Block) -> Block {
        let mut block = Array::from(block);
        match self {
            Self::Aes128(cipher) => cipher.encrypt_block(&mut block),
            Self::Aes192(cipher) => cipher.encrypt_block(&mut block),
            Self::Aes256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }

    fn decrypt(&self, block: Block) -> Block {
        let mut block = Array::from(block);
        match self {
            Self::Aes128(cipher) => cipher.decrypt_block(&mut block),
            Self::Aes192(cipher) => cipher.decrypt_block(&mut block),
            Self::Aes256(cipher) => cipher.decrypt_block(&mut block),
        }
        block.into()
    }
}

/// The block in `7C len TAG 10 …`.
fn block(answer: &Secret, tag: u8) -> Done<Block> {
    find(answer.expose(), 0x7c)
        .and_then(|inner| find(inner, tag))
        .and_then(|block| block.try_into().ok())
        .ok_or(Refusal::Nonsense)
}

/// The answer to one short command; `None`: the card refuses it.
fn ask(connection: &pcsc::Transaction<'_>, command: &[u8]) -> Done<Option<Secret>> {
    let mut buffer = zeroize::Zeroizing::new([0; 261]);
    let answer = connection
        .transmit(command, buffer.as_mut_slice())
        .map_err(refusal)?;
    match answer.split_last_chunk::<2>() {
        Some((data, [0x90, 0x00])) => Ok(Some(Secret::new(data.to_vec()))),
        Some(_) => Ok(None),
        None => Err(Refusal::Nonsense),
    }
}

/// The content of the first element with this tag. Lengths of one byte are all that these answers have.
fn find(mut text: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [tag, length, rest @ ..] = text {
        let (content, after) = rest.split_at_checked(usize::from(*length))?;
        if *tag == wanted {
            return Some(content);
        }
        text = after;
    }
    None
}

fn refusal(error: pcsc::Error) -> Refusal {
    super::card::refusal(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_and_broken_ones_are_not() {
        assert_eq!(find(&[1, 1, 9, 2, 2, 7, 8], 2), Some(&[7, 8][..]));
        assert_eq!(find(&[1, 1, 9, 2, 2, 7], 2), None);
        assert_eq!(find(&[1, 1, 9, 2], 2), None);
        assert_eq!(find(&[], 2), None);
    }

    #[test]
    fn ciphers_turn_back() {
        for algorithm in [0x08, 0x0a, 0x0c] {
            let cipher = Cipher::new(algorithm, &FACTORY.repeat(4)).unwrap().unwrap();
            assert_eq!(cipher.decrypt(cipher.encrypt([7; 16])), [7; 16]);
            assert!(Cipher::new(algorithm, &[1; 15]).unwrap().is_none());
        }
        assert!(Cipher::new(0x03, &FACTORY.repeat(4)).is_err());
    }
}
