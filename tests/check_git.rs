//! `secretsctl check` in Git work trees: what is tracked, ignored, staged, changed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use crate::support::{Dir, Ran, age_identity, clean, ctl, not_run, run};

const A: &str = "age1zrqfeey2e9affa2qsms5ss5vxp5ym72y4vtpsy7fl783pu7qj4esj7t43l";
const B: &str = "age1jcre6e7a2xmfsd5g69skxqqgxhflzss874f5lejjs6mhhj94xeeq4ndtvs";

/// A file as sops writes it, for [`A`]; another `seed` gives other ciphertexts.
pub(crate) fn encrypted(seed: &str) -> String {
    let value = |name: &str| format!("ENC[AES256_GCM,data:{name}{seed},iv:aXY=,tag:dGFn,type:str]");
    format!(
        "user: {}
password: {}
sops:
    age:
        - recipient: {A}
          enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            {seed}
            -----END AGE ENCRYPTED FILE-----
    lastmodified: \"2025-01-01T00:00:00Z\"
    mac: {}
    version: 3.13.3
",
        value("user"),
        value("pass"),
        value("mac")
    )
}

fn rules(pattern: &str, recipient: &str) -> String {
    format!("creation_rules:\n  - path_regex: {pattern}\n    age: {recipient}\n")
}

/// A Git repository with rules for `secrets/`; nothing (said loudly) where there is no Git.
fn repository(test: &str) -> Option<Dir> {
    if Command::new("git").arg("--version").output().is_err() {
        not_run(test, "there is no git");
        return None;
    }
    let dir = Dir::new();
    git(dir.path(), &["init", "--quiet", "--initial-branch", "main"]);
    dir.write(".sops.yaml", rules("^secrets/", A));
    Some(dir)
}

fn git_command(at: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
    command.args(["-c", "protocol.file.allow=always"]);
    clean(command.args(args).current_dir(at)).env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

#[track_caller]
fn git(at: &Path, args: &[&str]) -> Ran {
    run(&mut git_command(at, args)).expect(0)
}

fn commit_all(dir: &Dir) {
    git(dir.path(), &["add", "--all"]);
    git(dir.path(), &["commit", "--quiet", "--message", "words"]);
}

fn check(at: impl AsRef<Path>, args: &[&str]) -> Ran {
    run(ctl(["--json", "check"]).args(args).current_dir(at))
}

/// Severity, code and file of every finding but the note that there is no catch-all.
pub(crate) fn found(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["code"] != "no-catch-all")
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap().to_owned();
            format!("{} {} {}", text("severity"), text("code"), text("file"))
        })
        .collect()
}

#[test]
fn tracked_ignored_and_neither() {
    let Some(dir) = repository("tracked_ignored_and_neither") else {
        return;
    };
    dir.write(
        ".gitignore",
        "*.dec.yaml\n/node_modules/\n.direnv\n*.local.yaml\nkeys.txt\n/secrets/forced.yaml\n",
    );
    dir.write("secrets/a.yaml", encrypted("a"));
    dir.write("secrets/forced.yaml", encrypted("f"));
    git(dir.path(), &["add", "--force", "secrets"]);
    commit_all(&dir);
    assert_eq!(found(&check(dir.path(), &[]).expect(0)), [""; 0]);

    // Ignored on purpose: a decrypted copy, a key, what tools make.
    dir.write("secrets/a.dec.yaml", "user: in clear\n");
    dir.write("keys.txt", age_identity() + "\n");
    dir.write("node_modules/secrets/b.yaml", encrypted("b"));
    dir.write("node_modules/x/.sops.yaml", "");
    dir.write(".direnv/c.yaml", encrypted("c"));
    assert_eq!(found(&check(dir.path(), &[]).expect(0)), [""; 0]);

    // By mistake.
    dir.write("secrets/b.local.yaml", encrypted("l"));
    dir.write("secrets/new.yaml", encrypted("n"));
    dir.write("secrets/clear.yaml", "user: a\n");
    dir.write("notes.txt", "nothing\n");
    let ran = check(dir.path(), &[]).expect(1);
    assert_eq!(
        found(&ran),
        [
            "warning ignored-file secrets/b.local.yaml",
            "error plaintext-file secrets/clear.yaml",
            "warning untracked-file secrets/clear.yaml",
            "warning untracked-file secrets/new.yaml",
        ],
        "{ran}"
    );
    // What is announced is what a flake sees.
    git(dir.path(), &["add", "--intent-to-add", "secrets/new.yaml"]);
    let ran = check(dir.path(), &["secrets/new.yaml"]).expect(0);
    assert_eq!(found(&ran), [""; 0]);
    // The same files without Git.
    fs::rename(dir.join(".git"), dir.join("elsewhere")).unwrap();
    fs::remove_dir_all(dir.join("elsewhere")).unwrap();
    let ran = check(dir.path(), &["secrets"]).expect(1);
    assert_eq!(
        found(&ran),
        [
            "error plaintext-file secrets/a.dec.yaml",
            "error plaintext-file secrets/clear.yaml"
        ]
    );
}

