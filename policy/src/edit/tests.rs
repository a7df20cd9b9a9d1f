use std::{fs, path::Path};

use super::*;
use crate::yaml::Limits;

/// What `$name` stands for in the shapes of `shapes`; a name that begins with another one comes first.
const KEYS: &[(&str, &str)] = &[
    (
        "alice",
        "age13ph6xdmtmfq7fwm44w4mv82y3vmvwu0lrswman9xqltl8f9qvy3q0mlf0y",
    ),
    (
        "bob",
        "age1ekzajp59s5hzpatd32nr9a4hsyr2y4qyfkcmdj6fqqf68ntwgpqs7rvyyh",
    ),
    (
        "web1",
        "age1hg2wdlvu9pj78pstze44wdackrrf7j5346a48374sn0vh9ma9vzqqdsxjr",
    ),
    (
        "web2",
        "age1st6waeph2kcu5cywqhcrmup66jtdnrf2fnftgrx8slklg4eur40qlre3pg",
    ),
    (
        "db",
        "age1a9ud9gxwgz6ta28kgnxwzadkt0nyhx0xex79vwrpc5y5wnq0t4wqn6xl5a",
    ),
    (
        "newer",
        "age1y8svkj0zyqc6t5xfsqludevl5pfx72mf455muuvm2d9vvvqpsgvqrz9eff",
    ),
    (
        "new",
        "age1c5gfhfle6ysu2qhq40c4pma262s9qqtevg2qc4x06de02xeyk3xsrt5xww",
    ),
    (
        "sshnew",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINQ2936gtJxPUGLtx/n0H9RB7hJBIMjZ5zk1oJbaKFsS",
    ),
    (
        "ssh1",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAh4xMkLvJ5qGiyXfaNYqi/lJQAPAtqdB1Ot97QORmBl",
    ),
    (
        "ssh2",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGrAlyU88XQzrTKm9cHRa2rlcgzJMVCexiDQbxKhTOlz",
    ),
];

fn key(name: &str) -> &'static str {
    let found = KEYS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no key {name}")).1
}

fn with_keys(text: &str) -> String {
    let replace = |text: String, (name, key): &(&str, &str)| text.replace(&format!("${name}"), key);
    KEYS.iter().fold(text.to_owned(), replace)
}

fn with_names(text: &str) -> String {
    let replace = |text: String, (name, key): &(&str, &str)| text.replace(key, &format!("${name}"));
    KEYS.iter().fold(text.to_owned(), replace)
}

/// `add NAME[=KEY] [like NAME]`, `retire NAME`, `rename NAME NAME`, `replace NAME[=KEY]`.
fn run(text: &str, operation: &str) -> Result<Edit> {
    let limits = Limits::default();
    let words: Vec<String> = operation.split(' ').map(with_keys).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let named = |word: &str| {
        let (name, new) = word.split_once('=').unwrap_or((word, "new"));
        (name.to_owned(), key(new).to_owned())
    };
    match words.as_slice() {
        ["add", name, like @ ..] => {
            let (name, recipient) = named(name);
            let hosts = [NewHost { name, recipient }];
            add(
                text,
                &hosts,
                like.get(1..).map(|like| like.join(" ")).as_deref(),
                limits,
            )
        }
        ["retire", name @ ..] => retire(text, &name.join(" "), limits),
        ["rename", old, new] => rename(text, old, new, limits),
        ["replace", name] => {
            let (name, recipient) = named(name);
            replace(text, &name, &recipient, limits)
        }
        _ => panic!("{operation}"),
    }
}

