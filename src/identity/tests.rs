//! Every kind of key, against itself and against the programs of others where they are at hand.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    person::{Answer, Person},
    *,
};
use crate::secret::Secret;
use age::secrecy::ExposeSecret as _;

pub(super) const DATA_KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

pub(super) fn new_key() -> (String, String) {
    let key = age::x25519::Identity::generate();
    (
        key.to_string().expose_secret().to_owned(),
        key.to_public().to_string(),
    )
}

fn parse(text: &str) -> Identities {
    let mut identities = Identities::empty(Plugins::none());
    identities.add(text::parse("test", Secret::from(text.to_owned()), text::Content::Any).unwrap());
    identities
}

pub(super) fn opens(identities: &Identities, enc: &str, recipient: &str) -> bool {
    [Effort::Software, Effort::All].into_iter().any(|effort| {
        match identities.attempt(enc, recipient, effort).unwrap() {
            Attempt::Opened { key, .. } => {
                assert!(key.expose() == DATA_KEY);
                true
            }
            Attempt::Closed { .. } => false,
        }
    })
}

/// Answers every question with the same words and counts them.
pub(super) struct Says(pub(super) &'static str, pub(super) AtomicUsize);

impl Person for Says {
    fn tell(&self, _: &str) {}
    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Answer<bool> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Answer::Given(true)
    }
    fn ask(&self, message: &str) -> Answer<Secret> {
        self.ask_secret(message)
    }
    fn ask_secret(&self, _: &str) -> Answer<Secret> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Answer::Given(Secret::from(self.0.to_owned()))
    }
}

pub(super) fn ssh_keygen(directory: &Path, arguments: &[&str]) -> PathBuf {
    let path = directory.join(format!("key{}", arguments.concat().replace('/', "_")));
    let status = Command::new("ssh-keygen")
        .args(["-q", "-C", "me@host now", "-f"])
        .arg(&path)
        .args(arguments)
        .status()
        .unwrap();
    assert!(status.success());
    path
}

#[test]
fn x25519_both_ways() {
    let (ours, recipient) = new_key();
    let (_, other) = new_key();
    let identities = parse(&format!("# created: now\n\n{ours}\r\n"));
    assert_eq!(identities.recipients(), [recipient.as_str()]);
    let enc = wrap(&recipient, DATA_KEY, &Plugins::none()).unwrap();
    assert!(enc.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    assert!(enc.ends_with("\n-----END AGE ENCRYPTED FILE-----\n"));
    assert!(opens(&identities, &enc, &recipient));
    // What the metadata says does not count.
    assert!(opens(&identities, &enc, &other));
    let not_ours = wrap(&other, DATA_KEY, &Plugins::none()).unwrap();
    assert!(!opens(&identities, &not_ours, &recipient));
}

#[test]
fn armor_is_read_as_tolerantly_as_by_go() {
    let (ours, recipient) = new_key();
    let identities = parse(&ours);
    let enc = wrap(&recipient, DATA_KEY, &Plugins::none()).unwrap();
    for tolerated in [
        enc.trim_end().to_owned(),
        format!("\n \t{enc}\n\n"),
        enc.replace('\n', "\r\n"),
    ] {
        assert!(opens(&identities, &tolerated, &recipient));
    }
    let body = enc.lines().nth(1).unwrap();
    for damaged in [
        String::new(),
        "x".repeat(100_000),
        enc.replace(body, &format!("{body}\n")),
        enc.replace(body, &format!("{body}AAAA")),
        enc.replace(body, &body.to_lowercase()),
        enc.replace("-----END", "-----EMD"),
        format!("{enc}x"),
        enc.get(..enc.len() / 2).unwrap().to_owned(),
    ] {
        let error = identities
            .attempt(&damaged, &recipient, Effort::All)
            .err()
            .unwrap();
        assert!(["damaged-key", "limit"].contains(&error.code), "{error}");
    }
}

#[test]
fn wrapped_content_must_be_a_key() {
    let (ours, recipient) = new_key();
    for data in [&[][..], &[0; 65], &[0; 10_000]] {
        let enc = wrap(&recipient, data, &Plugins::none()).unwrap();
        let error = parse(&ours)
            .attempt(&enc, &recipient, Effort::All)
            .err()
            .unwrap();
        assert_eq!(error.code, "damaged-key");
    }
}

#[test]
fn ssh_keys_open_their_own_and_the_derived_recipient() {
    let directory = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "rsa"] {
        let path = ssh_keygen(directory.path(), &["-t", kind, "-N", ""]);
        let text = fs::read_to_string(&path).unwrap();
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        let public = public.trim();
        for text in [
            text.clone(),
            text.replace('\n', "\r\n"),
            format!("\n{text}\n"),
        ] {
            let identities = parse(&text);
            let recipients = identities.recipients();
            assert!(recipients.contains(&canonical(public)));
            assert!(identities.answers_to(public));
            assert_eq!(recipients.len(), if kind == "ed25519" { 2 } else { 1 });
            for recipient in recipients.into_iter().chain([public]) {
                let enc = wrap(recipient, DATA_KEY, &Plugins::none()).unwrap();
                assert!(opens(&identities, &enc, recipient));
            }
        }
    }
}

