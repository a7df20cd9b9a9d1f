//! A plan that nobody watches: what it must keep, what a person has to approve, and the name by which they do.

use std::os::unix::ffi::OsStrExt as _;

use policy::pins::{Doubt, Pins, loses};
use sha2::{Digest as _, Sha256};

use super::survey::File;
use crate::{error::Error, identity::canonical, repository::hex};

/// Bytes of the digest that names a plan. It is no secret, and whoever could make two plans of one name would have to be
/// approved to gain from it.
const NAME: usize = 8;

/// Blocks the files that are due and that one of `required` would open no more, or no more alone where it did.
pub(crate) fn require(files: &mut [File<'_>], required: &[String]) {
    for file in files.iter_mut().filter(|file| file.is_due()) {
        let (Some((_, settings)), Some(state)) = (&file.rule, &file.state) else {
            continue;
        };
        // One that the file never named must be named now.
        let is_lost = |recipient: &&String| {
            let recipient = canonical(recipient);
            let mut entries = state.key_groups.iter().flatten();
            match entries.find(|(_, text)| canonical(text) == recipient) {
                Some((kind, text)) => loses(settings, state, *kind, text),
                None => {
                    let mut recipients = settings.key_groups.iter().flatten();
                    !recipients.any(|one| canonical(&one.text) == recipient)
                }
            }
        };
        if let Some(lost) = required.iter().find(is_lost) {
            let message =
                format!("{lost}, which is required, would not open it any more as it does");
            let hint = "correct the creation rule, or take it out of rekey.required-recipients";
            file.block(Error::new("required-recipient", message).with_hint(hint));
        }
    }
}

/// Why `file` may not be changed without a person's word, as far as pins tell.
pub(crate) fn doubts(file: &File<'_>, pins: &Pins) -> Vec<Doubt> {
    match (&file.rule, &file.state) {
        (Some((_, settings)), Some(state)) => {
            pins.doubts(&super::name(&file.path), settings, state)
        }
        _ => Vec::new(),
    }
}

/// The name of what is to be done to `files` under the rules with this text. It is another one as soon as the rules are,
/// or the files, or what they need, or what there is to say about them: `about` gives a digest of a file's content, where it
/// could be read, and the doubts.
pub(crate) fn name(
    rules: &[u8],
    files: &[File<'_>],
    about: &dyn Fn(&File<'_>) -> Vec<String>,
) -> String {
    let mut digest = Sha256::new();
    // Each part with its length: no other parts can make the same bytes.
    let mut add = |part: &[u8]| {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    };
    add(rules);
    for file in files {
        add(file.path.as_os_str().as_bytes());
        add(file.action.name().as_bytes());
        let about = about(file);
        add(&about.len().to_le_bytes());
        about.iter().for_each(|one| add(one.as_bytes()));
        for list in [&file.add, &file.remove] {
            add(&list.len().to_le_bytes());
            list.iter().for_each(|one| add(one.as_bytes()));
        }
        add(file.reasons.join(",").as_bytes());
    }
    hex(digest.finalize().get(..NAME).unwrap_or_default())
}
