//! The sections of the main file that say how to run, not what to deliver.

use std::{path::PathBuf, time::Duration};

use super::{
    IdentitySource, Log, LogFormat, LogLevel, Place, PluginSettings, Principal, Watch,
    node::{Member, Node, Value},
    reader::Findings,
};
use crate::limits::Limits;

pub(super) fn socket(node: &Node, findings: &mut Findings) -> (Option<PathBuf>, Option<Principal>) {
    let Some(fields) = findings.fields(node, "`socket`", &["path", "readers"]) else {
        return (None, None);
    };
    let path = fields
        .find("path")
        .and_then(|node| findings.path(node, "socket.path"));
    let readers = fields
        .find("readers")
        .and_then(|node| findings.principal(node, "socket.readers"));
    (path, readers)
}

pub(super) fn identities(node: &Node, findings: &mut Findings) -> Vec<IdentitySource> {
    const KINDS: [&str; 4] = [
        "age-key-file",
        "ssh-key-file",
        "plugin-identity-file",
        "yubikey",
    ];
    let items = match &node.value {
        Value::Null => return Vec::new(),
        Value::List(items) => items,
        _ => {
            findings.error(&node.place, "config-type", "`identities` must be a list");
            return Vec::new();
        }
    };
    let mut identities = Vec::new();
    for item in items {
        let Some(fields) = findings.fields(item, "an identity", &KINDS) else {
            continue;
        };
        let [
            Member {
                key,
                key_place,
                node,
            },
        ] = fields.all()
        else {
            let message = format!("an identity is one of {}", KINDS.join(", "));
            findings.error(&item.place, "config-value", message);
            continue;
        };
        let source = match key.as_str() {
            "yubikey" => yubikey(node, key_place, findings),
            _ => findings.path(node, key).and_then(|path| {
                Some(match key.as_str() {
                    "age-key-file" => IdentitySource::AgeKeyFile(path),
                    "ssh-key-file" => IdentitySource::SshKeyFile(path),
                    "plugin-identity-file" => IdentitySource::PluginIdentityFile(path),
                    _ => return None, // unknown and reported as such
                })
            }),
        };
        let Some(source) = source else { continue };
        if identities.contains(&source) {
            findings.error(
                &item.place,
                "duplicate-identity",
                "this identity is listed twice",
            );
        } else {
            identities.push(source);
        }
    }
    identities
}

fn yubikey(node: &Node, key_place: &Place, findings: &mut Findings) -> Option<IdentitySource> {
    if !cfg!(feature = "yubikey") {
        let message = "this program was built without the feature that opens files with a YubiKey";
        findings.error(key_place, "config-value", message);
        return None;
    }
    let fields = findings.fields(node, "`yubikey`", &["serial", "slot"])?;
    let mut number = |key: &str, most: u32| {
        let Some(node) = fields.find(key) else {
            let message = format!("`yubikey` needs `{key}`; see secretsctl yubikey list");
            findings.error(key_place, "config-value", message);
            return None;
        };
        let text = findings.text(node, key)?;
        match text.parse() {
            Ok(number) if (1..=most).contains(&number) => Some(number),
            _ => {
                let message = format!("`{key}` must be a whole number from 1 to {most}");
                findings.error(&node.place, "config-value", message);
                None
            }
        }
    };
    let (serial, slot) = (number("serial", u32::MAX), number("slot", 20));
    Some(IdentitySource::YubiKey {
        serial: serial?,
        slot: u8::try_from(slot?).ok()?,
    })
}

pub(super) fn plugins(node: &Node, findings: &mut Findings) -> PluginSettings {
    let Some(fields) = findings.fields(node, "`plugins`", &["directories", "allow"]) else {
        return PluginSettings::default();
    };
    let directories = fields
        .find("directories")
        .map(|node| findings.paths(node, "plugins.directories"));
    let allow = fields.find("allow").map(|node| {
        let names = findings.texts(node, "plugins.allow");
        for name in &names {
            let valid =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-._".contains(c);
            if name.is_empty() || !name.chars().all(valid) {
                let message = format!(
                    "`{name}` is no name of a plugin: `yubikey` stands for age-plugin-yubikey"
                );
                findings.error(&node.place, "config-value", message);
            }
        }
        names
    });
    PluginSettings {
        directories: directories.unwrap_or_default(),
        allow: allow.unwrap_or_default(),
    }
}

pub(super) fn watch(node: &Node, findings: &mut Findings, watch: &mut Watch) {
    let Some(fields) = findings.fields(node, "`watch`", &["debounce", "poll"]) else {
        return;
    };
    if let Some(debounce) = fields
        .find("debounce")
        .and_then(|node| findings.duration(node, "watch.debounce"))
    {
        watch.debounce = debounce;
    }
    let Some(node) = fields.find("poll") else {
        return;
    };
    if matches!(&node.value, Value::Text { text, plain: true } if matches!(text.as_str(), "off" | "no" | "false"))
    {
        watch.poll = None;
    } else if let Some(poll) = findings.duration(node, "watch.poll") {
        if poll < Duration::from_millis(100) {
            findings.error(
                &node.place,
                "config-value",
                "`watch.poll` must be `off` or at least 100ms",
            );
        } else {
            watch.poll = Some(poll);
        }
    }
}

pub(super) fn log(node: &Node, findings: &mut Findings, log: &mut Log) {
    const FORMATS: [(&str, LogFormat); 4] = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journal", LogFormat::Journal),
    ];
    const LEVELS: [(&str, LogLevel); 5] = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let Some(fields) = findings.fields(node, "`log`", &["format", "level"]) else {
        return;
    };
    if let Some(format) = fields
        .find("format")
        .and_then(|node| findings.choice(node, "log.format", &FORMATS))
    {
        log.format = format;
    }
    if let Some(level) = fields
        .find("level")
        .and_then(|node| findings.choice(node, "log.level", &LEVELS))
    {
        log.level = level;
    }
}

pub(super) fn limits(node: &Node, findings: &mut Findings, limits: &mut Limits) {
    let known = ["file-size", "files", "nesting", "values"];
    let Some(fields) = findings.fields(node, "`limits`", &known) else {
        return;
    };
    if let Some(size) = fields
        .find("file-size")
        .and_then(|node| findings.size(node, "limits.file-size"))
    {
        limits.file_size = size;
    }
    for (key, limit) in [
        ("files", &mut limits.files),
        ("nesting", &mut limits.nesting),
        ("values", &mut limits.values),
    ] {
        let Some(node) = fields.find(key) else {
            continue;
        };
        if let Some(count) = findings.count(node, key, 1) {
            *limit = count;
        }
    }
    // The readers walk documents recursively; beyond this a thread's stack is what ends them.
    if limits.nesting > 512 {
        findings.error(
            &node.place,
            "config-value",
            "`limits.nesting` can be 512 at most",
        );
    }
}

/// `restart`: the longest time that restarts are put off by.
pub(super) fn restart(node: &Node, findings: &mut Findings) -> Duration {
    let fields = findings.fields(node, "`restart`", &["jitter"]);
    let jitter = fields.as_ref().and_then(|fields| fields.find("jitter"));
    jitter
        .and_then(|node| findings.duration(node, "restart.jitter"))
        .unwrap_or_default()
}

/// `metrics`: the file, of which an empty name means none.
pub(super) fn metrics(node: &Node, findings: &mut Findings) -> Option<PathBuf> {
    let fields = findings.fields(node, "`metrics`", &["file"])?;
    let node = fields.find("file")?;
    match findings.text(node, "metrics.file")? {
        "" => None,
        _ => findings.path(node, "metrics.file"),
    }
}
