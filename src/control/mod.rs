//! The control socket: a Varlink interface over a Unix socket, its server and its client.
//!
//! Varlink is JSON objects that end in a NUL byte, so that `varlinkctl` and systemd's own tools can speak to it. The
//! framing is our own, of [`codec`]: the Varlink crates grow their buffers to many megabytes before they refuse, know no
//! deadline for a message that has begun, and serve one call at a time. A socket that a group may reach needs all three.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`protocol`] | every message; no type here can hold a delivered value |
//! | [`calls`] | what calls mean, and the shape of replies |
//! | [`codec`] | frames with limits on size and time |
//! | [`incoming`] | bytes, and open files that the peer passes on |
//! | [`metrics`] | what is shown, as a page for Prometheus |
//! | [`peer`] | who is at the other end, and what that user may do |
//! | [`socket`] | binding: a stale socket is replaced, a live one refused |
//! | [`server`] | accept loop with limits in all and per user; one task per connection |
//! | [`unlock`] | the call that brings the daemon's questions to a person |
//! | [`client`] | what `secretsctl` uses |

mod calls;
pub(crate) mod client;
mod codec;
mod incoming;
pub(crate) mod metrics;
mod peer;
pub(crate) mod protocol;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod unlock;

pub(crate) use peer::Readers;
