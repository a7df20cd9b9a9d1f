//! Keys of HashiCorp Vault's transit engine: a URL, taken apart and put together again as Go's `net/url` does it.

use super::shown;

/// `https://HOST/v1/ENGINE/keys/NAME`
pub(crate) fn vault(text: &str) -> Result<String, String> {
    let bad = |why: &str| format!("{} is no key of Vault: {why}", shown(text));
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err(bad("there are control characters in it"));
    }
    let (rest, fragment) = cut(text, '#');
    let form = "it has the form https://HOST/v1/ENGINE/keys/NAME";
    let (scheme, rest) = rest.split_once("://").ok_or_else(|| bad(form))?;
    let mut letters = scheme.bytes();
    if !letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        || !letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return Err(bad(form));
    }
    let (rest, query) = cut(rest, '?');
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if !is_host(host) {
        return Err(bad("its host or port is wrong"));
    }
    let path = escaped(path).ok_or_else(|| bad("a percent sign needs two hexadecimal digits"))?;
    let suffix = |mark: char, part: Option<&str>| {
        part.map(|part| format!("{mark}{part}")).unwrap_or_default()
    };
    let query = suffix('?', query);
    let uri = format!("{path}{query}");
    let (engine, name) = engine_and_name(&uri).map_err(bad)?;
    let address = format!(
        "{}://{host}{query}{}",
        scheme.to_ascii_lowercase(),
        suffix('#', fragment.filter(|f| !f.is_empty()))
    );
    Ok(format!("{address}/v1/{engine}/keys/{name}"))
}

fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn is_host(authority: &str) -> bool {
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let port = match host.rsplit_once(':') {
        Some((_, port)) if !host.ends_with(']') => port,
        _ => "",
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"".contains(c);
    host.chars().all(allowed) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// The path as Go writes it; `None` for a broken escape.
fn escaped(path: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*[]%".contains(&byte);
    if path.bytes().all(valid) {
        return Some(path.to_owned());
    }
    let mut escaped = String::new();
    for byte in decoded {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(escaped)
}

fn engine_and_name(path: &str) -> Result<(String, &str), &'static str> {
    let parts: Vec<_> = path.split('/').collect();
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let versions = |window: &[&str]| match window {
        [version, rest @ ..] => is_version(version) && rest.iter().all(|part| !part.is_empty()),
        [] => false,
    };
    let after_root = parts.get(1..).unwrap_or_default();
    if after_root.windows(5).any(|window| match window {
        [prefix, rest @ ..] => !prefix.is_empty() && versions(rest),
        [] => false,
    }) {
        return Err("sops does not support a prefix before /v1/");
    }
    if !after_root.windows(4).any(versions) {
        return Err("it has the form https://HOST/v1/ENGINE/keys/NAME");
    }
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let mut engine = Vec::new();
    for part in parts
        .get(1..parts.len().saturating_sub(2))
        .unwrap_or_default()
    {
        match *part {
            "" | "." => {}
            ".." if engine.last().is_some_and(|last| *last != "..") => _ = engine.pop(),
            part => engine.push(part),
        }
    }
    Ok((engine.join("/"), name))
}
