//! Plaintext under a rule that encrypts only some values.

use std::path::Path;

use policy::rules::{Rule, Severity};

use super::Finding;
use crate::{
    limits::Limits,
    secret::Secret,
    sops::{
        document::Document,
        format::Format,
        selection::{Kind, Selection},
        would_encrypt,
    },
};

/// Whether the rule asks for the encryption of anything in this plaintext file. Rules for Kubernetes cover all manifests
/// and encrypt the data of Secrets: a Deployment is as it should be. A file that cannot be read as what its name says
/// is not known to be harmless.
pub(super) fn asks_for_encryption(content: Secret, format: Format, rule: &Rule) -> bool {
    let Some((setting, text)) = rule.settings().ok().and_then(|settings| settings.selection) else {
        return true;
    };
    let selection = Kind::named(setting.key()).and_then(|kind| Selection::new(kind, &text).ok());
    selection.is_none_or(|selection| {
        would_encrypt(content, format, &selection, &Limits::default()).unwrap_or(true)
    })
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
