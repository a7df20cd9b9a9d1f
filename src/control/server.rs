//! The server: an accept loop with limits, and one task for each connection, so that a call that takes long delays
//! nobody else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

use super::{
    Readers,
    calls::{Method, error_reply, method, reply},
    codec::{Ended, Frames, send},
    incoming::Incoming,
    peer::{Access, Peer},
    protocol::{
        Call, INTERFACE, Listing, Pending, Planned, Refused, Rekeyed, Reloaded, State, Status,
        WaitFor, Waited,
    },
    socket::ControlSocket,
    unlock::{LockRequest, UnlockRequest},
};
use crate::error::{Error, Result};

/// Connections at one time.
const CONNECTIONS: usize = 64;
/// Connections of one user other than root at one time.
const CONNECTIONS_PER_USER: usize = 8;
/// Of all connections, those that only root can have.
const RESERVED_FOR_ROOT: usize = 8;
/// Rest after an accept that failed because the system is short of descriptors or memory.
const ACCEPT_REST: Duration = Duration::from_secs(1);

/// What the daemon shows: a copy of its state, made when it changes and never locked while it is read.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) status: Status,
    pub(crate) listing: Arc<Listing>,
    pub(crate) pending: Arc<Pending>,
}

/// What a reload came to.
#[derive(Debug)]
pub(crate) enum ReloadResult {
    /// Delivered, perhaps with degraded secrets.
    Delivered(Reloaded),
    /// The delivery as a whole failed.
    Failed(Error),
    /// The configuration on disk cannot be used.
    Refused(Error),
}

/// A wish to look again, and where to say what came of it.
pub(crate) type ReloadRequest = oneshot::Sender<ReloadResult>;

/// A wish about re-keying, and where to say what came of it.
#[derive(Debug)]
pub(crate) enum RekeyRequest {
    /// Look again, and unless it is a dry run, do what nobody has to approve.
    Plan {
        dry_run: bool,
        sender: oneshot::Sender<Result<Planned>>,
    },
    /// Do what has this name.
    Approve(String, oneshot::Sender<Result<Rekeyed>>),
}

/// How the server reaches the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    pub(crate) state: watch::Receiver<Snapshot>,
    pub(crate) reload: mpsc::Sender<ReloadRequest>,
    pub(crate) rekey: mpsc::Sender<RekeyRequest>,
    pub(crate) unlock: mpsc::Sender<UnlockRequest>,
    pub(crate) lock: mpsc::Sender<LockRequest>,
}

/// Serves `socket` until the process ends, on a thread of its own. Peers can pass on open files whose closing takes as long
/// as they like (a connection that lingers, a file of FUSE), and the kernel closes them in the thread that reads or that
/// lets go of the connection: deliveries must not wait for it.
pub(crate) fn start(socket: &ControlSocket, daemon: Daemon) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(
            "control-socket",
            format!("cannot serve the control socket: {error}"),
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (listener, readers) = {
        let _entered = runtime.enter();
        socket.listener().map_err(failed)?
    };
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || runtime.block_on(accept(listener, readers, daemon)))
        .map(drop)
        .map_err(failed)
}

async fn accept(listener: UnixListener, readers: Readers, daemon: Daemon) {
    let open = Arc::new(OpenConnections::default());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on the control socket");
                sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let Ok(peer) = Peer::of(&stream, readers) else {
            continue;
        };
        let Some(seat) = Seat::take(&open, peer) else {
            tracing::debug!(uid = peer.uid, "refused a connection over the limit");
            turn_away(&stream);
            continue;
        };
        let daemon = daemon.clone();
        tokio::spawn(async move {
            let ended = Connection::new(stream, peer, daemon).serve().await;
            tracing::debug!(uid = peer.uid, %ended,
                "connection to the control socket ended"
            );
            drop(seat);
        });
    }
}

/// Says why, if that costs no time, and closes.
fn turn_away(stream: &UnixStream) {
    let mut frame = error_reply(&format!("{INTERFACE}.TooManyConnections"), json!({}))
        .to_string()
        .into_bytes();
    frame.push(0);
    // A peer that cannot take a hundred bytes gets none.
    let _ = stream.try_write(&frame);
}

