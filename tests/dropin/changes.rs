//! The report, restarts and reloads, dry activation, templates.

use serde_json::{Value, json};

use super::world::{Stage, World};

const PASSWORD: &str =
    "<SOPS:92488e1e3eeecdf99f3ed2ce59233efb4b4fb612d5655c0ce9ea52b5a502e655:PLACEHOLDER>";

/// A secret that is in a file of its own.
fn put(world: &World, name: &str, value: &str) {
    world
        .host
        .put(&format!("{name}.yaml"), format!("{name}: {value}\n"));
}

/// The lists that were left for the program that switches the system, which takes them.
fn lists(stage: &Stage<'_>) -> String {
    let lists = "cd /run/nixos; for list in *; do [ -e $list ] && stat -c '%n %a' $list && cat $list; done; rm -f *";
    stage.sh(lists).text().to_owned()
}

#[test]
fn changes_are_told_and_units_restarted() {
    let Some(world) = World::new("changes_are_told_and_units_restarted") else {
        return;
    };
    let manifest = |names: &[&str], templates: Value| {
        let secrets: Vec<Value> = names
            .iter()
            .map(|name| {
                let units = json!({ "restartUnits": [format!("{name}.service"), "all.service"], "reloadUnits": ["r.service"] });
                world.secret(name, &format!("{name}.yaml"), &units)
            })
            .collect();
        let placeholders: Value = names
            .iter()
            .map(|name| (name.to_string(), json!(format!("<{name}>"))))
            .collect::<serde_json::Map<_, _>>()
            .into();
        world.manifest(
            &secrets,
            &json!({ "templates": templates, "placeholderBySecretName": placeholders }),
        )
    };
    let template = |name: &str, content: &str| {
        json!({ "name": name, "path": format!("/run/secrets/rendered/{name}"), "mode": "0400", "content": content,
                "restartUnits": [format!("{name}.service")] })
    };
    let unique = |text: String| {
        // The original names a unit as often as it is asked for.
        let mut seen: Vec<&str> = Vec::new();
        for line in text.lines() {
            if !seen.contains(&line) || line.contains("-list ") {
                seen.push(line);
            }
        }
        seen.join("\n")
    };
    world.both("activation", |stage| {
        for name in ["a", "b", "c"] {
            put(&world, name, "one");
        }
        let first = manifest(&["a", "b"], json!([template("t", "<a>"), template("u", "x")]));
        assert_eq!(stage.install(&first).expect(0).text(), "");
        assert_eq!(lists(stage), "");
        assert_eq!(stage.install(&first).expect(0).text(), "");
        assert_eq!(lists(stage), "");
        put(&world, "a", "two");
        let second = manifest(&["a", "c"], json!([template("t", "<a>"), template("v", "y"), template("w", "y")]));
        // First only asked.
        let dry = stage.call("NIXOS_ACTION=dry-activate %", &second).expect(0);
        assert_eq!(
            dry.text(),
            "would add secret: c\nwould modify secret: a\nwould remove secret: b\nwould add rendered secrets: v, w\n\
             would modify rendered secret: t\nwould remove rendered secret: u\n"
        );
        let expected = "-restart-list 600\na.service\nall.service\nc.service\nt.service\nv.service\nw.service";
        assert_eq!(unique(lists(stage)), format!("dry-activation-reload-list 600\nr.service\ndry-activation{expected}"));
        assert_eq!(stage.sh("readlink /run/secrets; cat /run/secrets/a").text(), "/run/secrets.d/2\none");
        if !stage.is_original {
            assert_eq!(stage.sh("ls -A /run/secrets.d").text(), "2\n");
        }
        let ran = stage.install(&second).expect(0);
        assert_eq!(ran.text(), dry.text().replace("would add", "adding").replace("would modify", "modifying").replace("would remove", "removing"));
        assert_eq!(unique(lists(stage)), format!("activation-reload-list 600\nr.service\nactivation{expected}"));
        stage.tree();
        // Owners and modes are no change.
        let mut owners = second.clone();
        owners["secrets"][0]["uid"] = json!(7);
        owners["secrets"][0]["mode"] = json!("0444");
        assert_eq!(stage.install(&owners).expect(0).text(), "");
        assert_eq!(lists(stage), "");
    });
    world.ours("every unit once", |stage| {
        put(&world, "a", "one");
        let first = manifest(&["a", "b"], json!([]));
        stage.install(&first).expect(0);
        put(&world, "a", "two");
        put(&world, "b", "two");
        assert_eq!(stage.install(&first).expect(0).text(), "modifying secrets: a, b\n");
        assert_eq!(lists(stage), "activation-reload-list 600\nr.service\nactivation-restart-list 600\na.service\nall.service\nb.service\n");
        put(&world, "b", "one");
    });
    world.both("kept to itself", |stage| {
        put(&world, "a", "one");
        let mut quiet = manifest(&["a"], json!([]));
        quiet["logging"] = json!({});
        stage.install(&quiet).expect(0);
        put(&world, "a", "two");
        stage
            .sh("echo old > /run/nixos/activation-restart-list")
            .expect(0);
        assert_eq!(stage.install(&quiet).expect(0).text(), "");
        assert!(lists(stage).ends_with("\nold\na.service\nall.service\n"));
        put(&world, "a", "three");
        stage.sh("rmdir /run/nixos").expect(0);
        stage.install(&quiet).expect(0);
        stage.tree();
    });
    world.both("files and directories", |stage| {
        put(&world, "a", "one");
        stage.install(&manifest(&["a"], json!([]))).expect(0);
        let mut below = manifest(&["a"], json!([]));
        below["secrets"][0]["name"] = json!("a/x");
        below["secrets"][0]["path"] = json!("/run/secrets/a/x");
        assert_eq!(
            stage.install(&below).expect(0).text(),
            "adding secret: a/x\nremoving secret: a\n"
        );
        assert_eq!(
            stage.install(&manifest(&["a"], json!([]))).expect(0).text(),
            "adding secret: a\nremoving secret: a/x\n"
        );
    });
}

