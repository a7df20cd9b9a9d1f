//! Random YAML documents: every style of scalar, comments in every place, lists in lists, several documents.

use std::fmt::Write as _;

use policy::yaml::{Content, Limits, NodeId, Resolved, Stream, parse};

use super::documents::{keys, number, text};
use crate::rules_differential::random::Random;

/// Texts that mean something else without quotes, or are hard to print.
const PLAIN: [&str; 40] = [
    "true",
    "False",
    "yes",
    "null",
    "~",
    "",
    "010",
    "08",
    "0x1F",
    "0o17",
    "1_000",
    "1e3",
    "1.",
    ".5",
    "-0",
    "+5",
    "1:30",
    ".inf",
    "-.INF",
    ".nan",
    "plain",
    "two words",
    "a:b",
    "a#b",
    "it's",
    "http://x/y?z=1",
    "[]",
    "{}",
    "'single'",
    "'it''s'",
    "\"\\u00e9\\n\\x41\"",
    "!!str 5",
    "!!int \"7\"",
    "!!float 3",
    "!!binary aGVsbG8=",
    "!local x",
    "9223372036854775807",
    "-9223372036854775808",
    "123456789.125",
    "0.000001",
];

const BLOCKS: [&str; 8] = [
    "one\ntwo",
    "x",
    "a\n\nb",
    "# no comment\nx",
    "k: v\n- z",
    "  in\nout",
    "-----BEGIN-----\nabc\n-----END-----",
    "a\n\n",
];

struct Writer<'r> {
    random: &'r mut Random,
    lines: Vec<String>,
    comments: usize,
    /// One in how many places has a comment; 0 for none.
    rarity: usize,
}

pub(crate) fn document(random: &mut Random) -> Vec<u8> {
    let rarity = random.pick(&[0, 6, 12, 30]);
    let mut writer = Writer {
        random,
        lines: Vec::new(),
        comments: 0,
        rarity,
    };
    let count = writer.random.pick(&[1, 1, 1, 1, 2, 3]);
    for index in 0..count {
        if index > 0 || writer.random.one_in(8) {
            writer.lines.push("---".to_owned());
        }
        if writer.random.one_in(15) {
            let empty = writer
                .random
                .pick(&["{}", "null", "{alpha: 1, \"b\": [x, 'y']}"]);
            writer.lines.push(empty.to_owned());
        } else {
            writer.mapping(0, 0);
        }
    }
    let mut text = writer.lines.join("\n") + "\n";
    if random.one_in(25) {
        text = text.replace('\n', "\r\n");
    }
    if random.one_in(25) {
        text.insert(0, '\u{feff}');
    }
    text.into_bytes()
}

