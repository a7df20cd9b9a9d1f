//! Where secrets arrive: mounts, links, what stands in their place, generations, users without root.

use serde_json::json;

use super::{MOUNT, world::World};

#[test]
fn file_systems() {
    let Some(world) = World::new("file_systems") else {
        return;
    };
    let secret = || world.secret("plain", "db.yaml", &json!({}));
    let ramfs = world.manifest(&[secret()], &json!({}));
    let tmpfs = world.manifest(&[secret()], &json!({ "useTmpfs": true }));
    world.both("tmpfs, twice", |stage| {
        stage.install(&tmpfs).expect(0);
        stage.install(&tmpfs).expect(0);
        let mounts = stage
            .tree()
            .into_iter()
            .filter(|line| line.starts_with("mount"));
        let mounts: Vec<String> = mounts.collect();
        assert_eq!(
            mounts,
            ["mount /run/secrets.d rw,nosuid,nodev,noexec,relatime tmpfs none"]
        );
        // Older kernels know no noswap.
        let known =
            "mkdir /run/try; mount -t tmpfs -o noswap try /run/try 2>/dev/null && echo yes || :";
        let options = stage
            .sh("grep ' /run/secrets.d ' /proc/self/mountinfo")
            .text()
            .to_owned();
        assert_eq!(
            options.contains("noswap"),
            stage.sh(known).text() == "yes\n",
            "{options}"
        );
    });
    world.both("another kind comes on top", |stage| {
        stage.install(&tmpfs).expect(0);
        stage.install(&ramfs).expect(0);
        assert_eq!(
            stage
                .tree()
                .iter()
                .filter(|line| line.starts_with("mount"))
                .count(),
            2
        );
        assert_eq!(stage.sh("cat /run/secrets/plain").text(), "text");
    });
    // What fails after the mount: `x` is a file and cannot be a directory.
    let impossible = world.manifest(
        &[
            world.secret("x", "db.yaml", &json!({})),
            world.secret("x/y", "db.yaml", &json!({})),
        ],
        &json!({}),
    );
    world.ours(
        "another kind does not come on top of what it fails to replace",
        |stage| {
            stage.install(&tmpfs).expect(0);
            let before = stage.tree();
            stage.install(&impossible).expect(1);
            assert_eq!(stage.tree(), before);
            assert_eq!(stage.sh("cat /run/secrets/plain").text(), "text");
        },
    );
    let both = world.manifest(
        &[world.secret("pw", "db.yaml", &json!({ "key": "database/password", "path": "/run/secrets-for-users/pw" }))],
        &json!({ "secretsMountPoint": "/run/secrets-for-users.d", "symlinkPath": "/run/secrets-for-users" }),
    );
    world.both("two manifests", |stage| {
        stage.call("-ignore-passwd %", &both).expect(0);
        stage.install(&ramfs).expect(0);
        stage.expect_tree(&[
            "./secrets -> /run/secrets.d/1 0:0",
            "./secrets-for-users -> /run/secrets-for-users.d/1 0:0",
            "./secrets-for-users.d/ 751 0:0",
            "./secrets-for-users.d/1/ 751 0:0",
            "./secrets-for-users.d/1/pw 400 0:0 hunter2",
            "./secrets.d/ 751 0:K",
            "./secrets.d/1/ 751 0:K",
            "./secrets.d/1/plain 400 0:0 text",
            "mount /run/secrets-for-users.d rw,nosuid,nodev,noexec,relatime ramfs none",
            MOUNT,
        ]);
    });
    let deep = world.manifest(
        &[secret()],
        &json!({ "secretsMountPoint": "/run/x/y//z/", "symlinkPath": "/run/l/m/../s" }),
    );
    world.ours("directories on the way", |stage| {
        stage.install(&deep).expect(0);
        assert_eq!(
            stage
                .sh("stat -c '%a %n' /run/x /run/x/y /run/l; readlink /run/l/s")
                .text(),
            "751 /run/x\n751 /run/x/y\n755 /run/l\n/run/x/y/z/1\n"
        );
    });
    for (field, name) in [
        ("secretsMountPoint", "no mount point"),
        ("symlinkPath", "no link"),
    ] {
        let manifest = world.manifest(&[secret()], &json!({ field: "" }));
        world.both(name, |stage| {
            stage.install(&manifest).expect(1);
        });
    }
}

