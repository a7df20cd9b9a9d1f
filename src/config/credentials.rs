//! `credentials`: which units may have which secrets over the credentials socket.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Deliver, Place,
    node::{Member, Node, Value},
    reader::Findings,
};

/// What a credential's name may have at most: it becomes the name of a file.
const NAME_LENGTH: usize = 255;

/// A secret that a unit may have.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// The unit as it is called, or a template for all its instances.
    pub(crate) unit: String,
    /// What the unit calls it in `LoadCredential=`.
    pub(crate) credential: String,
    pub(crate) secret: String,
    pub(super) place: Place,
}

pub(super) fn read(node: &Node, grants: &mut Vec<Grant>, findings: &mut Findings) {
    let units = match &node.value {
        Value::Null => return,
        Value::Map(units) => units,
        _ => {
            let message = "`credentials` must be a mapping of units";
            return findings.error(&node.place, "config-type", message);
        }
    };
    for Member {
        key: unit,
        key_place,
        node,
    } in units
    {
        if !is_unit(unit) {
            let message = format!("`{unit}` is no name of a service, socket, mount or swap unit");
            findings.error(key_place, "config-value", message);
        }
        let mut grant = |place: &Place, credential: &str, secret: &str| {
            grants.push(Grant {
                unit: unit.clone(),
                credential: credential.to_owned(),
                secret: secret.to_owned(),
                place: place.clone(),
            });
        };
        match &node.value {
            Value::Null => {}
            Value::List(items) => {
                for item in items {
                    if let Some(name) = findings.text(item, "credentials") {
                        grant(&item.place, name, name);
                    }
                }
            }
            Value::Map(members) => {
                for member in members {
                    if let Some(secret) = findings.text(&member.node, "credentials") {
                        grant(&member.key_place, &member.key, secret);
                    }
                }
            }
            Value::Text { .. } => {
                let message = format!(
                    "`{unit}` needs a list of secrets, or a mapping of credentials to secrets"
                );
                findings.error(&node.place, "config-type", message);
            }
        }
    }
}

/// Checks what concerns all files: names that are no credential's, credentials given twice, secrets that there are not.
/// By rules nobody knows beforehand which there are.
pub(super) fn check(
    grants: &[Grant],
    secrets: &BTreeSet<&str>,
    deliver: Deliver,
    findings: &mut Findings,
) {
    let mut known: BTreeMap<(&str, &str), &Place> = BTreeMap::new();
    for grant in grants {
        let Grant {
            unit,
            credential,
            secret,
            place,
        } = grant;
        if !is_credential(credential) {
            let error = place.error(
                "config-value",
                format!("`{credential}` cannot be the name of a credential"),
            );
            findings.errors.push(error.with_hint(
                "give it one without slashes: `UNIT: { CREDENTIAL: SECRET }` in place of a list",
            ));
        }
        if !secrets.contains(secret.as_str()) && deliver == Deliver::Configured {
            let message = format!("there is no secret or template `{secret}`");
            findings.error(place, "unknown-secret", message);
        }
        if let Some(first) = known.insert((unit, credential), place) {
            let message = format!(
                "the credential `{credential}` of {unit} is given twice; first in line {}",
                first.position.line
            );
            findings.error(place, "duplicate-name", message);
        }
    }
}

fn is_unit(unit: &str) -> bool {
    const KINDS: [&str; 4] = [".service", ".socket", ".mount", ".swap"];
    let valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let name = KINDS.iter().find_map(|kind| unit.strip_suffix(kind));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(valid))
}

/// As systemd has it.
fn is_credential(name: &str) -> bool {
    let valid = |c: char| c.is_ascii_graphic() && !"/:".contains(c);
    !name.is_empty()
        && name.len() <= NAME_LENGTH
        && name != "."
        && name != ".."
        && name.chars().all(valid)
}
