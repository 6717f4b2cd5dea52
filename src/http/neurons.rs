//! What happened to the neurons of the subnet, for users.
use axum::{Json as Body, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use violet_chain::{Coldkey, Hotkey};

use super::{
    extract::{Page, Path, Query},
    principal::May,
    problem::ApiError,
};
use crate::{
    app::App,
    domain::{access::may, neurons::Kind},
    services::neurons,
    store::neurons::Recorded,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_neuron_history))
}

#[derive(Debug, Serialize, ToSchema)]
struct History {
    success: bool,
    count: usize,
    changes: Vec<Change>,
    /// What to send as `before` for the next page; null when this is the last.
    next: Option<i64>,
}

/// Something that happened between two snapshots.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Change {
    id: i64,
    change: Kind,
    /// The neuron's, as it is afterwards; of one that was deregistered, as it was.
    #[schema(value_type = String)]
    hotkey: Hotkey,
    /// Likewise.
    #[schema(value_type = String)]
    coldkey: Coldkey,
    /// It came about after this block,
    after_block: i64,
    /// whose time this is; null for block 0, which has none.
    after_time: Option<DateTime<Utc>>,
    /// and not after this one.
    block: i64,
    /// The block's time.
    time: DateTime<Utc>,
    /// `registered`: whose the uid was, if anybody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    instead_of: Option<Hotkey>,
    /// `deregistered`: whose the uid is now, if anybody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    replaced_by: Option<Hotkey>,
    /// `hotkey_swapped`: the hotkey before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    former_hotkey: Option<Hotkey>,
    /// `coldkey_swapped`: the coldkey before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    former_coldkey: Option<Coldkey>,
    /// `axon_changed`: address and port before, if it served.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_axon: Option<String>,
    /// `axon_changed`: address and port now, if it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    axon: Option<String>,
}

impl From<Recorded> for Change {
    fn from(recorded: Recorded) -> Self {
        let Recorded {
            change_id,
            kind,
            hotkey,
            coldkey,
            other_hotkey,
            former_coldkey,
            former_axon,
            axon,
            from_block,
            from_at,
            block,
            block_at,
        } = recorded;
        let other_of = |wanted| other_hotkey.filter(|_| kind == wanted);
        Self {
            id: change_id,
            change: kind,
            hotkey,
            coldkey,
            after_block: from_block,
            after_time: from_at,
            block,
            time: block_at,
            instead_of: other_of(Kind::Registered),
            replaced_by: other_of(Kind::Deregistered),
            former_hotkey: other_of(Kind::HotkeySwapped),
            former_coldkey,
            former_axon,
            axon,
        }
    }
}

/// List what happened to a uid: who registered and was deregistered, swapped keys, permits and axons.
///
/// Seen from one snapshot of the subnet to the next, from the first one that this service took.
#[utoipa::path(
    get, path = "/neurons/{uid}/history", tag = "neurons", security(("api_key" = ["network:read"])),
    params(("uid" = u16, Path, description = "A place in the subnet"), Page<i64>),
    responses((status = 200, description = "A page of changes, newest first", body = History), ApiError)
)]
async fn list_neuron_history(
    State(app): State<App>,
    _client: May<may::ReadNetwork>,
    Path(uid): Path<u16>,
    Query(page): Query<Page<i64>>,
) -> Result<Body<History>, ApiError> {
    let limit = page.limit();
    let mut found = neurons::history(&app, uid, page.before, limit + 1).await?;
    let is_last = found.len() <= usize::from(limit);
    found.truncate(limit.into());
    let next = found.last().map(|last| last.change_id).filter(|_| !is_last);
    let changes: Vec<Change> = found.into_iter().map(Into::into).collect();
    Ok(Body(History {
        success: true,
        count: changes.len(),
        changes,
        next,
    }))
}
