use super::*;
use crate::sops::{
    format::PlainValue,
    tree::{Item, MetaNode, MetaValue, Node, Scalar},
};

fn parse(text: &str) -> Parsed {
    read(Secret::from(text.to_owned()), &Limits::default()).unwrap()
}

fn refusal(text: &str) -> &'static str {
    match read(Secret::from(text.to_owned()), &Limits::default()) {
        Ok(_) => "read",
        Err(error) => error.code,
    }
}

/// The tree in short: comments in angle brackets, with `<=` where they stand behind a value.
fn show(text: &str) -> String {
    let documents = parse(text).tree.documents;
    let shown = documents.iter().map(|items| show_items(items));
    shown.collect::<Vec<_>>().join(" --- ")
}

fn show_items(items: &[Item]) -> String {
    let shown = items.iter().map(|item| match item {
        Item::Entry { key, value, .. } => format!("{key}={}", show_node(value)),
        Item::Element(value) => show_node(value),
        Item::Comment(comment) => {
            let mark = if comment.inline { "<=" } else { "<" };
            format!("{mark}{}>", comment.text.expose_str().unwrap())
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn show_node(node: &Node) -> String {
    match node {
        Node::Map(items, _) => format!("{{{}}}", show_items(items)),
        Node::List(items, _) => format!("[{}]", show_items(items)),
        Node::Scalar { value, .. } => match value {
            Scalar::Null => "null".to_owned(),
            Scalar::Str(text) => format!("{:?}", text.expose_str().unwrap()),
            Scalar::Int(value) => value.to_string(),
            Scalar::Float(value) => format!("{value:?}"),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Time(text) => text.clone(),
            Scalar::Unsupported(what) => format!("!{what}"),
        },
    }
}

#[test]
fn comments_go_where_sops_puts_them() {
    let text = "# top\na: 1 # inline\n# before b\nb:\n  - x # ix\n  # mid\n  - y\n  # end list\n";
    assert_eq!(
        show(text),
        "< top> <= inline> a=1 < before b> b=[<= ix> \"x\" < mid> \"y\" < end list>]"
    );
    assert_eq!(
        show("a: # above the block\n  b: 1\n"),
        "< above the block> a={b=1}"
    );
    assert_eq!(
        show("a: 1\n# foot\n\n# head\nb: 2\n"),
        "a=1 < foot> < head> b=2"
    );
    assert_eq!(show("a: [] # z\n"), "a=[< z>]");
}

#[test]
fn documents_and_aliases() {
    assert_eq!(
        show("a: &x {k: 1}\nb: *x\n<<: *x\n"),
        "a={k=1} b={k=1} <<={k=1}"
    );
    assert_eq!(show("---\n---\nnull\n--- {}\n"), " ---  --- ");
    assert_eq!(
        show("a: !!str 5\nb: !!float 3\nc: 010\nd: 2020-1-2\n"),
        "a=\"5\" b=3.0 c=8 d=2020-01-02T00:00:00Z"
    );
    let sops = "a: 1\n# stays\nsops:\n    mac: x\n---\nb: 2\nsops: {}\n";
    assert_eq!(show(sops), "a=1 < stays> --- b=2");
    assert!(parse(sops).metadata.is_some());
    assert!(parse("a: 1\n---\nsops: {}\n").metadata.is_none());
}

#[test]
fn refusals() {
    assert_eq!(refusal("- a\n"), "structure");
    assert_eq!(refusal("text\n"), "structure");
    assert_eq!(refusal("1: a\n"), "key-type");
    assert_eq!(refusal("a: {b: 1, b: 2}\n"), "repeated-key");
    assert_eq!(refusal("# nothing\n"), "empty");
    assert_eq!(refusal("a: *b\n"), "syntax");
    assert_eq!(refusal(&"[".repeat(2000)), "limit");
    assert_eq!(refusal("a: !!int x\n"), "syntax");
    assert_eq!(
        refusal("a: 1\n---\nb: 1\nb: 2\n"),
        "read",
        "sops looks at the first document only"
    );
}

/// Decrypts: every string that starts with `ENC` becomes the value that follows it.
fn decrypt(text: &str) -> Result<String> {
    let parsed = parse(text);
    let mut replacements = BTreeMap::new();
    for items in &parsed.tree.documents {
        collect(items, &mut replacements);
    }
    let result = splice(&parsed, &replacements, MetadataEdit::Cut)?;
    Ok(result.expose_str().unwrap().to_owned())
}

fn collect(items: &[Item], replacements: &mut BTreeMap<SiteId, Replacement>) {
    for item in items {
        match item {
            Item::Comment(comment) => {
                let text = comment.text.expose_str().unwrap();
                if let Some(text) = text.strip_prefix("ENC") {
                    let text = PlainValue::Comment(Secret::from(text.to_owned()));
                    replacements.insert(comment.site, Replacement::Plain(text));
                }
            }
            Item::Entry { value, .. } | Item::Element(value) => match value {
                Node::Map(items, _) | Node::List(items, _) => collect(items, replacements),
                Node::Scalar {
                    site,
                    value: Scalar::Str(text),
                    ..
                } => {
                    let text = text.expose_str().unwrap().to_owned();
                    let value = match text.strip_prefix("ENC") {
                        None => continue,
                        Some(text) => match text.strip_prefix('#') {
                            Some(comment) => PlainValue::Comment(Secret::from(comment.to_owned())),
                            None => PlainValue::Str(Secret::from(text.replace('~', "\n"))),
                        },
                    };
                    replacements.insert(*site, Replacement::Plain(value));
                }
                Node::Scalar { .. } => {}
            },
        }
    }
}

#[test]
fn decrypting_keeps_the_layout() {
    let cases = [
        ("a:   ENCx   \n\nb: 1\n", "a:   x   \n\nb: 1\n"),
        ("a: {b: ENCx, c: \"ENCyes\"}\n", "a: {b: x, c: \"yes\"}\n"),
        ("a: {b: ENCx~y}\n", "a: {b: \"x\\ny\"}\n"),
        ("a: !!str ENC1\n", "a: \"1\"\n"),
        ("a: |\n  ENCx\nb: 1\n", "a: |\n    x\nb: 1\n"),
        ("a: ENCx~y # keep\n", "a: |- # keep\n    x\n    y\n"),
        ("a: 'ENCx'#keep\n", "a: x #keep\n"),
        ("a: ENCx\nsops:\n    mac: m\n", "a: x\n"),
        ("a: ENCx\nsops:\n    mac: m\n# behind\n", "a: x\n# behind\n"),
        (
            "a: ENCx\nsops: # behind the key\n    mac: m\n",
            "a: x\n# behind the key\n",
        ),
        ("{a: ENCx, sops: {mac: m}}\n", "{a: x}\n"),
        ("{sops: {mac: m}, a: ENCx}\n", "{a: x}\n"),
        ("sops:\n    mac: m\n", "{}\n"),
        (
            "a: ENCx\nsops:\n  mac: m\n---\nb: ENCy\nsops:\n  mac: m\n",
            "a: x\n---\nb: \"y\"\n",
        ),
        ("- no", ""),
    ];
    for (source, expected) in cases {
        if expected.is_empty() {
            assert_eq!(refusal(source), "structure");
        } else {
            assert_eq!(decrypt(source).unwrap(), expected, "{source}");
        }
    }
}

#[test]
fn comments_of_lists_become_lines() {
    let cases = [
        (
            "a:\n    - ENC# one\n    - ENCx\n    - ENC# two\n",
            "a:\n    # one\n    - x\n    # two\n",
        ),
        (
            "a:\n    - - ENC# one\n      - ENCx\n",
            "a:\n    # one\n    - - x\n",
        ),
        (
            "a:\n    - - - ENC# one\n        - ENC# two\n        - ENCx\n",
            "a:\n    - # one\n      # two\n      - - x\n",
        ),
        ("a:\n    - ENC# only\nb: 1\n", "a: []\n# only\nb: 1\n"),
        ("a:\n    - - ENC# only\n", "a:\n    # only\n    - []\n"),
        (
            "x:\n    - a:\n        - ENC# only\n",
            "x:\n    - a: []\n      # only\n",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(decrypt(source).unwrap(), expected, "{source}");
    }
    assert!(decrypt("a: [ENC# one, ENCx]\n").is_err());
}

#[test]
fn values_as_sops_prints_them() {
    let cases = [
        ("yes", "\"yes\""),
        ("1:30", "\"1:30\""),
        ("a: b", "'a: b'"),
        ("a:b", "a:b"),
        ("it's #1", "'it''s #1'"),
        ("\ttab", "\"\\ttab\""),
        (" lead", "' lead'"),
        ("😀", "\"\\U0001F600\""),
        ("a\u{2028}b", "\"a\\Lb\""),
        ("<<", "!!merge <<"),
        ("- x", "'- x'"),
        ("--- x", "'--- x'"),
        ("a\n", "|\n    a"),
        ("a\n\n", "|+\n    a\n"),
        ("a\n b", "|-\n    a\n     b"),
        (" a\nb", "|4-\n     a\n    b"),
        ("\ta\nb", "\"\\ta\\nb\""),
        ("a \nb", "\"a \\nb\""),
    ];
    for (text, expected) in cases {
        let context = render::Context::of_key(0, 4);
        let rendered = render::string(text, context).join();
        assert_eq!(rendered.expose_str().unwrap(), expected);
    }
    let in_list = render::string(" a\nb", render::Context::of_dash(4, 4)).join();
    assert_eq!(
        in_list.expose_str().unwrap(),
        "\" a\\nb\"",
        "sops' own literal cannot be read"
    );
}

fn encrypt(text: &str) -> Result<String> {
    let parsed = parse(text);
    let mut replacements = BTreeMap::new();
    for items in &parsed.tree.documents {
        encrypted(items, &mut replacements);
    }
    let field = |text: &str, quoted| MetaNode {
        value: MetaValue::Scalar {
            text: text.to_owned(),
            quoted,
        },
        span: 0..0,
    };
    let fields = vec![
        ("enc".to_owned(), field("one\ntwo\n", true)),
        ("at".to_owned(), field("2024-05-06", true)),
    ];
    let entry = MetaNode {
        value: MetaValue::Map(fields),
        span: 0..0,
    };
    let list = MetaNode {
        value: MetaValue::List(vec![entry]),
        span: 0..0,
    };
    let metadata = MetaNode {
        value: MetaValue::Map(vec![("age".to_owned(), list)]),
        span: 0..0,
    };
    let result = splice(&parsed, &replacements, MetadataEdit::Add(&metadata))?;
    Ok(result.expose_str().unwrap().to_owned())
}

fn encrypted(items: &[Item], replacements: &mut BTreeMap<SiteId, Replacement>) {
    for item in items {
        match item {
            Item::Comment(comment) => {
                replacements.insert(comment.site, Replacement::Encrypted("ENC[c]".to_owned()));
            }
            Item::Entry { key, .. } if key == "clear" => {}
            Item::Entry { value, .. } | Item::Element(value) => match value {
                Node::Map(items, _) | Node::List(items, _) => encrypted(items, replacements),
                Node::Scalar {
                    value: Scalar::Null,
                    ..
                } => {}
                Node::Scalar { site, .. } => {
                    replacements.insert(*site, Replacement::Encrypted("ENC[v]".to_owned()));
                }
            },
        }
    }
}

#[test]
fn encrypting_edits_in_place() {
    const SOPS: &str = "sops:\n    age:\n        - enc: |\n            one\n            two\n          at: \"2024-05-06\"\n";
    let cases = [
        ("a:  1 # c\n", "a:  ENC[v] #ENC[c]\n"),
        ("a: 1", "a: ENC[v]\n"),
        ("a: !!int \"7\"\n", "a: ENC[v]\n"),
        (
            "a: | # c\n  x\n  y\nb: >-\n  z\n",
            "a: ENC[v] #ENC[c]\nb: ENC[v]\n",
        ),
        ("a: [x, {y: z}]\n", "a: [\"ENC[v]\", {y: \"ENC[v]\"}]\n"),
        (
            "a:\n  # c\n  - x\n  # d\n",
            "a:\n  #ENC[c]\n  - ENC[v]\n  #ENC[c]\n",
        ),
        (
            "a: &x v\nb: *x\nclear: *x\n",
            "a: &x ENC[v]\nb: ENC[v]\nclear: v\n",
        ),
        ("a: \"x\"#c\n", "a: ENC[v] #ENC[c]\n"),
        ("a: ~\n", "a: ~\n"),
    ];
    for (source, expected) in cases {
        assert_eq!(
            encrypt(source).unwrap(),
            format!("{expected}{SOPS}"),
            "{source}"
        );
    }
    assert_eq!(encrypt("---\n").unwrap(), format!("---\n{SOPS}"));
    assert_eq!(encrypt("---").unwrap(), format!("---\n{SOPS}"));
    assert_eq!(encrypt("{}\n").unwrap(), SOPS);
    assert_eq!(encrypt("--- {}\n").unwrap(), format!("--- \n{SOPS}"));
    assert_eq!(
        encrypt("a: 1\n...\n").unwrap(),
        format!("a: ENC[v]\n{SOPS}...\n")
    );
    assert_eq!(
        encrypt("a: 1\n---\nb: 2\n").unwrap(),
        format!("a: ENC[v]\n{SOPS}---\nb: ENC[v]\n{SOPS}")
    );
    assert_eq!(
        encrypt("{a: 1, b: x,}\n").unwrap(),
        "{a: \"ENC[v]\", b: \"ENC[v]\", sops: {\"age\": [{\"enc\": \"one\\ntwo\\n\", \"at\": \"2024-05-06\"}]}}\n"
    );
    let indented: String = SOPS.lines().map(|line| format!("  {line}\n")).collect();
    assert_eq!(
        encrypt("  a: 1\n").unwrap(),
        format!("  a: ENC[v]\n{indented}")
    );
    let aliased = encrypt("a: &x {k: v}\nb: *x\n").unwrap_err();
    assert_eq!((aliased.code, aliased.hint.is_some()), ("alias", true));
    let moved = encrypt("a:\n  b: 1\n  # inner\n").unwrap();
    assert_eq!(show(&moved), "a={b=\"ENC[v]\" <ENC[c]>}");
}

#[test]
fn an_encrypted_comment_in_empty_braces_goes() {
    let text = "a: {\n    #ENC[AES256_GCM,data:x,type:comment]\n}\nb: {\n    # clear\n}\nsops:\n    version: 3.9.4\n";
    let parsed = parse(text);
    let plain = splice(&parsed, &BTreeMap::new(), MetadataEdit::Cut).unwrap();
    assert_eq!(plain.expose_str().unwrap(), "a: {}\nb: {\n    # clear\n}\n");
}

#[test]
fn a_part_with_a_merge_is_printed_with_its_tag() {
    let documents = parse("a:\n    !!merge <<:\n        x: 1\n").tree.documents;
    let [Item::Entry { value, .. }] = documents[0].as_slice() else {
        panic!("not one entry");
    };
    let text = print(value, &BTreeMap::new()).unwrap();
    assert_eq!(text.expose_str().unwrap(), "!!merge <<:\n    x: 1\n");
}
