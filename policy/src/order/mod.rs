//! Does the order of the rules say what was meant? Decided over all possible paths, not over those that exist.
//!
//! The first rule that matches wins, so a rule can be shadowed by earlier ones, one at a time or several together; two
//! rules can meet on a path that nobody thought of. Path patterns are regular languages, so all of this has an exact
//! answer, with a path that shows it. Where an answer would cost too much there is a note `not-analysed`, never a guess.

mod languages;

use std::collections::BTreeSet;

use self::languages::Languages;
use crate::{
    automaton::TooLarge,
    drift::needed,
    rules::{Finding, KeyKind, Position, Recipient, Related, Rule, Rules, Selection, Severity},
};

/// What the order of some rules means.
#[derive(Debug)]
pub struct Order {
    /// In the order of the file.
    pub findings: Vec<Finding>,
    /// The numbers of the rules that match every path, whatever their patterns look like.
    pub catch_alls: Vec<usize>,
}

/// Works out what the order of `rules` means. `files` are paths that exist, relative to the
/// directory of the rules: where one of them shows what a finding says, it is the witness.
///
/// A pattern that does not compile matches nothing here; [`Rule::findings`] tells about it.
pub fn analyse(rules: &Rules, files: &[&str]) -> Order {
    let mut analysis = Analysis {
        rules: rules.all(),
        languages: Languages::new(rules.all()),
        files,
        order: Order {
            findings: Vec::new(),
            catch_alls: Vec::new(),
        },
    };
    for later in rules.all() {
        analysis.rule(later);
    }
    analysis.fallback();
    let mut order = analysis.order;
    order.findings.sort_by_key(|finding| finding.position);
    order
}

struct Analysis<'r> {
    rules: &'r [Rule],
    languages: Languages,
    files: &'r [&'r str],
    order: Order,
}

