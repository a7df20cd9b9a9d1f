//! The main loop: waits for changes, signals and calls, and starts one job at a time for them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    grants::granted,
    hooks::{AfterSwitch, Commands, Rekeyed, Switched},
    log,
    metrics::Metrics,
    news::News,
    retry::Retry,
    service::Service,
    signals::Signals,
    state,
    units::{Back, Told, Troubles, Units},
    unlock::{self, Unlocks},
    watch::{CHECKOUT, Change},
    worker::{Outcome, Worker},
};
use crate::{
    config::Config,
    control::server::{Daemon as Handles, RekeyRequest, ReloadRequest, ReloadResult, Snapshot},
    delivery::Report,
    error::{Error, Result},
    identity::{Cancel, Kept},
    systemd::credentials::Granted,
};

/// Requests of one kind that may wait to be noticed.
const REQUESTS: usize = 16;
/// How long is waited for others who change the repository, before it is tried again.
const BUSY: Duration = Duration::from_millis(500);
/// Changes that never pause are taken up after this many times the pause that is waited for.
const LONGEST_SETTLING: u32 = 10;
/// How often is looked whether a checkout has ended.
const CHECKOUT_STEP: Duration = Duration::from_millis(50);
/// How long a job may take to end when the daemon stops.
const STOP: Duration = Duration::from_secs(10);

type Job = JoinHandle<(Worker, Outcome)>;

/// The state of the main loop.
pub(super) struct Daemon {
    /// Here while no job runs.
    worker: Option<Worker>,
    job: Option<Job>,
    /// Ends plugins of a job that runs.
    plugins: Cancel,
    pending: Option<Pending>,
    /// What the job that runs has taken up.
    taken: Option<Pending>,
    retry: Retry,
    rekey_retry: Retry,
    /// Whether the job that runs is what nobody waits for.
    is_upkeep: bool,
    /// Until the first job has ended.
    is_first: bool,
    news: News,
    shown: watch::Sender<Snapshot>,
    /// For the credentials socket.
    granted: watch::Sender<Granted>,
    reloads: mpsc::Receiver<ReloadRequest>,
    rekeys: mpsc::Receiver<RekeyRequest>,
    /// Waiting for the next job.
    asked: Vec<ReloadRequest>,
    /// Waiting for the job that runs.
    served: Vec<ReloadRequest>,
    hooks: Vec<Box<dyn AfterSwitch>>,
    /// With units, after a switch.
    troubles: Troubles,
    /// Units that have failed, and what is to return for them.
    returning: Vec<Back>,
    /// The one that the job that runs is for.
    back: Option<Back>,
    service: Service,
    /// In use, also while a job runs.
    config: Arc<Config>,
    kept: Kept,
    unlocks: Unlocks,
    metrics: Metrics,
}

/// Changes that are not taken up yet.
struct Pending {
    change: Change,
    first: Instant,
    due: Instant,
    waits_for_checkout: bool,
}

impl Daemon {
    /// A daemon that has delivered nothing yet, and how the control socket reaches it. Must be called on the runtime.
    pub(super) fn new(worker: Worker) -> (Self, Handles) {
        let (shown, state) = watch::channel(state::starting(&worker.config, &worker.facts()));
        let (reload, reloads) = mpsc::channel(REQUESTS);
        let (rekey, rekeys) = mpsc::channel(REQUESTS);
        let (unlock, unlocks) = mpsc::channel(REQUESTS);
        let (lock, locks) = mpsc::channel(REQUESTS);
        let (kept, config) = (worker.kept.clone(), Arc::clone(&worker.config));
        let (units, troubles) = Units::start();
        let daemon = Self {
            plugins: worker.plugins.clone(),
            granted: watch::Sender::new(granted(&config, false)),
            config,
            unlocks: Unlocks::new(kept.clone(), unlocks, locks),
            metrics: Metrics::default(),
            kept,
            worker: Some(worker),
            job: None,
            pending: None,
            taken: None,
            retry: Retry::default(),
            rekey_retry: Retry::default(),
            is_upkeep: false,
            is_first: true,
            news: News::default(),
            shown,
            reloads,
            rekeys,
            asked: Vec::new(),
            served: Vec::new(),
            hooks: vec![Box::new(Commands::start()), Box::new(units)],
            troubles,
            returning: Vec::new(),
            back: None,
            service: Service::new(),
        };
        let handles = Handles {
            state,
            reload,
            rekey,
            unlock,
            lock,
        };
        (daemon, handles)
    }

