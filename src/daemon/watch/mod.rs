//! Following changes without a wake-up while there are none.
//!
//! inotify is used by way of `rustix` and not of a watcher library: those ask the kernel for every opening of every
//! file in a watched directory, so that the daemon would wake whenever anybody reads there. Here nothing that reads is an
//! event, neither our own reads nor those of others, and there is no thread.
//!
//! A path is followed through every link and directory on the way ([`Walk::follow`]): each is watched itself, for being
//! moved, removed or replaced. That notices a repository that is replaced as a whole, and does not wake for unrelated
//! files beside it. Where a part of the path is missing, the deepest directory that exists is watched for that name.
//!
//! Watches are set before anything is read, so that a change is either read or reported. After a lost queue, or any
//! event that concerns more than the content of files, everything is resolved and watched anew.
//!
//! File systems that are changed from elsewhere (network, FUSE) accept watches and report nothing. They are polled, as
//! is everything when the kernel's limits on watches are reached; the status says so.

mod fingerprint;
mod walk;

use std::{
    collections::HashMap,
    ffi::CStr,
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags},
    io::Errno,
};
use tokio::{io::unix::AsyncFd, time::sleep};

use crate::files::{self, ReadLimit};

pub(super) use fingerprint::fingerprint;
use walk::{Roles, Walk};

/// How often is polled what cannot be watched, where the configuration does not say.
const POLL: Duration = Duration::from_secs(30);
/// The file that says where the index of a work tree is.
const GIT_FILE: ReadLimit = ReadLimit {
    name: "git-file",
    bytes: 4096,
};

/// How long a checkout may keep us waiting.
pub(super) const CHECKOUT: Duration = Duration::from_secs(30);

/// What decides about the delivered secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Followed {
    /// Followed with everything below it, but for `.git`.
    pub(super) repository: PathBuf,
    /// Single files: configuration, identities, templates.
    pub(super) files: Vec<PathBuf>,
    /// Directories whose files matter: includes.
    pub(super) directories: Vec<PathBuf>,
    /// Directories below the repository that are watched, at most.
    pub(super) limit: usize,
}

/// What has changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Change {
    /// The set of directories, or a path on the way: the watches must be set anew.
    pub(super) structure: bool,
    /// Something outside of the repository: configuration and identities must be read anew.
    pub(super) settings: bool,
    /// Something may have changed, nobody said so: it is time to compare.
    pub(super) poll: bool,
}

impl Change {
    /// Everything may have changed.
    pub(super) const ALL: Self = Self {
        structure: true,
        settings: true,
        poll: false,
    };

    /// Both changes. Known changes make a comparison needless.
    pub(super) fn merge(self, other: Self) -> Self {
        Self {
            structure: self.structure || other.structure,
            settings: self.settings || other.settings,
            poll: self.poll && other.poll,
        }
    }
}

/// Watches [`Followed`].
pub(super) struct Watcher {
    /// Absent where the kernel gives no instance.
    queue: Option<AsyncFd<OwnedFd>>,
    watches: HashMap<i32, Roles>,
    /// From the configuration.
    wanted_poll: Option<Duration>,
    /// Why watching is not enough.
    trouble: Option<String>,
}

impl Watcher {
    /// A watcher that watches nothing yet. Must be called on the runtime.
    pub(super) fn new(poll: Option<Duration>) -> Self {
        let (queue, trouble) = match queue() {
            Ok(queue) => (Some(queue), None),
            Err(error) => (None, Some(format!("inotify is not available: {error}"))),
        };
        Self {
            queue,
            watches: HashMap::new(),
            wanted_poll: poll,
            trouble,
        }
    }

    /// Takes over another configured interval.
    pub(super) fn set_poll(&mut self, poll: Option<Duration>) {
        self.wanted_poll = poll;
    }

