//! Structs of the chain's state and of its answers, field by field in the order of the wire.
//!
//! The chain's newtypes over integers are bare integers here: the bytes are equal.

use codec::{Compact, Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use sp_core::H256;

use super::AccountId;

/// Where a neuron says it can be reached, as `serve_axon` stored it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct AxonInfo {
    /// The block of the last `serve_axon`.
    pub block: u64,
    pub version: u32,
    /// An IPv4 address is in the low 32 bits.
    pub ip: u128,
    pub port: u16,
    /// 4 or 6.
    pub ip_type: u8,
    pub protocol: u8,
    pub placeholder1: u8,
    pub placeholder2: u8,
}

/// Where a neuron says its metrics are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct PrometheusInfo {
    pub block: u64,
    pub version: u32,
    pub ip: u128,
    pub port: u16,
    pub ip_type: u8,
}

/// How weights become incentive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum EpochConsensus {
    /// By the median of what validators say, weighted by their stake.
    #[default]
    Yuma,
    /// As a single validator says.
    Null,
}

/// `I32F32` as substrate-fixed encodes it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct FixedI64 {
    pub bits: i64,
}

/// `U64F64` as substrate-fixed encodes it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct FixedU128 {
    pub bits: u128,
}

/// `I96F32` as substrate-fixed encodes it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct FixedI128 {
    pub bits: i128,
}

/// A subnet's self-description.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct SubnetIdentityV3 {
    pub subnet_name: Vec<u8>,
    pub github_repo: Vec<u8>,
    pub subnet_contact: Vec<u8>,
    pub subnet_url: Vec<u8>,
    pub discord: Vec<u8>,
    pub description: Vec<u8>,
    pub logo_url: Vec<u8>,
    pub additional: Vec<u8>,
}

/// A coldkey's self-description.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ChainIdentityV2 {
    pub name: Vec<u8>,
    pub url: Vec<u8>,
    pub github_repo: Vec<u8>,
    pub image: Vec<u8>,
    pub discord: Vec<u8>,
    pub description: Vec<u8>,
    pub additional: Vec<u8>,
}

/// The hash of committed weights, the epoch and the block of the commit, and a number the chain no longer uses.
pub type WeightCommit = (H256, u64, u64, u64);

/// Encrypted weights.
pub type SealedWeights = frame_support::BoundedVec<u8, frame_support::traits::ConstU32<5000>>;

/// Who published what: its registration, encoded.
pub type Commitment = (AccountId, Vec<Compact<u8>>);
