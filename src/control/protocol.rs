//! The messages of the interface `io.secretsd.Control`, shared by server and client.
//!
//! They name secrets, files and causes. None has a field that could hold a delivered value, and `Secret` cannot be
//! serialised, so none can get one by accident.

use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    clock,
    error::{Error, Position},
};

/// Name of the interface.
pub(crate) const INTERFACE: &str = "io.secretsd.Control";
/// Its description, as introspection shows it.
pub(crate) const DESCRIPTION: &str =
    include_str!("../../contrib/varlink/io.secretsd.Control.varlink");
/// The interface that every Varlink service has.
pub(crate) const SERVICE: &str = "org.varlink.service";

/// State of the daemon as a whole.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Degraded,
    Locked,
    Ok,
    Starting,
}

impl State {
    /// As it is shown and sent.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::Locked => "locked",
            Self::Ok => "ok",
            Self::Starting => "starting",
        }
    }
}

/// Answer of `Status`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) state: State,
    pub(crate) generation: u64,
    pub(crate) repository: Repository,
    pub(crate) runtime: Runtime,
    pub(crate) identities: Vec<Identity>,
    pub(crate) secrets: usize,
    pub(crate) degraded: Vec<Degraded>,
    /// What is worth knowing and fails nothing.
    pub(crate) warnings: Vec<String>,
    /// Present while the delivery as a whole fails; what was delivered stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Refused>,
    /// Present while the configuration on disk is not the one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) configuration: Option<Refused>,
    pub(crate) rekey: Rekey,
    pub(crate) version: String,
}

/// The repository and how it is followed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Repository {
    pub(crate) directory: String,
    /// `inotify` or `poll`.
    pub(crate) watch: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) watch_reason: Option<String>,
}

/// Where plaintext is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Runtime {
    pub(crate) directory: String,
    pub(crate) filesystem: String,
    /// `never` or `possible`.
    pub(crate) swap: String,
}

/// One identity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// `usable`, `locked`, `unlocked`, or for a configured file that gives no identity: `unreadable`, `empty`.
    pub(crate) state: String,
    /// Of an unlocked one: how many data keys are kept, and when the first of them goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
}

/// A secret whose newest value is not delivered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Degraded {
    pub(crate) name: String,
    pub(crate) cause: String,
    pub(crate) since: String,
}

/// What re-keying does.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Rekey {
    /// `off`, `approve` or `auto`.
    pub(crate) mode: String,
    /// Files that do not obey their rule.
    #[serde(default)]
    pub(crate) drift: usize,
    /// The plan that waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<String>,
    /// Why files stay as they are although nobody has to approve it, or nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Refused>,
    /// The last time that this daemon changed files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<LastRekey>,
}

/// A re-key that was done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct LastRekey {
    pub(crate) at: String,
    pub(crate) files: usize,
}

/// Answer of `Pending` and `Plan`: what waits for a person.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Pending {
    /// Absent where nothing waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) files: Vec<RekeyFile>,
    /// What keeps the daemon from doing it by itself.
    pub(crate) doubts: Vec<Doubt>,
    /// How the rules call the recipients that are named here.
    pub(crate) names: BTreeMap<String, String>,
}

/// What happens, or happened, to one file; the words are those of `secretsctl rekey`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct RekeyFile {
    pub(crate) path: String,
    pub(crate) action: String,
    pub(crate) add: Vec<String>,
    pub(crate) remove: Vec<String>,
    pub(crate) reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Refused>,
}

/// Why a person has to look.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Doubt {
    pub(crate) path: String,
    pub(crate) code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recipient: Option<String>,
}

/// Parameters of `Approve`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    pub(crate) id: String,
}

/// Parameters of `Plan`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// Answer of `Approve`: what was done.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Rekeyed {
    pub(crate) files: Vec<RekeyFile>,
    pub(crate) changed: usize,
    pub(crate) exposed: Vec<Exposed>,
}

/// Values that a removed recipient could read.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Exposed {
    pub(crate) path: String,
    pub(crate) keys: Vec<String>,
    pub(crate) recipients: Vec<String>,
}

/// Answer of `Plan`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Planned {
    pub(crate) pending: Pending,
    /// What was done at once, because nobody has to approve it; of a dry run, what would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<Rekeyed>,
}

