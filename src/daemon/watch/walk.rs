//! Which inodes are watched, and what an event on each of them means.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, ReadFlags, WatchFlags},
    io::Errno,
};

use super::{Change, Followed};

/// Links on the way to one path, as in the kernel.
const LINKS: usize = 40;

/// A part of the way: only what happens to itself.
const SELF: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);
/// A link on the way. Being replaced shows as a changed number of names.
const LINK: WatchFlags = SELF.union(WatchFlags::ATTRIB);
/// A single file. Nothing is said while it is written, only when the writer is done.
const FILE: WatchFlags = LINK.union(WatchFlags::CLOSE_WRITE);
/// A directory in which a name is missing, or cannot be entered.
const ABSENT: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ATTRIB);
/// A directory whose files matter.
const CONTENT: WatchFlags = FILE
    .union(ABSENT)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM);

/// File systems that others change without our kernel's knowing: AFS, Ceph, CIFS, Coda, FUSE, GFS2, Lustre, NFS, OCFS2,
/// 9P, SMB and SMB2, VirtualBox and VMware shares.
const REMOTE: [u32; 15] = [
    0x5346_414f,
    0x6b41_4653,
    0x00c3_6400,
    0xff53_4d42,
    0x7375_7245,
    0x6573_5546,
    0x0116_1970,
    0x0bd0_0bd0,
    0x6969,
    0x7461_636f,
    0x0102_1997,
    0x517b,
    0xfe53_4d42,
    0x786f_4256,
    0xbaca_cbac,
];

/// Why one inode is watched; one may have several reasons.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// On the way to a file of the settings, or such a file or directory.
    settings: bool,
    /// Its files matter.
    content: bool,
    /// It has directories that are watched, too.
    tree: bool,
    /// Names that are missing in it.
    absent: BTreeSet<OsString>,
}

impl Roles {
    /// What an event on this inode means, if anything.
    pub(super) fn meaning(&self, events: ReadFlags, name: Option<&[u8]>) -> Option<Change> {
        let change = |structure| {
            Some(Change {
                structure,
                settings: self.settings,
                poll: false,
            })
        };
        if events.contains(ReadFlags::IGNORED) {
            // The watch is gone; the event that says why came before.
            return None;
        }
        if events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
            return change(true);
        }
        let Some(name) = name.map(OsStr::from_bytes) else {
            // About itself. A single file may have been replaced, where its last name shows as a change of attributes.
            return change(!events.contains(ReadFlags::CLOSE_WRITE) && !self.content);
        };
        if self.absent.contains(name) {
            return change(true);
        }
        if !self.content || (self.tree && name == ".git") {
            return None;
        }
        change(self.tree && events.contains(ReadFlags::ISDIR))
    }
}

/// What a path is followed for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Purpose {
    Directory,
    File,
    Repository,
}

/// One round of resolving and watching.
pub(super) struct Walk<'q> {
    queue: &'q OwnedFd,
    watches: HashMap<i32, Roles>,
    trouble: Option<String>,
}

impl<'q> Walk<'q> {
    pub(super) fn new(queue: &'q OwnedFd) -> Self {
        Self {
            queue,
            watches: HashMap::new(),
            trouble: None,
        }
    }

    /// Watches everything in `followed`; the error says why that is impossible.
    pub(super) fn run(&mut self, followed: &Followed) -> Result<(), String> {
        for file in &followed.files {
            self.follow(file, Purpose::File)?;
        }
        for directory in &followed.directories {
            self.follow(directory, Purpose::Directory)?;
        }
        if let Some(root) = self.follow(&followed.repository, Purpose::Repository)? {
            self.tree(root, followed.limit)?;
        }
        Ok(())
    }

    /// The watches, and what is not fully watched.
    pub(super) fn finish(self) -> (HashMap<i32, Roles>, Option<String>) {
        (self.watches, self.trouble)
    }

