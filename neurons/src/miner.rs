//! The reference miner: tells the server what it can do, takes its assignments, works, and answers.
//! Refuses at once what it cannot do, so that somebody else can; never offers what it does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use violet_chain::{Causes, Keypair, Uid};

use crate::client::{Backoff, ClientError, FetchError, Fetched, Fetcher, ServerClient};
use crate::engines::{Catalogue, Engine, EngineError, Output, Speech};
use crate::signing::{NotCanonical, answer_digest, answer_message};
use crate::wire::{
    self, Answer, AnswerReceipt, Assignment, Heartbeat, HeartbeatAnswer, MAX_UPLOAD_BYTES, Offer, Refusal,
    RefusalReceipt, SERVED, SPEECH_MEDIA_TYPE, SentFile, Task, signature_text, wanted,
};
use crate::worklist::{Bounds, Outcome, Piece, Trade, work_off};

/// What a heartbeat calls us.
const VERSION: &str = concat!("violet-miner/", env!("CARGO_PKG_VERSION"));
/// How long an answer or a refusal is repeated at least while the server does not take it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between heartbeats while the server does not know us as a neuron.
const NOT_REGISTERED: Duration = Duration::from_secs(5);
/// More ids would make the address too long for some servers; what is left out is passed over when it comes.
const MOST_EXCLUDED: usize = 100;

/// How a miner works.
#[derive(Clone, Debug)]
pub struct MinerOptions {
    /// The server's address, e.g. `http://127.0.0.1:8000`.
    pub server: String,
    /// The hotkey that is registered on the subnet.
    pub keypair: Arc<Keypair>,
    /// How many assignments are worked on at the same time, at least 1.
    pub capacity: usize,
    /// What the work is done with.
    pub catalogue: Catalogue,
    /// How long assignments in hand may still take after the stop.
    pub grace: Duration,
}

impl MinerOptions {
    /// A miner with capacity 4 and 10 s of grace.
    pub fn new(server: impl Into<String>, keypair: Keypair, catalogue: Catalogue) -> Self {
        let keypair = Arc::new(keypair);
        Self {
            server: server.into(),
            keypair,
            capacity: 4,
            catalogue,
            grace: Duration::from_secs(10),
        }
    }
}

/// Why a miner cannot run.
#[derive(Debug, thiserror::Error)]
pub enum MinerError {
    /// Nothing that could be offered is installed.
    #[error(
        "no engine is installed that could be offered: install flite, espeak-ng, apertium, pocketsphinx or ffmpeg \
         (`make setup`)"
    )]
    NoEngine,
    /// The server's address is wrong, or what answers there is no such server.
    #[error("cannot work for {server}")]
    Server {
        server: String,
        #[source]
        source: ClientError,
    },
}

/// The reference miner.
#[derive(Debug)]
pub struct Miner {
    options: MinerOptions,
}

impl Miner {
    /// A miner that does nothing until it is run.
    pub fn new(mut options: MinerOptions) -> Self {
        options.catalogue = options.catalogue.only(&SERVED);
        Self { options }
    }

    /// Works until `stop` is cancelled. Waits for the server and for its own registration as long as it takes.
    /// After the stop it finishes what it has in hand within the grace and refuses the rest.
    pub async fn run(self, stop: CancellationToken) -> Result<(), MinerError> {
        let MinerOptions {
            server,
            keypair,
            capacity,
            catalogue,
            grace,
        } = self.options;
        if catalogue.is_empty() {
            return Err(MinerError::NoEngine);
        }
        let client = match ServerClient::connect_patiently(&server, &keypair, &stop).await {
            Ok(Some(client)) => client,
            Ok(None) => return Ok(()),
            Err(source) => return Err(MinerError::Server { server, source }),
        };
        let hotkey = keypair.hotkey();
        tracing::info!(%hotkey, netuid = %client.netuid(), server, capacity, "miner started");
        let workshop = Arc::new(Workshop {
            fetcher: client.fetcher(),
            client,
            catalogue,
            uid: watch::Sender::new(None),
            load: AtomicUsize::new(0),
            capacity: capacity.max(1),
        });
        let bounds = Bounds { capacity, grace };
        tokio::select! {
            () = work_off(Arc::clone(&workshop), &bounds, &workshop.load, &stop) => {}
            () = workshop.heartbeats(&stop) => {}
        }
        tracing::info!(%hotkey, "miner stopped");
        Ok(())
    }
}

/// What the parts of a running miner share.
struct Workshop {
    client: ServerClient,
    fetcher: Fetcher,
    catalogue: Catalogue,
    /// Known while the last heartbeat was accepted.
    uid: watch::Sender<Option<Uid>>,
    load: AtomicUsize,
    capacity: usize,
}

