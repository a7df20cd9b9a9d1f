//! All files of a repository, found without recursion and without following links.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, readlinkat, statat};

use super::{RULES, Repository};
use crate::error::{Error, Result};

/// What a walk found; every path is relative to the root.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Regular files.
    pub(crate) files: Vec<PathBuf>,
    /// Symbolic links, to files and to directories; none is followed.
    pub(crate) links: Vec<Link>,
    /// Directories with a `.sops.yaml` of their own: repositories of their own, not entered.
    pub(crate) nested: Vec<PathBuf>,
    /// Directories that could not be read.
    pub(crate) problems: Vec<Error>,
}

/// A symbolic link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) path: PathBuf,
    /// What it leads to, if that is a regular file inside the repository: its own path there.
    pub(crate) target: Option<PathBuf>,
}

pub(super) fn walk(repository: &Repository, enter: &mut dyn FnMut(&Path) -> bool) -> Result<Walk> {
    let mut walk = Walk::default();
    let mut left = vec![PathBuf::new()];
    while let Some(directory) = left.pop() {
        if !enter(&directory) {
            continue;
        }
        let mut directories = Vec::new();
        match entries(
            repository,
            &directory,
            walk.files.len() + walk.links.len() + left.len(),
        ) {
            Ok(entries) => {
                let nested = !directory.as_os_str().is_empty()
                    && entries.iter().any(|(name, _)| name == RULES);
                if nested {
                    walk.nested.push(directory);
                    continue;
                }
                for (name, kind) in entries {
                    // A file in linked work trees and submodules.
                    if name.as_os_str() == ".git" {
                        continue;
                    }
                    let path = directory.join(&name);
                    match kind {
                        FileType::Directory => directories.push(path),
                        FileType::RegularFile => walk.files.push(path),
                        FileType::Symlink => walk.links.push(link(repository, path)),
                        _ => {}
                    }
                }
            }
            Err(error) if error.code == "limit" => return Err(error),
            // Gone since its parent was read.
            Err(error) if error.code == "file-missing" => {}
            Err(error) if directory.as_os_str().is_empty() => return Err(error),
            Err(error) => walk.problems.push(error),
        }
        // The last one is taken first.
        left.extend(directories.into_iter().rev());
    }
    Ok(walk)
}

/// Names and kinds, sorted by name. `before`: how many there are already.
fn entries(
    repository: &Repository,
    directory: &Path,
    before: usize,
) -> Result<Vec<(PathBuf, FileType)>> {
    let describe = |error: rustix::io::Errno| {
        Error::new(
            "file-unreadable",
            format!("cannot read the directory: {error}"),
        )
        .with_file(&repository.root.join(directory))
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let opened = repository
        .open_beneath(directory, flags)
        .map_err(|error| error.with_file(&repository.root.join(directory)))?;
    let mut entries = Vec::new();
    for entry in Dir::read_from(&opened).map_err(describe)? {
        let entry = entry.map_err(describe)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not say.
            FileType::Unknown => match statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(status) => FileType::from_raw_mode(status.st_mode),
                Err(_) => continue,
            },
            kind => kind,
        };
        entries.push((PathBuf::from(name), kind));
        let limit = repository.limits.files;
        if before + entries.len() > limit {
            return Err(Error::new(
                "limit",
                format!("the repository has more files than the limit files of {limit}"),
            )
            .with_file(&repository.root)
            .with_hint("raise the limit: limits.files, or leave out what is not part of it"));
        }
    }
    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(entries)
}

fn link(repository: &Repository, path: PathBuf) -> Link {
    Link {
        target: target(repository, &path),
        path,
    }
}

/// Where a link leads, through any number of others. Only the final file counts, and it must be found again without
/// following any link, so that two names of one file have one target.
fn target(repository: &Repository, path: &Path) -> Option<PathBuf> {
    let same =
        |left: &Stat, right: &Stat| (left.st_dev, left.st_ino) == (right.st_dev, right.st_ino);
    let end = repository.open_beneath(path, OFlags::PATH).ok()?;
    let end = rustix::fs::fstat(&end).ok()?;
    if FileType::from_raw_mode(end.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut at = PathBuf::new();
    let mut left: Vec<PathBuf> = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == Path::new("..") {
            at.pop();
            continue;
        }
        at.push(&part);
        if let Ok(target) = readlinkat(&repository.directory, &at, Vec::new()) {
            links += 1;
            if links > 40 {
                return None;
            }
            at.pop();
            left.extend(parts(Path::new(OsStr::from_bytes(target.to_bytes()))));
        }
    }
    let found = statat(&repository.directory, &at, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    same(&found, &end).then_some(at)
}

/// The components, last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter(|part| *part != std::path::Component::CurDir)
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::limits::Limits;

    #[test]
    fn finds_every_file_once() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("repository");
        for directory in ["b/c", "a", "nested/deep", ".git"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for file in [
            "z.yaml",
            "b/c/1.yaml",
            "b/0.yaml",
            ".sops.yaml",
            "nested/.sops.yaml",
            "nested/deep/x",
            ".git/config",
        ] {
            fs::write(root.join(file), "").unwrap();
        }
        fs::write(outer.path().join("outside"), "").unwrap();
        symlink("../b/0.yaml", root.join("a/link")).unwrap();
        symlink("link", root.join("a/link2")).unwrap();
        symlink("../../outside", root.join("a/out")).unwrap();
        symlink("..", root.join("a/up")).unwrap();
        let walk = Repository::open(&root, Limits::default())
            .unwrap()
            .walk()
            .unwrap();
        let files: Vec<_> = walk.files.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(files, [".sops.yaml", "z.yaml", "b/0.yaml", "b/c/1.yaml"]);
        assert_eq!(walk.nested, [PathBuf::from("nested")]);
        let links: Vec<_> = walk
            .links
            .iter()
            .map(|link| (link.path.to_str().unwrap(), link.target.as_deref()))
            .collect();
        let inside = Some(Path::new("b/0.yaml"));
        assert_eq!(
            links,
            [
                ("a/link", inside),
                ("a/link2", inside),
                ("a/out", None),
                ("a/up", None)
            ]
        );
        assert!(walk.problems.is_empty());
    }

    #[test]
    fn the_limit_is_named() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..4 {
            fs::write(root.path().join(number.to_string()), "").unwrap();
        }
        let limits = |files| Limits {
            files,
            ..Limits::default()
        };
        let walk = |files| Repository::open(root.path(), limits(files)).unwrap().walk();
        assert_eq!(walk(4).unwrap().files.len(), 4);
        let error = walk(3).unwrap_err();
        assert_eq!(error.code, "limit");
        assert!(error.message.contains("files"));
    }
}
