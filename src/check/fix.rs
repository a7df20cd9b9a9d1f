//! `--fix`: the order of the rules that somebody meant, as an edit of their file.

use policy::{
    order::{self, Order},
    rules::{self, Finding, Rules},
};

use crate::{
    error::{Error, Result},
    limits::Limits,
    repository::parse_rules,
};

/// What another order of the rules can repair.
const REPAIRED: &[&str] = &["unreachable-rule", "catch-all-not-last"];
const UTF8_MARK: &str = "\u{feff}";

/// A file with rules in a better order.
#[derive(Debug)]
pub(crate) struct Fix {
    /// The file as it is and as it should be.
    pub(crate) old: String,
    pub(crate) new: String,
    /// The findings about the old one that the new one does not have.
    pub(crate) repaired: Vec<Finding>,
}

/// Works out how to repair the order of the rules in `content`; `None` where there is nothing that an order repairs.
/// Nothing is written.
pub(crate) fn plan(content: &[u8], limits: &Limits) -> Result<Option<Fix>> {
    let rules = parse_rules(content, limits)?;
    let before = order::analyse(&rules, &[]);
    let Some(suggested) = &before.suggested else {
        return Ok(None);
    };
    let Ok(old) = std::str::from_utf8(content) else {
        let message = "the order of the rules can be repaired in a UTF-8 file only";
        return Err(Error::new("cannot-reorder", message).with_hint("save the file as UTF-8"));
    };
    let (mark, text) = match old.strip_prefix(UTF8_MARK) {
        Some(text) => (UTF8_MARK, text),
        None => ("", old),
    };
    let reordered = rules::reordered(text, suggested, limits.of_yaml())?;
    let new = format!("{mark}{reordered}");

    let moved = parse_rules(new.as_bytes(), limits)?;
    let after = order::analyse(&moved, &[]);
    let remains = |finding: &Finding| {
        let place = place(&rules, suggested, finding);
        let now = place.and_then(|place| moved.all().get(place));
        let mut findings = after.findings.iter();
        now.is_none_or(|now| {
            findings.any(|other| other.code == finding.code && other.position == now.position)
        })
    };
    let repaired: Vec<Finding> = repairable(&before)
        .filter(|finding| !remains(finding))
        .cloned()
        .collect();
    if repaired.is_empty()
        || repairable(&after).count() + repaired.len() > repairable(&before).count()
    {
        let message = "the suggested order does not repair what it should";
        return Err(Error::new("internal", message)
            .with_hint("this is a defect: please report it; nothing was changed"));
    }
    Ok(Some(Fix {
        old: old.to_owned(),
        new,
        repaired,
    }))
}

fn repairable(order: &Order) -> impl Iterator<Item = &Finding> {
    let findings = order.findings.iter();
    findings.filter(|finding| REPAIRED.contains(&finding.code))
}

/// Where the rule that the finding is about stands in the suggested order.
fn place(rules: &Rules, suggested: &[usize], finding: &Finding) -> Option<usize> {
    let mut all = rules.all().iter();
    let rule = all.find(|rule| rule.position == finding.position)?;
    suggested.iter().position(|&index| index == rule.index)
}
