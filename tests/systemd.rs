//! secretsd under a real systemd: its units, their sandbox, what they promise about order and about plaintext.

mod container;
mod credentials;
mod restarts;

use std::{fs, process::Command};

use crate::support::{not_run, run};
use container::{Container, shipped, source};

/// Two secrets and a file for each.
const SECRETS: &str = "secrets:\n  \
    good: { file: good.yaml, key: value }\n  \
    other: { file: other.yaml, key: value, owner: daemon, mode: \"0400\" }\n";

fn container(test: &str) -> Option<Container> {
    let container = Container::new(test, SECRETS)?;
    container.put("good.yaml", "value: good 1\n");
    container.put("other.yaml", "value: other 1\n");
    container.prepare("good2", "good.yaml", "value: good 2\n");
    Some(container)
}

#[test]
fn a_service_starts_with_its_secrets_in_place() {
    let Some(container) = container("a_service_starts_with_its_secrets_in_place") else {
        return;
    };
    container.boot(
        r"
unit app.service <<EOF
[Unit]
Requires=secrets.target
After=secrets.target
[Service]
Type=oneshot
RemainAfterExit=yes
User=daemon
ExecStart=/bin/sh -c 'cat /run/secrets/other >/tmp/seen'
EOF
systemctl daemon-reload
systemctl start app.service
is $(tr ' ' _ </tmp/seen) other_1
systemctl is-active secretsd.service secrets.target run-secrets.d.mount secretsd.socket
is $(systemctl show --property=StatusText --value secretsd.service | cut -d' ' -f1-3 | tr ' ' _) 2_secrets_delivered,
is $(stat -c %U:%a /run/secrets/other) daemon:400
findmnt --noheadings --output=FSTYPE,OPTIONS /run/secrets.d | tee /dev/stderr |
  grep -E 'tmpfs.*nosuid.*nodev.*noexec.*noswap|tmpfs.*noswap'
secretsctl status
# A restart of the daemon restarts nobody who needs its secrets, and leaves no gap.
before=$(systemctl show --property=InvocationID --value app.service)
systemctl restart secretsd.service
is $(systemctl show --property=InvocationID --value app.service) $before
systemctl is-active secrets.target
is $(readlink /run/secrets) /run/secrets.d/current
",
    );
}

#[test]
fn changes_arrive_and_a_reload_waits_for_them() {
    let Some(container) = container("changes_arrive_and_a_reload_waits_for_them") else {
        return;
    };
    container.prepare("broken", "good.yaml", "other: thing\n");
    container.boot(
        r"
systemctl start secretsd.service
before=$(stat -c %i:%U:%a /run/secrets/other)
put good2 good.yaml
eventually grep -q 'good 2' /run/secrets/good
# What is taken over from one generation to the next is the same file, also where it is somebody else's.
is $(stat -c %i:%U:%a /run/secrets/other) $before
put broken good.yaml
fails systemctl reload secretsd.service
systemctl is-active secretsd.service
grep -q 'good 2' /run/secrets/good
put good2 good.yaml
systemctl reload secretsd.service
",
    );
}

/// With the drop-in: the question passes the sandbox, and so does the answer of an agent.
#[test]
fn the_console_is_asked_for_a_passphrase_at_boot() {
    let Some(container) = Container::new(
        "the_console_is_asked_for_a_passphrase_at_boot",
        "unlock: { prompt: systemd }\nsecrets:\n  good: { file: good.yaml, key: value }\n  \
         sealed: { file: sealed.yaml, key: value }\n",
    ) else {
        return;
    };
    container.put("good.yaml", "value: good 1\n");
    if !container.put_sealed("sealed.yaml", "value: sealed 1\n") {
        return;
    }
    let drop_in = fs::read_to_string(source("contrib/systemd/drop-ins/ask-password.conf")).unwrap();
    container.boot(&format!(
        r#"
install -m 600 /test/files/sealed /etc/secretsd/sealed.age
sed -i 's/^  - age-key-file: key.txt/&\n  - age-key-file: sealed.age/' /etc/secretsd/secretsd.yaml
mkdir -p /run/systemd/system/secretsd.service.d
cat >/run/systemd/system/secretsd.service.d/ask-password.conf <<'EOF'
{drop_in}
EOF
systemctl daemon-reload
systemctl start secretsd.service
grep -q 'good 1' /run/secrets/good
[ ! -e /run/secrets/sealed ]
question() {{ grep -l '^Message=Enter passphrase for /etc/secretsd/sealed.age' /run/systemd/ask-password/ask.*; }}
eventually question
socket=$(sed -n 's/^Socket=//p' "$(question)")
printf 12345 | /lib/systemd/systemd-reply-password 1 "$socket"
eventually grep -q 'sealed 1' /run/secrets/sealed
eventually secretsctl status
fails question
"#
    ));
}

