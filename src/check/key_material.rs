//! Private keys that lie in a file in clear.

use memchr::memmem;

use crate::error::Position;

const AGE: &[u8] = b"AGE-SECRET-KEY-";
/// Characters of an age key behind [`AGE`], its version included; post-quantum keys are longer.
const AGE_LENGTH: usize = 59;
/// `openssh-key-v1` and a zero, in base64 as far as that does not depend on what follows.
const SSH_MAGIC: &[u8] = b"b3BlbnNzaC1rZXktdjEA";
/// The same with the cipher `none` behind it.
const SSH_UNENCRYPTED: &[u8] = b"b3BlbnNzaC1rZXktdjEAAAAABG5vbm";
const PEM_START: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"PRIVATE KEY-----";

/// The kind of the first private key in `content`, and where it stands. A text that only speaks of keys has none.
pub(super) fn find(content: &[u8]) -> Option<(&'static str, Position)> {
    if memmem::find(content, AGE).is_none() && memmem::find(content, PEM_START).is_none() {
        return None; // nearly every file
    }
    let mut start = 0;
    let mut open: Option<(&'static str, usize)> = None;
    for line in content.split(|&byte| byte == b'\n') {
        if let Some(at) = age(line) {
            return Some(("an age identity", Position::of(content, start + at)));
        }
        // The header alone may be documentation: a key has base64 on the next line, or an old header of PEM.
        if let Some((kind, at)) = open.take()
            && is_key_line(line)
        {
            return Some((kind, Position::of(content, at)));
        }
        open = pem(line).map(|(kind, at)| (kind, start + at));
        start += line.len() + 1;
    }
    None
}

fn age(line: &[u8]) -> Option<usize> {
    let at = memmem::find(line, AGE)?;
    let key = line.get(at + AGE.len()..)?;
    let is_part = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'-';
    let length = key.iter().take_while(is_part).count();
    (length >= AGE_LENGTH).then_some(at)
}

fn pem(line: &[u8]) -> Option<(&'static str, usize)> {
    let at = memmem::find(line, PEM_START)?;
    let rest = line.get(at..)?.trim_ascii_end();
    // One that is encrypted itself is not in clear.
    if !rest.ends_with(PEM_END) || memmem::find(rest, b"ENCRYPTED").is_some() {
        return None;
    }
    let ssh = memmem::find(rest, b"OPENSSH").is_some();
    Some((
        if ssh {
            "an SSH private key"
        } else {
            "a private key"
        },
        at,
    ))
}

/// The first line behind the header. OpenSSH names the cipher there, after 15 bytes of magic and a length.
fn is_key_line(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let starts_ssh = line.starts_with(SSH_MAGIC);
    line.starts_with(b"Proc-Type:") && memmem::find(line, b"ENCRYPTED").is_none()
        || line.len() >= 16
            && (!starts_ssh
                || line.starts_with(SSH_UNENCRYPTED)
                || line.len() < SSH_UNENCRYPTED.len())
            && line
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_texts_about_keys() {
        let age = format!("# a\nx: AGE-SECRET-KEY-1{}\n", "Q".repeat(58));
        assert_eq!(find(age.as_bytes()).map(|found| found.1.line), Some(2));
        let key = b"a\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  b3BlbnNzaC1rZXktdjEAAAAA\n";
        assert_eq!(
            find(key).map(|found| (found.0, found.1.line, found.1.column)),
            Some(("an SSH private key", 2, 3))
        );
        for text in [
            "AGE-SECRET-KEY-1...",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBKMCkG\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0\n",
            "begins with -----BEGIN PRIVATE KEY-----\nand goes on",
            "-----BEGIN CERTIFICATE-----\nb3BlbnNzaC1rZXktdjEAAAAA\n",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(find(text.as_bytes()).is_none(), "{text}");
        }
    }
}
