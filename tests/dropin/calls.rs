//! Command lines, check modes, and manifests that are wrong.

use serde_json::{Value, json};

use super::world::World;

#[test]
fn command_lines_are_gos() {
    let Some(world) = World::new("command_lines_are_gos") else {
        return;
    };
    let manifest = world.manifest(&[world.secret("plain", "db.yaml", &json!({}))], &json!({}));
    for (call, code) in [
        ("--check-mode=manifest %", 0),
        ("-check-mode manifest %", 0),
        ("--check-mode sopsfile -ignore-passwd %", 0),
        ("-ignore-passwd=F -check-mode=sopsfile -- %", 0),
        // Wrongly called is well done there: nothing happens.
        ("-check-mode=manifest", 0),
        ("% -check-mode=manifest", 0),
        ("% %", 0),
        ("-ignore-passwd false %", 0),
        ("-h", 0),
        ("--help", 0),
        ("-check-mode=all %", 1),
        ("-check-mode= %", 1),
        ("-check-mode", 1),
        ("-ignore-passwd=maybe %", 1),
        ("--unknown %", 1),
        ("---check-mode=off %", 1),
        ("-=x %", 1),
        ("/nonexistent", 1),
        ("/", 1),
    ] {
        world.both(call, |stage| {
            let ran = stage.call(call, &manifest).expect(code);
            assert_eq!(ran.text(), "");
            stage.expect_tree(&[]);
            let is_check = code == 0 && call.contains('%') && call.ends_with('%');
            let is_silent = is_check && !call.contains("false") && call != "% %";
            assert_eq!(ran.stderr.is_empty(), is_silent, "{ran}");
        });
    }
}

