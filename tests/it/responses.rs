//! The forms in which miners of the original system answer, with a key and nothing else: as those programs send them.
use serde_json::{Value, json};

use crate::{
    harness::{Keyed, MODEL, Multipart, Neuron, Reply, User, World, samples, translation},
    keys_alone::MINER,
};

const RESPONSE: &str = "/api/v1/miner/response";

/// A miner that said that it does everything, and now polls.
async fn keyed(world: &World, number: u8) -> Keyed {
    let beat = Neuron::heartbeat_of_all();
    let declared = json!({ "engines": beat["engines"], "capacity": 4 });
    let miner = world.silent_miner(number).keyed(world, MINER, &declared).await;
    miner.there(world).await;
    miner
}

async fn submit(user: &User, path: &str, form: Multipart) -> String {
    let form = form.field("required_miner_count", "1");
    let accepted = Reply::to(form.put(user.post(path))).await.ok();
    accepted["task_id"].as_str().unwrap().to_owned()
}

/// The only answer of a task.
async fn response(user: &User, task: &str) -> Value {
    let all = user.responses(task).await;
    assert_eq!(all["responses"].as_array().unwrap().len(), 1, "{all}");
    all["responses"][0].clone()
}

#[tokio::test]
async fn forms_of_the_original_s_miners_are_answers() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = keyed(&world, 1).await;

    // A recording: fetched by the link, without a key.
    let file = samples::wav(3000);
    let form = Multipart::new().file("audio_file", "a.wav", &file);
    let task = submit(&user, "/api/v1/transcription", form).await;
    let mail = miner.receive(&task).await;
    let input = &mail["input_file"];
    assert_eq!(input["storage_location"], "r2");
    let fetched = world
        .http
        .get(input["public_url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(fetched.status(), 200);
    assert_eq!(fetched.bytes().await.unwrap(), file);
    let data = json!({ "transcript": "hello", "confidence": 0.95, "processing_time": 1.5, "language": "en" });
    let fields = [
        ("task_id", task.as_str()),
        ("miner_uid", "0"),
        ("response_data", &data.to_string()),
        ("processing_time", "1.5"),
        ("accuracy_score", "0.95"),
        ("speed_score", "1.0"),
    ];
    let posted = miner.form(RESPONSE, &fields).await.ok();
    assert_eq!(
        posted,
        json!({
            "success": true, "message": "Response recorded", "task_id": task, "miner_uid": 0, "used": true,
        })
    );
    let kept = response(&user, &task).await;
    assert_eq!(kept["authenticated_by"], "key");
    // What it declared is what ran; what it says of its own quality goes nowhere.
    assert_eq!(
        (&kept["model_id"], &kept["engine"]),
        (&json!(MODEL), &json!("test"))
    );
    assert_eq!(
        kept["response_data"],
        json!({ "transcript": "hello", "confidence": 0.95, "language": "en" })
    );
    let again = miner.form(RESPONSE, &fields).await.ok();
    assert_eq!(
        (&again["success"], &again["reason"]),
        (&json!(false), &json!("already_answered"))
    );

    // A text: a bare text is the output, and the form may say what ran.
    let form = Multipart::new().field("text", "Rivers gave water to the first cities.");
    let task = submit(&user, "/api/v1/summarization", form).await;
    assert_eq!(miner.receive(&task).await["input_text"]["source_language"], "en");
    let fields = [
        ("task_id", task.as_str()),
        ("miner_uid", "0"),
        ("response_data", "Rivers gave water."),
        ("model_id", "facebook/bart-large-cnn"),
        ("engine", "bart"),
        ("hotkey", &miner.neuron.hotkey().to_string()),
    ];
    assert_eq!(miner.form(RESPONSE, &fields).await.ok()["used"], true);
    let kept = response(&user, &task).await;
    assert_eq!(kept["response_data"], json!({ "summary": "Rivers gave water." }));
    assert_eq!(
        (&kept["model_id"], &kept["engine"]),
        (&json!("facebook/bart-large-cnn"), &json!("bart"))
    );
    world.end().await;
}

#[tokio::test]
async fn translations_and_videos_have_forms_of_their_own() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = keyed(&world, 1).await;
    let languages = |form: Multipart| form.field("source_language", "en").field("target_language", "es");
    let text = languages(Multipart::new().field("text", "The house is big."));
    let document = languages(Multipart::new().file("document_file", "a.txt", b"The house is big."));
    let video = Multipart::new().file("video_file", "a.mp4", &samples::mp4());
    for (path, form, upload, said, echoed, output) in [
        (
            "/api/v1/text-translation",
            text,
            "text-translation",
            &[
                ("translated_text", "La casa"),
                ("source_language", "en"),
                ("target_language", "es"),
            ][..],
            json!({ "translated_text_length": 7, "source_language": "en", "target_language": "es" }),
            json!({ "translated_text": "La casa" }),
        ),
        (
            "/api/v1/document-translation",
            document,
            "document-translation",
            &[("translated_text", "La casa"), ("metadata", r#"{"pages": 1}"#)],
            json!({
                "translated_text_length": 7, "source_language": "", "target_language": "", "metadata": { "pages": 1 },
            }),
            json!({ "translated_text": "La casa" }),
        ),
        (
            "/api/v1/video-transcription",
            video,
            "video-transcription",
            &[("transcript", "hello"), ("confidence", "0.5")],
            json!({ "transcript_length": 5, "confidence": 0.5, "language": "en" }),
            json!({ "transcript": "hello", "confidence": 0.5, "language": "en" }),
        ),
    ] {
        let task = submit(&user, path, form).await;
        miner.receive(&task).await;
        let mut fields = vec![
            ("task_id", task.as_str()),
            ("miner_uid", "0"),
            ("processing_time", "1"),
        ];
        fields.extend(said);
        let posted = miner
            .form(&format!("/api/v1/miner/{upload}/upload-result"), &fields)
            .await
            .ok();
        let mut expected = json!({
            "success": true, "message": "Response recorded", "task_id": task, "miner_uid": 0, "used": true,
        });
        expected
            .as_object_mut()
            .unwrap()
            .extend(echoed.as_object().unwrap().clone());
        assert_eq!(posted, expected);
        let kept = response(&user, &task).await;
        assert_eq!(kept["response_data"], output);
        assert_eq!(kept["authenticated_by"], "key");
    }
    world.end().await;
}

#[tokio::test]
async fn a_form_counts_for_its_own_miner_and_task() {
    let world = World::start().await;
    let user = world.user().await;
    let miner = keyed(&world, 1).await;
    let task = user.submit(&translation(1)).await;
    miner.receive(&task).await;
    let upload = "/api/v1/miner/text-translation/upload-result";
    let fields = |name: &'static str, value: &'static str| -> Vec<(&str, &str)> {
        let mut all = vec![
            ("task_id", task.as_str()),
            ("miner_uid", "0"),
            ("translated_text", "Casa"),
            ("response_data", "Casa"),
        ];
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
        all
    };
    for (name, value) in [
        ("miner_uid", "1"),
        ("hotkey", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
        (
            "coldkey_address",
            "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        ),
    ] {
        let reply = miner.form(upload, &fields(name, value)).await;
        reply.problem(403, "/problems/forbidden");
    }
    for (name, value) in [
        ("task_id", "None"),
        ("task_id", ""),
        ("miner_uid", "x"),
        ("processing_time", "long"),
    ] {
        miner.form(upload, &fields(name, value)).await.invalid(name);
    }
    miner
        .form(upload, &fields("translated_text", " "))
        .await
        .invalid("output");
    // Not an output of this type of task.
    let video = "/api/v1/miner/video-transcription/upload-result";
    let reply = miner.form(video, &fields("transcript", "hello")).await;
    reply.invalid("response_data");
    for data in ["{}", "[]", r#"{"transcript": "hello"}"#] {
        miner
            .form(RESPONSE, &fields("response_data", data))
            .await
            .invalid("response_data");
    }
    // A signed request signs no answer in a form, and a user's key is none of a miner's.
    let body = format!("task_id={task}&miner_uid=0&translated_text=Casa");
    let mut headers = miner.neuron.signed("POST", upload, body.as_bytes());
    headers.push(("content-type", "application/x-www-form-urlencoded".into()));
    let reply = miner
        .neuron
        .send("POST", upload, body.clone().into_bytes(), &headers)
        .await;
    reply.problem(401, "/problems/unauthenticated");
    let reply = miner.neuron.with_key(&user.key, "POST", upload, &body).await;
    reply.problem(401, "/problems/unauthenticated");
    assert_eq!(world.count("miner_responses").await, 0);

    // Who was not drawn learns that; the form may come as multipart and as JSON, too.
    let other = keyed(&world, 2).await;
    let json = json!({ "task_id": task, "miner_uid": 1, "translated_text": "Casa" });
    let reply = other.post(upload, &json).await.ok();
    assert_eq!(
        (&reply["success"], &reply["reason"]),
        (&json!(false), &json!("not_assigned"))
    );
    let form = fields("engine", "mine")
        .into_iter()
        .fold(Multipart::new(), |form, (name, value)| form.field(name, value));
    let request = world.http.post(format!("{}{upload}", world.server.url()));
    let reply = Reply::to(form.put(request.header("X-API-Key", &miner.key)))
        .await
        .ok();
    assert_eq!(reply["used"], true, "{reply}");
    world.end().await;
}

#[tokio::test]
async fn a_file_that_a_miner_cannot_read_goes_to_another() {
    let world = World::start().await;
    let user = world.user().await;
    let miners = [keyed(&world, 1).await, keyed(&world, 2).await];
    let form = Multipart::new().file("audio_file", "a.wav", &samples::wav(3000));
    let task = submit(&user, "/api/v1/transcription", form).await;
    let first = usize::from(world.open_uids(&task).await[0]);
    let uid = first.to_string();
    let data = json!({
        "transcript": "broken file", "confidence": 0, "error": "no sound", "status": "completed_broken_file",
    });
    let fields = [
        ("task_id", task.as_str()),
        ("miner_uid", &uid),
        ("response_data", &data.to_string()),
    ];
    let posted = miners[first].form(RESPONSE, &fields).await.ok();
    assert_eq!(
        (&posted["used"], &posted["message"]),
        (&json!(false), &json!("Task given back"))
    );
    miners[1 - first].receive(&task).await;
    assert_eq!(world.count("miner_responses").await, 0);
    let why =
        format!("assignment_ends where task_id = '{task}' and outcome = 'refused' and detail = 'no sound'");
    assert_eq!(world.count(&why).await, 1);
    let again = miners[first].form(RESPONSE, &fields).await.ok();
    assert_eq!(
        (&again["success"], &again["reason"]),
        (&json!(false), &json!("not_assigned"))
    );
    world.end().await;
}
