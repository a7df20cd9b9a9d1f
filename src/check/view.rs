//! What a check looks at: the work tree or what is staged, all of it or a part.
//!
//! Where there is a Git work tree, its ignore rules decide what belongs to the repository:
//!
//! - A file that Git tracks belongs to it, whatever `.gitignore` says.
//! - A file that Git neither tracks nor ignores will be added sooner or later: it is checked as any other.
//! - A file that is ignored and not tracked is looked at for one thing only, whether it is encrypted
//!   (`ignored-file`). A decrypted copy (`*.dec.yaml`), a key file or a rendered template is ignored on purpose, so
//!   nothing is said about one; files above [`MOST_IGNORED`] bytes are not even read.
//! - An ignored directory in which nothing is tracked (`node_modules`, `target`, `.direnv`) is not entered, unless the
//!   literal beginning of a rule's pattern names it: `^secrets/` and an ignored `secrets/` contradict each other. Nor
//!   is it passed over where somebody names it, or a file in it.
//! - Files of a submodule count as tracked: another repository is responsible for them.
//! - A repository that lies whole in an ignored directory of another one is treated as if there were no Git.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use policy::rules::Rules;

use super::{
    scope::{Scope, named_directories, rule_alike},
    staging::Staging,
};
use crate::{
    error::{Error, Result},
    git::{self, Git, IGNORES, Since},
    limits::Limits,
    repository::{self, Repository, Walk, located, parse_rules},
    secret::Secret,
};

/// Bytes of an ignored file up to which it is looked at.
const MOST_IGNORED: u64 = 1 << 20;

/// What of the repository is asked about.
#[derive(Debug, Default)]
pub(crate) struct Request<'a> {
    /// Files and directories; none means everything.
    pub(crate) paths: &'a [PathBuf],
    /// What is staged in place of the work tree, and of that what differs from HEAD.
    pub(crate) staged: bool,
    /// Only what changed since this revision.
    pub(crate) since: Option<&'a str>,
    /// Files with private keys that are in use on this machine.
    pub(crate) identities: Vec<PathBuf>,
}

/// An open repository and what of it is asked about.
pub(crate) struct View {
    pub(super) repository: Repository,
    /// The file of the rules, relative to the repository.
    pub(super) name: PathBuf,
    pub(super) identities: Vec<PathBuf>,
    /// Why Git could not be asked.
    pub(super) problem: Option<Error>,
    limits: Limits,
    git: Option<Git>,
    staged: Option<Staging>,
    since: Option<Since>,
    paths: Vec<PathBuf>,
    /// As they are in the file system.
    place: repository::Rules,
}

/// How Git stands to a file. Without Git every file is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Tracked,
    Untracked,
}

/// The files that there are.
#[derive(Default)]
pub(super) struct Files {
    /// Sorted.
    pub(super) all: Vec<(PathBuf, Standing)>,
    /// Ignored and not tracked, small enough to look at.
    pub(super) ignored: Vec<PathBuf>,
    /// Directories with rules of their own.
    pub(super) nested: Vec<PathBuf>,
    /// What could not be read.
    pub(super) problems: Vec<Error>,
}

impl View {
    /// Opens the repository of `place`. Without Git, or with one that cannot be read, everything is looked at as it
    /// lies there; what needs Git is an error then.
    pub(crate) fn open(
        place: &repository::Rules,
        request: Request<'_>,
        limits: Limits,
    ) -> Result<Self> {
        let needs_git = request.staged || request.since.is_some();
        let (git, problem) = match Git::discover(&place.root) {
            Ok(None) if needs_git => return Err(no_git(place)),
            Err(error) if needs_git => return Err(error.with_file(&place.root)),
            Ok(git) => (git, None),
            Err(error) => (None, Some(error)),
        };
        let git = git.filter(|git| needs_git || !git.is_strange_to(&git.ignores(&limits)));
        let staged = match &git {
            Some(git) if request.staged => Some(Staging::of(git)?),
            _ => None,
        };
        let since = match (&git, request.since) {
            (Some(git), Some(revision)) => Some(git.since(revision)?),
            _ => None,
        };
        let paths = request.paths.iter().map(|path| {
            located(place, path)?.ok_or_else(|| {
                let message = "the path lies outside of the repository";
                Error::new("file-outside", message)
                    .with_file(path)
                    .with_hint("name files and directories beneath the directory of .sops.yaml")
            })
        });
        Ok(Self {
            repository: Repository::open(&place.root, limits)?,
            name: PathBuf::from(place.file.file_name().unwrap_or_default()),
            // They belong to the machine, not to a part of the repository.
            identities: match needs_git || !request.paths.is_empty() {
                true => Vec::new(),
                false => request.identities,
            },
            problem,
            limits,
            paths: paths.collect::<Result<_>>()?,
            git,
            staged,
            since,
            place: place.clone(),
        })
    }

    /// The repository from the top of its Git work tree; empty without one.
    pub(super) fn place(&self) -> PathBuf {
        self.git.as_ref().map(Git::place).unwrap_or_default()
    }

    /// The text of the rules.
    pub(crate) fn rules(&self) -> Result<Secret> {
        let Some(staged) = &self.staged else {
            return self.place.read(&self.limits);
        };
        if !staged.blobs.contains_key(&self.name) {
            let message = "the rules are not in Git's index, so there is nothing to compare staged files with";
            return Err(Error::new("no-rules", message)
                .with_file(&self.place.file)
                .with_hint("add them: git add .sops.yaml"));
        }
        let reader = self.reader();
        reader
            .read(&self.name)
            .map_err(|error| error.with_file(&self.place.file))
    }

