//! Files beside the rules that are selected for them.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use policy::{
    drift::Drift,
    names::Names,
    rules::{Rule, Rules, RulesError, Severity},
};

use super::{Finding, key_material, plain};
use crate::{
    error::Position,
    escape,
    limits::Limits,
    repository::Repository,
    secret::Secret,
    sops::{document::Document, format::Format, metadata::Entry},
    survey::{in_parallel, is_encrypted, state},
};

/// Values in clear that are told of one file.
const MOST_VALUES: usize = 10;
/// Recipients that a message lists before it only counts them.
const SHOWN: usize = 4;

/// Looks at every file, on all processors. `texts` are their paths as patterns see them; `catch_alls` the rules that match
/// every path.
pub(super) fn check(
    repository: &Repository,
    rules: &Rules,
    catch_alls: &[usize],
    files: &[PathBuf],
    texts: &[&str],
) -> Vec<Finding> {
    let both: Vec<_> = files.iter().zip(texts).collect();
    let looked = in_parallel(&both, |(file, text)| look(repository, rules, file, text));

    let mut findings = Vec::new();
    let mut plain = Vec::new();
    let mut with_encrypted = BTreeSet::new();
    let mut copies = Copies::default();
    for (file, looked) in files.iter().zip(looked) {
        findings.extend(looked.findings);
        match looked.kind {
            Kind::Encrypted(wraps) => {
                with_encrypted.insert(file.parent());
                findings.extend(copies.add(file, wraps));
            }
            Kind::Plain(rule) => plain.push((file, rule)),
            Kind::Other => {}
        }
    }
    for (file, rule) in plain {
        let structured = Format::from_path(file) != Format::Binary;
        let names_it = !catch_alls.contains(&rule.index);
        if names_it || structured && with_encrypted.contains(&file.parent()) {
            let message = format!(
                "the creation rule in line {} covers this file, and it is not encrypted",
                rule.position.line
            );
            let hint = "encrypt it with secretsctl encrypt --in-place, or narrow the rule";
            findings.push(Finding::new(
                "plaintext-file",
                Severity::Error,
                file,
                message,
                hint,
            ));
        }
    }
    findings.sort_by(|left, right| left.file.cmp(&right.file));
    findings
}

/// What one file is, by itself.
struct Looked<'r> {
    findings: Vec<Finding>,
    kind: Kind<'r>,
}

enum Kind<'r> {
    /// With its wrapped data keys.
    Encrypted(Vec<String>),
    /// And a rule covers it.
    Plain(&'r Rule),
    Other,
}

fn look<'r>(repository: &Repository, rules: &'r Rules, file: &Path, text: &str) -> Looked<'r> {
    let mut findings = Vec::new();
    let kind = match repository.read(file) {
        Ok(content) => {
            let rule = rules.select(text);
            about(file, content, rule, rules.names(), &mut findings)
        }
        Err(error) if error.code == "file-missing" => Kind::Other, // gone since the walk
        Err(error) => {
            findings.push(Finding::of("not-analysed", Severity::Note, file, error));
            Kind::Other
        }
    };
    Looked { findings, kind }
}

/// `rule` is what sops selects; a pattern that does not compile is a finding about the rules.
fn about<'r>(
    file: &Path,
    content: Secret,
    rule: Result<Option<&'r Rule>, RulesError>,
    names: &Names,
    findings: &mut Vec<Finding>,
) -> Kind<'r> {
    if is_encrypted(content.expose(), Format::from_path(file)) {
        if let Ok(None) = rule {
            let message = "the file is encrypted, and no creation rule matches it";
            let hint = "add a rule for it, or remove the file";
            findings.push(Finding::new(
                "no-rule",
                Severity::Error,
                file,
                message,
                hint,
            ));
        }
        let rule = rule.ok().flatten();
        return Kind::Encrypted(encrypted(file, content, rule, names, findings));
    }
    if let Some((kind, position)) = key_material::find(content.expose()) {
        let message = format!("{kind} lies here in clear");
        let hint = "take it out of the repository and its history, and replace the key";
        let code = "unencrypted-key-material";
        let finding = Finding::new(code, Severity::Error, file, message, hint);
        findings.push(finding.at(position));
    }
    match rule {
        Ok(Some(rule))
            if !content.is_empty()
                && plain::asks_for_encryption(content, Format::from_path(file), rule) =>
        {
            Kind::Plain(rule)
        }
        _ => Kind::Other,
    }
}

