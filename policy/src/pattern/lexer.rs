//! Reading of a pattern's text, character by character, and of its escapes.

use super::PatternError;

/// A place in the pattern's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'p> {
    text: &'p str,
    at: usize,
}

impl<'p> Cursor<'p> {
    pub(super) fn new(text: &'p str) -> Self {
        Self { text, at: 0 }
    }

    /// Byte offset of the next character.
    pub(super) fn offset(self) -> usize {
        self.at
    }

    /// What has not been read.
    pub(super) fn rest(self) -> &'p str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Moves past `expected` when it comes next.
    pub(super) fn eat(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    /// Returns the text up to `end` and moves past `end`; stays where it is when `end` does not follow.
    pub(super) fn until(&mut self, end: &str) -> Option<&'p str> {
        let (text, _) = self.rest().split_once(end)?;
        self.at += text.len() + end.len();
        Some(text)
    }

    /// Moves to the end and returns what was left.
    pub(super) fn take_rest(&mut self) -> &'p str {
        let rest = self.rest();
        self.at = self.text.len();
        rest
    }

    /// An error from `start` on.
    pub(super) fn error(self, start: usize, message: impl Into<String>) -> PatternError {
        PatternError::at(start, message.into())
    }

    /// An error about the text from `start` to here, which is shown.
    pub(super) fn error_about(self, start: usize, what: &str) -> PatternError {
        let text = self.text.get(start..self.at).unwrap_or_default();
        self.error(start, format!("{what} `{text}`"))
    }

    /// Reads one escape that stands for a character: a code point, which may be a surrogate and then matches nothing.
    pub(super) fn escape(&mut self) -> Result<u32, PatternError> {
        let start = self.at;
        self.at += 1; // the backslash
        let Some(c) = self.next() else {
            return Err(self.error(start, "a backslash at the end of the pattern"));
        };
        let code = match c {
            '0' => Some(self.octal(0)),
            // A single digit would be a reference to a group, which Go does not have.
            '1'..='7' if matches!(self.peek(), Some('0'..='7')) => Some(self.octal(digit(c, 8))),
            'x' => self.hex(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        code.ok_or_else(|| self.error_about(start, "unknown or unfinished escape"))
    }

    /// Up to two more octal digits.
    fn octal(&mut self, first: u32) -> u32 {
        let mut code = first;
        for _ in 0..2 {
            let Some(c @ '0'..='7') = self.peek() else {
                break;
            };
            self.next();
            code = code * 8 + digit(c, 8);
        }
        code
    }

    /// `41` or `{41}`, after `\x`.
    fn hex(&mut self) -> Option<u32> {
        if !self.eat("{") {
            let high = self.next()?.to_digit(16)?;
            let low = self.next()?.to_digit(16)?;
            return Some(high * 16 + low);
        }
        let mut code = 0;
        let mut digits = 0;
        loop {
            match self.next()? {
                '}' if digits > 0 => return Some(code),
                c => code = code * 16 + c.to_digit(16)?,
            }
            if code > u32::from(char::MAX) {
                return None;
            }
            digits += 1;
        }
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`. `None` (and nothing read) when what follows is none of these: Go then takes
    /// the brace literally. Numbers too big for Go are [`TOO_MANY`].
    pub(super) fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        let mut ahead = *self;
        if !ahead.eat("{") {
            return None;
        }
        let min = ahead.count()?;
        let max = if !ahead.eat(",") {
            Some(min)
        } else if ahead.rest().starts_with('}') {
            None
        } else {
            Some(ahead.count()?)
        };
        if !ahead.eat("}") {
            return None;
        }
        *self = ahead;
        Some((min, max))
    }

    /// A decimal number without leading zeros.
    fn count(&mut self) -> Option<u32> {
        let rest = self.rest();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let text = rest.get(..digits)?;
        if text.is_empty() || text.len() > 1 && text.starts_with('0') {
            return None;
        }
        self.at += digits;
        Some(text.parse().unwrap_or(TOO_MANY).min(TOO_MANY))
    }
}

/// Stands for every count that Go refuses.
pub(super) const TOO_MANY: u32 = 1001;

fn digit(c: char, radix: u32) -> u32 {
    c.to_digit(radix).unwrap_or_default()
}
