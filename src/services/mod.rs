//! What the product does, one file per noun. Owns transactions; speaks neither HTTP nor SQL.
pub mod accounts;
pub mod enrolment;
pub mod identities;
pub mod identity;
mod jwks;
mod key_bounds;
pub mod keys;
pub mod life;
pub mod limiting;
pub mod lockout;
pub mod mailing;
pub mod nonces;
pub mod oidc;
pub mod organizations;
pub mod passwords;
pub mod quotas;
pub mod secrets;
pub mod security;
pub mod sessions;
pub mod standing;
pub mod tokens;
pub mod wallets;

pub mod models;
pub mod neurons;
pub mod roster;
pub mod seeing;
pub mod snapshots;

pub mod clearing;
pub mod downloads;
pub mod drawing;
pub mod files;
pub mod submitting;
pub mod voices;
pub mod waiting;

pub mod accepting;
pub mod answering;
pub mod evaluating;
pub mod outputs;
pub mod responding;
pub mod settling;
pub mod sweeping;
pub mod validators;

pub mod audit;
pub mod proving;
pub mod recording;
pub mod tasks;

pub mod batch;
pub mod health;
pub mod hub;
pub mod line;
pub mod waking;
