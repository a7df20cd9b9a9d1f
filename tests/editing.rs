//! `secretsctl edit` with scripts in the place of an editor, and a person at a terminal.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    support::{AgeKey, Dir, Ran, Sops, ctl, in_mount_namespace, not_run, run},
    terminal::Terminal,
};

/// Part of every value.
const MARK: &str = "CanaryWm8z";

struct Desk {
    dir: Dir,
    /// What is $XDG_RUNTIME_DIR.
    memory: Dir,
    sops: Sops,
    key: AgeKey,
}

impl Desk {
    fn new(test: &str) -> Option<Self> {
        let desk = Self {
            memory: Dir::in_memory(test)?,
            sops: Sops::find("3.13.3")?,
            key: AgeKey::generate(&Dir::new(), "unused"),
            dir: Dir::new(),
        };
        let key = AgeKey::generate(&desk.dir, "key");
        let desk = Self { key, ..desk };
        desk.dir.write(
            "s/.sops.yaml",
            format!(
                "creation_rules:\n  - path_regex: ^(a|new)\n    age: {}\n",
                desk.key.recipient
            ),
        );
        desk.make(
            "a.yaml",
            &format!("# {MARK} note\nuser: {MARK}1\nlist:\n    - x\n    - {MARK}2\n"),
        );
        Some(desk)
    }

    fn make(&self, name: &str, plain: &str) -> Vec<u8> {
        let text = self
            .sops
            .encrypt(&self.dir, name, plain, &[&self.key.recipient], &[]);
        self.dir.write(format!("s/{name}"), &text);
        text
    }

    /// `secretsctl edit NAME` with a script as editor.
    fn command(&self, name: &str, script: &str) -> Command {
        let editor = self.dir.write("editor", format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = ctl(["-i"]);
        command
            .arg(&self.key.file)
            .args(["-v", "edit", name])
            .env("EDITOR", format!("sh '{}'", editor.display()))
            .env_remove("VISUAL")
            .env("XDG_RUNTIME_DIR", self.memory.path())
            .env("DESK", self.dir.path())
            .current_dir(self.dir.join("s"));
        // No terminal of whoever runs the tests is asked.
        let mut alone = Command::new("setsid");
        alone.arg("--wait").arg(command.get_program());
        alone.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => alone.env(name, value),
                None => alone.env_remove(name),
            };
        }
        alone.current_dir(self.dir.join("s"));
        alone
    }

    /// Runs it, and looks for what must not be left or said.
    #[track_caller]
    fn edit(&self, name: &str, script: &str) -> Ran {
        let ran = run(&mut self.command(name, script));
        self.is_clean(&ran);
        ran
    }

    #[track_caller]
    fn is_clean(&self, ran: &Ran) {
        assert_eq!(self.memory.tree(), [""; 0], "{ran}");
        assert!(
            !ran.stderr.contains(MARK) && !ran.text().contains(MARK),
            "{ran}"
        );
        let tree = self.dir.tree();
        assert!(!tree.iter().any(|name| name.contains(".tmp")), "{tree:?}");
    }

    fn plain(&self, name: &str) -> String {
        let ran = self
            .sops
            .decrypt(&self.dir.join("s").join(name), &self.key, &[]);
        ran.expect(0).text().to_owned()
    }
}

/// The command with the terminal that it is given: `setsid` would take it away again.
fn on_terminal(command: &Command) -> Command {
    let mut inside = Command::new("sh");
    inside.args(["-c", "cd \"$DESK/s\" && shift && exec \"$@\"", "sh"]);
    inside.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside
}

#[test]
fn what_was_edited_is_encrypted_and_nothing_else_changes() {
    let Some(desk) = Desk::new("what_was_edited_is_encrypted_and_nothing_else_changes") else {
        return;
    };
    let before = desk.dir.read("s/a.yaml");
    let script = format!(
        "ls -lan \"$1\" \"$(dirname \"$1\")\" > \"$DESK/seen\"; echo \"$1\" >> \"$DESK/seen\"
         echo backup > \"$1~\"; mkdir \"$(dirname \"$1\")/swap\"; cp \"$1\" \"$(dirname \"$1\")/swap/x\"
         sed -i 's/{MARK}1/{MARK}new/; s/    - x/    - x # here\\n    - y/' \"$1\""
    );
    desk.edit("a.yaml", &script).expect(0);
    let seen = desk.dir.read("seen");
    assert!(
        seen.contains("-rw-------") && seen.contains("drwx------"),
        "{seen}"
    );
    let name = Path::new(seen.lines().last().unwrap());
    assert!(
        name.ends_with("a.yaml") && name.starts_with(desk.memory.path()),
        "{seen}"
    );
    assert!(!name.exists());
    assert_eq!(
        desk.plain("a.yaml"),
        format!(
            "# {MARK} note\nuser: {MARK}new\nlist:\n    # here\n    - x\n    - \"y\"\n    - {MARK}2\n"
        )
    );
    let after = desk.dir.read("s/a.yaml");
    let gone: Vec<&str> = before
        .lines()
        .filter(|line| {
            !after
                .lines()
                .any(|other| other == *line || other.starts_with(&format!("{line} #")))
        })
        .collect();
    let gone: Vec<&str> = gone
        .into_iter()
        .filter(|line| !line.contains("lastmodified"))
        .collect();
    assert_eq!(gone.len(), 2, "{gone:#?}");
    assert!(gone[0].starts_with("user: ENC["), "{gone:#?}");
}