impl Writer<'_> {
    fn comment(&mut self) -> String {
        self.comments += 1;
        let form = self
            .random
            .pick(&["# c", "#c", "## c", "# mark: c", "#  - c"]);
        format!("{form}{}", self.comments)
    }

    fn comment_lines(&mut self, indent: usize) {
        while self.rarity > 0 && self.random.one_in(self.rarity) {
            let comment = self.comment();
            self.lines.push(format!("{:indent$}{comment}", ""));
        }
        if self.random.one_in(14) {
            self.lines.push(String::new());
        }
    }

    fn behind(&mut self) -> String {
        match self.rarity > 0 && self.random.one_in(self.rarity) {
            true => format!(" {}", self.comment()),
            false => String::new(),
        }
    }

    fn mapping(&mut self, indent: usize, depth: usize) {
        let mut keys = keys(self.random, 5);
        if keys.is_empty() {
            keys.push("only");
        }
        for key in keys {
            self.comment_lines(indent);
            let quoted = match self.random.below(6) {
                0 => format!("\"{key}\""),
                1 => format!("'{key}'"),
                _ => key.to_owned(),
            };
            self.child(format!("{:indent$}{quoted}:", ""), indent, depth, false);
        }
        self.comment_lines(indent);
    }

    fn list(&mut self, indent: usize, depth: usize) {
        for _ in 0..=self.random.below(4) {
            self.comment_lines(indent);
            self.child(format!("{:indent$}-", ""), indent, depth, true);
        }
        self.comment_lines(indent);
    }

    fn child(&mut self, lead: String, indent: usize, depth: usize, in_list: bool) {
        let nested = if depth < 4 { self.random.below(10) } else { 9 };
        let step = self.random.pick(&[2, 2, 4]);
        match nested {
            0 | 1 if in_list => {
                // `- - x` and `- key: x`.
                let start = self.lines.len();
                if nested == 0 {
                    self.list(indent + 2, depth + 1);
                } else {
                    self.mapping(indent + 2, depth + 1);
                }
                match self.lines.get_mut(start) {
                    Some(line) if !line.trim().is_empty() && !line.trim().starts_with('#') => {
                        line.replace_range(..indent + 2, &format!("{lead} "));
                    }
                    _ => self.lines.insert(start, lead),
                }
            }
            0..=3 => {
                let behind = self.behind();
                self.lines.push(lead + &behind);
                let step = if nested < 2 && !in_list && self.random.one_in(4) {
                    0
                } else {
                    step
                };
                if nested < 2 {
                    self.list(indent + step, depth + 1);
                } else {
                    self.mapping(indent + step.max(2), depth + 1);
                }
            }
            4 => {
                let (one, two) = (self.flow_scalar(), self.flow_scalar());
                let form = self.random.pick(&[0, 1, 2]);
                let flow = match form {
                    0 => format!("[{one}, {two}]"),
                    1 => format!("{{p: {one}, q: {two}}}"),
                    _ => format!("[{one}, {{r: [{two}]}}]"),
                };
                let behind = self.behind();
                self.lines.push(format!("{lead} {flow}{behind}"));
            }
            5 => self.block(&lead, indent),
            _ => {
                let value = self.scalar(indent);
                let behind = if value.contains('\n') {
                    String::new()
                } else {
                    self.behind()
                };
                let space = if value.is_empty() { "" } else { " " };
                self.lines.push(format!("{lead}{space}{value}{behind}"));
            }
        }
    }

    fn scalar(&mut self, indent: usize) -> String {
        match self.random.below(8) {
            0 | 1 => number(self.random),
            2 | 3 => self.random.pick(&PLAIN).to_owned(),
            4 => format!("plain over\n{:1$}two lines", "", indent + 3),
            _ => serde_json::to_string(&text(self.random))
                .unwrap()
                .replace('\u{7f}', "\\x7f")
                .replace('\u{85}', "\\N"),
        }
    }

    fn flow_scalar(&mut self) -> String {
        match self.random.below(3) {
            0 => number(self.random),
            1 => self
                .random
                .pick(&["true", "null", "x", "'a b'", "!!str 1"])
                .to_owned(),
            _ => serde_json::to_string(&text(self.random))
                .unwrap()
                .replace('\u{7f}', "\\x7f")
                .replace('\u{85}', "\\N"),
        }
    }

    fn block(&mut self, lead: &str, indent: usize) {
        let body = self.random.pick(&BLOCKS);
        let hint = if body.starts_with(' ') { "2" } else { "" };
        let style = self.random.pick(&["|", ">"]);
        let chomping = self.random.pick(&["", "", "-", "+"]);
        let behind = self.behind();
        let mut block = format!("{lead} {style}{hint}{chomping}{behind}");
        for line in body.split('\n') {
            let width = if line.is_empty() { 0 } else { indent + 2 };
            let _ = write!(block, "\n{:width$}{line}", "");
        }
        self.lines.push(block);
    }
}

/// Whether two plaintexts hold the same data, comments aside.
pub(crate) fn same_data(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (data(one), data(other));
    one.is_some() && one == other
}

/// Whether two plaintexts have the same comments, in any order. Those that go-yaml drops do not count.
pub(crate) fn same_comments(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (comments(one), comments(other));
    one.is_some() && one == other
}

