//! Puts a server together, runs it, and stops it in order: requests, then workers, then writers, then the database.
use std::{net::SocketAddr, time::Duration};

use sqlx::{
    Connection as _, PgConnection,
    error::DatabaseError,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use violet_chain::{KeyError, Keypair};

use crate::{
    app::App,
    blobs::{BlobError, Blobs},
    config::Config,
    domain::records::Record,
    http,
    services::{health, life, nonces, recording, roster},
    telemetry, workers,
};

/// Connections of the group writers: submissions, answers, evaluations and nonces have one each.
const WRITERS: u32 = 4;
/// `insufficient_privilege` of PostgreSQL.
const NO_PRIVILEGE: &str = "42501";
/// How long a request waits for a connection to the database.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(5);

/// Why a server does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}; choose another with {option}")]
    Listen {
        /// The address.
        address: String,
        /// The option that changes it.
        option: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database does not answer, or refuses.
    #[error("the database cannot be used")]
    Database(#[from] sqlx::Error),
    /// What `DATABASE_URL` names cannot be connected to.
    #[error("cannot connect to the database {place}; DATABASE_URL (or database.url) names it")]
    Connect {
        /// Host, port and name, without user and password.
        place: String,
        /// What is wrong.
        source: sqlx::Error,
    },
    /// The schema is of another version, or cannot be brought up to date.
    #[error("the database's schema cannot be brought up to date: {}", remedy(.0))]
    Migrate(#[from] MigrateError),
    /// There is nowhere to keep files.
    #[error("files cannot be kept")]
    Blobs(#[from] BlobError),
    /// The server's key cannot do what it is for.
    #[error(
        "the server's hotkey must be sr25519: make one with `violet wallet create`, or choose another with --wallet.name \
         and --wallet.hotkey"
    )]
    Key(#[from] KeyError),
    /// Something that was to be recorded first.
    #[error("the first records cannot be made")]
    First(#[from] crate::error::Error),
}

/// What to do about a schema.
fn remedy(error: &MigrateError) -> String {
    match error {
        MigrateError::VersionMissing(version) => {
            format!(
                "its migration {version} is newer than this server; run the version that made it, or a later one"
            )
        }
        MigrateError::VersionMismatch(version) => {
            format!("its migration {version} is another one than this server's; run the version that made it")
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)
            if error.as_database_error().and_then(DatabaseError::code).as_deref() == Some(NO_PRIVILEGE) =>
        {
            "its user lacks a privilege; make it the owner of the database".into()
        }
        _ => "what the database says follows; nothing of the migration that failed was kept".into(),
    }
}

/// Connects once. A pool tries until its patience ends, and then tells nothing but that.
///
/// # Errors
/// What is wrong with the address, or what the database says.
pub(crate) async fn check_database(url: &str) -> Result<(), StartError> {
    let options: PgConnectOptions = url.parse().map_err(|source| StartError::Connect {
        place: "there".into(),
        source,
    })?;
    let place = format!(
        "{} at {}:{}",
        options.get_database().unwrap_or_default(),
        options.get_host(),
        options.get_port()
    );
    let refused = |source| StartError::Connect { place, source };
    PgConnection::connect_with(&options)
        .await
        .map_err(refused)?
        .close()
        .await?;
    Ok(())
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its parts.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    stop_requests: CancellationToken,
    stop_writers: CancellationToken,
    requests: TaskTracker,
    writers: TaskTracker,
}

impl Server {
    /// Connects, migrates, listens and starts everything.
    ///
    /// # Errors
    /// When the database or the address cannot be used.
    pub async fn start(config: Config, keypair: Keypair) -> Result<Self, StartError> {
        telemetry::start_metrics();
        let wanted = format!("{}:{}", config.server.host, config.server.port);
        // Before anything is written: a port in use should leave no trace.
        let listener = TcpListener::bind(&wanted)
            .await
            .map_err(|source| StartError::Listen {
                address: wanted.clone(),
                option: "--port",
                source,
            })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            address: wanted,
            option: "--port",
            source,
        })?;
        check_database(&config.database.url).await?;
        let db = PgPoolOptions::new()
            .max_connections(config.database.connections)
            .acquire_timeout(CONNECTION_PATIENCE)
            .connect(&config.database.url)
            .await?;
        crate::MIGRATOR.run(&db).await?;
        let writing = PgPoolOptions::new()
            .max_connections(WRITERS)
            .acquire_timeout(CONNECTION_PATIENCE)
            // A round trip for each commit; a connection that died fails its batch, which is then tried again.
            .test_before_acquire(false)
            .connect(&config.database.url)
            .await?;

        let blobs = Blobs::open(&config.storage)?;
        let (app, inboxes) = App::new(config, db, writing, blobs, keypair)?;
        health::measure_clock(&app).await?;
        nonces::begin(&app).await?;
        life::resume(&app).await?;
        recording::record_once(&app, &Record::Rule(app.rule.clone())).await?;
        roster::refresh(&app).await?;

        let server = Self {
            app: app.clone(),
            address,
            stop_requests: CancellationToken::new(),
            stop_writers: CancellationToken::new(),
            requests: TaskTracker::new(),
            writers: TaskTracker::new(),
        };
        workers::start_writers(&app, inboxes, &server.writers, &server.stop_writers);
        workers::start(&app, &server.requests, &server.stop_requests);
        server
            .requests
            .spawn(telemetry::keep_up(server.stop_requests.clone()));
        let limits = http::Limits {
            connections: app.config.server.connections,
            headers: Duration::from_secs(app.config.server.header_seconds),
        };
        server.requests.spawn(http::serve(
            listener,
            http::router(app),
            limits,
            server.requests.clone(),
            server.stop_requests.clone(),
        ));
        tracing::info!(%address, hotkey = %server.app.hotkey, netuid = server.app.config.netuid, "listening");
        Ok(server)
    }

    /// The server's address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops: no new requests, those in flight finish, everything that was promised is written.
    pub async fn stop(self) {
        let drain = Duration::from_secs(self.app.config.server.drain_seconds);
        self.stop_requests.cancel();
        self.app.hub.close();
        self.requests.close();
        if tokio::time::timeout(drain, self.requests.wait()).await.is_err() {
            tracing::warn!("stopped with requests in flight");
        }
        self.stop_writers.cancel();
        self.writers.close();
        if tokio::time::timeout(drain, self.writers.wait()).await.is_err() {
            tracing::warn!("stopped with writes in flight");
        }
        self.app.writing.close().await;
        self.app.db.close().await;
    }
}
