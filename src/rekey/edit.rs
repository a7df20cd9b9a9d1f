//! The new text of one file. It is made in memory, and opened again before it counts.

use policy::rules::{KeyKind, Settings};

use super::{
    ledger::Texts,
    survey::{Action, File},
    text::Text,
};
use crate::{
    error::{Error, Result},
    identity::{Effort, Identities, Plugins, wrap},
    limits::Limits,
    open::{answers, in_hand, to_look_ahead},
    repository::{ContentHash, Repository, content_hash},
    secret::Secret,
    sops::{
        self, InHand, Recipients,
        document::{Document, Opened},
        format::Format,
        metadata::{Entry, Others},
        selection::{Kind, Selection},
    },
};

/// What the operator allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// A result that none of our identities opens.
    pub(crate) losing_access: bool,
    /// Encrypted values that become clear text, because the rule asks for it.
    pub(crate) plaintext: bool,
}

/// A file with its new text.
pub(crate) struct Edited {
    pub(crate) text: Text,
    /// Digest of the content that it was made from.
    pub(crate) old: ContentHash,
    /// What the new text has of values; of a file that keeps its data key only the wrapped keys, as the values are what
    /// they were.
    pub(crate) after: Texts,
}

/// What every file is made with.
pub(crate) struct Tools<'t> {
    pub(crate) repository: &'t Repository,
    pub(crate) identities: &'t Identities,
    pub(crate) plugins: &'t Plugins,
    pub(crate) limits: Limits,
    pub(crate) allowed: Allowed,
    /// In RFC 3339.
    pub(crate) now: String,
}

impl Tools<'_> {
    /// The new text of `file`, which is due. No more than `most` is done to open it.
    pub(crate) fn edit(&self, file: &File<'_>, most: Effort) -> Result<Edited> {
        let Some((_, settings)) = &file.rule else {
            return Err(Error::new("internal", "a file without a rule is due"));
        };
        self.repository.check_replaceable(&file.path)?;
        let content = self.repository.read(&file.path)?;
        let old = content_hash(content.expose());
        let format = Format::from_path(&file.path);
        let document = Document::parse(content, format, &self.limits)?;
        let key = in_hand(&document, self.identities, most)?;
        let opened = document.open(&key.key)?;
        let changed = self.changed(file, settings, &document, &opened, &key)?;
        self.still_opens(&changed, &key)?;
        let after = match file.action {
            Action::Rewrap => Texts::wraps_of(&changed),
            _ => Texts::of(&changed),
        };
        Ok(Edited {
            old,
            after,
            text: Text::from(changed.into_text()),
        })
    }

    /// Has plugins open in one session what the next edits of `files` need.
    pub(super) fn look_ahead(&self, files: &[&File<'_>]) -> Result<()> {
        if !self.identities.have_plugins() {
            return Ok(());
        }
        let wrapped = files.iter().filter_map(|file| {
            let content = self.repository.read(&file.path).ok()?;
            let format = Format::from_path(&file.path);
            // What is wrong with it, its edit says.
            let document = Document::parse(content, format, &self.limits).ok()?;
            Some(to_look_ahead(&document))
        });
        self.identities.look_ahead(&wrapped.collect::<Vec<_>>())
    }

    fn changed(
        &self,
        file: &File<'_>,
        settings: &Settings,
        document: &Document,
        opened: &Opened<'_>,
        key: &InHand,
    ) -> Result<Document> {
        let recipients = Recipients {
            groups: groups(settings),
            threshold: usize::try_from(settings.shamir_threshold).unwrap_or(usize::MAX),
        };
        let mut wrap =
            |_: usize, recipient: &str, share: &[u8]| wrap(recipient, share, self.plugins);
        if file.reselect {
            return self.reselected(settings, document, opened, recipients, &mut wrap);
        }
        match file.action {
            Action::Rotate => {
                let mut all = settings.key_groups.iter().flatten();
                let others = match all.any(|one| one.kind != KeyKind::Age) {
                    true => Others::Stay,
                    false => Others::Go,
                };
                opened.rotate(&recipients, others, &self.now, &mut wrap)
            }
            _ => opened.rewrap(key, &recipients, &mut wrap),
        }
    }

    /// Another part is encrypted: the text is opened and encrypted again, in place.
    fn reselected(
        &self,
        settings: &Settings,
        document: &Document,
        opened: &Opened<'_>,
        recipients: Recipients,
        wrap: &mut sops::Wrap<'_>,
    ) -> Result<Document> {
        if settings
            .key_groups
            .iter()
            .flatten()
            .any(|one| one.kind != KeyKind::Age)
        {
            return Err(Error::new(
                "unsupported-recipient",
                "the file must be encrypted again, and its rule names keys of other kinds than age",
            )
            .with_hint("decrypt and encrypt this file with sops"));
        }
        let selection = selection(settings)?;
        let shown = opened.becomes_clear(&selection)?;
        if shown > 0 && !self.allowed.plaintext {
            return Err(Error::new(
                "becomes-plaintext",
                format!("the rule's settings would turn {shown} encrypted values into clear text"),
            )
            .with_hint("correct the settings, or allow it with --allow-plaintext"));
        }
        let settings = sops::Settings {
            groups: recipients.groups,
            threshold: recipients.threshold,
            selection,
            mac_only_encrypted: settings.mac_only_encrypted,
        };
        let plain = opened.plaintext()?;
        let text = sops::encrypt(
            plain,
            document.format(),
            &settings,
            &self.now,
            wrap,
            &self.limits,
        )?;
        Document::parse(Secret::from(text), document.format(), &self.limits)
    }

    /// Whether an identity that is at hand opens the result: one in memory is tried, of others the recipient must be there.
    fn still_opens(&self, changed: &Document, before: &InHand) -> Result<()> {
        // What was opened is there as it was: it opens again.
        let has = |wrap: &String| {
            let mut entries = changed.metadata().entries();
            entries.any(|entry| matches!(entry, Entry::Age { enc, .. } if enc == wrap))
        };
        if !before.opened.is_empty() && before.opened.iter().all(has) {
            return Ok(());
        }
        let closed = match in_hand(changed, self.identities, Effort::Software) {
            Ok(key) => {
                changed.open(&key.key)?;
                return Ok(());
            }
            Err(closed) => closed,
        };
        if answers(changed, self.identities) || self.allowed.losing_access {
            return Ok(());
        }
        let hint = "give an identity that stays with -i, or allow it with --allow-losing-access";
        Err(Error::new(
            "loses-access",
            format!(
                "none of the identities at hand would open the result: {}",
                closed.message
            ),
        )
        .with_hint(hint))
    }
}

/// The age recipients of each group.
fn groups(settings: &Settings) -> Vec<Vec<String>> {
    let group = |group: &Vec<policy::rules::Recipient>| {
        let of_age = group.iter().filter(|one| one.kind == KeyKind::Age);
        let mut texts: Vec<String> = Vec::new();
        for one in of_age {
            if !texts.contains(&one.text) {
                texts.push(one.text.clone());
            }
        }
        texts
    };
    settings.key_groups.iter().map(group).collect()
}

fn selection(settings: &Settings) -> Result<Selection> {
    let Some((selection, text)) = &settings.selection else {
        return Ok(Selection::by_default());
    };
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == selection.key());
    kind.map_or_else(
        || Ok(Selection::by_default()),
        |kind| Selection::new(kind, text),
    )
}