#[test]
fn a_command_in_the_sandbox_starts_a_unit() {
    let Some(container) = Container::new(
        "a_command_in_the_sandbox_starts_a_unit",
        "secrets:\n  good: { file: good.yaml, key: value, \
         on-change: [/usr/bin/systemctl, start, --no-block, mark.service] }\n",
    ) else {
        return;
    };
    container.put("good.yaml", "value: good 1\n");
    container.prepare("good2", "good.yaml", "value: good 2\n");
    container.boot(
        r"
unit mark.service <<EOF
[Service]
Type=oneshot
ExecStart=/bin/touch /tmp/mark
EOF
systemctl daemon-reload
systemctl start secretsd.service
[ ! -e /tmp/mark ]
put good2 good.yaml
eventually [ -e /tmp/mark ]
",
    );
}

#[test]
fn a_killed_daemon_comes_back_without_a_gap() {
    let Some(container) = container("a_killed_daemon_comes_back_without_a_gap") else {
        return;
    };
    container.boot(
        r"
settings 'RestartSec=100ms\n'
systemctl start secretsd.service
( while [ ! -e /tmp/stop ]; do cat /run/secrets/good >>/tmp/reads 2>>/tmp/gaps || true; done ) &
systemctl kill --signal=KILL secretsd.service
eventually daemon_restarted
# Whoever asks meanwhile waits, because the socket is the service manager's.
secretsctl status
put good2 good.yaml
eventually grep -q 'good 2' /run/secrets/good
touch /tmp/stop
wait
[ -s /tmp/reads ] && [ ! -s /tmp/gaps ]
",
    );
}

#[test]
fn a_hanging_daemon_is_restarted() {
    let Some(container) = container("a_hanging_daemon_is_restarted") else {
        return;
    };
    container.boot(
        r"
settings 'RestartSec=100ms\nWatchdogSec=500ms\nTimeoutAbortSec=500ms\n'
systemctl start secretsd.service
sleep 1
is $(systemctl show --property=NRestarts --value secretsd.service) 0
systemctl kill --signal=STOP secretsd.service
eventually daemon_restarted
grep -q 'good 1' /run/secrets/good
",
    );
}

#[test]
fn a_broken_secret_holds_back_only_who_needs_all() {
    let Some(container) = container("a_broken_secret_holds_back_only_who_needs_all") else {
        return;
    };
    container.put("good.yaml", "value: good 1\n");
    container.put("other.yaml", "not-the-key: x\n");
    container.boot(
        r"
for kind in Wants Requires; do
unit $kind.service <<EOF
[Unit]
$kind=secrets.target
After=secrets.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/cat /run/secrets/good
EOF
done
systemctl daemon-reload
systemctl start Wants.service
systemctl is-active secretsd.service
fails systemctl start Requires.service
fails systemctl is-active secrets.target
logged 'degraded'
",
    );
}

