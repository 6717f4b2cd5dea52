//! What the schema promises beyond what the queries check: enums equal the Rust types, foreign keys are indexed, and
//! history is partitioned.
use std::{collections::BTreeSet, fmt::Debug};

use sqlx::{AssertSqlSafe, Connection, Encode, PgConnection, Postgres, Type, postgres::PgConnectOptions};
use violet::{
    domain::{
        Priority, TaskState, TaskType, access::OrganizationRole, enrolment::NeuronKind, media::FileKind,
        neurons::Kind, records::RecordKind, task::Reason,
    },
    store::{accounts::Role, assignments::Outcome, mails::Purpose},
};

/// A database of our own with the schema, dropped at the end of a test that went well.
struct Fresh {
    server: PgConnection,
    name: String,
    db: PgConnection,
}

impl Fresh {
    #[expect(clippy::disallowed_methods, reason = "the address is given to tests this way")]
    async fn new() -> Self {
        let url = std::env::var("VIOLET_TEST_DATABASE_URL")
            .expect("run tests with scripts/with-postgres, which sets VIOLET_TEST_DATABASE_URL");
        let options: PgConnectOptions = url.parse().unwrap();
        let mut server = PgConnection::connect_with(&options).await.unwrap();
        let name = format!("schema_{}", uuid::Uuid::now_v7().simple());
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
            .execute(&mut server)
            .await
            .unwrap();
        let mut db = PgConnection::connect_with(&options.database(&name))
            .await
            .unwrap();
        violet::MIGRATOR.run(&mut db).await.unwrap();
        Self { server, name, db }
    }

    /// The first column of what a statement answers.
    async fn names(&mut self, statement: &'static str) -> Vec<String> {
        sqlx::query_scalar(statement)
            .fetch_all(&mut self.db)
            .await
            .unwrap()
    }

    async fn drop(self) {
        let Self { mut server, name, db } = self;
        db.close().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("drop database {name}")))
            .execute(&mut server)
            .await
            .unwrap();
    }
}

/// The labels of the variants: as Postgres reads them, and as they are on the wire.
async fn labels<T>(db: &mut PgConnection, variants: &[T]) -> Vec<String>
where
    T: Copy
        + Debug
        + serde::Serialize
        + Type<Postgres>
        + for<'q> Encode<'q, Postgres>
        + Send
        + Sync
        + 'static,
{
    let mut all = Vec::new();
    for variant in variants {
        // Prepared anew: the same text has a parameter of another type each time.
        let label: String = sqlx::query_scalar("select $1::text")
            .persistent(false)
            .bind(*variant)
            .fetch_one(&mut *db)
            .await
            .unwrap();
        let wire = serde_json::to_value(variant).unwrap();
        assert_eq!(wire, label, "{variant:?} has two names");
        all.push(label);
    }
    all
}

// A variant that is added fails to compile here until it is listed below.
fn is_listed(
    priority: Priority,
    reason: Reason,
    kind: RecordKind,
    outcome: Outcome,
    role: Role,
    purpose: Purpose,
) {
    match priority {
        Priority::Low | Priority::Normal | Priority::High | Priority::Urgent => {}
    }
    match reason {
        Reason::NoEligibleMiner
        | Reason::NoAnswer
        | Reason::Cancelled
        | Reason::Quorum
        | Reason::Abstained => {}
    }
    match kind {
        RecordKind::Rule
        | RecordKind::Base
        | RecordKind::CandidateSet
        | RecordKind::Draw
        | RecordKind::Settlement => {}
    }
    match outcome {
        Outcome::Expired
        | Outcome::Silent
        | Outcome::Refused
        | Outcome::Withdrawn
        | Outcome::Deregistered => {}
    }
    match role {
        Role::Client | Role::Admin => {}
    }
    match purpose {
        Purpose::VerifyEmail | Purpose::ResetPassword | Purpose::Invitation | Purpose::PasswordChanged => {}
    }
}

