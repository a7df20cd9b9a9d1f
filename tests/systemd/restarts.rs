//! Units are restarted and reloaded after the switch, once each, and only when there is a reason.

use super::container::Container;

/// A service that writes down when it is started and reloaded.
const HELPERS: &str = r"
service() {
unit $1.service <<EOF
[Service]
Type=exec
ExecStart=/bin/sh -c 'echo start >>/tmp/$1; exec sleep infinity'
ExecReload=/bin/sh -c 'echo reload >>/tmp/$1'
EOF
}
count() { grep -c $2 /tmp/$1 || true; }
counts() { [ $(count $1 start)/$(count $1 reload) = $2 ]; }
";

fn boot(container: &Container, script: &str) {
    container.boot(&format!("{HELPERS}\n{script}"));
}

#[test]
fn a_unit_is_restarted_once_and_only_for_a_change() {
    let Some(container) = Container::new(
        "a_unit_is_restarted_once_and_only_for_a_change",
        "secrets:\n  \
         user: { file: db.yaml, key: user, restart-units: [app.service, off.service] }\n  \
         password: { file: db.yaml, key: password, restart-units: [app.service], reload-units: [web.service] }\n  \
         both: { file: db.yaml, key: password, restart-units: [both.service], reload-units: [both.service] }\n  \
         same: { file: db.yaml, key: same, restart-units: [other.service] }\n",
    ) else {
        return;
    };
    container.put("db.yaml", "user: u1\npassword: p1\nsame: s\n");
    container.prepare("db2", "db.yaml", "user: u2\npassword: p2\nsame: s\n");
    boot(
        &container,
        r#"
for name in app web both other off; do service $name; done
systemctl daemon-reload
systemctl start app web both other
systemctl start secretsd.service
put db2 db.yaml
eventually grep -q p2 /run/secrets/password
eventually counts app 2/0
eventually counts web 1/1
eventually counts both 2/0
eventually logged 'not restarted, because it is not active'
systemctl reload secretsd.service
systemctl restart secretsd.service
sleep 0.3
# Nothing more than once, nothing for what has not changed, nothing that was not active, nothing at the first delivery.
counts app 2/0 && counts web 1/1 && counts both 2/0 && counts other 1/0
[ ! -e /tmp/off ]
# Another mode is a change; so is what changed while the daemon was stopped.
sed -i 's/key: same,/key: same, mode: \x220440\x22,/' /etc/secretsd/secretsd.yaml
eventually counts other 2/0
systemctl stop secretsd.socket secretsd.service
sed -i 's/0440/0444/' /etc/secretsd/secretsd.yaml
systemctl start secretsd.service
eventually counts other 3/0
counts app 2/0
"#,
    );
}

#[test]
fn a_unit_that_fails_is_told_with_the_secret() {
    let Some(container) = Container::new(
        "a_unit_that_fails_is_told_with_the_secret",
        "secrets:\n  \
         password: { file: db.yaml, key: password, restart-units: [app.service, late.service, none.service, good.service], \
         reload-units: [fixed.service] }\n",
    ) else {
        return;
    };
    container.put("db.yaml", "password: p1\n");
    container.prepare("db2", "db.yaml", "password: p2\n");
    boot(
        &container,
        r#"
service good
# Refuses to start with the new password, at once and a little later; cannot be reloaded.
unit app.service <<EOF
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '! grep -q p2 /run/secrets/password'
EOF
unit late.service <<EOF
[Service]
ExecStart=/bin/sh -c 'sleep 0.3; ! grep -q p2 /run/secrets/password && exec sleep infinity'
EOF
unit fixed.service <<EOF
[Service]
ExecStart=/bin/sleep infinity
EOF
systemctl daemon-reload
systemctl start secretsd.service
systemctl start app late good fixed
put db2 db.yaml
eventually counts good 2/0
told() { secretsctl status --json | grep -F -- "$1"; }
eventually told 'app.service should be restarted for `password`: the unit failed (exit-code)'
told 'late.service should be restarted for `password`: right after it was started: the unit failed (exit-code)'
told 'none.service should be restarted for `password`: there is no such unit'
told 'fixed.service should be reloaded for `password`: '
fails told good.service
eventually logged 'app.service should be restarted for `password`'
# When it goes well the next time, nothing is told any more.
sed -i s/p2/never/ /run/systemd/system/app.service
systemctl daemon-reload
systemctl start app.service
sed -i 's/key: password,/key: password, mode: \x220440\x22,/' /etc/secretsd/secretsd.yaml
gone() { ! told app.service; }
eventually gone
"#,
    );
}

#[test]
fn a_loop_of_restarts_is_ended() {
    let Some(container) = Container::new(
        "a_loop_of_restarts_is_ended",
        "secrets:\n  \
         password: { file: db.yaml, key: password, restart-units: [loop.service] }\n  \
         other: { file: db.yaml, key: other, restart-units: [good.service] }\n",
    ) else {
        return;
    };
    container.put("db.yaml", "password: p0\nother: o1\n");
    for number in 1..=7 {
        let plain = format!("password: p{number}\nother: o1\n");
        container.prepare(&format!("db{number}"), "db.yaml", &plain);
    }
    container.prepare("last", "db.yaml", "password: p7\nother: o2\n");
    boot(
        &container,
        r#"
# Each start brings another password.
unit loop.service <<'EOF'
[Unit]
StartLimitBurst=50
[Service]
Type=exec
ExecStart=/bin/sh -c 'echo start >>/tmp/loop; n=$(grep -c start /tmp/loop); \
  cp /test/files/db$n /srv/secrets/db.new && mv /srv/secrets/db.new /srv/secrets/db.yaml; exec sleep infinity'
EOF
sed -i 's/\$(/$$(/' /run/systemd/system/loop.service
service good
systemctl daemon-reload
systemctl start secretsd.service
systemctl start good loop
told() { secretsctl status --json | grep -F -- "$1"; }
for try in 1 2 3 4 5; do eventually told 'loop.service was restarted 5 times' && break; done
is $(count loop start) 6
logged 'does the unit itself change the secret?'
# The others go on.
put last db.yaml
eventually counts good 2/0
is $(count loop start) 6
"#,
    );
}

