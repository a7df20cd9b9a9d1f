//! Units are restarted and reloaded: one job each, all at once, as the manager knows in which order they must run. What came
//! of each is told, also when a unit ends right after its job went well.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use zbus::OwnedObjectPath;

use super::bus::Bus;
use crate::error::{Error, Result};

/// How long a job may take before nobody waits for it any more: a service may take its time to stop and to start.
const JOB: Duration = Duration::from_secs(600);
/// How long a unit must live after its job. Most services are started before they have read their secrets.
const SETTLE: Duration = Duration::from_secs(2);
/// How often is looked meanwhile.
const STEP: Duration = Duration::from_millis(100);
/// Of a service; other kinds of units have `Result` as well.
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// What to do with a unit.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Verb {
    Reload,
    Restart,
    /// Also where it is not active: it has failed because of us.
    Revive,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum End {
    Done,
    /// Somebody else wanted something else of the unit meanwhile.
    Overtaken,
    /// It is not active, so that there is nothing to do.
    Inactive,
    Failed(Error),
}

/// Does all of it and waits for the ends. An error is about all of them: nothing was done.
pub(crate) async fn run(orders: Vec<(String, Verb)>) -> Result<Vec<(String, End)>> {
    let bus = Arc::new(Bus::connect().await?);
    let mut running = JoinSet::new();
    for (unit, verb) in orders {
        let bus = Arc::clone(&bus);
        running.spawn(async move {
            let end = one(&bus, &unit, verb).await.unwrap_or_else(End::Failed);
            (unit, end)
        });
    }
    Ok(running.join_all().await)
}

async fn one(bus: &Bus, unit: &str, verb: Verb) -> Result<End> {
    let path: OwnedObjectPath = bus.manager("LoadUnit", &(unit,)).await?;
    match bus.state(&path, "LoadState").await.as_str() {
        "loaded" => {}
        "" => return Err(failed("the service manager does not answer")),
        "not-found" => return Err(failed("there is no such unit")),
        state => return Err(failed(format!("the unit cannot be used: it is {state}"))),
    }
    let state = bus.state(&path, "ActiveState").await;
    let is_active = !matches!(state.as_str(), "inactive" | "failed" | "deactivating");
    if !is_active && verb != Verb::Revive {
        return Ok(End::Inactive);
    }
    let method = match verb {
        Verb::Reload => "ReloadUnit",
        // One that was stopped just now stays so.
        Verb::Restart => "TryRestartUnit",
        Verb::Revive => "RestartUnit",
    };
    let job: OwnedObjectPath = bus.manager(method, &(unit, "replace")).await?;
    let Ok(end) = timeout(JOB, bus.end(&job)).await else {
        return Err(failed(format!(
            "it was not done within {} s",
            JOB.as_secs()
        )));
    };
    match end.as_deref() {
        Some("done") => settle(bus, &path).await,
        Some("canceled") => Ok(End::Overtaken),
        // systemd calls a start `skipped` whose condition does not hold.
        Some("skipped") => Ok(End::Done),
        Some("dependency") => Err(failed("a unit that it requires did not start")),
        Some("timeout") => Err(failed("it took too long")),
        Some(_) => Err(ended(bus, &path, "").await),
        None => Err(failed("the connection to the service manager was lost")),
    }
}

/// Watches whether the unit lives.
async fn settle(bus: &Bus, unit: &OwnedObjectPath) -> Result<End> {
    let end = Instant::now() + SETTLE;
    loop {
        let state = bus.state(unit, "ActiveState").await;
        // What is to be started again by itself has failed, too.
        let is_retried = bus.state(unit, "SubState").await == "auto-restart";
        if state == "failed" || is_retried {
            return Err(ended(bus, unit, "right after it was started: ").await);
        }
        if Instant::now() >= end {
            return Ok(End::Done);
        }
        sleep(STEP).await;
    }
}

/// How the unit ended, in systemd's words.
async fn ended(bus: &Bus, unit: &OwnedObjectPath, when: &str) -> Error {
    let result = bus.property(unit, SERVICE, "Result").await;
    failed(match result.as_str() {
        "" | "success" => format!("{when}the unit failed"),
        result => format!("{when}the unit failed ({result})"),
    })
}

fn failed(why: impl Into<String>) -> Error {
    Error::new("unit-failed", why)
}
