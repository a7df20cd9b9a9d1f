//! `secretsctl host test`: can a host open all that the rules give it?

use std::collections::BTreeSet;

use policy::{edit::key_of, names::comparable};

use super::{
    change::refusal,
    list::{keys_of, open_rules},
};
use crate::{
    ctl::{Context, access},
    error::Result,
    escape,
    limits::Limits,
    output::{Outcome, Style},
    repository::{Repository, no_rules},
    survey::access::{File, Quorum, survey},
};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What the host is called, or its recipient
    name: String,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let limits = Limits::default();
    let (place, text, rules) = open_rules(context, &limits)?;
    if !rules.are_present() {
        return Err(no_rules().with_file(&place.file));
    }
    let name = args.name.as_str();
    let in_file = |error| refusal(error, &[name], &text, limits.of_yaml(), &place.file);
    let key = key_of(&text, name, limits.of_yaml()).map_err(in_file)?;
    let keys = keys_of(&key);
    let repository = Repository::open(&place.root, limits)?;
    let mut survey = survey(&repository, &rules, &limits)?;
    let output = &mut context.output;
    for problem in &survey.problems {
        output.error(&problem.clone().with_file(&place.file));
    }
    survey.files.retain(|file| {
        let by_rules = file.rule_groups.as_ref();
        by_rules.is_some_and(|groups| share(groups, &keys) > 0)
    });
    let closed = survey
        .files
        .iter()
        .filter(|file| !opens(file, &keys))
        .count();
    if output.is_json() || !survey.files.is_empty() {
        access::show(&survey.files, &key, &rules, output)?;
    }
    if !output.is_json() {
        let label = rules.names().short(&key);
        let label = escape::text(&label);
        let all = survey.files.len();
        output.line(&match (all, closed) {
            (0, _) => format!("the rules give {label} no file"),
            (_, 0) => output.styled(Style::Green, &format!("{label} opens all {all} files that the rules give it")),
            _ => output.styled(
                Style::Red,
                &format!("{label} cannot open {closed} of {all} files that the rules give it: secretsctl rekey"),
            ),
        })?;
    }
    Ok(Outcome::findings_if(
        closed > 0 || !survey.problems.is_empty(),
    ))
}

/// How many of the groups one of the keys opens.
fn share(quorum: &Quorum, keys: &BTreeSet<String>) -> usize {
    let holds = |group: &&Vec<String>| group.iter().any(|text| keys.contains(&comparable(text)));
    quorum.groups.iter().filter(holds).count()
}

/// Whether the file gives the host what its rule gives it: the whole, or its part of a quorum.
fn opens(file: &File<'_>, keys: &BTreeSet<String>) -> bool {
    let has = share(&file.groups, keys);
    let alone = |quorum: &Quorum, has: usize| has >= quorum.needed;
    let by_rules = file.rule_groups.as_ref();
    let is_alone_by_rules = by_rules.is_some_and(|groups| alone(groups, share(groups, keys)));
    has > 0 && (!is_alone_by_rules || alone(&file.groups, has))
}
