//! Re-keying by the daemon: what does not obey the rules is looked for after each delivery, and is reported, held for a
//! person, or done, as the configuration says.

mod judge;
mod show;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::watch::{CHECKOUT, is_checkout_in_progress};
use crate::{
    check::refuse_doubtful,
    clock,
    config::{Config, RekeyMode},
    control::protocol::{LastRekey, Pending, Refused, Rekey, Rekeyed},
    error::{Error, Result},
    files::{ReadLimit, read_regular},
    identity::{Cancel, Identities},
    rekey::{
        Allowed, Progress, Recovered, Tools,
        approval::{name, require},
        commit, is_unfinished,
        known::Known,
        name as path_name, prepare, recover,
        survey::{Action, Again, File, Obeying, survey_again},
    },
    repository::{ContentHash, RULES, Repository, content_hash, hex, parse_rules},
    secret::Secret,
};
use judge::{Digests, Sights, about_all, about_file, digests};
use show::{described, exposed, first_blocked, log_recovered, names};

/// What re-keying is done with.
pub(super) struct Means<'m> {
    pub(super) config: &'m Config,
    /// Whether the configuration on disk is another one, which cannot be used.
    pub(super) is_outdated: bool,
    pub(super) identities: &'m Identities,
    /// Thrown when the daemon stops.
    pub(super) stop: &'m Cancel,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Asked<'a> {
    /// Nobody: something has changed.
    ByChange,
    /// Somebody wants what nobody has to approve to be done, and to know the rest.
    ForPlan,
    /// Somebody wants to know, no more.
    ForDryPlan,
    /// Somebody approves the plan of this name.
    ForApproved(&'a str),
}

/// What is known of the files and the rules.
#[derive(Default)]
pub(super) struct Rekeying {
    is_due: bool,
    /// Under which files were found to obey.
    rules: Option<ContentHash>,
    obeying: Obeying,
    /// Of which repository, and what.
    known: Option<(PathBuf, Known)>,
    status: Rekey,
    pending: Arc<Pending>,
    /// Files that were changed, until somebody takes the number.
    changed: usize,
    /// Files that were changed by a daemon that was killed then, and are to be learned.
    recovered: Vec<PathBuf>,
}

/// What came of one look.
#[derive(Default)]
struct Found {
    pending: Pending,
    done: Option<Rekeyed>,
}

impl Rekeying {
    /// Goes by another mode. What the one before had found is not what this one has to say.
    pub(super) fn set_mode(&mut self, mode: RekeyMode) {
        if self.status.mode != mode.name() {
            self.status = Rekey {
                mode: mode.name().to_owned(),
                last: self.status.last.take(),
                ..Rekey::default()
            };
            self.pending = Arc::default();
            // All files count for the first look, also those that are known to obey.
            self.rules = None;
        }
    }

    /// Something may be different now.
    pub(super) fn note(&mut self) {
        self.is_due = true;
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether another look may come to another end without any change that is followed.
    pub(super) fn has_failed(&self) -> bool {
        self.status.failure.is_some() && self.status.mode != RekeyMode::Off.name()
    }

    pub(super) fn status(&self) -> &Rekey {
        &self.status
    }

    pub(super) fn pending(&self) -> &Arc<Pending> {
        &self.pending
    }

    /// How many files were changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> usize {
        std::mem::take(&mut self.changed)
    }

    /// Looks whether the files obey, and does about it what may be done. What was done is the answer, if anything was; of
    /// a dry plan, what would be.
    pub(super) fn look(&mut self, means: &Means<'_>, asked: Asked<'_>) -> Result<Option<Rekeyed>> {
        self.is_due = false;
        let mut found = Found::default();
        let result = self.try_to(means, asked, &mut found);
        if let Err(error) = &result
            && error.code == CHECKOUT_CODE
        {
            // It ends without a change that is followed, and soon.
            self.is_due = asked == Asked::ByChange;
        }
        // Whoever asks for something else than what is planned changes nothing about the plan, and others who change
        // the repository do not, either.
        let is_news = !matches!(&result, Err(error) if matches!(error.code, VOID | LOCKED));
        let failure = result.as_ref().err();
        let failure = failure.filter(|error| !matches!(error.code, VOID | CHECKOUT_CODE));
        if is_news || failure.is_some() {
            self.tell(&found.pending, failure);
            self.status.failure = failure.map(Refused::from);
        }
        if is_news {
            self.status.pending.clone_from(&found.pending.id);
            if *self.pending != found.pending {
                self.pending = Arc::new(found.pending);
            }
        }
        result.map(|()| found.done)
    }

    fn try_to(&mut self, means: &Means<'_>, asked: Asked<'_>, found: &mut Found) -> Result<()> {
        let config = means.config;
        let mode = config.rekey.mode;
        if mode == RekeyMode::Off && asked != Asked::ByChange {
            return Err(
                Error::new(VOID, "this daemon does not re-key: rekey.mode is off")
                    .with_hint("run secretsctl rekey where the repository is changed"),
            );
        }
        let repository = Repository::open(&config.repository, config.limits)?;
        let is_dry = asked == Asked::ForDryPlan;
        let is_free = is_dry || mode == RekeyMode::Off && !is_unfinished(&repository);
        let _lock = (!is_free).then(|| repository.lock()).transpose()?;
        if !is_free {
            self.recover(&repository)?;
        }
        let Some(text) = rules_text(config)? else {
            self.status.drift = 0;
            return Ok(());
        };
        let hash = content_hash(text.expose());
        let file = config.repository.join(RULES);
        let rules =
            parse_rules(text.expose(), &config.limits).map_err(|error| error.with_file(&file))?;
        let known = match mode {
            RekeyMode::Off => None,
            _ => Some(self.known(&repository, &config.repository)?),
        };
        let is_first = known.as_ref().is_some_and(Known::is_new);
        if is_first && is_checkout_in_progress(&config.repository, CHECKOUT) {
            return Err(checkout());
        }
        if self.rules.replace(hash) != Some(hash) || is_first {
            self.obeying.clear();
        }
        let Again { mut files, read } =
            survey_again(&repository, &rules, &mut self.obeying, &config.limits)?;
        files.retain(|file| file.action != Action::NoRule);
        self.status.drift = files.len();
        let Some(known) = known else {
            return Ok(());
        };
        let sights = self.see(means, &repository, known, &read, is_dry)?;
        require(&mut files, &config.rekey.required);
        if !files.iter().any(File::is_due) {
            return match asked {
                Asked::ForApproved(_) => Err(void()),
                _ => first_blocked(&files, &config.repository).map_or(Ok(()), Err),
            };
        }
        refuse_doubtful(&rules, &file)?;

        let mut doubts = about_all(means, &file)?;
        let all_wait = mode == RekeyMode::Approve || !doubts.is_empty();
        let (mut held, mut free) = (Vec::new(), Vec::new());
        for file in files {
            let of_file = match file.is_due() {
                true => about_file(means, self.known_files(), &file, sights.get(&file.path)),
                false => Vec::new(),
            };
            match file.is_due() && of_file.is_empty() && !all_wait {
                true => free.push(file),
                false => held.push(file),
            }
            doubts.extend(of_file);
        }
        let digests = digests(&repository, held.iter().chain(&free), &sights);
        let about = |file: &File<'_>| {
            let path = path_name(&file.path);
            let digest = digests.get(&file.path).map(|digest| hex(digest));
            let doubts = doubts.iter().filter(|doubt| doubt.path == path);
            let doubts = doubts.map(|doubt| format!("{doubt:?}"));
            digest.into_iter().chain(doubts).collect()
        };
        if held.iter().any(File::is_due) {
            found.pending = Pending {
                id: Some(name(text.expose(), &held, &about)),
                files: held.iter().map(described).collect(),
                doubts,
                names: names(&rules, &held),
            };
        }
        let (go, stay) = match asked {
            Asked::ForApproved(id) if found.pending.id.as_deref() == Some(id) => (held, free),
            Asked::ForApproved(_) => return Err(void()),
            Asked::ForDryPlan => {
                found.done = Some(Rekeyed {
                    files: free.iter().map(described).collect(),
                    ..Rekeyed::default()
                });
                return Ok(());
            }
            _ => (free, held),
        };
        if !go.iter().any(File::is_due) {
            return first_blocked(&stay, &config.repository).map_or(Ok(()), Err);
        }
        if let Some(error) = first_blocked(&stay, &config.repository) {
            return Err(error);
        }
        if is_checkout_in_progress(&config.repository, CHECKOUT) {
            return Err(checkout());
        }
        found.done = Some(self.rekey(means, &repository, go, hash, &digests)?);
        self.status.drift = stay.len();
        if matches!(asked, Asked::ForApproved(_)) {
            found.pending = Pending::default();
        }
        Ok(())
    }

    /// Brings to an end what a daemon that was killed had begun.
    fn recover(&mut self, repository: &Repository) -> Result<()> {
        let recovered = recover(repository)?;
        log_recovered(&recovered);
        if let Recovered::Finished { paths, .. } = recovered {
            self.has_changed(paths.len());
            self.recovered.extend(paths);
        }
        Ok(())
    }

    /// What is known of the files of this repository. Whoever takes it puts it back.
    fn known(&mut self, repository: &Repository, root: &Path) -> Result<Known> {
        match self.known.take() {
            Some((of, known)) if of == root => Ok(known),
            _ => Known::read(repository),
        }
    }

    fn known_files(&self) -> Option<&Known> {
        self.known.as_ref().map(|(_, known)| known)
    }

    fn has_changed(&mut self, files: usize) {
        self.changed += files;
        self.status.last = Some(LastRekey {
            at: clock::format(SystemTime::now()),
            files,
        });
    }

    /// Looks at the encrypted files that were `read`, and takes what is seen into account.
    fn see(
        &mut self,
        means: &Means<'_>,
        repository: &Repository,
        mut known: Known,
        read: &[PathBuf],
        is_dry: bool,
    ) -> Result<Sights> {
        let look = |known: &Known, paths: &[PathBuf]| {
            known.look(repository, means.identities, &means.config.limits, paths)
        };
        let sights = look(&known, read);
        known.see(sights.values());
        let recovered = std::mem::take(&mut self.recovered);
        let recovered = look(&known, &recovered);
        recovered.values().for_each(|sight| known.learn(sight));
        let written = match is_dry {
            true => Ok(()),
            false => known.write(),
        };
        self.known = Some((means.config.repository.clone(), known));
        written.map(|()| sights)
    }

    fn rekey(
        &mut self,
        means: &Means<'_>,
        repository: &Repository,
        mut files: Vec<File<'_>>,
        rules: ContentHash,
        digests: &Digests,
    ) -> Result<Rekeyed> {
        let config = means.config;
        let tools = Tools {
            repository,
            identities: means.identities,
            plugins: means.identities.plugins(),
            limits: config.limits,
            // Neither is ever the daemon's to allow.
            allowed: Allowed::default(),
            now: clock::format(SystemTime::now()),
        };
        let interrupted = || means.stop.is_fired();
        let prepared = prepare(&tools, &mut files, &Silent, &interrupted)?;
        if let Some(error) = first_blocked(&files, &config.repository) {
            return Err(error);
        }
        let now = rules_text(config)?.map(|text| content_hash(text.expose()));
        let is_as_judged = |(number, digest): (usize, &ContentHash)| {
            let file = files.get(number);
            file.is_some_and(|file| digests.get(&file.path) == Some(digest))
        };
        if now != Some(rules) || !prepared.made_from().all(is_as_judged) {
            return Err(void());
        }
        let newly_exposed = commit(&tools, &files, prepared, &Silent, &interrupted)?;
        let changed = files.len();
        tracing::info!(files = changed, exposed = newly_exposed.len(), "re-keyed");
        self.has_changed(changed);
        let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        if let Some((_, known)) = &mut self.known {
            let sights = known.look(repository, means.identities, &config.limits, &paths);
            sights.values().for_each(|sight| known.learn(sight));
            known.write()?;
        }
        Ok(Rekeyed {
            files: files.iter().map(described).collect(),
            changed,
            exposed: newly_exposed.into_iter().map(exposed).collect(),
        })
    }

    /// Logs what is different from the last time.
    fn tell(&self, pending: &Pending, failure: Option<&Error>) {
        if let Some(error) = failure
            && self.status.failure.as_ref() != Some(&error.into())
        {
            let what = match self.status.mode == RekeyMode::Off.name() {
                true => "cannot tell whether files obey the rules",
                false => "files do not obey the rules and are not re-keyed",
            };
            super::log::error(what, error);
        }
        if let Some(id) = pending
            .id
            .as_ref()
            .filter(|id| self.pending.id.as_ref() != Some(*id))
        {
            let (files, doubts) = (pending.files.len(), pending.doubts.len());
            tracing::warn!(%id, files, doubts, "a re-key waits for approval; see secretsctl pending");
        }
    }
}

/// What the plan of the name that was asked for is not any more.
const VOID: &str = "void";
/// git is at work.
const CHECKOUT_CODE: &str = "checkout";
/// Somebody else changes the repository.
const LOCKED: &str = "locked-repository";

fn checkout() -> Error {
    Error::new(CHECKOUT_CODE, "git is changing the work tree")
        .with_hint("try again when it has finished")
}

fn void() -> Error {
    Error::new(
        VOID,
        "there is no such plan: the rules have changed since, or the files, or what they need",
    )
    .with_hint("look at secretsctl pending again")
}

/// The rules, if there are any.
fn rules_text(config: &Config) -> Result<Option<Secret>> {
    let limit = ReadLimit::of_file(config.limits.file_size);
    match read_regular(&config.repository.join(RULES), limit) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.code == "file-missing" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Nobody looks on.
struct Silent;

impl Progress for Silent {
    fn edited(&self, _: &Path) {}

    fn replaced(&self) {}
}
