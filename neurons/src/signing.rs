//! The bytes that a neuron signs beside its requests: what an answer and an evaluation are bound to.
//! Only builds the bytes; signing is the key's, and checking is the receiver's business.

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use codec::Encode as _;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use violet_chain::{Hotkey, NetUid};

const ANSWER_CONTEXT: &[u8] = b"violet/answer/1";
const EVALUATION_CONTEXT: &[u8] = b"violet/evaluation/1";

/// What an answer's digest covers, in the order of RFC 8785 (which sorts anyway).
#[derive(Serialize)]
struct SignedAnswer<'a> {
    engine: &'a str,
    model_id: &'a str,
    output: &'a Value,
}

/// Why bytes to sign cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the output has no canonical form")]
pub struct NotCanonical(#[source] serde_json::Error);

/// BLAKE2b-256 of the RFC 8785 canonical JSON of `{"engine", "model_id", "output"}`.
pub fn answer_digest(engine: &str, model_id: &str, output: &Value) -> Result<[u8; 32], NotCanonical> {
    let canonical = serde_json_canonicalizer::to_vec(&SignedAnswer {
        engine,
        model_id,
        output,
    });
    Ok(blake2b_256(&canonical.map_err(NotCanonical)?))
}

/// The message under an answer's signature: context ‖ netuid (u16, little-endian) ‖ task id ‖ digest.
pub fn answer_message(netuid: NetUid, task_id: Uuid, digest: &[u8; 32]) -> Vec<u8> {
    message(ANSWER_CONTEXT, netuid, task_id, digest)
}

/// BLAKE2b-256 of SCALE `Vec<([u8; 32], Option<u16>)>`: hotkey and score (`None` abstains), ordered by the
/// hotkeys' bytes whatever the order given.
pub fn evaluation_digest(scores: impl IntoIterator<Item = (Hotkey, Option<u16>)>) -> [u8; 32] {
    let mut scores: Vec<([u8; 32], Option<u16>)> = scores
        .into_iter()
        .map(|(hotkey, score)| (hotkey.0, score))
        .collect();
    scores.sort_unstable();
    blake2b_256(&scores.encode())
}

/// The message under an evaluation's signature: context ‖ netuid (u16, little-endian) ‖ task id ‖ digest.
pub fn evaluation_message(netuid: NetUid, task_id: Uuid, digest: &[u8; 32]) -> Vec<u8> {
    message(EVALUATION_CONTEXT, netuid, task_id, digest)
}

fn message(context: &[u8], netuid: NetUid, task_id: Uuid, digest: &[u8; 32]) -> Vec<u8> {
    [context, &netuid.0.to_le_bytes(), task_id.as_bytes(), digest].concat()
}

fn blake2b_256(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TASK: Uuid = Uuid::from_u128(0x0192_f0c1_2a3b_7c4d_8e5f_6071_8293_a4b5);

    #[test]
    fn blake2b_is_the_one_with_32_bytes_of_output() {
        // The digest of nothing, as Substrate's blake2_256 gives it.
        let empty = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8";
        assert_eq!(hex::encode(blake2b_256(b"")), empty);
    }

    #[test]
    fn the_answer_s_digest_is_over_canonical_json() {
        let output: Value = serde_json::from_str(r#"{ "z": 1.0, "translated_text": "¿Qué?\n" }"#).unwrap();
        let canonical = concat!(
            r#"{"engine":"apertium","model_id":"apertium/eng-spa","#,
            r#""output":{"translated_text":"¿Qué?\n","z":1}}"#
        );
        let digest = answer_digest("apertium", "apertium/eng-spa", &output).unwrap();
        assert_eq!(digest, blake2b_256(canonical.as_bytes()));
    }

    #[test]
    fn the_fixed_vector_of_an_answer() {
        let output = json!({"translated_text": "La casa es roja."});
        let digest = answer_digest("apertium", "apertium/eng-spa", &output).unwrap();
        assert_eq!(
            hex::encode(digest),
            "ce2594e034dac1749be771fc4ef8c13569b3eb229581b7fe9a2227fc6e22a7c5"
        );
        assert_eq!(
            hex::encode(answer_message(NetUid(0x0102), TASK, &digest)),
            format!(
                "{}{}{}{}",
                "76696f6c65742f616e737765722f31",
                "0201",
                "0192f0c12a3b7c4d8e5f60718293a4b5",
                "ce2594e034dac1749be771fc4ef8c13569b3eb229581b7fe9a2227fc6e22a7c5",
            )
        );
    }

    #[test]
    fn the_fixed_vector_of_an_evaluation() {
        let (low, high) = (Hotkey([0x11; 32]), Hotkey([0xee; 32]));
        let digest = evaluation_digest([(high, None), (low, Some(61234))]);
        // Compact length 2, then the lower hotkey with Some(0xef32), then the higher one with None.
        let scale = format!("08{}0132ef{}00", "11".repeat(32), "ee".repeat(32));
        assert_eq!(digest, blake2b_256(&hex::decode(scale).unwrap()));
        assert_eq!(
            hex::encode(digest),
            "aad826fedc5adb0d11482ba5cc43ab788194ce569fea29bd924c97161709537c"
        );
        assert_eq!(
            hex::encode(evaluation_message(NetUid(1), TASK, &digest)),
            format!(
                "{}{}{}{}",
                "76696f6c65742f6576616c756174696f6e2f31",
                "0100",
                "0192f0c12a3b7c4d8e5f60718293a4b5",
                "aad826fedc5adb0d11482ba5cc43ab788194ce569fea29bd924c97161709537c",
            )
        );
    }

    #[test]
    fn the_order_given_does_not_matter() {
        let scores = [
            (Hotkey([3; 32]), Some(1)),
            (Hotkey([1; 32]), None),
            (Hotkey([2; 32]), Some(0)),
        ];
        let mut turned = scores;
        turned.reverse();
        assert_eq!(evaluation_digest(scores), evaluation_digest(turned));
    }
}
