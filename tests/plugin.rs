//! age plugins: real conversations with programs that behave, and with some that do not.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    support::{AgeKey, Dir, Sops, ctl, daemon, run},
    terminal::Terminal,
};

const PLAIN: &str = "password: hunter2\n";

/// Speaks the protocol; its stanzas hold the file key itself. `$ask` runs before it answers.
const TOY: &str = r#"#!/bin/sh
echo "$1" >> "$TOY_LOG"
while IFS= read -r line; do
  case $line in
    "-> wrap-file-key") IFS= read -r key ;;
    "-> recipient-stanza "*" toy")
      IFS= read -r key
      number=${line#-> recipient-stanza }
      keys="$keys${number% toy} $key
" ;;
    "-> done") IFS= read -r line; break ;;
  esac
done
. "$(dirname "$0")/ask"
if [ -n "$key" ]; then
  case $1 in
    --age-plugin=recipient-v1) printf -- "-> recipient-stanza 0 toy\n%s\n" "$key" ;;
    --age-plugin=identity-v1)
      while read -r number key; do
        [ -n "$number" ] && printf -- "-> file-key %s\n%s\n" "$number" "$key"
      done <<END
$keys
END
      ;;
  esac
  IFS= read -r line; IFS= read -r line
fi
printf -- "-> done\n\n"
"#;

/// A directory with the plugin, an identity and a file that only it opens, made by real sops with the plugin's help.
pub(crate) struct Setup {
    dir: Dir,
    pub(crate) plugins: PathBuf,
    pub(crate) identity: PathBuf,
    recipient: String,
    pub(crate) file: PathBuf,
}

impl Setup {
    pub(crate) fn new() -> Option<Self> {
        let sops = Sops::find("3.13.3")?;
        let dir = Dir::new();
        let plugins = dir.join("plugins");
        dir.write("plugins/age-plugin-toy", TOY);
        dir.chmod("plugins/age-plugin-toy", 0o755);
        dir.chmod("plugins", 0o755);
        dir.write("plugins/ask", "");
        let bech32 = |prefix: &str| {
            let hrp = bech32::Hrp::parse(prefix).unwrap();
            bech32::encode::<bech32::Bech32>(hrp, b"x").unwrap()
        };
        let recipient = bech32("age1toy");
        let identity = dir.write(
            "identity.txt",
            format!(
                "# Recipient: {recipient}\n{}\n",
                bech32("age-plugin-toy-").to_uppercase()
            ),
        );
        let plain = dir.write("secret.yaml", PLAIN);
        let mut command = sops.command(["encrypt", "-i", "--age", &recipient]);
        command
            .arg(&plain)
            .env("PATH", path_with(&plugins))
            .env("TOY_LOG", "/dev/null");
        run(&mut command).expect(0);
        Some(Self {
            dir,
            plugins,
            identity,
            recipient,
            file: plain,
        })
    }

    fn decrypt(&self) -> Command {
        let mut command = ctl(["decrypt", "-i"]);
        command
            .args([&self.identity, &self.file])
            .env("SECRETSD_PLUGIN_DIRS", &self.plugins)
            .env("SECRETSD_PLUGIN_TIME_LIMIT", "30s")
            .env("TOY_LOG", self.dir.join("log"));
        command
    }

    /// A configuration that delivers the file to `memory` with the plugins that `allow` names.
    pub(crate) fn configuration(&self, memory: &Dir, allow: &str) -> PathBuf {
        self.dir.write(
            "secretsd.yaml",
            format!(
                "repository: {}\nruntime-directory: {}\nidentities:\n  - plugin-identity-file: {}\n\
                 plugins: {{ directories: [{}], allow: {allow} }}\nsocket: {{ path: {} }}\n\
                 secrets:\n  password: {{ file: secret.yaml, key: [password], owner: {}, group: {} }}\n",
                self.dir.path().display(),
                memory.join("secrets").display(),
                self.identity.display(),
                self.plugins.display(),
                memory.join("control/socket").display(),
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            ),
        )
    }

    pub(crate) fn asks(&self, script: &str) {
        self.dir.write("plugins/ask", script);
    }
}

