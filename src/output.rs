//! The one place that prints and that knows exit codes.
//!
//! Results go to stdout; errors, warnings and notes to stderr. A reader that went away (a closed pipe) is no error: what
//! is left is dropped. Nothing is kept in the standard library's buffers, which would outlive a secret.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd,
    process::ExitCode,
};

use serde::Serialize;
use serde_json::json;

use crate::{
    error::{Error, Result},
    escape,
    secret::Secret,
};

/// How a command ended when it could do its work. An [`Error`] ends it with 2, or 130 where its code is
/// [`INTERRUPTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// Everything is as it should be: exit code 0.
    Fine,
    /// It ran to the end and found something that counts: exit code 1.
    Findings,
}

impl Outcome {
    /// [`Outcome::Findings`] when `found`.
    pub(crate) fn findings_if(found: bool) -> Self {
        if found { Self::Findings } else { Self::Fine }
    }
}

/// Error code of what the user interrupted.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// When text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is "dumb"
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Errors and warnings.
    #[default]
    Normal,
    /// Errors, warnings and notes.
    Verbose,
}

/// What [`Output`] must know of the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Name of the program, in front of every message.
    pub(crate) program: &'static str,
    pub(crate) json: bool,
    pub(crate) color: Color,
    pub(crate) verbosity: Verbosity,
}

/// Standard output and standard error of one run.
pub(crate) struct Output {
    settings: Settings,
    stdout: Option<File>,
    stderr: Option<File>,
    color_stdout: bool,
    color_stderr: bool,
    /// Text for stdout that is not written yet; never a secret.
    pending: Vec<u8>,
}

/// A colour or weight.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
}

const PENDING_LIMIT: usize = 64 << 10;