#[test]
fn systemctl_is_called() {
    let Some(world) = World::new("systemctl_is_called") else {
        return;
    };
    let manifest = world.manifest(
        &[world.secret(
            "a",
            "a.yaml",
            &json!({ "restartUnits": ["x.service", "y.socket"], "reloadUnits": ["z.service"] }),
        )],
        &json!({}),
    );
    const CALL: &str = "SOPS_RESTART_UNITS_VIA_SYSTEMCTL=1 %";
    let fake = |stage: &Stage<'_>, code: u8| {
        let script = format!(
            "mkdir -p /run/bin; printf '#!/bin/sh\\necho out \"$@\" >> /run/bin/calls; echo said; exit {code}\\n' > /run/bin/systemctl; chmod 755 /run/bin/systemctl"
        );
        stage.sh(&script).expect(0);
    };
    world.both("systemctl", |stage| {
        put(&world, "a", "one");
        fake(stage, 0);
        stage.call(CALL, &manifest).expect(0);
        stage.call(CALL, &manifest).expect(0);
        assert_eq!(stage.sh("ls /run/bin").text(), "systemctl\n");
        put(&world, "a", "two");
        let dry = stage.call(&format!("NIXOS_ACTION=dry-activate {CALL}"), &manifest).expect(0);
        assert!(dry.stderr.contains("would restart x.service\nwould restart y.socket\nwould reload z.service\n"), "{dry}");
        assert_eq!(dry.text(), "would modify secret: a\n");
        assert_eq!(stage.sh("ls /run/bin").text(), "systemctl\n");
        let ran = stage.call(CALL, &manifest).expect(0);
        assert_eq!(ran.text(), "modifying secret: a\n");
        assert!(ran.stderr.contains("said\nsaid\n"), "{ran}");
        assert_eq!(
            stage.sh("cat /run/bin/calls").text(),
            "out --no-block try-restart x.service y.socket\nout --no-block try-reload-or-restart z.service\n"
        );
        assert_eq!(lists(stage), "");
    });
    // Units are restarted after the switch, so what fails then finds the new secrets in place.
    world.ours("one that fails", |stage| {
        put(&world, "a", "one");
        fake(stage, 5);
        stage.call(CALL, &manifest).expect(0);
        put(&world, "a", "two");
        let ran = stage.call(CALL, &manifest).expect(1);
        assert!(
            ran.stderr.contains(
                "systemctl --no-block try-restart x.service y.socket failed (exit status: 5)"
            ),
            "{ran}"
        );
        assert_eq!(
            stage.sh("cat /run/secrets/a; ls -A /run/secrets.d").text(),
            "two2\n"
        );
    });
}

