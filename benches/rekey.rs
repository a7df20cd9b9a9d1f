//! `make bench`: what re-keying costs, measured in one run beside the floor (unwrap and wrap for each file, and writing
//! and syncing the files, on as many threads) and beside a loop of real `sops updatekeys`. Nothing is asserted.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends by panicking"
)]

mod figures;

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use aes_gcm::{
    AesGcm, KeyInit as _,
    aead::{AeadInPlace as _, consts::U32},
    aes::Aes256,
};
use age::secrecy::ExposeSecret as _;

use figures::{median, row, threads, title};

const FILES: usize = 1_000;
const VALUES: usize = 10;
const ROUNDS: usize = 5;

fn main() {
    let bench = Bench::new();
    bench.one_host_added();
    bench.one_host_removed();
}

struct Bench {
    /// On the disk that the build is on: syncing is part of the work.
    dir: tempfile::TempDir,
    keys: Vec<age::x25519::Identity>,
    sops: PathBuf,
    copies: AtomicUsize,
}

impl Bench {
    fn new() -> Self {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let peers = std::env::var_os("SECRETSD_PEERS")
            .map_or_else(|| target.join("peers/bin"), PathBuf::from);
        let bench = Self {
            dir: tempfile::tempdir_in(target).expect("a directory beside the build"),
            keys: (0..3).map(|_| age::x25519::Identity::generate()).collect(),
            sops: peers.join("sops-3.13.3"),
            copies: AtomicUsize::new(0),
        };
        let secret = bench.keys[0].to_string();
        fs::write(bench.path("key.txt"), secret.expose_secret()).unwrap();
        println!("{} threads, {}", threads(), bench.dir.path().display());
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn rules(&self, directory: &Path, recipients: usize) {
        let all: Vec<_> = self.keys[..recipients]
            .iter()
            .map(|key| key.to_public().to_string())
            .collect();
        let rules = format!("creation_rules:\n  - age: {}\n", all.join(","));
        fs::write(directory.join(".sops.yaml"), rules).unwrap();
    }

    /// Files encrypted to so many of the keys.
    fn repository(&self, name: &str, recipients: usize) -> PathBuf {
        let directory = self.path(name);
        fs::create_dir_all(directory.join("s")).unwrap();
        self.rules(&directory, recipients);
        let mut plain = String::new();
        for value in 0..VALUES {
            let _ = writeln!(plain, "key-{value}: value-{value}");
        }
        for number in 0..FILES {
            let file = directory.join(format!("s/{number:04}.yaml"));
            fs::write(&file, &plain).unwrap();
            let status = Command::new(env!("CARGO_BIN_EXE_secretsctl"))
                .args(["encrypt", "--in-place"])
                .arg(&file)
                .current_dir(&directory)
                .status()
                .unwrap();
            assert!(status.success());
        }
        directory
    }

    fn one_host_added(&self) {
        title(&format!("{FILES} files of {VALUES} values, one host added"));
        let original = self.repository("added", 2);
        let floor = median(ROUNDS, || self.floor(&original, false));
        row("floor: unwrap, wrap, write and sync", floor, None);
        let ours = median(ROUNDS, || self.rekey(&original, 3));
        row("secretsctl rekey", ours, Some(floor));
        if self.sops.exists() {
            let theirs = median(1, || self.updatekeys(&original));
            row(
                "sops updatekeys, file by file (syncs nothing)",
                theirs,
                Some(floor),
            );
        }
    }

    fn one_host_removed(&self) {
        title(&format!(
            "{FILES} files of {VALUES} values, one host removed"
        ));
        let original = self.repository("removed", 3);
        let floor = median(ROUNDS, || self.floor(&original, true));
        row(
            "floor: unwrap, two wraps, AES-GCM, write and sync",
            floor,
            None,
        );
        let ours = median(ROUNDS, || self.rekey(&original, 2));
        row("secretsctl rekey", ours, Some(floor));
    }

    fn copy(&self, original: &Path) -> PathBuf {
        // None is removed before the end: file systems look for a free inode among those just freed, and take long for it.
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let copy = self.path(&format!("copy-{number}"));
        fs::create_dir_all(copy.join("s")).unwrap();
        for entry in fs::read_dir(original.join("s")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.join("s").join(path.file_name().unwrap())).unwrap();
        }
        rustix::fs::sync();
        copy
    }

