//! The operator's tool: one file per command.
//!
//! A command is a variant of [`args::Command`], a file with its `Args` and `run`, and a line in [`dispatch`].

mod access;
mod approve;
mod args;
mod change;
mod check;
mod completion;
mod decrypt;
mod diff;
mod edit;
mod encrypt;
mod explain;
mod exposed;
mod fix;
mod follow;
mod host;
mod identity;
mod interrupt;
mod list;
mod lock;
mod man;
mod metrics;
mod pending;
mod rekey;
mod reload;
mod report;
mod set;
mod status;
mod unlock;
mod unset;
mod wait;
mod yubikey;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser as _;

use crate::{
    control::client,
    error::{Error, Result},
    harden::harden,
    identity::serve_session,
    output::{Color, Outcome, Output, Settings, Verbosity},
    usage::Usage,
};
use args::{Cli, Command, Global};

const PROGRAM: &str = "secretsctl";

/// What every command gets.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) output: Output,
}

impl Global {
    /// The daemon's socket.
    fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(client::default_socket)
    }
}

/// Runs `secretsctl`.
pub fn main() -> ExitCode {
    harden();
    if let Some(ended) = serve_session() {
        return ended;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(error.into()),
    };
    let mut context = Context {
        output: Output::new(cli.global.output()),
        global: cli.global.or_environment(),
    };
    let result =
        enter_directory(&context.global).and_then(|()| dispatch(&cli.command, &mut context));
    context.output.finish(result)
}

fn dispatch(command: &Command, context: &mut Context) -> Result<Outcome> {
    match command {
        Command::Access(args) => access::run(args, context),
        Command::Approve(args) => approve::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Completion(args) => completion::run(args, context),
        Command::Decrypt(args) => decrypt::run(args, context),
        Command::Edit(args) => edit::run(args, context),
        Command::Encrypt(args) => encrypt::run(args, context),
        Command::Explain(args) => explain::run(args, context),
        Command::Exposed(args) => exposed::run(args, context),
        Command::Host(args) => host::run(args, context),
        Command::Identity(args) => identity::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Lock(args) => lock::run(args, context),
        Command::Man(args) => man::run(args, context),
        Command::Metrics(args) => metrics::run(args, context),
        Command::Pending(args) => pending::run(args, context),
        Command::Rekey(args) => rekey::run(args, context),
        Command::Reload(args) => reload::run(args, context),
        Command::Set(args) => set::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Unlock(args) => unlock::run(args, context),
        Command::Unset(args) => unset::run(args, context),
        Command::Wait(args) => wait::run(args, context),
        Command::Yubikey(args) => yubikey::run(args, context),
    }
}

/// `-C`: the working directory changes once, here, so that no command can forget it.
fn enter_directory(global: &Global) -> Result<()> {
    let Some(directory) = &global.directory else {
        return Ok(());
    };
    std::env::set_current_dir(directory).map_err(|error| {
        Error::new(
            "directory",
            format!("cannot enter the directory given with -C: {error}"),
        )
        .with_file(directory)
        .with_hint("name an existing directory that you may enter")
    })
}

/// The command line could not be parsed, so its options are not known; only `--json` is looked for.
fn refuse(usage: Usage) -> ExitCode {
    let json = std::env::args_os()
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json");
    let mut output = Output::new(Settings {
        program: PROGRAM,
        json,
        color: Color::Auto,
        verbosity: Verbosity::Normal,
    });
    let result = match usage {
        Usage::Answer(text) => output.verbatim(text.as_bytes()).map(|()| Outcome::Fine),
        Usage::Wrong(error) => Err(error),
    };
    output.finish(result)
}
