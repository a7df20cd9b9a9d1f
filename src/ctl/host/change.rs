//! A change of the rules: shown, confirmed, written; with `--rekey` in one transaction with the files.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use policy::{
    edit::{self, Edit, EditError},
    names::{comparable, shortened},
    rules::Rules,
    yaml,
};
use serde_json::{Map, Value, json};

use super::Confirm;
use crate::{
    ctl::{
        Context,
        diff::Diff,
        rekey::{Job, confirmed, refuse_unasked, tell},
    },
    error::{Error, Result},
    escape,
    files::{ReadLimit, check_one_name, read_any, write_output},
    identity::recipients_of_public,
    limits::Limits,
    output::{Outcome, Output},
    rekey::{Allowed, NewRules, recover, survey::Rotation},
    repository::{Repository, content_hash, find, no_rules, parse_rules},
};

const UTF8_MARK: &str = "\u{feff}";
/// Hosts that are named before they are only counted.
const SHOWN: usize = 10;

/// How it is done.
#[derive(Clone, Copy)]
pub(super) struct How {
    rekey: bool,
    dry_run: bool,
    yes: bool,
}

impl How {
    pub(super) fn of(rekey: bool, confirm: Confirm) -> Self {
        Self {
            rekey,
            dry_run: confirm.dry_run,
            yes: confirm.yes,
        }
    }
}

/// One change of the rules.
pub(super) struct Change<'c> {
    /// What happened to the hosts, in words.
    pub(super) what: &'c str,
    /// The names that were asked for: one may be misspelt.
    pub(super) asked: &'c [&'c str],
    /// Recipients that come.
    pub(super) new: Vec<&'c str>,
    pub(super) edit: &'c dyn Fn(&str, yaml::Limits) -> std::result::Result<Edit, EditError>,
}

