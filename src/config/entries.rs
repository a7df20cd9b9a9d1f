//! `secrets`, `templates`, `match` and `defaults`: what is delivered and as whose.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Glob, Grant, Match, Place, Principal, SecretEntry, Settings, TemplateContent, TemplateEntry,
    node::{Member, Node, Value},
    paths::{place_of, repository_file},
    reader::{Fields, Findings},
};
use crate::sops::format::Format;

/// Settings that an entry shares with `match` and, but for the last ones, with `defaults`.
const SETTINGS: [&str; 9] = [
    "owner",
    "group",
    "mode",
    "early",
    "restart-units",
    "reload-units",
    "rollback",
    "accept-old",
    "on-change",
];

const FORMATS: [(&str, Format); 5] = [
    ("yaml", Format::Yaml),
    ("json", Format::Json),
    ("dotenv", Format::Dotenv),
    ("ini", Format::Ini),
    ("binary", Format::Binary),
];

/// `defaults`: what an entry says when it says nothing.
#[derive(Clone, Default)]
pub(super) struct Defaults {
    pub(super) file: Option<String>,
    pub(super) owner: Option<Principal>,
    pub(super) group: Option<Principal>,
    pub(super) mode: Option<u32>,
}

impl Defaults {
    pub(super) fn read(node: &Node, repository: &Path, findings: &mut Findings) -> Self {
        let Some(fields) = findings.fields(node, "`defaults`", &["file", "owner", "group", "mode"])
        else {
            return Self::default();
        };
        Self {
            file: fields
                .find("file")
                .and_then(|node| repository_file(node, repository, findings)),
            owner: fields
                .find("owner")
                .and_then(|node| findings.principal(node, "owner")),
            group: fields
                .find("group")
                .and_then(|node| findings.principal(node, "group")),
            mode: fields
                .find("mode")
                .and_then(|node| findings.mode(node, "mode")),
        }
    }

    /// As settings of something that has none of its own.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode.unwrap_or(0o400),
            early: false,
            restart_units: Vec::new(),
            reload_units: Vec::new(),
            rollback: false,
            on_change: Vec::new(),
            accept_old: false,
        }
    }
}

/// What the entries of all files add up to.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) secrets: Vec<SecretEntry>,
    pub(super) templates: Vec<TemplateEntry>,
    pub(super) matches: Vec<Match>,
    pub(super) grants: Vec<Grant>,
}

/// What entries are read against.
pub(super) struct Context<'a> {
    pub(super) repository: &'a Path,
    pub(super) runtime_directory: &'a Path,
    pub(super) defaults: &'a Defaults,
}

impl Entries {
    pub(super) fn read_matches(
        &mut self,
        node: &Node,
        context: &Context<'_>,
        findings: &mut Findings,
    ) {
        let items = match &node.value {
            Value::Null => return,
            Value::List(items) => items,
            _ => return findings.error(&node.place, "config-type", "`match` must be a list"),
        };
        let mut known = vec!["path"];
        known.extend(SETTINGS);
        for item in items {
            let Some(fields) = findings.fields(item, "an entry of `match`", &known) else {
                continue;
            };
            let settings = settings(&fields, context, findings);
            if let Some(member) = fields.member("early").filter(|_| settings.early) {
                let hint = "name what is early in `secrets`, besides the rules";
                warn_later(findings, &member.key_place, "early delivery by rules", hint);
            }
            no_way_back(&fields, &settings, findings);
            let Some(path) = fields.find("path") else {
                findings.error(
                    &item.place,
                    "missing-key",
                    "an entry of `match` needs a `path`",
                );
                continue;
            };
            let Some(text) = findings.text(path, "path") else {
                continue;
            };
            match Glob::parse(text) {
                Ok(glob) => self.matches.push(Match { glob, settings }),
                Err(message) => findings.error(&path.place, "config-value", message),
            }
        }
    }

    pub(super) fn read_secrets(
        &mut self,
        node: &Node,
        context: &Context<'_>,
        findings: &mut Findings,
    ) {
        let mut known = vec!["file", "key", "format", "path"];
        known.extend(SETTINGS);
        for member in members(node, "secrets", findings) {
            let Some(fields) = findings.fields(&member.node, "a secret", &known) else {
                continue;
            };
            let settings = settings(&fields, context, findings);
            let (location, link) = place_of(member, &fields, context, findings);
            let key = fields
                .find("key")
                .map_or_else(Vec::new, |node| key(node, findings));
            let format = fields
                .find("format")
                .and_then(|node| findings.choice(node, "format", &FORMATS));
            let file = match fields.find("file") {
                Some(node) => repository_file(node, context.repository, findings),
                None if context.defaults.file.is_some() => context.defaults.file.clone(),
                None => {
                    let message = format!(
                        "the secret `{}` names no `file`, and there is none in `defaults`",
                        member.key
                    );
                    findings.error(&member.key_place, "missing-key", message);
                    None
                }
            };
            let (Some(file), Some(location)) = (file, location) else {
                continue;
            };
            let (name, place) = (member.key.clone(), member.key_place.clone());
            self.secrets.push(SecretEntry {
                name,
                place,
                file,
                key,
                format,
                location,
                link,
                settings,
            });
        }
    }

