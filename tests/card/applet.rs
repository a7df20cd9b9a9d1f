//! The PIV applet of an emulated YubiKey: commands in, answers out. What it models: PIN with a counter, PIN and touch
//! policies, keys on P-256 in the retired slots, objects, metadata, and enough of the administration to make a key.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use p256::{SecretKey, ecdsa::signature::hazmat::PrehashSigner as _};

use super::{
    der::{certificate_object, read_tlv, tlv},
    management::Management,
};

/// How long a touch counts where the policy is `cached`.
const TOUCH_CACHE: Duration = Duration::from_secs(15);
const PIV: &[u8] = &[0xa0, 0, 0, 3, 8];
/// The object that only the PIN opens.
const PROTECTED: u32 = 0x5f_c109;

pub(super) const OK: u16 = 0x9000;
pub(super) const REFUSED: u16 = 0x6982;
const BLOCKED: u16 = 0x6983;
pub(super) const WRONG_DATA: u16 = 0x6a80;
const NOT_FOUND: u16 = 0x6a82;
const NO_KEY: u16 = 0x6a88;
const UNKNOWN: u16 = 0x6d00;

/// What comes of a command: data and status, or only a status.
pub(super) type Answer = Result<Vec<u8>, u16>;

/// PIN and touch policies as the card writes them.
pub(crate) const NEVER: u8 = 1;
pub(crate) const ONCE: u8 = 2;
pub(crate) const ALWAYS: u8 = 3;
/// Touch policies: `NEVER` is the same.
pub(crate) const TOUCH_ALWAYS: u8 = 2;
pub(crate) const TOUCH_CACHED: u8 = 3;

/// One card.
pub(super) struct Card {
    serial: u32,
    version: [u8; 3],
    keys: BTreeMap<u8, Key>,
    objects: BTreeMap<u32, Vec<u8>>,
    pin: [u8; 8],
    tries: u8,
    most_tries: u8,
    /// The PIN was right since the card got power.
    verified: bool,
    /// And no key was used since.
    fresh: bool,
    management: Management,
    touched: Option<Instant>,
    /// What is left of a long answer.
    rest: Vec<u8>,
    /// What has come of a long command.
    chained: Vec<u8>,
    pub(super) touch: bool,
    pub(super) touch_time: Duration,
    pub(super) delay: Duration,
    pub(super) mood: Mood,
    pub(super) counts: Counts,
}

/// How the card behaves when a key is to be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    /// Random bytes for an answer.
    Garbage,
    /// An answer that ends too soon.
    Short,
    /// None at all.
    Silent,
}

/// What was asked of the card.
#[derive(Default, serde::Serialize)]
pub(super) struct Counts {
    /// A PIN was given.
    verify: u32,
    /// A key was used.
    ecdh: u32,
    /// It was asked for and refused.
    refused: u32,
    /// Somebody had to touch the card.
    touch: u32,
    generated: u32,
}

struct Key {
    secret: SecretKey,
    pin_policy: u8,
    touch_policy: u8,
}

impl Card {
    pub(super) fn new(serial: u32, version: [u8; 3], pin: &[u8], aes: bool) -> Self {
        Self {
            serial,
            version,
            keys: BTreeMap::new(),
            objects: BTreeMap::new(),
            pin: padded(pin),
            tries: 3,
            most_tries: 3,
            verified: false,
            fresh: false,
            management: Management::new(aes),
            touched: None,
            rest: Vec::new(),
            chained: Vec::new(),
            touch: true,
            touch_time: Duration::from_millis(20),
            delay: Duration::ZERO,
            mood: Mood::Good,
            counts: Counts::default(),
        }
    }

    /// Puts a key into slot 1 to 20, with its certificate.
    pub(super) fn add_key(&mut self, slot: u8, secret: SecretKey, policies: [u8; 2], named: bool) {
        if named {
            let name = format!("key {slot}");
            let object = certificate_object(&secret.public_key(), &name, policies);
            self.put_object(0x5f_c10d + u32::from(slot) - 1, object);
        }
        let key = Key {
            secret,
            pin_policy: policies[0],
            touch_policy: policies[1],
        };
        self.keys.insert(0x81 + slot, key);
    }

    /// The management key is one that only the PIN gives.
    pub(super) fn protect_management(&mut self) {
        self.management.key = *b"management key of a card";
        let key = self.management.key;
        self.put_object(PROTECTED, tlv(0x88, &tlv(0x89, &key)));
    }

    pub(super) fn put_object(&mut self, id: u32, content: Vec<u8>) {
        self.objects.insert(id, content);
    }

