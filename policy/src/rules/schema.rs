//! What sops expects where in the file.

use std::sync::{Arc, OnceLock};

use super::{
    Rule, Rules, Selection, Stores, Text,
    decode::{Decoder, Field, Result},
    groups::{FLAT, Flat, Group, HUAWEI, Keys, Located},
    unused::unused,
};
use crate::{
    names::Names,
    recipient::Kms,
    suppression::Suppressions,
    yaml::{NodeId, Stream},
};

pub(super) const TOP: &[&str] = &["creation_rules", "destination_rules", "stores"];
const RULE: &[&str] = &[
    "path_regex",
    "kms",
    "aws_profile",
    "age",
    "pgp",
    "gcp_kms",
    "hckms",
    "azure_keyvault",
    "hc_vault_transit_uri",
    "key_groups",
    "shamir_threshold",
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
    "mac_only_encrypted",
];
const GROUP: &[&str] = &[
    "merge",
    "kms",
    "gcp_kms",
    "hckms",
    "azure_keyvault",
    "hc_vault",
    "age",
    "pgp",
];
/// Keys of single cloud keys.
const PARTS: &[&str] = &[
    "arn",
    "role",
    "context",
    "resource_id",
    "key_id",
    "vaultUrl",
    "key",
    "version",
];
const STORES: &[&str] = &["dotenv", "ini", "json_binary", "json", "yaml"];
const DESTINATION: &[&str] = &[
    "path_regex",
    "s3_bucket",
    "s3_prefix",
    "gcs_bucket",
    "gcs_prefix",
    "vault_path",
    "vault_address",
    "vault_kv_mount_name",
    "vault_kv_version",
    "recreation_rule",
    "omit_extensions",
];

/// The key of a rule or group that `name` is a misspelling of.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(RULE.iter().chain(GROUP).chain(PARTS).copied(), name)
}

/// The key of the whole file that `name` is a misspelling of.
pub(super) fn nearest_top(name: &str) -> Option<&'static str> {
    nearest_of(TOP.iter().copied(), name)
}

/// The key of `stores` that `name` is a misspelling of.
pub(super) fn nearest_store(name: &str) -> Option<&'static str> {
    nearest_of(STORES.iter().copied().chain(["indent"]), name)
}

fn nearest_of(known: impl Iterator<Item = &'static str>, name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let distances = known.map(|known| (distance(&name, known), known));
    let close = |(distance, known): &(usize, &str)| *distance <= 2 && *distance * 2 < known.len();
    distances.filter(close).min().map(|(_, known)| known)
}

