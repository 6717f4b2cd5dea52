//! The shapes of what is read about tasks, and that everybody reads only their own.
use serde_json::{Value, json};

use crate::harness::{GOOD, MODEL, World, eventually, translation};

fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn assert_time(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let (time, zone) = text.split_at(text.len().saturating_sub(1));
    assert!(
        zone == "Z" && time.contains('T'),
        "{value} is not RFC 3339 in UTC"
    );
}

#[tokio::test]
async fn a_new_task_is_shown_in_these_shapes() {
    let world = World::start().await;
    let user = world.user().await;
    world.miners(2).await;
    let task = user.submit(&translation(2)).await;

    let status = user.status(&task).await;
    assert_eq!(
        keys(&status),
        [
            "assigned_miner_count",
            "assigned_miners",
            "created_at",
            "miner_responses",
            "participation",
            "priority",
            "reason",
            "required_miner_count",
            "settled_at",
            "status",
            "task_id",
            "task_type",
            "verified",
        ]
    );
    assert_eq!(
        (&status["priority"], &status["task_type"]),
        (&"normal".into(), &"text_translation".into())
    );
    assert_eq!(
        (&status["settled_at"], &status["verified"]),
        (&Value::Null, &Value::Null)
    );
    assert_time(&status["created_at"]);
    let result = user.result(&task).await;
    assert_eq!(
        (&result["success"], &result["available"]),
        (&false.into(), &false.into())
    );
    assert_eq!(
        result["progress"],
        json!({
            "assigned_miners": 2, "miner_responses": 0, "required_miner_count": 2
        })
    );
    for absent in [
        "translated_text",
        "model_id",
        "accuracy_score",
        "speed_score",
        "processing_time",
    ] {
        assert!(result.get(absent).is_none(), "{absent}");
    }
    let responses = user.responses(&task).await;
    assert_eq!(
        (&responses["responses"], &responses["best_response"]),
        (&json!([]), &Value::Null)
    );

    world.end().await;
}

#[tokio::test]
async fn a_finished_task_is_shown_in_these_shapes() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = world.miners(2).await;
    let validator = world.validator(1).await;
    let task = user.submit(&translation(2)).await;
    for miner in &miners {
        miner.answer(&task, "Casa").await;
    }
    validator.judge(&task, |_| Some(GOOD)).await;
    assert_time(&user.ended(&task).await["settled_at"]);
    let result = user.result(&task).await;
    assert_eq!(
        (&result["success"], &result["available"]),
        (&true.into(), &true.into())
    );
    assert_eq!(
        (&result["engine"], &result["model_id"]),
        (&"test".into(), &MODEL.into())
    );
    assert_eq!(
        (&result["verified"], &result["reason"]),
        (&true.into(), &Value::Null)
    );
    let speed = result["speed_score"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&speed) && result["processing_time"].as_f64().unwrap() >= 0.0);

    let responses = user.responses(&task).await;
    assert_eq!(
        responses["task_summary"],
        json!({
            "total_responses_received": 2, "required_miner_count": 2, "task_priority": "normal"
        })
    );
    assert_eq!(responses["best_response"], responses["responses"][0]);
    let first = &responses["responses"][0];
    assert_eq!(
        keys(first),
        [
            "accuracy_score",
            "authenticated_by",
            "digest",
            "engine",
            "hotkey",
            "miner_uid",
            "model_id",
            "processing_time",
            "response_data",
            "signature",
            "speed_score",
            "submitted_at",
        ]
    );
    assert_eq!(first["response_data"], json!({ "translated_text": "Casa" }));
    assert_eq!(first["hotkey"], miners[0].hotkey().to_string());
    assert_eq!(first["digest"], miners[0].answer_body(&task, "Casa")["digest"]);

    let whole = user.get(&format!("/api/v1/tasks/{task}")).await.ok();
    assert_eq!(
        keys(&whole),
        [
            "actual_miner_count",
            "completed_at",
            "created_at",
            "input_text",
            "model_id",
            "priority",
            "require_model",
            "required_miner_count",
            "source_language",
            "status",
            "target_language",
            "task_id",
            "task_type",
        ]
    );
    assert_eq!(
        whole["input_text"],
        json!({ "text": "The house is big.", "source_language": "en" })
    );
    assert_eq!(
        (&whole["status"], &whole["actual_miner_count"]),
        (&"approved".into(), &2.into())
    );
    world.end().await;
}

