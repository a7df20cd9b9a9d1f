//! Random documents that sops encrypted get or lose a value, beside `sops set` and `sops unset`. Both versions of sops
//! find the data that was meant; what was not changed keeps its text.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use super::{Bench, Case, Report, number, over_all};
use crate::{
    rules_differential::random::Random,
    support::{Ran, Sops, ctl, run},
};

/// Documents in a run of all tests.
const CASES: u64 = 200;

/// What is done to a document.
struct Change {
    path: Vec<Value>,
    /// Nothing takes the place away.
    value: Option<Value>,
    /// A single value takes the place of another.
    one_text: bool,
}

#[test]
fn changed_documents_beside_sops() {
    let Some(sops) = Sops::both() else { return };
    let (cases, first) = (
        number("SECRETSD_AUTHORING_CASES", CASES),
        number("SECRETSD_SEED", 1),
    );
    let counts = over_all(&sops, "changed", cases, first, |bench, seed| {
        bench.change_a_value(seed)
    });
    let of = |kind| counts.get(kind).copied().unwrap_or(0);
    assert!(of("refused") * 10 <= cases, "{counts:#?}");
    assert!(of("changed") * 3 >= cases, "{counts:#?}");
}

/// An editor that puts any other document in the place of the text.
#[test]
fn edited_documents_beside_sops() {
    let Some(sops) = Sops::both() else { return };
    let (cases, first) = (
        number("SECRETSD_AUTHORING_CASES", CASES),
        number("SECRETSD_SEED", 1),
    );
    let counts = over_all(&sops, "edited", cases, first, |bench, seed| {
        bench.edit_all(seed)
    });
    let of = |kind| counts.get(kind).copied().unwrap_or(0);
    assert!(of("refused") * 10 <= cases, "{counts:#?}");
    assert!(of("edited") * 2 >= cases, "{counts:#?}");
}