impl Change<'_> {
    pub(super) fn run(&self, how: How, context: &mut Context) -> Result<Outcome> {
        let limits = Limits::default();
        let found = find(context.global.config_file.as_deref())?.required()?;
        if !how.dry_run && !how.yes {
            if context.output.is_json() {
                return Err(
                    Error::new("not-confirmed", "with --json nobody can be asked")
                        .with_hint("look at it with --dry-run, then run it with --yes"),
                );
            }
            refuse_unasked()?;
        }
        let repository = Repository::open(&found.root, limits)?;
        let _lock = (!how.dry_run).then(|| repository.lock()).transpose()?;
        if !how.dry_run && how.rekey {
            tell(recover(&repository)?, &mut context.output);
        }
        let file = RulesFile::read(&found.file, &repository, &limits)?;
        let (edit, text) = self.edited(&file, &limits)?;
        let rules = parse_rules(text.as_bytes(), &limits)?;
        if how.rekey && !rules.are_present() {
            return Err(no_rules().with_file(&found.file));
        }
        let name = found.file.file_name().unwrap_or_default();
        let diff = Diff::new(Path::new(name), &file.text, &text);
        let report = |is_done: bool| self.as_json(&edit, &diff, is_done);
        let output = &mut context.output;
        if !output.is_json() {
            diff.print(output)?;
            output.flush()?;
        }
        self.tell(&edit, output);
        if how.rekey {
            let old_rules = parse_rules(file.text.as_bytes(), &limits)?;
            let new_rules = file.replaced_by(text)?;
            let shown = |rekeyed: Value, is_done: bool| {
                let mut report = report(is_done);
                report.insert("rekey".to_owned(), rekeyed);
                Value::from(report)
            };
            let job = Job {
                found: &found,
                repository: &repository,
                rules: &rules,
                new_rules: Some(new_rules),
                old_rules: Some(&old_rules),
                paths: Vec::new(),
                rotation: Rotation::OnRemoval,
                allowed: Allowed {
                    losing_access: false,
                    plaintext: false,
                },
                keep_going: false,
                dry_run: how.dry_run,
                yes: how.yes,
                shown: &shown,
            };
            let outcome = job.run(context)?;
            if !how.dry_run {
                self.print_done(&edit, context)?;
            }
            return Ok(outcome);
        }
        if !how.dry_run {
            if !how.yes && !confirmed("Write the rules?", output)? {
                return Err(Error::new("not-confirmed", "nothing was changed"));
            }
            if !diff.is_empty() {
                file.write(&text, &limits)?;
            }
            self.print_done(&edit, context)?;
            let output = &mut context.output;
            if !output.is_json() && !edit.rules.is_empty() {
                output.line(
                    "The files are as they were: `secretsctl rekey` makes them obey the rules.",
                )?;
            }
        }
        let output = &mut context.output;
        if output.is_json() {
            output.json(&Value::from(report(!how.dry_run && !diff.is_empty())))?;
        }
        Ok(Outcome::Fine)
    }

    fn edited(&self, file: &RulesFile, limits: &Limits) -> Result<(Edit, String)> {
        let yaml_limits = limits.of_yaml();
        let (mark, text) = match file.text.strip_prefix(UTF8_MARK) {
            Some(text) => (UTF8_MARK, text),
            None => ("", file.text.as_str()),
        };
        let in_file = |error: EditError| refusal(error, self.asked, text, yaml_limits, &file.path);
        let edit = (self.edit)(text, yaml_limits).map_err(in_file)?;
        refuse_other_half(&self.new, &edit.text, yaml_limits)
            .map_err(|error| error.with_file(&file.path))?;
        let text = format!("{mark}{}", edit.text);
        Ok((edit, text))
    }

    /// What is worth a warning.
    fn tell(&self, edit: &Edit, output: &mut Output) {
        for name in &edit.unnamed {
            let message = format!("nothing in the rules says that the new key is that of {name}");
            output.warning(&Error::new("unnamed-host", message).with_hint(
                "keep keys in a list of anchors, `- &name age1…`, or write the name behind the key as a comment",
            ));
        }
        if self.what == "added" && edit.rules.is_empty() {
            let message = match edit.hosts.as_slice() {
                [(name, _)] => format!("no rule names {name} yet"),
                several => format!("no rule names these {} hosts yet", several.len()),
            };
            output.warning(&Error::new("unused-host", message).with_hint(
                "write an alias into the rules, `- *name`, or add the host with --like another one",
            ));
        }
    }

    fn as_json(&self, edit: &Edit, diff: &Diff, is_done: bool) -> Map<String, Value> {
        let host =
            |(name, recipient): &(String, String)| json!({"name": name, "recipient": recipient});
        let hosts: Vec<Value> = edit.hosts.iter().map(host).collect();
        let mut report = Map::new();
        report.insert("changed".to_owned(), is_done.into());
        report.insert("diff".to_owned(), diff.text().into());
        report.insert("hosts".to_owned(), hosts.into());
        report.insert("rules".to_owned(), json!(edit.rules));
        report
    }

    fn print_done(&self, edit: &Edit, context: &mut Context) -> Result<()> {
        let output = &mut context.output;
        if output.is_json() {
            return Ok(());
        }
        let rules = match edit.rules.len() {
            0 => String::new(),
            1 => ", in 1 rule".to_owned(),
            several => format!(", in {several} rules"),
        };
        let names = edit.hosts.iter().take(SHOWN);
        let names: Vec<_> = names.map(|(name, _)| escape::text(name)).collect();
        let mut names = names.join(", ");
        if edit.hosts.len() > SHOWN {
            names.push_str(&format!(" and {} more", edit.hosts.len() - SHOWN));
        }
        output.line(&match self.what.ends_with(':') {
            true => format!("{names} {} {}{rules}", self.what, keys(edit)),
            false => format!("{} {names}{rules}", self.what),
        })
    }
}

/// An SSH key and the age key that ssh-to-age makes of it are one host.
fn refuse_other_half(new: &[&str], text: &str, limits: yaml::Limits) -> Result<()> {
    let Ok(keys) = edit::keys(text, limits) else {
        return Ok(());
    };
    let new: BTreeSet<String> = new.iter().map(|key| comparable(key)).collect();
    let known: BTreeSet<&String> = keys.iter().collect();
    for key in known.iter().filter(|key| key.starts_with("ssh-")) {
        for half in recipients_of_public(key) {
            let is_pair = half != **key && known.contains(&half);
            if is_pair && (new.contains(*key) || new.contains(&half)) {
                let message = "an SSH key and the age key made of it are the same host, and both would be in the rules";
                let both = format!("they are {} and {}", shortened(key), shortened(&half));
                return Err(Error::new("recipient-exists", message).with_hint(both));
            }
        }
    }
    Ok(())
}

