//! For polling: whether anything looks different, without reading it.

use std::{
    fs::{self, Metadata},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::Followed;

/// A number that is another one when a followed file has changed in size, time, owner, mode or place.
pub(in super::super) fn fingerprint(followed: &Followed) -> u64 {
    let mut sum = 0;
    for file in followed.files.iter().chain([&followed.repository]) {
        sum = add(sum, file, fs::metadata(file).ok());
    }
    for directory in &followed.directories {
        for path in entries(directory) {
            sum = add(sum, &path, fs::metadata(&path).ok());
        }
    }
    // Through a link, once: below it nothing is followed.
    let mut open: Vec<PathBuf> = followed.repository.canonicalize().into_iter().collect();
    let mut seen = 0;
    while let Some(directory) = open.pop() {
        seen += 1;
        if seen > followed.limit {
            break;
        }
        for path in entries(&directory) {
            let metadata = fs::symlink_metadata(&path).ok();
            let is_directory = metadata.as_ref().is_some_and(Metadata::is_dir);
            sum = add(sum, &path, metadata);
            if is_directory && path.file_name().is_some_and(|name| name != ".git") {
                open.push(path);
            }
        }
    }
    sum
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// Directories list their files in any order, so that the order must not count.
fn add(sum: u64, path: &Path, metadata: Option<Metadata>) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    if let Some(metadata) = metadata {
        (metadata.dev(), metadata.ino(), metadata.mode()).hash(&mut hasher);
        (metadata.uid(), metadata.gid(), metadata.size()).hash(&mut hasher);
        (metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
        (metadata.ctime(), metadata.ctime_nsec()).hash(&mut hasher);
    }
    sum.wrapping_add(hasher.finish())
}
