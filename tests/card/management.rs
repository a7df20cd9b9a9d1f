//! The management key of an emulated card: both sides prove to each other that they know it.

use des::{
    TdesEde3,
    cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _},
};

use super::{
    applet::{Answer, REFUSED, WRONG_DATA},
    der::{read_tlv, tlv},
};

const TRIPLE_DES: u8 = 0x03;
/// As newer cards have it; nothing here speaks it.
const AES_192: u8 = 0x0a;
/// What cards leave the factory with.
const FACTORY: [u8; 24] = [
    1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8,
];

pub(super) struct Management {
    algorithm: u8,
    key: [u8; 24],
    /// What the other side has to send back, deciphered.
    witness: Option<[u8; 8]>,
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
        let [TRIPLE_DES, 0x9b, 24, key @ ..] = data else {
            return Err(WRONG_DATA);
        };
        self.key = key.try_into().map_err(|_| WRONG_DATA)?;
        Ok(Vec::new())
    }

    /// The two steps of mutual authentication.
    pub(super) fn authenticate(&mut self, algorithm: u8, data: &[u8]) -> Answer {
        if algorithm != self.algorithm || algorithm != TRIPLE_DES {
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
            let witness = [7; 8];
            self.witness = Some(witness);
            return Ok(tlv(0x7c, &tlv(0x80, &self.encrypt(witness))));
        }
        let witness = self.witness.take().ok_or(WRONG_DATA)?;
        if first != witness {
            return Err(REFUSED);
        }
        let (0x81, challenge, _) = read_tlv(rest).ok_or(WRONG_DATA)? else {
            return Err(WRONG_DATA);
        };
        let challenge = challenge.try_into().map_err(|_| WRONG_DATA)?;
        self.authenticated = true;
        Ok(tlv(0x7c, &tlv(0x82, &self.encrypt(challenge))))
    }

    fn encrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let cipher = TdesEde3::new(&self.key.into());
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        block.into()
    }
}

#[test]
fn ciphers_turn_back() {
    let management = Management::new(false);
    let mut block = management.encrypt([1; 8]).into();
    TdesEde3::new(&FACTORY.into()).decrypt_block(&mut block);
    assert_eq!(<[u8; 8]>::from(block), [1; 8]);
}
