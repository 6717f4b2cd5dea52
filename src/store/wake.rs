//! `LISTEN` and `NOTIFY`: how replicas wake each other. Never part of a request's transaction.
use sqlx::{PgExecutor, postgres::PgListener};

/// The channel that replicas listen on.
pub(crate) const CHANNEL: &str = "violet_wake";

pub(crate) async fn notify(db: impl PgExecutor<'_>, payload: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, payload)
        .execute(db)
        .await?;
    Ok(())
}

/// A connection of its own that hears what is told.
pub(crate) async fn listen(db: &sqlx::PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(db).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

pub(crate) async fn heard(listener: &mut PgListener) -> Result<String, sqlx::Error> {
    Ok(listener.recv().await?.payload().to_owned())
}
