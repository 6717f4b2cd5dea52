//! What each operation refuses in its own way, and the requests for that.
use serde_json::json;

pub(super) use super::refusals_of_people::{body, operator, refuse_unverified, wallet};
use super::{
    errors::{Walk, assert_parameter},
    operation::{Operation, UNKNOWN},
};
use crate::harness::{Multipart, Neuron, Reply, TEXT, samples};

pub(super) async fn signed(neuron: &Neuron, operation: &Operation, target: &str, body: Vec<u8>) -> Reply {
    let headers = neuron.signed(&operation.method, target, &body);
    if operation.takes("audio/wav") {
        let task = target.split("task_id=").nth(1).unwrap_or_default();
        return neuron.upload(task, &body).await;
    }
    neuron.send(&operation.method, target, body, &headers).await
}

pub(super) fn form(operation: &Operation, fields: &[(&str, &str)]) -> Multipart {
    let form = match operation.file_field() {
        Some(field) => {
            let file = match field {
                "audio_file" => samples::wav(1000),
                "video_file" => samples::mp4(),
                _ => TEXT.into(),
            };
            Multipart::new().file(field, "a", &file)
        }
        None => Multipart::new().field("text", TEXT),
    };
    fields
        .iter()
        .fold(form, |form, (name, value)| form.field(name, value))
}

pub(super) fn languages(operation: &Operation, target: &'static str) -> Vec<(&'static str, &'static str)> {
    if operation.path.ends_with("-translation") {
        vec![("source_language", "en"), ("target_language", target)]
    } else if target == "es" {
        vec![("source_language", "en")]
    } else {
        vec![("source_language", target)]
    }
}

/// What each of these refuses in its own way.
pub(super) async fn refuse(walk: &mut Walk, operation: &Operation) {
    let target = operation.target();
    match operation.path.as_str() {
        "/api/v1/auth/register" => {
            let name = "x".repeat(201);
            let named = json!({ "email": "b@example.org", "password": "long enough", "full_name": name });
            walk.see_answer(operation, &target, named.to_string()).await;
            let new = |password: &str| json!({ "email": "a@example.org", "password": password }).to_string();
            walk.see_answer(operation, &target, new("short")).await;
            walk.send(&walk.world.server, operation, &target, new("long enough").into())
                .await
                .ok();
            walk.see_answer(operation, &target, new("long enough")).await;
        }
        "/api/v1/auth/api-keys"
        | "/api/v1/auth/api-keys/{key_id}/rotate"
        | "/api/v1/auth/generate-api-key" => refuse_keys(walk, operation, &target).await,
        "/api/v1/tasks/{task_id}/cancel" => {
            let task = walk.user.submit(&crate::harness::translation(1)).await;
            walk.user.cancel(&task).await.ok();
            let again = walk.user.cancel(&task).await;
            walk.see(operation, &again);
        }
        "/api/v1/miner/heartbeat" => {
            let mut body = Neuron::heartbeat_body();
            body["version"] = "x".repeat(300).into();
            walk.see_answer(operation, &target, body.to_string()).await;
        }
        path if operation.enrols() => {
            let neuron = if path.contains("miner") {
                &walk.miner
            } else {
                &walk.validator
            };
            for reply in neuron.refused_enrolments(&walk.world, &target).await {
                walk.see(operation, &reply);
            }
        }
        _ if operation.is_for_keys() => refuse_forms(walk, operation, &target).await,
        "/api/v1/miners/{uid}/tasks" => {
            walk.see_answer(operation, &format!("{target}?status=unheard-of"), "")
                .await;
        }
        "/api/v1/miner/answers" => {
            let unknown = walk.miner.answer_body(UNKNOWN, "Casa");
            walk.see_answer(operation, &target, unknown.to_string()).await;
            let task = walk.user.submit(&crate::harness::translation(1)).await;
            let mut wrong = walk.miner.answer_body(&task, "Casa");
            wrong["digest"] = "00".repeat(32).into();
            walk.see_answer(operation, &target, wrong.to_string()).await;
        }
        "/api/v1/validator/evaluations" => {
            let task = walk.user.submit(&crate::harness::translation(1)).await;
            walk.miner.answer(&task, "Casa").await;
            walk.validator.offered(&task).await;
            let empty = walk.validator.evaluation_body(&task, &[]);
            walk.see_answer(operation, &target, empty.to_string()).await;
        }
        "/api/v1/miner/files" => {
            let spoken = Reply::to(walk.user.post("/api/v1/tts").json(&json!({
                "text": TEXT, "required_miner_count": 1
            })))
            .await
            .ok();
            let task = spoken["task_id"].as_str().unwrap().to_owned();
            let [file, long] = [1000, 100_000].map(samples::wav);
            for file in [vec![], samples::mp3(), long] {
                let reply = walk.miner.upload(&task, &file).await;
                walk.see(operation, &reply);
            }
            walk.miner.upload(&task, &file).await.ok();
            let second = walk.miner.upload(&task, &file).await;
            walk.see(operation, &second);
            let reply = walk.miner.upload("x", b"").await;
            assert_parameter(&reply, "task_id");
            walk.see(operation, &reply);
            let reply = walk
                .miner
                .upload(&format!("{UNKNOWN}&task_id={UNKNOWN}"), b"")
                .await;
            assert_parameter(&reply, "task_id");
        }
        path if path.contains("/voices") || path.contains("{file_id}") => {
            super::refusals_of_files::refuse(walk, operation).await;
        }
        _ => super::refusals_of_people::refuse(walk, operation, &target).await,
    }
}

