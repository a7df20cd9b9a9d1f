//! The service manager: sockets that it passes on, and jobs that it does for us.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`activation`] | sockets that were opened before the daemon was started |
//! | [`bus`] | the manager's interface on D-Bus, as far as it is used |
//! | [`jobs`] | units are restarted and reloaded, and what came of it |

pub(crate) mod activation;
mod bus;
pub(crate) mod jobs;
