//! Old data does not come back unseen: what is reported, and what is held back with `rollback-guard`.

use std::time::Duration;

use crate::{host::Host, support::run};

#[test]
fn old_and_copied_files_are_reported_and_held_back() {
    let Some(host) = Host::nobody("old_and_copied_files_are_reported_and_held_back") else {
        return;
    };
    host.put("a.yaml", "x: old\n");
    host.put("public.yaml", "x: public\n");
    let old = host.dir.read("repo/a.yaml");
    std::thread::sleep(Duration::from_millis(1100));
    host.put("a.yaml", "x: new\n");
    let secrets = |guard: &str, more: &str| {
        format!(
            "rollback-guard: {guard}\nsecrets:\n  a: {{ file: a.yaml, key: x{more} }}\n  p: {{ file: public.yaml, key: x }}\n"
        )
    };
    host.configure(&secrets("true", ""));
    host.once().expect(0);

    let newest = host.dir.read("repo/a.yaml");
    host.dir.write("repo/a.yaml", &old);
    let ran = host.once().expect(1);
    assert!(
        ran.stderr.contains("one of") && ran.stderr.contains("was delivered before"),
        "{ran}"
    );
    assert_eq!(host.secret("a"), b"new");
    host.once().expect(1);
    host.configure(&secrets("true", ", accept-old: true"));
    host.once().expect(0);
    assert_eq!(host.secret("a"), b"old");
    host.configure(&secrets("false", ""));
    host.dir.write("repo/a.yaml", &newest);
    host.once().expect(0);
    host.dir.write("repo/a.yaml", &old);
    let ran = host.once().expect(0);
    assert!(
        ran.stderr
            .contains("secretsd: warning: the file was last modified at"),
        "{ran}"
    );
    assert_eq!(host.secret("a"), b"old");

    host.dir.write("repo/a.yaml", &newest);
    host.configure(&secrets("true", ""));
    host.once().expect(0);
    host.dir.write("repo/public.yaml", &newest);
    let ran = host.once().expect(1);
    assert!(ran.stderr.contains("has the data key of a.yaml"), "{ran}");
    assert_eq!(host.secret("p"), b"public");
    host.configure(&secrets("false", ""));
    let ran = host.once().expect(0);
    assert!(
        ran.stderr
            .contains("secretsd: warning: the file has the data key of a.yaml"),
        "{ran}"
    );
}

#[test]
fn a_reboot_does_not_make_old_files_new() {
    let Some(host) = Host::nobody("a_reboot_does_not_make_old_files_new") else {
        return;
    };
    host.put("a.yaml", "x: CANARY-1\n");
    let old = host.dir.read("repo/a.yaml");
    std::thread::sleep(Duration::from_millis(1100));
    host.put("a.yaml", "x: CANARY-2\n");
    let secrets = "secrets:\n  a: { file: a.yaml, key: x }\n";
    host.configure(&format!("rollback-guard: true\n{secrets}"));
    let state = host.dir.join("run/state");
    let once = || {
        let mut command = host.secretsd();
        command.env("STATE_DIRECTORY", &state);
        let config = host.dir.join("etc/secretsd.yaml");
        run(command.args(["--once", "--config"]).arg(config))
    };
    let reboot = || host.sh("rm -rf $D/run/secrets $D/run/secrets.d").expect(0);
    let ran = once().expect(0);
    assert!(!ran.stderr.contains("warning"), "{ran}");
    let kept = host.sh("cat $D/run/state/*").expect(0);
    assert!(
        kept.text().contains("a.yaml") && !kept.text().contains("CANARY"),
        "{kept}"
    );

    host.dir.write("repo/a.yaml", &old);
    reboot();
    let ran = once().expect(2);
    assert!(ran.stderr.contains("was delivered before"), "{ran}");
    // Still after the next one, and after the old file was delivered while the guard was off.
    reboot();
    once().expect(2);
    host.configure(secrets);
    once().expect(0);
    host.configure(&format!("rollback-guard: true\n{secrets}"));
    let ran = once().expect(0);
    assert!(ran.stderr.contains("was delivered before"), "{ran}");
    reboot();
    once().expect(2);
    // What is damaged or cannot be written is said, and what is damaged stays to be looked at.
    reboot();
    host.sh("printf damaged | tee $D/run/state/newest-*")
        .expect(0);
    let ran = once().expect(0);
    assert!(
        ran.stderr
            .contains("what the rollback guard knew is not used"),
        "{ran}"
    );
    let kept = host.sh("cat $D/run/state/*.unread").expect(0);
    assert_eq!(kept.text(), "damaged");
    reboot();
    let ran = host.once().expect(0);
    assert!(
        ran.stderr
            .contains("the rollback guard forgets at a reboot"),
        "{ran}"
    );
    // Nothing is written where nobody asked for it.
    host.sh("rm -r $D/run/state").expect(0);
    host.configure(secrets);
    let ran = once().expect(0);
    assert!(!ran.stderr.contains("rollback") && !state.exists(), "{ran}");
}