    /// Who may have what over the credentials socket, always as it stands.
    pub(super) fn granted(&self) -> watch::Receiver<Granted> {
        self.granted.subscribe()
    }

    /// Runs until it is told to stop. An error is about the first delivery, when there is nothing to keep.
    pub(super) async fn run(&mut self) -> Result<()> {
        let mut signals = Signals::new()?;
        self.begin(Change::ALL, None);
        loop {
            let event = self.next(&mut signals).await;
            match event {
                Event::Changed(change) => self.note(change, self.debounce()),
                Event::Due => self.take_up(),
                Event::Finished(worker, outcome) => self.finish(*worker, outcome)?,
                Event::Hangup => {
                    self.service.reloading();
                    self.note(Change::ALL, Duration::ZERO);
                }
                Event::Lost => return Err(Error::new("internal", "a delivery ended unexpectedly")),
                Event::Reload(request) => {
                    self.asked.push(request);
                    self.note(Change::ALL, Duration::ZERO);
                }
                Event::Rekey(request) => self.begin_rekey(request),
                Event::Retry => {
                    self.retry.begun();
                    self.rekey_retry.begun();
                    self.note(Change::default(), Duration::ZERO);
                }
                Event::Stop => return Ok(()),
                Event::Told(told) => self.tell_of_units(told),
                Event::Unlock(event) => self.unlock(event),
                Event::Watchdog => self.service.alive(),
            }
        }
    }

    /// Ends a job that runs. What was delivered stays, unless `remove`.
    pub(super) async fn stop(mut self, remove: bool) -> Result<()> {
        self.service.stopping();
        self.metrics.remove();
        self.troubles.finish().await;
        self.unlocks.cancel();
        if let Some(job) = self.job.take() {
            self.plugins.fire();
            match timeout(STOP, job).await {
                Ok(Ok((worker, _))) => self.worker = Some(worker),
                _ => tracing::warn!("stopping in the middle of a delivery"),
            }
        }
        match self.worker {
            Some(worker) if remove => worker.remove(),
            Some(worker) => worker.close(),
            None if remove => Err(Error::new(
                "busy",
                "cannot take the delivered files away: a delivery does not end",
            )),
            None => Ok(()),
        }
    }

    async fn next(&mut self, signals: &mut Signals) -> Event {
        let due = match (&self.worker, &self.pending) {
            (Some(_), Some(pending)) => Some(pending.due),
            _ => None,
        };
        let retries = [self.retry.due(), self.rekey_retry.due()];
        let retry = self
            .worker
            .as_ref()
            .and(retries.into_iter().flatten().min());
        let is_idle = self.worker.is_some();
        let watched = async {
            match &mut self.worker {
                Some(worker) => worker.watcher.changed().await,
                None => std::future::pending().await,
            }
        };
        let finished = async {
            match &mut self.job {
                Some(job) => job.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = signals.terminate.recv() => Event::Stop,
            _ = signals.interrupt.recv() => Event::Stop,
            _ = signals.hangup.recv() => Event::Hangup,
            Some(request) = self.reloads.recv() => Event::Reload(request),
            Some(request) = self.rekeys.recv(), if is_idle => Event::Rekey(request),
            result = finished => {
                self.job = None;
                match result {
                    Ok((worker, outcome)) => Event::Finished(Box::new(worker), outcome),
                    Err(_) => Event::Lost,
                }
            }
            event = self.unlocks.next(is_idle) => Event::Unlock(event),
            told = self.troubles.next() => Event::Told(told),
            () = sleep_until_some(due) => Event::Due,
            change = watched => Event::Changed(change),
            () = sleep_until_some(retry) => Event::Retry,
            () = self.service.watchdog() => Event::Watchdog,
        }
    }

    fn debounce(&self) -> Duration {
        let config = self.worker.as_ref().map(|worker| worker.config.watch);
        config.map_or(Duration::ZERO, |watch| watch.debounce)
    }

    /// Remembers a change, to be taken up when none has come for `pause`.
    fn note(&mut self, change: Change, pause: Duration) {
        let now = Instant::now();
        let pending = self.pending.take();
        let first = pending.as_ref().map_or(now, |pending| pending.first);
        self.pending = Some(Pending {
            change: pending.map_or(change, |pending| pending.change.merge(change)),
            first,
            waits_for_checkout: false,
            due: (now + pause).min(first + pause * LONGEST_SETTLING),
        });
    }

    /// Starts a job for what is pending. It waits while a checkout is still writing, but not for ever.
    fn take_up(&mut self) {
        if self.worker.is_none() {
            return;
        }
        if let Some(pending) = self.pending.take() {
            let is_patient = Instant::now() < pending.first + CHECKOUT;
            self.begin(pending.change, is_patient.then_some(CHECKOUT));
            self.taken = Some(pending);
        }
    }

    fn begin(&mut self, change: Change, patience: Option<Duration>) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        self.served.append(&mut self.asked);
        self.unlocks.hand_over(&self.config);
        self.start(worker, move |worker| worker.work(change, patience));
    }

