//! The table as comma-separated values (RFC 4180): one line for each recipient of each file.

use policy::names::Names;

use super::{By, who::Who};
use crate::{
    error::Result,
    escape,
    output::Output,
    survey::access::{File, Reader, Standing},
};

const HEAD: [&str; 6] = ["path", "recipient", "name", "file", "rules", "groups"];

/// Sorted by file, or by recipient.
pub(super) fn print(
    files: &[File<'_>],
    names: &Names,
    who: &Who,
    by: By,
    output: &mut Output,
) -> Result<()> {
    line(HEAD.map(str::to_owned), output)?;
    let mut rows: Vec<(&File<'_>, &Reader)> = Vec::new();
    for file in files {
        rows.extend(file.readers.iter().map(|reader| (file, reader)));
    }
    if by == By::Recipient {
        rows.retain(|(_, reader)| who.includes(reader));
        rows.sort_by(|(_, left), (_, right)| left.text.cmp(&right.text));
    }
    for (file, reader) in rows {
        line(row(file, reader, names), output)?;
    }
    Ok(())
}

fn row(file: &File<'_>, reader: &Reader, names: &Names) -> [String; 6] {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let by_rules = match (&file.error, file.rule) {
        (Some(_), _) => "error".to_owned(),
        (None, None) => "none".to_owned(),
        _ => yes(reader.standing != Standing::WouldLose),
    };
    let share = reader.share;
    [
        escape::path(&file.path),
        escape::text(&reader.text).into_owned(),
        escape::text(names.name_of(&reader.text).unwrap_or_default()).into_owned(),
        yes(reader.standing != Standing::WouldGain),
        by_rules,
        share.map_or_else(String::new, |share| {
            format!("{} of {}", share.has, share.needed)
        }),
    ]
}

fn line(fields: [String; 6], output: &mut Output) -> Result<()> {
    let fields = fields.map(|field| quoted(inert(field)));
    // The output adds the line feed.
    output.line(&format!("{}\r", fields.join(",")))
}

/// Spreadsheets run what begins like a formula, and leave a text with an apostrophe before it alone.
fn inert(field: String) -> String {
    match field.chars().next() {
        Some('=' | '+' | '-' | '@') => format!("'{field}"),
        _ => field,
    }
}

/// Control characters are escaped already; what is left to quote is the comma, the quote and the blank at an end.
fn quoted(field: String) -> String {
    let plain = |c: char| c != ',' && c != '"';
    if field.chars().all(plain) && field.trim() == field {
        return field;
    }
    format!("\"{}\"", field.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (text, field) in [
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            (" a", "\" a\""),
            ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
            ("@x,y", "\"'@x,y\""),
            ("", ""),
        ] {
            assert_eq!(quoted(inert(text.to_owned())), field);
        }
    }
}