    /// Watches every part of `path`, and returns the place that it leads to.
    ///
    /// Each part is watched before it is looked at: what is replaced before is seen, what is replaced after is reported.
    fn follow(&mut self, path: &Path, purpose: Purpose) -> Result<Option<PathBuf>, String> {
        let mut place = PathBuf::from("/");
        let mut rest: Vec<Part> = Vec::new();
        push_parts(&mut rest, path);
        let mut links = 0;
        while let Some(part) = rest.pop() {
            let name = match part {
                Part::Name(name) => name,
                Part::Parent => {
                    place.pop();
                    continue;
                }
                Part::Root => {
                    place = PathBuf::from("/");
                    continue;
                }
            };
            let next = place.join(&name);
            let watched = self.watch(&next, SELF, purpose, |_| ())?;
            let mut metadata = fs::symlink_metadata(&next).ok();
            if !watched || metadata.is_none() {
                self.expect(&place, name, purpose)?;
                // It may have come before its name was watched for.
                self.watch(&next, SELF, purpose, |_| ())?;
                metadata = fs::symlink_metadata(&next).ok();
            }
            let Some(metadata) = metadata else {
                return Ok(None);
            };
            if metadata.is_symlink() {
                links += 1;
                self.watch(&next, LINK, purpose, |_| ())?;
                let target = fs::read_link(&next).ok().filter(|_| links <= LINKS);
                let Some(target) = target else {
                    return Ok(None);
                };
                push_parts(&mut rest, &target);
            } else {
                place = next;
            }
        }
        if purpose == Purpose::Repository {
            self.note_remote(&place);
        }
        match purpose {
            Purpose::File => self.watch(&place, FILE, purpose, |_| ())?,
            Purpose::Directory => {
                self.watch(&place, CONTENT, purpose, |roles| roles.content = true)?
            }
            Purpose::Repository => true,
        };
        Ok(Some(place))
    }

    /// Watches `directory` for a `name` that is missing in it.
    fn expect(
        &mut self,
        directory: &Path,
        name: OsString,
        purpose: Purpose,
    ) -> Result<bool, String> {
        self.watch(directory, ABSENT, purpose, |roles| {
            roles.absent.insert(name);
        })
    }

    /// Watches the directories of the repository, without following links and without `.git`.
    fn tree(&mut self, root: PathBuf, limit: usize) -> Result<(), String> {
        let mut open = vec![root];
        let mut count = 0;
        while let Some(directory) = open.pop() {
            count += 1;
            if count > limit {
                return Err(format!(
                    "the repository has more than {limit} directories (limits.files)"
                ));
            }
            let watched = self.watch(&directory, CONTENT, Purpose::Repository, |roles| {
                roles.content = true;
                roles.tree = true;
            })?;
            if !watched {
                continue;
            }
            // What vanishes or cannot be read meanwhile is reported by its parent's watch or by whoever delivers it.
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_directory && entry.file_name() != ".git" {
                    open.push(entry.path());
                }
            }
        }
        Ok(())
    }

    /// Adds a watch, or a reason to one that is there. False: there is nothing that can be watched.
    fn watch(
        &mut self,
        path: &Path,
        flags: WatchFlags,
        purpose: Purpose,
        role: impl FnOnce(&mut Roles),
    ) -> Result<bool, String> {
        // MASK_ADD: one inode may have several roles; needless events are dropped by `Roles::meaning`.
        let flags =
            flags | WatchFlags::MASK_ADD | WatchFlags::DONT_FOLLOW | WatchFlags::EXCL_UNLINK;
        let watch = match inotify::add_watch(self.queue, path, flags) {
            Ok(watch) => watch,
            Err(
                Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP | Errno::NAMETOOLONG,
            ) => {
                return Ok(false);
            }
            Err(Errno::NOSPC) => {
                return Err(
                    "the limit of inotify watches is reached (fs.inotify.max_user_watches)"
                        .to_owned(),
                );
            }
            Err(error) => return Err(format!("inotify cannot watch {}: {error}", path.display())),
        };
        let roles = self.watches.entry(watch).or_default();
        roles.settings |= purpose != Purpose::Repository;
        role(roles);
        Ok(true)
    }

    fn note_remote(&mut self, place: &Path) {
        let kind = rustix::fs::statfs(place).map(|statfs| statfs.f_type as u32);
        if kind.is_ok_and(|kind| REMOTE.contains(&kind)) {
            self.trouble = Some(format!(
                "the file system of {} does not report changes made elsewhere",
                place.display()
            ));
        }
    }
}

enum Part {
    Name(OsString),
    Parent,
    Root,
}

/// Pushes the parts of `path` so that the first one is on top.
fn push_parts(rest: &mut Vec<Part>, path: &Path) {
    rest.extend(path.components().rev().filter_map(|part| match part {
        Component::CurDir | Component::Prefix(_) => None,
        Component::Normal(name) => Some(Part::Name(OsString::from_vec(name.as_bytes().to_vec()))),
        Component::ParentDir => Some(Part::Parent),
        Component::RootDir => Some(Part::Root),
    }));
}
