use crate::yaml::{Content, Limits, Stream, parse};

/// A compact rendering: comments as `h<…>`, `l<…>`, `f<…>` in front of their node.
fn show(text: &str) -> String {
    let stream = parse(text, Limits::default()).unwrap();
    let mut out = String::new();
    for document in &stream.documents {
        comments(&mut out, text, 'H', &document.head);
        node(&mut out, text, &stream, document.root);
        comments(&mut out, text, 'F', &document.foot);
        out.push(';');
    }
    out
}

fn comments(out: &mut String, text: &str, role: char, spans: &[std::ops::Range<usize>]) {
    for span in spans {
        out.push_str(&format!("{role}<{}>", &text[span.clone()]));
    }
}

fn node(out: &mut String, text: &str, stream: &Stream, id: usize) {
    let node_ = stream.node(id);
    comments(out, text, 'h', &node_.comments().head);
    comments(out, text, 'l', &node_.comments().line);
    comments(out, text, 'f', &node_.comments().foot);
    if let Some(tag) = &node_.tag {
        out.push_str(&format!("{} ", tag.name));
    }
    match &node_.content {
        Content::Scalar { text, .. } => out.push_str(&format!("{text:?}")),
        Content::Alias { target } => node(out, text, stream, *target),
        Content::Sequence { items, .. } => {
            out.push('[');
            for &item in items {
                node(out, text, stream, item);
                out.push(',');
            }
            out.push(']');
        }
        Content::Mapping { entries, .. } => {
            out.push('{');
            for &(key, value) in entries {
                node(out, text, stream, key);
                out.push(':');
                node(out, text, stream, value);
                out.push(',');
            }
            out.push('}');
        }
    }
}

#[test]
fn structures() {
    assert_eq!(
        show("a: 1\nb:\n- x\n- y: z\nc: [1, {d: e}, f: g]\n"),
        r#"{"a":"1","b":["x",{"y":"z",},],"c":["1",{"d":"e",},{"f":"g",},],};"#
    );
    assert_eq!(show("? a\n: b\n? c\n"), r#"{"a":"b","c":"",};"#);
    assert_eq!(show("--- a\n...\n---\n--- !!str\n"), r#""a";"";!!str "";"#);
    assert_eq!(
        show("a: &x [1]\nb: *x\n---\nc: *x\n"),
        r#"{"a":["1",],"b":["1",],};{"c":["1",],};"#
    );
    assert_eq!(show("- - a\n  - b\n-\n- c"), r#"[["a","b",],"","c",];"#);
    assert_eq!(show(""), "");
    assert_eq!(show("# only\n"), "");
}

#[test]
fn texts_without_final_line_break() {
    assert_eq!(show("a: |\n  x"), r#"{"a":"x",};"#);
    assert_eq!(show("a: |+\n  x"), r#"{"a":"x",};"#);
    assert_eq!(show("a: |-\n  x"), r#"{"a":"x",};"#);
    assert_eq!(show("a: |\n  x\n  "), r#"{"a":"x\n",};"#);
    assert_eq!(show("a: |+\n  x\n  "), r#"{"a":"x\n",};"#);
    assert_eq!(show("a: |\n  x\n   "), r#"{"a":"x\n ",};"#);
    assert_eq!(show("a: |"), r#"{"a":"",};"#);
    assert_eq!(show("a: >\n  x\n  y"), r#"{"a":"x y",};"#);
    for text in [
        "\"\\",
        "\"\\x",
        "a: \"\\\n",
        "'",
        "!",
        "&",
        "*",
        "%",
        "[",
        "{",
        "? ",
        "!<",
        "!<a>,",
        "|1",
        "[!a,b]",
    ] {
        assert!(
            parse(text, Limits::default()).is_err() || text == "|1" || text == "? " || text == "!"
        );
    }
}

#[test]
fn spans_and_places() {
    let text = "é: &a !!str |\n  x\n\nb: \"q\" # c\n";
    let stream = parse(text, Limits::default()).unwrap();
    let Content::Mapping { entries, .. } = &stream.node(stream.documents[0].root).content else {
        panic!()
    };
    let block = stream.node(entries[0].1);
    assert_eq!(&text[block.span.clone()], "|\n  x");
    assert_eq!(&text[block.tag.as_ref().unwrap().span.clone()], "!!str");
    assert_eq!(&text[block.anchor.as_ref().unwrap().span.clone()], "&a");
    assert_eq!((block.line, block.column), (1, 13));
    let quoted = stream.node(entries[1].1);
    assert_eq!(&text[quoted.span.clone()], "\"q\"");
    assert_eq!((quoted.line, quoted.column), (4, 4));
    let marked = format!("\u{feff}{text}");
    let stream = parse(&marked, Limits::default()).unwrap();
    assert_eq!(
        &marked[stream.node(quoted_id(&stream)).span.clone()],
        "\"q\""
    );
    assert_eq!(&marked[stream.comments[0].clone()], "# c");
}

fn quoted_id(stream: &Stream) -> usize {
    let Content::Mapping { entries, .. } = &stream.node(stream.documents[0].root).content else {
        panic!()
    };
    entries[1].1
}

#[test]
fn refusals() {
    let limits = Limits {
        nesting: 3,
        nodes: 10,
    };
    let error = |text: &str| parse(text, limits).unwrap_err();
    assert_eq!(error("[[[[1]]]]").limit, Some("nesting"));
    assert!(parse("[[[1]]]", limits).is_ok());
    assert_eq!(error("[1,2,3,4,5,6,7,8,9,10]").limit, Some("nodes"));
    assert_eq!(error("a: &a [1,2]\nb: [*a, *a]").limit, Some("nodes"));
    assert_eq!(error("a: &a [[1]]\nb: [*a]").limit, Some("nesting"));
    assert!(error("a: &a [*a]").message.contains("contains itself"));
    assert!(error("a: *b").message.contains("unknown anchor"));
    assert!(
        error("%YAML 1.2\n---\na: b")
            .message
            .contains("incompatible")
    );
    assert!(error("a: !x!y b").message.contains("undefined tag handle"));
    let control = error("a: b\nc: \u{1}");
    assert_eq!((control.line, control.column), (2, 4));
    assert!(parse("x: 'no!,'\ny: [a!,b]", limits).is_ok());
}
