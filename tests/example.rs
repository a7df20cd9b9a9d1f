//! The example repository: it is what its README says, and the demo on it works.

use std::{fs, path::PathBuf, process::Command};

use crate::support::{Dir, clean, ctl, peer, run};

#[test]
fn every_file_has_the_recipients_of_its_rule() {
    let files = files();
    assert!(files.len() >= 10);
    let mut explain = ctl(["explain", "--json"]);
    let answers = run(explain.args(&files).current_dir(example()))
        .expect(0)
        .json_lines();
    for (file, answer) in files.iter().zip(answers) {
        assert_eq!(answer["path"], file.as_str());
        let text = fs::read_to_string(example().join(file)).unwrap();
        let groups = answer["key_groups"].as_array().unwrap();
        for recipient in groups.iter().flat_map(|group| group.as_array().unwrap()) {
            assert!(
                text.contains(recipient.as_str().unwrap()),
                "{file} lacks {recipient}"
            );
        }
    }
}

/// The README shows what `explain` says here.
#[test]
fn the_readme_explains_a_file_as_the_program_does() {
    let readme = fs::read_to_string(example().join("../../README.md")).unwrap();
    let (_, shown) = readme.split_once("$ secretsctl explain ").unwrap();
    let (path, shown) = shown.split_once('\n').unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let ran = run(ctl(["explain", path]).current_dir(example())).expect(0);
    assert_eq!(ran.text(), shown);
}

#[test]
fn every_format_is_there_in_the_directories_of_servers() {
    let files = files();
    for extension in ["yaml", "yml", "json", "env", "ini", "txt"] {
        assert!(
            files
                .iter()
                .any(|file| file.starts_with("secrets/server1/") && file.ends_with(extension))
        );
    }
    for directory in ["common", "server1", "server2"] {
        assert!(
            files
                .iter()
                .any(|file| file.starts_with(&format!("secrets/{directory}/")))
        );
    }
}

/// The throw-away key opens what server1 may open and nothing else, to the bytes that sops gives.
#[test]
fn the_key_opens_what_is_for_server1() {
    let sops = peer("sops-3.13.3");
    let key = example().join("server1-throw-away-key.txt");
    for file in files() {
        let mine = file.starts_with("secrets/server1/") || file.starts_with("secrets/common/");
        let ran = run(ctl(["-i", key.to_str().unwrap(), "decrypt", &file]).current_dir(example()));
        if !mine {
            assert!(ran.expect(2).stdout.is_empty());
            continue;
        }
        let ran = ran.expect(0);
        if let Some(sops) = &sops {
            let mut command = Command::new(sops);
            clean(&mut command)
                .args(["decrypt", &file])
                .current_dir(example())
                .env("SOPS_AGE_KEY_FILE", &key);
            assert!(run(&mut command).expect(0).stdout == ran.stdout, "{file}");
        }
    }
}

#[test]
fn the_demo_runs() {
    let Some(memory) = Dir::in_memory("the_demo_runs") else {
        return;
    };
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_secretsd"));
    let mut demo = Command::new(example().join("demo"));
    clean(&mut demo)
        .env("SECRETSD_PROGRAMS", programs.parent().unwrap())
        .env("XDG_RUNTIME_DIR", memory.path());
    if let Some(directory) = std::env::var_os("SECRETSD_PEERS") {
        demo.env("SECRETSD_PEERS", directory);
    }
    let ran = run(&mut demo).expect(0);
    assert!(ran.text().contains("before: s3cret-Walnut-11\n"), "{ran}");
    assert!(ran.text().contains("after:  a-new-Password-42\n"), "{ran}");
    assert!(ran.text().contains("ended with exit code 0\n"), "{ran}");
    assert!(
        memory.tree().is_empty(),
        "the demo left {:?}",
        memory.tree()
    );
}

/// Paths of the encrypted files, relative to the example.
fn files() -> Vec<String> {
    let mut files = Vec::new();
    for directory in fs::read_dir(example().join("secrets")).unwrap() {
        for file in fs::read_dir(directory.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            files.push(
                path.strip_prefix(example())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
    files.sort();
    files
}

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("contrib/example")
}
