//! One rule beside those before it.

use super::{
    bits::Bits,
    candidates::Candidates,
    files::Files,
    languages::{Languages, Steps},
    people::Meaning,
};
use crate::{
    automaton::TooLarge,
    rules::{Finding, Related, Rule, Severity},
};

/// What all rules are judged by.
pub(super) struct Bench<'r> {
    pub(super) rules: &'r [Rule],
    pub(super) languages: &'r Languages,
    pub(super) candidates: Candidates<'r>,
    pub(super) meanings: Vec<Meaning>,
    pub(super) files: &'r Files<'r>,
    /// Which of some paths each rule matches: where one path answers a question, nothing needs to be searched. Empty
    /// where there are too many rules.
    pub(super) samples: Vec<Bits>,
}

/// What is known of one rule.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) findings: Vec<Finding>,
    pub(super) is_catch_all: bool,
    pub(super) matches_nothing: bool,
    pub(super) is_unreachable: bool,
    /// Earlier rules that match a path of this one.
    pub(super) meeting: Vec<usize>,
    /// Whether `meeting` has all of them.
    pub(super) meeting_is_known: bool,
    /// A path that gets this rule.
    pub(super) reached: Option<String>,
    /// A rule that this one meets through an unescaped dot only, and where.
    pub(super) through_dots: Option<(usize, String)>,
    /// Whether everything could be worked out. What was found stays true where something else could not.
    pub(super) is_complete: bool,
    /// What was not spent.
    pub(super) left: u64,
}

