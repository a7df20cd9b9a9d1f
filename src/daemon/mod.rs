//! The daemon: composition only.
//!
//! One task owns the state and runs the main loop ([`run`]); what blocks moves to a thread and back ([`worker`]);
//! connections to the control socket see copies of the state ([`state`]). While nothing changes, nothing wakes.

mod args;
mod grants;
mod hooks;
mod log;
mod metrics;
mod news;
mod once;
mod rekey;
mod retry;
mod run;
mod serve;
mod service;
mod signals;
mod state;
mod units;
mod unlock;
mod watch;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::{
    dropin,
    error::Result,
    harden::harden,
    identity::serve_session,
    manual,
    output::{Color, Outcome, Output, Settings, Verbosity},
    usage::Usage,
};
use args::Arguments;

/// Runs `secretsd`.
pub fn main() -> ExitCode {
    if let Some(ended) = serve_session() {
        return ended;
    }
    if dropin::is_called() {
        return dropin::main();
    }
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
    harden();
    let source = arguments.source();
    let result = if arguments.man {
        print_manual(&mut output)
    } else if arguments.check_config {
        once::check(&source, &mut output)
    } else if arguments.once {
        once::deliver(&source, &mut output)
    } else if arguments.early {
        once::deliver_early(&source, &mut output)
    } else {
        serve::serve(source, arguments.remove_on_exit, &mut output)
    };
    output.finish(result)
}

/// `--man` is for packagers; `contrib/man` holds what it prints.
fn print_manual(output: &mut Output) -> Result<Outcome> {
    let page = manual::page(
        Arguments::command(),
        "8",
        &[
            ("secretsd.yaml", "5"),
            ("secretsctl", "1"),
            ("sops-install-secrets", "8"),
        ],
    )?;
    output.verbatim(&page)?;
    Ok(Outcome::Fine)
}
