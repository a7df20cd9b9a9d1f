//! Go's grammar of patterns, read from left to right with a stack of open groups, so that no nesting exhausts ours.

use std::ops::Range;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::{
    Assertion, Node, PatternError, fold,
    lexer::{Cursor, TOO_MANY},
    parts::{Part, Parts},
    property,
    sequence::{Kind, Piece, Sequence},
};

/// Bytes of one pattern. Go has no such limit, but neither has anybody such a pattern.
const MAX_LENGTH: usize = 256 << 10;
/// Ranges of all character sets of one pattern together.
const MAX_RANGES: usize = 1 << 20;
/// Levels of Go's syntax tree.
const MAX_HEIGHT: u32 = 1000;
/// Instructions of Go's program: 128 MiB of them.
const MAX_SIZE: u64 = (128 << 20) / 40;
/// Copies of one thing that nested counts may ask for.
const MAX_REPEAT: u64 = 1000;

/// Parses a pattern.
pub(super) fn parse(source: &str) -> Result<Node, PatternError> {
    run(source, None).map(|(tree, _)| tree)
}

/// The parts of a pattern in the order of its text, each with its place in it; `None` where groups nest too deep.
pub(super) fn parts(source: &str) -> Result<Option<Vec<Vec<Part>>>, PatternError> {
    let (_, parts) = run(source, Some(Parts::default()))?;
    Ok(parts.map(Parts::finish))
}

fn run(source: &str, parts: Option<Parts>) -> Result<(Node, Option<Parts>), PatternError> {
    if source.len() > MAX_LENGTH {
        let message = format!("the pattern is longer than {MAX_LENGTH} bytes");
        return Err(PatternError::too_large(message));
    }
    let mut parser = Parser {
        cursor: Cursor::new(source),
        flags: Flags::default(),
        group: Group::default(),
        outer: Vec::new(),
        ranges: 0,
        parts,
        piece: 0..0,
    };
    parser.run()?;
    if !parser.outer.is_empty() {
        let message = "missing closing )".to_owned();
        return Err(PatternError::at(parser.group.start, message));
    }
    let whole = std::mem::take(&mut parser.group).close();
    parser.check(&whole, 0)?;
    Ok((whole.into_node(), parser.parts))
}

/// What is known while a pattern is read.
pub(super) struct Parser<'p> {
    pub(super) cursor: Cursor<'p>,
    pub(super) flags: Flags,
    /// The innermost open group, or the pattern itself.
    group: Group,
    /// The groups around it.
    outer: Vec<Group>,
    ranges: usize,
    /// Kept only for those who ask for places.
    parts: Option<Parts>,
    /// Where the piece that is being read stands; its end is known only where it is not that of the cursor.
    piece: Range<usize>,
}

/// `(?ims)`; greediness (`U`) does not change whether a pattern matches.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) fold: bool,
    multi_line: bool,
    dot_newline: bool,
}

/// A group being read.
#[derive(Default)]
struct Group {
    start: usize,
    captures: bool,
    /// In force again after the group.
    flags_before: Flags,
    alternatives: Sequence,
    /// The alternative being read, less its last piece: a repetition may still follow that one.
    items: Sequence,
    last: Option<Piece>,
}

impl Group {
    fn push(&mut self, piece: Piece) {
        if let Some(before) = self.last.replace(piece) {
            self.items.add(Kind::Concat, before);
        }
    }

    /// `|`: what was read is one alternative.
    fn next_alternative(&mut self) {
        let alternative = self.take_concatenation();
        self.alternatives.add(Kind::Alternate, alternative);
    }

    fn close(mut self) -> Piece {
        let alternative = self.take_concatenation();
        if self.alternatives.is_empty() {
            return alternative;
        }
        self.alternatives.add(Kind::Alternate, alternative);
        Piece::Many(Kind::Alternate, self.alternatives)
    }

    fn take_concatenation(&mut self) -> Piece {
        let mut items = std::mem::take(&mut self.items);
        let Some(last) = self.last.take() else {
            return Piece::one(Node::Empty);
        };
        if items.is_empty() {
            return last;
        }
        items.add(Kind::Concat, last);
        Piece::Many(Kind::Concat, items)
    }
}