#[derive(Default)]
struct OpenConnections(Mutex<BTreeMap<u32, usize>>);

/// One connection's place among those that are allowed.
struct Seat {
    open: Arc<OpenConnections>,
    uid: u32,
}

impl Seat {
    fn take(open: &Arc<OpenConnections>, peer: Peer) -> Option<Self> {
        let mut seats = open.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = seats.values().sum();
        let own = seats.get(&peer.uid).copied().unwrap_or_default();
        let free = if peer.is_root() {
            all < CONNECTIONS
        } else {
            all < CONNECTIONS - RESERVED_FOR_ROOT && own < CONNECTIONS_PER_USER
        };
        if !free {
            return None;
        }
        seats.insert(peer.uid, own + 1);
        Some(Self {
            open: Arc::clone(open),
            uid: peer.uid,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = seats.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                seats.remove(&self.uid);
            }
        }
    }
}

pub(super) struct Connection {
    pub(super) frames: Frames<Incoming>,
    pub(super) writer: OwnedWriteHalf,
    peer: Peer,
    pub(super) daemon: Daemon,
}

impl Connection {
    fn new(stream: UnixStream, peer: Peer, daemon: Daemon) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            frames: Frames::new(Incoming::new(reader)),
            writer,
            peer,
            daemon,
        }
    }

    async fn serve(mut self) -> Ended {
        loop {
            if let Err(ended) = self.serve_one().await {
                return ended;
            }
        }
    }

    async fn serve_one(&mut self) -> Result<(), Ended> {
        let frame = self.frames.next().await?;
        let call: Call =
            serde_json::from_slice(&frame).map_err(|error| Ended::Failed(error.into()))?;
        drop(frame);
        let reply = match method(&call) {
            Ok(Method::Answer(reply)) => reply,
            Ok(Method::Status) => self.read(|snapshot| json!(snapshot.status)),
            Ok(Method::List) => self.read(|snapshot| json!(*snapshot.listing)),
            Ok(Method::Pending) => self.read(|snapshot| json!(*snapshot.pending)),
            Ok(Method::Plan(plan)) => {
                let dry_run = plan.dry_run;
                self.rekey(|sender| RekeyRequest::Plan { dry_run, sender })
                    .await?
            }
            Ok(Method::Approve(wanted)) => {
                let id = wanted.id;
                self.rekey(|sender| RekeyRequest::Approve(id, sender))
                    .await?
            }
            Ok(Method::Reload) => self.reload().await?,
            Ok(Method::Lock(wanted)) => self.lock(wanted).await?,
            Ok(Method::Unlock(wanted)) => self.unlock(wanted, call.more && !call.oneway).await?,
            Ok(Method::Wait(wanted)) => self.wait(wanted, call.more && !call.oneway).await?,
            Err(reply) => reply,
        };
        if call.oneway {
            return Ok(());
        }
        send(&mut self.writer, &reply).await
    }

    /// What the peer has passed on with its call.
    pub(super) fn take_passed(&mut self) -> Option<std::os::fd::OwnedFd> {
        self.frames.stream_mut().take_passed()
    }

    fn read(&self, view: impl FnOnce(&Snapshot) -> Value) -> Value {
        self.refusal(Access::Read)
            .unwrap_or_else(|| reply(view(&self.daemon.state.borrow()), false))
    }

    async fn reload(&mut self) -> Result<Value, Ended> {
        if let Some(refusal) = self.refusal(Access::Change) {
            return Ok(refusal);
        }
        let daemon = self.daemon.reload.clone();
        Ok(match self.ask(daemon, |sender| sender).await? {
            Some(ReloadResult::Delivered(reloaded)) => reply(json!(reloaded), false),
            Some(ReloadResult::Refused(error)) => error_reply(
                &format!("{INTERFACE}.ConfigurationRefused"),
                json!(Refused::from(&error)),
            ),
            Some(ReloadResult::Failed(error)) => error_reply(
                &format!("{INTERFACE}.DeliveryFailed"),
                json!(Refused::from(&error)),
            ),
            None => error_reply(
                &format!("{INTERFACE}.DeliveryFailed"),
                json!({ "message": "the daemon is stopping" }),
            ),
        })
    }

    async fn rekey<T: Serialize>(
        &mut self,
        request: impl FnOnce(oneshot::Sender<Result<T>>) -> RekeyRequest,
    ) -> Result<Value, Ended> {
        if let Some(refusal) = self.refusal(Access::Change) {
            return Ok(refusal);
        }
        let daemon = self.daemon.rekey.clone();
        let error = match self.ask(daemon, request).await? {
            Some(Ok(done)) => return Ok(reply(json!(done), false)),
            Some(Err(error)) => json!(Refused::from(&error)),
            None => json!({ "message": "the daemon is stopping" }),
        };
        Ok(error_reply(&format!("{INTERFACE}.RekeyRefused"), error))
    }

    /// What the daemon answers to a request; nothing when it stops.
    pub(super) async fn ask<R, T>(
        &mut self,
        daemon: mpsc::Sender<R>,
        request: impl FnOnce(oneshot::Sender<T>) -> R,
    ) -> Result<Option<T>, Ended> {
        let (sender, receiver) = oneshot::channel();
        let request = request(sender);
        let answer = async move {
            daemon.send(request).await.ok()?;
            receiver.await.ok()
        };
        tokio::select! {
            answer = answer => Ok(answer),
            ended = self.frames.gone() => Err(ended),
        }
    }

    async fn wait(&mut self, wanted: WaitFor, more: bool) -> Result<Value, Ended> {
        if let Some(refusal) = self.refusal(Access::Read) {
            return Ok(refusal);
        }
        let deadline = wanted
            .timeout
            .and_then(|timeout| Instant::now().checked_add(Duration::from_millis(timeout)));
        let names: BTreeSet<String> = wanted.names.into_iter().collect();
        let mut state = self.daemon.state.clone();
        let mut shown = None;
        loop {
            let waited = Waited::of(&names, &state.borrow_and_update());
            if waited.waiting.is_empty() {
                return Ok(reply(json!(waited), false));
            }
            if more && shown.as_ref() != Some(&waited) {
                send(&mut self.writer, &reply(json!(waited), true)).await?;
            }
            let changed = async {
                match deadline {
                    Some(deadline) => timeout_at(deadline, state.changed()).await.is_ok(),
                    None => state.changed().await.is_ok(),
                }
            };
            let changed = tokio::select! {
                changed = changed => changed,
                ended = self.frames.gone() => return Err(ended),
            };
            if !changed {
                return Ok(reply(json!(waited), false));
            }
            shown = Some(waited);
        }
    }

    pub(super) fn refusal(&self, needed: Access) -> Option<Value> {
        if self.peer.access >= needed {
            return None;
        }
        tracing::info!(
            uid = self.peer.uid,
            ?needed,
            "refused a call on the control socket"
        );
        let message = match needed {
            Access::Change => "only root and the daemon's user may do this",
            _ => "only root, the daemon's user and the group of socket.readers may do this",
        };
        Some(error_reply(
            &format!("{INTERFACE}.PermissionDenied"),
            json!({ "message": message }),
        ))
    }
}

impl Waited {
    /// Which of `names` (none: all secrets) are not settled.
    fn of(names: &BTreeSet<String>, snapshot: &Snapshot) -> Self {
        let starting = snapshot.status.state == State::Starting;
        let secrets = &snapshot.listing.secrets;
        let known: BTreeSet<&str> = secrets.iter().map(|secret| &*secret.name).collect();
        let waiting = match (starting, names.is_empty()) {
            // Before the first delivery nobody knows the names.
            (true, true) => vec!["*".to_owned()],
            (true, false) => names.iter().cloned().collect(),
            (false, _) => {
                let unknown = |name: &&String| !known.contains(name.as_str());
                names.iter().filter(unknown).cloned().collect()
            }
        };
        let asked = |name: &str| names.is_empty() || names.contains(name);
        let degraded = snapshot.status.degraded.iter();
        Self {
            waiting,
            degraded: degraded
                .filter(|secret| asked(&secret.name))
                .cloned()
                .collect(),
        }
    }
}
