//! Two texts as a unified diff.

use std::ops::Range;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;
/// Pairs of lines that are compared for the shortest diff; beyond it everything that changed is shown as one piece.
const MOST_PAIRS: usize = 4 << 20;

/// One line of a diff with its mark: ` `, `-`, `+`, or `@` for a line that says where a piece stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mark: char,
    /// Without mark and line break.
    pub(crate) text: String,
}

/// The lines of the diff from `old` to `new`; none where they are equal.
pub(crate) fn unified(old: &str, new: &str) -> Vec<Line> {
    let (old, new) = (lines(old), lines(new));
    let steps = steps(&old, &new);
    let changed: Vec<usize> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.mark != ' ')
        .map(|(number, _)| number)
        .collect();
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for number in changed {
        let from = number.saturating_sub(CONTEXT);
        let to = (number + CONTEXT + 1).min(steps.len());
        match pieces.last_mut() {
            Some(piece) if from <= piece.end => piece.end = to,
            _ => pieces.push(from..to),
        }
    }
    let mut result = Vec::new();
    for piece in pieces {
        let before = steps.get(..piece.start).unwrap_or_default();
        let inside = steps.get(piece).unwrap_or_default();
        result.push(Line {
            mark: '@',
            text: format!(
                "@@ -{} +{} @@",
                span(before, inside, '+'),
                span(before, inside, '-')
            ),
        });
        for step in inside {
            let text = step.line.strip_suffix('\n');
            result.push(Line {
                mark: step.mark,
                text: text.unwrap_or(step.line).to_owned(),
            });
            if text.is_none() {
                let text = r" No newline at end of file".to_owned();
                result.push(Line { mark: '\\', text });
            }
        }
    }
    result
}

struct Step<'t> {
    mark: char,
    line: &'t str,
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// First line and number of lines, of the side that lines with the mark `without` are not on.
fn span(before: &[Step<'_>], inside: &[Step<'_>], without: char) -> String {
    let count = |steps: &[Step<'_>]| steps.iter().filter(|step| step.mark != without).count();
    let (before, inside) = (count(before), count(inside));
    format!("{},{inside}", if inside == 0 { before } else { before + 1 })
}

/// A shortest way from one to the other.
fn steps<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Step<'t>> {
    let same = |(left, right): &(&&str, &&str)| left == right;
    let head = old.iter().zip(new).take_while(same).count();
    let (common, old) = old.split_at(head);
    let new = new.get(head..).unwrap_or_default();
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(same)
        .count();
    let (old, end) = old.split_at(old.len() - tail);
    let new = new.get(..new.len() - tail).unwrap_or_default();
    let step = |mark| move |line: &&'t str| Step { mark, line };

    let mut result: Vec<Step<'_>> = common.iter().map(step(' ')).collect();
    let (mut left, mut right) = (0, 0);
    if old.len().saturating_mul(new.len()) <= MOST_PAIRS {
        // How many lines the rests have in common, for each pair of rests.
        let width = new.len() + 1;
        let mut rests = vec![0_u32; (old.len() + 1) * width];
        for (l, old) in old.iter().enumerate().rev() {
            for (r, new) in new.iter().enumerate().rev() {
                rests[l * width + r] = match old == new {
                    true => rests[(l + 1) * width + r + 1] + 1,
                    false => rests[(l + 1) * width + r].max(rests[l * width + r + 1]),
                };
            }
        }
        while let (Some(l), Some(r)) = (old.get(left), new.get(right)) {
            let at = left * width + right;
            if l == r {
                result.push(step(' ')(l));
                (left, right) = (left + 1, right + 1);
            } else if rests[at + width] >= rests[at + 1] {
                result.push(step('-')(l));
                left += 1;
            } else {
                result.push(step('+')(r));
                right += 1;
            }
        }
    }
    result.extend(old.iter().skip(left).map(step('-')));
    result.extend(new.iter().skip(right).map(step('+')));
    result.extend(end.iter().map(step(' ')));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> String {
        let lines = unified(old, new).into_iter();
        let lines = lines.map(|line| match line.mark {
            '@' => line.text + "\n",
            mark => format!("{mark}{}\n", line.text),
        });
        lines.collect()
    }

    #[test]
    fn pieces_with_context() {
        assert_eq!(shown("a\nb\n", "a\nb\n"), "");
        assert_eq!(
            shown(
                "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n",
                "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n"
            ),
            "@@ -2,11 +2,10 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n 10\n 11\n-12\n"
        );
        assert_eq!(
            shown("a\nb", "b\na"),
            "@@ -1,2 +1,2 @@\n-a\n-b\n\\ No newline at end of file\n+b\n+a\n\\ No newline at end of file\n"
        );
        assert_eq!(shown("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(
            shown("a\nb\nc\n", "c\na\nb\n"),
            "@@ -1,3 +1,3 @@\n+c\n a\n b\n-c\n"
        );
    }
}
