//! Rules that no existing file needs, and the file that one was probably meant for.

use super::{
    bits::Bits,
    languages::Steps,
    verdict::{Bench, Verdict},
};
use crate::{
    automaton::{Alphabet, Machine, nearly},
    pattern::{Assertion, Node, Pattern},
    rules::{Finding, Rule, Severity},
};

/// What is spent on the search for misspellings, in steps of the automata; and on one rule.
const STEPS: u64 = 30_000_000;
const STEPS_FOR_ONE: u64 = 2_000_000;
/// Rules for which a file is looked for.
const MOST_RULES: usize = 500;
/// Files that other readings of a pattern are tried on, all rules together.
const MOST_TRIES: usize = 2_000_000;
/// Literals without which one character more or less is no misspelling but another pattern.
const LEAST_LITERALS: usize = 5;

/// Tells which rules match no file of the repository.
pub(super) fn missing(bench: &Bench<'_>, verdicts: &[Verdict]) -> Vec<Finding> {
    let mut search = Search {
        bench,
        steps: STEPS,
        rules: MOST_RULES,
        tries: MOST_TRIES,
        containing: Steps(STEPS),
    };
    let has_files = !bench.files.paths.is_empty();
    let rules = bench.rules.iter().zip(verdicts);
    rules
        .filter(|(rule, verdict)| {
            let is_told = verdict.matches_nothing || verdict.is_unreachable || verdict.is_catch_all;
            let matches_no_file = bench.files.of(rule.index).is_some_and(Bits::is_empty);
            has_files && matches_no_file && !is_told
        })
        .filter_map(|(rule, _)| {
            let pattern = rule.pattern().ok()??;
            Some(search.finding(rule, pattern))
        })
        .collect()
}

struct Search<'b> {
    bench: &'b Bench<'b>,
    rules: usize,
    steps: u64,
    tries: usize,
    containing: Steps,
}

impl Search<'_> {
    fn finding(&mut self, rule: &Rule, pattern: &Pattern) -> Finding {
        let code = "rule-matches-no-file";
        let Some((file, why)) = self.nearest(rule, pattern) else {
            let message = "no file of the repository matches this pattern";
            let hint = "nothing is to be done if its files are still to come";
            return Finding::new(code, Severity::Note, rule.position, message, hint);
        };
        let message =
            format!("no file of the repository matches this pattern, and {file} nearly does");
        let finding = Finding::new(code, Severity::Warning, rule.position, message, &why);
        finding.with_witness(file)
    }

    /// The file that the rule was probably meant for, and what is different.
    ///
    /// A file with a rule of its own is not it: host07 has files and host08 has none yet.
    fn nearest(&mut self, rule: &Rule, pattern: &Pattern) -> Option<(String, String)> {
        self.rules = self.rules.checked_sub(1)?;
        let prefix = self.bench.languages.prefix(rule.index);
        let covering: Vec<usize> = (0..self.bench.rules.len())
            .filter(|&other| {
                other != rule.index
                    && self
                        .bench
                        .files
                        .of(other)
                        .is_some_and(|files| !files.is_empty())
            })
            .filter(|&other| prefix.starts_with(self.bench.languages.prefix(other)))
            .filter(|&other| {
                let contains = self.bench.contains(other, rule.index, &mut self.containing);
                contains.unwrap_or_default()
            })
            .collect();
        let free: Vec<&str> = self
            .bench
            .files
            .paths
            .iter()
            .zip(&self.bench.files.selected)
            .filter(|(_, selected)| selected.is_none_or(|selected| covering.contains(&selected)))
            .map(|(path, _)| *path)
            .collect();
        if literals(pattern.tree()) >= LEAST_LITERALS
            && let Some((machine, alphabet)) = self.bench.languages.machine(rule.index)
        {
            // Nobody misspells a slash: secretsctl.json is not meant by ^secrets/.
            let depth = |text: &str| text.matches('/').count();
            let deep: Vec<&str> = free
                .iter()
                .copied()
                .filter(|file| depth(file) >= depth(prefix))
                .collect();
            if let Some(file) = self.misspelt(machine, alphabet, &deep) {
                return Some((
                    file,
                    "a character of the pattern is missing, too many, or another one".to_owned(),
                ));
            }
        }
        for (other, why) in readings(pattern) {
            if self.tries < free.len() {
                return None;
            }
            self.tries -= free.len();
            if let Some(file) = free.iter().find(|file| other.is_match(file)) {
                return Some(((*file).to_owned(), why.to_owned()));
            }
        }
        None
    }

    fn misspelt(
        &mut self,
        machine: &Machine,
        alphabet: &Alphabet,
        files: &[&str],
    ) -> Option<String> {
        let mut steps = self.steps.min(STEPS_FOR_ONE);
        let before = steps;
        let found = nearly(machine, alphabet, files, &mut steps);
        self.steps -= before - steps;
        found.map(str::to_owned)
    }
}

