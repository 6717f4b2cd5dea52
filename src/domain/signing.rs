//! The bytes that miners and validators sign, besides the requests themselves.
use codec::Encode;
use violet_chain::Hotkey;

use super::{TaskId, blake2b_256};

/// BLAKE2b-256 of an answer's canonical JSON (RFC 8785): what the miner's signature covers.
pub fn answer_digest(canonical: &[u8]) -> [u8; 32] {
    blake2b_256(&[canonical])
}

/// What a miner signs: "violet/answer/1" ‖ netuid (little-endian) ‖ task id ‖ answer digest.
pub fn answer_message(netuid: u16, task: TaskId, digest: [u8; 32]) -> Vec<u8> {
    [
        &b"violet/answer/1"[..],
        &netuid.to_le_bytes(),
        &task.bytes(),
        &digest,
    ]
    .concat()
}

/// What a validator signs: "violet/evaluation/1" ‖ netuid (little-endian) ‖ task id ‖ BLAKE2b-256 of the scores.
///
/// The scores are SCALE `Vec<([u8; 32], Option<u16>)>` in the order of the hotkeys' bytes; `None` is an abstention.
pub fn evaluation_message(netuid: u16, task: TaskId, scores: &[(Hotkey, Option<u16>)]) -> Vec<u8> {
    let mut ordered = scores.to_vec();
    ordered.sort_unstable_by_key(|(hotkey, _)| *hotkey);
    let digest = blake2b_256(&[&ordered.encode()]);
    [
        &b"violet/evaluation/1"[..],
        &netuid.to_le_bytes(),
        &task.bytes(),
        &digest,
    ]
    .concat()
}
