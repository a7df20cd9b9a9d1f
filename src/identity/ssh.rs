//! SSH keys: as age uses them (`ssh-ed25519`, `ssh-rsa`), and as the X25519 key that ssh-to-age derives from an ed25519
//! key, which is how most NixOS hosts are keyed.

use age::x25519;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bech32::{Bech32, Hrp};
use curve25519_dalek::edwards::CompressedEdwardsY;
use sha2::{Digest as _, Sha256, Sha512};
use ssh_key::{LineEnding, PrivateKey, PublicKey, private::KeypairData, public::KeyData};
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// A private key that can be used.
pub(super) struct SshKey {
    key: age::ssh::Identity,
    derived: Option<x25519::Identity>,
}

/// What a key file says of itself without its passphrase.
#[derive(Clone)]
pub(super) struct SshPublic {
    pub(super) kind: &'static str,
    /// `ssh-… AAAA…` without comment, then the derived `age1…` where there is one.
    pub(super) recipients: Vec<String>,
    /// What a stanza for this key carries to tell it from others: base64 of 4 bytes.
    tag: String,
}

/// A key file.
pub(super) enum SshFile {
    Open(Box<SshKey>, SshPublic),
    /// Needs a passphrase.
    Sealed(Box<PrivateKey>, SshPublic),
}

impl SshKey {
    /// The identities to try, in this order.
    pub(super) fn identities(&self) -> impl Iterator<Item = &dyn age::Identity> {
        let key: &dyn age::Identity = &self.key;
        std::iter::once(key).chain(self.derived.iter().map(|key| key as &dyn age::Identity))
    }
}

impl SshPublic {
    /// Whether a stanza with this tag and first argument is for this key.
    pub(super) fn matches(&self, stanza: &age_core::format::Stanza) -> bool {
        stanza.tag == self.kind && stanza.args.first() == Some(&self.tag)
    }
}

/// Whether `text` looks like a private key of SSH or OpenSSL.
pub(super) fn is_private_key(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.starts_with(b"-----BEGIN ")
        && text
            .split(|&byte| byte == b'\n')
            .next()
            .is_some_and(|line| line.trim_ascii_end().ends_with(b"PRIVATE KEY-----"))
}

/// Reads a private key file.
pub(super) fn parse_private_key(text: &Secret) -> Result<SshFile> {
    let invalid = |what: &str| Error::new("invalid-identity", format!("invalid SSH key: {what}"));
    let text = text
        .expose_str()
        .ok_or_else(|| invalid("it is not text"))?
        .trim();
    let (label, body) = pem(text).ok_or_else(|| invalid("its begin and end lines do not match"))?;
    match label {
        "OPENSSH PRIVATE KEY" => {
            let mut compact = Zeroizing::new(String::with_capacity(body.len()));
            compact.extend(body.chars().filter(|char| !char.is_ascii_whitespace()));
            let bytes = BASE64_STANDARD
                .decode(compact.as_bytes())
                .map(Zeroizing::new)
                .map_err(|_| invalid("its base64 is damaged"))?;
            let key = PrivateKey::from_bytes(&bytes).map_err(|_| {
                invalid("it is damaged, or of a type other than ed25519 and rsa").with_hint(
                    "keys of type ecdsa, dsa and those on security keys cannot open age files",
                )
            })?;
            let public = describe(key.public_key())
                .ok_or_else(|| invalid("only ed25519 and rsa keys can open age files"))?;
            if key.is_encrypted() {
                Ok(SshFile::Sealed(Box::new(key), public))
            } else {
                usable(&key).map(|usable| SshFile::Open(Box::new(usable), public))
            }
        }
        "RSA PRIVATE KEY" if body.contains("ENCRYPTED") => {
            Err(invalid("it is encrypted in the old PEM format")
                .with_hint("rewrite the file in the current format: ssh-keygen -p -f FILE"))
        }
        "RSA PRIVATE KEY" => {
            let text = Zeroizing::new(text.replace("\r\n", "\n"));
            let key = age::ssh::Identity::from_buffer(text.as_bytes(), None)
                .map_err(|_| invalid("it is damaged"))?;
            let recipient = age::ssh::Recipient::try_from(key.clone())
                .map_err(|_| invalid("it has more bits than are supported (4096)"))?
                .to_string();
            let public = PublicKey::from_openssh(&recipient)
                .ok()
                .and_then(|key| describe(&key))
                .ok_or_else(|| invalid("it is damaged"))?;
            Ok(SshFile::Open(
                Box::new(SshKey { key, derived: None }),
                public,
            ))
        }
        _ => Err(invalid(&format!("the format {label:?} is not supported"))
            .with_hint("rewrite the file in the format of OpenSSH: ssh-keygen -p -f FILE")),
    }
}

