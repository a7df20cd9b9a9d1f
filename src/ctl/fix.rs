//! `secretsctl check --fix`: shows what changes, and writes it.

use std::path::Path;

use serde_json::Value;

use super::{diff::Diff, report::json};
use crate::{
    check::{Finding, Fix, plan},
    error::{Error, Result},
    escape,
    files::{ReadLimit, read_any, write_output},
    limits::Limits,
    output::{Output, numbered},
};

/// What is to be done, and then was.
pub(super) struct Done {
    /// `None` where there was nothing to repair.
    pub(super) fix: Option<Fix>,
    pub(super) diff: Diff,
    /// What the file holds.
    content: Vec<u8>,
}

/// Plans the repair of the rules in `file`; nothing is written.
pub(super) fn run(file: &Path, limits: &Limits) -> Result<Done> {
    let with_file = |error: Error| error.with_file(file);
    if !file.metadata().is_ok_and(|status| status.is_file()) {
        let message = "only a regular file can be repaired";
        return Err(Error::new("cannot-reorder", message)
            .with_file(file)
            .with_hint("name the file with the rules"));
    }
    let content = read(file, limits)?;
    let fix = plan(&content, limits).map_err(with_file)?;
    let name = Path::new(file.file_name().unwrap_or_default());
    let diff = fix.as_ref().map(|fix| Diff::new(name, &fix.old, &fix.new));
    Ok(Done {
        fix,
        diff: diff.unwrap_or_default(),
        content,
    })
}

fn read(file: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let limit = ReadLimit::of_file(limits.file_size);
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

    /// Writes the change, which was shown.
    pub(super) fn write(&self, file: &Path, limits: &Limits) -> Result<()> {
        let Some(fix) = &self.fix else {
            return Ok(());
        };
        if read(file, limits)? != self.content {
            let message = "the file changed while it was looked at; nothing was written";
            return Err(Error::new("file-changed", message)
                .with_file(file)
                .with_hint("try again"));
        }
        write_output(file, fix.new.as_bytes())
    }

    /// The diff for people.
    pub(super) fn print(&self, output: &mut Output) -> Result<()> {
        self.diff.print(output)?;
        output.flush()
    }

    /// What was done with the diff, for people.
    pub(super) fn print_outcome(
        &self,
        name: &Path,
        is_dry: bool,
        output: &mut Output,
    ) -> Result<()> {
        let shown = escape::path(name);
        let done = match &self.fix {
            None => format!(
                "nothing to fix: there is no finding that another order of the rules in {shown} repairs"
            ),
            Some(fix) => {
                let count = numbered(fix.repaired.len(), "finding");
                match is_dry {
                    true => format!("--fix would repair {count}; nothing was written"),
                    false => format!("repaired {count} in {shown}"),
                }
            }
        };
        output.line(&done)?;
        output.line("")
    }
}
