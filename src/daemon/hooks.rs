//! What happens after a switch: `on-change` commands. Restarting units will be one more [`AfterSwitch`].
//!
//! Commands run one after another, each in a process group of its own, with a time limit and without our environment. A
//! command that waits already is not queued twice, so that the queue never grows beyond the configuration. What a command
//! prints is logged: it is the operator's, and must not print what it reads from delivered files.

use std::{
    collections::VecDeque,
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
}

/// What the switch has brought.
pub(super) struct Switched<'a> {
    /// Commands of the secrets and templates whose content changed, in the order of their names.
    pub(super) on_change: Vec<&'a [String]>,
}

/// Runs `on-change` commands.
pub(super) struct Commands {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Vec<String>>>,
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
                    Some(command) => run(&command).await,
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
            self.queue.push(command);
        }
    }
}

impl Queue {
    fn push(&self, command: &[String]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|other| other == command) {
            waiting.push_back(command.to_vec());
            self.filled.notify_one();
        }
    }

    fn pop(&self) -> Option<Vec<String>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}

async fn run(command: &[String]) {
    let Some((program, arguments)) = command.split_first() else {
        return;
    };
    tracing::info!(%program, "running an on-change command");
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(%program, %error, "cannot run an on-change command");
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
        Some(status) => tracing::error!(%program, %status, "an on-change command failed"),
        None => tracing::error!(%program, "lost an on-change command"),
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
    tracing::error!(%program, limit = ?RUN, "ending an on-change command that takes too long");
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