    pub(super) fn read_templates(
        &mut self,
        node: &Node,
        context: &Context<'_>,
        findings: &mut Findings,
    ) {
        let mut known = vec!["content", "file", "environment", "path"];
        known.extend(SETTINGS.iter().filter(|key| **key != "accept-old"));
        for member in members(node, "templates", findings) {
            let Some(fields) = findings.fields(&member.node, "a template", &known) else {
                continue;
            };
            let settings = settings(&fields, context, findings);
            no_way_back(&fields, &settings, findings);
            let (location, link) = place_of(member, &fields, context, findings);
            let environment = match fields.find("environment") {
                Some(node) => findings.flag(node, "environment").unwrap_or_default(),
                None => member.key.ends_with(".env"),
            };
            let content = match (fields.find("content"), fields.find("file")) {
                (Some(node), None) => findings
                    .text(node, "content")
                    .map(|text| TemplateContent::Text(text.to_owned())),
                (None, Some(node)) => findings.path(node, "file").map(TemplateContent::File),
                _ => {
                    let message = format!(
                        "the template `{}` needs either `content` or `file`",
                        member.key
                    );
                    findings.error(&member.key_place, "missing-key", message);
                    None
                }
            };
            let (Some(content), Some(location)) = (content, location) else {
                continue;
            };
            let (name, place) = (member.key.clone(), member.key_place.clone());
            self.templates.push(TemplateEntry {
                name,
                place,
                content,
                environment,
                location,
                link,
                settings,
            });
        }
    }

    /// Checks what concerns several entries: names, delivered paths and links given twice, a file where another needs
    /// a directory.
    pub(super) fn check(&self, findings: &mut Findings) {
        let mut names: BTreeMap<&str, &Place> = BTreeMap::new();
        let mut locations: BTreeMap<&str, (&str, &Place)> = BTreeMap::new();
        let mut links: BTreeMap<&Path, (&str, &Place)> = BTreeMap::new();
        for (name, location, link, place) in self.outputs() {
            if let Some(first) = names.insert(name, place) {
                let error = place.error(
                    "duplicate-name",
                    format!("the name `{name}` is given twice; first in {}", at(first)),
                );
                findings.errors.push(
                    error.with_hint("secrets and templates of all files share one set of names"),
                );
                continue;
            }
            if let Some((other, first)) = locations.insert(location, (name, place)) {
                let message = format!(
                    "`{name}` has the same path as `{other}`, which stands in {}",
                    at(first)
                );
                findings.error(place, "duplicate-path", message);
            }
            if let Some((link, (other, first))) =
                link.and_then(|link| links.insert(link, (name, place)).map(|old| (link, old)))
            {
                let message = format!(
                    "`{name}` has the same path {} as `{other}`, which stands in {}",
                    link.display(),
                    at(first)
                );
                findings.error(place, "duplicate-path", message);
            }
        }
        for (location, (name, place)) in &locations {
            let directories = location
                .match_indices('/')
                .filter_map(|(end, _)| location.get(..end));
            for (other, first) in directories.filter_map(|directory| locations.get(directory)) {
                let message = format!(
                    "`{name}` needs a directory where `{other}`, which stands in {}, is a file",
                    at(first)
                );
                findings.error(place, "duplicate-path", message);
            }
        }
    }

    /// Checks that there is a generation to return to.
    pub(super) fn check_rollback(&self, keep: usize, findings: &mut Findings) {
        for entry in self.secrets.iter().filter(|entry| entry.settings.rollback) {
            if keep < 2 {
                let error = entry.place.error(
                    "config-value",
                    format!("`rollback` of `{}` needs `keep-generations: 2`", entry.name),
                );
                findings.errors.push(error);
            }
            if entry.settings.restart_units.is_empty() {
                let warning = entry.place.error(
                    "no-effect",
                    format!(
                        "`rollback` of `{}` means nothing without `restart-units`",
                        entry.name
                    ),
                );
                findings.warnings.push(warning);
            }
        }
    }

