//! `sops-install-secrets`: the drop-in for the installer of sops-nix, by what its manifests mean and what it leaves behind.

mod calls;
mod changes;
mod isolation;
mod keys;
mod places;
mod random;
mod world;

use serde_json::json;

use world::{DATABASE, World};

/// What an ordinary run mounts.
const MOUNT: &str = "mount /run/secrets.d rw,nosuid,nodev,noexec,relatime ramfs none";

#[test]
fn every_format_arrives() {
    let Some(world) = World::new("every_format_arrives") else {
        return;
    };
    let manifest = world.manifest(
        &[
            world.secret("plain", "db.yaml", &json!({ "owner": "nobody", "mode": "0440" })),
            world.secret("db/pw", "db.yaml", &json!({ "key": "database/password", "path": "/run/out/deep/pw", "uid": 1234, "gid": 4321 })),
            world.secret("day", "db.yaml", &json!({ "group": "nogroup" })),
            world.secret("empty", "db.yaml", &json!({ "uid": -1, "gid": null })),
            world.secret("whole", "db.yaml", &json!({ "key": "" })),
            world.secret("top", "db.json", &json!({ "format": "json", "mode": "0660" })),
            world.secret("env", "app.env", &json!({ "format": "dotenv", "key": "ignored" })),
            world.secret("ini", "app.ini", &json!({ "format": "ini" })),
            world.secret("blob", "blob.txt", &json!({ "format": "binary", "mode": "0" })),
        ],
        &json!({}),
    );
    world.both("every format", |stage| {
        let ran = stage.install(&manifest).expect(0);
        assert_eq!(ran.text(), "");
        let whole: String = DATABASE
            .replace("day: 2001-01-01", "day: 2001-01-01T00:00:00Z")
            .chars()
            .filter(|char| *char != ' ')
            .collect();
        let whole = whole.replace('\n', "\\n");
        stage.expect_tree(&[
            "./out/ 755 0:0",
            "./out/deep/ 755 0:0",
            "./out/deep/pw -> /run/secrets/db/pw 1234:4321",
            "./secrets -> /run/secrets.d/1 0:0",
            "./secrets.d/ 751 0:K",
            "./secrets.d/1/ 751 0:K",
            "./secrets.d/1/blob 0 0:0 bytes\\nwithoutend",
            "./secrets.d/1/day 400 0:65534 2001-01-01T00:00:00Z",
            "./secrets.d/1/db/ 751 0:K",
            "./secrets.d/1/db/pw 400 1234:4321 hunter2",
            "./secrets.d/1/empty 400 0:0 ",
            "./secrets.d/1/env 400 0:0 A=1\\nB=twowords\\n",
            "./secrets.d/1/ini 400 0:0 [section]\\nkey=value\\n",
            "./secrets.d/1/plain 440 65534:0 text",
            // As the umask has it.
            "./secrets.d/1/top 640 0:0 level",
            &format!("./secrets.d/1/whole 400 0:0 {whole}"),
            MOUNT,
        ]);
        // Every run is a generation; one is kept.
        let ran = stage.install(&manifest).expect(0);
        assert_eq!(ran.text(), "");
        assert!(
            stage
                .tree()
                .contains(&"./secrets -> /run/secrets.d/2 0:0".to_owned())
        );
        assert_eq!(
            stage.sh("ls /run/secrets.d | grep -v age-keys").text(),
            "2\n"
        );
    });
}