#[test]
fn the_umask_counts_as_it_always_did() {
    let Some(world) = World::new("the_umask_counts_as_it_always_did") else {
        return;
    };
    let manifest = world.manifest(
        &[
            world.secret(
                "plain",
                "db.yaml",
                &json!({ "mode": "0666", "path": "/run/out/p" }),
            ),
            world.secret("a/b", "db.yaml", &json!({ "key": "plain", "mode": "0440" })),
        ],
        &json!({
            "placeholderBySecretName": { "plain": "<p>", "a/b": "<b>" },
            "templates": [{ "name": "t", "path": "/run/t", "mode": "0666", "content": "<p>" }],
        }),
    );
    for umask in ["000", "002", "027", "077"] {
        world.both(umask, |stage| {
            let path = world.host.dir.write("manifest.json", manifest.to_string());
            let script = format!("umask {umask}; exec {} {}", stage.program(), path.display());
            stage.sh(&script).expect(0);
            stage.tree();
        });
    }
}

#[test]
fn generations() {
    let Some(world) = World::new("generations") else {
        return;
    };
    let manifest = |keep: i64| {
        let secret = world.secret("plain", "db.yaml", &json!({}));
        world.manifest(&[secret], &json!({ "keepGenerations": keep }))
    };
    world.both("pruning", |stage| {
        stage.install(&manifest(1)).expect(0);
        stage
            .sh("cd /run/secrets.d; i=2; while [ $i -le 99 ]; do mkdir $i; touch $i/x; i=$((i+1)); done; \
                 mkdir non-numeric 007 200 -- -5; touch +3; ln -sfn /run/secrets.d/99 /run/secrets")
            .expect(0);
        stage.install(&manifest(10)).expect(0);
        let left = stage.sh("ls /run/secrets.d | grep -v age-keys | LC_ALL=C sort | tr '\\n' ' '");
        assert_eq!(left.text(), "100 200 91 92 93 94 95 96 97 98 99 non-numeric ");
        stage.tree();
    });
    for keep in [0, 1, 2, -1] {
        world.both(&format!("keep {keep}"), |stage| {
            for _ in 0..4 {
                stage.install(&manifest(keep)).expect(0);
            }
            stage.tree();
        });
    }
    world.both("what an interrupted run left", |stage| {
        stage.install(&manifest(0)).expect(0);
        stage
            .sh("mkdir -p /run/secrets.d/2/old; touch /run/secrets.d/2/old/x")
            .expect(0);
        stage.install(&manifest(0)).expect(0);
        stage.tree();
    });
    world.both("no link any more", |stage| {
        for _ in 0..3 {
            stage.install(&manifest(0)).expect(0);
        }
        stage.sh("rm /run/secrets").expect(0);
        stage.install(&manifest(0)).expect(0);
        assert_eq!(
            stage.sh("readlink /run/secrets").text(),
            "/run/secrets.d/1\n"
        );
        stage.tree();
    });
    for (name, target, code) in [
        ("a link elsewhere", "/nonexistent/7", 0),
        ("a link to a directory elsewhere", "/run/elsewhere", 0),
        ("a link that leads nowhere", "/run/secrets.d/7", 0),
        ("a link to no generation", "/run/secrets.d/x", 1),
        (
            "a link to a generation of others",
            "/run/secrets.d.other/4",
            0,
        ),
    ] {
        world.both(name, |stage| {
            stage.sh(&format!("mkdir /run/elsewhere; : > /run/elsewhere/plain; : > /run/elsewhere/gone; ln -s {target} /run/secrets")).expect(0);
            stage.install(&manifest(1)).expect(code);
            if code == 0 {
                stage.tree();
            }
        });
    }
    world.ours("a link in a circle", |stage| {
        stage.install(&manifest(1)).expect(0);
        stage
            .sh("ln -s .. /run/secrets.d/1/up; ln -s . /run/secrets.d/1/here")
            .expect(0);
        let ran = stage.install(&manifest(1)).expect(0);
        assert_eq!(ran.text(), "");
    });
    world.ours("two at once", |stage| {
        let path = world.host.dir.write("manifest.json", manifest(0).to_string());
        let one = format!("{} {}", stage.program(), path.display());
        stage.sh(&format!("for i in 1 2 3 4 5 6; do {one} & done; wait; ls /run/secrets.d | wc -l; readlink /run/secrets; grep -c secrets.d /proc/self/mountinfo")).expect(0);
        assert_eq!(stage.sh("ls -A /run/secrets.d | tr '\\n' ' '; readlink /run/secrets; grep -c ' /run/secrets.d ' /proc/self/mountinfo").text(), "1 2 3 4 5 6 /run/secrets.d/6\n1\n");
    });
}

