//! The command line of `secretsctl`. Every page and completion script is generated from here.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::{
    access, approve, check, completion, decrypt, edit, encrypt, explain, exposed, host, identity,
    list, lock, man, metrics, pending, rekey, reload, set, status, unlock, unset, wait, yubikey,
};
use crate::output::{Color, Settings, Verbosity};

/// Work with SOPS secrets: on a repository, and with the daemon that delivers them.
#[derive(Debug, Parser)]
#[command(
    name = "secretsctl",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 something was found that counts, 2 could not do it, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant for each command, one file beside this one for each variant.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Access(access::Args),
    Approve(approve::Args),
    Check(check::Args),
    Completion(completion::Args),
    Decrypt(decrypt::Args),
    Edit(edit::Args),
    Encrypt(encrypt::Args),
    Explain(explain::Args),
    Exposed(exposed::Args),
    Host(host::Args),
    Identity(identity::Args),
    List(list::Args),
    Lock(lock::Args),
    Man(man::Args),
    Metrics(metrics::Args),
    Pending(pending::Args),
    Rekey(rekey::Args),
    Reload(reload::Args),
    Set(set::Args),
    Status(status::Args),
    Unlock(unlock::Args),
    Unset(unset::Args),
    Wait(wait::Args),
    Yubikey(yubikey::Args),
}

/// Options of all commands.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Run as if started in DIR: every relative path is relative to it
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,

    /// Use this file in place of the nearest .sops.yaml upwards; its directory is the repository [default: $SOPS_CONFIG]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config_file: Option<PathBuf>,

    /// Open files with this age identity file or SSH private key only (repeatable) [default: what sops would use]
    #[arg(short, long = "identity", value_name = "FILE", global = true)]
    pub(crate) identities: Vec<PathBuf>,

    /// Open files with the keys in this YubiKey only; without SERIAL, in those that are plugged in
    #[arg(
        long,
        value_name = "SERIAL",
        global = true,
        num_args = 0..=1,
        conflicts_with = "identities"
    )]
    pub(crate) yubikey: Option<Option<u32>>,

    /// Talk to the daemon at this socket
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) socket: Option<PathBuf>,

    /// Write results to stdout and errors to stderr as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Use colours: on a terminal (auto), always or never
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        default_value = "auto",
        hide_possible_values = true
    )]
    pub(crate) color: Color,

    /// Say more
    #[arg(short, long, global = true, action = ArgAction::SetTrue, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

impl Global {
    /// Fills in what the environment says where the command line says nothing. Unset and empty are the same.
    pub(crate) fn or_environment(mut self) -> Self {
        let from_environment = std::env::var_os("SOPS_CONFIG").filter(|file| !file.is_empty());
        self.config_file = self.config_file.or(from_environment.map(PathBuf::from));
        self
    }

    pub(crate) fn output(&self) -> Settings {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Settings {
            program: super::PROGRAM,
            json: self.json,
            color: self.color,
            verbosity,
        }
    }
}
