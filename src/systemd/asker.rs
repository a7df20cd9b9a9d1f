//! Who asks for a credential: the service manager connects from the address `\0RANDOM/unit/UNIT/CREDENTIAL`.

use rustix::net::{SocketAddrUnix, getpeername};
use tokio::net::UnixStream;

use crate::error::{Error, Result};

/// A unit, and what it wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) unit: String,
    pub(super) credential: String,
}

impl Asker {
    /// Anybody may have any address; so only root and the daemon's own user, whose service managers these are, are heard.
    pub(super) fn of(stream: &UnixStream) -> Result<Self> {
        let refused = |why: String| Error::new("credentials-socket", why);
        let peer = stream
            .peer_cred()
            .map_err(|error| refused(format!("cannot tell whose it is: {error}")))?;
        let own = rustix::process::geteuid().as_raw();
        if peer.uid() != 0 && peer.uid() != own {
            return Err(refused(format!(
                "it is the user's with number {}",
                peer.uid()
            )));
        }
        let address = getpeername(stream)
            .ok()
            .and_then(|address| SocketAddrUnix::try_from(address?).ok());
        let name = address.as_ref().and_then(SocketAddrUnix::abstract_name);
        Self::parse(name.unwrap_or_default()).ok_or_else(|| {
            let pid = peer.pid().unwrap_or_default();
            refused(format!(
                "process {pid} has no address that names a unit and a credential; is it a LoadCredential= of systemd?"
            ))
        })
    }

    fn parse(name: &[u8]) -> Option<Self> {
        let parts: Vec<&str> = std::str::from_utf8(name).ok()?.split('/').collect();
        let [random, "unit", unit, credential] = *parts.as_slice() else {
            return None;
        };
        let is_random = !random.is_empty() && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_random && !unit.is_empty() && !credential.is_empty()).then(|| Self {
            unit: unit.to_owned(),
            credential: credential.to_owned(),
        })
    }

    /// `app@.service`, where the unit is an instance of it.
    pub(super) fn template(&self) -> Option<String> {
        let (name, rest) = self.unit.split_once('@')?;
        let (_, kind) = rest.rsplit_once('.')?;
        Some(format!("{name}@.{kind}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_systemd_are_understood_and_no_others() {
        let asker =
            Asker::parse(br"10dfffa6abdc77a/unit/tpl@foo-bar\x2dbaz.service/second").unwrap();
        assert_eq!(asker.unit, r"tpl@foo-bar\x2dbaz.service");
        assert_eq!(asker.credential, "second");
        assert_eq!(asker.template().as_deref(), Some("tpl@.service"));
        for other in [
            "",
            "a/unit/b",
            "a/unit/b/",
            "a/unit//c",
            "/unit/b/c",
            "x/unit/b/c",
            "a/slice/b/c",
            "a/unit/b/c/d",
        ] {
            assert_eq!(Asker::parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Asker::parse(b"a/unit/\xff/c"), None);
    }
}
