//! What each file needs to obey its rule. No key is opened.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use policy::{
    drift::Drift,
    pattern::text_as_go_sees_it,
    rules::{KeyKind, Rule, Rules, Settings},
};

use crate::{
    error::{Error, Result},
    limits::Limits,
    repository::{LEDGER, RULES, Repository, Stamp, WRONG_NAME},
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
    /// The age recipients that it has, as it writes them.
    pub(crate) present: Vec<String>,
    /// What the selected rule says.
    pub(crate) rule: Option<(&'r Rule, Settings)>,
    /// What is encrypted is another part than before.
    pub(crate) reselect: bool,
    /// By which it is recognised as unchanged.
    pub(crate) stamp: Option<Stamp>,
}

impl File<'_> {
    /// Whether it is to be changed.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self.action, Action::Rewrap | Action::Rotate)
    }

    pub(crate) fn block(&mut self, error: Error) {
        self.action = Action::Blocked;
        self.error = Some(error);
    }
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
    let walk = repository.walk()?;
    if let Some(problem) = walk.problems.into_iter().next() {
        return Err(problem);
    }
    let is_asked =
        |file: &Path| paths.is_empty() || paths.iter().any(|path| file.starts_with(path));
    let is_ours = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default();
        is_asked(file) && name != RULES && name != WRONG_NAME && name != LEDGER
    };
    let mut files: Vec<PathBuf> = walk.files.into_iter().filter(is_ours).collect();
    files.sort();
    let looked = each_in_parallel(&files, |file| {
        look(repository, rules, file, rotation, limits)
    });
    let mut found: Vec<File<'r>> = looked.into_iter().flatten().collect();
    for link in walk.links {
        if is_asked(&link.path) && link.target.is_none() {
            found.extend(leads_out(repository, link.path));
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

fn look<'r>(
    repository: &Repository,
    rules: &'r Rules,
    path: &Path,
    rotation: Rotation,
    limits: &Limits,
) -> Option<File<'r>> {
    let mut file = File {
        path: path.to_owned(),
        action: Action::None,
        add: Vec::new(),
        remove: Vec::new(),
        reasons: Vec::new(),
        error: None,
        present: Vec::new(),
        rule: None,
        reselect: false,
        stamp: None,
    };
    let result: Result<bool> = (|| {
        // The stamp first: a change while reading shows later.
        file.stamp = Some(repository.stamp(path)?);
        let content = repository.read(path)?;
        let format = Format::from_path(path);
        if !is_encrypted(content.expose(), format) {
            return Ok(false);
        }
        let document = Document::parse(content, format, limits)?;
        decide(&mut file, &document, rules, rotation)?;
        Ok(true)
    })();
    match result {
        Ok(true) => Some(file),
        Ok(false) => None,
        Err(error) if error.code == "file-missing" => None,
        Err(error) => {
            file.block(error);
            Some(file)
        }
    }
}

fn decide<'r>(
    file: &mut File<'r>,
    document: &Document,
    rules: &'r Rules,
    rotation: Rotation,
) -> Result<()> {
    let text = text_as_go_sees_it(file.path.as_os_str().as_bytes()).into_owned();
    let Some(rule) = rules.select(&text)? else {
        file.action = Action::NoRule;
        return Ok(());
    };
    let settings = rule.settings()?;
    let state = state(document);
    let of_age = state.key_groups.iter().flatten();
    let of_age = of_age.filter(|(kind, _)| *kind == KeyKind::Age);
    file.present = of_age.map(|(_, text)| text.clone()).collect();
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
    file.rule = Some((rule, settings));
    Ok(())
}

/// A link that leads out of the repository to an encrypted file: not ours to change.
fn leads_out<'r>(repository: &Repository, path: PathBuf) -> Option<File<'r>> {
    let target = repository.root().join(&path);
    let is_file = fs::metadata(&target).is_ok_and(|status| status.is_file());
    let content = is_file.then(|| fs::read(&target).ok()).flatten()?;
    let content = crate::secret::Secret::new(content);
    if !is_encrypted(content.expose(), Format::from_path(&path)) {
        return None;
    }
    let message = "the link leads to a file outside of the repository, which is not changed";
    let error =
        Error::new("file-outside", message).with_hint("put the file itself into the repository");
    Some(File {
        path,
        action: Action::Blocked,
        add: Vec::new(),
        remove: Vec::new(),
        reasons: Vec::new(),
        error: Some(error),
        present: Vec::new(),
        rule: None,
        reselect: false,
        stamp: None,
    })
}
