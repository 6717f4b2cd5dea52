//! Wake-ups: who waits for a task or for a hotkey's mail learns at once that there is something to read.
//!
//! A wake-up says nothing but "look again"; losing one costs a poll interval, never a result.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use violet_chain::Hotkey;

use crate::domain::TaskId;

/// Wake-ups that wait to be told to the other replicas.
const WAITING: usize = 10_000;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A task's state or result.
    Task(TaskId),
    /// A miner's assignments.
    Miner(Hotkey),
    /// A validator's finished tasks.
    Validator(Hotkey),
    /// Work for the settling worker.
    Settling,
    /// Work for the drawing worker.
    Drawing,
    /// A miner said something new about itself.
    Roster,
    /// Mails to be sent.
    Mail,
}

impl Topic {
    /// A short name that other replicas know it by.
    pub fn name(self) -> String {
        match self {
            Self::Task(id) => format!("t{}", hex::encode(id.bytes())),
            Self::Miner(key) => format!("m{}", hex::encode(key.0)),
            Self::Validator(key) => format!("v{}", hex::encode(key.0)),
            Self::Settling => "s".into(),
            Self::Drawing => "d".into(),
            Self::Roster => "r".into(),
            Self::Mail => "p".into(),
        }
    }

    /// Reads [`Self::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        let key = |hex: &str| -> Option<Hotkey> { Some(Hotkey(hex::decode(hex).ok()?.try_into().ok()?)) };
        match name.split_at_checked(1)? {
            ("t", id) => Some(Self::Task(
                uuid::Uuid::from_slice(&hex::decode(id).ok()?).ok()?.into(),
            )),
            ("m", hex) => key(hex).map(Self::Miner),
            ("v", hex) => key(hex).map(Self::Validator),
            ("s", "") => Some(Self::Settling),
            ("d", "") => Some(Self::Drawing),
            ("r", "") => Some(Self::Roster),
            ("p", "") => Some(Self::Mail),
            _ => None,
        }
    }
}

/// The waiters of this process, and the way to those of the others.
#[derive(Debug)]
pub struct Hub {
    closing: CancellationToken,
    poll: Duration,
    /// With how many wait for each.
    waiting: Mutex<HashMap<Topic, (Arc<Notify>, usize)>>,
    others: mpsc::Sender<Topic>,
}

impl Hub {
    /// A hub, and what it wants told to the other replicas. Whoever waits looks again after `poll` even if nothing woke
    /// it.
    pub fn new(poll: Duration) -> (Self, mpsc::Receiver<Topic>) {
        let (others, outbox) = mpsc::channel(WAITING);
        (
            Self {
                closing: CancellationToken::new(),
                poll,
                waiting: Mutex::default(),
                others,
            },
            outbox,
        )
    }

    /// Ends all waiting: what is there by then is what there is.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Wakes whoever waits for `topic`, here and on the other replicas.
    pub fn wake(&self, topic: Topic) {
        self.wake_here(topic);
        // When too much is waiting, the others find it at their next poll.
        let _ = self.others.try_send(topic);
    }

    /// Wakes whoever waits in this process.
    pub fn wake_here(&self, topic: Topic) {
        let notify = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&topic)
            .map(|(notify, _)| Arc::clone(notify));
        if let Some(notify) = notify {
            notify.notify_waiters();
            // A worker may be at work just now; it must look again afterwards.
            if matches!(
                topic,
                Topic::Settling | Topic::Drawing | Topic::Roster | Topic::Mail
            ) {
                notify.notify_one();
            }
        }
    }

    /// Starts to wait: wake-ups from here on are not lost.
    pub fn waiter(self: &Arc<Self>, topic: Topic) -> Waiter {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (notify, count) = waiting.entry(topic).or_default();
        *count += 1;
        Waiter {
            hub: Arc::clone(self),
            topic,
            notify: Arc::clone(notify),
        }
    }
}

/// Somebody who waits for a topic.
#[derive(Debug)]
pub struct Waiter {
    hub: Arc<Hub>,
    topic: Topic,
    notify: Arc<Notify>,
}

impl Waiter {
    /// Waits for one wake-up.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    /// Runs `look` until it finds something or `limit` has passed; looks again at each wake-up.
    ///
    /// # Errors
    /// What `look` fails with.
    pub async fn until<T, E, F>(&self, limit: Duration, mut look: impl FnMut() -> F) -> Result<Option<T>, E>
    where
        F: Future<Output = Result<Option<T>, E>>,
    {
        let end = tokio::time::Instant::now() + limit;
        loop {
            // Registered before the look, so that what happens during it wakes us.
            let mut woken = std::pin::pin!(self.notify.notified());
            woken.as_mut().enable();
            if let Some(found) = look().await? {
                return Ok(Some(found));
            }
            let now = tokio::time::Instant::now();
            if now >= end {
                return Ok(None);
            }
            tokio::select! {
                () = self.hub.closing.cancelled() => return Ok(None),
                _ = tokio::time::timeout_at(end.min(now + self.hub.poll), woken) => {}
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.hub.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = waiting.get_mut(&self.topic) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for topic in [
            Topic::Task(TaskId::new()),
            Topic::Miner(Hotkey([7; 32])),
            Topic::Validator(Hotkey([8; 32])),
            Topic::Settling,
            Topic::Drawing,
            Topic::Roster,
        ] {
            assert_eq!(Topic::from_name(&topic.name()), Some(topic));
        }
        assert_eq!(Topic::from_name(""), None);
        assert_eq!(Topic::from_name("tzz"), None);
    }

    #[tokio::test]
    async fn a_wake_up_during_the_look_is_not_lost() {
        let (hub, _outbox) = Hub::new(Duration::from_secs(20));
        let hub = Arc::new(hub);
        let waiter = hub.waiter(Topic::Settling);
        let mut looks = 0;
        let started = tokio::time::Instant::now();
        let found = waiter
            .until(Duration::from_secs(30), || {
                looks += 1;
                hub.wake_here(Topic::Settling);
                let found = (looks == 3).then_some(());
                async move { Ok::<_, ()>(found) }
            })
            .await;
        assert_eq!(found, Ok(Some(())));
        assert!(started.elapsed() < hub.poll);
        let other = hub.waiter(Topic::Settling);
        drop(waiter);
        assert_eq!(hub.waiting.lock().unwrap().len(), 1);
        drop(other);
        assert!(hub.waiting.lock().unwrap().is_empty());
    }
}
