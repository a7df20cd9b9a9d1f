//! What should be delivered, before any file is opened: the entries of the configuration, and by rules every encrypted
//! file whose selected rule names one of our recipients.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Inputs,
    generation::Attributes,
    owners::Owners,
    seen::{SeenFiles, look},
};
use crate::{
    config::{Config, Layout, SecretEntry, Settings, TemplateContent, TemplateEntry, unsafe_path},
    error::{Error, Result},
    files::Trust,
    repository::{content_hash, hex},
    sops::format::Format,
};

/// One file that services are to find. There may be very many at once: hence the shared texts.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) name: Arc<str>,
    /// Below the runtime directory.
    pub(super) location: Arc<str>,
    pub(super) link: Option<PathBuf>,
    /// An error where there is no such user or group.
    pub(super) attributes: Result<Attributes, Box<Error>>,
    pub(super) on_change: Vec<String>,
    pub(super) restart_units: Vec<String>,
    pub(super) reload_units: Vec<String>,
    pub(super) rollback: bool,
    /// Old or copied content is fine.
    pub(super) accept_old: bool,
}

/// A secret of the configuration: its key in the document.
pub(super) struct Named {
    pub(super) wanted: Wanted,
    pub(super) key: Vec<String>,
}

/// One file of the repository and all that is wanted of it.
pub(super) struct Unit {
    pub(super) file: Arc<str>,
    pub(super) format: Format,
    pub(super) named: Vec<Named>,
    pub(super) by_rules: Option<ByRules>,
    /// Its path without links.
    pub(super) origin: String,
    /// Hash of the file, or why it cannot be had.
    pub(super) digest: Result<String>,
}

/// How a file is delivered by rules.
#[derive(Clone, Debug)]
pub(super) struct ByRules {
    /// Path of the file, or of the directory of its leaves.
    pub(super) location: String,
    pub(super) layout: Layout,
}

impl ByRules {
    /// As it is remembered: when it is another, the file is laid out anew.
    pub(super) fn describe(by_rules: Option<&Self>) -> String {
        match by_rules {
            Some(Self {
                location,
                layout: Layout::Files,
            }) => format!("files {location}"),
            Some(Self {
                location,
                layout: Layout::Leaves,
            }) => format!("leaves {location}"),
            None => String::new(),
        }
    }
}

/// A template of the configuration.
pub(super) struct TemplateWork<'c> {
    pub(super) entry: &'c TemplateEntry,
    pub(super) wanted: Wanted,
    pub(super) text: Result<String>,
    /// Hash of the text and of how it is read.
    pub(super) source: String,
}

/// All of it.
pub(super) struct Desired<'c> {
    pub(super) units: Vec<Unit>,
    pub(super) templates: Vec<TemplateWork<'c>>,
    pub(super) notes: Vec<Error>,
}

impl<'c> Desired<'c> {
    /// Reads the files that matter, to recognise those that have not changed. `is_known` tells which files were
    /// delivered before.
    pub(super) fn collect(
        inputs: &Inputs<'c>,
        owners: &Mutex<Owners>,
        seen: &mut SeenFiles,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let config = inputs.config;
        seen.begin();
        let mut units: BTreeMap<(String, &'static str), Unit> = BTreeMap::new();
        for entry in &config.secrets {
            let format = entry
                .format
                .unwrap_or_else(|| Format::from_path(Path::new(&entry.file)));
            let unit = unit(&mut units, &entry.file, format);
            unit.named.push(Named {
                wanted: of_secret(entry, owners),
                key: entry.key.clone(),
            });
        }
        for unit in units.values_mut() {
            unit.digest = look(inputs, seen, &unit.file).map(|seen| seen.digest());
        }
        let mut notes = Vec::new();
        if config.deliver == crate::config::Deliver::ByRules {
            super::by_rules::collect(inputs, seen, &is_known, &mut units, &mut notes)?;
        }
        let templates = config
            .templates
            .iter()
            .map(|entry| of_template(entry, config, owners))
            .collect();
        let mut desired = Self {
            units: units.into_values().collect(),
            templates,
            notes,
        };
        desired.refuse_conflicts();
        Ok(desired)
    }

    /// Two things with one path, or one below the other: neither is delivered, because nothing says which was meant.
    fn refuse_conflicts(&mut self) {
        let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for unit in &self.units {
            if let Some(by_rules) = &unit.by_rules {
                owners
                    .entry(&by_rules.location)
                    .or_default()
                    .push(&unit.file);
            }
            for named in &unit.named {
                owners
                    .entry(&named.wanted.location)
                    .or_default()
                    .push(&named.wanted.name);
            }
        }
        for template in &self.templates {
            owners
                .entry(&template.wanted.location)
                .or_default()
                .push(&template.wanted.name);
        }
        let mut conflicts: HashMap<String, String> = HashMap::new();
        for (location, sharing) in &owners {
            if let [first, second, ..] = sharing.as_slice() {
                conflicts.insert(
                    (*location).to_owned(),
                    format!("`{first}` and `{second}` both arrive at `{location}`"),
                );
            }
            let above = location
                .match_indices('/')
                .filter_map(|(end, _)| location.get(..end));
            for above in above.filter(|above| owners.contains_key(above)) {
                let message =
                    format!("`{above}` cannot be a file and the directory of `{location}`");
                conflicts
                    .entry((*location).to_owned())
                    .or_insert_with(|| message.clone());
                conflicts.entry(above.to_owned()).or_insert(message);
            }
        }
        if conflicts.is_empty() {
            return;
        }
        let conflict = |location: &str| {
            conflicts.get(location).map(|message| {
                Error::new("duplicate-path", message.clone())
                    .with_hint("rename one of them, or change `base`")
            })
        };
        for unit in &mut self.units {
            if let Some(error) = unit
                .by_rules
                .as_ref()
                .and_then(|by_rules| conflict(&by_rules.location))
            {
                unit.digest = Err(error);
            }
            for named in &mut unit.named {
                if let Some(error) = conflict(&named.wanted.location) {
                    named.wanted.attributes = Err(Box::new(error));
                }
            }
        }
        for template in &mut self.templates {
            if let Some(error) = conflict(&template.wanted.location) {
                template.text = Err(error);
            }
        }
    }
}

/// What is wanted of something that is delivered by rules.
pub(super) fn of_location(location: Arc<str>, config: &Config, owners: &Mutex<Owners>) -> Wanted {
    let matching = config
        .matches
        .iter()
        .find(|candidate| candidate.glob.matches(&location));
    let settings = matching.map_or(&config.defaults, |found| &found.settings);
    wanted(Arc::clone(&location), location, None, settings, owners)
}

/// The unit of `file`, made where there is none yet.
pub(super) fn unit<'u>(
    units: &'u mut BTreeMap<(String, &'static str), Unit>,
    file: &str,
    format: Format,
) -> &'u mut Unit {
    units
        .entry((file.to_owned(), format_name(format)))
        .or_insert_with(|| Unit {
            file: file.into(),
            format,
            named: Vec::new(),
            by_rules: None,
            origin: file.to_owned(),
            digest: Ok(String::new()),
        })
}

