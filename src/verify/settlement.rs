//! The end of a task: who answered and judged, and the verdict that follows.
use violet_chain::{Hotkey, verify};

use super::{Receipt, Report, ascending, counted, distinct};
use crate::domain::{
    TaskState,
    consensus::{self, Scored},
    records::{Authentication, Settlement},
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
    let mut answers = Signatures::of("answer", "miner");
    for answer in &settlement.answers {
        let message = || signing::answer_message(settlement.netuid, task, answer.digest.0);
        answers.look(answer.hotkey, &answer.authentication, message);
    }
    answers.report(report);
    let mut evaluations = Signatures::of("evaluation", "validator");
    for evaluation in &settlement.evaluations {
        let scores: Vec<_> = settlement
            .answers
            .iter()
            .map(|answer| answer.hotkey)
            .zip(evaluation.scores.iter().copied())
            .collect();
        let message = || signing::evaluation_message(settlement.netuid, task, &scores);
        evaluations.look(evaluation.hotkey, &evaluation.authentication, message);
    }
    evaluations.report(report);
}

/// What is signed of the answers or the evaluations, and what is not.
struct Signatures {
    noun: &'static str,
    author: &'static str,
    signed: usize,
    hold: bool,
    /// Whose came with a key.
    by_key: Vec<Hotkey>,
}

impl Signatures {
    fn of(noun: &'static str, author: &'static str) -> Self {
        Self {
            noun,
            author,
            signed: 0,
            hold: true,
            by_key: Vec::new(),
        }
    }

    fn look(&mut self, hotkey: Hotkey, authentication: &Authentication, message: impl FnOnce() -> Vec<u8>) {
        match authentication {
            Authentication::Signature { signature } => {
                self.signed += 1;
                self.hold &= verify(signature.crypto, &hotkey, &message(), &signature.bytes);
            }
            Authentication::Key => self.by_key.push(hotkey),
        }
    }

    fn report(self, report: &mut Report) {
        let Self {
            noun,
            author,
            signed,
            hold,
            by_key,
        } = self;
        let others = by_key.len();
        if signed > 0 || others == 0 {
            let those = if others == 0 { "" } else { "signed " };
            let said = counted(signed, &format!("{those}{noun}"));
            report.check(hold, format!("of {said} each is signed by its {author}"));
        }
        if others > 0 {
            let hotkeys: Vec<String> = by_key.iter().map(ToString::to_string).collect();
            report.open.push(format!(
                "{} authenticated by key: not provable to others, the server's statement ({})",
                counted(others, noun),
                hotkeys.join(", ")
            ));
        }
    }
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
