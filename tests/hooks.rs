//! `secretsctl check` where it should run by itself: hooks of Git, the pre-commit framework, the snippets for CI.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use policy::yaml::{Content, Limits, NodeId, Stream, parse};
use serde_json::{Map, Value};

use crate::{
    corpus::{git, git_command},
    support::{Dir, Ran, Sops, ctl, not_run, peer, run},
};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A Git repository with rules and, where `sops` is given, an encrypted file. The rules are committed.
fn repository(sops: Option<&Sops>) -> Dir {
    let dir = Dir::new();
    dir.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {A}\n"),
    );
    git(&dir, &["init", "--quiet", "--initial-branch=main"]);
    git(&dir, &["add", "--all"]);
    git(&dir, &["commit", "--quiet", "--message=rules"]);
    if let Some(sops) = sops {
        encrypted(&dir, sops, "secrets/good.yaml");
    }
    dir
}

fn encrypted(dir: &Dir, sops: &Sops, path: &str) {
    dir.write(path, "password: hunter2\n");
    let mut command = sops.command(["encrypt", "--in-place", path]);
    run(command.current_dir(dir.path())).expect(0);
}

/// `command` in the repository, where the built programs come first in PATH.
fn with_programs<'c>(command: &'c mut Command, dir: &Dir) -> &'c mut Command {
    let programs = Path::new(env!("CARGO_BIN_EXE_secretsctl"))
        .parent()
        .unwrap();
    let rest = env::var_os("PATH").unwrap_or_default();
    let all = [programs.to_owned()]
        .into_iter()
        .chain(env::split_paths(&rest));
    command
        .env("PATH", env::join_paths(all).unwrap())
        .current_dir(dir.path())
}

fn commits(dir: &Dir) -> String {
    let mut log = git_command();
    log.args(["log", "--format=%s"]).current_dir(dir.path());
    run(&mut log).expect(0).text().replace('\n', " ")
}

#[test]
fn the_git_hook_refuses_a_secret_in_clear() {
    // The hook asks about what is staged.
    let help = run(&mut ctl(["check", "--help"])).expect(0);
    if !help.text().contains("--staged") {
        not_run("the Git hook", "this secretsctl has no check --staged yet");
        return;
    }
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let dir = repository(Some(&sops));
    let hook = source("contrib/hooks/pre-commit");
    dir.write(".git/hooks/pre-commit", fs::read(hook).unwrap());
    dir.chmod(".git/hooks/pre-commit", 0o755);
    let commit = |arguments: &[&str]| {
        let mut command = git_command();
        command.args(["commit", "--quiet"]).args(arguments);
        run(with_programs(&mut command, &dir))
    };

    git(&dir, &["add", "secrets/good.yaml"]);
    commit(&["--message=good"]).expect(0);

    // In clear, and staged.
    dir.write("secrets/bad.yaml", "password: hunter2-canary\n");
    git(&dir, &["add", "secrets/bad.yaml"]);
    let refused = commit(&["--message=bad"]).expect(1);
    let said = refused.stderr.clone() + refused.text();
    assert!(said.contains("plaintext-file"), "{refused}");
    assert!(said.contains("secrets/bad.yaml"), "{refused}");
    assert!(!said.contains("canary"), "{refused}");
    assert_eq!(commits(&dir), "good rules ");

    // What counts is staged, not what lies there by now: encrypting alone does not help.
    encrypted(&dir, &sops, "secrets/bad.yaml");
    commit(&["--message=bad"]).expect(1);
    git(&dir, &["add", "secrets/bad.yaml"]);
    // And the other way round.
    let staged = dir.read_bytes("secrets/bad.yaml");
    dir.write("secrets/bad.yaml", "password: hunter2\n");
    commit(&["--message=encrypted"]).expect(0);
    assert_eq!(commits(&dir), "encrypted good rules ");
    dir.write("secrets/bad.yaml", staged);

    // With --all and with paths Git makes an index of its own for the commit.
    dir.write("secrets/good.yaml", "password: hunter2\n");
    commit(&["--all", "--message=bad"]).expect(1);
    commit(&["--message=bad", "secrets/good.yaml"]).expect(1);
    assert_eq!(commits(&dir), "encrypted good rules ");

    // A file that is bad already does not hinder a commit of another one, and there is a way past the hook.
    commit(&["--no-verify", "--all", "--message=past"]).expect(0);
    dir.write("README.md", "words\n");
    git(&dir, &["add", "README.md"]);
    commit(&["--message=words"]).expect(0);
    assert_eq!(commits(&dir), "words past encrypted good rules ");
}

