//! Everything that blocks: reading the configuration, resolving watches, decrypting, writing. One worker, one job at a
//! time, on a thread of its own; it moves there with everything it owns and comes back with an [`Outcome`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    args::Source,
    log, once,
    rekey::{Asked, Means, Rekeying},
    state,
    watch::{Change, Followed, Watcher, fingerprint, is_checkout_in_progress},
};
use crate::{
    config::{Config, Deliver, IdentitySource, Keep, RekeyMode, TemplateContent},
    control::{
        protocol::{self, Planned, Rekeyed},
        server::RekeyRequest,
    },
    delivery::{Delivery, Report},
    error::{Error, Result},
    identity::{Cancel, Identities, KeepPins, Kept, Nobody, State},
};

/// What the daemon owns.
pub(super) struct Worker {
    pub(super) watcher: Watcher,
    source: Source,
    pub(super) config: Arc<Config>,
    identities: Identities,
    /// What a person has unlocked.
    pub(super) kept: Kept,
    /// Ends plugins that run, when the daemon stops.
    pub(super) plugins: Cancel,
    delivery: Delivery,
    pub(super) rekeying: Rekeying,
    followed: Followed,
    /// Of the last job, where it was needed.
    fingerprint: Option<u64>,
    /// Why the configuration on disk is not in use.
    refused: Option<Error>,
    log: log::Handle,
}

/// What the status says, besides the report.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) filesystem: String,
    pub(super) swap: &'static str,
    pub(super) identities: Vec<protocol::Identity>,
    /// Of an identity nobody knows yet what the rules give to it.
    pub(super) is_uncertain: bool,
    /// Problems with the place of the secrets and with sources of identities.
    pub(super) problems: Vec<Error>,
    pub(super) watch: (&'static str, Option<String>),
    pub(super) refused: Option<Error>,
}

/// What somebody asked about re-keying, answered.
pub(super) enum Answer {
    Planned(oneshot::Sender<Result<Planned>>, Result<Planned>),
    Approved(oneshot::Sender<Result<Rekeyed>>, Result<Rekeyed>),
}

impl Answer {
    /// Whoever asked may have gone.
    pub(super) fn send(self) {
        match self {
            Self::Planned(sender, result) => drop(sender.send(result)),
            Self::Approved(sender, result) => drop(sender.send(result)),
        }
    }
}

/// What a job came to.
pub(super) enum Outcome {
    Answered(Answer),
    /// Nothing was done: a checkout is in progress.
    Held,
    /// The delivery as a whole failed; the previous generation stays.
    Failed(Error),
    Reconciled(Report),
    /// Nothing is different, and nobody waits for an answer.
    Same,
}

impl Worker {
    /// Reads the keys and opens the runtime directory. Must be called on the runtime, for the watcher's sake.
    pub(super) fn new(source: Source, config: Config, log: log::Handle) -> Result<Self> {
        let delivery = Delivery::open(&config)?;
        let plugins = Cancel::new()?;
        let mut rekeying = Rekeying::default();
        rekeying.set_mode(config.rekey.mode);
        let kept = Kept::default();
        kept.set_keep_pins(keep_pins(&config));
        Ok(Self {
            watcher: Watcher::new(config.watch.poll),
            identities: identities(&config, &plugins, &kept),
            kept,
            plugins,
            followed: followed(&config),
            fingerprint: None,
            refused: None,
            log,
            source,
            config: Arc::new(config),
            delivery,
            rekeying,
        })
    }

    /// Looks at what may have changed and delivers it. Blocks.
    ///
    /// With `patience` nothing is done while a checkout is in progress that is not older than this.
    pub(super) fn work(&mut self, change: Change, patience: Option<Duration>) -> Outcome {
        let is_held = |patience| is_checkout_in_progress(&self.config.repository, patience);
        if patience.is_some_and(is_held) {
            return Outcome::Held;
        }
        let mut change = change;
        if change.poll {
            let fingerprint = fingerprint(&self.followed);
            if self.fingerprint.replace(fingerprint) == Some(fingerprint) {
                return Outcome::Same;
            }
            change = Change::ALL;
        }
        // Watch first, read then: what changes in between is reported.
        if change.structure {
            self.watcher.refresh(&self.followed);
        }
        if change.settings {
            self.reload_settings();
        }
        self.reconcile()
    }

    /// Whether [`Worker::get_ready`] has something to do.
    pub(super) fn is_unready(&self) -> bool {
        self.delivery.is_unready() || self.rekeying.is_due()
    }