#[test]
fn templates_are_rendered() {
    let Some(world) = World::new("templates_are_rendered") else {
        return;
    };
    let file = world.host.dir.write("template", b"\xffbinary <pw>\n");
    let template = |name: &str, more: Value| {
        let mut template = json!({ "name": name, "path": format!("/run/secrets/rendered/{name}"), "mode": "0400",
                                   "owner": null, "uid": 0, "group": null, "gid": 0, "content": "", "file": file });
        for (field, value) in more.as_object().unwrap() {
            template[field] = value.clone();
        }
        template
    };
    let manifest = world.manifest(
        &[
            world.secret("test_key", "db.yaml", &json!({ "key": "plain" })),
            world.secret("pw", "db.yaml", &json!({ "key": "database/password" })),
        ],
        &json!({
            "placeholderBySecretName": { "test_key": PASSWORD, "pw": "<pw>", "other": "" },
            "templates": [
                template("app/a.env", json!({ "content": format!("A={PASSWORD}\nB={PASSWORD}<pw>\nC=<SOPS:other:PLACEHOLDER>"), "mode": "0666", "owner": "nobody", "path": "/run/out/a.env" })),
                template("from-file", json!({ "uid": 3, "gid": 4 })),
                template("plain", json!({ "content": "no secret" })),
            ],
        }),
    );
    world.both("templates", |stage| {
        stage.install(&manifest).expect(0);
        stage.expect_tree(&[
            "./out/ 755 0:0",
            "./out/a.env -> /run/secrets/rendered/app/a.env 65534:0",
            "./secrets -> /run/secrets.d/1 0:0",
            "./secrets.d/ 751 0:K",
            "./secrets.d/1/ 751 0:K",
            "./secrets.d/1/pw 400 0:0 hunter2",
            "./secrets.d/1/rendered/ 751 0:K",
            "./secrets.d/1/rendered/app/ 751 0:K",
            "./secrets.d/1/rendered/app/a.env 666 65534:0 A=text\\nB=texthunter2\\nC=<SOPS:other:PLACEHOLDER>",
            "./secrets.d/1/rendered/from-file 400 3:4 377binaryhunter2\\n",
            "./secrets.d/1/rendered/plain 400 0:0 nosecret",
            "./secrets.d/1/test_key 400 0:0 text",
            super::MOUNT,
        ]);
    });
    world.host.put("tricky.yaml", "a: <b>\nb: <a>\n");
    let manifest = world.manifest(
        &[world.secret("a", "tricky.yaml", &json!({})), world.secret("b", "tricky.yaml", &json!({}))],
        &json!({ "placeholderBySecretName": { "a": "<a>", "b": "<b>" }, "templates": [template("t", json!({ "content": "<a><b>" }))] }),
    );
    world.ours("values are not looked at again", |stage| {
        stage.install(&manifest).expect(0);
        assert_eq!(stage.sh("cat /run/secrets/rendered/t").text(), "<b><a>");
    });
}
