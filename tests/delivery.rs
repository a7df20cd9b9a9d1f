//! `secretsd --once`: what arrives, for whom, and what happens when something is wrong.

use std::{fs, os::unix::fs::symlink, path::Path, process::Stdio, time::Duration};

use crate::{
    host::{Host, NOBODY},
    support::{AgeKey, Dir, not_run, run},
};

const DATABASE: &str = "database:\n    password: hunter2\n    port: 5432\n    hosts:\n        - a\n        - b\n    none: null\n";

#[test]
fn configured_secrets_arrive_with_owner_and_mode() {
    let Some(host) = Host::root("configured_secrets_arrive_with_owner_and_mode") else {
        return;
    };
    host.put("db.yaml", DATABASE);
    host.put("tls.txt", "key\nwithout end");
    host.configure(
        "defaults: { file: db.yaml, mode: \"0440\" }\nsecrets:\n  password: { key: [database, password], owner: nobody, group: \"12\" }\n  \
         port: { key: database/port }\n  second: { key: database/hosts/1 }\n  nothing: { key: database/none }\n  \
         deep/er/tls.key: { file: tls.txt, mode: \"0604\" }\n  whole: {}\n",
    );
    let ran = host.once().expect(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(
        host.delivered(),
        [
            "deep/er/tls.key",
            "nothing",
            "password",
            "port",
            "second",
            "whole"
        ]
    );
    assert_eq!(host.secret("password"), b"hunter2");
    assert_eq!(host.secret("port"), b"5432");
    assert_eq!(host.secret("second"), b"b");
    assert_eq!(host.secret("nothing"), b"");
    assert_eq!(host.secret("deep/er/tls.key"), b"key\nwithout end");
    assert_eq!(host.secret("whole"), DATABASE.as_bytes());
    let modes = host.sh("cd $D/run/secrets/ && stat -c '%n %a %u %g' . password port deep deep/er deep/er/tls.key").expect(0);
    let expected = format!(
        ". 751 0 0\npassword 440 {NOBODY} 12\nport 440 0 0\ndeep 751 0 0\ndeep/er 751 0 0\ndeep/er/tls.key 604 0 0\n"
    );
    assert_eq!(modes.text(), expected);
    // The umask of the caller is not part of it.
    host.sh("umask 0777; rm $D/run/secrets; umount $D/run/secrets.d; $S --once --config $D/etc/secretsd.yaml").expect(0);
    let again = host.sh("cd $D/run/secrets/ && stat -c '%n %a %u %g' . password port deep deep/er deep/er/tls.key").expect(0);
    assert_eq!(again.text(), expected);
}

#[test]
fn root_gets_memory_that_never_swaps() {
    let Some(host) = Host::root("root_gets_memory_that_never_swaps") else {
        return;
    };
    host.once().expect(0);
    let mounts = host
        .sh("grep $D/run/secrets.d /proc/self/mountinfo")
        .expect(0);
    let options = mounts.text();
    assert_eq!(options.lines().count(), 1, "{options}");
    assert!(options.contains("nosuid,nodev,noexec"), "{options}");
    assert!(
        options.contains(" - ramfs ") || options.contains("noswap"),
        "{options}"
    );
    let link = host.sh("readlink $D/run/secrets").expect(0);
    assert_eq!(
        link.text().trim_end(),
        host.dir.join("run/secrets.d/1").to_str().unwrap()
    );
    // A second run finds its own mount, and writes no generation without need.
    host.once().expect(0);
    assert_eq!(
        host.sh("grep -c $D/run/secrets.d /proc/self/mountinfo")
            .text(),
        "1\n"
    );
    assert_eq!(host.sh("ls $D/run/secrets.d").text(), "1\n");
}

#[test]
fn one_bad_secret_keeps_its_last_good_value() {
    let Some(host) = Host::nobody("one_bad_secret_keeps_its_last_good_value") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.put("b.yaml", "x: two\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n  b: { file: b.yaml, key: x }\n");
    host.once().expect(0);
    let good = host.dir.read("repo/a.yaml");
    host.dir.write(
        "repo/a.yaml",
        good.replace("x: ENC[AES256_GCM,data:", "x: ENC[AES256_GCM,data:A"),
    );
    host.put("b.yaml", "x: three\n");
    let ran = host.once().expect(1);
    assert!(
        ran.stderr.contains("secretsd: error: `a` is degraded: "),
        "{ran}"
    );
    assert!(
        ran.stderr
            .contains(&format!("  --> {}", host.dir.join("repo/a.yaml").display())),
        "{ran}"
    );
    assert_eq!(
        (host.secret("a"), host.secret("b")),
        (b"one".to_vec(), b"three".to_vec())
    );
    // A missing file, a missing key, an empty file.
    fs::remove_file(host.dir.join("repo/a.yaml")).unwrap();
    host.once().expect(1);
    host.put("a.yaml", "y: other\n");
    host.once().expect(1);
    host.dir.write("repo/a.yaml", "");
    host.once().expect(1);
    assert_eq!(host.secret("a"), b"one");
    host.put("a.yaml", "x: four\n");
    host.once().expect(0);
    assert_eq!(host.secret("a"), b"four");
}

#[test]
fn without_any_good_value_nothing_is_delivered() {
    let Some(host) = Host::nobody("without_any_good_value_nothing_is_delivered") else {
        return;
    };
    let other = AgeKey::generate(&host.dir, "other");
    host.put_for("a.yaml", "x: one\n", &[&other.recipient]);
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n");
    let ran = host.once().expect(2);
    assert!(ran.stderr.contains("no identity opens the file"), "{ran}");
    assert!(!host.dir.exists("run/secrets"));
}

#[test]
fn unchanged_files_are_not_opened_again() {
    let Some(host) = Host::nobody("unchanged_files_are_not_opened_again") else {
        return;
    };
    host.put("a.yaml", "x: one\ny: two\n");
    host.put("b.yaml", "x: three\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n  b: { file: b.yaml, key: x }\n");
    host.once().expect(0);
    let inode = |name: &str| {
        host.sh(&format!("stat -L -c %i $D/run/secrets/{name}"))
            .expect(0)
            .text()
            .to_owned()
    };
    let before = inode("a");
    host.put("b.yaml", "x: four\n");
    host.once().expect(0);
    assert_eq!(inode("a"), before);
    // Without the key nothing could be opened.
    fs::remove_file(host.dir.join("key.txt")).unwrap();
    host.once().expect(0);
    assert_eq!(
        (host.secret("a"), host.secret("b")),
        (b"one".to_vec(), b"four".to_vec())
    );
    host.configure(
        "secrets:\n  a: { file: a.yaml, key: x, mode: \"0444\" }\n  b: { file: b.yaml, key: x }\n",
    );
    host.once().expect(0);
    assert_eq!(host.sh("stat -L -c %a $D/run/secrets/a").text(), "444\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: y }\n  b: { file: b.yaml, key: x }\n");
    host.once().expect(1);
}

#[test]
fn what_somebody_changed_is_made_good() {
    let Some(host) = Host::nobody("what_somebody_changed_is_made_good") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x, mode: \"0600\" }\n");
    host.once().expect(0);
    host.sh("echo other >$D/run/secrets/a").expect(0);
    host.once().expect(0);
    assert_eq!(host.secret("a"), b"one");
    host.sh("rm $D/run/secrets").expect(0);
    host.once().expect(0);
    assert_eq!(host.secret("a"), b"one");
}

