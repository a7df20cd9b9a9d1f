//! Sets of characters in a pattern: `[…]`, `\d`, `\p{…}`.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::{PatternError, fold, lexer::Cursor, parse::Parser, property};

impl Parser<'_> {
    /// `\pL`, `\p{^Greek}`, `\D`: an escape that stands for a set; `None` (and nothing read) for any other.
    pub(super) fn named_escape(&mut self) -> Result<Option<ClassUnicode>, PatternError> {
        let mut ahead = self.cursor;
        ahead.next();
        let Some(letter) = ahead.next() else {
            return Ok(None);
        };
        let mut negated = letter.is_ascii_uppercase();
        let set = if letter.eq_ignore_ascii_case(&'p') {
            let name = self.property_name(&mut ahead)?;
            let (caret, name) = match name.strip_prefix('^') {
                Some(name) => (true, name),
                None => (false, name),
            };
            negated ^= caret;
            let unknown = || ahead.error_about(self.cursor.offset(), "unknown property");
            property::by_name(name).ok_or_else(unknown)?
        } else {
            let Some(set) = property::perl(letter.to_ascii_lowercase()) else {
                return Ok(None);
            };
            set
        };
        self.cursor = ahead;
        self.named_set(set, negated).map(Some)
    }

    /// The name after `\p`: one character, or several in braces.
    fn property_name<'p>(&self, ahead: &mut Cursor<'p>) -> Result<&'p str, PatternError> {
        if ahead.eat("{") {
            let unclosed = || {
                self.cursor
                    .error(self.cursor.offset(), "missing closing } of a property")
            };
            return ahead.until("}").ok_or_else(unclosed);
        }
        let rest = ahead.rest();
        let length = ahead.next().map_or(0, char::len_utf8);
        Ok(rest.get(..length).unwrap_or_default())
    }

    /// Folding comes before negation: `(?i)\P{Lu}` lacks lower-case letters, too.
    fn named_set(
        &mut self,
        mut set: ClassUnicode,
        negated: bool,
    ) -> Result<ClassUnicode, PatternError> {
        if self.flags.fold {
            fold::fold(&mut set);
        }
        if negated {
            set.negate();
        }
        self.charge(&set)?;
        Ok(set)
    }

    /// `[…]`.
    pub(super) fn class(&mut self) -> Result<(), PatternError> {
        let start = self.cursor.offset();
        self.cursor.next();
        let negated = self.cursor.eat("^");
        let mut named = ClassUnicode::empty();
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            match self.cursor.peek() {
                None => return Err(self.cursor.error(start, "missing closing ]")),
                Some(']') if !first => break,
                _ => {}
            }
            first = false;
            if let Some(set) = self.posix_class()? {
                named.union(&set);
            } else if let Some(set) = self.named_escape_in_class()? {
                named.union(&set);
            } else {
                ranges.extend(self.range(start)?);
            }
        }
        self.cursor.next();
        let mut set = ClassUnicode::new(ranges);
        if self.flags.fold {
            fold::fold(&mut set);
        }
        set.union(&named);
        if negated {
            set.negate();
        }
        self.set(set)
    }

    /// `[:alpha:]`, `[:^alpha:]`. Without `:]` somewhere behind it the bracket is an ordinary character; with it, what
    /// lies between must be a name.
    fn posix_class(&mut self) -> Result<Option<ClassUnicode>, PatternError> {
        let start = self.cursor.offset();
        let mut ahead = self.cursor;
        if !ahead.eat("[:") {
            return Ok(None);
        }
        let Some(name) = ahead.until(":]") else {
            return Ok(None);
        };
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (true, name),
            None => (false, name),
        };
        let set = property::posix(name)
            .ok_or_else(|| ahead.error_about(start, "unknown character class"))?;
        self.cursor = ahead;
        self.named_set(set, negated).map(Some)
    }

    fn named_escape_in_class(&mut self) -> Result<Option<ClassUnicode>, PatternError> {
        if self.cursor.peek() == Some('\\') {
            self.named_escape()
        } else {
            Ok(None)
        }
    }

    /// One character of a class, or a range of them; `None` when it holds surrogates only.
    fn range(&mut self, class_start: usize) -> Result<Option<ClassUnicodeRange>, PatternError> {
        let start = self.cursor.offset();
        let first = self.class_character(class_start)?;
        let mut last = first;
        let rest = self.cursor.rest();
        if rest.starts_with('-') && rest.len() > 1 && !rest.starts_with("-]") {
            self.cursor.next();
            last = self.class_character(class_start)?;
        }
        if last < first {
            return Err(self
                .cursor
                .error_about(start, "invalid range of characters"));
        }
        // Cut surrogates off at either end.
        let first = char::from_u32(first).unwrap_or('\u{e000}');
        let last = char::from_u32(last).unwrap_or('\u{d7ff}');
        Ok((first <= last).then(|| ClassUnicodeRange::new(first, last)))
    }

    fn class_character(&mut self, class_start: usize) -> Result<u32, PatternError> {
        if self.cursor.peek() == Some('\\') {
            return self.cursor.escape();
        }
        let c = self
            .cursor
            .next()
            .ok_or_else(|| self.cursor.error(class_start, "missing closing ]"))?;
        Ok(u32::from(c))
    }
}
