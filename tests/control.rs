//! The control socket as its peers see it: Varlink, who may do what, and limits.

use std::{
    io::{Read as _, Write as _},
    process::Stdio,
};

use serde_json::json;

use crate::{
    machine::{Machine, User, receive, send},
    support::{is_root, not_run, run},
};

/// A machine whose daemon runs.
fn started(test: &str) -> Option<Machine> {
    let mut machine = Machine::new(test)?;
    machine.put("db.yaml", "password: first\n");
    machine.start();
    Some(machine)
}

#[test]
fn speaks_varlink() {
    let Some(machine) = started("speaks_varlink") else {
        return;
    };
    let mut stream = machine.connect();
    // Two calls at once, answered in order.
    let info = json!({ "method": "org.varlink.service.GetInfo" });
    let describe = json!({
        "method": "org.varlink.service.GetInterfaceDescription",
        "parameters": { "interface": "io.secretsd.Control" },
    });
    let mut both = format!("{info}\0{describe}\0").into_bytes();
    stream.write_all(&both).unwrap();
    let reply = receive(&mut stream).unwrap();
    let interfaces = &reply["parameters"]["interfaces"];
    assert_eq!(
        interfaces,
        &json!(["org.varlink.service", "io.secretsd.Control"])
    );
    let reply = receive(&mut stream).unwrap();
    let description = reply["parameters"]["description"].as_str().unwrap();
    let shipped = include_str!("../contrib/varlink/io.secretsd.Control.varlink");
    assert_eq!(description, shipped);

    // Every method of the description exists, and every field that is sent stands in it.
    for method in ["Status", "List", "Reload", "Wait"] {
        assert!(description.contains(&format!("method {method}(")));
        send(
            &mut stream,
            &json!({ "method": format!("io.secretsd.Control.{method}") }),
        );
        let reply = receive(&mut stream).unwrap();
        assert!(reply.get("error").is_none(), "{reply}");
        for (name, _) in reply["parameters"].as_object().unwrap() {
            assert!(
                description.contains(&format!("{name}: ")),
                "{method}: {name}"
            );
        }
    }

    // Wrong calls get Varlink's own errors, and the connection goes on.
    for (call, error) in [
        (
            json!({ "method": "io.secretsd.Control.Nothing" }),
            "MethodNotFound",
        ),
        (
            json!({ "method": "io.example.Nothing" }),
            "InterfaceNotFound",
        ),
        (json!({ "method": "Nothing" }), "InvalidParameter"),
        (
            json!({ "method": "io.secretsd.Control.Wait", "parameters": { "names": 1 } }),
            "InvalidParameter",
        ),
        (
            json!({ "method": "io.secretsd.Control.Status", "upgrade": true }),
            "MethodNotImplemented",
        ),
    ] {
        send(&mut stream, &call);
        let reply = receive(&mut stream).unwrap();
        assert_eq!(
            reply["error"],
            format!("org.varlink.service.{error}"),
            "{call}"
        );
    }

    // A call that wants no answer gets none.
    send(
        &mut stream,
        &json!({ "method": "io.secretsd.Control.Status", "oneway": true }),
    );
    send(
        &mut stream,
        &json!({ "method": "org.varlink.service.GetInfo" }),
    );
    assert!(receive(&mut stream).unwrap()["parameters"]["vendor"].is_string());

    // What is no call at all ends the connection.
    both = b"nonsense\0".to_vec();
    stream.write_all(&both).unwrap();
    assert!(receive(&mut stream).is_none());
}

#[test]
fn oversized_calls_are_refused() {
    let Some(machine) = started("oversized_calls_are_refused") else {
        return;
    };
    let mut stream = machine.connect();
    // Far more than the limit; the daemon closes without reading it all.
    let block = vec![b' '; 64 << 10];
    let refused = (0..100).any(|_| stream.write_all(&block).is_err());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(refused && rest.is_empty());

    // The same where it is one valid call, and where it is deep.
    for call in [
        json!({ "method": "io.secretsd.Control.Wait", "parameters": { "names": ["x".repeat(70_000)] } })
            .to_string(),
        format!("{}{}", "[".repeat(60_000), "]"),
    ] {
        let mut stream = machine.connect();
        let _ = stream.write_all(format!("{call}\0").as_bytes());
        assert!(receive(&mut stream).is_none());
    }
    assert_eq!(machine.state(), "ok");
}

#[test]
fn a_call_that_never_ends_is_given_up() {
    let Some(machine) = started("a_call_that_never_ends_is_given_up") else {
        return;
    };
    let mut stream = machine.connect();
    stream.write_all(b"{\"method\":").unwrap();
    // It ends by the daemon's patience, not by ours, which is longer.
    assert!(receive(&mut stream).is_none());
    assert_eq!(machine.state(), "ok");
}