#[test]
fn check_modes() {
    let Some(world) = World::new("check_modes") else {
        return;
    };
    let secret = |file: &str, more: Value| world.secret("plain", file, &more);
    for (name, secrets, more, manifest_code, file_code) in [
        ("fine", vec![secret("db.yaml", json!({}))], json!({}), 0, 0),
        (
            "keys and owners that are not here",
            vec![secret(
                "db.yaml",
                json!({ "owner": "no-such-user", "group": "none" }),
            )],
            json!({ "ageKeyFile": "/none", "sshKeyPaths": ["/none"], "ageSshKeyPaths": ["/none"] }),
            0,
            0,
        ),
        (
            "no path",
            vec![secret("db.yaml", json!({ "path": "" }))],
            json!({}),
            0,
            0,
        ),
        (
            "no file",
            vec![secret("none.yaml", json!({}))],
            json!({}),
            0,
            1,
        ),
        (
            "no key",
            vec![secret("db.yaml", json!({ "key": "other" }))],
            json!({}),
            0,
            1,
        ),
        (
            "no nested key",
            vec![secret("db.yaml", json!({ "key": "database/none/x" }))],
            json!({}),
            0,
            1,
        ),
        (
            "an empty part",
            vec![secret("db.yaml", json!({ "key": "database/" }))],
            json!({}),
            0,
            1,
        ),
        (
            "a mapping",
            vec![secret("db.yaml", json!({ "key": "database" }))],
            json!({}),
            0,
            1,
        ),
        (
            "a list",
            vec![secret("db.yaml", json!({ "key": "database/list" }))],
            json!({}),
            0,
            1,
        ),
        (
            "an element",
            vec![secret("db.yaml", json!({ "key": "database/list/0" }))],
            json!({}),
            0,
            1,
        ),
        (
            "null",
            vec![secret("db.yaml", json!({ "key": "database/none" }))],
            json!({}),
            0,
            1,
        ),
        // Encrypted it is a text.
        (
            "a number",
            vec![secret("db.yaml", json!({ "key": "database/port" }))],
            json!({}),
            0,
            0,
        ),
        (
            "clear text",
            vec![secret("clear.yaml", json!({}))],
            json!({}),
            0,
            0,
        ),
        (
            "for another host",
            vec![secret("foreign.yaml", json!({ "key": "x" }))],
            json!({}),
            0,
            0,
        ),
        (
            "whole",
            vec![secret("clear.yaml", json!({ "key": "" }))],
            json!({}),
            0,
            0,
        ),
        (
            "no JSON",
            vec![secret("db.yaml", json!({ "format": "json" }))],
            json!({}),
            0,
            1,
        ),
        (
            "no binary file",
            vec![secret("db.yaml", json!({ "format": "binary" }))],
            json!({}),
            0,
            1,
        ),
        (
            "binary",
            vec![secret("blob.txt", json!({ "format": "binary" }))],
            json!({}),
            0,
            0,
        ),
        (
            "dotenv",
            vec![secret(
                "app.env",
                json!({ "format": "dotenv", "key": "none" }),
            )],
            json!({}),
            0,
            0,
        ),
        (
            "ini",
            vec![secret("app.ini", json!({ "format": "ini", "key": "none" }))],
            json!({}),
            0,
            0,
        ),
        (
            "JSON that is YAML",
            vec![secret("db.json", json!({ "key": "a/b" }))],
            json!({}),
            0,
            0,
        ),
        (
            "an unknown format",
            vec![secret("db.yaml", json!({ "format": "toml" }))],
            json!({}),
            0,
            0,
        ),
        (
            "a format in capitals",
            vec![secret("db.yaml", json!({ "format": "JSON" }))],
            json!({}),
            0,
            0,
        ),
        (
            "an empty format",
            vec![secret("db.yaml", json!({ "format": "" }))],
            json!({}),
            0,
            0,
        ),
        (
            "no format",
            vec![secret("db.yaml", json!({ "format": null }))],
            json!({}),
            0,
            0,
        ),
        (
            "two formats",
            vec![
                secret("db.json", json!({ "format": "json", "key": "top" })),
                secret("db.json", json!({ "key": "top" })),
            ],
            json!({}),
            1,
            1,
        ),
        (
            "a mode in letters",
            vec![secret("db.yaml", json!({ "mode": "u=r" }))],
            json!({}),
            1,
            1,
        ),
        (
            "no mode",
            vec![secret("db.yaml", json!({ "mode": "" }))],
            json!({}),
            1,
            1,
        ),
        (
            "a mode of nines",
            vec![secret("db.yaml", json!({ "mode": "0999" }))],
            json!({}),
            1,
            1,
        ),
        (
            "two homes",
            vec![],
            json!({ "gnupgHome": "/a", "sshKeyPaths": ["/b"] }),
            1,
            1,
        ),
        (
            "a home and an age key",
            vec![],
            json!({ "gnupgHome": "/a" }),
            1,
            1,
        ),
        (
            "a home and an SSH key",
            vec![],
            json!({ "gnupgHome": "/a", "ageKeyFile": "", "ageSshKeyPaths": ["/b"] }),
            0,
            0,
        ),
        (
            "a template without a text",
            vec![],
            json!({ "templates": [{ "name": "t", "path": "/run/t", "mode": "0400" }] }),
            1,
            1,
        ),
        (
            "a template whose file is not there",
            vec![],
            json!({ "templates": [{ "name": "t", "path": "/run/t", "mode": "0400", "file": "/none" }] }),
            1,
            1,
        ),
        (
            "a template and no placeholder",
            vec![secret("db.yaml", json!({}))],
            json!({ "templates": [{ "name": "t", "path": "/run/t", "mode": "0400", "content": "x" }] }),
            1,
            1,
        ),
        (
            "user mode without a runtime directory",
            vec![],
            json!({ "userMode": true, "symlinkPath": "%r/s" }),
            0,
            0,
        ),
    ] {
        let manifest = world.manifest(&secrets, &more);
        world.both(name, |stage| {
            for (call, code) in [
                ("-check-mode=manifest %", manifest_code),
                ("-check-mode=sopsfile %", file_code),
            ] {
                let ran = stage.call(call, &manifest).expect(code);
                assert_eq!(ran.text(), "");
                assert_eq!(
                    ran.stderr.is_empty() || name.contains("format"),
                    code == 0 || name.contains("format"),
                    "{ran}"
                );
            }
            stage.expect_tree(&[]);
        });
    }
}

