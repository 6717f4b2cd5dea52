//! Who may do what: every operation of the API's description, asked by everybody who may not, and the table in the
//! documents.
use std::{collections::BTreeMap, path::Path};

use reqwest::Method;
use serde_json::{Value, json};
use violet::domain::access::{self, OrganizationRole, Permission};

use crate::{
    accounts::{PASSWORD, Person, team},
    harness::{Reply, World, samples, translation},
};

/// An operation and what it asks for.
#[derive(Debug)]
struct Operation {
    method: Method,
    path: String,
    /// `api_key`, `session`, `btauth` or nothing.
    scheme: Option<String>,
    permission: Option<String>,
}

fn operations() -> Vec<Operation> {
    let description = serde_json::to_value(violet::http::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let first = operation["security"].get(0).and_then(Value::as_object);
            let (scheme, permissions) = first.and_then(|first| first.iter().next()).unzip();
            let permissions: Vec<String> = permissions
                .map(|permissions| serde_json::from_value(permissions.clone()).unwrap())
                .unwrap_or_default();
            assert!(permissions.len() <= 1, "{path} asks for several");
            all.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scheme: scheme.cloned(),
                permission: permissions.into_iter().next(),
            });
        }
    }
    all
}

/// A path with ids that nothing has.
fn filled(path: &str) -> String {
    let mut parts = path.split('/').map(|part| match part {
        "{uid}" | "{block}" => "0",
        "{file_type}" => "audio",
        _ if part.starts_with('{') => "0192f0c1-2a3b-7c4d-8e5f-000000000001",
        _ => part,
    });
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |path, part| path + "/" + part)
}

async fn ask(person: &Person, operation: &Operation, target: &str) -> Reply {
    let request = person.request(operation.method.clone(), target);
    if operation.method == Method::GET {
        Reply::to(request).await
    } else {
        Reply::to(request.json(&json!({}))).await
    }
}

async fn ask_with_key(world: &World, key: &str, operation: &Operation, target: &str) -> Reply {
    let url = format!("{}{target}", world.server.url());
    let request = world
        .http
        .request(operation.method.clone(), url)
        .header("X-API-Key", key);
    Reply::to(request.json(&json!({}))).await
}

#[tokio::test]
async fn roles_without_the_permission_are_refused_by_every_operation_and_those_with_it_are_not() {
    let (world, _, people) = team().await;
    let mut checked = BTreeMap::new();
    for operation in operations() {
        let Some(name) = &operation.permission else {
            continue;
        };
        let target = filled(&operation.path);
        let permission = Permission::ALL.iter().find(|one| one.name() == name);
        for (person, role) in people.iter().zip(OrganizationRole::ROLES) {
            // Leaving and the like would change who is there; ending in an error of the request is enough.
            let reply = ask(person, &operation, &target).await;
            let may = permission.is_some_and(|permission| permission.roles().contains(role));
            if may {
                assert!(
                    ![401, 403].contains(&reply.status),
                    "{operation:?} as {role:?}: {:?}",
                    reply.body
                );
            } else {
                let detail = reply.problem(403, "/problems/forbidden");
                assert!(
                    name == "admin" || detail.contains(name.as_str()),
                    "{operation:?}: {detail}"
                );
            }
            *checked.entry((name.clone(), may)).or_insert(0) += 1;
        }
        if operation.scheme.as_deref() == Some("session") {
            // Whatever the role of who made it, a key is no login.
            ask_with_key(&world, &people[0].key, &operation, &target)
                .await
                .problem(403, "/problems/forbidden");
        }
    }
    // Each permission guards something, or it says nothing.
    for permission in Permission::ALL {
        let name = permission.name().to_owned();
        assert!(
            checked.contains_key(&(name.clone(), true)),
            "nothing asks for {name}"
        );
        let everybody = permission.roles().len() == OrganizationRole::ROLES.len();
        assert_eq!(checked.contains_key(&(name.clone(), false)), !everybody, "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn keys_are_no_logins() {
    let world = World::start().await;
    let person = Person::new(&world, "ada").await;
    for operation in operations() {
        if operation.scheme.as_deref() == Some("session") {
            let target = filled(&operation.path);
            let reply = ask_with_key(&world, &person.key, &operation, &target).await;
            assert!(
                reply.problem(403, "/problems/forbidden").contains("login"),
                "{operation:?}"
            );
        }
    }
    assert!(person.is_in().await);
    world.end().await;
}

/// What belongs to one organisation, under the names that paths have for it.
async fn belongings(world: &World, owner: &Person, other: &Person) -> BTreeMap<&'static str, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    world.miner(1).await;
    let submitted = owner.post("/api/v1/text-translation", &translation(1)).await.ok();
    world.versatile(2).await;
    let form = crate::harness::Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(1000))
        .field("source_language", "en");
    let recording = Reply::to(form.put(owner.request(Method::POST, "/api/v1/transcription")))
        .await
        .ok();
    let invitation = json!({ "email": "friend@example.org", "role": "viewer" });
    let invited = owner
        .post("/api/v1/organization/invitations", &invitation)
        .await
        .ok();
    let sessions = owner.get("/api/v1/auth/sessions").await.ok();
    let key = owner
        .post("/api/v1/auth/api-keys", &json!({ "name": "a key" }))
        .await
        .ok();
    let voice = crate::harness::Multipart::new()
        .file("audio_file", "a.wav", &samples::wav(1000))
        .field("voice_name", "bob");
    Reply::to(voice.put(owner.request(Method::POST, "/api/v1/voices")))
        .await
        .ok();
    let file: uuid::Uuid = sqlx::query_scalar("select file_id from files where kind = 'audio'")
        .fetch_one(&world.db)
        .await
        .unwrap();
    assert!(recording["task_id"].is_string());
    let identity = "0192f0c1-2a3b-7c4d-8e5f-000000000007";
    let linked = "insert into user_identities (identity_id, user_id, issuer, subject, created_at)";
    let id = &owner.id;
    world
        .sql(&format!(
            "{linked} values ('{identity}', '{id}', 'https://example.org', 'a', now())"
        ))
        .await;
    [
        ("task_id", text(&submitted["task_id"])),
        ("file_id", file.to_string()),
        ("identity_id", identity.to_owned()),
        ("invitation_id", text(&invited["invitation_id"])),
        ("key_id", text(&key["api_key_id"])),
        ("session_id", text(&sessions["sessions"][0]["session_id"])),
        ("user_id", other.id.clone()),
        ("voice_name", "bob".to_owned()),
    ]
    .into()
}

