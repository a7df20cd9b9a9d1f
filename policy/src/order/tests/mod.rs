mod patterns;

use proptest::prelude::*;

use super::*;

fn rules(patterns: &[&str]) -> Rules {
    let mut text = String::from("creation_rules:\n");
    for (number, pattern) in patterns.iter().enumerate() {
        let pattern = pattern.replace('\'', "''");
        text.push_str(&format!(
            "  - path_regex: '{pattern}'\n    pgp: '{number}'\n"
        ));
    }
    Rules::parse(&text).unwrap()
}

/// Notes that a pattern without anchors brings, whatever the order.
const LINTS: &[(&str, Severity)] = &[
    ("unescaped-dot", Severity::Note),
    ("unanchored-pattern", Severity::Note),
];

/// Code, number of the rule, numbers of the others.
fn found(patterns: &[&str], files: &[&str]) -> Vec<(&'static str, Severity, usize, Vec<usize>)> {
    let number = |position: Position| position.line.saturating_sub(2) / 2;
    let found = analyse(&rules(patterns), files).findings;
    found
        .iter()
        .map(|finding| {
            let related = finding.related.iter();
            (
                finding.code,
                finding.severity,
                number(finding.position),
                related.map(|related| number(related.position)).collect(),
            )
        })
        .collect()
}

fn codes(patterns: &[&str]) -> Vec<(&'static str, usize)> {
    let found = found(patterns, &[]);
    found
        .into_iter()
        .filter(|(code, severity, ..)| {
            *code != "no-catch-all" && !LINTS.contains(&(*code, *severity))
        })
        .map(|(code, _, number, _)| (code, number))
        .collect()
}

#[test]
fn order_of_a_fleet() {
    let fleet = [
        r"^secrets/server1/[^/]+\.(yaml|json)$",
        r"^secrets/server2/[^/]+\.(yaml|json)$",
        r"^secrets/",
        "",
    ];
    assert_eq!(
        found(&fleet, &[]),
        [
            ("overlapping-rules", Severity::Note, 2, vec![0, 1]),
            ("overlapping-rules", Severity::Note, 3, vec![0, 1, 2]),
        ]
    );
    let turned = [fleet[2], fleet[0], fleet[1], ""];
    assert_eq!(
        codes(&turned),
        [
            ("unreachable-rule", 1),
            ("unreachable-rule", 2),
            ("overlapping-rules", 3)
        ]
    );
    assert_eq!(
        codes(&["", "^a/"]),
        [("catch-all-not-last", 0), ("unreachable-rule", 1)]
    );
}

#[test]
fn several_rules_cover_one_together() {
    let found = found(&["^a/", "^c/", "^b/", "^x/", "^[ab]/"], &[]);
    let unreachable = found.iter().find(|found| found.0 == "unreachable-rule");
    assert_eq!(
        unreachable,
        Some(&("unreachable-rule", Severity::Error, 4, vec![0, 2]))
    );
    // The end of a name and the end of a path are different things.
    assert_eq!(
        codes(&["^a$", "^a.", "^a"]),
        [("overlapping-rules", 2), ("unreachable-rule", 2)]
    );
    assert_eq!(
        codes(&["^a$", "^a/", "^a"]).last(),
        Some(&("overlapping-rules", 2))
    );
}

#[test]
fn overlaps_by_severity_with_natural_witnesses() {
    let overlap = |patterns: &[&str], files: &[&str]| {
        let found = analyse(&rules(patterns), files).findings;
        let found = found
            .iter()
            .find(|finding| finding.code == "overlapping-rules");
        found.map(|finding| (finding.severity, finding.witness.clone().unwrap()))
    };
    let with = |severity, path: &str| Some((severity, path.to_owned()));
    assert_eq!(
        overlap(&[r"^secrets/.*\.yaml$", "^secrets/prod/"], &[]),
        with(Severity::Warning, "secrets/prod/a.yaml")
    );
    assert_eq!(
        overlap(
            &[r"^secrets/.*\.yaml$", "^secrets/prod/"],
            &["secrets/prod/x.txt", "secrets/prod/db.yaml"]
        ),
        with(Severity::Warning, "secrets/prod/db.yaml")
    );
    assert_eq!(
        overlap(&["server1/", "server2/"], &[]),
        with(Severity::Note, "server1/server2/a")
    );
    assert_eq!(overlap(&["^server1/", "^server2/"], &[]), None);
    assert_eq!(
        overlap(&[r"\.yaml$", r"\.yaml$|\.json$"], &[]),
        with(Severity::Note, "a.yaml")
    );
}

