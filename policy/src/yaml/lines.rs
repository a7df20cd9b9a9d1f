//! The layout that sops writes, read line by line: the short way to the nodes of nearly every encrypted file.
//!
//! [`read`] knows a small part of YAML and gives up at anything else: ASCII without `#`, so no comments; no empty lines;
//! mappings and sequences in block layout; every scalar on the line where it starts, but for `|`; no escapes, tags,
//! anchors or directives. What it reads is what [`super::parse()`] makes of the same text, node by node and span by span;
//! the tests hold it to that. What it does not know goes the long way, so it never has to tell what is wrong.

use super::{Content, DEEPEST, Document, Limits, Node, NodeId, Stream, Style};

/// A longer key is no simple key in YAML (1,024 characters there).
const LONGEST_KEY: usize = 1000;

/// The nodes of `text`; `None` where it is not known to be simple enough.
pub(super) fn read(text: &str, limits: Limits) -> Option<Stream> {
    let is_known = |byte: &u8| matches!(byte, b'\n' | b' '..=b'~') & (*byte != b'#');
    // Not `all`: without a way out early, many bytes are looked at in one step.
    let known = text
        .bytes()
        .fold(true, |known, byte| known & is_known(&byte));
    if !known {
        return None;
    }
    let mut reader = Reader {
        text,
        limits,
        line: None,
        next: 0,
        number: 0,
        depth: 0,
        stream: Stream::default(),
    };
    // A key and a value in most lines, but for those of wraps.
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    reader.stream.nodes.reserve(lines * 2);
    reader.advance()?;
    let first = reader.line.filter(|line| line.indent == 0)?;
    let root = reader.mapping(first.start, 0)?;
    if reader.line.is_some() {
        return None;
    }
    reader.stream.documents.push(Document {
        root,
        start: None,
        end: None,
        head: Vec::new(),
        foot: Vec::new(),
    });
    Some(reader.stream)
}

/// A line that holds more than blanks, and ends with none.
#[derive(Clone, Copy)]
struct Line {
    start: usize,
    /// Behind its last character.
    end: usize,
    /// Spaces at its start.
    indent: usize,
}

struct Reader<'t> {
    text: &'t str,
    limits: Limits,
    /// The line that is read; `None` behind the last one.
    line: Option<Line>,
    /// Where the next one starts.
    next: usize,
    /// Of the line, from 1.
    number: usize,
    depth: usize,
    stream: Stream,
}

impl<'t> Reader<'t> {
    /// Goes to the next line.
    fn advance(&mut self) -> Option<()> {
        let rest = self.text.get(self.next..)?;
        self.number += 1;
        if rest.is_empty() {
            self.line = None;
            return Some(());
        }
        let line = rest.get(..rest.find('\n')?)?;
        let indent = line.bytes().position(|byte| byte != b' ')?;
        if line.ends_with(' ') {
            return None;
        }
        let (start, end) = (self.next, self.next + line.len());
        self.line = Some(Line { start, end, indent });
        self.next = end + 1;
        Some(())
    }

