//! `secretsctl decrypt` on good input, and on bad input: a clear error with its place, exit code 2, nothing written.

use std::fmt::Write as _;

use crate::support::{AgeKey, Dir, Ran, Sops, ctl, run};

/// A directory with a key and a small encrypted file in each format.
struct Bench {
    dir: Dir,
    key: AgeKey,
}

const FILES: [(&str, &str); 5] = [
    (
        "file.yaml",
        "# about\ndb:\n    host: example.org\n    port: 5432\n    tags:\n        - a\n        - b\n",
    ),
    (
        "file.json",
        "{\n\t\"db\": {\n\t\t\"host\": \"example.org\",\n\t\t\"port\": 5432\n\t}\n}\n",
    ),
    ("file.env", "# about\nHOST=example.org\nPORT=5432\n"),
    (
        "file.ini",
        "; about\n[db]\nhost = example.org\nport = 5432\n",
    ),
    ("file.bin", "example.org\0\u{1}"),
];

impl Bench {
    fn new() -> Self {
        let dir = Dir::new();
        let key = AgeKey::generate(&dir, "key");
        let bench = Self { dir, key };
        for (name, plain) in FILES {
            bench.encrypt(name, plain.as_bytes());
        }
        bench
    }

    /// Encrypts `plain` into the file `name`.
    fn encrypt(&self, name: &str, plain: &[u8]) {
        let source = self.dir.write(format!("plain-{name}"), plain);
        let args = [
            "encrypt",
            "--age",
            &self.key.recipient,
            "--output",
            name,
            source.to_str().unwrap(),
        ];
        run(ctl(args).current_dir(self.dir.path())).expect(0);
    }

    fn decrypt(&self, args: &[&str]) -> Ran {
        run(ctl(["decrypt"])
            .args(args)
            .current_dir(self.dir.path())
            .env("SOPS_AGE_KEY_FILE", &self.key.file))
    }

    /// Decrypting `content` under `name` fails with `code`, says where, and writes nothing.
    #[track_caller]
    fn refuses(&self, name: &str, content: impl AsRef<[u8]>, code: &str) -> serde_json::Value {
        let name = format!("bad-{name}");
        self.dir.write(&name, content);
        let ran = self
            .decrypt(&["--json", "--output", "out", &name])
            .expect(2);
        assert!(ran.stdout.is_empty() && !self.dir.exists("out"), "{ran}");
        let value: serde_json::Value =
            serde_json::from_str(&ran.stderr).unwrap_or_else(|_| panic!("{ran}"));
        let error = value["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        assert_eq!(error["file"], name.as_str(), "{error}");
        for place in ["line", "column"] {
            assert!(error[place].as_u64().is_some_and(|at| at > 0), "{error}");
        }
        assert!(error["hint"].is_string(), "{error}");
        for plain in ["example.org", "5432"] {
            assert!(!ran.stderr.contains(plain), "{ran}");
        }
        error
    }
}

#[test]
fn every_format_comes_back() {
    let bench = Bench::new();
    for (name, plain) in FILES {
        let encrypted = bench.dir.read(name);
        assert!(!encrypted.contains("example.org"), "{encrypted}");
        assert_eq!(bench.decrypt(&[name]).expect(0).text(), plain);
        bench.decrypt(&["--output", "out", name]).expect(0);
        assert_eq!(bench.dir.read("out"), plain);
        assert_eq!(bench.dir.mode("out"), 0o600);
        std::fs::remove_file(bench.dir.join("out")).unwrap();
    }
    bench.dir.write("renamed", bench.dir.read("file.yaml"));
    bench.decrypt(&["renamed"]).expect(2);
    assert_eq!(
        bench
            .decrypt(&["--input-type", "yaml", "renamed"])
            .expect(0)
            .text(),
        FILES[0].1
    );
}

#[test]
fn parts_are_printed_as_sops_prints_them() {
    let bench = Bench::new();
    for (name, path, expected) in [
        ("file.yaml", "[\"db\"][\"host\"]", "example.org"),
        ("file.yaml", "['db']['port']", "5432\n"),
        ("file.yaml", "[\"db\"][\"tags\"][1]", "b"),
        ("file.yaml", "[\"db\"][\"tags\"]", "- a\n- b\n"),
        ("file.json", "[\"db\"][\"port\"]", "5432"),
        (
            "file.json",
            "[\"db\"]",
            "{\n\t\"host\": \"example.org\",\n\t\"port\": 5432\n}\n",
        ),
        ("file.env", "[\"PORT\"]", "5432"),
        ("file.ini", "[\"db\"][\"host\"]", "example.org"),
        ("file.bin", "[\"data\"]", FILES[4].1),
    ] {
        let ran = bench.decrypt(&["--extract", path, name]).expect(0);
        assert_eq!(ran.text(), expected, "{name} {path}");
    }
    // sops 3.7 ends INI files with a blank line, decrypted ones too.
    let ini = std::fs::read_to_string(bench.dir.path().join("file.ini")).unwrap();
    bench.dir.write("old.ini", format!("{ini}\n"));
    let ran = bench.decrypt(&["old.ini"]).expect(0);
    assert_eq!(ran.text(), format!("{}\n", FILES[3].1));
    // sops up to 3.9 ended JSON files without a line break, and prints parts of them so.
    let json = std::fs::read_to_string(bench.dir.path().join("file.json")).unwrap();
    bench.dir.write("old.json", json.trim_end());
    let ran = bench.decrypt(&["--extract", "[\"db\"]", "old.json"]);
    assert!(ran.expect(0).text().ends_with("\n}"));
    for path in [
        "[\"nothing\"]",
        "[\"db\"][0]",
        "[\"db\"][\"host\"][\"more\"]",
        "db",
        "[\"db\"][\"tags\"][2]",
    ] {
        let ran = bench.decrypt(&["--extract", path, "file.yaml"]).expect(2);
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains("hint:"),
            "{ran}"
        );
    }
}