#[tokio::test]
async fn lists_are_pages_newest_first() {
    let world = World::start().await;
    let user = world.user().await;
    world.miners(1).await;
    assert_eq!(user.get("/api/v1/tasks").await.ok(), json!([]));
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(user.submit(&translation(1)).await);
    }
    tasks.reverse();
    let page = async |query: &str| -> Vec<String> {
        let page = user.get(&format!("/api/v1/tasks{query}")).await.ok();
        page.as_array()
            .unwrap()
            .iter()
            .map(|task| task["task_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(page("").await, tasks);
    assert_eq!(page("?limit=2").await, tasks[..2]);
    assert_eq!(page(&format!("?limit=2&before={}", tasks[1])).await, tasks[2..4]);
    assert_eq!(page(&format!("?limit=2&before={}", tasks[4])).await, tasks[5..]);
    assert_eq!(page("?limit=1").await, tasks[..1]);
    assert_eq!(page("?limit=1000").await, tasks);
    world.end().await;
}

#[tokio::test]
async fn lists_of_tasks_in_a_state_are_pages_too() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let mut assigned = Vec::new();
    for _ in 0..3 {
        assigned.push(user.submit(&translation(1)).await);
    }
    assigned.reverse();
    let mut cancelled = Vec::new();
    for _ in 0..3 {
        let task = user.submit(&translation(1)).await;
        user.cancel(&task).await.ok();
        cancelled.push(task);
    }
    cancelled.reverse();
    let page = async |query: &str| -> Vec<String> {
        let page = user.get(&format!("/api/v1/tasks?{query}")).await.ok();
        let ids = page.as_array().unwrap().iter();
        ids.map(|task| task["task_id"].as_str().unwrap().to_owned())
            .collect()
    };
    for (status, tasks) in [
        ("assigned", &assigned),
        ("distributed", &assigned),
        ("cancelled", &cancelled),
    ] {
        assert_eq!(page(&format!("status={status}")).await, *tasks, "{status}");
        assert_eq!(page(&format!("status={status}&limit=2")).await, tasks[..2]);
        let next = format!("limit=2&status={status}&before={}", tasks[1]);
        assert_eq!(page(&next).await, tasks[2..]);
        assert!(
            page(&format!("status={status}&before={}", tasks[2]))
                .await
                .is_empty()
        );
    }
    for status in [
        "pending",
        "in_progress",
        "processing",
        "completed",
        "done",
        "approved",
        "rejected",
        "failed",
    ] {
        assert!(page(&format!("status={status}")).await.is_empty(), "{status}");
    }
    // A task that a miner was seen to have, by both names.
    miner.mail(0).await;
    let mut seen = Vec::new();
    eventually("all three were seen", || async {
        (world.count("task_open where seen").await == 3).then_some(())
    })
    .await;
    for status in ["in_progress", "processing"] {
        seen.push(page(&format!("status={status}")).await);
    }
    assert_eq!(seen, [assigned.clone(), assigned]);
    assert!(page("status=assigned").await.is_empty());
    // Others have their own.
    let other = world.user().await;
    for status in ["cancelled", "in_progress"] {
        let page = other.get(&format!("/api/v1/tasks?status={status}")).await;
        assert_eq!(page.ok(), json!([]), "{status}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_miner_has_open_assignments_under_three_names() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = world.miner(1).await;
    let task = user.submit(&translation(1)).await;
    let mail = async |status: &str| {
        miner
            .get(&format!("/api/v1/miners/0/tasks?status={status}"))
            .await
            .ok()
    };
    for status in ["assigned", "distributed", "processing"] {
        let mail = mail(status).await;
        assert_eq!(mail[0]["task_id"], *task, "{status}");
        assert_eq!(mail[0]["status"], "assigned", "{status}");
    }
    for status in ["pending", "completed", "done", "approved", "failed", "cancelled"] {
        assert_eq!(mail(status).await, json!([]), "{status}");
    }
    world.end().await;
}

#[tokio::test]
async fn everybody_sees_only_their_own() {
    let world = World::start().await;
    let (owner, other) = (world.user().await, world.user().await);
    let miners = world.miners(1).await;
    let task = owner.submit(&translation(1)).await;
    miners[0].answer(&task, "Casa").await;
    for path in [
        format!("/api/v1/task/{task}/status"),
        format!("/api/v1/task/{task}/status?wait=5"),
        format!("/api/v1/task/{task}/responses"),
        format!("/api/v1/text-translation/{task}/result"),
        format!("/api/v1/tasks/{task}"),
        format!("/api/v1/audit/tasks/{task}"),
    ] {
        owner.get(&path).await.ok();
        let foreign = other.get(&path).await;
        // Word for word what a task that does not exist gets.
        let missing = other
            .get(&path.replace(&task, "0192f0c1-2a3b-7c4d-8e5f-000000000001"))
            .await;
        foreign.problem(404, "/problems/not-found");
        assert_eq!(foreign.body, missing.body, "{path}");
    }
    other.cancel(&task).await.problem(404, "/problems/not-found");
    assert_eq!(other.get("/api/v1/tasks").await.ok(), json!([]));
    let page = format!("/api/v1/tasks?before={}", "ffffffff-ffff-7fff-bfff-ffffffffffff");
    assert_eq!(other.get(&page).await.ok(), json!([]));
    assert_ne!(owner.status(&task).await["status"], "cancelled");
    world.end().await;
}