/// The same for the forms of miners with a key.
async fn refuse_forms(walk: &mut Walk, operation: &Operation, target: &str) {
    let miner = walk.world.silent_miner(2);
    let miner = miner
        .keyed(&walk.world, "/api/v1/miner/authenticate", &json!({}))
        .await;
    let judge = walk.world.validator(2).await;
    let judge = judge
        .keyed(&walk.world, "/api/v1/validator/authenticate", &json!({}))
        .await;
    let whole = format!("task_id={UNKNOWN}&miner_uid=1&response_data=a&translated_text=a&transcript=a");
    let large = format!("{whole}&model_id={}", "x".repeat(30_000));
    let form = "application/x-www-form-urlencoded";
    let replies = [
        walk.miner.send("POST", target, b"".to_vec(), &[]).await,
        judge.send(target, form, &whole).await,
        miner.send(target, form, &whole).await,
        miner.send(target, form, &large).await,
        miner.send(target, form, "").await,
        miner.send(target, "text/plain", "a").await,
        miner.send(target, "application/json", "{").await,
    ];
    for reply in &replies {
        walk.see(operation, reply);
    }
}

/// The same for the operations that make keys.
async fn refuse_keys(walk: &mut Walk, operation: &Operation, target: &str) {
    match operation.path.as_str() {
        "/api/v1/auth/api-keys" if operation.method == "POST" => {
            for name in ["", "a name"] {
                let new = json!({ "name": name }).to_string();
                walk.see_answer(operation, target, new).await;
            }
        }
        "/api/v1/auth/api-keys/{key_id}/rotate" => {
            let made =
                "insert into api_keys (api_key_id, organization_id, user_id, prefix, hash, name, revoked_at)
                select '0192f0c1-2a3b-7c4d-8e5f-000000000009', organization_id, user_id, '', '', '', now()
                from api_keys where 'keys:manage' = any(scopes)";
            walk.world.sql(made).await;
            let target = target.replace("000000000001", "000000000009");
            walk.see_answer(operation, &target, "").await;
        }
        "/api/v1/auth/generate-api-key" => {
            let emails =
                "select email from users join api_keys using (user_id) where 'keys:manage' = any(scopes)";
            let own: String = sqlx::query_scalar(emails)
                .fetch_one(&walk.world.db)
                .await
                .unwrap();
            for email in ["x", &own] {
                let asked = json!({ "email": email }).to_string();
                walk.see_answer(operation, target, asked).await;
            }
        }
        _ => {}
    }
}
