//! Documents get other keys, which are wrapped in plain sight.

use super::*;
use crate::{
    limits::Limits,
    sops::{
        Settings, encrypt,
        format::Format,
        selection::{Kind, Selection},
    },
};

const BEFORE: &str = "2024-05-06T07:08:09Z";
const AFTER: &str = "2025-01-02T03:04:05Z";

const DOCUMENTS: [(Format, &str); 9] = [
    (
        Format::Yaml,
        "# head\na: one # behind\nlist:\n  # in the list\n  - 1\n  - x: true\nempty: \"\"\nquoted: 'q'\ntext: |\n  l1\n  l2\n",
    ),
    (Format::Yaml, "a: 1\n---\nb: two\n...\n"),
    (Format::Yaml, "{a: 1, b: [x, y]}\n"),
    (Format::Yaml, "a: b"),
    (
        Format::Json,
        "{\n  \"a\": \"x\",\n  \"b\": [1, 2.5, null, \"\"]\n}\n",
    ),
    (Format::Json, "{\"a\":\"x\"}"),
    (Format::Dotenv, "# c\nA=1\nB=\nC=x\\ny"),
    (Format::Ini, "[a]\n; why\nk = v ; behind\n\n[b]\nl = w"),
    (Format::Binary, "any\0bytes"),
];

fn wrap(group: usize, recipient: &str, bytes: &[u8]) -> Result<String> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("-----{group} {recipient}\n{hex}\n-----\n"))
}

fn unhex(enc: &str) -> Secret {
    let hex = enc.lines().nth(1).unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Secret::new((0..hex.len()).step_by(2).map(byte).collect())
}

fn names(groups: &[&[&str]]) -> Vec<Vec<String>> {
    let owned = |group: &&[&str]| group.iter().map(|name| (*name).to_owned()).collect();
    groups.iter().map(owned).collect()
}

fn encrypted(plain: &str, format: Format, groups: &[&[&str]]) -> String {
    let settings = Settings {
        groups: names(groups),
        threshold: 0,
        selection: Selection::by_default(),
        mac_only_encrypted: false,
    };
    let plain = Secret::from(plain.to_owned());
    encrypt(
        plain,
        format,
        &settings,
        BEFORE,
        &mut wrap,
        &Limits::default(),
    )
    .unwrap()
}

fn parse(text: &str, format: Format) -> Document {
    Document::parse(Secret::from(text.to_owned()), format, &Limits::default()).unwrap()
}

/// What those who are `present` get in hand.
fn open(document: &Document, present: &[&str]) -> Result<InHand> {
    let metadata = document.metadata();
    let shares: Vec<Option<Secret>> = metadata
        .groups
        .iter()
        .map(|group| {
            group.iter().find_map(|entry| match entry {
                Entry::Age { recipient, enc } if present.contains(&recipient.as_str()) => {
                    Some(unhex(enc))
                }
                _ => None,
            })
        })
        .collect();
    let key = metadata.recover(&mut |entry| match entry {
        Entry::Age { recipient, enc } if present.contains(&recipient.as_str()) => {
            Ok(Some(unhex(enc)))
        }
        _ => Ok(None),
    })?;
    Ok(InHand {
        key,
        shares,
        opened: Vec::new(),
    })
}

fn change(
    text: &str,
    format: Format,
    present: &[&str],
    groups: &[&[&str]],
    rotate: bool,
) -> String {
    let document = parse(text, format);
    let in_hand = open(&document, present).unwrap();
    let opened = document.open(&in_hand.key).unwrap();
    let recipients = Recipients {
        groups: names(groups),
        threshold: 0,
    };
    let changed = if rotate {
        opened.rotate(&recipients, Others::Stay, AFTER, &mut wrap)
    } else {
        opened.rewrap(&in_hand, &recipients, &mut wrap)
    };
    let changed = changed.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    changed.into_text().expose_str().unwrap().to_owned()
}

/// Lines of `left` that are not in `right`, each counted.
fn lines_without<'t>(left: &'t str, right: &str) -> Vec<&'t str> {
    let mut others: Vec<&str> = right.split('\n').collect();
    left.split('\n')
        .filter(|line| match others.iter().position(|other| other == line) {
            Some(at) => {
                others.swap_remove(at);
                false
            }
            None => true,
        })
        .collect()
}

