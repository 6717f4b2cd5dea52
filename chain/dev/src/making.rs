//! One block: what goes into it, and the state after it.

use codec::{Decode as _, Encode as _};
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Header as _};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};
use sp_state_machine::{BackendTransaction, OverlayedChanges};

use crate::pool::Pooled;
use crate::runtime::cheats::CheatError;
use crate::runtime::{Executive, Header, RuntimeCall, UncheckedExtrinsic};
use crate::state::{State, StateError};
use crate::tree::StoredBlock;

/// Why no block was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error(transparent)]
    Cheat(#[from] CheatError),
    #[error("the changes of the block could not be stored")]
    Store(#[from] StateError),
}

/// A block that no tree holds yet.
pub(crate) struct Made<R> {
    pub(crate) result: R,
    pub(crate) block: StoredBlock,
    pub(crate) changes: BackendTransaction<BlakeTwo256>,
    /// What is still to wait.
    pub(crate) later: Vec<Pooled>,
}

/// What became of a transaction that was tried.
enum Applied {
    Included,
    Later,
    Never(TransactionValidityError),
}

/// Makes a block that holds `change` and then what fits of the pool. An error of `change` makes none.
pub(crate) fn make<R>(
    state: &State,
    parent: &StoredBlock,
    timestamp: u64,
    pool: Vec<Pooled>,
    change: impl FnOnce() -> Result<R, CheatError>,
) -> Result<Made<R>, BuildError> {
    let number = parent.number() + 1;
    let mut overlay = OverlayedChanges::default();
    let made = state.run(&mut overlay, || {
        let header = Header::new(
            number,
            H256::zero(),
            H256::zero(),
            parent.hash,
            Default::default(),
        );
        Executive::initialize_block(&header);
        let result = change()?;
        let mut extrinsics = vec![set_timestamp(timestamp)];
        let later = apply_all(pool, &mut extrinsics);
        Ok::<_, CheatError>((result, extrinsics, later, Executive::finalize_block()))
    });
    let (result, extrinsics, later, header) = made?;
    let (root, changes) = state.changes(&mut overlay)?;
    debug_assert_eq!(root, *header.state_root(), "the header commits to the state");
    let hash = header.hash();
    tracing::debug!(number, %hash, extrinsics = extrinsics.len(), "made a block");
    let block = StoredBlock {
        header,
        hash,
        extrinsics,
    };
    Ok(Made {
        result,
        block,
        changes,
        later,
    })
}

/// Tries the pool until nothing more fits, so that nonces may have come in any order. Gives what is left.
fn apply_all(mut pool: Vec<Pooled>, extrinsics: &mut Vec<Vec<u8>>) -> Vec<Pooled> {
    loop {
        let before = extrinsics.len();
        for pooled in std::mem::take(&mut pool) {
            match apply(&pooled.bytes) {
                Applied::Included => extrinsics.push(pooled.bytes),
                Applied::Later => pool.push(pooled),
                Applied::Never(reason) => {
                    tracing::debug!(hash = %pooled.hash, ?reason, "dropped a transaction");
                }
            }
        }
        if extrinsics.len() == before {
            return pool;
        }
    }
}

fn apply(bytes: &[u8]) -> Applied {
    let Ok(extrinsic) = UncheckedExtrinsic::decode(&mut &*bytes) else {
        return Applied::Never(InvalidTransaction::Call.into());
    };
    sp_io::storage::start_transaction();
    match Executive::apply_extrinsic(extrinsic) {
        Ok(_) => {
            sp_io::storage::commit_transaction();
            Applied::Included
        }
        Err(error) => {
            sp_io::storage::rollback_transaction();
            match error {
                TransactionValidityError::Invalid(
                    InvalidTransaction::Future | InvalidTransaction::ExhaustsResources,
                ) => Applied::Later,
                error => Applied::Never(error),
            }
        }
    }
}

/// Applies the one inherent and gives its bytes.
fn set_timestamp(timestamp: u64) -> Vec<u8> {
    let call = RuntimeCall::Timestamp(pallet_timestamp::Call::set { now: timestamp });
    let extrinsic = UncheckedExtrinsic::new_bare(call);
    let bytes = extrinsic.encode();
    let applied = Executive::apply_extrinsic(extrinsic);
    debug_assert!(
        matches!(applied, Ok(Ok(()))),
        "the timestamp moves on: {applied:?}"
    );
    bytes
}
