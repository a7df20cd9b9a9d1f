//! The SOPS file format: text in, text out. A file is never re-emitted from a tree; every operation computes new text
//! for some spans of the source and splices it in.
//!
//! - [`format`]: one reader and splicer per file format; they agree on [`tree`].
//! - [`tree`]: what a reader finds: keys, scalars, comments and the metadata, each with its byte span.
//! - [`value`]: the `ENC[...]` text and AES-GCM; [`selection`]: which leaves are encrypted; [`mac`]: the hash over all.
//! - [`metadata`]: the `sops` block of every version; [`shamir`]: key groups.
//! - [`document`]: the operations on top: parse, open, plaintext, leaves, encrypt.

pub(crate) mod document;
pub(crate) mod format;
mod mac;
pub(crate) mod metadata;
pub(crate) mod number;
pub(crate) mod selection;
mod shamir;
pub(crate) mod tree;
mod value;
mod verify;

#[cfg(test)]
mod tests;
