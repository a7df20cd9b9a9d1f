//! `secretsctl explain`: which creation rule a path gets, why not one before it, and what the rule says.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use policy::{
    pattern::text_as_go_sees_it,
    rules::{Finding, Rule, Rules},
};
use serde_json::{Map, Value, json};

use super::{
    Context,
    finding::{as_json, severity},
};
use crate::{
    check,
    error::{Error, Result},
    escape,
    limits::Limits,
    output::{Outcome, Output, Style, describe},
    repository::{self, find, matched_text, no_rules, read_rules},
};

/// Show which creation rule a path gets, and why not the ones before
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
            explained.print(&mut context.output)?;
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
    also_matches: Vec<usize>,
    key_groups: Vec<Vec<String>>,
    findings: Vec<Finding>,
    error: Option<Error>,
}

fn explain<'r>(
    rules: &'r Rules,
    place: &'r repository::Rules,
    path: &'r Path,
) -> Result<Explained<'r>> {
    let matched = matched_text(place, path)?;
    let matched = text_as_go_sees_it(matched.as_os_str().as_bytes()).into_owned();
    let mut explained = Explained {
        path,
        matched,
        file: place.file.file_name().unwrap_or_default(),
        rules,
        rule: None,
        also_matches: Vec::new(),
        key_groups: Vec::new(),
        findings: Vec::new(),
        error: None,
    };
    if let Err(error) = explained.select() {
        explained.error = Some(error.with_file(&place.file));
    }
    Ok(explained)
}

impl Explained<'_> {
    fn select(&mut self) -> Result<()> {
        if !self.rules.are_present() {
            return Err(no_rules());
        }
        let rule = self.rules.select(&self.matched)?.ok_or_else(|| {
            let message = format!("no creation rule matches {}", self.matched);
            Error::new("no-rule", message)
                .with_hint("add a rule for this path, or a last one without path_regex")
        })?;
        self.rule = Some(rule);
        self.also_matches = self.rules.also_matches(rule, &self.matched);
        self.findings = rule.findings();
        for group in rule.settings()?.key_groups {
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
        let rule = self.rule.map(|rule| {
            let pattern = rule.path_regex.as_ref().map(|pattern| &pattern.text);
            json!({"index": rule.index, "line": rule.position.line, "path_regex": pattern})
        });
        object.insert("rule".to_owned(), rule.into());
        object.insert("also_matches".to_owned(), self.also_matches.clone().into());
        object.insert("key_groups".to_owned(), self.key_groups.clone().into());
        let threshold = self.rule.and_then(|rule| rule.shamir_threshold);
        object.insert("shamir_threshold".to_owned(), threshold.into());
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

    fn print(&self, output: &mut Output) -> Result<()> {
        let path = escape::path(self.path);
        output.line(&output.styled(Style::Bold, &path))?;
        if self.matched.as_bytes() != self.path.as_os_str().as_bytes() {
            self.entry(output, "matched as", &escape::text(&self.matched))?;
        }
        if let Some(rule) = self.rule {
            self.entry(output, "rule", &self.named(rule))?;
        }
        let before = self.rule.map_or(self.rules.all().len(), |rule| rule.index);
        for rule in self.rules.all().iter().take(before) {
            if let Ok(false) = rule.matches(&self.matched) {
                self.entry(output, "no match", &self.named(rule))?;
            } else {
                break; // the one that does not compile; the error tells
            }
        }
        for rule in self
            .also_matches
            .iter()
            .filter_map(|&index| self.rules.all().get(index))
        {
            self.entry(output, "too late", &self.named(rule))?;
        }
        self.print_keys(output)?;
        for finding in self
            .findings
            .iter()
            .filter(|finding| !self.is_the_error(finding))
        {
            let (name, style) = severity(finding.severity);
            let place = format!(
                "{}:{}",
                escape::path(Path::new(self.file)),
                finding.position.line
            );
            let label = output.styled(style, name);
            output.line(&format!(
                "  {label} {}: {place}: {}",
                finding.code,
                escape::text(&finding.message)
            ))?;
        }
        if let Some(error) = &self.error {
            let label = output.styled(Style::Red, "error");
            let line = error.position.map(|position| {
                format!("{}:{}: ", escape::path(Path::new(self.file)), position.line)
            });
            output.line(&format!(
                "  {label} {}{}",
                line.unwrap_or_default(),
                escape::text(&error.message)
            ))?;
            if let Some(hint) = &error.hint {
                output.line(&format!(
                    "  {} {}",
                    output.styled(Style::Bold, "hint:"),
                    escape::text(hint)
                ))?;
            }
        }
        Ok(())
    }

    /// Whether the finding says what the error says.
    fn is_the_error(&self, finding: &Finding) -> bool {
        self.error
            .as_ref()
            .is_some_and(|error| error.message == finding.message)
    }

    fn print_keys(&self, output: &mut Output) -> Result<()> {
        let several = self.key_groups.len() > 1;
        for (number, group) in self.key_groups.iter().enumerate() {
            let label = if several {
                format!("group {}", number + 1)
            } else {
                "recipients".to_owned()
            };
            for (number, recipient) in group.iter().enumerate() {
                let label = if number == 0 { label.as_str() } else { "" };
                self.entry(output, label, &escape::text(recipient))?;
            }
            if group.is_empty() {
                self.entry(output, &label, "none")?;
            }
        }
        if several {
            let threshold = self
                .rule
                .and_then(|rule| rule.shamir_threshold)
                .filter(|&number| number != 0);
            let needed = threshold.map_or_else(|| "all".to_owned(), |number| number.to_string());
            self.entry(
                output,
                "needed",
                &format!("{needed} of {} groups", self.key_groups.len()),
            )?;
        }
        Ok(())
    }

    fn entry(&self, output: &mut Output, label: &str, text: &str) -> Result<()> {
        let label = output.styled(Style::Dim, &format!("{label:<10}"));
        output.line(&format!("  {label} {text}"))
    }

    /// `.sops.yaml:12: ^secrets/`
    fn named(&self, rule: &Rule) -> String {
        let pattern = match rule
            .path_regex
            .as_ref()
            .map(|pattern| pattern.text.as_str())
        {
            None | Some("") => "every path".into(),
            Some(pattern) => escape::text(pattern),
        };
        format!(
            "{}:{}: {pattern}",
            escape::path(Path::new(self.file)),
            rule.position.line
        )
    }
}