impl Bench<'_> {
    fn edit_all(&self, seed: u64) -> (Vec<&'static str>, Vec<String>) {
        let (case, other) = (self.generate(seed), self.generate(seed + 6));
        let mut report = Report {
            seen: Vec::new(),
            wrong: Vec::new(),
        };
        let maker = &self.sops[usize::try_from(seed / 6 % 2).unwrap()];
        let by_maker = |name: &str, plain: &[u8]| {
            self.dir.write(".sops.yaml", &case.rules);
            self.dir.write(case.name, plain);
            let encrypted = self.by_sops(maker, "encrypt", case.name);
            self.dir.write(name, &encrypted.stdout);
            encrypted.code() == 0 && self.by_sops(maker, "decrypt", name).code() == 0
        };
        let (name, model) = (
            format!("edit-{}", case.name),
            format!("model-{}", case.name),
        );
        let sound = by_maker(&name, &case.plain) && self.ours("decrypt", &name).code() == 0;
        if !sound || !by_maker(&model, &other.plain) {
            return (vec!["not a document of sops"], Vec::new());
        }
        let before = self.dir.read_bytes(&name);
        let text = self.dir.write("edited", &other.plain);
        let mut command = ctl(["edit", &name]);
        command.env("EDITOR", format!("cp '{}'", text.display()));
        let ours = self.run(&mut command);
        if ours.code() != 0 {
            match ours.stderr.contains("hint:") && self.dir.read_bytes(&name) == before {
                true => report.seen.push("refused"),
                false => report.fail("refused without a good reason", &[("we", &ours)]),
            }
            return (report.seen, describe(seed, &case, report.wrong));
        }
        report.seen.push("edited");
        for sops in self.sops {
            let (found, wanted) = match case.name {
                "case.bin" => {
                    let found = self.by_sops(sops, "decrypt", &name);
                    (Some(json!(found.stdout)), Some(json!(other.plain)))
                }
                _ => (self.found_by(sops, &name), self.found_by(sops, &model)),
            };
            let same = match (&found, &wanted) {
                (Some(found), Some(wanted)) => is_same(found, wanted),
                (_, None) => true,
                (None, Some(_)) => false,
            };
            // What sops leaves in clear in INI it may itself read as something else; where all is encrypted it cannot.
            let same = same
                || case.name == "case.ini"
                    && self.written_by_sops(&case, &other.plain).is_some()
                    && found == self.found_by(sops, "again-case.ini");
            if !same {
                let theirs = self.by_sops(sops, "decrypt", &name);
                report.fail("sops finds other data", &[("sops", &theirs)]);
                report.wrong.push(format!(
                    "edited:\n{}\nexpected {wanted:?}\nfound {found:?}\n{}",
                    String::from_utf8_lossy(&other.plain),
                    String::from_utf8_lossy(&self.dir.read_bytes(&name))
                ));
            }
        }
        (report.seen, describe(seed, &case, report.wrong))
    }

    fn change_a_value(&self, seed: u64) -> (Vec<&'static str>, Vec<String>) {
        let case = self.generate(seed);
        let mut report = Report {
            seen: Vec::new(),
            wrong: Vec::new(),
        };
        if case.name == "case.bin" {
            return (vec!["binary"], Vec::new());
        }
        self.dir.write(".sops.yaml", &case.rules);
        self.dir.write(case.name, &case.plain);
        let maker = &self.sops[usize::try_from(seed / 6 % 2).unwrap()];
        let encrypted = self.by_sops(maker, "encrypt", case.name);
        let name = format!("set-{}", case.name);
        self.dir.write(&name, &encrypted.stdout);
        let before = self.found_by(maker, &name);
        let (0, Some(before), 0) = (encrypted.code(), before, self.ours("decrypt", &name).code())
        else {
            return (vec!["not a document of sops"], Vec::new());
        };
        let random = &mut Random::seeded(seed ^ 0x5e7);
        let flat = case.name.ends_with("env") || case.name.ends_with("ini");
        let change = change(random, &before, case.name, flat);
        let repeated = case.name == "case.env" && has_repeated_keys(&case.plain);
        if let Some(change) = change.filter(|_| !repeated) {
            self.compare(
                &name,
                &encrypted.stdout,
                &before,
                &change,
                maker,
                &mut report,
            );
        }
        (report.seen, describe(seed, &case, report.wrong))
    }

    fn compare(
        &self,
        name: &str,
        encrypted: &[u8],
        before: &Value,
        change: &Change,
        maker: &Sops,
        report: &mut Report,
    ) {
        let expression = show(&change.path);
        let args = match &change.value {
            Some(value) => vec![
                "set".to_owned(),
                name.to_owned(),
                expression,
                value.to_string(),
            ],
            None => vec!["unset".to_owned(), name.to_owned(), expression],
        };
        let ours = self.run(&mut ctl(&args));
        let after = self.dir.read_bytes(name);
        if ours.code() != 0 {
            match ours.stderr.contains("hint:") && after == encrypted {
                true => report.seen.push("refused"),
                false => report.fail("refused without a good reason", &[("we", &ours)]),
            }
            return;
        }
        report.seen.push("changed");
        let mut expected = before.clone();
        apply(&mut expected, &change.path, change.value.as_ref());
        for sops in self.sops {
            // What a version could not read before is not ours to repair.
            let file = format!("as-it-was-{name}");
            self.dir.write(&file, encrypted);
            if self.found_by(sops, &file).is_none() {
                continue;
            }
            let found = self.found_by(sops, name);
            if !found
                .as_ref()
                .is_some_and(|found| is_same(found, &expected))
            {
                let theirs = self.by_sops(sops, "decrypt", name);
                report.fail("sops finds other data", &[("we", &ours), ("sops", &theirs)]);
                report.wrong.push(format!(
                    "expected {expected}\nfound {found:?}\n{}",
                    String::from_utf8_lossy(&after)
                ));
            }
        }
        self.counts_texts(encrypted, &after, before, change, &ours, report);
        self.beside_sops(name, encrypted, &args, &expected, maker, report);
    }

    /// Only the texts of what was changed are gone, and one value in the place of another is one line.
    fn counts_texts(
        &self,
        before: &[u8],
        after: &[u8],
        data: &Value,
        change: &Change,
        ours: &Ran,
        report: &mut Report,
    ) {
        let (old, new) = (texts(before), texts(after));
        let gone: usize = old
            .iter()
            .map(|(text, count)| count.saturating_sub(new.get(text).copied().unwrap_or(0)))
            .sum();
        let leaves = at(data, &change.path).map_or(0, leaves);
        let documents = String::from_utf8_lossy(before)
            .matches("mac: ENC")
            .count()
            .max(1);
        if change.one_text && gone > leaves + documents {
            report.fail("texts of other values are gone", &[("we", ours)]);
        }
        // What stays clear may take several lines.
        if change.one_text && gone > documents {
            let (old, new) = (lines(before), lines(after));
            let changed = old.iter().zip(&new).filter(|(old, new)| old != new).count();
            if old.len() != new.len() || changed > 1 + 2 * documents {
                report.fail("more lines change than must", &[("we", ours)]);
                report.wrong.push(format!(
                    "{}\n--- after\n{}",
                    String::from_utf8_lossy(before),
                    String::from_utf8_lossy(after)
                ));
            }
        }
    }

    /// sops itself comes to the same data.
    fn beside_sops(
        &self,
        name: &str,
        encrypted: &[u8],
        args: &[String],
        expected: &Value,
        maker: &Sops,
        report: &mut Report,
    ) {
        let theirs = format!("theirs-{name}");
        self.dir.write(&theirs, encrypted);
        let mut args = args.to_vec();
        args[1] = theirs.clone();
        let ran = self.run(&mut maker.command(&args));
        let found = self.found_by(maker, &theirs);
        report.seen.push(match (ran.code(), found) {
            (0, Some(found)) if is_same(&found, expected) => "as sops",
            (0, Some(_)) => "sops has other data",
            _ => "sops cannot",
        });
        let _ = fs::remove_file(self.dir.join(theirs));
    }

    fn found_by(&self, sops: &Sops, name: &str) -> Option<Value> {
        let mut command = sops.command(["decrypt", "--output-type", "json", name]);
        let ran = run(command
            .current_dir(self.dir.path())
            .env("SOPS_AGE_KEY_FILE", &self.identities));
        (ran.code() == 0)
            .then(|| serde_json::from_slice(&ran.stdout).ok())
            .flatten()
    }
}

