//! Identities that a person unlocks. The person is asked on a thread of its own ([`work`]), with identities of its own:
//! the worker goes on delivering what it can open meanwhile, and leaves cards and plugins alone. What comes of it are data
//! keys, which the next delivery uses and which are kept as the configuration says ([`Kept`]).
//!
//! A peer at the control socket brings its person ([`asker`]); where the configuration says so, the daemon asks one by
//! itself, once for the same locked secrets, and again when a card comes ([`cards`]).

mod asker;
mod cards;
mod work;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    config::{Config, IdentitySource, Keep, Prompt},
    control::{
        protocol::{Listing, Locked, Reloaded, SecretState, Unlocked},
        unlock::{LockRequest, UnlockRequest},
    },
    error::{Error, Result},
    identity::{AskPassword, Cancel, Kept, Person, Pinentry, is_called},
};
use asker::Asker;
use cards::{Cards, There};
use work::{Opened, Work};

/// What the main loop keeps of it.
pub(super) struct Unlocks {
    kept: Kept,
    wanted: mpsc::Receiver<UnlockRequest>,
    locks: mpsc::Receiver<LockRequest>,
    asking: Option<Asking>,
    /// A peer that waits until the daemon has taken back its own question, and that it has: it asks again where the peer
    /// comes to nothing.
    waiting: Option<UnlockRequest>,
    has_taken_back: bool,
    /// To be used by the next delivery.
    opened: Option<(Opened, Asker)>,
    /// Used by the delivery that runs.
    used: Option<(Unlocked, Asker)>,
    /// The delivery that runs is all that its keys are for.
    is_once: bool,
    cards: Cards,
    /// Those in which identities are.
    ours: BTreeSet<u32>,
    /// What is locked, and what of it the daemon has asked for.
    locked: BTreeSet<String>,
    asked: BTreeSet<String>,
}

/// A person is being asked.
struct Asking {
    asker: Asker,
    cancel: Cancel,
    finished: oneshot::Receiver<Result<Opened>>,
}

