//! `sops-install-secrets`: under this name the program takes the manifest and the flags of sops-nix's installer and leaves
//! the same behind, with the exit codes and the report that modules and scripts around it know.
//!
//! - [`args`], [`json`], [`manifest`]: what it is told, read as leniently as there;
//! - [`entries`]: where each entry arrives and whose it is; [`checked`]: a whole manifest, as far as that can be checked;
//! - [`keys`]: whose keys are used; [`contents`], [`templates`], [`files`]: what is delivered;
//! - [`changes`], [`units`]: what is told of it, and to whom;
//! - [`run`]: one run, in this order. Everything is checked, opened and rendered in memory before anything is written.
//!
//! Writing is the delivery's ([`Installer`](crate::delivery::Installer)).

mod args;
mod changes;
mod checked;
mod contents;
mod entries;
mod files;
mod json;
mod keys;
mod manifest;
mod run;
mod templates;
mod units;

use std::{ffi::OsString, path::Path, process::ExitCode};

use crate::{
    error::Error,
    escape,
    harden::harden,
    output::{Color, Outcome, Output, Settings, Verbosity},
};
use args::Arguments;

/// The name that makes the program this one.
const NAME: &str = "sops-install-secrets";

/// Whether the program was called by that name.
pub(crate) fn is_called() -> bool {
    let called = std::env::args_os().next();
    called.is_some_and(|called| {
        Path::new(&called)
            .file_name()
            .is_some_and(|name| name == NAME)
    })
}

/// Runs it.
pub(crate) fn main() -> ExitCode {
    let mut output = Output::new(Settings {
        program: NAME,
        json: false,
        color: Color::Auto,
        verbosity: Verbosity::Normal,
    });
    harden();
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let result = match args::parse(arguments) {
        Ok(Arguments::Usage { flags }) => {
            output.aside(&usage(&called, flags));
            Ok(Outcome::Fine)
        }
        Ok(Arguments::Run(call)) => run::run(&call, &mut output),
        Err(error) => {
            output.aside(&usage(&called, true));
            Err(error)
        }
    };
    let outcome = result.unwrap_or_else(|error| {
        tell(&called, &error, &mut output);
        Outcome::Findings
    });
    output.finish(Ok(outcome))
}

fn usage(called: &OsString, flags: bool) -> String {
    let called = escape::path(Path::new(called));
    match flags {
        true => format!("Usage: {called} [OPTION] manifest.json\n{}", args::FLAGS),
        false => format!("Usage of {called}: {called} [OPTION] manifest.json\n"),
    }
}

/// In the form that scripts around the original know: what it was called as, and the error.
fn tell(called: &OsString, error: &Error, output: &mut Output) {
    let mut text = format!(
        "{}: {}\n",
        escape::path(Path::new(called)),
        escape::text(&error.message)
    );
    if let Some(file) = &error.file {
        let position = error
            .position
            .map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
        text.push_str(&format!("  --> {}{position}\n", escape::path(file)));
    }
    if let Some(hint) = &error.hint {
        text.push_str(&format!("  hint: {}\n", escape::text(hint)));
    }
    output.aside(&text);
}
