//! Reading of `.sops.yaml`.

use policy::{
    rules::{Rules, RulesError},
    yaml,
};

use super::find;
use crate::{
    error::{Error, Position, Result},
    files::{ReadLimit, read_any, read_regular},
    limits::Limits,
    secret::Secret,
};

/// Reads and parses the rules.
pub(crate) fn read_rules(place: &find::Rules, limits: &Limits) -> Result<Rules> {
    let content = place.read(limits)?;
    parse_rules(content.expose(), limits).map_err(|error| error.with_file(&place.file))
}

impl find::Rules {
    /// The text of the rules. A file that was only found must be a regular one: a pipe in its place would be waited for.
    pub(crate) fn read(&self, limits: &Limits) -> Result<Secret> {
        let read = if self.is_named {
            read_any
        } else {
            read_regular
        };
        let limit = ReadLimit::of_file(limits.file_size);
        read(&self.file, limit).map_err(|error| {
            if self.file.is_dir() {
                return Error::new("unreadable", "this is a directory, not a file with rules")
                    .with_file(&self.file)
                    .with_hint("put a file in its place, or name the rules with --config-file");
            }
            match (error.code, &error.hint) {
                (_, Some(_)) => error,
                ("not-a-file", _) => {
                    error.with_hint("put a file in its place, or name the rules with --config-file")
                }
                ("file-missing", _) => error.with_hint("name a file that exists"),
                _ => error.with_hint("make the file readable for the user that runs this"),
            }
        })
    }
}

/// There are no rules in a file that sops can read.
pub(crate) fn no_rules() -> Error {
    let message = "the file has no creation_rules, so sops acts as if it were not there";
    Error::new("no-rules", message).with_hint("add creation_rules")
}

/// Parses the rules. The error does not name the file.
pub(crate) fn parse_rules(content: &[u8], limits: &Limits) -> Result<Rules> {
    let text = yaml::decode(content).map_err(|error| {
        let position = Position::from(&error);
        Error::new("invalid-rules", error.message)
            .with_position(position)
            .with_hint("save the file as UTF-8")
    })?;
    Ok(Rules::parse_with(&text, limits.of_yaml())?)
}

impl From<RulesError> for Error {
    fn from(error: RulesError) -> Self {
        let shown = Self::new(error.code, error.message).with_position(Position {
            line: error.line,
            column: error.column,
        });
        match error.hint {
            Some(hint) => shown.with_hint(hint),
            None => shown.with_hint("correct the rules at this place"),
        }
    }
}
