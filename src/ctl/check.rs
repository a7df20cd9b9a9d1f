//! `secretsctl check`: do the rules say what was meant, and does every file obey them?

use std::path::Path;

use policy::rules::{Severity, is_private_key};
use serde_json::{Value, json};

use super::{
    Context,
    finding::{as_json as as_json_object, severity},
};
use crate::{
    check::{self, Finding, Report},
    error::Result,
    escape,
    limits::Limits,
    output::{Outcome, Output, Style},
    repository::{self, find, no_rules, read_rules},
};

/// Other places of a finding that people are shown; the other formats have all.
const MOST_RELATED: usize = 8;

/// Prove the order of the rules and compare every file with its rule; needs no private key
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How findings are written
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "human",
        hide_possible_values = true
    )]
    format: Format,

    /// Exit with 1 for findings of this kind, too
    #[arg(long, value_name = "KIND")]
    deny: Option<Deny>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// One JSON value, as with --json
    Json,
    /// Annotations of GitHub Actions
    Github,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Deny {
    /// Warnings
    Warnings,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let limits = Limits::default();
    let found = find(context.global.config_file.as_deref())?;
    let (report, source) = match (&found.rules, &found.wrong_name) {
        (None, Some(wrong)) => {
            let name = Path::new(wrong.file_name().unwrap_or_default());
            (Report::only(check::wrong_name(name)), String::new())
        }
        _ => {
            let place = found.required()?;
            (look(&place, limits)?, source(&place, &limits))
        }
    };
    let output = &mut context.output;
    match args.format {
        Format::Json => output.json(&as_json(&report))?,
        _ if output.is_json() => output.json(&as_json(&report))?,
        Format::Github => {
            for finding in &report.findings {
                output.line(&annotation(finding))?;
            }
        }
        Format::Human => print(&report, &source, output)?,
    }
    let counts = |finding: &Finding| match finding.severity {
        Severity::Error => true,
        Severity::Warning => args.deny == Some(Deny::Warnings),
        Severity::Note => false,
    };
    Ok(Outcome::findings_if(report.findings.iter().any(counts)))
}

fn look(place: &repository::Rules, limits: Limits) -> Result<Report> {
    let name = Path::new(place.file.file_name().unwrap_or_default());
    match read_rules(place, &limits) {
        Ok(rules) if rules.are_present() => check::check(&place.root, name, &rules, limits),
        Ok(_) => Err(no_rules().with_file(&place.file)),
        // sops refuses the whole file, so there is nothing to compare with.
        Err(error) if error.code == "duplicate-key" => {
            Ok(Report::only(check::duplicate_key(name, error)))
        }
        Err(error) => Err(error),
    }
}

/// The rules again, to show their lines; empty when they are gone.
fn source(place: &repository::Rules, limits: &Limits) -> String {
    place.read(limits).map_or_else(
        |_| String::new(),
        |content| String::from_utf8_lossy(content.expose()).into_owned(),
    )
}

fn as_json(report: &Report) -> Value {
    let findings: Vec<Value> = report.findings.iter().map(as_json_object).collect();
    json!({"findings": findings, "files": report.files, "rules": report.rules})
}

/// A workflow command of GitHub Actions. What could end a property or the line is percent-encoded, as its toolkit does.
fn annotation(finding: &Finding) -> String {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let kind = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut message = finding.message.clone();
    if let Some(witness) = &finding.witness {
        message.push_str(&format!(" (for example {witness})"));
    }
    if let Some(hint) = &finding.hint {
        message.push_str(&format!("; hint: {hint}"));
    }
    format!(
        "::{kind} file={},line={},col={},title={}::{}",
        property(&escape::path(&finding.file)),
        finding.position.line,
        finding.position.column,
        property(finding.code),
        data(&escape::text(&message)),
    )
}

fn print(report: &Report, source: &str, output: &mut Output) -> Result<()> {
    for finding in &report.findings {
        print_one(finding, source, output)?;
    }
    let count = |severity| {
        let found = report.findings.iter();
        found.filter(|finding| finding.severity == severity).count()
    };
    output.line(&format!(
        "{} files, {} rules: {} errors, {} warnings, {} notes",
        report.files,
        report.rules,
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
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
