//! `secretsd.yaml`: what is accepted, what is refused, and where the error points.

use std::fs;

use crate::{
    host::Host,
    support::{Dir, daemon, run},
};

/// Checks one configuration and expects that it is refused with `message` at `line:column` of the file.
#[track_caller]
fn refused(text: &str, message: &str, place: &str) {
    let dir = Dir::new();
    let file = dir.write("secretsd.yaml", text);
    dir.chmod("secretsd.yaml", 0o600);
    let ran = run(daemon(["--check-config", "--config"]).arg(&file)).expect(2);
    assert!(ran.stdout.is_empty());
    assert!(ran.stderr.contains(message), "{ran}");
    assert!(
        ran.stderr
            .contains(&format!("  --> {}:{place}\n", file.display())),
        "{ran}"
    );
}

const START: &str =
    "repository: /srv/secrets\nruntime-directory: /run/secrets\nsocket: { path: /run/s }\n";

#[track_caller]
fn refused_after(text: &str, message: &str, place: &str) {
    refused(&format!("{START}{text}"), message, place);
}

#[test]
fn the_example_is_accepted() {
    let dir = Dir::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/secretsd.example.yaml");
    let file = dir.write("secretsd.yaml", fs::read(example).unwrap());
    dir.chmod("secretsd.yaml", 0o600);
    let ran = run(daemon(["--check-config", "--config"]).arg(file)).expect(0);
    assert_eq!(ran.stderr, "");
}

#[test]
fn unknown_keys_name_their_place_and_the_nearest_key() {
    refused_after(
        "secret: {}\n",
        "`secret` is no key of the configuration",
        "4:1",
    );
    refused_after("secret: {}\n", "hint: did you mean `secrets`?", "4:1");
    refused_after(
        "secrets:\n  a: { file: x, ownr: root }\n",
        "hint: did you mean `owner`?",
        "5:17",
    );
    refused_after(
        "watch: { interval: 5s }\n",
        "its keys are: debounce, poll",
        "4:10",
    );
    refused_after("log: { lvl: info }\n", "did you mean `level`?", "4:8");
}

#[test]
fn all_problems_come_in_one_run() {
    let dir = Dir::new();
    let file = dir.write(
        "secretsd.yaml",
        format!("{START}wath: {{}}\nkeep-generations: 0\nbase: /x\n"),
    );
    dir.chmod("secretsd.yaml", 0o600);
    let ran = run(daemon(["--check-config", "--config"]).arg(file)).expect(2);
    for part in ["`wath`", "`keep-generations`", "`base`"] {
        assert!(ran.stderr.contains(part), "{ran}");
    }
}

#[test]
fn values_are_checked() {
    refused_after("watch: { debounce: 5 }\n", "has no unit", "4:20");
    refused_after("limits: { file-size: 64 }\n", "has no unit", "4:22");
    refused_after("defaults: { mode: \"04755\" }\n", "is no file mode", "4:19");
    refused_after("defaults: { mode: \"4755\" }\n", "special bits", "4:19");
    refused_after(
        "deliver: everything\n",
        "it is one of configured, by-rules",
        "4:10",
    );
    refused_after("secrets: [a]\n", "must be a mapping", "4:10");
    refused_after(
        "secrets:\n  a: { file: ../x }\n",
        "is no path of a file in the repository",
        "5:14",
    );
    refused_after(
        "secrets:\n  a: { file: /etc/passwd }\n",
        "is no path of a file in the repository",
        "5:14",
    );
    refused_after("secrets:\n  a: {}\n", "names no `file`", "5:3");
    refused_after(
        "secrets:\n  a: { file: x, key: a//b }\n",
        "has an empty part",
        "5:22",
    );
    refused_after(
        "secrets:\n  a: { file: x, restart-units: [x.target] }\n",
        "is a target",
        "5:32",
    );
    refused_after(
        "secrets:\n  a: { file: x, on-change: [logger] }\n",
        "absolute path",
        "5:28",
    );
    refused_after(
        "templates:\n  a: { owner: root }\n",
        "either `content` or `file`",
        "5:3",
    );
    refused_after(
        "deliver: by-rules\nmatch: [{ path: /x }]\n",
        "do not begin with `/`",
        "5:17",
    );
    refused_after(
        "rekey: { mode: auto }\n",
        "without `pinned-recipients`",
        "4:16",
    );
    refused(
        "runtime-directory: /run/secrets\nsocket: { path: /run/s }\n",
        "`repository` is missing",
        "1:1",
    );
    refused("a: [\n", "not valid YAML", "2:1");
    refused(
        &format!("{START}a: 1\na: 2\n"),
        "`a` is given twice; it stands in line 4 already",
        "5:1",
    );
}

