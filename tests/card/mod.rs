//! Emulated YubiKeys behind the real PC/SC daemon. Each reader has its own network and its own /run, so that several run
//! side by side and nothing of this machine's own is touched; two cards fit into it.

mod applet;
mod der;
pub(crate) mod emulator;
mod management;
mod other;

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::{
    machine::eventually,
    support::{Dir, Ran, clean, ctl, is_root, not_run, run},
};

pub(crate) use applet::{ALWAYS, NEVER, ONCE, TOUCH_ALWAYS, TOUCH_CACHED};

/// The variable that tells the emulator which card it is.
const SPECIFICATION: &str = "SECRETSD_TEST_CARD";
/// Where the driver listens for the first card; the second has the next number.
const PORT: u64 = 0x8c7b;
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
/// What every card's PIN is.
pub(crate) const PIN: &str = "654321";

/// Runs in the new namespaces: a loopback interface, /run, the daemon. It ends, with all that runs in them, when nobody
/// holds its input any more.
const SCRIPT: &str = r#"
set -e
ip link set lo up
mount -t tmpfs none /run
mkdir /run/pcscd
pcscd --foreground --config "$1" >"$1.log" 2>&1 &
echo ready
cat >/dev/null
kill 0
"#;

/// A reader with its daemon.
pub(crate) struct Reader {
    dir: Dir,
    namespaces: Child,
    cards: Vec<Card>,
}

/// A card in the reader.
pub(crate) struct Card {
    emulator: Child,
    control: PathBuf,
    pub(crate) serial: u32,
    keys: Vec<Key>,
}

/// What a card is to be.
pub(crate) struct Model {
    serial: u32,
    version: [u8; 3],
    pin: &'static str,
    aes: bool,
    protected: bool,
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    slot: u8,
    pin: u8,
    touch: u8,
    certificate: bool,
    seed: String,
}

impl Model {
    /// A card without keys.
    pub(crate) fn new(serial: u32) -> Self {
        Self {
            serial,
            version: [5, 4, 3],
            pin: PIN,
            aes: false,
            protected: false,
            keys: Vec::new(),
        }
    }

    /// With a key in `slot`.
    pub(crate) fn key(mut self, slot: u8, pin: u8, touch: u8) -> Self {
        self.keys.push(Key {
            slot,
            pin,
            touch,
            certificate: true,
            seed: format!("{} {slot}", self.serial),
        });
        self
    }

    /// The last key has no certificate beside it.
    pub(crate) fn without_certificate(mut self) -> Self {
        self.keys.last_mut().unwrap().certificate = false;
        self
    }

    pub(crate) fn version(mut self, version: [u8; 3]) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn pin(mut self, pin: &'static str) -> Self {
        self.pin = pin;
        self
    }

    /// The management key is of the kind that newer cards have.
    pub(crate) fn aes(mut self) -> Self {
        self.aes = true;
        self
    }

    /// The management key is not that of the factory, and kept behind the PIN.
    pub(crate) fn protected(mut self) -> Self {
        self.protected = true;
        self
    }
}

impl Reader {
    /// A reader with these cards in it; `None` (said loudly) where this machine cannot have one.
    pub(crate) fn with(test: &str, models: &[Model]) -> Option<Self> {
        let mut reader = Self::empty(test)?;
        for model in models {
            reader.insert(model);
        }
        reader.wait_for(models.len());
        Some(reader)
    }

    /// A reader without cards.
    pub(crate) fn empty(test: &str) -> Option<Self> {
        let dir = Dir::new();
        let configuration = format!(
            "FRIENDLYNAME \"Yubico YubiKey OTP+FIDO+CCID\"\nDEVICENAME /dev/null:0x{PORT:04X}\n\
             LIBPATH {DRIVER}\nCHANNELID 0x{PORT:04X}\n"
        );
        dir.write("readers/reader.conf", configuration);
        if !Path::new(DRIVER).exists() {
            not_run(
                test,
                "the virtual reader vsmartcard-vpcd is missing; `contrib/setup` installs it",
            );
            return None;
        }
        let flags: &[&str] = if is_root() {
            &["--mount", "--net"]
        } else {
            &["--user", "--map-root-user", "--mount", "--net"]
        };
        let mut unshare = Command::new("unshare");
        unshare
            .args(flags)
            .args(["--propagation", "private", "--", "sh", "-c", SCRIPT, "sh"]);
        let mut namespaces = unshare
            .arg(dir.join("readers"))
            .env("PATH", path_of_root())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let _ = BufReader::new(namespaces.stdout.as_mut().unwrap()).read_line(&mut line);
        if line != "ready\n" {
            drop(namespaces.stdin.take());
            let output = namespaces.wait_with_output().unwrap();
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            not_run(
                test,
                &format!("no namespaces with a PC/SC daemon can be made here: {why}"),
            );
            return None;
        }
        Some(Self {
            dir,
            namespaces,
            cards: Vec::new(),
        })
    }

