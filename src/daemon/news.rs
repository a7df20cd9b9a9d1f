//! What is different from the last delivery, for the log.

use std::collections::{BTreeMap, HashSet};

use super::state;
use crate::delivery::Report;

/// What was told last.
#[derive(Default)]
pub(super) struct News {
    /// Name and cause of what is degraded.
    causes: BTreeMap<String, String>,
}

impl News {
    /// Logs what is different. `shown`: the warnings that were there before.
    pub(super) fn tell(&mut self, report: &Report, warnings: &[String], shown: &[String]) {
        let known: HashSet<&String> = shown.iter().collect();
        for warning in warnings.iter().filter(|warning| !known.contains(warning)) {
            tracing::warn!("{warning}");
        }
        let causes = state::causes(report);
        for (name, cause) in &causes {
            if self.causes.get(name) != Some(cause) {
                tracing::warn!(%name, "degraded: {cause}");
            }
        }
        for name in self
            .causes
            .keys()
            .filter(|name| !causes.contains_key(*name))
        {
            tracing::info!(%name, "no longer degraded");
        }
        if !report.changed.is_empty() || !report.removed.is_empty() {
            tracing::info!(
                generation = report.generation,
                changed = report.changed.len(),
                removed = report.removed.len(),
                degraded = causes.len(),
                "delivered"
            );
        }
        self.causes = causes;
    }
}