#[test]
fn truncated_files() {
    let bench = Bench::new();
    for (name, plain) in FILES {
        let whole = bench.dir.read_bytes(name);
        // Every length would take long; these hit every part of a file.
        for length in (0..whole.len().saturating_sub(2)).step_by(whole.len() / 23 + 1) {
            bench.dir.write(format!("cut-{name}"), &whole[..length]);
            let ran = bench.decrypt(&["--output", "out", &format!("cut-{name}")]);
            if ran.code() == 0 {
                // Only the end of the metadata is missing, the version of sops, which nothing depends on.
                assert_eq!(bench.dir.read("out"), plain, "{ran}");
                std::fs::remove_file(bench.dir.join("out")).unwrap();
            } else {
                let ran = ran.expect(2);
                assert!(
                    !bench.dir.exists("out") && !ran.stderr.contains("panicked"),
                    "{ran}"
                );
            }
        }
    }
    let json = bench.dir.read("file.json");
    let error = bench.refuses("file.json", &json[..json.len() / 2], "syntax");
    assert!(
        error["line"].as_u64().is_some() && error["hint"].is_string(),
        "{error}"
    );
}

#[test]
fn tampered_files() {
    let bench = Bench::new();
    for (name, _) in FILES {
        let text = bench.dir.read(name);
        let at = text
            .find("type:str")
            .or_else(|| text.find("type:int"))
            .unwrap();
        let data = text[..at].rfind("data:").unwrap() + 5;
        let flipped = if &text[data..=data] == "A" { "B" } else { "A" };
        let changed = format!("{}{flipped}{}", &text[..data], &text[data + 1..]);
        let error = bench.refuses(name, changed, "damaged");
        assert!(
            error["line"].as_u64().is_some() && error["hint"].is_string(),
            "{error}"
        );
        bench.refuses(name, text.replacen("type:str", "type:bytes", 1), "damaged");
        let date = text.find("lastmodified").unwrap();
        let year = date + text[date..].find("20").unwrap();
        let other_time = format!("{}19{}", &text[..year], &text[year + 2..]);
        bench.refuses(name, other_time, "mac");
    }
    let yaml = bench.dir.read("file.yaml");
    let host = yaml.lines().find(|line| line.contains("host:")).unwrap();
    bench.refuses(
        "file.yaml",
        yaml.replace(host, "    host: in clear"),
        "damaged",
    );
    bench.refuses(
        "file.yaml",
        yaml.replace(host, "    host: 1"),
        "not-encrypted-value",
    );
    bench.refuses("file.yaml", yaml.replace(host, "    host: \"\""), "mac");
    bench.refuses("file.yaml", yaml.replace(&format!("{host}\n"), ""), "mac");
    bench.refuses(
        "file.yaml",
        yaml.replace("type:comment", "type:str"),
        "damaged",
    );
    let list: Vec<_> = yaml.lines().filter(|line| line.contains("- ENC")).collect();
    let swapped = yaml
        .replace(list[0], "HERE")
        .replace(list[1], list[0])
        .replace("HERE", list[1]);
    bench.refuses("file.yaml", swapped, "mac");
}

