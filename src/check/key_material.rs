//! Private keys that lie in a file in clear.

use std::path::Path;

use memchr::memmem;
use policy::rules::Severity;

use super::Finding;
use crate::error::Position;

/// How an age identity begins: its kind, and the name in front of the `1` of bech32. Each holds 32 bytes.
const AGE: &[(&str, &str)] = &[
    ("an age identity", "AGE-SECRET-KEY-"),
    ("a post-quantum age identity", "AGE-SECRET-KEY-PQ-"),
];
/// Characters of bech32 for 32 bytes, checksum included, and the `1` before them.
const AGE_LENGTH: usize = 1 + 52 + 6;
/// `openssh-key-v1` and a zero, in base64 as far as that does not depend on what follows.
const SSH_MAGIC: &[u8] = b"b3BlbnNzaC1rZXktdjEA";
/// The same with the cipher `none` behind it.
const SSH_UNENCRYPTED: &[u8] = b"b3BlbnNzaC1rZXktdjEAAAAABG5vbm";
const PEM_START: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"PRIVATE KEY-----";
/// Characters between [`PEM_START`] and [`PEM_END`] at the most.
const MOST_OF_HEADER: usize = 40;
/// Lines below the header among which it begins.
const MOST_LINES: usize = 12;
/// Characters of base64 that a key has on a line of its own.
const LEAST_ON_LINE: usize = 16;
/// The same where it stands in the line of its header; a long word is none.
const LEAST_IN_LINE: usize = 32;

/// The private keys in `content`, each with its kind and where it stands: the age identities first. A text that only
/// speaks of keys has none: an age identity counts with its checksum, the header of PEM with base64 behind it.
pub(super) fn find(content: &[u8]) -> impl Iterator<Item = (&'static str, Position)> {
    let age = AGE.iter().flat_map(move |&(kind, name)| {
        let starts = memmem::find_iter(content, name.as_bytes());
        let keys = starts.filter(move |&at| is_age(content, at, name));
        keys.map(move |at| (kind, Position::of(content, at)))
    });
    let headers = memmem::find_iter(content, PEM_START);
    let pem =
        headers.filter_map(move |at| Some((pem(content.get(at..)?)?, Position::of(content, at))));
    age.chain(pem)
}

/// The first private key of a file that should hold none.
pub(super) fn finding(file: &Path, content: &[u8]) -> Option<Finding> {
    let (kind, position) = find(content).next()?;
    let message = format!("{kind} lies here in clear");
    let hint = "take it out of the repository and its history, and replace the key";
    let code = "unencrypted-key-material";
    Some(Finding::new(code, Severity::Error, file, message, hint).at(position))
}

fn is_age(content: &[u8], at: usize, name: &str) -> bool {
    let key = content.get(at..at + name.len() + AGE_LENGTH);
    let key = key.and_then(|key| std::str::from_utf8(key).ok());
    let key = key.and_then(|key| {
        bech32::primitives::decode::CheckedHrpstring::new::<bech32::Bech32>(key).ok()
    });
    key.is_some_and(|key| key.hrp().as_str() == name)
}

/// The kind of the key whose header `text` begins with.
fn pem(text: &[u8]) -> Option<&'static str> {
    let header = text.get(PEM_START.len()..)?;
    let header = header.get(..header.len().min(MOST_OF_HEADER + PEM_END.len()))?;
    let end = memmem::find(header, PEM_END)?;
    let kind = header.get(..end)?;
    // One that is encrypted itself is not in clear, and a name of a kind has no more than words.
    if memmem::find(kind, b"ENCRYPTED").is_some()
        || !kind
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ')
    {
        return None;
    }
    let body = text.get(PEM_START.len() + end + PEM_END.len()..)?;
    is_key(body).then_some(match memmem::find(kind, b"OPENSSH") {
        Some(_) => "an SSH private key",
        None => "a private key",
    })
}

/// Whether a key follows: base64 on one of the next lines, below old headers of PEM and the empty lines that folding a text
/// takes; or base64 in the same line behind a line break that is written out (`\n`, as in JSON and in dotenv files).
fn is_key(body: &[u8]) -> bool {
    let mut lines = body.split(|&byte| matches!(byte, b'\n' | b'\r'));
    let same = lines.next().unwrap_or_default();
    if same.trim_ascii().is_empty() {
        let lines = lines.take(MOST_LINES).map(<[u8]>::trim_ascii);
        let mut lines = lines.filter(|line| !line.is_empty());
        let line = lines.find(|line| !line.contains(&b':') || says_encrypted(line));
        let line = line.unwrap_or_default();
        return line.len() >= LEAST_ON_LINE && base64(line) == line && is_clear(line);
    }
    let is_break = |byte: &u8| matches!(byte, b'\\' | b'n' | b'r' | b' ' | b'\t');
    let breaks = same.iter().take_while(|byte| is_break(byte)).count();
    let escapes = same.get(..breaks).unwrap_or_default();
    // An `n` or `r` at the start of the key itself was taken for part of a line break: it does not matter.
    let data = base64(same.get(breaks..).unwrap_or_default());
    !escapes.is_empty() && data.len() >= LEAST_IN_LINE && is_clear(data)
}