    fn insert(&mut self, model: &Model) {
        let number = u64::try_from(self.cards.len()).unwrap();
        let control = self.dir.join(format!("card-{number}"));
        let keys: Vec<Value> = model
            .keys
            .iter()
            .map(|key| {
                json!({ "slot": key.slot, "pin": key.pin, "touch": key.touch,
                    "certificate": key.certificate, "seed": key.seed })
            })
            .collect();
        let specification = json!({
            "port": PORT + number, "serial": model.serial, "version": model.version,
            "pin": model.pin, "aes": model.aes, "protected": model.protected, "keys": keys, "control": control,
        });
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args([
            "--ignored",
            "--exact",
            "card::emulator::card",
            "--nocapture",
        ]);
        let emulator = self
            .enter(&program)
            .env(SPECIFICATION, specification.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.cards.push(Card {
            emulator,
            control,
            serial: model.serial,
            keys: model.keys.clone(),
        });
    }

    /// Waits until so many cards answer.
    #[track_caller]
    pub(crate) fn wait_for(&self, cards: usize) {
        eventually(&format!("{cards} cards answer"), || {
            let mut command = self.ctl(["yubikey", "list", "--json"]);
            let list: Value = serde_json::from_slice(&run(&mut command).stdout).unwrap_or_default();
            list.as_array().is_some_and(|list| list.len() == cards)
        });
    }

    pub(crate) fn card(&self, number: usize) -> &Card {
        &self.cards[number]
    }

    /// `command`, where the cards are.
    pub(crate) fn enter(&self, command: &Command) -> Command {
        let mut wrapped = Command::new("nsenter");
        wrapped.arg(format!("--target={}", self.namespaces.id()));
        if !is_root() {
            wrapped.args(["--user", "--preserve-credentials"]);
        }
        wrapped.args(["--mount", "--net", "--"]);
        wrapped.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    }

    /// `secretsctl ARGS`, where the cards are. Relative paths mean nothing to it.
    pub(crate) fn ctl<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.enter(&ctl(args));
        command.stdin(Stdio::null());
        command
    }

    /// Another program that has the card, until this is dropped: `shared` or `exclusive`.
    pub(crate) fn hold(&self, how: &str) -> Held {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args([
            "--ignored",
            "--exact",
            "card::other::program",
            "--nocapture",
        ]);
        let mut child = self
            .enter(&program)
            .env(other::HOW, how)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let is_held = output
            .lines()
            .any(|line| line.unwrap().contains(other::HOLDS));
        assert!(is_held, "the other program cannot have the card");
        Held(child)
    }

    /// Takes the card's power away for a moment: it forgets that it was given its PIN.
    pub(crate) fn power_down(&self, card: &Card) {
        card.tell(&json!({ "inserted": false }));
        self.wait_for(self.cards.len() - 1);
        card.tell(&json!({ "inserted": true }));
        self.wait_for(self.cards.len());
    }

    /// Another program, in a clean environment.
    pub(crate) fn run(&self, program: &Path, args: &[&OsStr]) -> Ran {
        let mut command = Command::new(program);
        command.args(args);
        run(&mut self.enter(clean(&mut command)))
    }
}

/// See [`Reader::hold`].
pub(crate) struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for card in &mut self.cards {
            let _ = card.emulator.kill();
            let _ = card.emulator.wait();
        }
        if let Some(group) = rustix::process::Pid::from_raw(self.namespaces.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.namespaces.wait();
    }
}

impl Card {
    /// Tells the card to change and gives its state.
    pub(crate) fn tell(&self, request: &Value) -> Value {
        let mut connection = None;
        eventually("the card's program listens", || {
            connection = UnixStream::connect(&self.control).ok();
            connection.is_some()
        });
        let mut connection = connection.unwrap();
        writeln!(connection, "{request}").unwrap();
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// How often something was asked of it: `verify`, `ecdh`, `refused`, `touch`, `generated`.
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.tell(&json!({}))["counts"][what].as_u64().unwrap()
    }

    pub(crate) fn tries(&self) -> u64 {
        self.tell(&json!({}))["tries"].as_u64().unwrap()
    }

    /// `age1yubikey1…` of the key in `slot`.
    pub(crate) fn recipient(&self, slot: u8) -> String {
        bech32("age1yubikey", &self.point(slot))
    }

    /// `AGE-PLUGIN-YUBIKEY-1…` of the key in `slot`.
    pub(crate) fn identity(&self, slot: u8) -> String {
        identity(self.serial, slot, self.tag(slot))
    }

    /// By which stanzas name the key in `slot`.
    pub(crate) fn tag(&self, slot: u8) -> [u8; 4] {
        sha2::Sha256::digest(self.point(slot))[..4]
            .try_into()
            .unwrap()
    }

    /// An identity file as age-plugin-yubikey writes it.
    pub(crate) fn identity_file(&self, dir: &Dir, slot: u8) -> PathBuf {
        let name = format!("card-{}-{slot}.txt", self.serial);
        let (identity, recipient) = (self.identity(slot), self.recipient(slot));
        let path = dir.write(&name, format!("#    Recipient: {recipient}\n{identity}\n"));
        dir.chmod(&name, 0o600);
        path
    }

    fn point(&self, slot: u8) -> Vec<u8> {
        let key = self.keys.iter().find(|key| key.slot == slot).unwrap();
        let public = secret_of(&key.seed).public_key();
        public.to_encoded_point(true).as_bytes().to_vec()
    }
}

/// An identity, whether there is such a key or not.
pub(crate) fn identity(serial: u32, slot: u8, tag: [u8; 4]) -> String {
    let mut data = serial.to_le_bytes().to_vec();
    data.push(0x81 + slot);
    data.extend(tag);
    bech32("age-plugin-yubikey-", &data).to_uppercase()
}

fn bech32(prefix: &str, data: &[u8]) -> String {
    let prefix = bech32::Hrp::parse(prefix).unwrap();
    bech32::encode::<bech32::Bech32>(prefix, data).unwrap()
}

/// A key that is always the same.
fn secret_of(seed: &str) -> p256::SecretKey {
    p256::SecretKey::from_slice(&sha2::Sha256::digest(seed)).unwrap()
}

/// pcscd and ip lie where only root looks.
fn path_of_root() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}