/// A rule for a directory that is ignored whole contradicts `.gitignore`, so that directory is looked into.
#[test]
fn an_ignored_directory_that_a_rule_names() {
    let Some(dir) = repository("an_ignored_directory_that_a_rule_names") else {
        return;
    };
    dir.write("deep/.gitignore", "*\n!.gitignore\n");
    dir.write(".gitignore", "secrets/\n");
    dir.write("secrets/prod/a.yaml", encrypted("a"));
    dir.write("deep/b.yaml", encrypted("b"));
    commit_all(&dir);
    let ran = check(dir.path(), &["--deny", "warnings"]).expect(1);
    assert_eq!(
        found(&ran),
        [
            "note rule-matches-no-file .sops.yaml",
            "warning ignored-file deep/b.yaml",
            "warning ignored-file secrets/prod/a.yaml"
        ]
    );
}

#[test]
fn ignore_rules_from_everywhere() {
    let Some(dir) = repository("ignore_rules_from_everywhere") else {
        return;
    };
    // The rules lie in a subdirectory of the work tree.
    let inner = dir.join("infra/live");
    fs::create_dir_all(inner.join("secrets")).unwrap();
    fs::rename(dir.join(".sops.yaml"), inner.join(".sops.yaml")).unwrap();
    dir.write(".gitignore", "/infra/live/secrets/top.yaml\n");
    dir.write("infra/.gitignore", "middle.yaml\n");
    dir.write("infra/live/secrets/.gitignore", "*.x.yaml\n!kept.x.yaml\n");
    dir.write(".git/info/exclude", "exclude.yaml\n");
    let users = dir.write(".git/users-ignores", "users.yaml\n");
    git(
        dir.path(),
        &["config", "core.excludesFile", users.to_str().unwrap()],
    );
    for name in [
        "top", "middle", "a.x", "kept.x", "exclude", "users", "other",
    ] {
        dir.write(format!("infra/live/secrets/{name}.yaml"), encrypted(name));
    }
    let expected = |top: &Path| {
        let status = git(
            top,
            &[
                "status",
                "--ignored",
                "--porcelain",
                "--untracked-files=all",
            ],
        );
        let mut lines: Vec<_> = status
            .text()
            .lines()
            .filter(|line| line.contains("/secrets/") && line.ends_with(".yaml"))
            .map(|line| {
                let file = line[3..].strip_prefix("infra/live/").unwrap();
                match &line[..2] {
                    "!!" => format!("warning ignored-file {file}"),
                    _ => format!("warning untracked-file {file}"),
                }
            })
            .collect();
        lines.sort();
        lines
    };
    let mut findings = found(&check(&inner, &[]).expect(0));
    findings.sort();
    assert_eq!(findings.len(), 7);
    assert_eq!(findings, expected(dir.path()));

    // A linked work tree and a submodule have their index elsewhere.
    commit_all(&dir);
    let linked = dir.join("linked");
    git(
        dir.path(),
        &["worktree", "add", "--quiet", linked.to_str().unwrap()],
    );
    let at = linked.join("infra/live");
    fs::write(at.join("secrets/exclude.yaml"), encrypted("e")).unwrap();
    fs::write(at.join("secrets/new.yaml"), encrypted("n")).unwrap();
    assert_eq!(
        found(&check(&at, &[]).expect(0)),
        [
            "warning ignored-file secrets/exclude.yaml",
            "warning untracked-file secrets/new.yaml"
        ]
    );
    let outer = Dir::new();
    git(outer.path(), &["init", "--quiet"]);
    outer.write(".sops.yaml", rules("^own/", A));
    git(
        outer.path(),
        &[
            "submodule",
            "--quiet",
            "add",
            dir.path().to_str().unwrap(),
            "sub",
        ],
    );
    let sub = outer.join("sub/infra/live");
    fs::write(sub.join("secrets/new.yaml"), encrypted("n")).unwrap();
    assert_eq!(
        found(&check(&sub, &[]).expect(0)),
        ["warning untracked-file secrets/new.yaml"]
    );
    // From outside, another repository is responsible for it.
    fs::remove_file(sub.join(".sops.yaml")).unwrap();
    outer.write(".sops.yaml", rules("^sub/", A));
    assert_eq!(found(&check(outer.path(), &[]).expect(0)), [""; 0]);
}

