//! Realistic repositories, each one text file in `tests/corpus/`, and what `secretsctl check` has to say about them.
//!
//! [`repository`] tells how such a file is read. After a change of the program that is meant, `SECRETSD_GENERATE=1`
//! rewrites what is expected; every line that changes then deserves a look, for these are the answers that people get.

mod repository;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

use self::repository::{Built, Repository};
pub(crate) use self::repository::{git, git_command};
use crate::{
    check_output::is_sarif,
    support::{Dir, Ran, Sops, ctl, not_run, run},
};

/// Codes that the corpus knows before the program does. What is expected of them counts as soon as it has them.
const NOT_YET: &[&str] = &[];

#[test]
fn every_repository_gets_the_findings_that_it_deserves() {
    let Some(sops) = Sops::find("3.13.3") else {
        return;
    };
    let files = files();
    assert!(files.len() >= 45, "only {} repositories", files.len());
    let codes = codes_of_the_program();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let repository = Repository::read(file);
            let waits = |code: &String| NOT_YET.contains(&code.as_str()) && !codes.contains(code);
            if repository.waits_for.as_ref().is_some_and(waits) {
                continue;
            }
            // One that cannot even be built says so, and the others go on.
            let judged = catch_unwind(|| judge(&repository, file, &sops, &codes));
            if let Err(message) = judged.unwrap_or_else(|_| Err("panicked, see above".to_owned())) {
                wrong.lock().unwrap().insert(file.clone(), message);
            }
        }
    };
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker
                .join()
                .unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let mut told = String::new();
    for (file, message) in &wrong {
        let _ = writeln!(told, "=== {}\n{message}", file.display());
    }
    assert!(
        wrong.is_empty(),
        "{told}{} of {} repositories; SECRETSD_GENERATE=1 writes what the program says",
        wrong.len(),
        files.len()
    );
}

/// A code that no repository shows would be one whose meaning nobody has seen.
#[test]
fn every_code_is_met() {
    let codes = codes_of_the_program();
    let expected: BTreeSet<String> = files()
        .iter()
        .flat_map(|file| Repository::read(file).expected)
        .filter_map(|line| code(&line).map(str::to_owned))
        .collect();
    let unmet: Vec<_> = codes.difference(&expected).collect();
    assert!(unmet.is_empty(), "no repository meets {unmet:?}");
    let unknown: Vec<_> = expected
        .difference(&codes)
        .filter(|code| !NOT_YET.contains(&code.as_str()))
        .collect();
    assert!(unknown.is_empty(), "the program has no {unknown:?}");
}

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// Each has a page: a unit test sees to that, and SARIF lists them all.
fn codes_of_the_program() -> BTreeSet<String> {
    let dir = Dir::new();
    dir.write(".sops.yml", "");
    let ran = run(ctl(["check", "--format", "sarif"]).current_dir(dir.path())).expect(1);
    let log = ran.json();
    let rules = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    let id = |rule: &Value| rule["id"].as_str().unwrap().to_owned();
    rules.iter().map(id).collect()
}

/// The code in a line of what is expected.
fn code(line: &str) -> Option<&str> {
    let mut words = line.split(' ');
    match words.next()? {
        "error" | "warning" | "note" | "allowed" => words.next(),
        _ => None,
    }
}

fn judge(
    repository: &Repository,
    file: &Path,
    sops: &Sops,
    codes: &BTreeSet<String>,
) -> Result<(), String> {
    let built = repository.build(sops);
    let mut codes_expected = repository.expected.iter().filter_map(|line| code(line));
    if codes_expected.any(|code| code == "world-readable-identity")
        && !others_reach(built.dir.path())
    {
        let why = "the directory for temporary files is closed to others";
        not_run(&file.display().to_string(), why);
        return Ok(());
    }
    let check = |format: &str, more: &[&str]| {
        // The long way, so that errors are JSON, too.
        let mut command = match format {
            "json" => ctl(["--json", "check"]),
            _ => ctl(["check", "--format", format]),
        };
        repository::no_git_of_the_caller(&mut command);
        command.args(more).args(&repository.arguments);
        run(command.current_dir(built.dir.path()))
    };
    let ran = check("json", &[]);
    let denied = check("json", &["--deny", "warnings"]);
    let found = told(&ran, denied.code(), &built);
    let waits = |line: &String| {
        code(line).is_some_and(|code| NOT_YET.contains(&code) && !codes.contains(code))
    };
    let (waiting, expected): (Vec<_>, Vec<_>) =
        repository.expected.iter().cloned().partition(waits);
    // The exit codes are those of all that is expected.
    let from = usize::from(!waiting.is_empty());
    if found.get(from..) != expected.get(from..) {
        if std::env::var_os("SECRETSD_GENERATE").is_some() {
            repository.rewrite(file, found.iter().chain(&waiting));
            return Ok(());
        }
        return Err(difference(&expected, &found) + &ran.to_string());
    }
    if repository.is_right {
        let bad = |line: &&String| line.starts_with("error ") || line.starts_with("warning ");
        if let Some(line) = repository.expected.iter().find(bad) {
            return Err(format!("nothing is wrong here, and yet: {line}"));
        }
    }
    other_formats(&ran, &check)
}