fn path_with(directory: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap();
    let all = std::iter::once(directory.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(all).unwrap()
}

#[test]
fn a_plugin_opens_what_sops_wrapped_with_it() {
    let Some(setup) = Setup::new() else { return };
    let ran = run(&mut setup.decrypt()).expect(0);
    assert_eq!(ran.text(), PLAIN);
    // From PATH too, as sops does it, and from the variables of sops.
    let mut command = ctl(["decrypt".as_ref(), setup.file.as_os_str()]);
    command
        .env("PATH", path_with(&setup.plugins))
        .env("SOPS_AGE_KEY_FILE", &setup.identity)
        .env("TOY_LOG", setup.dir.join("log"));
    assert_eq!(run(&mut command).expect(0).text(), PLAIN);
    let ran = run(ctl(["identity", "check", "--json", "-i"])
        .arg(&setup.identity)
        .env("SECRETSD_PLUGIN_DIRS", &setup.plugins))
    .expect(0);
    let shown = &ran.json()["identities"][0];
    assert_eq!(shown["kind"], "plugin toy");
    assert_eq!(shown["recipients"][0], setup.recipient);
}

/// One conversation for each, also where the result is opened again.
#[test]
fn a_plugin_opens_what_is_changed() {
    let Some(setup) = Setup::new() else { return };
    let with_plugin = |args: &[&str]| {
        let mut command = ctl(args);
        command
            .arg("-i")
            .arg(&setup.identity)
            .env("SECRETSD_PLUGIN_DIRS", &setup.plugins)
            .env("TOY_LOG", setup.dir.join("log"))
            .env("EDITOR", "sed -i s/new/newer/")
            .current_dir(setup.dir.path());
        run(&mut command).expect(0)
    };
    with_plugin(&["set", "secret.yaml", "[\"password\"]", "\"new\""]);
    with_plugin(&["edit", "secret.yaml"]);
    assert_eq!(setup.dir.read("log").lines().count(), 2);
    let ran = run(&mut setup.decrypt()).expect(0);
    assert_eq!(ran.text(), "password: newer\n");
}

#[test]
fn a_plugin_runs_only_when_nothing_else_opens() {
    let Some(setup) = Setup::new() else { return };
    let sops = Sops::find("3.13.3").unwrap();
    let key = AgeKey::generate(&setup.dir, "key");
    let bytes = sops.encrypt(&setup.dir, "both.yaml", PLAIN, &[&key.recipient], &[]);
    let file = setup.dir.write("both.yaml", bytes);
    let mut command = ctl(["decrypt", "-i"]);
    command
        .arg(&setup.identity)
        .arg("-i")
        .args([&key.file, &file])
        .env("SECRETSD_PLUGIN_DIRS", &setup.plugins)
        .env("TOY_LOG", setup.dir.join("log"));
    run(&mut command).expect(0);
    assert!(!setup.dir.exists("log"));
}

#[test]
fn only_programs_of_the_given_directories_run() {
    let Some(setup) = Setup::new() else { return };
    let elsewhere = setup.dir.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let locked = |command: &mut Command| {
        let ran = run(command.arg("--json")).expect(2);
        let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(error["error"]["code"], "locked", "{ran}");
        assert!(!setup.dir.exists("log"));
    };
    // It is on PATH, but the directories are given.
    locked(
        setup
            .decrypt()
            .env("SECRETSD_PLUGIN_DIRS", &elsewhere)
            .env("PATH", path_with(&setup.plugins)),
    );
    // A relative entry of PATH would mean whatever directory one stands in.
    locked(
        setup
            .decrypt()
            .env_remove("SECRETSD_PLUGIN_DIRS")
            .env("PATH", "plugins:.:")
            .current_dir(setup.dir.path()),
    );
    setup.dir.chmod("plugins", 0o777);
    locked(&mut setup.decrypt());
}

#[test]
fn a_plugin_asks_on_the_terminal() {
    let Some(setup) = Setup::new() else { return };
    // "PIN\x1b[31m?" in base64; the answer comes as the body of the reply.
    setup.asks(
        r#"printf -- '-> msg\ndG91Y2gb\n'; IFS= read -r a; IFS= read -r b
printf -- '-> request-secret\nUElOG1szMW0\n'; IFS= read -r a; IFS= read -r b
[ "$b" = MTIzNDU2 ] || { printf -- '-> error internal\nd3Jvbmc\n'; exit 1; }
printf -- '-> confirm eWVz bm8\nc3VyZQ\n'; IFS= read -r a; IFS= read -r b
[ "$a" = "-> ok yes" ] || exit 1
"#,
    );
    let ran = Terminal::run(&setup.decrypt(), |terminal| {
        terminal.expect("age-plugin-toy: touch");
        terminal.expect("age-plugin-toy: PIN");
        terminal.enter("123456\r");
        terminal.expect("sure (y: yes, n: no)");
        terminal.enter("y\r");
    });
    assert!(
        !ran.seen.contains('\x1b') && !ran.seen.contains("123456"),
        "{}",
        ran.seen
    );
    assert!(ran.echoes);
    assert_eq!(ran.ran.expect(0).text(), PLAIN);
}

#[test]
fn a_plugin_that_needs_somebody_is_locked_where_there_is_nobody() {
    let Some(setup) = Setup::new() else { return };
    setup.asks(
        r#"printf -- '-> request-secret\nUElO\n'; IFS= read -r a; IFS= read -r b
[ "$a" = "-> fail" ] && { printf -- '-> error internal\nbm8gUElO\n'; IFS= read -r a; exit 1; }
"#,
    );
    let command = setup.decrypt();
    let mut alone = Command::new("setsid");
    alone.arg("--wait").arg(command.get_program());
    alone.args(command.get_args()).arg("--json");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    let ran = run(alone.stdin(Stdio::null())).expect(2);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["code"], "locked", "{ran}");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("terminal"), "{message}");
}