/// A repository in an ignored directory of another one (a home directory that is kept in Git) is no part of that.
#[test]
fn a_repository_that_an_outer_one_ignores() {
    let Some(dir) = repository("a_repository_that_an_outer_one_ignores") else {
        return;
    };
    dir.write(".gitignore", "*\n");
    dir.write("work/.sops.yaml", rules("^secrets/", A));
    dir.write("work/secrets/a.yaml", encrypted("a"));
    dir.write("work/secrets/clear.yaml", "a: b\n");
    let ran = check(dir.join("work"), &[]).expect(1);
    assert_eq!(found(&ran), ["error plaintext-file secrets/clear.yaml"]);
}

#[test]
fn staged_contents_and_rules() {
    let Some(dir) = repository("staged_contents_and_rules") else {
        return;
    };
    let staged = || check(dir.path(), &["--staged"]);
    // Before the first commit everything staged is new.
    dir.write("secrets/a.yaml", encrypted("a"));
    dir.write("secrets/clear.yaml", "a: b\n");
    git(dir.path(), &["add", "--all"]);
    let ran = staged().expect(1);
    assert_eq!(found(&ran), ["error plaintext-file secrets/clear.yaml"]);
    git(dir.path(), &["commit", "--quiet", "--message", "words"]);
    // What was committed once does not stop the next commit.
    let ran = staged().expect(0);
    assert_eq!(ran.json()["files"], 0);

    // The index counts, not the work tree: plaintext is staged, and encrypted since.
    dir.write("secrets/b.yaml", "a: hunter2-canary\n");
    git(dir.path(), &["add", "secrets/b.yaml"]);
    dir.write("secrets/b.yaml", encrypted("b"));
    dir.write("secrets/c.yaml", "not staged\n");
    let ran = staged().expect(1);
    assert_eq!(found(&ran), ["error plaintext-file secrets/b.yaml"]);
    assert!(!ran.text().contains("hunter2"));
    git(dir.path(), &["add", "secrets/b.yaml"]);
    let ran = staged().expect(0);
    assert_eq!(ran.json()["files"], 1);
    // A copy of a file that is not staged is told where it is staged.
    dir.write("secrets/0.yaml", encrypted("a"));
    git(dir.path(), &["add", "secrets/0.yaml"]);
    let ran = staged().expect(0);
    assert_eq!(found(&ran), ["warning duplicate-data-key secrets/0.yaml"]);
    git(dir.path(), &["reset", "--quiet", "secrets/0.yaml"]);

    // The rules are those that are staged, and told about only then.
    dir.write(".sops.yaml", rules("^secrets/", B) + "    typo: x\n");
    let ran = staged().expect(0);
    assert_eq!(found(&ran), [""; 0]);
    git(dir.path(), &["add", ".sops.yaml"]);
    dir.write(".sops.yaml", rules("^secrets/", A));
    let ran = staged().expect(1);
    assert_eq!(
        found(&ran),
        ["error unknown-key .sops.yaml", "error drift secrets/b.yaml"]
    );
    git(
        dir.path(),
        &["rm", "--quiet", "--cached", "--force", ".sops.yaml"],
    );
    let ran = staged().expect(2);
    assert!(ran.stderr.contains("git add .sops.yaml"), "{ran}");
}

