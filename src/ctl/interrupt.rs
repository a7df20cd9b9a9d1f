//! Ctrl-C while a plugin runs. The plugin has a process group of its own, which the terminal's signal does not reach:
//! without this it would outlive us, with a card in its hands. While files are changed the signals wait.

use std::{
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::Context;
use crate::{
    error::{Error, Result},
    identity::{Cancel, Identities, Identity},
};

/// As a shell counts it.
const INTERRUPTED: i32 = 130;
/// How long the main thread may take to end its plugin.
const GRACE: Duration = Duration::from_millis(500);

/// The identities of the command line, whose plugins end with us.
pub(super) fn identities(context: &Context) -> Result<Identities> {
    // Cards are asked right away.
    if context.global.yubikey.is_some() {
        return operators(context, cancel()?);
    }
    let cancel = Cancel::new()?;
    let identities = operators(context, cancel.clone())?;
    if identities.iter().any(Identity::needs_helper) {
        watch(cancel, Arc::default())?;
    }
    Ok(identities)
}

/// A switch that Ctrl-C throws, before it ends the program.
pub(super) fn cancel() -> Result<Cancel> {
    let cancel = Cancel::new()?;
    watch(cancel.clone(), Arc::default())?;
    Ok(cancel)
}

fn operators(context: &Context, cancel: Cancel) -> Result<Identities> {
    match context.global.yubikey {
        Some(serial) => Identities::of_yubikey(serial, cancel),
        None => Identities::of_operator(&context.global.identities, cancel),
    }
}

/// The identities of the command line, for a command that changes files: it is told of an interruption, and ends at a
/// place where every file is whole.
pub(super) fn identities_to_change(context: &Context) -> Result<(Identities, Arc<Stop>)> {
    let cancel = Cancel::new()?;
    let stop = Arc::<Stop>::default();
    watch(cancel.clone(), stop.clone())?;
    let identities = operators(context, cancel)?;
    Ok((identities, stop))
}

/// As [`identities_to_change`], for a command that hands the terminal to another program: see [`Stop::lend`]. It is told
/// of a terminal that went away, too.
pub(super) fn identities_to_edit(context: &Context) -> Result<(Identities, Arc<Stop>)> {
    let cancel = Cancel::new()?;
    let stop = Arc::<Stop>::default();
    let signals = [
        (SignalKind::interrupt(), Source::Terminal),
        (SignalKind::quit(), Source::Terminal),
        (SignalKind::terminate(), Source::Elsewhere),
        (SignalKind::hangup(), Source::Elsewhere),
    ];
    watch_for(&signals, cancel.clone(), stop.clone())?;
    let identities = operators(context, cancel)?;
    Ok((identities, stop))
}

/// The error of a command that ends because it was asked to.
pub(super) fn interrupted() -> Error {
    Error::new(
        crate::output::INTERRUPTED,
        "interrupted; nothing was changed",
    )
}

/// Who sends a signal: somebody at the keyboard, which every program on the terminal gets, or others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Terminal,
    Elsewhere,
}

/// What is done before the program ends.
type Last = Box<dyn FnOnce() + Send>;

/// An interruption that was asked for.
#[derive(Default)]
pub(super) struct Stop {
    requested: AtomicBool,
    critical: AtomicBool,
    lent: AtomicBool,
    /// The program that has the terminal.
    borrower: Mutex<Option<Pid>>,
    last: Mutex<Option<Last>>,
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

    /// Until the result is dropped, signals of the terminal are for another program, which is about to be started.
    pub(super) fn lend(&self) -> Lent<'_> {
        self.lent.store(true, Ordering::SeqCst);
        Lent(self)
    }

    /// Does this, whatever ends the program but SIGKILL.
    pub(super) fn at_the_end(&self, last: impl FnOnce() + Send + 'static) {
        *locked(&self.last) = Some(Box::new(last));
    }

    fn end_borrower(&self) {
        if let Some(borrower) = *locked(&self.borrower) {
            // It may be gone already.
            let _ = rustix::process::kill_process(borrower, Signal::TERM);
        }
    }

    fn do_last(&self) {
        if let Some(last) = locked(&self.last).take() {
            last();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See [`Stop::critical`].
pub(super) struct Critical<'s>(&'s Stop);

impl Drop for Critical<'_> {
    fn drop(&mut self) {
        self.0.critical.store(false, Ordering::SeqCst);
    }
}

/// See [`Stop::lend`].
pub(super) struct Lent<'s>(&'s Stop);

impl Lent<'_> {
    /// The program has this number, and ends where we are to end.
    pub(super) fn to(&self, borrower: Option<Pid>) {
        *locked(&self.0.borrower) = borrower;
        if self.0.is_requested() {
            self.0.end_borrower();
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.lent.store(false, Ordering::SeqCst);
        *locked(&self.0.borrower) = None;
    }
}

fn watch(cancel: Cancel, stop: Arc<Stop>) -> Result<()> {
    let signals = [
        (SignalKind::interrupt(), Source::Terminal),
        (SignalKind::terminate(), Source::Elsewhere),
    ];
    watch_for(&signals, cancel, stop)
}

fn watch_for(signals: &[(SignalKind, Source)], cancel: Cancel, stop: Arc<Stop>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new("internal", format!("cannot watch for signals: {error}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    // Registered here, not in the thread: from now on the signals do not end us by themselves.
    let (sender, mut receiver) = mpsc::unbounded_channel();
    {
        let _entered = runtime.enter();
        for &(kind, source) in signals {
            let mut signal = signal(kind).map_err(failed)?;
            let sender = sender.clone();
            runtime.spawn(async move {
                while signal.recv().await.is_some() && sender.send(source).is_ok() {}
            });
        }
    }
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                while let Some(source) = receiver.recv().await {
                    if source == Source::Elsewhere || !stop.lent.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
            stop.requested.store(true, Ordering::SeqCst);
            cancel.fire();
            stop.end_borrower();
            // The main thread reports the interruption when it waits for a plugin, and is doing something short else.
            std::thread::sleep(GRACE);
            while stop.critical.load(Ordering::SeqCst) {
                std::thread::sleep(GRACE);
            }
            stop.do_last();
            process::exit(INTERRUPTED);
        })
        .map_err(failed)?;
    Ok(())
}
