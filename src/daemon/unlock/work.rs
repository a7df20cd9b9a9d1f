//! Asking the person and opening what that allows. Blocks, on a thread of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    config::{Config, Keep},
    control::protocol::{self, QuestionKind, Refused, Unlocked, UnlockedIdentity},
    daemon::once,
    delivery::files_to_unlock,
    error::{Error, Result},
    identity::{
        Cancel, INTERRUPTED, Identities, Kept, Needs, Person, Question, Remote, Share, Wrapped,
        WrappedFor,
    },
    open::{needs, to_look_ahead, unlock, wrapped},
    repository::Repository,
    sops::{document::Document, format::Format, is_encrypted},
};

/// How often is looked for files that have changed meanwhile.
const ROUNDS: usize = 5;

/// What it goes by.
pub(super) struct Work {
    pub(super) config: Arc<Config>,
    /// This identity only.
    pub(super) identity: Option<String>,
    pub(super) cancel: Cancel,
    pub(super) kept: Kept,
    /// Files that need not be opened.
    pub(super) delivered: BTreeSet<PathBuf>,
}

/// What came of it.
pub(in crate::daemon) struct Opened {
    pub(super) shares: Vec<Share>,
    /// Every wrapped key of every file, where all could be read.
    pub(super) all: Option<BTreeSet<Wrapped>>,
    pub(super) unlocked: Unlocked,
}

/// A file that no key in memory opens.
struct Closed {
    file: String,
    format: Format,
    wrapped: BTreeSet<Wrapped>,
    groups: Vec<Vec<String>>,
    needed: usize,
    ahead: Vec<WrappedFor>,
}

impl Work {
    /// Starts the thread.
    pub(super) fn start(
        self,
        person: Arc<dyn Person>,
    ) -> Result<oneshot::Receiver<Result<Opened>>> {
        let (sender, receiver) = oneshot::channel();
        thread::Builder::new()
            .name("unlock".to_owned())
            .spawn(move || {
                let result = self.run(&person).map_err(|error| match person.ended() {
                    // Why it ended is known better there.
                    Some(ended) if error.code == INTERRUPTED => ended,
                    _ => error,
                });
                // The daemon may have ended.
                drop(sender.send(result));
            })
            .map_err(|error| Error::new("internal", format!("cannot start a thread: {error}")))?;
        Ok(receiver)
    }

    fn run(&self, person: &Arc<dyn Person>) -> Result<Opened> {
        let config = &*self.config;
        let plugins = once::plugins(config)
            .with_person(Arc::clone(person))
            .with_kept(self.kept.clone())
            .with_cancel(self.cancel.clone());
        let mut identities = once::identities(config, plugins);
        if let Some(wanted) = &self.identity {
            identities.unlock_only(wanted)?;
        }
        let mut opened = Opened {
            shares: Vec::new(),
            all: None,
            unlocked: Unlocked::default(),
        };
        if !identities.need_somebody() {
            return Ok(opened);
        }
        identities.look_at_unknown_cards();
        let mut tried: BTreeMap<String, BTreeSet<Wrapped>> = BTreeMap::new();
        let mut failures: BTreeMap<String, Error> = BTreeMap::new();
        // A person takes time, in which files change.
        for _ in 0..ROUNDS {
            let repository = Repository::open(&config.repository, config.limits)?;
            let files = files_to_unlock(config, &repository, &identities)?;
            let (mut closed, all) = self.closed(&repository, files, &identities);
            closed.retain(|closed| tried.get(&closed.file) != Some(&closed.wrapped));
            // Files of identities that were not asked for are not among them.
            opened.all = all.filter(|_| self.identity.is_none());
            if closed.is_empty() {
                break;
            }
            announce_touches(&closed, &identities);
            let asked: Vec<_> = closed
                .iter_mut()
                .map(|closed| std::mem::take(&mut closed.ahead))
                .collect();
            identities.look_ahead(&asked)?;
            for Closed { file, format, .. } in closed {
                failures.remove(&file);
                match self.open(&repository, &file, format, &identities, &mut tried) {
                    Ok(shares) => opened.shares.extend(shares),
                    Err(error) if error.code == INTERRUPTED => return Err(error),
                    // Others are not for these identities, or broken, which the delivery says.
                    Err(error) if error.code != "locked" && !error.code.starts_with("plugin") => {}
                    Err(error) => drop(failures.insert(file, error)),
                }
            }
        }
        self.kept.learn(&identities);
        let failures = different(failures.into_values());
        if let (true, Some(error)) = (opened.shares.is_empty(), failures.first()) {
            return Err(error.clone());
        }
        let mut used: BTreeMap<&str, usize> = BTreeMap::new();
        for share in &opened.shares {
            *used.entry(&share.by.name).or_default() += 1;
        }
        let used = used.into_iter().map(|(name, keys)| UnlockedIdentity {
            name: name.to_owned(),
            keys,
        });
        opened.unlocked.identities = used.collect();
        opened.unlocked.locked = failures.iter().map(Refused::from).collect();
        Ok(opened)
    }

