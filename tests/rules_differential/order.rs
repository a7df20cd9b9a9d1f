//! [`policy::order`] and an exhaustive search with Go's regexp package agree on what the order of rules means: which rules
//! are never reached, which meet and where, which match nothing or everything.
//!
//! What the analysis says of all paths must hold for every short path; each path that it shows must be what it is shown
//! for. So a rule that it takes for unreachable although it is not, and one that it takes for reached although it is not,
//! are both seen.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use policy::{
    order::{Order, analyse},
    rules::{Finding, Rules, Severity},
};

use super::random::Random;

/// Rule lists.
const LISTS: usize = 300;
const MOST_RULES: usize = 5;

#[test]
fn the_order_of_rules_is_what_every_short_path_says() {
    let Some(program) = super::go_program("order") else {
        return;
    };
    let mut random = Random::seeded(23);
    let count = super::count("SECRETSD_DIFFERENTIAL_ORDERS", LISTS);
    let mut lists = Vec::new();
    let mut input = String::new();
    for _ in 0..count {
        let list = List::random(&mut random);
        for pattern in &list.patterns {
            super::write_hex(&mut input, pattern.as_bytes());
            input.push(' ');
        }
        input.push('-');
        for path in &list.shown {
            input.push(' ');
            super::write_hex(&mut input, path.as_bytes());
        }
        input.push('\n');
        lists.push(list);
    }
    let answers = super::answers(&program, &[], &input);
    assert_eq!(answers.len(), lists.len());

    let mut wrong = Vec::new();
    let mut counts = BTreeMap::new();
    for (list, answer) in lists.iter().zip(&answers) {
        let truth = Truth::parse(answer, &list.shown);
        for complaint in list.compare(&truth, &mut counts) {
            wrong.push(format!("{complaint}\n  {:?}", list.patterns));
        }
    }
    let _ = writeln!(io::stderr(), "{count} rule lists: {counts:?}");
    let shown: Vec<_> = wrong.iter().take(10).cloned().collect();
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    // The generator must not drift into lists that have nothing to find.
    for code in [
        "reached",
        "unreachable",
        "matches nothing",
        "overlap",
        "no overlap",
        "catch-all",
        "free path",
    ] {
        let found = counts.get(code).copied().unwrap_or_default();
        assert!(found > count / 20, "{code}: {found} of {count}");
    }
    assert!(
        counts
            .get("not analysed")
            .is_none_or(|&found| found < count / 100)
    );
}

/// Some rules, each with a recipient of its own, and what our analysis says of them.
struct List {
    patterns: Vec<String>,
    order: Order,
    /// Every path that the analysis shows.
    shown: Vec<String>,
}

impl List {
    fn random(random: &mut Random) -> Self {
        let patterns: Vec<String> = (0..2 + random.below(MOST_RULES - 1))
            .map(|_| pattern(random))
            .collect();
        let mut text = String::from("creation_rules:\n");
        for (number, pattern) in patterns.iter().enumerate() {
            text.push_str(&format!(
                "  - path_regex: '{pattern}'\n    pgp: '{number}'\n"
            ));
        }
        let order = analyse(&Rules::parse(&text).unwrap(), &[]);
        let mut shown: Vec<String> = order.reached.iter().flatten().cloned().collect();
        for finding in &order.findings {
            shown.extend(finding.witness.clone());
            let related = finding.related.iter();
            shown.extend(related.filter_map(|related| {
                Some(related.message.split_once("both match ")?.1.to_owned())
            }));
        }
        Self {
            patterns,
            order,
            shown,
        }
    }

    fn findings<'l>(&'l self, code: &'l str, rule: usize) -> impl Iterator<Item = &'l Finding> {
        let line = line_of(rule);
        let findings = self.order.findings.iter();
        findings.filter(move |finding| finding.code == code && finding.position.line == line)
    }

    fn has(&self, code: &str, rule: usize) -> bool {
        self.findings(code, rule).next().is_some()
    }

