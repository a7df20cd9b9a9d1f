//! Where everything stands in an INI file. The rules are those of the library behind sops (ini.v1 with repeated sections
//! allowed): comments belong to what follows them, `#` and `;` cut a value short anywhere, a trailing backslash joins
//! lines, and some quotes are taken off.

use std::collections::HashMap;

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    secret::Secret,
    sops::tree::Span,
};

/// The section that is always there: keys before the first header.
const DEFAULT: &str = "DEFAULT";

/// A file.
pub(super) struct Layout {
    pub(super) sections: Vec<Section>,
    /// Comments behind the last key: sops loses them.
    pub(super) trailing: Option<Span>,
}

/// A header and what follows it.
pub(super) struct Section {
    pub(super) name: String,
    /// The name between the brackets; empty for the default section.
    pub(super) name_span: Span,
    pub(super) remark: Option<Remark>,
    pub(super) keys: Vec<Key>,
    /// From the first comment line of the section to where the next section starts.
    pub(super) span: Span,
}

/// A key. Where a name is repeated, the first place counts, and the last value.
pub(super) struct Key {
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) value: Secret,
    /// The value with its quotes and continuation lines, without its comment.
    pub(super) value_span: Span,
    pub(super) remark: Option<Remark>,
    /// A value of this name that a later one has replaced stands here.
    pub(super) shadowed: Option<Span>,
}

/// Comment lines above something and the comment behind it: one comment for sops.
pub(super) struct Remark {
    /// Without the first run of comment characters.
    pub(super) text: Secret,
    /// From the comment character to the end of the text, each.
    pub(super) pieces: Vec<Span>,
    /// Whether the last piece stands behind something.
    pub(super) inline: bool,
}

impl Layout {
    /// Reads a file.
    pub(super) fn read(text: &[u8], limits: &Limits) -> Result<Self> {
        let mut reader = Reader {
            text,
            at: 0,
            pending: Pending::default(),
            values: 0,
            limits,
        };
        if text.starts_with(b"\xef\xbb\xbf") {
            reader.at = 3;
        }
        reader.file()
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    pending: Pending,
    values: usize,
    limits: &'a Limits,
}

/// Comments that wait for their owner.
#[derive(Default)]
struct Pending {
    text: Vec<u8>,
    pieces: Vec<Span>,
    inline: bool,
}

impl Pending {
    fn take(&mut self) -> Option<Remark> {
        let Self {
            text,
            pieces,
            inline,
        } = std::mem::take(self);
        if pieces.is_empty() {
            return None;
        }
        let text = Secret::new(text);
        let trimmed = trim(text.expose());
        let run: &[u8] = if trimmed.starts_with(b";") {
            b"; "
        } else {
            b"# "
        };
        let start = trimmed
            .iter()
            .position(|b| !run.contains(b))
            .unwrap_or(trimmed.len());
        let text = Secret::new(trimmed.get(start..).unwrap_or_default().to_vec());
        Some(Remark {
            text,
            pieces,
            inline,
        })
    }
}

impl Reader<'_> {
    fn file(&mut self) -> Result<Layout> {
        let start = self.at;
        let mut section = new_section(DEFAULT, start..start, None, start);
        let mut sections = Vec::new();
        let mut places = HashMap::new();
        let mut unnamed = 0;
        while let Some(line) = self.line() {
            let content = self.get(&line);
            let line = line.start + content.len() - trim_start(content).len()..line.end;
            match self.get(&line).first() {
                None => {}
                Some(b'#' | b';') => self.comment_line(&line),
                Some(b'[') => {
                    let next = self.header(&line)?;
                    section.span.end = next.span.start;
                    sections.push(std::mem::replace(&mut section, next));
                    places.clear();
                    unnamed = 0;
                }
                Some(_) => {
                    let mut key = self.key(&line)?;
                    if key.name == "-" {
                        unnamed += 1;
                        key.name = format!("#{unnamed}");
                    }
                    match places
                        .get(&key.name)
                        .and_then(|&place: &usize| section.keys.get_mut(place))
                    {
                        Some(earlier) => {
                            key.shadowed = Some(earlier.value_span.clone());
                            *earlier = key;
                        }
                        None => {
                            places.insert(key.name.clone(), section.keys.len());
                            section.keys.push(key);
                        }
                    }
                }
            }
        }
        section.span.end = self.text.len();
        sections.push(section);
        let trailing = self
            .pending
            .take()
            .and_then(|remark| remark.pieces.into_iter().next());
        Ok(Layout { sections, trailing })
    }

