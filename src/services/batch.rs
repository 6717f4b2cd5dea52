//! Group commit: a writer takes whatever has queued since its last commit and writes it in one transaction.
//!
//! There is no timer: one request alone waits for nobody.
use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, mpsc::error::TrySendError, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// The most that one transaction takes.
const LARGEST: usize = 500;

type Waiting<T, R> = (T, oneshot::Sender<Result<R>>);

/// The side that requests hand their writes to.
#[derive(Debug)]
pub struct Batcher<T, R> {
    sender: mpsc::Sender<Waiting<T, R>>,
}

/// The side that the writer takes them from.
#[derive(Debug)]
pub struct Inbox<T, R> {
    receiver: mpsc::Receiver<Waiting<T, R>>,
}

/// Writes one batch.
pub trait Write: Send + 'static {
    /// What is written.
    type Item: Send + Sync + 'static;
    /// What each writer learns.
    type Answer: Send + 'static;

    /// Writes all of `items` in one transaction; one answer for each, in order.
    ///
    /// # Errors
    /// When nothing was written; then each item is tried alone, so that a poisoned one fails alone.
    fn write(
        &mut self,
        items: &[Self::Item],
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer>>>> + Send;
}

/// A queue of at most `capacity` waiting writes.
pub fn queue<T, R>(capacity: usize) -> (Batcher<T, R>, Inbox<T, R>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Batcher { sender }, Inbox { receiver })
}

impl<T, R> Batcher<T, R> {
    /// Takes a place in the queue, before anything is done that would have to be undone without one.
    ///
    /// # Errors
    /// 503 when too much is waiting, or when the server stops.
    pub fn place(&self) -> Result<Place<'_, T, R>> {
        match self.sender.try_reserve() {
            Ok(permit) => Ok(Place { permit }),
            Err(TrySendError::Full(())) => Err(Error::Unavailable {
                reason: "too many writes are waiting",
                after: Duration::from_secs(1),
            }),
            Err(TrySendError::Closed(())) => Err(stopping()),
        }
    }

    /// Hands `item` to the writer and waits until it is committed.
    ///
    /// # Errors
    /// What the writer says, or what [`Self::place`] does.
    pub async fn submit(&self, item: T) -> Result<R> {
        self.place()?.submit(item).await
    }
}

/// A place in the queue of a writer.
#[derive(Debug)]
pub struct Place<'a, T, R> {
    permit: mpsc::Permit<'a, Waiting<T, R>>,
}

impl<T, R> Place<'_, T, R> {
    /// Hands `item` to the writer and waits until it is committed.
    ///
    /// # Errors
    /// What the writer says.
    pub async fn submit(self, item: T) -> Result<R> {
        let (sender, receiver) = oneshot::channel();
        self.permit.send((item, sender));
        receiver.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Error {
    Error::Unavailable {
        reason: "the server is stopping",
        after: Duration::from_secs(2),
    }
}

impl<T: Send + Sync + 'static, R: Send + 'static> Inbox<T, R> {
    /// Writes batches until `stop`, then what is still waiting.
    pub async fn run<W: Write<Item = T, Answer = R>>(mut self, mut writer: W, stop: CancellationToken) {
        let mut waiting = Vec::with_capacity(LARGEST);
        let mut closed = false;
        loop {
            let received = tokio::select! {
                received = self.receiver.recv_many(&mut waiting, LARGEST) => received,
                () = stop.cancelled(), if !closed => {
                    self.receiver.close();
                    closed = true;
                    continue;
                }
            };
            if received == 0 {
                return;
            }
            let (items, senders): (Vec<T>, Vec<_>) = waiting.drain(..).unzip();
            let answers = match guarded(&mut writer, &items).await {
                Ok(answers) => answers,
                Err(error) if items.len() == 1 => vec![Err(error)],
                Err(error) => {
                    tracing::warn!(
                        error = %crate::error::Causes(&error),
                        items = items.len(),
                        "a batch failed; its items are written one by one"
                    );
                    let mut answers = Vec::with_capacity(items.len());
                    for item in &items {
                        let alone = guarded(&mut writer, std::slice::from_ref(item)).await;
                        answers.push(alone.and_then(|mut answers| {
                            answers
                                .pop()
                                .unwrap_or_else(|| Err(Error::internal("a writer gave no answer")))
                        }));
                    }
                    answers
                }
            };
            for (sender, answer) in senders.into_iter().zip(answers) {
                // Whoever asked may have gone away; what it asked for is stored all the same.
                let _ = sender.send(answer);
            }
        }
    }
}

/// A writer that panics loses its transaction; those who wait for it are told, and the next batch is written.
async fn guarded<W: Write>(writer: &mut W, items: &[W::Item]) -> Result<Vec<Result<W::Answer>>> {
    AssertUnwindSafe(writer.write(items))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Error::internal("a writer panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles numbers; 13 makes it panic.
    struct Doubling;

    impl Write for Doubling {
        type Item = u32;
        type Answer = u32;

        async fn write(&mut self, items: &[u32]) -> Result<Vec<Result<u32>>> {
            assert!(!items.contains(&13), "a number that brings bad luck");
            Ok(items.iter().map(|item| Ok(2 * item)).collect())
        }
    }

    #[tokio::test]
    async fn an_item_that_makes_the_writer_panic_fails_alone() {
        let (batcher, inbox) = queue(10);
        let stop = CancellationToken::new();
        let all = futures_util::future::join_all([1, 13, 3].map(|item| batcher.submit(item)));
        let writing = inbox.run(Doubling, stop.clone());
        let (answers, ()) = tokio::join!(
            async {
                let answers = all.await;
                // Whoever comes afterwards is served as well.
                assert_eq!(batcher.submit(4).await.ok(), Some(8));
                stop.cancel();
                answers
            },
            writing
        );
        assert_eq!(
            answers.into_iter().map(Result::ok).collect::<Vec<_>>(),
            [Some(2), None, Some(6)]
        );
        assert!(matches!(batcher.place(), Err(Error::Unavailable { .. })));
    }

    #[tokio::test]
    async fn a_place_is_taken_before_it_is_used() {
        let (batcher, _inbox) = queue::<u32, u32>(1);
        let place = batcher.place().expect("the queue is empty");
        assert!(batcher.place().is_err());
        drop(place);
        assert!(batcher.place().is_ok());
    }
}
