//! Recipients: the public keys that a data key is wrapped for.

use std::cell::RefCell;

use age_core::format::FileKey;

use super::{
    envelope::{self, Reporting},
    hybrid,
    plugin::{self, Plugins},
    ssh, yubikey,
};
use crate::error::{Error, Result};

/// A recipient, told apart as sops does it, by prefix.
pub(crate) enum Recipient {
    X25519(age::x25519::Recipient),
    /// `age1pq1…`
    Hybrid(hybrid::Recipient),
    Ssh(age::ssh::Recipient),
    /// `age1tag1…`: a key in hardware whose wrapping needs no plugin.
    Tag(age::tag::Recipient),
    /// `age1tagpq1…`: the same, post-quantum.
    TagPq(Box<age::tagpq::Recipient>),
    /// `age1yubikey1…`: a key in a card, for whose wrapping nobody needs the card.
    YubiKey(Box<yubikey::Recipient>),
    Plugin {
        name: String,
        text: String,
    },
}

impl Recipient {
    /// Parses the text of a recipient as `.sops.yaml` and the metadata hold it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let invalid = |why: &str| {
            let shown: String = text.chars().take(100).collect();
            Error::new(
                "invalid-recipient",
                format!("{shown:?} is not a recipient: {why}"),
            )
        };
        if text.starts_with(hybrid::RECIPIENT) {
            return text.parse().map(Self::Hybrid).map_err(|_| {
                invalid("the post-quantum age key is damaged (a character lost or changed)")
            });
        }
        if text.starts_with("age1tagpq1") {
            return text
                .parse()
                .map(|recipient| Self::TagPq(Box::new(recipient)))
                .map_err(|_| invalid("the age1tagpq key is damaged"));
        }
        if text.starts_with("age1tag1") {
            return text
                .parse()
                .map(Self::Tag)
                .map_err(|_| invalid("the age1tag key is damaged"));
        }
        if text.starts_with("age1yubikey1") {
            return yubikey::Recipient::parse(text)
                .map(|recipient| Self::YubiKey(Box::new(recipient)))
                .ok_or_else(|| invalid("the key of a YubiKey is damaged"));
        }
        if text.starts_with("age1") && text.matches('1').count() > 1 {
            let name = plugin::recipient_name(text)
                .ok_or_else(|| invalid("the key of an age plugin is damaged"))?;
            return Ok(Self::Plugin {
                name,
                text: text.to_owned(),
            });
        }
        if text.starts_with("age1") {
            return text
                .parse()
                .map(Self::X25519)
                .map_err(|_| invalid("the age key is damaged (a character lost or changed)"));
        }
        if text.starts_with("ssh-") {
            return ssh::parse_recipient(text)
                .map(Self::Ssh)
                .map_err(|why| invalid(&why));
        }
        if text.starts_with("AGE-SECRET-KEY-") || text.starts_with("AGE-PLUGIN-") {
            // The text is a private key: it must not be in a message.
            return Err(Error::new(
                "invalid-recipient",
                "this is a private key, not a recipient",
            )
            .with_hint(
                "replace the key, it was written where others read; use its public key here",
            ));
        }
        Err(invalid("it begins with neither age1 nor ssh-"))
    }
}

/// Says what is wrong with a recipient, if something is. Nothing of a private key is in the message.
pub(crate) fn check(text: &str) -> Result<()> {
    Recipient::parse(text).map(drop)
}

/// `text` without what does not count when recipients are compared: the comment of an SSH key.
pub(crate) fn canonical(text: &str) -> &str {
    let text = text.trim();
    if !text.starts_with("ssh-") {
        return text;
    }
    // Key type, blanks, key; the rest is the comment.
    let Some(after_type) = text.find(char::is_whitespace) else {
        return text;
    };
    let (kind, rest) = text.split_at(after_type);
    let key = rest.trim_start();
    let key_end = key.find(char::is_whitespace).unwrap_or(key.len());
    let end = kind.len() + (rest.len() - key.len()) + key_end;
    text.get(..end).unwrap_or(text)
}

/// Wraps `data` (a data key or a share of it) for `recipient`: an armored age file.
pub(crate) fn wrap(recipient: &str, data: &[u8], plugins: &Plugins) -> Result<String> {
    match Recipient::parse(recipient)? {
        Recipient::X25519(recipient) => envelope::seal(&recipient, data),
        Recipient::Hybrid(recipient) => envelope::seal(&recipient, data),
        Recipient::Ssh(recipient) => envelope::seal(&recipient, data),
        Recipient::Tag(recipient) => envelope::seal(&recipient, data),
        Recipient::TagPq(recipient) => envelope::seal(recipient.as_ref(), data),
        Recipient::YubiKey(recipient) => {
            let recipient = Reporting {
                wrap: |file_key: &FileKey| Ok(vec![recipient.wrap(file_key)?]),
                error: RefCell::new(None),
            };
            envelope::seal(&recipient, data)
                .map_err(|error| recipient.error.take().unwrap_or(error))
        }
        Recipient::Plugin { name, text } => {
            let recipient = Reporting {
                wrap: |file_key: &FileKey| plugins.wrap(&name, &text, file_key),
                error: RefCell::new(None),
            };
            envelope::seal(&recipient, data)
                .map_err(|error| recipient.error.take().unwrap_or(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_of_an_ssh_key_does_not_count() {
        assert_eq!(
            canonical(" ssh-ed25519 AAAA me@host now "),
            "ssh-ed25519 AAAA"
        );
        assert_eq!(canonical("ssh-ed25519 AAAA"), "ssh-ed25519 AAAA");
        assert_eq!(canonical("ssh-rsa"), "ssh-rsa");
        assert_eq!(canonical("age1abc def"), "age1abc def");
    }

    #[test]
    fn says_what_is_wrong_and_never_shows_a_private_key() {
        for (text, code) in [
            ("", "invalid-recipient"),
            ("age1xyz", "invalid-recipient"),
            ("age1foo1qqq", "invalid-recipient"),
            ("age1pq1abc", "invalid-recipient"),
            ("age1tag1abc", "invalid-recipient"),
            ("age1tagpq1abc", "invalid-recipient"),
            ("ssh-ed25519 AAAA", "invalid-recipient"),
            ("ssh-dss AAAA", "invalid-recipient"),
        ] {
            assert_eq!(Recipient::parse(text).err().unwrap().code, code, "{text}");
        }
        let error = Recipient::parse("AGE-SECRET-KEY-1CANARY").err().unwrap();
        assert!(!error.message.contains("CANARY"));
    }

    /// `ssh-rsa` whose exponent is a zero byte: age itself would panic.
    #[test]
    fn a_zero_number_in_an_ssh_key_is_an_error() {
        let text = "ssh-rsa AAAAB3NzaC1yc2EAAAABAAAAAAEA";
        assert!(Recipient::parse(text).is_err());
    }
}