/// `Proc-Type: 4,ENCRYPTED`, above a key that is encrypted itself.
fn says_encrypted(header: &[u8]) -> bool {
    memmem::find(header, b"ENCRYPTED").is_some()
}

/// What `text` has of base64 at its start.
fn base64(text: &[u8]) -> &[u8] {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let length = text.iter().take_while(is_part).count();
    text.get(..length).unwrap_or_default()
}

/// OpenSSH names the cipher at the start, after 15 bytes of magic and a length.
fn is_clear(data: &[u8]) -> bool {
    !data.starts_with(SSH_MAGIC)
        || data.starts_with(SSH_UNENCRYPTED)
        || data.len() < SSH_UNENCRYPTED.len()
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret as _;

    use super::*;

    fn places(text: &str) -> Vec<(&'static str, usize, usize)> {
        let found = find(text.as_bytes());
        found.map(|(kind, at)| (kind, at.line, at.column)).collect()
    }

    fn key() -> String {
        let identity = age::x25519::Identity::generate();
        identity.to_string().expose_secret().to_owned()
    }

    #[test]
    fn age_identities_by_their_checksum() {
        let age = "an age identity";
        let (one, fake) = (key(), format!("AGE-SECRET-KEY-1{}", "Q".repeat(58)));
        assert_eq!(places(&format!("# a\nx: {one}\n")), [(age, 2, 4)]);
        // Not only the first of a line, and not only the first of a text.
        assert_eq!(places(&format!("{fake} {one}")), [(age, 1, 76)]);
        assert_eq!(places(&format!("{one}{one}\n{one}")).len(), 3);
        let changed = match one.ends_with('Q') {
            true => one.trim_end_matches('Q').to_owned() + "P",
            false => one.chars().take(73).collect::<String>() + "Q",
        };
        for text in [
            fake.as_str(),
            &changed,
            "AGE-SECRET-KEY-1...",
            "AGE-SECRET-KEY-PQ-1QQQ",
        ] {
            assert_eq!(places(text), [], "{text}");
        }
        let name = bech32::Hrp::parse("age-secret-key-pq-").unwrap();
        let quantum = bech32::encode_upper::<bech32::Bech32>(name, &[7; 32]).unwrap();
        assert_eq!(places(&quantum), [("a post-quantum age identity", 1, 1)]);
    }

    #[test]
    fn keys_and_texts_about_keys() {
        let key = "a\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  b3BlbnNzaC1rZXktdjEAAAAA\n";
        assert_eq!(places(key), [("an SSH private key", 2, 3)]);
        let data = "MC4CAQAwBQYDK2VwBCIEIHcHbQpzGKV9PBbBclGyZkXfTC";
        for text in [
            format!("{{\"key\": \"-----BEGIN PRIVATE KEY-----\\n{data}\\n-----END\""),
            format!("KEY=\"-----BEGIN RSA PRIVATE KEY-----\\r\\n{data}\\r\\n-----END\""),
            format!("KEY='-----BEGIN EC PRIVATE KEY----- {data} -----END EC"),
            format!("KEY=\"-----BEGIN PRIVATE KEY-----\r\n{data}\r\n"),
            format!("-----BEGIN PRIVATE KEY-----\r{data}\r"),
            format!("a: >\n  -----BEGIN PRIVATE KEY-----\n\n  {data}\n\n"),
            format!("-----BEGIN RSA PRIVATE KEY-----\nVersion: 1\nComment: a: b\n\n{data}\n"),
        ] {
            assert_eq!(places(&text).len(), 1, "{text}");
        }
        for text in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBKMCkG\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMC4CAQAwBQYDK2VwBCIEIHcHbQpz\n",
            "-----BEGIN RSA PRIVATE KEY-----\\nProc-Type: 4,ENCRYPTED\\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0\\n",
            "begins with -----BEGIN PRIVATE KEY-----\nand goes on",
            "begins with -----BEGIN PRIVATE KEY----- and goes on, internationalization",
            "-----BEGIN CERTIFICATE-----\nb3BlbnNzaC1rZXktdjEAAAAA\n",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\\n...",
        ] {
            assert_eq!(places(text), [], "{text}");
        }
    }
}
