//! What a changed file means for the list of exposed values.

use std::path::Path;

use super::{Context, rekey::tell};
use crate::{
    error::{Error, Result},
    limits::Limits,
    rekey::{Recovered, follow_change, ledger::Texts},
    repository::{LEDGER, Repository, Rules, find, find_above},
    sops::document::Document,
};

/// Notes on the list of the repository, if there is one, what became of the values of `file`. The file has its new text
/// already: what goes wrong here is a warning.
pub(super) fn note_change(file: &Path, before: &Document, after: &Document, context: &mut Context) {
    let explicit = context.global.config_file.as_deref();
    match try_note(file, explicit, before, after) {
        Ok(recovered) => tell(recovered, &mut context.output),
        Err(error) => {
            let message = format!(
                "the file was changed, but the list of exposed values was not brought up to date: {}",
                error.message
            );
            let warning = Error { message, ..error };
            let hint = "secretsctl exposed still tells what is open";
            context.output.warning(&warning.with_hint(hint));
        }
    }
}

fn try_note(
    file: &Path,
    explicit: Option<&Path>,
    before: &Document,
    after: &Document,
) -> Result<Recovered> {
    let limits = Limits::default();
    let Ok(real) = file.canonicalize() else {
        return Ok(Recovered::Nothing);
    };
    let Some(Rules { root, .. }) = (match explicit {
        Some(_) => find(explicit)?.rules,
        None => find_above(&real),
    }) else {
        return Ok(Recovered::Nothing);
    };
    let inside = root.canonicalize();
    let inside = inside.ok().and_then(|root| real.strip_prefix(root).ok());
    let Some(path) = inside.filter(|_| root.join(LEDGER).exists()) else {
        return Ok(Recovered::Nothing);
    };
    let repository = Repository::open(&root, limits)?;
    let (before, after) = (Texts::of(before), Texts::of(after));
    follow_change(&repository, path, &before, &after, &limits)
}
