use super::super::{Pattern, parse};

/// Pattern, text, the part that is to blame, the reason.
const CASES: &[(&str, &str, &str, &str)] = &[
    (
        r"^secrets/server1/.*\.yaml$",
        "secrets/server2/db.yaml",
        "1",
        "`2` stands where `1` is needed behind `secrets/server`",
    ),
    (
        "server1/",
        "secrets/server2/a",
        "1",
        "`2` stands where `1` is needed behind `server`",
    ),
    (
        r"\.yaml$",
        "secrets/db.yml",
        "a",
        "`m` stands where `a` is needed behind `.y`",
    ),
    (
        r"^a/.*\.yaml$",
        "a/db.yaml.bak",
        "$",
        "`.bak` is left behind `a/db.yaml`, and `$` asks for the end",
    ),
    (
        "^secrets/.*9",
        "secrets/server2",
        "9",
        "there is no `9` in `server2`",
    ),
    ("^a.+1", "a1b", "1", "there is no `1` in `b`"),
    ("x", "secrets", "x", "there is no `x` in `secrets`"),
    ("^x", "secrets", "x", "`s` stands where `x` is needed"),
    (
        "^secrets/x",
        "secrets/",
        "x",
        "the path ends where `x` is needed behind `secrets/`",
    ),
    (
        "^secrets/(a|b+)/",
        "secrets/cc/d",
        "(a|b+)",
        "`(a|b+)` does not match the start of `cc/d` behind `secrets/`",
    ),
    (
        "^(?:secrets/(server1))/",
        "secrets/server2",
        "1",
        "`2` stands where `1` is needed behind `secrets/server`",
    ),
    (
        r"^\Qa.b\E$",
        "a-b",
        ".",
        "`-` stands where `.` is needed behind `a`",
    ),
    (
        "^[a-c]{2,3}x",
        "abd",
        "x",
        "`d` stands where `x` is needed behind `ab`",
    ),
    (
        "^(a/){2}b",
        "a/c",
        "(a/){2}",
        "`(a/){2}` does not match the start of `a/c`",
    ),
    (r"^a\b/\Bx", "a/x", r"\B", "`\\B` does not hold behind `a/`"),
    (
        "(?i)^SECRETS/A",
        "secrets/b",
        "A",
        "`b` stands where `A` is needed behind `secrets/`",
    ),
    ("a^b", "ab", "^", "`^` does not hold behind `a`"),
    (
        "^a/.*/x",
        "a/b/c/y",
        "x",
        "`y` stands where `x` is needed behind `a/b/c/`",
    ),
    (
        "^\u{e4}+\u{e9}",
        "\u{e4}\u{e4}x",
        "\u{e9}",
        "`x` stands where `\u{e9}` is needed behind `\u{e4}\u{e4}`",
    ),
    ("^a/|^b/", "c/", "", "none of its 2 alternatives matches"),
    ("(^a/|^b/)", "c/", "", "none of its 2 alternatives matches"),
    (
        "((^a/|^b/)x)",
        "c/",
        "(^a/|^b/)",
        "nothing in `c/` matches `(^a/|^b/)`",
    ),
    (
        "[^\\x00-\\x{10FFFF}]",
        "a",
        "[^\\x00-\\x{10FFFF}]",
        "there is no `[^\\x00-\\x{10FFFF}]` in `a`",
    ),
];

#[test]
fn what_is_to_blame() {
    for (pattern, text, part, reason) in CASES {
        let failure = Pattern::parse(pattern).unwrap().failure(text).unwrap();
        let found = failure.part.map_or("", |span| &pattern[span]);
        assert_eq!(
            (found, failure.reason.as_str()),
            (*part, *reason),
            "{pattern} {text}"
        );
    }
    assert_eq!(Pattern::parse("a").unwrap().failure("ba"), None);
}

/// Whatever the pattern, the answer comes soon, and without a deep stack.
#[test]
fn patterns_that_explode() {
    let deep = format!("{}a{}b", "(?:x".repeat(20_000), ")".repeat(20_000));
    let stars = format!("{}a{}b", "(".repeat(90), ")*".repeat(90));
    let text = "a".repeat(4000);
    for pattern in [
        deep.as_str(),
        stars.as_str(),
        "(.*a){30}b",
        "((a?){30}){30}b",
    ] {
        let failure = Pattern::parse(pattern).unwrap().failure(&text).unwrap();
        assert!(!failure.reason.is_empty());
    }
}

/// The parts, run one after the other, match what the compiled pattern matches.
#[test]
fn parts_mean_what_the_pattern_means() {
    use proptest::prelude::*;
    let pattern = r"(\^|[ab/.$]|\(a\|b\)|\(\?:a(/|b)?\)|\(ab\)\{1,2\}|\[ab\]\+|\.\*|a\?|\\b){1,6}";
    proptest!(|(pattern in pattern, text in "[ab/]{0,6}")| {
        if let Ok(compiled) = Pattern::parse(&pattern) {
            let mut search = super::Search::new(&text);
            let alternatives = parse::parts(&pattern).unwrap().unwrap();
            let starts: Vec<usize> = (0..=text.len()).collect();
            let matches = alternatives
                .iter()
                .any(|parts| !search.sequence(parts, &starts).unwrap().is_empty());
            prop_assert_eq!(matches, compiled.is_match(&text), "{} {}", pattern, text);
            if let Some(failure) = compiled.failure(&text)
                && let Some(part) = failure.part
            {
                // What stands before the part matches, and with the part it does not, as the compiled patterns say. In
                // a group that was left open there is no such pattern.
                let until = |end: usize| Pattern::parse(&pattern[..end]).ok();
                if let (Some(before), Some(with)) = (until(part.start), until(part.end)) {
                    prop_assert!(before.is_match(&text), "{} {} {:?}", pattern, text, part);
                    prop_assert!(!with.is_match(&text), "{} {} {:?}", pattern, text, part);
                    prop_assert!(text.get(failure.matched).is_some());
                }
            }
        }
    });
}
