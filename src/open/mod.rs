//! Documents meet identities: the data key of a file, and the file opened with it.

use sha2::{Digest as _, Sha256};

use policy::names::readable;

use crate::{
    error::{Error, Result},
    escape,
    identity::{
        Attempt, Effort, INTERRUPTED, Identities, Kept, Needs, Opener, Share, Wrapped, WrappedFor,
    },
    repository::hex,
    secret::{DataKey, Secret},
    sops::{
        InHand,
        document::{Document, Opened},
        metadata::{Entry, Metadata},
    },
};

/// Recipients that an error lists before it only counts them.
const SHOWN: usize = 8;

/// Opens a document: its values are decrypted and its MAC is verified.
pub(crate) fn open_document<'d>(
    document: &'d Document,
    identities: &Identities,
) -> Result<Opened<'d>> {
    document.open(&data_key(document, identities)?)
}

/// The data key of a file.
///
/// Within a group the entries of recipients known to be ours come first, then all others, as sops offers every identity
/// to every entry. What was unlocked before is used next. Programs run and people are asked only where that does not do.
pub(crate) fn data_key(document: &Document, identities: &Identities) -> Result<DataKey> {
    let metadata = document.metadata();
    unwrap(metadata, identities, Effort::All, Some(identities.kept()))
        .and_then(|groups| recover(metadata, &groups))
        .map_err(|error| document.at_metadata(error))
}

/// What identities that need somebody have opened of a file, and `kept` does not have; nothing, where it opens without
/// them.
pub(crate) fn unlock(
    document: &Document,
    identities: &Identities,
    kept: Option<&Kept>,
) -> Result<Vec<Share>> {
    let groups = unwrap(document.metadata(), identities, Effort::All, kept)
        .map_err(|error| document.at_metadata(error))?;
    let share = |group: Group<'_>| match group.found? {
        Found {
            entry: Entry::Age { enc, .. },
            key,
            by: Some(by),
        } => Some(Share {
            wrapped: Wrapped::of(enc),
            key,
            by,
        }),
        _ => None,
    };
    Ok(groups.into_iter().filter_map(share).collect())
}

/// What [`Identities::look_ahead`] asks of a file. Nothing where there are several key groups: which of them are needed
/// shows one by one.
pub(crate) fn to_look_ahead(document: &Document) -> Vec<WrappedFor> {
    let [group] = document.metadata().groups.as_slice() else {
        return Vec::new();
    };
    let entries = group.iter().filter_map(|entry| match entry {
        Entry::Age { recipient, enc } => Some(WrappedFor {
            recipient: recipient.clone(),
            enc: enc.clone(),
        }),
        Entry::Other { .. } => None,
    });
    entries.collect()
}

/// The wrapped keys of a file.
pub(crate) fn wrapped(document: &Document) -> impl Iterator<Item = Wrapped> {
    document
        .metadata()
        .entries()
        .filter_map(|entry| match entry {
            Entry::Age { enc, .. } => Some(Wrapped::of(enc)),
            Entry::Other { .. } => None,
        })
}

/// Who can open a file.
pub(crate) fn needs(document: &Document) -> Needs<'_> {
    fn recipients(group: &[Entry]) -> Vec<&str> {
        let recipients = group.iter().filter_map(|entry| match entry {
            Entry::Age { recipient, .. } => Some(recipient.as_str()),
            Entry::Other { .. } => None,
        });
        recipients.collect()
    }
    let metadata = document.metadata();
    Needs {
        needed: needed(metadata).unwrap_or(metadata.groups.len()),
        groups: metadata
            .groups
            .iter()
            .map(|group| recipients(group))
            .collect(),
    }
}

/// The data key of a file, and what of its key groups was opened for it. No more than `most` is done.
pub(crate) fn in_hand(
    document: &Document,
    identities: &Identities,
    most: Effort,
) -> Result<InHand> {
    let metadata = document.metadata();
    let in_hand = || {
        let groups = unwrap(metadata, identities, most, None)?;
        let key = recover(metadata, &groups)?;
        let opened = groups
            .iter()
            .filter_map(|group| match group.found.as_ref()?.entry {
                Entry::Age { enc, .. } => Some(enc.clone()),
                Entry::Other { .. } => None,
            });
        Ok(InHand {
            key,
            opened: opened.collect(),
            shares: groups
                .into_iter()
                .map(|group| Some(group.found?.key))
                .collect(),
        })
    };
    in_hand().map_err(|error| document.at_metadata(error))
}

