//! Prompts on the controlling terminal, whatever stdin and stdout are.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    sync::{Mutex, PoisonError},
};

use rustix::{
    fs::OFlags,
    termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios},
};

use super::person::{Answer, Person};
use crate::{escape, secret::Secret};

/// Longest line that can be typed.
const LINE_LIMIT: usize = 4096;

/// The controlling terminal of this process.
pub(crate) struct Terminal(Mutex<File>);

impl Terminal {
    /// `None` when there is no terminal, or when it is not ours to read (a job in the background).
    pub(crate) fn open() -> Option<Self> {
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open("/dev/tty")
            .ok()?;
        let foreground = termios::tcgetpgrp(&terminal).ok()?;
        (foreground == rustix::process::getpgrp()).then(|| Self(Mutex::new(terminal)))
    }

    /// Runs `dialogue` on the terminal; one at a time.
    fn with<T>(&self, dialogue: impl FnOnce(&mut File) -> T) -> T {
        dialogue(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Person for Terminal {
    fn tell(&self, message: &str) {
        let text = format!("{}\n", escape::text(message));
        // Nobody promises that a message is seen.
        self.with(|terminal| terminal.write_all(text.as_bytes()).ok());
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Answer<bool> {
        let choices = match no {
            Some(no) => format!("y: {}, n: {}", escape::text(yes), escape::text(no)),
            None => format!("y: {}", escape::text(yes)),
        };
        let prompt = format!("{} ({choices}) ", escape::text(message));
        self.with(|terminal| {
            for _ in 0..3 {
                let line = match read_line(terminal, &prompt, true) {
                    Answer::Given(line) => line,
                    Answer::Nobody => return Answer::Nobody,
                    Answer::Declined => return Answer::Declined,
                    Answer::Interrupted => return Answer::Interrupted,
                };
                match line.expose() {
                    b"y" | b"Y" | b"yes" => return Answer::Given(true),
                    b"n" | b"N" | b"no" => return Answer::Given(false),
                    _ => {}
                }
            }
            Answer::Declined
        })
    }

    fn ask(&self, message: &str) -> Answer<Secret> {
        self.with(|terminal| read_line(terminal, &prompt(message), true))
    }

    fn ask_secret(&self, message: &str) -> Answer<Secret> {
        self.with(|terminal| read_line(terminal, &prompt(message), false))
    }
}

fn prompt(message: &str) -> String {
    let text = escape::text(message);
    let text = text.trim_end();
    if text.ends_with(':') || text.ends_with('?') {
        format!("{text} ")
    } else {
        format!("{text}: ")
    }
}

/// Reads one line key by key. The terminal neither echoes nor raises signals meanwhile: an interrupt in the middle of a
/// passphrase would otherwise leave it without echo for whatever runs next.
fn read_line(terminal: &mut File, prompt: &str, visible: bool) -> Answer<Secret> {
    let Some(raw) = Raw::enter(terminal) else {
        return Answer::Nobody;
    };
    // Whether it can still be shown is found out by reading.
    let show = |text: &[u8]| {
        let _ = (&raw.terminal).write_all(text);
    };
    show(prompt.as_bytes());
    let mut line = Secret::with_capacity(LINE_LIMIT);
    let mut key = [0];
    let answer = loop {
        if !matches!(terminal.read(&mut key), Ok(1)) {
            break Answer::Nobody;
        }
        match key[0] {
            b'\r' | b'\n' => break Answer::Given(line),
            // Ctrl-C, Ctrl-backslash.
            0x03 | 0x1c => break Answer::Interrupted,
            // Ctrl-D.
            0x04 if line.is_empty() => break Answer::Declined,
            // Backspace takes a whole character, Ctrl-U the line.
            0x08 | 0x7f => {
                let last = line
                    .expose_str()
                    .and_then(|text| text.char_indices().last());
                let length = last.map_or(line.len().saturating_sub(1), |(start, _)| start);
                if visible && length < line.len() {
                    show(b"\x08 \x08");
                }
                line = copy(&line, length);
            }
            0x15 => {
                if visible {
                    show(b"\r\x1b[K");
                    show(prompt.as_bytes());
                }
                line = copy(&line, 0);
            }
            byte if line.len() < LINE_LIMIT => {
                line.push(&[byte]);
                if visible && !byte.is_ascii_control() {
                    show(&[byte]);
                }
            }
            _ => {}
        }
    };
    show(b"\n");
    answer
}

fn copy(line: &Secret, length: usize) -> Secret {
    let mut shorter = Secret::with_capacity(LINE_LIMIT);
    shorter.push(line.expose().get(..length).unwrap_or_default());
    shorter
}

/// The terminal's own line editing, echo and signals are off while this lives.
struct Raw {
    terminal: File,
    before: Termios,
}

impl Raw {
    fn enter(terminal: &File) -> Option<Self> {
        let before = termios::tcgetattr(terminal).ok()?;
        let mut raw = before.clone();
        raw.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(terminal, OptionalActions::Flush, &raw).ok()?;
        Some(Self {
            terminal: terminal.try_clone().ok()?,
            before,
        })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nothing left to do when the terminal is gone.
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}
