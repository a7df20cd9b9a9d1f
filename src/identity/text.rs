//! The content of an identity source: age's text format, an age file protected by a passphrase, or an SSH key.

use super::{
    Identity, Key, hybrid,
    plugin::{self},
    sealed::Sealed,
    ssh::{self, SshFile},
    yubikey::CardKey,
};
use crate::{
    error::{Error, Position, Result},
    secret::Secret,
};

/// What a source may hold; sops is as strict, and what works there must work here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// One identity per line, or a protected file.
    Lines,
    /// As `Lines`, and several identities on one line (`SOPS_AGE_KEY`).
    Words,
    /// An SSH private key.
    Ssh,
    /// An SSH private key from a command: nobody can be asked for its passphrase.
    SshOpen,
    /// Whatever it looks like: a file that was named by hand.
    Any,
}

/// The identities in `text`; one error discards the whole source, as in sops.
pub(super) fn parse(name: &str, text: Secret, content: Content) -> Result<Vec<Identity>> {
    match content {
        Content::Ssh | Content::SshOpen => ssh_key(name, &text, content),
        Content::Any if ssh::is_private_key(text.expose()) => ssh_key(name, &text, content),
        _ if is_protected(text.expose()) => Ok(vec![Identity::new(
            name,
            "passphrase",
            Vec::new(),
            Key::Sealed(Sealed::age_file(text)),
        )]),
        _ => lines(name, &text, content),
    }
}

fn is_protected(text: &[u8]) -> bool {
    text.starts_with(b"age-encryption") || text.starts_with(b"-----BEGIN AGE")
}

fn ssh_key(name: &str, text: &Secret, content: Content) -> Result<Vec<Identity>> {
    let (public, key) = match ssh::parse_private_key(text)? {
        SshFile::Open(key, public) => (public, Key::Ssh(key)),
        SshFile::Sealed(..) if content == Content::SshOpen => {
            return Err(Error::new(
                "invalid-identity",
                "the SSH key is protected by a passphrase, and comes from a command",
            )
            .with_hint("let the command remove the passphrase, or name the file itself"));
        }
        SshFile::Sealed(key, public) => (public.clone(), Key::Sealed(Sealed::ssh_key(key, public))),
    };
    Ok(vec![Identity::new(
        name,
        public.kind,
        public.recipients,
        key,
    )])
}

/// Lines as age-keygen and plugins write them. Comments near a plugin's identity say which recipient it answers to.
pub(super) fn lines(name: &str, text: &Secret, content: Content) -> Result<Vec<Identity>> {
    let mut identities = Vec::new();
    let mut comments: Vec<&str> = Vec::new();
    for (number, line) in text.expose().split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let at = |error: Error| {
            error.with_position(Position {
                line: number + 1,
                column: 1,
            })
        };
        if line.is_empty() {
            continue;
        }
        if line.starts_with(b"#") {
            comments.extend(std::str::from_utf8(line));
            continue;
        }
        let line = std::str::from_utf8(line).map_err(|_| at(unknown()))?;
        let several = content == Content::Words;
        let words: Vec<&str> = if several {
            line.split_whitespace().collect()
        } else {
            vec![line]
        };
        for word in words {
            identities.push(identity(name, word, &comments).map_err(at)?);
        }
        comments.clear();
    }
    Ok(identities)
}

fn identity(name: &str, text: &str, comments: &[&str]) -> Result<Identity> {
    let damaged = |what: &str| {
        Error::new(
            "invalid-identity",
            format!("{what} is damaged (a character lost or changed)"),
        )
    };
    if text.starts_with("AGE-PLUGIN-") {
        let plugin = plugin::identity_name(text).ok_or_else(|| damaged("the plugin identity"))?;
        let prefix = format!("age1{plugin}1");
        let recipients = comments
            .iter()
            .flat_map(|comment| comment.split_whitespace())
            .filter(|word| word.starts_with(&prefix) || word.starts_with("age1tag"))
            .map(str::to_owned)
            .collect();
        // Without a plugin, in builds that can do it.
        let (kind, key) = if cfg!(feature = "yubikey") && plugin == "yubikey" {
            let key = CardKey::parse(text).ok_or_else(|| damaged("the identity of a YubiKey"))?;
            ("yubikey", Key::Card(Box::new(key)))
        } else {
            let text = text.to_owned();
            ("plugin", Key::Plugin { plugin, text })
        };
        return Ok(Identity::new(name, kind, recipients, key));
    }
    if text.starts_with(hybrid::IDENTITY) {
        let key: hybrid::Identity = text
            .parse()
            .map_err(|_| damaged("the post-quantum age key"))?;
        let recipients = vec![key.recipient().to_string()];
        let key = Key::Hybrid(Box::new(key));
        return Ok(Identity::new(name, hybrid::NAME, recipients, key));
    }
    if text.starts_with("AGE-SECRET-KEY-1") {
        let key: age::x25519::Identity = text.parse().map_err(|_| damaged("the age key"))?;
        let recipients = vec![key.to_public().to_string()];
        return Ok(Identity::new(name, "x25519", recipients, Key::X25519(key)));
    }
    Err(unknown())
}

fn unknown() -> Error {
    Error::new(
        "invalid-identity",
        "the line is neither a comment nor an age identity",
    )
    .with_hint("a line holds one identity: AGE-SECRET-KEY-1…, AGE-SECRET-KEY-PQ-1… or AGE-PLUGIN-…")
}