/// Levenshtein's distance; texts much longer than a key are far from all.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > 40 {
        return usize::MAX / 2;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        if let Some(first) = row.first_mut() {
            *first = last;
        }
        for (cell, r) in row.iter_mut().skip(1).zip(right.bytes()) {
            let best = (diagonal + usize::from(l != r))
                .min(*cell + 1)
                .min(last + 1);
            diagonal = *cell;
            *cell = best;
            last = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Decodes the file.
pub(super) fn rules(text: &str, stream: &Stream) -> Result<Rules> {
    let mut decoder = Decoder::new(text, stream);
    let mut rules = Rules {
        rules: None,
        stores: Stores::default(),
        unknown_keys: Vec::new(),
        unknown_store_keys: Vec::new(),
        dropped: Vec::new(),
        suppressions: Suppressions::default(),
        names: Names::default(),
        unused: Vec::new(),
    };
    let Some(document) = stream.documents.first() else {
        return Ok(rules);
    };
    decoder.mapping(document.root, TOP, |decoder, field| {
        match field.name.as_str() {
            "creation_rules" => {
                let mut index = 0;
                let dropped = &mut rules.dropped;
                rules.rules = decoder.list(field.value, |decoder, id| {
                    let rule = rule(decoder, id, index)?;
                    match &rule {
                        Some(_) => index += 1,
                        None => dropped.push(decoder.position(id)),
                    }
                    Ok(rule)
                })?;
            }
            "destination_rules" => drop(decoder.list(field.value, destination)?),
            "stores" => {
                rules.stores = stores(decoder, field.value, &mut rules.unknown_store_keys)?;
            }
            _ => rules.unknown_keys.push(unknown(decoder, field)),
        }
        Ok(())
    })?;
    rules.suppressions = Suppressions::read(text, &stream.comments, rules.all());
    rules.unused = unused(&decoder, stream, document.root);
    Ok(rules)
}

fn rule(decoder: &mut Decoder<'_>, id: NodeId, index: usize) -> Result<Option<Rule>> {
    let position = decoder.position(id);
    let mut rule = Rule {
        index,
        position,
        lines: position.line..=decoder.last_line(id),
        path_regex: None,
        shamir_threshold: None,
        selection: Vec::new(),
        mac_only_encrypted: false,
        unknown_keys: Vec::new(),
        keys: Keys::default(),
        pattern: OnceLock::new(),
        room: Arc::default(),
        draft: OnceLock::new(),
    };
    let found = decoder.mapping(id, RULE, |decoder, field| {
        let name = field.name.as_str();
        if let Some(selection) = Selection::ALL
            .into_iter()
            .find(|selection| selection.key() == name)
        {
            let text = text(decoder, field.value)?;
            rule.selection.extend(
                text.filter(|text| !text.text.is_empty())
                    .map(|text| (selection, text)),
            );
            return Ok(());
        }
        if let Some((_, kind)) = FLAT.iter().find(|(key, _)| *key == name) {
            let position = decoder.position(field.value);
            let value = decoder.value(field.value)?;
            let key = decoder.position(field.key);
            rule.keys.flat.push(Flat {
                kind: *kind,
                name: field.name,
                key,
                value,
                position,
            });
            return Ok(());
        }
        match name {
            "path_regex" => rule.path_regex = text(decoder, field.value)?,
            "shamir_threshold" => rule.shamir_threshold = decoder.integer(field.value)?,
            "mac_only_encrypted" => {
                rule.mac_only_encrypted = decoder.boolean(field.value)?.unwrap_or_default();
            }
            "aws_profile" => rule.keys.profile = decoder.string(field.value)?.unwrap_or_default(),
            HUAWEI => {
                rule.keys.huawei = texts(decoder, field.value)?;
                rule.keys.huawei_key = Some(decoder.position(field.key));
            }
            "key_groups" => {
                let unknown_keys = &mut rule.unknown_keys;
                let groups =
                    decoder.list(field.value, |decoder, id| group(decoder, id, unknown_keys))?;
                rule.keys.groups = groups.unwrap_or_default();
            }
            _ => rule.unknown_keys.push(unknown(decoder, field)),
        }
        Ok(())
    })?;
    // Merge keys add their fields last; sops looks at these in an order of its own.
    rule.selection.sort_by_key(|(selection, _)| *selection);
    Ok(found.then_some(rule))
}

fn group(
    decoder: &mut Decoder<'_>,
    id: NodeId,
    unknown_keys: &mut Vec<Text>,
) -> Result<Option<Group>> {
    let mut group = Group {
        position: decoder.position(id),
        ..Group::default()
    };
    let found = decoder.mapping(id, GROUP, |decoder, field| {
        let value = field.value;
        match field.name.as_str() {
            "merge" => {
                let merged =
                    decoder.list(value, |decoder, id| self::group(decoder, id, unknown_keys))?;
                group.merge = merged.unwrap_or_default();
            }
            "age" => group.age = texts(decoder, value)?,
            "pgp" => group.pgp = texts(decoder, value)?,
            "hc_vault" => group.vault = texts(decoder, value)?,
            "kms" => {
                group.kms = decoder
                    .list(value, |decoder, id| kms(decoder, id, unknown_keys))?
                    .unwrap_or_default();
            }
            "gcp_kms" => group.gcp = parts(decoder, value, ["resource_id"], unknown_keys)?,
            "hckms" => group.huawei = parts(decoder, value, ["key_id"], unknown_keys)?,
            "azure_keyvault" => {
                group.azure = parts(decoder, value, ["vaultUrl", "key", "version"], unknown_keys)?;
            }
            _ => unknown_keys.push(unknown(decoder, field)),
        }
        Ok(())
    })?;
    Ok(found.then_some(group))
}

fn kms(
    decoder: &mut Decoder<'_>,
    id: NodeId,
    unknown_keys: &mut Vec<Text>,
) -> Result<Option<Located<Kms>>> {
    let mut key = Kms::default();
    let found = decoder.mapping(
        id,
        &["arn", "role", "context", "aws_profile"],
        |decoder, field| {
            match field.name.as_str() {
                "arn" => key.arn = decoder.string(field.value)?.unwrap_or_default(),
                "role" => key.role = decoder.string(field.value)?.unwrap_or_default(),
                "aws_profile" => key.profile = decoder.string(field.value)?.unwrap_or_default(),
                "context" => {
                    let context = &mut key.context;
                    decoder.mapping(field.value, &[], |decoder, field| {
                        let value = decoder.string(field.value)?;
                        context.insert(field.name, value);
                        Ok(())
                    })?;
                }
                _ => unknown_keys.push(unknown(decoder, field)),
            }
            Ok(())
        },
    )?;
    Ok(found.then(|| Located {
        value: key,
        position: decoder.position(id),
    }))
}

/// A list of mappings with these text fields.
fn parts<const N: usize>(
    decoder: &mut Decoder<'_>,
    id: NodeId,
    names: [&str; N],
    unknown_keys: &mut Vec<Text>,
) -> Result<Vec<Located<[String; N]>>> {
    let list = decoder.list(id, |decoder, id| {
        let mut parts = [const { String::new() }; N];
        let found = decoder.mapping(id, &names, |decoder, field| {
            match names
                .iter()
                .zip(&mut parts)
                .find(|(name, _)| **name == field.name)
            {
                Some((_, part)) => *part = decoder.string(field.value)?.unwrap_or_default(),
                None => unknown_keys.push(unknown(decoder, field)),
            }
            Ok(())
        })?;
        Ok(found.then(|| Located {
            value: parts,
            position: decoder.position(id),
        }))
    })?;
    Ok(list.unwrap_or_default())
}

/// A list of texts, without its null items.
fn texts(decoder: &mut Decoder<'_>, id: NodeId) -> Result<Vec<Located<String>>> {
    let list = decoder.list(id, |decoder, id| {
        let position = decoder.position(id);
        Ok(decoder.string(id)?.map(|value| Located { value, position }))
    })?;
    Ok(list.unwrap_or_default())
}

fn text(decoder: &mut Decoder<'_>, id: NodeId) -> Result<Option<Text>> {
    let position = decoder.position(id);
    Ok(decoder.string(id)?.map(|text| Text { text, position }))
}

fn unknown(decoder: &Decoder<'_>, field: Field) -> Text {
    Text {
        text: field.name,
        position: decoder.position(field.key),
    }
}

/// Nothing is done with these rules, but a mistake in them makes sops refuse the file.
fn destination(decoder: &mut Decoder<'_>, id: NodeId) -> Result<Option<()>> {
    let found = decoder.mapping(id, DESTINATION, |decoder, field| {
        match field.name.as_str() {
            "recreation_rule" => drop(rule(decoder, field.value, 0)?),
            "vault_kv_version" => drop(decoder.integer(field.value)?),
            "omit_extensions" => drop(decoder.boolean(field.value)?),
            name if DESTINATION.contains(&name) => drop(decoder.string(field.value)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found.then_some(()))
}

fn stores(decoder: &mut Decoder<'_>, id: NodeId, unknown_keys: &mut Vec<Text>) -> Result<Stores> {
    let mut stores = Stores::default();
    decoder.mapping(id, STORES, |decoder, field| {
        let indent = match field.name.as_str() {
            "yaml" => Some(&mut stores.yaml_indent),
            "json" => Some(&mut stores.json_indent),
            "json_binary" => Some(&mut stores.json_binary_indent),
            "dotenv" | "ini" => None,
            _ => {
                unknown_keys.push(unknown(decoder, field));
                return Ok(());
            }
        };
        let known: &[&str] = if indent.is_some() { &["indent"] } else { &[] };
        let mut indent = indent;
        decoder.mapping(field.value, known, |decoder, field| {
            match &mut indent {
                Some(indent) if field.name == "indent" => {
                    if let Some(number) = decoder.integer(field.value)? {
                        **indent = number;
                    }
                }
                _ => unknown_keys.push(unknown(decoder, field)),
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(stores)
}
