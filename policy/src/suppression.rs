//! `# secretsctl: allow(CODE) reason` in the comments of `.sops.yaml`: findings that somebody has looked at and wants to
//! keep. A reason is required, so that the next reader knows it, too.

use crate::{
    rules::{Position, Rule},
    yaml::Span,
};

/// With what a comment for this program starts.
const MARK: &str = "secretsctl:";
/// What the word in [`MARK`] is without its colon.
const NAME: &str = "secretsctl";

/// A comment that allows findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Where the comment starts.
    pub position: Position,
    /// The numbers of the rules that it stands in or directly above; empty where it stands apart from them.
    pub rules: Vec<usize>,
    /// What it allows; never empty.
    pub allowed: Vec<Allowed>,
    /// Why; never empty.
    pub reason: String,
}

/// One entry of `allow(…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The code of the finding.
    pub code: String,
    /// The file that it is about, or with a slash at the end the directory.
    pub path: Option<String>,
}

impl Allowed {
    /// Whether a finding about the file `path` is meant, as far as its path is concerned.
    pub fn is_for(&self, path: &str) -> bool {
        match &self.path {
            None => true,
            Some(directory) if directory.ends_with('/') => path.starts_with(directory),
            Some(file) => path == file,
        }
    }
}

/// A comment that was meant for this program and says nothing to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where the comment starts.
    pub position: Position,
    /// What is wrong; a sentence without capital and period.
    pub message: &'static str,
}

/// The comments for this program, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Suppressions {
    /// Those that hold.
    pub all: Vec<Suppression>,
    /// Those that do not.
    pub malformed: Vec<Malformed>,
}

impl Suppressions {
    /// Reads the comments of `text`, whose spans, in order, are `comments`.
    pub(crate) fn read(text: &str, comments: &[Span], rules: &[Rule]) -> Self {
        let mut found = Self::default();
        let mut line = 1;
        let mut counted = 0;
        for span in comments {
            let comment = text.get(span.clone()).unwrap_or_default();
            let comment = comment.trim_start_matches('#').trim();
            let said = match comment.strip_prefix(MARK) {
                Some(said) => Ok(said),
                None if is_without_colon(comment) => {
                    Err("there is no colon behind secretsctl, so this comment allows nothing")
                }
                None => continue,
            };
            let before = text.get(counted..span.start).unwrap_or_default();
            line += before.matches('\n').count();
            counted = span.start;
            let start = text.get(..span.start).unwrap_or_default();
            let start_of_line = start.rfind('\n').map_or(0, |at| at + 1);
            let indent = start.get(start_of_line..).unwrap_or_default();
            let position = Position {
                line,
                column: indent.chars().count() + 1,
            };
            match said.and_then(|said| parse(said.trim())) {
                Ok((allowed, reason)) => {
                    let about = if indent.trim().is_empty() {
                        line + lines_to_content(text.get(span.end..).unwrap_or_default())
                    } else {
                        line
                    };
                    let has = |rule: &&Rule| rule.lines.contains(&about);
                    found.all.push(Suppression {
                        position,
                        rules: rules.iter().filter(has).map(|rule| rule.index).collect(),
                        allowed,
                        reason,
                    });
                }
                Err(message) => found.malformed.push(Malformed { position, message }),
            }
        }
        found
    }
}

/// `secretsctl allow(…`, and not a sentence that begins with the name.
fn is_without_colon(comment: &str) -> bool {
    let rest = comment.strip_prefix(NAME).map(str::trim_start);
    let rest = rest.and_then(|rest| rest.strip_prefix("allow"));
    rest.is_some_and(|rest| rest.trim_start().starts_with('('))
}

/// How many lines below a comment the line is that it is about: the next that is no comment. An empty line ends the search
/// at itself, where no rule is.
fn lines_to_content(after: &str) -> usize {
    let mut lines = after.split('\n').skip(1);
    1 + lines
        .by_ref()
        .take_while(|line| line.trim_start().starts_with('#'))
        .count()
}