    /// Does what the next change would otherwise have to wait for. Blocks.
    pub(super) fn get_ready(&mut self) -> Outcome {
        if self.rekeying.is_due() {
            if self.config.rekey.mode != RekeyMode::Off {
                // Not by pins that somebody has taken away meanwhile.
                self.reload_settings();
            }
            // It is logged, and the status says it.
            let _ = self.rekey(Asked::ByChange);
        }
        match self.delivery.get_ready() {
            Ok(true) => Outcome::Same,
            Ok(false) => {
                tracing::info!("a delivered file was changed by somebody else; delivering again");
                self.reconcile()
            }
            Err(error) => {
                tracing::warn!(%error, "cannot prepare the next generation; the next change takes longer");
                Outcome::Same
            }
        }
    }

    /// Does what somebody asked about re-keying. Blocks.
    pub(super) fn answer(&mut self, request: RekeyRequest) -> Outcome {
        self.reload_settings();
        Outcome::Answered(match request {
            RekeyRequest::Plan { dry_run, sender } => {
                let asked = match dry_run {
                    true => Asked::ForDryPlan,
                    false => Asked::ForPlan,
                };
                let done = self.rekey(asked);
                let planned = done.map(|done| Planned {
                    pending: self.rekeying.pending().as_ref().clone(),
                    done,
                });
                Answer::Planned(sender, planned)
            }
            RekeyRequest::Approve(id, sender) => {
                let done = self.rekey(Asked::ForApproved(&id));
                Answer::Approved(sender, done.map(Option::unwrap_or_default))
            }
        })
    }

    fn rekey(&mut self, asked: Asked<'_>) -> Result<Option<Rekeyed>> {
        let means = Means {
            config: &self.config,
            is_outdated: self.refused.is_some(),
            identities: &self.identities,
            stop: &self.plugins,
        };
        let done = self.rekeying.look(&means, asked);
        // Cards are for others too.
        self.identities.end_sessions();
        done
    }

    /// Lets the generation before `current` return, without what `names` have now, and delivers the rest anew. Blocks.
    pub(super) fn go_back(&mut self, current: u64, names: &BTreeSet<String>) -> Outcome {
        if let Err(error) = self.delivery.go_back(current, names) {
            log::error("nothing is rolled back", &error);
            return Outcome::Same;
        }
        tracing::warn!(
            generation = current,
            "the previous generation is in place again"
        );
        self.reconcile()
    }

    fn reconcile(&mut self) -> Outcome {
        self.rekeying.note();
        let reconciled = self.delivery.reconcile(&self.config, &self.identities);
        self.identities.end_sessions();
        match reconciled {
            Ok(report) => Outcome::Reconciled(report),
            Err(error) => Outcome::Failed(error),
        }
    }

    /// What the status says, besides the report.
    pub(super) fn facts(&self) -> Facts {
        let file_system = self.delivery.file_system();
        let identities = self.identities.iter().map(|identity| {
            let state = match identity.state(self.identities.plugins()) {
                State::Usable => state::USABLE,
                State::Locked(_) => state::LOCKED,
            };
            state::identity(identity.name(), identity.kind(), state)
        });
        let problems = self.identities.problems().iter();
        let unreadable = problems.filter_map(|problem| problem.file.as_deref());
        let unreadable = unreadable.map(|file| {
            state::identity(&file.to_string_lossy(), state::UNKNOWN, state::UNREADABLE)
        });
        let empty = self.identities.unused().iter();
        let empty = empty.map(|name| state::identity(name, state::UNKNOWN, state::EMPTY));
        Facts {
            filesystem: file_system.kind().to_owned(),
            swap: if file_system.can_swap() {
                "possible"
            } else {
                "never"
            },
            identities: {
                let mut all: Vec<_> = identities.chain(unreadable).chain(empty).collect();
                state::kept(&mut all, &self.kept);
                all
            },
            is_uncertain: self.config.deliver == Deliver::ByRules && !self.identities.are_known(),
            problems: [
                self.delivery.warnings().as_slice(),
                self.identities.problems(),
            ]
            .concat(),
            watch: self.watcher.mode(),
            refused: self.refused.clone(),
        }
    }

    /// The cards in which identities are.
    pub(super) fn cards(&self) -> BTreeSet<u32> {
        self.identities.cards()
    }

    /// Whether an earlier run has left something that services can use.
    pub(super) fn has_last_good(&self) -> bool {
        self.delivery.has_last_good()
    }