#[test]
fn one_user_cannot_take_all_connections() {
    let test = "one_user_cannot_take_all_connections";
    let Some(mut machine) = Machine::of(test, User::Nobody) else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.start();
    let mut holders = Vec::new();
    for _ in 0..8 {
        let mut command = machine.ctl_command(User::Nobody, &["-v", "wait", "never"]);
        let mut holder = command.stderr(Stdio::piped()).spawn().unwrap();
        // It is connected when it shows what it waits for.
        let mut byte = [0];
        holder
            .stderr
            .as_mut()
            .unwrap()
            .read_exact(&mut byte)
            .unwrap();
        holders.push(holder);
    }
    let refused = run(&mut machine.ctl_command(User::Nobody, &["status"])).expect(2);
    assert!(refused.stderr.contains("too many connections"), "{refused}");
    if is_root() {
        run(&mut machine.ctl_command(User::Own, &["status"])).expect(0);
    }
    let mut last = holders.pop().unwrap();
    last.kill().unwrap();
    last.wait().unwrap();
    machine.eventually("there is room again", || {
        machine
            .ctl_command(User::Nobody, &["status"])
            .status()
            .unwrap()
            .success()
    });
    for mut holder in holders {
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}

#[test]
fn only_some_may_read_and_fewer_may_change() {
    let test = "only_some_may_read_and_fewer_may_change";
    if !is_root() {
        return not_run(test, "it needs processes of several users");
    }
    let Some(mut machine) = Machine::new(test) else {
        return;
    };
    machine.put("db.yaml", "password: first\n");
    machine.start();
    machine.ctl(&["reload"]).expect(0);
    for command in ["status", "list", "reload"] {
        let refused = run(&mut machine.ctl_command(User::Nobody, &[command])).expect(2);
        assert!(refused.stderr.contains("socket.readers"), "{refused}");
    }
    machine.stop();

    // A member of the readers' group may look. The group is one that the process has, and no entry of a database. A
    // strict umask does not keep readers out.
    let socket = machine.dir.join("run/made/control");
    machine.configure(&format!(
        "secrets: {{ db.yaml/password: {{ file: db.yaml, key: password }} }}\nsocket: {{ path: {}, readers: 12345 }}\n",
        socket.display()
    ));
    let daemon = machine.daemon_command();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" \"$@\""]);
    command.arg(daemon.get_program()).args(daemon.get_args());
    command.env("NOTIFY_SOCKET", machine.dir.join("notify"));
    machine.spawn(command);
    machine.expect_notice("READY=1");
    assert_eq!(machine.dir.mode("run/made"), 0o755);
    assert_eq!(machine.dir.mode("run/made/control"), 0o660);
    let as_member = |groups: &str, command: &str| {
        let socket = socket.to_str().unwrap();
        let program = machine.ctl_command(User::Own, &["--socket", socket, command]);
        let mut wrapped = std::process::Command::new("setpriv");
        wrapped.args(["--reuid", "65534", "--regid", "65534", groups]);
        wrapped.arg(program.get_program()).args(program.get_args());
        run(&mut wrapped)
    };
    as_member("--groups=12345", "status").expect(0);
    as_member("--groups=12345", "list").expect(0);
    let refused = as_member("--groups=12345", "reload").expect(2);
    assert!(refused.stderr.contains("only root"), "{refused}");
    as_member("--groups=12346", "status").expect(2);
    as_member("--clear-groups", "status").expect(2);
}

#[test]
fn readers_must_exist() {
    let Some(machine) = Machine::new("readers_must_exist") else {
        return;
    };
    machine.configure("socket: { readers: no-such-group-anywhere }\n");
    let refused = machine.refused(&machine.daemon_command());
    assert!(
        refused.stderr.contains("no-such-group-anywhere"),
        "{refused}"
    );
    assert!(refused.stderr.contains("secretsd.yaml:"), "{refused}");
}

#[test]
fn the_way_to_the_socket_must_be_safe() {
    let Some(machine) = Machine::new("the_way_to_the_socket_must_be_safe") else {
        return;
    };
    machine.dir.write("run/open/own/file", "");
    machine.dir.chmod("run/open", 0o777);
    for path in ["own/control", "new/control"] {
        let socket = machine.dir.join("run/open").join(path);
        machine.configure(&format!("socket: {{ path: {} }}\n", socket.display()));
        let refused = machine.refused(&machine.daemon_command());
        assert!(
            refused
                .stderr
                .contains("others could replace the control socket"),
            "{refused}"
        );
        assert!(!socket.exists());
    }
    assert!(!machine.dir.join("run/open/new").exists());
}

#[test]
fn metrics_tell_the_state_and_no_value() {
    let Some(mut machine) = Machine::new("metrics_tell_the_state_and_no_value") else {
        return;
    };
    machine.put("db.yaml", "password: hunter2\n");
    let file = machine.dir.join("metrics/secretsd.prom");
    machine.dir.write("metrics/keep", "");
    let secrets =
        "secrets:\n  db: { file: db.yaml, key: password }\n  gone: { file: gone.yaml, key: a }\n";
    machine.configure(&format!(
        "{secrets}metrics: {{ file: {} }}\n",
        file.display()
    ));
    machine.start();
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    let page = machine.ctl(&["metrics"]).expect(0);
    assert_eq!(page.text(), read());
    for line in [
        "# TYPE secretsd_state gauge",
        "secretsd_state{state=\"degraded\"} 1",
        "secretsd_state{state=\"ok\"} 0",
        "secretsd_generation 1",
        "secretsd_secrets 2",
        "secretsd_degraded_secrets 1",
        "secretsd_rekey_pending 0",
    ] {
        assert!(page.text().lines().any(|one| one == line), "{line}\n{page}");
    }
    let since = "secretsd_secret_since_timestamp_seconds{secret=\"db\",state=\"delivered\"} 1";
    assert!(page.text().contains(since), "{page}");
    assert!(!page.text().contains("hunter2"));
    machine.put("gone.yaml", "a: b\n");
    machine.expect_state("ok");
    crate::machine::eventually("it is written again", || {
        read().contains("secretsd_state{state=\"ok\"} 1")
    });
    // Nobody collects the state of a daemon that is gone, nor half a page.
    machine.stop();
    let left = std::fs::read_dir(machine.dir.join("metrics"))
        .unwrap()
        .count();
    assert_eq!((left, file.exists()), (1, false));
}