#[test]
fn plugins_that_misbehave_are_ended_and_named() {
    let Some(setup) = Setup::new() else { return };
    for (script, told) in [
        ("sleep 1000", "took too long"),
        ("yes '' >&2", "took too long"),
        ("yes -- '-> msg'", "plugin toy"),
        ("echo nonsense", "does not speak the plugin protocol"),
        ("echo no reader >&2; exit 1", "no reader"),
        (
            "printf -- '-> error internal\\nbm8gY2FyZA\\n'; exit 1",
            "no card",
        ),
    ] {
        setup.asks(script);
        let mut command = setup.decrypt();
        if told == "took too long" {
            command.env("SECRETSD_PLUGIN_TIME_LIMIT", "1s");
        }
        let ran = run(&mut command);
        assert!(
            ran.code() == 2 && ran.stderr.contains(told),
            "{told}: {ran}"
        );
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn an_interrupt_ends_the_plugin_too() {
    let Some(setup) = Setup::new() else { return };
    let pid = setup.dir.join("pid");
    setup.asks(&format!("echo $$ > '{}'; sleep 1000", pid.display()));
    let child = setup
        .decrypt()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let plugin = wait_for_pid(&pid);
    assert_eq!(terminate(child, rustix::process::Signal::INT), Some(130));
    assert!(!Path::new("/proc").join(plugin).exists());
}

#[test]
fn a_plugin_in_a_store_may_be_executable_for_everybody() {
    let Some(setup) = Setup::new() else { return };
    // As in /nix/store: read-only for all.
    fs::set_permissions(
        setup.plugins.join("age-plugin-toy"),
        fs::Permissions::from_mode(0o555),
    )
    .unwrap();
    run(&mut setup.decrypt()).expect(0);
}

#[test]
fn a_missing_plugin_is_not_blamed_for_files_of_others() {
    let Some(setup) = Setup::new() else { return };
    let sops = Sops::find("3.13.3").unwrap();
    let key = AgeKey::generate(&setup.dir, "key");
    let bytes = sops.encrypt(&setup.dir, "other.yaml", PLAIN, &[&key.recipient], &[]);
    let other = setup.dir.write("other.yaml", bytes);
    fs::remove_file(setup.plugins.join("age-plugin-toy")).unwrap();
    let code = |file: &Path| {
        let mut command = ctl(["decrypt", "--json", "-i"]);
        command
            .args([&setup.identity, file])
            .env("SECRETSD_PLUGIN_DIRS", &setup.plugins);
        let ran = run(&mut command).expect(2);
        assert!(ran.stderr.contains("age-plugin-toy"), "{ran}");
        let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        error["error"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(&setup.file), "locked");
    assert_eq!(code(&other), "no-identity");
}

/// The daemon runs what its configuration allows, and nothing else.
#[test]
fn the_daemon_runs_allowed_plugins_only() {
    let Some(setup) = Setup::new() else { return };
    let Some(memory) = Dir::in_memory("the_daemon_runs_allowed_plugins_only") else {
        return;
    };
    memory.chmod("", 0o700);
    for (allow, code) in [("[]", 2), ("[toy]", 0)] {
        let config = setup.configuration(&memory, allow);
        let mut command = daemon(["--once", "--config"]);
        command
            .arg(&config)
            .env("TOY_LOG", setup.dir.join("log"))
            .env("XDG_RUNTIME_DIR", memory.path());
        let ran = run(&mut command);
        assert_eq!(ran.code(), code, "{ran}");
        assert_eq!(setup.dir.exists("log"), code == 0);
    }
    assert_eq!(memory.read("secrets/password"), "hunter2");
}

#[test]
fn a_daemon_that_stops_ends_its_plugin() {
    let Some(setup) = Setup::new() else { return };
    let Some(memory) = Dir::in_memory("a_daemon_that_stops_ends_its_plugin") else {
        return;
    };
    memory.chmod("", 0o700);
    let pid = setup.dir.join("pid");
    setup.asks(&format!("echo $$ > '{}'; sleep 1000", pid.display()));
    let config = setup.configuration(&memory, "[toy]");
    let child = daemon(["--config"])
        .arg(&config)
        .env("TOY_LOG", setup.dir.join("log"))
        .env("XDG_RUNTIME_DIR", memory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let plugin = wait_for_pid(&pid);
    terminate(child, rustix::process::Signal::TERM);
    assert!(!Path::new("/proc").join(plugin).exists());
}

fn wait_for_pid(file: &Path) -> String {
    loop {
        match fs::read_to_string(file) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
}

fn terminate(child: std::process::Child, signal: rustix::process::Signal) -> Option<i32> {
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, signal).unwrap();
    child.wait_with_output().unwrap().status.code()
}

/// Asks for a PIN, and writes down how often.
const PIN: &str = r#"[ -n "$keys" ] || return 0
printf -- '-> request-secret\nUElO\n'; IFS= read -r a; IFS= read -r b
echo asked >> "$TOY_LOG"
[ "$b" = MTIzNDU2 ] || { printf -- '-> error internal\nd3Jvbmc\n'; exit 1; }
"#;

#[test]
fn one_session_opens_a_whole_repository() {
    const FILES: usize = 5;
    let Some(setup) = Setup::new() else { return };
    let added = AgeKey::generate(&setup.dir, "added");
    let backup = AgeKey::generate(&setup.dir, "backup");
    let rules = format!(
        "creation_rules:\n  - age: {},{}\n",
        setup.recipient, added.recipient
    );
    let text = fs::read(&setup.file).unwrap();
    setup.dir.write("repo/.sops.yaml", rules);
    for number in 0..FILES {
        setup.dir.write(format!("repo/{number}.yaml"), &text);
    }
    // A key in memory opens this one; the plugin has nothing to do with it.
    let mut command = ctl(["encrypt", "--in-place", "--age", &backup.recipient]);
    run(command.arg(setup.dir.write("repo/disk.yaml", PLAIN))).expect(0);
    setup.asks(PIN);
    let rekey = || {
        let mut command = ctl(["rekey", "--yes", "-C"]);
        command.arg(setup.dir.join("repo"));
        command
            .arg("-i")
            .arg(&setup.identity)
            .arg("-i")
            .arg(&backup.file);
        command
            .env("SECRETSD_PLUGIN_DIRS", &setup.plugins)
            .env("XDG_STATE_HOME", setup.dir.join("state"))
            .env("TOY_LOG", setup.dir.join("log"));
        command
    };
    let log = || {
        let text = fs::read_to_string(setup.dir.join("log")).unwrap_or_default();
        let count = |what: &str| text.matches(what).count();
        (count("identity-v1"), count("asked"))
    };
    // A wrong PIN is told, and changes nothing.
    let refused = Terminal::run(&rekey(), |person| {
        for _ in 0..=FILES {
            person.expect("age-plugin-toy: PIN");
            person.enter("654321\r");
        }
    });
    assert!(
        refused.ran.expect(2).stderr.contains("wrong"),
        "{}",
        refused.seen
    );
    assert_eq!(setup.dir.read_bytes("repo/0.yaml"), text);
    fs::remove_file(setup.dir.join("log")).unwrap();

    let done = Terminal::run(&rekey(), |person| {
        person.expect("age-plugin-toy: PIN");
        person.enter("123456\r");
    });
    done.ran.expect(0);
    assert_eq!(log(), (1, 1), "{}", done.seen);
    for number in 0..FILES {
        let file = setup.dir.join(format!("repo/{number}.yaml"));
        let mut command = ctl(["decrypt", "-i"]);
        let ran = run(command.arg(&added.file).arg(file)).expect(0);
        assert_eq!(ran.text(), PLAIN);
    }
}
