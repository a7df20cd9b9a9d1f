//! The one error type: what happened, where, and what to do next. Only `ctl` and `daemon` turn it into text and exit
//! codes. It never holds plaintext: messages name files, keys and positions, not values.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Result with [`Error`].
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A position in a text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    /// Of errors about a whole text.
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    /// The position of byte `offset` in `text` (invalid UTF-8 counts a character per byte).
    pub(crate) fn of(text: &[u8], offset: usize) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = match std::str::from_utf8(&before[line_start..]) {
            Ok(text) => text.chars().count() + 1,
            Err(_) => before.len() - line_start + 1,
        };
        Self { line, column }
    }
}

impl From<policy::rules::Position> for Position {
    fn from(policy::rules::Position { line, column }: policy::rules::Position) -> Self {
        Self { line, column }
    }
}

impl From<&policy::yaml::YamlError> for Position {
    fn from(error: &policy::yaml::YamlError) -> Self {
        Self {
            line: error.line,
            column: error.column,
        }
    }
}

/// What went wrong. Built with [`Error::new`] and the `with_*` methods.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    /// Stable, kebab-case; appears in JSON as `error.code`.
    pub(crate) code: &'static str,
    /// A sentence without capital and period.
    pub(crate) message: String,
    pub(crate) file: Option<PathBuf>,
    pub(crate) position: Option<Position>,
    /// The next step, as an imperative sentence.
    pub(crate) hint: Option<String>,
}

impl Error {
    /// An error of the kind `code`.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            file: None,
            position: None,
            hint: None,
        }
    }

    /// Names the file, unless an inner layer already did.
    #[must_use]
    pub(crate) fn with_file(mut self, file: &Path) -> Self {
        self.file.get_or_insert_with(|| file.to_owned());
        self
    }

    /// Names the place in the file, unless an inner layer already did.
    #[must_use]
    pub(crate) fn with_position(mut self, position: Position) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// Says what to do next, unless an inner layer already did.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
