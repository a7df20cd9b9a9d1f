//! A finding, and the file that it is about.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use policy::rules::{self, Severity};

use crate::error::{Error, Position};

/// One finding: what it says, which it derefs to, and the file.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Relative to the repository; absolute where it lies outside.
    pub(crate) file: PathBuf,
    /// Whether `file` is that of the rules.
    pub(crate) is_about_rules: bool,
    /// The rest.
    pub(crate) found: rules::Finding,
}

impl Deref for Finding {
    type Target = rules::Finding;

    fn deref(&self) -> &rules::Finding {
        &self.found
    }
}

impl Finding {
    pub(super) fn new(
        code: &'static str,
        severity: Severity,
        file: &Path,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::of(
            code,
            severity,
            file,
            Error::new(code, message).with_hint(hint),
        )
    }

    /// An error about a file that was met while looking at it.
    pub(super) fn of(code: &'static str, severity: Severity, file: &Path, error: Error) -> Self {
        let found = rules::Finding {
            code,
            severity,
            position: as_in_rules(error.position.unwrap_or(Position::START)),
            message: error.message,
            witness: None,
            related: Vec::new(),
            hint: error.hint,
        };
        Self {
            file: file.to_owned(),
            is_about_rules: false,
            found,
        }
    }

    pub(super) fn at(mut self, position: Position) -> Self {
        self.found.position = as_in_rules(position);
        self
    }

    /// A finding about the rules, which are in `file`.
    pub(crate) fn about_rules(file: &Path, found: rules::Finding) -> Self {
        Self {
            file: file.to_owned(),
            is_about_rules: true,
            found,
        }
    }
}

fn as_in_rules(Position { line, column }: Position) -> rules::Position {
    rules::Position { line, column }
}
