//! The canonical encoding of what is recorded: SCALE of ("violet/record/1", record).
//!
//! A record is immutable; its encoding is a leaf of the batch that it was committed with.
#![expect(
    clippy::cast_possible_truncation,
    reason = "the derive of Encode casts the index of a variant"
)]
use std::borrow::Cow;

use codec::{Compact, Decode, Encode, Input, Output};
use violet_chain::{BlockHash, CryptoType, Hotkey};

use super::{
    TaskState, blake2b_256,
    capability::Capability,
    routing::{Candidate, Rule},
    task::Reason,
};

const VERSION: &str = "violet/record/1";
/// As many as a settlement has bits for; a task has ten slots at most.
const MOST_ANSWERS: usize = 16;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// The parameters of routing, whenever they change.
    #[codec(index = 0)]
    Rule(Rule),
    /// The randomness of a snapshot, committed when it is made.
    #[codec(index = 1)]
    Base(Base),
    /// Who stood for election, with everything the weights are computed from.
    #[codec(index = 2)]
    CandidateSet(CandidateSet),
    /// Who was chosen.
    #[codec(index = 3)]
    Draw(Draw),
    /// How a task ended, as it was recorded while everything had to be signed. None is written any more.
    #[codec(index = 4)]
    #[serde(rename = "settlement")]
    SignedSettlement(Settlement<Signed>),
    /// How a task ended.
    #[codec(index = 5)]
    Settlement(Settlement),
}

/// The randomness of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
pub struct Base {
    /// The subnet.
    pub netuid: u16,
    /// The snapshot's block, a multiple of the rule's interval.
    pub block: u32,
    /// Its hash.
    pub block_hash: BlockHash,
    /// Whose VRF it is.
    pub server: Hotkey,
    /// BLAKE2b-256 of the base; the base itself is published two snapshots later.
    pub commitment: Digest,
}

/// The miners that were eligible for a capability, frozen at most once a second.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
pub struct CandidateSet {
    /// The subnet.
    pub netuid: u16,
    /// Digest of the rule in force.
    pub rule: Digest,
    /// The snapshot that stake and registration come from.
    pub block: u32,
    /// What they are able to do.
    pub capability: Capability,
    /// In uid order.
    pub candidates: Vec<Candidate>,
}

/// A draw of miners for a task.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
pub struct Draw {
    /// The subnet.
    pub netuid: u16,
    /// The task.
    pub task: [u8; 16],
    /// 0 for the first draw of a task, then 1, 2 …
    pub draw: u32,
    /// Ties the draw to the request.
    pub request: Digest,
    /// Whether the client put entropy of its own into the request; without it the draw is not grinding-proof.
    pub client_entropy: bool,
    /// Digest of the record of the base in force.
    pub base: Digest,
    /// Digest of the candidate set.
    pub candidate_set: Digest,
    /// The slots to fill: all at first, later those whose miner did not answer.
    pub slots: Vec<u8>,
    /// Candidates that filled up or left since the set was frozen.
    pub skipped: Vec<u16>,
    /// The uids chosen, in order; the first fills the first slot.
    pub chosen: Vec<u16>,
    /// Unix time in milliseconds.
    pub at: u64,
}

/// How a task ended, with what it was decided on.
///
/// Its encoding is that of its fields in order, but for the evaluations: each is hotkey, stake, a `u16` whose bit i says
/// that answer i was scored, the scores that there are in the order of the answers, and what authenticates it. Of 16
/// answers at most. The two kinds differ in what authenticates: an [`Authentication`], or always a signature.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Settlement<A = Authentication> {
    /// The subnet.
    pub netuid: u16,
    /// The task.
    pub task: [u8; 16],
    /// How it ended; `done` when there is no verdict.
    pub outcome: TaskState,
    /// Why there is no verdict, or no answer.
    pub reason: Option<Reason>,
    /// The least consensus that approves, 0..=65535.
    pub threshold: u16,
    /// Stake of the validators that might judge, in rao.
    pub eligible_stake: u128,
    /// The answers, in the order of arrival.
    pub answers: Vec<Answer<A>>,
    /// The evaluations, in the order of the validators' hotkeys.
    pub evaluations: Vec<Evaluation<A>>,
    /// Unix time in milliseconds.
    pub at: u64,
}

