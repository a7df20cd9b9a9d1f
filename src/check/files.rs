//! Files beside the rules that are selected for them.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use memchr::memmem;
use policy::{
    drift::Drift,
    names::Names,
    rules::{Rule, Rules, Settings, Severity},
};

use super::{
    Finding,
    copies::{Copies, Tracer, Traces},
    key_material, plain,
    scope::Scope,
    view::{Files, Reader, Standing, View},
};
use crate::{
    error::{Error, Position},
    escape,
    limits::Limits,
    secret::Secret,
    sops::{document::Document, format::Format, is_encrypted},
    survey::{in_parallel, state},
};

/// Values in clear that are told of one file.
const MOST_VALUES: usize = 10;
/// Recipients that a message lists before it only counts them.
const SHOWN: usize = 4;

/// Looks at every file, on all processors, and tells what lies in `scope`. `texts` are the paths as patterns see them;
/// `catch_alls` the rules that match every path.
pub(super) fn check(
    view: &View,
    rules: &Rules,
    catch_alls: &[usize],
    files: &Files,
    texts: &[&str],
    scope: &Scope,
) -> Vec<Finding> {
    let against = Against::new(rules);
    let looked = in_parallel(files.all.len(), || {
        let reader = view.reader();
        let against = &against;
        move |at| {
            let (Some((file, standing)), Some(text)) = (files.all.get(at), texts.get(at)) else {
                return Looked::default();
            };
            look(&reader, against, (file, *standing), text)
        }
    });

    let mut findings = ignored(view, &files.ignored);
    let mut plain = Vec::new();
    let mut with_encrypted = HashSet::new();
    let traces = looked.iter().filter_map(|looked| match &looked.kind {
        Kind::Encrypted(traces) => Some(traces),
        _ => None,
    });
    let mut copies = Copies::with_room_for(traces);
    for ((file, standing), looked) in files.all.iter().zip(looked) {
        findings.extend(looked.findings);
        match looked.kind {
            Kind::Encrypted(traces) => {
                with_encrypted.insert(file.parent());
                copies.add(file, &traces);
            }
            Kind::Plain(rule, severity) => plain.push((file, *standing, rule, severity)),
            Kind::Other => {}
        }
    }
    for (file, standing, rule, severity) in plain {
        let structured = Format::from_path(file) != Format::Binary;
        let names_it = !catch_alls.contains(&rule.index);
        if names_it || structured && with_encrypted.contains(&file.parent()) {
            let line = rule.position.line;
            let (message, hint) = match severity {
                Severity::Note => (
                    format!(
                        "the creation rule in line {line} covers this manifest, which is no Secret and not encrypted"
                    ),
                    "nothing is to be done if there is no secret in it; else encrypt it with secretsctl encrypt --in-place",
                ),
                _ => (
                    format!(
                        "the creation rule in line {line} covers this file, and it is not encrypted"
                    ),
                    "encrypt it with secretsctl encrypt --in-place, or narrow the rule",
                ),
            };
            let code = "plaintext-file";
            findings.push(Finding::new(code, severity, file, message, hint));
            if standing == Standing::Untracked && severity == Severity::Error {
                findings.push(untracked(file, "encrypt it, then git add it"));
            }
        }
    }
    findings.retain(|finding| scope.has(&finding.file));
    findings.extend(copies.findings(&against.tracer, &view.reader(), &|file| scope.has(file)));
    findings.retain(|finding| scope.has(&finding.file));
    findings.sort_by(|left, right| left.file.cmp(&right.file));
    findings
}

/// Of the files that Git ignores, those that are encrypted.
fn ignored(view: &View, files: &[PathBuf]) -> Vec<Finding> {
    let reader = view.reader();
    let is_encrypted = |file: &Path| {
        let content = reader.read(file);
        content.is_ok_and(|content| is_encrypted(content.expose(), Format::from_path(file)))
    };
    let encrypted = files.iter().filter(|file| is_encrypted(file));
    let finding = |file: &PathBuf| {
        let message = "the file is encrypted, and Git ignores it: no clone and no flake has it";
        let hint = "git add --force, or take the pattern out of .gitignore; git check-ignore --verbose names it";
        Finding::new("ignored-file", Severity::Warning, file, message, hint)
    };
    encrypted.map(finding).collect()
}

fn untracked(file: &Path, hint: &str) -> Finding {
    let message = "Git does not track the file: no clone and no flake has it";
    Finding::new("untracked-file", Severity::Warning, file, message, hint)
}

/// What one file is, by itself.
#[derive(Default)]
struct Looked<'r> {
    findings: Vec<Finding>,
    kind: Kind<'r>,
}

#[derive(Default)]
enum Kind<'r> {
    /// With what would show in a copy.
    Encrypted(Traces),
    /// A rule covers it, and it is so bad.
    Plain(&'r Rule, Severity),
    #[default]
    Other,
}

