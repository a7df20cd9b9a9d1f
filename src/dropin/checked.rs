//! A manifest and every entry of it, checked as far as that is possible without a key.

use super::{
    args::Check,
    contents,
    entries::{Arrival, Attributes, RENDERED, Users},
    manifest::{Entry, Manifest},
    run::Run,
    templates,
};
use crate::{
    error::{Error, Result},
    output::Output,
};

/// An entry, as far as it could be checked.
pub(super) struct Checked<'m> {
    pub(super) entry: &'m Entry,
    pub(super) template: bool,
    pub(super) arrival: Arrival,
    pub(super) attributes: Result<Attributes>,
    /// What else is wrong with it.
    pub(super) problem: Option<Error>,
}

impl<'m> Run<'m> {
    /// All that can be told without a key. What is wrong with one entry is an error only where nothing is isolated.
    pub(super) fn check(&self, output: &mut Output) -> Result<Vec<Checked<'m>>> {
        let Manifest {
            secrets, templates, ..
        } = self.manifest;
        if self.call.check == Check::Off {
            for (field, value) in [
                ("secretsMountPoint", &self.manifest.mount_point),
                ("symlinkPath", &self.manifest.link),
            ] {
                if value.is_empty() {
                    let error = Error::new("manifest", format!("{field} is missing"));
                    return Err(not_valid(error));
                }
            }
        }
        for secret in secrets {
            if let Some(format) = &secret.format.unknown {
                let message = format!(
                    "the secret `{}` has the unknown format `{format}`, and is taken for yaml",
                    secret.entry.name
                );
                output.warning(&Error::new("manifest", message));
            }
        }
        self.check_placeholders().map_err(not_valid)?;
        let surroundings = self.surroundings();
        let mut users = Users::of(&self.call.manifest);
        let mut problems: Vec<Result<()>> = contents::check_formats(secrets);
        if self.call.check == Check::SopsFile {
            let found = problems.into_iter().zip(contents::check_files(secrets));
            problems = found.map(|(format, file)| format.and(file)).collect();
        }
        problems.extend(
            templates
                .iter()
                .map(|template| templates::text(template).map(|_| ())),
        );
        let entries = secrets.iter().map(|secret| (&secret.entry, false));
        let entries = entries.chain(templates.iter().map(|template| (&template.entry, true)));
        let mut checked = Vec::new();
        for ((entry, template), problem) in entries.zip(problems) {
            let named = |error| not_valid(about(entry, template, error));
            let directory = if template { RENDERED } else { "" };
            // Without a place nothing can be kept there either.
            let arrival = surroundings.arrival(entry, directory).map_err(named)?;
            let attributes = surroundings
                .attributes(entry, !template, &mut users)
                .map_err(named);
            let problem = problem.map_err(named).err();
            if !self.isolate {
                attributes.as_ref().map_err(Clone::clone)?;
                problem.clone().map_or(Ok(()), Err)?;
            }
            checked.push(Checked {
                entry,
                template,
                arrival,
                attributes,
                problem,
            });
        }
        let arrivals: Vec<Arrival> = checked.iter().map(|entry| entry.arrival.clone()).collect();
        surroundings.check_links(&arrivals).map_err(not_valid)?;
        Ok(checked)
    }

    /// Where there are templates, every secret has a placeholder.
    fn check_placeholders(&self) -> Result<()> {
        if self.manifest.templates.is_empty() {
            return Ok(());
        }
        for secret in &self.manifest.secrets {
            let name = &secret.entry.name;
            let what = match self.manifest.placeholders.get(name) {
                None => "has no placeholder",
                Some(text) if text.is_empty() => "has an empty placeholder",
                Some(_) => continue,
            };
            return Err(Error::new(
                "manifest",
                format!("the secret `{name}` {what}"),
            ));
        }
        Ok(())
    }
}

pub(super) fn about(entry: &Entry, template: bool, error: Error) -> Error {
    let kind = if template { "template" } else { "secret" };
    Error {
        message: format!("{kind} `{}`: {}", entry.name, error.message),
        ..error
    }
}

pub(super) fn not_valid(error: Error) -> Error {
    Error {
        message: format!("the manifest is not valid: {}", error.message),
        ..error
    }
}
