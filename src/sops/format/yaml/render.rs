//! Text for values, as go-yaml's emitter chooses it: plain where nothing else would be read, block literals for several
//! lines, quotes for the rest.
//!
//! One thing is done better: where sops prints a literal block that reads back as other data or not at all (its
//! indentation indicator counts from a column that is not there), the value goes into double quotes.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use policy::yaml::{Resolved, resolve};

use crate::{
    secret::Secret,
    sops::{format::PlainValue, number},
};

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Context {
    /// In brackets or braces.
    Flow,
    /// In a block: the column of its key or dash, the column for the lines of a literal, and the columns of one level.
    Block {
        parent: usize,
        content: usize,
        indent: usize,
    },
}

impl Context {
    /// The value of a key at this column.
    pub(super) fn of_key(column: usize, indent: usize) -> Self {
        Self::Block {
            parent: column,
            content: (column / indent + 1) * indent,
            indent,
        }
    }

    /// The item behind a dash at this column.
    pub(super) fn of_dash(column: usize, indent: usize) -> Self {
        Self::Block {
            parent: column,
            content: column + 2,
            indent,
        }
    }
}

/// Text of a value: what stands on its line, and the lines of a literal below.
#[derive(Default)]
pub(super) struct Rendered {
    pub(super) line: Secret,
    /// Each with a line break before it, none at the end.
    pub(super) below: Option<Secret>,
}

impl Rendered {
    fn line(text: impl Into<Secret>) -> Self {
        Self {
            line: text.into(),
            below: None,
        }
    }

    /// All of it.
    pub(super) fn join(mut self) -> Secret {
        if let Some(below) = self.below {
            self.line.push(below.expose());
        }
        self.line
    }
}

/// The text of a value that is no comment.
pub(super) fn value(value: &PlainValue, context: Context) -> Rendered {
    match value {
        PlainValue::Str(text) | PlainValue::Comment(text) => match text.expose_str() {
            Some(text) => string(text, context),
            None => binary(text.expose(), context),
        },
        PlainValue::Int(number) => Rendered::line(number.to_string()),
        PlainValue::Float(number) => Rendered::line(float(*number)),
        PlainValue::Bool(truth) => Rendered::line(truth.to_string()),
        PlainValue::Time(text) => Rendered::line(text.clone()),
    }
}

/// A key; never longer than one line.
pub(super) fn key(text: &str) -> Secret {
    match style(text, Context::Flow, true) {
        Style::Plain => Secret::from(text.to_owned()),
        Style::Single => single_quoted(text),
        Style::Double | Style::Literal => double_quoted(text),
    }
}

fn float(number: f64) -> String {
    if number.is_nan() {
        ".nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        number::format_float_general(number)
    }
}

/// A string.
pub(super) fn string(text: &str, context: Context) -> Rendered {
    match style(text, context, false) {
        // go-yaml knows this text as a merge key only.
        Style::Plain if text == "<<" => Rendered::line("!!merge <<".to_owned()),
        Style::Plain => Rendered::line(text.to_owned()),
        Style::Single => Rendered::line(single_quoted(text)),
        Style::Double => Rendered::line(double_quoted(text)),
        Style::Literal => match context {
            Context::Block {
                parent,
                content,
                indent,
            } if is_sound(text, content - parent, indent) => literal("|", text, content, indent),
            _ => Rendered::line(double_quoted(text)),
        },
    }
}