    /// Ends; what was delivered stays.
    pub(super) fn close(self) -> Result<()> {
        self.delivery.close()
    }

    /// Takes away everything that was delivered.
    pub(super) fn remove(self) -> Result<()> {
        self.delivery.remove()
    }

    /// A configuration that cannot be used changes nothing and is reported.
    fn reload_settings(&mut self) {
        self.delivery.start_over();
        let loaded = self.source.load().map_err(first).and_then(|config| {
            self.refuse_what_needs_a_restart(&config)?;
            Ok(config)
        });
        match loaded {
            Ok(config) => {
                self.refused = None;
                self.forget_what_is_gone(&config);
                self.config = Arc::new(config);
            }
            Err(error) => {
                let known = self.refused.as_ref().map(|known| &known.message);
                if known != Some(&error.message) {
                    log::error("the new configuration is not used", &error);
                }
                self.refused = Some(error);
            }
        }
        self.identities = identities(&self.config, &self.plugins, &self.kept);
        self.watcher.set_poll(self.config.watch.poll);
        self.rekeying.set_mode(self.config.rekey.mode);
        self.log.set_level(self.config.log.level);
        let followed = followed(&self.config);
        if followed != self.followed {
            self.followed = followed;
            self.watcher.refresh(&self.followed);
        }
    }

    /// Keys are kept only as the configuration says now, and for identities that it still has.
    fn forget_what_is_gone(&self, new: &Config) {
        let is_new = new.unlock != self.config.unlock;
        let is_configured = |name: &str| new.has_identity(name);
        let keys = self.kept.wipe(|name| is_new || !is_configured(name));
        self.kept.unlearn(is_configured);
        if is_new || new.identities != self.config.identities {
            self.kept.set_keep_pins(keep_pins(new));
        }
        if keys > 0 {
            tracing::info!(keys, "locked: `unlock` or `identities` is another now");
        }
    }

    fn refuse_what_needs_a_restart(&self, new: &Config) -> Result<()> {
        let old = &self.config;
        let who = |config: &Config| {
            config
                .socket
                .readers
                .as_ref()
                .map(|group| group.who.clone())
        };
        let key = if new.runtime_directory != old.runtime_directory {
            "runtime-directory"
        } else if new.allow_filesystems != old.allow_filesystems {
            "allow-filesystems"
        } else if new.socket.path != old.socket.path {
            "socket.path"
        } else if who(new) != who(old) {
            "socket.readers"
        } else if new.log.format != old.log.format {
            "log.format"
        } else {
            return Ok(());
        };
        let error = Error::new(
            "needs-restart",
            format!("`{key}` cannot change while the daemon runs"),
        )
        .with_hint("restart the daemon, or change it back");
        Err(match new.files.first() {
            Some(file) => error.with_file(file),
            None => error,
        })
    }
}

/// The first error stands for all: `--check-config` shows the others.
fn first(mut errors: Vec<Error>) -> Error {
    let others = errors.len().saturating_sub(1);
    if errors.is_empty() {
        return Error::new("internal", "the configuration cannot be used");
    }
    let mut error = errors.swap_remove(0);
    if others > 0 {
        error.message.push_str(&format!(
            " (and {others} more; see secretsd --check-config)"
        ));
    }
    error
}

/// For as long as what they open.
fn keep_pins(config: &Config) -> KeepPins {
    match config.unlock.keep {
        Keep::Once => KeepPins::No,
        _ if !config.unlock.cache_pin => KeepPins::No,
        Keep::For(time) => KeepPins::For(time),
        Keep::UntilLock | Keep::UntilRemoved => KeepPins::UntilLock,
    }
}

fn identities(config: &Config, cancel: &Cancel, kept: &Kept) -> Identities {
    let plugins = once::plugins(config)
        .with_person(Arc::new(Nobody::YET))
        .with_cancel(cancel.clone());
    once::identities(config, plugins).with_kept(kept.clone())
}

fn followed(config: &Config) -> Followed {
    let identities = config.identities.iter().filter_map(IdentitySource::path);
    let templates = config
        .templates
        .iter()
        .filter_map(|template| match &template.content {
            TemplateContent::File(path) => Some(path),
            TemplateContent::Text(_) => None,
        });
    let pinned = config.rekey.pinned.iter().map(|pinned| &pinned.file);
    let files = config.files.iter().chain(identities).chain(templates);
    let files = files.chain(pinned);
    Followed {
        repository: config.repository.clone(),
        files: files.cloned().collect(),
        directories: config.include_directories.clone(),
        limit: config.limits.files,
    }
}
