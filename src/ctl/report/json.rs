//! JSON, as the contract names its members.

use policy::rules::Severity;
use serde_json::{Map, Value, json};

use crate::check::{Finding, Report};

/// A whole check.
pub(crate) fn report(report: &Report) -> Value {
    let findings: Vec<Value> = report.findings.iter().map(finding).collect();
    let allowed = report.allowed.iter().map(|allowed| {
        let mut members = members(&allowed.finding);
        members.insert("reason".to_owned(), allowed.reason.as_str().into());
        Value::from(members)
    });
    json!({
        "findings": findings,
        "allowed": allowed.collect::<Vec<_>>(),
        "place": report.place.to_string_lossy(),
        "files": report.files,
        "rules": report.rules,
    })
}

/// One finding.
pub(crate) fn finding(finding: &Finding) -> Value {
    members(finding).into()
}

fn members(finding: &Finding) -> Map<String, Value> {
    let file = finding.file.to_string_lossy();
    let mut members = Map::new();
    members.insert("code".to_owned(), finding.code.into());
    members.insert("severity".to_owned(), severity(finding.severity).into());
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
    members
}

/// The name of a severity.
pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
