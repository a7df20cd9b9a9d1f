//! Do the rules say what was meant, and does every file obey them? No private key is needed.

pub(crate) mod codes;
mod copies;
mod diff;
mod files;
mod finding;
mod fix;
mod identities;
mod key_material;
mod plain;
mod scope;
mod staging;
mod suppress;
mod view;

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use policy::{
    order,
    pattern::text_as_go_sees_it,
    rules::{self, Rules, Severity},
};

use crate::{
    error::{Error, Result},
    repository::{LEDGER, RULES, WRONG_NAME},
};

pub(crate) use self::{
    diff::unified,
    fix::{Fix, plan},
};
pub(crate) use finding::Finding;
use scope::Scope;
use view::Files;
pub(crate) use view::{Request, View};

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
    /// The repository from the top of its Git work tree: what hosts of Git repositories call files by.
    pub(crate) place: PathBuf,
    /// What comments in the rules allow.
    pub(crate) allowed: Vec<Allowance>,
    /// Files that were looked at.
    pub(crate) files: usize,
    pub(crate) rules: usize,
}

/// What the rules say otherwise than it was meant, by themselves, but for what comments allow.
fn about_reading(rules: &Rules, name: &Path) -> Vec<Finding> {
    let found = rules.all().iter().flat_map(rules::Rule::findings);
    let mut findings: Vec<_> = found
        .chain(rules.findings())
        .map(|finding| Finding::about_rules(name, finding))
        .collect();
    suppress::suppress(&mut findings, rules, name, &Scope::of_rules());
    findings
}

/// Rules that mean what nobody wrote are not put into effect.
pub(crate) fn refuse_doubtful(rules: &Rules, file: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default();
    let findings = about_reading(rules, Path::new(name));
    let mut errors = findings.into_iter();
    let Some(first) = errors.find(|finding| finding.severity == Severity::Error) else {
        return Ok(());
    };
    let hint = format!(
        "correct the rules, or allow it beside the rule: # secretsctl: allow({}) reason",
        first.code
    );
    let message = format!("the rules may not mean what was meant: {}", first.message);
    Err(Error::new(first.code, message)
        .with_file(file)
        .with_position(first.position.into())
        .with_hint(hint))
}

/// A check where there is one thing to say about the file of the rules and nothing to compare with.
pub(crate) fn only(view: &View, finding: Finding) -> Report {
    let is_told = view.tells_of_rules();
    Report {
        findings: Some(finding).filter(|_| is_told).into_iter().collect(),
        place: view.place(),
        allowed: Vec::new(),
        files: 0,
        rules: 0,
    }
}

/// Checks what `view` shows against `rules`, whose text is `source`.
pub(crate) fn check(view: &View, rules: &Rules, source: &[u8]) -> Result<Report> {
    let name = view.name.as_path();
    let mut files = view.files(rules)?;
    let mut wrong: Vec<PathBuf> = Vec::new();
    let mut in_clear: Vec<PathBuf> = Vec::new();
    files.all.retain(|(file, _)| {
        let is_wrong = file.file_name().is_some_and(|name| name == WRONG_NAME);
        if is_wrong {
            wrong.push(file.clone());
        }
        let is_rules = file == name;
        let is_policy = is_wrong || file == Path::new(RULES) || file == Path::new(LEDGER);
        if is_policy && !is_rules {
            in_clear.push(file.clone());
        }
        !is_policy && !is_rules
    });
    let texts: Vec<_> = files
        .all
        .iter()
        .map(|(file, _)| text_as_go_sees_it(file.as_os_str().as_bytes()))
        .collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let scope = view.scope(&files.all, &texts, rules);

    let order = order::analyse(rules, &texts);
    let mut about_rules: Vec<_> = rules
        .all()
        .iter()
        .flat_map(rules::Rule::findings)
        .chain(rules.findings())
        .chain(order.findings)
        .collect();
    about_rules.sort_by_key(|finding| finding.position);
    let mut findings: Vec<_> = about_rules
        .into_iter()
        .map(|finding| Finding::about_rules(name, finding))
        .collect();
    findings.extend(private_key(source, name, &findings));
    if !scope.rules {
        findings.clear();
    }
    findings.extend(beside_files(view, &files, &wrong, &scope));
    in_clear.retain(|file| scope.has(file));
    findings.extend(files::keys(view, &in_clear));
    let catch_alls = &order.catch_alls;
    findings.extend(files::check(
        view, rules, catch_alls, &files, &texts, &scope,
    ));
    findings.extend(identities::check(&view.identities));
    let allowed = suppress::suppress(&mut findings, rules, name, &scope);
    let in_scope = files.all.iter().filter(|(file, _)| scope.has(file));
    Ok(Report {
        findings,
        place: view.place(),
        allowed,
        files: in_scope.count(),
        rules: rules.all().len(),
    })
}

/// What is not looked at, and why.
fn beside_files(view: &View, files: &Files, wrong: &[PathBuf], scope: &Scope) -> Vec<Finding> {
    let nested = files.nested.iter().filter(|path| scope.touches(path));
    let nested = nested.map(|directory| {
        let message = "this directory has a .sops.yaml of its own, and is not looked at";
        let hint = "run secretsctl check there";
        let file = directory.join(RULES);
        Finding::new("nested-rules", Severity::Note, &file, message, hint)
    });
    let wrong = wrong.iter().filter(|file| scope.has(file));
    let wrong = wrong.map(|file| wrong_name(file));
    let of = |file: &Path, error: &Error| {
        Finding::of("not-analysed", Severity::Note, file, error.clone())
    };
    let problems = files.problems.iter().filter_map(|error| {
        let file = error.file.as_deref().unwrap_or(Path::new(""));
        let file = file.strip_prefix(view.repository.root()).unwrap_or(file);
        scope
            .touches(file)
            .then(|| files::not_read(file, error.clone()))
    });
    let git = view
        .problem
        .iter()
        .map(|error| of(Path::new(".git"), error));
    nested.chain(wrong).chain(git).chain(problems).collect()
}

/// A private key anywhere in the rules, in a comment or beside them too, unless it is told already.
fn private_key(source: &[u8], name: &Path, told: &[Finding]) -> Option<Finding> {
    let code = "private-key-in-rules";
    let known = |line: usize| {
        let mut told = told.iter();
        told.any(|finding| finding.code == code && finding.position.line == line)
    };
    let (kind, position) = key_material::find(source).find(|(_, at)| !known(at.line))?;
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