#[test]
fn pins_must_be_safe_and_say_where() {
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let check = |file: &str, pins: &str, mode: u32| {
        let dir = Dir::new();
        dir.write("repo/.sops.yaml", "");
        let pinned = dir.write(file, pins);
        dir.chmod(file, mode);
        let text = format!(
            "repository: {0}/repo\nruntime-directory: /run/secrets\nsocket: {{ path: /run/s }}\n\
             rekey: {{ mode: auto, pinned-recipients: {0}/{file} }}\n",
            dir.path().display()
        );
        let config = dir.write("secretsd.yaml", text);
        dir.chmod("secretsd.yaml", 0o600);
        let ran = run(daemon(["--check-config", "--config"]).arg(config));
        ran.stderr
            .replace(pinned.to_str().unwrap(), "PINS")
            .replace(dir.path().to_str().unwrap(), "DIR")
    };
    let pin = |more: &str| format!("- {{ recipient: {recipient}{more} }}\n");
    for below in [
        "below: .",
        "below: [secrets/a, b/]",
        "below: ., required: true",
    ] {
        assert_eq!(check("pins", &pin(&format!(", {below}")), 0o644), "");
    }
    assert_eq!(check("pins", "", 0o644), "");
    for (pins, message, place) in [
        (pin(""), "a pin needs `below`", "PINS:1:3"),
        (
            "- { below: a }\n".to_owned(),
            "a pin needs `recipient`",
            "PINS:1:3",
        ),
        (
            pin(", below: /a"),
            "`/a` is no directory of the repository",
            "PINS:1:",
        ),
        (
            pin(", below: ../a"),
            "`../a` is no directory of the repository",
            "PINS:1:",
        ),
        (
            pin(", below: 'a/*'"),
            "`a/*` is no directory of the repository",
            "PINS:1:",
        ),
        (pin(", belo: a"), "did you mean `below`?", "PINS:1:"),
        (
            pin(", below: a").replace("aqmcac8p", "aqmcac8q"),
            "damaged",
            "PINS:1:",
        ),
        (
            "- { recipient: notakey, below: a }\n".to_owned(),
            "no recipient",
            "PINS:1:",
        ),
        (
            "recipients: []\n".to_owned(),
            "pinned recipients are a list",
            "PINS:1:1",
        ),
        (
            "- { recipient: AGE-SECRET-KEY-1QQ, below: a }\n".to_owned(),
            "holds a private key",
            "PINS:1:",
        ),
    ] {
        let said = check("pins", &pins, 0o644);
        assert!(
            said.contains(message) && said.contains(place),
            "{pins}: {said}"
        );
        assert!(!said.contains("AGE-SECRET"), "{said}");
    }
    let said = check("pins", &pin(", below: a"), 0o666);
    assert!(said.contains("the configuration is not used"), "{said}");
    // Somewhere else in the same work tree is no better.
    let said = check("repo/.git/pins", &pin(", below: a"), 0o644);
    assert!(said.contains("lies in the repository"), "{said}");
    let said = check("repo/pins", &pin(", below: a"), 0o644);
    assert!(said.contains("lies in the repository"), "{said}");
    let missing = format!("{START}rekey: {{ mode: auto, pinned-recipients: /nonexistent }}\n");
    let dir = Dir::new();
    let config = dir.write("secretsd.yaml", missing);
    dir.chmod("secretsd.yaml", 0o600);
    let ran = run(daemon(["--check-config", "--config"]).arg(config)).expect(2);
    let hint = "--> /nonexistent\n  hint: `rekey.pinned-recipients` names this file";
    assert!(ran.stderr.contains(hint), "{ran}");
    refused_after(
        "rekey: { mode: approve, on-rekey: [git, commit] }\n",
        "must begin with the absolute path",
        "4:35",
    );
}

#[test]
#[cfg(feature = "yubikey")]
fn a_key_in_a_card_has_a_serial_number_and_a_slot() {
    for (text, says, place) in [
        ("{ serial: 1 }", "`yubikey` needs `slot`", "4:16"),
        ("{ slot: 1 }", "`yubikey` needs `serial`", "4:16"),
        (
            "{ serial: 0, slot: 1 }",
            "`serial` must be a whole number from 1 to",
            "4:35",
        ),
        (
            "{ serial: 1, slot: 21 }",
            "`slot` must be a whole number from 1 to 20",
            "4:44",
        ),
        (
            "{ serial: 1, slot: 2, pin: 3 }",
            "`pin` is no key of `yubikey`",
            "4:47",
        ),
    ] {
        refused_after(
            &format!("identities: [{{ yubikey: {text} }}]\n"),
            says,
            place,
        );
    }
    let twice = "{ yubikey: { serial: 1, slot: 2 } }";
    refused_after(
        &format!("identities: [{twice}, {twice}]\n"),
        "listed twice",
        "4:51",
    );
}

