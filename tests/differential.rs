//! Random documents in every format and with every setting, beside real sops.
//!
//! What sops encrypted, we decrypt to the bytes to which that sops decrypts it. What we encrypted, both versions of sops
//! open, and find in it what they find in what they encrypt themselves. The number of documents is `SECRETSD_CASES`, the
//! first seed `SECRETSD_SEED`; a failure names the seed of its document.

mod authoring;
mod documents;
mod rekey;
mod yaml;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    rules_differential::random::Random,
    support::{AgeKey, Dir, Ran, Sops, ctl, run},
};

/// Documents in a run of all tests.
const CASES: u64 = 300;

/// What became of the documents, by kind.
type Counts = BTreeMap<&'static str, u64>;

#[test]
fn documents_beside_sops() {
    let Some(sops) = Sops::both() else { return };
    let (cases, first) = (number("SECRETSD_CASES", CASES), number("SECRETSD_SEED", 1));
    let counts = over_all(&sops, "beside sops", cases, first, |bench, seed| {
        bench.case(seed)
    });
    let refused = counts.get("we refuse to encrypt").copied().unwrap_or(0);
    assert!(
        refused * 10 <= cases,
        "{refused} of {cases} documents were refused"
    );
}

/// Runs `test` on documents from all processors, and prints what it has seen.
fn over_all(
    sops: &[Sops; 2],
    what: &str,
    cases: u64,
    first: u64,
    test: impl Fn(&Bench<'_>, u64) -> (Vec<&'static str>, Vec<String>) + Sync,
) -> Counts {
    let (next, counts, failures) = (
        AtomicU64::new(0),
        Mutex::new(Counts::new()),
        Mutex::new(Vec::new()),
    );
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let bench = Bench::new(sops);
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case >= cases || failures.lock().unwrap().len() > 10 {
                        break;
                    }
                    let (seen, wrong) = test(&bench, first + case);
                    for kind in seen {
                        *counts.lock().unwrap().entry(kind).or_default() += 1;
                    }
                    failures.lock().unwrap().extend(wrong);
                }
            });
        }
    });
    let (counts, failures) = (counts.into_inner().unwrap(), failures.into_inner().unwrap());
    let figures = format!("{cases} documents {what} from seed {first}: {counts:#?}\n");
    let _ = std::io::stderr().write_all(figures.as_bytes());
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n")
    );
    counts
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// One thread's directory and keys.
struct Bench<'s> {
    sops: &'s [Sops; 2],
    dir: Dir,
    keys: [AgeKey; 3],
    /// Holds all keys.
    identities: PathBuf,
}

/// One document and how it is to be encrypted.
struct Case {
    name: &'static str,
    plain: Vec<u8>,
    rules: String,
}

impl<'s> Bench<'s> {
    fn new(sops: &'s [Sops; 2]) -> Self {
        let dir = Dir::new();
        let keys = ["one", "two", "three"].map(|name| AgeKey::generate(&dir, name));
        let all = keys
            .iter()
            .map(|key| key.secret.as_str())
            .collect::<Vec<_>>()
            .join("\n");
        let identities = dir.write("all.txt", all);
        Self {
            sops,
            dir,
            keys,
            identities,
        }
    }

    /// What was seen, and what went wrong.
    fn case(&self, seed: u64) -> (Vec<&'static str>, Vec<String>) {
        let case = self.generate(seed);
        let mut report = Report {
            seen: Vec::new(),
            wrong: Vec::new(),
        };
        self.dir.write(".sops.yaml", &case.rules);
        self.dir.write(case.name, &case.plain);
        // What each sops makes of the document.
        let encrypted = self
            .sops
            .each_ref()
            .map(|sops| self.by_sops(sops, "encrypt", case.name));
        let mut wanted = [None, None];
        for ((sops, encrypted), wanted) in self.sops.iter().zip(&encrypted).zip(&mut wanted) {
            if encrypted.code() != 0 {
                report.seen.push("sops refuses to encrypt");
                continue;
            }
            let name = format!("by-sops-{}", case.name);
            self.dir.write(&name, &encrypted.stdout);
            let theirs = self.by_sops(sops, "decrypt", &name);
            let ours = self.ours("decrypt", &name);
            match (theirs.code(), ours.code()) {
                (0, 0) if theirs.stdout == ours.stdout => {
                    report.seen.push("decrypted to the same bytes");
                }
                (0, 0) if self.same_after_decryption(&case, sops, &theirs.stdout, &ours.stdout) => {
                    report
                        .seen
                        .push("decrypted to the same data in other quotes or places");
                }
                (0, 0) => report.fail("decrypted differently", &[("sops", &theirs), ("we", &ours)]),
                (0, _) => report.fail("only sops decrypts", &[("sops", &theirs), ("we", &ours)]),
                (_, 0) => report.seen.push("only we decrypt what sops encrypted"),
                (_, _) => report.seen.push("neither decrypts what sops encrypted"),
            }
            *wanted = (theirs.code() == 0).then_some(theirs);
        }
        self.encrypt_and_compare(&case, &wanted, &mut report);
        let describe = |wrong: String| {
            format!(
                "=== seed {seed}, {}\n{}--- plaintext\n{}\n{wrong}",
                case.name,
                case.rules,
                String::from_utf8_lossy(&case.plain)
            )
        };
        (
            report.seen,
            report.wrong.into_iter().map(describe).collect(),
        )
    }

