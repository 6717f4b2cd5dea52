//! The values of a subnet: keys, numbers, blocks, neurons and the snapshot that holds them together.
//!
//! Identity is the 32-byte public key. SS58 is only a spelling of it: one spelling is taken (prefix 42, checksum
//! right, canonical), and every other is refused, so that nothing keyed by text can be dodged.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use codec::{Decode, Encode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sp_core::crypto::{AccountId32, Ss58AddressFormat, Ss58Codec};

/// The SS58 prefix of subtensor (constant `System.SS58Prefix`).
pub const SS58_PREFIX: u16 = 42;

/// Why a text is not the value it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not base58, wrong length or wrong checksum.
    #[error("not an SS58 address: wrong alphabet, length or checksum")]
    Ss58,
    /// A well-formed address of another network, or a second spelling of the same one.
    #[error("not an SS58 address with prefix 42 in its canonical spelling")]
    Ss58Prefix,
    /// Not `0x` and 64 lower-case hex digits.
    #[error("not 0x and 64 lower-case hex digits")]
    Hash,
    /// Not a crypto type.
    #[error("not a crypto type: sr25519 or ed25519")]
    CryptoType,
}

fn to_ss58(key: &[u8; 32]) -> String {
    AccountId32::from(*key).to_ss58check_with_version(Ss58AddressFormat::custom(SS58_PREFIX))
}

fn from_ss58(text: &str) -> Result<[u8; 32], ParseError> {
    let (key, format) = AccountId32::from_ss58check_with_version(text).map_err(|_| ParseError::Ss58)?;
    let key: [u8; 32] = key.into();
    // A two-byte prefix can also say 42, hence the comparison with the canonical spelling.
    if u16::from(format) == SS58_PREFIX && to_ss58(&key) == text {
        Ok(key)
    } else {
        Err(ParseError::Ss58Prefix)
    }
}

macro_rules! account {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&to_ss58(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), to_ss58(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                from_ss58(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

account! {
    /// The public key of a neuron. Written as SS58 with prefix 42, and read from nothing else.
    Hotkey
}
account! {
    /// The public key of the account that owns a hotkey. Written as SS58 with prefix 42.
    Coldkey
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// The number of a subnet.
    NetUid(u16)
}
number! {
    /// The place of a neuron in its subnet, 0-based. It is passed on when a neuron is replaced; a hotkey is not.
    Uid(u16)
}
number! {
    /// An amount in rao: 10⁹ rao are one TAO (or one alpha, where alpha is meant).
    Rao(u64)
}

/// The hash of a block, BLAKE2b-256 of its header. Written `0x` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct BlockHash(pub [u8; 32]);

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

impl FromStr for BlockHash {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        hex_prefixed(text).map(Self).ok_or(ParseError::Hash)
    }
}

impl Serialize for BlockHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlockHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// `0x` and exactly 2·N lower-case hex digits; anything else is `None`.
pub(crate) fn hex_prefixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex_digits(text.strip_prefix("0x")?)
}

/// Exactly 2·N lower-case hex digits; anything else is `None`.
pub(crate) fn hex_digits<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digits.len() != 2 * N || !digits.bytes().all(lower) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// A block, by number and hash.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
pub struct BlockRef {
    /// Height; genesis is 0.
    pub number: u32,
    /// Hash of the header.
    pub hash: BlockHash,
}

/// How a key signs. A hotkey is sr25519 unless its wallet says otherwise.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum CryptoType {
    /// Schnorr over Ristretto255, signing context `substrate`.
    Sr25519,
    /// Ed25519 as in RFC 8032, verified strictly.
    Ed25519,
}

impl CryptoType {
    /// `sr25519` or `ed25519`, as in a signed message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sr25519 => "sr25519",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for CryptoType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for CryptoType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "sr25519" => Ok(Self::Sr25519),
            "ed25519" => Ok(Self::Ed25519),
            _ => Err(ParseError::CryptoType),
        }
    }
}

/// A subnet at one block: every value is of that block's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which subnet.
    pub netuid: NetUid,
    /// The block whose state this is.
    pub block: BlockRef,
    /// The runtime that answered.
    pub spec_version: u32,
    /// Blocks from one epoch to the next.
    pub tempo: u16,
    /// The hotkey of the subnet's owner; all zero when none is set.
    pub owner_hotkey: Hotkey,
    /// The coldkey of the subnet's owner.
    pub owner_coldkey: Coldkey,
    /// Below this `stake` a neuron counts nothing in the epoch and cannot set weights (the owner is excepted).
    pub stake_threshold: Rao,
    /// The weight of root stake in `stake`, as a part of `u64::MAX`.
    pub tao_weight: u64,
    /// The block's own time, in milliseconds since 1970; 0 at genesis, which has none.
    pub timestamp: u64,
    /// Whether weights must be committed first and revealed later.
    pub commit_reveal: bool,
    /// Weights with a smaller version key are refused by the chain.
    pub weights_version: u64,
    /// In uid order.
    pub neurons: Vec<Neuron>,
}

impl Snapshot {
    /// The neuron with this hotkey. Reads through the neurons (0.3 µs at 256), which a signature check dwarfs.
    pub fn by_hotkey(&self, hotkey: &Hotkey) -> Option<&Neuron> {
        self.neurons.iter().find(|neuron| neuron.hotkey == *hotkey)
    }

    /// The neuron at this uid.
    pub fn by_uid(&self, uid: Uid) -> Option<&Neuron> {
        let at = self
            .neurons
            .binary_search_by_key(&uid, |neuron| neuron.uid)
            .ok()?;
        self.neurons.get(at)
    }
}

/// A neuron as the metagraph shows it. A column that the chain keeps shorter than the subnet reads as zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neuron {
    /// Its place in the subnet.
    pub uid: Uid,
    /// Its identity.
    pub hotkey: Hotkey,
    /// Who owns it.
    pub coldkey: Coldkey,
    /// The chain's `total_stake`: alpha plus weighted root stake, as the epoch counts it.
    pub stake: Rao,
    /// The alpha part, inherited stake included.
    pub alpha_stake: Rao,
    /// The root part before it is weighted.
    pub tao_stake: Rao,
    /// Whether it may set weights on others.
    pub validator_permit: bool,
    /// Whether it set weights recently enough to count (as of the last epoch).
    pub active: bool,
    /// Block of its registration.
    pub registered_at: u64,
    /// Block of its last weights or commit.
    pub last_update: u64,
    /// Part of 65535.
    pub incentive: u16,
    /// Part of 65535.
    pub dividends: u16,
    /// Part of 65535.
    pub consensus: u16,
    /// Alpha of the last epoch, in rao.
    pub emission: u64,
    /// Where it says it serves; `None` when it does not.
    pub axon: Option<Axon>,
}

/// The address that a neuron published. It is a claim: nobody proved that the neuron owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axon {
    /// Published address.
    pub ip: IpAddr,
    /// Published port, never 0.
    pub port: u16,
    /// Protocol number; its meaning is the subnet's.
    pub protocol: u8,
}