fn describe(seed: u64, case: &Case, wrong: Vec<String>) -> Vec<String> {
    let plain = String::from_utf8_lossy(&case.plain);
    let one = |wrong| {
        format!(
            "=== seed {seed}, {}\n{}--- plaintext\n{plain}\n{wrong}",
            case.name, case.rules
        )
    };
    wrong.into_iter().map(one).collect()
}

fn change(random: &mut Random, data: &Value, name: &str, flat: bool) -> Option<Change> {
    let mut places = Vec::new();
    collect(data, &mut Vec::new(), &mut places);
    let depth = match (flat, name) {
        (false, _) => None,
        (true, "case.env") => Some(1),
        (true, _) => Some(2),
    };
    let fitting: Vec<_> = places
        .iter()
        .filter(|(path, _)| depth.is_none_or(|depth| path.len() == depth))
        .collect();
    let new = |random: &mut Random| match flat {
        true => json!(random.pick(&["v", "two words", "a=b", "é", "x;y", "#", "1"])),
        false => value(random, 2),
    };
    match random.below(5) {
        0 | 1 if !fitting.is_empty() => {
            let (path, old) = &fitting[random.below(fitting.len())];
            let value = new(random);
            let one_text = is_single(old) && is_single(&value) && !old.is_null() && **old != "";
            Some(Change {
                path: path.clone(),
                one_text: one_text && !value.is_null() && value != "",
                value: Some(value),
            })
        }
        2 if !fitting.is_empty() => {
            let (path, _) = &fitting[random.below(fitting.len())];
            Some(Change {
                path: path.clone(),
                value: None,
                one_text: false,
            })
        }
        3 if name != "case.env" => {
            let maps = |(_, value): &&(Vec<Value>, &Value)| value.is_object() || value.is_array();
            let containers: Vec<_> = places.iter().filter(maps).collect();
            let container =
                (!containers.is_empty()).then(|| containers[random.below(containers.len())])?;
            let mut path = container.0.clone();
            path.push(match container.1.as_array() {
                Some(list) => json!(list.len()),
                None => json!("new key"),
            });
            Some(Change {
                path,
                value: Some(new(random)),
                one_text: false,
            })
        }
        _ => {
            let path = match (name, flat) {
                ("case.env", _) => vec![json!("NEW")],
                (_, true) => vec![json!("new section"), json!("key")],
                _ => random
                    .pick(&[&["new"][..], &["new", "deep"]])
                    .iter()
                    .map(|step| json!(step))
                    .collect(),
            };
            Some(Change {
                path,
                value: Some(new(random)),
                one_text: false,
            })
        }
    }
}

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(10) {
        0 if depth > 0 => json!({"k": value(random, depth - 1), "yes": value(random, depth - 1)}),
        1 if depth > 0 => json!([value(random, depth - 1), value(random, depth - 1)]),
        2 => json!({}),
        3 => json!(7),
        4 => json!(2.5),
        5 => json!(true),
        6 => json!(random.pick(&["true", "1", "1:30", "2020-01-01", "~", "- x", "a: b", "<<"])),
        _ => json!(random.pick(&[
            "text",
            "two\nlines\n",
            " blank ",
            "\ttab",
            "é😀",
            "# x",
            "\\n"
        ])),
    }
}

