//! The age plugin protocol, version 1, from the side of the program that asks: state machines `identity-v1` and
//! `recipient-v1`. First everything is sent; then the plugin asks and answers, each of its commands gets one reply.

use std::{path::Path, time::Duration};

use age_core::{
    format::{FILE_KEY_BYTES, FileKey, Stanza, read},
    secrecy::ExposeSecret as _,
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

use super::Plugins;
use crate::{
    error::{Error, Result},
    identity::{
        person::{self, Answer, Person},
        process::{Process, Role},
    },
    secret::Secret,
};

const COLUMNS: usize = 64;
/// Longest text of a plugin that is shown.
const MESSAGE_LIMIT: usize = 1000;

/// `identity-v1`: for each file the file key that `identity` finds in one of its stanzas, if one is for it. An error where
/// none was found and the plugin says why; `true` beside the keys: it had something to say.
pub(super) fn unwrap(
    plugins: &Plugins,
    program: &Path,
    name: &str,
    identity: &str,
    files: &[&[Stanza]],
) -> Result<(Vec<Option<FileKey>>, bool)> {
    let mut session = Session::start(plugins, program, name, "identity-v1")?;
    let mut request = Secret::default();
    write_stanza(&mut request, "add-identity", &[identity], &[]);
    for (number, stanzas) in files.iter().enumerate() {
        let number = number.to_string();
        for stanza in *stanzas {
            let mut args = vec![number.as_str(), stanza.tag.as_str()];
            args.extend(stanza.args.iter().map(String::as_str));
            write_stanza(&mut request, "recipient-stanza", &args, &stanza.body);
        }
    }
    write_stanza(&mut request, "done", &[], &[]);
    session.process.send(request.expose())?;

    let mut file_keys: Vec<Option<FileKey>> = files.iter().map(|_| None).collect();
    let ended = session.converse(|command| match command.tag.as_str() {
        "file-key" => {
            let number = command.args.first()?.parse::<usize>().ok()?;
            let place = file_keys.get_mut(number).filter(|key| key.is_none())?;
            *place = Some(key_of(&mut command.body)?);
            Some(())
        }
        _ => None,
    });
    match ended {
        // What has come is worth having, whatever came of the rest.
        Err(error)
            if error.code != person::INTERRUPTED && file_keys.iter().any(Option::is_some) =>
        {
            return Ok((file_keys, true));
        }
        ended => ended?,
    }
    if file_keys.iter().all(Option::is_none) {
        session.verdict()?;
    }
    Ok((file_keys, session.complaint.is_some() || session.nobody))
}

/// `recipient-v1`: the stanzas that wrap `file_key` for `recipient`.
pub(super) fn wrap(
    plugins: &Plugins,
    program: &Path,
    name: &str,
    recipient: &str,
    file_key: &FileKey,
) -> Result<Vec<Stanza>> {
    let mut session = Session::start(plugins, program, name, "recipient-v1")?;
    let mut request = Secret::default();
    write_stanza(&mut request, "add-recipient", &[recipient], &[]);
    write_stanza(&mut request, "wrap-file-key", &[], file_key.expose_secret());
    write_stanza(&mut request, "done", &[], &[]);
    session.process.send(request.expose())?;

    let mut stanzas = Vec::new();
    session.converse(|command| match command.tag.as_str() {
        "recipient-stanza" => {
            let mut args = std::mem::take(&mut command.args).into_iter();
            let (Some("0"), Some(tag)) = (args.next().as_deref(), args.next()) else {
                return None;
            };
            stanzas.push(Stanza {
                tag,
                args: args.collect(),
                body: std::mem::take(&mut command.body),
            });
            Some(())
        }
        _ => None,
    })?;
    session.verdict()?;
    if stanzas.is_empty() {
        return Err(session.failed("it wrapped nothing"));
    }
    Ok(stanzas)
}

/// A conversation, and what went wrong in it.
struct Session<'a> {
    process: Process,
    name: &'a str,
    person: &'a dyn Person,
    limit: Duration,
    /// What the plugin reported as errors, the first of it.
    complaint: Option<String>,
    /// It asked for a person and there was none.
    nobody: bool,
    /// The person pressed Ctrl-C.
    interrupted: bool,
}

