//! Finding the names in the text of the file.

use std::collections::{BTreeMap, HashMap};

use super::{Names, Source, fit, ssh_comment};
use crate::{
    recipient::is_private_key,
    yaml::{Content, NodeId, Stream},
};

/// Words of a comment above a key; more are prose about it, or about what follows.
const MOST_WORDS_ABOVE: usize = 6;

/// A place where one key, or a text that holds several, is written or stands as an alias.
struct Mention<'s> {
    keys: Vec<&'s str>,
    anchor: Option<&'s str>,
    start: usize,
    first_line: usize,
    last_line: usize,
}

impl Names {
    /// The names in `text`, whose first document is that of `stream`.
    pub(crate) fn read(text: &str, stream: &Stream) -> Self {
        let Some(document) = stream.documents.first() else {
            return Self::default();
        };
        let lines = Lines::new(text, stream);
        let mentions = mentions(stream, document.root, &lines);
        let mut keys_behind: HashMap<usize, usize> = HashMap::new();
        let mut key_starts: HashMap<usize, bool> = HashMap::new();
        for mention in &mentions {
            *keys_behind.entry(mention.last_line).or_default() += mention.keys.len();
            let leads = lines.leads(mention);
            *key_starts.entry(mention.first_line).or_default() |= leads;
        }
        let mut names = Self::default();
        for mention in &mentions {
            for key in &mention.keys {
                if let Some(comment) = ssh_comment(key).and_then(fit) {
                    names.add(key, Source::Ssh, mention.start, comment);
                }
            }
            let [key] = mention.keys.as_slice() else {
                continue; // whose the name is cannot be known
            };
            if let Some(anchor) = mention.anchor {
                names.add(key, Source::Anchor, mention.start, anchor);
            }
            if keys_behind.get(&mention.last_line) == Some(&1)
                && !lines.before(mention).contains('{')
                && let Some(name) = lines.behind(mention.last_line).and_then(name_in)
            {
                names.add(key, Source::SameLine, mention.start, name);
            }
            let alone = key_starts.get(&(mention.last_line + 1)) != Some(&true);
            if alone
                && lines.leads(mention)
                && let Some(name) = lines.above(mention.first_line).and_then(name_above)
            {
                names.add(key, Source::LineAbove, mention.start, name);
            }
        }
        names.finish()
    }
}

/// In the order of the text; what aliases stand for is not entered again.
fn mentions<'s>(stream: &'s Stream, root: NodeId, lines: &Lines<'_>) -> Vec<Mention<'s>> {
    let mut found = Vec::new();
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        let node = stream.node(id);
        match &node.content {
            Content::Sequence { items, .. } => left.extend(items.iter().rev()),
            Content::Mapping { entries, .. } => {
                left.extend(entries.iter().rev().map(|(_, value)| value));
            }
            Content::Scalar { .. } | Content::Alias { .. } => {
                let target = stream.follow(id);
                let keys = keys_in(target.as_scalar().unwrap_or_default());
                if keys.is_empty() {
                    continue;
                }
                let anchor = node.anchor.as_ref().map(|anchor| anchor.name.as_str());
                let start = node.outer_start();
                found.push(Mention {
                    keys,
                    anchor,
                    start,
                    first_line: lines.of(start),
                    last_line: lines.of(node.span.end.max(start)),
                });
            }
        }
    }
    found
}

/// The keys of a text as it stands in the file: one, or several with commas between them.
fn keys_in(text: &str) -> Vec<&str> {
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    let keys: Vec<_> = parts.collect();
    if keys.iter().all(|key| is_key(key)) {
        keys
    } else {
        Vec::new()
    }
}

/// Whether it looks like a key of a kind that sops knows. That it is a valid one is not asked: a name helps also where a
/// key is damaged.
pub(crate) fn is_key(text: &str) -> bool {
    if is_private_key(text) {
        return false;
    }
    let hex = text.bytes().filter(|byte| *byte != b' ');
    text.starts_with("age1") && !text.contains(char::is_whitespace)
        || text.starts_with("ssh-") && text.split_whitespace().count() >= 2
        || text.starts_with("arn:")
        || text.starts_with("projects/") && text.contains("/cryptoKeys/")
        || text.starts_with("https://") && text.contains("/keys/")
        || hex.clone().count() >= 16 && hex.clone().all(|byte| byte.is_ascii_hexdigit())
}

/// The lines of the file and their comments.
struct Lines<'t> {
    text: &'t str,
    /// Where each line starts.
    starts: Vec<usize>,
    /// By line: the comment, and whether nothing but blanks stands before it.
    comments: BTreeMap<usize, (&'t str, bool)>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str, stream: &Stream) -> Self {
        // The line breaks of YAML 1.1.
        let is_break = |(at, c): &(usize, char)| match c {
            '\r' => text.as_bytes().get(at + 1) != Some(&b'\n'),
            c => matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}'),
        };
        let breaks = text.char_indices().filter(is_break);
        let behind = breaks.map(|(at, c)| at + c.len_utf8());
        let mut lines = Self {
            text,
            starts: std::iter::once(0).chain(behind).collect(),
            comments: BTreeMap::new(),
        };
        for span in &stream.comments {
            let line = lines.of(span.start);
            let before = lines.range(lines.start(line), span.start);
            let comment = lines.range(span.start, span.end);
            lines
                .comments
                .insert(line, (comment, before.trim().is_empty()));
        }
        lines
    }

    /// The line of byte `at`, from 0.
    fn of(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).max(1) - 1
    }

    fn start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.text.len())
    }

    fn range(&self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// What stands before the mention in its line.
    fn before(&self, mention: &Mention<'_>) -> &'t str {
        self.range(self.start(mention.first_line), mention.start)
    }

    /// Whether nothing but the dashes of lists stands before it in its line.
    fn leads(&self, mention: &Mention<'_>) -> bool {
        let before = self.before(mention);
        before.chars().all(|c| c.is_whitespace() || c == '-')
    }

    /// The comment at the end of the line.
    fn behind(&self, line: usize) -> Option<&'t str> {
        let (comment, alone) = self.comments.get(&line)?;
        (!alone).then_some(comment)
    }

    /// The comment that fills the line above.
    fn above(&self, line: usize) -> Option<&'t str> {
        let (comment, alone) = self.comments.get(&line.checked_sub(1)?)?;
        alone.then_some(comment)
    }
}

/// The name that a comment gives, if it gives one.
pub(crate) fn name_in(comment: &str) -> Option<&str> {
    let text = comment.trim_start_matches('#').trim();
    // An entry that was commented out, and words to a program.
    let is_other = ["- ", "age1", "ssh-", "secretsctl:"];
    if is_other.iter().any(|start| text.starts_with(start)) {
        return None;
    }
    // As in `---- servers ----`.
    fit(text.trim_matches(['-', '=', '*', '#', '~', ' ']))
}

/// Above a key there is more that is no name: sentences, and headings of what follows.
pub(crate) fn name_above(comment: &str) -> Option<&str> {
    let name = name_in(comment)?;
    let is_prose =
        name.ends_with(['.', ':', '!', '?']) || name.split_whitespace().count() > MOST_WORDS_ABOVE;
    (!is_prose).then_some(name)
}
