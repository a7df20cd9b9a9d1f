//! The life of a host in the file of the rules, as edits of its text: it is added, renamed, gets another key, leaves.
//!
//! Only the places that name the host change; comments, order, indentation, quoting and line breaks stay. Keys are
//! written in two ways, and both may stand in one file: as a list of anchors whose aliases stand in the rules, and as
//! plain texts. Each place is edited in its own way. What cannot be edited is refused with its place.
//!
//! The result is read again before it counts: it holds the same data but for the keys in question, and every rule names
//! whom it named before, plus or minus exactly these.

mod add;
mod change;
mod definition;
mod insert;
mod list;
mod name;
mod place;
mod retire;
mod sheet;
mod splice;
mod verify;

use std::fmt;

pub use self::{
    add::{NewHost, add},
    change::{rename, replace},
    list::{Host, Kind, hosts, key_of, keys},
    retire::retire,
};
use crate::rules::{Position, RulesError};

/// A file with other text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The new text.
    pub text: String,
    /// The hosts in question by their names, with the keys that they have now, or had.
    pub hosts: Vec<(String, String)>,
    /// The rules that name others than before, by their numbers.
    pub rules: Vec<usize>,
    /// Hosts whose names the new text has no place for.
    pub unnamed: Vec<String>,
}

/// Why the text cannot be edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditError {
    /// Stable, in kebab case.
    pub code: &'static str,
    /// A sentence without capital and period; never holds a private key.
    pub message: String,
    /// The place that is at fault, where there is one.
    pub position: Option<Position>,
    /// The next step.
    pub hint: Option<String>,
}

impl EditError {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            position: None,
            hint: None,
        }
    }

    fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A place that is written in a way that these edits do not know.
    fn not_understood(why: impl Into<String>, position: Position) -> Self {
        let message = format!("the rules cannot be edited here: {}", why.into());
        Self::new("cannot-edit", message)
            .at(position)
            .with_hint("edit this place by hand; nothing was changed")
    }
}

impl From<RulesError> for EditError {
    fn from(error: RulesError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            position: Some(Position {
                line: error.line,
                column: error.column,
            }),
            hint: error.hint,
        }
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EditError {}

type Result<T> = std::result::Result<T, EditError>;

#[cfg(test)]
mod tests;