    fn comment_line(&mut self, line: &Span) {
        let content = self.get(line).to_vec();
        let length = trim_end(&content).len();
        self.pending.text.extend(content);
        self.pending.pieces.push(line.start..line.start + length);
    }

    fn header(&mut self, line: &Span) -> Result<Section> {
        let content = self.get(line);
        let Some(close) = content.iter().rposition(|&b| b == b']') else {
            return Err(self.error(line.start, "the section header has no closing bracket"));
        };
        let name_span = line.start + 1..line.start + close;
        let name = self.name(&name_span)?;
        if name.is_empty() {
            return Err(self.error(line.start, "the section has no name"));
        }
        let start = match self.pending.pieces.first() {
            Some(piece) => self.line_start(piece.start),
            None => self.line_start(line.start),
        };
        self.inline_comment(line.start + close + 1..line.end);
        Ok(new_section(&name, name_span, self.pending.take(), start))
    }

    fn key(&mut self, line: &Span) -> Result<Key> {
        self.values += 1;
        if self.values > self.limits.values {
            return Err(
                Error::new("limit", format!("more than {} values", self.limits.values))
                    .with_position(Position::of(self.text, line.start))
                    .with_hint("the limit is `values` in `limits` of the configuration"),
            );
        }
        let (name_span, value_start) = self.key_name(line)?;
        let name = self.name(&name_span)?;
        if name.is_empty() {
            return Err(self.error(line.start, "the key has no name"));
        }
        let (value, value_span) = self.value(value_start.min(line.end)..line.end)?;
        Ok(Key {
            name,
            name_span,
            value,
            value_span,
            remark: self.pending.take(),
            shadowed: None,
        })
    }

    /// The span of the name and where the value starts.
    fn key_name(&self, line: &Span) -> Result<(Span, usize)> {
        let content = self.get(line);
        let quote: &[u8] = match content {
            [b'"', b'"', b'"', ..] if content.len() > 6 => b"\"\"\"",
            [b'"', ..] => b"\"",
            [b'`', ..] => b"`",
            _ => b"",
        };
        let no_delimiter = || {
            self.error(
                line.start,
                "the line is neither a section, a comment nor KEY = VALUE",
            )
            .with_hint("comments begin with ; or #")
        };
        let (name, end) = if quote.is_empty() {
            let end = find_delimiter(content).ok_or_else(no_delimiter)?;
            (0..end, end)
        } else {
            let start = quote.len();
            let Some(close) = find(content.get(start..).unwrap_or_default(), quote) else {
                return Err(self.error(line.start, "the quote around the key is not closed"));
            };
            let name_end = start + close;
            // As in the library, the search starts a quote's length behind the name.
            let rest = content.get(name_end + start..).unwrap_or_default();
            (
                start..name_end,
                name_end + find_delimiter(rest).ok_or_else(no_delimiter)? + start,
            )
        };
        let name = line.start + name.start..line.start + name.end;
        Ok((self.trimmed(name), line.start + end + 1))
    }

    /// A value that starts in `rest` of its line, and its place.
    fn value(&mut self, rest: Span) -> Result<(Secret, Span)> {
        let content = self.get(&rest);
        let start = rest.start + content.len() - trim_start(content).len();
        let content = self.get(&(start..rest.end));
        if content.is_empty() {
            // Behind `key =`, before the line break.
            let blanks = self
                .get(&rest)
                .iter()
                .take_while(|b| matches!(b, b' ' | b'\t'))
                .count();
            let at = rest.start + blanks;
            return Ok((Secret::default(), at..at));
        }
        let quote: &[u8] = match content {
            [b'"', b'"', b'"', _, ..] => b"\"\"\"",
            [b'`', ..] => b"`",
            _ => b"",
        };
        if !quote.is_empty() {
            let inner = content.get(quote.len()..).unwrap_or_default();
            let end = start + trim_end(content).len();
            return match rfind(inner, quote) {
                // What follows the closing quote is lost, comments too.
                Some(close) => Ok((
                    Secret::new(inner.get(..close).unwrap_or_default().to_vec()),
                    start..end,
                )),
                None => self.lines_until(quote, start + quote.len()..rest.end, start),
            };
        }
        let content = trim_end(content);
        if let Some(first) = content.strip_suffix(b"\\") {
            let first = Secret::new(first.to_vec());
            return Ok(self.continued(first, start, rest.end));
        }
        let mut value = content;
        if let Some(at) = content.iter().position(|b| matches!(b, b'#' | b';')) {
            value = trim_end(content.get(..at).unwrap_or_default());
            let value = Secret::new(value.to_vec());
            let (comment_start, end) = (start + at, start + content.len());
            let length = value.len();
            self.pending
                .text
                .extend_from_slice(self.text.get(comment_start..end).unwrap_or_default());
            self.pending.pieces.push(comment_start..end);
            self.pending.inline = true;
            return Ok((unquote(value.expose()), start..start + length));
        }
        Ok((unquote(value), start..start + value.len()))
    }

