//! The section `unlock`: what is left of an identity that a person has unlocked.

use std::time::Duration;

use super::{node::Node, reader::Findings};

/// How the daemon treats identities that need a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unlock {
    pub(crate) keep: Keep,
    /// Whether the PINs of cards are kept for as long.
    pub(crate) cache_pin: bool,
    pub(crate) prompt: Prompt,
}

/// Where a person is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// At the terminal of whoever runs `secretsctl unlock`, only.
    #[default]
    Terminal,
    /// By the daemon itself, through systemd's password agents, also there.
    Systemd,
    /// By the daemon itself, with a pinentry, also there.
    Pinentry,
}

/// How long the data keys of unlocked files are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    /// For this time.
    For(Duration),
    /// Until the delivery is done.
    Once,
    /// Until `secretsctl lock`, or the end of the daemon.
    #[default]
    UntilLock,
    /// Until the card leaves that opened them; what no card has opened, as [`UntilLock`](Self::UntilLock).
    UntilRemoved,
}

/// Reads the section.
pub(super) fn unlock(node: &Node, findings: &mut Findings) -> Unlock {
    let Some(fields) = findings.fields(node, "`unlock`", &["keep", "cache-pin", "prompt"]) else {
        return Unlock::default();
    };
    let keep = fields.find("keep").and_then(|node| keep(node, findings));
    let keep = keep.unwrap_or_default();
    let cache_pin = fields.find("cache-pin").is_some_and(|node| {
        let is_wanted = findings.flag(node, "unlock.cache-pin") == Some(true);
        if is_wanted && keep == Keep::Once {
            let message = "`unlock.cache-pin` keeps nothing where `unlock.keep` is `once`";
            findings.error(&node.place, "config-value", message);
        }
        is_wanted
    });
    let prompt = fields.find("prompt").and_then(|node| {
        let prompts = [
            ("terminal", Prompt::Terminal),
            ("systemd", Prompt::Systemd),
            ("pinentry", Prompt::Pinentry),
        ];
        findings.choice(node, "unlock.prompt", &prompts)
    });
    Unlock {
        keep,
        cache_pin,
        prompt: prompt.unwrap_or_default(),
    }
}

fn keep(node: &Node, findings: &mut Findings) -> Option<Keep> {
    match findings.text(node, "unlock.keep")? {
        "once" => Some(Keep::Once),
        "until-lock" => Some(Keep::UntilLock),
        "until-removed" if cfg!(feature = "yubikey") => Some(Keep::UntilRemoved),
        "until-removed" => {
            let message =
                "`unlock.keep: until-removed` needs a program built with the feature `yubikey`";
            findings.error(&node.place, "config-value", message);
            None
        }
        text if text.starts_with(|first: char| first.is_ascii_digit()) => {
            let time = findings.duration(node, "unlock.keep")?;
            if time.is_zero() {
                let message = "`unlock.keep` of no time at all is written `once`";
                findings.error(&node.place, "config-value", message);
                return None;
            }
            Some(Keep::For(time))
        }
        text => {
            let message = format!(
                "`{text}` is no value of `unlock.keep`: it is once, until-lock, until-removed or a duration such as 8h"
            );
            findings.error(&node.place, "config-value", message);
            None
        }
    }
}
