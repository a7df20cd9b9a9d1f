//! What happens after a switch: `on-change` commands; and after a re-key: the `on-rekey` command. Restarting units is
//! another [`AfterSwitch`], in [`units`](super::units).
//!
//! Commands run one after another, each in a process group of its own, with a time limit and without our environment. A
//! command that waits already is not queued twice, so that the queue never grows beyond the configuration. What a command
//! prints is logged: it is the operator's, and must not print what it reads from delivered files.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    sync::Notify,
    time::timeout,
};

use crate::delivery::Report;

/// How long a command may run.
const RUN: Duration = Duration::from_secs(60);
/// How long it then has to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is awaited from what a command left behind.
const LINGER: Duration = Duration::from_millis(500);
/// Bytes of a command's output that are logged.
const OUTPUT: usize = 16 << 10;
/// Where programs named without a directory are looked for.
const PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";

/// Something to do when a generation is in place.
pub(super) trait AfterSwitch {
    /// Must not block; work that takes time is queued.
    fn after_switch(&self, switched: &Switched<'_>);

    /// Files were re-keyed. Must not block, either.
    fn after_rekey(&self, _: &Rekeyed<'_>) {}
}

/// What is to be done when files were re-keyed.
pub(super) struct Rekeyed<'a> {
    /// Empty: nothing.
    pub(super) command: &'a [String],
    pub(super) repository: &'a Path,
}

/// What the switch has brought.
pub(super) struct Switched<'a> {
    /// Commands of the secrets and templates whose content changed, in the order of their names.
    pub(super) on_change: Vec<&'a [String]>,
    /// What has changed (content, owner or mode) and has units.
    pub(super) units: Vec<Affected<'a>>,
    /// The number of the generation in place.
    pub(super) generation: u64,
    /// The longest time that units may be put off by.
    pub(super) jitter: Duration,
}

impl<'a> Switched<'a> {
    /// What a delivery that has switched asks for. `jitter`: the longest time that units may be put off by.
    pub(super) fn of(report: &'a Report, jitter: Duration) -> Self {
        let is_in = |names: &[Arc<str>], name: &str| {
            let found = names.binary_search_by(|other| (**other).cmp(name));
            found.is_ok()
        };
        let is_changed = |name: &str| is_in(&report.changed, name);
        let secrets = report.secrets.iter();
        Self {
            on_change: secrets
                .clone()
                .filter(|secret| !secret.on_change.is_empty())
                .filter(|secret| is_changed(&secret.name))
                .map(|secret| secret.on_change.as_slice())
                .collect(),
            units: secrets
                .filter(|secret| {
                    !secret.restart_units.is_empty() || !secret.reload_units.is_empty()
                })
                .filter(|secret| {
                    is_changed(&secret.name) || is_in(&report.given_away, &secret.name)
                })
                .map(|secret| Affected {
                    name: &secret.name,
                    restart: &secret.restart_units,
                    reload: &secret.reload_units,
                    rollback: secret.rollback,
                })
                .collect(),
            generation: report.generation,
            jitter,
        }
    }
}

/// A secret or template that has changed, and the units that use it.
pub(super) struct Affected<'a> {
    pub(super) name: &'a str,
    pub(super) restart: &'a [String],
    pub(super) reload: &'a [String],
    /// Whether the value before returns when a unit fails.
    pub(super) rollback: bool,
}

/// A command, and where it runs.
#[derive(PartialEq)]
struct Order {
    /// The key of the configuration, for messages.
    key: &'static str,
    command: Vec<String>,
    directory: PathBuf,
}

/// Runs commands of the configuration.
pub(super) struct Commands {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Order>>,
    filled: Notify,
}

impl Commands {
    /// Starts the task that runs them. Must be called on the runtime.
    pub(super) fn start() -> Self {
        let queue = Arc::new(Queue::default());
        let served = Arc::clone(&queue);
        tokio::spawn(async move {
            loop {
                match served.pop() {
                    Some(order) => run(&order).await,
                    None => served.filled.notified().await,
                }
            }
        });
        Self { queue }
    }
}

impl AfterSwitch for Commands {
    fn after_switch(&self, switched: &Switched<'_>) {
        for command in &switched.on_change {
            self.queue.push(Order {
                key: "on-change",
                command: command.to_vec(),
                directory: PathBuf::from("/"),
            });
        }
    }

    fn after_rekey(&self, rekeyed: &Rekeyed<'_>) {
        if !rekeyed.command.is_empty() {
            self.queue.push(Order {
                key: "on-rekey",
                command: rekeyed.command.to_vec(),
                directory: rekeyed.repository.to_owned(),
            });
        }
    }
}

impl Queue {
    fn push(&self, order: Order) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.contains(&order) {
            waiting.push_back(order);
            self.filled.notify_one();
        }
    }

    fn pop(&self) -> Option<Order> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}

async fn run(order: &Order) {
    let Some((program, arguments)) = order.command.split_first() else {
        return;
    };
    let key = order.key;
    tracing::info!(%program, "running the {key} command");
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir(&order.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(%program, %error, "cannot run the {key} command");
            return;
        }
    };
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let output = async { tokio::join!(log_output(program, stdout), log_output(program, stderr)) };
    tokio::pin!(output);
    let status = {
        let ended = wait(program, &mut child);
        tokio::pin!(ended);
        tokio::select! {
            status = &mut ended => {
                // What it left running may hold the streams open for ever.
                let _ = timeout(LINGER, output).await;
                status
            }
            _ = &mut output => ended.await,
        }
    };
    match status {
        Some(status) if status.success() => (),
        Some(status) => tracing::error!(%program, %status, "the {key} command failed"),
        None => tracing::error!(%program, "lost the {key} command"),
    }
}

/// Waits for the end of `child`, and brings it about when it takes too long.
async fn wait(program: &str, child: &mut Child) -> Option<ExitStatus> {
    let group = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Ok(status) = timeout(RUN, child.wait()).await {
        return status.ok();
    }
    tracing::error!(%program, limit = ?RUN, "ending a command that takes too long");
    for signal in [Signal::TERM, Signal::KILL] {
        if let Some(group) = group {
            // It may have ended just now.
            let _ = rustix::process::kill_process_group(group, signal);
        }
        if let Ok(status) = timeout(GRACE, child.wait()).await {
            return status.ok();
        }
    }
    None
}

/// Logs what comes, line by line, up to [`OUTPUT`] bytes. The rest is read and dropped, so that nobody blocks.
async fn log_output(program: &str, stream: Option<impl AsyncRead + Unpin>) {
    let Some(mut stream) = stream else { return };
    let mut line = Vec::new();
    let mut room = OUTPUT;
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        for &byte in chunk.get(..count).unwrap_or_default() {
            if room == 0 {
                continue;
            }
            room -= 1;
            if byte != b'\n' {
                line.push(byte);
            }
            if byte == b'\n' || room == 0 {
                log_line(program, &std::mem::take(&mut line));
            }
            if room == 0 {
                tracing::warn!(%program, limit = OUTPUT, "dropping the rest of the command's output");
            }
        }
    }
    log_line(program, &line);
}

fn log_line(program: &str, line: &[u8]) {
    if !line.is_empty() {
        tracing::info!(%program, "{}", String::from_utf8_lossy(line));
    }
}