#[test]
fn nothing_is_written_without_a_change_or_after_a_failure() {
    let Some(desk) = Desk::new("nothing_is_written_without_a_change_or_after_a_failure") else {
        return;
    };
    let before = desk.dir.read("s/a.yaml");
    for (script, code, says) in [
        ("true", 0, "nothing was changed"),
        ("echo x >> \"$1\"; exit 3", 2, "the editor failed"),
        ("echo 'a: [1' > \"$1\"", 2, "a.yaml:2:1"),
        ("printf 'a: 1\\na: 2\\n' > \"$1\"", 2, "already defined"),
        ("echo 'sops: {}' >> \"$1\"", 2, "reserved"),
        (": > \"$1\"", 2, "no document"),
        ("rm \"$1\"", 2, "the editor left no file"),
        ("kill -INT $$", 130, "interrupted"),
    ] {
        let ran = desk.edit("a.yaml", script).expect(code);
        assert!(ran.stderr.contains(says), "{script}: {ran}");
        assert_eq!(desk.dir.read("s/a.yaml"), before);
    }
    let mut command = desk.command("a.yaml", "true");
    let ran = run(command.env("EDITOR", "/nonexistent/editor")).expect(2);
    assert!(ran.stderr.contains("cannot run the editor"), "{ran}");
    desk.is_clean(&ran);
    let mut command = desk.command("a.yaml", "exit 1");
    run(command.env("SOPS_EDITOR", "true")).expect(0);
    let mut command = desk.command("a.yaml", "exit 1");
    run(command.env_remove("EDITOR").env("VISUAL", "true")).expect(0);
}

#[test]
fn every_format_and_a_file_that_is_not_there_yet() {
    let Some(desk) = Desk::new("every_format_and_a_file_that_is_not_there_yet") else {
        return;
    };
    for (name, plain, script, expected) in [
        (
            "a.json",
            "{\"a\": 1}",
            "sed -i 's/1/[1, 2]/' \"$1\"",
            "{\n\t\"a\": [\n\t\t1,\n\t\t2\n\t]\n}\n",
        ),
        ("a.env", "A=1\n", "echo '#c' >> \"$1\"", "A=1\n#c\n"),
        (
            "a.ini",
            "[s]\nk = v\n",
            "echo 'l = w' >> \"$1\"",
            "[s]\nk = v\nl = w\n",
        ),
        ("a.txt", "bytes", "printf more >> \"$1\"", "bytesmore"),
    ] {
        desk.make(name, plain);
        desk.edit(name, script).expect(0);
        assert_eq!(desk.plain(name), expected);
    }
    for (name, text) in [
        ("new.yaml", "a: 1\n"),
        ("new.env", "A=1\n"),
        ("new.bin", "x"),
    ] {
        desk.edit(name, "true").expect(0);
        assert!(!desk.dir.exists(format!("s/{name}")));
        desk.edit(name, &format!("printf '{text}' > \"$1\""))
            .expect(0);
        assert_eq!(desk.plain(name), text);
        assert_eq!(desk.dir.mode(format!("s/{name}")), 0o600);
    }
    let ran = desk
        .edit("other.yaml", "echo never > \"$DESK/ran\"")
        .expect(2);
    assert!(ran.stderr.contains("no creation rule matches"), "{ran}");
    assert!(!desk.dir.exists("ran"));
    // Somebody made it first.
    let made = "echo theirs > new2.yaml; echo 'a: 1' > \"$1\"";
    let ran = desk.edit("new2.yaml", made).expect(2);
    assert!(ran.stderr.contains("made the file meanwhile"), "{ran}");
    assert_eq!(desk.dir.read("s/new2.yaml"), "theirs\n");
}

#[test]
fn an_error_gives_a_second_chance() {
    let Some(desk) = Desk::new("an_error_gives_a_second_chance") else {
        return;
    };
    // The first time it breaks the text, the second time it repairs what it left.
    let script = format!(
        "if grep -q '^broken' \"$1\"; then sed -i 's/^broken.*/more: {MARK}3/' \"$1\"; else echo 'broken: [' >> \"$1\"; fi"
    );
    let before = desk.dir.read("s/a.yaml");
    for (answer, code) in [("n\r", 2), ("\x03", 130), ("y\r", 0)] {
        let command = desk.command("a.yaml", &script);
        let done = Terminal::run(&on_terminal(&command), |terminal| {
            terminal.expect("Edit again? (y: edit again, n: discard the changes)");
            terminal.enter(answer);
        });
        desk.is_clean(&done.ran);
        assert!(!done.seen.contains(MARK) && done.echoes, "{}", done.seen);
        let ran = done.ran.expect(code);
        assert!(ran.stderr.contains("a.yaml:7:"), "{ran}");
        if code != 0 {
            assert_eq!(desk.dir.read("s/a.yaml"), before);
        }
    }
    assert!(desk.plain("a.yaml").ends_with(&format!("more: {MARK}3\n")));
}

