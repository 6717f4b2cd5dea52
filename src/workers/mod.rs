//! What runs without being asked. Each worker is idempotent: a failure is logged, and the next round is the retry.
mod follow_chain;
mod note_sights;
mod prove_stakes;
mod read_keys;
mod share_rates;
mod wake_others;

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{App, Inboxes},
    error::{Causes, Error, Result},
    services::{
        accepting, answering, clearing, evaluating, health, hub::Topic, keys, life, limiting, line::Line,
        mailing, nonces, roster, sessions, settling, snapshots, submitting, sweeping, waiting, wallets,
    },
};

/// Starts the writers that requests hand their work to. They stop after the requests did.
pub fn start_writers(app: &App, inboxes: Inboxes, tracker: &TaskTracker, stop: &CancellationToken) {
    let Inboxes {
        accepting,
        answering,
        evaluating,
        nonces,
        sights,
        outbox,
    } = inboxes;
    let line = || Line::new(&app.writing);
    tracker.spawn(accepting.run(
        accepting::Writer {
            app: app.clone(),
            line: line(),
        },
        stop.clone(),
    ));
    tracker.spawn(answering.run(
        answering::Writer {
            app: app.clone(),
            line: line(),
        },
        stop.clone(),
    ));
    tracker.spawn(evaluating.run(
        evaluating::Writer {
            app: app.clone(),
            line: line(),
        },
        stop.clone(),
    ));
    tracker.spawn(nonces.run(
        nonces::Writer {
            app: app.clone(),
            line: line(),
        },
        stop.clone(),
    ));
    tracker.spawn(note_sights::run(app.clone(), sights, stop.clone()));
    tracker.spawn(wake_others::tell(app.clone(), outbox, stop.clone()));
}

/// Starts everything else: the complete list.
pub fn start(app: &App, tracker: &TaskTracker, stop: &CancellationToken) {
    tracker.spawn(kept_up(
        "follow-chain",
        app.clone(),
        stop.clone(),
        follow_chain::run,
    ));
    tracker.spawn(kept_up(
        "prove-stakes",
        app.clone(),
        stop.clone(),
        prove_stakes::run,
    ));
    tracker.spawn(kept_up("read-keys", app.clone(), stop.clone(), read_keys::run));
    tracker.spawn(kept_up(
        "share-rates",
        app.clone(),
        stop.clone(),
        share_rates::run,
    ));
    tracker.spawn(kept_up("listen", app.clone(), stop.clone(), wake_others::listen));
    let every = |name, period, woken_by, work| {
        tracker.spawn(repeat(app.clone(), stop.clone(), name, period, woken_by, work));
    };
    every(
        "refresh-roster",
        Duration::from_millis(500),
        Some(Topic::Roster),
        Work::RefreshRoster,
    );
    every(
        "draw-waiting",
        Duration::from_secs(1),
        Some(Topic::Drawing),
        Work::DrawWaiting,
    );
    every(
        "settle",
        Duration::from_secs(1),
        Some(Topic::Settling),
        Work::Settle,
    );
    every(
        "send-mails",
        Duration::from_secs(5),
        Some(Topic::Mail),
        Work::SendMails,
    );
    every("sweep-assignments", Duration::from_secs(1), None, Work::Sweep);
    every("watch-bases", Duration::from_secs(1), None, Work::WatchBases);
    every("measure-clock", Duration::from_secs(10), None, Work::MeasureClock);
    every("forget", Duration::from_secs(60), None, Work::Forget);
    every("count", Duration::from_secs(5), None, Work::Count);
    every("clear-storage", Duration::from_secs(5), None, Work::ClearStorage);
    every("note-life", life::BEAT, None, Work::NoteLife);
}

#[derive(Clone, Copy)]
enum Work {
    RefreshRoster,
    DrawWaiting,
    Settle,
    SendMails,
    Sweep,
    WatchBases,
    MeasureClock,
    Forget,
    Count,
    ClearStorage,
    NoteLife,
}

impl Work {
    async fn run(self, app: &App) -> Result<()> {
        match self {
            Self::RefreshRoster => {
                roster::refresh(app).await?;
                if app.roster.any_waiting() {
                    app.hub.wake_here(Topic::Drawing);
                }
                Ok(())
            }
            Self::DrawWaiting => waiting::draw(app).await,
            Self::Settle => {
                // What can be settled does not wait for what cannot be frozen.
                let (frozen, settled) = (settling::freeze(app).await, settling::settle(app).await);
                frozen.and(settled)
            }
            Self::SendMails => mailing::send_due(app).await,
            Self::Sweep => sweeping::sweep(app).await,
            Self::WatchBases => snapshots::watch_bases(app).await,
            Self::MeasureClock => health::measure_clock(app).await,
            Self::Forget => {
                nonces::sweep(app).await?;
                keys::forget(app).await?;
                limiting::forget(app).await?;
                sessions::sweep(app).await?;
                wallets::sweep(app).await?;
                submitting::forget_keys(app).await
            }
            Self::Count => health::count(app).await,
            Self::ClearStorage => clearing::clear(app).await,
            Self::NoteLife => life::beat(app).await,
        }
    }
}

/// Runs `work` until it ends by itself; after a panic it begins anew.
async fn kept_up<F: Future<Output = ()>>(
    name: &'static str,
    app: App,
    stop: CancellationToken,
    work: impl Fn(App, CancellationToken) -> F,
) {
    while AssertUnwindSafe(work(app.clone(), stop.clone()))
        .catch_unwind()
        .await
        .is_err()
    {
        tracing::error!(worker = name, "worker panicked; it begins anew");
        tokio::time::sleep(PAUSE).await;
    }
}

/// After a panic.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two rounds of a worker, however often it is woken: what comes in between goes together.
const REST: Duration = Duration::from_millis(5);

/// Does `work` every `period`, and when woken.
async fn repeat(
    app: App,
    stop: CancellationToken,
    name: &'static str,
    period: Duration,
    woken_by: Option<Topic>,
    work: Work,
) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waiter = woken_by.map(|topic| app.hub.waiter(topic));
    loop {
        let woken = async {
            match &waiter {
                Some(waiter) => waiter.woken().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = woken => {}
        }
        let done = AssertUnwindSafe(work.run(&app)).catch_unwind().await;
        if let Err(error) = done.unwrap_or_else(|_| Err(Error::internal("it panicked"))) {
            tracing::error!(worker = name, error = %Causes(&error), "worker failed");
        }
        tokio::time::sleep(REST).await;
    }
}