    fn encrypt_and_compare(&self, case: &Case, wanted: &[Option<Ran>; 2], report: &mut Report) {
        let encrypted = self.ours("encrypt", case.name);
        if encrypted.code() != 0 {
            match wanted.iter().all(Option::is_none) {
                true => report.seen.push("nobody encrypts"),
                false => {
                    report.seen.push("we refuse to encrypt");
                    let hint = encrypted.stderr.contains("hint:");
                    if !hint || encrypted.stderr.contains("not read back") {
                        report.fail("refused without a good reason", &[("we", &encrypted)]);
                    }
                }
            }
            return;
        }
        let name = format!("by-us-{}", case.name);
        self.dir.write(&name, &encrypted.stdout);
        let back = self.ours("decrypt", &name);
        if back.code() != 0 {
            report.fail(
                "we cannot decrypt what we encrypted",
                &[("encrypted", &encrypted), ("we", &back)],
            );
        }
        if case.name == "case.yaml"
            && back.code() == 0
            && !(yaml::same_data(&case.plain, &back.stdout)
                && yaml::same_comments(&case.plain, &back.stdout))
        {
            report.fail(
                "we find other data or comments in ours",
                &[("encrypted", &encrypted), ("we", &back)],
            );
        }
        for (sops, wanted) in self.sops.iter().zip(wanted) {
            let theirs = self.by_sops(sops, "decrypt", &name);
            let Some(wanted) = wanted else {
                report.seen.push("sops cannot open its own either");
                continue;
            };
            if theirs.code() != 0 {
                report.fail(
                    "sops does not decrypt ours",
                    &[("encrypted", &encrypted), ("sops", &theirs)],
                );
            } else if theirs.stdout == wanted.stdout {
                report.seen.push("ours decrypted by sops as its own");
            } else if self.same_after_encryption(case, sops, &wanted.stdout, &theirs.stdout) {
                report
                    .seen
                    .push("ours decrypted by sops to the same data, comments elsewhere");
            } else {
                report.fail(
                    "sops finds other data in ours",
                    &[
                        ("own", wanted),
                        ("ours", &theirs),
                        ("encrypted", &encrypted),
                    ],
                );
            }
        }
    }

    fn generate(&self, seed: u64) -> Case {
        let random = &mut Random::seeded(seed);
        let (name, plain) = match seed % 6 {
            0 => ("case.json", documents::json(random)),
            1 => ("case.env", documents::dotenv(random)),
            2 => ("case.ini", documents::ini(random)),
            3 | 4 => ("case.yaml", yaml::document(random)),
            _ => ("case.bin", documents::binary(random)),
        };
        Case {
            name,
            plain,
            rules: self.rules(random, name),
        }
    }

    /// One rule for all files.
    fn rules(&self, random: &mut Random, name: &str) -> String {
        let mut rules = "creation_rules:\n  - path_regex: ''\n".to_owned();
        let [one, two, three] = self.keys.each_ref().map(|key| key.recipient.as_str());
        // sops 3.9 panics on a threshold in dotenv, and writes one into INI that it cannot read.
        let flat = name.ends_with("env") || name.ends_with("ini");
        match random.below(4) {
            0 if !flat => {
                let groups = random.pick(&[2, 3]);
                let threshold = random.pick(&[2, groups]);
                let _ = writeln!(rules, "    shamir_threshold: {threshold}\n    key_groups:");
                for group in [vec![one, two], vec![three], vec![two]].iter().take(groups) {
                    let _ = writeln!(rules, "      - age: [{}]", group.join(", "));
                }
            }
            1 => {
                let _ = writeln!(rules, "    age: {one},{two},{three}");
            }
            _ => {
                let _ = writeln!(rules, "    age: {one}");
            }
        }
        let setting = random.pick(&[
            "",
            "",
            "encrypted_suffix: _enc",
            "unencrypted_suffix: b",
            "encrypted_regex: ^(alpha|c|secret)",
            "unencrypted_regex: \"^(b|k\\\\.|pub)\"",
            "encrypted_comment_regex: mark",
            "unencrypted_comment_regex: \"mark:\"",
        ]);
        if !setting.is_empty() {
            let _ = writeln!(rules, "    {setting}");
        }
        if random.one_in(4) {
            rules.push_str("    mac_only_encrypted: true\n");
        }
        rules
    }

