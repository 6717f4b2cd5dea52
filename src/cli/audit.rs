//! `violet audit`: checks receipts without a server.
use std::{io::Read as _, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::{Failure, counted, print};
use crate::verify::{self, Receipt, Report};

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check a receipt: every signature and proof, the draw and the consensus computed anew.
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
        Ok(if report.is_sound() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// What a report comes to, in a line.
pub(super) fn verdict(report: &Report) -> String {
    let Report { holds, broken, open } = report;
    let mut counts = vec![
        format!("{} passed", counted(holds.len(), "check")),
        format!("{} left open", open.len()),
    ];
    if report.is_sound() {
        return format!("verified: {}", counts.join(", "));
    }
    counts.insert(0, format!("{} broken", broken.len()));
    format!("FAILED: {}", counts.join(", "))
}

/// A report for people.
pub(super) fn shown(report: &Report) -> String {
    let Report { holds, broken, open } = report;
    let lines = |mark: &'static str, texts: &[String]| -> Vec<String> {
        texts.iter().map(|text| format!("  {mark} {text}")).collect()
    };
    [
        lines("ok    ", holds),
        lines("open  ", open),
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
            broken: texts(0),
            open: texts(2),
        };
        assert_eq!(verdict(&report), "verified: 1 check passed, 2 left open");
        report.holds = texts(16);
        report.broken = texts(1);
        assert_eq!(
            verdict(&report),
            "FAILED: 1 broken, 16 checks passed, 2 left open"
        );
    }
}
