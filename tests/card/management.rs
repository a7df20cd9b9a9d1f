//! The management key of an emulated card: both sides prove to each other that they know it.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use des::cipher::{BlockEncrypt as _, KeyInit as _};

use super::{
    applet::{Answer, REFUSED, WRONG_DATA},
    der::{read_tlv, tlv},
};

const TRIPLE_DES: u8 = 0x03;
/// As newer cards have it.
const AES_192: u8 = 0x0a;
/// What cards leave the factory with.
const FACTORY: [u8; 24] = [
    1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8,
];

pub(super) struct Management {
    algorithm: u8,
    pub(super) key: [u8; 24],
    /// What the other side has to send back, deciphered.
    witness: Option<Vec<u8>>,
    authenticated: bool,
}

impl Management {
    pub(super) fn new(aes: bool) -> Self {
        Self {
            algorithm: if aes { AES_192 } else { TRIPLE_DES },
            key: FACTORY,
            witness: None,
            authenticated: false,
        }
    }

    pub(super) fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    pub(super) fn forget(&mut self) {
        self.authenticated = false;
        self.witness = None;
    }

    pub(super) fn metadata(&self) -> Vec<u8> {
        let is_default = u8::from(self.key == FACTORY);
        [
            tlv(1, &[self.algorithm]),
            tlv(2, &[0, 1]),
            tlv(5, &[is_default]),
        ]
        .concat()
    }

    /// Another key of the same kind.
    pub(super) fn set(&mut self, data: &[u8]) -> Answer {
        if !self.authenticated {
            return Err(REFUSED);
        }
        let [algorithm, 0x9b, 24, key @ ..] = data else {
            return Err(WRONG_DATA);
        };
        if *algorithm != self.algorithm {
            return Err(WRONG_DATA);
        }
        self.key = key.try_into().map_err(|_| WRONG_DATA)?;
        Ok(Vec::new())
    }

    /// The two steps of mutual authentication.
    pub(super) fn authenticate(&mut self, algorithm: u8, data: &[u8]) -> Answer {
        if algorithm != self.algorithm {
            return Err(WRONG_DATA);
        }
        let (0x7c, inner, _) = read_tlv(data).ok_or(WRONG_DATA)? else {
            return Err(WRONG_DATA);
        };
        let (0x80, first, rest) = read_tlv(inner).ok_or(WRONG_DATA)? else {
            return Err(WRONG_DATA);
        };
        if first.is_empty() {
            // Not random: nobody attacks it.
            let witness = vec![7; self.block()];
            let answer = self.encrypt(&witness);
            self.witness = Some(witness);
            return Ok(tlv(0x7c, &tlv(0x80, &answer)));
        }
        let witness = self.witness.take().ok_or(WRONG_DATA)?;
        if first != witness {
            return Err(REFUSED);
        }
        let (0x81, challenge, _) = read_tlv(rest).ok_or(WRONG_DATA)? else {
            return Err(WRONG_DATA);
        };
        if challenge.len() != self.block() {
            return Err(WRONG_DATA);
        }
        self.authenticated = true;
        Ok(tlv(0x7c, &tlv(0x82, &self.encrypt(challenge))))
    }

    fn block(&self) -> usize {
        if self.algorithm == AES_192 { 16 } else { 8 }
    }

    /// One block.
    fn encrypt(&self, block: &[u8]) -> Vec<u8> {
        if self.algorithm == AES_192 {
            let block: [u8; 16] = block.try_into().unwrap();
            let mut block = aes::cipher::Array::from(block);
            aes::Aes192::new(&self.key.into()).encrypt_block(&mut block);
            return block.to_vec();
        }
        let block: [u8; 8] = block.try_into().unwrap();
        let mut block = block.into();
        des::TdesEde3::new(&self.key.into()).encrypt_block(&mut block);
        block.to_vec()
    }
}