    /// All files but the rules and what belongs to them.
    pub(super) fn files(&self, rules: &Rules) -> Result<Files> {
        let mut files = match &self.staged {
            Some(staged) => staged.files(),
            None => self.in_work_tree(rules)?,
        };
        files.all.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(files)
    }

    /// Whether what the rules say by themselves is told.
    pub(super) fn tells_of_rules(&self) -> bool {
        let mut staged = self.staged.iter();
        staged.all(|staged| staged.changed.contains(&self.name))
    }

    /// Reads files. Each thread needs a reader of its own.
    pub(super) fn reader(&self) -> Reader<'_> {
        match (&self.staged, &self.git) {
            (Some(staged), Some(git)) => Reader::Index(staged, Box::new(git.reader(&self.limits))),
            _ => Reader::WorkTree(&self.repository),
        }
    }

    /// Which findings are told. `texts` are the paths of `files` as patterns see them.
    pub(super) fn scope(
        &self,
        files: &[(PathBuf, Standing)],
        texts: &[&str],
        rules: &Rules,
    ) -> Scope {
        let paths = self.paths.clone();
        if let Some(staged) = &self.staged {
            return Scope {
                paths,
                changed: Some(staged.changed.clone()),
                rules: self.tells_of_rules(),
            };
        }
        let changed = match (&self.since, &self.git) {
            (Some(since), Some(git)) => Some(self.changed(since, git, files, texts, rules)),
            _ => None,
        };
        Scope {
            paths,
            changed,
            rules: true,
        }
    }

    fn in_work_tree(&self, rules: &Rules) -> Result<Files> {
        let Some(git) = &self.git else {
            return Ok(Files::of(self.repository.walk()?));
        };
        let mut ignores = git.ignores(&self.limits);
        let named = named_directories(rules);
        let walk = self.repository.walk_into(&mut |directory| {
            let is_ignored = ignores.ignore_directory(directory);
            let enters = !is_ignored
                || git.tracks_beneath(directory)
                || named.contain(directory)
                || self.names(directory);
            // As in Git, a link does not count.
            let file = directory.join(IGNORES);
            let status = fs::symlink_metadata(self.repository.root().join(&file));
            if enters
                && status.is_ok_and(|status| status.is_file())
                && let Ok(patterns) = self.repository.read(&file)
            {
                ignores.add(directory, patterns.expose());
            }
            enters
        })?;
        let mut files = Files::of(walk);
        let mut ignored = Vec::new();
        files.all.retain_mut(|(path, standing)| {
            if git.tracks(path) {
                return true;
            }
            *standing = Standing::Untracked;
            let is_ignored = ignores.ignore_file(path);
            if is_ignored {
                let status = fs::symlink_metadata(self.repository.root().join(&path));
                if status.is_ok_and(|status| status.len() <= MOST_IGNORED) {
                    ignored.push(path.clone());
                }
            }
            !is_ignored
        });
        files.ignored = ignored;
        Ok(files)
    }

    /// Whether somebody asks for the directory, or for something above or beneath it.
    fn names(&self, directory: &Path) -> bool {
        let named = self.paths.iter();
        let mut named = named.filter(|path| !path.as_os_str().is_empty());
        named.any(|path| path.starts_with(directory) || directory.starts_with(path))
    }

    /// Files that are not what they were, and those for which other rules hold now.
    fn changed(
        &self,
        since: &Since,
        git: &Git,
        files: &[(PathBuf, Standing)],
        texts: &[&str],
        rules: &Rules,
    ) -> HashSet<PathBuf> {
        let reader = git.reader(&self.limits);
        let differs = |path: &Path| {
            let absolute = self.repository.root().join(path);
            since.differs(git, &reader, path, &absolute, || self.repository.read(path))
        };
        let old_rules = match differs(&self.name) {
            true => Some(since.old(&self.name).and_then(|blob| {
                let text = reader.read(blob).ok()?;
                parse_rules(text.expose(), &self.limits).ok()
            })),
            false => None,
        };
        let is_ruled_otherwise = |text: &str| match &old_rules {
            None => false,
            Some(None) => true,
            Some(Some(old)) => !rule_alike(old, rules, text),
        };
        let files = files.iter().zip(texts);
        let changed = files.filter(|((path, _), text)| differs(path) || is_ruled_otherwise(text));
        changed
            .map(|((path, _), _)| path.clone())
            .chain(old_rules.is_some().then(|| self.name.clone()))
            .collect()
    }
}

impl Files {
    fn of(walk: Walk) -> Self {
        let tracked = |path| (path, Standing::Tracked);
        Self {
            all: walk.files.into_iter().map(tracked).collect(),
            ignored: Vec::new(),
            nested: walk.nested,
            problems: walk.problems,
        }
    }
}

/// Reads what is looked at.
pub(super) enum Reader<'v> {
    WorkTree(&'v Repository),
    Index(&'v Staging, Box<git::Reader>),
}

impl Reader<'_> {
    /// The content of a file.
    pub(super) fn read(&self, path: &Path) -> Result<Secret> {
        match self {
            Self::WorkTree(repository) => repository.read(path),
            Self::Index(staged, reader) => match staged.blobs.get(path) {
                Some(blob) => reader.read(*blob).map_err(|error| error.with_file(path)),
                None => Err(Error::new("file-missing", "there is no such file").with_file(path)),
            },
        }
    }
}

fn no_git(place: &repository::Rules) -> Error {
    Error::new(
        "git",
        "the directory of the rules is not in a Git work tree",
    )
    .with_file(&place.root)
    .with_hint("leave out --staged and --since, or run it in a clone")
}
