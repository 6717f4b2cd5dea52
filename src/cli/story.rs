//! What a receipt says, told to people: who was drawn, how the answers were judged.
use super::{Failure, counted};
use crate::{
    domain::records::{CandidateSet, Draw, Record, Settlement},
    verify::{Proved, Receipt},
};

/// The draws and the scores.
pub(super) fn of(receipt: &Receipt) -> Result<String, Failure> {
    let named = records(&receipt.named)?;
    let mut parts = Vec::new();
    for record in records(&receipt.records)? {
        match record {
            Record::Draw(draw) => {
                let set = named.iter().find_map(|record| match record {
                    Record::CandidateSet(set) if record.digest() == draw.candidate_set => Some(set),
                    _ => None,
                });
                parts.push(draw_story(
                    &draw,
                    set.ok_or("the receipt lacks the candidate set")?,
                ));
            }
            other => parts.extend(other.settlement().map(|settlement| settlement_story(&settlement))),
        }
    }
    Ok(parts.join("\n"))
}

/// Whether the randomness of every draw is published, without which a draw cannot be computed anew.
pub(super) fn is_published(receipt: &Receipt) -> Result<bool, Failure> {
    let published = |record| match record {
        Record::Draw(draw) => receipt
            .revealed
            .iter()
            .any(|revealed| revealed.base == draw.base.0),
        _ => true,
    };
    Ok(records(&receipt.records)?.into_iter().all(published))
}

fn records(proved: &[Proved]) -> Result<Vec<Record>, Failure> {
    Ok(proved
        .iter()
        .map(|proved| Record::from_bytes(&proved.body))
        .collect::<Result<Vec<_>, _>>()?)
}

#[expect(clippy::cast_precision_loss, reason = "shares for people to read")]
fn draw_story(draw: &Draw, set: &CandidateSet) -> String {
    let all: u128 = set
        .candidates
        .iter()
        .map(|candidate| u128::from(candidate.stake))
        .sum();
    let lines: Vec<String> = set
        .candidates
        .iter()
        .map(|candidate| {
            let place = draw.chosen.iter().position(|uid| *uid == candidate.uid);
            format!(
                "    uid {:>3}  stake share {:>5.1} %  performance {:>5.3}{}",
                candidate.uid,
                100.0 * candidate.stake as f64 / all.max(1) as f64,
                f64::from(candidate.performance) / 1e6,
                place.map_or_else(String::new, |place| format!("  drawn as number {}", place + 1))
            )
        })
        .collect();
    format!(
        "  draw {} at block {}, {}\n{}",
        draw.draw,
        set.block,
        counted(set.candidates.len(), "candidate"),
        lines.join("\n")
    )
}

fn settlement_story(settlement: &Settlement) -> String {
    let fraction = |score: Option<u16>| {
        score.map_or_else(
            || "abstains".into(),
            |score| format!("{:.3}", f64::from(score) / 65_535.0),
        )
    };
    let scores: Vec<String> = settlement
        .evaluations
        .iter()
        .map(|evaluation| {
            let scores: Vec<String> = evaluation.scores.iter().copied().map(fraction).collect();
            format!(
                "    validator {}…  stake {:>9} TAO  scores {}",
                evaluation.hotkey.to_string().chars().take(8).collect::<String>(),
                evaluation.stake / 1_000_000_000,
                scores.join("  ")
            )
        })
        .collect();
    let consensus: Vec<String> = settlement
        .answers
        .iter()
        .map(|answer| fraction(answer.consensus))
        .collect();
    format!(
        "  scores of {}\n{}\n    stake-weighted consensus            {}  → {}",
        counted(settlement.answers.len(), "answer"),
        scores.join("\n"),
        consensus.join("  "),
        settlement.outcome.name()
    )
}
