//! The codes of findings, each with its page: what it is, why it matters, how to repair it, an example.

/// A code and its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// Stable, in kebab case.
    pub(crate) name: &'static str,
    /// Markdown: the name as title, one sentence, then sections.
    pub(crate) page: &'static str,
}

impl Code {
    /// The code of this name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        CODES.iter().find(|code| code.name == name)
    }

    /// Its one sentence.
    pub(crate) fn summary(&self) -> &'static str {
        self.page.lines().nth(2).unwrap_or_default()
    }

    /// The text of one of its sections.
    pub(crate) fn section(&self, title: &str) -> &'static str {
        let heading = format!("\n## {title}\n\n");
        let text = self.page.split_once(&heading).map_or("", |(_, text)| text);
        text.split("\n\n## ").next().unwrap_or_default().trim_end()
    }
}

macro_rules! codes {
    ($($name:literal)*) => {
        &[$(Code { name: $name, page: include_str!(concat!("codes/", $name, ".md")) }),*]
    };
}

/// All codes, in the order of their groups: the rules' order, their reading, files, suppressions.
pub(crate) const CODES: &[Code] = codes![
    "unreachable-rule"
    "overlapping-rules"
    "rule-matches-nothing"
    "catch-all-not-last"
    "rule-matches-no-file"
    "unescaped-dot"
    "unanchored-pattern"
    "no-catch-all"
    "not-analysed"
    "unknown-key"
    "duplicate-key"
    "ignored-key"
    "invalid-pattern"
    "invalid-recipient"
    "melted-recipients"
    "duplicate-recipient"
    "unused-recipient"
    "unexpected-key-group"
    "threshold-too-low"
    "absolute-pattern"
    "private-key-in-rules"
    "threshold-out-of-range"
    "conflicting-settings"
    "empty-rule"
    "dropped-rule"
    "wrong-file-name"
    "nested-rules"
    "drift"
    "no-rule"
    "plaintext-file"
    "plaintext-value"
    "unencrypted-key-material"
    "broken-metadata"
    "mac-missing"
    "merge-conflict"
    "outdated-sops-version"
    "untracked-file"
    "ignored-file"
    "world-readable-identity"
    "duplicate-data-key"
    "invalid-suppression"
    "unused-suppression"
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_its_parts() {
        for code in CODES {
            let page = code.page;
            assert!(page.starts_with(&format!("# {}\n\n", code.name)), "{page}");
            assert!(code.summary().ends_with('.'), "{page}");
            for title in ["Why", "Repair", "Example"] {
                assert!(!code.section(title).is_empty(), "{}: {title}", code.name);
            }
        }
    }
}
