//! `violet serve`
use std::{path::Path, process::ExitCode};

use clap::Args;

use super::{Failure, WalletArgs, load, stop_signal};
use crate::server::Server;

/// The server: API and workers, on a database that runs elsewhere (`DATABASE_URL`).
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen.
    #[arg(long)]
    port: Option<u16>,
    /// The address to listen on.
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    wallet: WalletArgs,
}

impl Serve {
    pub(super) async fn run(self, file: Option<&Path>) -> Result<ExitCode, Failure> {
        let mut config = load(file)?;
        config.server.port = self.port.unwrap_or(config.server.port);
        config.server.host = self.host.unwrap_or(config.server.host);
        if config.database.url.is_empty() {
            return Err("no database: set DATABASE_URL (or database.url), or use `violet dev`".into());
        }
        if config.storage.location().is_empty() {
            return Err(
                "no place for files: set storage.url (VIOLET_STORAGE__URL) to a folder or a bucket".into(),
            );
        }
        let keypair = self.wallet.open()?.keypair()?;
        let stop = stop_signal()?;
        let server = Server::start(config, keypair).await?;
        stop.cancelled().await;
        tracing::info!("stopping");
        server.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}
