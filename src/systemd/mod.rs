//! The service manager: sockets that it passes on.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`activation`] | sockets that were opened before the daemon was started |

pub(crate) mod activation;
