//! The credentials socket: `LoadCredential=NAME:/run/secretsd/credentials` in a unit gets it the secret that it may have.
//!
//! Nothing is asked in words: the service manager connects from an address in which the unit and the credential stand, and
//! reads until the end. It takes an end without bytes for an empty credential and starts the unit. So a refusal is an
//! answer that no credential can be, one over systemd's limit of size: the start fails then (`243/CREDENTIALS`). What is left
//! is an end of the daemon between accepting and answering; therefore nothing is accepted before the first delivery, what
//! waits for a missing secret is refused when the daemon stops, and answers are read before a byte is written.

use std::{
    collections::BTreeMap,
    io,
    os::unix::{fs::FileTypeExt as _, net::UnixListener as StdListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::asker::Asker;
use crate::{
    error::{Error, Result},
    files::{self, ReadLimit},
    secret::Secret,
};

/// Bytes of a credential and its name: systemd's limit.
const SIZE: u64 = 1 << 20;
/// How long a missing secret is waited for. Units give up after 90 s by themselves, and say less about it.
const WAIT: Duration = Duration::from_secs(60);
/// How long the service manager may take to read.
const WRITE: Duration = Duration::from_secs(30);
/// Connections at one time; more wait in the socket's queue.
const CONNECTIONS: usize = 512;
/// Rest after an accept that failed because the system is short of descriptors or memory.
const REST: Duration = Duration::from_secs(1);
/// How long answers may take when the daemon stops.
const STOP: Duration = Duration::from_secs(5);

/// Who may have what, and whether it is there. Sent anew after each delivery.
#[derive(Clone, Debug, Default)]
pub(crate) struct Granted {
    /// The first delivery is over.
    pub(crate) is_ready: bool,
    /// Delivered files, by unit and credential. A file that is not there is a secret that is missing.
    pub(crate) files: Arc<BTreeMap<String, BTreeMap<String, PathBuf>>>,
}

impl Granted {
    fn file(&self, asker: &Asker) -> Option<&Path> {
        let of_unit = |unit: &str| self.files.get(unit)?.get(&asker.credential);
        let exactly = of_unit(&asker.unit);
        let file = exactly.or_else(|| of_unit(&asker.template()?));
        file.map(PathBuf::as_path)
    }
}

/// The server; it must be [stopped](Self::stop), or units that wait would start with nothing.
pub(crate) struct Credentials {
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

impl Credentials {
    /// Serves `listener`. Must be called on the runtime.
    pub(crate) fn start(listener: StdListener, granted: watch::Receiver<Granted>) -> Result<Self> {
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener))
            .map_err(|error| {
                Error::new(
                    "credentials-socket",
                    format!("cannot serve the credentials socket: {error}"),
                )
            })?;
        let (stop, stopping) = watch::channel(false);
        Ok(Self {
            stop,
            server: tokio::spawn(serve(listener, granted, stopping)),
        })
    }

    /// Ends it; whoever waits is refused.
    pub(crate) async fn stop(self) {
        // Where nobody listens any more, there is nobody to refuse.
        let _ = self.stop.send(true);
        let _ = timeout(STOP, self.server).await;
    }
}

/// A socket that we bound; dropping this removes it.
#[derive(Debug)]
pub(crate) struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        // The next start replaces what cannot be removed.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds the socket where the service manager has not. It lies beside the control socket, whose directory and lock have
/// been looked after.
pub(crate) fn bind(path: &Path) -> Result<(StdListener, Bound)> {
    let failed = |error: io::Error| {
        let message = format!("cannot make the credentials socket: {error}");
        Error::new("credentials-socket", message).with_file(path)
    };
    // One that an earlier run left.
    let is_socket = |metadata: std::fs::Metadata| metadata.file_type().is_socket();
    if std::fs::symlink_metadata(path).is_ok_and(is_socket) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    // Who connects before the mode is set is refused by number.
    let listener = StdListener::bind(path).map_err(failed)?;
    let bound = Bound(path.to_owned());
    rustix::fs::chmod(path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .map_err(|error| failed(error.into()))?;
    Ok((listener, bound))
}

async fn serve(
    listener: UnixListener,
    mut granted: watch::Receiver<Granted>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut answers = JoinSet::new();
    let ready = async {
        // The main loop has gone: the end is near.
        let _ = granted.wait_for(|granted| granted.is_ready).await;
    };
    tokio::select! {
        () = ready => {}
        _ = stopping.wait_for(|stop| *stop) => return,
    }
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            Some(_) = answers.join_next() => continue,
            accepted = listener.accept(), if answers.len() < CONNECTIONS => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                answers.spawn(answer(stream, granted.clone(), stopping.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on the credentials socket");
                sleep(REST).await;
            }
        }
    }
    while answers.join_next().await.is_some() {}
}

async fn answer(
    mut stream: UnixStream,
    granted: watch::Receiver<Granted>,
    stopping: watch::Receiver<bool>,
) {
    let content = match Asker::of(&stream) {
        Ok(asker) => hand_out(&asker, granted, stopping).await,
        Err(error) => {
            tracing::warn!("refused a connection to the credentials socket: {error}");
            refusal()
        }
    };
    let written = timeout(WRITE, async {
        stream.write_all(content.expose()).await?;
        stream.shutdown().await
    });
    match written.await {
        Ok(Ok(())) => {}
        // It has read what it needs to know of a refusal.
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot answer on the credentials socket"),
        Err(_) => tracing::warn!("an answer on the credentials socket was not read in time"),
    }
}

/// What is to be answered.
async fn hand_out(
    asker: &Asker,
    granted: watch::Receiver<Granted>,
    stopping: watch::Receiver<bool>,
) -> Secret {
    let Asker { unit, credential } = asker;
    match find(asker, granted, stopping).await {
        Ok(content) => {
            tracing::debug!(%unit, %credential, "a credential is handed out");
            content
        }
        Err(error) => {
            tracing::error!(%unit, %credential, "the credential is refused, and the unit does not start: {error}");
            refusal()
        }
    }
}

/// The secret, which is waited for.
async fn find(
    asker: &Asker,
    mut granted: watch::Receiver<Granted>,
    mut stopping: watch::Receiver<bool>,
) -> Result<Secret> {
    let deadline = Instant::now() + WAIT;
    loop {
        let file = granted.borrow_and_update().file(asker).map(Path::to_owned);
        let Some(file) = file else {
            let message = "`credentials` gives this unit no credential of this name";
            return Err(Error::new("not-granted", message));
        };
        match read(&file, &asker.credential) {
            Err(error) if error.code == "file-missing" => {}
            read => return read,
        }
        let news = tokio::select! {
            news = timeout_at(deadline, granted.changed()) => news.is_ok_and(|news| news.is_ok()),
            _ = stopping.wait_for(|stop| *stop) => false,
        };
        if !news {
            let message = "its secret is not delivered; secretsctl status tells why";
            return Err(Error::new("missing", message));
        }
    }
}

fn read(file: &Path, credential: &str) -> Result<Secret> {
    let limit = ReadLimit {
        name: "of a credential",
        bytes: SIZE.saturating_sub(credential.len() as u64),
    };
    let content = files::read_regular(file, limit)?;
    if content.is_empty() {
        let message = "its secret is empty, which a unit could not tell from a missing one";
        return Err(Error::new("empty", message));
    }
    Ok(content)
}

/// More than a credential may be.
fn refusal() -> Secret {
    Secret::new(vec![0; (SIZE as usize) + 4096])
}