    /// What the analysis says and the truth does not.
    fn compare(&self, truth: &Truth, counts: &mut BTreeMap<&'static str, usize>) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut count = |what| *counts.entry(what).or_insert(0) += 1;
        for rule in 0..self.patterns.len() {
            let takes =
                |set: &Set| set.matches.trailing_zeros() as usize == rule && set.matches != 0;
            let taken = truth.every.iter().find(|(set, _)| takes(set));
            let matched = truth.every.iter().find(|(set, _)| set.has(rule));
            if self.has("not-analysed", rule) {
                count("not analysed");
                continue;
            }
            if self.has("rule-matches-nothing", rule) {
                count("matches nothing");
                wrong.extend(
                    matched.map(|(_, path)| format!("rule {rule} matches nothing, but {path:?}")),
                );
            } else if self.has("unreachable-rule", rule) {
                count("unreachable");
                wrong.extend(
                    taken.map(|(_, path)| {
                        format!("rule {rule} is unreachable, but {path:?} gets it")
                    }),
                );
            } else {
                count("reached");
                match self.order.reached.get(rule).and_then(Option::as_ref) {
                    None => wrong.push(format!("rule {rule} is reached, and no path shows it")),
                    Some(path) if !takes(truth.of(path)) => {
                        wrong.push(format!("{path:?} is said to get rule {rule}"));
                    }
                    Some(_) => {}
                }
            }
            if self.order.catch_alls.contains(&rule) {
                count("catch-all");
                let missed = truth.every.iter().find(|(set, _)| !set.has(rule));
                wrong.extend(
                    missed.map(|(_, path)| {
                        format!("rule {rule} matches everything, but not {path:?}")
                    }),
                );
            }
            for earlier in 0..rule {
                let is_told = self.overlap(earlier, rule, truth, &mut wrong);
                let meeting = truth
                    .every
                    .iter()
                    .find(|(set, _)| set.has(rule) && set.has(earlier));
                count(if is_told { "overlap" } else { "no overlap" });
                if let (false, false, Some((_, path))) =
                    (is_told, self.has("unreachable-rule", rule), meeting)
                {
                    wrong.push(format!(
                        "rules {earlier} and {rule} meet on {path:?}, and nothing is said"
                    ));
                }
            }
        }
        let free = self
            .order
            .findings
            .iter()
            .find(|finding| finding.code == "no-catch-all");
        let missed = truth.every.iter().find(|(set, _)| set.matches == 0);
        match (free.and_then(|finding| finding.witness.as_ref()), missed) {
            (Some(path), _) => {
                count("free path");
                if truth.of(path).matches != 0 {
                    wrong.push(format!("{path:?} is said to get no rule"));
                }
            }
            (None, Some((_, path))) => {
                wrong.push(format!("{path:?} gets no rule, and nothing is said"));
            }
            (None, None) => {}
        }
        wrong
    }

    /// Whether the two rules are said to meet; what is said of it is compared.
    fn overlap(
        &self,
        earlier: usize,
        later: usize,
        truth: &Truth,
        wrong: &mut Vec<String>,
    ) -> bool {
        let mut is_told = false;
        for finding in self.findings("overlapping-rules", later) {
            let related = finding.related.iter();
            for related in related.filter(|related| related.position.line == line_of(earlier)) {
                is_told = true;
                let path = related.message.split_once("both match ").unwrap().1;
                let set = truth.of(path);
                if !set.has(earlier) || !set.has(later) {
                    wrong.push(format!("{path:?} is said to match {earlier} and {later}"));
                }
                let contains = finding
                    .message
                    .contains("everything that an earlier one matches");
                let beyond = truth
                    .every
                    .iter()
                    .find(|(set, _)| set.has(earlier) && !set.has(later));
                if let (true, Some((_, path))) = (contains, beyond) {
                    wrong.push(format!(
                        "rule {later} is said to contain {earlier}, but {path:?}"
                    ));
                }
                let from_start =
                    |set: &Set| set.has_from_start(earlier) && set.has_from_start(later);
                match finding.severity {
                    Severity::Warning if !from_start(set) => {
                        wrong.push(format!(
                            "{path:?} is said to match {earlier} and {later} from its start"
                        ));
                    }
                    Severity::Note if !contains => {
                        let both = truth.every.iter().find(|(set, _)| from_start(set));
                        wrong.extend(both.map(|(_, path)| {
                            format!("{earlier} and {later} are said to meet through a missing ^ only, but {path:?}")
                        }));
                    }
                    _ => {}
                }
            }
        }
        is_told
    }
}

