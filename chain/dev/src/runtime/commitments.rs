//! `Commitments`: what registered hotkeys publish on a subnet. Timelocked ones are opened when their pulse is there.

pub use self::inner::*;

use codec::{Compact, Decode, DecodeWithMemTracking, Encode, Error as CodecError, Input};
use frame_support::BoundedVec;
use frame_support::traits::ConstU32;
use scale_info::build::{Fields, Variants};
use scale_info::{Path, Type, TypeInfo};

use super::drand::{Pulses, open};
use super::types::Commitment;
use super::{AccountId, Balance, BlockNumber, Runtime};

/// How many reveals of a hotkey are kept.
const KEPT: usize = 10;

#[expect(
    clippy::cast_possible_truncation,
    clippy::if_not_else,
    clippy::unnecessary_wraps,
    reason = "what the FRAME macros write"
)]
#[frame_support::pallet]
mod inner {
    use frame_support::pallet_prelude::*;
    use frame_support::traits::{ConstU32, ConstU64};
    use frame_system::pallet_prelude::*;
    use sp_runtime::AccountId32;

    use super::{CommitmentInfo, Data, Registration, UsageTracker, reveal};
    use crate::runtime::pallet::Uids;
    use crate::runtime::{BlockNumber, Runtime, epoch};

    /// What the least commitment counts as.
    const LEAST_SPACE: u64 = 100;

    #[pallet::pallet]
    #[pallet::without_storage_info]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId32> {
        /// Most fields of a commitment.
        #[pallet::constant]
        type MaxFields: Get<u32>;
        #[pallet::constant]
        type InitialDeposit: Get<u64>;
        #[pallet::constant]
        type FieldDeposit: Get<u64>;
    }

    /// Who has something timelocked to open.
    #[pallet::storage]
    pub type TimelockedIndex<T> = StorageValue<_, std::collections::BTreeSet<(u16, AccountId32)>, ValueQuery>;
    #[pallet::storage]
    pub type CommitmentOf<T> =
        StorageDoubleMap<_, Identity, u16, Twox64Concat, AccountId32, Registration, OptionQuery>;
    /// The block of the last commitment.
    #[pallet::storage]
    pub type LastCommitment<T> =
        StorageDoubleMap<_, Identity, u16, Twox64Concat, AccountId32, BlockNumber, OptionQuery>;
    /// What was opened, and in which block.
    #[pallet::storage]
    pub type RevealedCommitments<T> =
        StorageDoubleMap<_, Identity, u16, Twox64Concat, AccountId32, Vec<(Vec<u8>, u64)>, OptionQuery>;
    /// How much a hotkey published in an epoch.
    #[pallet::storage]
    pub type UsedSpaceOf<T> =
        StorageDoubleMap<_, Identity, u16, Twox64Concat, AccountId32, UsageTracker, OptionQuery>;
    /// How much it may.
    #[pallet::storage]
    pub type MaxSpace<T> = StorageValue<_, u32, ValueQuery, ConstU32<3_100>>;

    #[pallet::event]
    #[pallet::generate_deposit(pub fn deposit_event)]
    pub enum Event<T: Config> {
        /// A hotkey published something.
        #[codec(index = 0)]
        Commitment { netuid: u16, who: T::AccountId },
        /// A hotkey published something that is to be opened.
        #[codec(index = 1)]
        TimelockCommitment {
            netuid: u16,
            who: T::AccountId,
            reveal_round: u64,
        },
        /// It was opened.
        #[codec(index = 2)]
        CommitmentRevealed { netuid: u16, who: T::AccountId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There are more fields than there may be.
        #[codec(index = 0)]
        TooManyFieldsInCommitmentInfo,
        /// The account is not registered on the subnet.
        #[codec(index = 1)]
        AccountNotAllowedCommit,
        /// The hotkey published as much in this epoch as it may.
        #[codec(index = 2)]
        SpaceLimitExceeded,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            for (netuid, who) in TimelockedIndex::<T>::get() {
                if reveal(netuid, &who) {
                    Self::deposit_event(Event::CommitmentRevealed { netuid, who });
                }
            }
            Weight::zero()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Publishes something for the signing hotkey in place of what it had on the subnet.
        #[pallet::call_index(0)]
        #[pallet::weight((Weight::from_parts(33_000_000, 0), DispatchClass::Normal, Pays::No))]
        pub fn set_commitment(
            origin: OriginFor<T>,
            netuid: u16,
            info: Box<CommitmentInfo>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            ensure!(
                Uids::<Runtime>::contains_key(netuid, &who),
                Error::<T>::AccountNotAllowedCommit
            );
            let space = info.fields.iter().map(Data::space).sum::<u64>().max(LEAST_SPACE);
            let mut usage = UsedSpaceOf::<T>::get(netuid, &who).unwrap_or_default();
            let epoch = epoch::current(netuid);
            if usage.last_epoch != epoch {
                usage = UsageTracker {
                    last_epoch: epoch,
                    used_space: 0,
                };
            }
            usage.used_space = usage.used_space.saturating_add(space);
            ensure!(
                usage.used_space <= u64::from(MaxSpace::<T>::get()),
                Error::<T>::SpaceLimitExceeded
            );
            UsedSpaceOf::<T>::insert(netuid, &who, usage);
            let round = info.fields.iter().find_map(Data::round);
            let block = crate::runtime::System::block_number();
            let registration = Registration {
                deposit: 0,
                block,
                info: *info,
            };
            CommitmentOf::<T>::insert(netuid, &who, registration);
            LastCommitment::<T>::insert(netuid, &who, block);
            TimelockedIndex::<T>::mutate(|index| {
                if round.is_some() {
                    index.insert((netuid, who.clone()));
                } else {
                    index.remove(&(netuid, who.clone()));
                }
            });
            Self::deposit_event(match round {
                Some(reveal_round) => Event::TimelockCommitment {
                    netuid,
                    who,
                    reveal_round,
                },
                None => Event::Commitment { netuid, who },
            });
            Ok(())
        }
    }

    /// What the chain asks as a deposit: nothing.
    pub type NoDeposit = ConstU64<0>;
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct CommitmentInfo {
    pub fields: BoundedVec<Data, ConstU32<3>>,
}

/// What the hotkeys of a subnet published, as the metagraph tells it.
pub fn of(netuid: u16) -> Vec<Commitment> {
    CommitmentOf::<Runtime>::iter_prefix(netuid)
        .map(|(hotkey, registration)| (hotkey, registration.encode().into_iter().map(Compact).collect()))
        .collect()
}

/// What is stored of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct Registration {
    pub deposit: Balance,
    pub block: BlockNumber,
    pub info: CommitmentInfo,
}

