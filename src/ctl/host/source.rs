//! Where the keys of new hosts come from: the command line, a file, what `ssh-keyscan` prints.

use std::{io, path::Path};

use policy::{edit::NewHost, rules::is_private_key};

use crate::{
    error::{Error, Position, Result},
    escape,
    files::{ReadLimit, read_any, read_stream},
    identity::{canonical, check_recipient},
    limits::Limits,
    secret::Secret,
};

/// How standard input is called on a command line.
const STDIN: &str = "-";

/// One host of the command line.
pub(super) fn host(name: &str, recipient: &str, limits: &Limits) -> Result<Vec<NewHost>> {
    let recipient = self::recipient(recipient, limits)?;
    Ok(vec![NewHost {
        name: name.to_owned(),
        recipient,
    }])
}

/// A public key, or the one that stands in a file.
pub(super) fn recipient(given: &str, limits: &Limits) -> Result<String> {
    let given = given.trim();
    if is_private_key(given) {
        return Err(private("the recipient is a private key").with_hint(
            "it was on a command line, where others can read it: replace it; give its public key here",
        ));
    }
    let is_key = given.starts_with("age1") || given.starts_with("ssh-");
    if is_key && !Path::new(given).exists() {
        check_recipient(given).map_err(|error| error.with_hint("give the whole public key"))?;
        return Ok(canonical(given).to_owned());
    }
    if given != STDIN && !Path::new(given).exists() {
        let shown = escape::text(given);
        let message = format!(
            "{shown} is no recipient (age1…, ssh-ed25519 …), and there is no file of this name"
        );
        return Err(Error::new("invalid-recipient", message)
            .with_hint("give an age or SSH public key, or a file that holds one"));
    }
    let content = read(given, limits)?;
    let in_file = |error: Error| match given {
        STDIN => error,
        file => error.with_file(Path::new(file)),
    };
    let text = text(given, &content).map_err(in_file)?;
    let lines = text.lines().map(str::trim);
    let keys: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    match keys.as_slice() {
        [key] => {
            check_recipient(key).map_err(in_file)?;
            Ok(canonical(key).to_owned())
        }
        [] => Err(in_file(Error::new(
            "invalid-recipient",
            "there is no recipient in it",
        ))),
        several => Err(in_file(
            Error::new(
                "invalid-recipient",
                format!(
                    "there are {} recipients in it, and a host has one",
                    several.len()
                ),
            )
            .with_hint("add several hosts with --from, by lines `NAME RECIPIENT`"),
        )),
    }
}

/// The hosts of a file: lines `NAME RECIPIENT`, of which those of `ssh-keyscan` are a kind.
pub(super) fn hosts(from: &str, limits: &Limits) -> Result<Vec<NewHost>> {
    let content = read(from, limits)?;
    let in_file = |error: Error| match from {
        STDIN => error,
        file => error.with_file(Path::new(file)),
    };
    let text = text(from, &content).map_err(in_file)?;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = |error: Error| {
            in_file(error.with_position(Position {
                line: number + 1,
                column: 1,
            }))
        };
        lines.extend(parse(line).map_err(at)?.map(|line| (number, line)));
    }
    let of_kind = |name: &str, kind: Kind| {
        lines
            .iter()
            .any(|(_, line)| line.name == name && line.kind == kind)
    };
    let mut hosts: Vec<NewHost> = Vec::new();
    for (number, line) in &lines {
        let at = |error: Error| {
            in_file(error.with_position(Position {
                line: number + 1,
                column: 1,
            }))
        };
        let has_better = of_kind(&line.name, Kind::Best);
        match line.kind {
            Kind::Rsa | Kind::Other if has_better => continue,
            Kind::Other if of_kind(&line.name, Kind::Rsa) => continue,
            _ => {}
        }
        check_recipient(&line.key).map_err(at)?;
        let recipient = canonical(&line.key).to_owned();
        let known = hosts.iter().find(|host| host.name == line.name);
        match known {
            Some(known) if known.recipient == recipient => {}
            Some(_) => {
                let message = format!("{} has a second key here", escape::text(&line.name));
                return Err(at(Error::new("host-exists", message).with_hint(
                    "leave one of the two lines, or give the hosts different names",
                )));
            }
            None => hosts.push(NewHost {
                name: line.name.clone(),
                recipient,
            }),
        }
    }
    if hosts.is_empty() {
        return Err(in_file(
            Error::new("invalid-recipient", "there is no host in it")
                .with_hint("write lines `NAME RECIPIENT`"),
        ));
    }
    Ok(hosts)
}

struct Line {
    name: String,
    key: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Best,
    Rsa,
    /// A type that age does not take.
    Other,
}

fn parse(line: &str) -> Result<Option<Line>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.starts_with('@') {
        let message = "lines with a marker (@cert-authority, @revoked) are no keys of hosts";
        return Err(Error::new("invalid-recipient", message).with_hint("remove this line"));
    }
    if line.starts_with("|1|") {
        return Err(Error::new(
            "invalid-recipient",
            "the name of this host is hashed, so nobody knows it",
        )
        .with_hint("run ssh-keyscan without -H"));
    }
    let Some((names, key)) = line.split_once([' ', '\t']) else {
        let message = "a line needs a name and a recipient";
        return Err(
            Error::new("invalid-recipient", message).with_hint("write lines `NAME RECIPIENT`")
        );
    };
    let key = key.trim();
    let kind = match key.split([' ', '\t']).next().unwrap_or_default() {
        "ssh-ed25519" => Kind::Best,
        "ssh-rsa" => Kind::Rsa,
        kind if kind.starts_with("age1") => Kind::Best,
        kind if kind.starts_with("ecdsa-") || kind.starts_with("sk-") || kind == "ssh-dss" => {
            Kind::Other
        }
        // Refused as a recipient, with its reason.
        _ => Kind::Best,
    };
    // As in `known_hosts`: names and addresses with commas, a port behind brackets.
    let name = names.split(',').next().unwrap_or_default();
    let name = match name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
    {
        Some((name, _port)) => name,
        None => name,
    };
    Ok(Some(Line {
        name: name.to_owned(),
        key: key.to_owned(),
        kind,
    }))
}

fn read(given: &str, limits: &Limits) -> Result<Secret> {
    let limit = ReadLimit::of_file(limits.file_size);
    match given {
        STDIN => read_stream(io::stdin().lock(), limit),
        file => read_any(Path::new(file), limit),
    }
}

/// The text of what should be public.
fn text<'s>(given: &str, content: &'s Secret) -> Result<&'s str> {
    let text = std::str::from_utf8(content.expose())
        .map_err(|_| Error::new("invalid-recipient", "this is no text with recipients"))?;
    if !is_private_key(text) {
        return Ok(text);
    }
    let file = match given {
        STDIN => "FILE".to_owned(),
        file => escape::path(Path::new(file)),
    };
    let command = match text.contains("PRIVATE KEY-----") {
        true => format!("ssh-keygen -y -f {file}"),
        false => format!("age-keygen -y {file}"),
    };
    Err(
        private("there is a private key in it, and rules name public keys")
            .with_hint(format!("`{command}` prints the public key: give that one")),
    )
}

fn private(message: &str) -> Error {
    Error::new("private-key", message)
}
