//! The one type that holds plaintext: values, documents, data keys, PINs.
//!
//! It is wiped on drop, when it grows, and has no `Debug`, `Display`, `Serialize` or `Clone`: a copy is made by name
//! ([`Secret::duplicate`]). [`Secret::expose`] is the only way to the bytes, so a search for it finds every use.

use std::fmt;

use zeroize::{Zeroize as _, zeroize_bytes};

/// Bytes that are wiped when they are dropped.
#[derive(Default)]
pub(crate) struct Secret(Vec<u8>);

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// What is in use and what is not. `Vec`'s own way goes byte by byte, which shows with many large files.
fn wipe(bytes: &mut Vec<u8>) {
    zeroize_bytes(bytes);
    bytes.spare_capacity_mut().zeroize();
}

impl Secret {
    /// Takes over `bytes`; no copy is made.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// An empty secret with room for `capacity` bytes.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self::new(Vec::with_capacity(capacity))
    }

    /// The bytes themselves. Whoever calls this answers for where they go.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, where they are UTF-8.
    pub(crate) fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Appends `bytes`. Where the buffer must grow, the old one is wiped, which `Vec` alone would not do.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut grown = Vec::with_capacity(needed.max(self.0.capacity() * 2));
            grown.extend_from_slice(&self.0);
            wipe(&mut self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
    }

    /// The bytes from `from` on, to be overwritten.
    pub(crate) fn behind(&mut self, from: usize) -> &mut [u8] {
        self.0.get_mut(from..).unwrap_or_default()
    }

    /// Leaves the first `length` bytes. The others are wiped when these are.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// A second copy, made on purpose.
    pub(crate) fn duplicate(&self) -> Self {
        Self::new(self.0.to_vec())
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// So that `write!` can render into a secret.
impl fmt::Write for Secret {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

/// The AES key of one file, or one Shamir share of it: 16, 24 or 32 bytes as a key, 33 as a share.
pub(crate) struct DataKey(Secret);

impl DataKey {
    /// Wraps key bytes; their length is checked where they are used.
    pub(crate) fn new(bytes: Secret) -> Self {
        Self(bytes)
    }

    /// The key bytes.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_without_losing_bytes() {
        let mut secret = Secret::with_capacity(1);
        for part in ["a", "bc", "defghijkl", ""] {
            secret.push(part.as_bytes());
        }
        assert!(secret.expose() == b"abcdefghijkl");
        assert_eq!(secret.len(), 12);
    }
}
