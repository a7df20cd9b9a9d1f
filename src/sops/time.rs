//! Times as Go's `time` package reads and prints them.

use crate::sops::number::split_sign;

/// An instant with its offset, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp<'a> {
    /// `2006-01-02`
    date: &'a str,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
    /// Minutes east of UTC, with the sign apart: there is a `-00:00`.
    offset: i32,
}

impl<'a> Timestamp<'a> {
    /// RFC 3339 as Go reads it: capital `T` and `Z`, a fraction after a point or comma, an hour of one digit.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (date, time) = text.split_once('T')?;
        if !is_date(date) {
            return None;
        }
        let (hour, rest) = time.split_once(':')?;
        let hour = digits(hour, 1..=2).filter(|&hour| hour < 24)?;
        let (minute, rest) = rest.split_once(':')?;
        let minute = digits(minute, 2..=2).filter(|&minute| minute < 60)?;
        let second = digits(rest.get(..2)?, 2..=2).filter(|&second| second < 60)?;
        let rest = rest.get(2..)?;
        let (nanosecond, zone) = match rest.strip_prefix(['.', ',']) {
            Some(fraction) => {
                let end = fraction.find(|c: char| !c.is_ascii_digit())?;
                let (fraction, zone) = fraction.split_at(end);
                if fraction.is_empty() {
                    return None;
                }
                let shown: String = fraction
                    .chars()
                    .chain("000000000".chars())
                    .take(9)
                    .collect();
                (shown.parse().ok()?, zone)
            }
            None => (0, rest),
        };
        Some(Self {
            date,
            hour: u8::try_from(hour).ok()?,
            minute: u8::try_from(minute).ok()?,
            second: u8::try_from(second).ok()?,
            nanosecond,
            offset: parse_zone(zone)?,
        })
    }

    /// Second precision; what authenticates the MAC of a file.
    pub(crate) fn to_seconds(self) -> String {
        let Self {
            date,
            hour,
            minute,
            second,
            ..
        } = self;
        format!("{date}T{hour:02}:{minute:02}:{second:02}{}", self.zone())
    }

    /// As many fraction digits as needed.
    pub(crate) fn to_nanoseconds(self) -> String {
        let Self {
            date,
            hour,
            minute,
            second,
            nanosecond,
            ..
        } = self;
        let fraction = match nanosecond {
            0 => String::new(),
            _ => format!(".{nanosecond:09}").trim_end_matches('0').to_owned(),
        };
        format!(
            "{date}T{hour:02}:{minute:02}:{second:02}{fraction}{}",
            self.zone()
        )
    }

    fn zone(self) -> String {
        let minutes = self.offset.unsigned_abs();
        match self.offset {
            0 => "Z".to_owned(),
            1.. => format!("+{:02}:{:02}", minutes / 60, minutes % 60),
            _ => format!("-{:02}:{:02}", minutes / 60, minutes % 60),
        }
    }
}

fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (
        digits(year, 4..=4),
        digits(month, 2..=2),
        digits(day, 2..=2),
    ) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&day)
}

fn parse_zone(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (negative, body) = split_sign(text);
    let (hours, minutes) = body.split_once(':')?;
    let hours = digits(hours, 2..=2).filter(|&hours| hours <= 24)?;
    let minutes = digits(minutes, 2..=2).filter(|&minutes| minutes < 60)?;
    let total = i32::try_from(hours * 60 + minutes).ok()?;
    (body.len() < text.len()).then_some(if negative { -total } else { total })
}

fn digits(text: &str, width: std::ops::RangeInclusive<usize>) -> Option<u32> {
    (width.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_keep_their_offset() {
        for (text, seconds, nanoseconds) in [
            (
                "2024-05-06T07:08:09Z",
                "2024-05-06T07:08:09Z",
                "2024-05-06T07:08:09Z",
            ),
            (
                "2024-05-06T07:08:05.123Z",
                "2024-05-06T07:08:05Z",
                "2024-05-06T07:08:05.123Z",
            ),
            (
                "2024-05-06T07:08:05+00:00",
                "2024-05-06T07:08:05Z",
                "2024-05-06T07:08:05Z",
            ),
            (
                "2024-05-06T07:08:05-00:00",
                "2024-05-06T07:08:05Z",
                "2024-05-06T07:08:05Z",
            ),
            (
                "2024-05-06T07:08:03.450+02:00",
                "2024-05-06T07:08:03+02:00",
                "2024-05-06T07:08:03.45+02:00",
            ),
        ] {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!(
                (time.to_seconds().as_str(), time.to_nanoseconds().as_str()),
                (seconds, nanoseconds)
            );
        }
        for text in [
            "2024-05-06t07:08:09Z",
            "2024-05-06T07:08:09z",
            "2024-05-06 07:08:09Z",
            "2024-02-30T07:08:09Z",
            "",
            "T",
            "2024-05-06T07:08:09",
            "2024-05-06T07:08:09.Z",
            "2024-05-06T07:08:60Z",
            "2024-05-06T07:08:é9Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
