//! What we wrap, others open, and the other way round: age (Go), rage and age's own plugin.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use super::{tests::*, *};
use crate::secret::Secret;

/// A program to compare with; said loudly where it is missing, and in CI that is a failure.
pub(super) fn peer(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os("SECRETSD_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin"),
        PathBuf::from,
    );
    let program = directory.join(name);
    if program.exists() {
        return Some(program);
    }
    let line = format!("NOT RUN: {} is missing\n", program.display());
    // Past the capture of the test harness.
    if let Ok(mut terminal) = fs::OpenOptions::new().append(true).open("/proc/self/fd/2") {
        let _ = terminal.write_all(line.as_bytes());
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
    None
}

fn filter(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

#[test]
fn age_and_rage_open_what_we_wrap_and_the_other_way_round() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, recipient) = new_key();
    let native = directory.path().join("key.txt");
    fs::write(&native, ours).unwrap();
    let ed25519 = ssh_keygen(directory.path(), &["-t", "ed25519", "-N", ""]);
    let rsa = ssh_keygen(directory.path(), &["-t", "rsa", "-N", ""]);
    let public = |key: &Path| fs::read_to_string(key.with_extension("pub")).unwrap();
    let keys = [
        (native, recipient),
        (ed25519.clone(), public(&ed25519)),
        (rsa.clone(), public(&rsa)),
    ];
    for name in ["age", "rage"] {
        let Some(program) = peer(name) else { continue };
        for (file, recipient) in &keys {
            let recipient = recipient.trim();
            let enc = wrap(recipient, DATA_KEY, &Plugins::none()).unwrap();
            let mut command = Command::new(&program);
            command.args(["-d", "-i"]).arg(file);
            assert_eq!(filter(&mut command, enc.as_bytes()), DATA_KEY);

            let mut command = Command::new(&program);
            command.args(["-e", "-a", "-r", recipient]);
            let enc = String::from_utf8(filter(&mut command, DATA_KEY)).unwrap();
            let identities =
                Identities::from_files(std::slice::from_ref(file), Plugins::none()).unwrap();
            assert!(opens(&identities, &enc, recipient), "{name} {recipient}");
        }
    }
}

/// A plugin whose stanzas hold the file key itself.
const TOY: &str = r#"
while IFS= read -r line; do
  case $line in
    "-> wrap-file-key" | "-> recipient-stanza 0 toy") IFS= read -r key ;;
    "-> done") IFS= read -r line; break ;;
  esac
done
if [ -n "$key" ]; then
  case $1 in
    --age-plugin=recipient-v1) printf -- "-> recipient-stanza 0 toy\n%s\n" "$key" ;;
    --age-plugin=identity-v1) printf -- "-> file-key 0\n%s\n" "$key" ;;
  esac
  IFS= read -r line; IFS= read -r line
fi
printf -- "-> done\n\n"
"#;

fn bech32_of(prefix: &str, data: &[u8]) -> String {
    let hrp = bech32::Hrp::parse(prefix).unwrap();
    bech32::encode::<bech32::Bech32>(hrp, data).unwrap()
}

fn with_identity(plugins: Plugins, text: &str) -> Identities {
    let mut identities = Identities::empty(plugins);
    identities.add(text::parse("test", Secret::from(text.to_owned()), text::Content::Any).unwrap());
    identities
}

#[test]
fn a_plugin_works_for_us_as_it_does_for_age() {
    let directory = tempfile::tempdir().unwrap();
    let (plugins, identity) = script(directory.path(), "toy", TOY);
    let recipient = bech32_of("age1toy", b"x");
    let identities = with_identity(plugins.clone(), &identity);
    let enc = wrap(&recipient, DATA_KEY, &plugins).unwrap();
    assert!(opens(&identities, &enc, &recipient));
    // What is not its own it leaves alone.
    let (_, other) = new_key();
    let not_ours = wrap(&other, DATA_KEY, &plugins).unwrap();
    assert!(!opens(&identities, &not_ours, &other));

    let path = std::env::var_os("PATH").unwrap();
    let directories =
        std::iter::once(directory.path().to_owned()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(directories).unwrap();
    let file = directory.path().join("identity");
    fs::write(&file, identity).unwrap();
    for name in ["age", "rage"] {
        let Some(program) = peer(name) else { continue };
        let mut command = Command::new(&program);
        command.args(["-d", "-i"]).arg(&file).env("PATH", &path);
        assert_eq!(filter(&mut command, enc.as_bytes()), DATA_KEY);
        let mut command = Command::new(&program);
        command
            .args(["-e", "-a", "-r", &recipient])
            .env("PATH", &path);
        let theirs = String::from_utf8(filter(&mut command, DATA_KEY)).unwrap();
        assert!(opens(&identities, &theirs, &recipient), "{name}");
    }
}

/// age's own plugin. It cannot wrap for a recipient, only for an identity, so there is one way only.
#[test]
fn the_plugin_of_age_opens_what_it_wrapped() {
    let (Some(program), Some(age)) = (peer("age-plugin-batchpass"), peer("age")) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (plugins, _) = script(
        directory.path(),
        "batchpass",
        &format!(
            "AGE_PASSPHRASE=12345 AGE_PASSPHRASE_WORK_FACTOR=4 exec '{}' \"$@\"",
            program.display()
        ),
    );
    let identity = bech32_of("age-plugin-batchpass-", b"").to_uppercase();
    let identities = with_identity(plugins.clone(), &identity);
    let mut command = Command::new(age);
    command
        .args(["-e", "-a", "-j", "batchpass"])
        .env("PATH", directory.path());
    let enc = String::from_utf8(filter(&mut command, DATA_KEY)).unwrap();
    assert!(opens(&identities, &enc, ""));
    let error = wrap(&bech32_of("age1batchpass", b""), DATA_KEY, &plugins).unwrap_err();
    assert!(
        error.message.contains("recipient encodings not supported"),
        "{error}"
    );
}

#[test]
fn a_file_that_age_protected_with_a_passphrase() {
    // Its batchpass plugin makes files that only a passphrase opens, without asking on a terminal.
    let Some(age) = peer("age") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (ours, recipient) = new_key();
    let Some(plugin) = peer("age-plugin-batchpass") else {
        return;
    };
    let mut command = Command::new(age);
    command
        .args(["-e", "-a", "-j", "batchpass"])
        .env("PATH", plugin.parent().unwrap())
        .env("AGE_PASSPHRASE", "12345")
        .env("AGE_PASSPHRASE_WORK_FACTOR", "4");
    let content = filter(&mut command, ours.as_bytes());
    let path = directory.path().join("keys.age");
    fs::write(&path, content).unwrap();
    let person = Arc::new(Says("12345", std::sync::atomic::AtomicUsize::new(0)));
    let identities = Identities::from_files(&[path], Plugins::none().with_person(person)).unwrap();
    let enc = wrap(&recipient, DATA_KEY, &Plugins::none()).unwrap();
    assert!(opens(&identities, &enc, &recipient));
}
