//! Keys of cloud services, in the text that sops' `ToString` gives.

use std::collections::BTreeMap;

use super::shown;

/// A key of AWS KMS.
#[derive(Debug, Default)]
pub(crate) struct Kms {
    pub(crate) arn: String,
    pub(crate) role: String,
    pub(crate) context: BTreeMap<String, Option<String>>,
    pub(crate) profile: String,
}

impl Kms {
    /// `ARN+ROLE|CONTEXT|PROFILE`, as much of it as is set.
    pub(crate) fn text(&self) -> Result<String, String> {
        let mut text = self.arn.clone();
        if !self.role.is_empty() {
            text.push('+');
            text.push_str(&self.role);
        }
        let mut context = Vec::new();
        for (key, value) in &self.context {
            let Some(value) = value else {
                return Err(format!(
                    "the value of {key:?} in the context of a kms key is null, which makes sops crash"
                ));
            };
            context.push(format!("{key}:{value}"));
        }
        if !context.is_empty() || !self.profile.is_empty() {
            text.push('|');
            text.push_str(&context.join(","));
        }
        if !self.profile.is_empty() {
            text.push('|');
            text.push_str(&self.profile);
        }
        Ok(text)
    }
}

/// `ARN` or `ARN+ROLE-ARN`, blanks anywhere.
pub(crate) fn kms_from_arn(text: &str, profile: &str) -> Kms {
    let text = without_blanks(text);
    let (arn, role) = match text.find("+arn:") {
        Some(at) if at > 0 => (text.get(..at), text.get(at + 1..)),
        _ => (Some(text.as_str()), None),
    };
    Kms {
        arn: arn.unwrap_or_default().to_owned(),
        role: role.unwrap_or_default().to_owned(),
        profile: profile.to_owned(),
        ..Kms::default()
    }
}

/// What sops makes of PGP fingerprints and resource ids of GCP.
pub(crate) fn without_blanks(text: &str) -> String {
    text.replace(' ', "")
}

/// `REGION:UUID`
pub(crate) fn huawei(text: &str) -> Result<String, String> {
    match text.trim().split_once(':') {
        Some((region, key)) if !region.trim().is_empty() && !key.trim().is_empty() => {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "{} is no key of Huawei Cloud, which has the form REGION:UUID",
            shown(text)
        )),
    }
}

/// `https://VAULT/keys/NAME/VERSION`
pub(crate) fn azure_from_url(text: &str) -> Result<String, String> {
    let text = text.trim();
    let parts: Vec<_> = text
        .strip_prefix("https://")
        .unwrap_or_default()
        .split('/')
        .collect();
    match parts.as_slice() {
        [host, "keys", name, version @ ..]
            if !host.is_empty() && !name.is_empty() && version.len() <= 1 =>
        {
            let version = version.first().copied().unwrap_or_default();
            azure(&format!("https://{host}"), name, version)
        }
        _ => Err(format!(
            "{} is no key of Azure Key Vault, which has the form https://VAULT/keys/NAME/VERSION",
            shown(text)
        )),
    }
}

/// A key given in parts. Without a version sops asks Azure for the newest; nobody else knows it.
pub(crate) fn azure(vault: &str, name: &str, version: &str) -> Result<String, String> {
    if version.is_empty() {
        return Err(format!(
            "the Azure key {} has no version, and sops asks Azure for the newest one",
            shown(name)
        ));
    }
    Ok(format!("{vault}/keys/{name}/{version}"))
}
