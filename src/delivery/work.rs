//! One file of the repository, once: opened if it must be, its parts put into the generation that is being written.
//! What fails is degraded alone and keeps its last good value.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Mutex,
};

use super::{
    Inputs,
    desired::{ByRules, Desired, Named, Unit, Wanted, of_location, source_of},
    generation::{Draft, Placed, Previous, Refused},
    guard::{Guard, fingerprint},
    owners::Owners,
    reconcile::Outcome,
    state::{FileRecord, Memory, OutputRecord, hex},
};
use crate::{
    config::{Layout, unsafe_part, unsafe_path},
    error::{Error, Result},
    repository::content_hash,
    secret::Secret,
    sops::{
        Leaf, Step,
        document::{Document, Opened},
        format::Format,
    },
};

/// What is there to compare with.
#[derive(Clone, Copy)]
pub(super) struct Check<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) memory: &'a Memory,
    pub(super) previous: Option<&'a Previous>,
    pub(super) owners: &'a Mutex<Owners>,
}

/// What all threads share.
pub(super) struct Work<'a> {
    pub(super) check: Check<'a>,
    pub(super) draft: &'a Draft<'a>,
    pub(super) guard: &'a Guard,
    /// Seconds since 1970.
    pub(super) now: u64,
}

impl<'a> std::ops::Deref for Work<'a> {
    type Target = Check<'a>;

    fn deref(&self) -> &Check<'a> {
        &self.check
    }
}

/// What came of one wanted file.
pub(super) struct Done {
    pub(super) wanted: Wanted,
    pub(super) file: Option<String>,
    /// The file in the generation; absent where there is not even a last good one.
    pub(super) record: Option<OutputRecord>,
    pub(super) new_file: bool,
    pub(super) new_content: bool,
    /// Why it is degraded, if it is.
    pub(super) cause: Option<Error>,
}

/// What came of one file of the repository.
pub(super) struct UnitDone {
    pub(super) file: String,
    pub(super) outputs: Vec<Done>,
    pub(super) record: FileRecord,
    pub(super) notes: Vec<Error>,
}

/// What was in the file.
struct Contents {
    values: Vec<(Wanted, String, bool, Result<Secret>)>,
    record: FileRecord,
    notes: Vec<Error>,
}

impl Check<'_> {
    /// The outcome, where everything is as it was.
    pub(super) fn unchanged(&self, desired: &Desired<'_>) -> Option<Outcome> {
        self.previous?;
        let clean = self.memory.degraded.is_empty()
            && desired.units.iter().all(|unit| self.is_clean(unit))
            && desired
                .templates
                .iter()
                .all(|template| self.is_template_clean(template));
        if !clean {
            return None;
        }
        let mut outcome = Outcome::default();
        for unit in &desired.units {
            let mut done = self.unit_done(unit);
            for wanted in self.wanted_of(unit) {
                let output = self.as_it_is(wanted, Some(unit.file.clone()))?;
                done.outputs.push(output);
            }
            outcome.add(done);
        }
        for template in &desired.templates {
            outcome
                .outputs
                .push(self.as_it_is(template.wanted.clone(), None)?);
        }
        (outcome.outputs.len() == self.memory.outputs.len()).then_some(outcome)
    }

    fn as_it_is(&self, wanted: Wanted, file: Option<String>) -> Option<Done> {
        let record = self.memory.outputs.get(&wanted.location)?;
        let same = wanted
            .attributes
            .as_ref()
            .is_ok_and(|attributes| *attributes == record.attributes());
        same.then(|| Done {
            wanted,
            file,
            record: Some(record.clone()),
            new_file: false,
            new_content: false,
            cause: None,
        })
    }

    /// The named secrets of a unit, and the leaves that it had.
    fn wanted_of(&self, unit: &Unit) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = unit
            .named
            .iter()
            .map(|named| named.wanted.clone())
            .collect();
        wanted.extend(
            self.delivered_by_rules(unit)
                .map(|(location, _)| self.at(location.clone())),
        );
        wanted
    }

    /// Whether nothing that decides the content has changed since the last generation.
    pub(super) fn is_clean(&self, unit: &Unit) -> bool {
        let (Some(record), Ok(digest)) = (self.memory.files.get(&unit.file), &unit.digest) else {
            return false;
        };
        let same = record.complete
            && record.digest == *digest
            && record.layout == ByRules::describe(unit.by_rules.as_ref());
        same && unit.named.iter().all(|named| {
            let source = source_of(digest, unit.format, &named.key);
            self.memory
                .outputs
                .get(&named.wanted.location)
                .is_some_and(|record| {
                    record.source == source
                        && record.name == named.wanted.name
                        && self.is_intact(&named.wanted.location, record)
                })
        }) && self
            .delivered_by_rules(unit)
            .all(|(location, record)| self.is_intact(location, record))
    }

    fn is_intact(&self, location: &str, record: &OutputRecord) -> bool {
        self.previous.is_some_and(|previous| {
            previous.has(location, &record.fingerprint(), &record.attributes())
        })
    }

    /// What this file's delivery by rules consisted of.
    fn delivered_by_rules<'s>(
        &'s self,
        unit: &'s Unit,
    ) -> impl Iterator<Item = (&'s String, &'s OutputRecord)> {
        let outputs = unit.by_rules.is_some().then_some(&self.memory.outputs);
        outputs
            .into_iter()
            .flatten()
            .filter(|(_, record)| record.by_rules && record.file.as_deref() == Some(&*unit.file))
    }

    /// A unit of which nothing is known but what is remembered.
    fn unit_done(&self, unit: &Unit) -> UnitDone {
        let record = self
            .memory
            .files
            .get(&unit.file)
            .cloned()
            .unwrap_or_default();
        let notes = record
            .left_out
            .iter()
            .map(|reason| left_out(self.inputs, &unit.file, reason))
            .collect();
        UnitDone {
            file: unit.file.clone(),
            outputs: Vec::new(),
            record,
            notes,
        }
    }

    fn at(&self, location: String) -> Wanted {
        of_location(location, self.inputs.config, self.owners)
    }
}

