//! When to try again what may work by itself after a while.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(600);

/// The time of the next try, which comes later after every failure.
#[derive(Debug, Default)]
pub(super) struct Retry {
    delay: Option<Duration>,
    due: Option<Instant>,
}

impl Retry {
    /// Something failed that may pass.
    pub(super) fn failed(&mut self) {
        let delay = self.delay.map_or(FIRST, |delay| (delay * 2).min(LONGEST));
        self.delay = Some(delay);
        self.due = Some(Instant::now() + delay);
    }

    /// Nothing failed that would pass.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When to try next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The try has begun; its end says what comes next.
    pub(super) fn begun(&mut self) {
        self.due = None;
    }
}
