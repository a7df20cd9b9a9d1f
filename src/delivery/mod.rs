//! Plaintext on a memory file system: generations of files, one atomic switch, templates.
//!
//! The daemon and `secretsd --once` use it in the same way:
//!
//! 1. `Delivery::open(&Config)` prepares the runtime directory: mounts or checks the memory file system, takes the
//!    lock against a second daemon, removes what an interrupted run left, reads what was delivered before.
//! 2. `Delivery::reconcile(&mut self, &Inputs) -> Result<Report>`, as often as something may have changed. It is cheap
//!    when nothing has. One bad secret is in [`Report::degraded`] and keeps its last good value; an `Err` is about the
//!    whole (no space, repository gone), and then the previous generation stays as it is.
//! 3. `Delivery::remove(self)` takes everything away (`--remove-on-exit`); without it delivered files stay.

use std::time::SystemTime;

use crate::error::Error;

/// The outcome of one reconciliation: the whole state, not only what is new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The number of the generation in place; 0 before the first.
    pub(crate) generation: u64,
    /// Names whose content is new or another than before this reconciliation, sorted. For `on-change`.
    pub(crate) changed: Vec<String>,
    /// Names that were delivered before and are no more, sorted.
    pub(crate) removed: Vec<String>,
    /// Every secret and template that should be delivered, sorted by name.
    pub(crate) secrets: Vec<SecretState>,
    /// What is reported although it degrades nothing: leaves left out, files that could be opened although no rule
    /// says so, content that is older than what was delivered.
    pub(crate) notes: Vec<Error>,
}

/// One secret or template.
#[derive(Clone, Debug)]
pub(crate) struct SecretState {
    pub(crate) name: String,
    /// Where services find it: below the runtime directory, or its link elsewhere.
    pub(crate) path: std::path::PathBuf,
    /// The source in the repository; absent for a template.
    pub(crate) file: Option<String>,
    pub(crate) state: State,
    /// Since when: delivered with this content, or degraded.
    pub(crate) since: SystemTime,
    /// What to run when it is in [`Report::changed`].
    pub(crate) on_change: Vec<String>,
}

/// How it stands with one secret.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// The newest content is in place.
    Delivered,
    /// The last good content is in place, or none.
    Degraded {
        cause: Error,
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
                State::Degraded { cause, .. } => Some((secret, cause)),
            })
    }
}