impl Work<'_> {
    /// An error is about the whole generation.
    pub(super) fn process(&self, unit: &Unit) -> Result<UnitDone> {
        if self.is_clean(unit)
            && let Some(done) = self.carry(unit)?
        {
            return Ok(done);
        }
        match self.open(unit) {
            Ok(contents) => self.deliver(unit, contents),
            Err(cause) => self.degrade(unit, &cause),
        }
    }

    /// Everything of a clean unit, taken over. `None`: something has changed meanwhile.
    fn carry(&self, unit: &Unit) -> Result<Option<UnitDone>> {
        let mut done = self.unit_done(unit);
        for wanted in self.wanted_of(unit) {
            let output = self.last_good(unit, wanted, None)?;
            if output.record.is_none() {
                for output in &done.outputs {
                    self.draft.discard(&output.wanted.location);
                }
                return Ok(None);
            }
            done.outputs.push(output);
        }
        Ok(Some(done))
    }

    /// Everything of a unit that cannot be opened.
    fn degrade(&self, unit: &Unit, cause: &Error) -> Result<UnitDone> {
        let mut done = self.unit_done(unit);
        done.record.complete = false;
        let mut wanted = self.wanted_of(unit);
        if let Some(by_rules) = unit
            .by_rules
            .as_ref()
            .filter(|_| wanted.len() == unit.named.len())
        {
            // Nothing is known of its leaves: it stands for all of them.
            wanted.push(self.at(by_rules.location.clone()));
        }
        for wanted in wanted {
            done.outputs
                .push(self.last_good(unit, wanted, Some(cause.clone()))?);
        }
        Ok(done)
    }

    fn deliver(&self, unit: &Unit, contents: Contents) -> Result<UnitDone> {
        let Contents {
            values,
            record,
            notes,
        } = contents;
        let mut done = UnitDone {
            record,
            notes,
            ..self.unit_done(unit)
        };
        for (wanted, source, by_rules, value) in values {
            let output = match (&wanted.attributes, value) {
                (Err(cause), _) => {
                    let cause = cause.clone();
                    self.last_good(unit, wanted, Some(cause))?
                }
                (_, Err(cause)) => self.last_good(unit, wanted, Some(cause))?,
                (Ok(attributes), Ok(value)) => {
                    let before = self.memory.outputs.get(&wanted.location);
                    let fingerprint = before.map(OutputRecord::fingerprint);
                    let previous = self.previous.zip(fingerprint.as_ref());
                    match self
                        .draft
                        .put(previous, &wanted.location, &value, attributes)
                    {
                        Ok(placed) => {
                            let since = before
                                .filter(|_| !placed.new_content)
                                .map_or(self.now, |before| before.since);
                            let file = Some(unit.file.as_str());
                            let record = OutputRecord::new(
                                &wanted.name,
                                file,
                                source,
                                by_rules,
                                *attributes,
                                placed.fingerprint,
                                since,
                            );
                            self.done(unit, wanted, Some(record), &placed, None)
                        }
                        Err(Refused::File(cause)) => self.last_good(unit, wanted, Some(cause))?,
                        Err(Refused::All(error)) => return Err(error),
                    }
                }
            };
            done.record.complete &= output.cause.is_none();
            done.outputs.push(output);
        }
        Ok(done)
    }

    /// Takes over what was delivered before, with the owner and mode that are wanted now where that is possible.
    pub(super) fn last_good_of(&self, wanted: &Wanted) -> Result<Option<(OutputRecord, Placed)>> {
        let (Some(record), Some(previous)) =
            (self.memory.outputs.get(&wanted.location), self.previous)
        else {
            return Ok(None);
        };
        if record.name != wanted.name {
            return Ok(None);
        }
        let attributes = wanted
            .attributes
            .as_ref()
            .map_or(record.attributes(), |attributes| *attributes);
        match self.draft.keep(
            previous,
            &wanted.location,
            &record.fingerprint(),
            &record.attributes(),
            &attributes,
        ) {
            Ok(Some(placed)) => Ok(Some((record.moved(placed.fingerprint, attributes), placed))),
            Ok(None) => Ok(None),
            // The wanted owner cannot be had; the value is kept for the owner that it has.
            Err(Refused::File(_)) => {
                let old = record.attributes();
                match self.draft.keep(
                    previous,
                    &wanted.location,
                    &record.fingerprint(),
                    &old,
                    &old,
                ) {
                    Ok(placed) => {
                        Ok(placed.map(|placed| (record.moved(placed.fingerprint, old), placed)))
                    }
                    Err(Refused::File(_)) => Ok(None),
                    Err(Refused::All(error)) => Err(error),
                }
            }
            Err(Refused::All(error)) => Err(error),
        }
    }

    fn last_good(&self, unit: &Unit, wanted: Wanted, cause: Option<Error>) -> Result<Done> {
        let cause = cause.or_else(|| wanted.attributes.as_ref().err().cloned());
        Ok(match self.last_good_of(&wanted)? {
            Some((record, placed)) => self.done(unit, wanted, Some(record), &placed, cause),
            None => self.done(unit, wanted, None, &Placed::default(), cause),
        })
    }

    fn done(
        &self,
        unit: &Unit,
        wanted: Wanted,
        record: Option<OutputRecord>,
        placed: &Placed,
        cause: Option<Error>,
    ) -> Done {
        let file = Some(unit.file.clone());
        Done {
            wanted,
            file,
            record,
            new_file: placed.new_file,
            new_content: placed.new_content,
            cause,
        }
    }

    fn open(&self, unit: &Unit) -> Result<Contents> {
        unit.digest.as_ref().map_err(Clone::clone)?;
        let path = self.inputs.repository.root().join(&unit.file);
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
        let content = repository.read(Path::new(&unit.file))?;
        // It may have changed since it was looked at: what is remembered is what is delivered here.
        let digest = hex(&content_hash(content.expose()));
        let document = Document::parse(content, unit.format, &config.limits)?;
        let key = crate::open::data_key(document.metadata(), identities)?;
        let opened = document.open(&key)?;
        let lastmodified = &document.metadata().lastmodified;
        let data_key = fingerprint(&self.memory.salt, &key);
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
            contents.values.push((
                wanted.clone(),
                source_of(&digest, unit.format, key),
                false,
                value,
            ));
        }
        if let Some(by_rules) = &unit.by_rules {
            self.lay_out(unit, by_rules, &opened, leaves, &digest, &mut contents)?;
        }
        if let Some(held) = held {
            // What was delivered before stays what later ones are compared with.
            contents.record = self
                .memory
                .files
                .get(&unit.file)
                .cloned()
                .unwrap_or_default();
            for (wanted, _, _, value) in &mut contents.values {
                if !wanted.rollback {
                    *value = Err(held.clone());
                }
            }
        }
        Ok(contents)
    }

    /// The keyed hash of the data key of a file that has changed; nothing where it cannot be opened.
    pub(super) fn data_key_of(&self, unit: &Unit) -> Option<String> {
        if self.is_clean(unit) {
            return None;
        }
        let Inputs {
            config,
            repository,
            identities,
        } = self.inputs;
        let content = repository.read(Path::new(&unit.file)).ok()?;
        let document = Document::parse(content, unit.format, &config.limits).ok()?;
        let key = crate::open::data_key(document.metadata(), identities).ok()?;
        Some(fingerprint(&self.memory.salt, &key))
    }

    fn lay_out(
        &self,
        unit: &Unit,
        by_rules: &ByRules,
        opened: &Opened<'_>,
        leaves: Leaves,
        digest: &str,
        contents: &mut Contents,
    ) -> Result<()> {
        if !splits(unit, by_rules, opened) {
            let wanted = self.at(by_rules.location.clone());
            contents
                .values
                .push((wanted, digest.to_owned(), true, opened.plaintext()));
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
                None => contents.values.push((
                    self.at(location),
                    digest.to_owned(),
                    true,
                    Ok(leaf.value),
                )),
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

fn left_out(inputs: &Inputs<'_>, file: &str, reason: &str) -> Error {
    Error::new(
        "left-out",
        format!("the value {reason}, so it is not delivered"),
    )
    .with_file(&inputs.repository.root().join(file))
    .with_hint("rename the key, or use `layout: files`")
}