impl Piece for Assignment {
    fn id(&self) -> Uuid {
        self.task.task_id
    }
}

impl Trade for Workshop {
    type Piece = Assignment;

    async fn fetch(&self, known: Vec<Uuid>, wait: Duration) -> Result<Vec<Assignment>, ClientError> {
        let uid = match self.uid.subscribe().wait_for(Option::is_some).await {
            Ok(uid) => *uid,
            // The sender is ours and lives as long as we do.
            Err(_) => None,
        };
        let Some(uid) = uid else { return Ok(Vec::new()) };
        // At least a second: a part of one would be no wait at all.
        let wait = wait.as_secs().max(1);
        let mut target = format!("/api/v1/miners/{uid}/tasks?status=assigned&wait={wait}");
        if !known.is_empty() {
            let known: Vec<_> = known.iter().take(MOST_EXCLUDED).map(Uuid::to_string).collect();
            target.push_str("&exclude=");
            target.push_str(&known.join(","));
        }
        self.client.poll(&target).await
    }

    async fn work(&self, assignment: Assignment, abandon: CancellationToken) -> Outcome {
        let task_id = assignment.task.task_id;
        // By the server's clock, and never more than it gave, however the clocks differ. What is delivered again after
        // a restart has less.
        let given = (assignment.deadline - assignment.assigned_at)
            .to_std()
            .unwrap_or_default();
        let time = self.client.time_until(assignment.deadline).min(given);
        let started = Instant::now();
        let produced = tokio::select! {
            () = abandon.cancelled() => Err(Failure::Stopping),
            produced = tokio::time::timeout(time, self.produce(&assignment.task)) => {
                produced.unwrap_or(Err(Failure::OutOfTime))
            }
        };
        match produced {
            Ok((engine, output)) => {
                self.answer(task_id, engine, output, started.elapsed(), time)
                    .await
            }
            Err(failure) => {
                tracing::warn!(task.id = %task_id, error = %Causes(&failure), "refusing a task");
                self.refuse(task_id, &failure.to_string()).await
            }
        }
    }
}

