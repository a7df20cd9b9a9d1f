//! Which texts age takes for a recipient, told apart by prefix as sops does it.

use super::{shown, ssh};

/// Bytes of an X25519 key.
const X25519: usize = 32;
/// Coefficients, and bytes, of the ML-KEM-768 key in front of the X25519 key of a post-quantum recipient.
const ML_KEM_COEFFICIENTS: usize = 768;
const ML_KEM: usize = ML_KEM_COEFFICIENTS / 2 * 3 + 32;
const ML_KEM_MODULUS: u16 = 3329;

/// What is wrong with a text that is of another kind altogether.
pub(crate) const NO_AGE_KEY: &str = "it begins with neither age1 nor ssh-";

/// Says what is wrong with `text`, which is trimmed.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let result = if text.starts_with("age1pq1") {
        post_quantum(text)
    } else if text.starts_with("age1") && text.matches('1').count() > 1 {
        plugin(text)
    } else if text.starts_with("age1") {
        native(text)
    } else if text.starts_with("ssh-") {
        ssh::check(text)
    } else if text.is_empty() {
        return Err("an empty recipient, perhaps a comma too many".to_owned());
    } else if super::is_private_key(text) {
        return Err("a private key stands where a recipient belongs".to_owned());
    } else {
        Err(NO_AGE_KEY.to_owned())
    };
    result.map_err(|why| format!("{} is not a recipient: {why}", shown(text)))
}

fn native(text: &str) -> Result<(), String> {
    let (name, key) = bech32(text)?;
    if name != "age" || key.len() != X25519 {
        return Err("an age key holds 32 bytes".to_owned());
    }
    Ok(())
}

fn post_quantum(text: &str) -> Result<(), String> {
    let (name, key) = bech32(text)?;
    let coefficients = key.get(..ML_KEM_COEFFICIENTS / 2 * 3).unwrap_or_default();
    let (triples, _) = coefficients.as_chunks::<3>();
    let in_range = triples.iter().all(|&[a, b, c]| {
        let (a, b, c) = (u16::from(a), u16::from(b), u16::from(c));
        (a | (b & 0xf) << 8) < ML_KEM_MODULUS && (b >> 4 | c << 4) < ML_KEM_MODULUS
    });
    if name != "age1pq" || key.len() != ML_KEM + X25519 || !in_range {
        return Err("this is no ML-KEM-768 and X25519 key".to_owned());
    }
    Ok(())
}

fn plugin(text: &str) -> Result<(), String> {
    let (name, _) = bech32(text)?;
    let name = name.strip_prefix("age1").unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        return Err("it names no age plugin".to_owned());
    }
    Ok(())
}

/// Decodes Bech32 of any length; upper case is refused, since recipients begin with `age1`.
fn bech32(text: &str) -> Result<(&str, Vec<u8>), String> {
    const DIGITS: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let damaged = |what: &str| format!("{what} (a character lost, changed or too many)");
    if text.contains(char::is_whitespace) {
        return Err("there is white space in it; are two keys melted into one?".to_owned());
    }
    if !text
        .bytes()
        .all(|byte| (33..=126).contains(&byte) && !byte.is_ascii_uppercase())
    {
        return Err(damaged("it has characters that do not belong there"));
    }
    let (name, data) = text.rsplit_once('1').unwrap_or_default();
    let digit = |c| DIGITS.find(c).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = data.chars().map(digit).collect();
    let digits = digits.ok_or_else(|| damaged("it has characters that do not belong there"))?;
    if name.is_empty() || digits.len() < 6 || checksum(name, &digits) != 1 {
        return Err(damaged("its checksum is wrong"));
    }
    let payload = digits.get(..digits.len() - 6).unwrap_or_default();
    let mut bytes = Vec::with_capacity(payload.len() * 5 / 8);
    let (mut bits, mut count) = (0u32, 0u32);
    for &digit in payload {
        bits = (bits << 5 | u32::from(digit)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            let [.., byte] = (bits >> count).to_be_bytes();
            bytes.push(byte);
        }
    }
    if count >= 5 || bits & ((1 << count) - 1) != 0 {
        return Err(damaged("its last character is wrong"));
    }
    Ok((name, bytes))
}

fn checksum(name: &str, digits: &[u8]) -> u32 {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let high = name.bytes().map(|byte| byte >> 5);
    let low = name.bytes().map(|byte| byte & 31);
    let all = high.chain([0]).chain(low).chain(digits.iter().copied());
    all.fold(1, |sum: u32, value| {
        let mut next = (sum & 0x1ff_ffff) << 5 ^ u32::from(value);
        for (bit, generator) in GENERATOR.iter().enumerate() {
            if sum >> 25 >> bit & 1 == 1 {
                next ^= generator;
            }
        }
        next
    })
}
