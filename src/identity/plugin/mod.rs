//! age plugins: programs named `age-plugin-NAME` that hold keys which do not come out of a device or a service.
//!
//! - here: which programs may run at all;
//! - [`client`]: the conversation with it.

mod client;

use std::{path::PathBuf, sync::Arc, time::Duration};

use age_core::{
    format::{FileKey, Stanza},
    primitives::bech32_decode,
};

use super::{
    ahead::Ahead,
    kept::Kept,
    person::{Nobody, Person},
    process::{Cancel, is_program},
    yubikey::Cards,
};
use crate::{
    error::{Error, Result},
    files::{Trust, trust},
};

/// How long a plugin may take of its own; the time in which a person answers is not counted.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Which plugins may run, and how; and the cards, which are spoken to without one.
#[derive(Clone)]
pub(crate) struct Plugins {
    /// Where programs are looked for, in this order.
    directories: Vec<PathBuf>,
    /// Names that may run; `None`: whatever lies in the directories.
    allow: Option<Vec<String>>,
    /// Whether the directories and programs must be out of reach of other users.
    strict: bool,
    time_limit: Duration,
    pub(super) person: Arc<dyn Person>,
    pub(super) cancel: Cancel,
    pub(super) cards: Arc<Cards>,
    /// Where the PINs of cards may be kept.
    pub(super) kept: Kept,
    pub(super) ahead: Ahead,
}

impl Plugins {
    /// No plugin at all.
    pub(crate) fn none() -> Self {
        Self {
            directories: Vec::new(),
            allow: Some(Vec::new()),
            strict: true,
            time_limit: TIME_LIMIT,
            person: Arc::new(Nobody::HERE),
            cancel: Cancel::never(),
            cards: Arc::new(Cards::none()),
            kept: Kept::default(),
            ahead: Ahead::default(),
        }
    }

    /// The daemon's: only these directories, only these names.
    pub(crate) fn configured(directories: Vec<PathBuf>, allow: Vec<String>) -> Self {
        Self {
            directories,
            allow: Some(allow),
            cards: Arc::new(Cards::from_environment()),
            ..Self::none()
        }
    }

    /// An operator's own: `$SECRETSD_PLUGIN_DIRS` where it is set, else `$PATH` as age and sops do it. Relative entries
    /// are left out: the working directory is somebody's repository.
    pub(crate) fn of_operator() -> Self {
        let (list, strict) = match std::env::var_os("SECRETSD_PLUGIN_DIRS") {
            Some(list) => (Some(list), true),
            None => (std::env::var_os("PATH"), false),
        };
        let directories = list
            .iter()
            .flat_map(std::env::split_paths)
            .filter(|directory| directory.is_absolute())
            .collect();
        let time_limit = std::env::var("SECRETSD_PLUGIN_TIME_LIMIT")
            .ok()
            .and_then(|seconds| seconds.trim_end_matches('s').parse().ok())
            .map_or(TIME_LIMIT, Duration::from_secs);
        Self {
            directories,
            allow: None,
            strict,
            time_limit,
            cards: Arc::new(Cards::from_environment()),
            ..Self::none()
        }
    }

    /// Somebody whom plugins may ask.
    #[must_use]
    pub(crate) fn with_person(mut self, person: Arc<dyn Person>) -> Self {
        self.person = person;
        self
    }

    /// The PINs of cards may be kept there.
    #[must_use]
    pub(crate) fn with_kept(mut self, kept: Kept) -> Self {
        self.kept = kept;
        self
    }

    /// Ends running plugins when `cancel` fires.
    #[must_use]
    pub(crate) fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Tells the person something, where there is one.
    pub(crate) fn tell(&self, message: &str) {
        self.person.tell(message);
    }

    /// Another limit than the default one.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Asks the plugin `name` for the file key in one of `stanzas`, unless it was asked before.
    pub(super) fn unwrap(
        &self,
        name: &str,
        identity: &str,
        stanzas: &[Stanza],
    ) -> Result<Option<FileKey>> {
        let program = self.program(name)?;
        if let Some(known) = self.ahead.find(identity, stanzas) {
            return Ok(known);
        }
        let (keys, _) = client::unwrap(self, &program, name, identity, &[stanzas])?;
        Ok(keys.into_iter().next().flatten())
    }

    /// Asks the plugin `name` in one session for the file keys of many files, which [`unwrap`](Self::unwrap) gives out.
    /// Answers which of them were found.
    pub(super) fn unwrap_ahead(
        &self,
        name: &str,
        identity: &str,
        files: &[&[Stanza]],
    ) -> Result<Vec<bool>> {
        let program = self.program(name)?;
        let (keys, has_complained) = client::unwrap(self, &program, name, identity, files)?;
        let found = keys.iter().map(Option::is_some).collect();
        for (stanzas, key) in files.iter().zip(keys) {
            // What a complaint was about is asked for again, so that it is told where it belongs.
            if key.is_some() || !has_complained {
                self.ahead.keep(identity, stanzas, key);
            }
        }
        Ok(found)
    }

    /// Asks the plugin `name` to wrap `file_key` for `recipient`.
    pub(super) fn wrap(
        &self,
        name: &str,
        recipient: &str,
        file_key: &FileKey,
    ) -> Result<Vec<Stanza>> {
        let program = self.program(name)?;
        client::wrap(self, &program, name, recipient, file_key)
    }

    /// The program of the plugin `name`, if it may run.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        let file = format!("age-plugin-{name}");
        if !is_name(name) {
            return Err(Error::new(
                "plugin-refused",
                "a plugin has an impossible name",
            ));
        }
        if let Some(allow) = &self.allow
            && !allow.iter().any(|allowed| allowed == name)
        {
            return Err(Error::new(
                "plugin-refused",
                format!("the plugin {name} is not on the list of allowed plugins"),
            )
            .with_hint(format!(
                "add {name} to plugins.allow, and the directory of {file} to plugins.directories"
            )));
        }
        let found = self
            .directories
            .iter()
            .map(|directory| directory.join(&file))
            .find(|path| is_program(path));
        let Some(path) = found else {
            let hint = if self.strict {
                format!("install {file} in one of the plugin directories")
            } else {
                format!("install {file} in a directory of $PATH")
            };
            return Err(Error::new(
                "plugin-missing",
                format!("the program {file} was not found"),
            )
            .with_hint(hint));
        };
        if self.strict
            && let Trust::Untrusted(reason) = trust(&path)?
        {
            return Err(Error::new(
                "plugin-refused",
                format!("the plugin {name} could be replaced by other users: {reason}"),
            )
            .with_hint("let only root write there"));
        }
        Ok(path)
    }
}

/// The name in a recipient `age1NAME1…`; `None` when it is damaged.
pub(super) fn recipient_name(text: &str) -> Option<String> {
    let name = checked_prefix(text)?.strip_prefix("age1")?.to_owned();
    is_name(&name).then_some(name)
}

/// The name in an identity `AGE-PLUGIN-NAME-1…`; `None` when it is damaged.
pub(super) fn identity_name(text: &str) -> Option<String> {
    let prefix = checked_prefix(text)?.to_lowercase();
    let name = prefix.strip_prefix("age-plugin-")?.strip_suffix('-')?;
    is_name(name).then(|| name.to_owned())
}

/// The part before the data of a Bech32 text whose checksum is right; age's texts may be longer than the standard
/// allows.
fn checked_prefix(text: &str) -> Option<String> {
    bech32_decode(text, |_| (), |_| Ok(()), |prefix, _| Ok(prefix.to_string())).ok()
}

/// Names become part of a file name.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'))
}