    /// What stands at `from` in the line that is read.
    fn rest(&self, from: usize) -> Option<&'t str> {
        self.text.get(from..self.line?.end)
    }

    /// A mapping whose first key starts at `at`, in the line that is read and in that `column`, from 0.
    fn mapping(&mut self, mut at: usize, column: usize) -> Option<NodeId> {
        let id = self.open(at, column)?;
        let mut entries = Vec::new();
        let mut end;
        loop {
            let (name, style, length) = key(self.rest(at)?)?;
            let key = self.leaf(at, column, at + length, name.to_owned(), style)?;
            let value = self.value(at + length + 1, column)?;
            entries.push((key, value));
            end = self.stream.node(value).span.end;
            match self.line {
                Some(line) if line.indent == column => at = line.start + column,
                Some(line) if line.indent > column => return None,
                _ => break,
            }
        }
        let flow = false;
        self.close(id, Content::Mapping { entries, flow }, end)
    }

    /// What stands behind the colon that ends before `from`, of a key in `column`.
    fn value(&mut self, from: usize, column: usize) -> Option<NodeId> {
        let rest = self.rest(from)?;
        if rest.is_empty() {
            self.advance()?;
            let line = self.line?;
            let start = line.start + line.indent;
            return match self.rest(start)?.starts_with("- ") {
                true if line.indent >= column => self.sequence(line.indent),
                false if line.indent > column => self.mapping(start, line.indent),
                _ => None,
            };
        }
        self.scalar(from + 1, rest.strip_prefix(' ')?, column)
    }

    /// A sequence whose dashes stand in `column`.
    fn sequence(&mut self, column: usize) -> Option<NodeId> {
        let id = self.open(self.line?.start + column, column)?;
        let mut items = Vec::new();
        while let Some(line) = self.line {
            let dash = line.start + column;
            // In this column, too, the mapping around it may go on.
            let is_item = line.indent == column;
            let Some(item) = self
                .rest(dash)
                .filter(|_| is_item)
                .and_then(|rest| rest.strip_prefix("- "))
            else {
                break;
            };
            items.push(match key(item) {
                Some(_) => self.mapping(dash + 2, column + 2)?,
                None => self.scalar(dash + 2, item, column)?,
            });
        }
        let end = self.stream.node(*items.last()?).span.end;
        let flow = false;
        self.close(id, Content::Sequence { items, flow }, end)
    }

    /// The scalar `written`, which starts at `at` and reaches to the end of the line, in a collection in `column`. An
    /// empty collection in brackets or braces, too.
    fn scalar(&mut self, at: usize, written: &str, column: usize) -> Option<NodeId> {
        let here = at - self.line?.start;
        let end = at + written.len();
        let inner = |quote: char| written.strip_prefix(quote)?.strip_suffix(quote);
        let (text, style) = match written.as_bytes() {
            [b'|', chomping @ ..] => return self.literal(at, chomping, column),
            b"[]" | b"{}" => {
                let flow = true;
                let content = match written {
                    "[]" => Content::Sequence {
                        items: Vec::new(),
                        flow,
                    },
                    _ => Content::Mapping {
                        entries: Vec::new(),
                        flow,
                    },
                };
                let id = self.open(at, here)?;
                self.advance()?;
                return self.close(id, content, end);
            }
            [b'"', ..] => (
                inner('"').filter(|text| !text.contains(['"', '\\']))?,
                Style::DoubleQuoted,
            ),
            [b'\'', ..] => (
                inner('\'').filter(|text| !text.contains('\''))?,
                Style::SingleQuoted,
            ),
            _ => (Some(written).filter(|text| is_plain(text))?, Style::Plain),
        };
        let id = self.leaf(at, here, end, text.to_owned(), style)?;
        self.advance()?;
        Some(id)
    }

    /// A block scalar behind `|`, in a collection in `column`.
    fn literal(&mut self, at: usize, chomping: &[u8], column: usize) -> Option<NodeId> {
        let here = at - self.line?.start;
        let is_stripped = match chomping {
            b"" | b"+" => false,
            b"-" => true,
            _ => return None,
        };
        let id = self.open(at, here)?;
        self.advance()?;
        let indent = self.line?.indent;
        if indent <= column {
            return None;
        }
        let start = self.line?.start;
        let mut end = start;
        while let Some(line) = self.line.filter(|line| line.indent >= indent) {
            end = line.end;
            self.advance()?;
        }
        let written = self.text.get(start..=end)?;
        let mut text = String::with_capacity(written.len());
        for line in written.split_inclusive('\n') {
            text.push_str(line.get(indent..)?);
        }
        if is_stripped {
            text.pop();
        }
        let style = Style::Literal;
        self.close(id, Content::Scalar { text, style }, end)
    }

    fn leaf(
        &mut self,
        at: usize,
        column: usize,
        end: usize,
        text: String,
        style: Style,
    ) -> Option<NodeId> {
        let id = self.open(at, column)?;
        self.close(id, Content::Scalar { text, style }, end)
    }

    /// Adds a node that starts at `at`; [`Self::close`] says what it is.
    fn open(&mut self, at: usize, column: usize) -> Option<NodeId> {
        let id = self.stream.nodes.len();
        self.depth += 1;
        if self.depth > self.limits.nesting.min(DEEPEST) || id >= self.limits.nodes {
            return None;
        }
        self.stream.nodes.push(Node {
            content: Content::Scalar {
                text: String::new(),
                style: Style::Plain,
            },
            span: at..at,
            line: self.number,
            column: column + 1,
            tag: None,
            anchor: None,
            comments: None,
        });
        Some(id)
    }

    fn close(&mut self, id: NodeId, content: Content, end: usize) -> Option<NodeId> {
        self.depth -= 1;
        let node = self.stream.nodes.get_mut(id)?;
        node.content = content;
        node.span.end = end;
        Some(id)
    }
}

/// The key that `line` starts with: its text, how it is written, and the length of what is written. A colon follows.
fn key(line: &str) -> Option<(&str, Style, usize)> {
    let (text, style, length) = match line.as_bytes().first()? {
        b'"' => quoted(line, '"').map(|text| (text, Style::DoubleQuoted, text.len() + 2))?,
        b'\'' => quoted(line, '\'').map(|text| (text, Style::SingleQuoted, text.len() + 2))?,
        _ => {
            let is_inside = |byte: u8| {
                matches!(byte, b'-' | b'.' | b'/' | b'_') || byte.is_ascii_alphanumeric()
            };
            let length = line.bytes().position(|byte| !is_inside(byte))?;
            let text = line.get(..length).filter(|text| starts_plainly(text))?;
            (text, Style::Plain, length)
        }
    };
    let behind = line.get(length..)?.strip_prefix(':')?;
    let is_key = (behind.is_empty() || behind.starts_with(' ')) && length <= LONGEST_KEY;
    is_key.then_some((text, style, length))
}

/// What stands between the quotes at the start of `line`, if nothing in it is escaped.
fn quoted(line: &str, quote: char) -> Option<&str> {
    let inside = line.strip_prefix(quote)?;
    let (text, behind) = inside.split_once(quote)?;
    (!text.contains('\\') && !behind.starts_with(quote)).then_some(text)
}

/// Whether it is a scalar without quotes, and can be nothing else.
fn is_plain(text: &str) -> bool {
    starts_plainly(text) && !text.ends_with(':') && !text.contains(": ")
}

/// A first character that stands for nothing else. Two dots may be the start of `...`.
fn starts_plainly(text: &str) -> bool {
    match text.as_bytes() {
        [b'.', b'.', ..] => false,
        [b'-', next, ..] => next.is_ascii_digit(),
        [first, ..] => matches!(first, b'.' | b'/' | b'_') || first.is_ascii_alphanumeric(),
        [] => false,
    }
}

#[cfg(test)]
mod tests;
