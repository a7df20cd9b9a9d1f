//! `make bench`: what delivery costs, measured in one run beside the floor (the bare cryptography and the writing of the
//! files, on as many threads) and beside real sops. Nothing is asserted: figures depend on the machine.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and ends by panicking"
)]

mod figures;

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use aes_gcm::{
    AesGcm, KeyInit as _,
    aead::{AeadInPlace as _, consts::U32},
    aes::Aes256,
};
use age::secrecy::ExposeSecret as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};

use figures::{median, row, threads, title};

const FILES: usize = 100;
const VALUES: usize = 10;
const ROUNDS: usize = 20;
/// Values in one file at most where sops is measured.
const SOPS_VALUES: usize = 10_000;
const DEBOUNCE: Duration = Duration::from_millis(200);

type Part = fn(&Bench);

fn main() {
    // `cargo bench --bench delivery -- change idle` measures only these; cargo adds options of its own.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let bench = Bench::new();
    let parts: [(&str, Part); 4] = [
        ("deliver", Bench::deliver),
        ("change", Bench::change),
        ("sizes", Bench::sizes),
        ("idle", Bench::idle),
    ];
    for (name, measure) in parts {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure(&bench);
        }
    }
}

struct Bench {
    /// On a memory file system, as delivery is; what is measured is not a disk.
    dir: tempfile::TempDir,
    key: age::x25519::Identity,
    sops: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let memory = std::env::var_os("XDG_RUNTIME_DIR")
            .map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
        let dir = tempfile::tempdir_in(memory)
            .or_else(|_| tempfile::tempdir_in("/dev/shm"))
            .expect("a tmpfs");
        let peers = std::env::var_os("SECRETSD_PEERS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin"),
            PathBuf::from,
        );
        let bench = Self {
            dir,
            key: age::x25519::Identity::generate(),
            sops: peers.join("sops-3.13.3"),
        };
        fs::write(
            bench.path("key.txt"),
            format!("{}\n", bench.key.to_string().expose_secret()),
        )
        .unwrap();
        println!("{} threads, {}", threads(), bench.dir.path().display());
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// 1,000 secrets from 100 files, from the start of the process to the end.
    fn deliver(&self) {
        title(&format!(
            "deliver {} secrets from {FILES} files",
            FILES * VALUES
        ));
        let files = self.repository("deliver", FILES, VALUES, Self::encrypt_by_sops);

        let sealed: Vec<Sealed> = files.iter().map(|file| Sealed::read(file)).collect();
        let floor = median(ROUNDS, || self.floor(&sealed));
        row("floor: unwrap, AES-GCM, write the files", floor, None);

        let ours = median(ROUNDS, || {
            let runtime = self.path("deliver-run");
            let started = Instant::now();
            let status = self
                .secretsd("deliver", &runtime)
                .arg("--once")
                .status()
                .unwrap();
            let took = started.elapsed();
            assert!(status.success());
            assert!(runtime.join("service-0000.yaml/key-0").exists());
            // A first delivery each time: with an old generation nothing would be left to decrypt.
            remove_runtime(&runtime);
            took
        });
        row("secretsd --once", ours, Some(floor));

        if self.sops.exists() {
            let theirs = median(1, || {
                let started = Instant::now();
                for file in &files {
                    let output = self.sops(&["decrypt"]).arg(file).output().unwrap();
                    assert!(output.status.success());
                }
                started.elapsed()
            });
            row(
                &format!("sops decrypt, {FILES} times (writes nothing)"),
                theirs,
                Some(floor),
            );
        }
    }

    fn floor(&self, sealed: &[Sealed]) -> Duration {
        let target = self.path("floor");
        fs::create_dir(&target).unwrap();
        let started = Instant::now();
        thread::scope(|scope| {
            for (number, part) in sealed.chunks(sealed.len().div_ceil(threads())).enumerate() {
                let target = &target;
                scope.spawn(move || {
                    for (index, file) in part.iter().enumerate() {
                        let key = unwrap(&file.wrapped, &self.key);
                        for (at, value) in file.values.iter().enumerate() {
                            let plain = value.open(&key);
                            fs::write(target.join(format!("{number}-{index}-{at}")), plain)
                                .unwrap();
                        }
                    }
                });
            }
        });
        let took = started.elapsed();
        fs::remove_dir_all(target).unwrap();
        took
    }

    /// From the rename of a changed file to the moment when its new bytes can be read.
    fn change(&self) {
        for values in [VALUES, 10 * VALUES] {
            self.change_among(values);
        }
    }

    fn change_among(&self, values: usize) {
        title(&format!(
            "change one file of {FILES} with {values} values each, debounce {} ms",
            DEBOUNCE.as_millis()
        ));
        let name = format!("change-{values}");
        self.repository(&name, FILES, values, Self::encrypt);
        let repository = self.path(&name);
        let runtime = self.path(&format!("{name}-run"));
        let mut daemon = Running(self.secretsd(&name, &runtime).spawn().unwrap());
        let target = runtime.join("service-0007.yaml/key-0");
        wait_until(|| target.exists());

        let mut samples = Vec::new();
        for round in 0..ROUNDS {
            let new = format!("changed-{round}");
            let staged = self.path("staged.yaml");
            fs::write(
                &staged,
                self.encrypt("service.yaml", &format!("key-0: {new}\n")),
            )
            .unwrap();
            // Let everything come to rest, so that each change is seen alone.
            thread::sleep(DEBOUNCE * 2);
            let started = Instant::now();
            fs::rename(&staged, repository.join("secrets/service-0007.yaml")).unwrap();
            wait_until(|| fs::read(&target).is_ok_and(|found| found == new.as_bytes()));
            samples.push(started.elapsed());
        }
        samples.sort();
        row(
            "rename -> readable, median",
            samples[samples.len() / 2],
            None,
        );
        row(
            "rename -> readable, worst",
            samples[samples.len() - 1],
            None,
        );
        row(
            "above debounce, median",
            samples[samples.len() / 2].saturating_sub(DEBOUNCE),
            None,
        );
        row(
            "above debounce, worst",
            samples[samples.len() - 1].saturating_sub(DEBOUNCE),
            None,
        );
        daemon.stop();
        remove_runtime(&runtime);
    }

    /// Whether the time is linear in the size of one file.
    fn sizes(&self) {
        title("decrypt one YAML file (secretsctl decrypt, sops decrypt)");
        for values in [1_000, 10_000, 100_000_usize] {
            let mut plain = String::new();
            for value in 0..values {
                plain.push_str(&format!("key-{value}: value-{value:08}\n"));
            }
            let file = self.path("size.yaml");
            fs::write(&file, self.encrypt("size.yaml", &plain)).unwrap();
            let size = fs::metadata(&file).unwrap().len();
            let ours = median(3, || {
                let started = Instant::now();
                let mut command = Command::new(env!("CARGO_BIN_EXE_secretsctl"));
                let output = command
                    .arg("-i")
                    .arg(self.path("key.txt"))
                    .arg("decrypt")
                    .arg(&file)
                    .output()
                    .unwrap();
                assert!(output.status.success() && output.stdout.len() == plain.len());
                started.elapsed()
            });
            let per_value = ours.as_secs_f64() * 1e6 / values as f64;
            row(
                &format!(
                    "{values} values, {:.1} MB, {per_value:.2} us per value",
                    size as f64 / 1e6
                ),
                ours,
                None,
            );
            if values > SOPS_VALUES {
                println!(
                    "  NOT RUN: {values} values, sops: its time grows with the square of them"
                );
            } else if self.sops.exists() {
                let theirs = median(1, || {
                    let started = Instant::now();
                    let output = self.sops(&["decrypt"]).arg(&file).output().unwrap();
                    assert!(output.status.success());
                    started.elapsed()
                });
                row(&format!("{values} values, sops"), theirs, None);
            }
        }
    }

    /// A daemon that has nothing to do: how often it wakes up, and how much memory it keeps.
    fn idle(&self) {
        title("idle, repository of 1,000 files, 10 s");
        self.repository("idle", 1000, VALUES, Self::encrypt);
        let runtime = self.path("idle-run");
        let mut daemon = Running(self.secretsd("idle", &runtime).spawn().unwrap());
        wait_until(|| runtime.join("service-0999.yaml/key-0").exists());
        // The next generation is begun, and the thread that did it is kept for two seconds.
        thread::sleep(Duration::from_secs(4));

        let log = self.path("strace");
        let pid = daemon.0.id();
        match Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&log)
            .args(["-p", &pid.to_string()])
            .spawn()
        {
            Ok(mut strace) => {
                thread::sleep(Duration::from_secs(10));
                // What a thread waits in is shown when strace lets go of it; it is `<detached ...>` or unfinished.
                let _ = Command::new("kill")
                    .args(["-INT", &strace.id().to_string()])
                    .status();
                strace.wait().unwrap();
                let text = fs::read_to_string(&log).unwrap();
                let wake_ups = text
                    .lines()
                    .filter(|line| line.contains(") = ") || line.contains("resumed>"))
                    .count();
                println!("  {:<58} {wake_ups:>9}", "system calls that returned");
            }
            Err(error) => println!("  NOT RUN: strace: {error}"),
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for name in ["VmRSS", "RssAnon", "VmHWM"] {
            let line = status
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default();
            let value = line
                .split_whitespace()
                .nth(1)
                .and_then(|kib| kib.parse::<f64>().ok())
                .unwrap_or_default();
            println!("  {name:<58} {:>9.1} MiB", value / 1024.0);
        }
        daemon.stop();
        remove_runtime(&runtime);
    }

    /// A repository of files with so many values each; the files.
    fn repository(
        &self,
        name: &str,
        files: usize,
        values: usize,
        encrypt: impl Fn(&Self, &str, &str) -> Vec<u8>,
    ) -> Vec<PathBuf> {
        let repository = self.path(name);
        fs::create_dir_all(repository.join("secrets")).unwrap();
        let rules = format!("creation_rules:\n  - age: {}\n", self.key.to_public());
        fs::write(repository.join(".sops.yaml"), rules).unwrap();
        (0..files)
            .map(|file| {
                let name = format!("secrets/service-{file:04}.yaml");
                let plain: String = (0..values)
                    .map(|value| format!("key-{value}: value-{file}-{value}\n"))
                    .collect();
                let path = repository.join(&name);
                fs::write(&path, encrypt(self, &name, &plain)).unwrap();
                path
            })
            .collect()
    }

    /// By secretsctl, which takes a moment where sops takes minutes.
    fn encrypt(&self, name: &str, plain: &str) -> Vec<u8> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_secretsctl"));
        self.encrypt_by(command.arg("encrypt"), name, plain)
    }

    fn encrypt_by_sops(&self, name: &str, plain: &str) -> Vec<u8> {
        if !self.sops.exists() {
            return self.encrypt(name, plain);
        }
        self.encrypt_by(&mut self.sops(&["encrypt"]), name, plain)
    }

    fn encrypt_by(&self, command: &mut Command, name: &str, plain: &str) -> Vec<u8> {
        let source = self.path(&format!("plain-{}", name.replace('/', "-")));
        fs::write(&source, plain).unwrap();
        let output = command
            .args(["--age", &self.key.to_public().to_string()])
            .arg(&source)
            .output()
            .expect("the program that encrypts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::remove_file(source).unwrap();
        output.stdout
    }

    fn sops(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.sops);
        command
            .args(args)
            .env("SOPS_AGE_KEY_FILE", self.path("key.txt"))
            .env("SOPS_DISABLE_VERSION_CHECK", "1");
        command
    }

    fn secretsd(&self, repository: &str, runtime: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_secretsd"));
        command
            .arg("--repository")
            .arg(self.path(repository))
            .arg("--identity")
            .arg(self.path("key.txt"))
            .arg("--runtime-directory")
            .arg(runtime)
            .arg("--socket")
            .arg(runtime.with_extension("socket"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// What the floor has to work on: the parts of an encrypted file, found beforehand.
struct Sealed {
    wrapped: String,
    values: Vec<Value>,
}

struct Value {
    aad: String,
    data: Vec<u8>,
    iv: Vec<u8>,
    tag: Vec<u8>,
}

impl Sealed {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let begin = text.find("-----BEGIN").unwrap();
        let end = text.find("-----END AGE ENCRYPTED FILE-----").unwrap();
        let wrapped = text[begin..end]
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| format!("{line}\n"))
            .collect::<String>()
            + "-----END AGE ENCRYPTED FILE-----\n";
        let values = text
            .lines()
            .take_while(|line| !line.starts_with("sops:"))
            .map(Value::read)
            .collect();
        Self { wrapped, values }
    }
}

impl Value {
    fn read(line: &str) -> Self {
        let (key, sealed) = line.split_once(": ").unwrap();
        let part = |name: &str| {
            let rest = &sealed[sealed.find(name).unwrap() + name.len()..];
            BASE64_STANDARD
                .decode(&rest[..rest.find(',').unwrap()])
                .unwrap()
        };
        Self {
            aad: format!("{key}:"),
            data: part("data:"),
            iv: part("iv:"),
            tag: part("tag:"),
        }
    }

    fn open(&self, key: &[u8]) -> Vec<u8> {
        let cipher = AesGcm::<Aes256, U32>::new_from_slice(key).unwrap();
        let mut plain = self.data.clone();
        cipher
            .decrypt_in_place_detached(
                self.iv.as_slice().into(),
                self.aad.as_bytes(),
                &mut plain,
                self.tag.as_slice().into(),
            )
            .unwrap();
        plain
    }
}

fn unwrap(wrapped: &str, key: &age::x25519::Identity) -> Vec<u8> {
    let decryptor =
        age::Decryptor::new(age::armor::ArmoredReader::new(wrapped.as_bytes())).unwrap();
    let mut data_key = Vec::new();
    decryptor
        .decrypt(std::iter::once(key as &dyn age::Identity))
        .unwrap()
        .read_to_end(&mut data_key)
        .unwrap();
    data_key
}

/// A daemon that is stopped also when a measurement fails.
struct Running(Child);

impl Running {
    fn stop(&mut self) {
        let _ = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Generations live beside the link. As root secretsd may have mounted their file system.
fn remove_runtime(runtime: &Path) {
    let generations = runtime.with_file_name(format!(
        "{}.d",
        runtime.file_name().unwrap().to_str().unwrap()
    ));
    let _ = fs::remove_file(runtime);
    let _ = Command::new("umount")
        .arg(&generations)
        .stderr(Stdio::null())
        .status();
    let _ = fs::remove_dir_all(generations);
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "waited for a minute"
        );
        thread::sleep(Duration::from_micros(200));
    }
}