/// What the main loop has to do.
pub(super) enum Event {
    Wanted(UnlockRequest),
    Locked(LockRequest),
    /// Cards came or went.
    Cards(There),
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
            waiting: None,
            has_taken_back: false,
            opened: None,
            used: None,
            is_once: false,
            cards: Cards::default(),
            ours: BTreeSet::new(),
            locked: BTreeSet::new(),
            asked: BTreeSet::new(),
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
                () = asking.asker.gone(), if !asking.cancel.is_fired() => Event::Gone,
            }
        };
        tokio::select! {
            Some(request) = self.locks.recv() => Event::Locked(request),
            Some(request) = self.wanted.recv(), if is_idle => Event::Wanted(request),
            event = asking => event,
            there = self.cards.next() => Event::Cards(there),
            () = expired => Event::Expired,
        }
    }

    /// Begins to ask a peer's person, unless another's is asked already.
    pub(super) fn begin(&mut self, request: UnlockRequest, config: &Arc<Config>, shown: &Listing) {
        if self
            .asking
            .as_ref()
            .is_some_and(|asking| asking.asker.is_daemon())
            && self.waiting.is_none()
        {
            // Whoever comes by themselves is better than nobody knows whom.
            self.cancel();
            self.has_taken_back = true;
            self.waiting = Some(request);
            return;
        }
        let UnlockRequest {
            identity,
            questions,
            answers,
            sender,
        } = request;
        let person = |cancel| work::peer(questions, answers, cancel);
        self.start(Asker::Peer(sender), identity, person, config, shown);
    }

    /// Asks by itself, where the configuration wants it and something is locked for which nobody was asked.
    pub(super) fn ask(&mut self, config: &Arc<Config>, shown: &Listing) {
        let prompt = config.unlock.prompt;
        let is_asked = self.locked.is_subset(&self.asked);
        if prompt == Prompt::Terminal || is_asked || self.is_busy() {
            return;
        }
        self.asked = self.locked.clone();
        let person = |cancel| {
            Ok(match prompt {
                Prompt::Pinentry => Arc::new(Pinentry::new(cancel)?) as Arc<dyn Person>,
                Prompt::Systemd | Prompt::Terminal => Arc::new(AskPassword::new(cancel)?),
            })
        };
        self.start(Asker::Daemon, None, person, config, shown);
    }

    /// What a delivery has found locked.
    pub(super) fn set_locked(&mut self, locked: BTreeSet<String>) {
        // What was open once is asked for again.
        self.asked.retain(|name| locked.contains(name));
        self.locked = locked;
    }

    fn is_busy(&self) -> bool {
        self.asking.is_some() || self.opened.is_some() || self.used.is_some()
    }

    fn start(
        &mut self,
        asker: Asker,
        identity: Option<String>,
        person: impl FnOnce(Cancel) -> Result<Arc<dyn Person>>,
        config: &Arc<Config>,
        shown: &Listing,
    ) {
        if self.is_busy() {
            let error = Error::new(
                "busy",
                "identities are being unlocked by somebody else just now",
            );
            return asker.tell(Err(
                error.with_hint("wait for the end of it, or end it with secretsctl lock")
            ));
        }
        self.cards.look_again_if_lost();
        let begun = Cancel::new().and_then(|cancel| {
            let delivered = match config.unlock.keep {
                Keep::Once => delivered(shown),
                Keep::For(_) | Keep::UntilLock | Keep::UntilRemoved => BTreeSet::new(),
            };
            let work = Work {
                config: Arc::clone(config),
                identity,
                cancel: cancel.clone(),
                kept: self.kept.clone(),
                delivered,
            };
            Ok((work.start(person(cancel.clone())?)?, cancel))
        });
        match begun {
            Ok((finished, cancel)) => {
                tracing::info!("somebody is asked to unlock identities");
                self.kept.set_asking(true);
                self.asking = Some(Asking {
                    asker,
                    cancel,
                    finished,
                });
            }
            Err(error) => asker.tell(Err(error)),
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
        let Some(Asking { asker, cancel, .. }) = self.asking.take() else {
            return;
        };
        if cancel.is_fired() {
            // One that was given while it was being locked.
            self.kept.wipe_pins();
        }
        if std::mem::take(&mut self.has_taken_back) && !asker.is_daemon() && result.is_err() {
            self.asked.clear();
        }
        match result {
            Ok(_) if cancel.is_fired() || asker.is_gone() => {
                asker.tell(Err(Error::new("interrupted", "interrupted")));
            }
            Ok(opened) => self.opened = Some((opened, asker)),
            Err(error) => asker.tell(Err(error)),
        }
    }

    /// Whoever waited for the end of the daemon's own question.
    pub(super) fn take_waiting(&mut self) -> Option<UnlockRequest> {
        self.waiting.take_if(|_| self.asking.is_none())
    }

    /// A delivery begins: what was opened is there for it.
    pub(super) fn hand_over(&mut self, config: &Config) {
        let Some((opened, asker)) = self.opened.take() else {
            return;
        };
        let Opened {
            shares,
            all,
            unlocked,
        } = opened;
        let until = match config.unlock.keep {
            Keep::Once | Keep::UntilLock | Keep::UntilRemoved => None,
            // What cannot be reached is as far as for ever.
            Keep::For(time) => std::time::Instant::now().checked_add(time),
        };
        self.is_once = config.unlock.keep == Keep::Once;
        // Since the person was asked the configuration may have become another.
        let ours = shares
            .into_iter()
            .filter(|share| config.has_identity(&share.by.name));
        self.kept.keep(ours.collect(), until, all.as_ref());
        self.used = Some((unlocked, asker));
    }

    /// The delivery has ended, and with it what was meant for it alone.
    pub(super) fn end_delivery(&mut self, config: &Config, ours: BTreeSet<u32>) {
        if std::mem::take(&mut self.is_once) {
            self.kept.wipe(|_| true);
        }
        self.ours = ours;
        // Which card is behind a passphrase shows when it has opened something.
        self.ours.extend(self.kept.cards());
        self.cards.set_watched(!self.ours.is_empty());
        if config.unlock.keep == Keep::UntilRemoved
            && !self.kept.cards().is_subset(self.cards.there())
        {
            // It was used before the watch knew of it; whether it is there still, the news will say.
            self.cards.look_again();
        }
    }

    /// Cards came or went; answers whether one of ours has come that may open something.
    pub(super) fn note_cards(&mut self, there: There, config: &Config) -> bool {
        let come = self.cards.note(there);
        self.wipe_what_has_left(config);
        let has_come = !come.is_disjoint(&self.ours) && !self.locked.is_empty();
        if has_come {
            // Whoever brings it is there to be asked.
            self.asked.clear();
        }
        has_come
    }

    fn wipe_what_has_left(&self, config: &Config) {
        if config.unlock.keep != Keep::UntilRemoved {
            return;
        }
        let keys = self.kept.wipe_cards_but(self.cards.there());
        if keys > 0 {
            tracing::info!(keys, "locked: the card has left");
        }
    }

    /// Tells whoever unlocked what the delivery came to.
    pub(super) fn answer(&mut self, result: Result<Reloaded>) {
        let Some((unlocked, asker)) = self.used.take() else {
            return;
        };
        asker.tell(result.map(|reloaded| Unlocked {
            generation: reloaded.generation,
            changed: reloaded.changed,
            degraded: reloaded.degraded,
            ..unlocked
        }));
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
        if let Some((_, asker)) = self.opened.take() {
            asker.tell(Err(Error::new("locked", "it was locked again meanwhile")));
        }
        self.kept.wipe_pins();
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
