//! `secretsctl check --fix`: shows what changes, and writes it.

use std::path::Path;

use policy::rules::is_private_key;
use serde_json::Value;

use super::{Context, report::json};
use crate::{
    check::{Finding, Fix, Line, plan, unified},
    error::{Error, Result},
    escape,
    files::{ReadLimit, read_any, write_output},
    limits::Limits,
    output::{Output, Style},
};

/// What was done.
pub(super) struct Done {
    /// `None` where there was nothing to repair.
    pub(super) fix: Option<Fix>,
    pub(super) diff: Vec<Line>,
}

/// Plans the repair of the rules in `file`, and writes it unless `is_dry`.
pub(super) fn run(file: &Path, limits: &Limits, is_dry: bool) -> Result<Done> {
    let with_file = |error: Error| error.with_file(file);
    if !file.metadata().is_ok_and(|status| status.is_file()) {
        let message = "only a regular file can be repaired";
        return Err(Error::new("cannot-reorder", message)
            .with_file(file)
            .with_hint("name the file with the rules"));
    }
    let content = read(file, limits)?;
    let Some(fix) = plan(&content, limits).map_err(with_file)? else {
        return Ok(Done {
            fix: None,
            diff: Vec::new(),
        });
    };
    let diff = unified(&fix.old, &fix.new);
    if !is_dry {
        if read(file, limits)? != content {
            let message = "the file changed while it was looked at; nothing was written";
            return Err(Error::new("file-changed", message)
                .with_file(file)
                .with_hint("try again"));
        }
        write_output(file, fix.new.as_bytes())?;
    }
    Ok(Done {
        fix: Some(fix),
        diff,
    })
}

fn read(file: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let limit = ReadLimit {
        name: "file-size",
        bytes: limits.file_size,
    };
    Ok(read_any(file, limit)?.expose().to_vec())
}

impl Done {
    /// What was repaired, and the change, in the JSON of the check.
    pub(super) fn add_to(&self, report: &mut Value, name: &Path) {
        let repaired = self.fix.iter().flat_map(|fix| &fix.repaired);
        let repaired = repaired.map(|found| Finding::about_rules(name, found.clone()));
        report["fixed"] = repaired.map(|found| json::finding(&found)).collect();
        report["diff"] = self.text(name).into();
    }

    /// The diff as one text, escaped as everything that is shown.
    pub(super) fn text(&self, name: &Path) -> String {
        let lines = self.lines(name).into_iter();
        lines.map(|(_, line)| line + "\n").collect()
    }

    /// The diff for people, and what was done with it.
    pub(super) fn print(&self, name: &Path, is_dry: bool, context: &mut Context) -> Result<()> {
        let output: &mut Output = &mut context.output;
        for (style, line) in self.lines(name) {
            let line = match style {
                Some(style) => output.styled(style, &line),
                None => line,
            };
            output.line(&line)?;
        }
        let shown = escape::path(name);
        let done = match &self.fix {
            None => format!(
                "nothing to fix: there is no finding that another order of the rules in {shown} repairs"
            ),
            Some(fix) => {
                let count = fix.repaired.len();
                match is_dry {
                    true => format!("--fix would repair {count} findings; nothing was written"),
                    false => format!("repaired {count} findings in {shown}"),
                }
            }
        };
        output.line(&done)?;
        output.line("")
    }

    fn lines(&self, name: &Path) -> Vec<(Option<Style>, String)> {
        if self.diff.is_empty() {
            return Vec::new();
        }
        let name = escape::path(name);
        let mut lines = vec![
            (Some(Style::Bold), format!("--- a/{name}")),
            (Some(Style::Bold), format!("+++ b/{name}")),
        ];
        for line in &self.diff {
            let text = match is_private_key(&line.text) {
                true => "(a line with a private key is not shown)".to_owned(),
                false => escape::text(&line.text).into_owned(),
            };
            lines.push(match line.mark {
                '@' => (Some(Style::Blue), text),
                '-' => (Some(Style::Red), format!("-{text}")),
                '+' => (Some(Style::Green), format!("+{text}")),
                mark => (None, format!("{mark}{text}")),
            });
        }
        lines
    }
}