    /// The worker comes back with what came of it.
    fn start(
        &mut self,
        mut worker: Worker,
        work: impl FnOnce(&mut Worker) -> Outcome + Send + 'static,
    ) {
        self.job = Some(tokio::task::spawn_blocking(move || {
            let outcome = work(&mut worker);
            (worker, outcome)
        }));
    }

    fn unlock(&mut self, event: unlock::Event) {
        use unlock::Event as E;
        match event {
            E::Wanted(request) => {
                let listing = Arc::clone(&self.shown.borrow().listing);
                self.unlocks.begin(request, &self.config, &listing);
            }
            E::Locked(request) => self.unlocks.lock(request, &self.config),
            E::Cards(there) => {
                if self.unlocks.note_cards(there, &self.config) {
                    tracing::info!("a card has come");
                    self.note(Change::ALL, Duration::ZERO);
                }
            }
            E::Gone => self.unlocks.cancel(),
            E::Finished(result) => {
                self.unlocks.finish(result);
                if let Some(request) = self.unlocks.take_waiting() {
                    return self.unlock(E::Wanted(request));
                }
                // Also where nothing was unlocked: meanwhile cards and plugins were left alone.
                self.note(Change::default(), Duration::ZERO);
            }
            E::Expired => self.unlocks.expire(),
        }
        let kept = &self.kept;
        self.shown
            .send_if_modified(|snapshot| state::kept(&mut snapshot.status.identities, kept));
        self.write_metrics();
    }

    fn write_metrics(&mut self) {
        let file = self.config.metrics_file.as_deref();
        self.metrics.write(file, &self.shown.borrow());
    }

