use super::{text::HEAD, *};
use crate::limits::Limits;

const A: &str = "[\"a\"]";
const L: [&str; 4] = ["[\"l\"][0]", "[\"l\"][1]", "[\"l\"][2]", "[\"l\"][3]"];

fn values(entries: &[(&str, &str)]) -> Values {
    let mut values = Values::new();
    for (place, text) in entries {
        values
            .entry((*place).to_owned())
            .or_default()
            .insert((*text).to_owned());
    }
    values
}

fn texts(entries: &[(&str, &str)], wraps: &[&str]) -> Texts {
    Texts {
        values: values(entries),
        wraps: wraps.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn before() -> Texts {
    texts(&[(A, "1"), (L[0], "2"), (L[1], "3")], &["w1", "w2"])
}

fn exposed() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.expose("f", &["age1old".to_owned()], "2025-01-01", &before());
    ledger
}

fn keys(ledger: &Ledger) -> Vec<String> {
    let open = ledger.open();
    let keys = open.iter().flat_map(|one| one.keys.iter());
    keys.map(|key| (*key).to_owned()).collect()
}

fn parse(text: &str) -> crate::error::Result<Ledger> {
    Ledger::parse(text, &Limits::default())
}

#[test]
fn reads_back() {
    let mut ledger = exposed();
    let who = ["ssh-ed25519 AAAA it's \"me\"".to_owned()];
    ledger.expose("a \"b\"\n.yaml", &who, "2025-01-02", &before());
    ledger.done.insert(Done {
        path: "x".to_owned(),
        key: "[\"k\"]".to_owned(),
        on: "2025".to_owned(),
        reason: "why: # not".to_owned(),
    });
    assert_eq!(parse(&ledger.text()).unwrap(), ledger);
    assert_eq!(parse(HEAD).unwrap(), Ledger::default());
    assert_eq!(parse("exposed: {}\ndone:\n").unwrap(), Ledger::default());
}

#[test]
fn what_is_no_list() {
    let wrong = [
        "",
        " \n",
        "exposed: 1",
        "x: {}",
        "exposed: {a: {b: c}}",
        "exposed: {a: {}, a: {}}",
        "exposed: {a: {lists: {l: many}}}",
        "<<<<<<< a\n",
        "exposed:\n  /etc/passwd: {}",
        "exposed:\n  ../x: {}",
        "exposed:\n  a/../../x: {}",
        "exposed:\n  '': {}",
        "exposed:\n  \"a\\0b\": {}",
    ];
    for wrong in wrong {
        let error = parse(wrong).err().unwrap();
        assert!(error.hint.is_some() && error.position.is_some(), "{wrong}");
        if wrong.starts_with("exposed:\n") {
            assert_eq!(error.position.unwrap().line, 2, "{wrong}");
        }
    }
}

#[test]
fn what_is_still_open() {
    let open = |now: &[(&str, &str)], wraps: &[&str]| {
        let mut ledger = exposed();
        ledger.changed("f", &texts(now, wraps));
        keys(&ledger)
    };
    let all = [A, L[0], L[1]];
    // Nothing has changed; one value; its wraps only, as updatekeys does.
    assert_eq!(open(&[(A, "1"), (L[0], "2"), (L[1], "3")], &["w1"]), all);
    assert_eq!(open(&[(A, "9"), (L[0], "2"), (L[1], "3")], &["w1"]), L[..2]);
    assert_eq!(open(&[(A, "9"), (L[0], "2"), (L[1], "3")], &["w9"]), L[..2]);
    // An element goes, or comes: the others move, and are what they were.
    assert_eq!(open(&[(A, "1"), (L[0], "3")], &["w1"]), all[..2]);
    let longer = [(L[0], "8"), (L[1], "2"), (L[2], "3")];
    assert_eq!(open(&longer, &["w1"]), L[1..3]);
    // Another data key: nobody can tell.
    assert_eq!(open(&[(A, "7"), (L[0], "8"), (L[1], "9")], &["w9"]), all);
    let longer = [(A, "7"), (L[0], "8"), (L[1], "9"), (L[2], "5")];
    assert_eq!(open(&longer, &["w9"]), [A, L[0], L[1], L[2]]);
    // All changed, under the same key.
    assert!(open(&[(A, "7"), (L[0], "8"), (L[1], "9")], &["w2"]).is_empty());
    assert!(open(&[], &["w1"]).is_empty());
}

#[test]
fn what_was_closed_stays_so() {
    let mut ledger = exposed();
    ledger.changed("f", &texts(&[(A, "9"), (L[0], "2"), (L[1], "7")], &["w1"]));
    assert_eq!(keys(&ledger), [L[0]]);
    // A foreign rotation, and a change behind it.
    ledger.changed("f", &texts(&[(A, "a"), (L[0], "b"), (L[1], "c")], &["w9"]));
    assert_eq!(keys(&ledger), [L[0]]);
    assert_eq!(parse(&ledger.text()).unwrap(), ledger);
    ledger.changed("f", &texts(&[(A, "a"), (L[0], "d"), (L[1], "c")], &["w9"]));
    assert_eq!(ledger, Ledger::default());
}

#[test]
fn elements_of_maps_move_too() {
    let place = |number: usize| format!("[\"l\"][{number}][\"password\"]");
    assert_eq!(family(&place(17)), "[\"l\"][][\"password\"]");
    assert_eq!(family("[\"l[0]\"]"), "[\"l[0]\"]");
    let mut ledger = Ledger::default();
    let (zero, one) = (place(0), place(1));
    let file = texts(&[(&zero, "1"), (&one, "2")], &["w"]);
    ledger.expose("f", &["x".to_owned()], "now", &file);
    ledger.changed("f", &texts(&[(&zero, "2")], &["w"]));
    assert_eq!(keys(&ledger), [zero]);
}

#[test]
fn each_recipient_has_values_of_its_own() {
    let mut ledger = exposed();
    // Before the second one goes, a value is changed, which the first one never saw.
    let changed = texts(&[(A, "9"), (L[0], "2")], &["w1"]);
    let after = texts(&[(A, "10"), (L[0], "12")], &["w5"]);
    ledger.changed("f", &changed);
    ledger.carry("f", &after);
    ledger.expose("f", &["age1web".to_owned()], "2025-02-02", &after);
    let open = ledger.open();
    let told: Vec<_> = open
        .iter()
        .map(|one| (one.recipients.clone(), one.keys.clone()))
        .collect();
    assert_eq!(
        told,
        [
            (vec!["age1old"], vec![L[0]]),
            (vec!["age1web"], vec![A, L[0]])
        ]
    );
    // By hand, for both.
    assert_eq!(ledger.settle("f", &[L[0].to_owned()], "now", "x"), 1);
    assert_eq!(keys(&ledger), [A]);
}

#[test]
fn equal_elements_are_settled_together() {
    let mut ledger = Ledger::default();
    let file = texts(&[(L[0], "1"), (L[1], "1"), (L[2], "2")], &["w"]);
    ledger.expose("f", &["x".to_owned()], "now", &file);
    assert_eq!(ledger.settle("f", &[L[0].to_owned()], "now", "x"), 2);
    ledger.changed("f", &file);
    assert_eq!(keys(&ledger), [L[2]]);
}

#[test]
fn our_rotation_carries_over() {
    let mut ledger = exposed();
    let before = texts(&[(A, "9"), (L[0], "2"), (L[1], "3")], &["w1"]);
    let after = texts(&[(A, "10"), (L[0], "12"), (L[1], "13")], &["w5"]);
    ledger.changed("f", &before);
    ledger.carry("f", &after);
    let entry = &ledger.files["f"];
    assert_eq!(
        entry.readers["age1old"].values,
        values(&[(L[0], "12"), (L[1], "13")])
    );
    assert_eq!(entry.wraps, after.wraps);
}
