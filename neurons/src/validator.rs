//! The reference validator: takes finished tasks, judges each answer, and posts signed evaluations.
//! Abstains where its judge cannot say anything. Sets weights on the chain by its scores, where it is told of a chain.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use violet_chain::{Causes, Keypair};

use crate::client::{ClientError, ServerClient};
use crate::engines::Catalogue;
use crate::judge::Judge;
use crate::scoreboard::Scoreboard;
use crate::signing::{evaluation_digest, evaluation_message};
use crate::weights::{Setter, WeightsOptions};
use crate::wire::{Evaluation, EvaluationReceipt, JudgeTask, JudgeTasks, Score, signature_text};
use crate::worklist::{Bounds, Outcome, Piece, Trade, work_off};

/// How long an evaluation is repeated while the server does not take it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a validator works.
#[derive(Clone, Debug)]
pub struct ValidatorOptions {
    /// The server's address, e.g. `http://127.0.0.1:8000`.
    pub server: String,
    /// The hotkey that holds a validator permit on the subnet.
    pub keypair: Arc<Keypair>,
    /// How many tasks are judged at the same time, at least 1.
    pub capacity: usize,
    /// What answers are judged against.
    pub catalogue: Catalogue,
    /// How long tasks in hand may still take after the stop.
    pub grace: Duration,
    /// Where and how weights are set; not at all without it.
    pub weights: Option<WeightsOptions>,
}

impl ValidatorOptions {
    /// A validator with capacity 2 and 10 s of grace, which sets no weights.
    pub fn new(server: impl Into<String>, keypair: Keypair, catalogue: Catalogue) -> Self {
        let keypair = Arc::new(keypair);
        Self {
            server: server.into(),
            keypair,
            capacity: 2,
            catalogue,
            grace: Duration::from_secs(10),
            weights: None,
        }
    }
}

/// Why a validator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ValidatorError {
    /// The server's address is wrong, or what answers there is no such server.
    #[error("cannot judge for {server}")]
    Server {
        server: String,
        #[source]
        source: ClientError,
    },
}

/// The reference validator.
#[derive(Debug)]
pub struct Validator {
    options: ValidatorOptions,
}

impl Validator {
    /// A validator that does nothing until it is run.
    pub fn new(options: ValidatorOptions) -> Self {
        Self { options }
    }

    /// Judges until `stop` is cancelled. Waits for the server and for its own permit as long as it takes. After the
    /// stop it finishes what it has in hand within the grace.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ValidatorError> {
        let ValidatorOptions {
            server,
            keypair,
            capacity,
            catalogue,
            grace,
            weights,
        } = self.options;
        let client = match ServerClient::connect_patiently(&server, &keypair, &stop).await {
            Ok(Some(client)) => client,
            Ok(None) => return Ok(()),
            Err(source) => return Err(ValidatorError::Server { server, source }),
        };
        let hotkey = keypair.hotkey();
        tracing::info!(%hotkey, netuid = %client.netuid(), server, capacity, "validator started");
        let board = Arc::new(Scoreboard::default());
        let setter = weights.map(|options| Setter {
            options,
            keypair: Arc::clone(&keypair),
            netuid: client.netuid(),
            board: Arc::clone(&board),
        });
        let bench = Arc::new(Bench {
            judge: Judge::new(catalogue, client.fetcher()),
            client,
            board,
        });
        let setting = async {
            if let Some(setter) = setter {
                setter.run(&stop).await;
            }
        };
        let (bounds, load) = (Bounds { capacity, grace }, AtomicUsize::new(0));
        tokio::join!(work_off(bench, &bounds, &load, &stop), setting);
        tracing::info!(%hotkey, "validator stopped");
        Ok(())
    }
}

/// What a running validator works with.
struct Bench {
    client: ServerClient,
    judge: Judge,
    board: Arc<Scoreboard>,
}

impl Piece for JudgeTask {
    fn id(&self) -> Uuid {
        self.task.task_id
    }
}

impl Trade for Bench {
    type Piece = JudgeTask;

    /// The server has no way to leave out what is known.
    async fn fetch(&self, _known: Vec<Uuid>, wait: Duration) -> Result<Vec<JudgeTask>, ClientError> {
        let target = format!("/api/v1/validator/tasks?wait={}", wait.as_secs().max(1));
        Ok(self.client.poll::<JudgeTasks>(&target).await?.tasks)
    }

    async fn work(&self, judged: JudgeTask, abandon: CancellationToken) -> Outcome {
        tokio::select! {
            () = abandon.cancelled() => Outcome::Again,
            outcome = self.evaluate(&judged) => outcome,
        }
    }
}

impl Bench {
    async fn evaluate(&self, judged: &JudgeTask) -> Outcome {
        let task_id = judged.task.task_id;
        let left = judged.deadline.map(|deadline| self.client.time_until(deadline));
        let scores = self.judge.evaluate(judged, left).await;
        let evaluation = Evaluation {
            task_id,
            scores: &scores,
            signature: self.signature(task_id, &scores),
        };
        let posted = self
            .client
            .post_patiently("/api/v1/validator/evaluations", &evaluation, PATIENCE)
            .await;
        match posted {
            Ok(EvaluationReceipt {
                accepted,
                replaced,
                reason,
            }) => {
                if accepted && !replaced {
                    for score in &scores {
                        if let Some(given) = score.score {
                            self.board.add(score.hotkey, given);
                        }
                    }
                }
                let judged = scores.iter().filter(|score| score.score.is_some()).count();
                let abstained = scores.len() - judged;
                let reason = reason.unwrap_or_default();
                tracing::info!(task.id = %task_id, judged, abstained, accepted, replaced, reason, "evaluated");
                Outcome::Done
            }
            // Also when an answer has come meanwhile (422): the next delivery has it.
            Err(error) => {
                tracing::warn!(task.id = %task_id, error = %Causes(&error), "the evaluation was not taken");
                Outcome::Again
            }
        }
    }

    fn signature(&self, task_id: Uuid, scores: &[Score]) -> String {
        let digest = evaluation_digest(scores.iter().map(|score| (score.hotkey, score.score)));
        let message = evaluation_message(self.client.netuid(), task_id, &digest);
        signature_text(&self.client.keypair().sign(&message))
    }
}