/// Other patterns that somebody may have meant, each with what to write.
fn readings(pattern: &Pattern) -> Vec<(Pattern, &'static str)> {
    let mut readings = Vec::new();
    let mut add =
        |pattern: Option<Pattern>, why| readings.extend(pattern.map(|pattern| (pattern, why)));
    let source = pattern.source();
    add(
        Pattern::parse(&format!("(?i){source}")).ok(),
        "letters count as they are written, large or small",
    );
    add(
        without(pattern.tree(), Assertion::TextStart),
        "the path does not start there: see the ^ of the pattern",
    );
    add(
        without(pattern.tree(), Assertion::TextEnd),
        "the path does not end there: see the $ of the pattern",
    );
    if source.contains('*') {
        let why = "patterns are regular expressions and no globs: write .* for any text, [^/]* for any name";
        add(Pattern::parse(&from_glob(source)).ok(), why);
    }
    if source.contains('\\') {
        let why = "write / between the parts of a path";
        add(
            Pattern::parse(&source.replace(r"\\", "/").replace('\\', "/")).ok(),
            why,
        );
    }
    readings
}

/// The pattern without the conditions of this kind; `None` where there are none.
fn without(tree: &Node, assertion: Assertion) -> Option<Pattern> {
    let mut found = false;
    let tree = drop_all(tree, assertion, &mut found);
    found.then(|| Pattern::of(tree))?
}

/// At most as deep as the tree.
fn drop_all(node: &Node, assertion: Assertion, found: &mut bool) -> Node {
    let mut all = |nodes: &[Node]| {
        nodes
            .iter()
            .map(|node| drop_all(node, assertion, found))
            .collect()
    };
    match node {
        Node::Assertion(this) if *this == assertion => {
            *found = true;
            Node::Empty
        }
        Node::Concat(nodes) => Node::Concat(all(nodes)),
        Node::Alternate(nodes) => Node::Alternate(all(nodes)),
        Node::Capture(node) => drop_all(node, assertion, found),
        Node::Repeat { node, min, max } => Node::Repeat {
            node: Box::new(drop_all(node, assertion, found)),
            min: *min,
            max: *max,
        },
        leaf => leaf.clone(),
    }
}

fn from_glob(source: &str) -> String {
    let inner = source.trim_start_matches('^').trim_end_matches('$');
    let mut pattern = String::from("^");
    let mut characters = inner.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '*' if characters.next_if_eq(&'*').is_some() => {
                characters.next_if_eq(&'/');
                pattern.push_str(".*");
            }
            '*' => pattern.push_str("[^/]*"),
            '.' => pattern.push_str(r"\."),
            '\\' => {
                pattern.push('\\');
                pattern.extend(characters.next());
            }
            '?' => pattern.push_str("[^/]"),
            c => pattern.push(c),
        }
    }
    pattern + "$"
}

/// Characters that every match has.
fn literals(node: &Node) -> usize {
    match node {
        Node::Literal(_) => 1,
        Node::Capture(node) => literals(node),
        Node::Concat(nodes) => nodes.iter().map(literals).sum(),
        Node::Alternate(nodes) => nodes.iter().map(literals).min().unwrap_or_default(),
        Node::Repeat { node, min, .. } => literals(node).saturating_mul(*min as usize),
        Node::Empty | Node::Class(_) | Node::Assertion(_) => 0,
    }
}