#[test]
fn what_stands_in_the_way() {
    let Some(world) = World::new("what_stands_in_the_way") else {
        return;
    };
    let elsewhere = json!({ "path": "/run/out/plain", "owner": "nobody" });
    let manifest = world.manifest(&[world.secret("plain", "db.yaml", &elsewhere)], &json!({}));
    for (name, script) in [
        ("an empty file", "mkdir /run/out; : > /run/out/plain"),
        ("an empty directory", "mkdir -p /run/out/plain"),
        (
            "another link",
            "mkdir /run/out; ln -s /etc/passwd /run/out/plain",
        ),
        (
            "a link to nothing",
            "mkdir /run/out; ln -s nothing /run/out/plain",
        ),
        (
            "our link, for another owner",
            "mkdir /run/out; ln -s /run/secrets/plain /run/out/plain",
        ),
        ("an empty directory for the link", "mkdir /run/secrets"),
        (
            "a directory of somebody else",
            "mkdir -m 777 /run/out; chown nobody /run/out",
        ),
        ("a way over a link", "mkdir /run/real; ln -s real /run/out"),
    ] {
        world.both(name, |stage| {
            stage.sh(script).expect(0);
            stage.install(&manifest).expect(0);
            stage.install(&manifest).expect(0);
            assert_eq!(stage.sh("cat /run/out/plain").text(), "text");
            stage.tree();
        });
    }
    // Refused before anything is switched, and nothing is lost.
    for (name, script, kept) in [
        (
            "a file with content",
            "mkdir /run/out; echo mine > /run/out/plain",
            "/run/out/plain",
        ),
        (
            "a directory with content",
            "mkdir -p /run/out/plain; echo mine > /run/out/plain/x",
            "/run/out/plain/x",
        ),
        (
            "a directory with content for the link",
            "mkdir /run/secrets; echo mine > /run/secrets/x",
            "/run/secrets/x",
        ),
        (
            "a file with content for the link",
            "echo mine > /run/secrets",
            "/run/secrets",
        ),
    ] {
        world.ours(name, |stage| {
            stage.sh(script).expect(0);
            let before = stage.tree();
            let ran = stage.install(&manifest).expect(1);
            assert!(ran.stderr.contains("has content already"), "{ran}");
            assert_eq!(stage.tree(), before);
            assert_eq!(stage.sh(&format!("cat {kept}")).text(), "mine\n");
        });
    }
    world.both("a parent that is a file", |stage| {
        stage.sh(": > /run/out").expect(0);
        stage.install(&manifest).expect(1);
        if !stage.is_original {
            stage.expect_listing(&["./out 644 0:0 "]);
        }
    });
    let both = world.manifest(
        &[
            world.secret(
                "plain",
                "db.yaml",
                &json!({ "path": "/proc/none/x", "restartUnits": ["a.service"] }),
            ),
            world.secret(
                "pw",
                "db.yaml",
                &json!({ "key": "database/password", "path": "/run/out/pw" }),
            ),
        ],
        &json!({}),
    );
    world.ours("one link that cannot be made", |stage| {
        stage.install(&world.manifest(&[], &json!({}))).expect(0);
        let ran = stage.install(&both).expect(1);
        assert!(
            ran.stderr.contains("the link /proc/none/x cannot be made"),
            "{ran}"
        );
        assert_eq!(ran.text(), "adding secrets: plain, pw\n");
        let left =
            stage.sh("cat /run/out/pw /run/nixos/activation-restart-list; ls -A /run/secrets.d");
        assert_eq!(left.text(), "hunter2a.service\n2\n");
    });
    let inside = world.manifest(
        &[world.secret(
            "plain",
            "db.yaml",
            &json!({ "path": "/run/secrets/alias/x" }),
        )],
        &json!({}),
    );
    world.both("a link in the generation", |stage| {
        stage.install(&inside).expect(0);
        let again = stage.install(&inside).expect(0);
        assert_eq!(again.text(), "removing secret: alias/x\n");
        assert_eq!(stage.sh("cat /run/secrets/alias/x").text(), "text");
        stage.tree();
    });
    let twice = world.manifest(
        &[
            world.secret("plain", "db.yaml", &json!({ "mode": "0444", "owner": "nobody" })),
            world.secret("./plain", "db.yaml", &json!({ "key": "database/password", "path": "/run/secrets/plain", "mode": "0400" })),
        ],
        &json!({}),
    );
    world.both("one place for two", |stage| {
        stage.install(&twice).expect(0);
        stage.tree();
    });
}