    /// Resolves and watches `followed` anew. Blocks.
    pub(super) fn refresh(&mut self, followed: &Followed) {
        let Some(queue) = &self.queue else { return };
        let mut walk = Walk::new(queue.get_ref());
        let result = walk.run(followed);
        let (watches, trouble) = walk.finish();
        for stale in self.watches.keys().filter(|wd| !watches.contains_key(wd)) {
            // It may have gone with its directory.
            let _ = inotify::remove_watch(queue.get_ref(), *stale);
        }
        self.watches = watches;
        let trouble = result.err().or(trouble);
        if let Some(reason) = trouble.as_ref().filter(|_| trouble != self.trouble) {
            tracing::warn!(%reason, "polling, because not everything can be watched");
        }
        self.trouble = trouble;
    }

    /// How the repository is followed, and why it is not by inotify alone.
    pub(super) fn mode(&self) -> (&'static str, Option<String>) {
        match (&self.trouble, self.wanted_poll) {
            (Some(reason), _) => ("poll", Some(reason.clone())),
            (None, Some(_)) => ("inotify and poll", None),
            (None, None) => ("inotify", None),
        }
    }

    /// Waits for a change. Can be dropped and called again; a poll then begins anew.
    pub(super) async fn changed(&mut self) -> Change {
        let poll = self.wanted_poll.or(self.trouble.as_ref().map(|_| POLL));
        let polled = async {
            match poll {
                Some(interval) => sleep(interval).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            change = events(self.queue.as_ref(), &self.watches) => change,
            () = polled => Change { structure: true, settings: false, poll: true },
        }
    }
}

/// A new inotify instance. Must be called on the runtime.
#[expect(
    deprecated,
    reason = "sound for a descriptor that is owned here and never closed; the replacement is an unsafe function"
)]
fn queue() -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)
}

/// Waits for events that mean something.
async fn events(queue: Option<&AsyncFd<OwnedFd>>, watches: &HashMap<i32, Roles>) -> Change {
    let Some(queue) = queue else {
        return std::future::pending().await;
    };
    loop {
        let Ok(mut ready) = queue.readable().await else {
            return std::future::pending().await;
        };
        let change = drain(queue.get_ref(), watches);
        ready.clear_ready();
        if let Some(change) = change {
            return change;
        }
    }
}

/// Takes all events that are there.
fn drain(queue: &OwnedFd, watches: &HashMap<i32, Roles>) -> Option<Change> {
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    let mut reader = inotify::Reader::new(queue, &mut buffer);
    let mut found: Option<Change> = None;
    loop {
        let change = match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(CStr::to_bytes);
                meaning(event.wd(), event.events(), name, watches)
            }
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => return found,
            Err(error) => {
                tracing::error!(%error, "cannot read inotify events");
                return Some(Change::ALL);
            }
        };
        if let Some(change) = change {
            found = Some(found.map_or(change, |found| found.merge(change)));
        }
    }
}

fn meaning(
    watch: i32,
    events: ReadFlags,
    name: Option<&[u8]>,
    watches: &HashMap<i32, Roles>,
) -> Option<Change> {
    if events.contains(ReadFlags::QUEUE_OVERFLOW) {
        tracing::info!("the queue of changes has overflowed; looking at everything");
        return Some(Change::ALL);
    }
    // An event of a watch that is not known is about something that was resolved and read again since then.
    watches.get(&watch)?.meaning(events, name)
}

/// Whether `git` is writing below `directory` or a directory above it: it holds `index.lock` during a checkout.
/// A lock that is older than `patience` was left by a `git` that died.
pub(super) fn is_checkout_in_progress(directory: &Path, patience: Duration) -> bool {
    let Ok(directory) = directory.canonicalize() else {
        return false;
    };
    let Some(git) = directory.ancestors().find_map(git_directory) else {
        return false;
    };
    let held = git.join("index.lock").symlink_metadata();
    held.and_then(|metadata| metadata.modified())
        .is_ok_and(|since| since.elapsed().is_ok_and(|age| age < patience))
}

/// The directory with the index of the work tree at `root`, if it is one.
fn git_directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    let metadata = git.symlink_metadata().ok()?;
    if metadata.is_dir() {
        return Some(git);
    }
    // A linked work tree or a submodule: the file says where.
    let text = files::read_regular(&git, GIT_FILE).ok()?;
    let target = text.expose_str()?.strip_prefix("gitdir:")?.trim();
    Some(root.join(target))
}
