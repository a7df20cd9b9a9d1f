//! What the file of the rules calls a key, so that people need not read keys.
//!
//! A name is an anchor (`&alice age1…`), a comment behind the key (`- age1…  # alice`), a comment in the line directly
//! above it, or the comment of an SSH key, in this order of preference. A comment counts only where it can belong to one
//! key alone: not behind two keys, not above a run of them, not behind a rule in braces.

mod read;

use std::collections::BTreeMap;

pub(crate) use read::{is_key, name_above, name_in};

use crate::recipient::is_private_key;

/// Characters of a name; longer texts are no names.
const LONGEST: usize = 64;
/// Keys up to this many characters are shown whole.
const SHORT: usize = 24;
/// Bytes from which on a key is always cut. SSH keys of 2,048 bits have fewer.
const LONG: usize = 500;

/// The names of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// By the text that keys are compared by; the preferred name first.
    of: BTreeMap<String, Vec<Name>>,
}

/// One name of a key, ordered by preference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    source: Source,
    /// Byte offset in the file.
    at: usize,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Anchor,
    SameLine,
    LineAbove,
    Ssh,
}

impl Names {
    /// The preferred name of the key `text`; what is written behind a key does not count in it. An SSH key that the file
    /// does not know is called by its own comment.
    pub fn name_of<'n>(&'n self, text: &'n str) -> Option<&'n str> {
        self.all_of(text)
            .next()
            .or_else(|| ssh_comment(text).and_then(fit))
    }

    /// All names of the key `text`, the preferred one first.
    pub fn all_of(&self, text: &str) -> impl Iterator<Item = &str> {
        let names = self.entry(&comparable(text));
        names.into_iter().flatten().map(|name| name.text.as_str())
    }

    /// The keys that `name` stands for, in the form in which keys are compared. Usually there is one.
    pub fn keys_of(&self, name: &str) -> Vec<&str> {
        let named = self.of.iter();
        named
            .filter(|(_, names)| names.iter().any(|other| other.text == name))
            .map(|(key, _)| key.as_str())
            .collect()
    }

    /// Every name there is; some may repeat.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.of.values().flatten().map(|name| name.text.as_str())
    }

    /// `alice`, or `age1g9jq0…45lxqk` where it has no name.
    pub fn short(&self, text: &str) -> String {
        self.name_of(text)
            .map_or_else(|| shortened(text), str::to_owned)
    }

    /// `alice (age1g9jq0…45lxqk)`, or the whole key where it has no name.
    pub fn label(&self, text: &str) -> String {
        match self.name_of(text) {
            Some(name) => format!("{name} ({})", shortened(text)),
            None => readable(text),
        }
    }

    /// The metadata of files give only the address of some cloud keys: then it must be that of one key.
    fn entry(&self, key: &str) -> Option<&[Name]> {
        if let Some(names) = self.of.get(key) {
            return Some(names);
        }
        if !key.starts_with("https://") {
            return None;
        }
        let inside = format!("{key}/");
        let mut below = self
            .of
            .range(inside.clone()..)
            .take_while(|(other, _)| other.starts_with(&inside));
        match (below.next(), below.next()) {
            (Some((_, names)), None) => Some(names),
            _ => None,
        }
    }

    fn add(&mut self, key: &str, source: Source, at: usize, text: &str) {
        let names = self.of.entry(comparable(key)).or_default();
        names.push(Name {
            source,
            at,
            text: text.to_owned(),
        });
    }

    /// Sorts by preference and drops repetitions.
    fn finish(mut self) -> Self {
        for names in self.of.values_mut() {
            names.sort();
            let mut kept: Vec<Name> = Vec::with_capacity(names.len());
            for name in names.drain(..) {
                if kept.iter().all(|other| other.text != name.text) {
                    kept.push(name);
                }
            }
            *names = kept;
        }
        self
    }
}

/// The text by which two ways to write one key are equal: no comment of an SSH key, no blanks in a fingerprint, no role
/// behind an ARN.
pub fn comparable(text: &str) -> String {
    let text = text.trim();
    if text.starts_with("ssh-") {
        let parts: Vec<_> = text.split_whitespace().take(2).collect();
        return parts.join(" ");
    }
    let text = match text.starts_with("arn:") {
        true => text.split(['+', '|']).next().unwrap_or_default(),
        false => text,
    };
    text.replace(' ', "")
}

/// The comment of an SSH key.
pub fn ssh_comment(text: &str) -> Option<&str> {
    let rest = text.trim().strip_prefix("ssh-")?;
    let (_, rest) = rest.split_once([' ', '\t'])?;
    let (_, comment) = rest.trim_start().split_once([' ', '\t'])?;
    Some(comment.trim()).filter(|comment| !comment.is_empty())
}

/// `text` if it may be a name: no private key, and no novel.
pub(crate) fn fit(text: &str) -> Option<&str> {
    let fits = text.chars().any(char::is_alphanumeric)
        && text.chars().count() <= LONGEST
        && !is_private_key(text);
    fits.then_some(text)
}

/// A key as it is, unless it is too long for anybody to read: post-quantum ones have 2,000 characters.
pub fn readable(text: &str) -> String {
    match text.len() > LONG {
        true => shortened(text),
        false => text.to_owned(),
    }
}

/// A key cut in its middle: the start says what it is, and both ends are what people compare.
pub fn shortened(text: &str) -> String {
    let text = text.trim();
    let mut words = text.split_whitespace();
    if text.starts_with("ssh-")
        && let (Some(kind), Some(key)) = (words.next(), words.next())
    {
        // All keys of one type start with the same characters.
        return format!("{kind} …{}", tail(key, 10));
    }
    if text.chars().count() <= SHORT {
        return text.to_owned();
    }
    // `age1yubikey1` says which plugin it is for.
    let kind = match text.strip_prefix("age1").and_then(|rest| rest.rfind('1')) {
        Some(at) if at < 20 => "age1".len() + at + 1,
        _ => 0,
    };
    let kept = text.get(..kind).unwrap_or_default();
    let start: String = text.chars().skip(kept.chars().count()).take(9).collect();
    format!("{kept}{start}…{}", tail(text, 6))
}

fn tail(text: &str, length: usize) -> &str {
    let skipped = text.chars().count().saturating_sub(length);
    let at = text.char_indices().nth(skipped).map_or(0, |(at, _)| at);
    text.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
