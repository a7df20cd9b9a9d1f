//! Finding the comments between two tokens, and deciding which of them stand below the first.

use super::{Class, LOOK_AHEAD, Lexer, Part, Role, Seen, Waiting};
use crate::yaml::tokens::{Place, Token};

impl Lexer<'_> {
    /// Looks for comments from the current place to `until`, the start of the next token.
    pub(super) fn search(&mut self, until: usize) {
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
    pub(super) fn turn_into_head(&mut self) {
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
    pub(super) fn line_comment(&mut self, owner: usize) {
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
    pub(super) fn header_comment(&mut self, token: &Token) {
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

    pub(super) fn finish_directive(&mut self) {
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
    pub(super) fn comments(&mut self, from: Place) {
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
    pub(super) fn finish_foot(
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
}
