//! Sets of characters by name: `\p{Greek}`, `\d`, `[:alpha:]`.
//!
//! The tables of `regex-syntax` are newer than Go's. Cutting them down to what was assigned in Unicode 15.0 gives
//! Go's sets, save for one character whose category has changed since.

use std::sync::OnceLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// The set of `\p{name}`; `None` for a name that Go does not know.
///
/// Go ignores case, blanks, `_` and `-` in names. Since it looks scripts up under the name so reduced, those whose
/// name has an underscore (`Old_Italic`) cannot be named at all.
pub(super) fn by_name(name: &str) -> Option<ClassUnicode> {
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .collect();
    if !name.is_ascii() {
        return None;
    }
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "any" => return Some(full()),
        "ascii" => return Some(ranges(&[('\0', '\x7f')])),
        "assigned" => return Some(assigned().clone()),
        _ => {}
    }
    if let Some(code) = category(&name) {
        return Some(by_category(code));
    }
    if !SCRIPTS.contains(&name.as_str()) {
        return None;
    }
    let mut set = table(&format!(r"\p{{sc={name}}}"))?;
    set.intersect(assigned());
    Some(set)
}

/// Characters that Unicode 15.0 has assigned.
pub(super) fn assigned() -> &'static ClassUnicode {
    static ASSIGNED: OnceLock<ClassUnicode> = OnceLock::new();
    ASSIGNED.get_or_init(|| table(r"\p{age=15.0}").unwrap_or_else(ClassUnicode::empty))
}

/// The set of `\d`, `\s` or `\w`, by letter, in lower case: ASCII only, and `\s` without the vertical tab.
pub(super) fn perl(letter: char) -> Option<ClassUnicode> {
    Some(match letter {
        'd' => ranges(&[('0', '9')]),
        's' => ranges(&[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
        'w' => ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    })
}

/// The set of `[:name:]`; names are in lower case.
pub(super) fn posix(name: &str) -> Option<ClassUnicode> {
    Some(ranges(match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    }))
}

/// Every character.
pub(super) fn full() -> ClassUnicode {
    ranges(&[('\0', char::MAX)])
}

/// A set from its ranges.
pub(super) fn ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(
        ranges
            .iter()
            .map(|&(first, last)| ClassUnicodeRange::new(first, last)),
    )
}

fn by_category(code: &str) -> ClassUnicode {
    let unassigned = || {
        let mut set = assigned().clone();
        set.negate();
        set
    };
    let mut set = match code {
        "cn" => return unassigned(),
        "cs" => return ClassUnicode::empty(), // surrogates are no characters
        code => table(&format!(r"\p{{gc={code}}}")).unwrap_or_else(ClassUnicode::empty),
    };
    set.intersect(assigned());
    // AHOM CONSONANT SIGN MEDIAL RA went from Mn to Mc in Unicode 16.
    let moved = ranges(&[('\u{1171e}', '\u{1171e}')]);
    match code {
        "c" => set.union(&unassigned()),
        "mc" => set.difference(&moved),
        "mn" => set.union(&moved),
        _ => {}
    }
    set
}

/// What `regex-syntax` says of a property.
fn table(property: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(property).map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(set))) => Some(set),
        // A property of a single character is parsed to that character.
        Ok(HirKind::Literal(literal)) => {
            let c = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(ranges(&[(c, c)]))
        }
        _ => None,
    }
}

/// The category that Go knows by `name`, which is in lower case and without underscores.
fn category(name: &str) -> Option<&'static str> {
    CATEGORIES
        .iter()
        .find(|(code, names)| *code == name || names.contains(&name))
        .map(|(code, _)| *code)
}

const CATEGORIES: &[(&str, &[&str])] = &[
    ("c", &["other"]),
    ("cc", &["control", "cntrl"]),
    ("cf", &["format"]),
    ("cn", &["unassigned"]),
    ("co", &["privateuse"]),
    ("cs", &["surrogate"]),
    ("l", &["letter"]),
    ("lc", &["casedletter"]),
    ("ll", &["lowercaseletter"]),
    ("lm", &["modifierletter"]),
    ("lo", &["otherletter"]),
    ("lt", &["titlecaseletter"]),
    ("lu", &["uppercaseletter"]),
    ("m", &["mark", "combiningmark"]),
    ("mc", &["spacingmark"]),
    ("me", &["enclosingmark"]),
    ("mn", &["nonspacingmark"]),
    ("n", &["number"]),
    ("nd", &["decimalnumber", "digit"]),
    ("nl", &["letternumber"]),
    ("no", &["othernumber"]),
    ("p", &["punctuation", "punct"]),
    ("pc", &["connectorpunctuation"]),
    ("pd", &["dashpunctuation"]),
    ("pe", &["closepunctuation"]),
    ("pf", &["finalpunctuation"]),
    ("pi", &["initialpunctuation"]),
    ("po", &["otherpunctuation"]),
    ("ps", &["openpunctuation"]),
    ("s", &["symbol"]),
    ("sc", &["currencysymbol"]),
    ("sk", &["modifiersymbol"]),
    ("sm", &["mathsymbol"]),
    ("so", &["othersymbol"]),
    ("z", &["separator"]),
    ("zl", &["lineseparator"]),
    ("zp", &["paragraphseparator"]),
    ("zs", &["spaceseparator"]),
];

const SCRIPTS: &[&str] = &[
    "adlam",
    "ahom",
    "arabic",
    "armenian",
    "avestan",
    "balinese",
    "bamum",
    "batak",
    "bengali",
    "bhaiksuki",
    "bopomofo",
    "brahmi",
    "braille",
    "buginese",
    "buhid",
    "carian",
    "chakma",
    "cham",
    "cherokee",
    "chorasmian",
    "common",
    "coptic",
    "cuneiform",
    "cypriot",
    "cyrillic",
    "deseret",
    "devanagari",
    "dogra",
    "duployan",
    "elbasan",
    "elymaic",
    "ethiopic",
    "georgian",
    "glagolitic",
    "gothic",
    "grantha",
    "greek",
    "gujarati",
    "gurmukhi",
    "han",
    "hangul",
    "hanunoo",
    "hatran",
    "hebrew",
    "hiragana",
    "inherited",
    "javanese",
    "kaithi",
    "kannada",
    "katakana",
    "kawi",
    "kharoshthi",
    "khmer",
    "khojki",
    "khudawadi",
    "lao",
    "latin",
    "lepcha",
    "limbu",
    "lisu",
    "lycian",
    "lydian",
    "mahajani",
    "makasar",
    "malayalam",
    "mandaic",
    "manichaean",
    "marchen",
    "medefaidrin",
    "miao",
    "modi",
    "mongolian",
    "mro",
    "multani",
    "myanmar",
    "nabataean",
    "nandinagari",
    "newa",
    "nko",
    "nushu",
    "ogham",
    "oriya",
    "osage",
    "osmanya",
    "palmyrene",
    "phoenician",
    "rejang",
    "runic",
    "samaritan",
    "saurashtra",
    "sharada",
    "shavian",
    "siddham",
    "sinhala",
    "sogdian",
    "soyombo",
    "sundanese",
    "syriac",
    "tagalog",
    "tagbanwa",
    "takri",
    "tamil",
    "tangsa",
    "tangut",
    "telugu",
    "thaana",
    "thai",
    "tibetan",
    "tifinagh",
    "tirhuta",
    "toto",
    "ugaritic",
    "vai",
    "vithkuqi",
    "wancho",
    "yezidi",
    "yi",
];
