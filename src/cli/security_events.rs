//! `violet audit security-events`: the log of security events, for another program to keep.
use std::{path::Path, process::ExitCode};

use chrono::{DateTime, Utc};
use clap::Args;

use super::{Failure, print, upkeep};
use crate::{services::security, store::security_events::Filter};

const PAGE: u16 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct SecurityEvents {
    /// Not before this time, such as 2026-01-31T12:00:00Z.
    #[arg(long)]
    since: Option<DateTime<Utc>>,
    /// Before this time.
    #[arg(long)]
    until: Option<DateTime<Utc>>,
    /// Of this name alone, such as `login`.
    #[arg(long)]
    event: Option<String>,
}

impl SecurityEvents {
    pub(super) async fn run(self, file: Option<&Path>) -> Result<ExitCode, Failure> {
        let Self { since, until, event } = self;
        let app = upkeep::app(file).await?;
        let mut filter = Filter {
            event,
            since,
            until,
            ..Filter::default()
        };
        loop {
            let page = security::list(&app, &filter, PAGE).await?;
            for event in &page {
                print(&serde_json::to_string(event)?);
            }
            match page.last() {
                Some(last) => filter.before = Some(last.event_id),
                None => return Ok(ExitCode::SUCCESS),
            }
        }
    }
}