fn outcome(text: &str, operation: &str) -> String {
    match run(text, operation) {
        Ok(edit) => {
            let mut text = with_names(&edit.text);
            if !text.ends_with('\n') {
                text.push('\n');
            }
            let rules: Vec<String> = edit.rules.iter().map(usize::to_string).collect();
            let mut head = format!("# rules [{}]", rules.join(", "));
            for name in edit.unnamed {
                head.push_str(&format!(", {} has no name", with_names(&name)));
            }
            format!("{head}\n{text}")
        }
        Err(error) => {
            let place = error
                .position
                .map_or_else(String::new, |at| format!("{}:{}: ", at.line, at.column));
            format!("# {}: {place}{}\n", error.code, with_names(&error.message))
        }
    }
}

/// Each file of `shapes` is a file of rules and, behind each operation, what comes of it. With
/// `SECRETSD_GENERATE` set the outcomes are written: read the difference.
#[test]
fn shapes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("shapes");
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read_to_string(&path).unwrap();
        let mut sections = content.split("\n=== ");
        let shape = format!("{}\n", sections.next().unwrap());
        let before = with_keys(&shape);
        let mut now = shape.clone();
        for section in sections {
            let operation = section.lines().next().unwrap();
            let outcome = outcome(&before, operation);
            now.push_str(&format!("=== {operation}\n{outcome}"));
            every_line_break(&before, operation);
            count += 1;
        }
        if now != content {
            if std::env::var_os("SECRETSD_GENERATE").is_some() {
                fs::write(&path, now).unwrap();
            } else {
                wrong.push(format!("{}:\n{now}", path.display()));
            }
        }
    }
    assert!(count > 100, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Windows' line breaks stay, and a file without a last one.
fn every_line_break(before: &str, operation: &str) {
    let plain = run(before, operation);
    let windows = run(&before.replace('\n', "\r\n"), operation);
    let open = run(before.trim_end_matches('\n'), operation);
    match plain {
        Ok(plain) => {
            let text = plain.text.replace('\n', "\r\n");
            assert_eq!(windows.unwrap().text, text, "{operation}");
            let open = open.unwrap().text;
            assert_eq!(open, plain.text.trim_end_matches('\n'), "{operation}");
        }
        Err(error) => {
            assert_eq!(windows.unwrap_err().message, error.message);
            assert_eq!(open.unwrap_err().message, error.message);
        }
    }
}

/// What was added can be taken away again, and nothing else happened in between.
#[test]
fn there_and_back() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("shapes");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let content = fs::read_to_string(entry.unwrap().path()).unwrap();
        let before = with_keys(&format!("{}\n", content.split("\n=== ").next().unwrap()));
        for like in ["web1", "$web1"] {
            let Ok(edit) = run(&before, &format!("add fresh like {like}")) else {
                continue;
            };
            let back = run(&edit.text, "retire $new").unwrap();
            let same = back.text.replace('"', "") == before.replace('"', "");
            assert!(same, "{}\n{}", edit.text, back.text);
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

/// Damaged shapes: refused, or edited so that the result is read again; never a panic.
#[test]
fn damaged_shapes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("shapes");
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    let pieces = [
        "", "\n", " ", "#", ",", "'", "\"", "[", "]", "{", "}", "- ", ": ", "&x ", "*web1",
        "$web1", "|", ">-", "\t", "\r", "\u{85}", "\u{2028}", "\u{e4}", "?", "!!str ", "# web1",
    ];
    let mut edited = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let content = fs::read_to_string(entry.unwrap().path()).unwrap();
        let shape = content.split("\n=== ").next().unwrap();
        for _ in 0..60 {
            let mut text = shape.to_owned();
            for _ in 0..=random(3) {
                let from = random(text.len());
                let to = (from + random(4)).min(text.len());
                if text.is_char_boundary(from) && text.is_char_boundary(to) {
                    text.replace_range(from..to, pieces[random(pieces.len())]);
                }
            }
            let text = with_keys(&text);
            for operation in [
                "add fresh",
                "add fresh like web1",
                "retire $web1",
                "rename web1 front",
                "replace web1",
            ] {
                edited += usize::from(run(&text, operation).is_ok());
            }
        }
    }
    assert!(edited > 1000, "{edited}");
}