    /// The card loses its power.
    pub(super) fn forget(&mut self) {
        self.verified = false;
        self.fresh = false;
        self.touched = None;
        self.management.forget();
        self.rest.clear();
        self.chained.clear();
    }

    pub(super) fn tries(&self) -> u8 {
        self.tries
    }

    /// The answer to one command; `None`: there is none.
    pub(super) fn execute(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let [class, instruction, p1, p2, ..] = *command else {
            return Some(WRONG_DATA.to_be_bytes().to_vec());
        };
        let data = command.get(5..).unwrap_or_default();
        if class & 0x10 != 0 {
            self.chained.extend(data);
            return Some(OK.to_be_bytes().to_vec());
        }
        let mut all = std::mem::take(&mut self.chained);
        all.extend(data);
        if instruction == 0x87 && all.get(4) != Some(&0x81) && (0x82..=0x95).contains(&p2) {
            thread::sleep(self.delay);
            match self.mood {
                Mood::Good => {}
                Mood::Garbage => return Some(vec![0x30, 0x82, 0xff, 0xff, 0x13, 0x90, 0x00]),
                Mood::Short => return Some(vec![0x7c, 0x22, 0x82, 0x90, 0x00]),
                Mood::Silent => return None,
            }
        }
        if instruction != 0xc0 {
            self.rest = match self.dispatch(instruction, p1, p2, &all) {
                Ok(answer) => answer,
                Err(status) => return Some(status.to_be_bytes().to_vec()),
            };
        }
        let length = self.rest.len().min(256);
        let mut answer: Vec<u8> = self.rest.drain(..length).collect();
        match self.rest.len() {
            0 => answer.extend(OK.to_be_bytes()),
            left => answer.extend([0x61, u8::try_from(left).unwrap_or(0)]),
        }
        Some(answer)
    }

    fn dispatch(&mut self, instruction: u8, p1: u8, p2: u8, data: &[u8]) -> Answer {
        match instruction {
            0xa4 if data.starts_with(PIV) => Ok(Vec::new()),
            0xa4 => Err(NOT_FOUND),
            0xfd => Ok(self.version.to_vec()),
            0xf8 => Ok(self.serial.to_be_bytes().to_vec()),
            0x20 => self.verify(data),
            0xcb => self.object(data),
            0xf7 if self.version < [5, 3, 0] => Err(UNKNOWN),
            0xf7 => self.metadata(p2),
            0x87 if p2 == 0x9b => self.management.authenticate(p1, data),
            0x87 => self.use_key(p2, data),
            0x47 => self.generate(p2, data),
            0xff => self.management.set(data),
            0xdb => self.store(data),
            _ => Err(UNKNOWN),
        }
    }

    fn verify(&mut self, data: &[u8]) -> Answer {
        let state = match (self.tries, self.verified) {
            (0, _) => BLOCKED,
            (_, true) => OK,
            (tries, false) => 0x63c0 | u16::from(tries),
        };
        if data.is_empty() {
            return if state == OK {
                Ok(Vec::new())
            } else {
                Err(state)
            };
        }
        self.counts.verify += 1;
        if self.tries == 0 {
            return Err(BLOCKED);
        }
        self.verified = data == self.pin;
        self.fresh = self.verified;
        if self.verified {
            self.tries = self.most_tries;
            return Ok(Vec::new());
        }
        self.tries -= 1;
        match self.tries {
            0 => Err(BLOCKED),
            tries => Err(0x63c0 | u16::from(tries)),
        }
    }

    fn object(&self, data: &[u8]) -> Answer {
        let id = object_id(data)?;
        if id == PROTECTED && !self.verified {
            return Err(REFUSED);
        }
        let object = self.objects.get(&id).ok_or(NOT_FOUND)?;
        Ok(tlv(0x53, object))
    }

    fn store(&mut self, data: &[u8]) -> Answer {
        if !self.management.is_authenticated() {
            return Err(REFUSED);
        }
        let id = object_id(data)?;
        let (0x53, content, _) = data.get(5..).and_then(read_tlv).ok_or(WRONG_DATA)? else {
            return Err(WRONG_DATA);
        };
        if content.is_empty() {
            self.objects.remove(&id);
        } else {
            self.objects.insert(id, content.to_vec());
        }
        Ok(Vec::new())
    }

