//! Reading the main file, its includes, and the form without a file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Config, Deliver, IdentitySource, Layout, Log, LogFormat, LogLevel, Place, PluginSettings,
    Rekey, Socket, Unlock, Watch, credentials,
    entries::{Context, Defaults, Entries},
    include::included,
    node::{self, Node},
    paths::{generations_directory, unsafe_path},
    reader::{Fields, Findings, tidy},
    rekey, sections, unlock,
};
use crate::{
    error::{Error, Result},
    files::{self, ReadLimit, Trust},
    limits::Limits,
};

/// Bytes of a configuration file.
const CONFIG_SIZE: u64 = 16 << 20;

const KEYS: [&str; 24] = [
    "repository",
    "include",
    "runtime-directory",
    "keep-generations",
    "allow-filesystems",
    "socket",
    "identities",
    "plugins",
    "unlock",
    "deliver",
    "base",
    "layout",
    "defaults",
    "match",
    "secrets",
    "templates",
    "credentials",
    "watch",
    "restart",
    "rekey",
    "rollback-guard",
    "log",
    "metrics",
    "limits",
];
const INCLUDE_KEYS: [&str; 4] = ["secrets", "templates", "match", "credentials"];

/// What the defaults depend on, besides the file.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Whether the daemon runs as root.
    pub(crate) root: bool,
    /// `$XDG_RUNTIME_DIR`, where it is an absolute path.
    pub(crate) user_runtime_directory: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        let directory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        Self {
            root: rustix::process::geteuid().is_root(),
            user_runtime_directory: directory.filter(|directory| directory.is_absolute()),
        }
    }

    fn runtime_directory(&self) -> Result<PathBuf> {
        match &self.user_runtime_directory {
            _ if self.root => Ok(PathBuf::from("/run/secrets")),
            Some(directory) => Ok(directory.join("secrets")),
            None => Err(Error::new(
                "no-runtime-directory",
                "without root and without XDG_RUNTIME_DIR there is no default runtime directory",
            )
            .with_hint(
                "name one on a memory file system: --runtime-directory or `runtime-directory`",
            )),
        }
    }

    /// Where nothing else is said, the socket is in the user's own directory, or else beside the secrets.
    fn socket(&self, secrets: &Path) -> PathBuf {
        let directory = match (&self.user_runtime_directory, secrets.parent()) {
            _ if self.root => Path::new("/run"),
            (Some(directory), _) => directory,
            (None, Some(parent)) => parent,
            (None, None) => secrets,
        };
        directory.join("secretsd/control")
    }
}

/// The configuration file when none is named: `$SECRETSD_CONFIG`, then the system's.
pub(crate) fn default_file() -> PathBuf {
    std::env::var_os("SECRETSD_CONFIG")
        .filter(|file| !file.is_empty())
        .map_or_else(
            || PathBuf::from("/etc/secretsd/secretsd.yaml"),
            PathBuf::from,
        )
}

/// Reads `file` and what it includes. Every problem found is in the list.
pub(crate) fn load(file: &Path, surroundings: &Surroundings) -> Result<Config, Vec<Error>> {
    let file = std::path::absolute(file).map_err(|error| vec![unreadable(file, &error)])?;
    let root = read(&file).map_err(|error| match error.code {
        "file-missing" => vec![error.with_hint(
            "name the configuration with --config, or run without one: --repository DIR --identity FILE",
        )],
        _ => vec![error],
    })?;
    let mut findings = Findings::default();
    let config = match findings.fields(&root, "the configuration", &KEYS) {
        Some(fields) => resolve(&root, &fields, file, surroundings, &mut findings),
        None => None,
    };
    match config {
        Some(mut config) if findings.errors.is_empty() => {
            config.warnings = findings.warnings;
            Ok(config)
        }
        _ => Err(findings.errors),
    }
}

/// The form without a configuration file: everything in `repository` that its rules give to these identities.
pub(crate) fn for_repository(
    repository: &Path,
    identities: &[PathBuf],
    runtime_directory: Option<&Path>,
    socket: Option<&Path>,
    surroundings: &Surroundings,
) -> Result<Config> {
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map(|path| tidy(&path))
            .map_err(|error| unreadable(path, &error))
    };
    let mut identity_sources = Vec::new();
    for identity in identities {
        let source = IdentitySource::Unspecified(absolute(identity)?);
        if !identity_sources.contains(&source) {
            identity_sources.push(source);
        }
    }
    let defaults = Defaults::default();
    let runtime_directory =
        runtime_directory.map_or_else(|| surroundings.runtime_directory(), absolute)?;
    let config = Config {
        files: Vec::new(),
        include_directories: Vec::new(),
        repository: absolute(repository)?,
        keep_generations: 1,
        allow_filesystems: Vec::new(),
        socket: Socket {
            path: socket.map_or_else(|| Ok(surroundings.socket(&runtime_directory)), absolute)?,
            readers: None,
        },
        identities: identity_sources,
        allow_insecure_identity: false,
        plugins: PluginSettings::default(),
        unlock: Unlock::default(),
        deliver: Deliver::ByRules,
        base: Some(DEFAULT_BASE.to_owned()),
        layout: Layout::Leaves,
        defaults: defaults.settings(),
        matches: Vec::new(),
        secrets: Vec::new(),
        templates: Vec::new(),
        credentials: Vec::new(),
        rollback_guard: false,
        restart_jitter: Duration::ZERO,
        metrics_file: None,
        rekey: Rekey::default(),
        watch: default_watch(),
        log: default_log(),
        limits: Limits::default(),
        warnings: Vec::new(),
        is_early: false,
        runtime_directory,
    };
    if !usable_runtime_directory(&config.runtime_directory) {
        let message = format!(
            "{} cannot be the runtime directory",
            config.runtime_directory.display()
        );
        return Err(Error::new("config-value", message)
            .with_hint("name a path such as /run/secrets, without `..`"));
    }
    Ok(config)
}

