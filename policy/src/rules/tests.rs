//! Runs the corpus in `testdata/`: each file is a `.sops.yaml` whose comments say what its rules come to.

use super::*;

/// `#= PATH` in a file, and after it what `select` and `settings` say: `N` and the recipients, `none`, or `error CODE`.
#[test]
fn corpus() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut files = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut cases = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("#= ")) {
            let (matched, expected) = line.split_once(" -> ").unwrap();
            let found = verdict(&text, matched);
            if found != expected {
                wrong.push(format!(
                    "{} {matched}
  {found}
  {expected}",
                    path.display()
                ));
            }
            cases += 1;
        }
        assert!(cases > 0, "{} asks nothing", path.display());
        files += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(files > 5);
}

fn verdict(text: &str, matched: &str) -> String {
    let rules = match Rules::parse(text) {
        Ok(rules) => rules,
        Err(error) => return format!("error {} {}:{}", error.code, error.line, error.column),
    };
    let rule = match rules.select(matched) {
        Ok(Some(rule)) => rule,
        Ok(None) => return "none".to_owned(),
        Err(error) => return format!("error {} {}:{}", error.code, error.line, error.column),
    };
    let (index, line) = (rule.index, rule.position.line);
    let groups = match rule.settings() {
        Ok(settings) => settings.key_groups,
        Err(error) => {
            return format!(
                "{index} line {line} error {} {}:{}",
                error.code, error.line, error.column
            );
        }
    };
    let groups: Vec<_> = groups
        .iter()
        .map(|group| {
            group
                .iter()
                .map(|key| key.text.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let findings: Vec<_> = rule
        .findings()
        .iter()
        .map(|f| format!(" {}@{}", f.code, f.position.line))
        .collect();
    format!(
        "{index} line {line} [{}]{}",
        groups.join(" | "),
        findings.concat()
    )
}
