//! `secretsctl explain`: which creation rule a path gets, why not one before it, what the rule says, and what that means
//! for the file.

mod human;
mod rekey;

use std::{
    ffi::OsStr,
    ops::Range,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use policy::{
    pattern::{Failure, text_as_go_sees_it},
    rules::{Finding, Rule, Rules},
};
use serde_json::{Map, Value, json};

use super::{Context, access::as_map, report::json::finding as as_json};
use crate::{
    check,
    error::{Error, Result},
    limits::Limits,
    output::{Outcome, describe},
    repository::{self, find, matched_text, no_rules, read_rules},
};
use rekey::Rekey;

/// Show which creation rule a path gets, why not the ones before, and what a re-key would change
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Paths of files; they need not exist
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let found = find(context.global.config_file.as_deref())?;
    if let (Some(wrong), Some(_)) = (&found.wrong_name, &found.rules) {
        let message = "sops reads .sops.yaml only, so this file is not in force";
        let warning = Error::new("wrong-file-name", message).with_file(wrong);
        context.output.warning(&warning);
    }
    let place = found.required()?;
    let rules = read_rules(&place, &Limits::default())?;
    let mut failed = false;
    for (number, path) in args.paths.iter().enumerate() {
        let explained = explain(&rules, &place, path)?;
        failed |= explained.error.is_some();
        if context.output.is_json() {
            context.output.json(&explained.json())?;
        } else {
            if number > 0 {
                context.output.line("")?;
            }
            explained.print(context.global.verbose, &mut context.output)?;
        }
    }
    Ok(Outcome::findings_if(failed))
}

/// What is known of one path.
struct Explained<'r> {
    path: &'r Path,
    /// As the patterns see it.
    matched: String,
    /// The file of the rules, relative to the repository.
    file: &'r OsStr,
    rules: &'r Rules,
    rule: Option<&'r Rule>,
    /// The part of `matched` that the pattern of the selected rule matches, in bytes.
    matched_part: Option<Range<usize>>,
    /// The rules that were tried before, and why they do not match.
    before: Vec<(&'r Rule, Failure)>,
    also_matches: Vec<usize>,
    key_groups: Vec<Vec<String>>,
    findings: Vec<Finding>,
    /// What the rule means for the file; nothing where it cannot be used.
    rekey: Option<Rekey>,
    error: Option<Error>,
}

fn explain<'r>(
    rules: &'r Rules,
    place: &'r repository::Rules,
    path: &'r Path,
) -> Result<Explained<'r>> {
    let place_in_repository = matched_text(place, path)?;
    let matched = text_as_go_sees_it(place_in_repository.as_os_str().as_bytes()).into_owned();
    let mut explained = Explained {
        path,
        matched,
        file: place.file.file_name().unwrap_or_default(),
        rules,
        rule: None,
        matched_part: None,
        before: Vec::new(),
        also_matches: Vec::new(),
        key_groups: Vec::new(),
        findings: Vec::new(),
        rekey: None,
        error: None,
    };
    if let Err(error) = explained.select(place, &place_in_repository) {
        explained.error = Some(error.with_file(&place.file));
    }
    Ok(explained)
}

impl Explained<'_> {
    fn select(&mut self, place: &repository::Rules, file: &Path) -> Result<()> {
        if !self.rules.are_present() {
            return Err(no_rules());
        }
        for rule in self.rules.all() {
            let Some(pattern) = rule.pattern()? else {
                self.rule = Some(rule);
                break;
            };
            match pattern.failure(&self.matched) {
                Some(failure) => self.before.push((rule, failure)),
                None => {
                    self.rule = Some(rule);
                    self.matched_part = pattern.find(&self.matched);
                    break;
                }
            }
        }
        let rule = self.rule.ok_or_else(|| {
            let message = format!("no creation rule matches {}", self.matched);
            Error::new("no-rule", message)
                .with_hint("add a rule for this path, or a last one without path_regex")
        })?;
        self.also_matches = self.rules.also_matches(rule, &self.matched);
        self.findings = rule.findings();
        let settings = rule.settings()?;
        self.rekey = Some(Rekey::find(&settings, place, file));
        for group in settings.key_groups {
            self.key_groups
                .push(group.into_iter().map(|recipient| recipient.text).collect());
        }
        // Without a key sops still builds one group, which holds nothing.
        if !rule.has_groups() && self.key_groups.iter().all(Vec::is_empty) {
            self.key_groups.clear();
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        let bytes = self.path.as_os_str().as_bytes();
        object.insert("path".to_owned(), text_as_go_sees_it(bytes).into());
        if self.path.to_str().is_none() {
            object.insert("path_base64".to_owned(), STANDARD.encode(bytes).into());
        }
        object.insert("matched_text".to_owned(), self.matched.as_str().into());
        object.insert("rule".to_owned(), self.rule.map(rule_as_json).into());
        let part = self.matched_part.as_ref();
        let part = part.map(|part| span_as_json(&self.matched, part));
        object.insert("matched_part".to_owned(), part.into());
        let before = self.before.iter().map(|(rule, failure)| {
            let mut object = rule_as_json(rule);
            let pattern = rule.path_regex.as_ref().map(|pattern| &pattern.text);
            let part = pattern.zip(failure.part.as_ref());
            let failed_at = part.map(|(pattern, part)| span_as_json(pattern, part));
            if let Value::Object(object) = &mut object {
                object.insert("failed_at".to_owned(), failed_at.into());
                object.insert("reason".to_owned(), failure.reason.as_str().into());
            }
            object
        });
        object.insert("rules_before".to_owned(), before.collect());
        object.insert("also_matches".to_owned(), self.also_matches.clone().into());
        object.insert("key_groups".to_owned(), self.key_groups.clone().into());
        let threshold = self.rule.and_then(|rule| rule.shamir_threshold);
        object.insert("shamir_threshold".to_owned(), threshold.into());
        let texts = self.key_groups.iter().flatten();
        let texts = texts.chain(self.rekey.iter().flat_map(Rekey::recipients));
        let names = as_map(texts.map(String::as_str), self.rules.names());
        object.insert("names".to_owned(), names);
        let rekey = self.rekey.as_ref().map(Rekey::as_json);
        object.insert("rekey".to_owned(), rekey.into());
        let findings: Vec<_> = self
            .findings
            .iter()
            .map(|finding| {
                let file = Path::new(self.file);
                as_json(&check::Finding::about_rules(file, finding.clone()))
            })
            .collect();
        object.insert("findings".to_owned(), findings.into());
        if let Some(error) = &self.error {
            object.insert("error".to_owned(), describe(error));
        }
        object.into()
    }
}

fn rule_as_json(rule: &Rule) -> Value {
    let pattern = rule.path_regex.as_ref().map(|pattern| &pattern.text);
    json!({"index": rule.index, "line": rule.position.line, "path_regex": pattern})
}

/// A part of `text`; the places count characters.
fn span_as_json(text: &str, bytes: &Range<usize>) -> Value {
    let before = text.get(..bytes.start).unwrap_or_default();
    let part = text.get(bytes.clone()).unwrap_or_default();
    let start = before.chars().count();
    json!({"start": start, "end": start + part.chars().count(), "text": part})
}
