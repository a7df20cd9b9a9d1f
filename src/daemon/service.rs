//! What the service manager is told. Without one every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::control::protocol::{State, Status};

/// The service manager's view of this process.
pub(super) struct Service {
    watchdog: Option<Interval>,
    said: String,
    ready: bool,
    reloading: bool,
}

impl Service {
    /// Must be called on the runtime.
    pub(super) fn new() -> Self {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| {
            // Twice as often as it must be, so that one delay does no harm.
            let mut interval = interval((limit / 2).max(Duration::from_millis(1)));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self {
            watchdog,
            said: String::new(),
            ready: false,
            reloading: false,
        }
    }

    /// The secrets are in place; says how many.
    pub(super) fn ready(&mut self, status: &Status) {
        let text = text(status);
        if self.said != text || !self.ready || self.reloading {
            let mut states = vec![NotifyState::Status(&text)];
            if !self.ready || self.reloading {
                states.push(NotifyState::Ready);
            }
            say(&states);
            self.said = text;
        }
        self.ready = true;
        self.reloading = false;
    }

    /// A reload was asked for by signal.
    pub(super) fn reloading(&mut self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            say(&[NotifyState::Reloading, now]);
            self.reloading = true;
        }
    }

    /// The daemon is going to end.
    pub(super) fn stopping(&self) {
        say(&[NotifyState::Stopping]);
    }

    /// Waits until it is time to say [`alive`](Self::alive); for ever where nobody listens.
    pub(super) async fn watchdog(&mut self) {
        match &mut self.watchdog {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// The main loop turns.
    pub(super) fn alive(&self) {
        say(&[NotifyState::Watchdog]);
    }
}

fn text(status: &Status) -> String {
    let secrets = status.secrets;
    let degraded = status.degraded.len();
    match status.state {
        State::Ok => format!(
            "{secrets} secrets delivered, generation {}",
            status.generation
        ),
        State::Starting => "first delivery".to_owned(),
        State::Degraded | State::Locked if status.failure.is_some() => {
            "cannot deliver; see secretsctl status".to_owned()
        }
        State::Degraded if degraded == 0 => {
            format!(
                "{secrets} secrets delivered; an identity cannot be used, see secretsctl status"
            )
        }
        State::Degraded | State::Locked => {
            format!("{degraded} of {secrets} secrets degraded; see secretsctl status")
        }
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot notify the service manager");
    }
}