impl Parser<'_> {
    fn run(&mut self) -> Result<(), PatternError> {
        // Go forbids a repetition right after another one, `a**`; after something that leaves no trace in the tree,
        // `a*(?i)*`, it does not.
        let mut after_repetition = false;
        while let Some(c) = self.cursor.peek() {
            let start = self.cursor.offset();
            self.piece = start..start;
            let mut repetition = false;
            match c {
                '*' | '+' | '?' => {
                    self.cursor.next();
                    let (min, max) = match c {
                        '*' => (0, None),
                        '+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    self.repeat(start, min, max, after_repetition, false)?;
                    repetition = true;
                }
                '{' => match self.cursor.counts() {
                    Some((min, max)) => {
                        if min >= TOO_MANY || max.is_some_and(|max| max >= TOO_MANY || max < min) {
                            return Err(self.cursor.error_about(start, "invalid repeat count"));
                        }
                        self.repeat(start, min, max, after_repetition, true)?;
                        repetition = true;
                    }
                    None => {
                        self.cursor.next();
                        self.literal(c)?;
                    }
                },
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.cursor.next();
                    self.group.next_alternative();
                    self.note(Parts::next_alternative);
                }
                '[' => self.class()?,
                '\\' => self.backslash()?,
                _ => {
                    self.cursor.next();
                    self.plain(c)?;
                }
            }
            after_repetition = repetition;
        }
        Ok(())
    }

    /// A character that needs no look at what follows it.
    fn plain(&mut self, c: char) -> Result<(), PatternError> {
        match c {
            '^' if self.flags.multi_line => self.push(Node::Assertion(Assertion::LineStart)),
            '^' => self.push(Node::Assertion(Assertion::TextStart)),
            '$' if self.flags.multi_line => self.push(Node::Assertion(Assertion::LineEnd)),
            '$' => self.push(Node::Assertion(Assertion::TextEnd)),
            '.' if self.flags.dot_newline => self.set(property::full()),
            '.' => self.set(property::ranges(&[('\0', '\t'), ('\x0b', char::MAX)])),
            _ => self.literal(c),
        }
    }

    fn backslash(&mut self) -> Result<(), PatternError> {
        if self.cursor.eat(r"\A") {
            return self.push(Node::Assertion(Assertion::TextStart));
        }
        if self.cursor.eat(r"\z") {
            return self.push(Node::Assertion(Assertion::TextEnd));
        }
        if self.cursor.eat(r"\b") {
            return self.push(Node::Assertion(Assertion::WordBoundary));
        }
        if self.cursor.eat(r"\B") {
            return self.push(Node::Assertion(Assertion::NotWordBoundary));
        }
        if self.cursor.eat(r"\Q") {
            let quoted = self
                .cursor
                .until(r"\E")
                .unwrap_or_else(|| self.cursor.take_rest());
            let start = self.piece.start + r"\Q".len();
            return quoted.char_indices().try_for_each(|(at, c)| {
                self.piece = start + at..start + at + c.len_utf8();
                self.literal(c)
            });
        }
        if let Some(set) = self.named_escape()? {
            return self.set(set);
        }
        match char::from_u32(self.cursor.escape()?) {
            Some(c) => self.literal(c),
            None => self.set(ClassUnicode::empty()), // a surrogate, which no text holds
        }
    }

    /// `(`, `(?:`, `(?P<name>`, `(?i:`, and `(?i)`, which opens nothing.
    fn open(&mut self) -> Result<(), PatternError> {
        let start = self.cursor.offset();
        self.cursor.next();
        if !self.cursor.eat("?") {
            self.open_group(start, true, self.flags);
            return Ok(());
        }
        if self.cursor.eat("P<") || self.cursor.eat("<") {
            let name = self.cursor.until(">").unwrap_or_default();
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(self.cursor.error_about(start, "invalid name of a group"));
            }
            self.open_group(start, true, self.flags);
            return Ok(());
        }
        let (flags, opens) = self.flags_of_group(start)?;
        if opens {
            self.open_group(start, false, flags);
        }
        self.flags = flags;
        Ok(())
    }

    fn open_group(&mut self, start: usize, captures: bool, flags: Flags) {
        let group = Group {
            start,
            captures,
            flags_before: self.flags,
            ..Group::default()
        };
        self.outer.push(std::mem::replace(&mut self.group, group));
        self.flags = flags;
        self.note(|parts| parts.open(start));
    }

    /// Reads `i-s:` or `i-s)`: the flags, and whether a group follows.
    fn flags_of_group(&mut self, start: usize) -> Result<(Flags, bool), PatternError> {
        let mut flags = self.flags;
        let mut on = true;
        let mut seen = false; // since the minus sign
        while let Some(c) = self.cursor.next() {
            match c {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_newline = on,
                'U' => {}
                '-' if on => {
                    on = false;
                    seen = false;
                    continue;
                }
                ':' | ')' if on || seen => return Ok((flags, c == ':')),
                _ => break,
            }
            seen = true;
        }
        Err(self
            .cursor
            .error_about(start, "unknown flag or unsupported group"))
    }

    fn close(&mut self) -> Result<(), PatternError> {
        let start = self.cursor.offset();
        self.cursor.next();
        let Some(outer) = self.outer.pop() else {
            return Err(self.cursor.error(start, "unexpected )"));
        };
        let group = std::mem::replace(&mut self.group, outer);
        self.flags = group.flags_before;
        let captures = group.captures;
        let content = group.close();
        self.check(&content, start)?;
        let piece = if captures { content.capture() } else { content };
        let end = self.cursor.offset();
        self.note(|parts| parts.close(end));
        self.add(piece)
    }

    fn repeat(
        &mut self,
        start: usize,
        min: u32,
        max: Option<u32>,
        after_repetition: bool,
        counted: bool,
    ) -> Result<(), PatternError> {
        self.cursor.eat("?"); // laziness does not change whether the pattern matches
        if after_repetition {
            return Err(self.cursor.error_about(start, "repetition of a repetition"));
        }
        let Some(piece) = self.group.last.take() else {
            return Err(self.cursor.error_about(start, "nothing to repeat before"));
        };
        let piece = piece.repeat(min, max, counted);
        if counted
            && (min >= 2 || max.is_some_and(|max| max >= 2))
            && piece.measure().copies > MAX_REPEAT
        {
            return Err(self
                .cursor
                .error_about(start, "more than 1000 copies asked for by"));
        }
        let end = self.cursor.offset();
        self.note(|parts| parts.repeat(end, min, max));
        self.add(piece)
    }

    fn literal(&mut self, c: char) -> Result<(), PatternError> {
        let folds = self.flags.fold && (c.is_ascii_alphabetic() || !c.is_ascii());
        if !folds {
            return self.push(Node::Literal(c));
        }
        let mut set = property::ranges(&[(c, c)]);
        if c.is_ascii() && !matches!(c, 'k' | 'K' | 's' | 'S') {
            let other = if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            };
            set = property::ranges(&[(c, c), (other, other)]);
        } else {
            fold::fold(&mut set);
        }
        if set.ranges() == [ClassUnicodeRange::new(c, c)] {
            return self.push(Node::Literal(c));
        }
        self.set(set)
    }

    /// Pushes one character of `set`.
    pub(super) fn set(&mut self, set: ClassUnicode) -> Result<(), PatternError> {
        self.charge(&set)?;
        self.push(Node::Class(set))
    }

    /// Counts the ranges of `set` against their limit.
    pub(super) fn charge(&mut self, set: &ClassUnicode) -> Result<(), PatternError> {
        self.ranges += set.ranges().len();
        if self.ranges > MAX_RANGES {
            let message =
                format!("the pattern's character sets have more than {MAX_RANGES} ranges");
            return Err(self.cursor.error(0, message));
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), PatternError> {
        if let Some(parts) = &mut self.parts {
            let Range { start, end } = self.piece;
            let end = if end > start {
                end
            } else {
                self.cursor.offset()
            };
            parts.leaf(start..end, node.clone());
        }
        self.add(Piece::one(node))
    }

    fn add(&mut self, piece: Piece) -> Result<(), PatternError> {
        self.check(&piece, self.cursor.offset())?;
        self.group.push(piece);
        Ok(())
    }

    /// Tells whoever asked for places; one who gives up is not told again.
    fn note(&mut self, what: impl FnOnce(&mut Parts)) {
        if let Some(parts) = &mut self.parts {
            what(parts);
            if parts.is_too_deep() {
                self.parts = None;
            }
        }
    }

    fn check(&self, piece: &Piece, offset: usize) -> Result<(), PatternError> {
        let measure = piece.measure();
        if measure.height > MAX_HEIGHT {
            return Err(self.cursor.error(
                offset,
                format!("the pattern nests deeper than {MAX_HEIGHT} levels"),
            ));
        }
        if measure.size > MAX_SIZE {
            return Err(self.cursor.error(
                offset,
                "the pattern is too large when its repetitions are written out",
            ));
        }
        Ok(())
    }
}
