//! The templates of one generation, rendered from the secrets that are already in it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    check::Check,
    desired::TemplateWork,
    draft::{Placed, Refused},
    generation::Previous,
    state::OutputRecord,
    template,
    work::{Done, Work},
};
use crate::{
    config::TemplateContent,
    error::{Error, Result},
    secret::Secret,
};

/// What templates may ask for.
pub(super) struct Values {
    directory: Previous,
    by_name: HashMap<Arc<str>, Value>,
}

struct Value {
    /// And its size; absent where there is no value, not even an old one.
    location: Option<(Arc<str>, u64)>,
    degraded: bool,
}

impl Values {
    /// The secrets among `outputs`, read from `directory` when they are asked for.
    pub(super) fn new<'d>(directory: Previous, outputs: impl Iterator<Item = &'d Done>) -> Self {
        let value = |done: &Done| Value {
            location: done
                .record
                .as_ref()
                .map(|record| (done.wanted.location.clone(), record.fingerprint().size)),
            degraded: done.cause.is_some(),
        };
        // What the configuration names goes before a file of the repository that happens to arrive at a path of this name.
        let mut by_name = HashMap::new();
        for done in outputs {
            let by_rules = done.wanted.name == done.wanted.location;
            if !(by_rules && by_name.contains_key(&done.wanted.name)) {
                by_name.insert(done.wanted.name.clone(), value(done));
            }
        }
        Self { directory, by_name }
    }

    fn look_up(&self, name: &str, degraded: &Mutex<Option<String>>) -> Result<Secret> {
        let Some(value) = self.by_name.get(name) else {
            let error = Error::new(
                template::NO_SUCH_SECRET,
                format!("there is no secret `{name}`"),
            );
            let near = self
                .by_name
                .keys()
                .map(|other| (strsim::osa_distance(name, other), other))
                .min();
            return Err(match near.filter(|(distance, _)| *distance <= 1 + name.len() / 4) {
                Some((_, other)) => error.with_hint(format!("did you mean `{other}`?")),
                None => error.with_hint("a secret's name is its key in `secrets`, or its path when it is delivered by rules"),
            });
        };
        if value.degraded {
            degraded
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_with(|| name.to_owned());
        }
        let content = value
            .location
            .as_ref()
            .and_then(|(location, size)| self.directory.read(location, *size));
        content.ok_or_else(|| depends_on(name))
    }
}

impl Work<'_> {
    /// Renders one template and puts it into the generation.
    pub(super) fn render(&self, work: &TemplateWork<'_>, values: &Arc<Values>) -> Result<Done> {
        let degraded: Arc<Mutex<Option<String>>> = Arc::default();
        let rendered = work.text.as_ref().map_err(Clone::clone).and_then(|text| {
            let limit = usize::try_from(self.inputs.config.limits.file_size).unwrap_or(usize::MAX);
            let (values, degraded) = (Arc::clone(values), Arc::clone(&degraded));
            template::render(text, work.entry.environment, limit, move |name| {
                values.look_up(name, &degraded)
            })
            .map_err(|error| place(error, work))
        });
        let stale = degraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Rendered all the same, from old values, for the case that there is nothing older.
        let cause = stale.map(|name| {
            work.entry
                .place
                .error("template-degraded", depends_on(&name).message)
        });
        let (text, attributes) = match (rendered, &work.wanted.attributes) {
            (Ok(text), Ok(attributes)) => (text, attributes),
            (Err(error), _) => return self.keep_template(work, error),
            (_, Err(error)) => return self.keep_template(work, Error::clone(error)),
        };
        if let Some(cause) = &cause {
            // Made of an old value it would be no newer than what is there.
            let kept = self.keep_template(work, cause.clone())?;
            if kept.record.is_some() {
                return Ok(kept);
            }
        }
        let before = self.memory.outputs.get(&work.wanted.location);
        let fingerprint = before.map(|before| before.fingerprint());
        match self.draft.put(
            self.previous.zip(fingerprint.as_ref()),
            &work.wanted.location,
            &text,
            attributes,
        ) {
            Ok(placed) => {
                let since = before
                    .filter(|_| !placed.new_content)
                    .map_or(self.now, |before| before.since);
                let source = Some(work.source.as_str().into());
                let record = OutputRecord::new(
                    Arc::clone(&work.wanted.name),
                    None,
                    source,
                    *attributes,
                    placed.fingerprint,
                    since,
                );
                Ok(done(work, Some(record), placed, cause))
            }
            Err(Refused::File(cause)) => self.keep_template(work, cause),
            Err(Refused::All(error)) => Err(error),
        }
    }

    fn keep_template(&self, work: &TemplateWork<'_>, cause: Error) -> Result<Done> {
        Ok(match self.last_good_of(&work.wanted)? {
            Some(kept) => done(work, Some(kept.record), kept.placed, Some(cause)),
            None => done(work, None, Placed::default(), Some(cause)),
        })
    }
}

impl Check<'_> {
    /// Whether a template was rendered as it would be now, given the same secrets.
    pub(super) fn is_template_clean(&self, work: &TemplateWork<'_>) -> bool {
        let Ok(attributes) = &work.wanted.attributes else {
            return false;
        };
        work.text.is_ok()
            && self
                .memory
                .outputs
                .get(&work.wanted.location)
                .is_some_and(|record| {
                    record.source.as_deref() == Some(&*work.source)
                        && record.name == work.wanted.name
                        && record.attributes() == *attributes
                        && self.previous.is_some_and(|previous| {
                            previous.has(&work.wanted.location, &record.fingerprint(), attributes)
                        })
                })
    }
}

fn done(
    work: &TemplateWork<'_>,
    record: Option<Arc<OutputRecord>>,
    placed: Placed,
    cause: Option<Error>,
) -> Done {
    let wanted = work.wanted.clone();
    let cause = cause.map(Box::new);
    Done {
        wanted,
        file: None,
        since: record.as_ref().map(|record| record.since),
        record,
        new_file: placed.new_file,
        new_content: placed.new_content,
        cause,
    }
}

fn depends_on(name: &str) -> Error {
    Error::new(
        "template-degraded",
        format!("the template uses the secret `{name}`, which is degraded"),
    )
}

/// A position in the template becomes one in its file, or is told in words where the template stands in the
/// configuration.
fn place(error: Error, work: &TemplateWork<'_>) -> Error {
    if error.file.is_some() {
        return error;
    }
    match &work.entry.content {
        TemplateContent::File(path) => error.with_file(path),
        TemplateContent::Text(_) => {
            let line = error.position.map_or(String::new(), |position| {
                format!("line {} of the template: ", position.line)
            });
            let placed = work
                .entry
                .place
                .error(error.code, format!("{line}{}", error.message));
            match error.hint {
                Some(hint) => placed.with_hint(hint),
                None => placed,
            }
        }
    }
}
