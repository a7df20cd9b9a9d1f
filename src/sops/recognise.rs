//! Did sops write a file?

use memchr::memmem;

use super::format::Format;

/// Whether sops wrote the file, be it damaged since: one of its values, or its MAC at least, stands in it. In a file
/// without structure the metadata must be there, too, in JSON: it may be a text about sops, or a program that knows the
/// format.
pub(crate) fn is_encrypted(content: &[u8], format: Format) -> bool {
    let holds = |text: &[u8]| memmem::find(content, text).is_some();
    holds(b"ENC[AES256_GCM,data:")
        && (format != Format::Binary
            || content.trim_ascii_start().starts_with(b"{")
                && holds(b"\"sops\"")
                && holds(b"lastmodified"))
}
