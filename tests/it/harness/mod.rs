//! What every test stands on: a database of its own, a chain, a server, users and neurons. All real, spoken to over
//! HTTP; SQL is used to move deadlines back and to look at what no route shows.
mod bucket;
mod database;
mod enrolment;
mod http;
mod issuer;
mod neuron;
mod post_office;
pub(crate) mod samples;
mod user;
mod way;
mod world;

pub(crate) use bucket::Bucket;
pub(crate) use database::Database;
pub(crate) use enrolment::Keyed;
pub(crate) use http::{Multipart, Reply};
pub(crate) use issuer::{AUDIENCE, Issuer, Manner, SigningKey};
pub(crate) use neuron::{MODEL, Neuron, keypair, nonce, sign, signature_text};
pub(crate) use post_office::PostOffice;
pub(crate) use user::{TEXT, User, translation};
pub(crate) use way::Way;
pub(crate) use world::{SERVER, World, eventually, fresh_chain};

/// Enough to approve, and far above the threshold.
pub(crate) const GOOD: u16 = 60_000;
/// Far below the threshold.
pub(crate) const BAD: u16 = 1_000;
