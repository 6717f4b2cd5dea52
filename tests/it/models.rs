//! Which models can be asked for, and who serves them.
use serde_json::{Value, json};

use crate::harness::{MODEL, Neuron, World, eventually};

fn kind<'a>(models: &'a Value, task_type: &str) -> &'a Value {
    let kinds = models["task_types"].as_array().unwrap();
    kinds.iter().find(|kind| kind["task_type"] == task_type).unwrap()
}

fn model<'a>(kind: &'a Value, id: &str) -> Option<&'a Value> {
    let models = kind["models"].as_array().unwrap();
    models.iter().find(|model| model["model_id"] == id)
}

#[tokio::test]
async fn models_of_the_catalogue_are_listed_with_what_serves_them() {
    let world = World::start().await;
    let user = world.user().await;

    let all = user.get("/api/v1/models").await.ok();
    assert_eq!(all["task_types"].as_array().unwrap().len(), 6);
    let translation = kind(&all, "text_translation");
    assert_eq!(translation["served_by"], json!([]));
    let opus = model(translation, "Helsinki-NLP/opus-mt-en-es").unwrap();
    assert_eq!(
        (&opus["in_catalogue"], &opus["miners"]),
        (&json!(true), &json!(0))
    );
    let default = model(translation, "facebook/mbart-large-50-many-to-many-mmt").unwrap();
    assert_eq!(default["is_default"], true);
    let document = kind(&all, "document_translation");
    let same = model(document, "facebook/mbart-large-50-many-to-many-mmt").unwrap();
    assert_eq!(same["is_default"], false);
    assert!(model(translation, MODEL).is_none());

    // Two miners with a model that no catalogue has, one of them with a known one as well.
    let miner = world.miner(1).await;
    world.miner(2).await;
    let mut beat = Neuron::heartbeat_body();
    let mut known = beat["engines"][0].clone();
    known["model_id"] = "Helsinki-NLP/opus-mt-en-es".into();
    known["engine"] = "marian".into();
    // What is declared twice is one miner's all the same.
    let twice = known.clone();
    beat["engines"].as_array_mut().unwrap().extend([known, twice]);
    miner.post("/api/v1/miner/heartbeat", &beat).await.ok();
    let user = &user;
    eventually("both are known", || async move {
        let models = user.get("/api/v1/models?task_type=text_translation").await.ok();
        (model(kind(&models, "text_translation"), MODEL)?["miners"] == 2
            && model(kind(&models, "text_translation"), "Helsinki-NLP/opus-mt-en-es")?["miners"] == 1)
            .then_some(())
    })
    .await;
    let some = user.get("/api/v1/models?task_type=text_translation").await.ok();
    assert_eq!(some["task_types"].as_array().unwrap().len(), 1);
    let translation = kind(&some, "text_translation");
    assert_eq!(model(translation, MODEL).unwrap()["in_catalogue"], false);
    let served = translation["served_by"].as_array().unwrap();
    let marian = served
        .iter()
        .find(|serving| serving["engine"] == "marian")
        .unwrap();
    assert_eq!(marian["miners"], 1);
    assert_eq!(marian["pairs"], Neuron::heartbeat_body()["engines"][0]["pairs"]);

    // A miner whose heartbeat is too old serves nothing.
    world
        .sql("update miner_status set last_seen = last_seen - interval '1 day', beat_at = beat_at - interval '1 day'")
        .await;
    eventually("nobody serves it", || async move {
        let models = user.get("/api/v1/models").await.ok();
        (kind(&models, "text_translation")["served_by"] == json!([])).then_some(())
    })
    .await;
    user.get("/api/v1/models?task_type=telepathy")
        .await
        .problem(400, "/problems/malformed-request");
    world.end().await;
}