/// Whether the file can be opened with these identities, as far as their recipients tell.
pub(crate) fn answers(document: &Document, identities: &Identities) -> bool {
    let metadata = document.metadata();
    let is_ours = |entry: &Entry| matches!(entry, Entry::Age { recipient, .. } if identities.answers_to(recipient));
    let groups = metadata.groups.iter();
    let ours = groups.filter(|group| group.iter().any(is_ours)).count();
    ours >= needed(metadata).unwrap_or(metadata.groups.len())
}

/// Opens as many groups as are needed.
fn unwrap<'m>(
    metadata: &'m Metadata,
    identities: &Identities,
    most: Effort,
    kept: Option<&Kept>,
) -> Result<Vec<Group<'m>>> {
    let mut groups: Vec<Group<'_>> = metadata
        .groups
        .iter()
        .map(|entries| Group::new(entries, identities))
        .collect();
    let mut obstacles = Obstacles::default();
    let efforts = match most {
        Effort::Software => &[Effort::Software][..],
        Effort::All => &[Effort::Software, Effort::All],
    };
    for &effort in efforts {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        if let Some(kept) = kept.filter(|_| effort == Effort::All) {
            groups.iter_mut().for_each(|group| group.take(kept));
        }
        if effort == Effort::All && opened(&groups) < needed(metadata).unwrap_or(groups.len()) {
            let closed = groups.iter().filter(|group| group.found.is_none());
            let recipients: Vec<&str> = closed.flat_map(Group::recipients).collect();
            identities.look_at_cards(&recipients);
            for group in &mut groups {
                group.sort_by_cost(identities);
            }
            order.sort_by_cached_key(|&number| {
                groups.get(number).map(|group| group.cost(identities))
            });
        }
        for number in order {
            // Shares of more groups than needed change nothing, and may cost a touch each.
            let enough = needed(metadata);
            if effort == Effort::All && enough.is_some_and(|enough| opened(&groups) >= enough) {
                break;
            }
            if let Some(group) = groups.get_mut(number).filter(|group| group.found.is_none()) {
                group.open(identities, effort, &mut obstacles)?;
            }
        }
    }
    if opened(&groups) < needed(metadata).unwrap_or(1) {
        return Err(obstacles.explain(metadata, identities, opened(&groups)));
    }
    Ok(groups)
}

/// The data key, from what was found in the groups.
fn recover(metadata: &Metadata, groups: &[Group<'_>]) -> Result<DataKey> {
    metadata.recover(&mut |entry| {
        let found = groups.iter().filter_map(|group| group.found.as_ref());
        Ok(found
            .into_iter()
            .find(|found| std::ptr::eq(found.entry, entry))
            .map(|found| found.key.duplicate()))
    })
}

/// A random key for [`fingerprint`].
pub(crate) fn salt() -> Result<String> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| {
        Error::new(
            "internal",
            format!("no random bytes from the system: {error}"),
        )
    })?;
    Ok(hex(&salt))
}

/// A keyed hash of a data key: tells equal ones apart from others, and nothing else.
pub(crate) fn fingerprint(salt: &str, key: &DataKey) -> String {
    let hash = Sha256::new()
        .chain_update(salt.as_bytes())
        .chain_update([0])
        .chain_update(key.expose())
        .finalize();
    hex(hash.get(..16).unwrap_or_default())
}

/// How many groups must open; unknown where a file with several does not say.
fn needed(metadata: &Metadata) -> Option<usize> {
    if metadata.groups.len() == 1 {
        return Some(1);
    }
    match usize::try_from(metadata.threshold) {
        Ok(0) | Err(_) => None,
        Ok(threshold) => Some(threshold.max(2)),
    }
}

fn opened(groups: &[Group<'_>]) -> usize {
    groups.iter().filter(|group| group.found.is_some()).count()
}

/// One key group on the way to being opened.
struct Group<'m> {
    /// The age entries, ours first.
    entries: Vec<&'m Entry>,
    found: Option<Found<'m>>,
}

/// What was found in a group.
struct Found<'m> {
    entry: &'m Entry,
    key: Secret,
    /// The identity, where it needs somebody and was used just now.
    by: Option<Opener>,
}

