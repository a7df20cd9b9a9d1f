//! Who is at the other end of a connection, and what that user may do.

use tokio::net::UnixStream;

/// Who, beside root and the daemon's user, may read. The socket file is open to exactly these, so that the kernel checks
/// a peer's real groups when it connects, supplementary ones included; a look-up in the group database would miss
/// those that a service manager gave to the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Readers {
    /// Members of the group with this number.
    Group(u32),
    Nobody,
}

/// What a peer may do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Access {
    None,
    Read,
    Change,
}

/// A user at the other end; the kernel vouches for the number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) access: Access,
}

impl Peer {
    /// The peer of `stream`, as it was when it connected.
    pub(super) fn of(stream: &UnixStream, readers: Readers) -> std::io::Result<Self> {
        let uid = stream.peer_cred()?.uid();
        let own = rustix::process::geteuid().as_raw();
        Ok(Self {
            uid,
            access: access(uid, own, readers),
        })
    }

    /// Whether limits on the number of connections hold for it: root must always be able to look.
    pub(super) fn is_root(self) -> bool {
        self.uid == 0
    }
}

fn access(uid: u32, own: u32, readers: Readers) -> Access {
    if uid == 0 || uid == own {
        return Access::Change;
    }
    match readers {
        // Nobody else could connect: see `Readers`.
        Readers::Group(_) => Access::Read,
        Readers::Nobody => Access::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_own_user_change() {
        assert_eq!(access(0, 990, Readers::Nobody), Access::Change);
        assert_eq!(access(990, 990, Readers::Nobody), Access::Change);
        assert_eq!(access(1000, 0, Readers::Group(4)), Access::Read);
        assert_eq!(access(1000, 0, Readers::Nobody), Access::None);
    }
}
