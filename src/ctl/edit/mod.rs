//! `secretsctl edit`: an encrypted file in an editor. The plaintext is a file in memory for as long as the editor runs.

mod scratch;

use std::{
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::SystemTime,
};

use rustix::{
    fs::{Access, AtFlags, CWD},
    process::{Pid, Signal},
};

use super::{
    Context,
    decrypt::format,
    encrypt::settings_of_rule,
    follow::note_change,
    interrupt::{self, Stop, interrupted},
};
use crate::{
    clock,
    error::{Error, Result},
    files::{Held, ReadLimit, Replacing, replace},
    identity::{Answer, Identities, Person as _, Plugins, Terminal, wrap},
    limits::Limits,
    open::data_key,
    output::Outcome,
    secret::{DataKey, Secret},
    sops::{Settings, document::Document, encrypt, format::Format},
};
use scratch::Scratch;

/// Editors that are looked for where none is named, as in sops.
const EDITORS: [&str; 3] = ["vim", "nano", "vi"];

/// Edit an encrypted file, or a new one, in $SOPS_EDITOR, $EDITOR or $VISUAL
///
/// The plaintext is in a file in memory while the editor runs. What is not changed keeps its encrypted text.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The encrypted file; one that does not exist is made by its creation rule
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Read the file as yaml, json, dotenv, ini or binary [default: what its name says]
    #[arg(long, value_name = "TYPE", value_parser = format)]
    input_type: Option<Format>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let editor = editor()?;
    let (identities, stop) = interrupt::identities_to_edit(context)?;
    let format = args
        .input_type
        .unwrap_or_else(|| Format::from_path(&args.file));
    let explicit = context.global.config_file.as_deref();
    let session = Session {
        file: &args.file,
        format,
        identities: &identities,
        stop: &stop,
        editor,
        limits: Limits::default(),
    };
    let in_file = |error: Error| error.with_file(&args.file);
    let base = session.base(explicit).map_err(in_file)?;
    session.edit(base, context).map_err(in_file)
}

struct Session<'s> {
    file: &'s Path,
    format: Format,
    identities: &'s Identities,
    stop: &'s Stop,
    editor: Vec<OsString>,
    limits: Limits,
}

/// What an edit starts from.
enum Base {
    File {
        content: Secret,
        document: Box<Document>,
        key: DataKey,
    },
    /// There is no file yet.
    New(Settings),
}

/// What became of a new text.
enum Written {
    Done,
    /// Somebody else has changed the file since it was read.
    Overtaken,
}

