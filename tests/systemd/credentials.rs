//! `LoadCredential=` from the credentials socket: who gets what, and that nobody starts with nothing.

use super::container::Container;

const HELPERS: &str = r#"
# A service that writes down the credentials that it has.
service() { # unit credential...
  local unit=$1
  shift
  {
    echo '[Service]'
    for credential in $@; do echo "LoadCredential=$credential:/run/secretsd/credentials"; done
    echo 'Type=oneshot'
    echo 'RemainAfterExit=yes'
    echo 'DynamicUser=yes'
    echo "StandardOutput=truncate:/tmp/${unit%%[@.]*}"
    echo "ExecStart=/bin/sh -c 'cd \$CREDENTIALS_DIRECTORY && tail -n +1 -- * /dev/null'"
  } >"/run/systemd/system/$unit"
}
refuses() {
  fails systemctl start $1
  is $(systemctl show --property=ExecMainStatus --value $1) 243
  [ ! -s /tmp/${1%.service} ]
}
"#;

fn boot(container: &Container, script: &str) {
    container.boot(&format!("{HELPERS}\n{script}"));
}

const SECRETS: &str = "secrets:\n  \
    password: { file: db.yaml, key: password, restart-units: [app.service] }\n  \
    empty: { file: db.yaml, key: empty }\n  \
    large: { file: large.txt, format: binary }\n  \
    largest: { file: largest.txt, format: binary }\n  \
    missing: { file: missing.yaml, key: key }\n\
    templates:\n  app/app.env: { content: \"P={{ secret('password') }}\\n\" }\n\
    credentials:\n  \
    app.service: { password: password, env: app/app.env }\n  \
    \"tpl@.service\": [password]\n  \
    large.service: [large, largest, empty, missing]\n  \
    late.service: [missing]\n";

fn container(test: &str) -> Option<Container> {
    let container = Container::new(test, SECRETS)?;
    container.put("db.yaml", "password: p1\nempty: ''\n");
    container.prepare("db2", "db.yaml", "password: p2\nempty: ''\n");
    // systemd counts the name as well.
    let most = |credential: &str| (1 << 20) - credential.len();
    container.put("largest.txt", &"x".repeat(most("largest")));
    container.put("large.txt", &"x".repeat(most("large") + 1));
    container.prepare("found", "missing.yaml", "key: found\n");
    Some(container)
}

#[test]
fn a_dynamic_user_gets_its_credentials() {
    let Some(container) = container("a_dynamic_user_gets_its_credentials") else {
        return;
    };
    boot(
        &container,
        r"
service app.service password env
service 'tpl@one-two\x2dthree.service' password
systemctl daemon-reload
# The daemon is started by whoever asks first, and answers after the first delivery.
fails systemctl is-active secretsd.service
systemctl start secretsd-credentials.socket
systemctl start app.service
grep -A1 'password <==' /tmp/app | grep -q ^p1
grep -A1 'env <==' /tmp/app | grep -q ^P=p1
systemctl start 'tpl@one-two\x2dthree.service'
grep -q p1 /tmp/tpl
is $(stat -c %U:%a /run/secretsd/credentials) root:600
# A new value comes with a restart of the unit.
put db2 db.yaml
eventually grep -q ^p2 /tmp/app
",
    );
}