    /// The files that need somebody, and the wrapped keys of all.
    fn closed(
        &self,
        repository: &Repository,
        files: BTreeMap<String, Format>,
        identities: &Identities,
    ) -> (Vec<Closed>, Option<BTreeSet<Wrapped>>) {
        let mut closed = Vec::new();
        let mut all = Some(BTreeSet::new());
        for (file, format) in files {
            let document = match self.read(repository, &file, format) {
                Ok(Some(document)) => document,
                Ok(None) => continue,
                Err(_) => {
                    all = None;
                    continue;
                }
            };
            let wrapped: BTreeSet<Wrapped> = wrapped(&document).collect();
            if let Some(all) = &mut all {
                all.extend(&wrapped);
            }
            let Needs { groups, needed } = needs(&document);
            let is_for = |recipient: &&str| identities.may_be_unlocked_for(recipient);
            if groups.iter().flatten().any(is_for) && !self.delivered.contains(Path::new(&file)) {
                let owned = |group: Vec<&str>| group.into_iter().map(str::to_owned).collect();
                let groups = groups.into_iter().map(owned).collect();
                closed.push(Closed {
                    ahead: self.ahead(&document),
                    file,
                    format,
                    wrapped,
                    groups,
                    needed,
                });
            }
        }
        (closed, all)
    }

    /// What plugins are to be asked for beforehand: nothing of a file that needs nobody.
    fn ahead(&self, document: &Document) -> Vec<WrappedFor> {
        let asked = to_look_ahead(document);
        let is_kept = |kept: &Kept| {
            asked
                .iter()
                .any(|wrapped| kept.find(&wrapped.enc).is_some())
        };
        if self.kept().is_some_and(is_kept) {
            return Vec::new();
        }
        asked
    }

    /// What identities that need somebody have opened of a file. It is noted what it was wrapped as.
    fn open(
        &self,
        repository: &Repository,
        file: &str,
        format: Format,
        identities: &Identities,
        tried: &mut BTreeMap<String, BTreeSet<Wrapped>>,
    ) -> Result<Vec<Share>> {
        if self.cancel.is_fired() {
            return Err(Error::new(INTERRUPTED, "interrupted"));
        }
        let Some(document) = self.read(repository, file, format)? else {
            return Ok(Vec::new());
        };
        tried.insert(file.to_owned(), wrapped(&document).collect());
        identities.set_purpose(file);
        unlock(&document, identities, self.kept())
            .map_err(|error| error.with_file(&repository.root().join(file)))
    }

    /// What need not be opened. More time for a key is given by whoever proves to have the identity again.
    fn kept(&self) -> Option<&Kept> {
        match self.config.unlock.keep {
            Keep::For(_) => None,
            Keep::Once | Keep::UntilLock | Keep::UntilRemoved => Some(&self.kept),
        }
    }

    fn read(
        &self,
        repository: &Repository,
        file: &str,
        format: Format,
    ) -> Result<Option<Document>> {
        let content = repository.read(Path::new(file))?;
        if !is_encrypted(content.expose(), format) {
            return Ok(None);
        }
        Document::parse(content, format, &self.config.limits).map(Some)
    }
}

/// One of those that say the same.
fn different(failures: impl Iterator<Item = Error>) -> Vec<Error> {
    let mut different: Vec<Error> = Vec::new();
    for failure in failures {
        if !different
            .iter()
            .any(|known| known.message == failure.message)
        {
            different.push(failure);
        }
    }
    different
}

/// Says beforehand how often a card has to be touched.
fn announce_touches(closed: &[Closed], identities: &Identities) {
    let groups = closed.iter().flat_map(|closed| &closed.groups);
    let recipients: BTreeSet<&str> = groups.flatten().map(String::as_str).collect();
    identities.look_at_cards(&recipients.into_iter().collect::<Vec<_>>());
    let files = closed.iter().map(|closed| Needs {
        groups: closed
            .groups
            .iter()
            .map(|group| group.iter().map(String::as_str).collect())
            .collect(),
        needed: closed.needed,
    });
    for touches in identities.touches(files) {
        identities.plugins().tell(&touches.to_string());
    }
}

/// Somebody at the other end of the socket: questions go out through `questions`, answers come in through `answers`.
pub(super) fn peer(
    questions: mpsc::Sender<protocol::Question>,
    answers: OwnedFd,
    cancel: Cancel,
) -> Result<Arc<dyn Person>> {
    let ask = Box::new(move |question: Question<'_>| {
        questions.blocking_send(described(&question)).is_ok()
    });
    Ok(Arc::new(Remote::new(ask, answers, cancel)?))
}

fn described(question: &Question<'_>) -> protocol::Question {
    let (kind, text, yes, no) = match *question {
        Question::Tell(text) => (QuestionKind::Tell, text, None, None),
        Question::Confirm { message, yes, no } => (QuestionKind::Confirm, message, Some(yes), no),
        Question::Visible(text) => (QuestionKind::Visible, text, None, None),
        Question::Secret(text) => (QuestionKind::Secret, text, None, None),
    };
    protocol::Question {
        kind,
        text: text.to_owned(),
        yes: yes.map(str::to_owned),
        no: no.map(str::to_owned),
    }
}
