//! Proved stake: the stored values behind the stake weights of a subnet, with the nodes of the state trie that lead to
//! them from the state root of one block. Whoever knows the block's hash checks it offline, without a node.
//!
//! A proof has one form: the block's header, and exactly the trie nodes on the way to the values (or to where an absent
//! one would be), each without the hashes that follow from the others (the compact form of `sp-trie`). A byte changed
//! anywhere, a node more or a node less, and it is refused.

mod fetch;
mod layout;
mod trie;

use codec::{Decode, DecodeAll as _, Encode};
use sp_core::{Blake2Hasher, H256};
use sp_trie::CompactProof;
use subxt::config::substrate::SubstrateHeader;

use crate::stake::StakeWeight;
use crate::types::{BlockHash, BlockRef, Coldkey, Hotkey, NetUid, Snapshot, Uid};
use layout::Gathered;

type Header = SubstrateHeader<subxt::utils::H256>;

/// Names the form of a proof, the entries that it covers, and how they are laid out in storage.
const VERSION: &str = "violet/stake-proof/1";

/// Why a proof does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The bytes are of another version, malformed, or followed by more.
    #[error("not a proof of stakes in a form that is known")]
    Form(#[source] codec::Error),
    /// The header is not that of the block.
    #[error("the header is that of block {found}, not of {expected}")]
    OtherBlock {
        /// The hash that it should have.
        expected: BlockHash,
        /// The hash that it has.
        found: BlockHash,
    },
    /// The nodes are those of another state, or not whole.
    #[error("the trie nodes do not lead from the block's state root to every value")]
    Nodes,
    /// There are nodes that prove nothing, or they are not in their one form.
    #[error("the proof has more than its values need")]
    Superfluous,
    /// A value is proved, but not of the type that it should have.
    #[error("the stored value of {0} cannot be read")]
    Value(&'static str),
    /// What is proved is that the subnet has no neuron.
    #[error("the subnet has no neurons at that block")]
    Empty,
}

/// The stakes of a subnet at a block, with the proof that they are the chain's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StakeProof {
    netuid: NetUid,
    /// In SCALE; its BLAKE2b-256 is the block's hash.
    header: Vec<u8>,
    nodes: CompactProof,
}

/// What a [`StakeProof`] proves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProvedStakes {
    /// The subnet.
    pub netuid: NetUid,
    /// The block whose state it is.
    pub block: BlockRef,
    /// The weight of root stake, as a part of `u64::MAX`.
    pub tao_weight: u64,
    /// In uid order: all that the subnet has.
    pub neurons: Vec<ProvedNeuron>,
}

/// A neuron as storage has it, with the stake that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProvedNeuron {
    /// Its place in the subnet.
    pub uid: Uid,
    /// Its identity (`Keys`).
    pub hotkey: Hotkey,
    /// Who owns it (`Owner`).
    pub coldkey: Coldkey,
    /// Computed from the proved values as [`Holdings::weight`](crate::Holdings::weight) does it.
    pub stake: StakeWeight,
}

impl StakeProof {
    /// The subnet that it is about.
    pub fn netuid(&self) -> NetUid {
        self.netuid
    }

    /// The hash of its header. That this is a block of the chain is not proved: compare it.
    pub fn block_hash(&self) -> BlockHash {
        BlockHash(sp_core::blake2_256(&self.header))
    }

    /// The form in which it is stored and sent: SCALE of ("violet/stake-proof/1", netuid, header, nodes).
    pub fn to_bytes(&self) -> Vec<u8> {
        (VERSION, self).encode()
    }

    /// Reads what [`Self::to_bytes`] wrote; nothing of it is verified yet.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let (version, proof) = <(String, Self)>::decode_all(&mut &*bytes).map_err(ProofError::Form)?;
        if version != VERSION {
            return Err(ProofError::Form("a proof of another version".into()));
        }
        Ok(proof)
    }

    /// What it proves about the block with this hash, if it holds.
    pub fn verify(&self, block: BlockHash) -> Result<ProvedStakes, ProofError> {
        let found = self.block_hash();
        if found != block {
            return Err(ProofError::OtherBlock {
                expected: block,
                found,
            });
        }
        let (number, root) = header(&self.header)?;
        let (db, _) = self
            .nodes
            .to_memory_db::<Blake2Hasher>(Some(&root))
            .map_err(|_| ProofError::Nodes)?;
        let mut gathered = Gathered::new(self.netuid);
        let mut used = trie::Nodes::default();
        loop {
            let keys = gathered.wanted()?;
            if keys.is_empty() {
                break;
            }
            let values = trie::read(&db, root, &keys, &mut used)?;
            gathered.extend(keys, values);
        }
        if trie::compact(used, root)? != self.nodes {
            return Err(ProofError::Superfluous);
        }
        gathered.stakes(BlockRef { number, hash: block })
    }
}

impl ProvedStakes {
    /// The neuron at this uid.
    pub fn by_uid(&self, uid: Uid) -> Option<&ProvedNeuron> {
        self.neurons.get(usize::from(uid.0))
    }

    /// The uids at which a snapshot of this block says another hotkey, coldkey or stake than is proved, or that only
    /// one of both has.
    pub fn differing(&self, snapshot: &Snapshot) -> Vec<Uid> {
        let given = snapshot.neurons.iter().map(|neuron| ProvedNeuron {
            uid: neuron.uid,
            hotkey: neuron.hotkey,
            coldkey: neuron.coldkey,
            stake: StakeWeight {
                alpha: neuron.alpha_stake,
                tao: neuron.tao_stake,
                total: neuron.stake,
            },
        });
        let given: Vec<ProvedNeuron> = given.collect();
        let both = given.len().max(self.neurons.len());
        (0..=u16::MAX)
            .take(both)
            .filter(|uid| given.get(usize::from(*uid)) != self.neurons.get(usize::from(*uid)))
            .map(Uid)
            .collect()
    }
}

/// Number and state root of a header.
fn header(bytes: &[u8]) -> Result<(u32, H256), ProofError> {
    let header = Header::decode_all(&mut &*bytes).map_err(ProofError::Form)?;
    let number = u32::try_from(header.number)
        .map_err(|_| ProofError::Form("a block number beyond those of the chain".into()))?;
    Ok((number, H256(header.state_root.0)))
}
