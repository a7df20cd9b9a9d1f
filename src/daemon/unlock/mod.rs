//! Identities that a person unlocks. The person is asked on a thread of its own ([`work`]), with identities of its own:
//! the worker goes on delivering what it can open meanwhile, and leaves cards and plugins alone. What comes of it are data
//! keys, which the next delivery uses and which are kept as the configuration says ([`Kept`]).

mod work;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    config::{Config, IdentitySource, Keep},
    control::{
        protocol::{Listing, Locked, Reloaded, SecretState, Unlocked, UnlockedIdentity},
        unlock::{LockRequest, UnlockRequest},
    },
    error::{Error, Result},
    identity::{Cancel, Kept, is_called},
};
use work::{Opened, Work};

/// Where to say what came of it.
type Sender = oneshot::Sender<Result<Unlocked>>;

/// What the main loop keeps of it.
pub(super) struct Unlocks {
    kept: Kept,
    wanted: mpsc::Receiver<UnlockRequest>,
    locks: mpsc::Receiver<LockRequest>,
    asking: Option<Asking>,
    /// To be used by the next delivery.
    opened: Option<(Opened, Sender)>,
    /// Used by the delivery that runs.
    used: Option<(Unlocked, Sender)>,
    /// The delivery that runs is all that its keys are for.
    is_once: bool,
}

/// A person is being asked.
struct Asking {
    sender: Sender,
    cancel: Cancel,
    finished: oneshot::Receiver<Result<Opened>>,
}

/// What the main loop has to do.
pub(super) enum Event {
    Wanted(UnlockRequest),
    Locked(LockRequest),
    /// Whoever asked for it went away.
    Gone,
    Finished(Result<Opened>),
    /// Keys have had their time.
    Expired,
}

impl Unlocks {
    pub(super) fn new(
        kept: Kept,
        wanted: mpsc::Receiver<UnlockRequest>,
        locks: mpsc::Receiver<LockRequest>,
    ) -> Self {
        Self {
            kept,
            wanted,
            locks,
            asking: None,
            opened: None,
            used: None,
            is_once: false,
        }
    }

    /// The next thing to do. A new unlock begins only while the worker is idle: it may have a card in its hands.
    pub(super) async fn next(&mut self, is_idle: bool) -> Event {
        let end = self.kept.next_end().map(Instant::from_std);
        let expired = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let asking = async {
            let Some(asking) = &mut self.asking else {
                return std::future::pending().await;
            };
            tokio::select! {
                biased;
                finished = &mut asking.finished => Event::Finished(finished.unwrap_or_else(|_| {
                    Err(Error::new("internal", "unlocking ended unexpectedly"))
                })),
                // Once is enough: its end will come.
                () = asking.sender.closed(), if !asking.cancel.is_fired() => Event::Gone,
            }
        };
        tokio::select! {
            Some(request) = self.locks.recv() => Event::Locked(request),
            Some(request) = self.wanted.recv(), if is_idle => Event::Wanted(request),
            event = asking => event,
            () = expired => Event::Expired,
        }
    }

    /// Begins to ask, unless somebody is asked already.
    pub(super) fn begin(&mut self, request: UnlockRequest, config: &Arc<Config>, shown: &Listing) {
        let UnlockRequest {
            identity,
            questions,
            answers,
            sender,
        } = request;
        let is_busy = self.asking.is_some() || self.opened.is_some() || self.used.is_some();
        let begun = if is_busy {
            Err(Error::new(
                "busy",
                "identities are being unlocked by somebody else just now",
            )
            .with_hint("wait for the end of it, or end it with secretsctl lock"))
        } else {
            Cancel::new().and_then(|cancel| {
                let delivered = match config.unlock.keep {
                    Keep::Once => delivered(shown),
                    Keep::For(_) | Keep::UntilLock => BTreeSet::new(),
                };
                let work = Work {
                    config: Arc::clone(config),
                    identity,
                    cancel: cancel.clone(),
                    kept: self.kept.clone(),
                    delivered,
                };
                Ok((work.start(questions, answers)?, cancel))
            })
        };
        match begun {
            Ok((finished, cancel)) => {
                tracing::info!("somebody unlocks identities");
                self.kept.set_asking(true);
                self.asking = Some(Asking {
                    sender,
                    cancel,
                    finished,
                });
            }
            // Whoever asked may have gone.
            Err(error) => drop(sender.send(Err(error))),
        }
    }