impl Analysis<'_> {
    fn rule(&mut self, rule: &Rule) {
        if rule.pattern().is_err() {
            return;
        }
        let analysed = match self.languages.is_empty(rule.index) {
            Ok(true) => {
                self.matches_nothing(rule);
                true
            }
            Ok(false) => self.against_earlier(rule),
            Err(TooLarge) => false,
        };
        if !analysed {
            let message = "whether every path of this rule is taken by earlier ones could not be worked out: the \
                           patterns are too large";
            let hint = "split the pattern, or make it simpler";
            self.add("not-analysed", Severity::Note, rule, message, hint);
        }
    }

    fn matches_nothing(&mut self, rule: &Rule) {
        let message =
            "no path can match this pattern: paths are relative to the directory of .sops.yaml";
        let hint =
            "write the path without a leading /, ./ or ../, and nothing before ^ or behind $";
        self.add("rule-matches-nothing", Severity::Error, rule, message, hint);
    }

    /// Whether everything could be worked out. What was found stays true where something else could not.
    fn against_earlier(&mut self, later: &Rule) -> bool {
        let mut complete = true;
        let mut meeting = Vec::new();
        for earlier in self.rules.iter().take(later.index) {
            let result = match self.languages.common(later.index, earlier.index) {
                Ok(None) => Ok(()),
                Ok(Some(witness)) => {
                    meeting.push(earlier.index);
                    self.overlap(earlier, later, witness)
                }
                Err(TooLarge) => Err(TooLarge),
            };
            complete &= result.is_ok();
        }
        match self.languages.uncovered(later.index, &meeting) {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.unreachable(later, meeting);
                complete = true;
            }
            Err(TooLarge) => complete = false,
        }
        match self.languages.covers_everything(later.index) {
            Ok(true) => {
                self.order.catch_alls.push(later.index);
                if later.index + 1 < self.rules.len() {
                    let message = "this rule matches every path, so no rule behind it is ever used";
                    let hint = "move it to the end of creation_rules, or give it a path_regex";
                    self.add("catch-all-not-last", Severity::Error, later, message, hint);
                }
            }
            Ok(false) => {}
            Err(TooLarge) => complete = false,
        }
        complete
    }

    fn overlap(&mut self, earlier: &Rule, later: &Rule, witness: String) -> Result<(), TooLarge> {
        let same_people = match (whom(earlier), whom(later)) {
            (Some(earlier), Some(later)) => earlier == later,
            _ => false,
        };
        if same_people && encrypts(earlier) == encrypts(later) {
            return Ok(());
        }
        if self
            .languages
            .uncovered(later.index, &[earlier.index])?
            .is_none()
        {
            return Ok(()); // unreachable, and told so
        }
        let contains = self
            .languages
            .uncovered(earlier.index, &[later.index])?
            .is_none();
        let both_from_start = self
            .languages
            .common_from_start(later.index, earlier.index)?;
        let (severity, shown, why, hint) = match both_from_start {
            _ if contains => (
                Severity::Note,
                witness,
                "this rule matches everything that an earlier one matches, and more",
                "nothing is to be done if the earlier rule is meant as its exception",
            ),
            Some(witness) if same_people => (
                Severity::Note,
                witness,
                "this rule and an earlier one match the same path and encrypt different values there: the earlier one \
                 wins",
                "make one of the patterns narrower, so that no path is matched by both",
            ),
            Some(witness) => (
                Severity::Warning,
                witness,
                "this rule and an earlier one match the same path and name different recipients: the earlier one wins",
                "make one of the patterns narrower, so that no path is matched by both",
            ),
            None => (
                Severity::Note,
                witness,
                "this rule and an earlier one match the same path, because a pattern is not anchored with ^",
                "begin the patterns with ^",
            ),
        };
        let real = self.files.iter().find(|file| {
            let matches = |rule: &Rule| rule.matches(file).unwrap_or_default();
            matches(earlier) && matches(later)
        });
        let shown = real.map_or(shown, |file| (*file).to_owned());
        let related = Related {
            position: earlier.position,
            message: format!("the earlier rule; both match {shown}"),
        };
        // One finding for each later rule and kind of overlap: a fallback meets every rule before it.
        let latest = self.order.findings.iter_mut().rev();
        let known = latest
            .take_while(|finding| finding.position == later.position)
            .find(|finding| finding.code == "overlapping-rules" && finding.message == why);
        match known {
            Some(finding) => finding.related.push(related),
            None => {
                let code = "overlapping-rules";
                let mut finding = Finding::new(code, severity, later.position, why, hint);
                finding.witness = Some(shown);
                finding.related.push(related);
                self.order.findings.push(finding);
            }
        }
        Ok(())
    }

    /// Names as few of the `covering` rules as do it: one alone, or what is left when each that is not needed is taken
    /// away. Where that costs too much, more than needed are named.
    fn unreachable(&mut self, later: &Rule, mut covering: Vec<usize>) {
        let mut covered =
            |by: &[usize]| matches!(self.languages.uncovered(later.index, by), Ok(None));
        if let Some(&alone) = covering.iter().find(|&&index| covered(&[index])) {
            covering = vec![alone];
        }
        let mut at = covering.len();
        while at > 0 && covering.len() > 1 {
            at -= 1;
            let mut fewer = covering.clone();
            fewer.remove(at);
            if covered(&fewer) {
                covering = fewer;
            }
        }
        let message = match covering.len() {
            1 => "no path gets this rule: an earlier one matches everything that it matches",
            _ => "no path gets this rule: earlier ones match together everything that it matches",
        };
        let hint = "move it before the rule that is more general, or remove it";
        let mut finding = Finding::new(
            "unreachable-rule",
            Severity::Error,
            later.position,
            message,
            hint,
        );
        for index in covering {
            if let Some(rule) = self.rules.get(index) {
                finding = finding.with_related(rule.position, "matches first");
            }
        }
        self.order.findings.push(finding);
    }

    /// Paths that no rule takes: sops then refuses to encrypt, which may be meant.
    fn fallback(&mut self) {
        if self.rules.is_empty() {
            return;
        }
        // Where this costs too much, the rules that make it so have a note already.
        if let Ok(Some(witness)) = self.languages.uncovered_by_all() {
            let message = "some paths get no rule: sops refuses to encrypt files there";
            let hint = "add a last rule without path_regex, if files there should be encrypted";
            let position = Position { line: 1, column: 1 };
            let finding = Finding::new("no-catch-all", Severity::Note, position, message, hint);
            self.order.findings.push(finding.with_witness(witness));
        }
    }

    fn add(
        &mut self,
        code: &'static str,
        severity: Severity,
        rule: &Rule,
        message: &str,
        hint: &str,
    ) {
        let finding = Finding::new(code, severity, rule.position, message, hint);
        self.order.findings.push(finding);
    }
}

/// Which values a rule encrypts.
fn encrypts(rule: &Rule) -> (Vec<(Selection, &str)>, bool) {
    let settings = rule.selection.iter();
    let settings = settings.map(|(selection, text)| (*selection, text.text.as_str()));
    (settings.collect(), rule.mac_only_encrypted)
}

/// Whom a rule names.
#[derive(PartialEq, Eq)]
struct Whom {
    /// Sorted, as their order says nothing.
    groups: Vec<BTreeSet<(KeyKind, String)>>,
    /// Groups that are needed.
    threshold: i64,
}

/// `None` where sops cannot use the rule.
fn whom(rule: &Rule) -> Option<Whom> {
    let settings = rule.settings().ok()?;
    let set = |group: Vec<Recipient>| group.into_iter().map(|one| (one.kind, one.text)).collect();
    let mut groups: Vec<BTreeSet<_>> = settings.key_groups.into_iter().map(set).collect();
    groups.sort();
    let threshold = match groups.len() {
        0 | 1 => 1,
        all => needed(settings.shamir_threshold, all),
    };
    Some(Whom { groups, threshold })
}

#[cfg(test)]
mod tests;
