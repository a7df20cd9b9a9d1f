//! `rekey`: what the daemon does when files do not obey the rules, and the file that bounds it.

use std::path::{Path, PathBuf};

use policy::pins::{Pin, Pins};

use super::{
    file::read,
    node::{Node, Value},
    paths::unsafe_path,
    reader::{Findings, tidy},
};
use crate::identity::check_recipient;

/// What the daemon does when files do not obey the rules.
#[derive(Debug, Default)]
pub(crate) struct Rekey {
    pub(crate) mode: RekeyMode,
    pub(crate) pinned: Option<Pinned>,
    /// Recipients that every changed file must keep, as the rules write them.
    pub(crate) required: Vec<String>,
    /// A program and its arguments, run in the repository when files were re-keyed.
    pub(crate) on_rekey: Vec<String>,
}

/// Who decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RekeyMode {
    /// Nothing is changed; the status says how many files do not obey.
    #[default]
    Off,
    /// A person approves every plan.
    Approve,
    /// What is pinned happens by itself, a person approves the rest.
    Auto,
}

impl RekeyMode {
    const ALL: [(&str, Self); 3] = [
        ("off", Self::Off),
        ("approve", Self::Approve),
        ("auto", Self::Auto),
    ];

    /// As the configuration writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Approve => "approve",
            Self::Auto => "auto",
        }
    }
}

/// Which recipients may appear where, and the file that says so.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) file: PathBuf,
    pub(crate) pins: Pins,
}

/// Reads the section, and the file that it names. That file must not be one that authors of the repository can change.
pub(super) fn rekey(node: &Node, repository: Option<&Path>, findings: &mut Findings) -> Rekey {
    let known = [
        "mode",
        "pinned-recipients",
        "required-recipients",
        "on-rekey",
    ];
    let Some(fields) = findings.fields(node, "`rekey`", &known) else {
        return Rekey::default();
    };
    let mode = fields
        .find("mode")
        .and_then(|node| findings.choice(node, "rekey.mode", &RekeyMode::ALL))
        .unwrap_or_default();
    let pinned = fields.find("pinned-recipients");
    if let Some(node) = fields.find("mode")
        && mode == RekeyMode::Auto
        && pinned.is_none()
    {
        let message = "`rekey.mode: auto` without `pinned-recipients` would let every author of the rules widen access";
        findings
            .errors
            .push(node.place.error("config-value", message).with_hint(
                "name a file that says which recipients may appear where, or write `mode: approve`",
            ));
    }
    let pinned = pinned.and_then(|node| {
        let file = findings.path(node, "rekey.pinned-recipients")?;
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if repository
            .is_some_and(|repository| real(&file).starts_with(work_tree(&real(repository))))
        {
            let message =
                "`rekey.pinned-recipients` lies in the repository, whose authors it is to bound";
            findings.errors.push(
                node.place
                    .error("config-value", message)
                    .with_hint("keep it beside the configuration"),
            );
            return None;
        }
        pinned_recipients(file, findings)
    });
    let required = fields
        .find("required-recipients")
        .map(|node| recipients(node, "required-recipients", findings));
    let on_rekey = fields.find("on-rekey").map(|node| {
        let command = findings.command(node, "on-rekey");
        if mode == RekeyMode::Off && !command.is_empty() {
            let warning = node.place.error(
                "no-effect",
                "`on-rekey` means nothing with `rekey.mode: off`",
            );
            findings.warnings.push(warning);
        }
        command
    });
    Rekey {
        mode,
        pinned,
        required: required.unwrap_or_default(),
        on_rekey: on_rekey.unwrap_or_default(),
    }
}

/// The Git work tree that the repository is in, or else the repository.
fn work_tree(repository: &Path) -> &Path {
    let mut above = repository.ancestors();
    let top = above.find(|directory| directory.join(".git").symlink_metadata().is_ok());
    top.unwrap_or(repository)
}

fn pinned_recipients(file: PathBuf, findings: &mut Findings) -> Option<Pinned> {
    let root = match read(&file) {
        Ok(root) => root,
        Err(error) => {
            let error = match error.hint {
                None => error.with_hint("`rekey.pinned-recipients` names this file"),
                Some(_) => error,
            };
            findings.errors.push(error);
            return None;
        }
    };
    let items: &[Node] = match &root.value {
        Value::List(items) => items,
        Value::Map(members) if members.is_empty() => &[],
        _ => {
            let error = root.place.error(
                "config-type",
                "pinned recipients are a list: each item with `recipient` and `below`",
            );
            findings.errors.push(error);
            return None;
        }
    };
    let pins = items.iter().filter_map(|item| pin(item, findings));
    let pins = Pins::new(pins.collect());
    Some(Pinned { file, pins })
}

fn pin(item: &Node, findings: &mut Findings) -> Option<Pin> {
    let fields = findings.fields(item, "a pin", &["recipient", "below", "required"])?;
    let recipient = fields
        .find("recipient")
        .and_then(|node| recipient(node, "recipient", findings));
    let below = fields.find("below").map(|node| {
        let texts = match &node.value {
            Value::Text { text, .. } => vec![text.clone()],
            _ => findings.texts(node, "below"),
        };
        let mut below = Vec::new();
        for text in texts {
            let path = tidy(Path::new(text.trim_end_matches('/')));
            let path = path.to_str().unwrap_or_default().to_owned();
            if text.is_empty()
                || text.contains(['*', '?', '['])
                || text.starts_with('/')
                || (!path.is_empty() && unsafe_path(&path).is_some())
            {
                let message =
                    format!("`{text}` is no directory of the repository; `.` is all of it");
                findings.error(&node.place, "config-value", message);
            } else {
                below.push(path);
            }
        }
        below
    });
    let required = fields
        .find("required")
        .and_then(|node| findings.flag(node, "required"));
    for (key, is_there) in [
        ("recipient", fields.find("recipient").is_some()),
        ("below", below.is_some()),
    ] {
        if !is_there {
            findings.error(&item.place, "missing-key", format!("a pin needs `{key}`"));
        }
    }
    Some(Pin {
        recipient: recipient?,
        below: below?,
        required: required.unwrap_or(false),
    })
}

fn recipients(node: &Node, what: &str, findings: &mut Findings) -> Vec<String> {
    match &node.value {
        Value::List(items) => items
            .iter()
            .filter_map(|item| recipient(item, what, findings))
            .collect(),
        _ => findings.texts(node, what),
    }
}

fn recipient(node: &Node, what: &str, findings: &mut Findings) -> Option<String> {
    let text = findings.text(node, what)?;
    if policy::rules::is_private_key(text) {
        findings.error(
            &node.place,
            "private-key",
            format!("`{what}` holds a private key; a recipient is the public one"),
        );
        return None;
    }
    let wrong = match text.trim() {
        age if age.starts_with("age1") || age.starts_with("ssh-") => {
            check_recipient(age).err().map(|error| error.message)
        }
        other if is_of_another_kind(other) => None,
        _ => Some("it is no recipient, as a rule names it".to_owned()),
    };
    if let Some(wrong) = wrong {
        let message = format!("`{what}` must be one recipient: {wrong}");
        findings.error(&node.place, "config-value", message);
        return None;
    }
    Some(text.trim().to_owned())
}

/// A PGP fingerprint, or the address of a cloud key.
fn is_of_another_kind(text: &str) -> bool {
    let is_fingerprint = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let addresses = ["arn:", "projects/", "https://", "http://"];
    let is_address = addresses.iter().any(|start| text.starts_with(start));
    is_fingerprint || is_address && !text.contains(char::is_whitespace)
}