/// How much a hotkey published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct UsageTracker {
    pub last_epoch: u64,
    pub used_space: u64,
}

/// One field. On the wire the first byte says which kind it is; 1 to 129 are bytes of length 0 to 128.
#[derive(Clone, Debug, PartialEq, Eq, DecodeWithMemTracking)]
pub enum Data {
    None,
    Raw(BoundedVec<u8, ConstU32<128>>),
    /// BLAKE2b-256, SHA-256, Keccak-256 and SHA3-256: the byte of the kind, and the hash.
    Hash(u8, [u8; 32]),
    TimelockEncrypted {
        encrypted: BoundedVec<u8, ConstU32<1024>>,
        reveal_round: u64,
    },
    ResetBondsFlag,
    BigRaw(BoundedVec<u8, ConstU32<512>>),
}

impl Data {
    /// What it counts as.
    fn space(&self) -> u64 {
        let bytes = match self {
            Self::None | Self::ResetBondsFlag => 0,
            Self::Raw(bytes) => bytes.len(),
            Self::Hash(..) => 32,
            Self::TimelockEncrypted { encrypted, .. } => encrypted.len(),
            Self::BigRaw(bytes) => bytes.len(),
        };
        bytes as u64
    }

    fn round(&self) -> Option<u64> {
        match self {
            Self::TimelockEncrypted { reveal_round, .. } => Some(*reveal_round),
            _ => None,
        }
    }
}

impl Encode for Data {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::None => vec![0],
            Self::Raw(bytes) => {
                let kind = u8::try_from(bytes.len() + 1).unwrap_or(129);
                [&[kind], bytes.as_slice()].concat()
            }
            Self::Hash(kind, hash) => [&[*kind], hash.as_slice()].concat(),
            Self::TimelockEncrypted {
                encrypted,
                reveal_round,
            } => (134_u8, encrypted, reveal_round).encode(),
            Self::ResetBondsFlag => vec![135],
            Self::BigRaw(bytes) => (136_u8, bytes).encode(),
        }
    }
}

impl codec::EncodeLike for Data {}

impl Decode for Data {
    fn decode<I: Input>(input: &mut I) -> Result<Self, CodecError> {
        Ok(match input.read_byte()? {
            0 => Self::None,
            kind @ 1..=129 => {
                let mut bytes = vec![0; usize::from(kind) - 1];
                input.read(&mut bytes)?;
                Self::Raw(bytes.try_into().map_err(|_| "128 bytes at most")?)
            }
            kind @ 130..=133 => Self::Hash(kind, Decode::decode(input)?),
            134 => Self::TimelockEncrypted {
                encrypted: Decode::decode(input)?,
                reveal_round: Decode::decode(input)?,
            },
            135 => Self::ResetBondsFlag,
            136 => Self::BigRaw(Decode::decode(input)?),
            _ => return Err("no such kind of data".into()),
        })
    }
}