fn collect<'v>(value: &'v Value, path: &mut Vec<Value>, places: &mut Vec<(Vec<Value>, &'v Value)>) {
    let children: Vec<(Value, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (json!(key), value)).collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(at, value)| (json!(at), value))
            .collect(),
        _ => Vec::new(),
    };
    for (step, child) in children {
        path.push(step);
        places.push((path.clone(), child));
        collect(child, path, places);
        path.pop();
    }
}

fn show(path: &[Value]) -> String {
    path.iter()
        .map(|step| match step {
            Value::String(key) => format!("[\"{key}\"]"),
            index => format!("[{index}]"),
        })
        .collect()
}

fn at<'v>(value: &'v Value, path: &[Value]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Value::String(key) => value.get(key),
        index => value.get(usize::try_from(index.as_u64()?).ok()?),
    })
}

fn apply(value: &mut Value, path: &[Value], new: Option<&Value>) {
    let (step, rest) = path.split_first().unwrap();
    if value.is_null() {
        *value = json!({});
    }
    match (value, step) {
        (Value::Object(map), Value::String(key)) => match (rest.is_empty(), new) {
            (true, Some(new)) => {
                map.insert(key.clone(), new.clone());
            }
            (true, None) => {
                map.shift_remove(key);
            }
            _ => apply(map.entry(key.clone()).or_insert(Value::Null), rest, new),
        },
        (Value::Array(list), step) => {
            let index = usize::try_from(step.as_u64().unwrap()).unwrap();
            match (rest.is_empty(), new) {
                (true, Some(new)) if index == list.len() => list.push(new.clone()),
                (true, Some(new)) => list[index] = new.clone(),
                (true, None) => {
                    list.remove(index);
                }
                _ => apply(&mut list[index], rest, new),
            }
        }
        (value, step) => panic!("{step} of {value}"),
    }
}

/// Numbers are what they count: sops makes floats of some.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((key, one), (of, other))| key == of && is_same(one, other))
        }
        _ => one == other,
    }
}

fn is_single(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.values().map(leaves).sum(),
        Value::Array(list) => list.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// The encrypted texts of values, with how often each is there. A comment that sops put where it cannot open it any more is
/// encrypted anew, for its place.
fn texts(file: &[u8]) -> BTreeMap<String, usize> {
    let file = String::from_utf8_lossy(file).into_owned();
    let mut found = BTreeMap::new();
    for part in file.split("ENC[AES256_GCM,").skip(1) {
        let text = part.split(']').next().unwrap_or_default();
        if !text.ends_with("type:comment") {
            *found.entry(text.to_owned()).or_default() += 1;
        }
    }
    found
}

/// Without comments, as with [`texts`].
fn lines(file: &[u8]) -> Vec<&[u8]> {
    let is_no_comment = |line: &&[u8]| !line.ends_with(b"type:comment]");
    file.split(|&byte| byte == b'\n')
        .filter(is_no_comment)
        .collect()
}

fn has_repeated_keys(dotenv: &[u8]) -> bool {
    let text = String::from_utf8_lossy(dotenv).into_owned();
    let mut keys: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key)
        .collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    keys.len() != all
}
