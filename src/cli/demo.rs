//! `violet dev --demo`: real tasks over REST, and the story of what became of each.
use std::time::{Duration, Instant};

use reqwest::{
    Client, RequestBuilder,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::{Value, json};
use violet_neurons::judge::wer::word_errors;

use super::{Failure, audit::shown, print, samples};
use crate::{
    domain::records::{CandidateSet, Draw, Record, Settlement},
    verify::{self, Receipt},
};

/// How long each part of the story may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// A base is published two snapshots after it was made.
const REVEAL_PATIENCE: Duration = Duration::from_secs(60);

const TEXT: &str = "The house is big. My friend has a red book. We are going to the city tomorrow.";
/// A transcript with more wrong words than this is not one.
const WORD_ERRORS: f64 = 0.2;

/// Submits one task of each type as a new user, and tells what happens.
///
/// # Errors
/// When a task does not come to a verdict, its receipt does not hold, or a transcript is not what was said.
pub(super) async fn run(url: &str) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let teller = Teller::register(url).await?;

    let request = teller.post("/api/v1/text-translation").form(&[
        ("text", TEXT),
        ("source_language", "en"),
        ("target_language", "es"),
    ]);
    let (first, result) = teller
        .tell(
            "Text translation, English to Spanish",
            "text-translation",
            request,
        )
        .await?;
    print(&format!(
        "  text:   {TEXT}\n  result: {}",
        said(&result, "translated_text")
    ));

    let recording = samples::speech(folder.path()).await?;
    let form = Form::new()
        .text("source_language", "en")
        .part("audio_file", file(recording, "speech.wav"));
    let request = teller.post("/api/v1/transcription").multipart(form);
    let (_, result) = teller
        .tell("Transcription of a recording", "transcription", request)
        .await?;
    transcript(&result)?;

    let request = teller
        .post("/api/v1/tts")
        .form(&[("text", samples::SPOKEN), ("voice_name", "english_alice")]);
    let (_, result) = teller.tell("Speech", "tts", request).await?;
    let link = said(&result, "audio_url");
    let audio = teller
        .http
        .get(&link)
        .send()
        .await?
        .error_for_status()?
        .bytes()
        .await?;
    print(&format!(
        "  text:   {}\n  result: {} bytes of WAV at {link}",
        samples::SPOKEN,
        audio.len()
    ));

    let request = teller
        .post("/api/v1/summarization")
        .form(&[("text", samples::LONG)]);
    let (_, result) = teller.tell("Summarization", "summarization", request).await?;
    print(&format!(
        "  text:   {} characters\n  result: {} characters: {}",
        result["original_text_length"],
        result["summary_length"],
        said(&result, "summary")
    ));

    let form = Form::new()
        .text("source_language", "en")
        .text("target_language", "es")
        .part("document_file", file(samples::document()?, "document.docx"));
    let request = teller.post("/api/v1/document-translation").multipart(form);
    let (_, result) = teller
        .tell("Translation of a Word document", "document-translation", request)
        .await?;
    let text = samples::DOCUMENT.join(" ");
    print(&format!(
        "  text:   {text}\n  result: {}",
        said(&result, "translated_text").replace('\n', " ")
    ));

    let form = Form::new().part(
        "video_file",
        file(samples::video(folder.path()).await?, "video.mp4"),
    );
    let request = teller.post("/api/v1/video-transcription").multipart(form);
    let (_, result) = teller
        .tell("Transcription of a video", "video-transcription", request)
        .await?;
    transcript(&result)?;

    print(&format!(
        "\nAll well. The first finished task took {:.1} s.",
        first.as_secs_f64()
    ));
    Ok(())
}

fn said(result: &Value, member: &str) -> String {
    result[member].as_str().unwrap_or_default().trim().to_owned()
}

fn file(bytes: Vec<u8>, name: &'static str) -> Part {
    Part::bytes(bytes).file_name(name)
}

/// Prints a transcript and compares it with what was said.
fn transcript(result: &Value) -> Result<(), Failure> {
    let text = said(result, "transcript");
    let rate = word_errors(samples::SPOKEN, &text).rate();
    print(&format!(
        "  spoken: {}\n  result: {text}\n  word error rate {rate:.2}",
        samples::SPOKEN
    ));
    if rate < WORD_ERRORS {
        return Ok(());
    }
    Err(format!("the transcript is not what was said: word error rate {rate:.2}").into())
}

/// A user who tells what it sees.
struct Teller {
    http: Client,
    url: String,
    key: String,
}

#[derive(Deserialize)]
struct Registered {
    api_key: String,
}

impl Teller {
    async fn register(url: &str) -> Result<Self, Failure> {
        let http = Client::builder().timeout(PATIENCE).build()?;
        let name = uuid::Uuid::now_v7().simple().to_string();
        let new = json!({ "email": format!("demo-{name}@example.org"), "password": name });
        let registered: Registered =
            answer(http.post(format!("{url}/api/v1/auth/register")).json(&new)).await?;
        print("A user registered and got an API key.");
        let teller = Self {
            http,
            url: url.to_owned(),
            key: registered.api_key,
        };
        teller.ready().await?;
        Ok(teller)
    }