/// A variant for each length, as the chain describes it.
macro_rules! raw {
    ($variants:ident: $($length:literal)*) => {
        $variants$(.variant(concat!("Raw", $length), |variant| {
            variant
                .index($length + 1)
                .fields(Fields::unnamed().field(|field| field.ty::<[u8; $length]>()))
        }))*
    };
}

impl TypeInfo for Data {
    type Identity = Self;

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "two methods of the builder have this name, for different states"
    )]
    fn type_info() -> Type {
        let variants = Variants::new().variant("None", |variant| variant.index(0));
        #[rustfmt::skip]
        let variants = raw!(variants:
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64
            65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96
            97 98 99 100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119 120
            121 122 123 124 125 126 127 128);
        let hash = |variants: Variants<_>, name, index| {
            variants.variant(name, |variant| {
                variant
                    .index(index)
                    .fields(Fields::unnamed().field(|field| field.ty::<[u8; 32]>()))
            })
        };
        let variants = hash(variants, "BlakeTwo256", 130);
        let variants = hash(variants, "Sha256", 131);
        let variants = hash(variants, "Keccak256", 132);
        let variants = hash(variants, "ShaThree256", 133);
        let variants = variants
            .variant("TimelockEncrypted", |variant| {
                variant.index(134).fields(
                    Fields::named()
                        .field(|field| field.name("encrypted").ty::<BoundedVec<u8, ConstU32<1024>>>())
                        .field(|field| field.name("reveal_round").ty::<u64>()),
                )
            })
            .variant("ResetBondsFlag", |variant| variant.index(135))
            .variant("BigRaw", |variant| {
                variant
                    .index(136)
                    .fields(Fields::unnamed().field(|field| field.ty::<BoundedVec<u8, ConstU32<512>>>()))
            });
        Type::builder()
            .path(Path::new("Data", module_path!()))
            .variant(variants)
    }
}

/// Opens what is timelocked in a commitment and whose pulse is there. Whether something was.
fn reveal(netuid: u16, who: &AccountId) -> bool {
    let Some(mut registration) = CommitmentOf::<Runtime>::get(netuid, who) else {
        return false;
    };
    let mut opened = Vec::new();
    registration.info.fields.retain(|field| {
        let Data::TimelockEncrypted {
            encrypted,
            reveal_round,
        } = field
        else {
            return true;
        };
        let Some(pulse) = Pulses::<Runtime>::get(reveal_round) else {
            return true;
        };
        opened.extend(open(encrypted, &pulse.signature));
        false
    });
    if registration
        .info
        .fields
        .iter()
        .all(|field| field.round().is_none())
    {
        TimelockedIndex::<Runtime>::mutate(|index| {
            index.remove(&(netuid, who.clone()));
        });
    }
    if registration.info.fields.is_empty() {
        CommitmentOf::<Runtime>::remove(netuid, who);
    } else {
        CommitmentOf::<Runtime>::insert(netuid, who, registration);
    }
    if opened.is_empty() {
        return false;
    }
    let now = super::SubtensorModule::now();
    RevealedCommitments::<Runtime>::mutate(netuid, who, |revealed| {
        let revealed = revealed.get_or_insert_default();
        revealed.extend(opened.into_iter().map(|bytes| (bytes, now)));
        let surplus = revealed.len().saturating_sub(KEPT);
        revealed.drain(..surplus);
    });
    true
}

#[cfg(test)]
mod tests {
    use sp_state_machine::BasicExternalities;

    use super::*;
    use crate::genesis::{Genesis, public_key};
    use crate::runtime::metagraph;

    #[test]
    fn what_was_published_is_in_the_metagraph_when_asked_for() {
        let mut storage = Genesis::default().storage(None);
        BasicExternalities::execute_with_storage(&mut storage, || {
            let miner = AccountId::new(public_key("//Miner1").unwrap());
            let published = Registration {
                deposit: 0,
                block: 7,
                info: CommitmentInfo {
                    fields: vec![Data::Raw(vec![1, 2].try_into().unwrap())]
                        .try_into()
                        .unwrap(),
                },
            };
            CommitmentOf::<Runtime>::insert(1, &miner, &published);
            let read = |indexes: &[u16]| metagraph::selective(1, indexes).unwrap().commitments;
            assert_eq!(read(&[52]), None);
            let (hotkey, bytes) = read(&[73]).unwrap().remove(0);
            let bytes: Vec<u8> = bytes.into_iter().map(|byte| byte.0).collect();
            assert_eq!((hotkey, bytes), (miner, published.encode()));
        });
    }
}