    /// Nobody is asked any more; its end will come.
    pub(super) fn cancel(&self) {
        if let Some(asking) = &self.asking {
            asking.cancel.fire();
        }
    }

    /// The person was asked. Whoever went away meanwhile has unlocked nothing.
    pub(super) fn finish(&mut self, result: Result<Opened>) {
        self.kept.set_asking(false);
        let Some(asking) = self.asking.take() else {
            return;
        };
        let result = match result {
            Ok(_) if asking.cancel.is_fired() || asking.sender.is_closed() => {
                Err(Error::new("interrupted", "interrupted"))
            }
            result => result,
        };
        match result {
            Ok(opened) => self.opened = Some((opened, asking.sender)),
            Err(error) => {
                tracing::info!(%error, "nothing was unlocked");
                drop(asking.sender.send(Err(error)));
            }
        }
    }

    /// A delivery begins: what was opened is there for it.
    pub(super) fn hand_over(&mut self, config: &Config) {
        let Some((opened, sender)) = self.opened.take() else {
            return;
        };
        let Opened {
            shares,
            all,
            unlocked,
        } = opened;
        let until = match config.unlock.keep {
            Keep::Once | Keep::UntilLock => None,
            // What cannot be reached is as far as for ever.
            Keep::For(time) => std::time::Instant::now().checked_add(time),
        };
        self.is_once = config.unlock.keep == Keep::Once;
        self.kept.keep(shares, until, all.as_ref());
        self.used = Some((unlocked, sender));
    }

    /// The delivery has ended, and with it what was meant for it alone.
    pub(super) fn end_delivery(&mut self) {
        if std::mem::take(&mut self.is_once) {
            self.kept.wipe(|_| true);
        }
    }

    /// Tells whoever unlocked what the delivery came to.
    pub(super) fn answer(&mut self, result: Result<Reloaded>) {
        let Some((unlocked, sender)) = self.used.take() else {
            return;
        };
        for UnlockedIdentity { name, keys } in &unlocked.identities {
            tracing::info!(identity = name, keys, "an identity was unlocked");
        }
        let answer = result.map(|reloaded| Unlocked {
            generation: reloaded.generation,
            changed: reloaded.changed,
            degraded: reloaded.degraded,
            ..unlocked
        });
        drop(sender.send(answer));
    }

    /// Forgets what was unlocked, and ends what is being unlocked.
    pub(super) fn lock(&mut self, request: LockRequest, config: &Config) {
        let LockRequest { identity, sender } = request;
        let names: BTreeSet<String> = config.identities.iter().map(IdentitySource::name).collect();
        if let Some(wanted) = &identity
            && !names.iter().any(|name| is_called(name, wanted))
        {
            let error = Error::new(
                "unknown-identity",
                format!("the daemon has no identity `{wanted}`"),
            );
            let names: Vec<String> = names.into_iter().collect();
            let error = error.with_hint(format!("it has: {}", names.join(", ")));
            return drop(sender.send(Err(error)));
        }
        self.cancel();
        if let Some((_, sender)) = self.opened.take() {
            drop(sender.send(Err(Error::new("locked", "it was locked again meanwhile"))));
        }
        let is_meant = |name: &str| {
            let wanted = identity.as_ref();
            wanted.is_none_or(|wanted| is_called(name, wanted))
        };
        let keys = self.kept.wipe(is_meant);
        tracing::info!(keys, "locked");
        drop(sender.send(Ok(Locked { keys })));
    }

    /// Wipes what has had its time.
    pub(super) fn expire(&self) {
        let keys = self.kept.expire();
        tracing::info!(keys, "the time of unlocked keys is over");
    }
}

/// Files all of whose secrets are in place.
fn delivered(shown: &Listing) -> BTreeSet<PathBuf> {
    let files = |is_meant: fn(SecretState) -> bool| {
        let secrets = shown.secrets.iter();
        secrets
            .filter(move |secret| is_meant(secret.state))
            .map(|secret| PathBuf::from(&*secret.file))
    };
    let mut delivered: BTreeSet<PathBuf> = files(|state| state == SecretState::Delivered).collect();
    for file in files(|state| state != SecretState::Delivered) {
        delivered.remove(&file);
    }
    delivered
}