#[test]
fn a_file_that_others_change_meanwhile_is_not_overwritten() {
    let Some(desk) = Desk::new("a_file_that_others_change_meanwhile_is_not_overwritten") else {
        return;
    };
    let other = desk.make("other.yaml", "user: theirs\n");
    let script = "cp other.yaml a.yaml; echo 'mine: 1' >> \"$1\"";
    let ran = desk.edit("a.yaml", script).expect(2);
    assert!(ran.stderr.contains("somebody changed the file"), "{ran}");
    assert!(desk.dir.read_bytes("s/a.yaml") == other);
}

/// A person may merge both by hand.
#[test]
fn the_new_version_is_shown_beside_the_text() {
    let Some(desk) = Desk::new("the_new_version_is_shown_beside_the_text") else {
        return;
    };
    desk.make("other.yaml", "user: theirs\n");
    let script = "cd \"$(dirname \"$1\")\"; if [ -e theirs-a.yaml ]; then cat theirs-a.yaml > \"$1\"; echo 'mine: 1' >> \"$1\"
        else cp \"$DESK/s/other.yaml\" \"$DESK/s/a.yaml\"; echo 'mine: 1' >> \"$1\"; fi";
    let done = Terminal::run(&on_terminal(&desk.command("a.yaml", script)), |terminal| {
        terminal.expect("with the new version beside your text as theirs-NAME?");
        terminal.enter("y\r");
    });
    desk.is_clean(&done.ran);
    done.ran.expect(0);
    assert_eq!(desk.plain("a.yaml"), "user: theirs\nmine: 1\n");
}

#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    let Some(desk) = Desk::new("a_signal_ends_it_and_leaves_nothing") else {
        return;
    };
    let before = desk.dir.read("s/a.yaml");
    for signal in [Signal::TERM, Signal::HUP] {
        let _ = fs::remove_file(desk.dir.join("started"));
        let script = format!(
            "echo '{MARK}' >> \"$1\"; echo $PPID > \"$DESK/pid\"; mv \"$DESK/pid\" \"$DESK/started\"; exec sleep 1000"
        );
        let mut command = desk.command("a.yaml", &script);
        let child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        while !desk.dir.exists("started") {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_ne!(desk.memory.tree(), [""; 0]);
        let pid = desk.dir.read("started").trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(130),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(desk.memory.tree(), [""; 0]);
        assert_eq!(desk.dir.read("s/a.yaml"), before);
    }
    // Ctrl-C belongs to the editor, which may make something of it.
    let script = "trap : INT; kill -INT $PPID; sleep 1; echo 'more: 1' >> \"$1\"";
    desk.edit("a.yaml", script).expect(0);
    assert!(desk.plain("a.yaml").ends_with("more: 1\n"));
    // What a killed one left goes with the next.
    let ran = run(&mut desk.command("a.yaml", "kill -KILL $PPID; sleep 1"));
    assert_ne!(ran.code(), 0);
    assert_ne!(desk.memory.tree(), [""; 0]);
    desk.edit("a.yaml", "true").expect(0);
}

#[test]
fn plaintext_goes_to_no_disk() {
    let test = "plaintext_goes_to_no_disk";
    let Some(desk) = Desk::new(test) else { return };
    let on_disk =
        |path: &Path| rustix::fs::statfs(path).is_ok_and(|found| found.f_type != 0x0102_1994);
    if !on_disk(desk.dir.path()) || !on_disk(Path::new("/tmp")) {
        return not_run(test, "there is no disk at /tmp");
    }
    let mut command = desk.command("a.yaml", "echo never > \"$DESK/ran\"");
    command
        .env("XDG_RUNTIME_DIR", desk.dir.path())
        .env("TMPDIR", desk.dir.path());
    let mut hidden = Command::new("sh");
    hidden
        .arg("-c")
        .arg("mount --bind \"$DESK\" /dev/shm && exec \"$0\" \"$@\"");
    hidden.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => hidden.env(name, value),
            None => hidden.env_remove(name),
        };
    }
    hidden.current_dir(desk.dir.join("s"));
    let Some(mut hidden) = in_mount_namespace(test, &hidden) else {
        return;
    };
    let ran = run(&mut hidden).expect(2);
    assert!(ran.stderr.contains("no file system in memory"), "{ran}");
    assert!(!desk.dir.exists("ran"));
}