#[test]
fn removed_secrets_go_with_their_links_and_from_kept_generations() {
    let Some(host) = Host::nobody("removed_secrets_go_with_their_links") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    let link = host.dir.join("run/app/x.key");
    let both = format!(
        "keep-generations: 3\nsecrets:\n  a: {{ file: a.yaml, key: x, path: {} }}\n  d/b: {{ file: a.yaml, key: x }}\n",
        link.display()
    );
    host.configure(&both);
    host.once().expect(0);
    assert_eq!(
        fs::read_link(&link).unwrap(),
        host.dir.join("run/secrets/a")
    );
    for value in ["two", "three", "four"] {
        host.put("a.yaml", format!("x: {value}\n"));
        host.once().expect(0);
    }
    assert_eq!(host.sh("ls $D/run/secrets.d").text(), "2\n3\n4\n");
    assert_eq!(host.sh("cat $D/run/secrets.d/*/a").text(), "twothreefour");
    // As a run leaves it that was killed after the switch.
    host.sh("mkdir -p $D/run/secrets.d/4/gone; echo old >$D/run/secrets.d/4/gone/x")
        .expect(0);
    host.configure("keep-generations: 3\nsecrets:\n  c: { file: a.yaml, key: x }\n");
    host.once().expect(0);
    assert!(link.symlink_metadata().is_err());
    assert_eq!(
        host.sh("cd $D/run/secrets.d; find . -type f ! -name '.state*'")
            .text(),
        "./5/c\n"
    );
    host.configure("");
    host.once().expect(0);
    assert_eq!(host.sh("ls $D/run/secrets.d").text(), "6\n");
    assert!(host.delivered().is_empty());
}

