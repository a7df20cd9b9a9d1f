//! On whose behalf a person is asked: that of a peer at the control socket, or the daemon's own.

use tokio::sync::oneshot;

use crate::{
    control::protocol::{Unlocked, UnlockedIdentity},
    error::Result,
};

/// See the module.
pub(super) enum Asker {
    Peer(oneshot::Sender<Result<Unlocked>>),
    Daemon,
}

impl Asker {
    pub(super) fn is_daemon(&self) -> bool {
        matches!(self, Self::Daemon)
    }

    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Peer(sender) => sender.is_closed(),
            Self::Daemon => false,
        }
    }

    /// Returns when the peer went away.
    pub(super) async fn gone(&mut self) {
        match self {
            Self::Peer(sender) => sender.closed().await,
            Self::Daemon => std::future::pending().await,
        }
    }

    /// What came of it. The log has it in any case.
    pub(super) fn tell(self, result: Result<Unlocked>) {
        match &result {
            Ok(unlocked) => {
                for UnlockedIdentity { name, keys } in &unlocked.identities {
                    tracing::info!(identity = name, keys, "an identity was unlocked");
                }
            }
            Err(error) => tracing::info!(%error, "nothing was unlocked"),
        }
        if let Self::Peer(sender) = self {
            // It may have gone.
            drop(sender.send(result));
        }
    }
}
