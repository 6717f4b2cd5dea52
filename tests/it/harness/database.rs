//! A database for each test, copied from a migrated template that is made once per process.
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database that goes when the test that has it passed; of one that failed it stays to be looked at.
pub(crate) struct Database {
    name: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one variable that says where tests may write"
)]
fn server() -> String {
    std::env::var("VIOLET_TEST_DATABASE_URL")
        .expect("run the tests under scripts/with-postgres: VIOLET_TEST_DATABASE_URL is not set")
}

fn url_of(name: &str) -> String {
    let server = server();
    assert!(
        server.contains("/postgres?"),
        "the address of another server than with-postgres makes"
    );
    server.replacen("/postgres?", &format!("/{name}?"), 1)
}

async fn administer(statement: String) {
    let mut connection = PgConnection::connect(&server())
        .await
        .expect("the server answers");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .expect("the statement is right");
    connection.close().await.expect("it was open");
}

async fn template() -> &'static str {
    TEMPLATE
        .get_or_init(|| async {
            let name = format!("template_{}", std::process::id());
            administer(format!("create database {name}")).await;
            let mut connection = PgConnection::connect(&url_of(&name))
                .await
                .expect("it was just made");
            violet::MIGRATOR
                .run(&mut connection)
                .await
                .expect("the migrations are right");
            connection.close().await.expect("it was open");
            name
        })
        .await
}

impl Database {
    pub(crate) async fn create() -> Self {
        let name = format!(
            "test_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        administer(format!("create database {name} template {}", template().await)).await;
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        url_of(&self.name)
    }

    pub(crate) async fn delete(self) {
        administer(format!("drop database {} with (force)", self.name)).await;
    }
}