#[test]
fn nothing_is_left_when_the_mount_is_stopped() {
    let Some(container) = container("nothing_is_left_when_the_mount_is_stopped") else {
        return;
    };
    container.boot(
        r"
systemctl start secretsd.service
systemctl stop secretsd.service
grep -q 'good 1' /run/secrets/good
systemctl start secretsd.service
# Somebody has a file open: the mount goes away all the same.
exec 7</run/secrets/good
systemctl stop secretsd.socket run-secrets.d.mount
fails systemctl is-active secretsd.service
[ ! -e /run/secrets/good ] && [ -z $(ls -A /run/secrets.d) ]
fails grep -q secrets.d /proc/self/mountinfo
exec 7<&-
systemctl start secretsd.service
grep -q 'good 1' /run/secrets/good
",
    );
}

#[test]
fn sockets_that_do_not_fit_the_configuration_are_refused() {
    let more = format!("{SECRETS}socket: {{ path: /run/secretsd/elsewhere, readers: adm }}\n");
    let Some(container) = Container::new(
        "sockets_that_do_not_fit_the_configuration_are_refused",
        &more,
    ) else {
        return;
    };
    container.put("good.yaml", "value: good 1\n");
    container.put("other.yaml", "value: other 1\n");
    container.boot(
        r"
fails systemctl start secretsd.service
logged 'is not `socket.path`'
systemctl stop secretsd.service
sed -i s/elsewhere/control/ /etc/secretsd/secretsd.yaml
is $(stat -c %G:%a /run/secretsd/control) root:600
systemctl start secretsd.service
is $(stat -c %G:%a /run/secretsd/control) adm:660
setpriv --reuid=daemon --regid=daemon --groups=adm secretsctl status
fails setpriv --reuid=daemon --regid=daemon --clear-groups secretsctl status
# A name that is not known.
mkdir -p /run/systemd/system/secretsd.socket.d
printf '[Socket]\nFileDescriptorName=comtrol\n' >/run/systemd/system/secretsd.socket.d/name.conf
systemctl daemon-reload
systemctl stop secretsd.socket secretsd.service
fails systemctl start secretsd.service
logged '`comtrol`'
",
    );
}

