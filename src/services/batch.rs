//! Group commit: a writer takes whatever has queued since its last commit and writes it in one transaction.
//!
//! There is no timer: one request alone waits for nobody.
use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, mpsc, oneshot};
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
    receiver: Arc<Mutex<mpsc::Receiver<Waiting<T, R>>>>,
}

impl<T, R> Inbox<T, R> {
    /// For a second writer, which prepares its batch while the first one's is on its way.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self {
            receiver: Arc::clone(&self.receiver),
        }
    }
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
    (
        Batcher { sender },
        Inbox {
            receiver: Arc::new(Mutex::new(receiver)),
        },
    )
}

impl<T, R> Batcher<T, R> {
    /// Hands `item` to the writer and waits until it is committed.
    ///
    /// # Errors
    /// What the writer says, or 503 when too much is waiting.
    pub async fn submit(&self, item: T) -> Result<R> {
        let (sender, receiver) = oneshot::channel();
        self.sender
            .try_send((item, sender))
            .map_err(|_| Error::Unavailable {
                reason: "too many writes are waiting",
                after: Duration::from_secs(1),
            })?;
        receiver.await.map_err(|_| Error::Unavailable {
            reason: "the server is stopping",
            after: Duration::from_secs(2),
        })?
    }
}

impl<T: Send + Sync + 'static, R: Send + 'static> Inbox<T, R> {
    /// Writes batches until `stop`, then what is still waiting.
    pub async fn run<W: Write<Item = T, Answer = R>>(self, mut writer: W, stop: CancellationToken) {
        let mut waiting = Vec::with_capacity(LARGEST);
        let mut closed = false;
        loop {
            let received = {
                let mut receiver = self.receiver.lock().await;
                tokio::select! {
                    received = receiver.recv_many(&mut waiting, LARGEST) => received,
                    () = stop.cancelled(), if !closed => {
                        receiver.close();
                        closed = true;
                        continue;
                    }
                }
            };
            if received == 0 {
                return;
            }
            let (items, senders): (Vec<T>, Vec<_>) = waiting.drain(..).unzip();
            let answers = match writer.write(&items).await {
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
                        let alone = writer.write(std::slice::from_ref(item)).await;
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
