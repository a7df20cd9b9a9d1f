//! Which token a comment belongs to, as go-yaml's scanner decides it.
//!
//! libyaml throws comments away; go-yaml collects them between tokens. A comment is *line* (on the line of its token),
//! *foot* (directly below a token and apart from what follows) or *head* (everything else), and it waits until a token at
//! or behind its `due` place is looked at. When that happens, and what has been scanned by then, decides the owner, so
//! this module keeps go-yaml's order of events: tokens are scanned one real token at a time, two ahead of the reader.

use std::collections::VecDeque;

use super::{
    Span, YamlError,
    tokens::{Kind, Place, Token, Tokens},
};

/// How many blank characters go-yaml looks through for the next comment.
const LOOK_AHEAD: usize = 512;

/// A line of comments waiting for their owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// From `#` to the end of the line.
    Line(Span),
    /// An empty line between comments.
    Blank,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Head,
    Line,
    Foot,
}

#[derive(Debug, Default)]
struct Waiting {
    role: Role,
    parts: Vec<Part>,
    /// A token at or behind this byte takes the comment.
    due: usize,
    /// Where it starts; the column counts from 1 for comments between tokens.
    start: Place,
    /// Where the search that found it began.
    searched_from: usize,
    /// Where it ends; 0 for line comments.
    end: usize,
}

/// The comments collected for the next node.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) head: Vec<Part>,
    pub(super) line: Vec<Part>,
    pub(super) foot: Vec<Part>,
}

/// The kind of a token, as far as comments care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    SequenceStart,
    Entry,
    FlowEntry,
    Value,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    class: Class,
    start: usize,
}

