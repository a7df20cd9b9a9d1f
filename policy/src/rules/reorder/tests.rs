use super::*;

fn reordered(text: &str, order: &[usize]) -> Result<String, String> {
    super::reordered(text, order, Limits::default()).map_err(|error| error.message)
}

#[track_caller]
fn expect(text: &str, order: &[usize], expected: &str) {
    assert_eq!(reordered(text, order).as_deref(), Ok(expected));
}

#[track_caller]
fn refused(text: &str, order: &[usize], why: &str) {
    let error = reordered(text, order).unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn lines_move_with_their_comments() {
    expect(
        "# file\nkeys:\n  - &a A # alice\ncreation_rules:\n  # about the list\n\n  # first\n  - pgp: *a # all\n    # pgp: old\n  # more\n\n  # second\n  -\n    # inside\n    path_regex: ^a\n    pgp: |\n      B\n\n# end\nstores: {}\n",
        &[1, 0],
        "# file\nkeys:\n  - &a A # alice\ncreation_rules:\n  # about the list\n\n  # more\n\n  # second\n  -\n    # inside\n    path_regex: ^a\n    pgp: |\n      B\n  # first\n  - pgp: *a # all\n    # pgp: old\n\n# end\nstores: {}\n",
    );
}

#[test]
fn empty_lines_stay_between_items() {
    expect(
        "creation_rules:\n- {pgp: A}\n\n- pgp: B\n  path_regex: b\n\n\n- pgp: C",
        &[2, 0, 1],
        "creation_rules:\n- pgp: C\n\n- {pgp: A}\n\n\n- pgp: B\n  path_regex: b",
    );
    expect(
        "creation_rules:\r\n- pgp: A\r\n- pgp: B",
        &[1, 0],
        "creation_rules:\r\n- pgp: B\r\n- pgp: A",
    );
    expect(
        "r: &r\n- pgp: A\n- pgp: B\ncreation_rules: *r\n",
        &[1, 0],
        "r: &r\n- pgp: B\n- pgp: A\ncreation_rules: *r\n",
    );
}

#[test]
fn lists_in_brackets() {
    expect(
        "creation_rules: [{pgp: A}, pgp: B, {path_regex: '^c',\n  pgp: C}] # x\n",
        &[2, 0, 1],
        "creation_rules: [{path_regex: '^c',\n  pgp: C}, {pgp: A}, pgp: B] # x\n",
    );
    refused(
        "creation_rules: [{pgp: A}, # a\n  {pgp: B}]\n",
        &[1, 0],
        "comments within the brackets",
    );
    expect(
        "{creation_rules: [{pgp: A}, {pgp: B}]}",
        &[1, 0],
        "{creation_rules: [{pgp: B}, {pgp: A}]}",
    );
}

#[test]
fn anchors_stay_before_their_aliases() {
    let text = "creation_rules:\n- pgp: &k A\n- pgp: *k\n  path_regex: b\n- pgp: C\n";
    refused(
        text,
        &[1, 0, 2],
        "the anchor &k would stand behind its alias",
    );
    expect(
        text,
        &[2, 0, 1],
        "creation_rules:\n- pgp: C\n- pgp: &k A\n- pgp: *k\n  path_regex: b\n",
    );
    // One name, two anchors: the alias would name the other one.
    let text = "creation_rules:\n- pgp: &k A\n- pgp: &k B\n- pgp: *k\n";
    refused(text, &[0, 2, 1], "would stand behind its alias");
    refused(
        "creation_rules:\n- pgp: &k A\n- pgp: *k\n- pgp: &k B\n",
        &[0, 2, 1],
        "would change what they mean",
    );
    expect(
        "r:\n- &x {pgp: A}\n- &y {pgp: B}\ncreation_rules:\n- *x\n- *y\n",
        &[1, 0],
        "r:\n- &x {pgp: A}\n- &y {pgp: B}\ncreation_rules:\n- *y\n- *x\n",
    );
}

#[test]
fn what_cannot_be_moved() {
    refused(
        "creation_rules:\n- pgp: A\n-\n- pgp: B\n",
        &[1, 0],
        "is empty",
    );
    refused(
        "b: &b\n  creation_rules: [{pgp: A}, {pgp: B}]\n<<: *b\n",
        &[1, 0],
        "as a list of its own",
    );
    refused(
        "creation_rules:\n- pgp: A\n- pgp: B\n",
        &[0, 0],
        "every rule once",
    );
    refused(
        "creation_rules:\n- pgp: A\n- pgp: B\n",
        &[0],
        "every rule once",
    );
    // The empty line is a part of the text.
    refused(
        "creation_rules:\n- pgp: A\n  encrypted_regex: |+\n    x\n\n- pgp: B\n",
        &[1, 0],
        "would change what they mean",
    );
}

/// Every order of items in many layouts: nothing is refused, no line is lost, and back again is where it began (but for
/// a comment that changes its owner at the head of the list).
#[test]
fn every_order_in_many_layouts() {
    let heads = ["", "  # list\n\n", "\n"];
    let items = [
        "  - pgp: A\n",
        "  # c\n  - path_regex: ^b\n    # inside\n    pgp: B # behind\n    # deeper\n",
        "  - {path_regex: '#', pgp: C}\n",
        "\n\n  # apart\n\n  # above\n  -\n    pgp: >-\n      D,\n      E\n",
    ];
    let tails = ["", "# end\n", "\nstores: {}\n", "...\n"];
    let orders = (0..256).map(|n| [n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6]);
    let orders: Vec<[usize; 4]> = orders
        .filter(|order| (0..4).all(|item| order.contains(&item)))
        .collect();
    assert_eq!(orders.len(), 24);
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for (head, tail) in heads.iter().flat_map(|head| tails.map(|tail| (head, tail))) {
        for order in orders.iter().step_by(5) {
            let body: String = order.iter().map(|&item| items[item]).collect();
            let text = format!("a: b\ncreation_rules:\n{head}{body}{tail}");
            for text in [
                text.clone(),
                text.replace('\n', "\r\n"),
                text.trim_end().to_owned(),
            ] {
                for order in &orders {
                    let moved =
                        reordered(&text, order).unwrap_or_else(|why| panic!("{why}\n{text}"));
                    assert_eq!(lines(&moved), lines(&text), "{text}");
                    assert_eq!(moved.ends_with('\n'), text.ends_with('\n'));
                    let mut back = [0; 4];
                    for (place, &item) in order.iter().enumerate() {
                        back[item] = place;
                    }
                    let back =
                        reordered(&moved, &back).unwrap_or_else(|why| panic!("{why}\n{moved}"));
                    assert_eq!(lines(&back), lines(&text), "{text}");
                }
            }
        }
    }
}
