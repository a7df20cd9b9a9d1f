//! What a re-key leaves when it is stopped: by a signal, by a full disk, by somebody who is faster.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::Repository;
use crate::{
    rules_differential::random::Random,
    support::{in_mount_namespace, not_run, run},
};

/// Kills in a run of all tests.
const KILLS: usize = 12;
/// Files beside the usual ones.
const MORE: usize = 95;

impl Repository {
    /// Makes the repository one of a hundred files; the content of all of them.
    fn grow(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.make("s/more.yaml", "a: b\nc: [1, 2]\n");
        let text = self.dir.read_bytes("repo/s/more.yaml");
        for number in 1..MORE {
            self.dir.write(format!("repo/s/more{number}.yaml"), &text);
        }
        let mut files: Vec<_> = fs::read_dir(self.root().join("s"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn restore(&self, files: &[(PathBuf, Vec<u8>)]) {
        for (path, content) in files {
            fs::write(path, content).unwrap();
        }
        let _ = fs::remove_file(self.root().join(".sops-exposed.yaml"));
    }

    /// Every file opens with our own program, which verifies the MAC.
    fn all_open(&self, files: &[(PathBuf, Vec<u8>)], why: &str) {
        for (path, _) in files {
            let path = path.to_str().unwrap();
            let ran = run(&mut self.command("alice", &["decrypt", path]));
            assert_eq!(ran.code(), 0, "{why}: {ran}");
        }
    }
}

/// For whoever asks for the figures with --nocapture.
#[expect(clippy::print_stdout, reason = "the harness captures it")]
fn tell(figures: &str) {
    println!("{figures}");
}

#[test]
fn killed_at_random() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let files = repository.grow();
    let kills = std::env::var("SECRETSD_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let random = &mut Random::seeded(1);
    repository.rules(&["alice", "web"]);
    let mut stopped = 0;
    for number in 0..kills {
        repository.restore(&files);
        let mut command = repository.command("alice", &["rekey", "--yes"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(random.below(400) as u64));
        let _ = child.kill();
        stopped += usize::from(child.wait().unwrap().code().is_none());
        repository.all_open(&files, &format!("kill {number}"));
        repository.rekey("alice", &["--yes"]).expect(0);
        repository.rekey("alice", &["--dry-run"]).expect(0);
        repository.is_clean();
    }
    assert!(stopped > 0, "no run was killed before it ended");
    tell(&format!("{kills} kills, {stopped} of them before the end"));
}

#[test]
fn interrupted() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let files = repository.grow();
    let random = &mut Random::seeded(2);
    repository.rules(&["alice", "web"]);
    let mut interrupted = 0;
    for number in 0..KILLS {
        repository.restore(&files);
        let mut command = repository.command("alice", &["rekey", "--yes"]);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let id = child.id().to_string();
        thread::sleep(Duration::from_millis(random.below(400) as u64));
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let output = child.wait_with_output().unwrap();
        let why = format!("interruption {number}: {output:?}");
        repository.is_clean();
        let changed = files
            .iter()
            .filter(|(path, content)| fs::read(path).unwrap() != *content);
        let changed = changed.count();
        match output.status.code() {
            Some(0) => assert_eq!(changed, files.len(), "{why}"),
            // Before the program listens, the signal ends it as any other program.
            Some(130) | None => {
                interrupted += 1;
                assert!(changed == 0 || changed == files.len(), "{changed} {why}");
            }
            _ => panic!("{why}"),
        }
    }
    assert!(interrupted > 0, "no run was interrupted before it ended");
}

#[test]
fn a_full_disk() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.grow();
    repository.rules(&["alice", "web"]);
    let at = repository.dir.path().to_str().unwrap();
    let key = repository.keys["alice"].file.to_str().unwrap();
    // The repository, or the journal, is on a small file system that has room for so many KiB.
    for small in ["repo", "state"] {
        for room in ["0", "4", "16", "64", "256"] {
            let script = "set -e
                mkdir -p disk
                mount -t tmpfs -o size=4m tmpfs disk
                rm -rf work before state out
                if [ $1 = repo ]; then work=disk/work state=$PWD/state; else work=work state=$PWD/disk/state; fi
                mkdir -p $state/secretsd/rekey
                cp -a repo $work
                cp -a repo before
                head -c $(($(df -k --output=avail disk | tail -1) - $2))k /dev/zero >disk/fill
                cd $work
                code=0
                XDG_STATE_HOME=$state $3 -i $4 rekey --yes >$5/out 2>&1 || code=$?
                if [ $code != 0 ]; then diff -r . $5/before; fi
                test -z \"$(find . -name '*.tmp')\"
                rm $5/disk/fill
                XDG_STATE_HOME=$state $3 -i $4 rekey --yes >/dev/null 2>&1
                exit $((code + 10))";
            let mut command = Command::new("sh");
            command
                .args(["-c", script, "sh", small, room])
                .args([env!("CARGO_BIN_EXE_secretsctl"), key, at])
                .current_dir(at);
            crate::support::clean(&mut command);
            let Some(mut command) = in_mount_namespace("a_full_disk", &command) else {
                return;
            };
            let ran = run(&mut command);
            let told = fs::read_to_string(repository.dir.join("out")).unwrap_or_default();
            match ran.code() {
                10 => assert_ne!(room, "0", "{small}: {told}"),
                12 => assert!(
                    told.contains("hint: free some space") && !told.contains(".secretsd-rekey"),
                    "{small}, {room}k: {told}"
                ),
                _ => panic!("{small}, {room}k: {ran}\n{told}"),
            }
        }
    }
}

#[test]
fn somebody_is_faster() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let files = repository.grow();
    repository.rules(&["alice", "bob", "web"]);
    let random = &mut Random::seeded(3);
    for _ in 0..KILLS {
        repository.restore(&files);
        let mut command = repository.command("alice", &["rekey", "--yes"]);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(random.below(200) as u64));
        let key = &repository.keys["alice"].file;
        let mut set = repository
            .sops
            .command(["set", "s/a.yaml", "[\"user\"]", "\"changed\""]);
        run(set
            .env("SOPS_AGE_KEY_FILE", key)
            .current_dir(repository.root()))
        .expect(0);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 2)), "{told}");
        repository.rekey("alice", &["--yes"]).expect(0);
        repository.all_open(&files, &told);
        let ran = run(
            &mut repository.command("web", &["decrypt", "--extract", "[\"user\"]", "s/a.yaml"])
        );
        assert_eq!(ran.text(), "changed", "{told}");
        repository.is_clean();
    }
}

