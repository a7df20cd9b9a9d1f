//! `secretsctl check` on trees that are not as they should be: no hang, no panic, and what can be found is found.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
        process::CommandExt as _,
    },
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::{
    check_git::{encrypted, found},
    support::{Dir, Ran, clean, ctl, install, is_root, run},
};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";

fn with_rules() -> Dir {
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {A}\n"),
    );
    dir.write("secrets/clear.yaml", "a: b\n");
    dir
}

fn check(dir: &Dir, args: &[&str]) -> Ran {
    run(ctl(["--json", "check"]).args(args).current_dir(dir.path()))
}

const CLEAR: &str = "error plaintext-file secrets/clear.yaml";

/// A program that may not read everything, whoever runs the tests: root may, so another user looks.
fn as_somebody(dir: &Dir, args: &[&str]) -> Command {
    let mut command = if is_root() {
        let program = dir.join("bin/secretsctl");
        if !program.exists() {
            dir.chmod("", 0o755);
            fs::create_dir(dir.join("bin")).unwrap();
            dir.chmod("bin", 0o755);
            install(&[env!("CARGO_BIN_EXE_secretsctl")], &dir.join("bin"));
        }
        let mut command = Command::new(program);
        command.uid(65534).gid(65534);
        clean(&mut command);
        command
    } else {
        ctl([""; 0])
    };
    command.args(args).current_dir(dir.path());
    command
}

#[test]
fn directories_and_files_that_cannot_be_read() {
    let dir = with_rules();
    dir.write("secrets/closed/a.yaml", "a: b\n");
    dir.write("secrets/locked.yaml", "a: b\n");
    dir.chmod("secrets/closed", 0o000);
    dir.chmod("secrets/locked.yaml", 0o000);
    let check = |args: &[&str]| {
        let args: Vec<_> = ["--json", "check"].iter().chain(args).copied().collect();
        run(&mut as_somebody(&dir, &args))
    };
    let ran = check(&[]).expect(1);
    let findings = found(&ran);
    for finding in [
        // They may hold anything.
        "error not-analysed secrets/closed",
        "error not-analysed secrets/locked.yaml",
        CLEAR,
    ] {
        assert!(findings.contains(&finding.to_owned()), "{ran}");
    }
    for path in ["secrets/closed", "secrets/locked.yaml"] {
        let ran = check(&[path]).expect(1);
        assert_eq!(found(&ran), [format!("error not-analysed {path}")], "{ran}");
    }
    let ran = check(&["secrets/closed/a.yaml"]).expect(2);
    assert!(
        ran.stderr.contains("\"code\":\"file-denied\"") && !ran.stderr.contains("no such file"),
        "{ran}"
    );
    dir.chmod("secrets/closed", 0o755);
}

#[test]
fn rules_that_cannot_be_read() {
    let with_hint = |ran: Ran, what: &str| {
        let ran = ran.expect(2);
        assert!(
            ran.stderr.contains(what) && ran.stderr.contains("\n  hint: "),
            "{ran}"
        );
    };
    let dir = with_rules();
    dir.chmod(".sops.yaml", 0o000);
    with_hint(run(&mut as_somebody(&dir, &["check"])), "denied");
    let pipe = Dir::new();
    mkfifoat(CWD, pipe.join(".sops.yaml"), Mode::RUSR).unwrap();
    with_hint(run(ctl(["check"]).current_dir(pipe.path())), "a pipe");
    let directory = Dir::new();
    fs::create_dir(directory.join(".sops.yaml")).unwrap();
    with_hint(
        run(ctl(["check"]).current_dir(directory.path())),
        "a directory",
    );
}

/// gix would wait for somebody who writes into the pipe.
#[test]
fn pipes_in_the_place_of_files_of_git() {
    let dir = with_rules();
    for directory in ["objects", "refs/heads"] {
        fs::create_dir_all(dir.join(".git").join(directory)).unwrap();
    }
    let files = ["HEAD", "config", "refs/heads/main", "packed-refs", "index"];
    for pipe in files {
        dir.write(".git/HEAD", "ref: refs/heads/main\n");
        let path = dir.join(".git").join(pipe);
        let _ = fs::remove_file(&path);
        mkfifoat(CWD, &path, Mode::RUSR).unwrap();
        let ran = check(&dir, &[]).expect(1);
        assert_eq!(found(&ran), ["note not-analysed .git", CLEAR], "{pipe}");
        check(&dir, &["--staged"]).expect(2);
        check(&dir, &["--since", "HEAD"]).expect(2);
        fs::remove_file(path).unwrap();
    }
    // Beside the rules, where a bare repository would have it.
    fs::remove_dir_all(dir.join(".git")).unwrap();
    mkfifoat(CWD, dir.join("HEAD"), Mode::RUSR).unwrap();
    assert!(found(&check(&dir, &[]).expect(1)).contains(&CLEAR.to_owned()));
}