/// An answer, as a settlement names it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
pub struct Answer<A = Authentication> {
    /// Who answered.
    pub hotkey: Hotkey,
    /// BLAKE2b-256 of the answer's canonical JSON.
    pub digest: Digest,
    /// What shows that it is the miner's.
    #[serde(flatten)]
    pub authentication: A,
    /// The stake-weighted median of its scores, when there is a verdict.
    pub consensus: Option<u16>,
}

/// One validator's scores, as a settlement names them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Evaluation<A = Authentication> {
    /// Who judged.
    pub hotkey: Hotkey,
    /// Its stake when the task was done, in rao.
    pub stake: u64,
    /// One for each answer, in their order; `None` is an abstention.
    pub scores: Vec<Option<u16>>,
    /// What shows that they are the validator's.
    #[serde(flatten)]
    pub authentication: A,
}

/// What shows that an answer or an evaluation is its neuron's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
#[serde(tag = "authenticated_by", rename_all = "snake_case")]
pub enum Authentication {
    /// The signature of its hotkey over it, which anybody can check.
    #[codec(index = 0)]
    Signature {
        /// Over the message that [`super::signing`] has for it.
        signature: Signature,
    },
    /// The key of its neuron, which came with it. There is nothing that others could check.
    #[codec(index = 1)]
    Key,
}

impl Authentication {
    /// By a signature, where there is one.
    pub fn new(crypto: CryptoType, signature: Option<[u8; 64]>) -> Self {
        signature.map_or(Self::Key, |bytes| Self::Signature {
            signature: Signature { crypto, bytes },
        })
    }
}

/// A signature where nothing else may be.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
pub struct Signed {
    /// It.
    pub signature: Signature,
}

impl From<Signed> for Authentication {
    fn from(Signed { signature }: Signed) -> Self {
        Self::Signature { signature }
    }
}

impl From<Settlement<Signed>> for Settlement {
    fn from(settlement: Settlement<Signed>) -> Self {
        let Settlement {
            netuid,
            task,
            outcome,
            reason,
            threshold,
            eligible_stake,
            answers,
            evaluations,
            at,
        } = settlement;
        let answer = |answer: Answer<Signed>| Answer {
            hotkey: answer.hotkey,
            digest: answer.digest,
            authentication: answer.authentication.into(),
            consensus: answer.consensus,
        };
        let evaluation = |evaluation: Evaluation<Signed>| Evaluation {
            hotkey: evaluation.hotkey,
            stake: evaluation.stake,
            scores: evaluation.scores,
            authentication: evaluation.authentication.into(),
        };
        Self {
            netuid,
            task,
            outcome,
            reason,
            threshold,
            eligible_stake,
            answers: answers.into_iter().map(answer).collect(),
            evaluations: evaluations.into_iter().map(evaluation).collect(),
            at,
        }
    }
}

impl<A: Encode> Encode for Settlement<A> {
    fn encode_to<O: Output + ?Sized>(&self, to: &mut O) {
        let Self {
            netuid,
            task,
            outcome,
            reason,
            threshold,
            eligible_stake,
            answers,
            evaluations,
            at,
        } = self;
        (netuid, task, outcome, reason, threshold, eligible_stake, answers).encode_to(to);
        Compact(evaluations.len() as u32).encode_to(to);
        for evaluation in evaluations {
            evaluation.encode_to(answers.len(), to);
        }
        at.encode_to(to);
    }
}