/// Calls that can fail, and which ones do so in turn, counted by thread. The first two writes are to no file.
const CALLS: [(&str, std::ops::RangeInclusive<usize>); 8] = [
    ("write", 3..=8),
    ("fsync", 1..=8),
    ("rename", 1..=2),
    ("renameat", 1..=8),
    ("fchmod", 1..=2),
    ("unlinkat", 1..=2),
    ("unlink", 1..=2),
    ("openat2", 1..=40),
];

#[test]
fn a_failing_disk() {
    let Some(repository) = Repository::new() else {
        return;
    };
    if Command::new("strace").arg("-V").output().is_err() {
        not_run("errors of the file system", "strace is missing");
        return;
    }
    let files: Vec<_> = super::FILES
        .iter()
        .map(|(name, _)| repository.root().join(name))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    repository.rules(&["alice", "web"]);
    let (mut old, mut half, mut new) = (0, 0, 0);
    for (call, numbers) in CALLS {
        for number in numbers {
            repository.restore(&files);
            let ours = repository.command("alice", &["rekey", "--yes"]);
            let mut command = Command::new("strace");
            command
                .args([
                    "-f",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-e",
                    &format!("trace={call}"),
                ])
                .args(["-e", &format!("inject={call}:error=EIO:when={number}")])
                .arg(ours.get_program())
                .args(ours.get_args())
                .current_dir(repository.root());
            crate::support::clean(&mut command);
            for (name, value) in ours.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            let ran = run(&mut command);
            let why = format!("{call} {number}: {ran}");
            let changed = files
                .iter()
                .filter(|(path, content)| fs::read(path).unwrap() != *content)
                .count();
            match (ran.code(), changed) {
                (0, _) => {
                    assert_eq!(changed, files.len(), "{why}");
                    new += 1;
                }
                (2, 0) => old += 1,
                (2, _) => half += 1,
                _ => panic!("{why}"),
            }
            let is_told = ["hint", "standard output"]
                .iter()
                .any(|text| ran.stderr.contains(text));
            assert!(ran.code() == 0 || is_told, "{why}");
            repository.all_open(&files, &why);
            repository.rekey("alice", &["--yes"]).expect(0);
            repository.rekey("alice", &["--dry-run"]).expect(0);
            repository.is_clean();
            let exposed = run(&mut repository.command("alice", &["--json", "exposed"])).expect(1);
            let listed = exposed.json()["exposed"].as_array().unwrap().len();
            assert_eq!(listed, files.len(), "{why}");
        }
    }
    tell(&format!(
        "EIO: {old} runs left all as it was, {half} were finished by the next, {new} came through"
    ));
    assert!(old > 0 && half > 0);
}

