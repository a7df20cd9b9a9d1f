//! An encrypted file with another plaintext, for every command that writes one.

use std::{path::Path, time::SystemTime};

use super::{Context, follow::note_change, interrupt};
use crate::{
    clock,
    error::{Error, Result},
    files::{Held, ReadLimit},
    limits::Limits,
    open::data_key,
    secret::Secret,
    sops::{document::Document, format::Format},
};

/// Gives the file the plaintext that `make` makes of its own; `None` leaves it alone. Others of us who change the same file
/// wait.
pub(super) fn change(
    file: &Path,
    input_type: Option<Format>,
    context: &mut Context,
    make: impl FnOnce(Secret, Format) -> Result<Option<Secret>>,
) -> Result<()> {
    let (identities, stop) = interrupt::identities_to_change(context)?;
    let in_file = |error: Error| error.with_file(file);
    let limits = Limits::default();
    let limit = ReadLimit::of_file(limits.file_size);
    let (held, content) = Held::open(file, limit).map_err(|error| match error.code {
        "file-missing" => error.with_hint("make a new file with secretsctl edit"),
        _ => error,
    })?;
    let format = input_type.unwrap_or_else(|| Format::from_path(file));
    let document = Document::parse(content, format, &limits).map_err(in_file)?;
    let key = data_key(&document, &identities).map_err(in_file)?;
    let opened = document.open(&key).map_err(in_file)?;
    let Some(plain) = make(opened.plaintext().map_err(in_file)?, format).map_err(in_file)? else {
        return Ok(());
    };
    let now = clock::format(SystemTime::now());
    let text = opened.edited(&key, plain, &now).map_err(in_file)?;
    let changed = Document::parse(text.duplicate(), format, &limits).map_err(in_file)?;
    let _critical = stop.critical();
    if stop.is_requested() {
        return Err(interrupt::interrupted());
    }
    held.replace(text.expose())?;
    note_change(file, &document, &changed, context);
    Ok(())
}
