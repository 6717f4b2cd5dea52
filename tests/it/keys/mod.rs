//! API keys: made, listed, used, rotated and revoked over the API, with scopes and an end.
mod lives;
mod scopes;

use serde_json::{Value, json};
use violet::domain::access::Permission;

use crate::harness::{Reply, User, World};

const KEYS: &str = "/api/v1/auth/api-keys";
const VERIFY: &str = "/api/v1/auth/verify-api-key";

/// A user whose key may do everything, managing included.
pub(crate) async fn manager(world: &World) -> User {
    let user = world.user().await;
    let all = Permission::ALL
        .iter()
        .map(|permission| format!("'{}'", permission.name()));
    let all = all.collect::<Vec<_>>().join(", ");
    let hash = format!("sha256('{}')", user.key);
    world
        .sql(&format!(
            "update api_keys set scopes = array[{all}] where hash = {hash}"
        ))
        .await;
    user
}

async fn make(user: &User, wish: &Value) -> Reply {
    Reply::to(user.post(KEYS).json(wish)).await
}

/// A key of this user, and somebody who uses it.
async fn with_scopes(user: &User, scopes: &[&str]) -> (Value, User) {
    let made = make(user, &json!({ "name": "a key", "scopes": scopes }))
        .await
        .ok();
    let other = user.with_key(made["api_key"].as_str().unwrap());
    (made, other)
}

async fn rotate(user: &User, id: &Value) -> Reply {
    Reply::to(user.post(&format!("{KEYS}/{}/rotate", id.as_str().unwrap()))).await
}
