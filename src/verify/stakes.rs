//! Candidates and judges against the chain: proofs of the stakes at the blocks that draws rest on. A proof is of all
//! neurons of the subnet, so the validators are in it too.
use std::fmt::Write as _;

use violet_chain::{ProvedStakes, Uid};

use super::{Receipt, Report, counted};
use crate::domain::records::{Base, CandidateSet, Evaluation, Settlement};

/// Proofs, and what they are good for in this receipt.
pub(super) struct Proofs<'a> {
    all: &'a [ProvedStakes],
    used: Vec<bool>,
    /// Draws whose candidates are proved by none.
    open: Vec<u32>,
}

impl<'a> Proofs<'a> {
    pub(super) fn new(all: &'a [ProvedStakes]) -> Self {
        Self {
            all,
            used: vec![false; all.len()],
            open: Vec::new(),
        }
    }

    /// Compares the candidates of a draw with what is proved of its block, if anything is.
    pub(super) fn check(&mut self, draw: u32, base: &Base, set: &CandidateSet, report: &mut Report) {
        let of_base =
            |proved: &ProvedStakes| proved.netuid.0 == base.netuid && proved.block.hash == base.block_hash;
        let Some(at) = self.all.iter().position(of_base) else {
            self.open.push(draw);
            return;
        };
        self.used[at] = true;
        let proved = &self.all[at];
        let same = set.candidates.iter().all(|candidate| {
            proved.by_uid(Uid(candidate.uid)).is_some_and(|neuron| {
                neuron.hotkey == candidate.hotkey
                    && neuron.coldkey == candidate.coldkey
                    && neuron.stake.total.0 == candidate.stake
            })
        });
        report.check(
            same && proved.block.number == base.block,
            format!(
                "the stakes, hotkeys and owners of the {} of draw {draw} are in the state of block {}",
                counted(set.candidates.len(), "candidate"),
                base.block
            ),
        );
    }

    /// Compares the stakes of those who judged with what is proved. They are of the snapshot in force when the task was
    /// done, which is not named: a block where all of them are so is shown, and without one it is left open.
    pub(super) fn check_judges(&mut self, settlement: &Settlement, report: &mut Report) {
        let judges = &settlement.evaluations;
        let of_subnet = |proved: &ProvedStakes| proved.netuid.0 == settlement.netuid;
        let all_in =
            |proved: &ProvedStakes| of_subnet(proved) && judges.iter().all(|judge| has(proved, judge));
        let said = counted(judges.len(), "validator");
        if judges.is_empty() {
            return;
        }
        if let Some(at) = self.all.iter().position(all_in) {
            self.used[at] = true;
            report.check(
                true,
                format!(
                    "the stakes of the {said} that judged are in the state of block {}",
                    self.all[at].block.number
                ),
            );
        } else if self.all.iter().any(of_subnet) {
            report.open.push(format!(
                "the stakes of the {said} that judged are in none of the proofs: they are of the snapshot in force \
                 when the task was done, whose block may be another"
            ));
        } else {
            report.open.push(format!(
                "the stakes of the {said} that judged are the server's statement: compare stakes with the chain"
            ));
        }
    }

    /// What is left to the server's word.
    pub(super) fn conclude(&self, receipt: &Receipt, draws: u32, report: &mut Report) {
        let unused = self.all.iter().zip(&self.used).filter(|(_, used)| !**used);
        report.open.extend(unused.map(|(proved, _)| {
            format!(
                "the proof of block {} ({}) was of no use: no draw of this task rests on it, nor do its judges",
                proved.block.number, proved.block.hash
            )
        }));
        if draws == 0 {
            return;
        }
        if self.open.is_empty() {
            report.open.push(
                "who else might have stood, performance and free places of the candidates, and who was skipped, are \
                 the server's statement"
                    .into(),
            );
            return;
        }
        let mut text =
            "the candidates with their stakes, performance and free places, and who was skipped, are the \
                        server's statement: compare stakes with the chain"
                .to_owned();
        for proof in &receipt.stake_proofs {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                ", or check again with the proof of block {} that the server has",
                proof.block
            );
        }
        report.open.push(text);
    }
}

/// Whether a hotkey has this stake on any uid.
fn has(proved: &ProvedStakes, judge: &Evaluation) -> bool {
    let mut neurons = proved.neurons.iter();
    neurons.any(|neuron| neuron.hotkey == judge.hotkey && neuron.stake.total.0 == judge.stake)
}
