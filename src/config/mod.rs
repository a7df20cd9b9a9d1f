//! `secretsd.yaml`: what to deliver, to whom, with whose key.
//!
//! Reading is strict: an unknown key, a value without its unit, a name given twice are errors with their place, and all
//! of them come in one run. Every key is either effective or refused; what a later release will do is refused too, or
//! accepted with a warning where leaving it out would be a nuisance ([`Config::warnings`]).
//!
//! [`load`] reads a file and its includes, [`for_repository`] is the form without a file. Nothing here opens a key or
//! looks a user up: owners stay as they are written until they are needed.

mod credentials;
mod entries;
mod file;
mod glob;
mod include;
mod node;
mod paths;
mod reader;
mod rekey;
mod sections;
mod units;
mod unlock;

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    error::{Error, Position},
    limits::Limits,
    sops::format::Format,
};

pub(crate) use credentials::Grant;
pub(crate) use file::{Surroundings, default_file, for_repository, load};
pub(crate) use glob::Glob;
pub(crate) use paths::{generations_directory, unsafe_part, unsafe_path};
pub(crate) use rekey::{Rekey, RekeyMode};
pub(crate) use unlock::{Keep, Prompt, Unlock};

/// A whole configuration, resolved: paths absolute, defaults filled in, includes merged.
#[derive(Debug)]
pub(crate) struct Config {
    /// The files it was read from, the main one first; empty without a configuration file.
    pub(crate) files: Vec<PathBuf>,
    /// Directories whose content decides which files are included.
    pub(crate) include_directories: Vec<PathBuf>,
    /// Directory with `.sops.yaml`, as written: a link stays a link, because deploys replace it.
    pub(crate) repository: PathBuf,
    /// The link that services use; generations live beside it, in the directory of this name with `.d` appended.
    pub(crate) runtime_directory: PathBuf,
    pub(crate) keep_generations: usize,
    /// Mount points of disk file systems that may be used all the same.
    pub(crate) allow_filesystems: Vec<PathBuf>,
    pub(crate) socket: Socket,
    pub(crate) identities: Vec<IdentitySource>,
    /// Private keys may be readable by other users. The command line says so, for tests.
    pub(crate) allow_insecure_identity: bool,
    pub(crate) plugins: PluginSettings,
    pub(crate) unlock: Unlock,
    pub(crate) deliver: Deliver,
    /// Left out of the path of what is delivered by rules; a clean relative path, `secrets` by default.
    pub(crate) base: Option<String>,
    pub(crate) layout: Layout,
    /// Settings for what is delivered by rules and has no `match`.
    pub(crate) defaults: Settings,
    /// First match wins.
    pub(crate) matches: Vec<Match>,
    /// In the order of the files.
    pub(crate) secrets: Vec<SecretEntry>,
    /// In the order of the files.
    pub(crate) templates: Vec<TemplateEntry>,
    /// Who may have what over the credentials socket.
    pub(crate) credentials: Vec<Grant>,
    /// Old or copied content is delivered only where an entry says `accept-old: true`; it is reported always.
    pub(crate) rollback_guard: bool,
    /// Restarts and reloads of units are put off by a random time up to this, so that a fleet does not restart at once.
    pub(crate) restart_jitter: Duration,
    /// Where metrics are written for a collector.
    pub(crate) metrics_file: Option<PathBuf>,
    pub(crate) rekey: Rekey,
    pub(crate) watch: Watch,
    pub(crate) log: Log,
    pub(crate) limits: Limits,
    /// What the reader of the configuration should know although it is accepted.
    pub(crate) warnings: Vec<Error>,
    /// Whether only what is early is in it.
    pub(crate) is_early: bool,
}

impl Config {
    /// What is to be delivered before users are made, and nothing else.
    pub(crate) fn into_early(mut self) -> Self {
        self.deliver = Deliver::Configured;
        self.secrets.retain(|entry| entry.settings.early);
        self.templates.retain(|entry| entry.settings.early);
        self.is_early = true;
        self
    }
}

/// The control socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) path: PathBuf,
    /// Group whose members may read the status; root and the daemon's user always may.
    pub(crate) readers: Option<Principal>,
}

/// A file with private keys, or a key in a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IdentitySource {
    /// age identities, one a line; may be protected by a passphrase.
    AgeKeyFile(PathBuf),
    /// `AGE-PLUGIN-…` lines.
    PluginIdentityFile(PathBuf),
    /// An SSH private key.
    SshKeyFile(PathBuf),
    /// Given on the command line: its content tells what it is.
    Unspecified(PathBuf),
    /// What is in a slot, from 1 to 20, of a card.
    YubiKey { serial: u32, slot: u8 },
}