#[test]
fn links_are_made_only_where_they_are_safe() {
    let Some(host) = Host::nobody("links_are_made_only_where_they_are_safe") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    let refused = |path: &Path, reason: &str| {
        host.configure(&format!(
            "secrets:\n  a: {{ file: a.yaml, key: x, path: {} }}\n",
            path.display()
        ));
        let ran = host.once().expect(1);
        assert!(ran.stderr.contains(reason), "{ran}");
        // The value itself is there.
        assert_eq!(host.secret("a"), b"one");
    };
    host.sh("mkdir -p $D/run/full/dir; echo x >$D/run/full/dir/x; echo x >$D/run/full/file; mkdir -m 777 $D/run/open").expect(0);
    refused(&host.dir.join("run/open/x"), "can be written by");
    refused(&host.dir.join("run/open/deeper/x"), "can be written by");
    // Nor where somebody else can change a link on the way, nor among the generations by another name.
    host.sh("mkdir $D/run/safe; ln -s ../safe $D/run/open/way; ln -s secrets.d $D/run/alias")
        .expect(0);
    refused(&host.dir.join("run/open/way/x"), "can be written by");
    refused(&host.dir.join("run/alias/1/x"), "secretsd's own");
    assert!(host.sh("ls $D/run/safe").text().is_empty());
    refused(&host.dir.join("run/full/dir"), "has content already");
    refused(&host.dir.join("run/full/file"), "has content already");
    assert_eq!(host.dir.read("run/full/file"), "x\n");
    // What is empty, and other links, are replaced.
    host.sh("mkdir -p $D/run/free/dir; : >$D/run/free/file; ln -s /nowhere $D/run/free/link")
        .expect(0);
    for name in ["dir", "file", "link", "new/x"] {
        let path = host.dir.join("run/free").join(name);
        host.configure(&format!(
            "secrets:\n  a: {{ file: a.yaml, key: x, path: {} }}\n",
            path.display()
        ));
        host.once().expect(0);
        assert_eq!(fs::read_link(path).unwrap(), host.dir.join("run/secrets/a"));
    }
}

#[test]
fn a_repository_that_others_can_write_to_is_told() {
    let Some(host) = Host::nobody("a_repository_that_others_can_write_to_is_told") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n");
    let ran = host.once().expect(0);
    assert!(!ran.stderr.contains("can replace any secret"), "{ran}");
    for path in ["repo/.sops.yaml", "repo"] {
        let before = if path == "repo" { 0o755 } else { 0o644 };
        host.dir.chmod(path, 0o777);
        let ran = host.once().expect(0);
        assert!(ran.stderr.contains("can replace any secret"), "{ran}");
        host.dir.chmod(path, before);
    }
}

#[test]
fn a_missing_user_concerns_its_secret_alone() {
    let Some(host) = Host::root("a_missing_user_concerns_its_secret_alone") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x, owner: no-such-user }\n  b: { file: a.yaml, key: x, group: no-such-group }\n  c: { file: a.yaml, key: x }\n");
    let ran = host.once().expect(1);
    let file = host.dir.join("etc/secretsd.yaml");
    assert!(
        ran.stderr
            .contains("`a` is degraded: there is no user `no-such-user` on this machine"),
        "{ran}"
    );
    assert!(
        ran.stderr
            .contains(&format!("  --> {}:7:37\n", file.display())),
        "{ran}"
    );
    assert_eq!(host.delivered(), ["c"]);
}

#[test]
fn without_root_files_cannot_be_given_away() {
    let Some(host) = Host::nobody("without_root_files_cannot_be_given_away") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.configure(
        "secrets:\n  a: { file: a.yaml, key: x, owner: root }\n  c: { file: a.yaml, key: x }\n",
    );
    let ran = host.once().expect(1);
    assert!(ran.stderr.contains("only root may give the file"), "{ran}");
    assert_eq!(host.delivered(), ["c"]);
}

