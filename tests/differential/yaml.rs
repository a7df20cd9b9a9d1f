//! Random YAML documents, written as people write them: comments, every style of scalar, flow collections, anchors,
//! several documents.

use std::fmt::Write as _;

use super::documents::{keys, number, text};
use crate::rules_differential::random::Random;

/// Words that resolve to something else than they look like.
const PLAIN: [&str; 33] = [
    "true",
    "False",
    "NULL",
    "~",
    "",
    "yes",
    "off",
    "n",
    "010",
    "08",
    "0o17",
    "0x1F",
    "1_000",
    "1e3",
    "1.",
    ".5",
    "-0",
    "1:30",
    "2020-13-45",
    "+12",
    ".inf",
    "-.Inf",
    ".nan",
    "0b101",
    "1e400",
    "plain text",
    "a#b",
    "-x",
    "https://example.org/?a=b",
    "12e03",
    "-",
    "=",
    "tRUE",
];

/// Comments above and behind values.
const ABOVE: [&str; 6] = [
    " note",
    "close",
    " mark: this",
    " # twice",
    " key: value",
    " ünïcödé",
];
const BEHIND: [&str; 2] = [" behind", " mark: behind"];
const END: &str = " at the end";

/// How often each of the comments is in `text`, wherever it stands.
pub(crate) fn comments(text: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(text);
    let all = ABOVE.iter().chain(&BEHIND).chain([&END]);
    let count = |note: &&str| {
        text.lines()
            .filter(|line| line.trim_end().ends_with(&format!("#{note}")))
            .count()
    };
    all.map(count).collect()
}

pub(crate) fn document(random: &mut Random) -> Vec<u8> {
    let mut out = Yaml {
        text: String::new(),
        indent: random.pick(&[2, 2, 4]),
        anchors: 0,
    };
    if random.one_in(6) {
        out.text.push_str("---\n");
    }
    out.map(random, 0, 3, 6);
    if random.one_in(6) {
        out.text.push_str("---\n");
        out.map(random, 0, 2, 3);
    }
    if random.one_in(8) {
        let _ = writeln!(out.text, "#{END}");
    }
    out.text.into_bytes()
}

struct Yaml {
    text: String,
    indent: usize,
    anchors: usize,
}

impl Yaml {
    /// A block mapping at `column`, or `{}` where the dice give no key.
    fn map(&mut self, random: &mut Random, column: usize, depth: usize, most: usize) {
        let mut keys = keys(random, most);
        if keys.is_empty() {
            keys.push("only");
        }
        for key in keys {
            self.comments(random, column);
            let _ = write!(
                self.text,
                "{}{}:",
                " ".repeat(column),
                Self::key(random, key)
            );
            self.value(random, column, depth);
        }
        if random.one_in(10) {
            self.comments(random, column);
        }
    }

    fn list(&mut self, random: &mut Random, column: usize, depth: usize) {
        for _ in 0..=random.below(3) {
            self.comments(random, column);
            let _ = write!(self.text, "{}-", " ".repeat(column));
            match random.below(5) {
                0 if depth > 0 => {
                    // A mapping that starts behind the dash.
                    let _ = write!(self.text, " first:");
                    self.value(random, column + 2, depth - 1);
                    let _ = write!(self.text, "{}second:", " ".repeat(column + 2));
                    self.value(random, column + 2, depth - 1);
                }
                _ => self.scalar(random, column, false),
            }
        }
    }

    /// What follows a key's colon, up to the line's end.
    fn value(&mut self, random: &mut Random, column: usize, depth: usize) {
        match random.below(10) {
            0 | 1 if depth > 0 => {
                self.text.push('\n');
                self.map(random, column + self.indent, depth - 1, 3);
            }
            2 | 3 if depth > 0 => {
                self.text.push('\n');
                let inner = column + random.pick(&[0, self.indent]);
                self.list(random, inner, depth - 1);
            }
            4 => {
                self.text.push(' ');
                self.flow(random, 2);
                self.text.push('\n');
            }
            5 => self.anchored(random),
            _ => self.scalar(random, column, true),
        }
    }