/// Hash of all that decides the content of a secret.
pub(super) fn source_of(digest: &str, format: Format, key: &[String]) -> String {
    let mut text = format!("{digest}\0{}", format_name(format));
    for part in key {
        text.push('\0');
        text.push_str(part);
    }
    hex(&content_hash(text.as_bytes()))
}

fn of_secret(entry: &SecretEntry, owners: &Mutex<Owners>) -> Wanted {
    wanted(
        entry.name.as_str().into(),
        entry.location.as_str().into(),
        entry.link.clone(),
        &entry.settings,
        owners,
    )
}

fn of_template<'c>(
    entry: &'c TemplateEntry,
    config: &Config,
    owners: &Mutex<Owners>,
) -> TemplateWork<'c> {
    let text = match &entry.content {
        TemplateContent::Text(text) => Ok(text.clone()),
        TemplateContent::File(path) => read_template(path, config),
    };
    let described = format!(
        "{}\0{}",
        entry.environment,
        text.as_deref().unwrap_or_default()
    );
    let source = hex(&content_hash(described.as_bytes()));
    let wanted = wanted(
        entry.name.as_str().into(),
        entry.location.as_str().into(),
        entry.link.clone(),
        &entry.settings,
        owners,
    );
    TemplateWork {
        entry,
        wanted,
        text,
        source,
    }
}

fn read_template(path: &Path, config: &Config) -> Result<String> {
    let limit = crate::files::ReadLimit {
        name: "limits.file-size",
        bytes: config.limits.file_size,
    };
    let content = crate::files::read_regular(path, limit)?;
    // Who can change a template can have any secret written into its file.
    if let Trust::Untrusted(reason) = crate::files::trust(path)? {
        return Err(
            Error::new("untrusted", format!("the template is not used: {reason}"))
                .with_file(path)
                .with_hint("let it and every directory above belong to root or to secretsd's user, and take write permission from all others"),
        );
    }
    match content.expose_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Error::new("template", "the template is not valid UTF-8").with_file(path)),
    }
}

fn wanted(
    name: Arc<str>,
    location: Arc<str>,
    link: Option<PathBuf>,
    settings: &Settings,
    owners: &Mutex<Owners>,
) -> Wanted {
    let attributes = owners
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .attributes(settings)
        .map_err(Box::new);
    Wanted {
        name,
        location,
        link,
        attributes,
        on_change: settings.on_change.clone(),
        restart_units: settings.restart_units.clone(),
        reload_units: settings.reload_units.clone(),
        rollback: settings.rollback,
        accept_old: settings.accept_old,
    }
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Binary => "binary",
        Format::Dotenv => "dotenv",
        Format::Ini => "ini",
        Format::Json => "json",
        Format::Yaml => "yaml",
    }
}

/// The path at which a file of the repository is delivered.
pub(super) fn location_of(file: &str, base: Option<&str>) -> Result<String> {
    let below = base.and_then(|base| file.strip_prefix(base)?.strip_prefix('/'));
    let location = below.unwrap_or(file);
    match unsafe_path(location) {
        None => Ok(location.to_owned()),
        Some(reason) => Err(Error::new(
            "unsafe-path",
            format!("the file is not delivered, because its path {reason}"),
        )),
    }
}
