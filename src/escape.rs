//! Text from outside (file names, keys, comments, arguments) made safe to show: what could steer a terminal or reorder
//! what a person reads is written as an escape.

use std::{borrow::Cow, fmt::Write as _, os::unix::ffi::OsStrExt as _, path::Path};

/// `text` with every character that [`is_unsafe`] written as `\n`, `\t`, `\r` or `\u{...}`.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        push(&mut escaped, char);
    }
    Cow::Owned(escaped)
}

/// `path` as text; bytes that are no UTF-8 are written as `\xNN`.
pub(crate) fn path(path: &Path) -> String {
    let mut escaped = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        chunk
            .valid()
            .chars()
            .for_each(|char| push(&mut escaped, char));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

/// Whether `char` is a control character, a line separator or one that changes the direction of text.
pub(crate) fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn push(escaped: &mut String, char: char) {
    match char {
        '\n' | '\r' | '\t' => escaped.extend(char.escape_default()),
        _ if is_unsafe(char) => escaped.extend(char.escape_unicode()),
        _ => escaped.push(char),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn escapes_what_steers_a_terminal() {
        assert_eq!(text("plain \u{e4} \\ text"), "plain \u{e4} \\ text");
        assert_eq!(
            text("a\x1b[31mb\n\u{9b}\u{202e}c"),
            "a\\u{1b}[31mb\\n\\u{9b}\\u{202e}c"
        );
    }

    #[test]
    fn shows_paths_that_are_no_utf8() {
        assert_eq!(
            path(Path::new(OsStr::from_bytes(b"a\xff\n/b"))),
            "a\\xff\\n/b"
        );
    }
}