fn resolve(
    root: &Node,
    fields: &Fields<'_>,
    file: PathBuf,
    surroundings: &Surroundings,
    findings: &mut Findings,
) -> Option<Config> {
    let repository = match fields.find("repository") {
        Some(node) => findings.path(node, "repository"),
        None => {
            findings.error(
                &root.place,
                "missing-key",
                "`repository` is missing: the directory with .sops.yaml",
            );
            None
        }
    };
    let runtime_directory = match fields.find("runtime-directory") {
        Some(node) => {
            let path = findings.path(node, "runtime-directory");
            if path
                .as_ref()
                .is_some_and(|path| !usable_runtime_directory(path))
            {
                let message =
                    "`runtime-directory` must be a path such as /run/secrets, without `..`";
                findings.error(&node.place, "config-value", message);
            }
            path
        }
        None => or_note(surroundings.runtime_directory(), root, findings),
    };
    let (socket_path, readers) = fields
        .find("socket")
        .map_or((None, None), |node| sections::socket(node, findings));
    let deliver = fields.find("deliver").and_then(|node| {
        findings.choice(
            node,
            "deliver",
            &[
                ("configured", Deliver::Configured),
                ("by-rules", Deliver::ByRules),
            ],
        )
    });
    let deliver = deliver.unwrap_or(Deliver::Configured);
    let layout = fields.find("layout").and_then(|node| {
        findings.choice(
            node,
            "layout",
            &[("leaves", Layout::Leaves), ("files", Layout::Files)],
        )
    });
    let base = match fields.find("base") {
        Some(node) => base(node, findings),
        None => Some(DEFAULT_BASE.to_owned()),
    };
    if deliver == Deliver::Configured {
        for key in ["base", "layout", "match"] {
            if let Some(member) = fields.member(key) {
                without_effect(key, &member.key_place, findings);
            }
        }
    }

    let mut watch = default_watch();
    let mut log = default_log();
    let mut limits = Limits::default();
    let mut rekeying = Rekey::default();
    let mut unlocking = Unlock::default();
    let mut jitter = Duration::ZERO;
    let mut metrics_file = None;
    for member in fields.all() {
        let node = &member.node;
        match member.key.as_str() {
            "limits" => sections::limits(node, findings, &mut limits),
            "log" => sections::log(node, findings, &mut log),
            "metrics" => metrics_file = sections::metrics(node, findings),
            "rekey" => rekeying = rekey::rekey(node, repository.as_deref(), findings),
            "restart" => jitter = sections::restart(node, findings),
            "unlock" => unlocking = unlock::unlock(node, findings),
            "watch" => sections::watch(node, findings, &mut watch),
            _ => {}
        }
    }
    let keep = fields
        .find("keep-generations")
        .and_then(|node| findings.count(node, "keep-generations", 1));
    let guard = fields
        .find("rollback-guard")
        .and_then(|node| findings.flag(node, "rollback-guard"));
    let allow = fields
        .find("allow-filesystems")
        .map(|node| findings.paths(node, "allow-filesystems"));
    let identities = fields
        .find("identities")
        .map(|node| sections::identities(node, findings));
    let plugins = fields
        .find("plugins")
        .map(|node| sections::plugins(node, findings));

    let (repository, runtime_directory) = (repository?, runtime_directory?);
    let socket_path = socket_path.unwrap_or_else(|| surroundings.socket(&runtime_directory));
    let defaults = fields
        .find("defaults")
        .map(|node| Defaults::read(node, &repository, findings))
        .unwrap_or_default();
    let context = Context {
        repository: &repository,
        runtime_directory: &runtime_directory,
        defaults: &defaults,
    };
    let mut entries = Entries::default();
    read_entries(fields, &context, &mut entries, findings);
    let mut files = vec![file];
    let mut include_directories = Vec::new();
    if let Some(node) = fields.find("include") {
        let (found, directories) = included(node, findings);
        include_directories = directories;
        for path in found {
            include(&path, &context, deliver, &mut entries, findings);
            files.push(path);
        }
    }
    entries.check(findings);
    entries.check_rollback(keep.unwrap_or(1), findings);
    credentials::check(&entries.grants, &entries.names(), deliver, findings);

    Some(Config {
        files,
        include_directories,
        keep_generations: keep.unwrap_or(1),
        allow_filesystems: allow.unwrap_or_default(),
        socket: Socket {
            path: socket_path,
            readers,
        },
        identities: identities.unwrap_or_default(),
        allow_insecure_identity: false,
        plugins: plugins.unwrap_or_default(),
        unlock: unlocking,
        deliver,
        base,
        layout: layout.unwrap_or(Layout::Leaves),
        defaults: defaults.settings(),
        matches: entries.matches,
        secrets: entries.secrets,
        templates: entries.templates,
        credentials: entries.grants,
        rollback_guard: guard.unwrap_or(false),
        restart_jitter: jitter,
        metrics_file,
        rekey: rekeying,
        watch,
        log,
        limits,
        warnings: Vec::new(),
        is_early: false,
        repository,
        runtime_directory,
    })
}