/// As Git runs it: with `commit --all` and `commit FILE` the index is another file.
#[test]
fn as_a_hook() {
    let Some(dir) = repository("as_a_hook") else {
        return;
    };
    dir.write("secrets/a.yaml", encrypted("a"));
    dir.write("other.yaml", "a: b\n");
    commit_all(&dir);
    let hook = format!(
        "#!/bin/sh\nexec {} check --staged\n",
        env!("CARGO_BIN_EXE_secretsctl")
    );
    let hook = dir.write(".git/hooks/pre-commit", hook);
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    let commit = |args: &[&str]| {
        let mut all = vec!["commit", "--quiet", "--message", "words"];
        all.extend(args);
        run(&mut git_command(dir.path(), &all))
    };
    dir.write("secrets/a.yaml", "in: clear\n");
    for args in [&["--all"][..], &["secrets/a.yaml"]] {
        let ran = commit(args).expect(1);
        assert!(
            (ran.text().to_owned() + &ran.stderr).contains("plaintext-file"),
            "{ran}"
        );
    }
    // What is not part of this commit does not stop it.
    dir.write("other.yaml", "a: c\n");
    commit(&["other.yaml"]).expect(0);
    dir.write("secrets/a.yaml", encrypted("b"));
    commit(&["--all"]).expect(0);
    let linked = dir.join("linked");
    git(
        dir.path(),
        &["worktree", "add", "--quiet", linked.to_str().unwrap()],
    );
    fs::write(linked.join("secrets/a.yaml"), "in: clear\n").unwrap();
    let ran = run(&mut git_command(
        &linked,
        &["commit", "--all", "--message", "words"],
    ));
    ran.expect(1);
}

#[test]
fn since_a_revision() {
    let Some(dir) = repository("since_a_revision") else {
        return;
    };
    dir.write("secrets/old.yaml", "a: in clear\n");
    dir.write("secrets/touched.yaml", "a: in clear\n");
    dir.write("secrets/a.yaml", encrypted("a"));
    commit_all(&dir);
    git(dir.path(), &["checkout", "--quiet", "-b", "topic"]);
    // The same content again is no change.
    dir.write("secrets/touched.yaml", "a: in clear\n");
    dir.write("secrets/new.yaml", "a: in clear\n");
    commit_all(&dir);
    dir.write("secrets/newer.yaml", "a: in clear\n");
    let since = |revision: &str| check(dir.path(), &["--since", revision]);
    let new = [
        "error plaintext-file secrets/new.yaml",
        "error plaintext-file secrets/newer.yaml",
        "warning untracked-file secrets/newer.yaml",
    ];
    assert_eq!(found(&since("main").expect(1)), new);
    // What happens on the other branch meanwhile is not ours.
    git(dir.path(), &["stash", "--quiet", "--include-untracked"]);
    git(dir.path(), &["checkout", "--quiet", "main"]);
    dir.write("secrets/old.yaml", "a: changed there\n");
    commit_all(&dir);
    git(dir.path(), &["checkout", "--quiet", "topic"]);
    git(dir.path(), &["stash", "pop", "--quiet"]);
    let ran = since("main").expect(1);
    assert_eq!(found(&ran), new);
    assert_eq!(ran.json()["files"], 2);
    let ran = check(dir.path(), &["--since", "main", "secrets/new.yaml"]).expect(1);
    assert_eq!(found(&ran), new[..1]);

    // Other rules: every file whose recipients they change.
    let added = rules("^secrets/a", B) + &format!("  - path_regex: ^secrets/\n    age: {A}\n");
    dir.write(".sops.yaml", added);
    let findings = found(&since("main").expect(1));
    assert!(findings.contains(&"error drift secrets/a.yaml".to_owned()));
    assert!(!findings.iter().any(|finding| finding.contains("old.yaml")));

    for revision in ["no-such-branch", "HEAD~9", "", "--help", "HEAD:secrets"] {
        let ran = check(dir.path(), &[&format!("--since={revision}")]).expect(2);
        assert!(ran.stderr.contains("\"hint\""), "{ran}");
        assert!(ran.stdout.is_empty());
    }
    // A clone without the history.
    let shallow = Dir::new();
    let url = format!("file://{}", dir.path().display());
    let clone = [
        "clone",
        "--quiet",
        "--depth",
        "1",
        "--no-single-branch",
        &url,
        ".",
    ];
    git(shallow.path(), &clone);
    let ran = check(shallow.path(), &["--since", "origin/main"]).expect(2);
    assert!(
        ran.stderr.contains("shallow") && ran.stderr.contains("--unshallow"),
        "{ran}"
    );
}

#[test]
fn what_needs_git_says_so() {
    let dir = Dir::new();
    dir.write(".sops.yaml", rules("^secrets/", A));
    for args in [&["--staged"][..], &["--since", "main"]] {
        let ran = check(dir.path(), args).expect(2);
        assert!(ran.stderr.contains("not in a Git work tree"), "{ran}");
    }
    check(dir.path(), &["--staged", "--since", "main"]).expect(2);
}

