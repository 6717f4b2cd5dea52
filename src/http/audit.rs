//! `/api/v1/audit`: what anybody who was part of a task can check.
use axum::{
    Json as Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::{BlockHash, Hotkey};

use super::{extract::Path, principal::May, problem::ApiError};
use crate::{
    app::App,
    domain::{BatchId, OrganizationId, TaskId, access::may, records::RecordKind},
    services::{
        audit::{self, Proved},
        proving::{self, BlockName},
    },
    store::proofs::OfBase,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_task_receipt))
        .routes(routes!(get_stake_proof))
}

/// Everything that the decisions about a task rest on.
#[derive(Debug, Serialize, ToSchema)]
struct Receipt {
    task_id: TaskId,
    /// What the draws are tied to: BLAKE2b-256 of SCALE("violet/request/1", netuid, account, entropy, input digest).
    request: Request,
    /// Draws and settlement, oldest first.
    records: Vec<Record>,
    /// Rule, bases and candidate sets that they name.
    named: Vec<Record>,
    /// The bases that may be known by now: those with two later snapshots, the first of them 10 s old.
    revealed: Vec<Revealed>,
    /// Where proofs of all stakes at the blocks of bases are: for one base in a tempo.
    stake_proofs: Vec<StakeProof>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Request {
    netuid: u16,
    /// The organisation.
    account: OrganizationId,
    /// The client's `Idempotency-Key` or `Violet-Nonce`, hex; empty when it sent none.
    client_entropy: String,
    /// Hex.
    input_digest: String,
}

/// A record, and the proof that the server signed it.
#[derive(Debug, Serialize, ToSchema)]
struct Record {
    kind: RecordKind,
    /// BLAKE2b-256 of `body`, hex.
    digest: String,
    /// Canonical SCALE bytes, hex.
    body: String,
    /// What `body` says.
    decoded: serde_json::Value,
    proof: Proof,
}

/// RFC 6962 (SHA-256) inclusion of `body` in a batch, and the server's signature over the batch.
#[derive(Debug, Serialize, ToSchema)]
struct Proof {
    batch_id: BatchId,
    leaf_index: u32,
    size: u32,
    /// Hashes from the leaf to the root, hex.
    path: Vec<String>,
    /// Hex.
    root: String,
    #[schema(value_type = String)]
    server: Hotkey,
    /// sr25519 over "violet/batch/1" ‖ SCALE(batch id, root, size).
    signature: String,
}

/// The VRF that a base is made from.
#[derive(Debug, Serialize, ToSchema)]
struct Revealed {
    /// Digest of the base's record, hex.
    base: String,
    /// Hex.
    preout: String,
    /// Hex.
    proof: String,
}

/// A proof that stakes, hotkeys and owners are those of the chain's state.
#[derive(Debug, Serialize, ToSchema)]
struct StakeProof {
    /// Digest of the base's record, hex.
    base: String,
    block: u32,
    #[schema(value_type = String)]
    block_hash: BlockHash,
    path: String,
    /// Bytes.
    size: u32,
}

impl From<OfBase> for StakeProof {
    fn from(proof: OfBase) -> Self {
        let block_hash = BlockHash(proof.block_hash);
        Self {
            base: hex::encode(proof.record),
            block: proof.block,
            block_hash,
            path: format!("/api/v1/audit/bases/{block_hash}/proof"),
            size: proof.size,
        }
    }
}

impl TryFrom<Proved> for Record {
    type Error = serde_json::Error;

    fn try_from(proved: Proved) -> Result<Self, serde_json::Error> {
        let Proved {
            body,
            record,
            batch,
            leaf_index,
            size,
            path,
            root,
            server,
            signature,
        } = proved;
        Ok(Self {
            kind: record.kind(),
            digest: hex::encode(record.digest().0),
            body: hex::encode(body),
            decoded: serde_json::to_value(&record)?,
            proof: Proof {
                batch_id: batch,
                leaf_index,
                size,
                path: path.iter().map(hex::encode).collect(),
                root: hex::encode(root),
                server,
                signature: format!("0x{}", hex::encode(signature)),
            },
        })
    }
}

/// Read the receipt of one of your tasks: why these miners were drawn, and how it was settled.
#[utoipa::path(
    get, path = "/audit/tasks/{task_id}", tag = "audit", security(("api_key" = ["tasks:read"])), params(("task_id" = TaskId, Path)),
    responses((status = 200, description = "Its records with their proofs", body = Receipt), ApiError)
)]
async fn get_task_receipt(
    State(app): State<App>,
    client: May<may::ReadTasks>,
    Path(id): Path<TaskId>,
) -> Result<Body<Receipt>, ApiError> {
    let receipt = audit::receipt(&app, client.organization, id).await?;
    let shown = |records: Vec<Proved>| -> Result<Vec<Record>, ApiError> {
        records
            .into_iter()
            .map(|proved| {
                Record::try_from(proved).map_err(|error| crate::error::Error::internal(error).into())
            })
            .collect()
    };
    Ok(Body(Receipt {
        task_id: id,
        request: Request {
            netuid: receipt.netuid,
            account: receipt.organization,
            client_entropy: hex::encode(receipt.client_entropy),
            input_digest: hex::encode(receipt.input_digest.0),
        },
        records: shown(receipt.task)?,
        named: shown(receipt.named)?,
        revealed: receipt
            .revealed
            .into_iter()
            .map(|(base, vrf)| Revealed {
                base: hex::encode(base.0),
                preout: hex::encode(vrf.preout),
                proof: hex::encode(vrf.proof),
            })
            .collect(),
        stake_proofs: receipt.proofs.into_iter().map(StakeProof::from).collect(),
    }))
}

/// Download the proof of all stakes of the subnet at the block of a base.
///
/// There is one for one base in a tempo. SCALE of ("violet/stake-proof/1", netuid, header, trie nodes): the nodes lead
/// from the header's state root to the hotkeys, owners, stakes, parents and children of all neurons, and are checked
/// without a node by `violet audit verify-stake`. `violet chain prove` asks a node for such a proof of any block.
#[utoipa::path(
    get, path = "/audit/bases/{block}/proof", tag = "audit",
    params(("block" = String, Path, description = "Number of the block, or its hash (0x and 64 hex digits)")),
    responses(
        (status = 200, description = "The proof", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "not-found"),
        ApiError
    )
)]
async fn get_stake_proof(State(app): State<App>, Path(block): Path<BlockName>) -> Result<Response, ApiError> {
    let (hash, proof) = proving::find(&app, block).await?;
    let name = format!(
        "attachment; filename=\"stakes-{}-{hash}.proof\"",
        app.config.netuid
    );
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, proof).into_response())
}
