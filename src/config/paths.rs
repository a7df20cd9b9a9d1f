//! Paths that a configuration gives: where an entry arrives, and what must never be part of a path.

use std::path::{Component, Path, PathBuf};

use super::{
    entries::Context,
    node::{Member, Node},
    reader::{Fields, Findings, tidy},
};

/// Bytes of one part of a delivered path.
const PART_LENGTH: usize = 255;
/// Bytes of a delivered path; with the generation's directory in front it must stay below 4096.
const PATH_LENGTH: usize = 3500;

/// Where an entry arrives: below the runtime directory, and with a link where `path` leads elsewhere.
pub(super) fn place_of(
    member: &Member,
    fields: &Fields<'_>,
    context: &Context<'_>,
    findings: &mut Findings,
) -> (Option<String>, Option<PathBuf>) {
    let name = &member.key;
    if let Some(reason) = unsafe_path(name) {
        let error = member
            .key_place
            .error("unsafe-path", format!("the name `{name}` {reason}"));
        findings.errors.push(error.with_hint(
            "a name is a relative path below the runtime directory, such as `postgres/password`",
        ));
        return (None, None);
    }
    let Some(node) = fields.find("path") else {
        return (Some(name.clone()), None);
    };
    let Some(text) = findings.text(node, "path") else {
        return (Some(name.clone()), None);
    };
    let path = Path::new(text);
    let climbs = path
        .components()
        .any(|part| matches!(part, Component::ParentDir));
    if !path.is_absolute() || climbs || text.ends_with('/') {
        let error = node.place.error(
            "unsafe-path",
            format!("`{text}` must be an absolute path of a file, without `..`"),
        );
        findings.errors.push(error);
        return (Some(name.clone()), None);
    }
    let path = tidy(path);
    let Ok(below) = path.strip_prefix(context.runtime_directory) else {
        if path.starts_with(generations_directory(context.runtime_directory)) {
            let message = format!(
                "`{text}` lies in the directory of the generations, which is secretsd's own"
            );
            findings.error(&node.place, "unsafe-path", message);
        }
        return (Some(name.clone()), Some(path));
    };
    let Some(below) = below.to_str().filter(|below| unsafe_path(below).is_none()) else {
        findings.error(
            &node.place,
            "unsafe-path",
            format!("`{text}` is no path of a file below the runtime directory"),
        );
        return (None, None);
    };
    (Some(below.to_owned()), None)
}

/// `/run/secrets.d` for `/run/secrets`.
pub(crate) fn generations_directory(runtime_directory: &Path) -> PathBuf {
    let mut name = runtime_directory.as_os_str().to_owned();
    name.push(".d");
    PathBuf::from(name)
}

/// A path in the repository. An absolute one is accepted where it begins with the repository's own.
pub(super) fn repository_file(
    node: &Node,
    repository: &Path,
    findings: &mut Findings,
) -> Option<String> {
    let text = findings.text(node, "file")?;
    let path = Path::new(text);
    let relative = if path.is_absolute() {
        path.strip_prefix(repository).ok()
    } else {
        Some(path)
    };
    let relative = relative
        .map(tidy)
        .and_then(|path| path.to_str().map(str::to_owned));
    let Some(relative) = relative.filter(|relative| unsafe_path(relative).is_none()) else {
        let error = node.place.error(
            "unsafe-path",
            format!("`{text}` is no path of a file in the repository"),
        );
        findings.errors.push(error.with_hint(format!(
            "paths of files are relative to {}",
            repository.display()
        )));
        return None;
    };
    Some(relative)
}

/// What keeps `path` from being a path below a directory.
pub(crate) fn unsafe_path(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("is empty".to_owned());
    }
    if path.len() > PATH_LENGTH {
        return Some(format!("is longer than {PATH_LENGTH} bytes"));
    }
    path.split('/').find_map(unsafe_part)
}

/// What keeps `part` from being the name of a file.
pub(crate) fn unsafe_part(part: &str) -> Option<String> {
    match part {
        "" => Some("has an empty part".to_owned()),
        "." | ".." => Some(format!("has the part `{part}`")),
        _ if part.len() > PART_LENGTH => {
            Some(format!("has a part of more than {PART_LENGTH} bytes"))
        }
        _ if part.contains(['\0', '/']) => {
            Some("has a part with a slash or a NUL character".to_owned())
        }
        _ => None,
    }
}
