//! Which cards are there, and when that changes: PC/SC says so, nobody asks again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CStr, CString},
    sync::mpsc,
    thread,
    time::Duration,
};

use pcsc::{Context, PNP_NOTIFICATION, ReaderState, Scope, State};

use super::{
    readers::{self, PATIENCE},
    wire::Refusal,
};

/// A card that was put in just now may not be ready to be asked: so often it is asked again, with this time in between.
const TRIES: u8 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Tells the numbers of all cards, now and whenever they are others, for as long as somebody listens and PC/SC is there.
pub(super) fn watch(mut tell: impl FnMut(&BTreeSet<u32>) -> bool) -> Refusal {
    match follow(&mut tell) {
        Ok(()) => Refusal::NoCard,
        Err(pcsc::Error::ServerTooBusy | pcsc::Error::SharingViolation) => Refusal::Busy,
        Err(_) => Refusal::NoService,
    }
}

/// What is in a reader.
struct Inside {
    /// So many times something was put in or taken out.
    count: u32,
    is_present: bool,
    /// The card's number, if there is a card that has one.
    serial: Result<u32, Refusal>,
    /// So often it was asked for it.
    tries: u8,
}

fn follow(tell: &mut impl FnMut(&BTreeSet<u32>) -> bool) -> Result<(), pcsc::Error> {
    let context = Context::establish(Scope::System)?;
    let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
    let mut inside = BTreeMap::new();
    let mut told: Option<BTreeSet<u32>> = None;
    loop {
        let names = match context.list_readers_owned() {
            Err(pcsc::Error::NoReadersAvailable) => Vec::new(),
            names => names?,
        };
        let is_there = |name: &CStr| names.iter().any(|known| **known == *name);
        states.retain(|state| state.name() == PNP_NOTIFICATION() || is_there(state.name()));
        inside.retain(|name: &CString, _| is_there(name));
        for name in &names {
            if !inside.contains_key(name) {
                states.retain(|state| state.name() != name.as_c_str());
                states.push(ReaderState::new(name.clone(), State::UNAWARE));
                let nothing = Inside {
                    count: 0,
                    is_present: false,
                    serial: Err(Refusal::NoCard),
                    tries: 0,
                };
                inside.insert(name.clone(), nothing);
            }
        }
        let pause = inside.values().any(Inside::is_unsettled).then_some(PAUSE);
        match context.get_status_change(pause, &mut states) {
            // It went away meanwhile, and is in the list no more.
            Ok(()) | Err(pcsc::Error::UnknownReader | pcsc::Error::Timeout) => {}
            Err(error) => return Err(error),
        }
        for state in &mut states {
            if let Some(inside) = inside.get_mut(state.name()) {
                inside.update(state);
            }
            state.sync_current_state();
        }
        let cards: BTreeSet<u32> = inside
            .values()
            .filter_map(|inside| inside.serial.ok())
            .collect();
        let is_settled = !inside.values().any(Inside::is_unsettled);
        // What is gone is told at once, also where another card may yet have come.
        let now = match &told {
            Some(told) if !is_settled => told.intersection(&cards).copied().collect(),
            None if !is_settled => continue,
            _ => cards,
        };
        if told.as_ref() != Some(&now) {
            if !tell(&now) {
                return Ok(());
            }
            told = Some(now);
        }
    }
}

impl Inside {
    /// Looks again where something was put in or taken out, and where the card had no answer yet. Whoever asks a card
    /// changes the state of its reader by that: one that has no number is not asked for ever.
    fn update(&mut self, state: &ReaderState) {
        if self.count != state.event_count() {
            self.count = state.event_count();
            self.tries = 0;
        }
        self.is_present = state.event_state().contains(State::PRESENT);
        if !self.is_present {
            self.serial = Err(Refusal::NoCard);
        } else if self.tries == 0 || self.is_unsettled() || self.serial == Err(Refusal::Busy) {
            self.tries = self.tries.saturating_add(1);
            self.serial = serial(state.name());
        }
    }

    /// Whether the card that is there may have a number soon.
    fn is_unsettled(&self) -> bool {
        self.is_present && self.tries < TRIES && self.serial.is_err()
    }
}

/// The number of the card in this reader. One that does not answer is left to itself.
fn serial(reader: &CStr) -> Result<u32, Refusal> {
    let name = reader.to_string_lossy().into_owned();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(readers::open(&name).map(|card| card.serial())));
    receiver
        .recv_timeout(PATIENCE)
        .unwrap_or(Err(Refusal::Nonsense))
}
