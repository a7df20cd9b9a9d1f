//! SARIF 2.1.0, the format that code scanning services take:
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html>

use std::{collections::BTreeMap, fmt::Write as _, os::unix::ffi::OsStrExt as _, path::Path};

use policy::rules::Position;
use serde_json::{Map, Value, json};

use super::json::severity;
use crate::{
    check::{
        Finding, Report,
        codes::{CODES, Code},
    },
    escape,
};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A whole check as one run. What a comment in the rules allows is in it, too, marked as suppressed there.
pub(crate) fn log(report: &Report) -> Value {
    let numbers: BTreeMap<&str, usize> = CODES
        .iter()
        .enumerate()
        .map(|(number, code)| (code.name, number))
        .collect();
    let found = report
        .findings
        .iter()
        .map(|finding| Value::from(result(finding, &report.place, &numbers)));
    let allowed = report.allowed.iter().map(|allowed| {
        let mut result = result(&allowed.finding, &report.place, &numbers);
        let reason = escape::text(&allowed.reason);
        let suppression = json!([{"kind": "inSource", "justification": reason}]);
        result.insert("suppressions".to_owned(), suppression);
        Value::from(result)
    });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "secretsctl",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": CODES.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": found.chain(allowed).collect::<Vec<_>>(),
        }],
    })
}

fn rule(code: &Code) -> Value {
    json!({
        "id": code.name,
        "shortDescription": {"text": code.summary()},
        "fullDescription": {"text": one_line(code.section("Why"))},
        "help": {"text": one_line(code.section("Repair")), "markdown": code.page},
    })
}

/// A paragraph without the line breaks of its source.
fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

fn result(finding: &Finding, place: &Path, numbers: &BTreeMap<&str, usize>) -> Map<String, Value> {
    let file = place.join(&finding.file);
    let mut message = finding.message.clone();
    // Writing to a string cannot fail.
    if let Some(witness) = &finding.witness {
        let _ = write!(message, " (for example {witness})");
    }
    if let Some(hint) = &finding.hint {
        let _ = write!(message, "; hint: {hint}");
    }
    let mut members = Map::new();
    members.insert("ruleId".to_owned(), finding.code.into());
    if let Some(number) = numbers.get(finding.code) {
        members.insert("ruleIndex".to_owned(), (*number).into());
    }
    members.insert("level".to_owned(), severity(finding.severity).into());
    members.insert(
        "message".to_owned(),
        json!({"text": escape::text(&message)}),
    );
    let main = location(&file, finding.position, None);
    members.insert("locations".to_owned(), json!([main]));
    if !finding.related.is_empty() {
        let related = finding
            .related
            .iter()
            .map(|related| location(&file, related.position, Some(&related.message)));
        members.insert("relatedLocations".to_owned(), related.collect());
    }
    members
}

fn location(file: &Path, position: Position, message: Option<&str>) -> Value {
    let mut members = Map::new();
    members.insert(
        "physicalLocation".to_owned(),
        json!({
            "artifactLocation": {"uri": uri(file)},
            "region": {"startLine": position.line, "startColumn": position.column},
        }),
    );
    if let Some(message) = message {
        members.insert("message".to_owned(), json!({"text": escape::text(message)}));
    }
    members.into()
}

/// A relative reference of RFC 3986: every byte of the path that is not unreserved there is percent-encoded.
fn uri(path: &Path) -> String {
    let mut uri = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte));
            }
            // Writing to a string cannot fail.
            byte => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri
}
