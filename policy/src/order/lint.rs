//! Patterns that match more, or less, than they look like: unescaped dots, missing anchors, absolute paths.
//!
//! Published rules are full of unescaped dots and missing anchors that do no harm. So these are warnings only where a path
//! that exists shows the harm, and at most one note for each rule otherwise.

use super::{
    dots, sample,
    verdict::{Bench, Verdict},
};
use crate::{
    pattern::{Assertion, Node, Pattern},
    rules::{Finding, Position, Rule, Severity},
};

/// Endings of files that are whole: what comes behind one makes another file of it.
const WHOLE: &[&str] = &["yaml", "yml", "json", "ini", "toml"];
/// What tools and people put behind the name of a copy.
const COPIES: &[&str] = &[
    "~", ".bak", ".backup", ".old", ".orig", ".rej", ".save", ".swp", ".tmp", ".copy",
];
/// What is put behind the name of an encrypted file on purpose.
const ENCRYPTED: &[&str] = &[
    ".enc",
    ".sops",
    ".age",
    ".gpg",
    ".asc",
    ".pgp",
    ".crypt",
    ".encrypted",
];
/// Directories in which absolute paths start.
const ROOTS: &[&str] = &[
    "/home/", "/Users/", "/root/", "/etc/", "/srv/", "/var/", "/opt/", "/mnt/", "/tmp/", "/usr/",
    "/nix/",
];
/// Ways in which a pattern can start that are looked at.
const MOST_HEADS: usize = 64;

/// What there is to say about the patterns of all rules.
pub(super) fn patterns(bench: &Bench<'_>, verdicts: &[Verdict]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (rule, verdict) in bench.rules.iter().zip(verdicts) {
        let Ok(Some(pattern)) = rule.pattern() else {
            continue;
        };
        let lint = Lint {
            bench,
            rule,
            pattern,
            heads: heads(pattern.tree()),
        };
        found.extend(lint.absolute());
        if verdict.matches_nothing || verdict.is_catch_all {
            continue;
        }
        found.extend(lint.dots(verdict));
        found.extend(lint.anchors());
    }
    found
}

struct Lint<'r> {
    bench: &'r Bench<'r>,
    rule: &'r Rule,
    pattern: &'r Pattern,
    heads: Vec<Head>,
}

