//! What a scalar means to go-yaml v3.0.4: neither YAML 1.1 nor 1.2.

use super::{Content, Node, Style, YamlError, time};

/// The meaning of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolved {
    /// `null`, `~`, or nothing.
    Null,
    /// `true` or `false`; `yes`, `on` and the like are strings.
    Bool(bool),
    /// An integer of 64 bits with sign.
    Int(i64),
    /// An integer that only fits without sign. sops cannot store it.
    Uint(u64),
    /// A number with a fraction or exponent, or `.inf`, `.nan`.
    Float(f64),
    /// A date or time, as RFC 3339 with the fraction's trailing zeros left out.
    Time(String),
    /// The text itself is the value.
    Str,
    /// What `!!binary` stands for.
    Binary(Vec<u8>),
}

impl Resolved {
    fn tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Uint(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Time(_) => "!!timestamp",
            Self::Str => "!!str",
            Self::Binary(_) => "!!binary",
        }
    }
}

/// The meaning of the plain scalar `text` without a tag.
pub fn resolve(text: &str) -> Resolved {
    typed(text, true)
}

impl Node {
    /// The meaning of a scalar with its tag and quotes; `None` for any other node.
    ///
    /// # Errors
    ///
    /// A text that is not what its explicit tag says.
    pub fn resolve(&self) -> Result<Option<Resolved>, YamlError> {
        let Content::Scalar { text, style } = &self.content else {
            return Ok(None);
        };
        let tag = self.tag.as_ref().map_or("!", |tag| tag.name.as_str());
        let wrong = |message: String| YamlError::new(message, self.line, self.column);
        let resolved = match tag {
            "!" | "" if *style == Style::Plain => resolve(text),
            "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp" => {
                let found = typed(text, tag == "!!timestamp");
                match (tag, found) {
                    ("!!float", Resolved::Int(number)) => Resolved::Float(rounded(number)),
                    (_, found) if found.tag() == tag => found,
                    (_, found) => {
                        return Err(wrong(format!("cannot decode {} as a {tag}", found.tag())));
                    }
                }
            }
            "!!binary" => match base64(text) {
                Some(bytes) => Resolved::Binary(bytes),
                None => {
                    return Err(wrong(
                        "!!binary value contains invalid base64 data".to_owned(),
                    ));
                }
            },
            _ => Resolved::Str,
        };
        Ok(Some(resolved))
    }
}

/// As Go converts an `int` to a `float64`.
#[expect(clippy::cast_precision_loss, reason = "to the nearest, as Go does")]
fn rounded(number: i64) -> f64 {
    number as f64
}

fn typed(text: &str, times: bool) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Resolved::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.bytes().next() {
        Some(b'.') => float(text, true).map_or(Resolved::Str, Resolved::Float),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            let time = if times { time::parse(text) } else { None };
            time.map(Resolved::Time)
                .or_else(|| number(text))
                .unwrap_or(Resolved::Str)
        }
        _ => Resolved::Str,
    }
}

fn number(text: &str) -> Option<Resolved> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix(['+', '-']) {
        Some(digits) => (plain.starts_with('-'), digits),
        None => (false, plain.as_str()),
    };
    let signed = digits.len() < plain.len();
    match magnitude(digits) {
        Some(size) if negative => {
            if let Some(number) = 0i64.checked_sub_unsigned(size) {
                return Some(Resolved::Int(number));
            }
        }
        Some(size) => match i64::try_from(size) {
            Ok(number) => return Some(Resolved::Int(number)),
            Err(_) if !signed => return Some(Resolved::Uint(size)),
            Err(_) => {}
        },
        None => {}
    }
    float(&plain, false).map(Resolved::Float)
}

/// An integer without sign, in the base that its prefix says.
fn magnitude(digits: &str) -> Option<u64> {
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', _, ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', _, ..] => (2, digits.get(2..)?),
        [b'0'] => return Some(0),
        [b'0', ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // The standard parser takes a sign here, too.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

/// A decimal number. `underscores`: between digits they are let through, as Go's own parser does.
fn float(text: &str, underscores: bool) -> Option<f64> {
    let between_digits = |at: usize, bytes: &[u8]| {
        let digit = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at))
                .is_some_and(u8::is_ascii_digit)
        };
        digit(at.checked_sub(1)) && digit(at.checked_add(1))
    };
    let bytes = text.as_bytes();
    let mut plain = String::with_capacity(text.len());
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'_' if underscores && between_digits(at, bytes) => {}
            b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-' => plain.push(char::from(byte)),
            _ => return None,
        }
    }
    // Rust's grammar for what is left is go-yaml's; only too large a number is infinite to one and no number to the other.
    plain.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Base64 as Go's standard decoder reads it: line breaks are ignored, padding is required.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    if !digits.len().is_multiple_of(4) {
        return None;
    }
    let padding = digits
        .iter()
        .rev()
        .take_while(|&&byte| byte == b'=')
        .count();
    if padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for &digit in digits.iter().take(digits.len() - padding) {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let [.., byte] = (bits >> count).to_be_bytes();
            bytes.push(byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        use Resolved::{Bool, Float, Int, Null, Str, Uint};
        let cases = [
            ("", Null),
            ("~", Null),
            ("NULL", Null),
            ("nULL", Str),
            ("true", Bool(true)),
            ("FALSE", Bool(false)),
            ("tRUE", Str),
            ("yes", Str),
            ("on", Str),
            ("<<", Str),
            ("010", Int(8)),
            ("08", Float(8.0)),
            ("0o17", Int(15)),
            ("1_000", Int(1000)),
            ("1__0", Int(10)),
            ("0x_1F", Int(31)),
            ("0X1f", Int(31)),
            ("-0x1F", Int(-31)),
            ("0b11", Int(3)),
            ("1e3", Float(1000.0)),
            ("1.", Float(1.0)),
            ("-0", Int(0)),
            ("+5", Int(5)),
            ("1:30", Str),
            ("-", Str),
            ("--5", Str),
            ("0x", Str),
            ("0", Int(0)),
            ("00", Int(0)),
            ("9223372036854775807", Int(i64::MAX)),
            ("-9223372036854775808", Int(i64::MIN)),
            ("9223372036854775808", Uint(1 << 63)),
            ("18446744073709551615", Uint(u64::MAX)),
            ("+9223372036854775808", Float(9_223_372_036_854_775_808.0)),
            ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
            ("1e400", Str),
            ("1e-400", Float(0.0)),
            (".5", Float(0.5)),
            (".5e1", Float(5.0)),
            (".", Str),
            (".e1", Str),
            ("..", Str),
            ("1.5.2", Str),
            ("+.inf", Float(f64::INFINITY)),
            ("-.INF", Float(f64::NEG_INFINITY)),
            ("+.nan", Str),
            (".iNF", Str),
            ("1e", Str),
            ("e1", Str),
            ("0x1p4", Str),
            ("infinity", Str),
            ("+inf", Str),
            ("2020-13-45", Str),
            ("0x-5", Str),
            ("5 ", Str),
            ("_5", Str),
            ("٣", Str),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text), expected, "{text}");
        }
        assert!(matches!(resolve(".NaN"), Float(number) if number.is_nan()));
    }

    #[test]
    fn go_decoder_of_base64() {
        assert_eq!(base64("aGk="), Some(b"hi".to_vec()));
        assert_eq!(base64("aG\nk=\n"), Some(b"hi".to_vec()));
        assert_eq!(base64("aGl="), Some(b"hi".to_vec()));
        assert_eq!(base64("aGk"), None);
        assert_eq!(base64("a==="), None);
        assert_eq!(base64(""), Some(Vec::new()));
    }
}
