//! Random plaintext documents in the formats without comments' subtleties: JSON, dotenv, INI, binary.

use std::fmt::Write as _;

use crate::rules_differential::random::Random;

/// Names of keys; the settings of the test select some of them.
pub(crate) const KEYS: [&str; 12] = [
    "alpha",
    "b",
    "c_enc",
    "d_unencrypted",
    "secret",
    "x y",
    "é",
    "k.1",
    "a-b",
    "Z",
    "pub",
    "db",
];

/// Texts that some format or other has trouble with.
const TEXTS: [&str; 48] = [
    "",
    "x",
    "hello world",
    "p@ss\"w'ord",
    "<a&b>",
    "ünïcödé",
    "😀",
    "a\\nb",
    "a\nb",
    "line\n",
    "two\n\nlines\n",
    "\ttab",
    "with # hash",
    "semi;colon",
    " lead",
    "trail ",
    "back`tick",
    "\\",
    "end\\",
    "\"q\"",
    "'q'",
    "=",
    "a=b",
    "k: v",
    "true",
    "yes",
    "1",
    "1.5",
    "null",
    "~",
    "0x1f",
    "\u{2028}",
    "\u{7f}",
    "\u{85}",
    "\u{feff}x",
    "ENC[AES256_GCM,data:x]",
    "[sec]",
    "\"\"\"",
    "a\"\"\"b",
    "${x}",
    "%(y)s",
    "- item",
    "# text",
    "1:30",
    "2020-01-01",
    "<<",
    "*alias",
    "\u{e000}",
];

pub(crate) fn text(random: &mut Random) -> String {
    match random.below(24) {
        0 => "long ".repeat(random.below(80)),
        1 => format!("{}{}", random.pick(&TEXTS), random.pick(&TEXTS)),
        _ => random.pick(&TEXTS).to_owned(),
    }
}

/// Some of the keys, each once.
pub(crate) fn keys(random: &mut Random, most: usize) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for _ in 0..random.below(most + 1) {
        let key = random.pick(&KEYS);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// A number as JSON and YAML write it. Integers are such that a float holds them: sops up to 3.13.1 reads every JSON
/// number as a float, so files with longer ones cannot be shared with it.
pub(crate) fn number(random: &mut Random) -> String {
    match random.below(6) {
        0 => random
            .pick(&[
                "0",
                "1",
                "-1",
                "9007199254740991",
                "-9007199254740991",
                "1000000",
            ])
            .to_owned(),
        1 => random
            .pick(&[
                "1.0",
                "0.1",
                "1e21",
                "1e-7",
                "-2.5",
                "1.7976931348623157e308",
                "5e-324",
                "123456.789",
            ])
            .to_owned(),
        2 => format!("{:e}", random.below(1_000_000) as f64 / 7.0),
        _ => (random.below(2_000_000) as i64 - 1_000_000).to_string(),
    }
}

pub(crate) fn json(random: &mut Random) -> Vec<u8> {
    let indent = random.pick(&[None, Some("  "), Some("\t")]);
    let mut text = String::new();
    json_object(random, 4, indent, 0, 7, &mut text);
    if random.one_in(2) {
        text.push('\n');
    }
    text.into_bytes()
}

fn json_value(
    random: &mut Random,
    depth: usize,
    indent: Option<&str>,
    level: usize,
    out: &mut String,
) {
    match random.below(12) {
        0 | 1 if depth > 0 => json_object(random, depth - 1, indent, level, 4, out),
        2 | 3 if depth > 0 => json_list(random, depth - 1, indent, level, out),
        4 | 5 => out.push_str(&number(random)),
        6 => out.push_str(random.pick(&["true", "false", "null"])),
        _ => json_string(random, out),
    }
}

fn json_object(
    random: &mut Random,
    depth: usize,
    indent: Option<&str>,
    level: usize,
    most: usize,
    out: &mut String,
) {
    let keys = keys(random, most);
    out.push('{');
    for (index, key) in keys.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        new_line(indent, level + 1, out);
        let _ = write!(
            out,
            "{}:{}",
            serde_json::to_string(key).unwrap(),
            if indent.is_some() { " " } else { "" }
        );
        json_value(random, depth, indent, level + 1, out);
    }
    if !keys.is_empty() {
        new_line(indent, level, out);
    }
    out.push('}');
}

