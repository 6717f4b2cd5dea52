//! Errors as logs and people are shown them.

use std::{error::Error, fmt};

/// An error with its causes on one line: `Display` shows only the outermost, which hides what to do about it.
#[derive(Debug)]
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(source) = cause {
            let next = source.to_string();
            // Some errors repeat their cause in their own text.
            if !said.ends_with(&next) {
                write!(f, ": {next}")?;
            }
            said = next;
            cause = source.source();
        }
        Ok(())
    }
}
