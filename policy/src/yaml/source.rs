//! From bytes to text: byte order marks and UTF-16, as go-yaml's reader takes them.

use std::borrow::Cow;

use super::YamlError;

/// The text of a YAML file: UTF-8 without or with a byte order mark, UTF-16 only with one. The mark is left out.
///
/// # Errors
///
/// Bytes that are not valid in the encoding.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, YamlError> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).map(Cow::Owned),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest).map(Cow::Borrowed),
        _ => utf8(bytes).map(Cow::Borrowed),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, YamlError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (valid, _) = bytes.split_at(error.valid_up_to());
        let valid = String::from_utf8_lossy(valid);
        let (line, column) = position(&valid, valid.len());
        YamlError::new("the text is not valid UTF-8", line, column)
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, YamlError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for decoded in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        let Ok(decoded) = decoded else {
            return Err(not_utf16(&text));
        };
        text.push(decoded);
    }
    if rest.is_empty() {
        Ok(text)
    } else {
        Err(not_utf16(&text))
    }
}

fn not_utf16(before: &str) -> YamlError {
    let (line, column) = position(before, before.len());
    YamlError::new("the text is not valid UTF-16", line, column)
}

/// Line and column, both from 1, of the byte `offset`.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// Whether go-yaml's reader lets this character through.
pub(super) fn is_allowed(ch: char) -> bool {
    matches!(
        ch,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let expected = "a: é\n";
        let units: Vec<u16> = expected.encode_utf16().collect();
        let little: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(units.iter().flat_map(|u| u.to_le_bytes()))
            .collect();
        let big: Vec<u8> = [0xfe, 0xff]
            .into_iter()
            .chain(units.iter().flat_map(|u| u.to_be_bytes()))
            .collect();
        for bytes in [
            &little[..],
            &big[..],
            "\u{feff}a: é\n".as_bytes(),
            expected.as_bytes(),
        ] {
            assert_eq!(decode(bytes).unwrap(), expected);
        }
        let odd = decode(&[0xff, 0xfe, b'a']).unwrap_err();
        assert_eq!((odd.line, odd.column), (1, 1));
        let bad = decode(b"a: b\nc: \xff").unwrap_err();
        assert_eq!((bad.line, bad.column), (2, 4));
    }
}