    /// Whether our plaintext has the data and comments of theirs. In YAML the document itself tells: sops prints some
    /// strings as others, and loses or misplaces some comments.
    fn same_after_decryption(&self, case: &Case, sops: &Sops, theirs: &[u8], ours: &[u8]) -> bool {
        if case.name != "case.yaml" {
            return self.same_meaning(case, theirs, ours)
                || self.is_unstable(case, theirs)
                    && self.written_by_sops(case, ours).is_some()
                    && self.as_json(sops, &format!("by-sops-{}", case.name))
                        == self.as_json(sops, &format!("again-{}", case.name));
        }
        self.dir.write("ours-case.yaml", ours);
        let recipient = &self.keys[0].recipient;
        let encrypted = run(sops
            .command([
                "--config",
                "/dev/null",
                "encrypt",
                "--age",
                recipient,
                // Nothing stays clear: sops cannot open all that it leaves in clear.
                "--unencrypted-suffix=/",
                "ours-case.yaml",
            ])
            .current_dir(self.dir.path()));
        self.dir.write("ours-case.yaml", &encrypted.stdout);
        self.as_json(sops, "by-sops-case.yaml") == self.as_json(sops, "ours-case.yaml")
            && yaml::same_data(&case.plain, ours)
            && yaml::has_comments(&case.plain, theirs, ours)
    }

    /// Whether sops finds in our encrypted file what it finds in its own.
    fn same_after_encryption(&self, case: &Case, sops: &Sops, own: &[u8], ours: &[u8]) -> bool {
        if case.name != "case.yaml" {
            return self.same_meaning(case, own, ours)
                || self.is_unstable(case, own) && self.same_json_after_encryption(case, sops);
        }
        self.as_json(sops, "by-us-case.yaml") == self.as_json(sops, "by-sops-case.yaml")
            && (own == ours || !yaml::is_readable(own) || yaml::same_data(own, ours))
    }

    /// Whether sops finds in ours the data of its own, or that of the document where all of it is encrypted: in what it
    /// leaves in clear it may itself read something else than it was given.
    fn same_json_after_encryption(&self, case: &Case, sops: &Sops) -> bool {
        let ours = self.as_json(sops, &format!("by-us-{}", case.name));
        ours == self.as_json(sops, &format!("by-sops-{}", case.name))
            || self.written_by_sops(case, &case.plain).is_some()
                && ours == self.as_json(sops, &format!("again-{}", case.name))
    }

    /// Whether sops does not read what it printed itself as it was: then only the data can be compared, without the comments.
    fn is_unstable(&self, case: &Case, theirs: &[u8]) -> bool {
        self.written_by_sops(case, theirs).as_deref() != Some(theirs)
    }

    fn as_json(&self, sops: &Sops, name: &str) -> Vec<u8> {
        self.run(&mut sops.command(["decrypt", "--output-type", "json", name]))
            .stdout
    }

    /// Whether `text` means what `wanted` means, or what the document itself means: sops writes both as the same text
    /// when it reads them.
    fn same_meaning(&self, case: &Case, wanted: &[u8], text: &[u8]) -> bool {
        let written = self.written_by_sops(case, text);
        written.is_some()
            && [wanted, &case.plain]
                .iter()
                .any(|model| self.written_by_sops(case, model) == written)
    }

    /// The text as sops writes it, by way of encrypting and decrypting all of it.
    fn written_by_sops(&self, case: &Case, plain: &[u8]) -> Option<Vec<u8>> {
        let [sops, _] = self.sops;
        let name = format!("again-{}", case.name);
        self.dir.write(&name, plain);
        let recipient = &self.keys[0].recipient;
        let mut encrypt = sops.command([
            "--config",
            "/dev/null",
            "encrypt",
            "--age",
            recipient,
            // As above: what it leaves in clear it may write so that it reads something else.
            "--unencrypted-suffix=/",
            &name,
        ]);
        let encrypted = run(encrypt.current_dir(self.dir.path()));
        self.dir.write(&name, &encrypted.stdout);
        let decrypted = self.by_sops(sops, "decrypt", &name);
        (encrypted.code() == 0 && decrypted.code() == 0).then_some(decrypted.stdout)
    }

    fn by_sops(&self, sops: &Sops, command: &str, name: &str) -> Ran {
        self.run(&mut sops.command([command, name]))
    }

    fn ours(&self, command: &str, name: &str) -> Ran {
        self.run(&mut ctl([command, name]))
    }

    fn run(&self, command: &mut Command) -> Ran {
        run(command
            .current_dir(self.dir.path())
            .env("SOPS_AGE_KEY_FILE", &self.identities))
    }
}

struct Report {
    seen: Vec<&'static str>,
    wrong: Vec<String>,
}

impl Report {
    fn fail(&mut self, what: &str, runs: &[(&str, &Ran)]) {
        let mut text = format!("--- {what}");
        for (who, ran) in runs {
            let _ = write!(text, "\n>>> {who}: {ran}");
        }
        self.wrong.push(text);
    }
}