#[test]
fn the_mac_of_another_file_and_another_key() {
    let bench = Bench::new();
    bench.encrypt("other.yaml", b"db:\n    host: other\n");
    let mac = |text: &str| {
        text.lines()
            .find(|line| line.trim_start().starts_with("mac:"))
            .unwrap()
            .to_owned()
    };
    let (yaml, other) = (bench.dir.read("file.yaml"), bench.dir.read("other.yaml"));
    bench.refuses("file.yaml", yaml.replace(&mac(&yaml), &mac(&other)), "mac");
    bench.refuses(
        "file.yaml",
        yaml.replace(&mac(&yaml), "    mac: \"\""),
        "mac",
    );
    let key = AgeKey::generate(&bench.dir, "other");
    let mut command = ctl(["decrypt", "file.yaml"]);
    let ran = run(command
        .current_dir(bench.dir.path())
        .env("SOPS_AGE_KEY_FILE", &key.file))
    .expect(2);
    assert!(
        ran.stdout.is_empty() && ran.stderr.contains(&bench.key.recipient),
        "{ran}"
    );
}

#[test]
fn bytes_that_are_no_text() {
    let bench = Bench::new();
    for (name, _) in FILES.iter().take(4) {
        let text = bench.dir.read(name);
        for bytes in [&b"\0"[..], b"\xff", b"\xed\xa0\x80", b"\x1b"] {
            for at in [0, text.find("ENC[").unwrap() + 30] {
                let mut changed = text.clone().into_bytes();
                changed.splice(at..at, bytes.iter().copied());
                bench.dir.write(format!("odd-{name}"), changed);
                let ran = bench.decrypt(&["--output", "out", &format!("odd-{name}")]);
                // A byte in a key or comment may change nothing that counts; then the plaintext is the same.
                assert!(ran.code() == 2 || ran.code() == 0, "{ran}");
                assert!(!ran.stderr.contains("panicked"), "{ran}");
                let _ = std::fs::remove_file(bench.dir.join("out"));
            }
        }
    }
    let yaml = bench.dir.read("file.yaml");
    for odd in ["\0", "\u{1b}"] {
        bench
            .dir
            .write("odd.yaml", yaml.replacen("ENC[", &format!("{odd}ENC["), 1));
        bench.decrypt(&["odd.yaml"]).expect(2);
    }
}

#[test]
fn nesting_and_aliases_have_limits() {
    let bench = Bench::new();
    let deep = |open: &str, close: &str, levels: usize| {
        format!("{}1{}", open.repeat(levels), close.repeat(levels))
    };
    for levels in [2_000, 200_000] {
        let error = bench.refuses("deep.json", deep("{\"a\":", "}", levels), "syntax");
        assert!(
            error["message"].as_str().unwrap().contains("nesting"),
            "{error}"
        );
        bench.refuses(
            "deep.json",
            format!("{{\"a\":{}}}", deep("[", "]", levels)),
            "syntax",
        );
    }
    for text in [
        deep("{a: ", "}", 2_000),
        format!("a: {}", deep("[", "]", 2_000)),
    ] {
        bench.dir.write("deep.yaml", text);
        let ran = bench.decrypt(&["deep.yaml"]).expect(2);
        assert!(
            ran.stderr.contains("nesting") && ran.stderr.contains("deep.yaml:"),
            "{ran}"
        );
    }
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let _ = writeln!(
            bomb,
            "a{level}: &a{level} [{}]",
            vec![format!("*a{}", level - 1); 9].join(", ")
        );
    }
    bench.dir.write("bomb.yaml", bomb);
    let ran = bench.decrypt(&["bomb.yaml"]).expect(2);
    assert!(
        ran.stderr.contains("hint:") && ran.stderr.contains("bomb.yaml:"),
        "{ran}"
    );
    let key = format!("sops_age{}=x\n", "__map_a".repeat(100_000));
    bench.refuses("deep.env", key, "metadata");
}

