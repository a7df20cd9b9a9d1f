//! What a re-key would change about the file of a path.

use std::path::Path;

use policy::{drift::Drift, rules::Settings};
use serde_json::{Value, json};

use crate::{
    error::Error,
    limits::Limits,
    output::describe,
    repository::{self, Repository},
    survey::{Found, look},
};

/// How the file stands to its rule.
pub(super) enum Rekey {
    Obeys,
    Differs(Drift),
    NotEncrypted,
    Missing,
    Unreadable(Error),
}

impl Rekey {
    /// `file` is relative to the repository, or absolute where it is outside of it.
    pub(super) fn find(settings: &Settings, place: &repository::Rules, file: &Path) -> Self {
        let limits = Limits::default();
        let (root, name) = match file.file_name() {
            Some(name) if file.is_absolute() => {
                (file.parent().unwrap_or(Path::new("/")), Path::new(name))
            }
            _ => (place.root.as_path(), file),
        };
        // The directory of a file that is not there need not be there either.
        let found = Repository::open(root, limits)
            .map_err(|error| root.exists().then_some(error))
            .and_then(|repository| look(&repository, name, &limits).map_err(Some));
        match found {
            Ok(Found::Encrypted(state)) => {
                let drift = Drift::between(settings, &state);
                match drift.is_none() {
                    true => Self::Obeys,
                    false => Self::Differs(drift),
                }
            }
            Ok(Found::Plain) => Self::NotEncrypted,
            Ok(Found::Missing) | Err(None) => Self::Missing,
            Err(Some(error)) => Self::Unreadable(error),
        }
    }

    /// Everybody who would gain or lose access.
    pub(super) fn recipients(&self) -> impl Iterator<Item = &String> {
        let drift = match self {
            Self::Differs(drift) => Some(drift),
            _ => None,
        };
        drift
            .into_iter()
            .flat_map(|drift| drift.gaining.iter().chain(&drift.losing))
    }

    pub(super) fn as_json(&self) -> Value {
        let (state, drift) = match self {
            Self::Obeys => ("obeys", None),
            Self::Differs(drift) => ("differs", Some(drift)),
            Self::NotEncrypted => ("not-encrypted", None),
            Self::Missing => ("missing", None),
            Self::Unreadable(_) => ("unreadable", None),
        };
        let drift = drift.cloned().unwrap_or_default();
        let reasons = [
            (!drift.gaining.is_empty(), "recipients-added"),
            (!drift.losing.is_empty(), "recipients-removed"),
            (drift.threshold, "threshold-changed"),
            (drift.groups, "groups-changed"),
            (drift.selection, "selection-changed"),
        ];
        let reasons = reasons.into_iter().filter(|(is, _)| *is);
        let reasons: Vec<_> = reasons.map(|(_, reason)| reason).collect();
        let mut object = json!({
            "state": state,
            "add": drift.gaining,
            "remove": drift.losing,
            "reasons": reasons,
        });
        if let (Self::Unreadable(error), Value::Object(object)) = (self, &mut object) {
            object.insert("error".to_owned(), describe(error));
        }
        object
    }
}
