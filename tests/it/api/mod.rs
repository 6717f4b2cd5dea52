//! The REST API as users see it: what it takes, what it refuses, and what its answers look like.
mod accounts;
mod bad_input;
mod connections;
mod errors;
mod failing;
mod idempotency;
mod metrics;
mod operation;
mod problems;
mod reading;
mod refusals;
mod refusals_of_files;
mod refusals_of_people;
mod system;
mod unread;
