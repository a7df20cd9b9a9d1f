//! `.sops.yaml`: which rule a path gets, and whom the rule names. Everything as sops 3.13 does it, with the place of
//! every part.

mod decode;
mod findings;
mod groups;
mod quorum;
mod reorder;
mod schema;
mod unused;

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
};

pub use self::findings::{Finding, Related, Severity};
pub use self::reorder::reordered;
pub use crate::recipient::{KeyKind, Recipient, is_private_key};
use crate::{
    names::Names,
    pattern::{Draft, Pattern, PatternError, Room},
    suppression::Suppressions,
    yaml::{self, Limits},
};

/// A place in the file, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// Why sops cannot read the file, or cannot use a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError {
    /// Stable, in kebab case.
    pub code: &'static str,
    /// A sentence without capital and period; never holds a private key.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// The next step.
    pub hint: Option<String>,
}

impl RulesError {
    fn new(message: impl Into<String>, position: Position) -> Self {
        Self {
            code: "invalid-rules",
            message: message.into(),
            line: position.line,
            column: position.column,
            hint: None,
        }
    }

    fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RulesError {}

/// A text with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The decoded text.
    pub text: String,
    /// Where its value starts.
    pub position: Position,
}

/// The whole file.
#[derive(Debug)]
pub struct Rules {
    /// `None` where `creation_rules` is absent or null: sops then acts as if there were no file.
    rules: Option<Vec<Rule>>,
    /// How the stores print.
    pub stores: Stores,
    /// Keys outside of the rules that sops does not know. Many only hold anchors.
    pub unknown_keys: Vec<Text>,
    /// Keys of `stores` that sops does not know.
    pub unknown_store_keys: Vec<Text>,
    /// Items of `creation_rules` that are null; sops drops them, and the rules behind them move up.
    pub dropped: Vec<Position>,
    /// Findings that comments allow.
    pub suppressions: Suppressions,
    names: Names,
    /// Recipients that stand outside of the rules, to be named there, and are not.
    pub unused: Vec<Text>,
}

/// The indentation that sops prints with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stores {
    /// `stores.yaml.indent`; 0 means 4.
    pub yaml_indent: i64,
    /// `stores.json.indent`; -1 means a tab.
    pub json_indent: i64,
    /// `stores.json_binary.indent`; -1 means a tab.
    pub json_binary_indent: i64,
}

impl Default for Stores {
    fn default() -> Self {
        Self {
            yaml_indent: 0,
            json_indent: -1,
            json_binary_indent: -1,
        }
    }
}

/// One creation rule.
#[derive(Debug)]
pub struct Rule {
    /// Its number among the rules that sops sees, from 0.
    pub index: usize,
    /// Where the list item starts, or the alias that stands for it.
    pub position: Position,
    /// From the line of `position` to that of the last character.
    pub lines: RangeInclusive<usize>,
    /// `path_regex`; absent or empty, the rule matches every path.
    pub path_regex: Option<Text>,
    /// `shamir_threshold`
    pub shamir_threshold: Option<i64>,
    /// The partial-encryption settings that are not empty. More than one is an error of [`Rule::settings`].
    pub selection: Vec<(Selection, Text)>,
    /// `mac_only_encrypted`
    pub mac_only_encrypted: bool,
    /// Keys of the rule and its groups that sops does not know.
    pub unknown_keys: Vec<Text>,
    keys: groups::Keys,
    draft: OnceLock<Result<Arc<Draft>, PatternError>>,
    pattern: OnceLock<Result<Pattern, PatternError>>,
    /// That of all rules.
    room: Arc<Room>,
}

/// A partial-encryption setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selection {
    /// `unencrypted_suffix`
    UnencryptedSuffix,
    /// `encrypted_suffix`
    EncryptedSuffix,
    /// `unencrypted_regex`
    UnencryptedRegex,
    /// `encrypted_regex`
    EncryptedRegex,
    /// `unencrypted_comment_regex`
    UnencryptedCommentRegex,
    /// `encrypted_comment_regex`
    EncryptedCommentRegex,
}

impl Selection {
    /// All of them, in sops' order.
    pub const ALL: [Self; 6] = [
        Self::UnencryptedSuffix,
        Self::EncryptedSuffix,
        Self::UnencryptedRegex,
        Self::EncryptedRegex,
        Self::UnencryptedCommentRegex,
        Self::EncryptedCommentRegex,
    ];

    /// Its key in the file.
    pub fn key(self) -> &'static str {
        match self {
            Self::UnencryptedSuffix => "unencrypted_suffix",
            Self::EncryptedSuffix => "encrypted_suffix",
            Self::UnencryptedRegex => "unencrypted_regex",
            Self::EncryptedRegex => "encrypted_regex",
            Self::UnencryptedCommentRegex => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex => "encrypted_comment_regex",
        }
    }

    fn is_regex(self) -> bool {
        !matches!(self, Self::UnencryptedSuffix | Self::EncryptedSuffix)
    }
}

/// What a rule says about the files it is selected for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// As sops builds them; without any key there is one empty group.
    pub key_groups: Vec<Vec<Recipient>>,
    /// 0 stands for all groups.
    pub shamir_threshold: i64,
    /// At most one.
    pub selection: Option<(Selection, String)>,
    /// Whether clear values stay out of the MAC.
    pub mac_only_encrypted: bool,
}

