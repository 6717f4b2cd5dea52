//! The end of a task: who answered and judged, and the verdict that follows.
use violet_chain::{Hotkey, verify};

use super::{Receipt, Report, ascending, counted, distinct};
use crate::domain::{
    TaskState,
    consensus::{self, Scored},
    records::Settlement,
    signing,
    task::Reason,
};

/// Checks `settlement`, which only miners in `drawn` may have answered.
pub(super) fn check(receipt: &Receipt, settlement: &Settlement, drawn: &[Hotkey], report: &mut Report) {
    report.check(
        settlement.task == receipt.task_id.bytes() && settlement.netuid == receipt.request.netuid,
        "the settlement is this task's",
    );
    report.check(
        distinct(settlement.answers.iter().map(|answer| answer.hotkey)),
        "nobody answers twice",
    );
    report.check(
        ascending(settlement.evaluations.iter().map(|evaluation| evaluation.hotkey)),
        "nobody judges twice, and the evaluations are in the order of the hotkeys",
    );
    report.check(
        settlement
            .answers
            .iter()
            .all(|answer| drawn.contains(&answer.hotkey)),
        "only miners that were drawn answer",
    );
    check_signatures(receipt, settlement, report);
    check_verdict(settlement, report);
    report.open.push(format!(
        "that no evaluation is missing, the stake of those who might have judged, and the threshold of {} are the \
         server's statement",
        settlement.threshold
    ));
}

fn check_signatures(receipt: &Receipt, settlement: &Settlement, report: &mut Report) {
    let task = receipt.task_id;
    let answers = settlement.answers.iter().all(|answer| {
        let message = signing::answer_message(settlement.netuid, task, answer.digest.0);
        verify(
            answer.signature.crypto,
            &answer.hotkey,
            &message,
            &answer.signature.bytes,
        )
    });
    report.check(
        answers,
        format!(
            "of {} each is signed by its miner",
            counted(settlement.answers.len(), "answer")
        ),
    );
    let evaluations = settlement.evaluations.iter().all(|evaluation| {
        let scores: Vec<_> = settlement
            .answers
            .iter()
            .map(|answer| answer.hotkey)
            .zip(evaluation.scores.iter().copied())
            .collect();
        let message = signing::evaluation_message(settlement.netuid, task, &scores);
        verify(
            evaluation.signature.crypto,
            &evaluation.hotkey,
            &message,
            &evaluation.signature.bytes,
        )
    });
    report.check(
        evaluations,
        format!(
            "of {} each is signed by its validator",
            counted(settlement.evaluations.len(), "evaluation")
        ),
    );
}

fn check_verdict(settlement: &Settlement, report: &mut Report) {
    let verdict = matches!(settlement.outcome, TaskState::Approved | TaskState::Rejected);
    let medians: Vec<Option<u16>> = (0..settlement.answers.len())
        .map(|index| {
            let scores: Vec<Scored> = settlement
                .evaluations
                .iter()
                .filter_map(|evaluation| {
                    let score = (*evaluation.scores.get(index)?)?;
                    Some(Scored {
                        score,
                        stake: evaluation.stake,
                    })
                })
                .collect();
            consensus::weighted_median(&scores).filter(|_| verdict)
        })
        .collect();
    let stated: Vec<Option<u16>> = settlement.answers.iter().map(|answer| answer.consensus).collect();
    report.check(
        medians == stated,
        "the stake-weighted medians computed anew are the consensus",
    );
    let (mut judging, mut scoring) = (0, 0);
    for evaluation in &settlement.evaluations {
        let stake = u128::from(evaluation.stake);
        judging += stake;
        if evaluation.scores.iter().any(Option::is_some) {
            scoring += stake;
        }
    }
    report.check(
        judging <= settlement.eligible_stake,
        "those who judged have no more stake than those who might",
    );
    let best = stated.iter().flatten().max().copied();
    let approved = best.is_some_and(|best| best >= settlement.threshold);
    let quorum = 2 * scoring > settlement.eligible_stake;
    let follows = match (settlement.outcome, settlement.reason) {
        (TaskState::Approved, None) => quorum && approved,
        (TaskState::Rejected, None) => quorum && !approved,
        (TaskState::Done, Some(Reason::Quorum | Reason::Abstained)) => !quorum,
        _ => false,
    };
    report.check(
        follows,
        format!(
            "the outcome ({}) follows from them and from the stake that scored",
            settlement.outcome.name()
        ),
    );
}