impl Lint<'_> {
    fn absolute(&self) -> Option<Finding> {
        let matches_a_file = self.bench.files.first(self.rule.index).is_some();
        let is_absolute = |head: &Head| {
            let text = head.text.as_str();
            let drive = text.as_bytes().first_chunk::<3>();
            head.is_anchored
                && (text.starts_with('/')
                    || drive.is_some_and(|[_, colon, slash]| *colon == b':' && *slash == b'/'))
                || !matches_a_file
                    && ROOTS.iter().any(|root| text.starts_with(root))
                    && !self.heads.iter().any(|other| {
                        other.is_anchored && text.strip_prefix('/') == Some(&other.text)
                    })
        };
        let is_dotted = |head: &Head| {
            head.is_anchored && (head.text.starts_with("./") || head.text.starts_with("../"))
        };
        let (message, hint) = if self.heads.iter().any(is_absolute) {
            (
                "this pattern is written for absolute paths, and paths are relative to the directory of .sops.yaml",
                "write the path from the directory of .sops.yaml on, as in ^secrets/",
            )
        } else if self.heads.iter().any(is_dotted) {
            (
                "no path starts with ./ or ../: paths are relative to the directory of .sops.yaml and clean",
                "write the path from the directory of .sops.yaml on, as in ^secrets/",
            )
        } else if !matches_a_file && has_backslash(self.pattern.tree()) {
            (
                "this pattern matches a backslash, and the parts of a path are joined by /",
                "write / between the parts of a path",
            )
        } else {
            return None;
        };
        Some(self.finding("absolute-pattern", Severity::Warning, message, hint))
    }

    fn dots(&self, verdict: &Verdict) -> Option<Finding> {
        let strict = Pattern::of(dots::strict(self.pattern.tree())?)?;
        let code = "unescaped-dot";
        let hint = r"write \. for a dot";
        let file = self
            .bench
            .files
            .taken(self.rule.index)
            .find(|file| !strict.is_match(file));
        if let Some(file) = file {
            let message =
                "this rule takes a file only because a dot in its pattern matches any character";
            let finding = self.finding(code, Severity::Warning, message, hint);
            return Some(finding.with_witness(file.to_owned()));
        }
        if let Some((other, path)) = &verdict.through_dots
            && let Some(other) = self.bench.rules.get(*other)
        {
            let message = "this rule and an earlier one match the same path only because a dot matches any character";
            let finding = self.finding(code, Severity::Warning, message, hint);
            return Some(
                finding
                    .with_witness(path.clone())
                    .with_related(other.position, "the earlier rule"),
            );
        }
        let message = "a dot in this pattern matches any character, not only a dot";
        Some(self.finding(code, Severity::Note, message, hint))
    }

    fn anchors(&self) -> Option<Finding> {
        let code = "unanchored-pattern";
        let end = "end the pattern with $";
        let start = "begin the pattern with ^, or with (^|/)";
        if let Some(file) = self.copy() {
            let message = "this rule takes a file that only starts like those it is meant for: its pattern does not end \
                           with $";
            return Some(
                self.finding(code, Severity::Warning, message, end)
                    .with_witness(file),
            );
        }
        if let Some(file) = self.longer_directory() {
            let message = "this rule takes a file of a directory whose name only ends like the one that it is meant for: \
                           its pattern does not begin with ^";
            return Some(
                self.finding(code, Severity::Warning, message, start)
                    .with_witness(file),
            );
        }
        let natural = match dots::strict(self.pattern.tree()) {
            Some(tree) => sample::of(&tree, self.pattern),
            None => sample::of(self.pattern.tree(), self.pattern),
        }?;
        let behind = format!("{natural}.bak");
        let is_whole = WHOLE
            .iter()
            .any(|end| natural.ends_with(&format!(".{end}")));
        let is_open_behind = is_whole && self.pattern.is_match(&behind);
        let before = format!("not-{natural}");
        let is_open_before = self.starts_with_directory() && self.pattern.is_match(&before);
        let (message, hint, witness) = match (is_open_before, is_open_behind) {
            (false, false) => return None,
            (false, true) => (
                "what comes behind the end of this pattern can be anything",
                end,
                behind,
            ),
            (true, false) => (
                "what comes before the start of this pattern can be anything",
                start,
                before,
            ),
            (true, true) => (
                "what comes before and behind this pattern can be anything",
                "begin the pattern with ^ and end it with $",
                format!("not-{behind}"),
            ),
        };
        Some(
            self.finding(code, Severity::Note, message, hint)
                .with_witness(witness),
        )
    }

    /// A file that is taken although something stands behind the ending that the pattern names.
    fn copy(&self) -> Option<String> {
        let mut ended = None;
        self.bench.files.taken(self.rule.index).find_map(|file| {
            let whole = cut(file)?;
            let tree = || {
                Node::Concat(vec![
                    self.pattern.tree().clone(),
                    Node::Assertion(Assertion::TextEnd),
                ])
            };
            let ended = ended.get_or_insert_with(|| Pattern::of(tree())).as_ref()?;
            (ended.is_match(whole) && !ended.is_match(file)).then(|| file.to_owned())
        })
    }

    /// A file in `not-secrets/` where the pattern says `secrets/`, and other files are in `secrets/`.
    fn longer_directory(&self) -> Option<String> {
        if !self.starts_with_directory() {
            return None;
        }
        let slash = || {
            let start = Node::Assertion(Assertion::TextStart);
            Node::Alternate(vec![start, Node::Literal('/')])
        };
        let tree = Node::Concat(vec![slash(), self.pattern.tree().clone()]);
        let mut files = self.bench.files.taken(self.rule.index).peekable();
        files.peek()?;
        let whole = Pattern::of(tree)?;
        let (inside, longer): (Vec<_>, Vec<_>) = files.partition(|file| whole.is_match(file));
        // Where all are of that kind, that is what the pattern was written for.
        (!inside.is_empty()).then(|| longer.first().map(|file| (*file).to_owned()))?
    }

    /// Whether the pattern starts with the whole name of a directory, and not with `^`.
    fn starts_with_directory(&self) -> bool {
        let is_directory = |head: &Head| {
            let name = head.text.split_once('/').map(|(name, _)| name);
            !head.is_anchored
                && name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphanumeric()))
        };
        !self.heads.is_empty() && self.heads.iter().all(is_directory)
    }

    fn finding(
        &self,
        code: &'static str,
        severity: Severity,
        message: &str,
        hint: &str,
    ) -> Finding {
        let position = match &self.rule.path_regex {
            Some(source) => source.position,
            None => Position::default(),
        };
        Finding::new(code, severity, position, message, hint)
    }
}

