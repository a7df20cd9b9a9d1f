//! What each file needs to obey its rule. No key is opened.

use std::{
    collections::HashMap,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use policy::{
    drift::{Drift, FileState},
    rules::{KeyKind, Rule, Rules, Settings},
};

use crate::{
    error::{Error, Result},
    files::{ReadLimit, read_regular},
    identity::Needs,
    limits::Limits,
    repository::{ContentHash, LEDGER, RULES, Repository, Stamp, WRONG_NAME, content_hash},
    secret::Secret,
    sops::{document::Document, format::Format, is_encrypted},
    survey::{each_in_parallel, state},
};

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// It obeys.
    None,
    /// The same data key for other recipients.
    Rewrap,
    /// A new data key, every value encrypted again.
    Rotate,
    /// It has to change, and cannot.
    Blocked,
    /// No rule matches it.
    NoRule,
}

impl Action {
    /// As the contract writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rewrap => "rewrap",
            Self::Rotate => "rotate",
            Self::Blocked => "blocked",
            Self::NoRule => "no-rule",
        }
    }
}

/// When a file gets a new data key although the rules do not ask for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// Where somebody loses access.
    OnRemoval,
    /// Every file.
    Always,
}

/// One encrypted file.
pub(crate) struct File<'r> {
    /// Relative to the repository.
    pub(crate) path: PathBuf,
    pub(crate) action: Action,
    /// Recipients that come, as the rule writes them.
    pub(crate) add: Vec<String>,
    /// Recipients that go, as the file writes them.
    pub(crate) remove: Vec<String>,
    /// Why, in the words of the contract.
    pub(crate) reasons: Vec<&'static str>,
    /// Why it is blocked.
    pub(crate) error: Option<Error>,
    /// Whom and what it is encrypted for, as it says itself.
    pub(crate) state: Option<FileState>,
    /// What the selected rule says.
    pub(crate) rule: Option<(&'r Rule, Settings)>,
    /// What is encrypted is another part than before.
    pub(crate) reselect: bool,
    /// By which it is recognised as unchanged.
    pub(crate) stamp: Option<Stamp>,
}

impl File<'_> {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            action: Action::None,
            add: Vec::new(),
            remove: Vec::new(),
            reasons: Vec::new(),
            error: None,
            state: None,
            rule: None,
            reselect: false,
            stamp: None,
        }
    }

    /// The age recipients that it has, as it writes them.
    pub(crate) fn present(&self) -> impl Iterator<Item = &String> {
        let groups = self.state.iter().flat_map(|state| &state.key_groups);
        let of_age = groups.flatten().filter(|(kind, _)| *kind == KeyKind::Age);
        of_age.map(|(_, text)| text)
    }

    /// Who can open it, by key group.
    pub(super) fn needs(&self) -> Needs<'_> {
        let groups = self.state.iter().flat_map(|state| &state.key_groups);
        let groups: Vec<Vec<&str>> = groups
            .map(|group| {
                let of_age = group.iter().filter(|(kind, _)| *kind == KeyKind::Age);
                of_age.map(|(_, text)| text.as_str()).collect()
            })
            .collect();
        let threshold = self
            .state
            .as_ref()
            .map_or(0, |state| state.shamir_threshold);
        let needed = match groups.len() {
            1 => 1,
            // Where the file does not say, all of them.
            groups => usize::try_from(threshold)
                .ok()
                .filter(|&threshold| threshold > 0)
                .unwrap_or(groups),
        };
        Needs { groups, needed }
    }

    /// Whether it is to be changed.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self.action, Action::Rewrap | Action::Rotate)
    }

    pub(crate) fn block(&mut self, error: Error) {
        self.action = Action::Blocked;
        self.error = Some(error);
    }
}

/// The first of the blocked files, and how many others there are, in words.
pub(crate) fn first_blocked<'f, 'r>(files: &'f [File<'r>]) -> Option<(&'f File<'r>, String)> {
    let mut blocked = files.iter().filter(|file| file.action == Action::Blocked);
    let first = blocked.next()?;
    let others = match blocked.count() {
        0 => String::new(),
        1 => " (and 1 more file is blocked)".to_owned(),
        others => format!(" (and {others} more files are blocked)"),
    };
    Some((first, others))
}