#[test]
fn an_old_rsa_file_is_read_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = ssh_keygen(directory.path(), &["-t", "rsa", "-N", "", "-m", "PEM"]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("BEGIN RSA PRIVATE KEY"));
    let identities = parse(&text);
    let recipient = identities.recipients()[0].to_owned();
    let public = fs::read_to_string(path.with_extension("pub")).unwrap();
    assert_eq!(recipient, canonical(&public));
    let enc = wrap(&recipient, DATA_KEY, &Plugins::none()).unwrap();
    assert!(opens(&identities, &enc, &recipient));
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["-t", "ecdsa", "-N", ""][..],
        &["-t", "rsa", "-N", "12345", "-m", "PEM"],
        &["-t", "rsa", "-N", "", "-m", "PKCS8"],
    ] {
        let path = ssh_keygen(directory.path(), arguments);
        let error = Identities::from_files(std::slice::from_ref(&path), Plugins::none())
            .err()
            .unwrap();
        assert_eq!(error.code, "invalid-identity");
        assert_eq!(error.file, Some(path));
        assert!(error.hint.is_some(), "{error}");
    }
}

#[test]
fn a_sealed_ssh_key_asks_once_and_only_for_what_is_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = ssh_keygen(directory.path(), &["-t", "ed25519", "-N", "12345"]);
    let (_, other) = new_key();
    let open = |person: Arc<Says>| {
        Identities::from_files(
            std::slice::from_ref(&path),
            Plugins::none().with_person(person),
        )
        .unwrap()
    };
    let person = Arc::new(Says("12345", AtomicUsize::new(0)));
    let identities = open(person.clone());
    // Both are known without the passphrase.
    let recipients: Vec<String> = identities
        .recipients()
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(recipients.len(), 2);
    let enc = wrap(&other, DATA_KEY, &Plugins::none()).unwrap();
    assert!(!opens(&identities, &enc, &other));
    assert_eq!(person.1.load(Ordering::Relaxed), 0);
    for recipient in &recipients {
        let enc = wrap(recipient, DATA_KEY, &Plugins::none()).unwrap();
        assert!(opens(&identities, &enc, recipient));
    }
    assert_eq!(person.1.load(Ordering::Relaxed), 1);

    let wrong = Arc::new(Says("wrong", AtomicUsize::new(0)));
    let identities = open(wrong.clone());
    let enc = wrap(&recipients[0], DATA_KEY, &Plugins::none()).unwrap();
    for _ in 0..2 {
        let attempt = identities
            .attempt(&enc, &recipients[0], Effort::All)
            .unwrap();
        assert!(
            matches!(attempt, Attempt::Closed { locked, failed, .. } if locked.len() == 1 && failed.is_empty())
        );
    }
    assert_eq!(wrong.1.load(Ordering::Relaxed), 3);
}