#[test]
fn paths_restrict_what_is_told() {
    let dir = Dir::new();
    dir.write(".sops.yaml", rules("^secrets/", A) + "    typo: x\n");
    for file in ["secrets/a/1.yaml", "secrets/a/2.yaml", "secrets/b/3.yaml"] {
        dir.write(file, "in: clear\n");
    }
    dir.write("nested/.sops.yaml", "");
    symlink("a/1.yaml", dir.join("secrets/link.yaml")).unwrap();
    symlink("/etc", dir.join("secrets/out")).unwrap();
    let told = |at: &str, args: &[&str]| {
        let ran = check(dir.join(at), args).expect(1);
        let mut findings = found(&ran);
        assert_eq!(findings.remove(0), "error unknown-key .sops.yaml");
        findings
            .iter()
            .map(|finding| finding.rsplit(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = told("", &[]);
    assert_eq!(told("secrets", &[]), all);
    assert_eq!(told("", &["."]), all);
    assert_eq!(told("secrets/a", &["../.."]), all);
    assert_eq!(
        told("secrets", &["a"]),
        ["secrets/a/1.yaml", "secrets/a/2.yaml"]
    );
    assert_eq!(
        told("", &["secrets/b", "secrets/a/2.yaml", "nested/.sops.yaml"]),
        ["nested/.sops.yaml", "secrets/a/2.yaml", "secrets/b/3.yaml"]
    );
    assert_eq!(told("", &["secrets/link.yaml"]), ["secrets/a/1.yaml"]);
    assert_eq!(told("", &["secrets/out", ".sops.yaml"]), [""; 0]);
    for outside in ["..", "/etc/passwd", "missing.yaml", "secrets/out/passwd"] {
        let ran = check(dir.path(), &[outside]).expect(2);
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains("\"hint\""),
            "{ran}"
        );
    }
}

/// Nothing that a repository names is run, and nothing in it makes a check hang or die.
#[test]
fn hostile_repositories() {
    let Some(dir) = repository("hostile_repositories") else {
        return;
    };
    dir.write("secrets/a.yaml", encrypted("a"));
    dir.write(".gitattributes", "* filter=evil diff=evil\n");
    commit_all(&dir);
    let mark = dir.join("ran");
    let evil = format!("touch {}", mark.display());
    let config = dir.read(".git/config");
    let script = dir.write(".git/evil", format!("#!/bin/sh\n{evil}\n"));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "credential.helper",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
        "core.hooksPath",
    ] {
        git(dir.path(), &["config", key, script.to_str().unwrap()]);
    }
    dir.write("secrets/b.yaml", encrypted("b"));
    for args in [&[][..], &["--staged"], &["--since", "HEAD"]] {
        check(dir.path(), args).expect(0);
        assert!(!mark.exists());
    }

    // Ignore files that are none.
    fs::create_dir_all(dir.join("secrets/pipe")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        dir.join("secrets/pipe/.gitignore"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    symlink("/dev/zero", dir.join("secrets/.gitignore")).unwrap();
    fs::remove_file(dir.join(".git/info/exclude")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        dir.join(".git/info/exclude"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    let ran = check(dir.path(), &[]).expect(0);
    assert_eq!(found(&ran), ["warning untracked-file secrets/b.yaml"]);
    // Git itself would wait for it.
    fs::remove_file(dir.join(".git/info/exclude")).unwrap();
    fs::remove_dir_all(dir.join("secrets/pipe")).unwrap();
    fs::remove_file(dir.join("secrets/.gitignore")).unwrap();
    dir.write(".git/config", config);

    // An index that is none: said, and everything else is looked at.
    dir.write("secrets/clear.yaml", "a: b\n");
    let index = fs::read(dir.join(".git/index")).unwrap();
    let mut broken: Vec<Vec<u8>> = [0, 4, 12, 40, index.len() - 3]
        .into_iter()
        .map(|length| index[..length].to_vec())
        .collect();
    for at in (0..index.len()).step_by(7) {
        let mut changed = index.clone();
        changed[at] ^= 0xff;
        broken.push(changed);
    }
    for index in broken {
        fs::write(dir.join(".git/index"), index).unwrap();
        let ran = check(dir.path(), &[]).expect(1);
        let findings = found(&ran);
        assert!(
            findings.contains(&"note not-analysed .git".to_owned()),
            "{ran}"
        );
        assert!(findings.contains(&"error plaintext-file secrets/clear.yaml".to_owned()));
        check(dir.path(), &["--staged"]).expect(2);
    }
    fs::write(dir.join(".git/index"), &index).unwrap();
    // An object that is gone: what was staged cannot be looked at.
    git(dir.path(), &["add", "--all"]);
    let id = git(dir.path(), &["rev-parse", ":secrets/b.yaml"]);
    let id = id.text().trim();
    fs::remove_file(dir.join(".git/objects").join(&id[..2]).join(&id[2..])).unwrap();
    let ran = check(dir.path(), &["--staged"]).expect(1);
    assert_eq!(
        found(&ran),
        [
            "error not-analysed secrets/b.yaml",
            "error plaintext-file secrets/clear.yaml"
        ]
    );
    fs::write(dir.join(".git/HEAD"), "ref: ../../../etc/passwd\n").unwrap();
    let ran = check(dir.path(), &["--staged"]);
    assert!([1, 2].contains(&ran.code()), "{ran}");
    fs::write(dir.join(".git/config"), "[core\n").unwrap();
    let ran = check(dir.path(), &[]).expect(1);
    assert!(
        found(&ran).contains(&"note not-analysed .git".to_owned()),
        "{ran}"
    );
}

/// Findings that stand alone have a place, too, and are told where they were staged.
#[test]
fn rules_that_sops_does_not_read() {
    for (name, text, code) in [
        (".sops.yml", "creation_rules: []\n", "wrong-file-name"),
        (
            ".sops.yaml",
            "creation_rules: []\ncreation_rules: []\n",
            "duplicate-key",
        ),
    ] {
        let Some(dir) = repository("rules_that_sops_does_not_read") else {
            return;
        };
        fs::remove_file(dir.join(".sops.yaml")).unwrap();
        let file = format!("ops/{name}");
        dir.write(&file, text);
        let ops = dir.join("ops");
        let expected = [format!("error {code} {name}")];
        let ran = check(&ops, &[]).expect(1);
        assert_eq!(found(&ran), expected);
        assert_eq!(ran.json()["place"], "ops/");
        let github = run(ctl(["check", "--format", "github"]).current_dir(&ops)).expect(1);
        assert!(github.text().contains(&format!("file={file},")), "{github}");
        git(dir.path(), &["add", "--all"]);
        assert_eq!(found(&check(&ops, &["--staged"]).expect(1)), expected);
        commit_all(&dir);
        assert_eq!(found(&check(&ops, &["--staged"]).expect(0)), [""; 0]);
    }
}

/// Nobody names a directory to hear nothing about it.
#[test]
fn ignored_directories_that_are_named() {
    let Some(dir) = repository("ignored_directories_that_are_named") else {
        return;
    };
    dir.write(".gitignore", "/old/\n");
    dir.write("old/secrets/a.yaml", encrypted("a"));
    dir.write("secrets/b.yaml", encrypted("b"));
    git(dir.path(), &["add", "--all"]);
    assert_eq!(found(&check(dir.path(), &[]).expect(0)), [""; 0]);
    for path in ["old", "old/secrets", "old/secrets/a.yaml"] {
        let ran = check(dir.path(), &[path]).expect(0);
        let expected = "warning ignored-file old/secrets/a.yaml".to_owned();
        assert_eq!(found(&ran), [expected], "{path}");
    }
}

/// Hosts of Git repositories call files by their place from the top.
#[test]
fn rules_below_the_top_of_the_work_tree() {
    let Some(dir) = repository("rules_below_the_top_of_the_work_tree") else {
        return;
    };
    dir.write("ops/.sops.yaml", rules("^secrets/", A));
    dir.write("ops/secrets/a.yaml", "password: hunter2\n");
    let ops = dir.join("ops");
    let github = run(ctl(["check", "--format", "github"]).current_dir(&ops)).expect(1);
    assert!(
        github.text().contains("::error file=ops/secrets/a.yaml,"),
        "{github}"
    );
    let sarif = run(ctl(["check", "--format", "sarif"]).current_dir(&ops)).expect(1);
    assert!(
        sarif.text().contains("\"uri\":\"ops/secrets/a.yaml\""),
        "{sarif}"
    );
    let ran = check(&ops, &[]).expect(1);
    assert_eq!(ran.json()["place"], "ops/");
    assert!(found(&ran).contains(&"error plaintext-file secrets/a.yaml".to_owned()));
}
