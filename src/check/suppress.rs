//! Findings that comments in the rules allow.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use policy::{
    pattern::text_as_go_sees_it,
    rules::{Finding as RuleFinding, Rules, Severity},
    suppression::{Allowed, Suppression},
};

use super::{Allowance, Finding, codes::Code, scope::Scope};

/// Takes out of `findings` those that a comment allows, and adds what there is to say about the comments themselves, which
/// stand in the file `name`, where that is in `scope`. A comment is without use only where nothing is left out.
pub(super) fn suppress(
    findings: &mut Vec<Finding>,
    rules: &Rules,
    name: &Path,
    scope: &Scope,
) -> Vec<Allowance> {
    let suppressions = &rules.suppressions;
    let mut used: Vec<Vec<bool>> = suppressions
        .all
        .iter()
        .map(|one| vec![false; one.allowed.len()])
        .collect();
    let mut allowed = Vec::new();
    let mut kept = Vec::new();
    for finding in std::mem::take(findings) {
        let place = Place::of(&finding, rules);
        let mut reason = None;
        for (one, used) in suppressions.all.iter().zip(&mut used) {
            for (entry, used) in one.allowed.iter().zip(used) {
                if place.is_allowed(&finding, one, entry) {
                    *used = true;
                    reason.get_or_insert(&one.reason);
                }
            }
        }
        match reason {
            Some(reason) => allowed.push(Allowance {
                finding,
                reason: reason.clone(),
            }),
            None => kept.push(finding),
        }
    }
    let mut about = about_comments(rules, &used, scope.is_everything());
    about.retain(|_| scope.rules);
    about.sort_by_key(|finding| finding.position);
    findings.extend(
        about
            .into_iter()
            .map(|finding| Finding::about_rules(name, finding)),
    );
    findings.append(&mut kept);
    allowed
}

/// What a finding is about, as far as comments can name it.
struct Place {
    path: String,
    /// The rules that a comment for it may stand beside.
    rules: Vec<usize>,
}

impl Place {
    fn of(finding: &Finding, rules: &Rules) -> Self {
        let path = text_as_go_sees_it(finding.file.as_os_str().as_bytes()).into_owned();
        let rules = if finding.is_about_rules {
            let has = |rule: &&policy::rules::Rule| rule.lines.contains(&finding.position.line);
            rules
                .all()
                .iter()
                .filter(has)
                .map(|rule| rule.index)
                .collect()
        } else {
            let selected = rules.select(&path).ok().flatten();
            selected.map(|rule| rule.index).into_iter().collect()
        };
        Self { path, rules }
    }

    fn is_allowed(&self, finding: &Finding, by: &Suppression, entry: &Allowed) -> bool {
        if entry.code != finding.code || !entry.is_for(&self.path) {
            return false;
        }
        if by.rules.is_empty() {
            // Apart from the rules a word about files is too wide without a path.
            return entry.path.is_some() || finding.is_about_rules && self.rules.is_empty();
        }
        by.rules.iter().any(|rule| self.rules.contains(rule))
    }
}

fn about_comments(rules: &Rules, used: &[Vec<bool>], everything: bool) -> Vec<RuleFinding> {
    let mut found = Vec::new();
    let mut say = |code, position, message: String, hint: &str| {
        found.push(RuleFinding {
            code,
            severity: Severity::Warning,
            position,
            message,
            witness: None,
            related: Vec::new(),
            hint: Some(hint.to_owned()),
        });
    };
    let form = "write # secretsctl: allow(CODE) reason, with a code that check prints";
    for malformed in &rules.suppressions.malformed {
        let message = malformed.message.to_owned();
        say("invalid-suppression", malformed.position, message, form);
    }
    for (one, used) in rules.suppressions.all.iter().zip(used) {
        for (entry, used) in one.allowed.iter().zip(used) {
            if Code::of(&entry.code).is_none() {
                let message = format!("there is no finding with the code {:?}", entry.code);
                say("invalid-suppression", one.position, message, form);
            } else if everything && !used {
                let message = format!("nothing here has to be allowed as {}", entry.code);
                let hint = if one.rules.is_empty() {
                    "remove the comment; one for a rule stands in it or directly above it, one for a file names its path"
                } else {
                    "remove the comment, or move it to the rule that it is for"
                };
                say("unused-suppression", one.position, message, hint);
            }
        }
    }
    found
}
