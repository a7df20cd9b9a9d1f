//! Ctrl-C while a plugin runs. The plugin has a process group of its own, which the terminal's signal does not reach:
//! without this it would outlive us, with a card in its hands. While files are changed the signals wait.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::Context;
use crate::{
    error::{Error, Result},
    identity::{Cancel, Identities},
};

/// As a shell counts it.
const INTERRUPTED: i32 = 130;
/// How long the main thread may take to end its plugin.
const GRACE: Duration = Duration::from_millis(500);

/// The identities of the command line, whose plugins end with us.
pub(super) fn identities(context: &Context) -> Result<Identities> {
    let cancel = Cancel::new()?;
    let identities = Identities::of_operator(&context.global.identities, cancel.clone())?;
    if identities
        .iter()
        .any(|identity| identity.plugin().is_some())
    {
        watch(cancel, Arc::default())?;
    }
    Ok(identities)
}

/// The identities of the command line, for a command that changes files: it is told of an interruption, and ends at a
/// place where every file is whole.
pub(super) fn identities_to_change(context: &Context) -> Result<(Identities, Arc<Stop>)> {
    let cancel = Cancel::new()?;
    let identities = Identities::of_operator(&context.global.identities, cancel.clone())?;
    let stop = Arc::<Stop>::default();
    watch(cancel, stop.clone())?;
    Ok((identities, stop))
}

/// An interruption that was asked for.
#[derive(Default)]
pub(super) struct Stop {
    requested: AtomicBool,
    critical: AtomicBool,
}

impl Stop {
    /// Whether to end.
    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Until the result is dropped, the program ends by itself only.
    pub(super) fn critical(&self) -> Critical<'_> {
        self.critical.store(true, Ordering::SeqCst);
        Critical(self)
    }
}

/// See [`Stop::critical`].
pub(super) struct Critical<'s>(&'s Stop);

impl Drop for Critical<'_> {
    fn drop(&mut self) {
        self.0.critical.store(false, Ordering::SeqCst);
    }
}

fn watch(cancel: Cancel, stop: Arc<Stop>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new("internal", format!("cannot watch for signals: {error}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    // Registered here, not in the thread: from now on the signals do not end us by themselves.
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::terminate()).map_err(failed)?,
        )
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            stop.requested.store(true, Ordering::SeqCst);
            cancel.fire();
            // The main thread reports the interruption when it waits for a plugin, and is doing something short else.
            std::thread::sleep(GRACE);
            while stop.critical.load(Ordering::SeqCst) {
                std::thread::sleep(GRACE);
            }
            process::exit(INTERRUPTED);
        })
        .map_err(failed)?;
    Ok(())
}
