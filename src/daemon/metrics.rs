//! The file of metrics, for a collector that reads a directory: written in one step, and only when something has changed.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    control::{metrics::page, server::Snapshot},
    error::{Error, Result},
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
            && let Err(error) = replace(file, &page)
        {
            if !std::mem::replace(&mut self.has_failed, true) {
                tracing::warn!("{error}");
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

/// Collectors read files whose names end as this one's does: the one that is written first has another end.
fn replace(file: &Path, page: &str) -> Result<()> {
    let write = || {
        let directory = file.parent().unwrap_or(Path::new("/"));
        let mut new = tempfile::Builder::new()
            .prefix(".secretsd-")
            .suffix(".new")
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(directory)?;
        new.write_all(page.as_bytes())?;
        // The process may have an umask of its own.
        new.as_file()
            .set_permissions(Permissions::from_mode(MODE))?;
        new.persist(file).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error: std::io::Error| {
        Error::new("metrics", format!("cannot write the metrics: {error}")).with_file(file)
    })
}
