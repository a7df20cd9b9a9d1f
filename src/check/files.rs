//! Files beside the rules that are selected for them.

use std::{
    collections::HashSet,
    num::NonZero,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, available_parallelism},
};

use memchr::memmem;
use policy::{
    drift::{Drift, FileState},
    rules::{KeyKind, Rule, Rules, Selection, Settings, Severity},
};

use super::{
    Finding,
    copies::{Copies, Tracer, Traces},
    key_material,
    scope::Scope,
    view::{Files, Reader, Standing, View},
};
use crate::{
    error::Position,
    escape,
    limits::Limits,
    secret::Secret,
    sops::{document::Document, format::Format, metadata::Entry},
};

/// Values in clear that are told of one file.
const MOST_VALUES: usize = 10;
/// Recipients that a message lists before it only counts them.
const SHOWN: usize = 4;

/// Files that a thread takes at once.
const STRETCH: usize = 32;

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
    let mut copies = Copies::default();
    for ((file, standing), looked) in files.all.iter().zip(looked) {
        findings.extend(looked.findings);
        match looked.kind {
            Kind::Encrypted(traces) => {
                with_encrypted.insert(file.parent());
                copies.add(file, &traces);
            }
            Kind::Plain(rule) => plain.push((file, *standing, rule)),
            Kind::Other => {}
        }
    }
    for (file, standing, rule) in plain {
        let structured = Format::from_path(file) != Format::Binary;
        let names_it = !catch_alls.contains(&rule.index);
        if names_it || structured && with_encrypted.contains(&file.parent()) {
            let line = rule.position.line;
            let message = format!(
                "the creation rule in line {line} covers this file, and it is not encrypted"
            );
            let hint = "encrypt it with secretsctl encrypt --in-place, or narrow the rule";
            let code = "plaintext-file";
            findings.push(Finding::new(code, Severity::Error, file, message, hint));
            if standing == Standing::Untracked {
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

/// What each of `0..count` comes to, in this order. Every thread makes a function of its own with `start`, and takes the
/// next few when it has none left: files differ much in size.
fn in_parallel<T: Send, F: FnMut(usize) -> T>(
    count: usize,
    start: impl Fn() -> F + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut each = start();
        let mut done = Vec::new();
        loop {
            let from = next.fetch_add(STRETCH, Ordering::Relaxed);
            if from >= count {
                return done;
            }
            let stretch = from..count.min(from + STRETCH);
            done.extend(stretch.map(|at| (at, each(at))));
        }
    };
    let threads = available_parallelism().map_or(1, NonZero::get);
    let helpers = threads.min(count.div_ceil(STRETCH)).saturating_sub(1);
    let mut done = thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for helper in helpers {
            let result = helper.join();
            done.extend(result.unwrap_or_else(|cause| std::panic::resume_unwind(cause)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, looked)| looked).collect()
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

/// Whether sops wrote the file, be it damaged since. In a file without structure the metadata must be there, too: it may
/// be a text about sops.
fn is_encrypted(content: &[u8], format: Format) -> bool {
    let holds = |text: &[u8]| memmem::find(content, text).is_some();
    holds(b"ENC[AES256_GCM,data:")
        && (format != Format::Binary || holds(b"\"sops\"") && holds(b"lastmodified"))
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
    /// And a rule covers it.
    Plain(&'r Rule),
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
            findings.push(Finding::of("not-analysed", Severity::Note, file, error));
            Kind::Other
        }
    };
    if standing == Standing::Untracked && matches!(kind, Kind::Encrypted(_)) {
        findings.push(untracked(file, "git add it"));
    }
    Looked { findings, kind }
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
        let traces = encrypted(file, content, settings, &against.tracer, findings);
        return Kind::Encrypted(traces);
    }
    if let Some((kind, position)) = key_material::find(content.expose()) {
        let message = format!("{kind} lies here in clear");
        let hint = "take it out of the repository and its history, and replace the key";
        let code = "unencrypted-key-material";
        let finding = Finding::new(code, Severity::Error, file, message, hint);
        findings.push(finding.at(position));
    }
    match rule {
        Ok(Some(rule)) if !content.is_empty() && !is_for_git(file) => Kind::Plain(rule),
        _ => Kind::Other,
    }
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
    tracer: &Tracer,
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
            about_document(file, &document, settings, findings);
            tracer.traces(&document)
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
                describe(&drift),
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

fn state(document: &Document) -> FileState {
    let metadata = document.metadata();
    let group = |group: &Vec<Entry>| {
        let entry = |entry: &Entry| match entry {
            Entry::Age { recipient, .. } => (KeyKind::Age, recipient.trim().to_owned()),
            Entry::Other { kind, id } => (kind_of(kind), id.clone()),
        };
        group.iter().map(entry).collect()
    };
    let selection = &metadata.selection;
    let kind = Selection::ALL
        .into_iter()
        .find(|kind| kind.key() == selection.kind().name());
    FileState {
        key_groups: metadata.groups.iter().map(group).collect(),
        shamir_threshold: metadata.threshold,
        selection: kind
            .filter(|_| document.format() != Format::Binary)
            .map(|kind| (kind, selection.text().to_owned())),
        mac_only_encrypted: metadata.mac_only_encrypted,
    }
}

fn kind_of(list: &str) -> KeyKind {
    match list {
        "pgp" => KeyKind::Pgp,
        "kms" => KeyKind::Kms,
        "gcp_kms" => KeyKind::GcpKms,
        "hckms" => KeyKind::HuaweiKms,
        "azure_kv" => KeyKind::AzureKeyVault,
        _ => KeyKind::HcVault,
    }
}

fn describe(drift: &Drift) -> String {
    let mut parts = Vec::new();
    if !drift.gaining.is_empty() {
        parts.push(format!("would gain access: {}", list(&drift.gaining)));
    }
    if !drift.losing.is_empty() {
        parts.push(format!("would lose access: {}", list(&drift.losing)));
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

fn list(recipients: &[String]) -> String {
    let shown: Vec<_> = recipients.iter().take(SHOWN).cloned().collect();
    match recipients.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
