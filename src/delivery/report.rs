//! What came of a reconciliation, for `status`, `list`, logs and exit codes.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use crate::error::Error;

/// Code of the error of a file that only a locked identity opens.
pub(super) const LOCKED: &str = "locked";

/// The outcome of one reconciliation: the whole state, not only what is new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The number of the generation in place; 0 before the first.
    pub(crate) generation: u64,
    /// Names whose content is new or another than before this reconciliation, sorted. For `on-change`.
    pub(crate) changed: Vec<Arc<str>>,
    /// Names whose owner or mode is another than before, and not the content, sorted.
    pub(crate) given_away: Vec<Arc<str>>,
    /// Names that were delivered before and are no more, sorted.
    pub(crate) removed: Vec<Arc<str>>,
    /// Every secret and template that should be delivered, sorted by name.
    pub(crate) secrets: Vec<SecretState>,
    /// What is reported although it degrades nothing: leaves left out, files that could be opened although no rule
    /// says so, content that is older than what was delivered.
    pub(crate) notes: Vec<Error>,
    /// Whether nothing was in place before.
    pub(super) first: bool,
}

/// One secret or template.
#[derive(Clone, Debug)]
pub(crate) struct SecretState {
    pub(crate) name: Arc<str>,
    /// Where services find it, below the runtime directory.
    pub(crate) location: Arc<str>,
    /// The link elsewhere that leads there, if there is one.
    pub(crate) link: Option<PathBuf>,
    /// The source in the repository; absent for a template.
    pub(crate) file: Option<Arc<str>>,
    pub(crate) state: State,
    /// Since when: delivered with this content, or degraded.
    pub(crate) since: SystemTime,
    /// What to run when it is in [`Report::changed`].
    pub(crate) on_change: Vec<String>,
    /// Units to restart when content, owner or mode is another than before.
    pub(crate) restart_units: Vec<String>,
    /// Units to reload then.
    pub(crate) reload_units: Vec<String>,
    /// Whether the previous value returns when one of them fails.
    pub(crate) rollback: bool,
}

/// How it stands with one secret.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// The newest content is in place.
    Delivered,
    /// The last good content is in place, or none.
    Degraded {
        cause: Box<Error>,
        /// Whether a last good value is in place.
        stale: bool,
        /// The cause may pass without a change of any input (an I/O error, a locked identity, a missing user): worth
        /// another try after a while.
        passing: bool,
    },
}

impl Report {
    /// The secrets that are not as they should be.
    pub(crate) fn degraded(&self) -> impl Iterator<Item = (&SecretState, &Error)> {
        self.secrets
            .iter()
            .filter_map(|secret| match &secret.state {
                State::Delivered => None,
                State::Degraded { cause, .. } => Some((secret, &**cause)),
            })
    }

    /// The names of those that lack nothing but a locked identity.
    pub(crate) fn locked(&self) -> impl Iterator<Item = &Arc<str>> {
        self.degraded()
            .filter(|(_, cause)| cause.code == LOCKED)
            .map(|(secret, _)| &secret.name)
    }

    /// Whether this is the first generation since the memory file system was made, so that nobody used another before.
    pub(crate) fn is_first_generation(&self) -> bool {
        self.first
    }

    /// How many are in place, with their newest content or the last good one.
    pub(crate) fn in_place(&self) -> usize {
        let in_place =
            |secret: &&SecretState| !matches!(secret.state, State::Degraded { stale: false, .. });
        self.secrets.iter().filter(in_place).count()
    }
}

impl State {
    pub(super) fn degraded(cause: Box<Error>, stale: bool) -> Self {
        // What a change of the file, the rules or the configuration would have to repair is not worth another try.
        let passing = cause.code == LOCKED
            || matches!(
                cause.code,
                "file-unreadable"
                    | "file-denied"
                    | "owner-missing"
                    | "owner-lookup"
                    | "owner-refused"
                    | "link-refused"
            )
            || cause.code.starts_with("plugin");
        Self::Degraded {
            cause,
            stale,
            passing,
        }
    }
}
