//! One card during one run: its session, whether it has had its PIN, and whether it refused.

use super::{
    NewKey, explain, name_of, pin,
    session::{Asked, Session},
    wire::{KeyInfo, PinPolicy, Refusal, TouchPolicy},
};
use crate::{
    error::{Error, Result},
    identity::{Plugins, person},
    secret::Secret,
};

/// The PIN that cards leave the factory with.
const FACTORY_PIN: &[u8] = b"123456";

/// See the module.
pub(super) struct Held {
    serial: u32,
    session: Option<Session>,
    /// The card has had its PIN in this session.
    verified: bool,
    /// For keys that want it each time, so that the person types it once. It goes with the run.
    pin: Option<Secret>,
    /// The PIN was refused: nothing is tried again by itself.
    refused: Option<Error>,
}

/// Why a key was not used.
enum Failure {
    /// Said, or to be said.
    Error(Error),
    /// The card lost its state: with a new session it may work.
    Lost(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Held {
    pub(super) fn new(serial: u32) -> Self {
        Self {
            serial,
            session: None,
            verified: false,
            pin: None,
            refused: None,
        }
    }

    /// What is in `slot`.
    pub(super) fn key(&mut self, slot: u8, plugins: &Plugins) -> Result<KeyInfo> {
        self.again(plugins, |held, plugins| {
            let asked = held.open(plugins)?.key(slot);
            held.done(asked)
        })
    }

    /// What `key` makes of `point`. The PIN is asked for where the card wants it, a touch announced.
    pub(super) fn ecdh(
        &mut self,
        key: &KeyInfo,
        point: &[u8],
        plugins: &Plugins,
    ) -> Result<Secret> {
        self.again(plugins, |held, plugins| held.use_key(key, point, plugins))
    }

    /// A new key; nothing is overwritten.
    pub(super) fn generate(&mut self, wanted: &NewKey, plugins: &Plugins) -> Result<KeyInfo> {
        let card = name_of(self.serial);
        let slot = match wanted.slot {
            Some(slot) => slot,
            None => self.free_slot(plugins)?,
        };
        let name = match &wanted.name {
            Some(name) => name.clone(),
            None => format!("age identity in slot {slot}"),
        };
        let state = self.once(plugins, Session::pin)?;
        let factory = Error::new("factory-pin", format!("{card} has the PIN of the factory"))
            .with_hint("give it one of your own first: ykman piv access change-pin");
        if state.factory == Some(true) {
            return Err(factory);
        }
        let (file, person) = (plugins.cards.pin_file.as_ref(), plugins.person.as_ref());
        let pin = pin::ask(&card, state, file, person)?;
        if pin.expose() == FACTORY_PIN {
            return Err(factory);
        }
        if wanted.touch_policy != TouchPolicy::Never {
            person.tell(&format!("touch {card} when it blinks"));
        }
        self.once(plugins, |session| {
            session.generate(slot, wanted.pin_policy, wanted.touch_policy, &name, &pin)
        })
    }

    /// The first slot without a key.
    fn free_slot(&mut self, plugins: &Plugins) -> Result<u8> {
        for slot in 1..=20 {
            let asked = self.open(plugins).and_then(|session| {
                let asked = session.key(slot);
                Ok(asked?)
            });
            match asked {
                Ok(Err(Refusal::NoKey)) => return Ok(slot),
                Ok(Ok(_) | Err(Refusal::OtherKind)) => {}
                Ok(Err(refusal)) => return Err(explain(&name_of(self.serial), refusal)),
                Err(Failure::Error(error) | Failure::Lost(error)) => return Err(error),
            }
        }
        Err(Error::new(
            "slot-occupied",
            format!("{} has no free slot", name_of(self.serial)),
        ))
    }

    fn once<T>(
        &mut self,
        plugins: &Plugins,
        ask: impl FnOnce(&mut Session) -> Asked<T>,
    ) -> Result<T> {
        let asked = self.open(plugins).map(ask);
        match asked.and_then(|asked| self.done(asked)) {
            Ok(answer) => Ok(answer),
            Err(Failure::Error(error) | Failure::Lost(error)) => Err(error),
        }
    }

    /// Does it, and once more with a new session where the card was taken out and put back meanwhile.
    fn again<T>(
        &mut self,
        plugins: &Plugins,
        mut work: impl FnMut(&mut Self, &Plugins) -> Result<T, Failure>,
    ) -> Result<T> {
        let was_open = self.session.is_some();
        match work(self, plugins) {
            Ok(result) => Ok(result),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Lost(error)) if !was_open => Err(error),
            Err(Failure::Lost(_)) => match work(self, plugins) {
                Ok(result) => Ok(result),
                Err(Failure::Error(error) | Failure::Lost(error)) => Err(error),
            },
        }
    }

    fn use_key(
        &mut self,
        key: &KeyInfo,
        point: &[u8],
        plugins: &Plugins,
    ) -> Result<Secret, Failure> {
        self.open(plugins)?;
        match key.pin_policy {
            PinPolicy::Never => {}
            PinPolicy::Once if self.verified => {}
            PinPolicy::Once | PinPolicy::Always => self.give_pin(key.pin_policy, plugins)?,
        }
        if key.touch_policy != TouchPolicy::Never {
            let purpose = match plugins.cards.purpose() {
                purpose if purpose.is_empty() => purpose,
                purpose => format!(" for {purpose}"),
            };
            let message = format!("touch {} now{purpose}", name_of(self.serial));
            plugins.person.tell(&message);
        }
        let asked = self.open(plugins)?.ecdh(key.slot, point);
        if let (Ok(Err(Refusal::Denied)), PinPolicy::Once) = (&asked, key.pin_policy) {
            // Another program may have made the card forget the PIN; if not, nobody touched it.
            let state = self.open(plugins)?.pin();
            if !self.done(state)?.verified {
                self.give_pin(key.pin_policy, plugins)?;
                let asked = self.open(plugins)?.ecdh(key.slot, point);
                return self.done(asked);
            }
        }
        if let (Ok(Err(Refusal::Denied)), TouchPolicy::Never) = (&asked, key.touch_policy) {
            let name = name_of(self.serial);
            return Err(person::locked(&name, "it refused to use its key").into());
        }
        self.done(asked)
    }

    /// Gives the card its PIN, unless it has it already and needs it only once.
    fn give_pin(&mut self, policy: PinPolicy, plugins: &Plugins) -> Result<(), Failure> {
        if let Some(error) = &self.refused {
            return Err(error.clone().into());
        }
        let mut is_typed = false;
        let pin = match self.pin.take() {
            Some(pin) => pin,
            None => {
                let state = self.open(plugins)?.pin();
                let state = self.done(state)?;
                if policy == PinPolicy::Once && state.verified {
                    self.verified = true;
                    return Ok(());
                }
                let (file, person) = (plugins.cards.pin_file.as_ref(), plugins.person.as_ref());
                match plugins
                    .kept
                    .pin(self.serial)
                    .filter(|_| state.is_untouched())
                {
                    Some(pin) => pin,
                    None => {
                        is_typed = file.is_none();
                        pin::ask(&name_of(self.serial), state, file, person)
                            .inspect_err(|error| self.refuse(error))?
                    }
                }
            }
        };
        let asked = self.open(plugins)?.verify(&pin);
        let result = self.done(asked);
        match &result {
            Ok(()) => {
                self.verified = true;
                // One that is kept already gets no more time by being used.
                if is_typed {
                    plugins.kept.keep_pin(self.serial, &pin);
                }
                if policy == PinPolicy::Always {
                    self.pin = Some(pin);
                }
            }
            Err(Failure::Error(error)) => {
                plugins.kept.wipe_pin(self.serial);
                self.refuse(error);
            }
            Err(Failure::Lost(_)) => {}
        }
        result
    }

    fn refuse(&mut self, error: &Error) {
        if error.code != person::INTERRUPTED {
            self.refused = Some(error.clone());
        }
    }

    /// The session, started and with the card in its hands.
    fn open(&mut self, plugins: &Plugins) -> Result<&mut Session, Failure> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                self.verified = false;
                let name = name_of(self.serial);
                let (limit, cancel) = (plugins.cards.time_limit, &plugins.cancel);
                let mut session = Session::start(&name, limit, cancel)?;
                let opened = session
                    .open(self.serial)
                    .map_err(|error| self.gone(error))?;
                opened.map_err(|refusal| explain(&name, refusal))?;
                session
            }
        };
        Ok(self.session.insert(session))
    }

    /// Tells what a refusal means for the session.
    fn done<T>(&mut self, asked: Asked<T>) -> Result<T, Failure> {
        let name = name_of(self.serial);
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Refusal::Removed)) => {
                self.session = None;
                Err(Failure::Lost(explain(&name, Refusal::Removed)))
            }
            Ok(Err(refusal)) => Err(explain(&name, refusal).into()),
            Err(error) => {
                self.session = None;
                Err(self.gone(error).into())
            }
        }
    }

    /// A session that ended or took too long: the card is as good as not there.
    fn gone(&self, error: Error) -> Error {
        if error.code == person::INTERRUPTED {
            return error;
        }
        Error {
            code: "identity-locked",
            ..error
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.end();
        }
    }
}