    fn rekey(&self, original: &Path, recipients: usize) -> Duration {
        let copy = self.copy(original);
        self.rules(&copy, recipients);
        let started = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_secretsctl"))
            .arg("-i")
            .arg(self.path("key.txt"))
            .args(["--json", "rekey", "--yes"])
            .env("XDG_STATE_HOME", self.path("state"))
            .current_dir(&copy)
            .output()
            .unwrap();
        let took = started.elapsed();
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            report.contains(&format!("\"changed\":{FILES}")),
            "{report:.200}"
        );
        took
    }

    fn updatekeys(&self, original: &Path) -> Duration {
        let copy = self.copy(original);
        self.rules(&copy, 3);
        let started = Instant::now();
        for entry in fs::read_dir(copy.join("s")).unwrap() {
            let output = Command::new(&self.sops)
                .args(["updatekeys", "-y"])
                .arg(entry.unwrap().path())
                .env("SOPS_AGE_KEY_FILE", self.path("key.txt"))
                .current_dir(&copy)
                .output()
                .unwrap();
            assert!(output.status.success());
        }
        started.elapsed()
    }

    /// The bare work, on all threads: the key of each file opened and wrapped for one more (or, with a new key, for two, and
    /// the values decrypted and encrypted), the files written beside the old ones, synced and renamed.
    fn floor(&self, original: &Path, rotate: bool) -> Duration {
        let copy = self.copy(original);
        let files: Vec<PathBuf> = fs::read_dir(copy.join("s"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let started = Instant::now();
        thread::scope(|scope| {
            for part in files.chunks(files.len().div_ceil(threads())) {
                scope.spawn(move || {
                    for file in part {
                        let text = fs::read_to_string(file).unwrap();
                        let key = self.unwrap(&text);
                        let wraps = if rotate { 2 } else { 1 };
                        let mut new = text.clone().into_bytes();
                        for recipient in &self.keys[..wraps] {
                            let wrapped = age::encrypt(&recipient.to_public(), &key).unwrap();
                            new.extend(wrapped);
                        }
                        if rotate {
                            let cipher = AesGcm::<Aes256, U32>::new_from_slice(&key).unwrap();
                            for _ in 0..2 * (VALUES + 1) {
                                let mut value = b"value-1".to_vec();
                                let nonce = [7; 32];
                                let tag = cipher.encrypt_in_place_detached(
                                    &nonce.into(),
                                    b"key:",
                                    &mut value,
                                );
                                new.extend(tag.unwrap());
                            }
                        }
                        let temporary = file.with_extension("tmp");
                        let mut written = File::create(&temporary).unwrap();
                        written.write_all(&new).unwrap();
                    }
                });
            }
        });
        // As many wait at once as the program has waiting.
        thread::scope(|scope| {
            for part in files.chunks(files.len().div_ceil(16)) {
                scope.spawn(move || {
                    for file in part {
                        let temporary = file.with_extension("tmp");
                        File::open(&temporary).unwrap().sync_all().unwrap();
                        fs::rename(temporary, file).unwrap();
                    }
                });
            }
        });
        File::open(copy.join("s")).unwrap().sync_all().unwrap();
        started.elapsed()
    }

    /// The first key is the first recipient of every file.
    fn unwrap(&self, text: &str) -> Vec<u8> {
        const END: &str = "-----END AGE ENCRYPTED FILE-----";
        let start = text.find("-----BEGIN").unwrap();
        let end = text.find(END).unwrap() + END.len();
        let lines: Vec<&str> = text[start..end].lines().map(str::trim).collect();
        age::decrypt(&self.keys[0], lines.join("\n").as_bytes()).unwrap()
    }
}