impl Output {
    /// Writers for the standard streams of this process.
    pub(crate) fn new(settings: Settings) -> Self {
        let colored = |terminal: bool| match settings.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && terminal_has_color(),
        };
        Self {
            settings,
            color_stdout: colored(io::stdout().is_terminal()),
            color_stderr: colored(io::stderr().is_terminal()),
            stdout: unbuffered(io::stdout()),
            stderr: unbuffered(io::stderr()),
            pending: Vec::new(),
        }
    }

    /// Whether stdout must hold JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.settings.json
    }

    /// Whether stderr is a terminal on which something may move.
    pub(crate) fn shows_progress(&self) -> bool {
        self.settings.verbosity >= Verbosity::Normal && io::stderr().is_terminal()
    }

    /// Whether nothing but errors is wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.settings.verbosity == Verbosity::Quiet
    }

    /// Text beside the results, on stderr: stdout is for a program. The caller escapes what comes from outside.
    pub(crate) fn aside(&mut self, text: &str) {
        if !self.is_quiet()
            && let Some(stderr) = &mut self.stderr
        {
            let _ = stderr.write_all(text.as_bytes());
        }
    }

    /// `text` in `style`, where stdout shows colours.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        if self.color_stdout {
            style.paint(text)
        } else {
            text.to_owned()
        }
    }

    /// One line of text on stdout. The caller escapes what comes from outside ([`escape`]), because only it knows what
    /// in the line does.
    pub(crate) fn line(&mut self, line: &str) -> Result<()> {
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
        if self.pending.len() > PENDING_LIMIT {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// One JSON value and a line break on stdout.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|error| {
            Error::new(
                "internal",
                format!("cannot write the result as JSON: {error}"),
            )
        })?;
        self.line(&safe_json(&text))
    }

    /// Text that is a result as it stands, byte for byte: a man page, a completion script.
    pub(crate) fn verbatim(&mut self, text: &[u8]) -> Result<()> {
        self.flush()?;
        self.write_stdout(text)
    }

    /// Plaintext on stdout, past every buffer.
    pub(crate) fn secret(&mut self, plaintext: &Secret) -> Result<()> {
        self.flush()?;
        self.write_stdout(plaintext.expose())
    }

    /// Writes what [`line`](Self::line) and [`json`](Self::json) hold back: before waiting, and at the end.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.write_stdout(&pending)
    }

    /// An error that does not end the command. It is shown at once.
    pub(crate) fn error(&mut self, error: &Error) {
        self.report("error", Style::Red, error);
    }

    /// Something that the reader should know and that fails nothing.
    pub(crate) fn warning(&mut self, warning: &Error) {
        if self.settings.verbosity >= Verbosity::Normal {
            self.report("warning", Style::Yellow, warning);
        }
    }

    /// Something for those who asked for more (`-v`).
    pub(crate) fn note(&mut self, note: &Error) {
        if self.settings.verbosity >= Verbosity::Verbose {
            self.report("note", Style::Blue, note);
        }
    }

    /// Shows the error, if there is one, and says with which code to exit.
    pub(crate) fn finish(mut self, result: Result<Outcome>) -> ExitCode {
        let result = result.and_then(|outcome| self.flush().map(|()| outcome));
        ExitCode::from(match result {
            Ok(Outcome::Fine) => 0,
            Ok(Outcome::Findings) => 1,
            Err(error) => {
                // What was found before the error is still a result; a second failure to write adds nothing.
                let _ = self.flush();
                self.error(&error);
                if error.code == INTERRUPTED { 130 } else { 2 }
            }
        })
    }

    fn report(&mut self, kind: &str, style: Style, error: &Error) {
        let text = if self.settings.json {
            let mut text = safe_json(&json!({ kind: describe(error) }).to_string());
            text.push('\n');
            text
        } else {
            self.render(kind, style, error)
        };
        // There is no third stream to complain on.
        if let Some(stderr) = &mut self.stderr {
            let _ = stderr.write_all(text.as_bytes());
        }
    }

    fn render(&self, kind: &str, style: Style, error: &Error) -> String {
        let paint = |style: Style, text: &str| {
            if self.color_stderr {
                style.paint(text)
            } else {
                text.to_owned()
            }
        };
        let mut text = format!(
            "{}: {} {}\n",
            self.settings.program,
            paint(style, &format!("{kind}:")),
            escape::text(&error.message)
        );
        if let Some(file) = &error.file {
            let place = match error.position {
                Some(position) => format!(
                    "{}:{}:{}",
                    escape::path(file),
                    position.line,
                    position.column
                ),
                None => escape::path(file),
            };
            text.push_str(&format!("  {} {place}\n", paint(Style::Blue, "-->")));
        } else if let Some(position) = error.position {
            text.push_str(&format!(
                "  {} {}:{}\n",
                paint(Style::Blue, "-->"),
                position.line,
                position.column
            ));
        }
        if let Some(hint) = &error.hint {
            text.push_str(&format!(
                "  {} {}\n",
                paint(Style::Bold, "hint:"),
                escape::text(hint)
            ));
        }
        text
    }

    fn write_stdout(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(stdout) = &mut self.stdout else {
            return Ok(());
        };
        match stdout.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) => {
                // Later writes would fail in the same way.
                self.stdout = None;
                if error.kind() == io::ErrorKind::BrokenPipe {
                    return Ok(());
                }
                Err(Error::new(
                    "output",
                    format!("cannot write to standard output: {error}"),
                ))
            }
        }
    }
}

impl Style {
    fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// `1 file`, `2 files`.
pub(crate) fn numbered(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// The members of `error` in JSON, as the contract names them.
pub(crate) fn describe(error: &Error) -> serde_json::Value {
    let mut members = serde_json::Map::new();
    members.insert("code".to_owned(), error.code.into());
    members.insert("message".to_owned(), error.message.as_str().into());
    if let Some(file) = &error.file {
        members.insert("file".to_owned(), file.to_string_lossy().into());
    }
    if let Some(position) = error.position {
        members.insert("line".to_owned(), position.line.into());
        members.insert("column".to_owned(), position.column.into());
    }
    if let Some(hint) = &error.hint {
        members.insert("hint".to_owned(), hint.as_str().into());
    }
    members.into()
}

/// The standard library's own handle keeps the last unfinished line in a buffer that nobody wipes.
fn unbuffered(stream: impl AsFd) -> Option<File> {
    stream.as_fd().try_clone_to_owned().ok().map(File::from)
}

fn terminal_has_color() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// JSON text in which also those control characters are escaped that JSON allows and terminals obey. Outside of strings
/// JSON has none of them.
fn safe_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if escape::is_unsafe(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(char);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_the_same_value() {
        let value = json!({ "a\u{9b}\u{7f}": "b\u{202e}\n" });
        let text = safe_json(&value.to_string());
        assert!(text.is_ascii());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
