//! What a process that holds keys gives up before it reads the first one.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// No core dumps, and nobody but root looks into this process's memory.
pub(super) fn harden() {
    // Lowering a limit is always allowed.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = rustix::process::setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "cannot turn core dumps off by a limit");
    }
    let never = DumpableBehavior::NotDumpable;
    if let Err(error) = rustix::process::set_dumpable_behavior(never) {
        tracing::warn!(%error, "cannot turn core dumps off");
    }
}