#[test]
fn a_checkout_in_between() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let files = repository.grow();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command
            .args([
                "-c",
                "user.name=x",
                "-c",
                "user.email=x@x",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(args)
            .current_dir(repository.root());
        run(crate::support::clean(&mut command)).expect(0)
    };
    let by_sops = |args: &[&str]| {
        let mut command = repository.sops.command(args);
        let key = &repository.keys["alice"].file;
        run(command
            .env("SOPS_AGE_KEY_FILE", key)
            .current_dir(repository.root()))
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "main"]);
    git(&["checkout", "-qb", "other"]);
    by_sops(&["set", "s/more.yaml", "[\"a\"]", "\"other\""]).expect(0);
    let text = repository.dir.read_bytes("repo/s/more.yaml");
    for (path, _) in files
        .iter()
        .filter(|(path, _)| path.to_string_lossy().contains("more"))
    {
        fs::write(path, &text).unwrap();
    }
    git(&["commit", "-qam", "other"]);
    let random = &mut Random::seeded(4);
    let (mut stopped, mut done) = (0, 0);
    let rounds = std::env::var("SECRETSD_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    for _ in 0..rounds {
        git(&["checkout", "-qf", "main"]);
        let _ = fs::remove_file(repository.root().join(".sops-exposed.yaml"));
        repository.rules(&["alice", "bob", "web"]);
        let child = repository
            .command("alice", &["rekey", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(random.below(700) as u64));
        git(&["checkout", "-qf", "other"]);
        let set = by_sops(&["set", "s/a.yaml", "[\"user\"]", "\"changed\""]);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => done += 1,
            Some(2) => stopped += 1,
            _ => panic!("{told}"),
        }
        repository.rules(&["alice", "bob", "web"]);
        repository.rekey("alice", &["--yes"]).expect(0);
        repository.all_open(&files, &told);
        repository.is_clean();
        let value = |name: &str, place: &str| {
            run(&mut repository.command("web", &["decrypt", "--extract", place, name]))
                .expect(0)
                .text()
                .to_owned()
        };
        set.expect(0);
        assert_eq!(value("s/a.yaml", "[\"user\"]"), "changed", "{told}");
        for number in 1..MORE {
            let name = format!("s/more{number}.yaml");
            assert_eq!(value(&name, "[\"a\"]"), "other", "{name}: {told}");
        }
    }
    tell(&format!(
        "checkout: {done} re-keys ended, {stopped} stopped because files had changed"
    ));
}
