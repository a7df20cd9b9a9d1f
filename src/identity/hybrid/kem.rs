//! X-Wing (draft-connolly-cfrg-xwing-kem), which HPKE's registry calls MLKEM768-X25519: a key encapsulation that holds as
//! long as one of ML-KEM-768 and X25519 does. A private key is its seed.
//!
//! For the `hpke` crate that age itself is built with, as age builds its own hybrid with P-256. That crate's own X-Wing
//! needs a later `ml-kem`, of which there cannot be two.

use hpke::{
    Deserializable, HpkeError, Serializable,
    generic_array::{
        ArrayLength,
        typenum::{Sum, U32, U64, U160, U1024},
    },
    kem::SharedSecret,
    rand_core::{CryptoRng, RngCore},
};
use ml_kem::{
    B32, Ciphertext, Encoded, EncodedSizeUser as _, KemCore, MlKem768,
    kem::{Decapsulate as _, Encapsulate as _},
};
use sha3::{
    Digest as _, Sha3_256, Shake256,
    digest::{ExtendableOutput as _, Update as _, XofReader as _},
};
use x25519_dalek::{PublicKey as Point, StaticSecret};
use zeroize::Zeroizing;

/// What the hash of the shared secret ends with: `\./` above `/^\`.
const LABEL: &[u8] = br"\.//^\";

/// Bytes of ML-KEM-768's public key.
type PublicBytes = Sum<U1024, U160>;
/// Bytes of its ciphertext.
type CiphertextBytes = Sum<U1024, U64>;
type Encapsulation = <MlKem768 as KemCore>::EncapsulationKey;
type Decapsulation = <MlKem768 as KemCore>::DecapsulationKey;

#[derive(Clone)]
pub(super) struct PrivateKey {
    seed: Zeroizing<[u8; 32]>,
    lattice: Decapsulation,
    curve: StaticSecret,
}

impl PrivateKey {
    fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        let mut stream = Shake256::default().chain(seed.as_slice()).finalize_xof();
        let mut next = || {
            let mut part = Zeroizing::new([0; 32]);
            stream.read(part.as_mut_slice());
            part
        };
        let (d, z, scalar) = (next(), next(), next());
        let (lattice, _) = MlKem768::generate_deterministic(&B32::from(*d), &B32::from(*z));
        Self {
            lattice,
            curve: StaticSecret::from(*scalar),
            seed,
        }
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.seed.ct_eq(&*other.seed).into()
    }
}

impl Eq for PrivateKey {}

impl Deserializable for PrivateKey {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeError> {
        exact::<U32>(bytes)?;
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(bytes);
        Ok(Self::new(seed))
    }
}

impl Serializable for PrivateKey {
    type OutputSize = U32;