    /// Waits until somebody serves translations: miners may still be sending their first heartbeats.
    async fn ready(&self) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            let metrics = self
                .http
                .get(format!("{}/metrics", self.url))
                .send()
                .await?
                .text()
                .await?;
            let available = metrics
                .lines()
                .find_map(|line| line.strip_prefix("violet_miners_available "))
                .and_then(|count| count.parse::<f64>().ok())
                .unwrap_or(0.0);
            if available >= 4.0 {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err("the miners do not send heartbeats; the engines may be missing".into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let nonce = uuid::Uuid::now_v7().to_string();
        self.http
            .post(format!("{}{path}", self.url))
            .header("X-API-Key", &self.key)
            .header("Idempotency-Key", nonce)
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        answer(
            self.http
                .get(format!("{}{path}", self.url))
                .header("X-API-Key", &self.key),
        )
        .await
    }

    /// Submits, follows and explains one task; answers how long it took to its verdict, and its result.
    async fn tell(
        &self,
        title: &str,
        kind: &str,
        request: RequestBuilder,
    ) -> Result<(Duration, Value), Failure> {
        print(&format!("\n── {title}"));
        let started = Instant::now();
        let submitted: Value = answer(request).await?;
        let id = submitted["task_id"].as_str().ok_or("no task id")?.to_owned();
        print(&format!(
            "task {id} accepted in {:.0} ms",
            started.elapsed().as_secs_f64() * 1e3
        ));

        let result = self.get(&format!("/api/v1/{kind}/{id}/result?wait=60")).await?;
        if result["available"] != true {
            return Err(format!("no answer: {result}").into());
        }
        print(&format!(
            "first answer after {:.2} s, from uid {} ({})",
            started.elapsed().as_secs_f64(),
            result["miner_uid"],
            result["model_id"].as_str().unwrap_or_default()
        ));
        let status = self.get(&format!("/api/v1/task/{id}/status?wait=60")).await?;
        let settled = started.elapsed();
        print(&format!(
            "{} after {:.2} s",
            status["status"].as_str().unwrap_or_default(),
            settled.as_secs_f64()
        ));
        if status["verified"] != true {
            return Err(format!("no verdict: {status}").into());
        }
        self.explain(&id).await?;
        let result = self.get(&format!("/api/v1/{kind}/{id}/result")).await?;
        Ok((settled, result))
    }

    /// Prints the draw, the scores and the check of the receipt.
    async fn explain(&self, id: &str) -> Result<(), Failure> {
        let started = Instant::now();
        let receipt = loop {
            let text = self.get(&format!("/api/v1/audit/tasks/{id}")).await?;
            let receipt: Receipt = serde_json::from_value(text)?;
            if !receipt.revealed.is_empty() || started.elapsed() > REVEAL_PATIENCE {
                break receipt;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let records = |proved: &[verify::Proved]| -> Result<Vec<Record>, Failure> {
            Ok(proved
                .iter()
                .map(|proved| Record::from_bytes(&proved.body))
                .collect::<Result<Vec<_>, _>>()?)
        };
        let named = records(&receipt.named)?;
        for record in records(&receipt.records)? {
            match record {
                Record::Draw(draw) => {
                    let set = named.iter().find_map(|record| match record {
                        Record::CandidateSet(set) if record.digest() == draw.candidate_set => Some(set),
                        _ => None,
                    });
                    print(&draw_story(
                        &draw,
                        set.ok_or("the receipt lacks the candidate set")?,
                    ));
                }
                Record::Settlement(settlement) => print(&settlement_story(&settlement)),
                Record::Rule(_) | Record::Base(_) | Record::CandidateSet(_) => {}
            }
        }
        let report = verify::receipt(&receipt);
        print(&format!(
            "  check of the records\n{}",
            shown(&report).replace("  ", "    ")
        ));
        if !report.is_sound() {
            return Err("the receipt does not hold".into());
        }
        if receipt.revealed.is_empty() {
            return Err("the base of the draw was not published in time".into());
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "shares for people to read")]
fn draw_story(draw: &Draw, set: &CandidateSet) -> String {
    let all: u128 = set
        .candidates
        .iter()
        .map(|candidate| u128::from(candidate.stake))
        .sum();
    let lines: Vec<String> = set
        .candidates
        .iter()
        .map(|candidate| {
            let place = draw.chosen.iter().position(|uid| *uid == candidate.uid);
            format!(
                "    uid {:>3}  stake share {:>5.1} %  performance {:>5.3}  {}",
                candidate.uid,
                100.0 * candidate.stake as f64 / all.max(1) as f64,
                f64::from(candidate.performance) / 1e6,
                place.map_or_else(String::new, |place| format!("drawn as number {}", place + 1))
            )
        })
        .collect();
    format!(
        "  draw {} at block {}, {} candidates\n{}",
        draw.draw,
        set.block,
        set.candidates.len(),
        lines.join("\n")
    )
}

fn settlement_story(settlement: &Settlement) -> String {
    let fraction = |score: Option<u16>| {
        score.map_or_else(
            || "abstains".into(),
            |score| format!("{:.3}", f64::from(score) / 65_535.0),
        )
    };
    let scores: Vec<String> = settlement
        .evaluations
        .iter()
        .map(|evaluation| {
            let scores: Vec<String> = evaluation.scores.iter().copied().map(fraction).collect();
            format!(
                "    validator {}…  stake {:>9} TAO  scores {}",
                evaluation.hotkey.to_string().chars().take(8).collect::<String>(),
                evaluation.stake / 1_000_000_000,
                scores.join("  ")
            )
        })
        .collect();
    let consensus: Vec<String> = settlement
        .answers
        .iter()
        .map(|answer| fraction(answer.consensus))
        .collect();
    format!(
        "  scores of {} answers\n{}\n    stake-weighted consensus            {}  → {}",
        settlement.answers.len(),
        scores.join("\n"),
        consensus.join("  "),
        settlement.outcome.name()
    )
}

/// The JSON answer of a request, or the problem that it met.
async fn answer<T: serde::de::DeserializeOwned>(request: RequestBuilder) -> Result<T, Failure> {
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        return Err(format!("{status}: {text}").into());
    }
    Ok(serde_json::from_str(&text)?)
}