#[tokio::test]
async fn what_belongs_to_others_is_not_found() {
    let (world, _, [owner, admin, ..]) = team().await;
    let mut stranger = Person::new(&world, "mallory").await;
    let made = stranger
        .post("/api/v1/organizations", &json!({ "name": "Mallory Inc." }))
        .await
        .ok();
    stranger.act_for(made["organization_id"].as_str().unwrap()).await;
    let belongings = belongings(&world, &owner, &admin).await;
    let mut checked = 0;
    for operation in operations() {
        if ["btauth"].contains(&operation.scheme.as_deref().unwrap_or_default()) {
            continue;
        }
        let Some((_, rest)) = operation.path.split_once('{') else {
            continue;
        };
        let name = rest.split('}').next().unwrap();
        // Places, blocks and types belong to nobody.
        if ["uid", "block", "file_type"].contains(&name) {
            continue;
        }
        let id = belongings
            .get(name)
            .unwrap_or_else(|| panic!("{operation:?}: nobody has a {name}"));
        let target = operation.path.replace(&format!("{{{name}}}"), id);
        let mut request = stranger.request(operation.method.clone(), &target);
        if operation.method != Method::GET {
            request = request.json(&json!({ "role": "viewer" }));
        }
        Reply::to(request).await.problem(404, "/problems/not-found");
        checked += 1;
    }
    assert!(checked > 10, "{checked}");
    // Nothing was done to it.
    assert!(owner.is_in().await && admin.is_in().await);
    assert_eq!(owner.get("/api/v1/organization/members").await.ok()["count"], 4);
    assert_eq!(
        owner.get("/api/v1/organization/invitations").await.ok()["count"],
        1
    );
    world.end().await;
}

#[tokio::test]
async fn administrators_are_made_on_the_command_line_and_log_in() {
    let world = World::start().await;
    let mut person = Person::new(&world, "ada").await;
    let path = "/api/v1/admin/security-events";
    person.get(path).await.problem(403, "/problems/forbidden");
    world.sql("update users set role = 'admin'").await;
    person.take(&person.log_in(PASSWORD).await.ok());
    assert!(person.get(path).await.ok()["count"].as_u64() >= Some(3));
    let by_key = world
        .http
        .get(format!("{}{path}", world.server.url()))
        .header("X-API-Key", &person.key);
    Reply::to(by_key).await.problem(403, "/problems/forbidden");
    world.end().await;
}

/// Between these the document has the table.
const BEGIN: &str = "<!-- made from src/domain/access.rs -->\n";
const END: &str = "<!-- until here -->\n";

#[test]
fn the_table_in_the_documents_is_the_one_in_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the table begins");
    let (_, after) = rest.split_once(END).expect("the table ends");
    let made = format!("{before}{BEGIN}{}{END}{after}", access::table());
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, &made).unwrap();
        return;
    }
    assert!(
        made == document,
        "the table in ARCHITECTURE.md is not up to date: run this test with UPDATE=1"
    );
}