fn line_of(rule: usize) -> usize {
    2 + 2 * rule
}

/// Which rules match a path: a bit each.
#[derive(Clone, Copy)]
struct Set {
    matches: u32,
    from_start: u32,
}

impl Set {
    fn has(self, rule: usize) -> bool {
        self.matches >> rule & 1 == 1
    }

    fn has_from_start(self, rule: usize) -> bool {
        self.from_start >> rule & 1 == 1
    }

    fn parse(text: &str) -> Self {
        let (matches, from_start) = text.split_once(',').unwrap();
        let number = |text| u32::from_str_radix(text, 16).unwrap();
        Self {
            matches: number(matches),
            from_start: number(from_start),
        }
    }
}

/// What Go says.
struct Truth {
    shown: BTreeMap<String, Set>,
    /// Each combination that a short path has, with that path.
    every: Vec<(Set, String)>,
}

impl Truth {
    fn parse(answer: &str, shown: &[String]) -> Self {
        let (given, every) = answer.split_once('|').unwrap();
        let given = given
            .split(' ')
            .filter(|set| !set.is_empty())
            .map(Set::parse);
        let path = |hex: &str| -> String {
            let bytes = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            String::from_utf8(bytes.collect()).unwrap()
        };
        let every = every.split(' ').map(|one| {
            let (set, hex) = one.split_once(':').unwrap();
            (Set::parse(set), path(hex))
        });
        Self {
            every: every.collect(),
            shown: shown.iter().cloned().zip(given).collect(),
        }
    }

    fn of(&self, path: &str) -> &Set {
        &self.shown[path]
    }
}

/// A pattern over few characters, so that rules meet, cover and miss each other often.
fn pattern(random: &mut Random) -> String {
    if random.one_in(12) {
        let whole = [
            "",
            ".*",
            ".",
            "^/a",
            "a$b",
            "^a/",
            "^a/b/",
            r"\.b$",
            "^[^/]+$",
            "^(a|b)/",
            "/a$",
            r"^a/.*\.b$",
        ];
        return random.pick(&whole).to_owned();
    }
    let mut pattern = String::new();
    if random.one_in(2) {
        pattern.push('^');
    }
    expression(random, &mut pattern, 2);
    if random.one_in(3) {
        pattern.push('$');
    }
    pattern
}

fn expression(random: &mut Random, out: &mut String, depth: usize) {
    const ATOMS: &[&str] = &[
        "a", "b", "a", "b", "/", "/", r"\.", ".", "[ab]", "[^/]", "[^a]", r"\w", "(?i:A)", r"\W",
        "[^b/]", "[a-b.]", "c",
    ];
    const CONDITIONS: &[&str] = &[r"\b", r"\B", "^", "$", "(?m:^)", "(?m:$)"];
    for _ in 0..1 + random.below(3) {
        match random.below(10) {
            0 | 1 if depth > 0 => {
                out.push('(');
                expression(random, out, depth - 1);
                if random.one_in(2) {
                    out.push('|');
                    expression(random, out, depth - 1);
                }
                out.push(')');
            }
            2 if random.one_in(2) => {
                out.push_str(random.pick(CONDITIONS));
                continue; // nothing repeats a condition
            }
            _ => out.push_str(random.pick(ATOMS)),
        }
        if random.one_in(4) {
            out.push_str(random.pick(&["*", "+", "?", "{2}", "{1,3}", "*?", "{0,2}"]));
        }
    }
}
