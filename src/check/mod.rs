//! Do the rules say what was meant, and does every file obey them? No private key is needed.

pub(crate) mod codes;
mod diff;
mod files;
mod key_material;
mod suppress;

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use policy::{
    order,
    pattern::text_as_go_sees_it,
    rules::{self, Related, Rules, Severity},
};

use crate::{
    error::{Error, Position, Result},
    limits::Limits,
    repository::{RULES, Repository, WRONG_NAME},
};

pub(crate) use self::diff::unified;

/// The list of values that a removed recipient could read; names only, never encrypted.
const LEDGER: &str = ".sops-exposed.yaml";

/// One finding.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Stable, in kebab case.
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    /// Whether `file` is that of the rules.
    pub(crate) is_about_rules: bool,
    /// Relative to the repository.
    pub(crate) file: PathBuf,
    pub(crate) position: Position,
    /// A sentence without capital and period.
    pub(crate) message: String,
    /// A path that shows it.
    pub(crate) witness: Option<String>,
    /// Other places in the same file.
    pub(crate) related: Vec<Related>,
    /// The next step.
    pub(crate) hint: Option<String>,
}

impl Finding {
    fn new(
        code: &'static str,
        severity: Severity,
        file: &Path,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            is_about_rules: false,
            file: file.to_owned(),
            position: Position::START,
            message: message.into(),
            witness: None,
            related: Vec::new(),
            hint: Some(hint.into()),
        }
    }

    fn at(mut self, position: Position) -> Self {
        self.position = position;
        self
    }

    /// An error about a file that was met while looking at it.
    fn of(code: &'static str, severity: Severity, file: &Path, error: Error) -> Self {
        Self {
            code,
            severity,
            is_about_rules: false,
            file: file.to_owned(),
            position: error.position.unwrap_or(Position::START),
            message: error.message,
            witness: None,
            related: Vec::new(),
            hint: error.hint,
        }
    }

    /// A finding about the rules, which are in `file`.
    pub(crate) fn about_rules(file: &Path, found: rules::Finding) -> Self {
        Self {
            code: found.code,
            severity: found.severity,
            is_about_rules: true,
            file: file.to_owned(),
            position: Position {
                line: found.position.line,
                column: found.position.column,
            },
            message: found.message,
            witness: found.witness,
            related: found.related,
            hint: found.hint,
        }
    }
}

/// A finding that a comment in the rules allows.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) finding: Finding,
    /// Why, in the comment's words.
    pub(crate) reason: String,
}

/// What a check came to.
#[derive(Debug)]
pub(crate) struct Report {
    /// The rules first, then file by file.
    pub(crate) findings: Vec<Finding>,
    /// What comments in the rules allow.
    pub(crate) allowed: Vec<Allowance>,
    /// Files that were looked at.
    pub(crate) files: usize,
    pub(crate) rules: usize,
}

impl Report {
    /// There is one thing to say, and nothing to compare with.
    pub(crate) fn only(finding: Finding) -> Self {
        Self {
            findings: vec![finding],
            allowed: Vec::new(),
            files: 0,
            rules: 0,
        }
    }
}

/// What the rules say otherwise than it was meant, by themselves, but for what comments allow.
pub(crate) fn about_reading(rules: &Rules, name: &Path) -> Vec<Finding> {
    let found = rules.all().iter().flat_map(rules::Rule::findings);
    let mut findings: Vec<_> = found
        .chain(rules.findings())
        .map(|finding| Finding::about_rules(name, finding))
        .collect();
    suppress::suppress(&mut findings, rules, name, false);
    findings
}

/// Checks the repository at `root` against `rules`, which stand in the file `name` there.
pub(crate) fn check(root: &Path, name: &Path, rules: &Rules, limits: Limits) -> Result<Report> {
    let repository = Repository::open(root, limits)?;
    let mut walk = repository.walk()?;
    walk.files.sort();
    let mut findings = Vec::new();
    let (wrong, files): (Vec<_>, Vec<_>) = walk
        .files
        .into_iter()
        .filter(|file| file != name && file != Path::new(RULES) && file != Path::new(LEDGER))
        .partition(|file| file.file_name().is_some_and(|name| name == WRONG_NAME));
    let texts: Vec<_> = files
        .iter()
        .map(|file| text_as_go_sees_it(file.as_os_str().as_bytes()))
        .collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();

    let order = order::analyse(rules, &texts);
    let mut about_rules: Vec<_> = rules
        .all()
        .iter()
        .flat_map(rules::Rule::findings)
        .chain(rules.findings())
        .chain(order.findings)
        .collect();
    about_rules.sort_by_key(|finding| finding.position);
    findings.extend(
        about_rules
            .into_iter()
            .map(|finding| Finding::about_rules(name, finding)),
    );
    findings.extend(private_key(&repository, name, &findings));
    for directory in &walk.nested {
        let message = "this directory has a .sops.yaml of its own, and is not looked at";
        let hint = "run secretsctl check there";
        let file = directory.join(RULES);
        findings.push(Finding::new(
            "nested-rules",
            Severity::Note,
            &file,
            message,
            hint,
        ));
    }
    for file in &wrong {
        findings.push(wrong_name(file));
    }
    for error in walk.problems {
        let file = error.file.clone().unwrap_or_default();
        let file = file.strip_prefix(root).unwrap_or(&file).to_owned();
        findings.push(Finding::of("not-analysed", Severity::Note, &file, error));
    }
    findings.extend(files::check(
        &repository,
        rules,
        &order.catch_alls,
        &files,
        &texts,
    ));
    let allowed = suppress::suppress(&mut findings, rules, name, true);
    Ok(Report {
        findings,
        allowed,
        files: files.len(),
        rules: rules.all().len(),
    })
}

/// A private key anywhere in the rules, in a comment or beside them too, unless it is told already.
fn private_key(repository: &Repository, name: &Path, told: &[Finding]) -> Option<Finding> {
    let content = repository.read(name).ok()?;
    let (kind, position) = key_material::find(content.expose())?;
    let code = "private-key-in-rules";
    let known = |finding: &Finding| finding.code == code && finding.position.line == position.line;
    if told.iter().any(known) {
        return None;
    }
    let message = format!("{kind} lies in the rules");
    let hint = "take it out of the repository and its history, and replace the key";
    Some(Finding {
        is_about_rules: true,
        ..Finding::new(code, Severity::Error, name, message, hint).at(position)
    })
}

/// `.sops.yml`, with or without real rules elsewhere.
pub(crate) fn wrong_name(file: &Path) -> Finding {
    let message = "sops reads .sops.yaml only, so this file is not in force";
    let hint = "rename it to .sops.yaml";
    Finding::new("wrong-file-name", Severity::Error, file, message, hint)
}

/// Rules that set a key twice, as `error` says.
pub(crate) fn duplicate_key(file: &Path, error: Error) -> Finding {
    Finding {
        is_about_rules: true,
        ..Finding::of("duplicate-key", Severity::Error, file, error)
    }
}
