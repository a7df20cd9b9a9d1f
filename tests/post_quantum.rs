//! age's hybrid keys, `age1pq1…`, with real age and real sops on the other side.

use std::{fs, path::PathBuf, process::Command};

use crate::support::{AgeKey, Dir, Sops, ctl, peer, run, run_with_input};

const PLAIN: &str = "password: hunter2\n";

/// A key of real `age-keygen`.
fn key(dir: &Dir, name: &str) -> Option<AgeKey> {
    let file = dir.join(name);
    let keygen = peer("age-keygen")?;
    run(Command::new(&keygen).args(["-pq", "-o"]).arg(&file)).expect(0);
    let text = fs::read_to_string(&file).unwrap();
    let public = run(Command::new(keygen).arg("-y").arg(&file)).expect(0);
    Some(AgeKey {
        file,
        secret: text.lines().last().unwrap().to_owned(),
        recipient: public.text().trim().to_owned(),
    })
}

/// The wrapped key of the only recipient.
fn enc(file: &str) -> String {
    let lines = file.lines().map(str::trim);
    let lines = lines.skip_while(|line| !line.starts_with("-----BEGIN"));
    let mut text: Vec<_> = lines
        .take_while(|line| !line.starts_with("-----END"))
        .collect();
    text.push("-----END AGE ENCRYPTED FILE-----\n");
    text.join("\n")
}

fn rules(recipients: &[&str]) -> String {
    format!("creation_rules:\n  - age: {}\n", recipients.join(","))
}

fn encrypted(dir: &Dir, recipients: &[&str]) -> PathBuf {
    dir.write(".sops.yaml", rules(recipients));
    let file = dir.write("secret.yaml", PLAIN);
    run(ctl(["encrypt", "--in-place", "secret.yaml"]).current_dir(dir.path())).expect(0);
    file
}

#[test]
fn ours_opens_in_age_and_sops() {
    let (dir, Some(sops), Some(age)) = (Dir::new(), Sops::find("3.13.3"), peer("age")) else {
        return;
    };
    let Some(key) = key(&dir, "key") else { return };
    let file = encrypted(&dir, &[&key.recipient]);
    let theirs = sops.decrypt(&file, &key, &[]).expect(0);
    assert_eq!(theirs.text(), PLAIN);
    let opened = run_with_input(
        Command::new(&age).args(["-d", "-i"]).arg(&key.file),
        enc(&dir.read("secret.yaml")).as_bytes(),
    );
    // The data key is no text.
    assert_eq!(opened.code(), 0, "{}", opened.stderr);
}

#[test]
fn theirs_opens_here() {
    let (dir, Some(sops)) = (Dir::new(), Sops::find("3.13.3")) else {
        return;
    };
    let (Some(key), Some(other)) = (key(&dir, "key"), key(&dir, "other")) else {
        return;
    };
    let text = sops.encrypt(&dir, "secret.yaml", PLAIN, &[&key.recipient], &[]);
    let file = dir.write("secret.yaml", text);
    let decrypt = |key: &AgeKey| {
        let mut command = ctl(["decrypt"]);
        run(command.arg("-i").arg(&key.file).arg(&file))
    };
    assert_eq!(decrypt(&key).expect(0).text(), PLAIN);
    // For somebody else's, and not damaged.
    let refused = decrypt(&other).expect(2);
    assert!(refused.stderr.contains("no identity"), "{refused}");
    assert!(
        refused.stderr.len() < 500,
        "keys are cut where they are shown: {refused}"
    );
    // Beside a key of another kind, in one file.
    let host = AgeKey::generate(&dir, "host");
    let both = sops.encrypt(
        &dir,
        "secret.yaml",
        PLAIN,
        &[&host.recipient, &key.recipient],
        &[],
    );
    dir.write("secret.yaml", both);
    assert_eq!(decrypt(&key).expect(0).text(), PLAIN);
    assert_eq!(decrypt(&host).expect(0).text(), PLAIN);
}

#[test]
fn rekeying_to_one() {
    let (dir, Some(sops)) = (Dir::new(), Sops::find("3.13.3")) else {
        return;
    };
    let (host, Some(key)) = (AgeKey::generate(&dir, "host"), key(&dir, "key")) else {
        return;
    };
    let file = encrypted(&dir, &[&host.recipient]);
    dir.write(".sops.yaml", rules(&[&host.recipient, &key.recipient]));
    let mut rekey = ctl(["rekey", "--yes", "-i"]);
    rekey
        .arg(&host.file)
        .env("XDG_STATE_HOME", dir.join("state"));
    run(rekey.current_dir(dir.path())).expect(0);
    assert_eq!(sops.decrypt(&file, &key, &[]).expect(0).text(), PLAIN);
    assert_eq!(sops.decrypt(&file, &host, &[]).expect(0).text(), PLAIN);
    // And from one, with a new data key: the identity knows its own recipient, or this would lock us out.
    dir.write(".sops.yaml", rules(&[&key.recipient]));
    let mut rekey = ctl(["rekey", "--yes", "-i"]);
    rekey
        .arg(&key.file)
        .env("XDG_STATE_HOME", dir.join("state"));
    run(rekey.current_dir(dir.path())).expect(0);
    assert_eq!(sops.decrypt(&file, &key, &[]).expect(0).text(), PLAIN);
    assert_ne!(sops.decrypt(&file, &host, &[]).code(), 0);
}

#[test]
fn a_damaged_key_is_told_and_not_shown() {
    let dir = Dir::new();
    let Some(key) = key(&dir, "key") else { return };
    let file = encrypted(&dir, &[&key.recipient]);
    let changed = match key.secret.strip_suffix('Q') {
        Some(rest) => format!("{rest}P"),
        None => format!("{}Q", &key.secret[..key.secret.len() - 1]),
    };
    let damaged = dir.write("damaged", format!("{changed}\n"));
    let mut command = ctl(["decrypt", "-i"]);
    let refused = run(command.arg(damaged).arg(&file));
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("damaged"), "{refused}");
    assert!(!refused.stderr.contains(&changed[20..]), "{refused}");
    // A recipient in which a character was changed is refused before anything is written.
    dir.write(
        ".sops.yaml",
        rules(&[&key.recipient.replace("age1pq1", "age1pq1q")]),
    );
    let before = dir.write("new.yaml", PLAIN);
    let refused = run(ctl(["encrypt", "--in-place", "new.yaml"]).current_dir(dir.path()));
    assert_ne!(refused.code(), 0);
    assert_eq!(fs::read_to_string(before).unwrap(), PLAIN);
}
