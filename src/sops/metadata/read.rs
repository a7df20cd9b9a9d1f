//! Interpreting the metadata, as tolerantly as sops.

use crate::{
    error::{Error, Position, Result},
    sops::{
        metadata::{Entry, Metadata},
        number::{parse_bool, parse_float},
        selection::{Kind, Selection},
        time::Timestamp,
        tree::{MetaNode, MetaValue},
    },
};

/// The lists of keys that are not age's, and the field that tells one key from another.
pub(super) const OTHER_KINDS: [(&str, &str); 6] = [
    ("kms", "arn"),
    ("gcp_kms", "resource_id"),
    ("hckms", "key_id"),
    ("azure_kv", "vault_url"),
    ("hc_vault", "vault_address"),
    ("pgp", "fp"),
];

impl Metadata {
    /// Interprets `node`, which stands in `source`. As tolerant as sops: any case of the names, numbers as text, one
    /// mapping where a list is expected; more so for dates, which may be unquoted.
    pub(crate) fn read(node: &MetaNode, source: &[u8]) -> Result<Self> {
        let reader = Reader { source };
        let top = reader.map(node, "sops")?;
        let flat = reader.group(top)?;
        let groups = if flat.is_empty() {
            reader.groups(top)?
        } else {
            vec![flat]
        };
        if groups.iter().all(Vec::is_empty) {
            return Err(reader.error(node, "the metadata names no key that could open the file"));
        }
        Ok(Self {
            groups,
            threshold: reader.integer(top, "shamir_threshold")?,
            lastmodified: reader.lastmodified(node, top)?,
            mac: reader.text(top, "mac")?,
            selection: reader.selection(node, top)?,
            mac_only_encrypted: reader.boolean(top, "mac_only_encrypted")?,
            version: reader.text(top, "version")?,
        })
    }
}

type Fields = [(String, MetaNode)];

/// Reads fields; knows the text for the places of errors.
struct Reader<'a> {
    source: &'a [u8],
}