#[test]
fn a_recipient_comes_and_goes() {
    for (format, plain) in DOCUMENTS {
        let text = encrypted(plain, format, &[&["age1a", "age1b"]]);
        let more = change(
            &text,
            format,
            &["age1b"],
            &[&["age1a", "age1b", "age1c"]],
            false,
        );
        let gone = lines_without(&text, &more);
        let is_json = matches!(format, Format::Json | Format::Binary);
        // The brace of the last element gets a comma, unless all is one line.
        assert!(
            gone.len() <= usize::from(is_json || plain.starts_with('{')),
            "{gone:?}\n{more}"
        );
        if plain.contains('\n') && !plain.starts_with('{') && !is_json {
            let documents = 1 + plain.matches("---").count();
            let per_entry = if format == Format::Yaml { 5 } else { 2 };
            assert_eq!(
                lines_without(&more, &text).len(),
                documents * per_entry,
                "{more}"
            );
        }
        for present in ["age1a", "age1b", "age1c"] {
            let document = parse(&more, format);
            let key = open(&document, &[present]).unwrap().key;
            let plain_again = document.open(&key).unwrap().plaintext().unwrap();
            let before = parse(&text, format);
            let key = open(&before, &["age1a"]).unwrap().key;
            assert!(
                before.open(&key).unwrap().plaintext().unwrap().expose() == plain_again.expose()
            );
        }

        let less = change(&more, format, &["age1a"], &[&["age1c", "age1a"]], true);
        let document = parse(&less, format);
        assert!(open(&document, &["age1b"]).is_err(), "{less}");
        let new = open(&document, &["age1c"]).unwrap().key;
        let old = open(&parse(&more, format), &["age1c"]).unwrap().key;
        assert!(new.expose() != old.expose());
        assert!(document.open(&old).is_err());
        assert_eq!(document.metadata().lastmodified, AFTER);
        // Every encrypted text is a new one.
        let texts = |text: &str| -> Vec<String> {
            let ends = text.split("ENC[").skip(1);
            ends.map(|rest| rest.split(']').next().unwrap().to_owned())
                .collect()
        };
        assert_eq!(texts(&less).len(), texts(&more).len());
        assert!(
            texts(&less)
                .iter()
                .all(|text| !more.contains(text.as_str()))
        );
        let opened = document.open(&new).unwrap().plaintext().unwrap();
        let before = parse(&more, format);
        assert!(before.open(&old).unwrap().plaintext().unwrap().expose() == opened.expose());
    }
}

#[test]
fn groups_come_and_go() {
    for (format, plain) in DOCUMENTS {
        let flat = encrypted(plain, format, &[&["age1a"]]);
        let two: &[&[&str]] = &[&["age1a", "age1b"], &["age1c"]];
        let shared = change(&flat, format, &["age1a"], two, true);
        let document = parse(&shared, format);
        assert!(open(&document, &["age1a", "age1b"]).is_err());
        assert!(open(&document, &["age1b", "age1c"]).is_ok());

        // One more in a group whose share is in hand: nothing else changes.
        let more: &[&[&str]] = &[&["age1a", "age1b", "age1d"], &["age1c"]];
        let grown = change(&shared, format, &["age1b", "age1c"], more, false);
        let document = parse(&grown, format);
        assert!(open(&document, &["age1d", "age1c"]).is_ok());
        let kept = document.metadata().groups[1].first();
        let before = parse(&shared, format);
        match (kept, before.metadata().groups[1].first()) {
            (Some(Entry::Age { enc, .. }), Some(Entry::Age { enc: before, .. })) => {
                assert_eq!(enc, before);
            }
            _ => panic!("{grown}"),
        }

        let flat = change(
            &grown,
            format,
            &["age1d", "age1c"],
            &[&["age1c", "age1e"]],
            false,
        );
        assert!(open(&parse(&flat, format), &["age1e"]).is_ok());
    }
}

#[test]
fn recipients_in_the_words_of_the_file() {
    let text = encrypted(
        "a: b\n",
        Format::Yaml,
        &[&["ssh-ed25519 AAAA root@host", "age1a"]],
    );
    let wanted: &[&[&str]] = &[&["age1a", "ssh-ed25519 AAAA other"]];
    assert_eq!(change(&text, Format::Yaml, &["age1a"], wanted, false), text);
}

#[test]
fn what_is_encrypted_stays_as_it_was() {
    let settings = Settings {
        groups: names(&[&["age1a"]]),
        threshold: 0,
        selection: Selection::new(Kind::EncryptedRegex, "^secret$").unwrap(),
        mac_only_encrypted: true,
    };
    let plain = "# c\nopen: 1\nsecret: {a: x, b: [1, y]}\n";
    let text = encrypt(
        Secret::from(plain.to_owned()),
        Format::Yaml,
        &settings,
        BEFORE,
        &mut wrap,
        &Limits::default(),
    )
    .unwrap();
    let rotated = change(&text, Format::Yaml, &["age1a"], &[&["age1b"]], true);
    assert!(
        rotated.starts_with("# c\nopen: 1\nsecret: {a: \"ENC["),
        "{rotated}"
    );
    assert!(rotated.contains("mac_only_encrypted: true"), "{rotated}");
}