#[test]
fn paths_that_do_not_exist() {
    for nothing in [
        "^/abs",
        "a$b",
        "//",
        r"^\./a",
        r"(^|/)\.\./",
        r"\x01",
        "a/$",
        r"^$",
    ] {
        assert_eq!(
            codes(&[nothing]).first(),
            Some(&("rule-matches-nothing", 0)),
            "{nothing}"
        );
    }
    for something in [
        "^",
        "$",
        r"\b",
        r"\B",
        r"\.\.a",
        "(?i)^SECRETS/",
        "^.$",
        r"\.$",
    ] {
        assert_eq!(codes(&[something]), [], "{something}");
    }
    // Together these are all paths: one has a slash, or it has none.
    assert_eq!(found(&["/", "^[^/]+$"], &[]), []);
    // Every path holds a character, so this is a catch-all.
    assert_eq!(
        codes(&[".", "^a/"]),
        [("catch-all-not-last", 0), ("unreachable-rule", 1)]
    );
}

#[test]
fn catch_alls_by_what_they_match() {
    let order = analyse(
        &rules(&["^a/", "^.*$", "[^/]", "(a|[^a])", "", "(?s).+"]),
        &[],
    );
    assert_eq!(order.catch_alls, [1, 2, 3, 4, 5]);
}

#[test]
fn what_cannot_be_worked_out_is_said_and_the_rest_is_found() {
    let large = "(.*a){30}([ab].{30}){30}";
    let found = codes(&["^b/", large, "^b/c"]);
    assert!(found.contains(&("unreachable-rule", 2)), "{found:?}");
    let nothing = codes(&["^b/", "(", "^c/"]);
    assert_eq!(nothing, []);
}

/// Every path of up to five characters of these.
fn short_paths() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..5 {
        last = last
            .iter()
            .flat_map(|path| ['a', 'b', '.', '/', ' '].map(|c| format!("{path}{c}")))
            .collect();
        all.extend(last.clone());
    }
    all.retain(|path| is_path(path));
    all
}

fn is_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.chars().any(char::is_control)
}

