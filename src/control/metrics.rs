//! Metrics in the text format of Prometheus, made from what the control socket shows: states and times, never a value. Times
//! are time stamps, so that nothing has to be written while nothing changes.

use std::{fmt::Write as _, time::UNIX_EPOCH};

use super::protocol::{Listing, State, Status};

/// The page.
pub(crate) fn page(status: &Status, listing: &Listing) -> String {
    let mut page = Page::default();
    page.family("secretsd_info", "The version that runs.");
    page.sample("secretsd_info", &[("version", &status.version)], 1);
    page.family("secretsd_state", "1 for the state that the daemon is in.");
    for state in [State::Ok, State::Degraded, State::Locked, State::Starting] {
        let is_in = u64::from(state == status.state);
        page.sample("secretsd_state", &[("state", state.name())], is_in);
    }
    for (name, help, value) in [
        (
            "secretsd_generation",
            "The number of the generation in place.",
            status.generation,
        ),
        (
            "secretsd_secrets",
            "Secrets and templates that should be delivered.",
            status.secrets as u64,
        ),
        (
            "secretsd_degraded_secrets",
            "Those whose newest value is not in place.",
            status.degraded.len() as u64,
        ),
        (
            "secretsd_failed",
            "1 while the delivery as a whole fails; what was delivered stays.",
            u64::from(status.failure.is_some()),
        ),
        (
            "secretsd_configuration_refused",
            "1 while the configuration on disk cannot be used.",
            u64::from(status.configuration.is_some()),
        ),
        (
            "secretsd_rekey_drift_files",
            "Files that do not obey their creation rule.",
            status.rekey.drift as u64,
        ),
        (
            "secretsd_rekey_pending",
            "1 while a re-key waits for the word of a person.",
            u64::from(status.rekey.pending.is_some()),
        ),
    ] {
        page.family(name, help);
        page.sample(name, &[], value);
    }
    page.family(
        "secretsd_identity_usable",
        "1 for an identity that can be used.",
    );
    for identity in &status.identities {
        let is_usable = matches!(identity.state.as_str(), "usable" | "unlocked");
        let labels = [
            ("identity", identity.name.as_str()),
            ("kind", &identity.kind),
        ];
        page.sample("secretsd_identity_usable", &labels, u64::from(is_usable));
    }
    page.family(
        "secretsd_secret_since_timestamp_seconds",
        "Since when a secret is in its state: delivered with its content, degraded or missing.",
    );
    for secret in &listing.secrets {
        let since = secret.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let labels = [("secret", &*secret.name), ("state", secret.state.name())];
        page.sample(
            "secretsd_secret_since_timestamp_seconds",
            &labels,
            since.as_secs(),
        );
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    /// All are gauges.
    fn family(&mut self, name: &str, help: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

/// As the format has it: backslashes, quotes and line breaks.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.sample("m", &[("a", "x\"\\\ny"), ("b", "ü")], 3);
        page.sample("n", &[], 0);
        assert_eq!(page.0, "m{a=\"x\\\"\\\\\\ny\",b=\"ü\"} 3\nn 0\n");
    }
}
