//! A new key in a card, with the certificate by which age-plugin-yubikey finds it.

use std::{str::FromStr as _, time::SystemTime};

use p256::NistP256;
use x509_cert::{
    der::{self, Encode, Length, Writer, asn1::ObjectIdentifier, oid::AssociatedOid},
    ext::{AsExtension, Extension},
    name::Name,
    serial_number::SerialNumber,
    spki::SubjectPublicKeyInfoOwned,
    time::{Time, Validity},
};
use yubikey::{
    Certificate, MgmKey,
    piv::{self, AlgorithmId, ManagementSlotId, SlotId},
};

use super::{
    card::{Card, POLICIES, refusal, slot_id},
    management,
    wire::{KeyInfo, PinPolicy, Refusal, TouchPolicy},
};
use crate::secret::Secret;

/// By this the plugin knows its own certificates.
const ORGANIZATION: &str = "age-plugin-yubikey";

/// What the key is to be like.
pub(super) struct Wanted {
    pub(super) slot: u8,
    pub(super) pin_policy: PinPolicy,
    pub(super) touch_policy: TouchPolicy,
    pub(super) name: String,
    pub(super) pin: Secret,
}

/// Makes the key. Nothing is overwritten; the PIN opens what the card protects with it.
pub(super) fn generate(card: &mut Card, wanted: &Wanted) -> Result<KeyInfo, Refusal> {
    let id = slot_id(wanted.slot)?;
    refuse_occupied(card, wanted.slot, id)?;
    let name = Name::from_str(&format!(
        "CN={},OU={},O={ORGANIZATION}",
        wanted.name,
        env!("CARGO_PKG_VERSION")
    ))
    .map_err(|_| Refusal::Nonsense)?;
    card.verify(&wanted.pin)?;
    authenticate(card)?;
    let key = piv::generate(
        card.yubikey()?,
        id,
        AlgorithmId::EccP256,
        wanted.pin_policy.into(),
        wanted.touch_policy.into(),
    )
    .map_err(refusal)?;
    // From here on there is something to tell of, whatever comes.
    certify(card, wanted, name, key).map_err(|_| Refusal::WithoutCertificate)?;
    card.key(wanted.slot)
}

/// Writes the certificate, which the new key itself signs: that takes its PIN and its touch.
fn certify(
    card: &mut Card,
    wanted: &Wanted,
    name: Name,
    key: SubjectPublicKeyInfoOwned,
) -> Result<(), Refusal> {
    let policies = Policies([
        yubikey::PinPolicy::from(wanted.pin_policy).into(),
        yubikey::TouchPolicy::from(wanted.touch_policy).into(),
    ]);
    if wanted.pin_policy == PinPolicy::Always {
        // What came in between may count as another command.
        card.verify(&wanted.pin)?;
    }
    Certificate::generate_self_signed::<_, NistP256>(
        card.yubikey()?,
        slot_id(wanted.slot)?,
        serial_number()?,
        Validity {
            not_before: Time::try_from(SystemTime::now()).map_err(|_| Refusal::Nonsense)?,
            not_after: Time::INFINITY,
        },
        name,
        key,
        |certificate| {
            certificate
                .add_extension(&policies)
                .map_err(|_| der::ErrorKind::Failed.into())
        },
    )
    .map(drop)
    .map_err(refusal)
}

fn refuse_occupied(card: &mut Card, slot: u8, id: SlotId) -> Result<(), Refusal> {
    match card.key(slot) {
        Err(Refusal::NoKey) => {}
        Err(error) if error != Refusal::OtherKind => return Err(error),
        _ => return Err(Refusal::Occupied),
    }
    // A certificate whose key is gone may still be somebody's; an older card tells only so that there is a key.
    if Certificate::read(card.yubikey()?, id).is_ok()
        || (!card.describes_keys() && piv::attest(card.yubikey()?, id).is_ok())
    {
        return Err(Refusal::Occupied);
    }
    Ok(())
}

/// With the key that the card keeps behind the PIN, else with the factory's.
fn authenticate(card: &mut Card) -> Result<(), Refusal> {
    let slot = SlotId::Management(ManagementSlotId::Management);
    // The library does not know the kinds of newer cards.
    if card.describes_keys()
        && let Err(yubikey::Error::AlgorithmError) = piv::metadata(card.yubikey()?, slot)
    {
        let reader = card.yubikey()?.name().to_owned();
        return management::authenticate(&reader);
    }
    if let Ok(key) = MgmKey::get_protected(card.yubikey()?)
        && card.yubikey()?.authenticate(key).is_ok()
    {
        return Ok(());
    }
    match card.yubikey()?.authenticate(MgmKey::default()) {
        Ok(()) => Ok(()),
        Err(error @ yubikey::Error::PcscError { .. }) => Err(refusal(error)),
        Err(_) => Err(Refusal::ManagementKey),
    }
}

fn serial_number() -> Result<SerialNumber, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Nonsense)?;
    SerialNumber::new(&bytes).map_err(|_| Refusal::Nonsense)
}

impl From<PinPolicy> for yubikey::PinPolicy {
    fn from(policy: PinPolicy) -> Self {
        match policy {
            PinPolicy::Never => Self::Never,
            PinPolicy::Once => Self::Once,
            PinPolicy::Always => Self::Always,
        }
    }
}

impl From<TouchPolicy> for yubikey::TouchPolicy {
    fn from(policy: TouchPolicy) -> Self {
        match policy {
            TouchPolicy::Never => Self::Never,
            TouchPolicy::Always => Self::Always,
            TouchPolicy::Cached => Self::Cached,
        }
    }
}

/// The extension that tells the policies: two bytes, of no ASN.1 type.
struct Policies([u8; 2]);

impl AssociatedOid for Policies {
    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap(POLICIES);
}

impl Encode for Policies {
    fn encoded_len(&self) -> der::Result<Length> {
        Ok(Length::new(2))
    }

    fn encode(&self, encoder: &mut impl Writer) -> der::Result<()> {
        encoder.write(&self.0)
    }
}

impl AsExtension for Policies {
    fn critical(&self, _: &Name, _: &[Extension]) -> bool {
        false
    }
}
