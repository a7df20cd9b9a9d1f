//! What the control socket and the log are told of re-keying.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use policy::rules::Rules;

use crate::{
    control::protocol::{Doubt, Exposed, RekeyFile},
    error::Error,
    rekey::{
        NewlyExposed, Recovered, name as path_name,
        survey::{self, File},
    },
};

pub(super) fn described(file: &File<'_>) -> RekeyFile {
    RekeyFile {
        path: path_name(&file.path),
        action: file.action.name().to_owned(),
        add: file.add.clone(),
        remove: file.remove.clone(),
        reasons: file
            .reasons
            .iter()
            .map(|&reason| reason.to_owned())
            .collect(),
        error: file.error.as_ref().map(Into::into),
    }
}

pub(super) fn doubt(path: &str, code: &str, recipient: Option<&str>) -> Doubt {
    Doubt {
        path: path.to_owned(),
        code: code.to_owned(),
        recipient: recipient.map(str::to_owned),
    }
}

/// How the rules call the recipients that come or go.
pub(super) fn names(rules: &Rules, files: &[File<'_>]) -> BTreeMap<String, String> {
    let recipients: BTreeSet<&String> = files
        .iter()
        .flat_map(|file| file.add.iter().chain(&file.remove))
        .collect();
    let named = recipients.into_iter().filter_map(|recipient| {
        let name = rules.names().name_of(recipient)?;
        Some((recipient.clone(), name.to_string()))
    });
    named.collect()
}

pub(super) fn exposed(exposed: NewlyExposed) -> Exposed {
    Exposed {
        path: exposed.path,
        keys: exposed.keys,
        recipients: exposed.recipients,
    }
}

/// Why nothing can be done, where a file is blocked: the first of them stands for all.
pub(super) fn first_blocked(files: &[File<'_>], root: &Path) -> Option<Error> {
    let (first, others) = survey::first_blocked(files)?;
    let mut error = first.error.clone()?;
    error.message = format!(
        "no file was changed, because one cannot be: {}{others}",
        error.message
    );
    if error.file.is_none() {
        error = error.with_file(&root.join(&first.path));
    }
    Some(error)
}

pub(super) fn log_recovered(recovered: &Recovered) {
    match recovered {
        Recovered::Nothing => {}
        Recovered::Undone => {
            tracing::warn!(
                "a re-key was interrupted before it changed anything; its files were removed"
            );
        }
        Recovered::Finished { files, .. } => {
            tracing::warn!(
                files,
                "a re-key was interrupted; what it had left is done now"
            );
        }
    }
}
