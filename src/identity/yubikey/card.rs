//! The side of a session that holds the card, in a process of its own: a call into PC/SC cannot be cancelled, but a
//! process can be ended. It does what it is asked on its standard input and ends with it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use yubikey::{
    Certificate, YubiKey,
    piv::{
        self, AlgorithmId, ManagementAlgorithmId, ManagementSlotId, RetiredSlotId, SlotId,
        SlotMetadata,
    },
};

use super::{
    arrivals, new_key, readers,
    wire::{self, CardInfo, KeyInfo, PinPolicy, PinState, Refusal, TouchPolicy, decode, encode},
};
use crate::secret::Secret;

/// Longest request.
const LINE_LIMIT: usize = 4096;
/// The extension of a certificate that tells the policies of its key.
pub(super) const POLICIES: &str = "1.3.6.1.4.1.41482.3.8";
/// The firmware from which on cards describe their keys.
const DESCRIBES_KEYS: (u8, u8) = (5, 3);

type Done<T> = Result<T, Refusal>;

/// Serves one session.
pub(super) fn serve() -> ExitCode {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let mut card: Option<Card> = None;
    while let Some(line) = read_line(&input) {
        if line.expose() == b"watch" {
            end_with(input);
            let refusal = arrivals::watch(|cards| send(&output, Ok(json(cards).into())));
            send(&output, Err(refusal));
            break;
        }
        // The library trusts what a card answers in places; a card that lies must not look like a crash of ours.
        let answer = catch_unwind(AssertUnwindSafe(|| answer(&line, &mut card)));
        if !send(&output, answer.unwrap_or(Err(Refusal::Nonsense))) {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Ends this process when whoever asks is gone, which nobody notices while a call into PC/SC waits.
fn end_with(input: std::io::Stdin) {
    std::thread::spawn(move || {
        while read_line(&input).is_some() {}
        std::process::exit(0);
    });
}

/// Whether there is somebody to hear it.
fn send(output: &std::io::Stdout, answer: Done<Secret>) -> bool {
    let mut text = match answer {
        Ok(payload) => {
            let mut text = Secret::from("ok ".to_owned());
            text.push(payload.expose());
            text
        }
        Err(refusal) => Secret::from(format!("no {}", json(&refusal))),
    };
    text.push(b"\n");
    write(output, text.expose())
}

fn answer(line: &Secret, card: &mut Option<Card>) -> Done<Secret> {
    let line = line.expose_str().ok_or(Refusal::Nonsense)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.as_slice() == ["list"] {
        return Ok(json(&list()?).into());
    }
    if let ["open", serial] = *words.as_slice() {
        let opened = readers::card(parse(serial)?)?;
        let version = opened.version.to_string();
        *card = Some(opened);
        return Ok(version.into());
    }
    let card = card.as_mut().ok_or(Refusal::NoCard)?;
    match *words.as_slice() {
        ["key", slot] => Ok(json(&card.key(parse(slot)?)?).into()),
        ["pin"] => Ok(json(&card.pin_state()?).into()),
        ["verify", pin] => {
            card.verify(&secret(pin)?)?;
            Ok(Secret::default())
        }
        ["ecdh", slot, point] => {
            let shared = card.ecdh(parse(slot)?, &secret(point)?)?;
            Ok(encode(shared.expose()).into())
        }
        ["generate", slot, pin_policy, touch_policy, name, pin] => {
            let name = String::from_utf8(decode(name).ok_or(Refusal::Nonsense)?);
            let wanted = new_key::Wanted {
                slot: parse(slot)?,
                pin_policy: policy(pin_policy)?,
                touch_policy: policy(touch_policy)?,
                name: name.map_err(|_| Refusal::Nonsense)?,
                pin: secret(pin)?,
            };
            Ok(json(&new_key::generate(card, &wanted)?).into())
        }
        _ => Err(Refusal::Nonsense),
    }
}

/// A card that keeps its state for other programs when we let go of it.
pub(super) struct Card {
    serial: u32,
    version: yubikey::Version,
    /// There until it is dropped.
    yubikey: Option<YubiKey>,
}

impl Drop for Card {
    fn drop(&mut self) {
        if let Some(yubikey) = self.yubikey.take() {
            // The library would reset the card, and with it the PIN that others gave.
            let _ = yubikey.disconnect(pcsc::Disposition::LeaveCard);
        }
    }
}

fn list() -> Done<Vec<CardInfo>> {
    let mut cards = readers::every_card()?;
    // One that answers nonsense must not hide the others.
    let (known, mut unknown): (Vec<_>, Vec<_>) =
        cards.iter_mut().map(Card::info).partition(Result::is_ok);
    match unknown.pop() {
        Some(Err(error)) if known.is_empty() => Err(error),
        _ => Ok(known.into_iter().flatten().collect()),
    }
}

impl Card {
    pub(super) fn new(yubikey: YubiKey) -> Self {
        Self {
            serial: yubikey.serial().0,
            version: yubikey.version(),
            yubikey: Some(yubikey),
        }
    }

    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    pub(super) fn yubikey(&mut self) -> Done<&mut YubiKey> {
        self.yubikey.as_mut().ok_or(Refusal::NoCard)
    }

    fn info(&mut self) -> Done<CardInfo> {
        let mut keys = Vec::new();
        for slot in 1..=20 {
            match self.key(slot) {
                Ok(key) => keys.push(key),
                Err(Refusal::NoKey | Refusal::OtherKind) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(CardInfo {
            serial: self.serial,
            version: self.version.to_string(),
            pin: self.pin_state()?,
            keys,
        })
    }

    /// The key in `slot`, as the card describes it, or on older cards the certificate beside it.
    pub(super) fn key(&mut self, slot: u8) -> Done<KeyInfo> {
        let id = slot_id(slot)?;
        // What is there and is none is not what we look for.
        let certificate = match Certificate::read(self.yubikey()?, id) {
            Ok(certificate) => Some(certificate),
            Err(error @ yubikey::Error::PcscError { .. }) => return Err(refusal(error)),
            Err(_) => None,
        };
        let metadata = self.metadata(id)?;
        let name = certificate.as_ref().and_then(name);
        let policies = certificate.as_ref().and_then(policies);
        let (point, described) = match (metadata, certificate) {
            (Some(metadata), _) => {
                if metadata.algorithm != ManagementAlgorithmId::Asymmetric(AlgorithmId::EccP256) {
                    return Err(Refusal::OtherKind);
                }
                let public = metadata.public.ok_or(Refusal::Nonsense)?;
                let point = public.subject_public_key.raw_bytes().to_vec();
                let policies = metadata
                    .policy
                    .map(|(pin, touch)| (pin.into(), touch.into()));
                (point, policies)
            }
            (None, Some(certificate)) if !self.describes_keys() => {
                let key = certificate.subject_pki();
                (key.subject_public_key.raw_bytes().to_vec(), None)
            }
            (None, _) => return Err(Refusal::NoKey),
        };
        if super::text::Recipient::from_point(&point).is_none() {
            return Err(Refusal::OtherKind);
        }
        // Where nobody tells the policies, the PIN is asked for and a touch is expected.
        let (pin, touch) = described.or(policies).unwrap_or((2, 2));
        Ok(KeyInfo {
            slot,
            name,
            pin_policy: match pin {
                1 => PinPolicy::Never,
                3 => PinPolicy::Always,
                // The default of these slots.
                _ => PinPolicy::Once,
            },
            touch_policy: match touch {
                2 => TouchPolicy::Always,
                3 => TouchPolicy::Cached,
                _ => TouchPolicy::Never,
            },
            point: encode(&point),
        })
    }

    /// `None`: there is no key, or the card is too old to tell.
    fn metadata(&mut self, id: SlotId) -> Done<Option<SlotMetadata>> {
        if !self.describes_keys() {
            return Ok(None);
        }
        match piv::metadata(self.yubikey()?, id) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error @ yubikey::Error::PcscError { .. }) => Err(refusal(error)),
            // The card says that there is none.
            Err(yubikey::Error::GenericError | yubikey::Error::NotSupported) => Ok(None),
            // A kind of key that the library does not know.
            Err(yubikey::Error::AlgorithmError) => Err(Refusal::OtherKind),
            Err(_) => Err(Refusal::Nonsense),
        }
    }

    pub(super) fn describes_keys(&self) -> bool {
        (self.version.major, self.version.minor) >= DESCRIBES_KEYS
    }

    /// Not by the library's own question, which makes the card forget the PIN.
    fn pin_state(&mut self) -> Done<PinState> {
        let (verified, left) = match self.yubikey()?.verify_pin(&[]) {
            Ok(()) => (true, None),
            Err(yubikey::Error::WrongPin { tries }) => (false, Some(tries)),
            Err(error) => return Err(refusal(error)),
        };
        let described = self
            .metadata(SlotId::Management(ManagementSlotId::Pin))
            .ok()
            .flatten();
        let retries = described.as_ref().and_then(|pin| pin.retries.as_ref());
        Ok(PinState {
            verified,
            left: left.or(retries.map(|retries| retries.remaining_count)),
            most: retries.map(|retries| retries.retry_count),
            factory: described.as_ref().and_then(|pin| pin.default),
        })
    }

    pub(super) fn verify(&mut self, pin: &Secret) -> Done<()> {
        // Nothing would be a question instead.
        if pin.is_empty() {
            return Err(Refusal::Nonsense);
        }
        self.yubikey()?.verify_pin(pin.expose()).map_err(refusal)
    }

    fn ecdh(&mut self, slot: u8, point: &Secret) -> Done<Secret> {
        let id = slot_id(slot)?;
        let shared = piv::decrypt_data(self.yubikey()?, point.expose(), AlgorithmId::EccP256, id)
            .map_err(refusal)?;
        // The coordinate of a point, and nothing else, is what a key can be derived from.
        if shared.len() != 32 {
            return Err(Refusal::Nonsense);
        }
        Ok(Secret::new(shared.to_vec()))
    }
}

fn name(certificate: &Certificate) -> Option<String> {
    let subject = certificate.subject();
    let (_, rest) = subject.split_once("CN=")?;
    let end = rest.find([',', '+']).unwrap_or(rest.len());
    rest.get(..end).map(str::to_owned)
}

/// The policies that a certificate tells.
fn policies(certificate: &Certificate) -> Option<(u8, u8)> {
    let extensions = certificate.cert.tbs_certificate.extensions.as_ref()?;
    let extension = extensions
        .iter()
        .find(|extension| extension.extn_id.to_string() == POLICIES)?;
    match *extension.extn_value.as_bytes() {
        [pin, touch] => Some((pin, touch)),
        _ => None,
    }
}

pub(super) fn slot_id(slot: u8) -> Done<SlotId> {
    RetiredSlotId::try_from(wire::reference(slot))
        .map(SlotId::Retired)
        .map_err(|_| Refusal::Nonsense)
}

pub(super) fn refusal(error: yubikey::Error) -> Refusal {
    use pcsc::Error as P;
    use yubikey::Error as E;
    match error {
        E::PcscError { inner: Some(inner) } => match inner {
            P::NoService | P::ServiceStopped => Refusal::NoService,
            P::NoReadersAvailable => Refusal::NoCard,
            P::SharingViolation => Refusal::Busy,
            _ => Refusal::Removed,
        },
        E::WrongPin { tries } => Refusal::WrongPin(tries),
        E::PinLocked => Refusal::WrongPin(0),
        E::AuthenticationError => Refusal::Denied,
        E::NotFound => Refusal::NoCard,
        _ => Refusal::Nonsense,
    }
}

fn parse<T: std::str::FromStr>(word: &str) -> Done<T> {
    word.parse().map_err(|_| Refusal::Nonsense)
}

fn policy<T: clap::ValueEnum>(word: &str) -> Done<T> {
    T::from_str(word, false).map_err(|_| Refusal::Nonsense)
}

fn secret(word: &str) -> Done<Secret> {
    decode(word).map(Secret::new).ok_or(Refusal::Nonsense)
}

/// What has no secret in it.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// One request; `None` when there are no more. Byte by byte: a buffer would keep the PIN.
fn read_line(input: &std::io::Stdin) -> Option<Secret> {
    let mut line = Secret::with_capacity(LINE_LIMIT);
    let mut byte = [0];
    loop {
        match rustix::io::read(input, &mut byte) {
            Ok(0) => return None,
            Ok(_) if byte == *b"\n" => return Some(line),
            Ok(_) if line.len() < LINE_LIMIT => line.push(&byte),
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

fn write(output: &std::io::Stdout, mut text: &[u8]) -> bool {
    while !text.is_empty() {
        match rustix::io::write(output, text) {
            Ok(written) => text = text.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}
