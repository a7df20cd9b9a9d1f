//! The daemon: composition only.

mod args;
mod once;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    error::Error,
    output::{Color, Outcome, Output, Settings, Verbosity},
    usage::Usage,
};
use args::Arguments;

/// Runs `secretsd`.
pub fn main() -> ExitCode {
    let mut output = Output::new(Settings {
        program: "secretsd",
        json: false,
        color: Color::Auto,
        verbosity: Verbosity::Normal,
    });
    let arguments = match Arguments::try_parse().map_err(Usage::from) {
        Ok(arguments) => arguments,
        Err(Usage::Answer(text)) => {
            let shown = output.verbatim(text.as_bytes()).map(|()| Outcome::Fine);
            return output.finish(shown);
        }
        Err(Usage::Wrong(error)) => return output.finish(Err(error)),
    };
    let source = arguments.source();
    let result = if arguments.check_config {
        once::check(&source, &mut output)
    } else if arguments.once {
        once::deliver(&source, &mut output)
    } else {
        Err(Error::new(
            "usage",
            "only --once and --check-config are built in yet",
        ))
    };
    output.finish(result)
}
