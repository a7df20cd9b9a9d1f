//! Delivery by rules: the repository decides what this host gets.

use std::{fs, os::unix::fs::symlink};

use crate::{
    host::Host,
    support::{AgeKey, run},
};

const BY_RULES: &str = "deliver: by-rules\nbase: secrets\n";

#[test]
fn every_leaf_is_a_file() {
    let Some(host) = Host::nobody("every_leaf_is_a_file") else {
        return;
    };
    host.put(
        "secrets/s1/db.yaml",
        "a: &x {b: one, 'c d': 2}\nlist: [true, null, 1.5]\nagain: *x\nempty: {}\n",
    );
    host.put(
        "secrets/s1/db.json",
        "{\"a\": {\"b\": \"one\\ntwo\"}, \"\": 1, \"x/y\": 2, \"..\": 3}",
    );
    host.put("secrets/two.yml", "a: 1\n---\nb: 2\n");
    host.put("secrets/x.env", "A=1\nB=two\n");
    host.put("secrets/x.ini", "[s]\na = 1\n");
    host.put("secrets/x.txt", "plain\n\x00text");
    host.put("outside.yaml", "k: v\n");
    host.dir
        .write("repo/README.md", "# About ENC[AES256_GCM,...] and sops\n");
    host.dir
        .write("repo/secrets/plain.yaml", "not: encrypted\n");
    host.configure(BY_RULES);
    let ran = host.once().expect(0);
    assert_eq!(
        host.delivered(),
        [
            "outside.yaml/k",
            "s1/db.json/a/b",
            "s1/db.yaml/a/b",
            "s1/db.yaml/a/c d",
            "s1/db.yaml/again/b",
            "s1/db.yaml/again/c d",
            "s1/db.yaml/list/0",
            "s1/db.yaml/list/1",
            "s1/db.yaml/list/2",
            "two.yml",
            "x.env",
            "x.ini",
            "x.txt",
        ]
    );
    assert_eq!(host.secret("s1/db.yaml/a/c d"), b"2");
    assert_eq!(host.secret("s1/db.yaml/list/0"), b"true");
    assert_eq!(host.secret("s1/db.yaml/list/1"), b"");
    assert_eq!(host.secret("s1/db.yaml/list/2"), b"1.5");
    assert_eq!(host.secret("s1/db.json/a/b"), b"one\ntwo");
    assert_eq!(host.secret("x.txt"), b"plain\n\x00text");
    assert_eq!(host.secret("x.env"), b"A=1\nB=two\n");
    // What cannot be a file name is reported each time.
    for ran in [ran, host.once().expect(0)] {
        assert_eq!(
            ran.stderr.matches("so it is not delivered").count(),
            3,
            "{ran}"
        );
        assert!(
            ran.stderr.contains("`x/y` has a part with a slash"),
            "{ran}"
        );
    }
    host.configure(&format!("{BY_RULES}layout: files\n"));
    host.once().expect(0);
    assert_eq!(
        host.delivered(),
        [
            "outside.yaml",
            "s1/db.json",
            "s1/db.yaml",
            "two.yml",
            "x.env",
            "x.ini",
            "x.txt"
        ]
    );
    assert_eq!(host.secret("outside.yaml"), b"k: v\n");
}

#[test]
fn the_selected_rule_decides() {
    let Some(host) = Host::nobody("the_selected_rule_decides") else {
        return;
    };
    let other = AgeKey::generate(&host.dir, "other");
    let (us, them) = (host.key.recipient.as_str(), other.recipient.as_str());
    host.put_for("mine/a.yaml", "k: 1\n", &[us, them]);
    host.put_for("theirs/open.yaml", "k: 2\n", &[us, them]);
    host.put_for("theirs/closed.yaml", "k: 3\n", &[them]);
    host.put_for("mine/later.yaml", "k: 4\n", &[them]);
    host.put("mine/none.yaml", "k: 5\n");
    host.rules(&[("none", &[them]), ("^mine/", &[us, them]), ("", &[them])]);
    host.configure("deliver: by-rules\n");
    let ran = host.once().expect(1);
    assert_eq!(host.delivered(), ["mine/a.yaml/k"]);
    assert!(
        ran.stderr.contains("`mine/later.yaml` is degraded"),
        "{ran}"
    );
    assert!(ran.stderr.contains("it awaits re-key"), "{ran}");
    assert_eq!(
        ran.stderr
            .matches("its rule does not name this host")
            .count(),
        2,
        "{ran}"
    );
    // A directory with rules of its own is a repository of its own.
    host.put("mine/nested/a.yaml", "k: 6\n");
    fs::copy(
        host.dir.join("repo/.sops.yaml"),
        host.dir.join("repo/mine/nested/.sops.yaml"),
    )
    .unwrap();
    host.once().expect(1);
    assert_eq!(host.delivered(), ["mine/a.yaml/k"]);
}