    fn write_exact(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(self.seed.as_slice());
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct PublicKey {
    lattice: Encapsulation,
    curve: Point,
}

impl Eq for PublicKey {}

impl Deserializable for PublicKey {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeError> {
        let (lattice, curve) = parts::<PublicBytes>(bytes)?;
        let encoded =
            Encoded::<Encapsulation>::try_from(lattice).map_err(|_| HpkeError::ValidationError)?;
        let key = Encapsulation::from_bytes(&encoded);
        // FIPS 203, 7.2: numbers that are not reduced are refused.
        if key.as_bytes() != encoded {
            return Err(HpkeError::ValidationError);
        }
        Ok(Self {
            lattice: key,
            curve: Point::from(curve),
        })
    }
}

impl Serializable for PublicKey {
    type OutputSize = Sum<PublicBytes, U32>;

    fn write_exact(&self, bytes: &mut [u8]) {
        write(bytes, &self.lattice.as_bytes(), self.curve.as_bytes());
    }
}

#[derive(Clone)]
pub(super) struct Encapsulated {
    lattice: Ciphertext<MlKem768>,
    curve: Point,
}

impl Deserializable for Encapsulated {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HpkeError> {
        let (lattice, curve) = parts::<CiphertextBytes>(bytes)?;
        Ok(Self {
            lattice: Ciphertext::<MlKem768>::try_from(lattice)
                .map_err(|_| HpkeError::ValidationError)?,
            curve: Point::from(curve),
        })
    }
}

impl Serializable for Encapsulated {
    type OutputSize = Sum<CiphertextBytes, U32>;

    fn write_exact(&self, bytes: &mut [u8]) {
        write(bytes, &self.lattice, self.curve.as_bytes());
    }
}

pub(super) struct MlKem768X25519;

impl hpke::Kem for MlKem768X25519 {
    type PublicKey = PublicKey;
    type PrivateKey = PrivateKey;
    type EncappedKey = Encapsulated;
    type NSecret = U32;
    const KEM_ID: u16 = 0x647a;

    fn sk_to_pk(key: &PrivateKey) -> PublicKey {
        PublicKey {
            lattice: key.lattice.encapsulation_key().clone(),
            curve: Point::from(&key.curve),
        }
    }

    /// Of 32 bytes that are a seed already. Not how HPKE derives a key from less: age has no use for that.
    fn derive_keypair(seed: &[u8]) -> (PrivateKey, PublicKey) {
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, from) in bytes.iter_mut().zip(seed) {
            *byte = *from;
        }
        let key = PrivateKey::new(bytes);
        let public = Self::sk_to_pk(&key);
        (key, public)
    }

    fn decap(
        key: &PrivateKey,
        sender: Option<&PublicKey>,
        encapsulated: &Encapsulated,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        let lattice = key.lattice.decapsulate(&encapsulated.lattice);
        let lattice = lattice.map_err(|()| HpkeError::DecapError)?;
        let curve = key.curve.diffie_hellman(&encapsulated.curve);
        if sender.is_some() || !curve.was_contributory() {
            return Err(HpkeError::DecapError);
        }
        Ok(combined(
            &lattice,
            curve.as_bytes(),
            &encapsulated.curve,
            &Point::from(&key.curve),
        ))
    }

    fn encap<R: CryptoRng + RngCore>(
        key: &PublicKey,
        sender: Option<(&PrivateKey, &PublicKey)>,
        random: &mut R,
    ) -> Result<(SharedSecret<Self>, Encapsulated), HpkeError> {
        let (ciphertext, lattice) = key
            .lattice
            .encapsulate(random)
            .map_err(|()| HpkeError::EncapError)?;
        let ephemeral = StaticSecret::random_from_rng(random);
        let curve = ephemeral.diffie_hellman(&key.curve);
        if sender.is_some() || !curve.was_contributory() {
            return Err(HpkeError::EncapError);
        }
        let point = Point::from(&ephemeral);
        let secret = combined(&lattice, curve.as_bytes(), &point, &key.curve);
        let encapsulated = Encapsulated {
            lattice: ciphertext,
            curve: point,
        };
        Ok((secret, encapsulated))
    }
}

/// X-Wing's combiner.
fn combined(
    lattice: &[u8],
    curve: &[u8; 32],
    encapsulated: &Point,
    recipient: &Point,
) -> SharedSecret<MlKem768X25519> {
    let mut hash = Sha3_256::new();
    for part in [
        lattice,
        curve,
        encapsulated.as_bytes(),
        recipient.as_bytes(),
        LABEL,
    ] {
        sha3::Digest::update(&mut hash, part);
    }
    let mut secret = SharedSecret::<MlKem768X25519>::default();
    sha3::Digest::finalize_into(hash, &mut secret.0);
    secret
}

/// So many bytes for the lattice, and 32 for the curve.
fn parts<Lattice>(bytes: &[u8]) -> Result<(&[u8], [u8; 32]), HpkeError>
where
    Lattice: ArrayLength<u8> + std::ops::Add<U32>,
    Sum<Lattice, U32>: ArrayLength<u8>,
{
    exact::<Sum<Lattice, U32>>(bytes)?;
    let (lattice, curve) = bytes.split_last_chunk().ok_or(HpkeError::ValidationError)?;
    Ok((lattice, *curve))
}

fn exact<Length: ArrayLength<u8>>(bytes: &[u8]) -> Result<(), HpkeError> {
    match bytes.len() == Length::USIZE {
        true => Ok(()),
        false => Err(HpkeError::IncorrectInputLength(Length::USIZE, bytes.len())),
    }
}

fn write(bytes: &mut [u8], lattice: &[u8], curve: &[u8; 32]) {
    let (first, last) = bytes.split_at_mut(lattice.len());
    first.copy_from_slice(lattice);
    last.copy_from_slice(curve);
}
