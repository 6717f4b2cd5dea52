//! Receipts: everything that a decision about a task rests on, for its owner to check.
use violet_chain::{Hotkey, VrfProof};

use crate::{
    app::App,
    domain::{
        BatchId, OrganizationId, TaskId,
        records::{Digest, Record},
    },
    error::{Error, Result},
    services::{recording, snapshots::PUBLISHED_AFTER},
    store,
};

/// A record with the proof that the server signed it.
#[derive(Debug)]
pub struct Proved {
    /// Its canonical bytes.
    pub body: Vec<u8>,
    /// What they say.
    pub record: Record,
    /// The batch it was committed with.
    pub batch: BatchId,
    /// Its place there.
    pub leaf_index: u32,
    /// Records in the batch.
    pub size: u32,
    /// The hashes from the leaf to the root (RFC 6962).
    pub path: Vec<[u8; 32]>,
    /// The root.
    pub root: [u8; 32],
    /// Who signed.
    pub server: Hotkey,
    /// Signature over "violet/batch/1" ‖ SCALE(batch id, root, size).
    pub signature: [u8; 64],
}

/// Draws and settlement of a task, with what they name.
#[derive(Debug)]
pub struct Receipt {
    /// The preimage of the request digest.
    pub netuid: u16,
    /// The organisation that asked.
    pub organization: OrganizationId,
    /// The client's entropy.
    pub client_entropy: Vec<u8>,
    /// Digest of the input.
    pub input_digest: Digest,
    /// Draws and settlement, oldest first.
    pub task: Vec<Proved>,
    /// Rule, bases and candidate sets that they name.
    pub named: Vec<Proved>,
    /// The VRFs of the bases that may be known by now, by the digests of their records.
    pub revealed: Vec<(Digest, VrfProof)>,
    /// Proofs of the stakes at the blocks of bases, where there are.
    pub proofs: Vec<store::proofs::OfBase>,
}

/// The receipt of a task of this owner.
///
/// # Errors
/// 404 for no such task.
pub async fn receipt(app: &App, organization: OrganizationId, task: TaskId) -> Result<Receipt> {
    let missing = || Error::NotFound { what: "task" };
    store::tasks::find(&app.db, organization, task)
        .await?
        .ok_or_else(missing)?;
    let request = store::tasks::request(&app.db, task).await?.ok_or_else(missing)?;
    let mut records = Vec::new();
    let mut named: Vec<[u8; 32]> = Vec::new();
    let mut bases: Vec<Digest> = Vec::new();
    for stored in store::records::of_task(&app.db, task).await? {
        let proved = prove(app, stored).await?;
        if let Record::Draw(draw) = &proved.record {
            named.push(draw.candidate_set.0);
            named.push(draw.base.0);
            bases.push(draw.base);
        }
        records.push(proved);
    }
    // Batches are named by the clocks of the servers that made them; the numbers of the draws are certain.
    records.sort_by_key(|proved: &Proved| match &proved.record {
        Record::Draw(draw) => draw.draw,
        _ => u32::MAX,
    });
    bases.sort_unstable_by_key(|base| base.0);
    bases.dedup();
    let digests: Vec<Vec<u8>> = bases.iter().map(|base| base.0.to_vec()).collect();
    let proofs = store::proofs::of_bases(&app.db, &digests).await?;
    let mut revealed = Vec::new();
    for base in bases {
        if let Some(proof) = store::bases::revealed(&app.db, base.0, PUBLISHED_AFTER.as_secs_f64()).await? {
            revealed.push((base, proof));
        }
    }
    let named = follow(app, named).await?;
    Ok(Receipt {
        netuid: u16::try_from(request.netuid).unwrap_or(0),
        organization: request.organization_id,
        client_entropy: request.client_entropy,
        input_digest: Digest(
            request
                .input_digest
                .try_into()
                .map_err(|_| Error::internal("a digest of another size"))?,
        ),
        task: records,
        named,
        revealed,
        proofs,
    })
}

/// The records of these digests and the rules that they name.
async fn follow(app: &App, mut digests: Vec<[u8; 32]>) -> Result<Vec<Proved>> {
    let mut found: Vec<Proved> = Vec::new();
    let mut done: Vec<[u8; 32]> = Vec::new();
    while let Some(digest) = digests.pop() {
        if done.contains(&digest) {
            continue;
        }
        done.push(digest);
        let stored = store::records::by_digest(&app.db, digest)
            .await?
            .ok_or_else(|| Error::internal("a record names one that is not there"))?;
        let proved = prove(app, stored).await?;
        if let Record::CandidateSet(set) = &proved.record {
            digests.push(set.rule.0);
        }
        found.push(proved);
    }
    Ok(found)
}

async fn prove(app: &App, stored: store::records::Stored) -> Result<Proved> {
    let mut connection = app.db.acquire().await?;
    let batch = store::records::batch(&mut connection, stored.batch_id).await?;
    let size = u32::try_from(batch.bodies.len()).map_err(Error::internal)?;
    let index = u32::try_from(stored.leaf_index).map_err(Error::internal)?;
    let tree = recording::tree(batch.bodies);
    let proof = tree.prove_inclusion(usize::try_from(index).map_err(Error::internal)?);
    let path = proof
        .as_bytes()
        .chunks_exact(32)
        .map(|hash| hash.try_into().expect("chunks of 32"))
        .collect();
    Ok(Proved {
        record: Record::from_bytes(&stored.body).map_err(Error::internal)?,
        body: stored.body,
        batch: stored.batch_id,
        leaf_index: index,
        size,
        path,
        root: batch.root,
        server: Hotkey(batch.server),
        signature: batch.signature,
    })
}
