//! Restarts and reloads of units, after the switch: one job for each unit, however many of its secrets have changed, and
//! also where they change again before it is done. What came of them is told to the main loop, with the names of the secrets.
//!
//! Nobody waits for them: a delivery ends when the secrets are in place.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, timeout},
};

use super::hooks::{AfterSwitch, Switched};
use crate::{
    clock,
    systemd::jobs::{self, End, Verb},
};

/// So often a unit may be restarted within [`WINDOW`]. A unit that changes a secret when it is started would be
/// restarted for ever.
const RESTARTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// How long the jobs that are left may take when the daemon stops. Those that were begun go on without us.
const FINISH: Duration = Duration::from_secs(5);
/// Batches of results that wait for the main loop.
const BATCHES: usize = 16;

/// Something that went wrong with a unit, or that it went well.
#[derive(Debug)]
pub(super) struct Told {
    unit: String,
    problem: Option<String>,
    back: Option<Back>,
}

/// Units have failed, and the values before are to return.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) units: BTreeSet<String>,
    /// The generation that brought what it failed with.
    pub(super) generation: u64,
    pub(super) secrets: BTreeSet<String>,
}

/// What is to be done with one unit.
#[derive(Clone, Debug)]
struct Order {
    verb: Verb,
    /// The names of what has changed.
    secrets: BTreeSet<String>,
    /// Those of them whose value before returns when the unit fails.
    rollback: BTreeSet<String>,
    /// The generation that brought them.
    generation: u64,
}

impl Order {
    /// One job does both; a restart reads everything that a reload would.
    fn merge(&mut self, other: Self) {
        self.verb = self.verb.max(other.verb);
        self.secrets.extend(other.secrets);
        self.rollback.extend(other.rollback);
        self.generation = self.generation.max(other.generation);
    }

    fn names(&self) -> String {
        let names: Vec<String> = self
            .secrets
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        names.join(", ")
    }

    fn done(&self) -> &'static str {
        match self.verb {
            Verb::Reload => "reloaded",
            Verb::Restart => "restarted",
            Verb::Revive => "restarted with the values before",
        }
    }
}

type Orders = BTreeMap<String, Order>;

fn add(orders: &mut Orders, unit: String, order: Order) {
    match orders.get_mut(&unit) {
        Some(known) => known.merge(order),
        None => {
            orders.insert(unit, order);
        }
    }
}

/// Asks the service manager for restarts and reloads.
pub(super) struct Units {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    orders: Orders,
    /// The longest that they may be put off.
    jitter: Duration,
}

impl Units {
    /// Starts the task that does it. Must be called on the runtime.
    pub(super) fn start() -> (Self, Troubles) {
        let queue = Arc::new(Queue::default());
        let (sender, told) = mpsc::channel(BATCHES);
        tokio::spawn(work(Arc::clone(&queue), sender));
        let troubles = Troubles {
            queue: Arc::clone(&queue),
            told,
            known: BTreeMap::new(),
        };
        (Self { queue }, troubles)
    }
}

impl AfterSwitch for Units {
    fn after_switch(&self, switched: &Switched<'_>) {
        let mut orders = Orders::new();
        for changed in &switched.units {
            let restarts = changed.restart.iter().map(|unit| (unit, Verb::Restart));
            let reloads = changed.reload.iter().map(|unit| (unit, Verb::Reload));
            for (unit, verb) in restarts.chain(reloads) {
                let secrets = BTreeSet::from([changed.name.to_owned()]);
                let may_return = changed.rollback && verb == Verb::Restart;
                let order = Order {
                    verb,
                    rollback: if may_return {
                        secrets.clone()
                    } else {
                        BTreeSet::new()
                    },
                    secrets,
                    generation: switched.generation,
                };
                add(&mut orders, unit.clone(), order);
            }
        }
        self.queue.push(orders, switched.jitter);
    }
}

impl Queue {
    fn push(&self, orders: Orders, jitter: Duration) {
        if orders.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.jitter = jitter;
        for (unit, order) in orders {
            add(&mut waiting.orders, unit, order);
        }
        self.filled.notify_one();
    }

    fn jitter(&self) -> Duration {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.jitter
    }

    fn take(&self) -> Orders {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut waiting.orders)
    }
}

async fn work(queue: Arc<Queue>, told: mpsc::Sender<Vec<Told>>) {
    let mut pace = Pace::default();
    loop {
        queue.filled.notified().await;
        // What comes meanwhile is done together with it.
        sleep(below(queue.jitter())).await;
        let (orders, held) = pace.admit(queue.take(), &queue);
        if told.send(held).await.is_err() {
            return;
        }
        // A unit that takes its time holds up no other.
        let told = told.clone();
        tokio::spawn(async move {
            // The daemon may be stopping: what was asked for is done all the same.
            let _ = told.send(run(&orders).await).await;
        });
    }
}

/// A random time; none where there is no randomness.
fn below(longest: Duration) -> Duration {
    let mut random = [0; 4];
    match getrandom::fill(&mut random) {
        Ok(()) => longest.mul_f64(f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX)),
        Err(_) => Duration::ZERO,
    }
}

/// How often units were restarted of late.
#[derive(Default)]
struct Pace {
    restarts: HashMap<String, Vec<Instant>>,
    /// Put off until the window has passed.
    held: Arc<Mutex<Orders>>,
}

