//! Units that are to be restarted or reloaded: left in a list for the program that switches a NixOS system, or given to
//! systemd at once.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    error::{Error, Result},
    escape,
    output::Output,
};

/// Where the lists are, on NixOS.
const LISTS: &str = "/run/nixos";

/// What is to be done with units, each named once.
#[derive(Debug, Default)]
pub(super) struct Units {
    restart: Vec<String>,
    reload: Vec<String>,
}

impl Units {
    pub(super) fn add(&mut self, restart: &[String], reload: &[String]) {
        for (list, more) in [(&mut self.restart, restart), (&mut self.reload, reload)] {
            for unit in more {
                if !list.contains(unit) {
                    list.push(unit.clone());
                }
            }
        }
    }

    /// Asks for it, or with `dry` says what would be asked for. `systemd`: at once, in place of lists.
    pub(super) fn request(&self, systemd: bool, dry: bool, output: &mut Output) -> Result<()> {
        match (systemd, dry) {
            (true, true) => {
                for (verb, units) in [("restart", &self.restart), ("reload", &self.reload)] {
                    for unit in units {
                        output.aside(&format!("would {verb} {}\n", escape::text(unit)));
                    }
                }
                Ok(())
            }
            (true, false) => {
                let restarted = systemctl("try-restart", &self.restart);
                restarted.and(systemctl("try-reload-or-restart", &self.reload))
            }
            (false, dry) => {
                let prefix = if dry { "dry-activation" } else { "activation" };
                let noted = append(&format!("{prefix}-restart-list"), &self.restart);
                noted.and(append(&format!("{prefix}-reload-list"), &self.reload))
            }
        }
    }
}

/// Nobody is waited for: this may run before everything that a unit waits for itself.
fn systemctl(verb: &str, units: &[String]) -> Result<()> {
    if units.is_empty() {
        return Ok(());
    }
    let status = Command::new("systemctl")
        .args(["--no-block", verb])
        .args(units)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status();
    let failed = |how: String| {
        let units = units.join(" ");
        let message = format!("systemctl --no-block {verb} {units} {how}");
        Err(Error::new("restart", message).with_hint("the new secrets are in place"))
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => failed(format!("failed ({status})")),
        Err(error) => failed(format!("cannot be run: {error}")),
    }
}

/// Where nobody has made the directory, nobody reads the lists.
fn append(name: &str, units: &[String]) -> Result<()> {
    let directory = Path::new(LISTS);
    if units.is_empty() || !directory.exists() {
        return Ok(());
    }
    let path = directory.join(name);
    let lines: String = units.iter().map(|unit| format!("{unit}\n")).collect();
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|error| {
            let message = format!("cannot ask for restarts: {error}");
            Error::new("restart", message).with_file(&path)
        })
}