    fn metadata(&self, slot: u8) -> Answer {
        if slot == 0x80 {
            let is_default = u8::from(self.pin == padded(b"123456"));
            let counter = [self.most_tries, self.tries];
            return Ok([tlv(1, &[0xff]), tlv(5, &[is_default]), tlv(6, &counter)].concat());
        }
        if slot == 0x9b {
            return Ok(self.management.metadata());
        }
        let key = self.keys.get(&slot).ok_or(NO_KEY)?;
        Ok([
            tlv(1, &[0x11]),
            tlv(2, &[key.pin_policy, key.touch_policy]),
            tlv(3, &[1]),
            tlv(4, &tlv(0x86, &key.secret.public_key().to_sec1_bytes_long())),
        ]
        .concat())
    }

    fn use_key(&mut self, slot: u8, data: &[u8]) -> Answer {
        let key = self.keys.get(&slot).ok_or(WRONG_DATA)?;
        let allowed = match key.pin_policy {
            NEVER => true,
            ONCE => self.verified,
            _ => self.fresh,
        };
        if !allowed {
            self.counts.refused += 1;
            return Err(REFUSED);
        }
        let is_cached = self.touched.is_some_and(|at| at.elapsed() < TOUCH_CACHE);
        if key.touch_policy == TOUCH_ALWAYS || (key.touch_policy == TOUCH_CACHED && !is_cached) {
            thread::sleep(self.touch_time);
            if !self.touch {
                self.counts.refused += 1;
                return Err(REFUSED);
            }
            self.counts.touch += 1;
            self.touched = Some(Instant::now());
        }
        self.fresh = false;
        let (0x7c, inner, _) = read_tlv(data).ok_or(WRONG_DATA)? else {
            return Err(WRONG_DATA);
        };
        let (0x82, [], rest) = read_tlv(inner).ok_or(WRONG_DATA)? else {
            return Err(WRONG_DATA);
        };
        let result = match read_tlv(rest) {
            Some((0x85, point, _)) => {
                let point = p256::PublicKey::from_sec1_bytes(point).map_err(|_| WRONG_DATA)?;
                let shared =
                    p256::ecdh::diffie_hellman(key.secret.to_nonzero_scalar(), point.as_affine());
                self.counts.ecdh += 1;
                shared.raw_secret_bytes().to_vec()
            }
            Some((0x81, digest, _)) => {
                let signer = p256::ecdsa::SigningKey::from(&key.secret);
                let signature: p256::ecdsa::DerSignature =
                    signer.sign_prehash(digest).map_err(|_| WRONG_DATA)?;
                signature.as_bytes().to_vec()
            }
            _ => return Err(WRONG_DATA),
        };
        Ok(tlv(0x7c, &tlv(0x82, &result)))
    }

    fn generate(&mut self, slot: u8, data: &[u8]) -> Answer {
        if !self.management.is_authenticated() {
            return Err(REFUSED);
        }
        let (0xac, mut fields, _) = read_tlv(data).ok_or(WRONG_DATA)? else {
            return Err(WRONG_DATA);
        };
        let (mut pin_policy, mut touch_policy) = (ONCE, NEVER);
        while let Some((tag, content, rest)) = read_tlv(fields) {
            match (tag, content) {
                (0x80, [0x11]) => {}
                (0xaa, [policy]) => pin_policy = *policy,
                (0xab, [policy]) => touch_policy = *policy,
                _ => return Err(WRONG_DATA),
            }
            fields = rest;
        }
        self.counts.generated += 1;
        // The first scalar that is one; what it is does not matter.
        let seed = format!("generated {} {}", self.serial, self.counts.generated);
        let secret = super::secret_of(&seed);
        let point = secret.public_key().to_sec1_bytes_long();
        let key = Key {
            secret,
            pin_policy,
            touch_policy,
        };
        self.keys.insert(slot, key);
        let mut answer = vec![0x7f, 0x49];
        answer.extend(tlv(0, &tlv(0x86, &point)).get(1..).unwrap_or_default());
        Ok(answer)
    }
}

fn object_id(data: &[u8]) -> Result<u32, u16> {
    match *data {
        [0x5c, 3, a, b, c, ..] => Ok(u32::from_be_bytes([0, a, b, c])),
        _ => Err(WRONG_DATA),
    }
}

fn padded(pin: &[u8]) -> [u8; 8] {
    std::array::from_fn(|at| pin.get(at).copied().unwrap_or(0xff))
}

/// The uncompressed form.
trait Long {
    fn to_sec1_bytes_long(&self) -> Vec<u8>;
}

impl Long for p256::PublicKey {
    fn to_sec1_bytes_long(&self) -> Vec<u8> {
        use p256::elliptic_curve::sec1::ToEncodedPoint as _;
        self.to_encoded_point(false).as_bytes().to_vec()
    }
}
