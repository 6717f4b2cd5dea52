//! Weights that the chain opens by itself: encrypted for a round of drand's quicknet, whose signature is the key.
//!
//! The scheme is that of the `timelock` crate. Subtensor links an older version of it, which writes two fields of the
//! ciphertext with their lengths; so the bytes are laid out here.

use ark_serialize::{CanonicalDeserialize as _, CanonicalSerialize as _};
use codec::Encode;
use rand_core::{OsRng, RngCore as _};
use sha2::{Digest as _, Sha256};
use timelock::block_ciphers::AESGCMBlockCipherProvider;
use timelock::engines::EngineBLS;
use timelock::engines::drand::TinyBLS381;
use timelock::ibe::fullident::Identity;
use timelock::tlock::tle;

use crate::submit::WriteError;
use crate::types::{Hotkey, Uid};

/// The public key of drand's quicknet (chain hash `52db9ba7…4e971`), the default of `Drand.BeaconConfig`.
const QUICKNET: &str = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a";
/// The time of round 1, in seconds since 1970, and from one round to the next.
const GENESIS: u64 = 1_692_803_367;
const PERIOD: u64 = 3;
/// The SDKs' `SECURITY_BLOCK_OFFSET`: so many blocks after the first that may open it.
const BLOCKS_LATER: u64 = 3;
/// An epoch runs after so many blocks whatever the schedule says (`MAX_TEMPO`).
const LONGEST_TEMPO: u64 = 50_400;
/// How far ahead an epoch is looked for.
const HORIZON: u64 = 100 * LONGEST_TEMPO;

/// What is encrypted; the chain compares the hotkey with the one that committed.
#[derive(Encode)]
struct Payload {
    hotkey: Vec<u8>,
    uids: Vec<u16>,
    values: Vec<u16>,
    version_key: u64,
}

/// Encrypts weights for a round, as `commit_timelocked_weights` takes them.
pub(crate) fn seal_weights(
    round: u64,
    hotkey: &Hotkey,
    weights: &[(Uid, u16)],
    version_key: u64,
) -> Result<Vec<u8>, WriteError> {
    let payload = Payload {
        hotkey: hotkey.0.into(),
        uids: weights.iter().map(|(uid, _)| uid.0).collect(),
        values: weights.iter().map(|(_, value)| *value).collect(),
        version_key,
    };
    seal(round, &payload.encode())
}

/// Encrypts bytes for a round.
pub(crate) fn seal(round: u64, plain: &[u8]) -> Result<Vec<u8>, WriteError> {
    sealed(round, plain).ok_or(WriteError::Unfit("it cannot be encrypted"))
}

fn sealed(round: u64, plain: &[u8]) -> Option<Vec<u8>> {
    type Key = <TinyBLS381 as EngineBLS>::PublicKeyGroup;
    let public = hex::decode(QUICKNET).ok()?;
    let public = Key::deserialize_compressed(&*public).ok()?;
    let identity = Identity::new(b"", &Sha256::digest(round.to_be_bytes()));
    let mut secret = [0; 32];
    OsRng.fill_bytes(&mut secret);
    let sealed =
        tle::<TinyBLS381, AESGCMBlockCipherProvider, _>(public, secret, plain, identity, OsRng).ok()?;
    let mut bytes = Vec::new();
    sealed.header.u.serialize_compressed(&mut bytes).ok()?;
    for part in [
        &sealed.header.v[..],
        &sealed.header.w,
        &sealed.body,
        &sealed.cipher_suite,
    ] {
        bytes.extend(u64::try_from(part.len()).ok()?.to_le_bytes());
        bytes.extend(part);
    }
    Some(bytes)
}

/// When a subnet's epochs run: subtensor's scheduler at the end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) block: u64,
    /// Blocks per epoch.
    pub(crate) tempo: u64,
    /// `SubnetEpochIndex`: how many epochs there were.
    pub(crate) epoch: u64,
    pub(crate) last_epoch_block: u64,
    pub(crate) pending_epoch_at: u64,
    pub(crate) blocks_since_last_step: u64,
}

