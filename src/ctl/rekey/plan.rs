//! What a re-key does, shown to people and to machines.

use std::collections::BTreeMap;

use policy::names::{Names, shortened};
use serde_json::{Map, Value, json};

use super::openers;
use crate::{
    error::Result,
    escape,
    identity::Identities,
    output::{Output, Style, describe, numbered},
    rekey::{
        NewlyExposed, Prepared,
        survey::{Action, File},
    },
};

/// Files of one group that are shown before they are only counted.
const SHOWN: usize = 10;

pub(super) struct Report<'r> {
    pub(super) files: &'r [File<'r>],
    /// A blocked file stops the others.
    pub(super) is_refused: bool,
    pub(super) names: &'r Names,
    /// Of who is not in the rules any more.
    pub(super) old_names: Option<&'r Names>,
    /// What it is a part of, in JSON.
    pub(super) shown: &'r dyn Fn(Value, bool) -> Value,
}

/// What a dry run can say about values: those of files that somebody loses.
pub(super) fn would_be_exposed(files: &[File<'_>], prepared: &Prepared) -> Vec<NewlyExposed> {
    prepared.would_expose(files)
}

impl Report<'_> {
    /// The result.
    pub(super) fn print(
        &self,
        exposed: &[NewlyExposed],
        identities: &Identities,
        is_done: bool,
        output: &mut Output,
    ) -> Result<()> {
        if output.is_json() {
            return output.json(&(self.shown)(self.as_json(exposed), is_done));
        }
        self.plan(identities, output)?;
        for file in exposed {
            let who: Vec<_> = file
                .recipients
                .iter()
                .map(|text| self.label(text))
                .collect();
            let head = output.styled(Style::Yellow, "could be read by");
            output.line(&format!(
                "{}: {} {head} {}",
                escape::text(&file.path),
                numbered(file.keys.len(), "value"),
                who.join(", ")
            ))?;
        }
        if !exposed.is_empty() {
            output.line("Give these values new contents at their source; `secretsctl exposed` lists what is left.")?;
        }
        Ok(())
    }

    /// The files, by what happens to them and why.
    pub(super) fn plan(&self, identities: &Identities, output: &mut Output) -> Result<()> {
        let mut groups: BTreeMap<(Action, String), Vec<&File<'_>>> = BTreeMap::new();
        for file in self.files {
            groups
                .entry((file.action, self.why(file)))
                .or_default()
                .push(file);
        }
        for ((action, why), files) in &groups {
            let count = numbered(files.len(), "file");
            let title = match action {
                Action::None => {
                    output.line(&format!("{count} obey their rules"))?;
                    continue;
                }
                Action::Rewrap => output.styled(Style::Bold, "re-wrap"),
                Action::Rotate => output.styled(Style::Bold, "new data key"),
                Action::Blocked => output.styled(Style::Red, "blocked"),
                Action::NoRule => output.styled(Style::Yellow, "no rule"),
            };
            output.line(&format!("{title}: {count}{why}"))?;
            for file in files.iter().take(SHOWN) {
                output.line(&format!("  {}", escape::path(&file.path)))?;
                if let Some(error) = &file.error {
                    output.line(&format!("    {}", escape::text(&error.message)))?;
                }
            }
            if files.len() > SHOWN {
                output.line(&format!("  and {} more", files.len() - SHOWN))?;
            }
        }
        for (identity, files) in openers(self.files, identities) {
            output.line(&format!(
                "{} opened by {}",
                numbered(files, "file"),
                escape::text(identity)
            ))?;
        }
        Ok(())
    }

    fn why(&self, file: &File<'_>) -> String {
        let mut parts = Vec::new();
        let list = |texts: &[String]| {
            let labels: Vec<_> = texts.iter().map(|text| self.label(text)).collect();
            labels.join(", ")
        };
        if !file.add.is_empty() {
            parts.push(format!("for {}", list(&file.add)));
        }
        if !file.remove.is_empty() {
            parts.push(format!("no more for {}", list(&file.remove)));
        }
        for reason in &file.reasons {
            match *reason {
                "threshold-changed" => parts.push("another number of groups is needed".to_owned()),
                "groups-changed" => parts.push("other key groups".to_owned()),
                "selection-changed" => parts.push("another part is encrypted".to_owned()),
                "rotation-asked" => parts.push("asked for".to_owned()),
                _ => {}
            }
        }
        if parts.is_empty() {
            String::new()
        } else {
            format!(", {}", parts.join("; "))
        }
    }

    fn label(&self, text: &str) -> String {
        let key = shortened(text);
        let old = || self.old_names?.name_of(text);
        let label = match self.names.name_of(text).or_else(old) {
            Some(name) => format!("{name} ({key})"),
            None => key,
        };
        escape::text(&label).into_owned()
    }

    fn as_json(&self, exposed: &[NewlyExposed]) -> Value {
        let file = |file: &File<'_>| {
            let mut members = Map::new();
            let path = file.path.to_string_lossy();
            members.insert("path".to_owned(), path.as_ref().into());
            members.insert("action".to_owned(), file.action.name().into());
            members.insert("add".to_owned(), json!(file.add));
            members.insert("remove".to_owned(), json!(file.remove));
            members.insert("reasons".to_owned(), json!(file.reasons));
            if let Some(error) = &file.error {
                members.insert("error".to_owned(), describe(error));
            }
            Value::from(members)
        };
        let exposed = exposed
            .iter()
            .map(|one| json!({"path": one.path, "keys": one.keys, "recipients": one.recipients}));
        let due = self.files.iter().filter(|file| file.is_due()).count();
        json!({
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "changed": if self.is_refused { 0 } else { due },
            "exposed": exposed.collect::<Vec<_>>(),
        })
    }
}
