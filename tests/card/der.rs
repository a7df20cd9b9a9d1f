//! As much DER as the certificate beside a key needs, written as age-plugin-yubikey does it.

use p256::elliptic_curve::sec1::ToEncodedPoint as _;

const ORGANIZATION: &str = "age-plugin-yubikey";
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.6.1.4.1.41482.3.8: the policies of a key.
const POLICIES: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0xc4, 0x0a, 3, 8];

/// The object that holds the certificate of a key with these policies. Nobody checks its signature, which is none.
pub(crate) fn certificate_object(key: &p256::PublicKey, name: &str, policies: [u8; 2]) -> Vec<u8> {
    let certificate = certificate(key, name, policies);
    let mut object = tlv(0x70, &certificate);
    object.extend([0x71, 1, 0, 0xfe, 0]);
    object
}

fn certificate(key: &p256::PublicKey, name: &str, policies: [u8; 2]) -> Vec<u8> {
    let algorithm = tlv(0x30, &tlv(0x06, ECDSA_WITH_SHA256));
    let name = sequence(&[
        attribute(&[0x55, 4, 10], ORGANIZATION),
        attribute(&[0x55, 4, 11], "0.5.1"),
        attribute(&[0x55, 4, 3], name),
    ]);
    let validity = sequence(&[tlv(0x17, b"250101000000Z"), tlv(0x18, b"99991231235959Z")]);
    let curve = sequence(&[tlv(0x06, EC_PUBLIC_KEY), tlv(0x06, PRIME256V1)]);
    let point = key.to_encoded_point(false);
    let key = sequence(&[curve, bits(point.as_bytes())]);
    let extension = sequence(&[tlv(0x06, POLICIES), tlv(0x04, &policies)]);
    let to_be_signed = sequence(&[
        tlv(0xa0, &tlv(0x02, &[2])),
        tlv(0x02, &[1]),
        algorithm.clone(),
        name.clone(),
        validity,
        name,
        key,
        tlv(0xa3, &tlv(0x30, &extension)),
    ]);
    let signature = sequence(&[tlv(0x02, &[1]), tlv(0x02, &[1])]);
    sequence(&[to_be_signed, algorithm, bits(&signature)])
}

/// Tag, length, content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut text = vec![tag];
    let length = content.len();
    match length {
        0..0x80 => text.push(u8::try_from(length).unwrap()),
        0x80..0x100 => text.extend([0x81, u8::try_from(length).unwrap()]),
        _ => {
            text.push(0x82);
            text.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    text.extend(content);
    text
}

/// The first element of `text`: tag, content and what follows it.
pub(crate) fn read_tlv(text: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = text.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (
            usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])),
            rest.get(2..)?,
        ),
        length => (usize::from(length), rest),
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn attribute(kind: &[u8], value: &str) -> Vec<u8> {
    let pair = sequence(&[tlv(0x06, kind), tlv(0x0c, value.as_bytes())]);
    tlv(0x31, &pair)
}

fn bits(content: &[u8]) -> Vec<u8> {
    let mut padded = vec![0];
    padded.extend(content);
    tlv(0x03, &padded)
}