/// The path without what stands behind a file's ending, if that is something that makes another file of it.
fn cut(file: &str) -> Option<&str> {
    let name = file.rsplit('/').next()?;
    let start = file.len() - name.len();
    let behind = |ending: &str| {
        let at = name.find(&format!(".{ending}"))? + 1 + ending.len();
        let rest = name.get(at..)?;
        let is_other = rest.starts_with(|c: char| !c.is_alphanumeric())
            && !ENCRYPTED.iter().any(|end| rest.starts_with(end));
        is_other.then_some(start + at)
    };
    let copy = || {
        let end = COPIES.iter().find(|end| name.ends_with(**end))?;
        Some(file.len() - end.len())
    };
    let at = WHOLE
        .iter()
        .find_map(|ending| behind(ending))
        .or_else(copy)?;
    file.get(..at)
}

/// How a match can start.
#[derive(Clone, Debug, Default)]
struct Head {
    /// Behind a `^`.
    is_anchored: bool,
    /// The literals until something else comes.
    text: String,
    is_done: bool,
}

fn heads(tree: &Node) -> Vec<Head> {
    let mut heads = vec![Head::default()];
    extend(tree, &mut heads);
    heads
}

/// At most as deep as the tree.
fn extend(node: &Node, heads: &mut Vec<Head>) {
    if heads.iter().all(|head| head.is_done) {
        return;
    }
    let finish = |heads: &mut Vec<Head>| heads.iter_mut().for_each(|head| head.is_done = true);
    match node {
        Node::Empty => {}
        Node::Assertion(Assertion::TextStart) => {
            for head in heads
                .iter_mut()
                .filter(|head| !head.is_done && head.text.is_empty())
            {
                head.is_anchored = true;
            }
        }
        Node::Literal(c) => heads
            .iter_mut()
            .filter(|head| !head.is_done)
            .for_each(|head| head.text.push(*c)),
        Node::Capture(node) => extend(node, heads),
        Node::Concat(nodes) => nodes.iter().for_each(|node| extend(node, heads)),
        Node::Alternate(nodes) if heads.len().saturating_mul(nodes.len()) <= MOST_HEADS => {
            let before = std::mem::take(heads);
            for node in nodes {
                let mut branch = before.clone();
                extend(node, &mut branch);
                heads.append(&mut branch);
            }
        }
        Node::Alternate(_) | Node::Class(_) | Node::Repeat { .. } | Node::Assertion(_) => {
            finish(heads);
        }
    }
}

/// A backslash outside of a set or a choice of separators, `[/\\]` or `(/|\\)`. At most as deep as the tree.
fn has_backslash(node: &Node) -> bool {
    match node {
        Node::Literal(c) => *c == '\\',
        Node::Alternate(nodes) => nodes
            .iter()
            .any(|node| !matches!(node, Node::Literal(_)) && has_backslash(node)),
        Node::Concat(nodes) => nodes.iter().any(has_backslash),
        Node::Capture(node) | Node::Repeat { node, .. } => has_backslash(node),
        Node::Empty | Node::Class(_) | Node::Assertion(_) => false,
    }
}