/// Bytes that are no text.
fn binary(bytes: &[u8], context: Context) -> Rendered {
    const LINE: usize = 70;
    let mut encoded = vec![0; bytes.len().div_ceil(3) * 4];
    // The buffer has the length that the encoding has.
    let _ = STANDARD.encode_slice(bytes, &mut encoded);
    let encoded = Secret::new(encoded);
    match context {
        Context::Block {
            content, indent, ..
        } if encoded.len() >= LINE => {
            let mut lines = Secret::with_capacity(encoded.len() + encoded.len() / LINE + 1);
            for line in encoded.expose().chunks(LINE) {
                lines.push(line);
                lines.push(b"\n");
            }
            literal(
                "!!binary |",
                lines.expose_str().unwrap_or_default(),
                content,
                indent,
            )
        }
        _ => {
            let mut line = Secret::with_capacity(encoded.len() + 9);
            line.push(b"!!binary ");
            line.push(encoded.expose());
            Rendered::line(line)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn style(text: &str, context: Context, is_key: bool) -> Style {
    let facts = Facts::of(text);
    let flow = matches!(context, Context::Flow) && !is_key;
    // go-yaml prints the breaks of Unicode so that they read back as other text.
    if text.contains(['\u{2028}', '\u{2029}']) {
        return Style::Double;
    }
    if text.contains('\n') {
        return if facts.block && !flow && !is_key {
            Style::Literal
        } else {
            Style::Double
        };
    }
    if !matches!(resolve(text), Resolved::Str) || is_sexagesimal(text) || is_old_bool(text) {
        return Style::Double;
    }
    if facts.multiline && is_key {
        return Style::Double;
    }
    match (
        if flow {
            facts.flow_plain
        } else {
            facts.block_plain
        },
        facts.single,
    ) {
        (true, _) => Style::Plain,
        (false, true) => Style::Single,
        (false, false) => Style::Double,
    }
}

/// What go-yaml's emitter finds out about a text before it chooses.
struct Facts {
    multiline: bool,
    block_plain: bool,
    flow_plain: bool,
    single: bool,
    block: bool,
}

impl Facts {
    fn of(text: &str) -> Self {
        let document_mark = text.starts_with("---") || text.starts_with("...");
        let (mut block_indicator, mut flow_indicator) = (document_mark, document_mark);
        let (mut special, mut tab, mut breaks) = (false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let mut before: Option<char> = None;
        let mut rest = text.chars();
        while let Some(ch) = rest.next() {
            let after = rest.clone().next();
            let blank_after = after.is_none_or(|after| matches!(after, ' ' | '\t'));
            let blank_before =
                before.is_none_or(|before| matches!(before, ' ' | '\t' | '\0') || is_break(before));
            match ch {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                | '%' | '@' | '`'
                    if before.is_none() =>
                {
                    flow_indicator = true;
                    block_indicator = true;
                }
                '-' if before.is_none() && blank_after => {
                    flow_indicator = true;
                    block_indicator = true;
                }
                '?' if before.is_none() => {
                    flow_indicator = true;
                    block_indicator |= blank_after;
                }
                ':' => {
                    flow_indicator = true;
                    block_indicator |= blank_after;
                }
                ',' | '?' | '[' | ']' | '{' | '}' => flow_indicator = true,
                '#' if blank_before => {
                    flow_indicator = true;
                    block_indicator = true;
                }
                _ => {}
            }
            tab |= ch == '\t';
            special |= ch != '\t' && !is_printable(ch);
            if is_break(ch) {
                breaks = true;
                space_break |= before == Some(' ');
            } else if ch == ' ' {
                break_space |= before.is_some_and(is_break);
            }
            before = Some(ch);
        }
        let edge = |ch: Option<char>| ch.is_some_and(|ch| ch == ' ' || is_break(ch));
        let edges = edge(text.chars().next()) || edge(text.chars().next_back());
        let quoted_only = break_space || space_break || tab || special;
        let plain = !(edges || quoted_only || breaks || text.is_empty());
        Self {
            multiline: breaks,
            block_plain: plain && !block_indicator,
            flow_plain: plain && !flow_indicator,
            single: !quoted_only,
            block: !(text.is_empty() || text.ends_with(' ') || space_break || special),
        }
    }
}

fn is_break(ch: char) -> bool {
    matches!(ch, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What go-yaml writes as it is. Nothing beyond U+FFFF.
fn is_printable(ch: char) -> bool {
    matches!(ch, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Words that are booleans in YAML 1.1 only.
fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// Numbers in base 60 such as `1:30`, which YAML 1.1 has.
fn is_sexagesimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    if !first.starts_with(|ch: char| ch.is_ascii_digit())
        || !first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else {
        return false;
    };
    let is_sixtieth =
        |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    let (whole, fraction) = last.split_once('.').unwrap_or((last, ""));
    middle.iter().all(|part| is_sixtieth(part))
        && is_sixtieth(whole)
        && fraction
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
}

fn single_quoted(text: &str) -> Secret {
    let mut out = Secret::with_capacity(text.len() + 2);
    out.push(b"'");
    for (index, part) in text.split('\'').enumerate() {
        if index > 0 {
            out.push(b"''");
        }
        out.push(part.as_bytes());
    }
    out.push(b"'");
    out
}

/// A string in double quotes.
pub(super) fn double_quoted(text: &str) -> Secret {
    // Where a byte order mark comes first, go-yaml takes every character for one.
    let all = text.starts_with('\u{feff}');
    let mut out = Secret::with_capacity(text.len() + 2);
    out.push(b"\"");
    for ch in text.chars() {
        if !all && is_printable(ch) && !is_break(ch) && ch != '"' && ch != '\\' {
            out.push(ch.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = match ch {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{b}' => 'v',
            '\u{c}' => 'f',
            '\r' => 'r',
            '\u{1b}' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{a0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => '\0',
        };
        // Writing to a Secret cannot fail.
        let _ = match (escape, u32::from(ch)) {
            ('\0', code @ 0..=0xff) => write!(out, "\\x{code:02X}"),
            ('\0', code @ 0..=0xffff) => write!(out, "\\u{code:04X}"),
            ('\0', code) => write!(out, "\\U{code:08X}"),
            (escape, _) => write!(out, "\\{escape}"),
        };
    }
    out.push(b"\"");
    out
}

/// Whether sops' literal block would read back as this text. Its indicator always names one level of indentation, and
/// without one no tab can come first.
fn is_sound(text: &str, depth: usize, indent: usize) -> bool {
    match text.as_bytes().first() {
        Some(b' ' | b'\n') => depth == indent,
        first => first != Some(&b'\t'),
    }
}

fn literal(header: &str, text: &str, content: usize, indent: usize) -> Rendered {
    let mut line = Secret::from(header.to_owned());
    if text.starts_with([' ', '\n']) {
        let _ = write!(line, "{indent}");
    }
    let (body, chomping) = match text.strip_suffix('\n') {
        None => (text, "-"),
        Some("") => ("", "+"),
        Some(body) if body.ends_with(is_break) => (body, "+"),
        Some(body) => (body, ""),
    };
    line.push(chomping.as_bytes());
    let mut below = Secret::with_capacity(text.len() + 16);
    for part in body.split('\n') {
        below.push(b"\n");
        if !part.is_empty() {
            let _ = write!(below, "{:content$}", "");
            below.push(part.as_bytes());
        }
    }
    Rendered {
        line,
        below: Some(below),
    }
}
