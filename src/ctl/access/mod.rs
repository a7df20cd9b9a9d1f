//! `secretsctl access`: who can read what, by the files as they are and by the rules.

mod csv;
mod human;
mod who;

use std::os::unix::ffi::OsStrExt as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use policy::{names::Names, pattern::text_as_go_sees_it, rules::Rules};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::Context;
use crate::{
    error::{Error, Result},
    limits::Limits,
    output::{Outcome, Output, describe},
    repository::{Repository, find, no_rules, read_rules},
    survey::access::{File, Quorum, Standing, survey},
};
use who::Who;

/// Show who can read what, by the files as they are and by the rules; needs no private key
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only what these can read: keys as in the rules (SSH keys with or without comment), or their names there
    #[arg(value_name = "RECIPIENT")]
    recipients: Vec<String>,

    /// List by file (each with its recipients) or by recipient (each with its files) [default: file; with RECIPIENT, recipient]
    #[arg(long, value_name = "KIND", hide_possible_values = true)]
    by: Option<By>,

    /// Write a table of files and recipients as comma-separated values
    #[arg(long)]
    csv: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// Each file with its recipients
    File,
    /// Each recipient with its files
    Recipient,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    if args.csv && context.output.is_json() {
        let message = "--json and --csv cannot be used together";
        return Err(Error::new("usage", message).with_hint("leave out one of them"));
    }
    let limits = Limits::default();
    let place = find(context.global.config_file.as_deref())?.required()?;
    let rules = read_rules(&place, &limits)?;
    if !rules.are_present() {
        return Err(no_rules().with_file(&place.file));
    }
    let repository = Repository::open(&place.root, limits)?;
    let mut access = survey(&repository, &rules, &limits)?;
    let who = Who::find(&args.recipients, &rules, &access.files)?;
    access.files.retain(|file| who.can_read(file));

    let output = &mut context.output;
    for problem in &access.problems {
        // Those about rules do not name the file.
        output.error(&problem.clone().with_file(&place.file));
    }
    for directory in &access.nested {
        let message = "this directory has a .sops.yaml of its own, and is not looked at";
        let note = Error::new("nested-rules", message).with_file(&place.root.join(directory));
        output.note(&note.with_hint("run secretsctl access there"));
    }
    let names = rules.names();
    let by = args.by.unwrap_or(match args.recipients.is_empty() {
        true => By::File,
        false => By::Recipient,
    });
    if output.is_json() {
        output.json(&List {
            files: &access.files,
            names,
        })?;
    } else if args.csv {
        csv::print(&access.files, names, &who, by, output)?;
    } else if by == By::File {
        human::by_file(&access.files, names, output)?;
    } else {
        human::by_recipient(&access.files, names, &who, output)?;
    }
    Ok(Outcome::findings_if(!access.problems.is_empty()))
}

/// Shows files by one recipient, as the command does when it is asked for it.
pub(super) fn show(
    files: &[File<'_>],
    recipient: &str,
    rules: &Rules,
    output: &mut Output,
) -> Result<()> {
    let names = rules.names();
    if output.is_json() {
        return output.json(&List { files, names });
    }
    let who = Who::find(&[recipient.to_owned()], rules, files)?;
    human::by_recipient(files, names, &who, output)
}

/// Written file by file: the whole of it as one value would take more memory than the files do.
struct List<'a> {
    files: &'a [File<'a>],
    names: &'a Names,
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.files.iter().map(|file| as_json(file, self.names)))
    }
}

fn as_json(file: &File<'_>, names: &Names) -> Value {
    let mut object = Map::new();
    let bytes = file.path.as_os_str().as_bytes();
    object.insert("path".to_owned(), text_as_go_sees_it(bytes).into());
    if file.path.to_str().is_none() {
        object.insert("path_base64".to_owned(), STANDARD.encode(bytes).into());
    }
    let all = |quorum: &Quorum| -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for text in quorum.groups.iter().flatten() {
            if !all.contains(text) {
                all.push(text.clone());
            }
        }
        all
    };
    let of = |standing: Standing| -> Value {
        let readers = file.readers.iter();
        let readers = readers.filter(|reader| reader.standing == standing);
        readers.map(|reader| reader.text.as_str()).collect()
    };
    let by_rules = file.rule_groups.as_ref();
    object.insert("recipients".to_owned(), all(&file.groups).into());
    object.insert(
        "by_rules".to_owned(),
        by_rules.map(all).unwrap_or_default().into(),
    );
    object.insert("add".to_owned(), of(Standing::WouldGain));
    object.insert("remove".to_owned(), of(Standing::WouldLose));
    let rule = file
        .rule
        .map(|rule| json!({"index": rule.index, "line": rule.position.line}));
    object.insert("rule".to_owned(), rule.into());
    let quorums = [
        ("key_groups", "shamir_threshold", Some(&file.groups)),
        ("key_groups_by_rules", "shamir_threshold_by_rules", by_rules),
    ];
    for (groups, threshold, quorum) in quorums {
        if let Some(quorum) = quorum.filter(|quorum| quorum.groups.len() > 1) {
            object.insert(groups.to_owned(), quorum.groups.clone().into());
            object.insert(threshold.to_owned(), quorum.needed.into());
        }
    }
    let texts = file.readers.iter().map(|reader| reader.text.as_str());
    object.insert("names".to_owned(), as_map(texts, names));
    if let Some(error) = &file.error {
        object.insert("error".to_owned(), describe(error));
    }
    object.into()
}

/// The names of those of `texts` that have one.
pub(super) fn as_map<'t>(texts: impl Iterator<Item = &'t str>, names: &Names) -> Value {
    let named = texts.filter_map(|text| Some((text.to_owned(), names.name_of(text)?.into())));
    Value::Object(named.collect())
}
