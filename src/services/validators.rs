//! The validators of the subnet: who may judge, and how well each agrees with the consensus.
use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use violet_chain::Hotkey;

use crate::{
    app::App,
    domain::performance,
    error::Result,
    services::snapshots,
    store::{
        self,
        validators::{Agreement, Known},
    },
};

/// A hotkey with a validator permit.
#[derive(Debug)]
pub struct Validator {
    /// Who.
    pub hotkey: Hotkey,
    /// Its place in the subnet.
    pub uid: u16,
    /// `total_stake` of the chain, in rao.
    pub stake: u64,
    /// Whether it would be on the jury of a task that is done now.
    pub may_judge: bool,
    /// Its last authenticated request.
    pub last_seen: Option<DateTime<Utc>>,
    /// None before the first verdict on a task that it scored.
    pub agreement: Option<Agreement>,
}

/// Everybody with a validator permit in the snapshot in force, in uid order.
///
/// # Errors
/// 503 without a snapshot, or when the database does not answer.
pub async fn all(app: &App) -> Result<Vec<Validator>> {
    let snapshot = app.snapshots.current()?.snapshot;
    let known: HashMap<Hotkey, Known> = store::validators::known(&app.db, app.config.netuid)
        .await?
        .into_iter()
        .map(|known| (known.hotkey, known))
        .collect();
    let permitted = snapshot.neurons.iter().filter(|neuron| neuron.validator_permit);
    Ok(permitted
        .map(|neuron| {
            let known = known.get(&neuron.hotkey);
            Validator {
                hotkey: neuron.hotkey,
                uid: neuron.uid.0,
                stake: neuron.stake.0,
                may_judge: known.is_some_and(|known| known.active)
                    && snapshots::may_judge(app, &snapshot, neuron),
                last_seen: known.and_then(|known| known.last_seen),
                agreement: known.and_then(|known| known.agreement),
            }
        })
        .collect())
}

/// A validator's score of an answer, beside the consensus.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    /// Of the validator.
    pub(crate) score: u16,
    /// Of all.
    pub(crate) consensus: u16,
}

/// What validators scored in the tasks that got a verdict: for each task, what each of them said of its answers.
pub(crate) type Verdicts = Vec<(Hotkey, Vec<Compared>)>;

/// Takes verdicts into the agreement of those who scored, inside the caller's transaction.
pub(crate) async fn remember(tx: &mut PgConnection, netuid: u16, verdicts: &Verdicts) -> Result<()> {
    let mut by_validator: BTreeMap<Hotkey, Vec<&[Compared]>> = BTreeMap::new();
    for (hotkey, compared) in verdicts.iter().filter(|(_, compared)| !compared.is_empty()) {
        by_validator.entry(*hotkey).or_default().push(compared);
    }
    if by_validator.is_empty() {
        return Ok(());
    }
    let hotkeys: Vec<Hotkey> = by_validator.keys().copied().collect();
    let mut known = store::validators::lock_agreements(tx, netuid, &hotkeys).await?;
    for (hotkey, agreement) in &mut known {
        for task in by_validator.get(hotkey).into_iter().flatten() {
            agreement.tasks += 1;
            for Compared { score, consensus } in *task {
                agreement.mean = agreement.mean.with(performance::agreement(*score, *consensus));
            }
        }
    }
    store::validators::put_agreements(tx, netuid, &known).await?;
    Ok(())
}
