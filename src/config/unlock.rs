//! The section `unlock`: what is left of an identity that a person has unlocked.

use std::time::Duration;

use super::{node::Node, reader::Findings};

/// How the daemon treats identities that need a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unlock {
    pub(crate) keep: Keep,
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
}

/// Reads the section. What it could also say comes later, and is refused until then.
pub(super) fn unlock(node: &Node, findings: &mut Findings) -> Unlock {
    let Some(fields) = findings.fields(node, "`unlock`", &["keep", "cache-pin", "prompt"]) else {
        return Unlock::default();
    };
    if let Some(node) = fields.find("cache-pin")
        && findings.flag(node, "unlock.cache-pin") == Some(true)
    {
        findings.later(
            &node.place,
            "keeping a PIN",
            "remove the line; the data keys of unlocked files are kept",
        );
    }
    if let Some(node) = fields.find("prompt") {
        let prompts = [("terminal", true), ("systemd", false), ("pinentry", false)];
        if findings.choice(node, "unlock.prompt", &prompts) == Some(false) {
            findings.later(
                &node.place,
                "asking elsewhere than at the terminal of secretsctl unlock",
                "write `prompt: terminal`",
            );
        }
    }
    let keep = fields.find("keep").and_then(|node| keep(node, findings));
    Unlock {
        keep: keep.unwrap_or_default(),
    }
}

fn keep(node: &Node, findings: &mut Findings) -> Option<Keep> {
    match findings.text(node, "unlock.keep")? {
        "once" => Some(Keep::Once),
        "until-lock" => Some(Keep::UntilLock),
        "until-removed" => {
            findings.later(
                &node.place,
                "keeping keys until the card is removed",
                "write `keep: until-lock`, a duration such as `8h`, or `once`",
            );
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
                "`{text}` is no value of `unlock.keep`: it is once, until-lock or a duration such as 8h"
            );
            findings.error(&node.place, "config-value", message);
            None
        }
    }
}