#[test]
fn the_git_hook_says_when_the_program_is_missing() {
    let dir = Dir::new();
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .arg(source("contrib/hooks/pre-commit"))
        .env("PATH", bin);
    let ran = run(&mut command).expect(1);
    assert!(ran.stderr.contains("secretsctl is not installed"), "{ran}");
    assert!(ran.stderr.contains("--no-verify"), "{ran}");
}

/// The framework itself, with the hook for an installed program. The other one differs in who builds the program.
#[test]
fn the_pre_commit_framework_refuses_a_secret_in_clear() {
    let help = run(&mut ctl(["check", "--help"])).expect(0);
    if !help.text().contains("[PATH]") {
        not_run(
            "the pre-commit framework",
            "this secretsctl has no check PATH yet",
        );
        return;
    }
    let (Some(framework), Some(sops)) = (peer("pre-commit"), Sops::find("3.13.3")) else {
        return;
    };
    // A repository with the hooks' definition is all that the framework asks for.
    let hooks = Dir::new();
    hooks.write(
        ".pre-commit-hooks.yaml",
        fs::read(source(".pre-commit-hooks.yaml")).unwrap(),
    );
    git(&hooks, &["init", "--quiet"]);
    git(&hooks, &["add", "--all"]);
    git(&hooks, &["commit", "--quiet", "--message=hooks"]);
    let mut revision = git_command();
    revision
        .args(["rev-parse", "HEAD"])
        .current_dir(hooks.path());
    let revision = run(&mut revision).expect(0);

    let dir = repository(Some(&sops));
    dir.write(
        ".pre-commit-config.yaml",
        format!(
            "repos:\n  - repo: {}\n    rev: {}    hooks:\n      - id: secretsctl-check-system\n",
            hooks.path().display(),
            revision.text()
        ),
    );
    let cache = Dir::new();
    let pre_commit = |arguments: &[&str]| {
        let mut command = git_command();
        // The environment without Git's settings of the caller, for another program.
        let mut framework = Command::new(&framework);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => framework.env(name, value),
                None => framework.env_remove(name),
            };
        }
        command = framework;
        command.args(arguments).env("PRE_COMMIT_HOME", cache.path());
        run(with_programs(&mut command, &dir))
    };
    git(&dir, &["add", "--all"]);
    pre_commit(&["run"]).expect(0);
    pre_commit(&["install"]).expect(0);
    let commit = |message: &str| {
        let mut command = git_command();
        command.args(["commit", "--quiet", "--message", message]);
        command.env("PRE_COMMIT_HOME", cache.path());
        run(with_programs(&mut command, &dir))
    };
    commit("good").expect(0);
    dir.write("secrets/bad.yaml", "password: hunter2-canary\n");
    git(&dir, &["add", "--all"]);
    let refused = commit("bad").expect(1);
    let said = refused.stderr.clone() + refused.text();
    assert!(said.contains("plaintext-file"), "{refused}");
    assert!(!said.contains("canary"), "{refused}");
    assert_eq!(commits(&dir), "good rules ");
    // In CI the framework is told to look at everything.
    pre_commit(&["run", "--all-files"]).expect(1);
}