/// An error that crosses the socket.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Refused {
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl From<&Error> for Refused {
    fn from(error: &Error) -> Self {
        Self {
            message: error.message.clone(),
            file: error
                .file
                .as_ref()
                .map(|file| file.to_string_lossy().into_owned()),
            line: error.position.map(|position| position.line),
            column: error.position.map(|position| position.column),
            hint: error.hint.clone(),
        }
    }
}

impl Refused {
    /// The error again, as an error of the kind `code`.
    pub(crate) fn into_error(self, code: &'static str) -> Error {
        let mut error = Error::new(code, self.message);
        error.file = self.file.map(Into::into);
        error.hint = self.hint;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            error.position = Some(Position { line, column });
        }
        error
    }
}

/// One delivered secret. There may be very many, and the daemon keeps them all: hence the small types.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Listed {
    pub(crate) name: Arc<str>,
    pub(crate) path: Place,
    pub(crate) state: SecretState,
    #[serde(with = "clock::text")]
    pub(crate) since: SystemTime,
    pub(crate) file: Arc<str>,
}

/// A path, in parts that others have too.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(from = "Box<str>")]
pub(crate) enum Place {
    At(Box<str>),
    /// A directory, and what is below it.
    Below(Arc<str>, Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(path) => f.write_str(path),
            Self::Below(directory, path) => write!(f, "{directory}/{path}"),
        }
    }
}

impl From<Box<str>> for Place {
    fn from(path: Box<str>) -> Self {
        Self::At(path)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// State of one secret.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SecretState {
    /// The last good value is in place.
    Degraded,
    /// The newest value is in place.
    Delivered,
    /// There is no value.
    Missing,
}

impl SecretState {
    /// As it is shown and sent.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::Delivered => "delivered",
            Self::Missing => "missing",
        }
    }
}

/// Answer of `List`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Listing {
    pub(crate) secrets: Vec<Listed>,
}

/// Answer of `Reload`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Reloaded {
    pub(crate) generation: u64,
    pub(crate) changed: Vec<String>,
    pub(crate) degraded: Vec<Degraded>,
}

/// Parameters of `Unlock` and `Lock`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identified {
    /// One identity, by its name, the last part of its path or the number of its card; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
}

/// Answer of `Unlock`: a question as long as there is one, the outcome at the end.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Unlocking {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) question: Option<Question>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<Unlocked>,
}

/// Something to show to a person, or to ask. Answers do not come back in a message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Question {
    pub(crate) kind: QuestionKind,
    pub(crate) text: String,
    /// The two answers of a confirmation; without `no` there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) yes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) no: Option<String>,
}

/// What kind of answer is wanted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QuestionKind {
    /// One of two.
    Confirm,
    /// Typed unseen.
    Secret,
    /// None.
    Tell,
    /// Typed visibly.
    Visible,
}

/// What unlocking came to, delivery included.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Unlocked {
    /// Names of the identities that were used, and for how many files.
    pub(crate) identities: Vec<UnlockedIdentity>,
    /// Why files stay locked.
    pub(crate) locked: Vec<Refused>,
    pub(crate) generation: u64,
    pub(crate) changed: Vec<String>,
    pub(crate) degraded: Vec<Degraded>,
}

/// One identity that was unlocked.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct UnlockedIdentity {
    pub(crate) name: String,
    pub(crate) keys: usize,
}

/// Answer of `Lock`: how many data keys were wiped.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Locked {
    pub(crate) keys: usize,
}

/// Parameters of `Wait`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitFor {
    #[serde(default)]
    pub(crate) names: Vec<String>,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<u64>,
}

/// Answer of `Wait`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Waited {
    pub(crate) waiting: Vec<String>,
    pub(crate) degraded: Vec<Degraded>,
}

/// A call as it comes in.
#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) parameters: serde_json::Value,
    #[serde(default)]
    pub(crate) more: bool,
    #[serde(default)]
    pub(crate) oneway: bool,
    #[serde(default)]
    pub(crate) upgrade: bool,
}

/// A reply as the client reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct Reply {
    #[serde(default)]
    pub(crate) parameters: serde_json::Value,
    #[serde(default)]
    pub(crate) continues: bool,
    #[serde(default)]
    pub(crate) error: Option<String>,
}
