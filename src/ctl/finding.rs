//! How a finding is shown, whichever command tells it.

use policy::rules::Severity;
use serde_json::{Map, Value, json};

use crate::{check::Finding, output::Style};

/// The members of a finding, as the contract names them.
pub(super) fn as_json(finding: &Finding) -> Value {
    let file = finding.file.to_string_lossy();
    let mut members = Map::new();
    members.insert("code".to_owned(), finding.code.into());
    members.insert("severity".to_owned(), severity(finding.severity).0.into());
    members.insert("file".to_owned(), file.as_ref().into());
    members.insert("line".to_owned(), finding.position.line.into());
    members.insert("column".to_owned(), finding.position.column.into());
    members.insert("message".to_owned(), finding.message.as_str().into());
    if let Some(witness) = &finding.witness {
        members.insert("witness".to_owned(), witness.as_str().into());
    }
    if !finding.related.is_empty() {
        let related = finding.related.iter().map(|related| {
            json!({"file": file, "line": related.position.line, "message": related.message})
        });
        members.insert("related".to_owned(), related.collect());
    }
    if let Some(hint) = &finding.hint {
        members.insert("hint".to_owned(), hint.as_str().into());
    }
    members.into()
}

/// The name of a severity, and how it is painted.
pub(super) fn severity(severity: Severity) -> (&'static str, Style) {
    match severity {
        Severity::Error => ("error", Style::Red),
        Severity::Warning => ("warning", Style::Yellow),
        Severity::Note => ("note", Style::Blue),
    }
}
