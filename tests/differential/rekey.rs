//! Random documents that sops encrypted get a recipient and lose one. Both versions of sops open the results as they
//! opened the document before, and the removed key does not.

use std::fs;

use super::{Bench, Report, number, over_all};
use crate::support::{AgeKey, Ran, Sops, ctl, run};

/// Documents in a run of all tests.
const CASES: u64 = 200;

#[test]
fn rekeyed_documents_beside_sops() {
    let Some(sops) = Sops::both() else { return };
    let (cases, first) = (
        number("SECRETSD_REKEY_CASES", CASES),
        number("SECRETSD_SEED", 1),
    );
    over_all(&sops, "re-keyed", cases, first, |bench, seed| {
        bench.rekey(seed)
    });
}

impl Bench<'_> {
    fn rekey(&self, seed: u64) -> (Vec<&'static str>, Vec<String>) {
        let case = self.generate(seed);
        let added = &AgeKey::generate(&self.dir, "added");
        let mut report = Report {
            seen: Vec::new(),
            wrong: Vec::new(),
        };
        let name = format!("rekey/{}", case.name);
        let _ = fs::remove_dir_all(self.dir.join("rekey"));
        self.dir.write(".sops.yaml", &case.rules);
        self.dir.write(case.name, &case.plain);
        let maker = &self.sops[usize::try_from(seed / 6 % 2).unwrap()];
        let encrypted = self.by_sops(maker, "encrypt", case.name);
        if encrypted.code() != 0 {
            return (vec!["sops refuses to encrypt"], Vec::new());
        }
        self.dir.write(&name, &encrypted.stdout);
        let before = self.opened_by_both(&name);
        if before.iter().all(|ran| ran.code() != 0) {
            return (vec!["no sops opens it"], Vec::new());
        }
        let one = &self.keys[0].recipient;
        let both = format!("{one},{}", added.recipient);
        let more = case.rules.replace(one.as_str(), &both);
        self.change(&name, &more, added, &before, &mut report);
        let without = more.replace(&both, &added.recipient);
        let previous = self.dir.read_bytes(&name);
        if report.wrong.is_empty()
            && report.seen.last() == Some(&"re-keyed")
            && self.change(&name, &without, added, &before, &mut report)
        {
            let now = self.dir.read_bytes(&name);
            self.is_closed_to_the_removed(&name, &previous, &now, &mut report);
        }
        let _ = fs::remove_file(self.dir.join(".sops.yaml"));
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

    /// Re-keys the document for `rules`, and has both versions of sops open the result.
    fn change(
        &self,
        name: &str,
        rules: &str,
        added: &AgeKey,
        before: &[Ran; 2],
        report: &mut Report,
    ) -> bool {
        self.dir.write("rekey/.sops.yaml", rules);
        let mut command = ctl(["rekey", "--yes", "-i"]);
        command
            .arg(&self.identities)
            .arg("-i")
            .arg(&added.file)
            .env("XDG_STATE_HOME", self.dir.join("state"))
            .current_dir(self.dir.join("rekey"));
        let ran = run(&mut command);
        if ran.code() != 0 {
            // What no sops could have written stays as it is, with a reason.
            match ran.stderr.contains("hint:") {
                true if ran.stderr.contains("MAC") => report.seen.push("blocked: MAC"),
                _ => report.fail("not re-keyed", &[("we", &ran)]),
            }
            return false;
        }
        report.seen.push("re-keyed");
        let after = self.opened_by_both(name);
        for (before, after) in before.iter().zip(&after) {
            if before.code() == 0 && (after.code() != 0 || !is_as_before(before, after)) {
                let text = self.dir.read_bytes(name);
                let text = String::from_utf8_lossy(&text).into_owned();
                report.fail(
                    "sops opens it otherwise",
                    &[("before", before), ("after", after)],
                );
                report.wrong.push(text);
            }
        }
        let again = run(&mut command);
        if !again.text().contains("1 file obey") {
            report.fail("it does not obey after that", &[("we", &again)]);
        }
        true
    }

    fn is_closed_to_the_removed(&self, name: &str, before: &[u8], now: &[u8], report: &mut Report) {
        let [sops, _] = self.sops;
        let removed = &self.keys[0];
        let mut only = sops.command(["decrypt", name]);
        let ran = run(only
            .current_dir(self.dir.path())
            .env("SOPS_AGE_KEY_FILE", &removed.file));
        if ran.code() == 0 {
            report.fail("the removed key opens it", &[("sops", &ran)]);
        }
        // No encrypted text stays, and no wrapped key; but for comments that sops has moved to where it does not open them
        // itself, and shows as they are.
        let as_it_was = format!("as-it-was-{name}");
        let as_it_was = as_it_was.replace('/', "-");
        self.dir.write(&as_it_was, before);
        let by_sops = self.by_sops(sops, "decrypt", &as_it_was);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (before, now) = (without_lost_comments(&text(before)), text(now));
        let mut texts = before.split("iv:").skip(1);
        let kept = texts.find(|rest| {
            let nonce = rest.split(',').next().unwrap_or_default();
            nonce.len() > 20 && now.contains(nonce) && !by_sops.text().contains(nonce)
        });
        if let Some(kept) = kept {
            report
                .wrong
                .push(format!("--- a text was kept: {kept:.60}"));
        }
    }

    fn opened_by_both(&self, name: &str) -> [Ran; 2] {
        self.sops.each_ref().map(|sops| {
            let mut command = sops.command(["decrypt", name]);
            let all = format!(
                "{}\n{}",
                self.dir.read("all.txt"),
                fs::read_to_string(self.dir.join("added.txt")).unwrap_or_default()
            );
            run(command
                .current_dir(self.dir.path())
                .env("SOPS_AGE_KEY", all))
        })
    }
}

/// The same text. Comments that sops put where it could not open them any more come back with their own.
fn is_as_before(before: &Ran, after: &Ran) -> bool {
    let lossy = |ran: &Ran| String::from_utf8_lossy(&ran.stdout).into_owned();
    let (before, after) = (lossy(before), lossy(after));
    let same = |(before, after): (&str, &str)| {
        before == after
            || before.trim_start().starts_with("#ENC[") && after.trim_start().starts_with('#')
    };
    before.lines().count() == after.lines().count() && before.lines().zip(after.lines()).all(same)
}

/// sops writes the comment of an empty mapping into its braces and never finds it again: nothing opens it, and nobody
/// writes it anew.
fn without_lost_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut in_braces = false;
    for line in text.lines() {
        if !(in_braces && line.trim_start().starts_with("#ENC[")) {
            kept.push_str(line);
            kept.push('\n');
            in_braces = line.ends_with('{');
        }
    }
    kept
}
