use super::*;
use crate::rules::Rules;

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
const B: &str = "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs";
const S: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

/// In each text `A`, `B` and `S` stand for keys; then all names of A, of B and of S.
const CASES: &[(&str, [&[&str]; 3])] = &[
    // Anchors, wherever they are.
    (
        "keys:\n  - &alice A\n  - &bob B\n",
        [&["alice"], &["bob"], &[]],
    ),
    (
        "keys:\n  users:\n    - &alice A\n  hosts: {web: &web B}\n",
        [&["alice"], &["web"], &[]],
    ),
    ("x: &both A,B\n", [&[], &[], &[]]),
    (
        "x: &list [A, B]\ncreation_rules: [{age: *list}]\n",
        [&[], &[], &[]],
    ),
    // Comments behind.
    (
        "x:\n  - A  # server1\n  - 'B' #   web 2 (Frankfurt)  \n",
        [&["server1"], &["web 2 (Frankfurt)"], &[]],
    ),
    ("x:\n  age: A # server1\n", [&["server1"], &[], &[]]),
    ("x: [A] # server1\n", [&["server1"], &[], &[]]),
    ("x: [A, B] # both\ny: A,B # both\n", [&[], &[], &[]]),
    (
        "creation_rules:\n  - {path_regex: a, age: A} # the rule\n",
        [&[], &[], &[]],
    ),
    (
        "x: [\n  A, # one\n  B # two\n]\n",
        [&["one"], &["two"], &[]],
    ),
    (
        "x: [\n  # one\n  A,\n  # two\n  B\n]\n",
        [&["one"], &["two"], &[]],
    ),
    // Comments above.
    (
        "x:\n  # server1\n  - A\n  # server2\n  - B\n",
        [&["server1"], &["server2"], &[]],
    ),
    ("x:\n  # servers\n  - A\n  - B\n", [&[], &[], &[]]),
    ("x:\n  # admin\n  - A\n\n  - B\n", [&["admin"], &[], &[]]),
    ("x:\n  # far\n\n  - A\n", [&[], &[], &[]]),
    (
        "x:\n  # ---- servers ----\n  # server1\n  - A\n",
        [&["server1"], &[], &[]],
    ),
    (
        "x:\n  # The key of a machine.\n  - A\n  # the following one is kept for another year\n  - B\n",
        [&[], &[], &[]],
    ),
    ("x:\n  # what the rule is for\n  age: A\n", [&[], &[], &[]]),
    (
        "x:\n  # - B\n  - A\n  # secretsctl: allow(x) y\n  - B\n",
        [&[], &[], &[]],
    ),
    // Behind aliases.
    (
        "k: [&alice A]\nx:\n  - *alice # on call\n",
        [&["alice", "on call"], &[], &[]],
    ),
    // SSH keys, and the order of preference.
    ("x: ['S root@web 1']\n", [&[], &[], &["root@web 1"]]),
    (
        "x:\n  # above\n  - &anchor S root@web # behind\n",
        [&[], &[], &["anchor", "behind", "above", "root@web"]],
    ),
    ("x: S root@web,A\n", [&[], &[], &["root@web"]]),
    (
        "x:\n  - S  one\n  - S\ttwo # three\n",
        [&[], &[], &["three", "one", "two"]],
    ),
    (
        "x:\n  - A # one\n  - A # two\n  - B # one\n",
        [&["one", "two"], &["one"], &[]],
    ),
    // Never a private key, and no novel.
    (
        "x:\n  - A # AGE-SECRET-KEY-1QQ\n  # age-secret-key-1qq\n  - B\n",
        [&[], &[], &[]],
    ),
    (
        "x:\n  - A # 0123456789012345678901234567890123456789012345678901234567890123456789\n",
        [&[], &[], &[]],
    ),
    ("x:\n  - A # --- \n  - B #\n", [&[], &[], &[]]),
    (
        "x:\r\n  # server1\r\n  - A\r\n  - B # two\r\n",
        [&[], &["two"], &[]],
    ),
    (
        "x:\r  - A\r# three\ry:\r  - B # two\r",
        [&[], &["two"], &[]],
    ),
    ("x:\r\n  # server1\r\n  - A\r\n", [&["server1"], &[], &[]]),
    ("# A\n", [&[], &[], &[]]),
    ("", [&[], &[], &[]]),
];

#[test]
fn names_in_rules() {
    for (text, expected) in CASES {
        let mut full = String::new();
        let mut before = ' ';
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '-';
            let alone = !is_word(before) && !chars.peek().copied().is_some_and(is_word);
            match c {
                'A' if alone => full.push_str(A),
                'B' if alone => full.push_str(B),
                'S' if alone => full.push_str(S),
                c => full.push(c),
            }
            before = c;
        }
        let rules = Rules::parse(&full).unwrap();
        let names = rules.names();
        for (key, expected) in [A, B, S].into_iter().zip(expected) {
            let found: Vec<_> = names.all_of(key).collect();
            assert_eq!(found, *expected, "{text}");
        }
    }
}

#[test]
fn keys_of_other_kinds() {
    let rules = Rules::parse(
        "k:
  - &pgp 85D7 7543 B3D6 24B6 3CEA  9E6D BC17 301B 491B 3F21
  - &kms arn:aws:kms:us-east-1:1:key/a+arn:aws:iam::1:role/r
  - &gcp projects/p/locations/l/keyRings/r/cryptoKeys/k
  - &azure https://v.vault.azure.net/keys/k/1
  - &one https://h/v1/e/keys/a
  - &two https://h/v1/e/keys/b
  - &no an-anchor-of-something-else
",
    )
    .unwrap();
    let names = rules.names();
    for (text, name) in [
        ("85D77543B3D624B63CEA9E6DBC17301B491B3F21", Some("pgp")),
        ("arn:aws:kms:us-east-1:1:key/a", Some("kms")),
        ("arn:aws:kms:us-east-1:1:key/a|x:y|profile", Some("kms")),
        (
            "projects/p/locations/l/keyRings/r/cryptoKeys/k",
            Some("gcp"),
        ),
        ("https://v.vault.azure.net/keys/k/1", Some("azure")),
        // As in the metadata of a file.
        ("https://v.vault.azure.net", Some("azure")),
        ("https://h", None),
        ("https://h/v1/e/keys/b", Some("two")),
        ("an-anchor-of-something-else", None),
    ] {
        assert_eq!(names.name_of(text), name, "{text}");
    }
    assert_eq!(names.keys_of("one"), ["https://h/v1/e/keys/a"]);
    assert!(names.keys_of("no").is_empty());
}

#[test]
fn keys_cut_short() {
    for (text, short) in [
        (A, "age1zrqfe…j7t43l"),
        (
            "age1yubikey1q2w3e4r5t6y7u8i9o0p2a3s4d5f6g7h8",
            "age1yubikey1q2w3e4r5t…f6g7h8",
        ),
        (S, "ssh-ed25519 …+VHtZ6isGN"),
        (
            "85D77543B3D624B63CEA9E6DBC17301B491B3F21",
            "85D77543B…1B3F21",
        ),
        ("short", "short"),
    ] {
        assert_eq!(shortened(text), short);
    }
}