/// The file's wrapped data keys.
fn encrypted(
    file: &Path,
    content: Secret,
    rule: Option<&Rule>,
    names: &Names,
    findings: &mut Vec<Finding>,
) -> Vec<String> {
    if let Some(position) = conflict(content.expose()) {
        let message = "the file holds the marks of a merge conflict, so sops cannot read it";
        let hint =
            "take one side whole and make the other's change again with sops, so that the MAC fits";
        let finding = Finding::new("merge-conflict", Severity::Error, file, message, hint);
        findings.push(finding.at(position));
        return Vec::new();
    }
    match Document::parse(content, Format::from_path(file), &Limits::default()) {
        Ok(document) => {
            about_document(file, &document, rule, names, findings);
            let wrap = |entry: &Entry| match entry {
                Entry::Age { enc, .. } => Some(enc.trim().to_owned()),
                Entry::Other { .. } => None,
            };
            document.metadata().entries().filter_map(wrap).collect()
        }
        Err(error) => {
            findings.push(Finding::of("broken-metadata", Severity::Error, file, error));
            Vec::new()
        }
    }
}

/// Finds files that are copies of others.
#[derive(Default)]
struct Copies {
    /// A wrapped data key, and the first file that has it.
    wraps: HashMap<String, PathBuf>,
}

impl Copies {
    /// Every wrapping has randomness of its own, so equal texts come from a copied file.
    fn add(&mut self, file: &Path, wraps: Vec<String>) -> Option<Finding> {
        let mut other = None;
        for wrap in wraps {
            let first = self.wraps.entry(wrap).or_insert_with(|| file.to_owned());
            if first != file {
                other = Some(first.clone());
            }
        }
        let message = format!(
            "the file has the data key of {}: whoever can open one can open the other",
            escape::path(&other?)
        );
        let hint = "give it a data key of its own: sops rotate --in-place";
        let code = "duplicate-data-key";
        Some(Finding::new(code, Severity::Warning, file, message, hint))
    }
}

/// What can be said of an encrypted file without opening it.
fn about_document(
    file: &Path,
    document: &Document,
    rule: Option<&Rule>,
    names: &Names,
    findings: &mut Vec<Finding>,
) {
    let metadata = document.metadata();
    if metadata.mac.is_empty() {
        let message = "the file has no MAC, so nothing says that its values belong together";
        let hint = "restore it from its history, or make the change again with sops";
        findings.push(Finding::new(
            "mac-missing",
            Severity::Error,
            file,
            message,
            hint,
        ));
    }
    if is_outdated(&metadata.version) {
        let message = format!(
            "the file was written by sops {}, older than 3.9",
            escape::text(&metadata.version)
        );
        let hint = "any change with a newer sops brings it up to date";
        let code = "outdated-sops-version";
        findings.push(Finding::new(code, Severity::Note, file, message, hint));
    }
    findings.extend(plain::in_spite_of_sops(file, document));
    match document.values_in_clear(MOST_VALUES) {
        Ok(positions) => {
            for position in positions {
                let message = "this value should be encrypted, and stands in clear";
                let hint =
                    "encrypt it with sops set or edit, and give it a new value if it was pushed";
                let finding = Finding::new("plaintext-value", Severity::Error, file, message, hint);
                findings.push(finding.at(position));
            }
        }
        Err(error) => findings.push(Finding::of("broken-metadata", Severity::Error, file, error)),
    }
    // Settings that sops refuses are a finding about the rule.
    if let Some(Ok(settings)) = rule.map(Rule::settings) {
        let drift = Drift::between(&settings, &state(document));
        if !drift.is_none() {
            let hint = "bring the file in step with its rule: sops updatekeys, and sops rotate where somebody loses access";
            findings.push(Finding::new(
                "drift",
                Severity::Error,
                file,
                describe(&drift, names),
                hint,
            ));
        }
    }
}

/// Older than what is still tested against. A version that is none says nothing.
fn is_outdated(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < (3, 9),
        _ => false,
    }
}

/// Where a mark of a merge conflict stands.
fn conflict(content: &[u8]) -> Option<Position> {
    let mut start = 0;
    for line in content.split(|&byte| byte == b'\n') {
        if line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> ") {
            return Some(Position::of(content, start));
        }
        start += line.len() + 1;
    }
    None
}

fn describe(drift: &Drift, names: &Names) -> String {
    let mut parts = Vec::new();
    if !drift.gaining.is_empty() {
        parts.push(format!(
            "would gain access: {}",
            list(&drift.gaining, names)
        ));
    }
    if !drift.losing.is_empty() {
        parts.push(format!("would lose access: {}", list(&drift.losing, names)));
    }
    for (is, what) in [
        (drift.groups, "the key groups differ"),
        (drift.threshold, "another number of key groups is needed"),
        (drift.selection, "the settings of what is encrypted differ"),
    ] {
        if is {
            parts.push(what.to_owned());
        }
    }
    format!("the file does not obey its rule: {}", parts.join("; "))
}

fn list(recipients: &[String], names: &Names) -> String {
    let shown = recipients.iter().take(SHOWN);
    let shown: Vec<_> = shown.map(|recipient| names.label(recipient)).collect();
    match recipients.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
