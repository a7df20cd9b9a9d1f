//! Does the order of the rules say what was meant? Decided over all possible paths, not over those that exist.
//!
//! The first rule that matches wins, so a rule can be shadowed by earlier ones, one at a time or several together; two
//! rules can meet on a path that nobody thought of. Path patterns are regular languages, so all of this has an exact
//! answer, with a path that shows it. Where an answer would cost too much there is a note `not-analysed`, never a guess.
//!
//! What patterns say about the files that exist ([`lint`], [`nearest`]) is told here, too: it needs the same machinery.

mod bits;
mod candidates;
mod dots;
mod files;
mod languages;
mod lint;
mod nearest;
mod parallel;
mod people;
mod sample;
mod suggest;
mod verdict;

use self::{
    bits::Bits,
    candidates::Candidates,
    files::Files,
    languages::{Languages, Steps},
    verdict::{Bench, Verdict},
};
use crate::rules::{Finding, Position, Rule, Rules, Severity};

/// Steps for one analysis, some seconds of work.
const STEPS: u64 = 50_000_000;
/// The least that a rule gets of them at first.
const LEAST_STEPS: u64 = 2_000;
/// Pairs of rule and file that are tried; some seconds of work.
const MOST_TRIES: usize = 20_000_000;
/// Rules from which on no samples are compared, which takes the square of their number.
const MOST_SAMPLES: usize = 2_000;

/// What the order of some rules means.
#[derive(Debug)]
pub struct Order {
    /// In the order of the file.
    pub findings: Vec<Finding>,
    /// The numbers of the rules that match every path, whatever their patterns look like.
    pub catch_alls: Vec<usize>,
    /// For each rule a path that gets it, where there is one and it could be worked out.
    pub reached: Vec<Option<String>>,
    /// The numbers of the rules in an order that repairs what an order can repair, and changes nothing else; `None` where
    /// there is nothing to repair, or nothing that an order alone repairs.
    pub suggested: Option<Vec<usize>>,
}

/// Works out what the order of `rules` means. `files` are paths that exist, relative to the
/// directory of the rules: where one of them shows what a finding says, it is the witness.
///
/// A pattern that does not compile matches nothing here; [`Rule::findings`] tells about it.
pub fn analyse(rules: &Rules, files: &[&str]) -> Order {
    let rules = rules.all();
    let languages = Languages::new(rules);
    let files = Files::new(rules, &languages, files, MOST_TRIES);
    let bench = Bench {
        rules,
        languages: &languages,
        candidates: Candidates::new(rules.len(), &languages),
        meanings: people::meanings(rules),
        files: &files,
        samples: samples(rules, &files),
    };
    let (verdicts, mut steps) = judge_all(&bench);
    let suggested = suggest::order(&bench, &verdicts, &mut steps);

    let mut order = Order {
        findings: Vec::new(),
        catch_alls: Vec::new(),
        reached: Vec::new(),
        suggested: None,
    };
    for (rule, verdict) in rules.iter().zip(&verdicts) {
        order.findings.extend(verdict.findings.iter().cloned());
        if !verdict.is_complete {
            order.findings.push(not_analysed(rule));
        }
        if verdict.is_catch_all {
            order.catch_alls.push(rule.index);
        }
        order.reached.push(verdict.reached.clone());
    }
    if let Some(suggested) = &suggested {
        suggest::tell(rules, suggested, &mut order.findings);
    }
    order.suggested = suggested;
    order.findings.extend(lint::patterns(&bench, &verdicts));
    order.findings.extend(nearest::missing(&bench, &verdicts));
    order.findings.extend(fallback(&bench, &mut steps));
    order.findings.extend(too_many_files(&bench));
    order.findings.sort_by_key(|finding| finding.position);
    order
}

/// Judges every rule. A later rule has more before it and gets more steps; what some leave over goes to those that were
/// not complete. What is found depends on the rules only, not on the number of processors.
fn judge_all(bench: &Bench<'_>) -> (Vec<Verdict>, Steps) {
    let count = bench.rules.len() as u64;
    let share = |index: usize| {
        let share = STEPS.saturating_mul(index as u64 + 1) / (count * (count + 1) / 2).max(1);
        Steps(share.max(LEAST_STEPS))
    };
    let mut verdicts =
        parallel::for_each(bench.rules.len(), |index| match bench.rules.get(index) {
            Some(rule) => bench.judge(rule, share(index)),
            None => Verdict::default(),
        });
    let mut left = Steps(
        verdicts
            .iter()
            .map(|verdict| verdict.left)
            .sum::<u64>()
            .min(STEPS),
    );
    for (rule, verdict) in bench.rules.iter().zip(&mut verdicts) {
        if !verdict.is_complete && left.0 > share(rule.index).0 {
            *verdict = bench.judge(rule, left);
            left = Steps(verdict.left);
        }
    }
    (verdicts, left)
}

/// Which of the paths that each rule brings each rule matches.
fn samples(rules: &[Rule], files: &Files<'_>) -> Vec<Bits> {
    if rules.len() > MOST_SAMPLES {
        return Vec::new();
    }
    let mut paths: Vec<String> = rules
        .iter()
        .filter_map(|rule| {
            let file = files.first(rule.index).filter(|file| sample::is_path(file));
            file.map(str::to_owned).or_else(|| sample::path(rule))
        })
        .collect();
    paths.push("a".to_owned());
    paths.sort_unstable();
    paths.dedup();
    parallel::for_each(rules.len(), |index| {
        let mut matched = Bits::of(paths.len());
        for (number, path) in paths.iter().enumerate() {
            let matches = rules.get(index).and_then(|rule| rule.matches(path).ok());
            if matches.unwrap_or_default() {
                matched.insert(number);
            }
        }
        matched
    })
}

fn not_analysed(rule: &Rule) -> Finding {
    let message = "whether every path of this rule is taken by earlier ones could not be worked out: the patterns are too large";
    let hint = "split the pattern, or make it simpler";
    Finding::new("not-analysed", Severity::Note, rule.position, message, hint)
}

/// Where there are too many rules and files to try each pair, what depends on files is not told of the last rules.
fn too_many_files(bench: &Bench<'_>) -> Option<Finding> {
    let mut rules = bench.rules.iter();
    let first = rules.find(|rule| bench.files.of(rule.index).is_none())?;
    let message = "which files this rule and those behind it match was not looked at: there are too many rules and files";
    let hint = "begin the patterns with ^ and the name of a directory, so that few files come into question";
    Some(Finding::new(
        "not-analysed",
        Severity::Note,
        first.position,
        message,
        hint,
    ))
}

/// Paths that no rule takes: sops then refuses to encrypt, which may be meant.
fn fallback(bench: &Bench<'_>, steps: &mut Steps) -> Option<Finding> {
    if bench.rules.is_empty() {
        return None;
    }
    // Where this costs too much, the rules that make it so have a note already.
    let witness = bench.languages.uncovered_by_all(steps).ok()??;
    let message = "some paths get no rule: sops refuses to encrypt files there";
    let hint = "add a last rule without path_regex, if files there should be encrypted";
    let position = Position { line: 1, column: 1 };
    let finding = Finding::new("no-catch-all", Severity::Note, position, message, hint);
    Some(finding.with_witness(witness))
}

#[cfg(test)]
mod tests;
