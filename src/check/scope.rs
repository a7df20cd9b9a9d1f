//! Which part of a repository findings are told about, and what the rules say about parts of it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use policy::{
    pattern::Pattern,
    rules::{Recipient, Rules},
};

/// The part of the repository that findings are told about. Everything is looked at all the same: whether a file is a
/// copy, or lies beside encrypted ones, shows in the others.
pub(super) struct Scope {
    pub(super) paths: Vec<PathBuf>,
    pub(super) changed: Option<HashSet<PathBuf>>,
    /// Whether what the rules say by themselves is told.
    pub(super) rules: bool,
}

impl Scope {
    /// The rules, and no file.
    pub(super) fn of_rules() -> Self {
        Self {
            paths: Vec::new(),
            changed: Some(HashSet::new()),
            rules: true,
        }
    }

    /// Whether a file is part of it.
    pub(super) fn has(&self, file: &Path) -> bool {
        let is_named =
            self.paths.is_empty() || self.paths.iter().any(|path| file.starts_with(path));
        let changed = self.changed.as_ref();
        is_named && changed.is_none_or(|changed| changed.contains(file))
    }

    /// Whether nothing is left out.
    pub(super) fn is_everything(&self) -> bool {
        self.rules && self.paths.is_empty() && self.changed.is_none()
    }

    /// Whether a directory that was not entered may hold files of it.
    pub(super) fn touches(&self, directory: &Path) -> bool {
        let touches = |path: &PathBuf| path.starts_with(directory) || directory.starts_with(path);
        self.paths.is_empty() || self.paths.iter().any(touches)
    }
}

/// The directories that patterns begin with.
pub(super) struct Named(Vec<PathBuf>);

impl Named {
    pub(super) fn contain(&self, directory: &Path) -> bool {
        let names = |named: &PathBuf| named.starts_with(directory) || directory.starts_with(named);
        self.0.iter().any(names)
    }
}

/// `secrets/prod` for `^secrets/prod/db-.*`. Nothing for a pattern that begins with anything else than text: it names no
/// directory, and may match in all.
pub(super) fn named_directories(rules: &Rules) -> Named {
    let patterns = rules.all().iter().filter_map(|rule| rule.pattern().ok()?);
    let directory = |pattern: &Pattern| {
        let (directory, _) = pattern.beginning().rsplit_once('/')?;
        Some(PathBuf::from(directory)).filter(|path| !path.as_os_str().is_empty())
    };
    let mut named: Vec<_> = patterns.filter_map(directory).collect();
    named.sort();
    named.dedup();
    Named(named)
}

/// Whether two lists of rules ask the same of a path, wherever in the file they say it.
pub(super) fn rule_alike(left: &Rules, right: &Rules, text: &str) -> bool {
    let asked = |rules: &Rules| {
        let rule = rules.select(text).ok()?;
        let Some(rule) = rule else { return Some(None) };
        let settings = rule.settings().ok()?;
        let recipient = |one: &Recipient| (one.kind, one.text.clone());
        let group = |group: &Vec<Recipient>| group.iter().map(recipient).collect::<Vec<_>>();
        let groups: Vec<_> = settings.key_groups.iter().map(group).collect();
        let rest = (settings.shamir_threshold, settings.mac_only_encrypted);
        Some(Some((groups, settings.selection, rest)))
    };
    asked(left).is_some_and(|left| Some(left) == asked(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_the_directory_that_they_begin_with() {
        for (pattern, directory) in [
            ("^secrets/", Some("secrets")),
            (r"^hosts/a\.example/.*\.yaml$", Some("hosts/a.example")),
            ("^hosts/web-[0-9]+/", Some("hosts")),
            ("^secrets/?", None),
            ("^sec", None),
            ("secrets/", None),
            (r"\.yaml$", None),
            ("^(a|b)/", None),
            ("^a/x|b/", None),
            ("(?i)^secrets/", None),
            ("^/", None),
        ] {
            let text = format!("creation_rules: [{{path_regex: '{pattern}'}}]");
            let Named(found) = named_directories(&Rules::parse(&text).unwrap());
            let expected: Vec<_> = directory.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{pattern}");
        }
        let named = Named(vec![PathBuf::from("a/b")]);
        for (directory, is_named) in [("a", true), ("a/b/c", true), ("a/c", false), ("ab", false)] {
            assert_eq!(named.contain(Path::new(directory)), is_named, "{directory}");
        }
    }
}
