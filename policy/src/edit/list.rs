//! Who is named in the file.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Result, place::Place, sheet::Sheet};
use crate::{names::comparable, yaml::Limits};

/// Words of a group's name that say what its keys are of.
const HOSTS: &[&str] = &["host", "server", "machine", "node", "system"];
const PEOPLE: &[&str] = &[
    "user", "admin", "people", "person", "human", "operator", "team", "member",
];

/// What a key is of, as far as the groups say in which it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A group of hosts.
    Host,
    /// A group of people.
    Person,
    /// No group tells.
    Unknown,
}

/// One age or SSH key that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The name by which it is shown.
    pub name: String,
    /// The key, without the comment of an SSH key.
    pub recipient: String,
    /// The rules that name it, by their numbers. Those that sops refuses name nobody.
    pub rules: Vec<usize>,
    /// What it is.
    pub kind: Kind,
}

/// Everybody with a name, in the order of the file.
///
/// # Errors
///
/// What makes sops refuse the whole file.
pub fn hosts(text: &str, limits: Limits) -> Result<Vec<Host>> {
    let sheet = Sheet::read(text, limits)?;
    let names = sheet.rules.names();
    let mut rules: HashMap<String, BTreeSet<usize>> = HashMap::new();
    for rule in sheet.rules.all() {
        let groups = rule.settings().map(|settings| settings.key_groups);
        for one in groups.into_iter().flatten().flatten() {
            let named = rules.entry(comparable(&one.text)).or_default();
            named.insert(rule.index);
        }
    }
    let mut kinds: HashMap<&str, Kind> = HashMap::new();
    for place in sheet.places.iter().filter(|place| !place.is_in_rules) {
        for key in &place.keys {
            let kind = kinds.entry(key).or_insert(Kind::Unknown);
            *kind = group_kind(place).min(*kind);
        }
    }
    let mut seen = HashSet::new();
    let mut hosts: Vec<Host> = Vec::new();
    for place in &sheet.places {
        for key in &place.keys {
            let is_age = key.starts_with("age1") || key.starts_with("ssh-");
            let Some(name) = names.name_of(key).filter(|_| is_age && seen.insert(key)) else {
                continue;
            };
            hosts.push(Host {
                name: name.to_owned(),
                recipient: key.clone(),
                rules: rules.get(key).into_iter().flatten().copied().collect(),
                kind: kinds.get(key.as_str()).copied().unwrap_or(Kind::Unknown),
            });
        }
    }
    Ok(hosts)
}

/// All age and SSH keys of the file, with a name or without, without the comments of SSH keys.
///
/// # Errors
///
/// What makes sops refuse the whole file.
pub fn keys(text: &str, limits: Limits) -> Result<Vec<String>> {
    let sheet = Sheet::read(text, limits)?;
    let keys = sheet.places.iter().flat_map(|place| &place.keys);
    let is_age = |key: &&String| key.starts_with("age1") || key.starts_with("ssh-");
    Ok(keys.filter(is_age).cloned().collect())
}

/// The key of the host `name`: the name may be its key, too.
///
/// # Errors
///
/// An unknown name, one that several keys have.
pub fn key_of(text: &str, name: &str, limits: Limits) -> Result<String> {
    Sheet::read(text, limits)?.key_of(name)
}

/// The rules that name the key.
pub(super) fn rules_of(sheet: &Sheet<'_>, key: &str) -> Vec<usize> {
    let names_it = |rule: &&crate::rules::Rule| {
        rule.settings().is_ok_and(|settings| {
            let mut all = settings.key_groups.iter().flatten();
            all.any(|one| comparable(&one.text) == key)
        })
    };
    let rules = sheet.rules.all().iter().filter(names_it);
    rules.map(|rule| rule.index).collect()
}

/// The innermost group that tells.
pub(super) fn group_kind(place: &Place) -> Kind {
    let groups = place.groups_around().iter().rev();
    let mut kinds = groups.filter_map(|group| word_kind(group));
    kinds.next().unwrap_or(Kind::Unknown)
}

/// What the name of a group says.
pub(super) fn word_kind(group: &str) -> Option<Kind> {
    let group = group.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| group.contains(word));
    match (has(HOSTS), has(PEOPLE)) {
        (true, false) => Some(Kind::Host),
        (false, true) => Some(Kind::Person),
        _ => None,
    }
}