impl Rules {
    /// Parses the text of a `.sops.yaml`.
    ///
    /// # Errors
    ///
    /// What makes sops refuse the whole file. A bad pattern or recipient is none: sops looks at them when it needs them.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        Self::parse_with(text, Limits::default())
    }

    /// As [`parse`](Self::parse), with limits of one's own.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and texts over the limits.
    pub fn parse_with(text: &str, limits: Limits) -> Result<Self, RulesError> {
        let stream = yaml::parse_first(text, limits).map_err(|error| {
            let position = Position {
                line: error.line,
                column: error.column,
            };
            RulesError::new(error.message, position)
        })?;
        let mut rules = schema::rules(text, &stream)?;
        rules.names = Names::read(text, &stream);
        let room = Arc::new(Room::default());
        for rule in rules.rules.iter_mut().flatten() {
            rule.room = Arc::clone(&room);
        }
        Ok(rules)
    }

    /// Whether there is a `creation_rules` list, be it empty.
    pub fn are_present(&self) -> bool {
        self.rules.is_some()
    }

    /// The rules as sops sees them, in order.
    pub fn all(&self) -> &[Rule] {
        self.rules.as_deref().unwrap_or_default()
    }

    /// What the file calls the keys that stand in it.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The first rule that matches. `matched` is the path as sops sees it: relative to the directory of the file, or
    /// absolute when it is outside; see [`crate::pattern::text_as_go_sees_it`] for names that are not UTF-8.
    ///
    /// # Errors
    ///
    /// A pattern that does not compile, when no rule before it matches.
    pub fn select(&self, matched: &str) -> Result<Option<&Rule>, RulesError> {
        for rule in self.all() {
            if rule.matches(matched)? {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }

    /// The numbers of the rules behind `selected` that match, too. Patterns that do not compile match nothing.
    pub fn also_matches(&self, selected: &Rule, matched: &str) -> Vec<usize> {
        let later = self.all().iter().skip(selected.index + 1);
        let matching = later.filter(|rule| rule.matches(matched).unwrap_or(false));
        matching.map(|rule| rule.index).collect()
    }
}

impl Rule {
    /// Does the pattern match?
    ///
    /// # Errors
    ///
    /// The pattern does not compile.
    pub fn matches(&self, matched: &str) -> Result<bool, RulesError> {
        Ok(self
            .pattern()?
            .is_none_or(|pattern| pattern.is_match(matched)))
    }

    /// The compiled pattern; `None` where the rule matches every path.
    ///
    /// # Errors
    ///
    /// The pattern does not compile.
    pub fn pattern(&self) -> Result<Option<&Pattern>, RulesError> {
        let Some(source) = self
            .path_regex
            .as_ref()
            .filter(|source| !source.text.is_empty())
        else {
            return Ok(None);
        };
        match self
            .pattern
            .get_or_init(|| Pattern::of_draft(self.draft(source).clone()?))
        {
            Ok(pattern) => Ok(Some(pattern)),
            Err(error) => Err(invalid_pattern("path_regex", source, error)),
        }
    }

    /// Takes its part of the room for patterns. To be called in the order of the rules, before patterns are compiled in any
    /// other, so that always the same ones find none.
    pub(crate) fn admit(&self) {
        if let Some(source) = &self.path_regex {
            self.draft(source);
        }
    }

    fn draft(&self, source: &Text) -> &Result<Arc<Draft>, PatternError> {
        self.draft
            .get_or_init(|| Draft::admitted(&source.text, &self.room).map(Arc::new))
    }

    /// Whether the rule has key groups, so that its flat keys are ignored.
    pub fn has_groups(&self) -> bool {
        !self.keys.groups.is_empty()
    }

    /// What the rule says, as sops works it out for a file that the rule is selected for.
    ///
    /// # Errors
    ///
    /// What makes sops refuse the rule then: two partial-encryption settings, a recipient that is none.
    pub fn settings(&self) -> Result<Settings, RulesError> {
        if let [_, (second, text), ..] = self.selection.as_slice() {
            let names: Vec<_> = self
                .selection
                .iter()
                .map(|(selection, _)| selection.key())
                .collect();
            let message = format!("a rule can have one of these only: {}", names.join(", "));
            return Err(RulesError::new(message, text.position)
                .with_code("conflicting-settings")
                .with_hint(format!(
                    "keep one of them, for example by removing {}",
                    second.key()
                )));
        }
        Ok(Settings {
            key_groups: self.keys.groups()?,
            shamir_threshold: self.shamir_threshold.unwrap_or_default(),
            selection: self
                .selection
                .first()
                .map(|(selection, text)| (*selection, text.text.clone())),
            mac_only_encrypted: self.mac_only_encrypted,
        })
    }
}

/// The place is that of the value: how a YAML text is written decides where in the line a character of it stands.
fn invalid_pattern(key: &str, source: &Text, error: &PatternError) -> RulesError {
    let at = source
        .text
        .get(..error.offset)
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    let (message, hint) = match error.is_too_large {
        true => (
            format!("{key} is too large: {error}"),
            "count less, and name plain characters: [a-z0-9]+ instead of [\\pL\\d]{1,63}",
        ),
        false => (
            format!("{key} does not compile, at character {at}: {error}"),
            "patterns are those of Go (RE2): https://golang.org/s/re2syntax",
        ),
    };
    RulesError::new(message, source.position)
        .with_code("invalid-pattern")
        .with_hint(hint)
}

#[cfg(test)]
mod tests;
