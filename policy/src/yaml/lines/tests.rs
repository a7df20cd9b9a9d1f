use proptest::prelude::*;

use super::*;
use crate::yaml::parse::by_tokens;

const AS_SOPS_WRITES: &str = "\
hello: ENC[AES256_GCM,data:AA==,iv:BB=,tag:CC==,type:str]
nested:
    list:
        - ENC[AES256_GCM,data:AA==,iv:BB=,tag:CC==,type:int]
        - key: a
          more: -1
          empty: []
        - 'it is: so'
    \"quoted\": \"- x: y\"
    same_column:
    - a: {}
      b: |-
        two
          lines
    - .5
sops:
    kms: []
    age:
        - recipient: age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l
          enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            YWdl
            -----END AGE ENCRYPTED FILE-----
    lastmodified: \"2025-01-01T00:00:00Z\"
    mac: ENC[AES256_GCM,data:AA==,iv:BB=,tag:CC==,type:str]
    unencrypted_suffix: _unencrypted
    version: 3.13.3
";

/// Whether `text` is read line by line. If so, it is read as by its tokens.
fn is_read_alike(text: &str, limits: Limits) -> bool {
    let Some(stream) = read(text, limits) else {
        return false;
    };
    let long = by_tokens(text, usize::MAX, limits);
    let long = long.unwrap_or_else(|error| panic!("{error} in {text:?}"));
    assert_eq!(format!("{stream:?}"), format!("{long:?}"), "of {text:?}");
    true
}

#[test]
fn what_sops_writes_goes_the_short_way() {
    assert!(is_read_alike(AS_SOPS_WRITES, Limits::default()));
}

#[test]
fn what_is_not_known_goes_the_long_way() {
    for text in [
        "",
        "\n",
        "a: b",
        "a:\n",
        "a: b\n\nc: d\n",
        "a: b \n",
        "a:  b\n",
        "a: b # c\n",
        "a: \"\\n\"\n",
        "a: 'it''s'\n",
        "a: &x b\n",
        "a: !!str b\n",
        "a: [b]\n",
        "a: b: c\n",
        "a: b\n  c\n",
        "a: |2\n    b\n",
        "a: |\nb: c\n",
        "a: >\n  b\n",
        "a: b\n---\nc: d\n",
        "- a\n",
        "a\n",
        "? a\n: b\n",
        "a: é\n",
        "a:\tb\n",
        "a: b\r\n",
        " a: b\n",
        "a:\n  - b\n c: d\n",
        "a:\n  b: c\n d: e\n",
        "a:\n  -\n",
        "a:\n  - - b\n",
        "...: a\n",
        "<<: a\n",
    ] {
        assert!(!is_read_alike(text, Limits::default()), "{text:?}");
    }
}

#[test]
fn limits_are_those_of_the_long_way() {
    let deep = "a:\n  b:\n    - c: d\n";
    for limit in 0..8 {
        let nesting = Limits {
            nesting: limit,
            ..Limits::default()
        };
        let nodes = Limits {
            nodes: limit,
            ..Limits::default()
        };
        is_read_alike(deep, nesting);
        is_read_alike(deep, nodes);
    }
}

/// One line, right or wrong: YAML is not asked about it.
fn line() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("a"),
        Just("b-c"),
        Just("x y"),
        Just("1.5"),
        Just("'q'"),
        Just("\"q: r\""),
        Just("- "),
        Just("- - "),
        Just("-"),
        Just(":"),
        Just(": "),
        Just("key"),
        Just("key: "),
        Just("key:"),
        Just("'k': "),
        Just("\"k\":"),
        Just("|"),
        Just("|-"),
        Just("|+"),
        Just("[]"),
        Just("{}"),
        Just("ENC[a,b:c]"),
        Just("---"),
        Just("..."),
        Just("%"),
        Just("?"),
        Just("&a "),
        Just("*a"),
        Just("!"),
        Just("~"),
        Just("null"),
        Just(" "),
        Just("''"),
        Just("@"),
        Just("`"),
        Just(","),
        Just("\\"),
        Just("'"),
        Just("\""),
    ];
    let indent = prop_oneof![3 => Just(0), 3 => Just(2), 2 => Just(4), 1 => Just(6), 1 => Just(1)];
    let texts = proptest::collection::vec(text, 1..4);
    (indent, texts).prop_map(|(indent, texts)| format!("{:indent$}{}\n", "", texts.concat()))
}

/// A line of a document that nearly always is one.
fn good_line() -> impl Strategy<Value = String> {
    let indent = prop_oneof![4 => Just(0), 4 => Just(2), 2 => Just(4), 1 => Just(6)];
    let dash = prop_oneof![3 => Just(""), 1 => Just("- ")];
    let key = prop_oneof![Just("key:"), Just("'k':"), Just("\"k\":"), Just("a/b:")];
    let value = prop_oneof![
        2 => Just(""), 2 => Just(" a"), 1 => Just(" |"), 1 => Just(" |-"), 1 => Just(" []"), 1 => Just(" 'x'"), 1 => Just(" {}")
    ];
    (indent, dash, key, value)
        .prop_map(|(indent, dash, key, value)| format!("{:indent$}{dash}{key}{value}\n", ""))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_lines_are_read_alike(lines in proptest::collection::vec(line(), 1..6)) {
        is_read_alike(&lines.concat(), Limits::default());
    }

    #[test]
    fn good_lines_are_read_alike(lines in proptest::collection::vec(good_line(), 1..8)) {
        is_read_alike(&lines.concat(), Limits::default());
    }

    #[test]
    fn damaged_files_are_read_alike(
        edits in proptest::collection::vec((0..AS_SOPS_WRITES.len(), 0..3_u8, "[ -~\n]|[ :'\"|\n-]{1,3}"), 1..4)
    ) {
        let mut text = AS_SOPS_WRITES.to_owned();
        for (at, kind, new) in edits {
            let at = at.min(text.len());
            let end = (at + usize::from(kind)).min(text.len());
            text.replace_range(at..end, &new);
        }
        is_read_alike(&text, Limits::default());
    }
}
