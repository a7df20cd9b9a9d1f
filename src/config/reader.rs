//! Typed access to the nodes of a configuration file. Problems are collected, so that one run shows all of them: every
//! method notes what is wrong and answers with nothing.

use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{
    Place, Principal, Who,
    node::{Member, Node, Value},
    units,
};
use crate::error::Error;

/// What one run of reading has found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Error>,
    pub(super) warnings: Vec<Error>,
}

impl Findings {
    pub(super) fn error(&mut self, place: &Place, code: &'static str, message: impl Into<String>) {
        self.errors.push(place.error(code, message));
    }

    /// The members of a mapping, all of whose keys must be among `known`. Null counts as an empty mapping.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &'static str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let members = match &node.value {
            Value::Map(members) => members.as_slice(),
            Value::Null => &[],
            _ => {
                self.error(
                    &node.place,
                    "config-type",
                    format!("{what} must be a mapping"),
                );
                return None;
            }
        };
        for member in members {
            if !known.contains(&member.key.as_str()) {
                let error = member.key_place.error(
                    "unknown-key",
                    format!("`{}` is no key of {what}", member.key),
                );
                self.errors.push(match nearest(&member.key, known) {
                    Some(name) => error.with_hint(format!("did you mean `{name}`?")),
                    None => error.with_hint(format!("its keys are: {}", known.join(", "))),
                });
            }
        }
        Some(Fields { members })
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text { text, .. } if !text.contains('\0') => Some(text),
            Value::Text { .. } => {
                self.error(
                    &node.place,
                    "config-value",
                    format!("`{what}` must not hold a NUL character"),
                );
                None
            }
            _ => {
                self.error(&node.place, "config-type", format!("`{what}` must be text"));
                None
            }
        }
    }

    pub(super) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Text { text, plain: true } if matches!(text.as_str(), "true" | "on" | "yes") => {
                Some(true)
            }
            Value::Text { text, plain: true }
                if matches!(text.as_str(), "false" | "off" | "no") =>
            {
                Some(false)
            }
            _ => {
                self.error(
                    &node.place,
                    "config-type",
                    format!("`{what}` must be true or false"),
                );
                None
            }
        }
    }

    /// One of `choices`.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(node, what)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let message = format!(
            "`{text}` is no value of `{what}`: it is one of {}",
            names.join(", ")
        );
        self.error(&node.place, "config-value", message);
        None
    }

    pub(super) fn count(&mut self, node: &Node, what: &str, least: usize) -> Option<usize> {
        let text = self.text(node, what)?;
        match text.parse() {
            Ok(number) if number >= least => Some(number),
            _ => {
                self.error(
                    &node.place,
                    "config-value",
                    format!("`{what}` must be a whole number from {least} up"),
                );
                None
            }
        }
    }

    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.text(node, what)?;
        self.note(node, what, units::duration(text))
    }

    pub(super) fn size(&mut self, node: &Node, what: &str) -> Option<u64> {
        let text = self.text(node, what)?;
        self.note(node, what, units::size(text))
    }

    pub(super) fn mode(&mut self, node: &Node, what: &str) -> Option<u32> {
        let text = self.text(node, what)?;
        self.note(node, what, units::mode(text))
    }

    pub(super) fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.value {
            Value::Null => Vec::new(),
            Value::List(items) => items
                .iter()
                .filter_map(|item| self.text(item, what).map(str::to_owned))
                .collect(),
            _ => {
                self.error(
                    &node.place,
                    "config-type",
                    format!("`{what}` must be a list"),
                );
                Vec::new()
            }
        }
    }

    /// A program, by its absolute path, and its arguments; nothing at all is no command.
    pub(super) fn command(&mut self, node: &Node, what: &str) -> Vec<String> {
        let command = self.texts(node, what);
        if command
            .first()
            .is_some_and(|program| !program.starts_with('/'))
        {
            let message = format!("`{what}` must begin with the absolute path of a program");
            self.error(&node.place, "config-value", message);
        }
        command
    }

    /// An absolute path; a relative one is taken from the directory of the file.
    pub(super) fn path(&mut self, node: &Node, what: &str) -> Option<PathBuf> {
        let text = self.text(node, what)?;
        if text.is_empty() {
            self.error(&node.place, "config-value", format!("`{what}` is empty"));
            return None;
        }
        let directory = node.place.file.parent().unwrap_or(Path::new("/"));
        Some(tidy(&directory.join(text)))
    }

    pub(super) fn paths(&mut self, node: &Node, what: &str) -> Vec<PathBuf> {
        match &node.value {
            Value::Null => Vec::new(),
            Value::List(items) => items
                .iter()
                .filter_map(|item| self.path(item, what))
                .collect(),
            _ => {
                self.error(
                    &node.place,
                    "config-type",
                    format!("`{what}` must be a list"),
                );
                Vec::new()
            }
        }
    }

    pub(super) fn principal(&mut self, node: &Node, what: &str) -> Option<Principal> {
        let text = self.text(node, what)?;
        let who = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            match text.parse() {
                // The highest number means "leave as it is" to chown.
                Ok(id) if id != u32::MAX => Who::Id(id),
                _ => {
                    self.error(
                        &node.place,
                        "config-value",
                        format!("`{text}` is no number of a user or group"),
                    );
                    return None;
                }
            }
        } else if text.is_empty() || text.starts_with('-') || text.contains([':', '/', '\n', ',']) {
            self.error(
                &node.place,
                "config-value",
                format!("`{what}` must be a name or a number"),
            );
            return None;
        } else {
            Who::Name(text.to_owned())
        };
        Some(Principal {
            who,
            place: node.place.clone(),
        })
    }

    fn note<T>(&mut self, node: &Node, what: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(&node.place, "config-value", format!("`{what}`: {message}"));
                None
            }
        }
    }
}

/// The members of one mapping.
pub(super) struct Fields<'n> {
    members: &'n [Member],
}

impl<'n> Fields<'n> {
    pub(super) fn find(&self, key: &str) -> Option<&'n Node> {
        self.member(key).map(|member| &member.node)
    }

    pub(super) fn member(&self, key: &str) -> Option<&'n Member> {
        self.members.iter().find(|member| member.key == key)
    }

    pub(super) fn all(&self) -> &'n [Member] {
        self.members
    }
}

/// `path` without `.` parts; `..` stays, because a part before it may be a link.
pub(super) fn tidy(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}

fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let key = plain(key);
    known
        .iter()
        .map(|name| (strsim::osa_distance(&key, &plain(name)), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}