fn read_entries(
    fields: &Fields<'_>,
    context: &Context<'_>,
    entries: &mut Entries,
    findings: &mut Findings,
) {
    if let Some(node) = fields.find("match") {
        entries.read_matches(node, context, findings);
    }
    if let Some(node) = fields.find("secrets") {
        entries.read_secrets(node, context, findings);
    }
    if let Some(node) = fields.find("templates") {
        entries.read_templates(node, context, findings);
    }
    if let Some(node) = fields.find("credentials") {
        credentials::read(node, &mut entries.grants, findings);
    }
}

fn include(
    path: &Path,
    context: &Context<'_>,
    deliver: Deliver,
    entries: &mut Entries,
    findings: &mut Findings,
) {
    let root = match read(path) {
        Ok(root) => root,
        Err(error) => {
            let error = error.with_hint("correct `include`, which names this file");
            return findings.errors.push(error);
        }
    };
    let Some(fields) = findings.fields(&root, "an included file", &INCLUDE_KEYS) else {
        return;
    };
    if let Some(member) = fields
        .member("match")
        .filter(|_| deliver == Deliver::Configured)
    {
        without_effect("match", &member.key_place, findings);
    }
    read_entries(&fields, context, entries, findings);
}

/// Where secrets stand in a repository unless `base` says otherwise.
const DEFAULT_BASE: &str = "secrets";

/// An empty text means that delivered paths are those of the repository.
fn base(node: &Node, findings: &mut Findings) -> Option<String> {
    let text = findings.text(node, "base")?;
    let base = tidy(Path::new(text.trim_end_matches('/')));
    let base = base.to_str().unwrap_or_default().to_owned();
    if text.is_empty() || base.is_empty() {
        return None;
    }
    if base.starts_with('/') || unsafe_path(&base).is_some() {
        let message = format!("`base` must be a directory of the repository, not `{text}`");
        findings.error(&node.place, "config-value", message);
        return None;
    }
    Some(base)
}

fn usable_runtime_directory(path: &Path) -> bool {
    let climbs = path
        .components()
        .any(|part| matches!(part, std::path::Component::ParentDir));
    path.is_absolute()
        && !climbs
        && path.file_name().is_some()
        && generations_directory(path).parent() == path.parent()
}

fn without_effect(key: &str, place: &Place, findings: &mut Findings) {
    let warning = place.error(
        "no-effect",
        format!("`{key}` means nothing with `deliver: configured`"),
    );
    findings
        .warnings
        .push(warning.with_hint("add `deliver: by-rules` or remove the key"));
}

fn or_note<T>(result: Result<T>, root: &Node, findings: &mut Findings) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            findings.errors.push(error.with_file(&root.place.file));
            None
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Node> {
    let limit = ReadLimit {
        name: "of a configuration file",
        bytes: CONFIG_SIZE,
    };
    let content = files::read_regular(path, limit)?;
    if let Trust::Untrusted(reason) = files::trust(path)? {
        return Err(Error::new("untrusted", format!("the configuration is not used: {reason}"))
            .with_file(path)
            .with_hint("let it and every directory above belong to root or to secretsd's user, and take write permission from all others"));
    }
    let text = std::str::from_utf8(content.expose()).map_err(|error| {
        let position = crate::error::Position::of(content.expose(), error.valid_up_to());
        Error::new("config-syntax", "the configuration is not valid UTF-8")
            .with_file(path)
            .with_position(position)
    })?;
    node::parse(&Arc::new(path.to_owned()), text)
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new("config-unreadable", format!("cannot read it: {error}")).with_file(path)
}

fn default_watch() -> Watch {
    Watch {
        debounce: Duration::from_millis(200),
        poll: None,
    }
}

fn default_log() -> Log {
    Log {
        format: LogFormat::Auto,
        level: LogLevel::Info,
    }
}
