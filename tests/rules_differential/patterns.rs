//! [`policy::pattern`] and Go agree on which patterns are good and on what they match.

use policy::pattern::Pattern;

use super::random::Random;

/// Patterns; each is tried on [`TEXTS`] texts.
const PATTERNS: usize = 2_000;
const TEXTS: usize = 12;

#[test]
fn patterns_mean_what_they_mean_to_go() {
    let Some(program) = super::go_program("patterns") else {
        return;
    };
    let mut random = Random::seeded(7);
    let count = super::count("SECRETSD_DIFFERENTIAL_PATTERNS", PATTERNS);
    let cases: Vec<_> = (0..count).map(|_| case(&mut random)).collect();
    let mut input = String::new();
    for (pattern, texts) in &cases {
        super::write_hex(&mut input, pattern.as_bytes());
        for text in texts {
            input.push(' ');
            super::write_hex(&mut input, text);
        }
        input.push('\n');
    }
    let answers = super::answers(&program, &[], &input);
    assert_eq!(answers.len(), cases.len());

    let mut wrong = Vec::new();
    let (mut good, mut matched, mut too_large) = (0, 0, 0);
    for ((pattern, texts), theirs) in cases.iter().zip(&answers) {
        let ours = match Pattern::parse(pattern) {
            Err(error) => format!("error {error}"),
            Ok(parsed) => {
                let digit = |text: &Vec<u8>| {
                    if parsed.is_match_bytes(text) {
                        '1'
                    } else {
                        '0'
                    }
                };
                format!("ok {}", texts.iter().map(digit).collect::<String>())
            }
        };
        good += usize::from(theirs.starts_with("ok"));
        matched += theirs.bytes().filter(|&byte| byte == b'1').count();
        if ours.contains("needs an automaton") {
            too_large += 1; // Go's is smaller for sets of many ranges, a thousand times over
        } else if ours != *theirs && !(ours.starts_with("error") && theirs.starts_with("error")) {
            let texts: Vec<_> = texts
                .iter()
                .map(|text| text.escape_ascii().to_string())
                .collect();
            wrong.push(format!(
                "{pattern:?}\n  ours   {ours}\n  theirs {theirs}\n  texts  {texts:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // The generator must not drift into patterns that are all bad, or that never match.
    let balanced = good > count / 4 && good < count && matched > good && too_large <= count / 1000;
    assert!(
        balanced,
        "{good} good, {matched} matches, {too_large} too large of {count}"
    );
}

fn case(random: &mut Random) -> (String, Vec<Vec<u8>>) {
    let mut pattern = String::new();
    expression(random, &mut pattern, 3);
    if random.one_in(8) {
        // Damage it.
        let mut chars: Vec<char> = pattern.chars().collect();
        let at = random.below(chars.len() + 1);
        if random.one_in(2) {
            chars.insert(
                at,
                random.pick(&[
                    '(', ')', '[', ']', '{', '}', '*', '?', '+', '\\', '|', '-', '^', '$', ':',
                ]),
            );
        } else if at < chars.len() {
            chars.remove(at);
        }
        pattern = chars.into_iter().collect();
    }
    let texts = (0..TEXTS).map(|_| text(random, &pattern)).collect();
    (pattern, texts)
}

fn expression(random: &mut Random, out: &mut String, depth: usize) {
    for branch in 0..random.pick(&[1, 1, 1, 1, 2, 2, 3]) {
        if branch > 0 {
            out.push('|');
        }
        for _ in 0..random.below(5) {
            atom(random, out, depth);
            if random.one_in(3) {
                out.push_str(random.pick(REPETITIONS));
            }
        }
    }
}

fn atom(random: &mut Random, out: &mut String, depth: usize) {
    match random.below(12) {
        0 | 1 if depth > 0 => {
            out.push_str(random.pick(GROUPS));
            expression(random, out, depth - 1);
            out.push(')');
        }
        2 | 3 => class(random, out),
        4 | 5 => out.push_str(random.pick(ESCAPES)),
        6 => out.push_str(random.pick(TRAPS)),
        7 => out.push_str(random.pick(&[
            "^", "$", ".", ".*", "/", r"\.", "(?i)", "(?s)", "(?m)", "(?-i)",
        ])),
        _ => out.push_str(random.pick(CHARACTERS)),
    }
}

fn class(random: &mut Random, out: &mut String) {
    out.push_str(random.pick(&["[", "[", "[", "[^", "[]", "[^]", "[-", "[^-"]));
    for _ in 0..random.below(5) {
        match random.below(6) {
            0 => out.push_str(random.pick(ESCAPES)),
            1 => out.push_str(random.pick(IN_CLASS)),
            2 => {
                out.push_str(random.pick(CHARACTERS));
                out.push('-');
                out.push_str(random.pick(CHARACTERS));
            }
            _ => out.push_str(random.pick(CHARACTERS)),
        }
    }
    out.push(']');
}

/// A text that has a chance to match: characters of the pattern, and some of the traps.
fn text(random: &mut Random, pattern: &str) -> Vec<u8> {
    let literal: Vec<char> = pattern
        .chars()
        .filter(|c| !r"()[]{}*+?|^$\".contains(*c))
        .collect();
    let mut text = Vec::new();
    for _ in 0..random.below(7) {
        match random.below(8) {
            0..=2 if !literal.is_empty() => {
                let c = random.pick(&literal);
                let c = match random.below(4) {
                    0 => c.to_uppercase().next().unwrap(),
                    1 => c.to_lowercase().next().unwrap(),
                    _ => c,
                };
                text.extend(c.to_string().bytes());
            }
            3 if !literal.is_empty() => {
                let start = random.below(literal.len());
                let end = start + random.below(literal.len() - start + 1);
                text.extend(literal[start..end].iter().collect::<String>().bytes());
            }
            4 => text.extend(random.pick(BYTES).iter()),
            _ => text.extend(random.pick(CHARACTERS).bytes()),
        }
    }
    text
}

const REPETITIONS: &[&str] = &[
    "*",
    "+",
    "?",
    "*?",
    "+?",
    "??",
    "**",
    "*+",
    "{2}",
    "{0}",
    "{0,1}",
    "{1,}",
    "{,5}",
    "{1,2}?",
    "{2}{3}",
    "{01}",
    "{1, 2}",
    "{ 1}",
    "{1",
    "{-1}",
    "{1001}",
    "{1000}",
    "{2,1}",
    "{0,}",
    "{1,2",
    "{",
    "}",
    "{x}",
    "{1}",
    "{999999999999}",
    "{1,1001}",
    "{,}",
    "{0,0}",
    "{30}",
    "{5,}",
];

const GROUPS: &[&str] = &[
    "(", "(", "(", "(?:", "(?:", "(?i:", "(?s:", "(?m:", "(?U:", "(?i-s:", "(?-i:", "(?P<n>",
    "(?<n>", "(?P<1n>", "(?P<n_1>", "(?P<é>", "(?P<>", "(?<n", "(?P=n", "(?P>n", "(?=", "(?!",
    "(?<=", "(?<!", "(?#", "(?x:", "(?u:", "(?-u:", "(?ii:", "(?i-i:", "(?i-:", "(?-:", "(?--i:",
    "(?R:", "(?ims:", "(?ims-U:", "(?i)(", "(?'n'", "(?>", "(?", "(?|",
];

const ESCAPES: &[&str] = &[
    r"\d",
    r"\D",
    r"\w",
    r"\W",
    r"\s",
    r"\S",
    r"\b",
    r"\B",
    r"\A",
    r"\z",
    r"\Z",
    r"\G",
    r"\C",
    r"\K",
    r"\R",
    r"\X",
    r"\h",
    r"\v",
    r"\n",
    r"\t",
    r"\r",
    r"\f",
    r"\a",
    r"\e",
    r"\0",
    r"\07",
    r"\08",
    r"\1",
    r"\12",
    r"\123",
    r"\1234",
    r"\8",
    r"\777",
    r"\x41",
    r"\x4",
    r"\x",
    r"\xg1",
    r"\x{41}",
    r"\x{}",
    r"\x{110000}",
    r"\x{D800}",
    r"\x{00000041}",
    r"\x{41",
    r"\x{4g}",
    r"\u0041",
    r"\U00000041",
    r"\u{41}",
    r"\cA",
    r"\.",
    r"\/",
    r"\-",
    r"\_",
    r"\<",
    r"\>",
    r"\ ",
    r"\#",
    r"\&",
    r"\~",
    r"\@",
    r"\%",
    r"\'",
    r"\`",
    r"\:",
    r"\]",
    r"\[",
    r"\{",
    r"\}",
    r"\é",
    r"\q",
    r"\E",
    r"\Q",
    r"\Qa*b\E",
    r"\Q\E",
    r"\Qé",
    r"\b{start}",
    r"\b{end}",
    r"\pL",
    r"\PL",
    r"\pN",
    r"\pX",
    r"\p{Greek}",
    r"\p{^Greek}",
    r"\P{^Greek}",
    r"\p{greek}",
    r"\p{ Gr_ee-k}",
    r"\p{Lu}",
    r"\P{Lu}",
    r"\p{Ll}",
    r"\p{LC}",
    r"\p{lc}",
    r"\p{Lt}",
    r"\p{Cn}",
    r"\p{Cs}",
    r"\p{C}",
    r"\P{C}",
    r"\p{Any}",
    r"\P{Any}",
    r"\p{ASCII}",
    r"\p{Assigned}",
    r"\P{Assigned}",
    r"\p{Zl}",
    r"\p{Mn}",
    r"\p{Mc}",
    r"\p{Uppercase_Letter}",
    r"\p{digit}",
    r"\p{punct}",
    r"\p{Old_Italic}",
    r"\p{OldItalic}",
    r"\p{Alphabetic}",
    r"\p{Script=Greek}",
    r"\p{sc=Grek}",
    r"\p{Grek}",
    r"\p{gc=Lu}",
    r"\p{L&}",
    r"\p{}",
    r"\p{^}",
    r"\p{Lu",
    r"\p",
    r"\p{Han}",
    r"\p{Latin}",
    r"\p{Common}",
    r"\p{So}",
    r"\pS",
    r"\pZ",
    r"\p{Cyrillic}",
    r"\p{é}",
    r"\pé",
    r"\p^L",
];

const TRAPS: &[&str] = &[
    "a{",
    "a{x}",
    "{a}",
    "a{,5}",
    "a**",
    "a*(?i)*",
    "(?i)*",
    "^*",
    "$+",
    r"\b?",
    "(|a)",
    "(a|)",
    "()",
    "(?:)*",
    "(?)",
    "(?i)",
    "a||b",
    "|",
    "[[]",
    "[a[]",
    "[a[b]",
    "[a&&b]",
    "[a~~b]",
    "[a-z&&[^b]]",
    "[a--b]",
    "[--a]",
    "[+--]",
    r"[\d-a]",
    r"[\w-.]",
    r"[a-\d]",
    "[a-]",
    "[-a]",
    "[]a]",
    "[^]a]",
    "[]",
    "[^]",
    "[z-a]",
    "[[:foo:]]",
    "[[:ALPHA:]]",
    "[[:alpha:]]",
    "[[:^alpha:]]",
    "[[:word:]]",
    "[[:space:]]",
    "[:alpha:]",
    "[[:]",
    "[[:alpha]",
    "[[:alpha:]",
    "[[.a.]]",
    "[[=a=]]",
    r"[\Qa\E]",
    r"[\b]",
    r"[\A]",
    r"[^\x00-\x{10FFFF}]",
    r"[\x{D800}-\x{DFFF}]",
    r"[\x{D7FF}-\x{E000}]",
    "((a{100}){10}){2}",
    "((a{100}){10})",
    "(a{10}){101}",
    "(a{0}){1000}",
    "(a*){1000}",
    "((a{1000}){0}){1000}",
    "(?i)k",
    "(?i)ſ",
    "(?i)[k-s]",
    r"(?i)\w",
    r"(?i)\W",
    r"(?i)[^\w]",
    "(?i)σ",
    "(?i)ΐ",
    "(?i)ﬅ",
    "(?i)ƛ",
    "(?i:a(?-i)b)c",
    "(?i:a)b",
    "(?m)^a$",
    "(?s).",
    "(?m:$.)",
    r"\B",
    r"\Bé",
    r"\b.\b",
    r"^\B$",
    r"x*\B",
    r"\bk\b",
    "(*)",
    "(+)",
    "(?i*)",
    "a|*",
    "(a*)*",
    "(a*)+",
    "(?:a?){2,3}",
    "(^a|b$)*c",
    r"\Q*\E+",
    r"\Qab\E*",
    r"\Q\E*",
    r"a\Q\E*",
    r"a*\Q\E*",
    r"\\E",
    r"\Qa\\Eb\E",
];

const IN_CLASS: &[&str] = &[
    "[:alpha:]",
    "[:^digit:]",
    "[:foo:]",
    "[:",
    "[",
    "&&",
    "--",
    "~~",
    "-",
    "^",
    "[.a.]",
    "[=a=]",
    "[^b",
    ":",
    ".",
    "$",
    "*",
    "(",
    ")",
    "{",
    "|",
    "a-",
    "-z",
    "!--",
    "+--",
];

const CHARACTERS: &[&str] = &[
    "a",
    "b",
    "c",
    "k",
    "s",
    "x",
    "z",
    "A",
    "B",
    "K",
    "S",
    "0",
    "1",
    "7",
    "9",
    "_",
    "-",
    "/",
    ".",
    ",",
    " ",
    "é",
    "É",
    "σ",
    "ς",
    "Σ",
    "ſ",
    "\u{212a}",
    "日",
    "\n",
    "\t",
    "\u{b}",
    "&",
    "~",
    "<",
    ">",
    "=",
    "#",
    ":",
    "!",
    "}",
    "]",
    "E",
    "Q",
    "p",
    "ǅ",
    "ǆ",
    "ı",
    "İ",
    "i",
    "I",
    "\u{390}",
    "\u{1fd3}",
    "\u{fb05}",
    "\u{fb06}",
    "\u{1c8a}",
    "\u{a7cd}",
    "\u{1171e}",
    "\u{19b}",
    "\u{a7dc}",
    "😀",
    "\u{fffd}",
    "\u{a0}",
    "\u{345}",
    "ι",
    "ß",
    "ẞ",
    "μ",
    "µ",
];

/// Pieces of a text that no pattern can hold.
const BYTES: &[&[u8]] = &[
    b"\xff",
    b"\xe2\x82",
    b"\xc3",
    b"\xa9",
    b"\xf0\x9f\x98",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf4\x90\x80\x80",
    b"\0",
    b"\r",
    b"\x7f",
];
