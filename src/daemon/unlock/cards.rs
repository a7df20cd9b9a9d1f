//! Cards that come and go. They are watched on a thread of its own, for as long as an identity is in one.

use std::{collections::BTreeSet, thread};

use tokio::sync::mpsc;

use crate::{
    error::{Error, Result},
    identity::{Cancel, watch_cards},
};

/// The numbers of the cards that are there; `None`: nobody knows.
pub(in crate::daemon) type There = Option<BTreeSet<u32>>;

/// News that may wait to be noticed.
const NEWS: usize = 16;

/// See the module.
#[derive(Default)]
pub(super) struct Cards {
    watch: Option<Watch>,
    /// Nothing, where nobody knows.
    there: BTreeSet<u32>,
    is_lost: bool,
}

struct Watch {
    cancel: Cancel,
    news: mpsc::Receiver<There>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.cancel.fire();
    }
}

impl Cards {
    /// Watches, or not.
    pub(super) fn set_watched(&mut self, is_watched: bool) {
        if !is_watched {
            *self = Self::default();
        } else if self.watch.is_none() {
            match Watch::start() {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => tracing::warn!(%error, "cards are not watched"),
            }
        }
    }

    /// Somebody is about to use cards: if nobody knew of any, it is time to look again.
    pub(super) fn look_again_if_lost(&mut self) {
        if self.is_lost {
            self.look_again();
        }
    }

    /// Asks for news, also where there are none.
    pub(super) fn look_again(&mut self) {
        self.is_lost = false;
        self.watch = None;
        self.set_watched(true);
    }

    /// The next news. Can be dropped and called again.
    pub(super) async fn next(&mut self) -> There {
        if let Some(watch) = &mut self.watch
            && let Some(there) = watch.news.recv().await
        {
            return there;
        }
        std::future::pending().await
    }

    /// Takes note of news; answers which cards have come. What is there when the watch begins may have come just before.
    pub(super) fn note(&mut self, there: There) -> BTreeSet<u32> {
        self.is_lost = there.is_none();
        let before = std::mem::replace(&mut self.there, there.unwrap_or_default());
        self.there.difference(&before).copied().collect()
    }

    pub(super) fn there(&self) -> &BTreeSet<u32> {
        &self.there
    }
}

impl Watch {
    fn start() -> Result<Self> {
        let cancel = Cancel::new()?;
        let (sender, news) = mpsc::channel(NEWS);
        let switch = cancel.clone();
        thread::Builder::new()
            .name("cards".to_owned())
            .spawn(move || {
                watch_cards(&switch, |there| {
                    // The daemon may have ended.
                    drop(sender.blocking_send(there));
                });
            })
            .map_err(|error| Error::new("internal", format!("cannot start a thread: {error}")))?;
        Ok(Self { cancel, news })
    }
}