#[test]
fn a_protected_identity_file() {
    let (ours, recipient) = new_key();
    let mut scrypt = age::scrypt::Recipient::new("12345".to_owned().into());
    scrypt.set_work_factor(2);
    let enc = wrap(&recipient, DATA_KEY, &Plugins::none()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.age");
    for armored in [true, false] {
        let content = if armored {
            age::encrypt_and_armor(&scrypt, ours.as_bytes())
                .unwrap()
                .into_bytes()
        } else {
            age::encrypt(&scrypt, ours.as_bytes()).unwrap()
        };
        fs::write(&path, content).unwrap();
        let person = Arc::new(Says("12345", AtomicUsize::new(0)));
        let identities = Identities::from_files(
            std::slice::from_ref(&path),
            Plugins::none().with_person(person.clone()),
        )
        .unwrap();
        assert!(identities.recipients().is_empty());
        assert!(opens(&identities, &enc, &recipient));
        assert!(opens(&identities, &enc, &recipient));
        assert_eq!(person.1.load(Ordering::Relaxed), 1);
        assert_eq!(identities.recipients(), [recipient.as_str()]);

        let alone = Identities::from_files(std::slice::from_ref(&path), Plugins::none()).unwrap();
        let attempt = alone.attempt(&enc, &recipient, Effort::All).unwrap();
        assert!(
            matches!(attempt, Attempt::Closed { locked, .. } if locked[0].code == "identity-locked")
        );
        let states = alone.iter().map(|identity| identity.state(alone.plugins()));
        assert!(
            states
                .into_iter()
                .all(|state| matches!(state, State::Locked(_)))
        );
    }
}

#[test]
fn the_environment_as_sops_reads_it() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let keys: Vec<_> = (0..6).map(|_| new_key()).collect();
    let file = |name: &str, content: &str| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    };
    let key_file = file("keys", &keys[2].0);
    let command_file = file("command keys", &keys[3].0);
    file(
        ".config/sops/age/keys.txt",
        &format!("# mine\n{}\n", keys[4].0),
    );
    let ssh = ssh_keygen(home, &["-t", "ed25519", "-N", ""]);
    file(".ssh/id_ed25519", &fs::read_to_string(&ssh).unwrap());
    file(".ssh/id_rsa", "broken");
    let variables = [
        ("HOME", home.to_string_lossy().into_owned()),
        ("SOPS_AGE_KEY", format!("{} {}\n", keys[0].0, keys[1].0)),
        ("SOPS_AGE_KEY_FILE", key_file.to_string_lossy().into_owned()),
        (
            "SOPS_AGE_KEY_CMD",
            format!("cat '{}'", command_file.display()),
        ),
        ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", String::new()),
    ];
    let environment = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.into())
    };
    let identities = Identities::from_environment(&environment, Plugins::none());
    for (number, (_, recipient)) in keys.iter().enumerate() {
        let enc = wrap(recipient, DATA_KEY, &Plugins::none()).unwrap();
        assert_eq!(opens(&identities, &enc, recipient), number < 5, "{number}");
    }
    assert!(identities.answers_to(&fs::read_to_string(ssh.with_extension("pub")).unwrap()));
    let problems: Vec<_> = identities
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(identities.unused(), ["SOPS_AGE_SSH_PRIVATE_KEY_CMD"]);
}

#[test]
fn one_bad_line_discards_its_source_only() {
    let (ours, _) = new_key();
    let environment = |name: &str| match name {
        "SOPS_AGE_KEY" => Some(format!("{ours}\nnonsense\n").into()),
        _ => None,
    };
    let identities = Identities::from_environment(&environment, Plugins::none());
    assert!(identities.recipients().is_empty());
    assert_eq!(identities.problems()[0].position.unwrap().line, 2);
    assert!(!identities.problems()[0].message.contains("SECRET"));
}

/// A plugin written as a script.
pub(super) fn script(directory: &Path, name: &str, body: &str) -> (Plugins, String) {
    let path = directory.join(format!("age-plugin-{name}"));
    // Not written by this process: a test beside this one may fork meanwhile, and what is open for writing in any
    // process cannot be run.
    let written = Command::new("sh")
        .args([
            "-c",
            "printf '#!/bin/sh\n%s\n' \"$1\" > \"$2\" && chmod 755 \"$2\"",
            "sh",
            body,
        ])
        .arg(&path)
        .status()
        .unwrap();
    assert!(written.success());
    let plugins = Plugins::configured(vec![directory.to_owned()], vec![name.to_owned()]);
    let hrp = bech32::Hrp::parse(&format!("age-plugin-{name}-")).unwrap();
    let identity = bech32::encode::<bech32::Bech32>(hrp, b"x").unwrap();
    (plugins, identity.to_uppercase())
}

fn ask(plugins: Plugins, identity: &str) -> Result<Attempt> {
    let (_, recipient) = new_key();
    let enc = wrap(&recipient, DATA_KEY, &Plugins::none()).unwrap();
    let mut identities = Identities::empty(plugins);
    identities.add(
        text::parse(
            "test",
            Secret::from(identity.to_owned()),
            text::Content::Any,
        )
        .unwrap(),
    );
    assert!(matches!(
        identities.attempt(&enc, &recipient, Effort::Software).unwrap(),
        Attempt::Closed { locked, failed, .. } if locked.is_empty() && failed.is_empty()
    ));
    identities.attempt(&enc, &recipient, Effort::All)
}

