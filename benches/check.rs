//! `make bench`: what `secretsctl check` costs beside the floor (reading the files, on as many threads). Nothing is
//! asserted: figures depend on the machine.

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
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use figures::{median, row, threads, title};

const FILES: usize = 10_000;
const RULES: usize = 200;
const VALUES: usize = 10;
const ROUNDS: usize = 10;
const RECIPIENTS: [&str; 2] = [
    "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l",
    "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs",
];

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    println!("{} threads, {}", threads(), root.display());

    title(&format!("check {FILES} files against {RULES} rules"));
    let many = root.join("many");
    let files = repository(&many, FILES, RULES);
    let floor = median(ROUNDS, || read_all(&files));
    row("floor: read the files", floor, None);
    row(
        "secretsctl check",
        median(ROUNDS, || check(&many, &[])),
        Some(floor),
    );
    let one = "hosts/server-007/file-0007.yaml";
    row(
        "one PATH of them",
        median(ROUNDS, || check(&many, &[one])),
        Some(floor),
    );
    println!("  memory: {}", peak(&many));
    if git(&many, &["init", "--quiet"]) {
        row(
            "in Git, all untracked",
            median(ROUNDS, || check(&many, &[])),
            Some(floor),
        );
        assert!(git(&many, &["add", "--all"]));
        row(
            "in Git, all tracked",
            median(ROUNDS, || check(&many, &[])),
            Some(floor),
        );
        row(
            "--staged, all new",
            median(ROUNDS, || check(&many, &["--staged"])),
            Some(floor),
        );
    }

    title(&format!("the order of {RULES} rules, without files"));
    let rules = root.join("rules");
    repository(&rules, 0, RULES);
    row(
        "secretsctl check",
        median(ROUNDS, || check(&rules, &[])),
        None,
    );

    title("one file, one rule, from start to exit");
    let small = root.join("small");
    repository(&small, 1, 1);
    row(
        "secretsctl check",
        median(ROUNDS, || check(&small, &[])),
        None,
    );
    if git(&small, &["init", "--quiet"]) {
        row("in Git", median(ROUNDS, || check(&small, &[])), None);
    }
}

/// One rule for each host, and files spread over them.
fn repository(root: &Path, files: usize, rules: usize) -> Vec<PathBuf> {
    fs::create_dir_all(root).unwrap();
    let mut text = String::from("creation_rules:\n");
    for rule in 0..rules {
        let [first, second] = RECIPIENTS;
        write!(
            text,
            "  - path_regex: ^hosts/server-{rule:03}/[^/]+\\.yaml$\n    age: [{first}, {second}]\n"
        )
        .unwrap();
    }
    fs::write(root.join(".sops.yaml"), text).unwrap();
    let mut random = Random(1);
    let write = |number: usize| {
        let directory = root.join(format!("hosts/server-{:03}", number % rules));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("file-{number:04}.yaml"));
        fs::write(&path, encrypted(&mut random)).unwrap();
        path
    };
    (0..files).map(write).collect()
}

/// As sops writes it, for two recipients; nothing could open it.
fn encrypted(random: &mut Random) -> String {
    let value = |random: &mut Random, length| {
        let [data, nonce, tag] = [length, 32, 16].map(|length| random.text(length));
        format!("ENC[AES256_GCM,data:{data},iv:{nonce},tag:{tag},type:str]")
    };
    let mut text = String::new();
    for number in 0..VALUES {
        writeln!(text, "key-{number}: {}", value(random, 20)).unwrap();
    }
    text.push_str("sops:\n    age:\n");
    for recipient in RECIPIENTS {
        let header = "        - recipient: ";
        write!(text, "{header}{recipient}\n          enc: |\n            ").unwrap();
        text.push_str("-----BEGIN AGE ENCRYPTED FILE-----\n");
        for length in [48, 48, 48, 48, 8] {
            writeln!(text, "            {}", random.text(length)).unwrap();
        }
        text.push_str("            -----END AGE ENCRYPTED FILE-----\n");
    }
    let mac = value(random, 64);
    write!(
        text,
        "    lastmodified: \"2025-01-01T00:00:00Z\"\n    mac: {mac}\n    unencrypted_suffix: _unencrypted\n    version: 3.13.3\n"
    )
    .unwrap();
    text
}

/// Bytes that differ; not for keys.
struct Random(u64);

impl Random {
    fn text(&mut self, bytes: usize) -> String {
        let next = |_| {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 56) as u8
        };
        BASE64_STANDARD.encode((0..bytes).map(next).collect::<Vec<_>>())
    }
}

fn read_all(files: &[PathBuf]) -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for part in files.chunks(files.len().div_ceil(threads())) {
            scope.spawn(move || {
                for file in part {
                    std::hint::black_box(fs::read(file).unwrap());
                }
            });
        }
    });
    started.elapsed()
}

fn secretsctl(repository: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secretsctl"));
    command
        .current_dir(repository)
        .env_remove("SOPS_CONFIG")
        .env("HOME", "/nonexistent")
        .stdout(Stdio::null());
    command
}

fn check(repository: &Path, args: &[&str]) -> Duration {
    let started = Instant::now();
    let status = secretsctl(repository)
        .arg("check")
        .args(args)
        .status()
        .unwrap();
    assert!(status.success());
    started.elapsed()
}

/// The most memory that a check had, by its own process.
fn peak(repository: &Path) -> String {
    let mut command = Command::new("/usr/bin/time");
    command.args([
        "-f",
        "%M KiB at most",
        env!("CARGO_BIN_EXE_secretsctl"),
        "check",
    ]);
    let output = command
        .current_dir(repository)
        .env_remove("SOPS_CONFIG")
        .output();
    output.map_or_else(
        |_| "not measured: there is no /usr/bin/time".to_owned(),
        |output| String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    )
}

fn git(repository: &Path, args: &[&str]) -> bool {
    let status = Command::new("git")
        .args(args)
        .current_dir(repository)
        .status();
    status.is_ok_and(|status| status.success())
}
