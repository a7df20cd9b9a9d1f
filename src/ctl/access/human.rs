//! The two lists for people.

use std::collections::BTreeMap;

use policy::{
    drift::Key,
    names::{Names, comparable, shortened},
};

use super::who::Who;
use crate::{
    error::Result,
    escape,
    output::{Output, Style},
    survey::access::{File, Quorum, Reader, Standing},
};

/// Paths that are longer push their recipients to the right.
const WIDEST_PATH: usize = 48;
/// Keys that are longer are cut in headings.
const LONGEST_KEY: usize = 100;

/// Each file in one line with its recipients.
pub(super) fn by_file(files: &[File<'_>], names: &Names, output: &mut Output) -> Result<()> {
    let paths: Vec<_> = files.iter().map(|file| escape::path(&file.path)).collect();
    let widths = paths.iter().map(|path| path.chars().count());
    let width = widths
        .filter(|width| *width <= WIDEST_PATH)
        .max()
        .unwrap_or(0);
    let mut labels = Labels::new(names);
    for (file, path) in files.iter().zip(&paths) {
        let mut line = format!("{path:width$}");
        let several = file.groups.groups.len() > 1;
        for group in &file.groups.groups {
            let members = group.iter().filter_map(|text| {
                let is_it = |reader: &&Reader| comparable(&reader.text) == comparable(text);
                file.readers.iter().find(is_it)
            });
            let members: Vec<_> = members.map(|one| labels.marked(one, output)).collect();
            let members = members.join("  ");
            line.push_str("  ");
            line.push_str(&if several {
                format!("[{members}]")
            } else {
                members
            });
        }
        let gaining = file.readers.iter();
        for reader in gaining.filter(|reader| reader.standing == Standing::WouldGain) {
            line.push_str("  ");
            line.push_str(&labels.marked(reader, output));
        }
        if several {
            line.push_str("  ");
            line.push_str(&quorum(&file.groups));
        }
        if let Some(remark) = remark(file) {
            line.push_str("  ");
            line.push_str(&output.styled(Style::Yellow, &remark));
        }
        output.line(&line)?;
    }
    end(files, output)
}

/// How its key is written, and its files.
type Recipient<'f> = (&'f str, Vec<(&'f File<'f>, &'f Reader)>);

/// Each recipient with its files, those with a name first.
pub(super) fn by_recipient(
    files: &[File<'_>],
    names: &Names,
    who: &Who,
    output: &mut Output,
) -> Result<()> {
    let mut readable: BTreeMap<&Key, Recipient<'_>> = BTreeMap::new();
    for (key, text) in who.asked() {
        readable.insert(key, (text, Vec::new()));
    }
    for file in files {
        for reader in file.readers.iter().filter(|reader| who.includes(reader)) {
            let entry = readable.entry(&reader.key);
            let (_, files) = entry.or_insert_with(|| (reader.text.as_str(), Vec::new()));
            files.push((file, reader));
        }
    }
    let mut recipients: Vec<_> = readable.into_values().collect();
    recipients.sort_by_key(|(text, _)| {
        let name = names.name_of(text);
        (name.is_none(), name, *text)
    });
    for (number, (text, files)) in recipients.iter().enumerate() {
        if number > 0 {
            output.line("")?;
        }
        output.line(&heading(text, names, output))?;
        for (file, reader) in files {
            let (mark, style) = mark(reader.standing);
            let path = escape::path(&file.path);
            let mut line = match style {
                Some(style) => output.styled(style, &format!("{mark} {path}")),
                None => format!("  {path}"),
            };
            if let Some(share) = reader.share {
                line.push_str(&format!("  {} of {} groups", share.has, share.needed));
            }
            if let Some(remark) = remark(file) {
                line.push_str("  ");
                line.push_str(&output.styled(Style::Yellow, &remark));
            }
            output.line(&line)?;
        }
        if files.is_empty() {
            output.line("  nothing")?;
        }
    }
    if !recipients.is_empty() {
        output.line("")?;
    }
    end(files, output)
}

/// What the marks mean, where there are any.
fn end(files: &[File<'_>], output: &mut Output) -> Result<()> {
    let differing = files.iter().filter(|file| file.differs()).count();
    let count = files.len();
    let files = if count == 1 { "file" } else { "files" };
    let differ = if differing == 1 { "differs" } else { "differ" };
    output.line(&match differing {
        0 => format!("{count} encrypted {files}"),
        some => format!(
            "{count} encrypted {files}, {some} {differ} from the rules: + would gain access, - would lose it"
        ),
    })
}

fn heading(text: &str, names: &Names, output: &Output) -> String {
    let key = if text.chars().count() > LONGEST_KEY {
        shortened(text)
    } else {
        text.to_owned()
    };
    let key = escape::text(&key);
    match names.name_of(text) {
        Some(name) => {
            let name = output.styled(Style::Bold, &escape::text(name));
            format!("{name}  {key}")
        }
        None => output.styled(Style::Bold, &key),
    }
}

/// What is special about the file as a whole.
fn remark(file: &File<'_>) -> Option<String> {
    if file.error.is_some() {
        return Some("(its rule is in error)".to_owned());
    }
    if file.rule.is_none() {
        return Some("(no rule)".to_owned());
    }
    let by_rules = file.rule_groups.as_ref().filter(|_| file.regrouped)?;
    Some(match by_rules.groups.len() {
        1 => "(the rule has one group)".to_owned(),
        _ if by_rules.needed == file.groups.needed => "(the rule groups them otherwise)".to_owned(),
        _ => format!("(by the rule {})", quorum(by_rules)),
    })
}

fn quorum(quorum: &Quorum) -> String {
    format!("{} of {} groups needed", quorum.needed, quorum.groups.len())
}

fn mark(standing: Standing) -> (&'static str, Option<Style>) {
    match standing {
        Standing::Reads => ("", None),
        Standing::WouldGain => ("+", Some(Style::Green)),
        Standing::WouldLose => ("-", Some(Style::Red)),
    }
}

/// How recipients are called in a list: by their name, with the key where two have the same.
struct Labels<'n> {
    names: &'n Names,
    known: BTreeMap<String, String>,
}

impl<'n> Labels<'n> {
    fn new(names: &'n Names) -> Self {
        Self {
            names,
            known: BTreeMap::new(),
        }
    }

    fn marked(&mut self, reader: &Reader, output: &Output) -> String {
        let label = self.label(&reader.text);
        match mark(reader.standing) {
            (mark, Some(style)) => output.styled(style, &format!("{mark}{label}")),
            _ => label.to_owned(),
        }
    }

    fn label(&mut self, text: &str) -> &str {
        let names = self.names;
        self.known.entry(text.to_owned()).or_insert_with(|| {
            let label = match names.name_of(text) {
                Some(name) if names.keys_of(name).len() == 1 => name.to_owned(),
                Some(_) => names.label(text),
                None => shortened(text),
            };
            escape::text(&label).into_owned()
        })
    }
}