    /// A quoted value over several lines, whose first is `first`.
    fn lines_until(&mut self, quote: &[u8], first: Span, start: usize) -> Result<(Secret, Span)> {
        let mut value = Secret::new(self.get(&first).to_vec());
        loop {
            let Some(line) = self.line() else {
                return Err(self.error(start, "the quote around the value is not closed"));
            };
            let content = self.get(&line);
            if let Some(close) = rfind(content, quote) {
                let rest = content.get(close + quote.len()..).unwrap_or_default();
                if !trim(rest).ends_with(b"\\") {
                    value.push(content.get(..close).unwrap_or_default());
                    let end = line.start + close + quote.len();
                    // The library looks for the comment from the closing quote on.
                    self.inline_comment(end..line.end);
                    return Ok((value, start..end));
                }
            }
            value.push(content);
        }
    }

    /// A value whose line ended in a backslash.
    fn continued(&mut self, mut value: Secret, start: usize, line_end: usize) -> (Secret, Span) {
        let mut end = start + trim_end(self.get(&(start..line_end))).len();
        while let Some(line) = self.line() {
            let content = self.get(&line);
            let next = trim(content);
            if next.is_empty() {
                break;
            }
            end = line.start + trim_end(content).len();
            match next.strip_suffix(b"\\") {
                Some(part) => value.push(part),
                None => {
                    value.push(next);
                    break;
                }
            }
        }
        (value, start..end)
    }

    fn inline_comment(&mut self, rest: Span) {
        let content = self.get(&rest);
        let Some(at) = content.iter().position(|b| matches!(b, b'#' | b';')) else {
            return;
        };
        let comment = content.get(at..).unwrap_or_default().to_vec();
        let start = rest.start + at;
        self.pending
            .pieces
            .push(start..start + trim_end(&comment).len());
        self.pending.text.extend(comment);
        self.pending.inline = true;
    }

    /// The next line with its line feed.
    fn line(&mut self) -> Option<Span> {
        let rest = self.text.get(self.at..)?;
        if rest.is_empty() {
            return None;
        }
        let length = rest
            .iter()
            .position(|&b| b == b'\n')
            .map_or(rest.len(), |at| at + 1);
        let span = self.at..self.at + length;
        self.at = span.end;
        Some(span)
    }

    fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1)
    }

    fn trimmed(&self, span: Span) -> Span {
        let content = self.get(&span);
        let start = span.start + content.len() - trim_start(content).len();
        start..start + trim(content).len()
    }

    fn name(&self, span: &Span) -> Result<String> {
        match std::str::from_utf8(self.get(span)) {
            Ok(name) => Ok(name.to_owned()),
            Err(_) => Err(self.error(span.start, "the name is not UTF-8")),
        }
    }

    fn get(&self, span: &Span) -> &[u8] {
        self.text.get(span.clone()).unwrap_or_default()
    }

    fn error(&self, at: usize, message: &str) -> Error {
        Error::new("syntax", message).with_position(Position::of(self.text, at))
    }
}

fn new_section(name: &str, name_span: Span, remark: Option<Remark>, start: usize) -> Section {
    Section {
        name: name.to_owned(),
        name_span,
        remark,
        keys: Vec::new(),
        span: start..start,
    }
}

/// Takes quotes off that stand at both ends and nowhere else.
fn unquote(value: &[u8]) -> Secret {
    let inner = match value {
        [first @ (b'"' | b'\''), inner @ .., last] if first == last && !inner.contains(first) => {
            inner
        }
        _ => value,
    };
    Secret::new(inner.to_vec())
}

fn find_delimiter(text: &[u8]) -> Option<usize> {
    text.iter().position(|b| matches!(b, b'=' | b':'))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

fn rfind(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .rposition(|window| window == wanted)
}

/// Without white space at both ends, Unicode's included, in text that need not be UTF-8.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_start(trim_end(text))
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let Some(rest) =
        (1..=3).find_map(|length| is_blank(text.get(..length)?).then(|| text.get(length..))?)
    {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = (1..=3).find_map(|length| {
        let (rest, last) = text.split_at_checked(text.len().checked_sub(length)?)?;
        is_blank(last).then_some(rest)
    }) {
        text = rest;
    }
    text
}

/// Whether it is exactly one character of white space.
fn is_blank(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let mut characters = text.chars();
    characters.next().is_some_and(char::is_whitespace) && characters.next().is_none()
}