#[test]
fn what_unlocking_leaves_is_said_exactly() {
    for keep in ["once", "until-lock", "8h", "500ms"] {
        let dir = Dir::new();
        let text = format!("unlock: {{ keep: {keep}, cache-pin: false, prompt: terminal }}\n");
        let file = dir.write("secretsd.yaml", format!("{START}{text}"));
        dir.chmod("secretsd.yaml", 0o600);
        let ran = run(daemon(["--check-config", "--config"]).arg(file)).expect(0);
        assert_eq!(ran.stderr, "", "{keep}");
    }
    for (text, says, place) in [
        ("unlock: { kept: once }\n", "did you mean `keep`", "4:11"),
        (
            "unlock: { keep: forever }\n",
            "no value of `unlock.keep`",
            "4:17",
        ),
        ("unlock: { keep: 8 }\n", "has no unit", "4:17"),
        ("unlock: { keep: 0s }\n", "is written `once`", "4:17"),
        (
            "unlock: { keep: once, cache-pin: true }\n",
            "keeps nothing where `unlock.keep` is `once`",
            "4:34",
        ),
        ("unlock: { keep: [once] }\n", "must be text", "4:17"),
        ("unlock: { cache-pin: maybe }\n", "true or false", "4:22"),
        (
            "unlock: { prompt: mail }\n",
            "no value of `unlock.prompt`",
            "4:19",
        ),
        ("unlock: once\n", "mapping", "4:9"),
    ] {
        refused_after(text, says, place);
    }
}

#[test]
fn what_a_later_release_brings_is_said() {
    let dir = Dir::new();
    let text = "templates: { a: { content: x, rollback: true } }\nrekey: { mode: off }\nmetrics: { file: \"\" }\n";
    let file = dir.write(
        "secretsd.yaml",
        format!("{START}{text}restart: {{ jitter: 5s }}\n"),
    );
    dir.chmod("secretsd.yaml", 0o600);
    let ran = run(daemon(["--check-config", "--config"]).arg(file)).expect(0);
    assert!(
        ran.stderr
            .contains("secretsd: warning: the return of the previous generation"),
        "{ran}"
    );
}

#[test]
fn a_rollback_needs_a_generation_to_return_to() {
    let one = "secrets: { a: { file: x, rollback: true, restart-units: [x.service] } }\n";
    refused_after(one, "needs `keep-generations: 2`", "4:12");
    let dir = Dir::new();
    let file = dir.write(
        "secretsd.yaml",
        format!("{START}{one}keep-generations: 2\n"),
    );
    dir.chmod("secretsd.yaml", 0o600);
    let ran = run(daemon(["--check-config", "--config"]).arg(file)).expect(0);
    assert_eq!(ran.stderr, "", "{ran}");
}

#[test]
fn credentials_name_units_and_secrets_that_there_are() {
    let one = "secrets: { a: { file: x }, \"b/c\": { file: x } }\n";
    for (text, says, place) in [
        ("credentials: [a]\n", "mapping of units", "5:14"),
        (
            "credentials: { app: [a] }\n",
            "no name of a service",
            "5:16",
        ),
        (
            "credentials: { x.timer: [a] }\n",
            "no name of a service",
            "5:16",
        ),
        ("credentials: { x.service: a }\n", "needs a list", "5:27"),
        (
            "credentials: { x.service: [b] }\n",
            "no secret or template `b`",
            "5:28",
        ),
        (
            "credentials: { x.service: [a, a] }\n",
            "is given twice",
            "5:31",
        ),
        (
            "credentials: { x.service: [b/c] }\n",
            "cannot be the name",
            "5:28",
        ),
        (
            "credentials: { x.service: { .: a } }\n",
            "cannot be the name",
            "5:29",
        ),
    ] {
        refused_after(&format!("{one}{text}"), says, place);
    }
    let dir = Dir::new();
    let text = "credentials: { x.service: [a], \"y@.service\": { c: b/c, d: a }, z.service: }\n";
    let file = dir.write("secretsd.yaml", format!("{START}{one}{text}"));
    dir.chmod("secretsd.yaml", 0o600);
    let ran = run(daemon(["--check-config", "--config"]).arg(file)).expect(0);
    assert_eq!(ran.stderr, "", "{ran}");
}