    /// A scalar and what stands behind it.
    fn scalar(&mut self, random: &mut Random, column: usize, under_key: bool) {
        self.text.push(' ');
        match random.below(8) {
            0 => {
                let body = random.pick(&[
                    "one\ntwo",
                    "x",
                    "a: b\n# no comment\nend",
                    "trailing\n\n",
                    "tab\there",
                ]);
                let mark = random.pick(&["|", "|-", "|+", ">", ">-"]);
                let inner = if under_key {
                    column + self.indent
                } else {
                    column + 2
                };
                let _ = writeln!(self.text, "{mark}");
                for line in body.split('\n') {
                    match line {
                        "" => self.text.push('\n'),
                        line => {
                            let _ = writeln!(self.text, "{}{line}", " ".repeat(inner));
                        }
                    }
                }
                return;
            }
            1 | 2 => self.text.push_str(&number(random)),
            3 => self.text.push_str(random.pick(&PLAIN)),
            _ => self.text.push_str(&quoted(random)),
        }
        if random.one_in(6) {
            let _ = write!(self.text, " #{}", random.pick(&BEHIND));
        }
        self.text.push('\n');
    }

    fn anchored(&mut self, random: &mut Random) {
        if self.anchors > 0 && random.one_in(2) {
            let _ = writeln!(self.text, " *anchor{}", random.below(self.anchors));
        } else {
            let _ = writeln!(self.text, " &anchor{} {}", self.anchors, quoted(random));
            self.anchors += 1;
        }
    }

    fn flow(&mut self, random: &mut Random, depth: usize) {
        match random.below(4) {
            0 if depth > 0 => {
                self.text.push('[');
                for index in 0..random.below(4) {
                    self.text.push_str(if index > 0 { ", " } else { "" });
                    self.flow(random, depth - 1);
                }
                self.text.push(']');
            }
            1 if depth > 0 => {
                self.text.push('{');
                for (index, key) in keys(random, 3).into_iter().enumerate() {
                    let _ = write!(
                        self.text,
                        "{}\"{key}\": ",
                        if index > 0 { ", " } else { "" }
                    );
                    self.flow(random, depth - 1);
                }
                self.text.push('}');
            }
            2 => self.text.push_str(&number(random)),
            _ => self.text.push_str(&quoted(random)),
        }
    }

    fn comments(&mut self, random: &mut Random, column: usize) {
        if random.one_in(12) {
            self.text.push('\n');
        }
        if random.one_in(5) {
            for _ in 0..=random.below(2) {
                let note = random.pick(&ABOVE);
                let _ = writeln!(self.text, "{}#{note}", " ".repeat(column));
            }
            if random.one_in(6) {
                self.text.push('\n');
            }
        }
    }

    fn key(random: &mut Random, key: &str) -> String {
        match random.below(6) {
            0 => format!("'{key}'"),
            1 => format!("\"{key}\""),
            _ => key.to_owned(),
        }
    }
}

/// A text in quotes; plain where that is safe.
fn quoted(random: &mut Random) -> String {
    let text = text(random);
    let simple = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let single = !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{feff}'));
    match random.below(3) {
        0 if simple => text,
        1 if single => format!("'{}'", text.replace('\'', "''")),
        _ => {
            let mut out = "\"".to_owned();
            for character in text.chars() {
                match character {
                    '"' | '\\' => {
                        out.push('\\');
                        out.push(character);
                    }
                    '\n' => out.push_str("\\n"),
                    '\t' => out.push_str("\\t"),
                    '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{feff}' => {
                        let _ = write!(out, "\\u{:04X}", u32::from(character));
                    }
                    _ => out.push(character),
                }
            }
            out + "\""
        }
    }
}