#[tokio::test]
async fn labels_of_enums_equal_the_rust_variants() {
    let mut fresh = Fresh::new().await;
    let priorities = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
    let reasons = [
        Reason::NoEligibleMiner,
        Reason::NoAnswer,
        Reason::Cancelled,
        Reason::Quorum,
        Reason::Abstained,
    ];
    let kinds = [
        RecordKind::Rule,
        RecordKind::Base,
        RecordKind::CandidateSet,
        RecordKind::Draw,
        RecordKind::Settlement,
    ];
    let outcomes = [
        Outcome::Expired,
        Outcome::Silent,
        Outcome::Refused,
        Outcome::Withdrawn,
        Outcome::Deregistered,
    ];
    let roles = [Role::Client, Role::Admin];
    let purposes = [
        Purpose::VerifyEmail,
        Purpose::ResetPassword,
        Purpose::Invitation,
        Purpose::PasswordChanged,
    ];
    is_listed(
        priorities[0],
        reasons[0],
        kinds[0],
        outcomes[0],
        roles[0],
        purposes[0],
    );

    let db = &mut fresh.db;
    let rust = [
        ("assignment_outcome", labels(db, &outcomes).await),
        ("file_kind", labels(db, FileKind::ALL).await),
        ("mail_purpose", labels(db, &purposes).await),
        ("neuron_change", labels(db, Kind::ALL).await),
        ("neuron_kind", labels(db, NeuronKind::ALL).await),
        ("organization_role", labels(db, OrganizationRole::ROLES).await),
        ("record_kind", labels(db, &kinds).await),
        ("task_priority", labels(db, &priorities).await),
        ("task_reason", labels(db, &reasons).await),
        ("task_state", labels(db, TaskState::ALL).await),
        ("task_type", labels(db, TaskType::ALL).await),
        ("user_role", labels(db, &roles).await),
    ];
    // In the order of the declaration: queries compare priorities by it.
    let schema: Vec<(String, Vec<String>)> = sqlx::query_as(
        "select t.typname::text, array_agg(e.enumlabel::text order by e.enumsortorder)
         from pg_type t
         join pg_enum e on e.enumtypid = t.oid
         join pg_namespace n on n.oid = t.typnamespace
         where n.nspname = 'public' group by t.typname order by t.typname",
    )
    .fetch_all(db)
    .await
    .unwrap();
    let rust: Vec<(String, Vec<String>)> = rust
        .into_iter()
        .map(|(name, labels)| (name.to_owned(), labels))
        .collect();
    assert_eq!(schema, rust);
    let of = |wanted: &str| &schema.iter().find(|(name, _)| name == wanted).unwrap().1;
    for task_type in TaskType::ALL {
        assert!(of("task_type").contains(&task_type.name().to_owned()));
    }
    for kind in FileKind::ALL {
        assert!(of("file_kind").contains(&kind.name().to_owned()));
    }
    for kind in Kind::ALL {
        assert!(of("neuron_change").contains(&kind.name().to_owned()));
    }
    for state in TaskState::ALL {
        assert!(of("task_state").contains(&state.name().to_owned()));
    }
    fresh.drop().await;
}

#[tokio::test]
async fn every_foreign_key_has_an_index() {
    let mut fresh = Fresh::new().await;
    let all = fresh
        .names("select conname::text from pg_constraint where contype = 'f'")
        .await;
    assert!(!all.is_empty(), "the schema has foreign keys");
    // An index serves a key when the key's columns are its first ones, in any order.
    let bare = fresh
        .names(
            "select c.conrelid::regclass::text || '.' || c.conname
             from pg_constraint c
             where c.contype = 'f'
               and not exists (
                 select from pg_index i
                 where i.indrelid = c.conrelid and i.indpred is null
                   and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)",
        )
        .await;
    assert!(bare.is_empty(), "foreign keys without an index: {bare:?}");
    fresh.drop().await;
}

/// What happened to tasks, kept: partitioned by the time in the task's id.
const HISTORY: [&str; 9] = [
    "assignment_ends",
    "evaluations",
    "files",
    "miner_consensus",
    "miner_responses",
    "task_ends",
    "task_voices",
    "tasks",
    "text_content",
];
/// What is still to do: rows that are removed when it is done.
const OPEN: [&str; 3] = ["task_assignments", "task_juries", "task_open"];

/// What names a task and is neither: keys are forgotten after a day, and records are kept by the batch that signs them,
/// some of which are of no task.
const NEITHER: [&str; 2] = ["idempotency_keys", "routing_records"];

#[tokio::test]
async fn history_is_partitioned_with_a_default() {
    let mut fresh = Fresh::new().await;
    let partitioned = fresh
        .names(
            "select relname::text from pg_class
             where relkind = 'p' and relnamespace = 'public'::regnamespace order by 1",
        )
        .await;
    assert_eq!(partitioned, HISTORY);
    let without_default = fresh
        .names(
            "select partrelid::regclass::text from pg_partitioned_table
             where partdefid = 0 or partstrat <> 'r'",
        )
        .await;
    assert!(
        without_default.is_empty(),
        "not by range, or without a default partition: {without_default:?}"
    );
    // Each table that names a task is one or the other, or says why not.
    let naming = fresh
        .names(
            "select t.relname::text from pg_class t
             join pg_attribute a on a.attrelid = t.oid
             where a.attname = 'task_id' and not a.attisdropped and t.relkind in ('r', 'p') and not t.relispartition
               and t.relnamespace = 'public'::regnamespace
             order by 1",
        )
        .await;
    let expected: BTreeSet<&str> = HISTORY.into_iter().chain(OPEN).chain(NEITHER).collect();
    let naming: BTreeSet<&str> = naming.iter().map(String::as_str).collect();
    assert_eq!(naming, expected);
    fresh.drop().await;
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let mut fresh = Fresh::new().await;
    violet::MIGRATOR.run(&mut fresh.db).await.unwrap();
    let applied = fresh
        .names("select version::text from _sqlx_migrations where success order by version")
        .await;
    assert_eq!(applied.len(), violet::MIGRATOR.iter().count());
    fresh.drop().await;
}