#[test]
fn restarts_wait_for_a_random_time() {
    let Some(container) = Container::new(
        "restarts_wait_for_a_random_time",
        "restart: { jitter: 3s }\nsecrets:\n  \
         password: { file: db.yaml, key: password, restart-units: [app.service] }\n",
    ) else {
        return;
    };
    container.put("db.yaml", "password: p0\n");
    for number in 1..=5 {
        container.prepare(
            &format!("db{number}"),
            "db.yaml",
            &format!("password: p{number}\n"),
        );
    }
    boot(
        &container,
        r#"
service app
systemctl daemon-reload
systemctl start secretsd.service app.service
for number in 1 2 3 4 5; do put db$number db.yaml; eventually grep -q p$number /run/secrets/password; done
restarted() { [ $(count app start) -ge 2 ]; }
eventually restarted
sleep 0.2
[ $(count app start) -le 3 ]
"#,
    );
}

#[test]
fn what_is_put_off_is_done_when_the_daemon_stops() {
    let Some(container) = Container::new(
        "what_is_put_off_is_done_when_the_daemon_stops",
        "restart: { jitter: 24h }\nsecrets:\n  \
         password: { file: db.yaml, key: password, restart-units: [app.service] }\n",
    ) else {
        return;
    };
    container.put("db.yaml", "password: p1\n");
    container.prepare("db2", "db.yaml", "password: p2\n");
    boot(
        &container,
        r"
service app
systemctl daemon-reload
systemctl start secretsd.service app.service
put db2 db.yaml
eventually grep -q p2 /run/secrets/password
sleep 0.2
counts app 1/0
systemctl restart secretsd.service
eventually counts app 2/0
",
    );
}

#[test]
fn without_a_bus_nothing_but_the_restart_is_missing() {
    let Some(container) = Container::new(
        "without_a_bus_nothing_but_the_restart_is_missing",
        "secrets:\n  \
         password: { file: db.yaml, key: password, restart-units: [app.service] }\n",
    ) else {
        return;
    };
    container.put("db.yaml", "password: p1\n");
    container.prepare("db2", "db.yaml", "password: p2\n");
    boot(
        &container,
        r#"
service app
systemctl daemon-reload
systemctl start secretsd.service app.service
systemctl stop dbus.socket dbus.service
put db2 db.yaml
eventually grep -q p2 /run/secrets/password
told() { secretsctl status --json | grep -F -- "$1"; }
eventually told 'app.service should be restarted for `password`: the service manager cannot be reached on the system bus'
counts app 1/0
# Once there is a bus, the next change restarts.
systemctl start dbus.socket
sed -i 's/key: password,/key: password, mode: \x220440\x22,/' /etc/secretsd/secretsd.yaml
eventually counts app 2/0
gone() { ! told app.service; }
eventually gone
"#,
    );
}

#[test]
fn values_that_a_unit_fails_with_are_rolled_back() {
    let Some(container) = Container::new(
        "values_that_a_unit_fails_with_are_rolled_back",
        "keep-generations: 2\nsecrets:\n  \
         password: { file: db.yaml, key: password, restart-units: [app.service, web.service], rollback: true }\n  \
         user: { file: db.yaml, key: user }\n  \
         other: { file: other.yaml, key: value, restart-units: [app.service] }\n\
         templates:\n  app.env: { content: \"P={{ secret('password') }}\" }\n",
    ) else {
        return;
    };
    container.put("db.yaml", "password: p1\nuser: u1\n");
    container.put("other.yaml", "value: o1\n");
    container.prepare("db2", "db.yaml", "password: p2\nuser: u2\n");
    container.prepare("db3", "db.yaml", "password: p3\nuser: u3\n");
    container.prepare("other2", "other.yaml", "value: o2\n");
    boot(
        &container,
        r"
service web
unit app.service <<EOF
[Service]
Type=exec
ExecStartPre=/bin/sh -c '! grep -q p2 /run/secrets/password'
ExecStart=/bin/sh -c 'echo start >>/tmp/app; exec sleep infinity'
EOF
systemctl daemon-reload
systemctl start secretsd.service
systemctl start app web
put db2 db.yaml
# app fails with p2: p1 returns, and what else was in the file stays new. app is started with it, web restarted.
eventually counts app 2/0
eventually grep -q p1 /run/secrets/password
systemctl is-active app.service
eventually grep -q u2 /run/secrets/user
eventually counts web 3/0
is $(cat /run/secrets/app.env) P=p1
fails secretsctl status
(secretsctl status --json || true) | grep -F 'a unit failed with this value'
# It stays so, also over a restart of the daemon and a change of something else.
systemctl restart secretsd.service
put other2 other.yaml
eventually grep -q o2 /run/secrets/other
eventually counts app 3/0
grep -q p1 /run/secrets/password
# Until the file changes.
put db3 db.yaml
eventually grep -q p3 /run/secrets/password
eventually counts app 4/0
secretsctl status
",
    );
}
