//! No secret value leaves by any way but the delivered files: marked values are planted, everything that the programs say
//! and show is collected, faults included, and searched.

use std::{fs, path::Path, process::Command};

use rustix::process::Signal;

use crate::{
    machine::{Machine, receive, send},
    support::run,
};

/// Part of every value, and of nothing else.
const MARK: &str = "CanaryKz7w";

#[test]
fn values_appear_nowhere_but_in_delivered_files() {
    let Some(mut machine) = Machine::new("values_appear_nowhere_but_in_delivered_files") else {
        return;
    };
    let mark = |number: u32| format!("{MARK}{number}");
    machine.put(
        "db.yaml",
        &format!("password: {}\nuser: {}\n", mark(1), mark(2)),
    );
    machine.put("app.env", &format!("TOKEN={}\n", mark(3)));
    machine.put("app.json", &format!("{{\"a\": [\"{}\", 7]}}", mark(4)));
    machine.put("app.ini", &format!("[s]\nkey = {}\n", mark(5)));
    machine.put("key.txt", &format!("{}\n", mark(6)));
    machine.configure(
        "log: { level: trace }\nsecrets:\n  \
         two: { file: db.yaml, key: user }\n  \
         env: { file: app.env, key: TOKEN }\n  \
         json: { file: app.json, key: [a, 0] }\n  \
         ini: { file: app.ini, key: s/key }\n  \
         text: { file: key.txt }\n  \
         one: { file: db.yaml, key: password, on-change: [/bin/true, one] }\n\
         templates:\n  good.env: { content: 'A={{ secret(\"one\") }}' }\n  \
         bad.env: { content: '{{ secret(\"one\") | nonsense }} {{ secret(\"nothing\") }}' }\n",
    );
    let config = machine
        .dir
        .read("etc/secretsd.yaml")
        .replacen("log: { level: debug }\n", "", 1);
    machine.replace("etc/secretsd.yaml", config);
    machine.start();
    machine.expect_delivered("one", &mark(1));

    let mut said = Vec::new();
    collect(&machine, &mut said);

    // Faults of every kind, each with a look at everything.
    let good = machine.dir.read("repo/db.yaml");
    let faults = [
        good.replace("ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:AA"),
        good.replacen("mac: ENC", "mac: XNC", 1),
        good[..good.len() / 2].to_owned(),
        format!("{good}\npassword: {}\n", mark(7)),
        format!("a: {}\n  b: [{}\n", mark(7), mark(8)),
    ];
    for fault in faults {
        machine.replace("repo/db.yaml", &fault);
        machine.eventually("the fault is seen", || machine.state() != "ok");
        machine.ctl(&["reload"]);
        collect(&machine, &mut said);
        decrypt(&machine, "db.yaml", &mut said);
    }
    machine.replace("repo/db.yaml", &good);
    machine.eventually("it is well again", || {
        !machine.json(&["status"])["degraded"]
            .to_string()
            .contains("db.yaml")
    });
    machine.put(
        "db.yaml",
        &format!("password: {}\nuser: {}\n", mark(9), mark(2)),
    );
    machine.expect_delivered("one", &mark(9));
    // A place that cannot be written to.
    let full = machine.dir.join("repo/.sops.yaml");
    fs::write(&full, "creation_rules: [").unwrap();
    machine.ctl(&["reload"]);
    collect(&machine, &mut said);
    machine.signal(Signal::HUP);
    machine.expect_notice("READY=1");
    collect(&machine, &mut said);
    machine.stop();
    said.push(("log".to_owned(), machine.log()));

    for (what, text) in &said {
        assert!(!text.contains(MARK), "{what} holds a value:\n{text}");
    }
    // The search itself works: the values were there to be said.
    assert_eq!(machine.delivered("one"), Some(mark(9)));
    assert!(
        said.iter()
            .any(|(what, text)| what == "log" && text.contains("db.yaml"))
    );
    assert!(
        said.iter()
            .any(|(what, text)| what == "maps" && !text.is_empty())
    );
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    assert!(!pattern.contains(MARK));
}

/// Everything that can be asked or seen from outside.
fn collect(machine: &Machine, said: &mut Vec<(String, String)>) {
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["list"],
        &["list", "--json"],
        &["wait", "--timeout", "0"],
        &["-v", "wait", "one", "--json", "--timeout", "0"],
        &["reload", "--json"],
    ] {
        let ran = machine.ctl(args);
        said.push((format!("{args:?}"), format!("{ran}")));
    }
    let mut stream = machine.connect();
    for method in ["Status", "List", "Reload", "Wait", "Nothing"] {
        let method = format!("io.secretsd.Control.{method}");
        send(
            &mut stream,
            &serde_json::json!({ "method": method, "more": true }),
        );
        let reply = receive(&mut stream);
        said.push((method, format!("{reply:?}")));
    }
    said.push(("log".to_owned(), machine.log()));
    // What other users could see of the process. Its memory is not among it: that must not be readable at all.
    let process = Path::new("/proc").join(machine.pid().to_string());
    for name in ["cmdline", "environ", "comm", "status", "maps", "limits"] {
        let bytes = fs::read(process.join(name)).unwrap_or_default();
        said.push((
            name.to_owned(),
            String::from_utf8_lossy(&bytes).into_owned(),
        ));
    }
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // Every other process of this machine, of which ours is one.
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(bytes) = fs::read(entry.path().join("cmdline")) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let is_of_a_program = ["secretsd", "secretsctl"]
                .iter()
                .any(|name| text.contains(name));
            if is_of_a_program {
                said.push(("cmdline of a process".to_owned(), text));
            }
        }
    }
}

/// What `decrypt` says of a broken file; its standard output is where plaintext belongs, and must be empty.
fn decrypt(machine: &Machine, name: &str, said: &mut Vec<(String, String)>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secretsctl"));
    command
        .arg("decrypt")
        .arg(machine.dir.join("repo").join(name));
    command.arg("--identity").arg(&machine.key.file);
    let ran = run(&mut command);
    assert_eq!(ran.code(), 2, "{ran}");
    said.push(("decrypt".to_owned(), format!("{ran}")));
}