/// What files are compared with.
struct Against<'r> {
    rules: &'r Rules,
    /// By the number of the rule; `None` where sops refuses them, which is a finding about the rule.
    settings: Vec<Option<Settings>>,
    tracer: Tracer,
}

impl<'r> Against<'r> {
    fn new(rules: &'r Rules) -> Self {
        let settings = rules.all().iter().map(|rule| rule.settings().ok());
        Self {
            rules,
            settings: settings.collect(),
            tracer: Tracer::default(),
        }
    }
}

fn look<'r>(
    reader: &Reader<'_>,
    against: &Against<'r>,
    (file, standing): (&Path, Standing),
    text: &str,
) -> Looked<'r> {
    let mut findings = Vec::new();
    let kind = match reader.read(file) {
        Ok(content) => about(file, content, against, text, &mut findings),
        Err(error) if error.code == "file-missing" => Kind::Other, // gone since the walk
        Err(error) => {
            findings.push(not_read(file, error));
            Kind::Other
        }
    };
    if standing == Standing::Untracked && matches!(kind, Kind::Encrypted(_)) {
        findings.push(untracked(file, "git add it"));
    }
    Looked { findings, kind }
}

/// A file or directory that was passed over. One that belongs to the repository and that we may not read, or that the disk
/// or Git does not give out, may hold anything: that is an error, as in every command that skips files.
pub(super) fn not_read(file: &Path, error: Error) -> Finding {
    let (severity, hint) = match error.code {
        "file-denied" | "file-unreadable" | "git" => (
            Severity::Error,
            Some("make it readable for the user that runs this"),
        ),
        _ => (Severity::Note, None),
    };
    let error = match hint {
        Some(hint) if error.hint.is_none() => error.with_hint(hint),
        _ => error,
    };
    Finding::of("not-analysed", severity, file, error)
}

/// A pattern that does not compile is a finding about the rules.
fn about<'r>(
    file: &Path,
    content: Secret,
    against: &Against<'r>,
    text: &str,
    findings: &mut Vec<Finding>,
) -> Kind<'r> {
    let rule = against.rules.select(text);
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
        let settings = rule.and_then(|rule| against.settings.get(rule.index)?.as_ref());
        let traces = encrypted(file, content, settings, against, findings);
        return Kind::Encrypted(traces);
    }
    findings.extend(key_material::finding(file, content.expose()));
    let Ok(Some(rule)) = rule else {
        return Kind::Other;
    };
    if content.is_empty() || is_for_git(file) {
        return Kind::Other;
    }
    match plain::severity(content, Format::from_path(file), rule) {
        Some(severity) => Kind::Plain(rule, severity),
        None => Kind::Other,
    }
}

/// Private keys in files that are in clear whatever the rules say.
pub(super) fn keys(view: &View, files: &[PathBuf]) -> Vec<Finding> {
    let reader = view.reader();
    let look = |file: &PathBuf| match reader.read(file) {
        Ok(content) => key_material::finding(file, content.expose()),
        Err(error) if error.code == "file-missing" => None, // gone since the walk
        Err(error) => Some(not_read(file, error)),
    };
    files.iter().filter_map(look).collect()
}

/// Git has to read it as it is, whatever rule covers it.
fn is_for_git(file: &Path) -> bool {
    let names = [".gitignore", ".gitattributes", ".gitmodules"];
    file.file_name()
        .is_some_and(|file| names.iter().any(|name| file == *name))
}

/// What would show in a copy of the file.
fn encrypted(
    file: &Path,
    content: Secret,
    settings: Option<&Settings>,
    against: &Against<'_>,
    findings: &mut Vec<Finding>,
) -> Traces {
    if let Some(position) = conflict(content.expose()) {
        let message = "the file holds the marks of a merge conflict, so sops cannot read it";
        let hint =
            "take one side whole and make the other's change again with sops, so that the MAC fits";
        let finding = Finding::new("merge-conflict", Severity::Error, file, message, hint);
        findings.push(finding.at(position));
        return Traces::default();
    }
    match Document::parse(content, Format::from_path(file), &Limits::default()) {
        Ok(document) => {
            about_document(file, &document, settings, against.rules.names(), findings);
            against.tracer.traces(&document)
        }
        Err(error) => {
            findings.push(Finding::of("broken-metadata", Severity::Error, file, error));
            Traces::default()
        }
    }
}

/// What can be said of an encrypted file without opening it.
fn about_document(
    file: &Path,
    document: &Document,
    settings: Option<&Settings>,
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
    if let Some(settings) = settings {
        let drift = Drift::between(settings, &state(document));
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
    let starts = |mark| memmem::find_iter(content, mark);
    let at = starts("<<<<<<< ").chain(starts(">>>>>>> "));
    let is_line_start = |at: &usize| *at == 0 || content.get(at - 1) == Some(&b'\n');
    let first = at.filter(is_line_start).min()?;
    Some(Position::of(content, first))
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
