//! Answers as miners of the original system post them: a form of what an engine made, which nothing signs. Who works is
//! known by its key; what ran is what the miner declared, unless the form says it.
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    domain::{TaskId, TaskType},
    error::{Error, Result},
    services::{
        answering::{self, Answer, Receipt},
        identity::Caller,
        sweeping,
    },
    store,
};

/// What ran, when nobody says it.
const UNKNOWN: &str = "unknown";
/// The status with which a miner gives back a file that it cannot read.
const BROKEN: &str = "completed_broken_file";

/// A form, as it came.
#[derive(Debug)]
pub struct Response {
    /// The task.
    pub task: TaskId,
    /// What the engine made, with whatever else the miner says.
    pub data: Value,
    /// What ran.
    pub model_id: Option<String>,
    /// The program that ran it.
    pub engine: Option<String>,
    /// What the miner says it took, in seconds.
    pub claimed_seconds: Option<f64>,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// It was an answer.
    Answered(Receipt),
    /// The miner could not read its file: another one is drawn. Whether it had the task until now.
    GivenBack(bool),
}

/// Takes a form for an answer.
///
/// # Errors
/// 404 for no such task, 422 when it has no output of the task's type.
pub async fn respond(app: &App, caller: &Caller, response: Response) -> Result<Outcome> {
    let Response {
        task,
        data,
        model_id,
        engine,
        claimed_seconds,
    } = response;
    let hotkey = caller.neuron.hotkey;
    let standing = store::answers::standing(&app.db, task, hotkey)
        .await?
        .ok_or(Error::NotFound { what: "task" })?;
    if data.get("status").and_then(Value::as_str) == Some(BROKEN) {
        let why = data.get("error").and_then(Value::as_str).unwrap_or("broken file");
        return Ok(Outcome::GivenBack(
            sweeping::refuse(app, task, hotkey, why).await?,
        ));
    }
    let output = output(standing.task_type, &data)?;
    let miners = app.roster.miners();
    let declared = miners.get(&hotkey).and_then(|miner| {
        let mut offers = miner.offers.iter();
        offers.find(|offer| offer.task_type == standing.task_type)
    });
    let said = |said: Option<String>, declared: Option<&String>| {
        said.or_else(|| declared.cloned())
            .unwrap_or_else(|| UNKNOWN.to_owned())
    };
    let answer = Answer {
        task,
        output,
        model_id: said(model_id, declared.map(|offer| &offer.model_id)),
        engine: said(engine, declared.map(|offer| &offer.engine)),
        claimed_seconds,
        digest: None,
        signature: None,
    };
    Ok(Outcome::Answered(answering::answer(app, caller, answer).await?))
}

/// The output within what a miner of the original system says: it has members that are no part of it, and a text that is
/// no JSON is `output_data`.
fn output(task_type: TaskType, data: &Value) -> Result<Value> {
    let name = match task_type {
        TaskType::Transcription | TaskType::VideoTranscription => "transcript",
        TaskType::Summarization => "summary",
        TaskType::TextTranslation | TaskType::DocumentTranslation => "translated_text",
        TaskType::Tts => return Err(Error::invalid("response_data", "is for texts: speech is a file")),
    };
    let text = data.get(name).or_else(|| data.get("output_data"));
    let text = text
        .and_then(Value::as_str)
        .ok_or_else(|| Error::invalid("response_data", format!("must have {name}, a text")))?;
    let mut output = Map::new();
    output.insert(name.into(), text.into());
    if name == "transcript" {
        for also in ["language", "confidence", "words"] {
            if let Some(value) = data.get(also).filter(|value| !value.is_null()) {
                output.insert(also.into(), value.clone());
            }
        }
    }
    Ok(Value::Object(output))
}

/// What `response_data` says: a JSON object, or a text.
pub fn data(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Value::Object(object),
        Ok(Value::String(text)) => json!({ "output_data": text }),
        Ok(_) => Value::Null,
        Err(_) => json!({ "output_data": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_found_in_what_is_around_it() {
        let said = json!({
            "transcript": "hello", "confidence": 0.95, "processing_time": 1.5, "language": "en", "words": null,
        });
        assert_eq!(
            output(TaskType::Transcription, &said).unwrap(),
            json!({ "transcript": "hello", "confidence": 0.95, "language": "en" })
        );
        let said = data(r#"{"summary": "short", "text_length": 300, "confidence": 7}"#);
        assert_eq!(
            output(TaskType::Summarization, &said).unwrap(),
            json!({ "summary": "short" })
        );
        for text in ["Casa", "\"Casa\""] {
            let said = data(text);
            assert_eq!(
                output(TaskType::DocumentTranslation, &said).unwrap(),
                json!({ "translated_text": "Casa" })
            );
        }
        for nothing in [
            "{}",
            "[]",
            "7",
            r#"{"summary": 7}"#,
            r#"{"transcript": "of something else"}"#,
        ] {
            assert!(
                output(TaskType::Summarization, &data(nothing)).is_err(),
                "{nothing}"
            );
        }
        assert!(output(TaskType::Tts, &data("Casa")).is_err());
    }
}