fn patterns() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        Just("a"),
        Just("b"),
        Just("/"),
        Just(r"\."),
        Just("."),
        Just("[ab]"),
        Just("[^/]"),
        Just("[^a]"),
        Just(r"\w"),
        Just(r"\b"),
        Just(r"\B"),
        Just("^"),
        Just("$"),
        Just("(?i:A)"),
        Just("")
    ]
    .prop_map(str::to_owned);
    let inner = atom.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            1 => prop::collection::vec(inner.clone(), 2..3).prop_map(|parts| format!("({})", parts.join("|"))),
            1 => (inner, prop_oneof![Just("*"), Just("+"), Just("?"), Just("{2}"), Just("{1,3}")])
                .prop_map(|(part, repeat)| format!("({part}){repeat}")),
        ]
    });
    (any::<bool>(), inner, any::<bool>()).prop_map(|(start, inner, end)| {
        format!(
            "{}{inner}{}",
            if start { "^" } else { "" },
            if end { "$" } else { "" }
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// The automata beside the matcher that sops' rules are selected with, on every short path.
    #[test]
    fn no_short_path_says_otherwise(patterns in prop::collection::vec(patterns(), 2..5)) {
        thread_local! {
            static PATHS: Vec<String> = short_paths();
        }
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let rules = rules(&texts);
        let rules = rules.all();
        let languages = Languages::new(rules);
        let mut steps = Steps(STEPS);
        let matches = |rule: usize, path: &str| rules[rule].matches(path).unwrap();
        let last = rules.len() - 1;
        let earlier: Vec<usize> = (0..last).collect();
        let common = languages.common(last, 0, &mut steps).unwrap();
        let uncovered = languages.uncovered(last, &earlier, &mut steps).unwrap();
        let free = languages.uncovered_by_all(&mut steps).unwrap();
        PATHS.with(|paths| {
            let mut shortest: [Option<usize>; 3] = [None; 3];
            for path in paths {
                let by_earlier = earlier.iter().any(|&rule| matches(rule, path));
                let by_last = matches(last, path);
                for (shortest, holds) in shortest.iter_mut().zip([
                    by_last && matches(0, path),
                    by_last && !by_earlier,
                    !by_last && !by_earlier,
                ]) {
                    if holds {
                        *shortest = Some(shortest.map_or(path.len(), |length| length.min(path.len())));
                    }
                }
            }
            for (witness, shortest) in [&common, &uncovered, &free].into_iter().zip(shortest) {
                match (witness, shortest) {
                    (None, None) => {}
                    (None, Some(_)) => prop_assert!(false, "a short path was missed: {texts:?}"),
                    (Some(witness), shortest) => {
                        prop_assert!(is_path(witness), "{witness:?} {texts:?}");
                        // A name that starts with a dot may be put off in favour of one that is longer by a character.
                        if let Some(shortest) = shortest {
                            prop_assert!(witness.chars().count() <= shortest + 4, "{witness:?} {texts:?}");
                        }
                    }
                }
            }
            if let Some(path) = &common {
                prop_assert!(matches(last, path) && matches(0, path), "{path:?} {texts:?}");
            }
            if let Some(path) = &uncovered {
                prop_assert!(matches(last, path) && !earlier.iter().any(|&rule| matches(rule, path)), "{path:?} {texts:?}");
            }
            if let Some(path) = &free {
                prop_assert!(!(0..=last).any(|rule| matches(rule, path)), "{path:?} {texts:?}");
            }
            Ok(())
        })?;
    }
}

#[test]
fn orders_that_repair() {
    let suggested = |patterns: &[&str]| analyse(&rules(patterns), &[]).suggested;
    // The general rule first.
    assert_eq!(suggested(&["^a/", "^a/b/", "^c/"]), Some(vec![1, 0, 2]));
    assert_eq!(suggested(&["", "^a/", "^a/b"]), Some(vec![2, 1, 0]));
    assert_eq!(
        suggested(&["^x", "", "^a/", "^a/b"]),
        Some(vec![0, 3, 2, 1])
    );
    // Nothing to repair, or nothing that an order repairs: twice the same, covered by several rules in part.
    assert_eq!(suggested(&["^a/b/", "^a/", ""]), None);
    assert_eq!(suggested(&["^a/", "^a/"]), None);
    assert_eq!(suggested(&["", "^a/", ""]), Some(vec![1, 0, 2]));
    assert_eq!(suggested(&["^a.*x", "^a.*[^x]$", "^a."]), None);
    // Meets another rule on the way, which none of its paths gets today.
    assert_eq!(suggested(&["^a/", "x$", "^a/b/"]), Some(vec![2, 0, 1]));
    assert_eq!(
        suggested(&["^c/", "^a/", "x$", "^a/b/"]),
        Some(vec![0, 3, 1, 2])
    );
    // What meets in part stays in its order.
    assert_eq!(suggested(&["", "^a/.*x", "^a/b"]), Some(vec![1, 2, 0]));
    assert_eq!(suggested(&["x$", "^a/", "^a/b"]), Some(vec![0, 2, 1]));
    let texts = |patterns: &[&str]| -> Vec<String> {
        let findings = analyse(&rules(patterns), &[]).findings;
        findings
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error)
            .filter_map(|finding| finding.hint)
            .collect()
    };
    assert_eq!(
        texts(&["", "^a/"]),
        [
            "move it to the end (the whole order, by line: 4, 2); secretsctl check --fix does it",
            "move it before the rule in line 2 (the whole order, by line: 4, 2); secretsctl check --fix does it",
        ]
    );
    assert_eq!(
        texts(&["^a/", "^a/"]),
        ["move it before the rule that is more general, or remove it"]
    );
}

#[test]
fn more_files_and_rules_than_are_tried() {
    let paths = ["a/1", "a/2", "b/1"];
    let known = |patterns: &[&str]| -> Vec<bool> {
        let rules = rules(patterns);
        let languages = Languages::new(rules.all());
        let files = Files::new(rules.all(), &languages, &paths, 5);
        files.matching.iter().map(Option::is_some).collect()
    };
    assert_eq!(known(&["a/", "b/"]), [true, false]);
    // What starts elsewhere needs no trial.
    assert_eq!(
        known(&["^a/", "b/", "^c/", "^b/"]),
        [true, true, true, false]
    );
}