#[test]
fn manifests_are_read_as_go_reads_json() {
    let Some(world) = World::new("manifests_are_read_as_go_reads_json") else {
        return;
    };
    let fine = world.manifest(&[world.secret("plain", "db.yaml", &json!({}))], &json!({}));
    let mut cases: Vec<(String, i32)> = vec![
        ("{}".into(), 0),
        ("null".into(), 0),
        ("{} and more".into(), 0),
        (r#"{"unknown":{"deep":[1,{}]},"SECRETS":null,"Templates":[]}"#.into(), 0),
        (r#"{"secrets":[{"NAME":"a","Mode":"0400","uid":null,"restartUnits":null,"path":"/x"}]}"#.into(), 0),
        (r#"{"secrets":[null]}"#.into(), 1),
        ("".into(), 1),
        ("[]".into(), 1),
        ("\"text\"".into(), 1),
        ("{".into(), 1),
        (r#"{"secrets":"#.into(), 1),
    ];
    for (field, value) in [
        ("secrets", json!({})),
        ("secrets", json!("x")),
        ("secrets", json!([1])),
        ("templates", json!([["x"]])),
        ("placeholderBySecretName", json!([])),
        ("placeholderBySecretName", json!({ "a": 1 })),
        ("secretsMountPoint", json!(1)),
        ("symlinkPath", json!({})),
        ("keepGenerations", json!("1")),
        ("keepGenerations", json!(1.5)),
        ("keepGenerations", json!(1e30)),
        ("sshKeyPaths", json!("x")),
        ("sshKeyPaths", json!([1])),
        ("gnupgHome", json!(false)),
        ("ageKeyFile", json!([])),
        ("ageSshKeyPaths", json!({ "a": "b" })),
        ("useTmpfs", json!("true")),
        ("userMode", json!(1)),
        ("logging", json!([])),
        ("logging", json!({ "keyImport": "yes" })),
    ] {
        let mut manifest = fine.clone();
        manifest[field] = value;
        cases.push((manifest.to_string(), 1));
    }
    for (field, value) in [
        ("name", json!(1)),
        ("key", json!(["a"])),
        ("path", json!(true)),
        ("owner", json!(0)),
        ("uid", json!("0")),
        ("group", json!([])),
        ("gid", json!(0.5)),
        ("sopsFile", json!({})),
        ("format", json!(1)),
        ("mode", json!(256)),
        ("restartUnits", json!("a.service")),
        ("reloadUnits", json!([{}])),
    ] {
        let mut manifest = fine.clone();
        manifest["secrets"][0][field] = value;
        cases.push((manifest.to_string(), 1));
    }
    world.both("manifests", |stage| {
        for (number, (text, code)) in cases.iter().enumerate() {
            let path = world.host.dir.write(format!("case-{number}.json"), text);
            let ran = stage.call_text("-check-mode=manifest %", &path.display().to_string());
            assert_eq!(ran.code(), *code, "{text}\n{ran}");
            if !stage.is_original && *code == 1 {
                assert!(ran.stderr.contains(": the manifest "), "{ran}");
            }
        }
        stage.expect_tree(&[]);
    });
}

#[test]
fn what_is_wrong_with_one_leaves_everything_as_it_was() {
    let Some(world) = World::new("what_is_wrong_with_one_leaves_everything_as_it_was") else {
        return;
    };
    let good = world.secret("plain", "db.yaml", &json!({}));
    let before = world.manifest(
        std::slice::from_ref(&good),
        &json!({ "keepGenerations": 0 }),
    );
    for (name, secret) in [
        ("a missing user", json!({ "owner": "no-such-user" })),
        ("a nameless user", json!({ "owner": "" })),
        ("a missing group", json!({ "group": "no-such-group" })),
        ("a number", json!({ "key": "database/port" })),
        ("a missing key", json!({ "key": "other" })),
        ("a missing file", json!({ "sopsFile": "/none" })),
        (
            "not encrypted",
            json!({ "sopsFile": world.file("clear.yaml"), "key": "plain" }),
        ),
        (
            "for another host",
            json!({ "sopsFile": world.file("foreign.yaml"), "key": "x" }),
        ),
        ("no name", json!({ "name": "" })),
        ("no file name", json!({ "name": "a/" })),
        ("a file and a directory", json!({ "name": "plain/x" })),
        ("a mode", json!({ "mode": "rw" })),
    ] {
        let mut bad = world.secret("bad", "db.yaml", &json!({ "key": "plain" }));
        for (field, value) in secret.as_object().unwrap() {
            bad[field] = value.clone();
        }
        let manifest = world.manifest(&[good.clone(), bad], &json!({}));
        world.both(name, |stage| {
            stage.install(&before).expect(0);
            let ran = stage.install(&manifest).expect(1);
            assert_eq!(ran.text(), "");
            if !stage.is_original {
                // The original has begun the next generation.
                stage.expect_listing(&[
                    "./secrets -> /run/secrets.d/1 0:0",
                    "./secrets.d/ 751 0:K",
                    "./secrets.d/1/ 751 0:K",
                    "./secrets.d/1/plain 400 0:0 text",
                    super::MOUNT,
                ]);
            }
        });
    }
}

#[test]
fn the_error_is_about_the_secret_that_failed() {
    let Some(world) = World::new("the_error_is_about_the_secret_that_failed") else {
        return;
    };
    let manifest = world.manifest(
        &[
            world.secret("plain", "db.yaml", &json!({})),
            world.secret("x", "foreign.yaml", &json!({})),
            world.secret("bad", "db.yaml", &json!({ "key": "database/port" })),
        ],
        &json!({
            "placeholderBySecretName": { "plain": "<p>", "x": "<x>", "bad": "<b>" },
            "templates": [{ "name": "t", "path": "/run/t", "mode": "0400", "content": "<x>" }],
        }),
    );
    world.ours("in the middle", |stage| {
        let ran = stage.install(&manifest).expect(1);
        let says = ": secret `bad`: the value of the key `database/port` is no text\n";
        assert!(ran.stderr.contains(says), "{ran}");
        stage.expect_tree(&[]);
    });
}

/// What the original takes and we refuse, or the other way round.
#[test]
fn intended_differences_in_manifests() {
    let Some(world) = World::new("intended_differences_in_manifests") else {
        return;
    };
    for (name, secret, says) in [
        (
            "climbing",
            json!({ "name": "../x" }),
            "`../x` is no path of a file in the generation",
        ),
        (
            "climbing later",
            json!({ "name": "a/../../x" }),
            "is no path of a file in the generation",
        ),
        (
            "a path that climbs",
            json!({ "path": "/run/secrets/../x" }),
            "or it has the part `..`",
        ),
        (
            "set-user-ID",
            json!({ "mode": "4755" }),
            "has a set-user-ID, set-group-ID or sticky bit",
        ),
        (
            "sticky",
            json!({ "mode": "1777" }),
            "has a set-user-ID, set-group-ID or sticky bit",
        ),
        (
            "more bits",
            json!({ "mode": "100400" }),
            "has more than permissions",
        ),
        (
            "the link itself",
            json!({ "path": "/run/secrets" }),
            "is the place of the secrets themselves",
        ),
        (
            "a large uid",
            json!({ "uid": 4_294_967_296_u64 }),
            "4294967296 is no uid",
        ),
    ] {
        let manifest = world.manifest(&[world.secret("plain", "db.yaml", &secret)], &json!({}));
        world.ours(name, |stage| {
            let ran = stage.install(&manifest).expect(1);
            assert!(ran.stderr.contains(says), "{ran}");
            stage.expect_tree(&[]);
        });
    }
    // A link in the place of another secret would take its place.
    let manifest = world.manifest(
        &[
            world.secret("plain", "db.yaml", &json!({})),
            world.secret(
                "pw",
                "db.yaml",
                &json!({ "key": "database/password", "path": "/run/secrets/plain" }),
            ),
        ],
        &json!({}),
    );
    world.ours("a link over a secret", |stage| {
        let ran = stage.install(&manifest).expect(1);
        assert!(
            ran.stderr
                .contains("the path `/run/secrets/plain` is that of another secret"),
            "{ran}"
        );
        stage.expect_tree(&[]);
    });
    let nested = world.secret(
        "nested",
        "db.json",
        &json!({ "format": "json", "key": "a/b" }),
    );
    let manifest = world.manifest(&[nested], &json!({}));
    world.ours("nested keys in JSON", |stage| {
        stage.call("-check-mode=sopsfile %", &manifest).expect(0);
        stage.install(&manifest).expect(0);
        assert_eq!(stage.sh("cat /run/secrets/nested").text(), "nested");
    });
    let manifest = world.manifest(
        &[world.secret("plain", "db.yaml", &json!({}))],
        &json!({
            "placeholderBySecretName": { "plain": "" },
            "templates": [{ "name": "t", "path": "/run/t", "mode": "0400", "content": "x" }],
        }),
    );
    world.ours("an empty placeholder", |stage| {
        let ran = stage.install(&manifest).expect(1);
        assert!(
            ran.stderr
                .contains("the secret `plain` has an empty placeholder"),
            "{ran}"
        );
    });
    let manifest = world.manifest(
        &[world.secret("plain", "db.yaml", &json!({ "format": "toml" }))],
        &json!({}),
    );
    world.ours("an unknown format is told of", |stage| {
        let ran = stage.install(&manifest).expect(0);
        assert!(
            ran.stderr
                .contains("warning: the secret `plain` has the unknown format `toml`"),
            "{ran}"
        );
    });
}
