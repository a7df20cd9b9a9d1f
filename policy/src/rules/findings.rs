//! What deserves a word about a rule, besides what sops refuses.

use super::{
    Position, Rule, Rules, RulesError, decode::Value, groups::Group, invalid_pattern, schema,
};
use crate::{pattern::Pattern, recipient};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rule does not mean what somebody meant, or cannot be used.
    Error,
    /// Probably a mistake.
    Warning,
    /// Good to know.
    Note,
}

/// One remark about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable, in kebab case.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub position: Position,
    /// A sentence without capital and period; never holds a private key.
    pub message: String,
    /// A path that shows it: of an overlap, one that the rule and the first of `related` match.
    pub witness: Option<String>,
    /// Other places that belong to it, in the order of the file.
    pub related: Vec<Related>,
    /// The next step.
    pub hint: Option<String>,
}

/// A second place of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub position: Position,
    /// What is there; a sentence without capital and period.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(
        code: &'static str,
        severity: Severity,
        position: Position,
        message: impl Into<String>,
        hint: &str,
    ) -> Self {
        Self {
            code,
            severity,
            position,
            message: message.into(),
            witness: None,
            related: Vec::new(),
            hint: Some(hint.to_owned()),
        }
    }

    /// Adds the path that shows it.
    #[must_use]
    pub fn with_witness(mut self, witness: String) -> Self {
        self.witness = Some(witness);
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn with_related(mut self, position: Position, message: impl Into<String>) -> Self {
        self.related.push(Related {
            position,
            message: message.into(),
        });
        self
    }

    pub(crate) fn of(error: RulesError) -> Self {
        Self {
            code: error.code,
            severity: Severity::Error,
            position: Position {
                line: error.line,
                column: error.column,
            },
            message: error.message,
            witness: None,
            related: Vec::new(),
            hint: error.hint,
        }
    }
}

impl Rules {
    /// What is certain about the file as a whole; see [`Rule::findings`] for each rule.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for position in &self.dropped {
            found.push(Finding::new(
                "dropped-rule",
                Severity::Error,
                *position,
                "this item is empty: sops drops it, and the keys below a stray dash belong to no rule",
                "remove the dash",
            ));
        }
        let top = self.unknown_keys.iter();
        let top = top.map(|key| (key, schema::nearest_top(&key.text)));
        let stores = self.unknown_store_keys.iter();
        let stores = stores.map(|key| (key, schema::nearest_store(&key.text)));
        for (key, known) in top.chain(stores) {
            let Some(known) = known else { continue };
            found.push(Finding::new(
                "unknown-key",
                Severity::Warning,
                key.position,
                format!("sops ignores the key {:?}", key.text),
                &format!("did you mean {known}?"),
            ));
        }
        for recipient in &self.unused {
            found.push(Finding::new(
                "unused-recipient",
                Severity::Note,
                recipient.position,
                "no rule names this recipient",
                "name it in a rule, or remove it",
            ));
        }
        found
    }
}

impl Rule {
    /// Everything that is certain about the rule by itself, without the other rules and without files.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Err(error) = self.pattern() {
            found.push(Finding::of(error));
        }
        self.selection_findings(&mut found);
        for key in &self.unknown_keys {
            let message = format!(
                "sops ignores the key {:?}: it knows none of this name here",
                key.text
            );
            let hint = match schema::nearest(&key.text) {
                Some(known) => format!("did you mean {known}?"),
                None => "remove it, or write it as a comment".to_owned(),
            };
            found.push(Finding::new(
                "unknown-key",
                Severity::Error,
                key.position,
                message,
                &hint,
            ));
        }
        self.text_findings(&mut found);
        match self.settings() {
            Ok(settings) => {
                self.quorum_findings(&settings, &mut found);
            }
            // Said already, and more precisely.
            Err(error) if error.code == "conflicting-settings" => {}
            Err(error) => {
                let place = Position {
                    line: error.line,
                    column: error.column,
                };
                let said = |finding: &Finding| {
                    finding.position == place && finding.severity == Severity::Error
                };
                if !found.iter().any(said) {
                    found.push(Finding::of(error));
                }
            }
        }
        found.sort_by_key(|finding| finding.position);
        found
    }

    fn selection_findings(&self, found: &mut Vec<Finding>) {
        if self.selection.len() > 1
            && let Err(error) = self.settings()
        {
            found.push(Finding::of(error));
        }
        for (selection, source) in self
            .selection
            .iter()
            .filter(|(selection, _)| selection.is_regex())
        {
            if let Err(error) = Pattern::parse(&source.text) {
                found.push(Finding::of(invalid_pattern(
                    selection.key(),
                    source,
                    &error,
                )));
            }
        }
    }

    /// Looks at every text that should be a recipient, also where sops does not get to.
    fn text_findings(&self, found: &mut Vec<Finding>) {
        let mut look = |text: &str, position: Position| {
            if recipient::is_private_key(text) {
                found.push(Finding::new(
                    "private-key-in-rules",
                    Severity::Error,
                    position,
                    "a private key stands where a recipient belongs",
                    "write its public key here; replace the private key, it is no secret any more",
                ));
            } else if text.split(',').any(recipient::is_melted) {
                found.push(Finding::new(
                    "melted-recipients",
                    Severity::Error,
                    position,
                    "two recipients have no comma between them, so sops takes them for one",
                    "put a comma between them, or write a list",
                ));
            }
        };
        for flat in &self.keys.flat {
            match &flat.value {
                Value::Text(text) => look(text, flat.position),
                Value::List(items) => {
                    for (item, position) in items {
                        if let Value::Text(text) = item {
                            look(text, *position);
                        }
                    }
                }
                Value::Null | Value::Other(_) => {}
            }
        }
        for group in &self.keys.groups {
            for_each_age_text(group, &mut look);
        }
        if !self.keys.groups.is_empty() {
            let flat = self
                .keys
                .flat
                .iter()
                .filter(|flat| flat.value != Value::Null);
            let flat = flat.map(|flat| (flat.name.as_str(), flat.key));
            for (name, position) in
                flat.chain(self.keys.huawei_key.map(|position| ("hckms", position)))
            {
                let message = format!("sops ignores {name} here, because the rule has key_groups");
                let hint = "move its keys into a group, or remove it";
                found.push(Finding::new(
                    "ignored-key",
                    Severity::Error,
                    position,
                    message,
                    hint,
                ));
            }
        }
    }
}

fn for_each_age_text(group: &Group, look: &mut impl FnMut(&str, Position)) {
    for merged in &group.merge {
        for_each_age_text(merged, look);
    }
    for element in group.age.iter().chain(&group.pgp) {
        look(&element.value, element.position);
    }
}
