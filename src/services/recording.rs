//! Signing what is recorded: all records of one commit share one signature over their Merkle root.
use codec::Encode;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::Sha256;

use crate::{
    app::App,
    domain::{BatchId, TaskId, blake2b_256, records::Record},
    error::Result,
    store::{
        self,
        records::{Batch, Leaf},
    },
};

/// What the server signs for a batch: "violet/batch/1" ‖ SCALE(batch id, root, size).
pub fn batch_message(id: BatchId, root: [u8; 32], size: u32) -> Vec<u8> {
    [&b"violet/batch/1"[..], &(id.bytes(), root, size).encode()].concat()
}

/// The RFC 6962 tree (SHA-256) over the bodies of a batch.
pub fn tree<T: AsRef<[u8]>>(bodies: impl IntoIterator<Item = T>) -> MemoryBackedTree<Sha256, T> {
    let mut tree = MemoryBackedTree::new();
    for body in bodies {
        tree.push(body);
    }
    tree
}

/// Signs `records`; `None` when there are none.
pub fn sign(app: &App, records: Vec<(Record, Option<TaskId>)>) -> Option<Batch> {
    if records.is_empty() {
        return None;
    }
    let leaves: Vec<Leaf> = records
        .into_iter()
        .map(|(record, task)| {
            let body = record.to_bytes();
            Leaf {
                digest: task.is_none().then(|| blake2b_256(&[&body])),
                body,
                record,
                task,
            }
        })
        .collect();
    let root: [u8; 32] = (*tree(leaves.iter().map(|leaf| leaf.body.as_slice()))
        .root()
        .as_bytes())
    .into();
    let id = BatchId::new();
    let size = u32::try_from(leaves.len()).expect("batches have some hundred records");
    let signature = app.keypair.sign(&batch_message(id, root, size));
    Some(Batch {
        id,
        root,
        signature,
        leaves,
    })
}

/// Records something that is named by its content, unless it is recorded already.
///
/// # Errors
/// When the database does not answer.
pub async fn record_once(app: &App, record: &Record) -> Result<()> {
    let digest = record.digest();
    if store::records::is_recorded(&app.db, digest.0).await? {
        return Ok(());
    }
    let Some(batch) = sign(app, vec![(record.clone(), None)]) else {
        return Ok(());
    };
    let mut tx = app.db.begin().await?;
    match store::records::insert(&mut tx, app.hotkey, &batch).await {
        Ok(()) => tx.commit().await?,
        // Another replica was first; its record says the same.
        Err(error) if store::records::is_duplicate(&error) => tx.rollback().await?,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