/// Why an assignment is refused; the text is what the server is told, without our internals.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no engine here for this task")]
    NoEngine,
    #[error("the input is not one that this miner takes")]
    NoInput,
    /// The texts of these two say nothing about this machine.
    #[error(transparent)]
    Input(EngineError),
    #[error(transparent)]
    InputFile(FetchError),
    #[error("the engine failed")]
    Engine(#[source] EngineError),
    #[error("the speech is longer than can be sent")]
    TooLong,
    #[error("the speech could not be sent")]
    Send(#[source] ClientError),
    #[error("the speech was not received as it was sent")]
    SentOther,
    #[error("out of time")]
    OutOfTime,
    #[error("the miner is stopping")]
    Stopping,
}

impl Workshop {
    /// Tells the server what we are, on its own timer, for ever; work never delays it.
    async fn heartbeats(&self, stop: &CancellationToken) {
        let (mut backoff, mut registered) = (Backoff::default(), true);
        loop {
            let pause = match self.heartbeat(stop.is_cancelled()).await {
                Ok(HeartbeatAnswer {
                    uid,
                    ttl_seconds,
                    interval_seconds,
                }) => {
                    backoff.reset();
                    registered = true;
                    if self.uid.send_replace(Some(uid)) != Some(uid) {
                        tracing::info!(%uid, "the server knows us");
                    }
                    Duration::from_secs(interval_seconds.min(ttl_seconds / 2).clamp(1, 60))
                }
                Err(error) if error.status() == Some(StatusCode::FORBIDDEN) => {
                    self.uid.send_replace(None);
                    // Said once; it may last for hours.
                    if std::mem::take(&mut registered) {
                        tracing::warn!(
                            error = %Causes(&error),
                            "waiting to be registered on the subnet"
                        );
                    }
                    NOT_REGISTERED
                }
                Err(error) => {
                    tracing::warn!(error = %Causes(&error), "no heartbeat");
                    backoff.pause(&error)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn heartbeat(&self, stopping: bool) -> Result<HeartbeatAnswer, ClientError> {
        let load = self.load.load(Ordering::Relaxed);
        let heartbeat = Heartbeat {
            // Full, once we are stopping.
            capacity: if stopping { load.max(1) } else { self.capacity },
            load,
            engines: self
                .catalogue
                .engines()
                .iter()
                .map(|engine| Offer::from(engine.profile()))
                .collect(),
            version: VERSION,
        };
        self.client.post("/api/v1/miner/heartbeat", &heartbeat).await
    }

    /// Everything between the assignment and its answer. Files, ours and fetched ones, go when it ends or is dropped.
    async fn produce(&self, task: &Task) -> Result<(&Engine, Value), Failure> {
        let engine = self.catalogue.find(&wanted(task)).ok_or(Failure::NoEngine)?;
        let file = self.input_file(task, engine).await?;
        let input = wire::input(task, engine.profile(), file.as_ref().map(Fetched::path));
        let output = engine.run(&input.ok_or(Failure::NoInput)?).await;
        let output = output.map_err(|error| {
            if error.is_of_input() {
                Failure::Input(error)
            } else {
                Failure::Engine(error)
            }
        })?;
        let form = match &output {
            Output::Speech(speech) => wire::speech_output(&self.send(task.task_id, speech).await?),
            other => wire::output(other).ok_or(Failure::NoInput)?,
        };
        Ok((engine, form))
    }

    async fn input_file(&self, task: &Task, engine: &Engine) -> Result<Option<Fetched>, Failure> {
        let Some(file) = &task.input_file else {
            return Ok(None);
        };
        let limit = engine.profile().max_input_bytes;
        let fetched = self.fetcher.fetch(file, limit).await;
        fetched.map(Some).map_err(Failure::InputFile)
    }

    async fn send(&self, task_id: Uuid, speech: &Speech) -> Result<SentFile, Failure> {
        let size =
            std::fs::metadata(speech.path()).map_err(|error| Failure::Engine(EngineError::Folder(error)))?;
        if size.len() > MAX_UPLOAD_BYTES {
            return Err(Failure::TooLong);
        }
        let target = format!("/api/v1/miner/files?task_id={task_id}");
        let (sent, sha256): (SentFile, _) = self
            .client
            .upload_patiently(&target, speech.path(), SPEECH_MEDIA_TYPE, PATIENCE)
            .await
            .map_err(Failure::Send)?;
        // The answer signs the digest: it must be that of our own file.
        if sent.sha256.eq_ignore_ascii_case(&hex::encode(sha256)) && sent.file_size == size.len() {
            Ok(sent)
        } else {
            Err(Failure::SentOther)
        }
    }

    async fn answer(
        &self,
        task_id: Uuid,
        engine: &Engine,
        output: Value,
        taken: Duration,
        time: Duration,
    ) -> Outcome {
        let answer = match self.signed(task_id, engine, output) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(task.id = %task_id, error = %Causes(&error), "an output cannot be signed");
                return self.refuse(task_id, "the engine failed").await;
            }
        };
        let SignedAnswer {
            output,
            digest,
            signature,
        } = &answer;
        let profile = engine.profile();
        let body = Answer {
            task_id,
            output,
            model_id: &profile.model_id,
            engine: &profile.engine,
            processing_time: taken.as_secs_f64(),
            digest: digest.clone(),
            signature: signature.clone(),
        };
        let patience = time.saturating_sub(taken).max(PATIENCE);
        let posted = self
            .client
            .post_patiently("/api/v1/miner/answers", &body, patience)
            .await;
        match posted {
            Ok(AnswerReceipt { used, first, reason }) => {
                let work_ms = taken.as_millis();
                let reason = reason.unwrap_or_default();
                let model = &profile.model_id;
                tracing::info!(task.id = %task_id, %model, work_ms, used, first, reason, "answered");
                Outcome::Done
            }
            Err(error) if error.status() == Some(StatusCode::UNPROCESSABLE_ENTITY) => {
                tracing::error!(task.id = %task_id, error = %Causes(&error), "the answer is not valid");
                self.refuse(task_id, "the engine's output is not valid").await
            }
            Err(error) => {
                tracing::warn!(task.id = %task_id, error = %Causes(&error), "the answer was not taken");
                Outcome::Again
            }
        }
    }

    fn signed(&self, task_id: Uuid, engine: &Engine, output: Value) -> Result<SignedAnswer, NotCanonical> {
        let profile = engine.profile();
        let digest = answer_digest(&profile.engine, &profile.model_id, &output)?;
        let message = answer_message(self.client.netuid(), task_id, &digest);
        let signature = signature_text(&self.client.keypair().sign(&message));
        Ok(SignedAnswer {
            output,
            digest: hex::encode(digest),
            signature,
        })
    }

    async fn refuse(&self, task_id: Uuid, reason: &str) -> Outcome {
        let refusal = Refusal { task_id, reason };
        let posted = self
            .client
            .post_patiently("/api/v1/miner/refusals", &refusal, PATIENCE)
            .await;
        match posted {
            Ok(RefusalReceipt { released }) => {
                tracing::info!(task.id = %task_id, reason, released, "refused");
                Outcome::Done
            }
            Err(error) => {
                tracing::warn!(task.id = %task_id, error = %Causes(&error), "the refusal was not taken");
                Outcome::Again
            }
        }
    }
}

/// An output with what binds it to the task and to us.
struct SignedAnswer {
    output: Value,
    digest: String,
    signature: String,
}
