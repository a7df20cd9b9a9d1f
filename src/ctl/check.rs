//! `secretsctl check`: do the rules say what was meant, and does every file obey them?

use std::path::Path;

use clap::builder::PossibleValuesParser;
use policy::rules::Severity;

use super::{
    Context,
    report::{github, human, json, sarif},
};
use crate::{
    check::{
        self, Finding, Report,
        codes::{CODES, Code},
    },
    error::{Error, Result},
    files::{ReadLimit, read_any},
    limits::Limits,
    output::Outcome,
    repository::{self, find, no_rules, read_rules},
};

/// Prove the order of the rules and compare every file with its rule; needs no private key
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How findings are written: human, json (as with --json), sarif (2.1.0) or github (annotations of its Actions)
    /// [default: human]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    format: Option<Format>,

    /// Exit with 1 for findings of this kind, too
    #[arg(long, value_name = "KIND")]
    deny: Option<Deny>,

    /// Print what a finding means, why it matters and how to repair it, and check nothing
    #[arg(
        long,
        value_name = "CODE",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(CODES.iter().map(|code| code.name))
    )]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// One JSON value, as with --json
    Json,
    /// SARIF 2.1.0
    Sarif,
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
    let output = &mut context.output;
    if let Some(code) = args.explain.as_deref().and_then(Code::of) {
        if output.is_json() {
            output.json(&serde_json::json!({"code": code.name, "page": code.page}))?;
        } else {
            output.verbatim(code.page.as_bytes())?;
        }
        return Ok(Outcome::Fine);
    }
    let format = match (args.format, output.is_json()) {
        (None, false) => Format::Human,
        (None | Some(Format::Human), true) => Format::Json,
        (Some(Format::Github), true) => {
            let message = "--json and --format github exclude each other";
            return Err(Error::new("usage", message).with_hint("leave one of them out"));
        }
        (Some(format), _) => format,
    };
    let limits = Limits::default();
    let found = find(context.global.config_file.as_deref())?;
    let (report, source) = match (&found.rules, &found.wrong_name) {
        (None, Some(wrong)) => {
            let name = Path::new(wrong.file_name().unwrap_or_default());
            (Report::only(check::wrong_name(name)), String::new())
        }
        _ => {
            let place = found.required()?;
            (look(&place, limits)?, source(&place.file, &limits))
        }
    };
    match format {
        Format::Json => output.json(&json::report(&report))?,
        Format::Sarif => output.json(&sarif::log(&report))?,
        Format::Github => {
            for finding in &report.findings {
                output.line(&github::annotation(finding))?;
            }
        }
        Format::Human => human::print(&report, &source, output)?,
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
    match read_rules(&place.file, &limits) {
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
fn source(file: &Path, limits: &Limits) -> String {
    let limit = ReadLimit {
        name: "file-size",
        bytes: limits.file_size,
    };
    read_any(file, limit).map_or_else(
        |_| String::new(),
        |content| String::from_utf8_lossy(content.expose()).into_owned(),
    )
}
