//! Which rules are in force: the nearest `.sops.yaml` from the working directory upwards, as sops looks for it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use super::RULES;
use crate::error::{Error, Result};

/// As in sops: the working directory and 99 above it.
const MAX_LEVELS: usize = 100;
/// A name that sops never reads, although it looks like it.
pub(crate) const WRONG_NAME: &str = ".sops.yml";

/// Where the rules are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The file: absolute, and clean by its text alone, as sops makes it.
    pub(crate) file: PathBuf,
    /// The directory of the file: the root of the repository.
    pub(crate) root: PathBuf,
    /// Whether a person named it, who may mean a pipe.
    pub(super) is_named: bool,
}

/// What a search came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rules: Option<Rules>,
    /// The nearest `.sops.yml`, which sops never reads although it looks like the rules.
    pub(crate) wrong_name: Option<PathBuf>,
}

impl Found {
    /// The nearest `.sops.yml`, as if it were the rules.
    pub(crate) fn wrong(&self) -> Option<Rules> {
        self.wrong_name.clone().map(at)
    }

    /// The rules, for those who cannot do without.
    pub(crate) fn required(self) -> Result<Rules> {
        match (self.rules, self.wrong_name) {
            (Some(rules), _) => Ok(rules),
            (None, Some(file)) => Err(Error::new(
                "no-rules",
                "sops reads .sops.yaml only, never .sops.yml",
            )
            .with_file(&file)
            .with_hint("rename the file to .sops.yaml")),
            (None, None) => Err(Error::new(
                "no-rules",
                "there is no .sops.yaml in this directory or above it",
            )
            .with_hint("change to the repository, or name the file with --config-file")),
        }
    }
}

/// Finds the rules: `explicit` (`--config-file`, `$SOPS_CONFIG`) in place of the nearest.
pub(crate) fn find(explicit: Option<&Path>) -> Result<Found> {
    let here = working_directory()?;
    Ok(match explicit {
        Some(file) => Found {
            rules: Some(Rules {
                is_named: true,
                ..at(clean(&here.join(file)))
            }),
            wrong_name: None,
        },
        None => find_from(&here),
    })
}

/// The rules nearest to a file, wherever somebody works. `file` is absolute.
pub(crate) fn find_above(file: &Path) -> Option<Rules> {
    find_from(file.parent()?).rules
}

fn find_from(here: &Path) -> Found {
    let mut found = Found::default();
    // What the kernel calls `..` counts for whether there is a file, and what the text says counts for its name.
    let mut physical = PathBuf::from(here);
    for level in 0..MAX_LEVELS {
        if level > 0 {
            physical.push("..");
        }
        let rules = physical.join(RULES);
        if fs::metadata(&rules).is_ok() {
            found.rules = Some(at(clean(&rules)));
            break;
        }
        let wrong = physical.join(WRONG_NAME);
        if found.wrong_name.is_none() && fs::metadata(&wrong).is_ok() {
            found.wrong_name = Some(clean(&wrong));
        }
    }
    found
}

fn at(file: PathBuf) -> Rules {
    let root = file.parent().unwrap_or(Path::new("/")).to_owned();
    Rules {
        file,
        root,
        is_named: false,
    }
}

/// The text that patterns see for `path`: it is made absolute and cleaned by its text alone, then loses the root's
/// prefix; outside of the root it stays absolute.
pub(crate) fn matched_text(rules: &Rules, path: &Path) -> Result<PathBuf> {
    let absolute = clean(&working_directory()?.join(path));
    // With the root `/`, sops looks for the prefix `//`, which nothing has.
    if rules.root == Path::new("/") {
        return Ok(absolute);
    }
    Ok(match absolute.strip_prefix(&rules.root) {
        Ok(inside) if !inside.as_os_str().is_empty() => inside.to_owned(),
        _ => absolute,
    })
}

/// Where a file or directory that exists lies within the root (the empty path is the root itself); `None` outside.
/// Links on the way are followed. One at the end is followed where it leads to something inside, and stands for itself
/// where it does not.
pub(crate) fn located(rules: &Rules, path: &Path) -> Result<Option<PathBuf>> {
    let absolute = working_directory()?.join(path);
    let missing = |error: io::Error| {
        let (code, message, hint) = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (
                "file-missing",
                "there is no such file".to_owned(),
                "name a file or directory of the repository",
            ),
            io::ErrorKind::PermissionDenied => (
                "file-denied",
                "cannot look at the path: permission denied".to_owned(),
                "make the directories above it accessible for the user that runs this",
            ),
            _ => (
                "file-unreadable",
                format!("cannot look at the path: {error}"),
                "name a file or directory of the repository",
            ),
        };
        Error::new(code, message).with_file(path).with_hint(hint)
    };
    fs::symlink_metadata(&absolute).map_err(missing)?;
    let root = fs::canonicalize(&rules.root).map_err(missing)?;
    let inside = |path: &Path| path.strip_prefix(&root).ok().map(Path::to_owned);
    if let Some(inside) = fs::canonicalize(&absolute)
        .ok()
        .and_then(|end| inside(&end))
    {
        return Ok(Some(inside));
    }
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Ok(None);
    };
    let parent = fs::canonicalize(parent).map_err(missing)?;
    let is_link = fs::symlink_metadata(&absolute).is_ok_and(|status| status.is_symlink());
    Ok(inside(&parent.join(name)).filter(|_| is_link))
}

/// The working directory by the name the user knows it by: `$PWD` where it names the same directory, so that links in
/// it survive.
pub(crate) fn working_directory() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("PWD").map(PathBuf::from)
        && named.is_absolute()
        && let (Ok(left), Ok(right)) = (fs::metadata(&named), fs::metadata("."))
        && (left.dev(), left.ino()) == (right.dev(), right.ino())
    {
        return Ok(named);
    }
    std::env::current_dir().map_err(|error| {
        Error::new(
            "directory",
            format!("the working directory is not known: {error}"),
        )
        .with_hint("change to a directory that exists")
    })
}

/// An absolute path without `.`, `..` and doubled separators, by its text alone.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rules_upwards() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        fs::create_dir_all(base.join("a/b/c")).unwrap();
        fs::write(base.join("a/.sops.yaml"), "").unwrap();
        fs::write(base.join("a/b/.sops.yml"), "").unwrap();
        let found = find_from(&base.join("a/b/c"));
        assert_eq!(found.wrong_name, Some(base.join("a/b/.sops.yml")));
        let found = found.required().unwrap();
        assert_eq!(found.file, base.join("a/.sops.yaml"));
        assert_eq!(found.root, base.join("a"));
        let text = |path: &str| matched_text(&found, &base.join(path)).unwrap();
        assert_eq!(text("a/b/../x.yaml"), Path::new("x.yaml"));
        assert_eq!(text("ab/x.yaml"), base.join("ab/x.yaml"));
        assert_eq!(text("a"), base.join("a"));
    }

    #[test]
    fn a_wrong_name_is_told_where_there_is_no_right_one() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join(".sops.yml"), "").unwrap();
        let error = find_from(base.path()).required().unwrap_err();
        assert_eq!(error.code, "no-rules");
        assert_eq!(error.file, Some(base.path().join(".sops.yml")));
    }
}