/// All rules share one memory, for the automata that paths are matched with and for those that are compared.
#[test]
fn patterns_that_would_take_gigabytes() {
    let optional: Vec<_> = (0..30).map(|n| format!("(.?){{500}}y{n}")).collect();
    let letters: Vec<_> = (0..40).map(|n| format!("(\\pL{{900}})y{n}")).collect();
    for (patterns, code) in [
        (optional, "note not-analysed .sops.yaml"),
        (letters, "error invalid-pattern .sops.yaml"),
    ] {
        let dir = with_rules();
        let mut rules = dir.read(".sops.yaml");
        for pattern in &patterns {
            rules.push_str(&format!("  - path_regex: '{pattern}'\n    pgp: X\n"));
        }
        dir.write(".sops.yaml", rules);
        let mut command = Command::new("sh");
        let limited = "ulimit -v 700000 && exec \"$0\" --json check";
        command.args(["-c", limited, env!("CARGO_BIN_EXE_secretsctl")]);
        let ran = run(clean(&mut command).current_dir(dir.path())).expect(1);
        let findings = found(&ran);
        assert!(findings.contains(&code.to_owned()), "{ran}");
        // What could be found is found.
        assert!(findings.contains(&CLEAR.to_owned()), "{ran}");
    }
}

#[test]
fn what_is_no_file() {
    let dir = with_rules();
    symlink("loop", dir.join("secrets/loop")).unwrap();
    symlink("..", dir.join("secrets/up")).unwrap();
    symlink("/dev/zero", dir.join("secrets/zero.yaml")).unwrap();
    symlink("/dev/zero", dir.join("secrets/.gitignore")).unwrap();
    mkfifoat(CWD, dir.join("secrets/pipe.yaml"), Mode::RUSR).unwrap();
    let _socket = UnixListener::bind(dir.join("secrets/socket.yaml")).unwrap();
    if is_root() {
        let device = rustix::fs::makedev(1, 5); // never ends
        let node = dir.join("secrets/device.yaml");
        // Not everywhere is root allowed to.
        let _ = rustix::fs::mknodat(
            CWD,
            node,
            rustix::fs::FileType::CharacterDevice,
            Mode::RUSR,
            device,
        );
    }
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(found(&ran), [CLEAR]);
    assert_eq!(ran.json()["files"], 1);
    for path in ["secrets/pipe.yaml", "secrets/zero.yaml", "secrets/loop"] {
        check(&dir, &[path]).expect(0);
    }
}

/// It is not read at all: above the limit there is a note, whatever is in it.
#[test]
fn a_file_of_two_gibibytes() {
    let dir = with_rules();
    let large = fs::File::create(dir.join("secrets/large.yaml")).unwrap();
    large.set_len(2 << 30).unwrap();
    let mut command = Command::new("sh");
    let limited = "ulimit -v 600000 && exec \"$0\" --json check";
    command.args(["-c", limited, env!("CARGO_BIN_EXE_secretsctl")]);
    let ran = run(clean(&mut command).current_dir(dir.path())).expect(1);
    assert_eq!(found(&ran), [CLEAR, "note not-analysed secrets/large.yaml"]);
    assert!(ran.text().contains("limit file-size"), "{ran}");
}

#[test]
fn names_that_are_no_text() {
    let dir = with_rules();
    for name in [&b"secrets/\xff.yaml"[..], b"secrets/a\nb\x1b[31m.yaml"] {
        dir.write(OsStr::from_bytes(name), "a: b\n");
    }
    let ran = check(&dir, &[]).expect(1);
    assert_eq!(found(&ran).len(), 3, "{ran}");
    for format in ["human", "github"] {
        let ran = run(ctl(["check", "--format", format]).current_dir(dir.path())).expect(1);
        let text = ran.text();
        assert!(!text.contains('\u{1b}') && !text.contains("a\nb"), "{ran}");
        assert_eq!(text.matches("plaintext-file").count(), 3, "{ran}");
    }
}

