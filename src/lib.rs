//! Violet: the gateway between ordinary users and a Bittensor subnet.
//!
//! Read in this order: the values and rules, then what is stored, what the product does, and its faces.
pub mod domain;
pub mod error;

pub mod blobs;
pub mod config;
pub mod https;
pub mod issuers;
pub mod postgres;
pub mod settings;
pub mod store;

pub mod app;
pub mod services;

pub mod http;
pub mod workers;

pub mod server;
pub mod verify;

pub mod cli;
pub mod telemetry;

/// The schema, embedded so that a binary always carries the migrations that it was built against.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();
