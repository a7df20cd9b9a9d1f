//! Which token a comment belongs to, as go-yaml's scanner decides it.
//!
//! libyaml throws comments away; go-yaml collects them between tokens. A comment is *line* (on the line of its token),
//! *foot* (directly below a token and apart from what follows) or *head* (everything else), and it waits until a token at
//! or behind its `due` place is looked at. When that happens, and what has been scanned by then, decides the owner, so
//! this module keeps go-yaml's order of events: tokens are scanned one real token at a time, two ahead of the reader.

mod search;
mod text;

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