/// Opens a key with its passphrase; `None` when the passphrase is wrong.
pub(super) fn unseal(key: &PrivateKey, passphrase: &Secret) -> Result<Option<SshKey>> {
    match key.decrypt(passphrase.expose()) {
        Ok(key) => usable(&key).map(Some),
        Err(_) => Ok(None),
    }
}

/// Parses `ssh-ed25519 …` or `ssh-rsa …`; the error says what is wrong.
pub(super) fn parse_recipient(text: &str) -> Result<age::ssh::Recipient, String> {
    use age::ssh::ParseRecipientKeyError as E;
    // First a parser that refuses numbers which are not in canonical form; age panics on some of them.
    PublicKey::from_openssh(text)
        .ok()
        .filter(|key| describe(key).is_some())
        .ok_or("it is no SSH public key of type ed25519 or rsa, or damaged")?;
    text.parse().map_err(|error| match error {
        E::RsaModulusTooLarge => "RSA keys of more than 4096 bits are not supported".to_owned(),
        E::RsaModulusTooSmall => "RSA keys of less than 2048 bits are too weak".to_owned(),
        _ => "it is no SSH public key of type ed25519 or rsa, or damaged".to_owned(),
    })
}

/// The recipients that the private half of the SSH public key `text` answers to: the key itself, without its comment,
/// and what ssh-to-age derives from it. None where it is no such key.
pub(crate) fn recipients_of_public(text: &str) -> Vec<String> {
    let key = PublicKey::from_openssh(text).ok();
    let public = key.and_then(|key| describe(&key));
    public.map(|public| public.recipients).unwrap_or_default()
}

/// The X25519 recipient that ssh-to-age derives from an ed25519 public key.
fn derived_recipient(public: &[u8; 32]) -> Option<String> {
    let point = CompressedEdwardsY(*public).decompress()?;
    let hrp = Hrp::parse("age").ok()?;
    bech32::encode::<Bech32>(hrp, &point.to_montgomery().to_bytes()).ok()
}

/// The private half: the scalar that ed25519 itself uses, the first half of the hash of the seed.
fn derived_identity(seed: &[u8; 32]) -> Option<x25519::Identity> {
    let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
    let scalar = hash.first_chunk::<32>()?;
    let hrp = Hrp::parse("age-secret-key-").ok()?;
    let text = Zeroizing::new(bech32::encode::<Bech32>(hrp, scalar).ok()?);
    Zeroizing::new(text.to_uppercase()).parse().ok()
}

fn describe(key: &PublicKey) -> Option<SshPublic> {
    let (kind, derived) = match key.key_data() {
        KeyData::Ed25519(public) => ("ssh-ed25519", derived_recipient(&public.0)),
        KeyData::Rsa(_) => ("ssh-rsa", None),
        _ => return None,
    };
    let blob = key.to_bytes().ok()?;
    let digest = Sha256::digest(&blob);
    let tag = base64::prelude::BASE64_STANDARD_NO_PAD.encode(digest.first_chunk::<4>()?);
    let mut recipients = vec![format!("{kind} {}", BASE64_STANDARD.encode(&blob))];
    recipients.extend(derived);
    Some(SshPublic {
        kind,
        recipients,
        tag,
    })
}

fn usable(key: &PrivateKey) -> Result<SshKey> {
    let invalid = || {
        Error::new(
            "invalid-identity",
            "invalid SSH key: its parts do not fit together",
        )
    };
    let derived = match key.key_data() {
        KeypairData::Ed25519(pair) => {
            let seed = Zeroizing::new(pair.private.to_bytes());
            Some(derived_identity(&seed).ok_or_else(invalid)?)
        }
        _ => None,
    };
    let text = key.to_openssh(LineEnding::LF).map_err(|_| invalid())?;
    match age::ssh::Identity::from_buffer(text.as_bytes(), None) {
        Ok(key @ age::ssh::Identity::Unencrypted(_)) => Ok(SshKey { key, derived }),
        _ => Err(invalid()),
    }
}

/// Label and body of a PEM text.
fn pem(text: &str) -> Option<(&str, &str)> {
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (body, end) = rest.split_once("-----END ")?;
    (end.strip_suffix("-----")? == label).then_some((label, body))
}
