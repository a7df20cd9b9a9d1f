//! Which encrypted files of the repository the identities open.

use std::path::PathBuf;

use policy::names::Names;
use serde_json::json;

use crate::{
    ctl::Context,
    error::{Error, Result},
    escape,
    identity::{INTERRUPTED, Identities, Reach},
    limits::Limits,
    open::open_document,
    output::{Output, Style, numbered},
    repository::{Repository, find, parse_rules},
    sops::{document::Document, format::Format},
    survey::access::{File, survey},
};

/// What is said of the files.
pub(super) struct Files {
    opened: usize,
    closed: Vec<Closed>,
    /// Files and directories that could not be read.
    problems: Vec<Error>,
}

/// A file that does not open.
struct Closed {
    path: PathBuf,
    why: String,
}

/// Compares recipients, and with `open` opens each file. `None` where there is no repository.
pub(super) fn check(
    context: &Context,
    identities: &Identities,
    open: bool,
) -> Result<Option<Files>> {
    let limits = Limits::default();
    let Some(place) = find(context.global.config_file.as_deref())?.rules else {
        return Ok(None);
    };
    let in_file = |error: Error| error.with_file(&place.file);
    let rules = parse_rules(place.read(&limits)?.expose(), &limits).map_err(in_file)?;
    let repository = Repository::open(&place.root, limits)?;
    let survey = survey(&repository, &rules, &limits)?;
    let mut files = Files {
        opened: 0,
        closed: Vec::new(),
        problems: survey.problems,
    };
    for file in survey.files {
        let why = match open {
            true => opens(&repository, &file, identities, &limits)?,
            false => answers(&file, identities, rules.names()),
        };
        match why {
            None => files.opened += 1,
            Some(why) => files.closed.push(Closed {
                path: file.path,
                why,
            }),
        }
    }
    Ok(Some(files))
}

/// Why it does not open, as far as recipients tell.
fn answers(file: &File<'_>, identities: &Identities, names: &Names) -> Option<String> {
    let reaches = file.groups.groups.iter().map(|group| {
        let reaches = group.iter().map(|recipient| identities.reach(recipient));
        reaches.max().unwrap_or(Reach::No)
    });
    let reaches: Vec<Reach> = reaches.collect();
    let count = |least: Reach| reaches.iter().filter(|reach| **reach >= least).count();
    let needed = file.groups.needed;
    if count(Reach::Opens) >= needed {
        return None;
    }
    if count(Reach::Locked) >= needed {
        return Some("its identity cannot be used now".to_owned());
    }
    if count(Reach::Perhaps) >= needed {
        return Some(
            "perhaps with an identity that does not say whom it answers to: --open tries"
                .to_owned(),
        );
    }
    let all = file.groups.groups.iter().flatten();
    let all: Vec<String> = all.map(|recipient| names.short(recipient)).collect();
    Some(match needed {
        1 => format!("it is for {}", all.join(", ")),
        _ => format!(
            "{} of {needed} groups open; it is for {}",
            count(Reach::Opens),
            all.join(", ")
        ),
    })
}

/// Why it does not open, after it was tried.
fn opens(
    repository: &Repository,
    file: &File<'_>,
    identities: &Identities,
    limits: &Limits,
) -> Result<Option<String>> {
    identities.set_purpose(&file.path.to_string_lossy());
    let opened = repository.read(&file.path).and_then(|content| {
        let document = Document::parse(content, Format::from_path(&file.path), limits)?;
        open_document(&document, identities).map(drop)
    });
    match opened {
        Ok(()) => Ok(None),
        Err(error) if error.code == INTERRUPTED => Err(error),
        Err(error) => Ok(Some(error.message)),
    }
}

impl Files {
    /// Whether something does not open, or could not be looked at.
    pub(super) fn are_closed(&self) -> bool {
        !self.closed.is_empty() || !self.problems.is_empty()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let closed = self.closed.iter();
        let closed = closed
            .map(|closed| json!({ "path": closed.path.to_string_lossy(), "why": closed.why }));
        json!({ "opened": self.opened, "closed": closed.collect::<Vec<_>>() })
    }

    pub(super) fn show(&self, output: &mut Output) -> Result<()> {
        let all = self.opened + self.closed.len();
        let (text, style) = match self.closed.len() {
            0 => (
                format!("all of {} open", numbered(all, "file")),
                Style::Green,
            ),
            closed => (
                format!("{closed} of {} do not open", numbered(all, "file")),
                Style::Red,
            ),
        };
        let text = output.styled(style, &text);
        output.line(&text)?;
        for Closed { path, why } in &self.closed {
            output.line(&format!(
                "  {}  {}",
                escape::text(&path.to_string_lossy()),
                escape::text(why)
            ))?;
        }
        output.flush()?;
        for problem in &self.problems {
            output.error(problem);
        }
        Ok(())
    }
}