fn code_of(attempt: Result<Attempt>) -> &'static str {
    match attempt {
        Err(error) => error.code,
        Ok(Attempt::Opened { .. }) => "opened",
        Ok(Attempt::Closed {
            locked,
            unlikely,
            failed,
        }) => locked
            .iter()
            .chain(&unlikely)
            .chain(&failed)
            .next()
            .map_or("closed", |error| error.code),
    }
}

#[test]
fn hostile_plugins_are_ended() {
    let directory = tempfile::tempdir().unwrap();
    for (name, body, code) in [
        ("hangs", "sleep 1000", "plugin-timeout"),
        ("forks", "sleep 1000 & sleep 1000", "plugin-timeout"),
        ("deaf", "yes '' >&2", "plugin-timeout"),
        (
            "loud",
            "cat > /dev/null & yes nonsense >&2",
            "plugin-timeout",
        ),
        ("floods", "yes -- '-> msg'", "plugin-failed"),
        (
            "chatters",
            "while :; do printf -- '-> msg\\n\\n'; done",
            "plugin-timeout",
        ),
        ("endless", "tr '\\0' x < /dev/zero", "plugin-failed"),
        ("nonsense", "echo nonsense; cat", "plugin-failed"),
        ("leaves", "exit 3", "plugin-failed"),
        ("mute", "exec 1>&-; sleep 1000", "plugin-failed"),
        (
            "short",
            "printf -- '-> file-key 0\\nAAAA\\n'; cat > /dev/null",
            "plugin-timeout",
        ),
        ("quiet", "printf -- '-> done\\n\\n'", "closed"),
        (
            "complains",
            "printf -- '-> error internal\\nbm8gY2FyZA\\n-> done\\n\\n'; cat > /dev/null",
            "plugin-failed",
        ),
        (
            "asks",
            "printf -- '-> request-secret\\nUElO\\n-> done\\n\\n'; cat > /dev/null",
            "identity-locked",
        ),
    ] {
        let (plugins, identity) = script(directory.path(), name, body);
        let limit = if code == "plugin-timeout" { 1 } else { 60 };
        let plugins = plugins.with_time_limit(Duration::from_secs(limit));
        assert_eq!(code_of(ask(plugins, &identity)), code, "{name}");
    }
}

