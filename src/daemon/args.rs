//! The command line of `secretsd`.

use std::path::PathBuf;

use clap::Parser;

use crate::{
    config::{self, Config, Surroundings},
    error::Error,
};

/// Deliver SOPS secrets to services, as files on a memory file system, and follow every change.
#[derive(Debug, Parser)]
#[command(name = "secretsd", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes with --once and --early: 0 all delivered, 1 some degraded, 2 nothing delivered. With --check-config: 0 it \
                  can be used, 1 it names users or groups that do not exist here, 2 it cannot be used."
)]
pub(crate) struct Arguments {
    /// The configuration [default: $SECRETSD_CONFIG, then /etc/secretsd/secretsd.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Deliver once and exit; what is delivered stays
    #[arg(long)]
    pub(crate) once: bool,

    /// As --once, for what has `early: true` alone: before users are made
    #[arg(long, conflicts_with_all = ["once", "check_config", "remove_on_exit", "repository"])]
    pub(crate) early: bool,

    /// Read the configuration and exit; no key is opened
    #[arg(long, conflicts_with_all = ["once", "repository"])]
    pub(crate) check_config: bool,

    /// Take delivered files away when stopping
    #[arg(long, conflicts_with_all = ["once", "check_config"])]
    pub(crate) remove_on_exit: bool,

    /// Without a configuration: deliver what the rules of this repository give to the identities
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "config",
        requires = "identities"
    )]
    repository: Option<PathBuf>,

    /// With --repository: an age identity file or SSH private key (repeatable)
    #[arg(long = "identity", value_name = "FILE", requires = "repository")]
    identities: Vec<PathBuf>,

    /// With --repository: where to deliver [default: /run/secrets, without root $XDG_RUNTIME_DIR/secrets]
    #[arg(long, value_name = "DIR", requires = "repository")]
    runtime_directory: Option<PathBuf>,

    /// With --repository: where to listen [default: /run/secretsd/control, without root $XDG_RUNTIME_DIR/secretsd/control]
    #[arg(long, value_name = "PATH", requires = "repository")]
    socket: Option<PathBuf>,

    /// For tests: use private keys that other users can read
    #[arg(long)]
    allow_insecure_identity: bool,

    /// Print the manual page
    #[arg(long, hide = true, exclusive = true)]
    pub(crate) man: bool,
}

impl Arguments {
    /// Where the configuration comes from.
    pub(crate) fn source(&self) -> Source {
        let place = match &self.repository {
            Some(repository) => Place::Repository {
                repository: repository.clone(),
                identities: self.identities.clone(),
                runtime_directory: self.runtime_directory.clone(),
                socket: self.socket.clone(),
            },
            None => Place::File(self.config.clone().unwrap_or_else(config::default_file)),
        };
        Source {
            place,
            allow_insecure_identity: self.allow_insecure_identity,
        }
    }
}

/// Where the configuration comes from, and what the command line adds to it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    place: Place,
    allow_insecure_identity: bool,
}

#[derive(Clone, Debug)]
enum Place {
    /// A configuration file.
    File(PathBuf),
    /// The command line alone.
    Repository {
        repository: PathBuf,
        identities: Vec<PathBuf>,
        runtime_directory: Option<PathBuf>,
        socket: Option<PathBuf>,
    },
}

impl Source {
    /// Reads the configuration, and again each time it is called. Every problem is in the list.
    pub(crate) fn load(&self) -> Result<Config, Vec<Error>> {
        let surroundings = Surroundings::of_this_process();
        let config = match &self.place {
            Place::File(file) => config::load(file, &surroundings),
            Place::Repository {
                repository,
                identities,
                runtime_directory,
                socket,
            } => config::for_repository(
                repository,
                identities,
                runtime_directory.as_deref(),
                socket.as_deref(),
                &surroundings,
            )
            .map_err(|error| vec![error]),
        };
        config.map(|config| Config {
            allow_insecure_identity: self.allow_insecure_identity,
            ..config
        })
    }
}