#[test]
fn a_kernel_without_noswap_gets_a_ramfs() {
    let Some(container) = container("a_kernel_without_noswap_gets_a_ramfs") else {
        return;
    };
    container.boot(
        r"
# A user namespace is refused noswap, as an old kernel is.
mkdir /run/old
unshare --user --map-root-user /usr/local/lib/systemd/system-generators/secretsd-generator /run/old
mkdir /run/new
/usr/local/lib/systemd/system-generators/secretsd-generator /run/new
[ -z $(ls -A /run/new) ]
cp -r /run/old/* /run/systemd/system
systemctl daemon-reload
systemctl start secretsd.service
is $(findmnt --noheadings --output=FSTYPE /run/secrets.d) ramfs
secretsctl status | grep -i ramfs
grep -q 'good 1' /run/secrets/good
",
    );
}

#[test]
fn what_is_early_is_there_before_users_are_made() {
    let Some(container) = Container::new(
        "what_is_early_is_there_before_users_are_made",
        "secrets:\n  \
         hash: { file: good.yaml, key: value, early: true, restart-units: [app.service] }\n  \
         other: { file: other.yaml, key: value, restart-units: [app.service] }\n",
    ) else {
        return;
    };
    container.put("good.yaml", "value: good 1\n");
    container.put("other.yaml", "value: other 1\n");
    container.prepare("good2", "good.yaml", "value: good 2\n");
    container.enable("secretsd-early.service", "sysinit.target");
    container.boot(
        r"
systemctl is-active secretsd-early.service
when() { systemctl show --property=$1 --value $2; }
users=$(when InactiveExitTimestampMonotonic systemd-sysusers.service)
[ $users -gt 0 ] && [ $(when ActiveEnterTimestampMonotonic secretsd-early.service) -lt $users ]
systemctl start secrets-early.target
grep -q 'good 1' /run/secrets/hash
[ ! -e /run/secrets/other ]
# The rest is the first delivery: nobody is restarted for it.
unit app.service <<EOF
[Service]
ExecStart=/bin/sleep infinity
EOF
systemctl daemon-reload
systemctl start app.service
before=$(when InvocationID app.service)
systemctl start secretsd.service
grep -q 'good 1' /run/secrets/hash
grep -q 'other 1' /run/secrets/other
sleep 0.3
is $(when InvocationID app.service) $before
# Once everything is delivered, it stays.
systemctl stop secretsd.service
secretsd --early | grep 'already'
grep -q 'other 1' /run/secrets/other
systemctl start secretsd.service
put good2 good.yaml
restarted() { [ $(when InvocationID app.service) != $before ]; }
eventually restarted
",
    );
}

#[test]
fn a_user_has_a_unit_too() {
    let Some(container) = container("a_user_has_a_unit_too") else {
        return;
    };
    container.boot(
        r"
useradd --create-home --home-dir /tmp/user user
install -d -o user /tmp/user/.config/secretsd
install -o user -m 600 /etc/secretsd/key.txt /tmp/user/.config/secretsd
sed '/other:/d; s/key: value }/key: value, restart-units: [app.service] }/' /etc/secretsd/secretsd.yaml \
  >/tmp/user/.config/secretsd/secretsd.yaml
mkdir -p /tmp/user/.config/systemd/user
printf '[Service]\nType=exec\nExecStart=/bin/sh -c \x22echo start >>/tmp/user/app; exec sleep infinity\x22\n' \
  >/tmp/user/.config/systemd/user/app.service
chown -R user /tmp/user
uid=$(id -u user)
systemctl start user@$uid.service
as_user() { setpriv --reuid=user --regid=user --clear-groups env XDG_RUNTIME_DIR=/run/user/$uid HOME=/tmp/user $@; }
as_user systemctl --user start secretsd.service
as_user grep -q 'good 1' /run/user/$uid/secrets/good
as_user secretsctl status
as_user systemctl --user reload secretsd.service
# Units are the user's own.
as_user systemctl --user start app.service
put good2 good.yaml
restarted() { [ $(grep -c start /tmp/user/app) = 2 ]; }
eventually restarted
",
    );
}

/// The figure that is stated in `SECURITY.md`, from systemd itself.
#[test]
fn the_sandbox_is_tight() {
    let unit = source("contrib/systemd/secretsd.service");
    let Some(mut security) = analyze(
        "the_sandbox_is_tight",
        &["security", "--offline=true", "--threshold=15"],
    ) else {
        return;
    };
    let ran = run(security.arg(unit)).expect(0);
    let figure = ran.text().lines().last().unwrap_or_default().to_owned();
    assert!(figure.contains("Overall exposure level"), "{ran}");
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let test = "systemd_understands_every_line_of_the_units";
    for user in [false, true] {
        let Some(mut verify) = analyze(test, &["verify", "--man=no"]) else {
            return;
        };
        // The programs are named as they are installed; here they are where they were built.
        let dir = crate::support::Dir::new();
        for (from, to) in shipped() {
            let is_user = from.parent().unwrap().ends_with("user");
            let is_unit = [".service", ".socket", ".mount", ".target"]
                .iter()
                .any(|kind| from.to_str().unwrap().ends_with(kind));
            if !is_unit || is_user != user {
                continue;
            }
            let text = fs::read_to_string(&from).unwrap();
            let built = env!("CARGO_BIN_EXE_secretsd")
                .strip_suffix("secretsd")
                .unwrap();
            let text = text.replace("/usr/bin/secrets", &format!("{built}secrets"));
            verify.arg(dir.write(to.file_name().unwrap(), text));
        }
        if user {
            verify.arg("--user").env("XDG_RUNTIME_DIR", dir.path());
        }
        let ran =
            run(verify.env("SYSTEMD_UNIT_PATH", format!("{}:", dir.path().display()))).expect(0);
        assert_eq!(ran.stderr, "", "{ran}");
    }
}

fn analyze(test: &str, arguments: &[&str]) -> Option<Command> {
    let mut command = Command::new("systemd-analyze");
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        not_run(
            test,
            "systemd-analyze is missing; `contrib/setup` installs it",
        );
        return None;
    }
    command.args(arguments).arg("--no-pager");
    Some(command)
}