    /// The names of everything that is delivered.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.outputs().map(|(name, ..)| name).collect()
    }

    fn outputs(&self) -> impl Iterator<Item = (&str, &str, Option<&Path>, &Place)> {
        let secrets = self.secrets.iter().map(|e| {
            (
                e.name.as_str(),
                e.location.as_str(),
                e.link.as_deref(),
                &e.place,
            )
        });
        let templates = self.templates.iter().map(|e| {
            (
                e.name.as_str(),
                e.location.as_str(),
                e.link.as_deref(),
                &e.place,
            )
        });
        secrets.chain(templates)
    }
}

fn members<'n>(node: &'n Node, what: &'static str, findings: &mut Findings) -> &'n [Member] {
    match &node.value {
        Value::Map(members) => members,
        Value::Null => &[],
        _ => {
            findings.error(
                &node.place,
                "config-type",
                format!("`{what}` must be a mapping of names"),
            );
            &[]
        }
    }
}

fn settings(fields: &Fields<'_>, context: &Context<'_>, findings: &mut Findings) -> Settings {
    let mut settings = context.defaults.settings();
    if let Some(owner) = fields
        .find("owner")
        .and_then(|node| findings.principal(node, "owner"))
    {
        settings.owner = Some(owner);
    }
    if let Some(group) = fields
        .find("group")
        .and_then(|node| findings.principal(node, "group"))
    {
        settings.group = Some(group);
    }
    if let Some(mode) = fields
        .find("mode")
        .and_then(|node| findings.mode(node, "mode"))
    {
        settings.mode = mode;
    }
    if let Some(early) = fields
        .find("early")
        .and_then(|node| findings.flag(node, "early"))
    {
        settings.early = early;
    }
    if let Some(rollback) = fields
        .find("rollback")
        .and_then(|node| findings.flag(node, "rollback"))
    {
        settings.rollback = rollback;
    }
    if let Some(accept_old) = fields
        .find("accept-old")
        .and_then(|node| findings.flag(node, "accept-old"))
    {
        settings.accept_old = accept_old;
    }
    for (key, units) in [
        ("restart-units", &mut settings.restart_units),
        ("reload-units", &mut settings.reload_units),
    ] {
        let Some(member) = fields.member(key) else {
            continue;
        };
        *units = findings.texts(&member.node, key);
        for unit in units.iter() {
            if let Some(message) = wrong_unit(unit) {
                findings.error(&member.node.place, "config-value", message);
            }
        }
    }
    if let Some(node) = fields.find("on-change") {
        settings.on_change = findings.command(node, "on-change");
    }
    settings
}

/// Only a value of `secrets` can be rejected by itself.
fn no_way_back(fields: &Fields<'_>, settings: &Settings, findings: &mut Findings) {
    if let Some(member) = fields.member("rollback").filter(|_| settings.rollback) {
        let what = "the return of the previous generation for templates and by rules";
        let hint = "write `rollback` at the entries of `secrets`";
        warn_later(findings, &member.key_place, what, hint);
    }
}

fn warn_later(findings: &mut Findings, place: &Place, what: &str, hint: &str) {
    let warning = place.error(
        "not-yet",
        format!("{what} comes with a later release of secretsd"),
    );
    findings.warnings.push(warning.with_hint(hint));
}

fn wrong_unit(unit: &str) -> Option<String> {
    const KINDS: [&str; 4] = [".service", ".socket", ".timer", ".path"];
    if unit.ends_with(".target") {
        return Some(format!(
            "`{unit}` is a target: restarting one takes down more than was meant"
        ));
    }
    let name = KINDS.iter().find_map(|kind| unit.strip_suffix(kind));
    let valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if name.is_some_and(|name| !name.is_empty() && name.chars().all(valid)) {
        return None;
    }
    Some(format!(
        "`{unit}` is no name of a service, socket, timer or path unit"
    ))
}

fn key(node: &Node, findings: &mut Findings) -> Vec<String> {
    let key = match &node.value {
        Value::List(_) => findings.texts(node, "key"),
        Value::Text { text, .. } => text.split('/').map(str::to_owned).collect(),
        _ => {
            findings.error(
                &node.place,
                "config-type",
                "`key` must be a list of keys or a text such as `a/b`",
            );
            return Vec::new();
        }
    };
    if key.is_empty() || (key.iter().any(String::is_empty) && !matches!(node.value, Value::List(_)))
    {
        let error = node.place.error("config-value", "`key` has an empty part");
        findings.errors.push(error.with_hint(
            "leave `key` out to deliver the whole document; write `[\"\"]` for an empty key",
        ));
    }
    key
}

fn at(place: &Place) -> String {
    format!("{}:{}", place.file.display(), place.position.line)
}
