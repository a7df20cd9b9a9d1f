//! The file of metrics, for a collector that reads a directory: written in one step, and only when something has changed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    control::{metrics::page, server::Snapshot},
    files::{self, Replacing},
};

/// For whoever collects it: there is no value in it.
const MODE: u32 = 0o644;

/// What was written last, and where.
#[derive(Default)]
pub(super) struct Metrics {
    written: Option<(PathBuf, String)>,
    has_failed: bool,
}

impl Metrics {
    /// Writes what `shown` says to `file`; a file that is not named any more is removed. That it cannot be written is logged once.
    pub(super) fn write(&mut self, file: Option<&Path>, shown: &Snapshot) {
        let before = self.written.take();
        if let Some((old, _)) = &before
            && Some(old.as_path()) != file
        {
            // Else it would be collected for ever.
            let _ = fs::remove_file(old);
        }
        let Some(file) = file else { return };
        let page = page(&shown.status, &shown.listing);
        if before.is_none_or(|(old, text)| old != file || text != page)
            && let Err(error) = files::replace(file, page.as_bytes(), Replacing::Mode(MODE))
        {
            if !std::mem::replace(&mut self.has_failed, true) {
                tracing::warn!("metrics: {error}");
            }
            return;
        }
        self.has_failed = false;
        self.written = Some((file.to_owned(), page));
    }

    /// The daemon ends: its state is nobody's any more.
    pub(super) fn remove(&mut self) {
        if let Some((file, _)) = self.written.take() {
            let _ = fs::remove_file(file);
        }
    }
}
