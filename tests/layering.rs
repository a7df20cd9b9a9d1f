//! The import table of `src/lib.rs`, enforced on the text of the sources: who may name whom, and how long a file may be.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each module of the library and what it may import of ours. A module that is missing here fails the test, so a new one
/// is placed on purpose. The `policy` crate stands below all of these; Cargo itself keeps it from importing us.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("clock", ""),
    ("error", ""),
    ("escape", ""),
    ("files", "error escape secret"),
    ("harden", ""),
    ("limits", ""),
    ("secret", ""),
    // The format does not know whose key opens a file, and keys do not know what a file is.
    ("sops", "clock error limits secret"),
    ("identity", "clock error escape files harden limits secret"),
    // The one place that names gix.
    ("git", "error files limits secret"),
    ("repository", "clock error escape files limits secret"),
    (
        "open",
        "error escape identity limits repository secret sops",
    ),
    ("survey", "error limits repository sops"),
    (
        "check",
        "error escape git limits repository secret sops survey",
    ),
    (
        "rekey",
        "clock error files identity limits open repository secret sops survey",
    ),
    (
        "config",
        "error escape files identity limits repository sops",
    ),
    // It cannot name the type that holds plaintext, so no message can carry any.
    ("control", "clock error escape limits"),
    (
        "delivery",
        "clock config error escape files identity limits open repository secret sops",
    ),
    ("systemd", "error files secret"),
    ("output", "error escape secret"),
    ("manual", "error"),
    ("usage", "error"),
    (
        "dropin",
        "config delivery error escape files harden identity limits open output secret sops",
    ),
    (
        "daemon",
        "check clock config control delivery dropin error escape files harden identity limits manual open output rekey repository secret sops systemd usage",
    ),
    (
        "ctl",
        "check clock config control error escape files harden identity limits manual open output rekey repository secret sops survey usage",
    ),
    // The crate root exports the two programs.
    ("lib", "ctl daemon"),
];

const LONGEST_FILE: usize = 800;
const LONGEST_PROGRAM: usize = 8;

#[test]
fn imports_point_downwards() {
    let mut wrong = Vec::new();
    for (path, source) in sources("src") {
        let module = top_module(&path);
        if module == "bin" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!(
                "{}: module {module} has no row in the table",
                path.display()
            ));
            continue;
        };
        for imported in imports(&source) {
            if imported != module && !allowed.split(' ').any(|allowed| allowed == imported) {
                wrong.push(format!(
                    "{}: {module} must not import {imported}",
                    path.display()
                ));
            }
        }
        if climbs_out(&path, &source) {
            wrong.push(format!(
                "{}: `super` up to the crate root hides an import; name it with `crate::`",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_is_the_one_in_the_documentation() {
    let root = fs::read_to_string(manifest_dir().join("src/lib.rs")).unwrap();
    for (module, _) in MAY_IMPORT.iter().filter(|(module, _)| *module != "lib") {
        assert!(
            root.contains(&format!("\nmod {module};\n")),
            "src/lib.rs has no module {module}"
        );
        let documented = root
            .lines()
            .any(|line| line.starts_with("//! |") && line.contains(&format!("`{module}`")));
        assert!(documented, "src/lib.rs does not say what {module} is");
    }
}

#[test]
fn files_stay_readable() {
    for (path, source) in ["src", "policy/src", "tests", "benches"]
        .into_iter()
        .flat_map(sources)
    {
        let lines = source.lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{}: {lines} lines; split it",
            path.display()
        );
        if path.starts_with("src/bin") {
            assert!(
                lines <= LONGEST_PROGRAM,
                "{}: programs are shims",
                path.display()
            );
        }
    }
}

#[test]
fn the_policy_crate_stays_small() {
    let manifest = fs::read_to_string(manifest_dir().join("policy/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let names: BTreeSet<&str> = dependencies
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    let allowed = BTreeSet::from([
        "curve25519-dalek", // says whether an SSH key is a point of the curve; no cryptography is done with it
        "libyaml-safer",
        "regex-automata",
        "regex-syntax",
    ]);
    assert!(
        names.is_subset(&allowed),
        "policy is data and functions; it depends on {names:?}"
    );
}

#[test]
fn the_scanner_finds_imports() {
    let found = |source: &str| imports(source).into_iter().collect::<Vec<_>>();
    assert_eq!(found("use crate::error::Error;"), ["error"]);
    assert_eq!(
        found(
            "use crate::{\n    error::{self, Result},\n    sops::{format::Format, tree::{A, B}},\n};"
        ),
        ["error", "sops"]
    );
    assert_eq!(
        found("let x = crate::open::open(crate::secret::Secret::new());"),
        ["open", "secret"]
    );
    assert_eq!(
        found("// crate::open is not meant\nlet crate_ = 1;"),
        [""; 0]
    );
    assert!(climbs_out(
        Path::new("src/ctl/man.rs"),
        "use super::super::daemon;"
    ));
    assert!(!climbs_out(Path::new("src/ctl/man.rs"), "use super::args;"));
    assert!(climbs_out(
        Path::new("src/ctl/mod.rs"),
        "use super::daemon;"
    ));
}

/// Every Rust file below `directory`, as a path relative to the repository, and its text.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![manifest_dir().join(directory)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                found.push((
                    path.strip_prefix(manifest_dir()).unwrap().to_owned(),
                    source,
                ));
            }
        }
    }
    found
}

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `src/sops/format/yaml.rs` is part of `sops`.
fn top_module(path: &Path) -> String {
    let inner = path.strip_prefix("src").unwrap().with_extension("");
    inner
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap()
        .to_owned()
}

/// The first name of every `crate::` path, groups included.
fn imports(source: &str) -> BTreeSet<String> {
    let code = without_comments(source);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|char| char.is_alphanumeric() || char == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.extend(identifier(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut expected = true;
                for (at, char) in group.char_indices() {
                    match char {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => expected = true,
                        _ if expected && !char.is_whitespace() => {
                            found.extend(identifier(&group[at..]));
                            expected = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn identifier(text: &str) -> Option<String> {
    let end = text
        .find(|char: char| !char.is_alphanumeric() && char != '_')
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// Whether a chain of `super` reaches the crate root. Tests at the end of a file are a module deeper and are left out.
fn climbs_out(path: &Path, source: &str) -> bool {
    let code = without_comments(source);
    let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let inner = path.strip_prefix("src").unwrap();
    let is_root_of_directory = inner.file_name().is_some_and(|name| name == "mod.rs");
    let depth = inner.components().count() - usize::from(is_root_of_directory);
    code.contains(&"super::".repeat(depth))
}

fn without_comments(source: &str) -> String {
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}
