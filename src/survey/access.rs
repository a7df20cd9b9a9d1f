//! Who can read what: every encrypted file, its recipients as it is, and those that its selected rule names.

use std::{
    collections::{BTreeSet, HashMap},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

use policy::{
    drift::{self, Drift, FileState},
    pattern::text_as_go_sees_it,
    rules::{Rule, Rules, Settings},
};

use super::{Found, each_in_parallel, look};
use crate::{
    error::{Error, Result},
    limits::Limits,
    repository::Repository,
};

/// All encrypted files of a repository.
pub(crate) struct Access<'r> {
    /// Sorted by path.
    pub(crate) files: Vec<File<'r>>,
    /// Files and directories that could not be read, and rules that sops refuses; each rule once.
    pub(crate) problems: Vec<Error>,
    /// Directories with rules of their own, which were not looked at.
    pub(crate) nested: Vec<PathBuf>,
}

/// One encrypted file.
pub(crate) struct File<'r> {
    /// Relative to the repository.
    pub(crate) path: PathBuf,
    /// The selected rule.
    pub(crate) rule: Option<&'r Rule>,
    /// What sops refuses about the selection or the rule; then nobody knows whom the rules name.
    pub(crate) error: Option<Error>,
    /// The groups of the file as it is.
    pub(crate) groups: Quorum,
    /// The groups of the rule, where there is a usable one.
    pub(crate) rule_groups: Option<Quorum>,
    /// Who can read it and who would by the rules: in the order of the file, then in that of the rule.
    pub(crate) readers: Vec<Reader>,
    /// The recipients are those of the rule, and their groups, or how many are needed, are not.
    pub(crate) regrouped: bool,
}

/// Key groups, and how many of them open a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quorum {
    /// The recipients of each, as they are written, each once.
    pub(crate) groups: Vec<Vec<String>>,
    pub(crate) needed: usize,
}

/// One recipient of one file.
pub(crate) struct Reader {
    /// By which it is compared. Of some cloud keys that is only the address, as in the metadata of files.
    pub(crate) key: drift::Key,
    /// As the file writes it, or else the rule.
    pub(crate) text: String,
    pub(crate) standing: Standing,
    /// How many of the needed groups the recipient opens alone, where these are too few: in the file as it is, or else by
    /// the rule.
    pub(crate) share: Option<Share>,
}

/// Whether file and rules agree on a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They do, or the rules say nothing about the file.
    Reads,
    /// The rules would add it.
    WouldGain,
    /// The rules would take it away.
    WouldLose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) has: usize,
    pub(crate) needed: usize,
}

impl File<'_> {
    /// Whether the rules would change who can read it.
    pub(crate) fn differs(&self) -> bool {
        let agrees = |reader: &Reader| reader.standing == Standing::Reads;
        self.regrouped || !self.readers.iter().all(agrees)
    }
}

/// Looks at every file of the repository.
pub(crate) fn survey<'r>(
    repository: &Repository,
    rules: &'r Rules,
    limits: &Limits,
) -> Result<Access<'r>> {
    let mut walk = repository.walk()?;
    walk.files.sort();
    let mut problems = walk.problems;
    let looked = each_in_parallel(&walk.files, |path| match look(repository, path, limits) {
        Ok(Found::Encrypted(state)) => {
            let text = text_as_go_sees_it(path.as_os_str().as_bytes());
            Ok(Some((state, rules.select(&text))))
        }
        Ok(Found::Plain | Found::Missing) => Ok(None),
        Err(error) => Err(error),
    });

    let mut settings: HashMap<usize, Result<Settings>> = HashMap::new();
    let mut told = BTreeSet::new();
    let mut files = Vec::new();
    for (path, looked) in walk.files.into_iter().zip(looked) {
        let (state, rule) = match looked {
            Ok(Some(encrypted)) => encrypted,
            Ok(None) => continue,
            Err(error) => {
                problems.push(error);
                continue;
            }
        };
        let (rule, settings) = match rule {
            Ok(None) => (None, Ok(None)),
            Err(error) => (None, Err(error.into())),
            Ok(Some(rule)) => {
                let known = settings
                    .entry(rule.index)
                    .or_insert_with(|| rule.settings().map_err(Error::from));
                (Some(rule), known.as_ref().map(Some).map_err(Clone::clone))
            }
        };
        let (settings, error) = match settings {
            Ok(settings) => (settings, None),
            Err(error) => {
                let place = error.position.map(|at| (at.line, at.column));
                if told.insert((place, error.message.clone())) {
                    problems.push(error.clone());
                }
                (None, Some(error))
            }
        };
        files.push(file(path, rule, error, settings, &state));
    }
    Ok(Access {
        files,
        problems,
        nested: walk.nested,
    })
}

