//! Reads the keys of issuers of tokens when requests want to know them: of each issuer by itself, so that one that is
//! slow holds up no other.
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{app::App, services::oidc};

pub(super) async fn run(app: App, stop: CancellationToken) {
    let issuers = app.issuers.all().iter();
    let keeping = join_all(issuers.map(|issuer| oidc::keep_keys(&app, issuer)));
    tokio::select! {
        () = stop.cancelled() => {}
        _ = keeping => {}
    }
}
