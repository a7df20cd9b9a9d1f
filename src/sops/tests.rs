//! Round trips through the engine with a key wrapped in plain sight.

use std::path::Path;

use crate::{
    error::{Error, Result},
    limits::Limits,
    secret::Secret,
    sops::{
        Settings,
        document::Document,
        encrypt,
        format::Format,
        metadata::Entry,
        selection::{Kind, Selection},
    },
};

fn settings() -> Settings {
    Settings {
        groups: vec![vec!["age1a".to_owned(), "age1b".to_owned()]],
        threshold: 0,
        selection: Selection::by_default(),
        mac_only_encrypted: false,
    }
}

fn encrypt_with(plain: &str, format: Format, settings: &Settings) -> Result<String> {
    let mut wrap = |_: usize, _: &str, bytes: &[u8]| {
        Ok(bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            + "\n")
    };
    let plain = Secret::from(plain.to_owned());
    encrypt(
        plain,
        format,
        settings,
        "2024-05-06T07:08:09Z",
        &mut wrap,
        &Limits::default(),
    )
}

fn decrypt(text: &str, format: Format) -> Result<String> {
    let document = Document::parse(Secret::from(text.to_owned()), format, &Limits::default())?;
    let key = document.metadata().recover(&mut |entry| {
        let Entry::Age { enc, .. } = entry else {
            return Ok(None);
        };
        let enc = enc.trim();
        let bytes = (0..enc.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&enc[at..at + 2], 16));
        Ok(bytes.collect::<Result<_, _>>().ok().map(Secret::new))
    })?;
    let plain = document.open(&key)?.plaintext()?;
    Ok(plain.expose_str().unwrap().to_owned())
}

fn round_trip(plain: &str, format: Format, settings: &Settings) -> String {
    let text = encrypt_with(plain, format, settings)
        .unwrap_or_else(|error| panic!("{plain:?}: {error:?}"));
    let opened = decrypt(&text, format).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    assert_eq!(opened, plain, "{text}");
    text
}

const DOCUMENTS: [(Format, &str); 12] = [
    (
        Format::Json,
        "{\n\t\"a\": \"x\",\n\t\"b\": [1, 2.5, true, null, \"\"],\n\t\"c\": {\"d\": -0.5, \"a\": []}\n}\n",
    ),
    (Format::Json, "{\"one\":\"line\", \"dup\": 1, \"dup\": 2}"),
    (Format::Json, "{}"),
    (
        Format::Json,
        " {\r\n  \"t\": \"\\u003c\\ud83d\\ude00\\n\"\r\n}",
    ),
    (
        Format::Dotenv,
        "# comment\nA=1\n#\nexport B=\"x\"\nC=\nD=a\\nb\\\\n\nD=again\n\nE =\r\n",
    ),
    (Format::Dotenv, ""),
    (
        Format::Ini,
        "top = 1\n\n; about the section\n# second line\n[a] ; and inline\nkey = value ; why\nother=\"quoted\"\n\n; of k\nk: `x;y`\nempty =\n- = 1\n\n[a]\nagain = '#'\n",
    ),
    (
        Format::Ini,
        "[a]\nm = \"\"\"one\ntwo\"\"\"\nc = first\\\n  second\n[b]",
    ),
    (Format::Ini, ""),
    (Format::Ini, "\u{feff}[DEFAULT]\r\nk = v\r\n"),
    (Format::Binary, "\0any\u{1}bytes\n"),
    (Format::Binary, ""),
];

#[test]
fn what_was_encrypted_comes_back() {
    for (format, plain) in DOCUMENTS {
        // Joined lines come back as one.
        let plain = plain
            .replace("first\\\n  second", "firstsecond")
            .replace("\"quoted\"", "quoted")
            .replace("'#'", "`#`");
        let text = encrypt_with(&plain, format, &settings())
            .unwrap_or_else(|error| panic!("{plain:?}: {error:?}"));
        let opened = decrypt(&text, format).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        match format {
            // Remarks of several lines change their layout.
            Format::Ini => assert!(
                opened.contains("value") || !plain.contains("value"),
                "{opened}"
            ),
            Format::Json => assert_eq!(
                opened.replace("\\u003c\u{1f600}", "\\u003c\\ud83d\\ude00"),
                plain
            ),
            _ => assert_eq!(opened, plain, "{text}"),
        }
    }
}

#[test]
fn ini_keeps_its_layout() {
    for plain in [
        "top = 1\n\n; about\n[a]\nkey   = value ; why\nother = x\n\n; of k\nk: `x;y`\nempty =\n",
        "; about ] this\n[a]\nb = c\n",
        "[a]\nm = \"\"\"one\ntwo\"\"\"\n",
        "[a]\nx = \"\"\"tick`\"\"\"\ny = \" blank \"\n",
    ] {
        let text = round_trip(plain, Format::Ini, &settings());
        // With the mark in front: three letters alone come up in base64 sooner or later.
        assert!(
            !text.contains("; why") && !text.contains("; about"),
            "{text}"
        );
    }
}