#[test]
fn who_may_not_have_a_credential_does_not_start() {
    let Some(container) = container("who_may_not_have_a_credential_does_not_start") else {
        return;
    };
    boot(
        &container,
        r"
service other.service password
service app.service password largest
systemctl daemon-reload
systemctl start secretsd.service
refuses other.service
logged 'unit=other.service credential=password'
# Somebody else's, of a unit that may have others.
refuses app.service
logged 'unit=app.service credential=largest'
# Users are no service managers.
setpriv --reuid=daemon --regid=daemon --clear-groups python3 - <<'EOF'
import socket
try:
    socket.socket(socket.AF_UNIX).connect('/run/secretsd/credentials')
    raise SystemExit('connected')
except PermissionError: pass
EOF
chmod 666 /run/secretsd/credentials
ask() { python3 - $1 <<'EOF'
import socket, sys
s = socket.socket(socket.AF_UNIX)
if sys.argv[1:]: s.bind('\0' + sys.argv[1])
s.connect('/run/secretsd/credentials')
print(len(s.makefile('rb').read()))
EOF
}
export -f ask
is $(setpriv --reuid=daemon --regid=daemon --clear-groups bash -c 'ask a1/unit/app.service/password') 1052672
logged 'with number'
# Not an end without a byte, which would be an empty credential.
is $(ask '') 1052672
logged 'has no address that names a unit'
is $(ask a1/unit/app.service/password) 2
",
    );
}

#[test]
fn nothing_that_is_no_credential_is_handed_out() {
    let Some(container) = container("nothing_that_is_no_credential_is_handed_out") else {
        return;
    };
    boot(
        &container,
        r"
systemctl start secretsd.service
for credential in large empty; do
service large.service $credential
systemctl daemon-reload
refuses large.service
logged 'unit=large.service credential='$credential
done
service large.service largest
systemctl daemon-reload
systemctl start large.service
[ $(stat -c %s /tmp/large) -gt 1048000 ]
",
    );
}

#[test]
fn a_missing_secret_is_waited_for() {
    let Some(container) = container("a_missing_secret_is_waited_for") else {
        return;
    };
    boot(
        &container,
        r"
service late.service missing
service app.service password
systemctl daemon-reload
systemctl start secretsd.service
systemctl start --no-block late.service
sleep 0.3
is $(systemctl show --property=ActiveState --value late.service) activating
# It holds up nobody else.
systemctl start app.service
put found missing.yaml
eventually grep -q found /tmp/late
# Where the daemon stops meanwhile, the unit does not start with nothing.
systemctl stop late.service
rm /srv/secrets/missing.yaml /tmp/late
sed -i 's/ missing: { file: missing.yaml, key: key }/ missing: { file: gone.yaml, key: key }/' /etc/secretsd/secretsd.yaml
systemctl stop secretsd.socket secretsd-credentials.socket run-secrets.d.mount
systemctl start secretsd.service
systemctl start --no-block late.service
sleep 0.3
is $(systemctl show --property=ActiveState --value late.service) activating
systemctl stop secretsd.socket secretsd-credentials.socket secretsd.service
failed() { [ $(systemctl show --property=ExecMainStatus --value late.service) = 243 ]; }
eventually failed
[ ! -s /tmp/late ]
",
    );
}

#[test]
fn two_hundred_units_start_at_once() {
    let more = SECRETS.replace(
        "\"tpl@.service\": [password]",
        "\"many@.service\": [password]",
    );
    let Some(container) = Container::new("two_hundred_units_start_at_once", &more) else {
        return;
    };
    container.put("db.yaml", "password: p1\nempty: ''\n");
    boot(
        &container,
        r"
cat >'/run/systemd/system/many@.service' <<'EOF'
[Service]
Type=oneshot
RemainAfterExit=yes
LoadCredential=password:/run/secretsd/credentials
ExecStart=/bin/sh -c 'read x <$CREDENTIALS_DIRECTORY/password; [ $x = p1 ]'
EOF
systemctl daemon-reload
systemctl start secretsd-credentials.socket
# Some connect and say nothing, read nothing and stay.
python3 - <<'EOF' &
import socket, time
idle = [socket.socket(socket.AF_UNIX) for _ in range(50)]
for number, one in enumerate(idle):
    one.bind('\0%x/unit/many@idle.service/password' % number)
    one.connect('/run/secretsd/credentials')
time.sleep(60)
EOF
systemctl start $(seq --format='many@%g.service' 200)
kill %1
is $(systemctl list-units --state=active --no-legend --plain 'many@*' | wc -l) 200
secretsctl list
",
    );
}