/// Tokens, with comments collected on the way.
pub(super) struct Lexer<'t> {
    text: &'t [u8],
    tokens: Tokens<'t>,
    queue: VecDeque<Token>,
    /// Virtual tokens of simple keys whose `:` was not read yet: go-yaml does not know about them before.
    early: usize,
    /// For each such key, its flow level and number of virtual tokens.
    open_keys: Vec<(usize, usize)>,
    place: Place,
    indent: i64,
    indents: Vec<i64>,
    flow: usize,
    /// The last two tokens.
    seen: [Option<Seen>; 2],
    waiting: VecDeque<Waiting>,
    /// What the next node takes.
    pub(super) collected: Collected,
    /// Every comment.
    pub(super) all: Vec<Span>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Result<Self, YamlError> {
        Ok(Self {
            text: text.as_bytes(),
            tokens: Tokens::new(text)?,
            queue: VecDeque::new(),
            early: 0,
            open_keys: Vec::new(),
            place: Place::default(),
            indent: -1,
            indents: Vec::new(),
            flow: 0,
            seen: [None, None],
            waiting: VecDeque::new(),
            collected: Collected::default(),
            all: Vec::new(),
        })
    }

    /// The next token. Looking at it collects the comments that are due.
    pub(super) fn peek(&mut self) -> Result<&Token, YamlError> {
        while self.queue.len() < self.early + 3 {
            let end = matches!(
                self.queue.back(),
                Some(Token {
                    kind: Kind::StreamEnd,
                    ..
                })
            );
            if end {
                break;
            }
            self.fetch()?;
        }
        let Some(token) = self.queue.front() else {
            return Err(self.place.error("unexpected end of the text"));
        };
        collect(token, &mut self.waiting, &mut self.collected);
        Ok(token)
    }

    /// Takes the token last looked at.
    pub(super) fn skip(&mut self) -> Result<Token, YamlError> {
        match self.queue.pop_front() {
            Some(token) => Ok(token),
            None => Err(self.place.error("unexpected end of the text")),
        }
    }

    /// Reads one real token, and the virtual ones before it.
    fn fetch(&mut self) -> Result<(), YamlError> {
        let mut opened = Vec::new();
        let mut closed = 0;
        let token = loop {
            let token = self.tokens.next()?;
            match token.kind {
                _ if token.is_real() => break token,
                Kind::BlockEnd => closed += 1,
                _ => opened.push(token),
            }
        };
        let searched_from = self.place;
        if !matches!(token.kind, Kind::StreamStart) {
            self.search(token.start.index);
        }
        if !matches!(token.kind, Kind::StreamEnd) {
            self.place = token.start;
        }
        self.close_blocks(closed, searched_from);
        self.open_blocks(opened);
        self.push(token);
        Ok(())
    }

    fn push(&mut self, token: Token) {
        let class = match token.kind {
            Kind::BlockEntry => Class::Entry,
            Kind::FlowEntry => Class::FlowEntry,
            Kind::Value => Class::Value,
            _ => Class::Other,
        };
        match token.kind {
            Kind::FlowSequenceStart | Kind::FlowMappingStart => self.flow += 1,
            Kind::FlowSequenceEnd | Kind::FlowMappingEnd => self.flow = self.flow.saturating_sub(1),
            Kind::Value => {
                if let Some((_, count)) = self.open_keys.pop_if(|(flow, _)| *flow == self.flow) {
                    self.early -= count;
                }
            }
            _ => {}
        }
        let separates = match self.text.get(token.start.index) {
            Some(b':') => self.flow == 0,
            Some(b',') => self.flow > 0,
            _ => false,
        };
        let owner = match self.seen[1] {
            Some(before) if separates => before.start,
            _ => token.start.index,
        };
        self.see(class, token.start.index);
        self.place = token.end;
        match token.kind {
            Kind::StreamStart | Kind::StreamEnd | Kind::DocumentStart | Kind::DocumentEnd => {}
            Kind::Version { .. } | Kind::TagDirective { .. } => self.finish_directive(),
            Kind::BlockEntry => {}
            Kind::Scalar {
                style: super::Style::Plain,
                ..
            } => {
                self.skip_blank(true);
                self.line_comment(owner);
            }
            Kind::Scalar {
                style: super::Style::Literal | super::Style::Folded,
                ..
            } => {
                self.header_comment(&token);
                self.skip_blank(false);
            }
            _ => self.line_comment(owner),
        }
        self.queue.push_back(token);
    }

    fn see(&mut self, class: Class, start: usize) {
        self.seen = [self.seen[1], Some(Seen { class, start })];
    }

    /// Ends `closed` blocks here. A block ends before the comments at its own indentation start.
    fn close_blocks(&mut self, closed: usize, searched_from: Place) {
        let next = self.place;
        let mut border = Place {
            index: searched_from.index.saturating_sub(1),
            ..searched_from
        };
        let mut at_end = false;
        for _ in 0..closed {
            let column = i64::try_from(next.column).unwrap_or(i64::MAX);
            if self.indent <= column && !at_end {
                // Only the end of a document closes blocks that are not deeper than what follows.
                at_end = true;
                border = Place {
                    index: next.index.saturating_sub(1),
                    ..next
                };
            }
            let mut stop = border.index;
            for comment in self.waiting.iter().rev() {
                if comment.end < stop {
                    break;
                }
                if i64::try_from(comment.start.column).unwrap_or(i64::MAX) == self.indent + 1 {
                    border = comment.start;
                }
                stop = comment.searched_from;
            }
            self.queue.push_back(Token {
                kind: Kind::BlockEnd,
                start: border,
                end: border,
            });
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn open_blocks(&mut self, opened: Vec<Token>) {
        let simple_key = opened.iter().any(|token| matches!(token.kind, Kind::Key));
        if simple_key {
            self.early += opened.len();
            self.open_keys.push((self.flow, opened.len()));
        }
        for token in opened {
            if matches!(
                token.kind,
                Kind::BlockSequenceStart | Kind::BlockMappingStart
            ) {
                self.indents.push(self.indent);
                self.indent = i64::try_from(token.start.column).unwrap_or(i64::MAX);
            }
            match token.kind {
                Kind::BlockSequenceStart => self.see(Class::SequenceStart, token.start.index),
                Kind::BlockMappingStart if !simple_key => self.see(Class::Other, token.start.index),
                _ => {}
            }
            self.queue.push_back(token);
        }
    }

    /// Looks for comments from the current place to `until`, the start of the next token.
    fn search(&mut self, until: usize) {
        let from = self.place;
        loop {
            if self.place.column == 0
                && self.text[self.place.index.min(self.text.len())..].starts_with(b"\xef\xbb\xbf")
            {
                self.place.index += 3;
                self.place.column += 1;
            }
            while self.place.index < until && self.is_blank(self.place.index) {
                self.step();
            }
            self.turn_into_head();
            if self.place.index < until && self.byte(self.place.index) == Some(b'#') {
                self.comments(from);
            }
            if self.place.index < until && self.break_length(self.place.index) > 0 {
                self.step_line();
            } else {
                return;
            }
        }
    }

    /// `key: # comment` above a sequence belongs to its first item.
    fn turn_into_head(&mut self) {
        let [
            Some(Seen {
                class: Class::SequenceStart,
                ..
            }),
            Some(Seen {
                class: Class::Entry,
                ..
            }),
        ] = self.seen
        else {
            return;
        };
        if self.break_length(self.place.index) > 0 {
            return;
        }
        let place = self.place;
        if let Some(comment) = self.waiting.back_mut()
            && comment.role == Role::Line
        {
            comment.role = Role::Head;
            if comment.start.line + 1 == place.line {
                comment.due = place.index;
            }
        }
    }

    /// A comment directly behind a token, on its line.
    fn line_comment(&mut self, owner: usize) {
        if self.breaks_before(self.place.index) > 0 {
            return;
        }
        let mut at = self.place.index;
        while at < self.place.index + LOOK_AHEAD && self.is_blank(at) {
            at += 1;
        }
        if at >= self.place.index + LOOK_AHEAD || self.byte(at) != Some(b'#') {
            return;
        }
        while self.place.index < at {
            self.step();
        }
        let start = self.place;
        let part = self.take_comment();
        let comment = Waiting {
            role: Role::Line,
            parts: vec![part],
            due: owner,
            start,
            ..Waiting::default()
        };
        self.waiting.push_back(comment);
    }

    /// A comment behind the `|` or `>` of a block scalar, whose text was read already.
    fn header_comment(&mut self, token: &Token) {
        let after = self.place;
        self.place = token.start;
        self.step();
        while self
            .byte(self.place.index)
            .is_some_and(|byte| byte == b'+' || byte == b'-' || byte.is_ascii_digit())
        {
            self.step();
        }
        self.line_comment(token.start.index);
        self.place = after;
    }

    fn finish_directive(&mut self) {
        while self.place.index < self.text.len() && self.break_length(self.place.index) == 0 {
            if self.byte(self.place.index) == Some(b'#') {
                self.take_comment();
            } else {
                self.step();
            }
        }
        self.step_line();
    }

    /// Comments between tokens, from the `#` at the current place on; `from` is where the search began.
    fn comments(&mut self, from: Place) {
        let Some(mut last) = self.seen[1] else { return };
        if let (Class::FlowEntry, Some(before)) = (last.class, self.seen[0]) {
            last = before;
        }
        let next_indent = usize::try_from(self.indent).unwrap_or(0);
        let breaks = self.breaks_before(self.place.index);
        // A comment on this line stands directly below the last token, if it does not share its line.
        let foot_line = if from.line > 0 {
            let shares = breaks == 0 && self.place.column > 1;
            Some(self.place.line + 1 + usize::from(shares) - breaks)
        } else {
            None
        };
        let mut due = last.start;
        let mut searched_from = from.index;
        let mut no_gap_yet = breaks <= 1;
        let mut in_gap = false;
        let mut start = Place::default();
        let mut parts: Vec<Part> = Vec::new();
        let (mut line, mut column) = (self.place.line, self.place.column);
        let mut ahead = 0;
        while ahead < LOOK_AHEAD {
            let at = self.place.index + ahead;
            column += 1;
            if self.is_blank(at) {
                ahead += 1;
                continue;
            }
            let byte = self.byte(at);
            let closes = self.flow > 0 && matches!(byte, Some(b']' | b'}'));
            let is_break = self.break_length(at) > 0;
            let dedented = start.column.saturating_sub(1) < next_indent;
            let mut done = None;
            if closes || is_break || byte.is_none() {
                let below = Some(start.line) == foot_line && last.class != Class::Value;
                if closes || !in_gap && no_gap_yet && (below || dedented) {
                    if dedented {
                        due = start.index;
                    }
                    done = Some((due, at));
                } else if !in_gap && !parts.is_empty() && byte.is_some() {
                    parts.push(Part::Blank);
                }
                if !is_break {
                    self.finish_foot(done, &mut parts, start, &mut searched_from, &mut due);
                    break;
                }
                self.finish_foot(done, &mut parts, start, &mut searched_from, &mut due);
                no_gap_yet = false;
                in_gap = true;
                column = 0;
                line += 1;
                ahead += 1;
                continue;
            }
            if column - 1 < next_indent && column != start.column {
                done = Some((due, at));
            }
            self.finish_foot(done, &mut parts, start, &mut searched_from, &mut due);
            if byte != Some(b'#') {
                break;
            }
            if parts.is_empty() {
                start = Place {
                    index: at,
                    line,
                    column,
                };
            }
            in_gap = false;
            while self.place.index < at {
                if self.break_length(self.place.index) > 0 {
                    self.step_line();
                } else {
                    self.step();
                }
            }
            parts.push(self.take_comment());
            // go-yaml goes on behind the first byte of the line break, and does not count that line: in texts with
            // CRLF the LF is an empty line to it.
            ahead = 1;
            column = 0;
            line = self.place.line;
        }
        if !parts.is_empty() {
            let end = self.place.index + ahead.saturating_sub(1);
            let role = Role::Head;
            self.waiting.push_back(Waiting {
                role,
                parts,
                due: start.index,
                start,
                searched_from,
                end,
            });
        }
    }

    /// What was read so far is a foot comment, due and ending as `done` says.
    fn finish_foot(
        &mut self,
        done: Option<(usize, usize)>,
        parts: &mut Vec<Part>,
        start: Place,
        searched_from: &mut usize,
        due: &mut usize,
    ) {
        let Some((foot_due, end)) = done else { return };
        if parts.is_empty() {
            return;
        }
        self.waiting.push_back(Waiting {
            role: Role::Foot,
            parts: std::mem::take(parts),
            due: foot_due,
            start,
            searched_from: *searched_from,
            end,
        });
        *searched_from = end;
        *due = end;
    }

    /// Reads the comment that starts here up to the end of its line.
    fn take_comment(&mut self) -> Part {
        let start = self.place.index;
        while self.place.index < self.text.len() && self.break_length(self.place.index) == 0 {
            self.step();
        }
        let span = start..self.place.index;
        self.all.push(span.clone());
        Part::Line(span)
    }

    /// Skips blanks, and line breaks too where the scanner has read them in search of more of a scalar.
    fn skip_blank(&mut self, breaks: bool) {
        loop {
            if self.is_blank(self.place.index) {
                self.step();
            } else if breaks && self.break_length(self.place.index) > 0 {
                self.step_line();
            } else {
                return;
            }
        }
    }

    /// One character on.
    fn step(&mut self) {
        self.place.index += 1;
        while self
            .byte(self.place.index)
            .is_some_and(|byte| byte & 0xc0 == 0x80)
        {
            self.place.index += 1;
        }
        self.place.column += 1;
    }

    /// Behind the line break that starts here.
    fn step_line(&mut self) {
        let length = self.break_length(self.place.index);
        if length > 0 {
            self.place = Place {
                index: self.place.index + length,
                line: self.place.line + 1,
                column: 0,
            };
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn is_blank(&self, at: usize) -> bool {
        matches!(self.byte(at), Some(b' ' | b'\t'))
    }

    /// Length of the line break that starts here, or 0.
    fn break_length(&self, at: usize) -> usize {
        match self.text.get(at..).unwrap_or_default() {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            [0xc2, 0x85, ..] => 2,
            [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
            _ => 0,
        }
    }

    /// How many line breaks stand before this byte, with nothing but blanks between them.
    fn breaks_before(&self, at: usize) -> usize {
        let mut rest = self.text.get(..at).unwrap_or(self.text);
        let mut count = 0;
        loop {
            rest = match rest {
                [before @ .., b' ' | b'\t'] => before,
                [before @ .., b'\r', b'\n'] | [before @ .., b'\r' | b'\n'] => {
                    count += 1;
                    before
                }
                [before @ .., 0xc2, 0x85] | [before @ .., 0xe2, 0x80, 0xa8 | 0xa9] => {
                    count += 1;
                    before
                }
                _ => return count,
            };
        }
    }
}

/// Hands out the comments that are due at `token`.
fn collect(token: &Token, waiting: &mut VecDeque<Waiting>, collected: &mut Collected) {
    while let Some(comment) = waiting.front()
        && token.start.index >= comment.due
    {
        if comment.role == Role::Head && matches!(token.kind, Kind::BlockEnd) {
            return; // what follows the block takes it
        }
        let Some(comment) = waiting.pop_front() else {
            return;
        };
        match comment.role {
            Role::Head => collected.head.extend(comment.parts),
            Role::Line => collected.line.extend(comment.parts),
            Role::Foot => collected.foot.extend(comment.parts),
        }
    }
}
