//! What is documented is what is there: generated files are fresh, shipped examples are accepted by the programs, the
//! commands in the README exist. `make generate` writes the generated files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::support::{Dir, ctl, daemon, run};

#[test]
fn generated_files_are_fresh() {
    let generate = std::env::var_os("SECRETSD_GENERATE").is_some();
    let expected = generated();
    for (path, content) in &expected {
        let file = root().join(path);
        if generate {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        } else {
            let found = fs::read(file).unwrap_or_default();
            assert!(
                found == *content,
                "{} is out of date; run `make generate`",
                path.display()
            );
        }
    }
    for directory in ["contrib/man", "contrib/completions"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = Path::new(directory).join(entry.unwrap().file_name());
            let by_hand =
                path.ends_with("secretsd.yaml.5") || path.ends_with("sops-install-secrets.8");
            if !by_hand && !expected.contains_key(&path) {
                assert!(
                    generate,
                    "{} belongs to no command; run `make generate`",
                    path.display()
                );
                fs::remove_file(root().join(path)).unwrap();
            }
        }
    }
}

/// Every key that the example shows is described, and every word in bold of the page that looks like a key of the top
/// level is in the example or said to be of a later release.
#[test]
fn the_configuration_page_knows_every_key_of_the_example() {
    let page = read("contrib/man/secretsd.yaml.5").replace('\\', "");
    for line in read("contrib/secretsd.example.yaml").lines() {
        let Some((key, _)) = line.split_once(':') else {
            continue;
        };
        if key.starts_with(|first: char| first.is_ascii_lowercase()) {
            assert!(
                page.contains(key),
                "secretsd.yaml(5) does not describe `{key}`"
            );
        }
    }
}

#[test]
fn the_example_configuration_is_accepted() {
    let dir = Dir::new();
    let file = dir.write("secretsd.yaml", read("contrib/secretsd.example.yaml"));
    let ran = run(daemon(["--check-config", "--config"]).arg(file)).expect(0);
    assert!(ran.stderr.is_empty(), "{ran}");
}

#[test]
fn commands_of_the_readme_exist() {
    let makefile = read("Makefile");
    let known = run(&mut ctl(["--help"])).expect(0);
    for page in ["README.md", "CONTRIBUTING.md"] {
        let text = read(page);
        for (at, _) in text.match_indices("make ") {
            let target: String = text[at + 5..]
                .chars()
                .take_while(char::is_ascii_lowercase)
                .collect();
            let quoted = text[..at].ends_with(['`', '\n']);
            if quoted && !target.is_empty() {
                assert!(
                    makefile.contains(&format!("\n{target}:")),
                    "{page}: there is no `make {target}`"
                );
            }
        }
        for (at, _) in text.match_indices("`secretsctl ") {
            let command: String = text[at + 12..]
                .chars()
                .take_while(char::is_ascii_lowercase)
                .collect();
            if !command.is_empty() {
                let listed = known
                    .text()
                    .lines()
                    .any(|line| line.trim_start().starts_with(&format!("{command} ")));
                assert!(listed, "{page}: there is no `secretsctl {command}`");
            }
        }
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "contrib/example/README.md",
    ] {
        let text = read(page);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            if !target.contains("://") && !target.starts_with('#') {
                let file = target.split('#').next().unwrap();
                let path = root().join(page).parent().unwrap().join(file);
                assert!(path.exists(), "{page}: {target} does not exist");
            }
        }
    }
}

/// Every generated file and its content.
fn generated() -> BTreeMap<PathBuf, Vec<u8>> {
    let output = |args: &[&str]| run(&mut ctl(args)).expect(0).stdout;
    let mut files = BTreeMap::new();
    for (shell, file) in [
        ("bash", "secretsctl.bash"),
        ("fish", "secretsctl.fish"),
        ("zsh", "_secretsctl"),
    ] {
        files.insert(
            Path::new("contrib/completions").join(file),
            output(&["completion", shell]),
        );
    }
    let main = output(&["man"]);
    let text = String::from_utf8(main.clone()).unwrap();
    let commands = text
        .lines()
        .filter_map(|line| line.strip_prefix("secretsctl\\-")?.strip_suffix("(1)"));
    for command in commands.map(|command| command.replace('\\', "")) {
        let file = format!("contrib/man/secretsctl-{command}.1");
        files.insert(PathBuf::from(file), output(&["man", &command]));
    }
    files.insert(PathBuf::from("contrib/man/secretsctl.1"), main);
    let page = run(&mut daemon(["--man"])).expect(0).stdout;
    files.insert(PathBuf::from("contrib/man/secretsd.8"), page);
    files
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
