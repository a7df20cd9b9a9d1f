//! The token stream of [`libyaml_safer`], with its panics kept out of reach and in the scan steps of go-yaml's scanner.

use libyaml_safer::{Encoding, ScalarStyle, Scanner, Token as RawToken, TokenData};

use super::{Style, YamlError, source};

/// A place in the text: byte, line from 0, column in characters from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) fn error(self, message: impl Into<String>) -> YamlError {
        YamlError::new(message, self.line + 1, self.column + 1)
    }
}

/// What a token is. `Key` may be virtual: a simple key has no character of its own.
#[derive(Debug)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    Version { major: i32, minor: i32 },
    TagDirective { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar { text: String, style: Style },
}

/// A token and where it stands.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: Place,
    pub(super) end: Place,
}

impl Token {
    /// Whether it stands for characters of the text. Virtual tokens only mark structure.
    pub(super) fn is_real(&self) -> bool {
        match self.kind {
            Kind::BlockSequenceStart | Kind::BlockMappingStart | Kind::BlockEnd => false,
            Kind::Key => self.end.index > self.start.index,
            _ => true,
        }
    }
}

/// Reads tokens one by one.
pub(super) struct Tokens<'t> {
    scanner: Scanner<Input<'t>>,
    flow: usize,
}

/// The text, followed by a line break where it has none.
type Input<'t> = std::io::Chain<&'t [u8], &'static [u8]>;

impl<'t> Tokens<'t> {
    /// Starts reading `text`, which must not begin with a byte order mark.
    pub(super) fn new(text: &'t str) -> Result<Self, YamlError> {
        // Nearly every text holds nothing else, and it is seen at many bytes a step.
        let is_plain = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
        let mut chars = text.char_indices();
        let found = match text.as_bytes().iter().all(is_plain) {
            true => None,
            false => chars.find(|&(_, ch)| !source::is_allowed(ch)),
        };
        if let Some((at, ch)) = found {
            let (line, column) = source::position(text, at);
            let message = format!("the character U+{:04X} is not allowed here", u32::from(ch));
            return Err(YamlError::new(message, line, column));
        }
        refuse_tag_before_comma(text)?;
        Ok(Self {
            scanner: scanner(text),
            flow: 0,
        })
    }

    /// The next token; after the end of the stream, its end again.
    pub(super) fn next(&mut self) -> Result<Token, YamlError> {
        let RawToken {
            data,
            start_mark,
            end_mark,
            ..
        } = Scanner::scan(&mut self.scanner).map_err(|error| translate(&error))?;
        let (start, end) = (place(start_mark), place(end_mark));
        let kind = match data {
            TokenData::StreamStart { .. } => Kind::StreamStart,
            TokenData::StreamEnd => Kind::StreamEnd,
            TokenData::VersionDirective { major, minor } => Kind::Version { major, minor },
            TokenData::TagDirective { handle, prefix } => Kind::TagDirective { handle, prefix },
            TokenData::DocumentStart => Kind::DocumentStart,
            TokenData::DocumentEnd => Kind::DocumentEnd,
            TokenData::BlockSequenceStart => Kind::BlockSequenceStart,
            TokenData::BlockMappingStart => Kind::BlockMappingStart,
            TokenData::BlockEnd => Kind::BlockEnd,
            TokenData::FlowSequenceStart => Kind::FlowSequenceStart,
            TokenData::FlowSequenceEnd => Kind::FlowSequenceEnd,
            TokenData::FlowMappingStart => Kind::FlowMappingStart,
            TokenData::FlowMappingEnd => Kind::FlowMappingEnd,
            TokenData::BlockEntry => Kind::BlockEntry,
            TokenData::FlowEntry => Kind::FlowEntry,
            TokenData::Key => Kind::Key,
            TokenData::Value => Kind::Value,
            TokenData::Alias { value } => Kind::Alias(value),
            TokenData::Anchor { value } => Kind::Anchor(value),
            TokenData::Tag { handle, suffix } => Kind::Tag { handle, suffix },
            TokenData::Scalar { value, style } => Kind::Scalar {
                text: value,
                style: translate_style(style),
            },
        };
        match &kind {
            Kind::FlowSequenceStart | Kind::FlowMappingStart => self.flow += 1,
            Kind::FlowSequenceEnd | Kind::FlowMappingEnd => self.flow = self.flow.saturating_sub(1),
            // libyaml reads on; go-yaml ends the scalar here, and what follows is no valid YAML.
            Kind::Scalar {
                text,
                style: Style::Plain,
            } if self.flow > 0 && text.contains('?') => {
                return Err(start
                    .error("a plain scalar in [] or {} must not contain '?': put it in quotes"));
            }
            _ => {}
        }
        Ok(Token { kind, start, end })
    }
}

fn scanner(text: &str) -> Scanner<Input<'_>> {
    // A line break at the end keeps the scanner from running off the text inside a block scalar or an escape.
    let last: &'static [u8] = if text.ends_with('\n') { b"" } else { b"\n" };
    let mut scanner = Scanner::new();
    scanner.set_encoding(Encoding::Utf8);
    scanner.set_input(std::io::Read::chain(text.as_bytes(), last));
    scanner
}

/// In `[]` and `{}` the scanner panics where a tag has a comma directly behind it; go-yaml refuses such a tag anywhere.
///
/// Only the scanner can tell whether a `!` starts a tag, so it is asked with every `!` that has a comma in its word
/// replaced by a letter: where a tag was, a plain scalar now starts.
fn refuse_tag_before_comma(text: &str) -> Result<(), YamlError> {
    let suspects = suspects(text.as_bytes());
    if suspects.is_empty() {
        return Ok(());
    }
    let mut harmless = text.as_bytes().to_vec();
    for &at in &suspects {
        if let Some(byte) = harmless.get_mut(at) {
            *byte = b'x';
        }
    }
    let Ok(harmless) = String::from_utf8(harmless) else {
        return Ok(());
    }; // ASCII for ASCII: still UTF-8
    let mut scanner = scanner(&harmless);
    loop {
        let token = Scanner::scan(&mut scanner).map_err(|error| translate(&error))?;
        let start = place(token.start_mark);
        match token.data {
            TokenData::StreamEnd => return Ok(()),
            TokenData::Scalar {
                style: ScalarStyle::Plain,
                ..
            } if suspects.binary_search(&start.index).is_ok() => {
                return Err(start.error("a tag must not be followed by ','"));
            }
            _ => {}
        }
    }
}

/// Places of every `!` that is followed by a `,` before the next blank.
fn suspects(text: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut offset = 0;
    for word in text.split_inclusive(u8::is_ascii_whitespace) {
        if let Some(comma) = word.iter().rposition(|&byte| byte == b',') {
            let marks = word
                .iter()
                .take(comma)
                .enumerate()
                .filter(|&(_, &byte)| byte == b'!');
            found.extend(marks.map(|(at, _)| offset + at));
        }
        offset += word.len();
    }
    found
}

fn place(mark: libyaml_safer::Mark) -> Place {
    // The text is in memory, so its offsets fit.
    let fit = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Place {
        index: fit(mark.index),
        line: fit(mark.line),
        column: fit(mark.column),
    }
}

fn translate_style(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
        _ => Style::Plain,
    }
}

fn translate(error: &libyaml_safer::Error) -> YamlError {
    let place = error.problem_mark().map(place).unwrap_or_default();
    match error.context().filter(|context| !context.is_empty()) {
        Some(context) => place.error(format!("{} {context}", error.problem())),
        None => place.error(error.problem()),
    }
}
