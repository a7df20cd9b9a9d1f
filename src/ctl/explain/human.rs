//! What people read.

use std::path::Path;

use policy::{
    pattern::Failure,
    rules::{Finding, Rule},
};

use super::{super::report::human::severity, Explained, Rekey};
use crate::{
    error::Result,
    escape,
    output::{Output, Style},
};

/// Rules before the selected one that are shown without -v: those that came closest.
const MOST_BEFORE: usize = 10;

impl Explained<'_> {
    /// `all`: every rule that was tried before.
    pub(super) fn print(&self, all: bool, output: &mut Output) -> Result<()> {
        let path = escape::path(self.path);
        output.line(&output.styled(Style::Bold, &path))?;
        if self.matched.as_bytes() != self.path.as_os_str().as_encoded_bytes() {
            entry(output, "matched as", &escape::text(&self.matched))?;
        }
        if let Some(rule) = self.rule {
            entry(output, "rule", &self.named(rule))?;
        }
        if let Some(part) = &self.matched_part
            && *part != (0..self.matched.len())
        {
            let part = self.matched.get(part.clone()).unwrap_or_default();
            let part = match escape::text(part) {
                empty if empty.is_empty() => "the empty text".into(),
                part => part,
            };
            entry(output, "matches", &part)?;
        }
        self.print_before(all, output)?;
        for &index in &self.also_matches {
            if let Some(rule) = self.rules.all().get(index) {
                entry(output, "too late", &self.named(rule))?;
            }
        }
        self.print_keys(output)?;
        self.print_rekey(output)?;
        self.print_findings(output)
    }

    /// Each rule before the selected one with the part of its pattern that failed.
    fn print_before(&self, all: bool, output: &mut Output) -> Result<()> {
        let mut shown: Vec<&(&Rule, Failure)> = self.before.iter().collect();
        if !all && shown.len() > MOST_BEFORE {
            shown.retain(|(_, failure)| !failure.matched.is_empty());
            shown.sort_by_key(|(_, failure)| std::cmp::Reverse(failure.matched.len()));
            shown.truncate(MOST_BEFORE);
            shown.sort_by_key(|(rule, _)| rule.index);
        }
        for (rule, failure) in &shown {
            entry(output, "no match", &self.named(rule))?;
            let reason = escape::text(&failure.reason);
            let pattern = rule.path_regex.as_ref().map(|pattern| &pattern.text);
            let line = match pattern.zip(failure.part.as_ref()) {
                Some((pattern, part)) => {
                    let width =
                        |text: Option<&str>| escape::text(text.unwrap_or_default()).chars().count();
                    let before =
                        self.place(rule).chars().count() + width(pattern.get(..part.start));
                    let carets = "^".repeat(width(pattern.get(part.clone())).max(1));
                    let carets = output.styled(Style::Red, &carets);
                    format!("{}{carets} {reason}", " ".repeat(before))
                }
                None => reason.into_owned(),
            };
            entry(output, "", &line)?;
        }
        let more = self.before.len() - shown.len();
        match shown.len() {
            _ if more == 0 => Ok(()),
            0 => {
                let text = format!("{more} rules before it (-v shows all)");
                entry(output, "no match", &text)
            }
            _ => {
                let text = format!("and {more} more before it (-v shows all)");
                entry(output, "no match", &text)
            }
        }
    }

    fn print_keys(&self, output: &mut Output) -> Result<()> {
        let several = self.key_groups.len() > 1;
        for (number, group) in self.key_groups.iter().enumerate() {
            let label = if several {
                format!("group {}", number + 1)
            } else {
                "recipients".to_owned()
            };
            self.print_recipients(&label, "", group, output)?;
            if group.is_empty() {
                entry(output, &label, "none")?;
            }
        }
        if several {
            let threshold = self
                .rule
                .and_then(|rule| rule.shamir_threshold)
                .filter(|&number| number != 0);
            let needed = threshold.map_or_else(|| "all".to_owned(), |number| number.to_string());
            let groups = self.key_groups.len();
            entry(output, "needed", &format!("{needed} of {groups} groups"))?;
        }
        Ok(())
    }

    /// One in each line: its name, where one of them has any, and the key.
    fn print_recipients(
        &self,
        label: &str,
        mark: &str,
        recipients: &[String],
        output: &mut Output,
    ) -> Result<()> {
        let name = |recipient| {
            let name = self.rules.names().name_of(recipient).unwrap_or_default();
            escape::text(name).into_owned()
        };
        let names: Vec<_> = recipients.iter().map(|recipient| name(recipient)).collect();
        let widths = names.iter().map(|name| name.chars().count());
        let width = widths.max().unwrap_or(0);
        let gap = if width > 0 { "  " } else { "" };
        for (number, (recipient, name)) in recipients.iter().zip(&names).enumerate() {
            let label = if number == 0 { label } else { "" };
            let key = escape::text(recipient);
            entry(output, label, &format!("{mark}{name:width$}{gap}{key}"))?;
        }
        Ok(())
    }

    fn print_rekey(&self, output: &mut Output) -> Result<()> {
        let drift = match &self.rekey {
            None => return Ok(()),
            Some(Rekey::Obeys) => {
                return entry(output, "re-key", "no change: the file obeys the rule");
            }
            Some(Rekey::NotEncrypted) => {
                return entry(output, "re-key", "the file is not encrypted");
            }
            Some(Rekey::Missing) => return entry(output, "re-key", "there is no such file"),
            Some(Rekey::Unreadable(error)) => {
                let text = format!("cannot tell: {}", escape::text(&error.message));
                return entry(output, "re-key", &text);
            }
            Some(Rekey::Differs(drift)) => drift,
        };
        let add = output.styled(Style::Green, "+ ");
        let remove = output.styled(Style::Red, "- ");
        let mut label = "re-key";
        for (mark, recipients) in [(add, &drift.gaining), (remove, &drift.losing)] {
            self.print_recipients(label, &mark, recipients, output)?;
            if !recipients.is_empty() {
                label = "";
            }
        }
        for (is, what) in [
            (drift.groups, "the key groups change"),
            (drift.threshold, "another number of key groups is needed"),
            (drift.selection, "the settings of what is encrypted change"),
        ] {
            if is {
                entry(output, label, what)?;
                label = "";
            }
        }
        Ok(())
    }

    fn print_findings(&self, output: &mut Output) -> Result<()> {
        let findings = self.findings.iter();
        for finding in findings.filter(|finding| !self.is_the_error(finding)) {
            let (name, style) = severity(finding.severity);
            let label = output.styled(style, name);
            output.line(&format!(
                "  {label} {}: {}:{}: {}",
                finding.code,
                self.file_name(),
                finding.position.line,
                escape::text(&finding.message)
            ))?;
        }
        let Some(error) = &self.error else {
            return Ok(());
        };
        let label = output.styled(Style::Red, "error");
        let line = error
            .position
            .map(|position| format!("{}:{}: ", self.file_name(), position.line));
        output.line(&format!(
            "  {label} {}{}",
            line.unwrap_or_default(),
            escape::text(&error.message)
        ))?;
        let Some(hint) = &error.hint else {
            return Ok(());
        };
        let label = output.styled(Style::Bold, "hint:");
        output.line(&format!("  {label} {}", escape::text(hint)))
    }

    /// Whether the finding says what the error says.
    fn is_the_error(&self, finding: &Finding) -> bool {
        self.error
            .as_ref()
            .is_some_and(|error| error.message == finding.message)
    }

    fn file_name(&self) -> String {
        escape::path(Path::new(self.file))
    }

    /// `.sops.yaml:12: ^secrets/`
    fn named(&self, rule: &Rule) -> String {
        let pattern = match rule.path_regex.as_ref().map(|pattern| &*pattern.text) {
            None | Some("") => "every path".into(),
            Some(pattern) => escape::text(pattern),
        };
        format!("{}{pattern}", self.place(rule))
    }

    /// `.sops.yaml:12: `
    fn place(&self, rule: &Rule) -> String {
        format!("{}:{}: ", self.file_name(), rule.position.line)
    }
}

fn entry(output: &mut Output, label: &str, text: &str) -> Result<()> {
    let label = output.styled(Style::Dim, &format!("{label:<10}"));
    output.line(&format!("  {label} {text}"))
}
