//! The SOPS file format: text in, text out. A file is never re-emitted from a tree; every operation computes new text
//! for some spans of the source and splices it in.
//!
//! - [`mod@format`]: one reader and splicer per file format; they agree on [`tree`].
//! - [`tree`]: what a reader finds: keys, scalars, comments and the metadata, each with its byte span.
//! - [`value`]: the `ENC[...]` text and AES-GCM; [`selection`]: which leaves are encrypted; [`mac`]: the hash over all.
//! - [`metadata`]: the `sops` block of every version; [`shamir`]: key groups.
//! - [`document`]: parse, open, plaintext; [`extract`]: one value, or every leaf; [`text_at`]: one text by its keys;
//!   [`mod@encrypt`]: a new file;
//!   [`rekey`]: other keys for a file; [`edit`]: another plaintext for it; [`assign`]: one
//!   value of a plaintext.
//! - [`coverage`]: whether there is anything to encrypt.
//! - [`recognise`]: whether sops wrote a file at all.
//! - [`verify`]: what a text means: after every edit the result is read again and compared.

pub(crate) mod assign;
mod coverage;
pub(crate) mod document;
mod edit;
mod encrypt;
mod extract;
pub(crate) mod format;
mod mac;
pub(crate) mod metadata;
pub(crate) mod number;
mod recognise;
mod rekey;
pub(crate) mod selection;
mod shamir;
mod text_at;
mod texts;
mod time;
pub(crate) mod tree;
mod value;
mod verify;

pub(crate) use coverage::{Plain, plain};
pub(crate) use encrypt::{Settings, Wrap, encrypt};
pub(crate) use extract::{Leaf, Step};
pub(crate) use recognise::is_encrypted;
pub(crate) use rekey::{InHand, Recipients};
pub(crate) use text_at::Outline;

#[cfg(test)]
mod tests;
