//! Files with private keys that others than their owner can read. No key is opened: only modes are looked at.
//!
//! Everyone can read it: an error, because the key must be taken as known. Only its group can: a warning, because some
//! systems give SSH host keys to a group on purpose. A directory above that keeps somebody out counts: `~/.ssh` is
//! closed to others, whatever the modes of the files in it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use policy::rules::Severity;

use super::Finding;

const CODE: &str = "world-readable-identity";
const GROUP: u32 = 0o040;
const OTHERS: u32 = 0o004;

pub(super) fn check(files: &[PathBuf]) -> Vec<Finding> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut findings = Vec::new();
    for file in files {
        let Ok(real) = fs::canonicalize(file) else {
            continue; // it is not there, or not for us
        };
        if seen.contains(&real) {
            continue;
        }
        findings.extend(look(file, &real));
        seen.push(real);
    }
    findings
}

fn look(file: &Path, real: &Path) -> Option<Finding> {
    let status = fs::metadata(real).ok().filter(fs::Metadata::is_file)?;
    let mode = status.permissions().mode();
    let (severity, who) = match mode {
        mode if mode & OTHERS != 0 && is_reachable(real, OTHERS >> 2) => {
            (Severity::Error, "everyone on this machine")
        }
        // Who is in the group of a directory above may be others again; one who passes is enough.
        mode if mode & GROUP != 0 && is_reachable(real, (GROUP | OTHERS) >> 2) => {
            (Severity::Warning, "its group")
        }
        _ => return None,
    };
    let message = format!("the file holds private keys, and {who} can read it");
    let hint = match severity {
        Severity::Error => "chmod 600; if others use this machine, replace the key and re-key",
        _ => "chmod 600, unless that group is meant to have the key",
    };
    Some(Finding::new(CODE, severity, file, message, hint))
}

/// Whether every directory above lets somebody through who has one of these `bits`.
fn is_reachable(file: &Path, bits: u32) -> bool {
    file.ancestors().skip(1).all(|directory| {
        fs::metadata(directory).is_ok_and(|status| status.permissions().mode() & bits != 0)
    })
}
