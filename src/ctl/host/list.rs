//! `secretsctl host list`: who is named in the rules.

use std::collections::{BTreeSet, HashMap};

use policy::{
    edit::{Host, Kind, hosts},
    names::{comparable, shortened},
    rules::Rules,
    yaml,
};
use serde_json::json;

use super::change::refusal;
use crate::{
    ctl::Context,
    error::{Error, Result},
    escape,
    identity::recipients_of_public,
    limits::Limits,
    output::{Outcome, Style, numbered},
    repository::{self, Repository, find, parse_rules},
    survey::access::{File, Standing, survey},
};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// List also keys in groups of people (users, admins, people)
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let limits = Limits::default();
    let (place, text, rules) = open_rules(context, &limits)?;
    let in_file = |error| refusal(error, &[], &text, limits.of_yaml(), &place.file);
    let mut hosts = hosts(&text, limits.of_yaml()).map_err(in_file)?;
    hosts.retain(|host| args.all || host.kind != Kind::Person);
    let repository = Repository::open(&place.root, limits)?;
    let access = survey(&repository, &rules, &limits)?;
    let output = &mut context.output;
    for problem in &access.problems {
        output.error(&problem.clone().with_file(&place.file));
    }
    let (now, by_rules) = (
        Readable::of(&access.files, Standing::WouldGain),
        Readable::of(&access.files, Standing::WouldLose),
    );
    let counted: Vec<(Host, usize, usize)> = hosts
        .into_iter()
        .map(|host| {
            let keys = keys_of(&host.recipient);
            let (now, by_rules) = (now.count(&keys), by_rules.count(&keys));
            (host, now, by_rules)
        })
        .collect();
    if output.is_json() {
        let list = counted.iter().map(|(host, now, by_rules)| {
            json!({
                "name": host.name,
                "recipient": host.recipient,
                "rules": host.rules,
                "files": now,
                "files_by_rules": by_rules,
                "kind": kind(host.kind),
            })
        });
        output.json(&list.collect::<Vec<_>>())?;
        return Ok(Outcome::findings_if(!access.problems.is_empty()));
    }
    let names: Vec<_> = counted
        .iter()
        .map(|(host, ..)| escape::text(&host.name))
        .collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    for ((host, now, by_rules), name) in counted.iter().zip(&names) {
        let padding = " ".repeat(width - name.chars().count());
        let name = output.styled(Style::Bold, name);
        let files = match now == by_rules {
            true => numbered(*now, "file"),
            false => {
                let text = format!("{}, {by_rules} by the rules", numbered(*now, "file"));
                output.styled(Style::Yellow, &text)
            }
        };
        let rules = numbered(host.rules.len(), "rule");
        let key = shortened(&host.recipient);
        output.line(&format!(
            "{name}{padding}  {}  {rules}  {files}",
            escape::text(&key)
        ))?;
    }
    if counted.is_empty() {
        output.line("the rules name no host; keys have names by anchors or comments")?;
    }
    Ok(Outcome::findings_if(!access.problems.is_empty()))
}

/// The key and, for an SSH key, what ssh-to-age makes of it: both are opened by one private key.
pub(super) fn keys_of(key: &str) -> BTreeSet<String> {
    let mut keys: BTreeSet<String> = recipients_of_public(key).into_iter().collect();
    keys.insert(key.to_owned());
    keys
}

/// The files of each key, by their numbers.
struct Readable(HashMap<String, BTreeSet<usize>>);

impl Readable {
    /// All readers count, but for those of this standing.
    fn of(files: &[File<'_>], without: Standing) -> Self {
        let mut readable: HashMap<String, BTreeSet<usize>> = HashMap::new();
        for (number, file) in files.iter().enumerate() {
            let readers = file.readers.iter();
            for reader in readers.filter(|reader| reader.standing != without) {
                let files = readable.entry(comparable(&reader.text)).or_default();
                files.insert(number);
            }
        }
        Self(readable)
    }

    fn count(&self, keys: &BTreeSet<String>) -> usize {
        let files = keys.iter().filter_map(|key| self.0.get(key)).flatten();
        files.collect::<BTreeSet<_>>().len()
    }
}

fn kind(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Host => Some("host"),
        Kind::Person => Some("person"),
        Kind::Unknown => None,
    }
}

/// Where the rules are, their text without a byte order mark, and the rules.
pub(super) fn open_rules(
    context: &Context,
    limits: &Limits,
) -> Result<(repository::Rules, String, Rules)> {
    let place = find(context.global.config_file.as_deref())?.required()?;
    let content = place.read(limits)?;
    let in_file = |error: Error| error.with_file(&place.file);
    let rules = parse_rules(content.expose(), limits).map_err(in_file)?;
    // It was decoded to be parsed.
    let text = yaml::decode(content.expose())
        .unwrap_or_default()
        .into_owned();
    Ok((place, text, rules))
}
