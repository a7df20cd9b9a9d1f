//! Patterns beside Go's own regexp package, and rules beside sops' own configuration package, over random input.

mod config;
mod order;
mod patterns;
pub(crate) mod random;
mod rules;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use crate::support::{not_run, run_with_input};

/// The Go program `tests/peers/NAME`: as `contrib/setup` built it, or built now. `None` (said loudly) without either.
fn go_program(name: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/peers")
        .join(name);
    let directory = std::env::var_os("SECRETSD_PEERS").map(PathBuf::from);
    let installed = directory
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin"))
        .join(name);
    if installed.exists() && !is_older(&installed, &source.join("main.go")) {
        return Some(installed);
    }
    // Go's build cache makes all but the first build cheap; the lock keeps two tests from writing one file.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _lock = BUILDING.lock();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("peer-{name}"));
    let mut go = Command::new("go");
    go.current_dir(source)
        .args(["build", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".");
    match go.output() {
        Ok(built) if built.status.success() => Some(program),
        Ok(built) => {
            not_run(
                name,
                &format!("go build: {}", String::from_utf8_lossy(&built.stderr)),
            );
            None
        }
        Err(error) => {
            not_run(name, &format!("go (`contrib/setup` installs it): {error}"));
            None
        }
    }
}

fn is_older(program: &Path, source: &Path) -> bool {
    let modified = |path: &Path| {
        path.metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    modified(program) < modified(source)
}

/// The lines that `program` answers to the lines of `input`.
fn answers(program: &Path, args: &[&str], input: &str) -> Vec<String> {
    let ran = run_with_input(Command::new(program).args(args), input.as_bytes()).expect(0);
    ran.text().lines().map(str::to_owned).collect()
}

/// How many cases to run: `default`, or what the environment variable `name` says.
fn count(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |count| count.parse().unwrap())
}

/// How bytes are given to a peer.
fn write_hex(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(line, "{byte:02x}");
    }
}
