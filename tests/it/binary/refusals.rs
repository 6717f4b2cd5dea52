//! `violet dev` where it cannot be: it says so at once, and leaves nothing behind. And where it may be elsewhere.
use std::{fs, net::TcpListener, path::PathBuf};

use sqlx::{Connection as _, PgConnection};
use violet_chain::Wallet;

use super::{Violet, folder};
use crate::harness::Database;

#[tokio::test]
async fn a_port_in_use_is_refused_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = folder();
    let state = folder.path().join("state");
    let state_name = state.to_str().unwrap();
    for (option, ports) in [
        ("--port", ["--port", &port, "--chain-port", "0"]),
        ("--chain-port", ["--port", "0", "--chain-port", &port]),
    ] {
        let arguments = [&["dev", "--state", state_name][..], &ports].concat();
        let refused = Violet::start(&arguments, &[]);
        let refusal = refused.refuses().await;
        assert!(
            refusal.contains(&format!(
                "cannot listen on {address}; choose another with {option}:"
            )),
            "{refusal}"
        );
        assert!(!state.exists(), "{option}");
    }
    let refusal = Violet::start(&["chain", "dev", "--chain-port", &port], &[])
        .refuses()
        .await;
    assert!(refusal.contains("choose another with --chain-port:"), "{refusal}");
}

#[tokio::test]
async fn a_state_that_cannot_be_used_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // Nobody can make these; root could make one in any other folder.
    for state in [file.join("state"), file, PathBuf::from("/proc/violet")] {
        let refusal = Violet::dev(&state).refuses().await;
        let begin = format!("violet: the state folder {} cannot be used: ", state.display());
        assert!(refusal.starts_with(&begin), "{refusal}");
        assert!(refusal.ends_with("choose another with --state"), "{refusal}");
    }
}

#[tokio::test]
async fn dev_says_when_it_uses_another_database() {
    let database = Database::create().await;
    let folder = folder();
    let state = folder.path().to_str().unwrap();
    let mut dev = Violet::start(
        &["dev", "--state", state, "--port", "0", "--chain-port", "0"],
        &[("DATABASE_URL", &database.url())],
    );
    dev.up().await;
    let out = dev.out();
    let line = out.lines().next().unwrap();
    assert!(
        line.contains(&format!("the database {}", database.name())),
        "{out}"
    );
    assert!(line.contains("DATABASE_URL"), "{out}");
    assert!(!folder.path().join("postgres").exists());
    dev.interrupted().await;
    database.delete().await;
}

#[tokio::test]
async fn a_server_says_what_it_lacks() {
    let folder = folder();
    let wallets = folder.path().to_str().unwrap();
    let serve = |wallet| {
        [
            "serve",
            "--port",
            "0",
            "--wallet.path",
            wallets,
            "--wallet.name",
            wallet,
        ]
    };
    let database = [
        ("DATABASE_URL", "postgres://somebody:secret@127.0.0.1:1/violet"),
        ("VIOLET_STORAGE__URL", wallets),
    ];
    let refusal = Violet::start(&serve("nobody"), &database).refuses().await;
    let missing = folder.path().join("nobody/hotkeys/default");
    let expected = format!("there is no hotkey {}; ", missing.display());
    assert!(refusal.contains(&expected), "{refusal}");
    assert!(refusal.contains("violet wallet create"), "{refusal}");

    Wallet::new(Some(folder.path()), "server", "default")
        .unwrap()
        .create()
        .unwrap();
    for arguments in [&serve("server")[..], &["migrate"]] {
        let refusal = Violet::start(arguments, &database).refuses().await;
        assert!(
            refusal.contains("cannot connect to the database violet at 127.0.0.1:1; DATABASE_URL"),
            "{refusal}"
        );
        assert!(refusal.contains("refused"), "{refusal}");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}

#[tokio::test]
async fn a_schema_that_cannot_be_brought_up_to_date_says_what_to_do() {
    let database = Database::create().await;
    let mut db = PgConnection::connect(&database.url()).await.unwrap();
    let role = format!("limited_{}", database.name());
    let mut run = async |statement: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut db)
            .await
            .unwrap();
    };
    let refusal = async |url: &str| {
        Violet::start(&["migrate"], &[("DATABASE_URL", url)])
            .refuses()
            .await
    };

    run(format!(
        "create role {role}; revoke create on schema public from public"
    ))
    .await;
    let limited = format!("{}&options[role]={role}", database.url());
    let said = refusal(&limited).await;
    assert!(
        said.contains("lacks a privilege; make it the owner of the database"),
        "{said}"
    );
    run(format!("drop role {role}")).await;

    run(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'later', true, '', 0)"
            .into(),
    )
    .await;
    let said = refusal(&database.url()).await;
    assert!(
        said.contains("migration 9999 is newer than this server"),
        "{said}"
    );

    run("delete from _sqlx_migrations where version = 9999;
         update _sqlx_migrations set checksum = '' where version = 1"
        .into())
    .await;
    let said = refusal(&database.url()).await;
    assert!(
        said.contains("migration 1 is another one than this server's"),
        "{said}"
    );
    db.close().await.unwrap();
    database.delete().await;
}
