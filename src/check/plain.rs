//! Plaintext under a rule that encrypts only some values.

use std::path::Path;

use policy::rules::{Rule, Severity};

use super::Finding;
use crate::{
    limits::Limits,
    secret::Secret,
    sops::{
        Plain,
        document::Document,
        format::Format,
        plain,
        selection::{Kind, Selection},
    },
};

/// How bad it is that this file is in clear; `None` where it is as it should be. Rules for Kubernetes cover all manifests
/// and encrypt the data of Secrets, so a Deployment has nothing to encrypt, and a ConfigMap has data that are no secret.
/// Where the rule encrypts whole files, a manifest beside the secrets is worth a note. A file that cannot be read as what
/// its name says is not known to be harmless.
pub(super) fn severity(content: Secret, format: Format, rule: &Rule) -> Option<Severity> {
    let settings = rule.settings().ok();
    let setting = settings.and_then(|settings| settings.selection);
    let selection = setting.as_ref().and_then(|(setting, text)| {
        let kind = Kind::named(setting.key())?;
        Selection::new(kind, text).ok()
    });
    if setting.is_some() && selection.is_none() {
        return Some(Severity::Error);
    }
    match plain(content, format, selection.as_ref(), &Limits::default()) {
        Ok(Plain::Nothing) => None,
        Ok(Plain::OtherManifest) if selection.is_some() => None,
        Ok(Plain::OtherManifest) => Some(Severity::Note),
        Ok(Plain::Something) | Err(_) => Some(Severity::Error),
    }
}

/// A file that sops wrote and in which it encrypted nothing.
pub(super) fn in_spite_of_sops(file: &Path, document: &Document) -> Option<Finding> {
    let selection = &document.metadata().selection;
    // What cannot be walked is broken metadata, and told so.
    document
        .encrypts_nothing()
        .unwrap_or_default()
        .then(|| {
            let message = format!(
                "sops wrote this file, and every value stands in clear: {} selects none",
                selection.kind().name()
            );
            let hint = "correct the setting in the rule, then encrypt the file again; secrets that were pushed need new values";
            Finding::new("plaintext-file", Severity::Warning, file, message, hint)
        })
}
