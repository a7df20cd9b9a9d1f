//! The public keys that rules name, in sops' own text form.
//!
//! Only age keys are understood. Keys of other kinds are carried along, in the text by which sops compares and shows them;
//! what sops refuses of them is refused here, too.

mod age;
mod cloud;
mod ssh;
mod vault;

pub(crate) use self::age::{NO_AGE_KEY, check as check_age};
pub(crate) use self::cloud::{Kms, azure, azure_from_url, huawei, kms_from_arn, without_blanks};
pub(crate) use self::vault::vault;

use crate::rules::Position;

/// What kind of key a recipient is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// `age`, with SSH keys and those of age plugins.
    Age,
    /// `pgp`
    Pgp,
    /// `kms`, of AWS.
    Kms,
    /// `gcp_kms`
    GcpKms,
    /// `hckms`, of Huawei Cloud.
    HuaweiKms,
    /// `azure_keyvault` in rules, `azure_kv` in encrypted files.
    AzureKeyVault,
    /// `hc_vault_transit_uri` in rules, `hc_vault` in groups and encrypted files.
    HcVault,
}

/// One recipient of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its kind.
    pub kind: KeyKind,
    /// As sops writes it.
    pub text: String,
    /// Where the rules name it.
    pub position: Position,
}

/// Is `text` a private key? Then no message may show it.
pub fn is_private_key(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    ["AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY-----"]
        .iter()
        .any(|mark| upper.contains(mark))
}

/// The kind of key that `text` looks like, and the field of a rule that takes it.
pub(crate) fn looks_like(text: &str) -> Option<(KeyKind, &'static str)> {
    let is_fingerprint = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_google = text.starts_with("projects/") && text.contains("/cryptoKeys/");
    Some(match text {
        _ if text.starts_with("age1") || text.starts_with("ssh-") => (KeyKind::Age, "age"),
        _ if is_fingerprint => (KeyKind::Pgp, "pgp"),
        _ if text.starts_with("arn:aws") => (KeyKind::Kms, "kms"),
        _ if is_google => (KeyKind::GcpKms, "gcp_kms"),
        _ => return None,
    })
}

/// Is `text`, which is to be one recipient, more than one?
pub(crate) fn is_melted(text: &str) -> bool {
    let starts = |word: &str| word.starts_with("age1") || word.starts_with("ssh-");
    let fused = |word: &str| starts(word) && word.matches("age1").count() > 1;
    text.split_whitespace().filter(|word| starts(word)).count() > 1
        || text.split_whitespace().any(fused)
}

/// `text` for a message: quoted, cut short, and never a private key.
pub(crate) fn shown(text: &str) -> String {
    if is_private_key(text) {
        return "a private key".to_owned();
    }
    let short: String = text.chars().take(80).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("\"{short}{dots}\"")
}
