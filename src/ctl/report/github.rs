//! Annotations of GitHub Actions.

use std::path::Path;

use policy::rules::Severity;

use crate::{check::Finding, escape};

/// A workflow command. What could end a property or the line is percent-encoded, as GitHub's toolkit does.
/// `place` is where the repository stands in that of Git.
pub(crate) fn annotation(finding: &Finding, place: &Path) -> String {
    let kind = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut message = finding.message.clone();
    if let Some(witness) = &finding.witness {
        message.push_str(&format!(" (for example {witness})"));
    }
    if let Some(hint) = &finding.hint {
        message.push_str(&format!("; hint: {hint}"));
    }
    format!(
        "::{kind} file={},line={},col={},title={}::{}",
        property(&escape::path(&place.join(&finding.file))),
        finding.position.line,
        finding.position.column,
        property(finding.code),
        data(&escape::text(&message)),
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
