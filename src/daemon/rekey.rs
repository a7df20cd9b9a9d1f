//! Re-keying by the daemon: what does not obey the rules is looked for after each delivery, and is reported, held for a
//! person, or done, as the configuration says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use policy::rules::Rules;

use super::watch::{CHECKOUT, is_checkout_in_progress};
use crate::{
    check::refuse_doubtful,
    clock,
    config::{Config, RekeyMode},
    control::protocol::{Doubt, Exposed, LastRekey, Pending, Refused, Rekey, RekeyFile, Rekeyed},
    error::{Error, Result},
    files::{ReadLimit, Trust, read_regular, trust},
    identity::{Cancel, Identities},
    rekey::{
        Allowed, NewlyExposed, Progress, Recovered, Tools,
        approval::{doubts, name, require, shown},
        commit, prepare, recover,
        survey::{Action, File, Obeying, survey_again},
    },
    repository::{ContentHash, RULES, Repository, content_hash, parse_rules},
    secret::Secret,
};

/// What re-keying is done with.
pub(super) struct Means<'m> {
    pub(super) config: &'m Config,
    pub(super) identities: &'m Identities,
    /// Thrown when the daemon stops.
    pub(super) stop: &'m Cancel,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Nobody: something has changed.
    ByChange,
    /// Somebody wants to know what is to be done.
    ForPlan,
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
    status: Rekey,
    pending: Arc<Pending>,
    /// Files that were changed, until somebody takes the number.
    changed: usize,
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
        }
    }

    /// Something may be different now.
    pub(super) fn note(&mut self) {
        self.is_due = true;
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_due
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

    /// Looks whether the files obey, and does about it what may be done. What was done is the answer, if anything was.
    ///
    /// A checkout that is in progress ends it with the code `checkout`.
    pub(super) fn look(&mut self, means: &Means<'_>, asked: Asked<'_>) -> Result<Option<Rekeyed>> {
        self.is_due = false;
        let mut pending = Pending::default();
        let result = self.try_to(means, asked, &mut pending);
        if let Err(error) = &result
            && is_passing(error)
        {
            self.is_due = matches!(asked, Asked::ByChange);
            return result;
        }
        // Whoever asks for something else than what is planned changes nothing about the plan.
        let is_about_files = !matches!(&result, Err(error) if error.code == VOID);
        if is_about_files {
            self.tell(&pending, result.as_ref().err());
            self.status.failure = result.as_ref().err().map(Refused::from);
        }
        self.status.pending.clone_from(&pending.id);
        if *self.pending != pending {
            self.pending = Arc::new(pending);
        }
        result
    }

    fn try_to(
        &mut self,
        means: &Means<'_>,
        asked: Asked<'_>,
        pending: &mut Pending,
    ) -> Result<Option<Rekeyed>> {
        let config = means.config;
        let mode = config.rekey.mode;
        if mode == RekeyMode::Off && !matches!(asked, Asked::ByChange) {
            return Err(
                Error::new(VOID, "this daemon does not re-key: rekey.mode is off")
                    .with_hint("run secretsctl rekey where the repository is changed"),
            );
        }
        let repository = Repository::open(&config.repository, config.limits)?;
        let Some(text) = rules_text(config)? else {
            self.status.drift = 0;
            return Ok(None);
        };
        let hash = content_hash(text.expose());
        let file = config.repository.join(RULES);
        let rules = parse_rules(text.expose(), &config.limits).map_err(|e| e.with_file(&file))?;
        if self.rules.replace(hash) != Some(hash) {
            self.obeying.clear();
        }
        let _lock = match mode {
            RekeyMode::Off => None,
            _ => Some(repository.lock()?),
        };
        if mode != RekeyMode::Off {
            log_recovered(recover(&repository)?);
        }
        let mut files = survey_again(&repository, &rules, &mut self.obeying, &config.limits)?;
        files.retain(|file| file.action != Action::NoRule);
        self.status.drift = files.len();
        if mode == RekeyMode::Off {
            return Ok(None);
        }
        require(&mut files, &config.rekey.required);
        if !files.iter().any(File::is_due) {
            return match asked {
                Asked::ForApproved(_) => Err(void()),
                _ => first_blocked(&files, &config.repository).map_or(Ok(None), Err),
            };
        }
        refuse_doubtful(&rules, &file)?;
        let name = name(text.expose(), &files);
        let doubts = self.doubts(config, &files, &file)?;
        let goes = match asked {
            Asked::ForApproved(approved) => {
                if approved != name {
                    *pending = Pending::clone(&self.pending);
                    return Err(void());
                }
                true
            }
            _ => mode == RekeyMode::Auto && doubts.is_empty(),
        };
        *pending = Pending {
            names: names(&rules, &files),
            id: Some(name),
            files: files.iter().map(described).collect(),
            doubts,
        };
        if !goes {
            return Ok(None);
        }
        if is_checkout_in_progress(&config.repository, CHECKOUT) {
            return Err(Error::new(CHECKOUT_CODE, "git is changing the work tree")
                .with_hint("try again when it has finished"));
        }
        let done = self.rekey(means, &repository, files, hash)?;
        *pending = Pending::default();
        Ok(Some(done))
    }

    /// What keeps the daemon from doing it by itself.
    fn doubts(&self, config: &Config, files: &[File<'_>], rules: &Path) -> Result<Vec<Doubt>> {
        let mut found = Vec::new();
        if let Trust::Untrusted(_) = trust(rules)? {
            found.push(Doubt {
                path: RULES.to_owned(),
                code: UNTRUSTED.to_owned(),
                recipient: None,
            });
        }
        let Some(pinned) = &config.rekey.pinned else {
            return Ok(found);
        };
        let of_files = doubts(files, &pinned.pins).into_iter();
        found.extend(of_files.map(|(path, doubt)| Doubt {
            path,
            code: doubt.code().to_owned(),
            recipient: doubt.recipient().map(str::to_owned),
        }));
        Ok(found)
    }

    fn rekey(
        &mut self,
        means: &Means<'_>,
        repository: &Repository,
        mut files: Vec<File<'_>>,
        rules: ContentHash,
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
        if now != Some(rules) {
            return Err(void());
        }
        let exposed = commit(&tools, &files, prepared, &Silent, &interrupted)?;
        let changed = files.len();
        tracing::info!(files = changed, exposed = exposed.len(), "re-keyed");
        self.changed += changed;
        self.status.drift = 0;
        self.status.last = Some(LastRekey {
            at: tools.now.clone(),
            files: changed,
        });
        Ok(Rekeyed {
            files: files.iter().map(described).collect(),
            changed,
            exposed: exposed.into_iter().map(Exposed::from).collect(),
        })
    }

    /// Logs what is different from the last time.
    fn tell(&self, pending: &Pending, failure: Option<&Error>) {
        match (failure, &pending.id) {
            (Some(error), _) if self.status.failure.as_ref() != Some(&error.into()) => {
                let what = match self.status.mode == RekeyMode::Off.name() {
                    true => "cannot tell whether files obey the rules",
                    false => "files do not obey the rules and are not re-keyed",
                };
                super::log::error(what, error);
            }
            (None, Some(id)) if self.pending.id.as_ref() != Some(id) => {
                let (files, doubts) = (pending.files.len(), pending.doubts.len());
                tracing::warn!(%id, files, doubts, "a re-key waits for approval; see secretsctl pending");
            }
            _ => {}
        }
    }
}

/// What the plan of the name that was asked for is not any more.
const VOID: &str = "void";
/// git is at work.
const CHECKOUT_CODE: &str = "checkout";
/// Others than root and the daemon's user can change the rules.
const UNTRUSTED: &str = "untrusted-rules";

/// Whether another look, soon, may come to another end, without any change of the files.
fn is_passing(error: &Error) -> bool {
    matches!(error.code, CHECKOUT_CODE | "locked-repository")
}

fn void() -> Error {
    Error::new(
        VOID,
        "there is no such plan: the rules have changed since, or what the files need",
    )
    .with_hint("look at secretsctl pending again")
}

/// The rules, if there are any.
fn rules_text(config: &Config) -> Result<Option<Secret>> {
    let limit = ReadLimit {
        name: "file-size",
        bytes: config.limits.file_size,
    };
    match read_regular(&config.repository.join(RULES), limit) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.code == "file-missing" => Ok(None),
        Err(error) => Err(error),
    }
}

