//! Plaintext on a memory file system: generations of files, one atomic switch, templates.
//!
//! The daemon and `secretsd --once` use it in the same way:
//!
//! 1. [`Delivery::open`] prepares the runtime directory: mounts or checks the memory file system, takes the lock against
//!    a second daemon, removes what an interrupted run left, reads what was delivered before.
//! 2. [`Delivery::reconcile`], as often as something may have changed. It opens only files that have changed, and writes
//!    nothing when none has. One bad secret is degraded and keeps its last good value; an `Err` is about the whole (no
//!    space, repository gone), and then the previous generation stays as it is.
//! 3. [`Delivery::get_ready`], when nobody waits: the next generation is begun, so that a change costs what it changes.
//! 4. [`Delivery::close`], or [`Delivery::remove`] which takes everything away (`--remove-on-exit`);
//!    without it delivered files stay.
//!
//! [`Installer`] is for a program that delivers once what somebody else has put together, and remembers nothing.
//!
//! No plaintext is kept in memory between two calls; what is remembered lies beside the secrets ([`state`]).

mod back;
mod base;
mod by_rules;
mod check;
mod closed;
mod contents;
mod delta;
mod desired;
mod draft;
mod generation;
mod guard;
mod history;
mod install;
mod links;
mod mounts;
mod owners;
mod parallel;
mod reconcile;
mod removal;
mod report;
mod runtime;
mod seen;
mod settle;
mod spare;
mod state;
mod template;
mod templates;
mod work;

use std::path::Path;

use crate::{
    config::Config,
    error::{Error, Result},
    identity::Identities,
    repository::Repository,
};
use generation::Previous;
use history::History;
use runtime::Runtime;
use spare::Spare;
use state::Memory;

pub(crate) use closed::files_to_unlock;
pub(crate) use generation::us;
pub(crate) use install::{Directories, Installer, MemoryKind, NewFile, NewLink, Site};
pub(crate) use mounts::FileSystem;
pub(crate) use owners::Owners;
pub(crate) use report::{Report, SecretState, State};

/// What one reconciliation goes by.
struct Inputs<'a> {
    config: &'a Config,
    repository: &'a Repository,
    identities: &'a Identities,
}

/// A runtime directory and what is in it.
pub(crate) struct Delivery {
    runtime: Runtime,
    /// The generation in place.
    previous: Option<Previous>,
    memory: Memory,
    /// The generation whose state is written in full, where that of the one in place is written as a difference to it.
    base: Option<u64>,
    /// The next generation, as far as it could be written beforehand.
    spare: Option<Spare>,
    /// What is known from before the last reboot; read when the guard is on.
    history: Option<History>,
    seen: seen::SeenFiles,
}

impl Delivery {
    /// Prepares the runtime directory of `config` and looks at what is there.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let runtime = Runtime::prepare(&config.runtime_directory, &config.allow_filesystems)?;
        removal::remove_draft(&runtime)?;
        let numbers = removal::numbers(&runtime)?;
        // Without a link (somebody removed it, or the first switch was interrupted) the newest complete one counts.
        let current = runtime
            .current()
            .filter(|number| numbers.contains(number))
            .or(numbers.last().copied());
        for number in numbers.iter().filter(|number| Some(**number) > current) {
            removal::remove(&runtime, *number)?;
        }
        let known = current.and_then(|number| {
            Some((
                Previous::open(&runtime, number)?,
                Memory::read(&runtime, number)?,
            ))
        });
        let (previous, memory, base) = match known {
            Some((previous, (memory, base))) => (Some(previous), memory, base),
            None => (None, Memory::empty()?, None),
        };
        Memory::prune(&runtime, |number| {
            Some(number) == base || (numbers.contains(&number) && Some(number) <= current)
        })?;
        Ok(Self {
            runtime,
            previous,
            memory,
            base,
            spare: None,
            history: None,
            seen: seen::SeenFiles::default(),
        })
    }

    /// What the secrets lie on.
    pub(crate) fn file_system(&self) -> &FileSystem {
        &self.runtime.file_system
    }

    /// Whether an earlier run or reconciliation has left something that services can use.
    pub(crate) fn has_last_good(&self) -> bool {
        self.previous.is_some()
    }

    /// Whether what is in place was delivered before users were made, and the rest is still to come.
    pub(crate) fn is_early(&self) -> bool {
        self.memory.is_early
    }

    /// The link that services use.
    pub(crate) fn runtime_directory(&self) -> &Path {
        &self.runtime.link
    }

    /// What the operator should know about the place of the secrets.
    pub(crate) fn warnings(&self) -> Vec<Error> {
        let file_system = &self.runtime.file_system;
        let link = self.runtime.link.display();
        if !file_system.memory {
            return vec![
                Error::new("runtime-on-disk", format!("plaintext is written to {link} on {}, which is on disk: it can be recovered later", file_system.kind))
                    .with_hint("use a memory file system and remove `allow-filesystems`"),
            ];
        }
        Vec::new()
    }

    /// Takes away all generations, the links to them, and the file system if this process mounted it. What cannot be
    /// taken away keeps nothing else in place; the first such error is returned.
    pub(crate) fn remove(self) -> Result<()> {
        let mut results = vec![self.runtime.remove_link()];
        match removal::numbers(&self.runtime) {
            Ok(numbers) => results.extend(
                numbers
                    .into_iter()
                    .map(|number| removal::remove(&self.runtime, number)),
            ),
            Err(error) => results.push(Err(error)),
        }
        for (location, record) in &self.memory.outputs {
            if let Some(link) = &record.link {
                results.push(links::remove(link, &self.runtime.link.join(&**location)));
            }
        }
        results.push(removal::remove_draft(&self.runtime));
        results.push(Memory::prune(&self.runtime, |_| false));
        results.push(self.runtime.dismantle());
        results.into_iter().collect()
    }
}