/// What stands behind the mark: `allow(CODE, CODE PATH) reason`.
fn parse(said: &str) -> Result<(Vec<Allowed>, String), &'static str> {
    const FORM: &str = "this comment is not of the form: secretsctl: allow(CODE) reason";
    let inside = said.strip_prefix("allow").map(str::trim_start);
    let inside = inside.and_then(|rest| rest.strip_prefix('('));
    let (list, reason) = inside.and_then(|rest| rest.split_once(')')).ok_or(FORM)?;
    let entry = |entry: &str| {
        let mut words = entry.split_whitespace();
        let code = words.next()?.to_owned();
        let path = words.next().map(str::to_owned);
        words.next().is_none().then_some(Allowed { code, path })
    };
    let allowed: Option<Vec<_>> = list.split(',').map(entry).collect();
    let allowed = allowed.ok_or(FORM)?;
    let reason = reason.trim().trim_start_matches(':').trim();
    if reason.is_empty() {
        return Err("this comment gives no reason, so it allows nothing");
    }
    Ok((allowed, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::rules::Rules;

    /// Each suppression as `line: rules: codes and paths`, then the lines of malformed ones.
    fn read(text: &str) -> (Vec<String>, Vec<usize>) {
        let rules = Rules::parse(text).unwrap();
        let all = rules.suppressions.all.iter().map(|one| {
            let allowed = one.allowed.iter().map(|allowed| match &allowed.path {
                Some(path) => format!("{} {path}", allowed.code),
                None => allowed.code.clone(),
            });
            let allowed: Vec<_> = allowed.collect();
            format!(
                "{}: {:?}: {}",
                one.position.line,
                one.rules,
                allowed.join(", ")
            )
        });
        let malformed = rules.suppressions.malformed.iter();
        (
            all.collect(),
            malformed.map(|one| one.position.line).collect(),
        )
    }

    #[test]
    fn beside_which_rule_a_comment_stands() {
        let text = "# secretsctl: allow(no-catch-all) nobody adds files elsewhere

# secretsctl: allow(unused-recipient) the next line is not a rule
keys: []
creation_rules:
  # secretsctl: allow(drift) directly above
  # another comment between
  - path_regex: ^a/ # secretsctl: allow(overlapping-rules, drift a/b.yaml) on its line
    # secretsctl: allow(unescaped-dot): inside
    age: A
  # secretsctl: allow(drift) an empty line separates it

  - path_regex: ^b/
    key_groups:
      - age:
          - B # secretsctl: allow(threshold-too-low) deep inside
  # secretsctl: allow(drift) below the last rule
";
        let (all, malformed) = read(text);
        assert_eq!(
            all,
            [
                "1: []: no-catch-all",
                "3: []: unused-recipient",
                "6: [0]: drift",
                "8: [0]: overlapping-rules, drift a/b.yaml",
                "9: [0]: unescaped-dot",
                "11: []: drift",
                "16: [1]: threshold-too-low",
                "17: []: drift",
            ]
        );
        assert_eq!(malformed, [0usize; 0]);
        let (all, _) = read(
            "creation_rules: [{age: A}, {age: B}] # secretsctl: allow(drift) both stand here\n",
        );
        assert_eq!(all, ["1: [0, 1]: drift"]);
    }

    #[test]
    fn what_says_nothing() {
        let text = "# secretsctl: allow(drift)
# secretsctl: allow(drift):
# secretsctl: allow() why
# secretsctl: allow drift why
# secretsctl: ignore(drift) why
# secretsctl: allow(drift a b) why
# secretsctl: allow(drift why
# secretsctl allow(drift) without a colon
# secretsctl allow (drift) without a colon
# secretsctl allows much: see secretsctl check
# Secretsctl: another word
# the words secretsctl: allow(drift) in the middle
creation_rules: []
";
        assert_eq!(read(text), (vec![], (1..=9).collect()));
    }
}
