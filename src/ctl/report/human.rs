//! For people, as compilers do it.

use policy::rules::{Severity, is_private_key};

use super::json;
use crate::{
    check::{Finding, Report},
    error::Result,
    escape,
    output::{Output, Style, numbered},
};

/// Other places of a finding that are shown; the other formats have all.
const MOST_RELATED: usize = 8;

/// A whole check; `source` is the text of the rules.
pub(crate) fn print(report: &Report, source: &str, output: &mut Output) -> Result<()> {
    let is_quiet = output.is_quiet();
    for finding in &report.findings {
        if !is_quiet || finding.severity == Severity::Error {
            print_one(finding, source, output)?;
        }
    }
    if is_quiet {
        return Ok(());
    }
    let count = |severity| {
        let found = report.findings.iter();
        found.filter(|finding| finding.severity == severity).count()
    };
    let allowed = match report.allowed.len() {
        0 => String::new(),
        number => format!(", {number} allowed by comments"),
    };
    output.line(&format!(
        "{}, {}: {}, {}, {}{allowed}",
        numbered(report.files, "file"),
        numbered(report.rules, "rule"),
        numbered(count(Severity::Error), "error"),
        numbered(count(Severity::Warning), "warning"),
        numbered(count(Severity::Note), "note"),
    ))
}

fn print_one(finding: &Finding, source: &str, output: &mut Output) -> Result<()> {
    let (name, style) = severity(finding.severity);
    let file = escape::path(&finding.file);
    let label = output.styled(style, &format!("{name}[{}]", finding.code));
    output.line(&format!("{label}: {}", escape::text(&finding.message)))?;
    let arrow = output.styled(Style::Blue, "-->");
    output.line(&format!(
        "  {arrow} {file}:{}:{}",
        finding.position.line, finding.position.column
    ))?;
    let line = source.lines().nth(finding.position.line.saturating_sub(1));
    if let Some(line) = line.filter(|line| may_be_shown(finding, line)) {
        let before: String = line
            .chars()
            .take(finding.position.column.saturating_sub(1))
            .collect();
        // Escapes and tabs widen what stands before the caret.
        let indent = escape::text(&before).chars().count();
        let number = finding.position.line.to_string();
        let gap = " ".repeat(number.len());
        output.line(&format!("{number} | {}", escape::text(line)))?;
        let caret = output.styled(style, "^");
        output.line(&format!("{gap} | {}{caret}", " ".repeat(indent)))?;
    }
    if let Some(witness) = &finding.witness {
        output.line(&format!("  for example: {}", escape::text(witness)))?;
    }
    for related in finding.related.iter().take(MOST_RELATED) {
        output.line(&format!(
            "  {file}:{}: {}",
            related.position.line,
            escape::text(&related.message)
        ))?;
    }
    match finding.related.len().saturating_sub(MOST_RELATED) {
        0 => {}
        more => output.line(&format!("  and {more} more"))?,
    }
    if let Some(hint) = &finding.hint {
        let label = output.styled(Style::Bold, "hint:");
        output.line(&format!("  {label} {}", escape::text(hint)))?;
    }
    output.line("")
}

/// Only lines of the rules are shown: those of other files may be plaintext. A private key that was pasted into the rules
/// is not shown either.
fn may_be_shown(finding: &Finding, line: &str) -> bool {
    finding.is_about_rules && finding.code != "private-key-in-rules" && !is_private_key(line)
}

/// The name of a severity, and how it is painted.
pub(crate) fn severity(severity: Severity) -> (&'static str, Style) {
    let style = match severity {
        Severity::Error => Style::Red,
        Severity::Warning => Style::Yellow,
        Severity::Note => Style::Blue,
    };
    (json::severity(severity), style)
}