#[test]
fn user_mode() {
    let Some(world) = World::new("user_mode") else {
        return;
    };
    let manifest = world.manifest(
        &[
            world.secret("plain", "db.yaml", &json!({ "path": "/run/home/.config/%%r/plain", "uid": 5, "mode": "0600" })),
            world.secret("deep/pw", "db.yaml", &json!({ "key": "database/password", "path": "%r/s/deep/pw" })),
        ],
        &json!({
            "userMode": true, "secretsMountPoint": "%r/s.d", "symlinkPath": "%r/s", "keepGenerations": 1,
            "placeholderBySecretName": { "plain": "<p>", "deep/pw": "<d>" },
            "templates": [{ "name": "t", "path": "%r/t", "mode": "0440", "content": "<d>" }],
        }),
    );
    world.both("as nobody", |stage| {
        stage.sh("mkdir -p /run/user/7 /run/home; chown nobody:nogroup /run/user/7 /run/home; chown nobody $D/key.txt").expect(0);
        let path = world.host.dir.write("manifest.json", manifest.to_string());
        let script = format!(
            "export XDG_RUNTIME_DIR=/run/user/7; for i in 1 2; do \
             setpriv --reuid 65534 --regid 65534 --clear-groups {} -ignore-passwd {}; done",
            stage.program(),
            path.display()
        );
        let ran = stage.sh(&script).expect(0);
        assert_eq!(ran.text(), "");
        stage.expect_tree(&[
            "./home/ 755 65534:65534",
            "./home/.config/ 755 65534:65534",
            "./home/.config/%r/ 755 65534:65534",
            "./home/.config/%r/plain -> /run/user/7/s/plain 65534:65534",
            "./user/ 755 0:0",
            "./user/7/ 755 65534:65534",
            "./user/7/s -> /run/user/7/s.d/2 65534:65534",
            "./user/7/s.d/ 751 65534:65534",
            "./user/7/s.d/2/ 751 65534:65534",
            "./user/7/s.d/2/deep/ 751 65534:65534",
            "./user/7/s.d/2/deep/pw 400 65534:65534 hunter2",
            "./user/7/s.d/2/plain 600 65534:65534 text",
            "./user/7/s.d/2/rendered/ 751 65534:65534",
            "./user/7/s.d/2/rendered/t 440 65534:65534 hunter2",
            "./user/7/t -> /run/user/7/s/rendered/t 65534:65534",
        ].map(|line| if line.contains("%r/ 755") { "./home/.config/%r/ 755 65534:65534" } else { line }));
        stage.sh("chown root $D/key.txt").expect(0);
    });
    world.both("without a runtime directory", |stage| {
        let ran = stage.call("-ignore-passwd %", &manifest).expect(1);
        assert!(ran.stderr.contains("XDG_RUNTIME_DIR"), "{ran}");
        stage.expect_tree(&[]);
    });
    world.both("dry", |stage| {
        stage.sh("mkdir /run/user").expect(0);
        let ran = stage
            .call(
                "NIXOS_ACTION=dry-activate XDG_RUNTIME_DIR=/run/user %",
                &manifest,
            )
            .expect(0);
        assert_eq!(ran.text(), "");
    });
}