#[test]
fn settings_are_written_and_obeyed() {
    let plain = "{\n  \"a_enc\": \"secret\",\n  \"b\": \"clear\"\n}\n";
    for (kind, text) in [
        (Kind::EncryptedSuffix, "_enc"),
        (Kind::UnencryptedSuffix, "b"),
        (Kind::EncryptedRegex, "^a"),
        (Kind::UnencryptedRegex, "^b$"),
    ] {
        for mac_only_encrypted in [false, true] {
            let settings = Settings {
                selection: Selection::new(kind, text).unwrap(),
                mac_only_encrypted,
                ..settings()
            };
            let encrypted = round_trip(plain, Format::Json, &settings);
            assert!(!encrypted.contains("secret") && encrypted.contains("\"clear\""));
            let tampered = decrypt(&encrypted.replace("\"clear\"", "\"other\""), Format::Json);
            match mac_only_encrypted {
                true => assert!(tampered.is_ok()),
                false => assert_eq!(tampered.unwrap_err().code, "mac"),
            }
        }
    }
}

#[test]
fn key_groups_share_the_key() {
    let groups = (0..3).map(|i| vec![format!("age1{i}")]).collect::<Vec<_>>();
    for format in [Format::Json, Format::Dotenv, Format::Ini, Format::Binary] {
        let settings = Settings {
            groups: groups.clone(),
            threshold: 2,
            ..settings()
        };
        let plain = if format == Format::Json {
            "{\n\t\"a\": 1\n}\n"
        } else {
            "a=1\n"
        };
        round_trip(plain, format, &settings);
    }
    for threshold in [1, 4] {
        assert!(
            encrypt_with(
                "{}",
                Format::Json,
                &Settings {
                    groups: groups.clone(),
                    threshold,
                    ..settings()
                }
            )
            .is_err()
        );
    }
    for groups in [vec![], vec![vec![]]] {
        assert!(
            encrypt_with(
                "{}",
                Format::Json,
                &Settings {
                    groups,
                    ..settings()
                }
            )
            .is_err()
        );
    }
}

#[test]
fn changes_without_the_key_are_refused() {
    let text = encrypt_with(
        "{\n\t\"a\": \"x\",\n\t\"b\": [\"y\", \"z\"]\n}\n",
        Format::Json,
        &settings(),
    )
    .unwrap();
    let at = |from: usize| text[from..].find("ENC[").map(|at| from + at).unwrap();
    let value = |start: usize| &text[start..start + text[start..].find(']').unwrap() + 1];
    let a = at(0);
    let (y, z) = (at(a + 1), at(at(a + 1) + 1));
    let swapped = text
        .replace(value(y), "HERE")
        .replace(value(z), value(y))
        .replace("HERE", value(z));
    for (changed, code) in [
        (swapped, "mac"),
        (text.replace(value(a), value(y)), "damaged"),
        (text.replace(value(a), ""), "mac"),
        (text.replacen("type:str", "type:comment", 1), "damaged"),
        (text.replacen("type:str", "type:bytes", 1), "damaged"),
        (
            text.replace(&format!("\"{}\"", value(a)), "\"in clear\""),
            "damaged",
        ),
        (
            text.replace(&format!("\"{}\"", value(a)), "1"),
            "not-encrypted-value",
        ),
        (text.replace("05-06", "05-07"), "mac"),
        (text.replace("\"mac\"", "\"cam\""), "mac"),
        (text.clone() + "{}", "syntax"),
        (text.replace("\"sops\"", "\"spos\""), "not-encrypted"),
        (text[..text.len() / 2].to_owned(), "syntax"),
    ] {
        let error: Error = decrypt(&changed, Format::Json).unwrap_err();
        assert_eq!(error.code, code, "{changed}");
        assert!(error.hint.is_some() || code == "syntax");
    }
}

#[test]
fn files_that_cannot_be_encrypted() {
    for (format, plain) in [
        (Format::Json, "[1]"),
        (Format::Json, "{\"sops\": {}}"),
        (Format::Dotenv, "sops_x=1"),
        (Format::Dotenv, "no equals sign"),
        (Format::Ini, "[sops]\na=1"),
        (Format::Ini, "a=1\n; at the end"),
        (Format::Ini, "a=1\na=2"),
        (Format::Ini, "just text"),
    ] {
        assert!(encrypt_with(plain, format, &settings()).is_err(), "{plain}");
    }
}

#[test]
fn the_name_tells_the_format() {
    for (name, format) in [
        ("a.yaml", Format::Yaml),
        ("a/b.yml", Format::Yaml),
        (".json", Format::Json),
        (".env", Format::Dotenv),
        (".env.local", Format::Binary),
        ("a.ini", Format::Ini),
        ("A.YAML", Format::Binary),
        ("key", Format::Binary),
    ] {
        assert_eq!(Format::from_path(Path::new(name)), format, "{name}");
    }
}
