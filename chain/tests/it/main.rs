//! Tests of the crate from outside: signed requests, keys, wallets, and the client against a real dev chain.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod harness;

mod auth;
mod btauth;
mod client;
mod doctor;
mod endpoints;
mod faults;
mod gateway;
mod hyperparameters;
mod keys;
mod proofs;
mod python;
mod surface;
mod types;
mod wallet;
mod ways;
mod writing;
