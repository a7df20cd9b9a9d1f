//! The signals that the daemon listens for.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};

pub(super) struct Signals {
    pub(super) hangup: Signal,
    pub(super) interrupt: Signal,
    pub(super) terminate: Signal,
}

impl Signals {
    /// Must be called on the runtime.
    pub(super) fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Error::new("internal", format!("cannot listen for signals: {error}"))
            })
        };
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }
}
