//! Where identities come from: files named by hand or by a configuration, or every place that sops looks at.

use std::{
    ffi::OsString,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Identities, Identity, Key,
    plugin::Plugins,
    ssh::recipients_of_public,
    text::{self, Content},
};
use crate::{
    error::{Error, Result},
    files::{self, ReadLimit},
    secret::Secret,
};

/// Bytes of an identity file, as in age.
pub(super) const IDENTITY_LIMIT: ReadLimit = ReadLimit {
    name: "identity-file-size",
    bytes: 16 << 20,
};

/// The host's own keys, which a daemon opens files with.
const HOST_KEYS: [&str; 2] = ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key"];

/// Reads an environment variable; tests bring their own.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What is wrong with a file that holds private keys as they are, and that every user can read.
fn exposed(path: &Path, found: &[Identity]) -> Option<Error> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    if mode & 0o004 == 0 || found.iter().all(Identity::needs_somebody) {
        return None;
    }
    Some(
        Error::new(
            "insecure-identity",
            "every user can read the private key in this file",
        )
        .with_hint(
            "take it away from others: chmod go= FILE; and if others were there, make a new key",
        ),
    )
}

/// The host's SSH keys by their public halves, which everybody may read: each file, and the recipients that its private half
/// answers to.
pub(crate) fn host_recipients() -> Result<Vec<(String, Vec<String>)>> {
    let mut keys = Vec::new();
    for private in HOST_KEYS {
        let file = PathBuf::from(format!("{private}.pub"));
        let text = match files::read_regular(&file, IDENTITY_LIMIT) {
            Ok(text) => text,
            Err(error) if error.code == "file-missing" => continue,
            Err(error) => return Err(error.with_file(&file)),
        };
        let recipients = recipients_of_public(text.expose_str().unwrap_or_default());
        if !recipients.is_empty() {
            keys.push((private.to_owned(), recipients));
        }
    }
    if keys.is_empty() {
        return Err(Error::new("no-identity", "this host has no SSH key")
            .with_hint("make one with ssh-keygen -A, or an age key with age-keygen"));
    }
    Ok(keys)
}

impl Identities {
    /// The files that an operator named with `-i`, in place of the defaults. What cannot be read is an error: it was
    /// asked for.
    pub(crate) fn from_files(files: &[PathBuf], plugins: Plugins) -> Result<Self> {
        let mut identities = Self::empty(plugins);
        for path in files {
            let found = files::read_any(path, IDENTITY_LIMIT)
                .and_then(|text| text::parse(&path.to_string_lossy(), text, Content::Any))
                .map_err(|error| error.with_file(path))?;
            if let Some(error) = exposed(path, &found) {
                identities.exposed.push(error.with_file(path));
            }
            if found.is_empty() {
                return Err(Error::new("invalid-identity", "the file holds no identity")
                    .with_file(path)
                    .with_hint("make one with age-keygen"));
            }
            identities.add(found);
        }
        Ok(identities)
    }

    /// The files of a configuration, and its slots in cards, by the card's number. A file that cannot be used now is a
    /// problem to report, not a failure: a host key may be made later, and the other identities work meanwhile. A private
    /// key that every user can read is not used, unless `allow_insecure`.
    pub(crate) fn from_configuration(
        files: &[PathBuf],
        cards: impl Iterator<Item = (u32, u8)>,
        allow_insecure: bool,
        plugins: Plugins,
    ) -> Self {
        let mut identities = Self::empty(plugins);
        for (serial, slot) in cards {
            identities.add_card(serial, slot);
        }
        for path in files {
            let name = path.to_string_lossy();
            let found = files::read_regular(path, IDENTITY_LIMIT)
                .and_then(|text| text::parse(&name, text, Content::Any))
                .and_then(|found| match exposed(path, &found) {
                    Some(error) if !allow_insecure => Err(error),
                    _ => Ok(found),
                })
                .map_err(|error| error.with_file(path));
            identities.add_or_note(&name, found);
        }
        identities
    }

    /// What sops would use: all sources together, in its order. What is wrong with one of them is told only when
    /// nothing opens.
    pub(crate) fn from_environment(environment: Environment<'_>, plugins: Plugins) -> Self {
        let mut identities = Self::empty(plugins);
        identities.add_ssh_sources(environment);
        identities.add_text_sources(environment);
        identities
    }

    fn add_ssh_sources(&mut self, environment: Environment<'_>) {
        match environment("SOPS_AGE_SSH_PRIVATE_KEY_FILE") {
            Some(path) => self.add_file(Path::new(&path), Content::Ssh),
            None => self.note_unused("SOPS_AGE_SSH_PRIVATE_KEY_FILE"),
        }
        self.add_command(
            environment,
            "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
            Content::SshOpen,
        );
        let home = environment("HOME").filter(|home| !home.is_empty());
        for key in ["id_ed25519", "id_rsa"] {
            let Some(path) = home
                .as_ref()
                .map(|home| Path::new(home).join(".ssh").join(key))
            else {
                continue;
            };
            if path.exists() {
                self.add_file(&path, Content::Ssh);
            } else {
                self.note_unused(&path.to_string_lossy());
            }
        }
    }

