//! The product from outside: a real server, database and chain, spoken to over HTTP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod harness;

mod access;
mod accounts;
mod answers;
mod api;
mod architecture;
mod assignments;
mod authentication;
mod binary;
mod chain_faults;
mod enrolment;
mod evaluations;
mod files;
mod following;
mod heartbeats;
mod keys;
mod lifecycle;
mod limits;
mod openapi;
mod pauses;
mod proofs;
mod python;
mod quotas;
mod receipts;
mod records;
mod reference_neurons;
mod replicas;
mod routing;
mod schema;
mod schemes;
mod signatures;
mod snapshots;
mod types;
mod waiting;
