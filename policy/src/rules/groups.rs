//! Key groups as sops builds them from a rule.

use std::collections::HashSet;

use super::{
    KeyKind, Position, Recipient, RulesError,
    decode::{Result, Value},
};
use crate::recipient::{
    Kms, NO_AGE_KEY, azure, azure_from_url, check_age, huawei, kms_from_arn, vault, without_blanks,
};

/// Keys of a rule that are a text or a list of texts, in the order in which sops reads them, but for [`HUAWEI`].
pub(super) const FLAT: &[(&str, KeyKind)] = &[
    ("age", KeyKind::Age),
    ("pgp", KeyKind::Pgp),
    ("kms", KeyKind::Kms),
    ("gcp_kms", KeyKind::GcpKms),
    ("azure_keyvault", KeyKind::AzureKeyVault),
    ("hc_vault_transit_uri", KeyKind::HcVault),
];
/// A list of texts only.
pub(super) const HUAWEI: &str = "hckms";

/// Whom a rule names, as written.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) flat: Vec<Flat>,
    pub(super) huawei: Vec<Located<String>>,
    pub(super) huawei_key: Option<Position>,
    pub(super) profile: String,
    pub(super) groups: Vec<Group>,
}

/// One flat key.
#[derive(Debug)]
pub(super) struct Flat {
    pub(super) kind: KeyKind,
    pub(super) name: String,
    pub(super) key: Position,
    pub(super) value: Value,
    pub(super) position: Position,
}

/// Something and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) position: Position,
}

/// One item of `key_groups`, or of `merge` in such an item.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) position: Position,
    pub(super) merge: Vec<Self>,
    pub(super) age: Vec<Located<String>>,
    pub(super) pgp: Vec<Located<String>>,
    pub(super) kms: Vec<Located<Kms>>,
    pub(super) gcp: Vec<Located<[String; 1]>>,
    pub(super) huawei: Vec<Located<[String; 1]>>,
    pub(super) azure: Vec<Located<[String; 3]>>,
    pub(super) vault: Vec<Located<String>>,
}

impl Keys {
    /// What sops encrypts to: the groups, or one group of the flat keys.
    pub(super) fn groups(&self) -> Result<Vec<Vec<Recipient>>> {
        if self.groups.is_empty() {
            return Ok(vec![self.flat_group()?]);
        }
        self.groups
            .iter()
            .map(|group| Ok(group.members()?.0))
            .collect()
    }

    /// The members of each group that sops drops because they are in the group already.
    pub(super) fn dropped_duplicates(&self) -> Vec<Recipient> {
        let members = self.groups.iter().filter_map(|group| group.members().ok());
        members.flat_map(|(_, dropped)| dropped).collect()
    }

    /// In the order of sops; duplicates stay.
    fn flat_group(&self) -> Result<Vec<Recipient>> {
        let mut members = Vec::new();
        let of_kind = |kind| self.flat.iter().find(|flat| flat.kind == kind);
        for kind in [KeyKind::Age, KeyKind::Pgp, KeyKind::Kms, KeyKind::GcpKms] {
            self.flat_members(of_kind(kind), &mut members)?;
        }
        for element in &self.huawei {
            for text in element
                .value
                .split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty())
            {
                let text = huawei(text).map_err(|why| invalid(why, element.position))?;
                members.push(Recipient {
                    kind: KeyKind::HuaweiKms,
                    text,
                    position: element.position,
                });
            }
        }
        for kind in [KeyKind::AzureKeyVault, KeyKind::HcVault] {
            self.flat_members(of_kind(kind), &mut members)?;
        }
        Ok(members)
    }

    fn flat_members(&self, flat: Option<&Flat>, members: &mut Vec<Recipient>) -> Result<()> {
        let Some(flat) = flat else { return Ok(()) };
        for element in flat.elements()? {
            let position = element.position;
            let text = element.value;
            let text = match flat.kind {
                KeyKind::Age => checked_age(&text),
                KeyKind::Pgp | KeyKind::GcpKms => Ok(without_blanks(&text)),
                KeyKind::Kms => kms_from_arn(&text, &self.profile).text(),
                KeyKind::AzureKeyVault => azure_from_url(&text),
                KeyKind::HcVault if text.is_empty() => continue,
                KeyKind::HcVault => vault(&text),
                KeyKind::HuaweiKms => huawei(&text),
            };
            let text = text.map_err(|why| invalid(why, position))?;
            members.push(Recipient {
                kind: flat.kind,
                text,
                position,
            });
        }
        Ok(())
    }
}