impl Bench<'_> {
    /// Judges the rule; `steps` is what may be spent on it.
    pub(super) fn judge(&self, later: &Rule, mut steps: Steps) -> Verdict {
        let mut verdict = Verdict::default();
        if later.pattern().is_err() {
            verdict.is_complete = true;
            verdict.meeting_is_known = true;
        } else {
            match self.languages.is_empty(later.index) {
                Ok(true) => {
                    verdict.findings.push(matches_nothing(later));
                    verdict.matches_nothing = true;
                    verdict.is_complete = true;
                    verdict.meeting_is_known = true;
                }
                Ok(false) => self.against_earlier(later, &mut verdict, &mut steps),
                Err(TooLarge) => {}
            }
        }
        verdict.left = steps.0;
        verdict
    }

    fn against_earlier(&self, later: &Rule, verdict: &mut Verdict, steps: &mut Steps) {
        let mut is_complete = true;
        verdict.meeting_is_known = true;
        for index in self.candidates.before(later.index) {
            let Some(earlier) = self.rules.get(index) else {
                continue;
            };
            match self.languages.common(later.index, index, steps) {
                Ok(None) => {}
                Ok(Some(witness)) => {
                    verdict.meeting.push(index);
                    let overlap = self.overlap(earlier, later, witness, verdict, steps);
                    is_complete &= overlap.is_ok();
                }
                Err(TooLarge) => verdict.meeting_is_known = false,
            }
            if steps.are_spent() {
                verdict.meeting_is_known = false;
                break;
            }
        }
        is_complete &= verdict.meeting_is_known;
        match self
            .languages
            .uncovered(later.index, &verdict.meeting, steps)
        {
            Ok(Some(path)) => verdict.reached = verdict.meeting_is_known.then_some(path),
            Ok(None) => {
                let finding = self.unreachable(later, verdict.meeting.clone(), steps);
                verdict.findings.push(finding);
                verdict.is_unreachable = true;
                is_complete = true;
            }
            Err(TooLarge) => is_complete = false,
        }
        match self.covers_everything(later.index, steps) {
            Ok(true) => {
                verdict.is_catch_all = true;
                if later.index + 1 < self.rules.len() {
                    verdict.findings.push(Finding::new(
                        "catch-all-not-last",
                        Severity::Error,
                        later.position,
                        "this rule matches every path, so no rule behind it is ever used",
                        "move it to the end of creation_rules, or give it a path_regex",
                    ));
                }
            }
            Ok(false) => {}
            Err(TooLarge) => is_complete = false,
        }
        verdict.is_complete = is_complete;
    }

    fn covers_everything(&self, rule: usize, steps: &mut Steps) -> Result<bool, TooLarge> {
        // Every rule's own sample is among the samples: who misses one does not match everything.
        let missed = |matched: &Bits| {
            self.samples
                .iter()
                .any(|other| other.first_beyond(matched).is_some())
        };
        if self.samples.get(rule).is_some_and(missed) {
            return Ok(false);
        }
        self.languages.covers_everything(rule, steps)
    }

    /// Whether `outer` matches everything that `inner` matches.
    pub(super) fn contains(
        &self,
        outer: usize,
        inner: usize,
        steps: &mut Steps,
    ) -> Result<bool, TooLarge> {
        if let (Some(outer), Some(inner)) = (self.samples.get(outer), self.samples.get(inner))
            && inner.first_beyond(outer).is_some()
        {
            return Ok(false);
        }
        Ok(self.languages.uncovered(inner, &[outer], steps)?.is_none())
    }

    /// Whether it makes no difference which of the two a file gets.
    pub(super) fn same_meaning(&self, left: usize, right: usize) -> bool {
        let encrypts = |rule: usize| self.meanings.get(rule).map(|meaning| meaning.encrypts);
        self.same_people(left, right) && encrypts(left) == encrypts(right)
    }

    fn same_people(&self, left: usize, right: usize) -> bool {
        let people = |rule: usize| self.meanings.get(rule)?.people;
        people(left).is_some() && people(left) == people(right)
    }

    fn overlap(
        &self,
        earlier: &Rule,
        later: &Rule,
        witness: String,
        verdict: &mut Verdict,
        steps: &mut Steps,
    ) -> Result<(), TooLarge> {
        if self.same_meaning(earlier.index, later.index) {
            return Ok(());
        }
        let same_people = self.same_people(earlier.index, later.index);
        if self.contains(earlier.index, later.index, steps)? {
            return Ok(()); // unreachable, and told so
        }
        let contains = self.contains(later.index, earlier.index, steps)?;
        let from_start = match contains {
            true => None,
            false => self
                .languages
                .common_from_start(later.index, earlier.index, steps)?,
        };
        let (severity, witness, why, hint) = match from_start {
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
            Some(witness) => {
                if verdict.through_dots.is_none()
                    && self
                        .languages
                        .meet_through_dots(later.index, earlier.index, steps)
                {
                    verdict.through_dots = Some((earlier.index, witness.clone()));
                }
                (
                    Severity::Warning,
                    witness,
                    "this rule and an earlier one match the same path and name different recipients: the earlier one \
                     wins",
                    "make one of the patterns narrower, so that no path is matched by both",
                )
            }
            None => (
                Severity::Note,
                witness,
                "this rule and an earlier one match the same path, because a pattern is not anchored with ^",
                "begin the patterns with ^",
            ),
        };
        let real = self.files.common(earlier.index, later.index);
        let witness = real.map_or(witness, str::to_owned);
        let related = Related {
            position: earlier.position,
            message: format!("the earlier rule; both match {witness}"),
        };
        // One finding for each later rule and kind of overlap: a fallback meets every rule before it.
        let mut findings = verdict.findings.iter_mut();
        let known =
            findings.find(|finding| finding.code == "overlapping-rules" && finding.message == why);
        match known {
            Some(finding) => finding.related.push(related),
            None => {
                let code = "overlapping-rules";
                let mut finding = Finding::new(code, severity, later.position, why, hint);
                finding.witness = Some(witness);
                finding.related.push(related);
                verdict.findings.push(finding);
            }
        }
        Ok(())
    }

    /// Names as few of the `covering` rules as do it: one alone, or what is left when each that is not needed is taken
    /// away. Where that costs too much, more than needed are named.
    fn unreachable(&self, later: &Rule, mut covering: Vec<usize>, steps: &mut Steps) -> Finding {
        let alone = covering
            .iter()
            .find(|&&index| matches!(self.contains(index, later.index, steps), Ok(true)));
        if let Some(&alone) = alone {
            covering = vec![alone];
        }
        let mut at = covering.len();
        while at > 0 && covering.len() > 1 {
            at -= 1;
            let mut fewer = covering.clone();
            fewer.remove(at);
            if matches!(
                self.languages.uncovered(later.index, &fewer, steps),
                Ok(None)
            ) {
                covering = fewer;
            }
        }
        let message = match covering.len() {
            1 => "no path gets this rule: an earlier one matches everything that it matches",
            _ => "no path gets this rule: earlier ones match together everything that it matches",
        };
        let hint = "move it before the rule that is more general, or remove it";
        let code = "unreachable-rule";
        let mut finding = Finding::new(code, Severity::Error, later.position, message, hint);
        for index in covering {
            if let Some(rule) = self.rules.get(index) {
                finding = finding.with_related(rule.position, "matches first");
            }
        }
        finding
    }
}

fn matches_nothing(rule: &Rule) -> Finding {
    let message =
        "no path can match this pattern: paths are relative to the directory of .sops.yaml";
    let hint = "write the path without a leading /, ./ or ../, and nothing before ^ or behind $";
    Finding::new(
        "rule-matches-nothing",
        Severity::Error,
        rule.position,
        message,
        hint,
    )
}
