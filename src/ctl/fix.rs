//! `secretsctl check --fix`: shows what changes, and writes it.

use std::path::Path;

use serde_json::Value;

use super::{Context, diff::Diff, report::json};
use crate::{
    check::{Finding, Fix, plan},
    error::{Error, Result},
    escape,
    files::{ReadLimit, read_any, write_output},
    limits::Limits,
    output::Output,
};

/// What was done.
pub(super) struct Done {
    /// `None` where there was nothing to repair.
    pub(super) fix: Option<Fix>,
    pub(super) diff: Diff,
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
            diff: Diff::default(),
        });
    };
    let name = Path::new(file.file_name().unwrap_or_default());
    let diff = Diff::new(name, &fix.old, &fix.new);
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
        report["diff"] = self.diff.text().into();
    }

    /// The diff for people, and what was done with it.
    pub(super) fn print(&self, name: &Path, is_dry: bool, context: &mut Context) -> Result<()> {
        let output: &mut Output = &mut context.output;
        self.diff.print(output)?;
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
}
