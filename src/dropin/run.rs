//! One run: check, open, write, switch, tell.

use std::{collections::HashSet, path::PathBuf};

use rustix::fs::Mode;

use super::{
    args::{Call, Check},
    changes::{self, Change, Changes},
    checked::not_valid,
    entries::{Attributes, Ownership, Surroundings, clean},
    files::{File, new_files},
    manifest::Manifest,
    units::Units,
};
use crate::{
    delivery::{Directories, Installer, MemoryKind, NewLink, Site},
    error::{Error, Result},
    output::{Outcome, Output},
};

/// What the original leaves beside the generations: private keys.
const LEFT_KEYS: &str = "age-keys.txt";
/// Of directories: others may pass through them, not list them.
const DIRECTORY_MODE: u32 = 0o751;

/// Does what `call` says.
pub(super) fn run(call: &Call, output: &mut Output) -> Result<Outcome> {
    let mut manifest = Manifest::read(&call.manifest)?;
    if manifest.user_mode {
        let directory = std::env::var_os("XDG_RUNTIME_DIR");
        if directory.is_none() && call.check == Check::Off {
            return Err(Error::new("runtime-unusable", "XDG_RUNTIME_DIR is not set"));
        }
        manifest.expand(&directory.unwrap_or_default().to_string_lossy());
    }
    manifest.check_gnupg().map_err(not_valid)?;
    let run = Run::new(call, &manifest);
    let entries = run.check(output)?;
    if call.check != Check::Off {
        return Ok(Outcome::Fine);
    }
    let group = run.keys_group()?;
    let identities = run.identities(output)?;
    let mut files = run.files(entries, &identities)?;
    let failed = files.iter().filter_map(|file| file.cause.as_ref());
    let failed: Vec<Error> = failed.cloned().collect();
    if !run.isolate
        && let Some(first) = failed.first()
    {
        return Err(first.clone());
    }
    for error in &failed {
        output.error(error);
    }
    run.keep_last_good(&mut files);
    if run.dry {
        run.tell(&run.compare(&files)?, output)?;
        return Ok(Outcome::findings_if(!failed.is_empty()));
    }
    run.install(&files, group, output)?;
    Ok(Outcome::findings_if(!failed.is_empty()))
}

/// A manifest and how it is to be installed.
pub(super) struct Run<'m> {
    pub(super) call: &'m Call,
    pub(super) manifest: &'m Manifest,
    pub(super) link: PathBuf,
    pub(super) base: PathBuf,
    pub(super) umask: u32,
    /// Nothing is written, and it is told what would be.
    pub(super) dry: bool,
    /// One bad secret does not end it.
    pub(super) isolate: bool,
}

/// What changes.
#[derive(Default)]
struct Comparison {
    secrets: Changes,
    templates: Changes,
    units: Units,
}

impl<'m> Run<'m> {
    fn new(call: &'m Call, manifest: &'m Manifest) -> Self {
        let is = |variable: &str, value: &str| {
            std::env::var_os(variable).is_some_and(|found| found == value)
        };
        // There is no way to ask without changing it; nothing else runs yet.
        let umask = rustix::process::umask(Mode::empty());
        rustix::process::umask(umask);
        Self {
            call,
            manifest,
            link: clean(&manifest.link),
            base: clean(&manifest.mount_point),
            umask: umask.as_raw_mode(),
            dry: is("NIXOS_ACTION", "dry-activate"),
            isolate: is("SECRETSD_ISOLATE", "1"),
        }
    }

    pub(super) fn surroundings(&self) -> Surroundings<'_> {
        let unlooked = self.call.ignore_passwd || self.dry;
        let owners = match (self.call.check, self.manifest.user_mode, unlooked) {
            (Check::Manifest | Check::SopsFile, ..) => Ownership::Unknown,
            (Check::Off, true, true) => Ownership::Ours,
            (Check::Off, true, false) => Ownership::LookedUp,
            (Check::Off, false, true) => Ownership::Root,
            (Check::Off, false, false) => Ownership::AsWritten,
        };
        Surroundings {
            link: &self.link,
            owners,
            umask: self.umask,
        }
    }

    fn compare(&self, files: &[File<'m>]) -> Result<Comparison> {
        let mut comparison = Comparison::default();
        if self.manifest.user_mode || !changes::is_in_place(&self.link) {
            return Ok(comparison);
        }
        let mut names: [HashSet<&str>; 2] = Default::default();
        for file in files {
            let [secrets, templates] = &mut names;
            let (names, changes) = match file.template {
                false => (secrets, &mut comparison.secrets),
                true => (templates, &mut comparison.templates),
            };
            let name = file.entry.name.as_str();
            names.insert(name);
            let Some(content) = &file.content else {
                continue;
            };
            let change = changes::compare(&self.link.join(&file.arrival.location), content)?;
            changes.note(name, change);
            if change != Change::None {
                comparison
                    .units
                    .add(&file.entry.restart_units, &file.entry.reload_units);
            }
        }
        if self.manifest.logging.secret_changes {
            let [secrets, templates] = &names;
            changes::note_removed(
                &self.link,
                [secrets, templates],
                [&mut comparison.secrets, &mut comparison.templates],
            )?;
        }
        Ok(comparison)
    }

    fn install(&self, files: &[File<'m>], group: u32, output: &mut Output) -> Result<()> {
        let manifest = self.manifest;
        let memory = match manifest.use_tmpfs {
            true => MemoryKind::Tmpfs,
            false => MemoryKind::Ramfs,
        };
        let site = Site {
            link: self.link.clone(),
            base: self.base.clone(),
            memory: Some(memory).filter(|_| !manifest.user_mode),
            directories: Directories {
                mode: DIRECTORY_MODE & !self.umask,
                owner: Some((0, group)).filter(|_| !manifest.user_mode),
            },
        };
        let links = self.links(files);
        let look = || self.compare(files);
        let (mut installer, comparison) = Installer::open(&site, &links, look)?;
        if let Some(warning) = installer.warning() {
            output.warning(&warning);
        }
        let number = installer.next_number()?;
        installer.install(number, &new_files(files))?;
        // The new secrets are in place: what fails from here on keeps nothing else from being done.
        let linked = installer.make_links(&links);
        let told = self.tell(&comparison, output);
        let pruned = match manifest.keep_generations {
            0 => Ok(()),
            keep => installer.prune(number, keep),
        };
        let removed = installer.remove_file(LEFT_KEYS);
        linked.and(told).and(pruned).and(removed)
    }

    fn links(&self, files: &[File<'m>]) -> Vec<NewLink> {
        let surroundings = self.surroundings();
        let links = files.iter().filter_map(|file| {
            let Attributes { user, group, .. } = file.attributes?;
            file.content.as_ref()?;
            let owner = Some((user, group)).filter(|_| !self.manifest.user_mode);
            surroundings.new_link(&file.arrival, owner)
        });
        links.collect()
    }

    fn tell(&self, comparison: &Comparison, output: &mut Output) -> Result<()> {
        let Comparison {
            secrets,
            templates,
            units,
        } = comparison;
        let systemd =
            std::env::var_os("SOPS_RESTART_UNITS_VIA_SYSTEMCTL").is_some_and(|value| value == "1");
        let requested = units.request(systemd, self.dry, output);
        if self.manifest.logging.secret_changes {
            changes::report([secrets, templates], self.dry, output)?;
        }
        requested
    }
}
