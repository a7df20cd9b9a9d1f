//! What is in a file of the repository: the values of the secrets that are configured, the leaves that are delivered by
//! rules.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use super::{
    Inputs,
    back::rejected,
    check::left_out,
    desired::{ByRules, Named, Unit, Wanted, source_of},
    state::FileRecord,
    work::Work,
};
use crate::{
    config::{Layout, unsafe_part, unsafe_path},
    error::{Error, Result},
    repository::{content_hash, hex},
    secret::Secret,
    sops::{
        Leaf, Step,
        document::{Document, Opened},
        format::Format,
    },
};

/// What was in the file.
pub(super) struct Contents {
    pub(super) values: Vec<Value>,
    pub(super) record: FileRecord,
    pub(super) notes: Vec<Error>,
}

/// One value, or why it cannot be had.
pub(super) struct Value {
    pub(super) wanted: Wanted,
    /// Hash of all that decides its content; absent by rules.
    pub(super) source: Option<Arc<str>>,
    pub(super) content: Result<Secret>,
}

impl Work<'_> {
    /// Opens a file; the MAC is verified before anything leaves.
    pub(super) fn open(&self, unit: &Unit) -> Result<Contents> {
        unit.digest.as_ref().map_err(Clone::clone)?;
        let path = self.inputs.repository.root().join(&*unit.file);
        self.open_file(unit).map_err(|error| {
            let error = match (error.code, &unit.by_rules) {
                ("no-identity", Some(_)) if self.inputs.identities.problems().is_empty() => Error::new("awaits-rekey", "the rules give this file to this host, but none of its identities opens it: it awaits re-key")
                    .with_hint("re-key it with an identity that opens it"),
                _ => error,
            };
            error.with_file(&path)
        })
    }

    fn open_file(&self, unit: &Unit) -> Result<Contents> {
        let Inputs {
            config,
            repository,
            identities,
        } = self.inputs;
        let content = repository.read(Path::new(&*unit.file))?;
        // It may have changed since it was looked at: what is remembered is what is delivered here.
        let digest = hex(&content_hash(content.expose()));
        let document = Document::parse(content, unit.format, &config.limits)?;
        let key = crate::open::data_key(&document, identities)?;
        let opened = document.open(&key)?;
        let lastmodified = &document.metadata().lastmodified;
        let data_key = crate::open::fingerprint(&self.memory.salt, &key);
        let held = self.guard.judge(
            self.memory,
            &unit.file,
            &unit.origin,
            lastmodified,
            &data_key,
        );
        let mut contents = Contents {
            values: Vec::with_capacity(unit.named.len()),
            record: FileRecord {
                digest: digest.clone(),
                layout: ByRules::describe(unit.by_rules.as_ref()),
                origin: unit.origin.clone(),
                delivered: lastmodified.clone(),
                lastmodified: self.guard.newest(self.memory, &unit.file, lastmodified),
                data_key,
                left_out: Vec::new(),
                complete: true,
            },
            notes: Vec::new(),
        };
        let leaves = Leaves::of(&opened, unit)?;
        for Named { wanted, key } in &unit.named {
            let value = if key.is_empty() {
                opened.plaintext()
            } else {
                leaves.find(&opened, key)
            };
            let is_rejected = self.memory.rejected.get(&*wanted.name) == Some(&digest);
            contents.values.push(Value {
                wanted: wanted.clone(),
                source: Some(source_of(&digest, unit.format, key).into()),
                content: if is_rejected { Err(rejected()) } else { value },
            });
        }
        if let Some(by_rules) = &unit.by_rules {
            self.lay_out(unit, by_rules, &opened, leaves, &mut contents)?;
        }
        if let Some(held) = held {
            // What was delivered before stays what later ones are compared with.
            contents.record = self
                .memory
                .files
                .get(&*unit.file)
                .cloned()
                .unwrap_or_default();
            for value in contents
                .values
                .iter_mut()
                .filter(|value| !value.wanted.accept_old)
            {
                value.content = Err(held.clone());
            }
        }
        Ok(contents)
    }

    /// The keyed hash of the data key of a file that has changed; nothing where it cannot be opened.
    pub(super) fn data_key_of(&self, unit: &Unit) -> Option<String> {
        // One that is opened again although it is the same keeps its key, which is remembered.
        if self.is_same(unit) {
            return None;
        }
        let Inputs {
            config,
            repository,
            identities,
        } = self.inputs;
        let content = repository.read(Path::new(&*unit.file)).ok()?;
        let document = Document::parse(content, unit.format, &config.limits).ok()?;
        let key = crate::open::data_key(&document, identities).ok()?;
        Some(crate::open::fingerprint(&self.memory.salt, &key))
    }

    fn lay_out(
        &self,
        unit: &Unit,
        by_rules: &ByRules,
        opened: &Opened<'_>,
        leaves: Leaves,
        contents: &mut Contents,
    ) -> Result<()> {
        if !splits(unit, by_rules, opened) {
            let wanted = self.at(by_rules.location.as_str().into());
            let content = opened.plaintext();
            contents.values.push(Value {
                wanted,
                source: None,
                content,
            });
            return Ok(());
        }
        let mut taken: HashSet<String> = HashSet::new();
        for leaf in leaves.list {
            let parts: Vec<String> = leaf.path.iter().map(step_text).collect();
            let location = format!("{}/{}", by_rules.location, parts.join("/"));
            let reason = parts
                .iter()
                .find_map(|part| unsafe_part(part))
                .or_else(|| unsafe_path(&location));
            let reason = reason.or_else(|| {
                (!taken.insert(location.clone()))
                    .then(|| "is the path of another leaf too".to_owned())
            });
            match reason {
                None => contents.values.push(Value {
                    wanted: self.at(location.into()),
                    source: None,
                    content: Ok(leaf.value),
                }),
                Some(reason) => {
                    let reason = format!("`{}` {reason}", parts.join("/"));
                    contents
                        .notes
                        .push(left_out(self.inputs, &unit.file, &reason));
                    contents.record.left_out.push(reason);
                }
            }
        }
        Ok(())
    }
}

