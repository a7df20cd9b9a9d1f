//! Where programs keep what they must remember, and what holds no secrets.

use std::{env, ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

/// As systemd gives it (`STATE_DIRECTORY`), as the user sets it (`XDG_STATE_HOME`), or where such files are kept by custom.
/// `None` where the environment names no place. The directory need not be there.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let variable = |name: &str| {
        let value = env::var_os(name)?;
        let first = value.as_bytes().split(|byte| *byte == b':').next()?;
        let path = PathBuf::from(OsStr::from_bytes(first));
        path.is_absolute().then_some(path)
    };
    if let Some(given) = variable("STATE_DIRECTORY") {
        return Some(given);
    }
    if let Some(state) = variable("XDG_STATE_HOME") {
        return Some(state.join("secretsd"));
    }
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/secretsd".into());
    }
    Some(variable("HOME")?.join(".local/state/secretsd"))
}