fn keys(edit: &Edit) -> String {
    let keys = edit.hosts.iter().map(|(_, key)| shortened(key));
    keys.collect::<Vec<_>>().join(", ")
}

/// The error of an edit, with its place and with a name that may have been meant.
pub(super) fn refusal(
    error: EditError,
    asked: &[&str],
    text: &str,
    limits: yaml::Limits,
    file: &Path,
) -> Error {
    let mut shown = Error::new(error.code, error.message).with_file(file);
    if let Some(position) = error.position {
        shown = shown.with_position(position.into());
    }
    if let Some(hint) = error.hint {
        return shown.with_hint(hint);
    }
    if error.code != "unknown-host" {
        return shown;
    }
    let rules = Rules::parse_with(text, limits).ok();
    let names = rules.iter().flat_map(|rules| rules.names().all());
    let mut close: Vec<(usize, &str)> = Vec::new();
    for name in names {
        let distance = asked.iter().map(|asked| strsim::osa_distance(asked, name));
        let fits = |distance: &usize| *distance > 0 && *distance <= 3;
        let distance = distance.filter(fits).min();
        close.extend(
            distance
                .filter(|far| far * 2 <= name.chars().count())
                .map(|far| (far, name)),
        );
    }
    match close.into_iter().min() {
        Some((_, name)) => shown.with_hint(format!("did you mean {}?", escape::text(name))),
        None => shown.with_hint("secretsctl host list --all shows all names"),
    }
}

/// The file as it is.
struct RulesFile {
    /// As it was named.
    path: PathBuf,
    /// What it is, links followed.
    real: PathBuf,
    /// `real` in the repository, with what it was before it was read.
    inside: Option<(PathBuf, crate::repository::Stamp)>,
    text: String,
}

impl RulesFile {
    fn read(path: &Path, repository: &Repository, limits: &Limits) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new("file-unreadable", format!("cannot read the file: {error}")).with_file(path)
        };
        let real = fs::canonicalize(path).map_err(failed)?;
        let status = fs::metadata(&real).map_err(failed)?;
        if !status.is_file() {
            let message = "only a regular file can be edited";
            return Err(Error::new("cannot-edit", message).with_file(path));
        }
        check_one_name(status.nlink()).map_err(|error| error.with_file(path))?;
        let root = fs::canonicalize(repository.root()).map_err(failed)?;
        let inside = match real.strip_prefix(&root) {
            Ok(inside) => Some((inside.to_owned(), repository.stamp(inside)?)),
            Err(_) => None,
        };
        let content = content(&real, limits)?;
        let text = String::from_utf8(content).map_err(|_| {
            Error::new(
                "invalid-rules",
                "the rules can be edited in a UTF-8 file only",
            )
            .with_file(path)
            .with_hint("save the file as UTF-8")
        })?;
        Ok(Self {
            path: path.to_owned(),
            real,
            inside,
            text,
        })
    }

    /// The new text as a part of the transaction of a re-key.
    fn replaced_by(&self, text: String) -> Result<NewRules> {
        let Some((path, stamp)) = &self.inside else {
            let message = "the rules are a link to a file outside of the repository, which cannot change together with its files";
            return Err(Error::new("file-outside", message)
                .with_file(&self.path)
                .with_hint("leave out --rekey, then run secretsctl rekey"));
        };
        Ok(NewRules {
            path: path.clone(),
            text,
            stamp: *stamp,
            hash: content_hash(self.text.as_bytes()),
        })
    }

    fn write(&self, text: &str, limits: &Limits) -> Result<()> {
        if content(&self.real, limits)? != self.text.as_bytes() {
            let message = "the file changed while it was looked at; nothing was written";
            return Err(Error::new("file-changed", message)
                .with_file(&self.path)
                .with_hint("try again"));
        }
        write_output(&self.real, text.as_bytes())
    }
}

fn content(file: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let limit = ReadLimit::of_file(limits.file_size);
    Ok(read_any(file, limit)?.expose().to_vec())
}
