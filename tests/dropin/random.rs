//! Manifests put together by chance, run one after the other. A run that fails, asks or only checks leaves everything as it
//! was; with the original beside it, everything else must come out as it does there.

use serde_json::{Value, json};

use super::world::{Stage, World};
use crate::rules_differential::random::Random;

const SCENARIOS: u64 = 12;

const NAMES: [&str; 12] = [
    "a", "b", "c/d", "c/e", "f/g/h", "./i", "j//k", "l", "A", "a.b", "..m", "é",
];
const MODES: [&str; 7] = ["0400", "0440", "0600", "777", "0", "0644", "00640"];
const UNITS: [&str; 3] = ["x.service", "y.service", "z.socket"];

/// What the original leaves of a run that failed or only asked.
const TIDY: &str = "cd /run/secrets.d 2>/dev/null || exit 0; \
     if [ ! -L /run/secrets ]; then cd /; umount -l /run/secrets.d; rmdir /run/secrets.d; exit; fi; \
     rm -f age-keys.txt; now=$(basename $(readlink /run/secrets)); \
     for one in *; do case $one in *[!0-9]*) ;; *) [ $one -le $now ] || rm -rf $one ;; esac; done";

/// One run.
struct Step {
    manifest: Value,
    call: String,
}

#[test]
fn manifests_by_chance() {
    let Some(world) = World::new("manifests_by_chance") else {
        return;
    };
    for seed in 0..SCENARIOS {
        let random = &mut Random::seeded(seed);
        let tmpfs = random.one_in(2);
        let first = manifest(&world, random, tmpfs);
        let mut steps = Vec::new();
        for _ in 0..=random.below(4) {
            let manifest = match random.one_in(3) {
                true => first.clone(),
                false => manifest(&world, random, tmpfs),
            };
            let call = random.pick(&[
                "%",
                "%",
                "%",
                "-ignore-passwd %",
                "-check-mode=manifest %",
                "-check-mode=sopsfile %",
                "NIXOS_ACTION=dry-activate %",
            ]);
            let call = call.to_owned();
            steps.push(Step { manifest, call });
        }
        let in_the_way = random.pick(&[
            ":",
            "mkdir /run/secrets",
            "mkdir /run/out; : > /run/out/1; mkdir /run/out/2",
            "mkdir /run/out; ln -s /run/secrets/a /run/out/1; ln -s nothing /run/out/2",
        ]);
        world.both(&format!("seed {seed}"), |stage| {
            stage.sh(in_the_way).expect(0);
            for step in &steps {
                play(stage, step);
            }
        });
    }
}

fn play(stage: &Stage<'_>, step: &Step) {
    let before = stage.listing();
    let ran = stage.call(&step.call, &step.manifest);
    let code = ran.code();
    assert!(code == 0 || code == 1, "{ran}\n{}", step.manifest);
    if !stage.is_original {
        assert_eq!(
            code == 1,
            ran.stderr.contains("/sops-install-secrets: "),
            "{ran}"
        );
    }
    // The original names units more than once.
    let lists = "cd /run/nixos; for list in *; do [ ! -e $list ] || { echo $list; awk '!seen[$0]++' $list; }; done; rm -f *";
    stage.note(stage.sh(lists).text().to_owned());
    if code == 0
        && step
            .call
            .split(' ')
            .all(|word| word == "%" || word == "-ignore-passwd")
    {
        stage.tree();
    } else if stage.is_original {
        stage.sh(TIDY).expect(0);
    } else {
        assert_eq!(stage.listing(), before, "{ran}\n{}", step.manifest);
    }
}

fn manifest(world: &World, random: &mut Random, tmpfs: bool) -> Value {
    let mut names = NAMES.to_vec();
    let mut secrets = Vec::new();
    let mut placeholders = json!({});
    for number in 0..random.below(6) {
        let name = names.swap_remove(random.below(names.len()));
        placeholders[name] = json!(format!("<{number}>"));
        let mut secret = entry(random, name, "");
        let (format, file, keys) = random.pick(&[
            (
                "yaml",
                "db.yaml",
                ["plain", "database/password", "day", ""].as_slice(),
            ),
            ("json", "db.json", &["top", ""]),
            ("dotenv", "app.env", &["", "x"]),
            ("ini", "app.ini", &["", "x"]),
            ("binary", "blob.txt", &["", "x"]),
        ]);
        secret["format"] = json!(format);
        secret["sopsFile"] = json!(world.file(file));
        secret["key"] = json!(match random.one_in(15) {
            true => "database/port",
            false => random.pick(keys),
        });
        secrets.push(secret);
    }
    let mut templates = Vec::new();
    if random.one_in(2) {
        for name in ["t", "u/v", "w.env"].into_iter().take(1 + random.below(3)) {
            let mut template = entry(random, name, "rendered/");
            let parts = ["<0>", "<1>", "<9>", "x = ", "\n"];
            let text: String = (0..5).map(|_| random.pick(&parts)).collect();
            template["content"] = json!(text);
            templates.push(template);
        }
    }
    let more = json!({
        "templates": templates, "placeholderBySecretName": placeholders, "useTmpfs": tmpfs,
        "keepGenerations": random.below(3), "logging": { "secretChanges": !random.one_in(4) },
    });
    world.manifest(&secrets, &more)
}

/// What secrets and templates have in common.
fn entry(random: &mut Random, name: &str, below: &str) -> Value {
    let place = format!(
        "/run/secrets/{below}{}",
        name.trim_start_matches("./").replace("//", "/")
    );
    let path = match random.one_in(4) {
        true => random.pick(&[
            "/run/out/1",
            "/run/out/2",
            "/run/out/sub/3",
            "/run//out/./4",
        ]),
        false => place.as_str(),
    };
    let mode = match random.one_in(25) {
        true => "rw",
        false => random.pick(&MODES),
    };
    let mut entry = json!({ "name": name, "path": path, "mode": mode });
    if random.one_in(3) {
        entry["owner"] = json!(random.pick(&[Some("root"), Some("nobody"), Some("nobody"), None]));
        entry["group"] = json!(random.pick(&[
            Some("root"),
            Some("nogroup"),
            Some("none"),
            None,
            None,
            None
        ]));
    }
    if random.one_in(3) {
        entry["uid"] = json!(random.pick(&[Some(0), Some(1000), Some(-1), None]));
        entry["gid"] = json!(random.pick(&[Some(0), Some(1000), Some(-1), None]));
    }
    for field in ["restartUnits", "reloadUnits"] {
        let units: Vec<&str> = (0..random.below(3)).map(|_| random.pick(&UNITS)).collect();
        entry[field] = json!(units);
    }
    entry
}
