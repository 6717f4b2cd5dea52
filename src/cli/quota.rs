//! `violet quota`.
use std::{path::Path, process::ExitCode};

use clap::{Args, Subcommand};

use super::{Failure, print, upkeep::app};
use crate::{
    domain::quotas::Quota,
    services::{accounts, quotas},
    store::quotas::Override,
};

#[derive(Debug, Subcommand)]
pub(crate) enum QuotaCommand {
    /// Show what a user's organisation uses, and what it may use.
    Show(QuotasOf),
    /// Give a user's organisation quotas of its own. What is left out is as the settings have it.
    Set(SetQuotas),
}

#[derive(Debug, Args)]
pub(crate) struct QuotasOf {
    /// The e-mail address of a user of the organisation.
    email: String,
}

#[derive(Debug, Args)]
pub(crate) struct SetQuotas {
    /// The e-mail address of a user of the organisation.
    email: String,
    /// Tasks that have not ended, at the same time; 0 is none.
    #[arg(long)]
    concurrent_tasks: Option<u32>,
    /// Tasks a day.
    #[arg(long)]
    daily_tasks: Option<u32>,
    /// Characters of texts a day.
    #[arg(long)]
    daily_characters: Option<u32>,
    /// Seconds of recordings and videos a day.
    #[arg(long)]
    daily_audio_seconds: Option<u32>,
    /// Bytes of all files.
    #[arg(long)]
    stored_bytes: Option<u64>,
}

impl QuotaCommand {
    pub(super) async fn run(self, file: Option<&Path>) -> Result<ExitCode, Failure> {
        let app = app(file).await?;
        match self {
            Self::Show(QuotasOf { email }) => {
                let organization = accounts::find(&app, &email).await?.organization_id;
                let standing = quotas::usage(&app, organization).await?.standing;
                for quota in Quota::ALL {
                    let limit = match standing.limits.of(quota) {
                        i64::MAX => "any".to_owned(),
                        limit => limit.to_string(),
                    };
                    print(&format!(
                        "{}  {} of {limit}",
                        quota.name(),
                        standing.used.of(quota)
                    ));
                }
            }
            Self::Set(SetQuotas {
                email,
                concurrent_tasks,
                daily_tasks,
                daily_characters,
                daily_audio_seconds,
                stored_bytes,
            }) => {
                let organization = accounts::find(&app, &email).await?.organization_id;
                let own = Override {
                    concurrent_tasks: concurrent_tasks.map(i64::from),
                    daily_tasks: daily_tasks.map(i64::from),
                    daily_characters: daily_characters.map(i64::from),
                    daily_audio_seconds: daily_audio_seconds.map(i64::from),
                    stored_bytes: stored_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
                };
                quotas::set(&app, organization, own).await?;
                print("servers keep them from now on");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
