//! secretsd delivers SOPS secrets to services and keeps every encrypted file in step with its rules.
//!
//! | layer | module | what is in it |
//! | --- | --- | --- |
//! | 0 | [`policy`] (crate) | creation rules as pure data: parse, select, analyse; no I/O, no crypto, no clock |
//! | 1 | `error`, `limits` | the one error type with place and hint; named limits of every input |
//! | 1 | `clock` | times as text |
//! | 1 | `escape` | text from outside, made safe to show |
//! | 1 | `files` | files read with a limit, judged by owner, replaced whole or not at all |
//! | 1 | `harden` | what both programs give up before they read a key |
//! | 1 | `secret` | the one type that holds plaintext and keys |
//! | 2 | `sops` | the file format: text in, text out; does not know whose key opens a file |
//! | 2 | `identity` | private keys and recipients; does not know what a SOPS file is |
//! | 2 | `git` | what Git tracks, ignores and has staged; runs nothing, writes nothing |
//! | 2 | `repository` | a directory with `.sops.yaml`: walk, safe open, ownership |
//! | 3 | `open` | document + identities -> opened document: the one place where both meet |
//! | 3 | `survey` | files as they are beside the rules: encrypted or not, and who can read them |
//! | 4 | `check` | lints of the rules, and every file beside its rule; needs no private key |
//! | 4 | `rekey` | files obey their rules again: survey, verified edits, one transaction |
//! | 4 | `config` | `secretsd.yaml` |
//! | 5 | `delivery` | memory file system, generations, templates |
//! | 5 | `control` | the Varlink interface, server and client |
//! | 5 | `systemd` | the service manager: sockets that it passes on, jobs, credentials |
//! | 6 | `output`, `usage`, `manual` | the one place that prints and knows exit codes; wrong command lines; manual pages |
//! | 7 | `dropin` | `sops-install-secrets`: the installer of sops-nix, by its name and its manifest |
//! | 8 | `daemon` | composition: watcher, state, tasks, signals |
//! | 8 | `ctl` | one file per command; rendering |
//!
//! Imports point downwards only; `tests/layering.rs` checks it. Only `daemon`, `dropin` and `ctl` print, set
//! up logging or exit.

mod check;
mod clock;
mod config;
mod control;
mod ctl;
mod daemon;
mod delivery;
mod dropin;
mod error;
mod escape;
mod files;
mod git;
mod harden;
mod identity;
mod limits;
mod manual;
mod open;
mod output;
mod rekey;
mod repository;
mod secret;
mod sops;
mod survey;
mod systemd;
mod usage;

pub use ctl::main as ctl_main;
pub use daemon::main as daemon_main;
