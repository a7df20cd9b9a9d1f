//! Texts with a unit: durations, sizes and file modes.

use std::time::Duration;

/// `200ms`, `2s`, `5m`, `8h`, `1d`; a bare number is refused, except zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == 0 => 0,
        "" => {
            return Err(format!(
                "the duration `{text}` has no unit: write for example `{text}s` or `{text}ms`"
            ));
        }
        _ => {
            return Err(format!(
                "`{text}` is no duration: the units are ms, s, m, h and d"
            ));
        }
    };
    match number.checked_mul(factor) {
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err(format!("the duration `{text}` is too long")),
    }
}

/// `512B`, `64KiB`, `64MiB`, `1GiB` and their decimal relatives `kB`, `MB`, `GB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "" => {
            return Err(format!(
                "the size `{text}` has no unit: write for example `{text}MiB` or `{text}B`"
            ));
        }
        _ => {
            return Err(format!(
                "`{text}` is no size: the units are B, KiB, MiB, GiB, kB, MB and GB"
            ));
        }
    };
    match number.checked_mul(factor) {
        Some(0) => Err("a size of zero admits no file".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err(format!("the size `{text}` is too large")),
    }
}

/// `0400`: three or four octal digits. Set-user-id, set-group-id and sticky have no business on a secret.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    if !(3..=4).contains(&digits.len())
        || !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
    {
        return Err(format!(
            "`{text}` is no file mode: write three or four octal digits, such as \"0400\""
        ));
    }
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode > 0o777 => Err(format!(
            "the mode `{text}` has special bits; only permission bits are allowed"
        )),
        Ok(mode) => Ok(mode),
        Err(_) => Err(format!("`{text}` is no file mode")),
    }
}

fn split(text: &str) -> Result<(u64, &str), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    match number.parse() {
        Ok(number) => Ok((number, unit.trim_start())),
        Err(_) => Err(format!("`{text}` is not a whole number with a unit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_required() {
        assert_eq!(duration("200ms").unwrap(), Duration::from_millis(200));
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        assert_eq!(duration("2 h").unwrap(), Duration::from_secs(7200));
        for bad in [
            "",
            "5",
            "s",
            "-5s",
            "1.5s",
            "5 weeks",
            "99999999999999999d",
            "99999999999999999999s",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(size("64MiB").unwrap(), 64 << 20);
        for bad in ["64", "0MiB", "MiB", "1TiB", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn modes_are_octal_without_special_bits() {
        assert_eq!(mode("0440").unwrap(), 0o440);
        assert_eq!(mode("600").unwrap(), 0o600);
        for bad in ["", "4", "0800", "04000", "4755", "1777", "rw", "-400"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