impl Session<'_> {
    fn limit(&self) -> ReadLimit {
        ReadLimit::of_file(self.limits.file_size)
    }

    fn base(&self, explicit: Option<&Path>) -> Result<Base> {
        self.check_directory()?;
        match self.read() {
            Ok(content) => self.base_of(content),
            Err(error) if error.code == "file-missing" => {
                Ok(Base::New(settings_of_rule(explicit, self.file)?))
            }
            Err(error) => Err(error),
        }
    }

    fn read(&self) -> Result<Secret> {
        Held::open(self.file, self.limit()).map(|(_, content)| content)
    }

    /// Nobody edits for long what cannot be written then.
    fn check_directory(&self) -> Result<()> {
        let target = std::fs::canonicalize(self.file);
        let target = target.as_deref().unwrap_or(self.file);
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(CWD, directory, wanted, AtFlags::EACCESS).map_err(|error| {
            Error::new(
                "file-unwritable",
                format!("cannot write in the directory of the file: {error}"),
            )
            .with_hint("make it, or make it writable; nothing was changed")
        })
    }

    fn base_of(&self, content: Secret) -> Result<Base> {
        let document = Document::parse(content.duplicate(), self.format, &self.limits)?;
        let key = data_key(&document, self.identities)?;
        Ok(Base::File {
            content,
            document: Box::new(document),
            key,
        })
    }

    fn plaintext(&self, base: &Base) -> Result<Secret> {
        match base {
            Base::File { document, key, .. } => document.open(key)?.plaintext(),
            Base::New(_) if self.format == Format::Json => Ok(Secret::from("{}\n".to_owned())),
            Base::New(_) => Ok(Secret::default()),
        }
    }

    fn edit(&self, mut base: Base, context: &mut Context) -> Result<Outcome> {
        let name = self.file.file_name().unwrap_or(OsStr::new("secret"));
        let mut plain = self.plaintext(&base)?;
        let scratch = Arc::new(Scratch::make(name)?);
        let wiped = Arc::downgrade(&scratch);
        self.stop.at_the_end(move || {
            if let Some(scratch) = wiped.upgrade() {
                scratch.wipe();
            }
        });
        scratch.write(&plain)?;
        loop {
            self.run_editor(&scratch.file())?;
            let text = scratch.read(self.limit()).map_err(of_scratch)?;
            if text.expose() == plain.expose() {
                context
                    .output
                    .note(&Error::new("unchanged", "nothing was changed"));
                return Ok(Outcome::Fine);
            }
            let written = self.encrypted(&base, text).and_then(|text| {
                let written = self.write(&base, &text)?;
                self.note(&base, text, &written, context);
                Ok(written)
            });
            let overtaken = matches!(written, Ok(Written::Overtaken));
            let (error, question) = match written {
                Ok(Written::Done) => return Ok(Outcome::Fine),
                Ok(Written::Overtaken) => (
                    Error::new(
                        "file-changed",
                        "somebody changed the file while it was edited, so it was not replaced",
                    )
                    .with_hint("edit it again"),
                    "Edit again, with the new version beside your text as theirs-NAME?",
                ),
                Err(error) => (error, "Edit again?"),
            };
            let error = error.with_file(self.file);
            if self.stop.is_requested() {
                return Err(interrupted());
            }
            self.offer_again(error, question, context)?;
            if overtaken {
                base = self.base_of(self.read()?)?;
                plain = self.plaintext(&base)?;
                let mut theirs = OsString::from("theirs-");
                theirs.push(name);
                scratch.write_as(&theirs, &plain)?;
            }
        }
    }

    /// Shows the error and asks for another try; where there is nobody to ask, or nobody wants it, the error is the end.
    fn offer_again(&self, error: Error, question: &str, context: &mut Context) -> Result<()> {
        let Some(terminal) = Terminal::open() else {
            return Err(error);
        };
        context.output.error(&error);
        match terminal.confirm(question, "edit again", Some("discard the changes")) {
            Answer::Given(true) => Ok(()),
            Answer::Interrupted => Err(interrupted()),
            _ => Err(Error::new(
                "discarded",
                "the changes were discarded, nothing was written",
            )),
        }
    }

    fn encrypted(&self, base: &Base, text: Secret) -> Result<Secret> {
        let now = clock::format(SystemTime::now());
        match base {
            Base::File { document, key, .. } => document.open(key)?.edited(key, text, &now),
            Base::New(settings) => {
                let plugins = Plugins::of_operator();
                let mut wrap =
                    |_: usize, recipient: &str, share: &[u8]| wrap(recipient, share, &plugins);
                encrypt(text, self.format, settings, &now, &mut wrap, &self.limits)
                    .map(Secret::from)
            }
        }
    }

    fn write(&self, base: &Base, text: &Secret) -> Result<Written> {
        let _critical = self.stop.critical();
        if self.stop.is_requested() {
            return Err(interrupted());
        }
        match base {
            Base::New(_) => replace(self.file, text.expose(), Replacing::New(0o600))?,
            Base::File { content, .. } => {
                let (held, now) = Held::open(self.file, self.limit())?;
                if now.expose() != content.expose() {
                    return Ok(Written::Overtaken);
                }
                held.replace(text.expose())?;
            }
        }
        Ok(Written::Done)
    }

    /// Values that somebody could read may have become others.
    fn note(&self, base: &Base, text: Secret, written: &Written, context: &mut Context) {
        let (Base::File { document, .. }, Written::Done) = (base, written) else {
            return;
        };
        if let Ok(changed) = Document::parse(text, self.format, &self.limits) {
            note_change(self.file, document, &changed, context);
        }
    }

    fn run_editor(&self, file: &Path) -> Result<()> {
        let Some((program, args)) = self.editor.split_first() else {
            return Err(no_editor());
        };
        let failed = |error: std::io::Error| {
            Error::new("editor", format!("cannot run the editor: {error}"))
                .with_hint("name one with $SOPS_EDITOR or $EDITOR")
        };
        let lent = self.stop.lend();
        let mut child = Command::new(program)
            .args(args)
            .arg(file)
            .spawn()
            .map_err(failed)?;
        lent.to(i32::try_from(child.id()).ok().and_then(Pid::from_raw));
        let status = child.wait().map_err(failed)?;
        drop(lent);
        if self.stop.is_requested() || status.signal() == Some(Signal::INT.as_raw()) {
            return Err(interrupted());
        }
        if status.success() {
            return Ok(());
        }
        Err(Error::new(
            "editor",
            format!("the editor failed ({status}), so nothing was written"),
        )
        .with_hint("edit the file again"))
    }
}

/// The file that the editor should have left is named by nobody but us.
fn of_scratch(error: Error) -> Error {
    let message = match error.code {
        "file-missing" => "the editor left no file, so nothing was written".to_owned(),
        _ => format!("cannot read what the editor has left: {}", error.message),
    };
    Error::new("editor", message).with_hint("edit it again, and save it under the name that it has")
}

/// The editor with its arguments.
fn editor() -> Result<Vec<OsString>> {
    for name in ["SOPS_EDITOR", "EDITOR", "VISUAL"] {
        let Some(text) = std::env::var_os(name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let words = text.to_str().and_then(shlex::split).unwrap_or_default();
        if words.is_empty() {
            return Err(
                Error::new("editor", format!("${name} is not the name of a program"))
                    .with_hint("quote its arguments as for a shell"),
            );
        }
        return Ok(words.into_iter().map(OsString::from).collect());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for editor in EDITORS {
        let found = std::env::split_paths(&path)
            .filter(|directory| directory.as_os_str().as_bytes().starts_with(b"/"))
            .map(|directory| directory.join(editor))
            .find(|program| program.is_file());
        if let Some(program) = found {
            return Ok(vec![program.into_os_string()]);
        }
    }
    Err(no_editor())
}

fn no_editor() -> Error {
    Error::new(
        "editor",
        "no editor is named, and none of vim, nano and vi is there",
    )
    .with_hint("name one with $EDITOR")
}
