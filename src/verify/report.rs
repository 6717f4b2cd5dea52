//! What the check of a receipt comes to.
use serde::Serialize;

/// What was checked.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What holds, in words.
    pub holds: Vec<String>,
    /// What does not.
    pub broken: Vec<String>,
    /// What is not in the receipt yet; without it nothing is proved.
    pub missing: Vec<String>,
    /// What no receipt can prove.
    pub open: Vec<String>,
}

/// What a [`Report`] comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that a receipt can prove is in it and holds.
    Verified,
    /// Nothing is broken, but something is missing: a later receipt of the task may have it.
    Incomplete,
    /// Something does not hold.
    Broken,
}

impl Report {
    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        if !self.broken.is_empty() {
            Outcome::Broken
        } else if !self.missing.is_empty() {
            Outcome::Incomplete
        } else {
            Outcome::Verified
        }
    }

    /// Whether nothing is broken, and nothing missing.
    pub fn is_sound(&self) -> bool {
        self.outcome() == Outcome::Verified
    }

    pub(super) fn check(&mut self, holds: bool, what: impl Into<String>) {
        let list = if holds { &mut self.holds } else { &mut self.broken };
        list.push(what.into());
    }
}

/// So many of something, in words that fit one as well.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