#[test]
fn what_the_rules_take_away_goes() {
    let Some(host) = Host::nobody("what_the_rules_take_away_goes") else {
        return;
    };
    let other = AgeKey::generate(&host.dir, "other");
    host.put("a.yaml", "k: 1\n");
    host.put("b.yaml", "k: 2\n");
    host.configure("deliver: by-rules\n");
    host.once().expect(0);
    host.rules(&[("^a", &[&other.recipient]), ("", &[&host.key.recipient])]);
    host.once().expect(0);
    assert_eq!(host.delivered(), ["b.yaml/k"]);
    fs::remove_file(host.dir.join("repo/b.yaml")).unwrap();
    host.once().expect(0);
    assert!(host.delivered().is_empty());
}

#[test]
fn a_damaged_file_is_not_gone() {
    let Some(host) = Host::nobody("a_damaged_file_is_not_gone") else {
        return;
    };
    host.put("a.yaml", "k: 1\nl: 2\n");
    host.put("b.yaml", "k: 2\n");
    host.configure("deliver: by-rules\n");
    host.once().expect(0);
    let good = host.dir.read("repo/a.yaml");
    for bad in ["", "k: plain\n", &good[..good.len() / 2], "{{{"] {
        host.dir.write("repo/a.yaml", bad);
        let ran = host.once().expect(1);
        assert!(
            ran.stderr.contains("`a.yaml/k`, `a.yaml/l` are degraded"),
            "{ran}"
        );
        assert_eq!(host.delivered(), ["a.yaml/k", "a.yaml/l", "b.yaml/k"]);
    }
    // One that was never delivered stands for its leaves.
    host.dir.write("repo/c.yaml", &good[..good.len() / 2]);
    let ran = host.once().expect(1);
    assert!(ran.stderr.contains("`c.yaml` is degraded"), "{ran}");
    // Broken rules change nothing.
    host.dir.write("repo/.sops.yaml", "creation_rules: [");
    let ran = host.once().expect(2);
    assert!(ran.stderr.contains(".sops.yaml:"), "{ran}");
    assert_eq!(host.delivered(), ["a.yaml/k", "a.yaml/l", "b.yaml/k"]);
}

#[test]
fn two_files_with_one_path_are_both_degraded() {
    let Some(host) = Host::nobody("two_files_with_one_path_are_both_degraded") else {
        return;
    };
    host.put("secrets/a.txt", "one");
    host.put("a.txt", "two");
    host.put("b.txt", "three");
    host.put("c", "four");
    host.put("secrets/c/d.txt", "five");
    host.configure(BY_RULES);
    let ran = host.once().expect(1);
    assert!(
        ran.stderr
            .contains("`a.txt` and `secrets/a.txt` both arrive at `a.txt`"),
        "{ran}"
    );
    assert!(
        ran.stderr
            .contains("`c` cannot be a file and the directory of `c/d.txt`"),
        "{ran}"
    );
    assert_eq!(host.delivered(), ["b.txt"]);
}