/// Looks at the encrypted files below `paths` (relative to the repository; none of them stands for all). Files that cannot
/// be read as sops writes them are blocked.
pub(crate) fn survey<'r>(
    repository: &Repository,
    rules: &'r Rules,
    paths: &[PathBuf],
    rotation: Rotation,
    limits: &Limits,
) -> Result<Vec<File<'r>>> {
    let eye = Eye {
        repository,
        rules,
        rotation,
        limits,
        keeps_all: true,
    };
    let looked = eye.look_at_all(paths, &Obeying::default())?;
    let files = looked.into_iter().filter_map(|looked| looked.file);
    Ok(files.map(|file| *file).collect())
}

/// Files that need nothing, by the stamps that they had: to be looked at again when they have others, or the rules do. By
/// digests of their paths, which leave no small pieces between what is only needed for a look.
pub(crate) type Obeying = HashMap<ContentHash, Stamp>;

fn by_path(path: &Path) -> ContentHash {
    content_hash(path.as_os_str().as_bytes())
}

/// What another look has found.
pub(crate) struct Again<'r> {
    /// Files that need something, and those without a rule.
    pub(crate) files: Vec<File<'r>>,
    /// All encrypted files that were not among those that obeyed before.
    pub(crate) read: Vec<PathBuf>,
}

/// Looks at the files that are not among `obeying`, which then holds those that need nothing. For who looks often.
pub(crate) fn survey_again<'r>(
    repository: &Repository,
    rules: &'r Rules,
    obeying: &mut Obeying,
    limits: &Limits,
) -> Result<Again<'r>> {
    let now = SystemTime::now();
    let eye = Eye {
        repository,
        rules,
        rotation: Rotation::OnRemoval,
        limits,
        keeps_all: false,
    };
    let looked = eye.look_at_all(&[], obeying)?;
    obeying.clear();
    obeying.reserve(looked.len());
    let mut files = Vec::new();
    let mut read = Vec::new();
    for looked in looked {
        let obeys = looked.file.is_none();
        if let Some(stamp) = looked.stamp.filter(|stamp| obeys && stamp.is_settled(now)) {
            obeying.insert(by_path(&looked.path), stamp);
        }
        files.extend(looked.file.map(|file| *file));
        if looked.is_encrypted {
            read.push(looked.path);
        }
    }
    Ok(Again { files, read })
}

/// What all files are looked at with.
struct Eye<'e, 'r> {
    repository: &'e Repository,
    rules: &'r Rules,
    rotation: Rotation,
    limits: &'e Limits,
    /// Also what is known of files that need nothing: much, where there are many.
    keeps_all: bool,
}

struct Looked<'r> {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// It was read, and sops wrote it.
    is_encrypted: bool,
    /// Absent where sops did not write it, or nothing is to be said about it.
    file: Option<Box<File<'r>>>,
}

impl<'r> Eye<'_, 'r> {
    fn look_at_all(&self, paths: &[PathBuf], obeying: &Obeying) -> Result<Vec<Looked<'r>>> {
        let walk = self.repository.walk()?;
        if let Some(problem) = walk.problems.into_iter().next() {
            return Err(problem);
        }
        let is_asked =
            |file: &Path| paths.is_empty() || paths.iter().any(|path| file.starts_with(path));
        let is_ours = |file: &PathBuf| {
            let name = file.file_name().unwrap_or_default();
            is_asked(file) && name != RULES && name != WRONG_NAME && name != LEDGER
        };
        let files: Vec<PathBuf> = walk.files.into_iter().filter(is_ours).collect();
        let mut found = each_in_parallel(&files, |path| self.look(path, obeying));
        for link in walk.links {
            if is_asked(&link.path) && link.target.is_none() {
                let file = leads_out(self.repository, &link.path, self.limits);
                found.extend(file.map(|file| Looked {
                    path: link.path,
                    stamp: None,
                    is_encrypted: true,
                    file: Some(Box::new(file)),
                }));
            }
        }
        found.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(found)
    }

    fn look(&self, path: &Path, obeying: &Obeying) -> Looked<'r> {
        // The stamp first: a change while reading shows later.
        let stamp = self.repository.stamp(path);
        let is_known = |stamp: &Stamp| obeying.get(&by_path(path)) == Some(stamp);
        let (stamp, file) = match stamp {
            Ok(stamp) if is_known(&stamp) => (Some(stamp), None),
            Ok(stamp) => (Some(stamp), self.read(path, stamp)),
            Err(error) => (None, blocked(path, error)),
        };
        let is_encrypted = file.is_some();
        let file = file.filter(|file| self.keeps_all || file.action != Action::None);
        Looked {
            path: path.to_owned(),
            stamp,
            is_encrypted,
            file: file.map(Box::new),
        }
    }

    fn read(&self, path: &Path, stamp: Stamp) -> Option<File<'r>> {
        let mut file = File::new(path);
        file.stamp = Some(stamp);
        let result: Result<bool> = (|| {
            let content = self.repository.read(path)?;
            let format = Format::from_path(path);
            if !is_encrypted(content.expose(), format) {
                return Ok(false);
            }
            let document = Document::parse(content, format, self.limits)?;
            decide(&mut file, &document, self.rules, self.rotation)?;
            Ok(true)
        })();
        match result {
            Ok(true) => Some(file),
            Ok(false) => None,
            // What sops makes of a file without structure is JSON.
            Err(error) if error.code == "limit" && !self.could_be_encrypted(path) => None,
            Err(error) => blocked(path, error),
        }
    }

    /// Of a file that is too large to be read.
    fn could_be_encrypted(&self, path: &Path) -> bool {
        let begins_otherwise = |start: Secret| !start.expose().trim_ascii_start().starts_with(b"{");
        Format::from_path(path) != Format::Binary
            || !self.repository.start_of(path).is_ok_and(begins_otherwise)
    }
}