/// The leaves of a document, listed once.
struct Leaves {
    list: Vec<Leaf>,
    /// The path of each, as text, to its number.
    by_path: HashMap<Vec<String>, usize>,
}

impl Leaves {
    fn of(opened: &Opened<'_>, unit: &Unit) -> Result<Self> {
        let by_key = unit.named.iter().any(|named| !named.key.is_empty());
        let split = unit
            .by_rules
            .as_ref()
            .is_some_and(|by_rules| splits(unit, by_rules, opened));
        if !by_key && !split {
            return Ok(Self {
                list: Vec::new(),
                by_path: HashMap::new(),
            });
        }
        let list = opened.leaves()?;
        let paths = if by_key { list.as_slice() } else { &[] };
        let by_path = paths
            .iter()
            .enumerate()
            .map(|(number, leaf)| (leaf.path.iter().map(step_text).collect(), number))
            .collect();
        Ok(Self { list, by_path })
    }

    /// The value at `key`: a leaf, or all that is below.
    fn find(&self, opened: &Opened<'_>, key: &[String]) -> Result<Secret> {
        if let Some(leaf) = self
            .by_path
            .get(key)
            .and_then(|number| self.list.get(*number))
        {
            return Ok(leaf.value.duplicate());
        }
        // Whether a part is a key or an index is what the document says.
        let below = self.list.iter().find(|leaf| {
            leaf.path.len() > key.len()
                && leaf
                    .path
                    .iter()
                    .zip(key)
                    .all(|(step, part)| step_text(step) == *part)
        });
        match below {
            Some(leaf) => opened.extract(leaf.path.get(..key.len()).unwrap_or_default()),
            None => {
                let steps: Vec<Step> = key.iter().cloned().map(Step::Key).collect();
                opened.extract(&steps)
            }
        }
    }
}

/// Whether a file becomes a directory with a file for each leaf.
fn splits(unit: &Unit, by_rules: &ByRules, opened: &Opened<'_>) -> bool {
    by_rules.layout == Layout::Leaves
        && matches!(unit.format, Format::Yaml | Format::Json)
        && opened.documents() == 1
}

fn step_text(step: &Step) -> String {
    match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    }
}