#[test]
fn an_unreadable_file_concerns_its_secrets_alone() {
    let Some(host) = Host::nobody("an_unreadable_file_concerns_its_secrets_alone") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.put("b.yaml", "x: two\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n  b: { file: b.yaml, key: x }\n");
    // Nobody may read what belongs to root and to no one else; whoever runs the tests may not read their own either.
    host.dir.chmod("repo/a.yaml", 0o000);
    let ran = host.once().expect(1);
    assert!(ran.stderr.contains("`a` is degraded"), "{ran}");
    assert_eq!(host.delivered(), ["b"]);
}

#[test]
fn a_file_that_leads_out_of_the_repository_is_refused() {
    let Some(host) = Host::nobody("a_file_that_leads_out_of_the_repository_is_refused") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    fs::rename(host.dir.join("repo/a.yaml"), host.dir.join("outside.yaml")).unwrap();
    symlink("../outside.yaml", host.dir.join("repo/a.yaml")).unwrap();
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n");
    let ran = host.once().expect(2);
    assert!(ran.stderr.contains("leads out of the repository"), "{ran}");
}

#[test]
fn a_full_file_system_changes_nothing() {
    let Some(host) = Host::root("a_full_file_system_changes_nothing") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n");
    host.sh(
        "mkdir -m 751 $D/run/secrets.d; mount -t tmpfs -o size=64k,mode=751 tmpfs $D/run/secrets.d",
    )
    .expect(0);
    host.once().expect(0);
    host.put("b.txt", vec![b'x'; 100_000]);
    host.put("a.yaml", "x: two\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n  b: { file: b.txt }\n");
    let before = host.sh("cd $D/run; find . -ls").text().to_owned();
    let ran = host.once().expect(2);
    assert!(ran.stderr.contains("no space is left in"), "{ran}");
    assert_eq!(host.secret("a"), b"one");
    assert_eq!(
        host.sh("cd $D/run; find . -ls").text().lines().count(),
        before.lines().count()
    );
    host.put("b.txt", "small");
    host.once().expect(0);
    assert_eq!(host.secret("a"), b"two");
}

#[test]
fn a_read_only_runtime_directory_changes_nothing() {
    let Some(host) = Host::root("a_read_only_runtime_directory_changes_nothing") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n");
    host.once().expect(0);
    host.put("a.yaml", "x: two\n");
    host.sh("mount -o remount,ro $D/run/secrets.d").expect(0);
    let ran = host.once().expect(2);
    assert!(
        ran.stderr.contains("read-only") || ran.stderr.contains("Read-only"),
        "{ran}"
    );
    assert_eq!(host.secret("a"), b"one");
}

#[test]
fn a_second_one_is_refused_and_a_stale_lock_is_none() {
    let Some(host) = Host::nobody("a_second_one_is_refused") else {
        return;
    };
    host.once().expect(0);
    let ran = host
        .sh("exec flock --no-fork $D/run/secrets.d $S --once --config $D/etc/secretsd.yaml")
        .expect(2);
    assert!(ran.stderr.contains("another secretsd is using"), "{ran}");
    host.once().expect(0);
}

#[test]
fn what_belongs_to_others_is_not_touched() {
    let Some(host) = Host::nobody("what_belongs_to_others_is_not_touched") else {
        return;
    };
    for (make, message) in [
        (
            "mkdir secrets; : >secrets/x",
            "is a directory in the place of the link",
        ),
        (": >secrets", "is a file in the place of the link"),
        (
            "ln -s /etc secrets",
            "is a link to /etc, which is not secretsd's",
        ),
        ("mkdir x; ln -s x secrets.d", "is a link"),
        (": >secrets.d", "is not a directory"),
        (
            "mkdir secrets.d; chmod 777 secrets.d",
            "can be written by others",
        ),
    ] {
        host.sh(&format!("cd $D/run; {make}")).expect(0);
        let before = host.sh("cd $D/run; find . -ls").text().lines().count();
        let ran = host.once().expect(2);
        assert!(ran.stderr.contains(message), "{ran}");
        assert!(ran.stderr.contains("  hint: "), "{ran}");
        let after = host.sh("cd $D/run; find . -ls").text().lines().count();
        assert_eq!(after, before, "{make}");
        host.sh("cd $D/run; rm -rf secrets secrets.d x").expect(0);
    }
    host.sh("mkdir $D/run/secrets").expect(0);
    host.once().expect(0);
    host.sh("rm -r $D/run/secrets; chmod 777 $D/run").expect(0);
    assert!(host.once().expect(2).stderr.contains("can be written by"));
}