#[test]
fn a_plugin_is_cancelled_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let body = format!("sleep 1000 & echo $! > '{}'; wait", pid_file.display());
    let (plugins, identity) = script(directory.path(), "waits", &body);
    let cancel = Cancel::new().unwrap();
    let plugins = plugins
        .with_cancel(cancel.clone())
        .with_time_limit(Duration::from_secs(60));
    let thrower = std::thread::spawn(move || {
        let pid = loop {
            match fs::read_to_string(&pid_file) {
                Ok(pid) if pid.ends_with('\n') => break pid.trim().to_owned(),
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        cancel.fire();
        pid
    });
    assert_eq!(code_of(ask(plugins, &identity)), "interrupted");
    let pid = thrower.join().unwrap();
    // Killed is not gone: it may be dying, or wait as a zombie for whoever adopted it.
    let gone = || {
        fs::read_to_string(format!("/proc/{pid}/status"))
            .map_or(true, |status| status.contains("State:\tZ"))
    };
    while !gone() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_plugin_gets_three_descriptors_and_no_keys() {
    let directory = tempfile::tempdir().unwrap();
    let seen = directory.path().join("seen");
    let body = format!(
        "ls /proc/self/fd > '{0}'; env >> '{0}'; printf -- '-> done\\n\\n'",
        seen.display()
    );
    let (plugins, identity) = script(directory.path(), "looks", &body);
    // A descriptor that whoever started us left open.
    let leaked = rustix::io::dup(fs::File::open("/dev/null").unwrap()).unwrap();
    assert_eq!(code_of(ask(plugins, &identity)), "closed");
    drop(leaked);
    let seen = fs::read_to_string(seen).unwrap();
    // 3 is the directory that ls itself reads.
    assert!(seen.starts_with("0\n1\n2\n3\n"), "{seen}");
    assert!(!seen.starts_with("0\n1\n2\n3\n4\n"), "{seen}");
    assert!(!seen.contains("SOPS_AGE_KEY="));
}

#[test]
fn only_configured_plugins_run() {
    let directory = tempfile::tempdir().unwrap();
    let touched = directory.path().join("touched");
    let (_, identity) = script(
        directory.path(),
        "wild",
        &format!("touch '{}'", touched.display()),
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let named = |directory: &Path, name: &str| {
        Plugins::configured(vec![directory.to_owned()], vec![name.to_owned()])
    };
    let (here, there) = (directory.path(), elsewhere.path());
    assert_eq!(
        code_of(ask(named(here, "tame"), &identity)),
        "plugin-refused"
    );
    assert_eq!(
        code_of(ask(named(there, "wild"), &identity)),
        "plugin-missing"
    );
    fs::set_permissions(here, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(
        code_of(ask(named(here, "wild"), &identity)),
        "plugin-refused"
    );
    // As a recipient too.
    let hrp = bech32::Hrp::parse("age1wild").unwrap();
    let recipient = bech32::encode::<bech32::Bech32>(hrp, b"x").unwrap();
    let error = wrap(&recipient, DATA_KEY, &Plugins::none()).err().unwrap();
    assert_eq!(error.code, "plugin-refused");
    assert!(!touched.exists());
}

#[test]
fn recipients_of_a_plugin_are_known_from_comments() {
    let hrp = bech32::Hrp::parse("age-plugin-card-").unwrap();
    let identity = bech32::encode::<bech32::Bech32>(hrp, b"x")
        .unwrap()
        .to_uppercase();
    let identities = parse(&format!(
        "#   Serial: 1\n#   Recipient: age1card1qqq\n#   Other: age1other1qqq\n{identity}\n"
    ));
    assert_eq!(identities.recipients(), ["age1card1qqq"]);
    assert_eq!(identities.iter().next().unwrap().plugin(), Some("card"));
}

/// One byte changed, a piece cut out or doubled: whatever it is then, it is an answer and no panic.
fn damage(bytes: &[u8], at: usize, kind: u8, byte: u8) -> Vec<u8> {
    let at = at % bytes.len().max(1);
    let (head, tail) = bytes.split_at(at);
    match kind % 4 {
        0 => [head, &[byte], tail.get(1..).unwrap_or_default()].concat(),
        1 => head.to_vec(),
        2 => [head, tail.get(usize::from(byte)..).unwrap_or_default()].concat(),
        _ => [head, &vec![byte; usize::from(byte)], tail].concat(),
    }
}

fn damaged_keys(cases: u32) {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use proptest::{
        prelude::any,
        test_runner::{Config, TestRunner},
    };

    let directory = tempfile::tempdir().unwrap();
    let mut inputs = Vec::new();
    for arguments in [
        &["-t", "ed25519", "-N", ""][..],
        &["-t", "ed25519", "-N", "12345"],
        &["-t", "rsa", "-N", ""],
        &["-t", "rsa", "-N", "", "-m", "PEM"],
    ] {
        let path = ssh_keygen(directory.path(), arguments);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.trim().lines().collect();
        let [begin, body @ .., end] = lines.as_slice() else {
            panic!("no PEM")
        };
        let body = BASE64_STANDARD.decode(body.concat()).unwrap();
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        let words: Vec<&str> = public.split_whitespace().collect();
        let blob = BASE64_STANDARD.decode(words[1]).unwrap();
        inputs.push((format!("{begin}\n"), body, format!("\n{end}\n")));
        inputs.push((format!("{} ", words[0]), blob, String::new()));
    }
    let mut runner = TestRunner::new(Config::with_cases(cases));
    let changes = (0..inputs.len(), any::<usize>(), any::<u8>(), any::<u8>());
    runner
        .run(&changes, |(input, at, kind, byte)| {
            let (begin, body, end) = &inputs[input];
            let body = damage(body, at, kind, byte);
            let mut text = begin.clone();
            if end.is_empty() {
                text.push_str(&BASE64_STANDARD.encode(body));
                let _ = wrap(&text, DATA_KEY, &Plugins::none());
            } else {
                for line in BASE64_STANDARD.encode(body).as_bytes().chunks(64) {
                    text.push_str(std::str::from_utf8(line).unwrap());
                    text.push('\n');
                }
                text.push_str(end.trim_start());
                let parsed = text::parse("test", Secret::from(text), text::Content::Any);
                if let Ok([identity]) = parsed.as_deref() {
                    let _ = identity.recipients().count();
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn damaged_keys_do_no_harm() {
    damaged_keys(256);
}
