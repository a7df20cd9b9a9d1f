use super::*;

/// The pattern's verdict on each text: `1`, `0`, or `error`.
fn verdicts(pattern: &str, texts: &[&str]) -> String {
    match Pattern::parse(pattern) {
        Err(_) => "error".to_owned(),
        Ok(pattern) => texts
            .iter()
            .map(|text| if pattern.is_match(text) { '1' } else { '0' })
            .collect(),
    }
}

#[test]
fn what_matching_texts_begin_with() {
    for (pattern, beginning) in [
        ("^a/b\\.c$", "a/b.c"),
        ("^ab?", "a"),
        ("^ab{0}c", "a"),
        ("^a|b", ""),
        ("^(?:ab)c", "abc"),
        ("^(?i)ab", ""),
        ("(?m)^ab", ""),
        ("a", ""),
        ("^", ""),
        ("^\\Qa.b\\E.", "a.b"),
        ("^*a", ""),
        ("^^ab", ""),
    ] {
        let found = Pattern::parse(pattern).map(|pattern| pattern.beginning);
        assert_eq!(found.as_deref(), Ok(beginning), "{pattern}");
    }
}

/// Constructs that Go and the `regex` crate read differently. What Go says of each was taken from Go 1.26; the
/// differential test asks it again over random patterns.
#[test]
fn go_reads_it_so() {
    let cases: &[(&str, &[&str], &str)] = &[
        (r"^\d$", &["1", "٣"], "10"),
        (r"^\w$", &["a", "é"], "10"),
        (r"^\s$", &[" ", "\u{b}", "\u{a0}"], "100"),
        (r"\bé", &["é", "aé"], "01"),
        (r"^\Qa.b\E$", &["a.b", "axb"], "10"),
        (r"^\Qa.b", &["a.b", "axb"], "10"),
        ("^a{$", &["a{"], "1"),
        ("^a{x}$", &["a{x}"], "1"),
        ("^{a}$", &["{a}"], "1"),
        ("^a{,5}$", &["a{,5}", "aaa"], "10"),
        ("^a{01}$", &["a{01}", "a"], "10"),
        ("^a{1, 2}$", &["a{1, 2}", "a"], "10"),
        ("^a{1$", &["a{1"], "1"),
        ("^a{-1}$", &["a{-1}"], "1"),
        ("a{1001}", &[], "error"),
        ("(a{40}){26}", &[], "error"),
        ("(a{40}){25}", &[""], "0"),
        ("a**", &[], "error"),
        ("a++", &[], "error"),
        ("a???", &[], "error"),
        ("x{2}{3}", &[], "error"),
        ("^a*(?i)*$", &["aa"], "1"),
        (r"^a*\Q\E*$", &["aa"], "1"),
        ("*", &[], "error"),
        ("(?i)*", &[], "error"),
        ("a|*", &[], "error"),
        ("^*$", &["", "a"], "11"),
        ("^[[]$", &["["], "1"),
        ("^[a[b]$", &["[", "b"], "11"),
        ("^[a&&b]$", &["&", "a", "b"], "111"),
        ("^[a-z&&[^b]]$", &["q]", "q"], "10"),
        ("^[a~~b]$", &["~"], "1"),
        ("[a--b]", &[], "error"),
        ("^[--a]$", &["/", "a", "-"], "111"),
        ("^[+--]$", &[",", "-", "."], "110"),
        (r"^[\d-a]$", &["-", "5", "a", "b"], "1110"),
        (r"^[\w-.]$", &["-", ".", "/"], "110"),
        (r"[a-\d]", &[], "error"),
        ("^[]a]$", &["]", "a"], "11"),
        ("^[^]a]$", &["]", "b"], "01"),
        ("[]", &[], "error"),
        ("[[:foo:]]", &[], "error"),
        ("[[:ALPHA:]]", &[], "error"),
        ("^[[:word:]]$", &["_", "é"], "10"),
        ("^[[.a.]]$", &["a]", ".]", "[]", "a"], "1110"),
        ("^[[=a=]]$", &["=]", "a"], "10"),
        (r"^\<a\>$", &["<a>", "a"], "10"),
        (r"^\b{start}a", &["{start}a", "a"], "00"),
        (r"a\b{start}", &["a{start}", "a"], "10"),
        (r"^\0$", &["\0"], "1"),
        (r"^\07$", &["\x07"], "1"),
        (r"^\123$", &["S"], "1"),
        (r"\1", &[], "error"),
        (r"\8", &[], "error"),
        (r"\u0041", &[], "error"),
        (r"\U00000041", &[], "error"),
        (r"^\x{41}\x41$", &["AA"], "1"),
        (r"\x{110000}", &[], "error"),
        (r"a\x{D800}?$", &["a"], "1"),
        (r"^\p{^Greek}$", &["σ", "s"], "01"),
        (r"^\p{gr_ee k}$", &["σ"], "1"),
        (r"\p{Alphabetic}", &[], "error"),
        (r"\p{Script=Greek}", &[], "error"),
        (r"\p{Grek}", &[], "error"),
        (r"\p{Old_Italic}", &[], "error"),
        (r"^\p{Uppercase_Letter}\pL$", &["Aa", "aA"], "10"),
        ("(?x)a", &[], "error"),
        ("(?u)a", &[], "error"),
        ("(?-u)a", &[], "error"),
        ("(?R)a", &[], "error"),
        ("^(?)a$", &["a"], "1"),
        ("^(?ii)a$", &["A"], "1"),
        ("^(?i-i:x)$", &["x", "X"], "10"),
        ("(?i-)a", &[], "error"),
        ("(?P<1n>a)(?P<1n>b)(?<c>d)", &["abd"], "1"),
        ("(?P<é>a)", &[], "error"),
        ("(?=a)", &[], "error"),
        ("(?<!a)", &[], "error"),
        (r"(a)\1", &[], "error"),
        ("^a$", &["a", "a\n"], "10"),
        ("(?m)^a$", &["a\n", "b\na", "b\r\na\r\n"], "110"),
        ("^a.b$", &["a\nb", "a\rb"], "01"),
        ("^(?s)a.b$", &["a\nb"], "1"),
        ("(?i)^k$", &["K", "\u{212a}"], "11"),
        (r"(?i)^\w$", &["\u{17f}", "\u{212a}", "é"], "110"),
        (r"(?i)^\W$", &["\u{17f}"], "0"),
        (r"(?i)^\P{Lu}$", &["a", "1"], "01"),
        ("(?i)^[^k]$", &["\u{212a}"], "0"),
        ("^((?i)a)b$", &["Ab", "AB"], "10"),
        (r"\B", &["aéb", "éé", ""], "011"),
        (r"\_\-\/\.\#", &["_-/.#"], "1"),
        (r"\q", &[], "error"),
        (r"\é", &[], "error"),
        (r"\C", &[], "error"),
        (r"\Z", &[], "error"),
        ("a\\", &[], "error"),
        ("(a", &[], "error"),
        ("a)", &[], "error"),
        ("", &["", "a"], "11"),
        ("(|a)b", &["b"], "1"),
    ];
    for (pattern, texts, expected) in cases {
        assert_eq!(
            &verdicts(pattern, texts),
            expected,
            "{pattern:?} on {texts:?}"
        );
    }
}

