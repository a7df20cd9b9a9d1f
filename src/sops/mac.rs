//! The hash over all values of a document, which makes them belong together.

use sha2::{Digest, Sha512};

use crate::sops::{format::PlainValue, value::plain_bytes};

/// SHA-256 of `sops`: fed first where only encrypted values count, so that the setting cannot be changed unseen.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// A running hash; values are added in document order.
pub(crate) struct Mac {
    hash: Sha512,
    only_encrypted: bool,
}

impl Mac {
    /// The hash of a document without values.
    pub(crate) fn new(only_encrypted: bool) -> Self {
        let mut hash = Sha512::new();
        if only_encrypted {
            hash.update(ONLY_ENCRYPTED);
        }
        Self {
            hash,
            only_encrypted,
        }
    }

    /// Adds a value. Comments never count.
    pub(crate) fn add(&mut self, value: &PlainValue, encrypted: bool) {
        if matches!(value, PlainValue::Comment(_)) || self.only_encrypted && !encrypted {
            return;
        }
        self.hash.update(plain_bytes(value));
    }

    /// 128 hexadecimal digits in capitals.
    pub(crate) fn finish(self) -> String {
        self.hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn known_hashes() {
        let word = || PlainValue::Str(Secret::from("hunter2".to_owned()));
        let mut mac = Mac::new(false);
        for value in [
            word(),
            PlainValue::Int(42),
            PlainValue::Bool(true),
            PlainValue::Float(1.5),
        ] {
            mac.add(&value, false);
        }
        mac.add(
            &PlainValue::Comment(Secret::from("not counted".to_owned())),
            true,
        );
        assert_eq!(
            mac.finish(),
            "C1C1E89B73685CEE34A65001B13CBB66D66E3ECBEE5251440EFB60C22F7BAFB1\
             A115EA715A5306882C13079A21BA5C5149A3655C69222340A010799BDAE39765"
        );
        let mut mac = Mac::new(true);
        mac.add(&word(), true);
        mac.add(&PlainValue::Int(42), false);
        assert_eq!(
            mac.finish(),
            "31CD661315959FEF3255F3440FA54D16E94E02DADFA16194DD9BACD1EE881561\
             46C2BFF940C0B3598DD8237955BE84FD84FA02872113F896DCB51A6E4473008A"
        );
    }
}
