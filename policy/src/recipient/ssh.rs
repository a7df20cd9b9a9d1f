//! SSH public keys as Go reads a line of `authorized_keys`.

use curve25519_dalek::edwards::CompressedEdwardsY;

use crate::yaml::base64;

const MIN_RSA_BYTES: usize = 2048 / 8;
const MAX_RSA_BITS: usize = 8192;

/// Says what is wrong with `text`. As in Go, the first line that holds a key counts and the rest is ignored.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut last = Err("it holds no key".to_owned());
    for line in text.split('\n') {
        let line = line.split('\r').next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((kind, rest)) = line.split_once([' ', '\t']) else {
            continue;
        };
        match key(kind, rest) {
            Ok(checked) => return checked,
            Err(error) => last = Err(error),
        }
        // Perhaps options stand in front of the key.
        let Some(options) = options_end(line) else {
            continue;
        };
        let line = line
            .get(options..)
            .unwrap_or_default()
            .trim_start_matches([' ', '\t']);
        if let Some((kind, rest)) = line.split_once([' ', '\t'])
            && let Ok(checked) = key(kind, rest)
        {
            return checked;
        }
    }
    last
}

/// The outer error: this is no key, look further. The inner one: a key that age does not take.
fn key(kind: &str, rest: &str) -> Result<Result<(), String>, String> {
    let encoded = rest.trim().split([' ', '\t']).next().unwrap_or_default();
    let broken = || "the key is damaged (a character lost or changed)".to_owned();
    let blob = base64(encoded).ok_or_else(broken)?;
    let mut fields = blob.as_slice();
    let name = take(&mut fields).ok_or_else(broken)?;
    let checked = match name {
        b"ssh-ed25519" => {
            let point = take(&mut fields).ok_or_else(broken)?;
            let point = CompressedEdwardsY::from_slice(point).map_err(|_| broken())?;
            match point.decompress() {
                Some(_) => Ok(()),
                None => Err("the key is no point of the curve".to_owned()),
            }
        }
        b"ssh-rsa" => {
            let exponent = take(&mut fields).and_then(number).ok_or_else(broken)?;
            let modulus = take(&mut fields).and_then(number).ok_or_else(broken)?;
            let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
            if bits(modulus) > MAX_RSA_BITS || exponent.len() > 3 || !odd || exponent == [1] {
                return Err("the RSA key has impossible numbers".to_owned());
            }
            if modulus.len() < MIN_RSA_BYTES {
                Err("the RSA key is smaller than 2048 bits".to_owned())
            } else {
                Ok(())
            }
        }
        _ => {
            let name = String::from_utf8_lossy(name);
            return Err(format!(
                "age takes SSH keys of type ed25519 and rsa only, not {name:?}"
            ));
        }
    };
    if !fields.is_empty() {
        return Err(broken());
    }
    if name != kind.as_bytes() {
        return Err("its type is not that of the key behind it".to_owned());
    }
    Ok(checked)
}

/// Takes a field off the wire format.
fn take<'b>(fields: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, rest) = fields.split_first_chunk::<4>()?;
    let (field, rest) =
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *fields = rest;
    Some(field)
}

/// A positive number without leading zeros.
fn number(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.first().is_none_or(|first| first & 0x80 != 0) {
        return None;
    }
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    bytes.get(zeros..)
}

fn bits(number: &[u8]) -> usize {
    let lead = number
        .first()
        .map_or(0, |first| first.leading_zeros() as usize);
    number.len() * 8 - lead
}

/// Where options end: at the first blank outside of double quotes; `None` when the line ends before.
fn options_end(line: &str) -> Option<usize> {
    let mut quoted = false;
    let mut before = b' ';
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b' ' | b'\t' if !quoted => return Some(at),
            b'"' if before != b'\\' => quoted = !quoted,
            _ => {}
        }
        before = byte;
    }
    None
}
