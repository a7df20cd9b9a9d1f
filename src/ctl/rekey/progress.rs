//! A bar on a terminal while files are changed.

use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{escape, output::Output, rekey::Progress};

/// How it looks. The template is checked by a test.
const TEMPLATE: &str = "{bar:30} {pos}/{len} files, {per_sec}, {msg}";

pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar for so many files; hidden where stderr is no terminal or nothing is to be said.
    pub(super) fn new(files: usize, output: &Output) -> Self {
        let target = if output.shows_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let length = u64::try_from(files).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length), target);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn edited(&self, path: &Path) {
        self.0.set_message(escape::path(path));
        self.0.inc(1);
    }

    fn replaced(&self) {
        self.0.inc(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
