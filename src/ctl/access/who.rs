//! Whom the command line names.

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    drift::{Key, address},
    names::{Names, comparable},
    rules::{KeyKind, Rules, is_private_key},
};

use crate::{
    error::{Error, Result},
    escape,
    identity::recipients_of_public,
    survey::access::{File, Reader},
};

/// The recipients that are asked for; everybody where nobody is.
pub(super) struct Who {
    /// With the text to show.
    keys: Option<BTreeMap<Key, String>>,
}

/// Everybody that a file or a rule names: by each way to write a key, the key and that text.
type Known = BTreeMap<String, (Key, String)>;

impl Who {
    /// Looks `asked` up among the keys and names of `rules` and the recipients of `files`.
    pub(super) fn find(asked: &[String], rules: &Rules, files: &[File<'_>]) -> Result<Self> {
        if asked.is_empty() {
            return Ok(Self { keys: None });
        }
        let names = rules.names();
        let known = known(rules, files);
        let mut keys = BTreeMap::new();
        for asked in asked {
            let mut found = 0;
            for text in candidates(asked, names, &known) {
                if let Some((key, text)) = known.get(&text) {
                    keys.insert(key.clone(), text.clone());
                    found += 1;
                } else if names.name_of(&text).is_some() {
                    // Written down, and used by nobody, so that its kind does not matter.
                    keys.insert(address(KeyKind::Age, &text), text);
                    found += 1;
                }
            }
            if found == 0 {
                return Err(unknown(asked, names));
            }
        }
        Ok(Self { keys: Some(keys) })
    }

    /// Whether one of them can read the file, or could by the rules.
    pub(super) fn can_read(&self, file: &File<'_>) -> bool {
        file.readers.iter().any(|reader| self.includes(reader))
    }

    /// Whether this recipient is asked for.
    pub(super) fn includes(&self, reader: &Reader) -> bool {
        let is_among = |keys: &BTreeMap<_, _>| keys.contains_key(&reader.key);
        self.keys.as_ref().is_none_or(is_among)
    }

    /// The recipients that were asked for by name.
    pub(super) fn asked(&self) -> impl Iterator<Item = (&Key, &String)> {
        self.keys.iter().flatten()
    }
}

fn known(rules: &Rules, files: &[File<'_>]) -> Known {
    let mut known = Known::new();
    for reader in files.iter().flat_map(|file| &file.readers) {
        known
            .entry(comparable(&reader.text))
            .or_insert_with(|| (reader.key.clone(), reader.text.clone()));
    }
    // A rule that sops refuses names nobody.
    let settings = rules.all().iter().filter_map(|rule| rule.settings().ok());
    for recipient in settings.flat_map(|settings| settings.key_groups).flatten() {
        let key = address(recipient.kind, &recipient.text);
        known
            .entry(comparable(&recipient.text))
            .or_insert((key, recipient.text));
    }
    known
}

/// The keys that `asked` may stand for. The private half of an SSH key opens also what ssh-to-age made of it.
fn candidates(asked: &str, names: &Names, known: &Known) -> BTreeSet<String> {
    let mut keys: BTreeSet<String> = names
        .keys_of(asked)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let called = |(_, (_, text)): &(&String, &(Key, String))| names.name_of(text) == Some(asked);
    keys.extend(known.iter().filter(called).map(|(key, _)| key.clone()));
    keys.insert(comparable(asked));
    let derived: Vec<_> = keys
        .iter()
        .flat_map(|key| recipients_of_public(key))
        .collect();
    keys.extend(derived);
    keys
}

fn unknown(asked: &str, names: &Names) -> Error {
    if is_private_key(asked) {
        let message = "this is a private key, not a recipient";
        return Error::new("unknown-recipient", message)
            .with_hint("give its public key, or its name in the rules");
    }
    let shown = escape::text(asked);
    let error = Error::new(
        "unknown-recipient",
        format!("no file and no rule names {shown}"),
    );
    let distances = names
        .all()
        .map(|name| (strsim::osa_distance(asked, name), name));
    let close =
        |(distance, name): &(usize, &str)| *distance <= 3 && *distance * 2 <= name.chars().count();
    match distances.filter(close).min() {
        Some((_, name)) => error.with_hint(format!("did you mean {}?", escape::text(name))),
        None => error.with_hint("secretsctl access --by recipient lists all"),
    }
}
