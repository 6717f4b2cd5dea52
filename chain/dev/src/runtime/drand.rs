//! `Drand`: the rounds of a randomness beacon as the chain stores them, and what opens with their signatures.
//!
//! No beacon is asked: a round is there when a cheat brings it. Its signature is taken as it is, and what it does not
//! open stays shut.

pub use self::inner::*;

use ark_serialize::CanonicalDeserialize as _;
use sp_core::hashing::sha2_256;
use timelock::block_ciphers::AESGCMBlockCipherProvider;
use timelock::engines::EngineBLS;
use timelock::engines::drand::TinyBLS381;
use timelock::ibe::fullident::Ciphertext;
use timelock::tlock::{TLECiphertext, tld};

use super::{Drand, Runtime};

#[expect(
    clippy::cast_possible_truncation,
    clippy::if_not_else,
    reason = "what the FRAME macros write"
)]
#[frame_support::pallet]
mod inner {
    use frame_support::pallet_prelude::*;
    use frame_support::traits::ConstU32;

    /// A round of the beacon.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
    pub struct Pulse {
        pub round: u64,
        /// SHA-256 of the signature.
        pub randomness: BoundedVec<u8, ConstU32<32>>,
        pub signature: BoundedVec<u8, ConstU32<144>>,
    }

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {}

    /// The pulses by round.
    #[pallet::storage]
    pub type Pulses<T> = StorageMap<_, Blake2_128Concat, u64, Pulse, OptionQuery>;
    #[pallet::storage]
    pub type LastStoredRound<T> = StorageValue<_, u64, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub fn deposit_event)]
    pub enum Event<T: Config> {
        /// Pulses of these rounds are stored.
        #[codec(index = 1)]
        NewPulse { rounds: Vec<u64> },
    }
}

/// Stores the pulse of a round. `false` if a signature cannot be so long.
pub fn store(round: u64, signature: &[u8]) -> bool {
    let (Ok(randomness), Ok(signature)) = (
        sha2_256(signature).to_vec().try_into(),
        signature.to_vec().try_into(),
    ) else {
        return false;
    };
    let pulse = Pulse {
        round,
        randomness,
        signature,
    };
    Pulses::<Runtime>::insert(round, pulse);
    LastStoredRound::<Runtime>::mutate(|last| *last = round.max(*last));
    Drand::deposit_event(Event::NewPulse { rounds: vec![round] });
    true
}

/// What was encrypted for the round of this signature; `None` if it was not, or is not of the form.
///
/// The form is that of the version of `timelock` that subtensor links: U compressed, then V, W, the body and the name of
/// the cipher, each with its length in front.
pub fn open(sealed: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    type Engine = TinyBLS381;
    let mut rest = sealed;
    let u = <Engine as EngineBLS>::PublicKeyGroup::deserialize_compressed(&mut rest).ok()?;
    let mut part = || -> Option<&[u8]> {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (part, after) = after.split_at_checked(length)?;
        rest = after;
        Some(part)
    };
    let (v, w, body, cipher_suite) = (part()?, part()?, part()?, part()?);
    let sealed = TLECiphertext::<Engine> {
        header: Ciphertext {
            u,
            v: v.try_into().ok()?,
            w: w.try_into().ok()?,
        },
        body: body.to_vec(),
        cipher_suite: cipher_suite.to_vec(),
    };
    let signature = <Engine as EngineBLS>::SignatureGroup::deserialize_compressed(signature).ok()?;
    tld::<Engine, AESGCMBlockCipherProvider>(sealed, signature).ok()
}
