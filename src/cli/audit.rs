//! `violet audit`: checks receipts without a server.
use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use violet_chain::{ProvedStakes, StakeProof};

use super::{Failure, counted, print, prove::VerifyStake, security_events::SecurityEvents};
use crate::{
    error::Causes,
    verify::{self, Outcome, Receipt, Report},
};

/// Nothing is broken, but something is missing. 1 is for whatever fails, 2 for arguments that are none.
const INCOMPLETE: u8 = 3;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check a receipt: every signature and proof, the draw and the consensus computed anew. Ends with 0 when all of it
    /// holds, 1 when something does not, 3 when something is missing that a later receipt may have.
    Verify(Verify),
    /// Check a proof of stakes and print them. Ends with 0 when it holds, 1 when it does not.
    VerifyStake(VerifyStake),
    /// Print the security events in the database, the newest first, each as a line of JSON.
    SecurityEvents(SecurityEvents),
}

impl Audit {
    pub(super) async fn run(self, config: Option<&Path>) -> Result<ExitCode, Failure> {
        match self {
            Self::Verify(verify) => verify.run(),
            Self::VerifyStake(verify) => verify.run(),
            Self::SecurityEvents(events) => events.run(config).await,
        }
    }
}

/// Checks a receipt.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// What `GET /api/v1/audit/tasks/{task_id}` answered; `-` reads standard input.
    receipt: PathBuf,
    /// A proof of the stakes at the block of a draw, or at the one whose stakes the judges had: what the server has at
    /// the receipt's `stake_proofs`, or what `violet chain prove` wrote. May be given several times.
    #[arg(long = "proof", value_name = "FILE")]
    proofs: Vec<PathBuf>,
}

impl Verify {
    fn run(self) -> Result<ExitCode, Failure> {
        let text = if self.receipt.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        } else {
            std::fs::read_to_string(&self.receipt)
                .map_err(|error| format!("{}: {error}", self.receipt.display()))?
        };
        let receipt: Receipt =
            serde_json::from_str(&text).map_err(|error| format!("not a receipt: {error}"))?;
        let proofs = self.proofs.iter().map(|file| {
            let proof = read_proof(file)?;
            proved(file, &proof)
        });
        let proofs = proofs.collect::<Result<Vec<_>, _>>()?;
        let report = verify::receipt_with(&receipt, &proofs);
        print(&format!("{}\n{}", shown(&report), verdict(&report)));
        Ok(match report.outcome() {
            Outcome::Verified => ExitCode::SUCCESS,
            Outcome::Incomplete => INCOMPLETE.into(),
            Outcome::Broken => ExitCode::FAILURE,
        })
    }
}

/// A proof of stakes, still to be verified.
pub(super) fn read_proof(file: &Path) -> Result<StakeProof, Failure> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let proof = StakeProof::from_bytes(&bytes);
    Ok(proof.map_err(|error| format!("{}: {}", file.display(), Causes(&error)))?)
}

/// What it proves of the block that it names; whether that is one of the chain is for others to say.
pub(super) fn proved(file: &Path, proof: &StakeProof) -> Result<ProvedStakes, Failure> {
    let proved = proof.verify(proof.block_hash());
    Ok(proved.map_err(|error| format!("{}: the proof does not hold: {error}", file.display()))?)
}

/// What a report comes to, in a line.
pub(super) fn verdict(report: &Report) -> String {
    let Report {
        holds,
        broken,
        missing,
        open,
    } = report;
    let mut counts = vec![
        format!("{} passed", counted(holds.len(), "check")),
        format!("{} left open", open.len()),
    ];
    if !missing.is_empty() {
        counts.insert(0, format!("{} missing", missing.len()));
    }
    match report.outcome() {
        Outcome::Verified => format!("verified: {}", counts.join(", ")),
        Outcome::Incomplete => format!(
            "incomplete: {}; ask for the receipt again later",
            counts.join(", ")
        ),
        Outcome::Broken => {
            counts.insert(0, format!("{} broken", broken.len()));
            format!("FAILED: {}", counts.join(", "))
        }
    }
}

/// A report for people.
pub(super) fn shown(report: &Report) -> String {
    let Report {
        holds,
        broken,
        missing,
        open,
    } = report;
    let lines = |mark: &'static str, texts: &[String]| -> Vec<String> {
        texts.iter().map(|text| format!("  {mark} {text}")).collect()
    };
    [
        lines("ok    ", holds),
        lines("open  ", open),
        lines("LACKS ", missing),
        lines("BROKEN", broken),
    ]
    .concat()
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_says_what_was_checked() {
        let texts = |count| vec![String::new(); count];
        let mut report = Report {
            holds: texts(1),
            open: texts(2),
            ..Report::default()
        };
        assert_eq!(verdict(&report), "verified: 1 check passed, 2 left open");
        report.holds = texts(16);
        report.broken = texts(1);
        assert_eq!(
            verdict(&report),
            "FAILED: 1 broken, 16 checks passed, 2 left open"
        );
        report.missing = texts(2);
        assert_eq!(
            verdict(&report),
            "FAILED: 1 broken, 2 missing, 16 checks passed, 2 left open"
        );
        report.broken.clear();
        assert_eq!(
            verdict(&report),
            "incomplete: 2 missing, 16 checks passed, 2 left open; ask for the receipt again later"
        );
        assert!(shown(&report).ends_with("\n  LACKS  \n  LACKS  "));
    }
}
