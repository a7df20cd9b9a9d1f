//! The service manager: sockets that it passes on, jobs that it does for us, credentials that it asks for.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`activation`] | sockets that were opened before the daemon was started |
//! | [`asker`] | which unit asks for which credential |
//! | [`bus`] | the manager's interface on D-Bus, as far as it is used |
//! | [`credentials`] | the credentials socket |
//! | [`jobs`] | units are restarted and reloaded, and what came of it |

pub(crate) mod activation;
mod asker;
mod bus;
pub(crate) mod credentials;
pub(crate) mod jobs;