#[test]
fn files_that_come_and_go() {
    let dir = with_rules();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                for number in 0..50 {
                    let directory = format!("secrets/{number}");
                    dir.write(format!("{directory}/a.yaml"), encrypted("x"));
                    let _ = fs::remove_dir_all(dir.join(directory));
                }
            }
        });
        for _ in 0..20 {
            let ran = check(&dir, &[]);
            assert!(
                ran.code() == 1 && found(&ran).contains(&CLEAR.to_owned()),
                "{ran}"
            );
        }
        is_done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn ten_thousand_rules() {
    let dir = with_rules();
    let mut rules = String::from("creation_rules:\n");
    for number in 0..10_000 {
        rules.push_str(&format!(
            "  - path_regex: ^secrets/host{number}/\n    pgp: '{number}'\n"
        ));
    }
    dir.write(".sops.yaml", rules);
    dir.write("secrets/host9999/clear.yaml", "a: b\n");
    let ran = check(&dir, &[]).expect(1);
    assert!(
        found(&ran).contains(&"error plaintext-file secrets/host9999/clear.yaml".to_owned()),
        "{ran}"
    );
    assert_eq!(ran.json()["rules"], 10_000);
}

/// Copied values and files are told once for each pair; sops' own equal elements of a list are not.
#[test]
fn copies() {
    let dir = with_rules();
    fs::remove_file(dir.join("secrets/clear.yaml")).unwrap();
    let a = encrypted("a");
    dir.write("secrets/a.yaml", &a);
    dir.write("secrets/copy.yaml", &a);
    let pasted = a.lines().find(|line| line.starts_with("password")).unwrap();
    let value = pasted.split_once(": ").unwrap().1;
    let b = encrypted("b");
    dir.write(
        "secrets/b.yaml",
        format!("list:\n    - {value}\n    - {value}\ndeep:\n    key: {value}\n{b}"),
    );
    let ran = check(&dir, &[]).expect(0);
    assert_eq!(
        found(&ran),
        [
            "warning duplicate-data-key secrets/b.yaml",
            "warning duplicate-data-key secrets/copy.yaml"
        ],
        "{ran}"
    );
    let message = ran.json();
    let message = message["findings"][1]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("of list is that of secrets/a.yaml, line 2"),
        "{message}"
    );
    // Whichever of the two is asked about.
    for path in ["secrets/a.yaml", "secrets/b.yaml"] {
        let ran = check(&dir, &[path]).expect(0);
        assert!(
            found(&ran).contains(&format!("warning duplicate-data-key {path}")),
            "{ran}"
        );
    }
}

/// An empty wrapping is damage, and no data key that two files share.
#[test]
fn empty_wrappings_are_no_copies() {
    let dir = with_rules();
    fs::remove_file(dir.join("secrets/clear.yaml")).unwrap();
    for name in ["a", "b"] {
        let text = encrypted(name);
        let (before, rest) = text.split_once("enc: |\n").unwrap();
        let (_, after) = rest
            .split_once("-----END AGE ENCRYPTED FILE-----\n")
            .unwrap();
        dir.write(
            format!("secrets/{name}.yaml"),
            format!("{before}enc: \"\"\n{after}"),
        );
    }
    let ran = check(&dir, &[]);
    assert!(!ran.text().contains("duplicate-data-key"), "{ran}");
}

#[test]
fn identities_that_others_can_read() {
    let dir = with_rules();
    fs::remove_file(dir.join("secrets/clear.yaml")).unwrap();
    let keys = Dir::new();
    // Not a key: no one is opened.
    let file = keys.write("home/.config/sops/age/keys.txt", "no key\n");
    keys.write("home/.ssh/id_ed25519", "no key\n");
    for directory in [
        "",
        "home",
        "home/.config",
        "home/.config/sops",
        "home/.config/sops/age",
    ] {
        keys.chmod(directory, 0o755);
    }
    keys.chmod("home/.ssh", 0o700);
    keys.chmod("home/.ssh/id_ed25519", 0o644);
    let told = |args: &[&str]| {
        let mut command = ctl(["--json", "check"]);
        command.args(args).current_dir(dir.path());
        command
            .env("HOME", keys.join("home"))
            .env_remove("XDG_CONFIG_HOME");
        let ran = run(&mut command);
        let findings = found(&ran);
        let ours = findings
            .into_iter()
            .filter(|finding| !finding.contains("/etc/ssh"));
        ours.collect::<Vec<_>>()
    };
    let shown = file.display();
    for (mode, severity) in [
        (0o644, Some("error")),
        (0o640, Some("warning")),
        (0o600, None),
    ] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let finding =
            severity.map(|severity| format!("{severity} world-readable-identity {shown}"));
        assert_eq!(told(&[]), Vec::from_iter(finding.clone()));
        // Those that are named take the place of the others.
        assert_eq!(
            told(&["--identity", file.to_str().unwrap()]),
            Vec::from_iter(finding)
        );
        assert_eq!(told(&["--identity", "/dev/null"]), [""; 0]);
        assert_eq!(told(&["secrets"]), [""; 0]);
    }
    keys.chmod("home/.config/sops/age/keys.txt", 0o644);
    keys.chmod("home/.config", 0o700);
    assert_eq!(told(&[]), [""; 0]);
}
