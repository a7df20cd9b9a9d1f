//! What a process that holds keys gives up before it reads the first one.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// No core dumps, and nobody but root looks into this process's memory. Lowering either is always allowed; where a
/// filter of system calls refuses it all the same, going on is better than delivering nothing.
pub(crate) fn harden() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