#[test]
fn a_link_that_another_user_can_change_is_refused() {
    let Some(host) = Host::nobody("a_link_that_another_user_can_change_is_refused") else {
        return;
    };
    if !crate::support::is_root() {
        not_run(
            "a_link_that_another_user_can_change_is_refused",
            "it needs root, for another user",
        );
        return;
    }
    // As in /dev/shm: whoever comes first makes the link, and nobody else can replace it.
    std::os::unix::fs::chown(host.dir.join("run"), Some(0), Some(0)).unwrap();
    host.dir.chmod("run", 0o1777);
    let link = host.dir.join("run/secrets");
    std::os::unix::fs::symlink(host.dir.join("run/secrets.d/current"), &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
    let ran = host.once().expect(2);
    assert!(ran.stderr.contains("belongs to the user"), "{ran}");
    fs::remove_file(&link).unwrap();
    host.once().expect(0);
}

#[test]
fn the_link_can_be_somebody_elses() {
    let Some(host) = Host::nobody("the_link_can_be_somebody_elses") else {
        return;
    };
    host.put("a.yaml", "x: one\n");
    host.configure("secrets:\n  a: { file: a.yaml, key: x }\n");
    host.sh(
        "cd $D/run; mkdir -m 751 secrets.d; ln -s $D/run/secrets.d/current secrets; chmod 555 .",
    )
    .expect(0);
    host.once().expect(0);
    assert_eq!(host.secret("a"), b"one");
    assert_eq!(host.sh("readlink $D/run/secrets.d/current").text(), "1\n");
    host.put("a.yaml", "x: two\n");
    host.once().expect(0);
    assert_eq!(host.secret("a"), b"two");
}

#[test]
fn disk_and_the_nix_store_are_refused() {
    let Some(host) = Host::nobody("disk_and_the_nix_store_are_refused") else {
        return;
    };
    let disk = Dir::new();
    disk.chmod("", 0o777);
    let file_system = rustix::fs::statfs(disk.path()).unwrap();
    if file_system.f_type == 0x0102_1994 {
        not_run(
            "disk_and_the_nix_store_are_refused",
            "the directory for temporary files is on a memory file system",
        );
        return;
    }
    let place = disk.join("own");
    fs::create_dir(&place).unwrap();
    std::os::unix::fs::chown(&place, crate::support::is_root().then_some(NOBODY), None).unwrap();
    let once = |directory: &Path| {
        let mut command = host.secretsd();
        command
            .args(["--once", "--repository"])
            .arg(host.dir.join("repo"))
            .arg("--identity")
            .arg(host.dir.join("key.txt"));
        run(command.arg("--runtime-directory").arg(directory))
    };
    disk.chmod("", 0o755);
    let ran = once(&place.join("secrets")).expect(2);
    assert!(
        ran.stderr.contains("is not on a memory file system"),
        "{ran}"
    );
    assert!(ran.stderr.contains("allow-filesystems: ["), "{ran}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    // The store need not exist on this machine.
    let ran = once(Path::new("/nix/store/x/secrets")).expect(2);
    assert!(ran.stderr.contains("/nix/store"), "{ran}");
}

#[test]
fn a_kill_leaves_the_old_or_the_new_generation() {
    let Some(host) = Host::nobody("a_kill_leaves_the_old_or_the_new_generation") else {
        return;
    };
    const SECRETS: usize = 200;
    let mut entries = String::from("defaults: { file: a.yaml }\nsecrets:\n");
    let file = |value: &str| {
        (0..SECRETS)
            .map(|n| format!("k{n}: {value}\n"))
            .collect::<String>()
    };
    for n in 0..SECRETS {
        entries.push_str(&format!("  s{n}: {{ key: k{n} }}\n"));
    }
    host.configure(&entries);
    host.put("a.yaml", file("old"));
    host.once().expect(0);
    let versions: Vec<Vec<u8>> = ["new", "old"]
        .map(|value| {
            host.sops.encrypt(
                &host.dir,
                "a.yaml",
                file(value),
                &[&host.key.recipient],
                &[],
            )
        })
        .to_vec();
    for round in 0..60_u64 {
        host.dir.write(
            "repo/a.yaml",
            &versions[usize::try_from(round % 2).unwrap()],
        );
        let mut command = host.secretsd();
        command
            .args(["--once", "--config"])
            .arg(host.dir.join("etc/secretsd.yaml"));
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the whole run, whatever the speed of the machine is: later and later until it ends by itself.
        std::thread::sleep(Duration::from_micros(round * round * 40));
        child.kill().unwrap();
        child.wait().unwrap();
        let link = fs::read_link(host.dir.join("run/secrets")).unwrap();
        let values: Vec<Vec<u8>> = (0..SECRETS)
            .map(|n| fs::read(link.join(format!("s{n}"))).unwrap())
            .collect();
        assert!(
            values.iter().all(|value| value == &values[0]),
            "round {round}: a mixture"
        );
        assert!(values[0] == b"old" || values[0] == b"new");
    }
    // The next one cleans up.
    host.dir.write("repo/a.yaml", &versions[0]);
    host.once().expect(0);
    assert_eq!(host.secret("s0"), b"new");
    let left = host.sh("ls -A $D/run $D/run/secrets.d").expect(0);
    let names: Vec<&str> = left.text().lines().collect();
    let leftovers = names
        .iter()
        .filter(|name| name.contains("new") || name.ends_with('~'));
    assert_eq!(leftovers.count(), 0, "{left}");
    assert_eq!(
        names
            .iter()
            .filter(|name| name.starts_with(".state-"))
            .count(),
        1,
        "{left}"
    );
}

#[test]
fn no_value_is_said_aloud() {
    let Some(host) = Host::nobody("no_value_is_said_aloud") else {
        return;
    };
    host.put("a.yaml", "x: CANARY-1\nnumber: 7\n");
    host.configure(
        "secrets:\n  a: { file: a.yaml, key: x }\n  b: { file: a.yaml, key: x/y }\n  c: { file: a.yaml, key: nothing }\n\
         templates:\n  t: { content: '{{ secret(\"a\") | int }}' }\n  u: { content: '{{ secret(\"a\") + 1 }}' }\n",
    );
    let ran = host.once().expect(1);
    assert!(
        !ran.stderr.contains("CANARY") && !ran.text().contains("CANARY"),
        "{ran}"
    );
    let state = host.sh("cat $D/run/secrets.d/.state-*").expect(0);
    assert!(!state.text().contains("CANARY"), "{state}");
}

#[test]
fn a_way_into_the_nix_store_is_refused() {
    let Some(host) = Host::root("a_way_into_the_nix_store_is_refused") else {
        return;
    };
    // A root of its own, because a machine need not have a store.
    let root = host.sh(
        "mkdir $D/o; mount -t tmpfs tmpfs $D/o; cd $D/o; mkdir upper work root
         mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
         mkdir -p root/nix/store/abc root/etc/x; mount -t tmpfs tmpfs root/etc/x; mount --rbind $D root/etc/x
         ln -s /nix/store/abc root/run/store; cp $S root/usr/bin/secretsd; mount --bind /proc root/proc",
    );
    if root.code() != 0 {
        not_run(
            "a_way_into_the_nix_store_is_refused",
            "overlayfs cannot be mounted here",
        );
        return;
    }
    host.put("a.yaml", "k: 1\n");
    for directory in ["/nix/store/abc/secrets", "/run/store/secrets", "/run/store"] {
        let ran = host.sh(&format!(
            "exec chroot $D/o/root secretsd --once --repository /etc/x/repo --identity /etc/x/key.txt --runtime-directory {directory}"
        ));
        let ran = ran.expect(2);
        assert!(
            ran.stderr.contains("/nix/store, which everybody can read"),
            "{ran}"
        );
    }
    host.sh("test -z \"$(ls -A $D/o/root/nix/store/abc)\"; test ! -e $D/o/root/run/store.d")
        .expect(0);
    host.dir.write(
        "etc/store.yaml",
        "repository: /etc/x/repo\nruntime-directory: /run/s\nidentities: [{ age-key-file: /etc/x/key.txt }]\n\
         secrets: { a: { file: a.yaml, key: k, path: /run/store/a } }\n",
    );
    host.dir.chmod("etc/store.yaml", 0o600);
    let ran = host
        .sh("exec chroot $D/o/root secretsd --once --config /etc/x/etc/store.yaml")
        .expect(1);
    assert!(ran.stderr.contains("leads into /nix/store"), "{ran}");
    assert_eq!(
        host.sh("find $D/o/root/nix/store/abc -mindepth 1").text(),
        ""
    );
}
