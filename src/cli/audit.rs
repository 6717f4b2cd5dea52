//! `violet audit`: checks receipts without a server.
use std::{io::Read as _, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::{Failure, counted, print};
use crate::verify::{self, Outcome, Receipt, Report};

/// Nothing is broken, but something is missing. 1 is for whatever fails, 2 for arguments that are none.
const INCOMPLETE: u8 = 3;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check a receipt: every signature and proof, the draw and the consensus computed anew. Ends with 0 when all of it
    /// holds, 1 when something does not, 3 when something is missing that a later receipt may have.
    Verify(Verify),
}

impl Audit {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Verify(verify) => verify.run(),
        }
    }
}

/// Checks a receipt.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// What `GET /api/v1/audit/tasks/{task_id}` answered; `-` reads standard input.
    receipt: PathBuf,
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
        let report = verify::receipt(&receipt);
        print(&format!("{}\n{}", shown(&report), verdict(&report)));
        Ok(match report.outcome() {
            Outcome::Verified => ExitCode::SUCCESS,
            Outcome::Incomplete => INCOMPLETE.into(),
            Outcome::Broken => ExitCode::FAILURE,
        })
    }
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