impl<'a> Session<'a> {
    fn start(plugins: &'a Plugins, program: &Path, name: &'a str, machine: &str) -> Result<Self> {
        let argument = format!("--age-plugin={machine}");
        let role = Role {
            name: format!("the plugin {name}"),
            limit: "plugin-output",
            failed: "plugin-failed",
            timeout: "plugin-timeout",
            patience: "see whether its device or service answers, then try again",
        };
        let (limit, cancel) = (plugins.time_limit, &plugins.cancel);
        Ok(Self {
            process: Process::start(program, &[&argument], role, limit, cancel)?,
            name,
            person: plugins.person.as_ref(),
            limit,
            complaint: None,
            nobody: false,
            interrupted: false,
        })
    }

    /// The second phase. `handle` takes the commands of one state machine; `None`: it does not know the command.
    fn converse(&mut self, handle: impl FnMut(&mut Stanza) -> Option<()>) -> Result<()> {
        match self.exchange(handle) {
            // Some say what is wrong, or are told that nobody answers, and leave.
            Err(error) if error.code == "plugin-failed" => self.verdict().and(Err(error)),
            result => result,
        }
    }

    fn exchange(&mut self, mut handle: impl FnMut(&mut Stanza) -> Option<()>) -> Result<()> {
        loop {
            let mut command = self.receive()?;
            if command.tag == "done" {
                self.process.finish();
                return Ok(());
            }
            let reply = match command.tag.as_str() {
                "msg" => {
                    self.person.tell(&self.quote(&command.body));
                    Reply::Ok
                }
                "confirm" => self.confirm(&command),
                "request-public" => self.answer(self.person.ask(&self.quote(&command.body))),
                "request-secret" => self.answer(self.person.ask_secret(&self.quote(&command.body))),
                "error" => {
                    let message = shorten(&command.body);
                    self.complaint.get_or_insert(message);
                    Reply::Ok
                }
                _ => match handle(&mut command) {
                    Some(()) => {
                        // The limit is for one file, and no more are taken than were asked for.
                        if command.tag == "file-key" {
                            self.process.begin(self.limit);
                        }
                        Reply::Ok
                    }
                    None => Reply::Unsupported,
                },
            };
            let mut text = Secret::default();
            match reply {
                Reply::Ok => write_stanza(&mut text, "ok", &[], &[]),
                Reply::Data(data) => write_stanza(&mut text, "ok", &[], data.expose()),
                Reply::Choice(choice) => write_stanza(&mut text, "ok", &[choice], &[]),
                Reply::Fail => write_stanza(&mut text, "fail", &[], &[]),
                Reply::Unsupported => write_stanza(&mut text, "unsupported", &[], &[]),
            }
            if self.interrupted {
                return Err(person::interrupted());
            }
            self.process.send(text.expose())?;
        }
    }

    /// Ends the conversation of a plugin that gave no key: it may have had a reason.
    fn verdict(&mut self) -> Result<()> {
        match (&self.complaint, self.nobody) {
            (_, true) => Err(person::locked(
                &format!("of the plugin {}", self.name),
                "it needs a person, and there is no terminal to ask on",
            )
            .with_hint(self.person.otherwise())),
            (Some(complaint), false) => Err(self.failed(complaint)),
            (None, false) => Ok(()),
        }
    }

    fn failed(&self, message: &str) -> Error {
        Error::new(
            "plugin-failed",
            format!("the plugin {} reports: {message}", self.name),
        )
    }

