//! `include`: which files are read besides the main one.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    file::unreadable,
    glob::part_matches,
    node::{Node, Value},
    reader::Findings,
};

/// Files that one configuration includes.
const INCLUDES: usize = 10_000;

/// The files that `include` names, and the directories of its patterns.
pub(super) fn included(node: &Node, findings: &mut Findings) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    let items = match &node.value {
        Value::Null => return (files, directories),
        Value::List(items) => items,
        _ => {
            findings.error(&node.place, "config-type", "`include` must be a list");
            return (files, directories);
        }
    };
    for item in items {
        let Some(path) = findings.path(item, "include") else {
            continue;
        };
        let (Some(directory), Some(pattern)) = (
            path.parent(),
            path.file_name().and_then(|name| name.to_str()),
        ) else {
            findings.error(&item.place, "config-value", "`include` must name files");
            continue;
        };
        if directory.to_string_lossy().contains(['*', '?']) {
            let message = "`include` may have `*` and `?` in the last part of the path only";
            findings.error(&item.place, "config-value", message);
            continue;
        }
        if !pattern.contains(['*', '?']) {
            files.push(path);
            continue;
        }
        directories.push(directory.to_owned());
        let mut found = match matching(directory, pattern) {
            Ok(found) => found,
            // As in other programs, a directory for snippets need not exist.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                findings.errors.push(unreadable(directory, &error));
                continue;
            }
        };
        found.sort();
        files.append(&mut found);
    }
    if files.len() > INCLUDES {
        findings.error(
            &node.place,
            "limit",
            format!("`include` names more than {INCLUDES} files"),
        );
        files.clear();
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    (files, directories)
}

fn matching(directory: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some(text) = name.to_str() else { continue };
        // As in a shell, a pattern does not match hidden files by accident: editors leave such ones behind.
        if part_matches(pattern, text) && (!text.starts_with('.') || pattern.starts_with('.')) {
            found.push(directory.join(name));
        }
    }
    Ok(found)
}
