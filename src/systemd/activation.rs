//! Sockets that the service manager opened before it started us, so that whoever connects early waits and does not fail.
//!
//! They are known by the names that `FileDescriptorName=` gives them. One that has another name is refused: somebody
//! would connect to it and wait for ever.

use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use crate::error::{Error, Result};

/// The names of the sockets, colons between them.
const NAMES: &str = "LISTEN_FDNAMES";
const CONTROL: &str = "control";
const CREDENTIALS: &str = "credentials";

/// What was passed on to this process.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) control: Option<UnixListener>,
    pub(crate) credentials: Option<UnixListener>,
}

impl Passed {
    /// Takes them; a second call finds none.
    pub(crate) fn take() -> Result<Self> {
        // Taking the descriptors takes the variables away as well.
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut descriptors = ListenFd::from_env();
        let mut passed = Self::default();
        for (index, name) in names.split(':').enumerate().take(descriptors.len()) {
            let place = match name {
                CONTROL => &mut passed.control,
                CREDENTIALS => &mut passed.credentials,
                _ => {
                    return Err(unusable(
                        name,
                        "its name is neither of those that are known",
                    ));
                }
            };
            if place.is_some() {
                return Err(unusable(name, "there are two of this name"));
            }
            let taken = descriptors.take_unix_listener(index);
            *place = taken.map_err(|error| unusable(name, &error.to_string()))?;
        }
        match names.split(':').count() < descriptors.len() {
            true => Err(unusable("", "it has no name")),
            false => Ok(passed),
        }
    }
}

fn unusable(name: &str, why: &str) -> Error {
    let message =
        format!("the service manager passes on a socket `{name}` that cannot be used: {why}");
    Error::new("passed-socket", message).with_hint(
        "the socket unit needs FileDescriptorName=control or FileDescriptorName=credentials, and one stream socket",
    )
}