/// A file that cannot be looked at, unless it has gone.
fn blocked<'r>(path: &Path, error: Error) -> Option<File<'r>> {
    if error.code == "file-missing" {
        return None;
    }
    let mut file = File::new(path);
    file.block(error);
    Some(file)
}

fn decide<'r>(
    file: &mut File<'r>,
    document: &Document,
    rules: &'r Rules,
    rotation: Rotation,
) -> Result<()> {
    let text = super::name(&file.path);
    let Some(rule) = rules.select(&text)? else {
        file.action = Action::NoRule;
        return Ok(());
    };
    let settings = rule.settings()?;
    let state = state(document);
    let drift = Drift::between(&settings, &state);
    for (is, reason) in [
        (!drift.gaining.is_empty(), "recipients-added"),
        (!drift.losing.is_empty(), "recipients-removed"),
        (drift.threshold, "threshold-changed"),
        (drift.groups, "groups-changed"),
        (drift.selection, "selection-changed"),
        (rotation == Rotation::Always, "rotation-asked"),
    ] {
        if is {
            file.reasons.push(reason);
        }
    }
    let others = |texts: &[String]| {
        let recipients = settings.key_groups.iter().flatten();
        let mut others = recipients.filter(|one| one.kind != KeyKind::Age);
        others.any(|one| {
            texts.contains(&one.text)
                || texts.iter().any(|text| one.text.starts_with(text.as_str()))
        })
    };
    file.action = if file.reasons.is_empty() {
        Action::None
    } else if drift.selection || drift.rotation || rotation == Rotation::Always {
        Action::Rotate
    } else {
        Action::Rewrap
    };
    let added_others = others(&drift.gaining);
    file.reselect = drift.selection;
    file.add = drift.gaining;
    file.remove = drift.losing;
    if file.is_due() && settings.key_groups.iter().any(Vec::is_empty) {
        let message = "the rule names no recipient, or has a key group without any";
        file.block(
            Error::new("key-groups", message).with_hint("name the recipients in the creation rule"),
        );
    } else if file.is_due() && added_others {
        let message =
            "the rule names a key of another kind than age, which the file does not have yet";
        file.block(
            Error::new("unsupported-recipient", message)
                .with_hint("re-key this file with sops updatekeys"),
        );
    }
    file.state = Some(state);
    file.rule = Some((rule, settings));
    Ok(())
}

/// A link that leads out of the repository to an encrypted file: not ours to change.
fn leads_out<'r>(repository: &Repository, path: &Path, limits: &Limits) -> Option<File<'r>> {
    let limit = ReadLimit::of_file(limits.file_size);
    let content = read_regular(&repository.root().join(path), limit).ok()?;
    if !is_encrypted(content.expose(), Format::from_path(path)) {
        return None;
    }
    let message = "the link leads to a file outside of the repository, which is not changed";
    let error =
        Error::new("file-outside", message).with_hint("put the file itself into the repository");
    blocked(path, error)
}