#[test]
fn names_and_paths_are_unique_and_stay_below() {
    let two = "secrets:\n  a: { file: x }\n";
    refused_after(
        &format!("{two}templates:\n  a: {{ content: x }}\n"),
        "the name `a` is given twice",
        "7:3",
    );
    refused_after(
        &format!("{two}  a/b: {{ file: x }}\n"),
        "needs a directory where `a`",
        "6:3",
    );
    refused_after(
        &format!("{two}  b: {{ file: x, path: /run/secrets/a }}\n"),
        "has the same path as `a`",
        "6:3",
    );
    let links = "secrets:\n  a: { file: x, path: /etc/x }\n  b: { file: x, path: /etc/./x }\n";
    refused_after(links, "has the same path /etc/x", "6:3");
    for name in ["../x", "/x", "a/../b", "a//b", ".", "a/"] {
        refused_after(
            &format!("secrets:\n  {name}: {{ file: x }}\n"),
            "the name",
            "5:3",
        );
    }
    refused_after(
        &format!("secrets:\n  {}: {{ file: x }}\n", "x".repeat(256)),
        "more than 255 bytes",
        "5:3",
    );
    for path in [
        "x",
        "/etc/../x",
        "/run/secrets",
        "/run/secrets.d/1/x",
        "/etc/",
    ] {
        refused_after(
            &format!("secrets:\n  a: {{ file: x, path: {path} }}\n"),
            "",
            "5:23",
        );
    }
}

#[test]
fn includes_are_merged() {
    let dir = Dir::new();
    let main = dir.write(
        "secretsd.yaml",
        format!("{START}include: [conf.d/*.yaml]\nsecrets: {{ a: {{ file: x }} }}\n"),
    );
    dir.write("conf.d/2.yaml", "templates: { t: { content: x } }\n");
    dir.write("conf.d/1.yaml", "secrets:\n  b: { file: x }\n");
    dir.write("conf.d/.3.yaml", "not: read\n");
    for name in ["secretsd.yaml", "conf.d/1.yaml", "conf.d/2.yaml"] {
        dir.chmod(name, 0o600);
    }
    dir.chmod("conf.d", 0o700);
    let check = || run(daemon(["--check-config", "--config"]).arg(&main));
    check().expect(0);
    dir.write("conf.d/2.yaml", "secrets:\n  b: { file: y }\n");
    let ran = check().expect(2);
    assert!(ran.stderr.contains("the name `b` is given twice"), "{ran}");
    assert!(ran.stderr.contains("conf.d/2.yaml:2:3"), "{ran}");
    dir.write("conf.d/2.yaml", "repository: /x\n");
    assert!(
        check()
            .expect(2)
            .stderr
            .contains("`repository` is no key of an included file")
    );
    fs::write(&main, format!("{START}include: [conf.d/none.yaml]\n")).unwrap();
    let ran = check().expect(2);
    assert!(ran.stderr.contains("hint: correct `include`"), "{ran}");
}

#[test]
fn who_can_write_it_matters() {
    let dir = Dir::new();
    let file = dir.write("etc/secretsd.yaml", START);
    dir.chmod("etc", 0o755);
    let check = || run(daemon(["--check-config", "--config"]).arg(&file));
    for (mode, code) in [(0o644, 0), (0o664, 2), (0o646, 2), (0o600, 0)] {
        dir.chmod("etc/secretsd.yaml", mode);
        check().expect(code);
    }
    dir.chmod("etc", 0o777);
    let ran = check().expect(2);
    assert!(ran.stderr.contains("can be written by"), "{ran}");
}

#[test]
fn owners_are_looked_up() {
    let Some(host) = Host::nobody("owners_are_looked_up") else {
        return;
    };
    host.configure("secrets:\n  a: { file: x, owner: no-such-user, group: no-such-group }\n  b: { file: x, owner: root }\n");
    let ran = host.check().expect(1);
    let file = host.dir.join("etc/secretsd.yaml");
    assert!(
        ran.stderr
            .contains("there is no user `no-such-user` on this machine"),
        "{ran}"
    );
    assert!(
        ran.stderr
            .contains(&format!("  --> {}:7:24\n", file.display())),
        "{ran}"
    );
    assert!(
        ran.stderr.contains("there is no group `no-such-group`"),
        "{ran}"
    );
}

#[test]
fn the_command_line_is_strict() {
    for args in [
        &["--repository", "x"][..],
        &["--identity", "x"],
        &["--once", "--check-config"],
        &["--repository", "x", "--identity", "y", "--config", "z"],
        &["--once", "extra"],
    ] {
        let ran = run(&mut daemon(args)).expect(2);
        assert!(ran.stderr.starts_with("secretsd: error: "), "{ran}");
    }
    let ran = run(&mut daemon(["--once", "--config", "/nonexistent/x.yaml"])).expect(2);
    assert!(ran.stderr.contains("  --> /nonexistent/x.yaml\n"), "{ran}");
    assert!(
        ran.stderr
            .contains("hint: name the configuration with --config"),
        "{ran}"
    );
}