impl Pace {
    /// What may be done now. The rest comes back by itself, and is told.
    fn admit(&mut self, orders: Orders, queue: &Arc<Queue>) -> (Orders, Vec<Told>) {
        let now = Instant::now();
        self.restarts.retain(|_, times| {
            times.retain(|time| now.duration_since(*time) < WINDOW);
            !times.is_empty()
        });
        let (mut admitted, mut told) = (Orders::new(), Vec::new());
        for (unit, order) in orders {
            let times = self.restarts.entry(unit.clone()).or_default();
            if times.len() < RESTARTS {
                times.push(now);
                admitted.insert(unit, order);
                continue;
            }
            let problem = format!(
                "{unit} was {} {RESTARTS} times within {} s; the next time, for {}, waits",
                order.done(),
                WINDOW.as_secs(),
                order.names()
            );
            if self.hold(&unit, order, queue) {
                tracing::error!(%unit, "{problem}; does the unit itself change the secret?");
                told.push(Told::new(unit, Some(problem)));
            }
        }
        (admitted, told)
    }

    /// Answers whether it was not held before.
    fn hold(&self, unit: &str, order: Order, queue: &Arc<Queue>) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.get_mut(unit) {
            known.merge(order);
            return false;
        }
        held.insert(unit.to_owned(), order);
        let (held, queue, unit) = (Arc::clone(&self.held), Arc::clone(queue), unit.to_owned());
        tokio::spawn(async move {
            sleep(WINDOW).await;
            let order = held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&unit);
            let orders = order.map(|order| (unit, order)).into_iter().collect();
            queue.push(orders, Duration::ZERO);
        });
        true
    }
}

async fn run(orders: &Orders) -> Vec<Told> {
    if orders.is_empty() {
        return Vec::new();
    }
    for (unit, order) in orders {
        let secrets = order.names();
        tracing::info!(%unit, %secrets, "the unit is to be {}", order.done());
    }
    let wanted = orders
        .iter()
        .map(|(unit, order)| (unit.clone(), order.verb));
    match jobs::run(wanted.collect()).await {
        Ok(ends) => ends
            .into_iter()
            .filter_map(|(unit, end)| {
                let order = orders.get(&unit)?;
                tell(unit, order, end)
            })
            .collect(),
        Err(error) => orders
            .iter()
            .filter_map(|(unit, order)| tell(unit.clone(), order, End::Failed(error.clone())))
            .collect(),
    }
}

fn tell(unit: String, order: &Order, end: End) -> Option<Told> {
    let (secrets, done) = (order.names(), order.done());
    match end {
        End::Done => tracing::info!(%unit, "{done}"),
        End::Inactive => tracing::info!(%unit, "not {done}, because it is not active"),
        End::Overtaken => {
            tracing::info!(%unit, "not {done}: somebody stopped or started it");
            // A later job of ours has something to tell.
            return None;
        }
        End::Failed(error) => {
            let hint = error
                .hint
                .map_or(String::new(), |hint| format!(" ({hint})"));
            let problem = format!(
                "{unit} should be {done} for {secrets}: {}{hint}",
                error.message
            );
            tracing::error!(%unit, %secrets, "{problem}");
            let back = Back {
                units: BTreeSet::from([unit.clone()]),
                generation: order.generation,
                secrets: order.rollback.clone(),
            };
            return Some(Told {
                back: Some(back).filter(|back| !back.secrets.is_empty()),
                ..Told::new(unit, Some(problem))
            });
        }
    }
    Some(Told::new(unit, None))
}

impl Told {
    fn new(unit: String, problem: Option<String>) -> Self {
        Self {
            unit,
            problem,
            back: None,
        }
    }
}

/// What is wrong with units, for the status.
pub(super) struct Troubles {
    queue: Arc<Queue>,
    told: mpsc::Receiver<Vec<Told>>,
    /// By unit.
    known: BTreeMap<String, String>,
}

impl Troubles {
    /// Waits for something to be told.
    pub(super) async fn next(&mut self) -> Vec<Told> {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    /// Remembers it, until the unit's next job goes well. Answers what is to return.
    pub(super) fn note(&mut self, told: Vec<Told>) -> Vec<Back> {
        let now = clock::format(SystemTime::now());
        let mut returning: Vec<Back> = Vec::new();
        for Told {
            unit,
            problem,
            back,
        } in told
        {
            match problem {
                Some(problem) => self.known.insert(unit, format!("{problem}, {now}")),
                None => self.known.remove(&unit),
            };
            let Some(back) = back else { continue };
            let same = |other: &&mut Back| other.generation == back.generation;
            match returning.iter_mut().find(same) {
                Some(other) => {
                    other.units.extend(back.units);
                    other.secrets.extend(back.secrets);
                }
                None => returning.push(back),
            }
        }
        returning
    }

    /// The values before are in place again: the units are started with them, whatever has become of them, and the others
    /// that use them are restarted.
    pub(super) fn revive(&self, back: &Back, others: &BTreeSet<String>) {
        let order = |verb| Order {
            verb,
            secrets: back.secrets.clone(),
            // Once is enough.
            rollback: BTreeSet::new(),
            generation: back.generation,
        };
        let mut orders = Orders::new();
        for unit in others {
            add(&mut orders, unit.clone(), order(Verb::Restart));
        }
        for unit in &back.units {
            add(&mut orders, unit.clone(), order(Verb::Revive));
        }
        self.queue.push(orders, Duration::ZERO);
    }

    /// Does now what is put off: the next daemon would know nothing of it.
    pub(super) async fn finish(&self) {
        let _ = timeout(FINISH, run(&self.queue.take())).await;
    }

    /// One line for each.
    pub(super) fn lines(&self) -> impl Iterator<Item = &String> {
        self.known.values()
    }
}