impl Flat {
    /// The single keys. sops joins a list with commas and takes it apart again, so an item may hold several; only in a
    /// text, and not in a list, empty ones are left out.
    fn elements(&self) -> Result<Vec<Located<String>>> {
        match &self.value {
            Value::Null => Ok(Vec::new()),
            Value::Text(text) => {
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                Ok(parts
                    .map(|part| Located {
                        value: part.to_owned(),
                        position: self.position,
                    })
                    .collect())
            }
            Value::List(items) => {
                let mut elements = Vec::new();
                for (item, position) in items {
                    let Value::Text(text) = item else {
                        return Err(self.needs_texts(item, *position));
                    };
                    elements.extend(text.split(',').map(|part| Located {
                        value: part.to_owned(),
                        position: *position,
                    }));
                }
                if let [only] = elements.as_slice()
                    && only.value.is_empty()
                {
                    elements.clear();
                }
                Ok(elements)
            }
            other => Err(self.needs_texts(other, self.position)),
        }
    }

    fn needs_texts(&self, found: &Value, position: Position) -> RulesError {
        let found = match found {
            Value::Null => "null",
            Value::List(_) => "a list",
            Value::Text(_) => "a text",
            Value::Other(what) => what,
        };
        let message = format!(
            "{} takes a text or a list of texts, and here is {found}",
            self.name
        );
        RulesError::new(message, position)
            .with_code("invalid-recipient")
            .with_hint("put the key in quotes")
    }
}

impl Group {
    /// The members without duplicates, and what was left out as a duplicate.
    pub(super) fn members(&self) -> Result<(Vec<Recipient>, Vec<Recipient>)> {
        let mut all = Vec::new();
        for merged in &self.merge {
            all.extend(merged.members()?.0);
        }
        let mut add = |kind, text: std::result::Result<String, String>, position| match text {
            Ok(text) => {
                all.push(Recipient {
                    kind,
                    text,
                    position,
                });
                Ok(())
            }
            Err(why) => Err(invalid(why, position)),
        };
        for element in self.age.iter().filter(|element| !element.value.is_empty()) {
            for text in element.value.split(',') {
                add(KeyKind::Age, checked_age(text), element.position)?;
            }
        }
        for element in &self.pgp {
            add(
                KeyKind::Pgp,
                Ok(without_blanks(&element.value)),
                element.position,
            )?;
        }
        for element in &self.kms {
            add(KeyKind::Kms, element.value.text(), element.position)?;
        }
        for Located {
            value: [id],
            position,
        } in &self.gcp
        {
            add(KeyKind::GcpKms, Ok(without_blanks(id)), *position)?;
        }
        for Located {
            value: [id],
            position,
        } in &self.huawei
        {
            add(KeyKind::HuaweiKms, huawei(id), *position)?;
        }
        for Located {
            value: [url, name, version],
            position,
        } in &self.azure
        {
            add(KeyKind::AzureKeyVault, azure(url, name, version), *position)?;
        }
        for element in &self.vault {
            let text = match element.value.as_str() {
                "" => Err("an empty Vault key in a group makes sops crash".to_owned()),
                text => vault(text),
            };
            add(KeyKind::HcVault, text, element.position)?;
        }
        let mut seen = HashSet::new();
        Ok(all
            .into_iter()
            .partition(|member| seen.insert((member.kind, member.text.clone()))))
    }
}

fn checked_age(text: &str) -> std::result::Result<String, String> {
    let text = text.trim();
    check_age(text).map(|()| text.to_owned())
}

fn invalid(why: String, position: Position) -> RulesError {
    let error = RulesError::new(why, position).with_code("invalid-recipient");
    match error.message.ends_with(NO_AGE_KEY) {
        true => error.with_hint("keys of other kinds have fields of their own: pgp, kms, gcp_kms"),
        false => error,
    }
}
