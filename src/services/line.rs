//! The connection that a group writer keeps between its batches.
use sqlx::{PgPool, Postgres, pool::PoolConnection};

/// A connection of a pool, kept: a pool asks each connection that comes back whether it lives, which is a round trip for
/// each commit.
#[derive(Debug)]
pub struct Line {
    pool: PgPool,
    held: Option<PoolConnection<Postgres>>,
}

impl Line {
    /// One to the database of `pool`; connects when it is needed.
    pub fn new(pool: &PgPool) -> Self {
        Self {
            pool: pool.clone(),
            held: None,
        }
    }

    /// The connection that was kept, else another. Whoever fails does not keep it: then it goes back to the pool, which
    /// finds out whether it lives.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take(&mut self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        match self.held.take() {
            Some(connection) => Ok(connection),
            None => self.pool.acquire().await,
        }
    }

    /// Keeps a connection on which all went well.
    pub fn keep(&mut self, connection: PoolConnection<Postgres>) {
        self.held = Some(connection);
    }
}