fn file<'r>(
    path: PathBuf,
    rule: Option<&'r Rule>,
    error: Option<Error>,
    settings: Option<&Settings>,
    state: &FileState,
) -> File<'r> {
    let now = Groups::new(
        state.key_groups.iter().map(|group| {
            let member = |(kind, text): &(_, String)| (drift::address(*kind, text), text.clone());
            group.iter().map(member).collect()
        }),
        state.shamir_threshold,
    );
    let by_rule = settings.map(|settings| {
        Groups::new(
            settings.key_groups.iter().map(|group| {
                let members = group.iter();
                members
                    .map(|one| (drift::address(one.kind, &one.text), one.text.clone()))
                    .collect()
            }),
            settings.shamir_threshold,
        )
    });
    let mut readers = Vec::new();
    let has = |groups: &Groups, key| groups.members().any(|(other, _)| other == key);
    let mut seen = BTreeSet::new();
    for (key, text) in now.members() {
        if seen.insert(key) {
            let stays = by_rule.as_ref().is_none_or(|rule| has(rule, key));
            readers.push(Reader {
                key: key.clone(),
                text: text.clone(),
                standing: match stays {
                    true => Standing::Reads,
                    false => Standing::WouldLose,
                },
                share: now.share(key),
            });
        }
    }
    for (key, text) in by_rule.iter().flat_map(Groups::members) {
        if seen.insert(key) {
            readers.push(Reader {
                key: key.clone(),
                text: text.clone(),
                standing: Standing::WouldGain,
                share: by_rule.as_ref().and_then(|rule| rule.share(key)),
            });
        }
    }
    let drift = settings.map(|settings| Drift::between(settings, state));
    File {
        path,
        rule,
        error,
        regrouped: drift.is_some_and(|drift| {
            let same = drift.gaining.is_empty() && drift.losing.is_empty();
            drift.groups && same || drift.threshold
        }),
        readers,
        groups: now.into_quorum(),
        rule_groups: by_rule.map(Groups::into_quorum),
    }
}

/// Each member by which it is compared and as it is written.
struct Groups {
    groups: Vec<Vec<(drift::Key, String)>>,
    needed: usize,
}

impl Groups {
    fn new(groups: impl Iterator<Item = Vec<(drift::Key, String)>>, threshold: i64) -> Self {
        let groups: Vec<_> = groups.collect();
        let needed = match groups.len() {
            // A threshold means nothing there.
            0 | 1 => groups.len(),
            several => usize::try_from(drift::needed(threshold, several)).unwrap_or(several),
        };
        Self { groups, needed }
    }

    fn members(&self) -> impl Iterator<Item = &(drift::Key, String)> {
        self.groups.iter().flatten()
    }

    fn share(&self, key: &drift::Key) -> Option<Share> {
        let holds =
            |group: &&Vec<(drift::Key, String)>| group.iter().any(|(other, _)| other == key);
        let has = self.groups.iter().filter(holds).count();
        (has < self.needed).then_some(Share {
            has,
            needed: self.needed,
        })
    }

    fn into_quorum(self) -> Quorum {
        let group = |group: Vec<(drift::Key, String)>| {
            let mut seen = BTreeSet::new();
            let mut members = Vec::new();
            for (key, text) in group {
                if seen.insert(key) {
                    members.push(text);
                }
            }
            members
        };
        Quorum {
            groups: self.groups.into_iter().map(group).collect(),
            needed: self.needed,
        }
    }
}