impl Reader<'_> {
    fn groups(&self, top: &Fields) -> Result<Vec<Vec<Entry>>> {
        let Some(list) = field(top, "key_groups") else {
            return Ok(Vec::new());
        };
        self.list(list, "key_groups")?
            .into_iter()
            .map(|group| self.group(self.map(group, "key_groups")?))
            .collect()
    }

    /// age comes first: that is what sops tries first.
    fn group(&self, fields: &Fields) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if let Some(list) = field(fields, "age") {
            for node in self.list(list, "age")? {
                let key = self.map(node, "age")?;
                entries.push(Entry::Age {
                    recipient: self.text(key, "recipient")?,
                    enc: self.text(key, "enc")?,
                });
            }
        }
        for (kind, id) in OTHER_KINDS {
            let Some(list) = field(fields, kind) else {
                continue;
            };
            for node in self.list(list, kind)? {
                entries.push(Entry::Other {
                    kind,
                    id: self.text(self.map(node, kind)?, id)?,
                });
            }
        }
        Ok(entries)
    }

    fn selection(&self, node: &MetaNode, top: &Fields) -> Result<Selection> {
        let mut found = None;
        for kind in Kind::ALL {
            let text = self.text(top, kind.name())?;
            if text.is_empty() {
                continue;
            }
            if found.is_some() {
                return Err(self
                    .error(node, "the metadata has more than one setting of what is encrypted")
                    .with_hint("sops allows one of encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, encrypted_comment_regex and unencrypted_comment_regex"));
            }
            let at = field(top, kind.name()).unwrap_or(node);
            found = Some(
                Selection::new(kind, &text)
                    .map_err(|error| error.with_position(self.position(at)))?,
            );
        }
        Ok(found.unwrap_or_else(Selection::by_default))
    }

    fn lastmodified(&self, node: &MetaNode, top: &Fields) -> Result<String> {
        let Some(field) = field(top, "lastmodified") else {
            return Err(self.error(node, "the metadata has no lastmodified"));
        };
        let text = self.scalar(field, "lastmodified")?;
        match Timestamp::parse(text) {
            Some(time) => Ok(time.to_seconds()),
            None => Err(self.error(
                field,
                "lastmodified is not a time like 2024-05-06T07:08:09Z",
            )),
        }
    }

    /// An absent field is the empty text.
    fn text(&self, fields: &Fields, name: &str) -> Result<String> {
        field(fields, name).map_or(Ok(String::new()), |node| {
            Ok(self.scalar(node, name)?.to_owned())
        })
    }

    fn boolean(&self, fields: &Fields, name: &str) -> Result<bool> {
        let Some(node) = field(fields, name) else {
            return Ok(false);
        };
        let text = self.scalar(node, name)?;
        let value = match text {
            "" => Some(false),
            _ => parse_bool(text).or_else(|| parse_float(text).map(|number| number != 0.0)),
        };
        value.ok_or_else(|| self.error(node, &format!("{name} is not true or false")))
    }

    /// A whole number, also as `2.0`, which sops 3.9 writes into INI files.
    fn integer(&self, fields: &Fields, name: &str) -> Result<i64> {
        let Some(node) = field(fields, name) else {
            return Ok(0);
        };
        let text = self.scalar(node, name)?;
        let whole =
            |number: f64| (number.fract() == 0.0 && number.abs() < 1e9).then_some(number as i64);
        let value = match text {
            "" => Some(0),
            _ => text
                .parse()
                .ok()
                .or_else(|| parse_float(text).and_then(whole)),
        };
        value.ok_or_else(|| self.error(node, &format!("{name} is not a whole number")))
    }

    fn scalar<'n>(&self, node: &'n MetaNode, name: &str) -> Result<&'n str> {
        match &node.value {
            MetaValue::Scalar { text, .. } => Ok(text),
            MetaValue::Null => Ok(""),
            MetaValue::List(_) | MetaValue::Map(_) => Err(self.error(
                node,
                &format!("{name} in the metadata is not a single value"),
            )),
        }
    }

    /// One mapping stands for a list of one.
    fn list<'n>(&self, node: &'n MetaNode, name: &str) -> Result<Vec<&'n MetaNode>> {
        match &node.value {
            MetaValue::List(items) => Ok(items.iter().collect()),
            MetaValue::Null => Ok(Vec::new()),
            MetaValue::Map(fields) if fields.is_empty() => Ok(Vec::new()),
            MetaValue::Map(_) => Ok(vec![node]),
            MetaValue::Scalar { text, .. } if text.is_empty() => Ok(Vec::new()),
            MetaValue::Scalar { .. } => {
                Err(self.error(node, &format!("{name} in the metadata is not a list")))
            }
        }
    }

    fn map<'n>(&self, node: &'n MetaNode, name: &str) -> Result<&'n Fields> {
        match &node.value {
            MetaValue::Map(fields) => Ok(fields),
            _ => Err(self.error(
                node,
                &format!("{name} in the metadata does not hold mappings"),
            )),
        }
    }

    fn error(&self, node: &MetaNode, message: &str) -> Error {
        Error::new("metadata", message)
            .with_position(self.position(node))
            .with_hint(
                "the metadata was damaged or edited by hand; restore the file from its history",
            )
    }

    fn position(&self, node: &MetaNode) -> Position {
        Position::of(self.source, node.span.start)
    }
}

/// The last field of that name, an exact one first: what sops' decoder finds.
fn field<'n>(fields: &'n Fields, name: &str) -> Option<&'n MetaNode> {
    let last = |test: &dyn Fn(&str) -> bool| {
        fields
            .iter()
            .rev()
            .find(|(key, _)| test(key))
            .map(|(_, node)| node)
    };
    last(&|key| key == name).or_else(|| last(&|key| key.eq_ignore_ascii_case(name)))
}
