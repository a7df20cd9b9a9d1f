//! A change of a text file, shown as a unified diff.

use std::path::Path;

use policy::rules::is_private_key;

use crate::{
    check::unified,
    error::Result,
    escape,
    output::{Output, Style},
};

/// The change from one text of a file to another.
#[derive(Default)]
pub(super) struct Diff(Vec<(Option<Style>, String)>);

impl Diff {
    /// Of the file called `name`. A private key is not shown, nor what could steer a terminal.
    pub(super) fn new(name: &Path, old: &str, new: &str) -> Self {
        let diff = unified(old, new);
        if diff.is_empty() {
            return Self(Vec::new());
        }
        let name = escape::path(name);
        let mut lines = vec![
            (Some(Style::Bold), format!("--- a/{name}")),
            (Some(Style::Bold), format!("+++ b/{name}")),
        ];
        for line in diff {
            let text = line.text.strip_suffix('\r').unwrap_or(&line.text);
            let text = match is_private_key(text) {
                true => "(a line with a private key is not shown)".to_owned(),
                false => escape::text(text).into_owned(),
            };
            lines.push(match line.mark {
                '@' => (Some(Style::Blue), text),
                '-' => (Some(Style::Red), format!("-{text}")),
                '+' => (Some(Style::Green), format!("+{text}")),
                mark => (None, format!("{mark}{text}")),
            });
        }
        Self(lines)
    }

    /// Nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it as one text.
    pub(super) fn text(&self) -> String {
        let lines = self.0.iter();
        lines.map(|(_, line)| format!("{line}\n")).collect()
    }

    /// For people, in colours.
    pub(super) fn print(&self, output: &mut Output) -> Result<()> {
        for (style, line) in &self.0 {
            let line = match style {
                Some(style) => output.styled(*style, line),
                None => line.clone(),
            };
            output.line(&line)?;
        }
        Ok(())
    }
}