#[test]
fn settings_by_path() {
    let Some(host) = Host::nobody("settings_by_path") else {
        return;
    };
    host.put("secrets/db/a.yaml", "user: x\npassword: y\n");
    host.put("secrets/b.txt", "z");
    host.configure(&format!(
        "{BY_RULES}defaults: {{ mode: \"0440\" }}\nmatch:\n  - {{ path: \"db/**/password\", mode: \"0400\" }}\n  - {{ path: \"db/**\", mode: \"0444\" }}\n\
         templates:\n  t: {{ content: '{{{{ secret(\"db/a.yaml/user\") }}}}', mode: \"0640\" }}\n"
    ));
    host.once().expect(0);
    let modes = host
        .sh("cd $D/run/secrets && stat -c '%n %a' b.txt db/a.yaml/user db/a.yaml/password t")
        .expect(0);
    assert_eq!(
        modes.text(),
        "b.txt 440\ndb/a.yaml/user 444\ndb/a.yaml/password 400\nt 640\n"
    );
    assert_eq!(host.secret("t"), b"x");
}

#[test]
fn links_in_the_repository_have_the_rule_of_their_own_path() {
    let Some(host) = Host::nobody("links_in_the_repository") else {
        return;
    };
    let other = AgeKey::generate(&host.dir, "other");
    host.put("common/a.yaml", "k: 1\n");
    fs::create_dir(host.dir.join("repo/s1")).unwrap();
    symlink("../common/a.yaml", host.dir.join("repo/s1/a.yaml")).unwrap();
    host.rules(&[
        ("^common/", &[&other.recipient]),
        ("^s1/", &[&host.key.recipient]),
    ]);
    host.configure("deliver: by-rules\nrollback-guard: true\n");
    let ran = host.once().expect(0);
    assert!(!ran.stderr.contains("data key"), "{ran}");
    assert_eq!(host.delivered(), ["s1/a.yaml/k"]);
}

#[test]
fn no_configuration_is_needed() {
    let Some(host) = Host::nobody("no_configuration_is_needed") else {
        return;
    };
    host.put("a.yaml", "k: 1\n");
    let mut command = host.secretsd();
    command
        .args(["--once", "--repository"])
        .arg(host.dir.join("repo"))
        .arg("--identity")
        .arg(host.dir.join("key.txt"));
    run(&mut command).expect(2);
    run(command.env("XDG_RUNTIME_DIR", host.dir.join("run"))).expect(0);
    assert_eq!(host.secret("a.yaml/k"), b"1");

    let ran = host.sh("rm -r $D/run/secrets*; exec $S --once --repository $D/repo --identity $D/none --runtime-directory $D/run/secrets");
    let ran = ran.expect(2);
    assert!(ran.stderr.contains("/none"), "{ran}");
    assert!(ran.stderr.contains("no identity can be used"), "{ran}");
}

#[test]
fn an_identity_that_is_gone_takes_nothing_away() {
    let Some(host) = Host::nobody("an_identity_that_is_gone_takes_nothing_away") else {
        return;
    };
    host.put("a.yaml", "k: 1\n");
    host.configure("deliver: by-rules\n");
    host.once().expect(0);
    fs::remove_file(host.dir.join("key.txt")).unwrap();
    let ran = host.once().expect(0);
    assert!(ran.stderr.contains("secretsd: warning: "), "{ran}");
    assert_eq!(host.delivered(), ["a.yaml/k"]);
    host.put("a.yaml", "k: 2\n");
    host.once().expect(1);
    assert_eq!(host.secret("a.yaml/k"), b"1");
}

#[test]
fn rules_cut_short_take_nothing_away() {
    let Some(host) = Host::nobody("rules_cut_short_take_nothing_away") else {
        return;
    };
    host.put("a.yaml", "k: 1\n");
    host.configure("deliver: by-rules\n");
    host.once().expect(0);
    for cut in ["", "# rules\n", "stores: {}\n"] {
        host.dir.write("repo/.sops.yaml", cut);
        let ran = host.once().expect(2);
        assert!(ran.stderr.contains("no creation_rules"), "{ran}");
        assert!(ran.stderr.contains(".sops.yaml:1:1\n"), "{ran}");
        assert_eq!(host.delivered(), ["a.yaml/k"]);
    }
    // This one says that nothing is for anybody.
    host.dir.write("repo/.sops.yaml", "creation_rules: []\n");
    host.once().expect(0);
    assert!(host.delivered().is_empty());
}
