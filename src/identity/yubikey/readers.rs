//! The readers, each looked at by a thread of its own: a card that does not answer must not hide the others.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use yubikey::Context;

use super::{card::Card, card::refusal, wire::Refusal};

/// How long a reader may take where all of them are asked.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What is in one reader.
type Found = (usize, Result<Card, Refusal>);

/// Every card that answers, in the order of the readers. When there is none, but one that another program keeps for itself,
/// that is an error.
pub(super) fn every_card() -> Result<Vec<Card>, Refusal> {
    let deadline = Instant::now() + PATIENCE;
    let found = look()?;
    let mut cards = Vec::new();
    let mut busy = false;
    while let Ok((number, card)) =
        found.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        match card {
            Ok(card) => cards.push((number, card)),
            // Else no card, or one of another kind.
            Err(refusal) => busy |= refusal == Refusal::Busy,
        }
    }
    if cards.is_empty() && busy {
        return Err(Refusal::Busy);
    }
    cards.sort_by_key(|(number, _)| *number);
    Ok(cards.into_iter().map(|(_, card)| card).collect())
}

/// The card with this number. While one does not answer it may be the one that is looked for: whoever waits for us knows
/// for how long.
pub(super) fn card(serial: u32) -> Result<Card, Refusal> {
    let mut missing = Refusal::NoCard;
    for (_, card) in look()? {
        match card {
            Ok(card) if card.serial() == serial => return Ok(card),
            Err(Refusal::Busy) => missing = Refusal::Busy,
            Ok(_) | Err(_) => {}
        }
    }
    Err(missing)
}

/// Starts to look at all readers. The channel ends with the last of them.
fn look() -> Result<mpsc::Receiver<Found>, Refusal> {
    let (sender, receiver) = mpsc::channel();
    let names = match names() {
        Err(Refusal::NoCard) => Vec::new(),
        names => names?,
    };
    for (number, name) in names.into_iter().enumerate() {
        let sender = sender.clone();
        let look = move || {
            // Where nobody waits any more, the card is let go of.
            let _ = sender.send((number, open(&name)));
        };
        thread::Builder::new()
            .spawn(look)
            .map_err(|_| Refusal::Nonsense)?;
    }
    Ok(receiver)
}

fn names() -> Result<Vec<String>, Refusal> {
    let mut context = Context::open().map_err(refusal)?;
    let readers = context.iter().map_err(refusal)?;
    Ok(readers.map(|reader| reader.name().into_owned()).collect())
}

/// The card in the reader with this name.
pub(super) fn open(name: &str) -> Result<Card, Refusal> {
    let mut context = Context::open().map_err(refusal)?;
    let mut readers = context.iter().map_err(refusal)?;
    let reader = readers
        .find(|reader| reader.name() == name)
        .ok_or(Refusal::NoCard)?;
    reader.open().map(Card::new).map_err(refusal)
}
