//! How many names a file has.

use crate::error::{Error, Result};

/// Refuses a file with `links` names where replacing one would leave the others as they are.
pub(crate) fn check_one_name(links: impl Into<u64>) -> Result<()> {
    if links.into() > 1 {
        let message =
            "the file has more than one name (hard links), and only this one would change";
        return Err(Error::new("hard-link", message).with_hint("make it a file of its own"));
    }
    Ok(())
}