impl Config {
    /// Whether an identity of this name is configured.
    pub(crate) fn has_identity(&self, name: &str) -> bool {
        self.identities.iter().any(|source| source.name() == name)
    }
}

impl IdentitySource {
    /// The file, where it is one.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::AgeKeyFile(path)
            | Self::PluginIdentityFile(path)
            | Self::SshKeyFile(path)
            | Self::Unspecified(path) => Some(path),
            Self::YubiKey { .. } => None,
        }
    }

    /// What the identities from it are called.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::YubiKey { serial, slot } => format!("YubiKey {serial} slot {slot}"),
            Self::AgeKeyFile(path)
            | Self::PluginIdentityFile(path)
            | Self::SshKeyFile(path)
            | Self::Unspecified(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// Which plugin programs may run.
#[derive(Clone, Debug, Default)]
pub(crate) struct PluginSettings {
    pub(crate) directories: Vec<PathBuf>,
    /// Names as in `age-plugin-NAME`.
    pub(crate) allow: Vec<String>,
}

/// What decides about the set of delivered secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deliver {
    /// Every file whose selected rule names this host, besides `secrets`.
    ByRules,
    /// `secrets` alone.
    Configured,
}

/// How a file that is delivered by rules is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Whole documents.
    Files,
    /// YAML and JSON become a directory with one file a leaf.
    Leaves,
}

/// How long to wait for changes to settle, and whether to look without being told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) debounce: Duration,
    pub(crate) poll: Option<Duration>,
}

/// Where log lines go and which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// The journal when systemd runs the program, text otherwise.
    Auto,
    Journal,
    Json,
    Text,
}

/// The least severe lines that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Debug,
    Error,
    Info,
    Trace,
    Warn,
}

/// Where in the configuration something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<PathBuf>,
    pub(crate) position: Position,
}

impl Place {
    /// An error about what stands here.
    pub(crate) fn error(&self, code: &'static str, message: impl Into<String>) -> Error {
        Error::new(code, message)
            .with_file(&self.file)
            .with_position(self.position)
    }
}

/// A user or a group, as written.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) who: Who,
    pub(crate) place: Place,
}

/// By which a [`Principal`] is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Id(u32),
    Name(String),
}

/// What holds for everything that can be delivered.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Absent: the daemon's user (root, as a rule).
    pub(crate) owner: Option<Principal>,
    /// Absent: the daemon's group.
    pub(crate) group: Option<Principal>,
    /// Permission bits.
    pub(crate) mode: u32,
    /// To be delivered before users are made.
    pub(crate) early: bool,
    /// Units to restart after the switch: services, sockets, timers and paths.
    pub(crate) restart_units: Vec<String>,
    /// Units to reload after the switch.
    pub(crate) reload_units: Vec<String>,
    /// The previous value returns when a unit fails after its restart.
    pub(crate) rollback: bool,
    /// A program and its arguments, run when the content has changed.
    pub(crate) on_change: Vec<String>,
    /// Old or copied content is fine here, also with the rollback guard.
    pub(crate) accept_old: bool,
}

/// Settings for delivered paths.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) glob: Glob,
    pub(crate) settings: Settings,
}

/// One entry of `secrets`.
#[derive(Debug)]
pub(crate) struct SecretEntry {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Path in the repository, clean and relative.
    pub(crate) file: String,
    /// Where in the document; empty: the whole decrypted document.
    pub(crate) key: Vec<String>,
    /// In place of the format that the file's name says.
    pub(crate) format: Option<Format>,
    /// Path below the runtime directory.
    pub(crate) location: String,
    /// A link to be made elsewhere.
    pub(crate) link: Option<PathBuf>,
    pub(crate) settings: Settings,
}

/// One entry of `templates`.
#[derive(Debug)]
pub(crate) struct TemplateEntry {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) content: TemplateContent,
    /// Lines `NAME=value`: a value with a line break is an error unless a filter quoted it.
    pub(crate) environment: bool,
    /// Path below the runtime directory.
    pub(crate) location: String,
    /// A link to be made elsewhere.
    pub(crate) link: Option<PathBuf>,
    pub(crate) settings: Settings,
}

/// Text of a template.
#[derive(Debug)]
pub(crate) enum TemplateContent {
    /// Read when it is rendered.
    File(PathBuf),
    Text(String),
}