impl<'m> Group<'m> {
    fn new(entries: &'m [Entry], identities: &Identities) -> Self {
        let mut entries: Vec<&Entry> = entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Age { .. }))
            .collect();
        entries.sort_by_cached_key(|entry| match entry {
            Entry::Age { recipient, .. } => !identities.answers_to(recipient),
            Entry::Other { .. } => true,
        });
        Self {
            entries,
            found: None,
        }
    }

    fn recipients(&self) -> impl Iterator<Item = &'m str> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Age { recipient, .. } => Some(recipient.as_str()),
            Entry::Other { .. } => None,
        })
    }

    /// What costs nobody a touch comes first.
    fn sort_by_cost(&mut self, identities: &Identities) {
        self.entries.sort_by_cached_key(|entry| match entry {
            Entry::Age { recipient, .. } => identities.cost_of(recipient).unwrap_or(u8::MAX),
            Entry::Other { .. } => u8::MAX,
        });
    }

    fn cost(&self, identities: &Identities) -> u8 {
        let costs = self
            .recipients()
            .filter_map(|recipient| identities.cost_of(recipient));
        costs.min().unwrap_or(u8::MAX)
    }

    /// Takes what was unlocked before.
    fn take(&mut self, kept: &Kept) {
        if self.found.is_some() {
            return;
        }
        self.found = self.entries.iter().find_map(|entry| match entry {
            Entry::Age { enc, .. } => Some(Found {
                entry,
                key: kept.find(enc)?,
                by: None,
            }),
            Entry::Other { .. } => None,
        });
    }

    fn open(
        &mut self,
        identities: &Identities,
        effort: Effort,
        obstacles: &mut Obstacles,
    ) -> Result<()> {
        for entry in &self.entries {
            let Entry::Age { recipient, enc } = entry else {
                continue;
            };
            match identities.attempt(enc, recipient, effort) {
                Ok(Attempt::Opened { key, by }) => {
                    self.found = Some(Found { entry, key, by });
                    return Ok(());
                }
                Ok(Attempt::Closed {
                    locked,
                    unlikely,
                    failed,
                }) => {
                    obstacles.locked.extend(locked);
                    obstacles.unlikely.extend(unlikely);
                    obstacles.failed.extend(failed);
                }
                Err(error) if error.code == INTERRUPTED => return Err(error),
                Err(error) => obstacles.failed.push(error),
            }
        }
        Ok(())
    }
}

/// Why groups did not open.
#[derive(Default)]
struct Obstacles {
    locked: Vec<Error>,
    unlikely: Vec<Error>,
    failed: Vec<Error>,
}

impl Obstacles {
    /// The one error that helps most: a locked identity may be all that is missing, a damaged entry may be ours.
    fn explain(mut self, metadata: &Metadata, identities: &Identities, opened: usize) -> Error {
        self.locked
            .dedup_by(|left, right| left.message == right.message);
        if let Some(first) = self.locked.first() {
            let mut reasons: Vec<&str> = Vec::new();
            for error in &self.locked {
                if !reasons.contains(&error.message.as_str()) {
                    reasons.push(&error.message);
                }
            }
            let error = Error::new(
                "locked",
                format!("no identity opens the file now: {}", reasons.join("; ")),
            );
            return match &first.hint {
                Some(hint) => error.with_hint(hint.clone()),
                None => error.with_hint(recipients_of(metadata)),
            };
        }
        if let Some(error) = self.failed.into_iter().next() {
            return error.with_hint(recipients_of(metadata));
        }
        let message = match (metadata.groups.len(), needed(metadata)) {
            (1, _) => "no identity opens the file".to_owned(),
            (groups, Some(needed)) => {
                format!("{opened} of {groups} key groups could be opened, and {needed} are needed")
            }
            (groups, None) => format!("{opened} of {groups} key groups could be opened"),
        };
        let mut hint = recipients_of(metadata);
        let ours = identities.recipients();
        if ours.is_empty() {
            hint.push_str("; there is no identity of ours");
            if !identities.unused().is_empty() {
                hint.push_str(&format!(" (looked at {})", shown(identities.unused())));
            }
        } else {
            let ours: Vec<_> = ours.into_iter().map(readable).collect();
            hint.push_str(&format!("; ours: {}", shown(&ours)));
        }
        self.unlikely
            .dedup_by(|left, right| left.message == right.message);
        for problem in self.unlikely.iter().chain(identities.problems()) {
            hint.push_str(&format!("; {}", problem.message));
        }
        Error::new("no-identity", message).with_hint(hint)
    }
}

fn recipients_of(metadata: &Metadata) -> String {
    let recipients: Vec<String> = metadata
        .entries()
        .map(|entry| match entry {
            Entry::Age { recipient, .. } => escape::text(&readable(recipient)).into_owned(),
            Entry::Other { kind, id } => format!("{kind} {} (not supported)", escape::text(id)),
        })
        .collect();
    format!("the file can be opened by: {}", shown(&recipients))
}

fn shown(texts: &[impl AsRef<str>]) -> String {
    let mut list: Vec<&str> = texts.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = format!("{} more", texts.len().saturating_sub(SHOWN));
    if texts.len() > SHOWN {
        list.push(&more);
    }
    list.join(", ")
}