/// Whether our comments are among those of the plaintext, and those that sops could decrypt are among ours. A comment
/// that sops wrote into a part that stays clear is decrypted by nobody.
pub(crate) fn has_comments(plain: &[u8], theirs: &[u8], ours: &[u8]) -> bool {
    let (Some(plain), Some(ours)) = (comments(plain), comments(ours)) else {
        return false;
    };
    let theirs = comments(theirs).unwrap_or_default();
    let is_encrypted = |comment: &String| comment.starts_with("#ENC[");
    ours.iter()
        .all(|comment| plain.contains(comment) || is_encrypted(comment) && theirs.contains(comment))
        && theirs
            .iter()
            .all(|comment| is_encrypted(comment) || ours.contains(comment))
}

/// Whether go-yaml can read it: sops cannot read all that it prints.
pub(crate) fn is_readable(text: &[u8]) -> bool {
    data(text).is_some()
}

fn data(text: &[u8]) -> Option<String> {
    let text = policy::yaml::decode(text).ok()?;
    let stream = parse(&text, Limits::default()).ok()?;
    let mut out = String::new();
    for document in &stream.documents {
        let mut described = String::new();
        describe(&stream, document.root, &mut described)?;
        // An empty document is an empty mapping to sops.
        let _ = writeln!(
            out,
            "{}",
            if described == "null" {
                "{}"
            } else {
                &described
            }
        );
    }
    Some(out)
}

fn describe(stream: &Stream, id: NodeId, out: &mut String) -> Option<()> {
    match &stream.node(id).content {
        Content::Alias { target } => describe(stream, *target, out)?,
        Content::Mapping { entries, .. } => {
            out.push('{');
            for &(key, value) in entries {
                describe(stream, key, out)?;
                out.push(':');
                describe(stream, value, out)?;
                out.push(',');
            }
            out.push('}');
        }
        Content::Sequence { items, .. } => {
            out.push('[');
            for &item in items {
                describe(stream, item, out)?;
                out.push(',');
            }
            out.push(']');
        }
        Content::Scalar { text, .. } => {
            let _ = match stream.node(id).resolve().ok()?? {
                Resolved::Null => write!(out, "null"),
                Resolved::Bool(value) => write!(out, "{value}"),
                Resolved::Int(value) => write!(out, "{value}"),
                Resolved::Uint(value) => write!(out, "{value}"),
                // sops prints 1.0 as 1, and there is no integer -0.
                Resolved::Float(0.0) => write!(out, "0"),
                Resolved::Float(value) => write!(out, "{value}"),
                Resolved::Time(value) => write!(out, "{value}"),
                Resolved::Str => write!(out, "{text:?}"),
                Resolved::Binary(bytes) => match std::str::from_utf8(&bytes) {
                    Ok(text) => write!(out, "{text:?}"),
                    Err(_) => write!(out, "{bytes:?}"),
                },
            };
        }
    }
    Some(())
}

fn comments(text: &[u8]) -> Option<Vec<String>> {
    let text = policy::yaml::decode(text).ok()?;
    let stream = parse(&text, Limits::default()).ok()?;
    let mut spans = Vec::new();
    for document in &stream.documents {
        spans.extend(document.head.iter().chain(&document.foot).cloned());
        collect(&stream, document.root, &mut spans);
    }
    let mut found: Vec<String> = spans
        .into_iter()
        .map(|span| text[span].to_owned())
        .collect();
    found.sort();
    Some(found)
}

fn collect(stream: &Stream, id: NodeId, spans: &mut Vec<std::ops::Range<usize>>) {
    let node = stream.node(id);
    let comments = node.comments();
    spans.extend(
        comments
            .head
            .iter()
            .chain(&comments.line)
            .chain(&comments.foot)
            .cloned(),
    );
    match &node.content {
        Content::Mapping { entries, .. } => {
            for &(key, value) in entries {
                collect(stream, key, spans);
                collect(stream, value, spans);
            }
        }
        Content::Sequence { items, .. } => {
            items.iter().for_each(|&item| collect(stream, item, spans));
        }
        Content::Scalar { .. } | Content::Alias { .. } => {}
    }
}
