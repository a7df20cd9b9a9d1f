//! Whose keys open the files.

use std::process::Command;

use serde_json::json;

use super::world::World;
use crate::{plugin::Setup, support::run};

/// An SSH key pair in NAME and NAME.pub; its public half.
fn ssh_key(world: &World, name: &str, kind: &[&str]) -> String {
    let path = world.host.dir.join(name);
    let mut command = Command::new("ssh-keygen");
    run(command.args(["-q", "-C", "", "-f"]).arg(&path).args(kind)).expect(0);
    world.host.dir.read(format!("{name}.pub")).trim().to_owned()
}

/// The age recipient that is derived from an SSH key.
fn derived(world: &World, name: &str) -> String {
    let mut command = crate::support::ctl(["identity", "show", "--json", "-i"]);
    let shown = run(command.arg(world.host.dir.join(name))).expect(0);
    let at = shown.text().find("age1").unwrap();
    shown.text()[at..].split('"').next().unwrap().to_owned()
}

#[test]
fn ssh_keys() {
    let Some(world) = World::new("ssh_keys") else {
        return;
    };
    ssh_key(&world, "ed", &["-t", "ed25519", "-N", ""]);
    ssh_key(&world, "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    ssh_key(&world, "sealed", &["-t", "ed25519", "-N", "secret"]);
    let recipient = derived(&world, "ed");
    world
        .host
        .put_for("ssh.yaml", "plain: from ssh\n", &[&recipient]);
    let path = |name: &str| world.host.dir.join(name).display().to_string();
    let secret = || world.secret("plain", "ssh.yaml", &json!({}));
    let paths = json!([path("none"), path("rsa"), path("sealed"), path("ed")]);
    let manifest = world.manifest(
        &[secret()],
        &json!({ "ageKeyFile": null, "ageSshKeyPaths": paths }),
    );
    world.both("derived", |stage| {
        let ran = stage.install(&manifest).expect(0);
        let imported = format!(
            "sops-install-secrets: Imported {} as age key with fingerprint {recipient}\n",
            path("ed")
        );
        if !stage.is_original {
            assert!(ran.stderr.contains(&imported), "{ran}");
            for unused in ["none", "rsa", "sealed"] {
                assert!(
                    ran.stderr
                        .contains(&format!("the SSH key {} is not used: ", path(unused))),
                    "{ran}"
                );
            }
        }
        assert_eq!(ran.text(), "");
        stage.tree();
    });
    let both = world.manifest(
        &[
            secret(),
            world.secret("x", "db.yaml", &json!({ "key": "plain" })),
        ],
        &json!({ "ageSshKeyPaths": [path("ed")] }),
    );
    world.both("beside a key file", |stage| {
        stage.install(&both).expect(0);
        stage.tree();
    });
    world.both("a key file that is not there", |stage| {
        let mut manifest = both.clone();
        manifest["ageKeyFile"] = json!("/nonexistent");
        let ran = stage.install(&manifest).expect(1);
        assert_eq!(ran.text(), "");
    });
    world.both("a damaged key file", |stage| {
        world.host.dir.write("damaged.txt", "AGE-SECRET-KEY-1\n");
        let mut manifest = both.clone();
        manifest["ageKeyFile"] = json!(path("damaged.txt"));
        stage.install(&manifest).expect(1);
    });
    world.both("no key at all", |stage| {
        let manifest = world.manifest(
            &[secret()],
            &json!({ "ageKeyFile": null, "ageSshKeyPaths": [path("none")] }),
        );
        stage.install(&manifest).expect(1);
        stage
            .install(&world.manifest(&[], &json!({ "ageKeyFile": null })))
            .expect(0);
        stage.tree();
    });
}

#[test]
fn what_sops_would_use() {
    let Some(world) = World::new("what_sops_would_use") else {
        return;
    };
    let secret = |file: &str, key: &str| world.secret("s", file, &json!({ "key": key }));
    let ours = world.host.key.file.display().to_string();
    let other = world.other.file.display().to_string();
    world.host.dir.write(
        "home/.config/sops/age/keys.txt",
        std::fs::read(&world.other.file).unwrap(),
    );
    let home = world.host.dir.join("home").display().to_string();
    let without = json!({ "ageKeyFile": null });
    for (name, call, manifest, code) in [
        (
            "a variable's file",
            format!("SOPS_AGE_KEY_FILE={ours} %"),
            world.manifest(&[secret("db.yaml", "plain")], &without),
            0,
        ),
        (
            "nothing",
            "%".to_owned(),
            world.manifest(&[secret("db.yaml", "plain")], &without),
            1,
        ),
        // The manifest's keys come in its place.
        (
            "a variable's file beside a key",
            format!("SOPS_AGE_KEY_FILE={other} %"),
            world.manifest(&[secret("foreign.yaml", "x")], &json!({})),
            1,
        ),
        (
            "a variable beside a key",
            format!("SOPS_AGE_KEY={} %", world.other.secret),
            world.manifest(&[secret("foreign.yaml", "x")], &json!({})),
            0,
        ),
        (
            "the user's",
            format!("XDG_CONFIG_HOME={home}/.config %"),
            world.manifest(&[secret("foreign.yaml", "x")], &json!({})),
            0,
        ),
    ] {
        world.both(name, |stage| {
            stage.call(&call, &manifest).expect(code);
            if code == 0 {
                stage.tree();
            }
        });
    }
}

#[test]
fn plugins_are_found_on_path() {
    let Some(world) = World::new("plugins_are_found_on_path") else {
        return;
    };
    let Some(plugin) = Setup::new() else {
        return;
    };
    let file = json!({ "sopsFile": plugin.file });
    let key = json!({ "ageKeyFile": plugin.identity });
    let manifest = world.manifest(&[world.secret("password", "", &file)], &key);
    let path = format!("PATH={}:/usr/bin:/bin", plugin.plugins.display());
    world.both("on PATH", |stage| {
        stage
            .call(&format!("{path} TOY_LOG=/dev/null %"), &manifest)
            .expect(0);
        stage.tree();
    });
    world.both("nowhere", |stage| {
        stage.call("PATH=/usr/bin:/bin %", &manifest).expect(1);
    });
}

#[test]
fn no_keys_are_left() {
    let Some(world) = World::new("no_keys_are_left") else {
        return;
    };
    let manifest = world.manifest(&[world.secret("plain", "db.yaml", &json!({}))], &json!({}));
    world.ours("no key file", |stage| {
        stage.install(&manifest).expect(0);
        assert_eq!(stage.sh("ls -A /run/secrets.d").text(), "1\n");
        // What the original left before goes.
        stage
            .sh("echo AGE-SECRET-KEY-1 > /run/secrets.d/age-keys.txt")
            .expect(0);
        stage.install(&manifest).expect(0);
        assert_eq!(stage.sh("ls -A /run/secrets.d").text(), "2\n");
    });
}

#[test]
fn gnupg_is_refused_or_ignored_aloud() {
    let Some(world) = World::new("gnupg_is_refused_or_ignored_aloud") else {
        return;
    };
    let secret = || world.secret("plain", "db.yaml", &json!({}));
    let rsa = json!({ "sshKeyPaths": ["/etc/ssh/ssh_host_rsa_key"] });
    let beside = world.manifest(&[secret()], &rsa);
    world.ours("beside an age key", |stage| {
        let ran = stage.install(&beside).expect(0);
        assert!(
            ran.stderr.contains("warning: GnuPG is not supported"),
            "{ran}"
        );
        assert_eq!(stage.sh("ls -A /run/secrets.d").text(), "1\n");
    });
    for (name, more) in [
        (
            "SSH keys alone",
            json!({ "ageKeyFile": null, "sshKeyPaths": ["/etc/ssh/ssh_host_rsa_key"] }),
        ),
        (
            "a home alone",
            json!({ "ageKeyFile": null, "gnupgHome": "/root/.gnupg" }),
        ),
    ] {
        let manifest = world.manifest(&[secret()], &more);
        world.ours(name, |stage| {
            let ran = stage.install(&manifest).expect(1);
            assert!(
                ran.stderr
                    .contains("GnuPG is not supported, and the manifest names no age key"),
                "{ran}"
            );
            stage.expect_tree(&[]);
            stage.call("-check-mode=sopsfile %", &manifest).expect(0);
        });
    }
}