    fn confirm(&mut self, command: &Stanza) -> Reply {
        let mut labels = command.args.iter().take(2).map(|label| {
            BASE64_STANDARD_NO_PAD
                .decode(label)
                .map(|label| shorten(&label))
        });
        let (yes, no) = match (labels.next(), labels.next()) {
            (Some(Ok(yes)), None) => (yes, None),
            (Some(Ok(yes)), Some(Ok(no))) => (yes, Some(no)),
            _ => return Reply::Fail,
        };
        match self
            .person
            .confirm(&self.quote(&command.body), &yes, no.as_deref())
        {
            Answer::Given(true) => Reply::Choice("yes"),
            Answer::Given(false) => Reply::Choice("no"),
            Answer::Declined => Reply::Fail,
            Answer::Interrupted => {
                self.interrupted = true;
                Reply::Fail
            }
            Answer::Nobody => {
                self.nobody = true;
                Reply::Fail
            }
        }
    }

    fn answer(&mut self, answer: Answer<Secret>) -> Reply {
        match answer {
            Answer::Given(text) => Reply::Data(text),
            Answer::Declined => Reply::Fail,
            Answer::Interrupted => {
                self.interrupted = true;
                Reply::Fail
            }
            Answer::Nobody => {
                self.nobody = true;
                Reply::Fail
            }
        }
    }

    /// The plugin's words, with its name before them: nobody else's words may look like ours.
    fn quote(&self, words: &[u8]) -> String {
        format!("age-plugin-{}: {}", self.name, shorten(words))
    }

    fn receive(&mut self) -> Result<Stanza> {
        let nonsense = |session: &Self| {
            Error::new(
                "plugin-failed",
                format!(
                    "the plugin {} does not speak the plugin protocol",
                    session.name
                ),
            )
        };
        let mut text = self.process.line()?;
        if !text.expose().starts_with(b"-> ") {
            return Err(nonsense(self));
        }
        // The body ends with the first line that is not full.
        loop {
            let line = self.process.line()?;
            text.push(line.expose());
            if line.len() <= COLUMNS {
                break;
            }
            if line.len() > COLUMNS + 1 {
                return Err(nonsense(self));
            }
        }
        match read::age_stanza(text.expose()) {
            Ok(([], stanza)) => Ok(stanza.into()),
            _ => Err(nonsense(self)),
        }
    }
}

enum Reply {
    Ok,
    Data(Secret),
    Choice(&'static str),
    Fail,
    Unsupported,
}

/// A file key as a plugin sends it.
fn key_of(body: &mut Vec<u8>) -> Option<FileKey> {
    let body = Secret::new(std::mem::take(body));
    let key: &[u8; FILE_KEY_BYTES] = body.expose().try_into().ok()?;
    Some(FileKey::init_with_mut(|target| target.copy_from_slice(key)))
}

fn shorten(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim().chars().take(MESSAGE_LIMIT).collect()
}

fn write_stanza(target: &mut Secret, tag: &str, args: &[&str], body: &[u8]) {
    target.push(b"-> ");
    target.push(tag.as_bytes());
    for arg in args {
        target.push(b" ");
        target.push(arg.as_bytes());
    }
    target.push(b"\n");
    let encoded = Secret::from(BASE64_STANDARD_NO_PAD.encode(body));
    let lines = encoded.expose().chunks_exact(COLUMNS);
    let last = lines.remainder();
    for line in lines {
        target.push(line);
        target.push(b"\n");
    }
    // A full last line is followed by an empty one.
    target.push(last);
    target.push(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_read_back() {
        for length in [0, 1, 47, 48, 49, 96, 200] {
            let body = vec![7; length];
            let mut text = Secret::default();
            write_stanza(&mut text, "tag", &["a", "b"], &body);
            let (rest, stanza) = read::age_stanza(text.expose()).unwrap();
            assert!(rest.is_empty());
            assert_eq!(Stanza::from(stanza).body, body, "{length}");
        }
    }
}
