//! From the configuration to a running daemon.

use std::{os::unix::net::UnixListener, path::Path, time::Duration};

use super::{args::Source, log, once, run::Daemon, worker::Worker};
use crate::{
    config::Config,
    control::{Readers, server, socket::ControlSocket},
    delivery::Owners,
    error::{Error, Result},
    files::{self, Trust},
    output::{Outcome, Output},
    systemd::{
        activation::Passed,
        credentials::{self, Bound, Credentials},
    },
};

/// How long an idle thread for blocking work is kept: a burst of changes uses it again, then it must not cost memory.
const KEEP_THREAD: Duration = Duration::from_secs(2);

/// Runs in the foreground until it is told to stop. An error is about the start, when nothing runs yet.
pub(super) fn serve(source: Source, remove_on_exit: bool, output: &mut Output) -> Result<Outcome> {
    let config = once::load(&source, output)?;
    let log = log::start(config.log);
    let passed = Passed::take()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // One job runs at a time.
        .max_blocking_threads(1)
        .thread_keep_alive(KEEP_THREAD)
        .build()
        .map_err(|error| Error::new("internal", format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(async {
        // Before anything is touched: a second daemon is refused here or by the lock on the runtime directory.
        let socket = control_socket(&config, passed.control)?;
        let worker = Worker::new(source, config, log)?;
        let listener = credentials_socket(&worker.config, passed.credentials)?;
        let (mut daemon, handles) = Daemon::new(worker);
        let credentials = match listener {
            Some((listener, bound)) => {
                Some((Credentials::start(listener, daemon.granted())?, bound))
            }
            None => None,
        };
        server::start(&socket, handles)?;
        let result = daemon.run().await;
        if let Some((credentials, _bound)) = credentials {
            credentials.stop().await;
        }
        // Nobody may still be told of a daemon that is going.
        drop(socket);
        result?;
        daemon.stop(remove_on_exit).await
    });
    // A job that does not end must not keep the process.
    runtime.shutdown_background();
    result.map(|()| Outcome::Fine)
}

/// The one that the service manager has opened, where it has.
fn control_socket(config: &Config, passed: Option<UnixListener>) -> Result<ControlSocket> {
    let path = &config.socket.path;
    let readers = readers(config)?;
    match passed {
        Some(listener) => ControlSocket::adopt(listener, path, readers),
        None => {
            refuse_unsafe_way(path)?;
            ControlSocket::bind(path, readers)
        }
    }
}

/// The one that the service manager has opened; else one beside the control socket. Where no unit may have anything, it is no
/// harm that there is none.
fn credentials_socket(
    config: &Config,
    passed: Option<UnixListener>,
) -> Result<Option<(UnixListener, Option<Bound>)>> {
    if let Some(listener) = passed {
        return Ok(Some((listener, None)));
    }
    match credentials::bind(&config.socket.path.with_file_name("credentials")) {
        Ok((listener, bound)) => Ok(Some((listener, Some(bound)))),
        Err(error) if config.credentials.is_empty() => {
            tracing::debug!("{error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The directory of the socket itself is judged where it is bound; here, who could replace it or what leads to it.
fn refuse_unsafe_way(socket: &Path) -> Result<()> {
    let Some(nearest) = socket.ancestors().skip(1).find(|way| way.exists()) else {
        return Ok(());
    };
    match files::trust_to_make_in(nearest)? {
        Trust::Untrusted(reason) => Err(Error::new(
            "control-socket",
            format!("others could replace the control socket: {reason}"),
        )
        .with_file(socket)
        .with_hint("choose a directory that only root and secretsd's user can change")),
        Trust::Trusted | Trust::ReadOnly => Ok(()),
    }
}

fn readers(config: &Config) -> Result<Readers> {
    match &config.socket.readers {
        Some(group) => Owners::default().group(group).map(Readers::Group),
        None => Ok(Readers::Nobody),
    }
}