impl Schedule {
    /// Whether an epoch runs in the next block.
    fn is_due(&self) -> bool {
        let next = self.block + 1;
        let put_off = self.pending_epoch_at > 0 && next >= self.pending_epoch_at;
        let overdue = self.blocks_since_last_step + 1 > LONGEST_TEMPO;
        let elapsed = next.saturating_sub(self.last_epoch_block) >= self.tempo;
        self.tempo != 0 && (put_off || overdue || elapsed)
    }

    /// The epoch to which the start of the next block belongs.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.epoch + u64::from(self.is_due())
    }

    fn advance(&mut self) {
        if self.is_due() {
            self.epoch += 1;
            self.last_epoch_block = self.block + 1;
            self.pending_epoch_at = 0;
            self.blocks_since_last_step = 0;
        } else {
            self.blocks_since_last_step += 1;
        }
        self.block += 1;
    }

    /// In which block a commit that is included in the next one is opened, where that is `period` epochs later.
    pub(crate) fn opened_in(mut self, period: u64) -> Option<u64> {
        let from = self.block;
        self.advance();
        let wanted = self.epoch + period;
        while self.block - from < HORIZON {
            if self.next_epoch() >= wanted {
                return Some(self.block + 1);
            }
            self.advance();
        }
        None
    }

    /// The round whose signature opens such a commit, as the SDKs reckon it. Times are in milliseconds, `now` that of
    /// the block.
    pub(crate) fn round(self, period: u64, now: u64, block_time: u64) -> Option<u64> {
        let blocks = self.opened_in(period)? + BLOCKS_LATER - self.block;
        let opened = now + blocks * block_time;
        Some(((opened / 1000).saturating_sub(GENESIS) / PERIOD).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        block: 1_000,
        tempo: 360,
        epoch: 7,
        last_epoch_block: 900,
        pending_epoch_at: 0,
        blocks_since_last_step: 100,
    };

    /// Included in 1001, in epoch 7; the next epoch runs in 1260.
    #[test]
    fn a_commit_is_opened_when_its_epoch_and_the_period_are_over() {
        assert_eq!(SCHEDULE.opened_in(1), Some(1_260));
        assert_eq!(SCHEDULE.opened_in(2), Some(1_620));
        // An epoch that was put off to 1010 begins the count anew.
        let put_off = Schedule {
            pending_epoch_at: 1_010,
            ..SCHEDULE
        };
        assert_eq!(
            (put_off.opened_in(1), put_off.opened_in(2)),
            (Some(1_010), Some(1_370))
        );
        // One that runs in the commit's own block comes first.
        let due = Schedule {
            block: 1_259,
            ..SCHEDULE
        };
        assert_eq!((due.next_epoch(), due.opened_in(1)), (8, Some(1_620)));
        let never = Schedule { tempo: 0, ..SCHEDULE };
        assert_eq!(never.opened_in(1), None);
    }

    #[test]
    fn the_round_is_the_one_three_blocks_after_the_opening() {
        // 263 blocks of 12 s after the block: 3156 s. Of drand's genesis that is round 1052 and 1 s.
        let now = GENESIS * 1_000 + 1_000;
        assert_eq!(SCHEDULE.round(1, now, 12_000), Some(1_052));
        assert_eq!(
            SCHEDULE.round(1, 0, 12_000),
            Some(1),
            "before drand there is none"
        );
    }

    /// U compressed, and four byte strings with their lengths in front, as the version that subtensor links reads them.
    #[test]
    fn the_ciphertext_is_laid_out_as_the_chain_reads_it() {
        let sealed = seal(1_000, b"weights").unwrap();
        let (_, mut rest) = sealed.split_at(96);
        let mut lengths = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
            lengths.push(length);
            rest = &after[length..];
        }
        // The body holds the encrypted bytes with a tag of 16, and a nonce of 12, each with its length.
        assert_eq!((lengths, rest), (vec![32, 32, 8 + 7 + 16 + 8 + 12, 8], &[][..]));
        assert!(sealed.ends_with(b"AES_GCM_"));
    }
}