impl<A: Decode> Decode for Settlement<A> {
    fn decode<I: Input>(from: &mut I) -> Result<Self, codec::Error> {
        let (netuid, task, outcome, reason, threshold, eligible_stake) = Decode::decode(from)?;
        let answers: Vec<Answer<A>> = Decode::decode(from)?;
        if answers.len() > MOST_ANSWERS {
            return Err("a settlement of more than 16 answers".into());
        }
        let Compact(count) = Compact::<u32>::decode(from)?;
        let evaluations = (0..count)
            .map(|_| Evaluation::decode(answers.len(), from))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            netuid,
            task,
            outcome,
            reason,
            threshold,
            eligible_stake,
            answers,
            evaluations,
            at: Decode::decode(from)?,
        })
    }
}

impl<A> Evaluation<A> {
    /// What `scores` lacks for `answers` is an abstention.
    fn encode_to<O: Output + ?Sized>(&self, answers: usize, to: &mut O)
    where
        A: Encode,
    {
        let scores = self.scores.iter().take(answers.min(MOST_ANSWERS));
        let mut scored = 0u16;
        for (at, score) in scores.clone().enumerate() {
            scored |= u16::from(score.is_some()) << at;
        }
        (&self.hotkey, self.stake, scored).encode_to(to);
        scores.flatten().for_each(|score| score.encode_to(to));
        self.authentication.encode_to(to);
    }

    fn decode<I: Input>(answers: usize, from: &mut I) -> Result<Self, codec::Error>
    where
        A: Decode,
    {
        let (hotkey, stake, scored) = <(Hotkey, u64, u16)>::decode(from)?;
        if u32::from(scored) >> answers != 0 {
            return Err("a score of an answer that is not there".into());
        }
        let scores = (0..answers)
            .map(|at| (scored >> at & 1 == 1).then(|| u16::decode(from)).transpose())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            hotkey,
            stake,
            scores,
            authentication: Decode::decode(from)?,
        })
    }
}

/// A signature and its scheme.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize)]
pub struct Signature {
    /// The scheme.
    pub crypto: CryptoType,
    /// 64 bytes.
    #[serde(with = "hex::serde")]
    pub bytes: [u8; 64],
}

/// 32 bytes, shown as hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, serde::Serialize)]
#[serde(transparent)]
pub struct Digest(#[serde(with = "hex::serde")] pub [u8; 32]);

impl Record {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        (VERSION, self).encode()
    }

    /// Reads canonical bytes back.
    ///
    /// # Errors
    /// When they are of another version, malformed, or followed by more.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, codec::Error> {
        let (version, record) = <(String, Self)>::decode(&mut bytes)?;
        if version != VERSION {
            return Err("a record of another version".into());
        }
        if !bytes.is_empty() {
            return Err("bytes after the end of the record".into());
        }
        Ok(record)
    }

    /// BLAKE2b-256 of the canonical bytes: how records name each other.
    pub fn digest(&self) -> Digest {
        Digest(blake2b_256(&[&self.to_bytes()]))
    }

    /// The name of its kind.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Rule(_) => RecordKind::Rule,
            Self::Base(_) => RecordKind::Base,
            Self::CandidateSet(_) => RecordKind::CandidateSet,
            Self::Draw(_) => RecordKind::Draw,
            Self::SignedSettlement(_) | Self::Settlement(_) => RecordKind::Settlement,
        }
    }

    /// How a task ended, if it says that.
    pub fn settlement(&self) -> Option<Cow<'_, Settlement>> {
        match self {
            Self::SignedSettlement(settlement) => Some(Cow::Owned(settlement.clone().into())),
            Self::Settlement(settlement) => Some(Cow::Borrowed(settlement)),
            Self::Rule(_) | Self::Base(_) | Self::CandidateSet(_) | Self::Draw(_) => None,
        }
    }
}

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "record_kind", rename_all = "snake_case")]
pub enum RecordKind {
    Rule,
    Base,
    CandidateSet,
    Draw,
    Settlement,
}
