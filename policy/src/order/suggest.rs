//! The order that somebody meant: the specific rule before the general one, and otherwise as it is.

use super::{
    languages::Steps,
    verdict::{Bench, Verdict},
};
use crate::{
    automaton::TooLarge,
    rules::{Finding, Position, Rule},
};

/// Rules of which the whole order is shown.
const MOST_SHOWN: usize = 12;

/// An order of the rules that makes some reachable and none unreachable, or puts a rule for everything last.
///
/// A rule goes before those that match everything that it matches, and more. Rules that meet in any other way and mean
/// something else stay in their order, so that no path changes its rule but for those that the finding is about. Where
/// the two cannot be had together there is no suggestion.
pub(super) fn order(
    bench: &Bench<'_>,
    verdicts: &[Verdict],
    steps: &mut Steps,
) -> Option<Vec<usize>> {
    let last = verdicts.len().checked_sub(1)?;
    let is_broken = |(index, verdict): (usize, &Verdict)| {
        verdict.is_unreachable || verdict.is_catch_all && index < last
    };
    if !verdicts.iter().enumerate().any(is_broken)
        || !verdicts.iter().all(|verdict| verdict.meeting_is_known)
    {
        return None;
    }
    let before = constraints(bench, verdicts, steps).ok()?;
    let order = sorted(&before.strict).or_else(|| sorted(&before.loose))?;
    let is_changed = order.iter().enumerate().any(|(place, &rule)| place != rule);
    (is_changed && is_better(bench, verdicts, &order, steps).ok()?).then_some(order)
}

/// Puts the suggestion into the hints of the findings that it repairs.
pub(super) fn tell(rules: &[Rule], order: &[usize], findings: &mut [Finding]) {
    let lines: Vec<String> = order
        .iter()
        .filter_map(|&rule| rules.get(rule))
        .map(|rule| rule.position.line.to_string())
        .collect();
    let place_of = |position: Position| {
        let rule = rules.iter().find(|rule| rule.position == position)?;
        order.iter().position(|&other| other == rule.index)
    };
    for finding in findings {
        let Some(place) = place_of(finding.position) else {
            continue;
        };
        let step = match finding.code {
            "unreachable-rule" => {
                let behind = finding
                    .related
                    .iter()
                    .find(|other| place_of(other.position).is_some_and(|other| other > place));
                let Some(behind) = behind else { continue };
                format!("move it before the rule in line {}", behind.position.line)
            }
            "catch-all-not-last" if place + 1 == order.len() => "move it to the end".to_owned(),
            _ => continue,
        };
        let all = match lines.len() {
            0..=MOST_SHOWN => format!(" (the whole order, by line: {})", lines.join(", ")),
            _ => String::new(),
        };
        finding.hint = Some(format!("{step}{all}; secretsctl check --fix does it"));
    }
}

/// For each rule those that must come before it.
#[derive(Default)]
struct Constraints {
    /// The specific before the general, and what meets in any other way as it is.
    strict: Vec<Vec<usize>>,
    /// The same without pairs of which the later rule lies wholly within a rule before both: none of its paths gets the
    /// earlier one of the pair today, so nothing is lost where they change places.
    loose: Vec<Vec<usize>>,
}

fn constraints(
    bench: &Bench<'_>,
    verdicts: &[Verdict],
    steps: &mut Steps,
) -> Result<Constraints, TooLarge> {
    let mut all = Constraints {
        strict: vec![Vec::new(); verdicts.len()],
        loose: vec![Vec::new(); verdicts.len()],
    };
    for (later, verdict) in verdicts.iter().enumerate() {
        let mut is_within_earlier = false;
        for &earlier in &verdict.meeting {
            let in_earlier = bench.contains(earlier, later, steps)?;
            let in_later = bench.contains(later, earlier, steps)?;
            let (first, second, is_loose) = match (in_earlier, in_later) {
                (true, false) => {
                    is_within_earlier = true;
                    (later, earlier, true)
                }
                (false, false) if bench.same_meaning(earlier, later) => continue,
                (false, false) => (earlier, later, !is_within_earlier),
                (_, true) => (earlier, later, true),
            };
            if let Some(before) = all.strict.get_mut(second) {
                before.push(first);
            }
            if is_loose && let Some(before) = all.loose.get_mut(second) {
                before.push(first);
            }
        }
    }
    Ok(all)
}

/// Each rule behind those that must come before it, and otherwise in the order of the file; `None` where they go in a
/// circle.
fn sorted(before: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Placed,
    }
    let mut states = vec![State::New; before.len()];
    let mut order = Vec::with_capacity(before.len());
    for first in 0..before.len() {
        let mut open = vec![first];
        while let Some(&rule) = open.last() {
            let state = states.get_mut(rule)?;
            if *state == State::Placed {
                open.pop();
                continue;
            }
            *state = State::Open;
            let mut needed = before.get(rule)?.clone();
            needed.retain(|&other| states.get(other) != Some(&State::Placed));
            needed.sort_unstable();
            if needed.is_empty() {
                *states.get_mut(rule)? = State::Placed;
                order.push(rule);
                open.pop();
            } else if needed
                .iter()
                .any(|&other| states.get(other) == Some(&State::Open))
            {
                return None;
            } else {
                // Only the first, so that what is open is always one path.
                open.extend(needed.first());
            }
        }
    }
    Some(order)
}

fn is_better(
    bench: &Bench<'_>,
    verdicts: &[Verdict],
    order: &[usize],
    steps: &mut Steps,
) -> Result<bool, TooLarge> {
    let mut meeting: Vec<Vec<usize>> = vec![Vec::new(); verdicts.len()];
    for (later, verdict) in verdicts.iter().enumerate() {
        for &earlier in &verdict.meeting {
            for (rule, other) in [(later, earlier), (earlier, later)] {
                if let Some(meeting) = meeting.get_mut(rule) {
                    meeting.push(other);
                }
            }
        }
    }
    let mut places = vec![0; order.len()];
    for (place, &rule) in order.iter().enumerate() {
        if let Some(known) = places.get_mut(rule) {
            *known = place;
        }
    }
    let last = order.len().saturating_sub(1);
    let mut is_better = false;
    for (rule, (verdict, mut meeting)) in verdicts.iter().zip(meeting).enumerate() {
        if verdict.matches_nothing {
            continue;
        }
        let place = places.get(rule);
        meeting.retain(|&other| places.get(other) < place);
        let is_reached = bench.languages.uncovered(rule, &meeting, steps)?.is_some();
        if !is_reached && !verdict.is_unreachable {
            return Ok(false);
        }
        is_better |= is_reached && verdict.is_unreachable;
        is_better |= verdict.is_catch_all && rule != last && place == Some(&last);
    }
    Ok(is_better)
}

#[cfg(test)]
mod tests {
    use super::sorted;

    #[test]
    fn stable_and_without_circles() {
        assert_eq!(sorted(&[vec![], vec![], vec![]]), Some(vec![0, 1, 2]));
        assert_eq!(sorted(&[vec![2], vec![], vec![]]), Some(vec![2, 0, 1]));
        assert_eq!(sorted(&[vec![1, 2], vec![], vec![]]), Some(vec![1, 2, 0]));
        assert_eq!(sorted(&[vec![1], vec![2], vec![0]]), None);
        assert_eq!(
            sorted(&[vec![3], vec![3], vec![0], vec![]]),
            Some(vec![3, 0, 1, 2])
        );
    }
}
