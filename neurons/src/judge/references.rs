//! What our own runs made of the latest tasks, so that a task that is delivered again costs no second run.
//! Keeps a few, and nothing on disk.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::NoJudgement;

/// How many are kept.
const KEPT: usize = 16;

/// What answers of one task are held against.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) text: String,
    /// How long our own speech sounds; nothing for other tasks.
    pub(super) duration: Duration,
}

#[derive(Debug, Default)]
pub(super) struct References {
    latest: Mutex<VecDeque<(Uuid, Arc<Reference>)>>,
}

impl References {
    /// The task's reference: the kept one, or what `run` makes.
    pub(super) async fn get_or(
        &self,
        task_id: Uuid,
        run: impl Future<Output = Result<Reference, NoJudgement>>,
    ) -> Result<Arc<Reference>, NoJudgement> {
        if let Some(kept) = self.kept(task_id) {
            return Ok(kept);
        }
        let made = Arc::new(run.await?);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == KEPT {
            latest.pop_front();
        }
        latest.push_back((task_id, Arc::clone(&made)));
        Ok(made)
    }

    fn kept(&self, task_id: Uuid) -> Option<Arc<Reference>> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = latest.iter().filter(|(id, _)| *id == task_id);
        kept.next().map(|(_, reference)| Arc::clone(reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_run_per_task_and_the_oldest_goes() {
        let references = References::default();
        let made = async |number: u128, text: &str| {
            let run = async {
                Ok(Reference {
                    text: text.to_owned(),
                    duration: Duration::ZERO,
                })
            };
            let made = references.get_or(Uuid::from_u128(number), run).await;
            made.unwrap().text.clone()
        };
        assert_eq!(made(1, "first").await, "first");
        assert_eq!(made(1, "second").await, "first");
        for number in 2..=KEPT as u128 + 1 {
            made(number, "other").await;
        }
        assert_eq!(made(1, "third").await, "third");
        let failed = references.get_or(Uuid::from_u128(99), async { Err(NoJudgement::NoInput) });
        assert!(failed.await.is_err());
        assert_eq!(made(99, "made").await, "made");
    }
}
