//! Every SQL statement of the service; one file per table or per transition. Begins no transaction, knows no rule.
pub mod accounts;
pub mod answers;
pub mod api_keys;
pub mod assignments;
pub mod bases;
pub mod evaluations;
pub mod files;
pub mod identities;
pub mod invitations;
pub mod life;
pub mod login_attempts;
pub mod mails;
pub mod memberships;
pub mod miners;
pub mod neuron_keys;
pub mod neurons;
pub mod nonces;
pub mod open;
pub mod proofs;
pub mod quotas;
pub mod rates;
pub mod records;
pub mod security_events;
pub mod sessions;
pub mod settlements;
pub mod storage;
pub mod submissions;
pub mod tasks;
pub mod users;
pub mod validators;
pub mod voices;
pub mod wake;
pub mod wallets;

/// The database's clock.
///
/// # Errors
/// When the database does not answer.
pub async fn now(db: impl sqlx::PgExecutor<'_>) -> Result<chrono::DateTime<chrono::Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(db)
        .await
}

/// A column of bytes that holds exactly `N` of them.
fn bytes<const N: usize>(column: &'static str, value: Vec<u8>) -> Result<[u8; N], sqlx::Error> {
    value
        .try_into()
        .map_err(|value: Vec<u8>| sqlx::Error::ColumnDecode {
            index: column.into(),
            source: format!("{} bytes instead of {N}", value.len()).into(),
        })
}

/// The same of a column that may be null.
fn some_bytes<const N: usize>(
    column: &'static str,
    value: Option<Vec<u8>>,
) -> Result<Option<[u8; N]>, sqlx::Error> {
    value.map(|value| bytes(column, value)).transpose()
}

/// A column of text that holds a value of ours.
fn decode<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|_| sqlx::Error::ColumnDecode {
        index: column.into(),
        source: format!("`{text}` is not one of its values").into(),
    })
}