#[test]
fn definitions_of_the_framework() {
    let hooks = yaml(".pre-commit-hooks.yaml");
    let hooks = hooks.as_array().unwrap();
    let ids: Vec<_> = hooks.iter().map(|hook| &hook["id"]).collect();
    assert_eq!(ids, ["secretsctl-check", "secretsctl-check-system"]);
    for hook in hooks {
        assert!(hook["name"].is_string() && hook["language"].is_string());
        assert_eq!(hook["entry"], "secretsctl check");
    }
}

/// The commands of the snippets, without those that install something.
#[test]
fn snippets_for_ci_do_what_they_say() {
    let github = yaml("contrib/ci/github.yaml");
    let steps = github["jobs"]["check"]["steps"].as_array().unwrap();
    let run_of = |name: &str| {
        let step = steps.iter().find(|step| step["name"] == name);
        step.unwrap()["run"].as_str().unwrap().to_owned()
    };
    let good = repository(None);
    let bad = repository(None);
    bad.write("secrets/bad.yaml", "password: hunter2-canary\n");
    assert_eq!(shell(&good, &run_of("Check")).code(), 0);
    let ran = shell(&bad, &run_of("Check")).expect(1);
    assert!(ran.text().contains("title=plaintext-file::"), "{ran}");
    shell(&bad, &run_of("Write SARIF")).expect(0);
    let sarif: Value = serde_json::from_str(&bad.read("secretsctl.sarif")).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let broken = repository(None);
    broken.write(".sops.yaml", "creation_rules: [\n");
    shell(&broken, &run_of("Write SARIF")).expect(1);

    let gitlab = yaml("contrib/ci/gitlab.yaml");
    let script = gitlab["secretsctl"]["script"].as_array().unwrap();
    let script: Vec<_> = script.iter().map(|line| line.as_str().unwrap()).collect();
    if Command::new("jq").arg("--version").output().is_err() {
        not_run("the snippet for GitLab", "jq is missing");
        return;
    }
    shell(&good, &script.join("\n")).expect(0);
    let report = |dir: &Dir| -> Value {
        serde_json::from_str(&dir.read("gl-code-quality-report.json")).unwrap()
    };
    assert_eq!(report(&good)[0]["check_name"], "no-catch-all");
    let ran = shell(&bad, &script.join("\n")).expect(1);
    assert!(ran.text().contains("error[plaintext-file]"), "{ran}");
    let report = report(&bad);
    let found = report.as_array().unwrap().iter();
    let found: Vec<_> = found
        .filter(|finding| finding["severity"] == "critical")
        .collect();
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0]["location"]["path"], "secrets/bad.yaml");
    assert_eq!(found[0]["location"]["lines"]["begin"], 1);
    assert!(found[0]["fingerprint"].is_string() && found[0]["description"].is_string());
}

/// Runs a script as the CI systems do: the first command that fails ends it.
fn shell(dir: &Dir, script: &str) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-euc", script]);
    run(with_programs(&mut command, dir))
}

/// A YAML file of the project; every value is a text, a list or a mapping.
fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(source(path)).unwrap();
    let stream = parse(&text, Limits::default()).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(stream.documents.len(), 1, "{path}");
    value(&stream, stream.documents[0].root)
}

fn value(stream: &Stream, id: NodeId) -> Value {
    match &stream.node(id).content {
        Content::Scalar { text, .. } => text.as_str().into(),
        Content::Sequence { items, .. } => items.iter().map(|&item| value(stream, item)).collect(),
        Content::Mapping { entries, .. } => {
            let mut mapping = Map::new();
            for &(key, entry) in entries {
                let name = stream.node(key).as_scalar().unwrap().to_owned();
                let before = mapping.insert(name, value(stream, entry));
                assert!(before.is_none(), "a key is set twice");
            }
            mapping.into()
        }
        Content::Alias { target } => value(stream, *target),
    }
}