fn json_list(
    random: &mut Random,
    depth: usize,
    indent: Option<&str>,
    level: usize,
    out: &mut String,
) {
    let length = random.below(4);
    out.push('[');
    for index in 0..length {
        out.push_str(if index > 0 { "," } else { "" });
        new_line(indent, level + 1, out);
        json_value(random, depth, indent, level + 1, out);
    }
    if length > 0 {
        new_line(indent, level, out);
    }
    out.push(']');
}

fn new_line(indent: Option<&str>, level: usize, out: &mut String) {
    if let Some(indent) = indent {
        let _ = write!(out, "\n{}", indent.repeat(level));
    }
}

fn json_string(random: &mut Random, out: &mut String) {
    let text = text(random);
    if random.one_in(3) {
        // Every character as an escape.
        out.push('"');
        for unit in text.encode_utf16() {
            let _ = write!(out, "\\u{unit:04x}");
        }
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(&text).unwrap());
    }
}

pub(crate) fn dotenv(random: &mut Random) -> Vec<u8> {
    let mut lines = Vec::new();
    for _ in 0..random.below(9) {
        let text = text(random).replace('\n', "\\n");
        lines.push(match random.below(10) {
            0 | 1 => format!("#{text}"),
            2 => String::new(),
            _ => format!(
                "{}{}={text}",
                random.pick(&["", "export "]),
                random.pick(&KEYS)
            ),
        });
    }
    let end = random.pick(&["", "\n", "\n\n"]);
    (lines.join("\n") + end).into_bytes()
}

/// INI files that sops can write again so that they mean the same: no lone comment marks, no comments at the end, no
/// repeated sections, which 3.9 joins.
pub(crate) fn ini(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    for section in ["", "a", "b", "c_enc", "with space", "x_unencrypted"] {
        if !section.is_empty() {
            if random.one_in(2) {
                continue;
            }
            if random.one_in(3) {
                let _ = writeln!(
                    text,
                    "{}about {section}",
                    random.pick(&["; ", "# ", "#", ";  "])
                );
            }
            let _ = writeln!(text, "[{section}]{}", random.pick(&["", "", " ; behind"]));
        }
        for key in keys(random, 4) {
            for _ in 0..random.pick(&[0, 0, 0, 1, 2]) {
                let note = random.pick(&["note", "other thing", "mark: this", "; twice"]);
                let _ = writeln!(text, "{}{note}", random.pick(&["; ", ";"]));
            }
            let equals = random.pick(&[" = ", "=", ": ", "   =  "]);
            let behind = random.pick(&["", "", "", " ; behind", "#close"]);
            let _ = writeln!(text, "{key}{equals}{}{behind}", ini_value(random));
        }
        if random.one_in(2) {
            text.push('\n');
        }
    }
    text.into_bytes()
}

fn ini_value(random: &mut Random) -> String {
    let text = text(random);
    let line = text.replace(['\n', '\u{85}', '\u{2028}'], " ");
    match random.below(6) {
        0 if !text.contains('`') => format!("`{line}`"),
        1 if !text.contains(['"', '\\']) => format!("\"{line}\""),
        2 if !text.contains('"') => format!("\"\"\"{text}\nsecond\"\"\""),
        _ => line.trim_end_matches('\\').to_owned(),
    }
}

pub(crate) fn binary(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => (0..=255).collect(),
        1 => text(random).into_bytes(),
        _ => (0..random.below(300))
            .map(|_| u8::try_from(random.below(256)).unwrap())
            .collect(),
    }
}