    fn add_text_sources(&mut self, environment: Environment<'_>) {
        match environment("SOPS_AGE_KEY") {
            Some(text) => {
                use std::os::unix::ffi::OsStringExt as _;
                let found =
                    text::parse("SOPS_AGE_KEY", Secret::new(text.into_vec()), Content::Words);
                self.add_or_note("SOPS_AGE_KEY", found);
            }
            None => self.note_unused("SOPS_AGE_KEY"),
        }
        match environment("SOPS_AGE_KEY_FILE") {
            Some(path) => self.add_file(Path::new(&path), Content::Lines),
            None => self.note_unused("SOPS_AGE_KEY_FILE"),
        }
        self.add_command(environment, "SOPS_AGE_KEY_CMD", Content::Lines);
        match user_keys(environment) {
            Ok(Some(path)) if path.exists() => self.add_file(&path, Content::Lines),
            Ok(Some(path)) => self.note_unused(&path.to_string_lossy()),
            Ok(None) => {}
            Err(error) => self.problems.push(error),
        }
    }

    fn add_file(&mut self, path: &Path, content: Content) {
        let name = path.to_string_lossy();
        let found = files::read_any(path, IDENTITY_LIMIT)
            .and_then(|text| text::parse(&name, text, content))
            .map_err(|error| error.with_file(path));
        let exposed = found.as_ref().ok().and_then(|found| exposed(path, found));
        self.add_or_note(&name, found);
        self.exposed
            .extend(exposed.map(|error| error.with_file(path)));
    }

    fn add_command(
        &mut self,
        environment: Environment<'_>,
        variable: &'static str,
        content: Content,
    ) {
        match environment(variable) {
            Some(command) => self.add(vec![Identity::new(
                variable,
                "command",
                Vec::new(),
                Key::Command(KeyCommand::new(variable, command, content)),
            )]),
            None => self.note_unused(variable),
        }
    }

    fn add_or_note(&mut self, name: &str, found: Result<Vec<Identity>>) {
        match found {
            Ok(found) if found.is_empty() => self.note_unused(name),
            Ok(found) => self.add(found),
            Err(error) => self.problems.push(Error {
                message: format!("{name}: {}", error.message),
                ..error
            }),
        }
    }

    fn note_unused(&mut self, place: &str) {
        self.unused.push(place.to_owned());
    }
}

/// Files that identities are taken from, whether they exist or not: those that were `named`, else the ones that
/// [`Identities::from_environment`] looks at, and the host's SSH keys. Nothing is opened.
pub(crate) fn identity_files(named: &[PathBuf], environment: Environment<'_>) -> Vec<PathBuf> {
    if !named.is_empty() {
        return named.to_owned();
    }
    let set = |name| environment(name).filter(|value| !value.is_empty());
    let variables = ["SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SOPS_AGE_KEY_FILE"];
    let mut files: Vec<_> = variables
        .into_iter()
        .filter_map(set)
        .map(PathBuf::from)
        .collect();
    files.extend(user_keys(environment).ok().flatten());
    let home = set("HOME").map(|home| Path::new(&home).join(".ssh"));
    let users = home.map(|ssh| [ssh.join("id_ed25519"), ssh.join("id_rsa")]);
    files.extend(users.into_iter().flatten());
    files.extend(HOST_KEYS.map(PathBuf::from));
    files
}

/// `sops/age/keys.txt` in the user's configuration directory.
fn user_keys(environment: Environment<'_>) -> Result<Option<PathBuf>> {
    let set = |name| environment(name).filter(|value| !value.is_empty());
    let directory = match (set("XDG_CONFIG_HOME"), set("HOME")) {
        (Some(directory), _) => {
            let directory = PathBuf::from(directory);
            if !directory.is_absolute() {
                return Err(Error::new(
                    "invalid-identity",
                    "XDG_CONFIG_HOME is not an absolute path",
                ));
            }
            directory
        }
        (None, Some(home)) => Path::new(&home).join(".config"),
        (None, None) => return Ok(None),
    };
    Ok(Some(directory.join("sops/age/keys.txt")))
}

/// What a command printed, parsed.
type Printed = Arc<Result<Vec<Identity>>>;

/// A command that prints identities. sops runs it for every recipient it tries, with that recipient in
/// `SOPS_AGE_RECIPIENT`; here it runs only when nothing else opens, once for each recipient.
pub(super) struct KeyCommand {
    variable: &'static str,
    command: OsString,
    content: Content,
    /// What it printed, by recipient.
    outputs: Mutex<Vec<(String, Printed)>>,
}

impl KeyCommand {
    fn new(variable: &'static str, command: OsString, content: Content) -> Self {
        Self {
            variable,
            command,
            content,
            outputs: Mutex::new(Vec::new()),
        }
    }

    /// The identities it prints for `recipient`.
    pub(super) fn identities(&self, recipient: &str) -> Printed {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, output)) = outputs.iter().find(|(known, _)| known == recipient) {
            return output.clone();
        }
        let output = Arc::new(
            self.run(recipient)
                .and_then(|text| text::parse(self.variable, text, self.content)),
        );
        outputs.push((recipient.to_owned(), output.clone()));
        output
    }

    fn run(&self, recipient: &str) -> Result<Secret> {
        // The command line may hold a token: it is not in the messages.
        let failed = |what: String| {
            Error::new(
                "invalid-identity",
                format!("the command in {} {what}", self.variable),
            )
        };
        let words = self
            .command
            .to_str()
            .and_then(shlex::split)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| failed("cannot be split into words".to_owned()))?;
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| failed("is empty".to_owned()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("SOPS_AGE_RECIPIENT", recipient)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| failed(format!("cannot be started: {error}")))?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| failed("has no output".to_owned()))
            .and_then(|stdout| files::read_stream(stdout, IDENTITY_LIMIT));
        if output.is_err() {
            let _ = child.kill();
        }
        let status = child
            .wait()
            .map_err(|error| failed(format!("was lost: {error}")))?;
        if !status.success() {
            return Err(failed(format!("failed ({status})")));
        }
        output
    }
}
