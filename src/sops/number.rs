//! Numbers and booleans as Go reads and prints them: the hash over a document and the plaintext behind `ENC[...]` are
//! defined in terms of Go's `strconv` package.

/// A signed decimal of 64 bits; a plus sign and leading zeros are fine, underscores and blanks are not.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// The words Go takes for a boolean.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A float as Go's `ParseFloat` reads it: decimal or hexadecimal, underscores between digits, infinities and NaN in
/// any case. Out of range is an error, as there.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let (negative, body) = split_sign(text);
    let lower = body.to_ascii_lowercase();
    let magnitude = match lower.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        // A NaN has no sign in Go.
        "nan" if body.len() == text.len() => f64::NAN,
        _ if lower.starts_with("0x") => finite(parse_hexadecimal(&strip_underscores(&lower)?)?)?,
        _ => finite(parse_decimal(&strip_underscores(&lower)?)?)?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Shortest digits that read back as the same number, without an exponent.
pub(crate) fn format_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

/// Shortest digits, with an exponent of at least two digits from a million on and below a ten-thousandth.
pub(crate) fn format_float_general(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_float(value);
    }
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}

pub(super) fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Takes underscores out; each must stand between digits (a base prefix counts as one).
fn strip_underscores(text: &str) -> Option<String> {
    if !text.contains('_') {
        return Some(text.to_owned());
    }
    let prefixed = ["0x", "0b", "0o"]
        .iter()
        .any(|prefix| text.starts_with(prefix));
    let hexadecimal = text.starts_with("0x");
    let mut previous = if prefixed { b'0' } else { b'^' };
    for byte in text.bytes().skip(if prefixed { 2 } else { 0 }) {
        let digit = byte.is_ascii_digit() || hexadecimal && byte.is_ascii_hexdigit();
        previous = match byte {
            _ if digit => b'0',
            b'_' if previous == b'0' => b'_',
            b'_' => return None,
            _ if previous == b'_' => return None,
            _ => b'!',
        };
    }
    (previous != b'_').then(|| text.replace('_', ""))
}

/// Rust reads the same decimal grammar once words are excluded.
fn parse_decimal(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    let signed = text.starts_with(['+', '-']);
    (plain && !signed).then(|| text.parse().ok())?
}

/// `0x` mantissa `p` exponent, rounded half to even.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.strip_prefix("0x")?.split_once('p')?;
    let exponent_digits = exponent.trim_start_matches(['+', '-']);
    if exponent_digits.is_empty()
        || exponent.len() > exponent_digits.len() + 1
        || !exponent_digits.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let mut exponent = exponent
        .parse::<i64>()
        .unwrap_or(if exponent.starts_with('-') {
            -100_000
        } else {
            100_000
        });
    exponent = exponent.clamp(-100_000, 100_000);
    let (mut bits, mut sticky, mut any, mut point) = (0_u64, false, false, false);
    for byte in mantissa.bytes() {
        if byte == b'.' && !point {
            point = true;
            continue;
        }
        let digit = u64::from(char::from(byte).to_digit(16)?);
        any = true;
        if bits >> 60 == 0 {
            bits = bits << 4 | digit;
            exponent -= if point { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if point { 0 } else { 4 };
        }
    }
    if !any {
        return None;
    }
    if bits == 0 {
        return Some(0.0);
    }
    // The value is bits * 2^exponent; bring the leading one to bit 63.
    let shift = bits.leading_zeros();
    bits <<= shift;
    exponent -= i64::from(shift);
    let leading = exponent + 63;
    // 53 bits are kept, fewer below the normal range.
    let kept = (53 - (-1022 - leading).max(0)).max(0);
    let dropped = u32::try_from(64 - kept).ok()?;
    let (mut rounded, rest, half) = match dropped {
        64 => (0, bits, 1_u64 << 63),
        _ => (
            bits >> dropped,
            bits & ((1 << dropped) - 1),
            1 << (dropped - 1),
        ),
    };
    if rest > half || rest == half && (sticky || rounded & 1 == 1) {
        rounded += 1;
    }
    // Both factors are exact, and so is their product or it overflows to infinity, which the caller refuses.
    let scale = exponent + i64::from(dropped);
    let scale = i32::try_from(scale).ok()?;
    let rounded = rounded as f64;
    Some(if scale < -1000 {
        rounded * 2_f64.powi(-1000) * 2_f64.powi(scale + 1000)
    } else {
        rounded * 2_f64.powi(scale)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_go_reads_them() {
        for (text, expected) in [
            ("1.5", 1.5),
            ("+5", 5.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1_0.5", 10.5),
            ("0x1p4", 16.0),
            ("0X1.8P1", 3.0),
            ("0x_1p0", 1.0),
            ("infinity", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffff8p0", 2.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000001p0", 1.0 + f64::EPSILON),
            ("0x1.fffffffffffffp1023", f64::MAX),
        ] {
            assert_eq!(parse_float(text), Some(expected), "{text}");
        }
        for text in [
            "", "+", ".", "1e400", "1_", "_1", "1__0", "1_.5", "0x1", "+nan", "1 ", "--1",
            "0x1p1024", "1e", "é",
        ] {
            assert_eq!(parse_float(text), None, "{text}");
        }
        assert!(parse_float("NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn floats_print_without_exponent() {
        for (value, expected) in [
            (1.0, "1"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (-0.0, "-0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format_float(value), expected);
        }
    }
}
