//! [`policy::rules`] and sops' own configuration package agree on which rule a path gets and on what it says.

use policy::rules::{KeyKind, Rules, Selection};
use serde_json::{Value, json};

use super::{
    config::{config, path},
    random::Random,
};
use crate::support::Dir;

/// Files; each is asked for [`PATHS`] paths.
const CONFIGS: usize = 2_000;
const PATHS: usize = 5;

#[test]
fn rules_are_selected_as_sops_selects_them() {
    let Some(program) = super::go_program("rules") else {
        return;
    };
    let dir = Dir::new();
    let root = dir.path().to_str().unwrap();
    let mut random = Random::seeded(11);
    let count = super::count("SECRETSD_DIFFERENTIAL_CONFIGS", CONFIGS);
    let mut cases = Vec::new();
    let mut input = String::new();
    for _ in 0..count {
        let config = config(&mut random);
        let paths: Vec<_> = (0..PATHS).map(|_| path(&mut random, root)).collect();
        super::write_hex(&mut input, config.as_bytes());
        for path in &paths {
            input.push(' ');
            super::write_hex(&mut input, path.as_bytes());
        }
        input.push('\n');
        cases.push((config, paths));
    }
    let answers = super::answers(&program, &[root], &input);
    assert_eq!(answers.len(), cases.len());

    let mut wrong = Vec::new();
    let (mut errors, mut selected) = (0, 0);
    for ((config, paths), answer) in cases.iter().zip(&answers) {
        let theirs: Vec<Value> = serde_json::from_str(answer).unwrap();
        for (path, theirs) in paths.iter().zip(&theirs) {
            let ours = ours(
                config,
                path.strip_prefix(&format!("{root}/")).unwrap_or(path),
            );
            let both_fail = ours.get("error").is_some() && theirs.get("error").is_some();
            if ours != *theirs && !both_fail {
                wrong.push(format!(
                    "{path}\n  ours   {ours}\n  theirs {theirs}\n{config}"
                ));
            }
            errors += usize::from(theirs.get("error").is_some());
            selected +=
                usize::from(theirs.get("key_groups").is_some() && theirs.get("error").is_none());
        }
    }
    let pairs = count * PATHS;
    let shown: Vec<_> = wrong.iter().take(10).cloned().collect();
    assert!(
        wrong.is_empty(),
        "{} of {pairs}:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    // The generator must not drift into files that are all bad, or all good.
    let balanced = selected > pairs / 4 && errors > pairs / 20;
    assert!(balanced, "{selected} selected, {errors} errors of {pairs}");
}

/// What the peer prints, from our own library.
fn ours(config: &str, matched: &str) -> Value {
    let rules = match Rules::parse(config) {
        Ok(rules) => rules,
        Err(error) => return json!({"error": error.to_string()}),
    };
    if !rules.are_present() {
        return Value::Null;
    }
    let settings = match rules.select(matched) {
        Ok(Some(rule)) => rule.settings(),
        Ok(None) => return json!({"error": "no matching creation rules found"}),
        Err(error) => Err(error),
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return json!({"error": error.to_string()}),
    };
    let name = |kind| match kind {
        KeyKind::Age => "age",
        KeyKind::Pgp => "pgp",
        KeyKind::Kms => "kms",
        KeyKind::GcpKms => "gcp_kms",
        KeyKind::HuaweiKms => "hckms",
        KeyKind::AzureKeyVault => "azure_kv",
        KeyKind::HcVault => "hc_vault",
    };
    let groups: Vec<Vec<String>> = settings
        .key_groups
        .iter()
        .map(|group| {
            group
                .iter()
                .map(|key| format!("{} {}", name(key.kind), key.text))
                .collect()
        })
        .collect();
    let mut answer = json!({
        "key_groups": groups,
        "shamir_threshold": settings.shamir_threshold,
        "mac_only_encrypted": settings.mac_only_encrypted,
    });
    for selection in Selection::ALL {
        let text = settings
            .selection
            .as_ref()
            .filter(|(set, _)| *set == selection);
        answer[selection.key()] = text.map_or("", |(_, text)| text).into();
    }
    answer
}
