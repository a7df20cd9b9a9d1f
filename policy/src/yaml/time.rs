//! Dates and times as go-yaml v3 takes them with Go's `time.Parse`.

/// The time that `text` spells, as RFC 3339 with nanoseconds and without trailing zeros; `None` where it is no time.
pub(super) fn parse(text: &str) -> Option<String> {
    let mut rest = text;
    let year = digits(&mut rest, 4, 4)?;
    let year_text = text.get(..4)?;
    rest = rest.strip_prefix('-')?;
    let month = digits(&mut rest, 1, 2).filter(|month| (1..=12).contains(month))?;
    rest = rest.strip_prefix('-')?;
    let day = digits(&mut rest, 1, 2).filter(|&day| day >= 1 && day <= days(year, month))?;
    let date = format!("{year_text}-{month:02}-{day:02}");
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let zoned = rest.starts_with(['T', 't']);
    rest = if zoned {
        rest.get(1..)?
    } else {
        rest.strip_prefix(' ')?.trim_start_matches(' ')
    };
    let hour = digits(&mut rest, 1, 2).filter(|&hour| hour < 24)?;
    rest = rest.strip_prefix(':')?;
    let minute = digits(&mut rest, 1, 2).filter(|&minute| minute < 60)?;
    rest = rest.strip_prefix(':')?;
    let second = digits(&mut rest, 1, 2).filter(|&second| second < 60)?;
    let fraction = fraction(&mut rest);
    let zone = if zoned {
        zone(&mut rest)?
    } else {
        "Z".to_owned()
    };
    rest.is_empty()
        .then(|| format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

/// A number of `least` to `most` digits.
fn digits(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let count = rest
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if count < least {
        return None;
    }
    let (number, after) = rest.split_at_checked(count)?;
    *rest = after;
    number.parse().ok()
}

/// The fraction of a second: nine digits count, more are read over; Go takes a comma, too.
fn fraction(rest: &mut &str) -> String {
    let Some(after) = rest.strip_prefix(['.', ',']) else {
        return String::new();
    };
    let count = after.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return String::new();
    }
    let Some((digits, after)) = after.split_at_checked(count) else {
        return String::new();
    };
    *rest = after;
    let digits = digits.get(..9).unwrap_or(digits).trim_end_matches('0');
    if digits.is_empty() {
        String::new()
    } else {
        format!(".{digits}")
    }
}

fn zone(rest: &mut &str) -> Option<String> {
    if let Some(after) = rest.strip_prefix('Z') {
        *rest = after;
        return Some("Z".to_owned());
    }
    let sign = rest
        .chars()
        .next()
        .filter(|&sign| sign == '+' || sign == '-')?;
    let mut after = rest.get(1..)?;
    let hours = digits(&mut after, 2, 2).filter(|&hours| hours <= 24)?;
    after = after.strip_prefix(':')?;
    let minutes = digits(&mut after, 2, 2).filter(|&minutes| minutes <= 60)?;
    *rest = after;
    let offset = hours * 60 + minutes;
    Some(if offset == 0 {
        "Z".to_owned()
    } else {
        format!("{sign}{:02}:{:02}", offset / 60, offset % 60)
    })
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn as_go_reads_them() {
        let cases = [
            ("2020-01-01", Some("2020-01-01T00:00:00Z")),
            ("2020-1-2", Some("2020-01-02T00:00:00Z")),
            ("2020-02-29", Some("2020-02-29T00:00:00Z")),
            ("2021-02-29", None),
            ("2020-13-45", None),
            ("2020-01-01T01:02:03Z", Some("2020-01-01T01:02:03Z")),
            (
                "2020-01-01t1:2:3.450+02:00",
                Some("2020-01-01T01:02:03.45+02:00"),
            ),
            ("2020-01-01T01:02:03-00:00", Some("2020-01-01T01:02:03Z")),
            ("2020-01-01   01:02:03.5", Some("2020-01-01T01:02:03.5Z")),
            ("2020-01-01 01:02:03 +1", None),
            ("2020-01-01 01:02:03Z", None),
            ("2020-01-01T01:02:03", None),
            ("2020-01-01T01:02Z", None),
            ("2020-01-01T24:00:00Z", None),
            (
                "2020-01-01T01:02:03.1234567891Z",
                Some("2020-01-01T01:02:03.123456789Z"),
            ),
            ("2020-01-01T01:02:03,5Z", Some("2020-01-01T01:02:03.5Z")),
            ("12020-01-01", None),
            ("2020-01-01 ", None),
            ("0000-01-01", Some("0000-01-01T00:00:00Z")),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).as_deref(), expected, "{text}");
        }
    }
}