#[test]
fn invalid_bytes_are_one_replacement_character_each() {
    let two = Pattern::parse("^a..$").unwrap();
    assert!(two.is_match_bytes(b"a\xe2\x82"));
    assert!(!two.is_match_bytes(b"a\xe2\x82\xac"));
    assert!(
        Pattern::parse("^\u{fffd}$")
            .unwrap()
            .is_match_bytes(b"\xff")
    );
    assert_eq!(
        text_as_go_sees_it(b"\xed\xa0\x80"),
        "\u{fffd}\u{fffd}\u{fffd}"
    );
}

#[test]
fn errors_say_where() {
    let offset = |pattern| Pattern::parse(pattern).unwrap_err().offset;
    assert_eq!(offset("ab(c"), 2);
    assert_eq!(offset("é)"), 2);
    assert_eq!(offset("ab[c"), 2);
    assert_eq!(offset("ab**"), 3);
    assert_eq!(offset(r"ab\q"), 2);
    assert_eq!(offset("[z-a]"), 1);
    let error = Pattern::parse(r"x\p{Alphabetic}").unwrap_err();
    assert_eq!(error.to_string(), r"unknown property `\p{Alphabetic}`");
}

#[test]
fn go_limits_how_deep_a_pattern_nests() {
    let nested = |open: &str, inner: &str, close: &str, depth| {
        let pattern = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        Pattern::parse(&pattern).is_ok()
    };
    assert!(nested("(", "a", ")", 999));
    assert!(!nested("(", "a", ")", 1000));
    assert!(nested("(a|b", "", ")", 333));
    assert!(!nested("(a|b", "", ")", 334));
    // Groups that leave no trace do not count.
    assert!(nested("(?:a", "", ")", 30_000));
    assert!(nested("(?:", "a", "b)", 30_000));
    assert!(nested("(?:a|", "b", ")", 30_000));
}

#[test]
fn what_is_too_large_is_an_error() {
    for pattern in [
        "a".repeat(300_000),
        r"\PC".repeat(100_000),
        "(?:.{100}){10}".repeat(2_000),
    ] {
        assert!(Pattern::parse(&pattern).is_err());
    }
}