fn first_blocked(files: &[File<'_>], root: &Path) -> Option<Error> {
    let mut blocked = files.iter().filter(|file| file.action == Action::Blocked);
    let first = blocked.next()?;
    let mut error = first.error.clone()?;
    let others = match blocked.count() {
        0 => String::new(),
        1 => " (and 1 more file is blocked)".to_owned(),
        others => format!(" (and {others} more files are blocked)"),
    };
    error.message = format!(
        "no file was changed, because one cannot be: {}{others}",
        error.message
    );
    if error.file.is_none() {
        error = error.with_file(&root.join(&first.path));
    }
    Some(error)
}

fn log_recovered(recovered: Recovered) {
    match recovered {
        Recovered::Nothing => {}
        Recovered::Undone => {
            tracing::warn!(
                "a re-key was interrupted before it changed anything; its files were removed"
            );
        }
        Recovered::Finished { files } => {
            tracing::warn!(
                files,
                "a re-key was interrupted; what it had left is done now"
            );
        }
    }
}

fn described(file: &File<'_>) -> RekeyFile {
    RekeyFile {
        path: shown(file),
        action: file.action.name().to_owned(),
        add: file.add.clone(),
        remove: file.remove.clone(),
        reasons: file
            .reasons
            .iter()
            .map(|&reason| reason.to_owned())
            .collect(),
        error: file.error.as_ref().map(Into::into),
    }
}

/// How the rules call the recipients that come or go.
fn names(rules: &Rules, files: &[File<'_>]) -> BTreeMap<String, String> {
    let recipients: BTreeSet<&String> = files
        .iter()
        .flat_map(|file| file.add.iter().chain(&file.remove))
        .collect();
    let named = recipients.into_iter().filter_map(|recipient| {
        let name = rules.names().name_of(recipient)?;
        Some((recipient.clone(), name.to_string()))
    });
    named.collect()
}

impl From<NewlyExposed> for Exposed {
    fn from(exposed: NewlyExposed) -> Self {
        Self {
            path: exposed.path,
            keys: exposed.keys,
            recipients: exposed.recipients,
        }
    }
}

/// Nobody looks on.
struct Silent;

impl Progress for Silent {
    fn edited(&self, _: &Path) {}

    fn replaced(&self) {}
}
