//! `secretsctl check`: do the rules say what was meant, and does every file obey them?

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use policy::rules::Severity;

use super::{
    Context, fix,
    report::{github, human, json, sarif},
};
use crate::{
    check::{
        self, Finding, Report, Request, View,
        codes::{CODES, Code},
    },
    error::{Error, Result},
    identity::identity_files,
    limits::Limits,
    output::Outcome,
    repository::{self, find, no_rules, parse_rules, read_rules},
};

/// Prove the order of the rules and compare every file with its rule; needs no private key
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Tell about these files and directories only; the rules are always looked at whole
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Look at what is staged in Git, rules and files, and tell about what differs from HEAD
    #[arg(long, conflicts_with = "since")]
    staged: bool,

    /// Tell only about files that changed since REF and HEAD parted, or for which the rules did
    #[arg(long, value_name = "REF")]
    since: Option<String>,

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

    /// Put the rules in the order that repairs unreachable rules, in place; shows the change first
    #[arg(long, conflicts_with_all = ["staged", "since", "paths"])]
    fix: bool,

    /// With --fix: show the change, and write nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,
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
    let fixed = match &found.rules {
        Some(place) if args.fix => {
            let name = PathBuf::from(place.file.file_name().unwrap_or_default());
            match fix::run(&place.file, &limits) {
                Ok(done) => Some((done, place.file.clone(), name)),
                // Told as a finding, or in its own way, by the check that follows.
                Err(error)
                    if error.code != "cannot-reorder" && read_rules(place, &limits).is_err() =>
                {
                    None
                }
                Err(error) => return Err(error),
            }
        }
        _ => None,
    };
    if let Some((done, file, name)) = &fixed {
        let shows = format == Format::Human && !output.is_quiet();
        // Before it is written.
        match format {
            Format::Human if shows => done.print(output)?,
            Format::Github | Format::Sarif => output.aside(&done.diff.text()),
            Format::Human | Format::Json => {}
        }
        if !args.dry_run {
            done.write(file, &limits)?;
        }
        if shows {
            done.print_outcome(name, args.dry_run, output)?;
        }
    }
    let request = Request {
        paths: &args.paths,
        staged: args.staged,
        since: args.since.as_deref(),
        identities: identity_files(&context.global.identities, &|name| std::env::var_os(name)),
    };
    let (report, source) = match (&found.rules, found.wrong()) {
        (None, Some(place)) => {
            let name = Path::new(place.file.file_name().unwrap_or_default());
            let view = View::open(&place, request, limits)?;
            (check::only(&view, check::wrong_name(name)), String::new())
        }
        _ => look(&found.required()?, request, limits)?,
    };
    let output = &mut context.output;
    match format {
        Format::Json => {
            let mut value = json::report(&report);
            if let Some((done, _, name)) = &fixed {
                done.add_to(&mut value, name);
            }
            output.json(&value)?;
        }
        Format::Sarif => output.json(&sarif::log(&report))?,
        Format::Github => {
            for finding in &report.findings {
                output.line(&github::annotation(finding, &report.place))?;
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

/// The report, and the text of the rules to show their lines.
fn look(
    place: &repository::Rules,
    request: Request<'_>,
    limits: Limits,
) -> Result<(Report, String)> {
    let name = Path::new(place.file.file_name().unwrap_or_default());
    let view = View::open(place, request, limits)?;
    let source = view.rules()?;
    let report = match parse_rules(source.expose(), &limits) {
        Ok(rules) if rules.are_present() => check::check(&view, &rules, source.expose()),
        // Perhaps the key is misspelt: then the first finding says so.
        Ok(rules) => Err(
            match rules
                .findings()
                .into_iter()
                .find(|found| found.code == "unknown-key")
            {
                Some(found) => Error::new("no-rules", no_rules().message)
                    .with_file(&place.file)
                    .with_position(found.position.into())
                    .with_hint(found.hint.unwrap_or_default()),
                None => no_rules().with_file(&place.file),
            },
        ),
        // sops refuses the whole file, so there is nothing to compare with.
        Err(error) if error.code == "duplicate-key" => {
            Ok(check::only(&view, check::duplicate_key(name, error)))
        }
        Err(error) => Err(error.with_file(&place.file)),
    };
    let text = String::from_utf8_lossy(source.expose()).into_owned();
    Ok((report?, text))
}