/// Whether other users of this machine can enter the directory.
fn others_reach(directory: &Path) -> bool {
    let lets_in = |directory: &Path| {
        let mode = directory.metadata().unwrap().permissions().mode();
        mode & 0o001 != 0
    };
    directory.ancestors().all(lets_in)
}

/// Exit codes, and every finding in the order of the output; what a comment allows comes last.
fn told(ran: &Ran, denied: i32, built: &Built) -> Vec<String> {
    let mut told = vec![format!(
        "exit {}, with warnings denied {denied}",
        ran.code()
    )];
    if ran.code() == 2 {
        assert!(ran.stdout.is_empty(), "{ran}");
        let error: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|_| panic!("{ran}"));
        let error = &error["error"];
        let file = error["file"].as_str().map(|file| {
            let file = Path::new(file);
            let file = file.strip_prefix(built.dir.path()).unwrap_or(file);
            format!(" {}:{}", file.display(), error["line"])
        });
        told.push(format!(
            "failure {}{}",
            error["code"].as_str().unwrap(),
            file.unwrap_or_default()
        ));
        return told;
    }
    let report = ran.json();
    for finding in report["findings"].as_array().unwrap() {
        let severity = finding["severity"].as_str().unwrap();
        told.push(format!("{severity} {}", place(finding)));
    }
    for allowed in report["allowed"].as_array().unwrap() {
        told.push(format!("allowed {}", place(allowed)));
    }
    told
}

fn place(finding: &Value) -> String {
    let text = |name: &str| finding[name].as_str().unwrap();
    format!("{} {}:{}", text("code"), text("file"), finding["line"])
}

/// `ran` is the check as JSON: the others must say the same.
fn other_formats(ran: &Ran, check: &dyn Fn(&str, &[&str]) -> Ran) -> Result<(), String> {
    let formats = ["human", "sarif", "github"].map(|format| check(format, &[]));
    if let Some(other) = formats.iter().find(|other| other.code() != ran.code()) {
        return Err(format!("another exit code\n{other}"));
    }
    let [human, sarif, github] = formats;
    if ran.code() == 2 {
        let silent = [&human, &sarif, &github].map(|ran| ran.stdout.is_empty());
        return silent
            .iter()
            .all(|silent| *silent)
            .then_some(())
            .ok_or_else(|| format!("an error is no result\n{human}"));
    }
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap();
    let allowed = report["allowed"].as_array().unwrap();

    is_sarif(&sarif);
    let log = sarif.json();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let ids: Vec<_> = results.iter().map(|result| &result["ruleId"]).collect();
    let codes = findings.iter().chain(allowed);
    let codes: Vec<_> = codes.map(|finding| &finding["code"]).collect();
    if ids != codes {
        return Err(format!("other findings than in JSON\n{sarif}"));
    }

    let lines: Vec<_> = github.text().lines().collect();
    let is_of = |(line, finding): (&&str, &Value)| {
        let kind = match finding["severity"].as_str().unwrap() {
            "note" => "notice",
            severity => severity,
        };
        let title = format!("title={}::", finding["code"].as_str().unwrap());
        line.starts_with(&format!("::{kind} file=")) && line.contains(&title)
    };
    if lines.len() != findings.len() || !lines.iter().zip(findings).all(is_of) {
        return Err(format!("not one annotation for each finding\n{github}"));
    }

    let text = human.text();
    let label = |finding: &Value| {
        let text = |name: &str| finding[name].as_str().unwrap();
        format!("{}[{}]: ", text("severity"), text("code"))
    };
    let starts: Vec<_> = findings.iter().map(label).collect();
    let shown = text
        .lines()
        .filter(|line| starts.iter().any(|start| line.starts_with(start)));
    if shown.count() != findings.len() || text.lines().last() != Some(&counts(&report)) {
        return Err(format!("not every finding, or wrong counts\n{human}"));
    }
    Ok(())
}

/// The last line for people.
fn counts(report: &Value) -> String {
    let counted = |number: u64, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    let findings = report["findings"].as_array().unwrap();
    let of = |severity: &str| {
        let found = findings
            .iter()
            .filter(|finding| finding["severity"] == severity);
        counted(found.count() as u64, severity)
    };
    let allowed = match report["allowed"].as_array().unwrap().len() {
        0 => String::new(),
        number => format!(", {number} allowed by comments"),
    };
    format!(
        "{}, {}: {}, {}, {}{allowed}",
        counted(report["files"].as_u64().unwrap(), "file"),
        counted(report["rules"].as_u64().unwrap(), "rule"),
        of("error"),
        of("warning"),
        of("note"),
    )
}

/// What is missing with `-`, what is too much with `+`, both in order.
fn difference(expected: &[String], found: &[String]) -> String {
    let mut text = String::new();
    let mut left = found.iter().peekable();
    for line in expected {
        if !left.clone().any(|found| found == line) {
            let _ = writeln!(text, "- {line}");
            continue;
        }
        for found in left.by_ref() {
            if found == line {
                let _ = writeln!(text, "  {line}");
                break;
            }
            let _ = writeln!(text, "+ {found}");
        }
    }
    for found in left {
        let _ = writeln!(text, "+ {found}");
    }
    text
}
