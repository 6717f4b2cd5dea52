//! The REST API as users see it: what it takes, what it refuses, and what its answers look like.
mod accounts;
mod bad_input;
mod idempotency;
mod problems;
mod reading;
mod system;
