//! `SECRETSD_ISOLATE=1`: one bad secret does not take the others down.

use serde_json::{Value, json};

use super::world::World;

const CALL: &str = "SECRETSD_ISOLATE=1 %";

#[test]
fn the_last_good_value_stays() {
    let Some(world) = World::new("the_last_good_value_stays") else {
        return;
    };
    let manifest = |bad: Value, more: Value| {
        let mut bad_one = world.secret("bad", "db.yaml", &json!({ "key": "database/password" }));
        for (field, value) in bad.as_object().unwrap() {
            bad_one[field] = value.clone();
        }
        let mut all = json!({
            "placeholderBySecretName": { "good": "<good>", "bad": "<bad>" },
            "templates": [
                { "name": "both", "path": "/run/both", "mode": "0440", "content": "<good> <bad>" },
                { "name": "good", "path": "/run/good", "mode": "0440", "content": "<good>" },
            ],
        });
        for (field, value) in more.as_object().unwrap() {
            all[field] = value.clone();
        }
        world.manifest(
            &[world.secret("good", "good.yaml", &json!({})), bad_one],
            &all,
        )
    };
    for (name, bad, kept) in [
        (
            "a missing file",
            json!({ "sopsFile": "/none", "mode": "0444", "uid": 9, "path": "/run/new" }),
            "444 9:0",
        ),
        (
            "a missing key",
            json!({ "key": "none", "mode": "0440", "gid": 8 }),
            "440 0:8",
        ),
        ("a number", json!({ "key": "database/port" }), "400 0:0"),
        (
            "for another host",
            json!({ "sopsFile": world.file("foreign.yaml"), "key": "x" }),
            "400 0:0",
        ),
        // Nobody to give it to: as it was.
        (
            "a missing user",
            json!({ "owner": "no-such-user", "mode": "0444" }),
            "400 0:0",
        ),
        (
            "a wrong mode",
            json!({ "mode": "rwx", "uid": 9 }),
            "400 0:0",
        ),
    ] {
        world.ours(name, |stage| {
            world.host.put("good.yaml", "good: one\n");
            stage.call(CALL, &manifest(json!({}), json!({}))).expect(0);
            world.host.put("good.yaml", "good: two\n");
            let all = manifest(bad.clone(), json!({}));
            let ran = stage.call(CALL, &all).expect(1);
            assert_eq!(
                ran.text(),
                "modifying secret: good\nmodifying rendered secrets: both, good\n"
            );
            assert!(ran.stderr.contains("secret `bad`: "), "{ran}");
            let tree = stage.tree();
            for line in [
                format!("./secrets.d/2/bad {kept} hunter2"),
                "./secrets.d/2/good 400 0:0 two".to_owned(),
                "./secrets.d/2/rendered/both 440 0:0 twohunter2".to_owned(),
                "./secrets -> /run/secrets.d/2 0:0".to_owned(),
            ] {
                assert!(tree.contains(&line), "{line} in {tree:#?}");
            }
            if name == "a missing file" {
                assert!(
                    tree.contains(&"./new -> /run/secrets/bad 9:0".to_owned()),
                    "{tree:#?}"
                );
            }
            // Without the variable it is as it always was.
            stage.install(&all).expect(1);
            assert_eq!(
                stage.sh("readlink /run/secrets").text(),
                "/run/secrets.d/2\n"
            );
        });
    }
    world.ours("nothing to keep", |stage| {
        world.host.put("good.yaml", "good: one\n");
        let all = manifest(json!({ "key": "none" }), json!({}));
        let ran = stage.call(CALL, &all).expect(1);
        assert!(
            ran.stderr
                .contains("template `both`: the secret `bad`, which it uses, is not there"),
            "{ran}"
        );
        stage.expect_tree(&[
            "./good -> /run/secrets/rendered/good 0:0",
            "./secrets -> /run/secrets.d/1 0:0",
            "./secrets.d/ 751 0:K",
            "./secrets.d/1/ 751 0:K",
            "./secrets.d/1/good 400 0:0 one",
            "./secrets.d/1/rendered/ 751 0:K",
            "./secrets.d/1/rendered/good 440 0:0 one",
            super::MOUNT,
        ]);
    });
    world.ours("a dry one", |stage| {
        world.host.put("good.yaml", "good: one\n");
        stage.call(CALL, &manifest(json!({}), json!({}))).expect(0);
        let all = manifest(json!({ "key": "none" }), json!({}));
        let before = stage.tree();
        let ran = stage
            .call(&format!("NIXOS_ACTION=dry-activate {CALL}"), &all)
            .expect(1);
        assert_eq!(ran.text(), "");
        assert_eq!(stage.tree(), before);
    });
}
