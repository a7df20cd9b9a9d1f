//! Whether identities open what is wrapped for a recipient, as far as that can be told without using them.

use super::{Identities, State};

/// From the worst to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Nobody answers to it.
    No,
    /// Somebody may, who does not say to whom they answer.
    Perhaps,
    /// Somebody does who cannot be used now.
    Locked,
    Opens,
}

impl Identities {
    /// How far they reach.
    pub(crate) fn reach(&self, recipient: &str) -> Reach {
        let recipient = super::canonical(recipient);
        let reaches = self.list.iter().map(|identity| {
            if !identity.may_answer_to(recipient) {
                return Reach::No;
            }
            match (
                identity.recipients().any(|ours| ours == recipient),
                identity.state(&self.plugins),
            ) {
                (true, State::Usable) => Reach::Opens,
                (true, State::Locked(_)) => Reach::Locked,
                (false, _) => Reach::Perhaps,
            }
        });
        reaches.max().unwrap_or(Reach::No)
    }
}
