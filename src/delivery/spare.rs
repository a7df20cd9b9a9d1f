//! The next generation, begun while nobody waits for it: a draft that holds all that the one in place holds. A change
//! then touches only what it changes, however much else is delivered.
//!
//! It is as hidden as every draft, shares the files of the generation in place, and goes with the daemon.

use std::{collections::BTreeMap, os::fd::OwnedFd, sync::Arc};

use rustix::{fs::AtFlags, fs::Mode, io::Errno};

use super::{
    Delivery,
    draft::{Draft, Refused},
    generation::{Previous, describe, directory_flags, is_file, whole},
    removal,
    runtime::Runtime,
    state::{Memory, OutputRecord},
};
use crate::error::Result;

/// A draft that nobody works on.
pub(super) struct Spare {
    pub(super) directory: OwnedFd,
    /// The generation whose files it has.
    pub(super) of: u64,
}

impl Delivery {
    /// Whether [`Delivery::get_ready`] has something to do.
    pub(crate) fn is_unready(&self) -> bool {
        self.previous.is_some() && (self.spare.is_none() || self.base.is_some())
    }

    /// Does what the next change would have to wait for. `false`: somebody has changed a delivered file, and another
    /// [reconciliation](Self::reconcile) would repair it. After an error the next change takes longer, no more.
    pub(crate) fn get_ready(&mut self) -> Result<bool> {
        let Some(previous) = &self.previous else {
            return Ok(true);
        };
        if self.base.is_some() {
            self.memory.write(&self.runtime, previous.number)?;
            self.base = None;
            let numbers = removal::numbers(&self.runtime)?;
            Memory::prune(&self.runtime, |number| numbers.contains(&number))?;
        }
        if self.spare.is_none() {
            self.spare = Spare::begin(&self.runtime, previous, &self.memory.outputs)?;
        }
        Ok(self.spare.is_some())
    }

    /// Forgets the draft that was begun: what it was begun for is no longer so.
    pub(crate) fn start_over(&mut self) {
        self.spare = None;
    }

    /// Ends the use of the runtime directory. What was delivered stays.
    pub(crate) fn close(self) -> Result<()> {
        removal::remove_draft(&self.runtime)
    }
}

impl Spare {
    /// Takes everything over from `previous`; nothing, where something is not as it was written.
    fn begin(
        runtime: &Runtime,
        previous: &Previous,
        outputs: &BTreeMap<Arc<str>, Arc<OutputRecord>>,
    ) -> Result<Option<Self>> {
        let failed = |error: Errno| whole(&runtime.base, error);
        let draft = Draft::create(runtime)?;
        let open = |directory: &OwnedFd, path: &str| {
            rustix::fs::openat(directory, path, directory_flags(), Mode::empty())
        };
        // What lies in one directory is together here, so each is looked up once.
        let mut at = (".", open(&previous.directory, ".").map_err(failed)?);
        let mut into = open(&draft.directory, ".").map_err(failed)?;
        for (location, record) in outputs {
            let (parents, name) = location.rsplit_once('/').unwrap_or((".", location));
            if at.0 != parents {
                let Ok(directory) = open(&previous.directory, parents) else {
                    return Ok(None);
                };
                match draft.make_directories(location) {
                    Ok(()) => {}
                    Err(Refused::File(error) | Refused::All(error)) => return Err(error),
                }
                at = (parents, directory);
                into = open(&draft.directory, parents).map_err(failed)?;
            }
            let Ok(status) = rustix::fs::statat(&at.1, name, AtFlags::SYMLINK_NOFOLLOW) else {
                return Ok(None);
            };
            let as_written = (record.fingerprint(), record.attributes());
            if !is_file(&status) || describe(&status) != as_written {
                return Ok(None);
            }
            rustix::fs::linkat(&at.1, name, &into, name, AtFlags::empty()).map_err(failed)?;
        }
        draft.set_aside(previous.number).map(Some)
    }
}