    fn begin_rekey(&mut self, request: RekeyRequest) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        self.is_upkeep = true;
        self.start(worker, move |worker| worker.answer(request));
    }

    /// What the job has found out about files that do not obey the rules, and what it did about them.
    fn show_rekeying(&mut self, worker: &mut Worker) {
        self.shown
            .send_if_modified(|snapshot| state::rekeying(snapshot, &worker.rekeying));
        if worker.rekeying.take_changed() > 0 {
            let config = &worker.config;
            let rekeyed = Rekeyed {
                command: &config.rekey.on_rekey,
                repository: &config.repository,
            };
            self.hooks
                .iter()
                .for_each(|hook| hook.after_rekey(&rekeyed));
            self.note(Change::default(), Duration::ZERO);
        }
        match (self.is_upkeep, worker.rekeying.is_due()) {
            (true, true) => self.note(Change::default(), BUSY),
            (true, false) if worker.rekeying.has_failed() => self.rekey_retry.failed(),
            (true, false) => self.rekey_retry.clear(),
            (false, _) => {}
        }
    }

    /// Nothing was done, because a checkout is in progress: what was taken up is pending again.
    fn put_off(&mut self) {
        let Some(mut taken) = self.taken.take() else {
            return;
        };
        if !taken.waits_for_checkout {
            tracing::debug!("a checkout is in progress; waiting for its end");
        }
        if let Some(newer) = self.pending.take() {
            taken.change = taken.change.merge(newer.change);
        }
        taken.waits_for_checkout = true;
        taken.due = Instant::now() + CHECKOUT_STEP;
        self.pending = Some(taken);
        self.served.append(&mut self.asked);
        self.asked = std::mem::take(&mut self.served);
    }

    /// What nobody waits for is done after each job.
    fn get_ready(&mut self) {
        let Some(worker) = self.worker.take_if(|worker| worker.is_unready()) else {
            return;
        };
        self.is_upkeep = true;
        self.start(worker, Worker::get_ready);
    }

    fn finish(&mut self, mut worker: Worker, outcome: Outcome) -> Result<()> {
        self.config = Arc::clone(&worker.config);
        if matches!(outcome, Outcome::Reconciled(_) | Outcome::Failed(_)) {
            self.unlocks.end_delivery(&worker.config, worker.cards());
        }
        let facts = worker.facts();
        let mut answer = None;
        match outcome {
            Outcome::Answered(answered) => answer = Some(answered),
            Outcome::Held => {
                self.put_off();
                self.worker = Some(worker);
                return Ok(());
            }
            Outcome::Same => (),
            Outcome::Reconciled(report) => {
                let mut snapshot = state::snapshot(&worker.config, &facts, &report);
                state::rekeying(&mut snapshot, &worker.rekeying);
                let warnings = &snapshot.status.warnings;
                self.news
                    .tell(&report, warnings, &self.shown.borrow().status.warnings);
                // These were logged when they happened.
                snapshot
                    .status
                    .warnings
                    .extend(self.troubles.lines().cloned());
                self.shown.send_replace(snapshot);
                self.after_switch(&report, worker.config.restart_jitter);
                self.revive(&report);
                if report.secrets.iter().any(is_passing) {
                    self.retry.failed();
                } else {
                    self.retry.clear();
                }
                self.unlocks.answer(Ok(state::reloaded(&report)));
                self.unlocks.set_locked(state::locked(&report, &facts));
                self.answer(|| match &facts.refused {
                    Some(error) => ReloadResult::Refused(error.clone()),
                    None => ReloadResult::Delivered(state::reloaded(&report)),
                });
            }
            Outcome::Failed(error) if self.is_first && !worker.has_last_good() => {
                return Err(error);
            }
            Outcome::Failed(error) => {
                log::error("cannot deliver; what was delivered stays", &error);
                self.shown
                    .send_modify(|snapshot| state::failed(snapshot, &facts, &error));
                self.retry.failed();
                self.unlocks.answer(Err(error.clone()));
                self.answer(|| ReloadResult::Failed(error.clone()));
            }
        }
        // Where nothing could return, the unit stays as it is.
        self.back = None;
        self.is_first = false;
        self.show_rekeying(&mut worker);
        if let Some(answer) = answer {
            answer.send();
        }
        self.granted.send_replace(granted(&worker.config, true));
        self.worker = Some(worker);
        self.service.ready(&self.shown.borrow().status);
        self.write_metrics();
        let listing = Arc::clone(&self.shown.borrow().listing);
        self.unlocks.ask(&self.config, &listing);
        if !std::mem::take(&mut self.is_upkeep) {
            self.get_ready();
        }
        self.go_back();
        Ok(())
    }

    /// What is wrong with units stands among the warnings.
    fn tell_of_units(&mut self, told: Vec<Told>) {
        let old: HashSet<String> = self.troubles.lines().cloned().collect();
        let returning = self.troubles.note(told);
        self.returning.extend(returning);
        let new = self.troubles.lines();
        self.shown.send_modify(|snapshot| {
            let warnings = &mut snapshot.status.warnings;
            warnings.retain(|warning| !old.contains(warning));
            warnings.extend(new.cloned());
        });
        self.go_back();
    }

    /// Starts the return of values that a unit has failed with.
    fn go_back(&mut self) {
        let Some(worker) = self.worker.take_if(|_| !self.returning.is_empty()) else {
            return;
        };
        let back = self.returning.remove(0);
        let (generation, secrets) = (back.generation, back.secrets.clone());
        self.back = Some(back);
        self.start(worker, move |worker| worker.go_back(generation, &secrets));
    }

    /// The values before are in place again.
    fn revive(&mut self, report: &Report) {
        let Some(back) = self.back.take() else { return };
        let secrets = report.secrets.iter();
        let users = secrets.filter(|secret| back.secrets.contains(&*secret.name));
        let others = users
            .flat_map(|secret| secret.restart_units.iter().cloned())
            .collect();
        self.troubles.revive(&back, &others);
    }

    fn after_switch(&self, report: &Report, jitter: Duration) {
        // On a first delivery nothing has changed: whoever uses the secrets has not been started.
        if report.is_first_generation() {
            return;
        }
        let switched = Switched::of(report, jitter);
        for hook in &self.hooks {
            hook.after_switch(&switched);
        }
    }

    fn answer(&mut self, result: impl Fn() -> ReloadResult) {
        for request in self.served.drain(..) {
            // Whoever asked may have gone.
            let _ = request.send(result());
        }
    }
}

enum Event {
    Changed(Change),
    Due,
    Finished(Box<Worker>, Outcome),
    Hangup,
    Lost,
    Rekey(RekeyRequest),
    Reload(ReloadRequest),
    Retry,
    Stop,
    Told(Vec<Told>),
    Unlock(unlock::Event),
    Watchdog,
}

fn is_passing(secret: &crate::delivery::SecretState) -> bool {
    matches!(
        secret.state,
        crate::delivery::State::Degraded { passing: true, .. }
    )
}

async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