#[test]
fn long_lines_and_long_lists_take_linear_time() {
    let bench = Bench::new();
    let long = "x".repeat(50 << 20);
    for (name, content) in [
        ("long.env", format!("{long}\n")),
        ("long.ini", format!("{long}\n")),
        ("long.json", format!("{{\"{long}\": 1")),
        ("long.yaml", format!("a: \"{long}\n")),
    ] {
        bench.dir.write(name, content);
        let ran = bench.decrypt(&[name]).expect(2);
        assert!(
            ran.stderr.len() < 10_000,
            "{} bytes of error",
            ran.stderr.len()
        );
    }
    let nulls = format!("{{\"a\": [{}]}}", vec!["null"; 200_000].join(","));
    bench.encrypt("nulls.json", nulls.as_bytes());
    assert_eq!(bench.decrypt(&["nulls.json"]).expect(0).text(), nulls);
    for (name, open, line, close) in [
        ("many.yaml", "", "k{}: value {}\n", ""),
        (
            "many.json",
            "{\n",
            "\t\"k{}\": \"value {}\",\n",
            "\t\"last\": 1\n}\n",
        ),
        ("many.env", "", "k{}=value {}\n", ""),
        ("many.ini", "[s]\n", "k{} = value {}\n", ""),
    ] {
        let lines = (0..10_000).map(|index| line.replace("{}", &index.to_string()));
        let plain = format!("{open}{}{close}", lines.collect::<String>());
        bench.encrypt(name, plain.as_bytes());
        assert!(bench.decrypt(&[name]).expect(0).text() == plain, "{name}");
    }
    bench.refuses("large.json", vec![b' '; (64 << 20) + 1], "limit");
}

#[test]
fn metadata_of_wrong_types() {
    let bench = Bench::new();
    let json: serde_json::Value = serde_json::from_str(&bench.dir.read("file.json")).unwrap();
    for (field, value) in [
        ("age", serde_json::json!("x")),
        ("age", serde_json::json!([1])),
        ("age", serde_json::json!([])),
        ("age", serde_json::json!([{"recipient": ["x"], "enc": {}}])),
        ("lastmodified", serde_json::json!(5)),
        ("lastmodified", serde_json::json!(null)),
        ("mac", serde_json::json!(["x"])),
        ("mac_only_encrypted", serde_json::json!("perhaps")),
        ("shamir_threshold", serde_json::json!("many")),
        ("key_groups", serde_json::json!("x")),
    ] {
        let mut changed = json.clone();
        changed["sops"][field] = value;
        if field == "key_groups" {
            changed["sops"]["age"] = serde_json::json!([]);
        }
        let error = bench.refuses("file.json", changed.to_string(), "metadata");
        assert!(error["line"].as_u64().is_some(), "{error}");
    }
    for value in [
        serde_json::json!(null),
        serde_json::json!([]),
        serde_json::json!("x"),
    ] {
        let mut changed = json.clone();
        changed["sops"] = value;
        bench.refuses("file.json", changed.to_string(), "syntax");
    }
    let mut changed = json.clone();
    changed["sops"]["encrypted_regex"] = serde_json::json!("(");
    changed["sops"]["unencrypted_suffix"] = serde_json::json!("");
    bench.refuses("file.json", changed.to_string(), "selection");
    changed["sops"] = json["sops"].clone();
    changed["sops"]["age"][0]["enc"] =
        serde_json::json!("-----BEGIN AGE ENCRYPTED FILE-----\nno\n");
    bench.dir.write("bad.json", changed.to_string());
    bench.decrypt(&["bad.json"]).expect(2);
    bench.refuses("file.json", "{\"a\": 1}", "not-encrypted");
    bench.refuses("file.json", bench.dir.read("file.json") + "{}", "syntax");
    bench.refuses(
        "file.json",
        "\u{feff}".to_owned() + &bench.dir.read("file.json"),
        "syntax",
    );
}

#[test]
fn files_that_cannot_be_read_or_written() {
    let bench = Bench::new();
    bench.decrypt(&["missing.yaml"]).expect(2);
    bench.decrypt(&["."]).expect(2);
    bench
        .decrypt(&["--output", "no/such/directory", "file.yaml"])
        .expect(2);
    bench
        .decrypt(&["--input-type", "toml", "file.yaml"])
        .expect(2);
    assert!(
        !bench.dir.tree().iter().any(|name| name.contains(".tmp")),
        "{:?}",
        bench.dir.tree()
    );
}

#[test]
fn a_comment_between_the_comments_of_a_nested_list_and_its_values_stays() {
    let Some(sops) = Sops::find("3.9.4") else {
        return;
    };
    let dir = Dir::new();
    let key = AgeKey::generate(&dir, "key");
    let plain = "a:\n  -\n    # one\n    - only: \"'q'\" #two\n";
    let text = sops.encrypt(&dir, "case.yaml", plain, &[&key.recipient], &[]);
    let file = dir.write("case.yaml", text);
    let ran = run(ctl(["decrypt"])
        .arg(file)
        .env("SOPS_AGE_KEY_FILE", &key.file))
    .expect(0);
    assert_eq!(
        ran.text(),
        "a:\n    # one\n    - #two\n      - only: '''q'''\n"
    );
}
