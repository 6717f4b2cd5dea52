//! `violet dev --demo`: real tasks over REST, and the story of what became of each.
use std::{
    path::Path,
    time::{Duration, Instant},
};

use reqwest::{
    Client, RequestBuilder,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::{Value, json};
use violet_neurons::judge::wer::word_errors;

use super::{
    Failure,
    audit::{shown, verdict},
    counted, print, samples, story,
};
use crate::verify::{self, Receipt};

/// How long each part of the story may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// A task may take this long on a machine that has other things to do: the validators have 15 minutes for it alone.
const LONGEST: Duration = Duration::from_secs(20 * 60);
/// A base is published two snapshots after it was made.
const REVEAL_PATIENCE: Duration = Duration::from_secs(60);

const TEXT: &str = "The house is big. My friend has a red book. We are going to the city tomorrow.";
/// A transcript with more wrong words than this is not one.
const WORD_ERRORS: f64 = 0.2;

/// Submits one task of each type as a new user, and tells what happens. The receipts come last: each holds only once the
/// randomness of its draw is published, and nobody has to wait for that but their check.
///
/// # Errors
/// When a task does not come to a verdict, its receipt does not hold, or a transcript is not what was said.
pub(super) async fn run(url: &str) -> Result<(), Failure> {
    let started = Instant::now();
    let folder = tempfile::tempdir()?;
    let teller = Teller::register(url).await?;
    let told = [
        teller.text_translation().await?,
        teller.transcription(folder.path()).await?,
        teller.speech().await?,
        teller.summarization().await?,
        teller.document_translation().await?,
        teller.video_transcription(folder.path()).await?,
    ];
    teller.receipts(&told).await?;
    print(&format!(
        "\nAll well: {} with a verdict and a receipt that holds, after {:.1} s; the first one had its verdict after \
         {:.1} s.",
        counted(told.len(), "task"),
        started.elapsed().as_secs_f64(),
        told[0].settled.as_secs_f64()
    ));
    Ok(())
}

/// A task whose story was told up to its verdict.
struct Told {
    title: &'static str,
    id: String,
    settled: Duration,
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
        print("\nA user registered and got an API key.");
        Ok(Self {
            http,
            url: url.to_owned(),
            key: registered.api_key,
        })
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

    async fn text_translation(&self) -> Result<Told, Failure> {
        let request = self.post("/api/v1/text-translation").form(&[
            ("text", TEXT),
            ("source_language", "en"),
            ("target_language", "es"),
        ]);
        let title = "Text translation, English to Spanish";
        let (told, result) = self.tell(title, "text-translation", request).await?;
        print(&format!(
            "  text:   {TEXT}\n  result: {}",
            said(&result, "translated_text")
        ));
        Ok(told)
    }

    async fn transcription(&self, folder: &Path) -> Result<Told, Failure> {
        let recording = samples::speech(folder).await?;
        let form = Form::new()
            .text("source_language", "en")
            .part("audio_file", file(recording, "speech.wav"));
        let request = self.post("/api/v1/transcription").multipart(form);
        let title = "Transcription of a recording";
        let (told, result) = self.tell(title, "transcription", request).await?;
        transcript(&result)?;
        Ok(told)
    }

    async fn speech(&self) -> Result<Told, Failure> {
        let request = self
            .post("/api/v1/tts")
            .form(&[("text", samples::SPOKEN), ("voice_name", "english_alice")]);
        let (told, result) = self.tell("Speech", "tts", request).await?;
        let link = said(&result, "audio_url");
        let audio = self
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
        Ok(told)
    }

    async fn summarization(&self) -> Result<Told, Failure> {
        let request = self
            .post("/api/v1/summarization")
            .form(&[("text", samples::LONG)]);
        let (told, result) = self.tell("Summarization", "summarization", request).await?;
        print(&format!(
            "  text:   {} characters\n  result: {} characters: {}",
            result["original_text_length"],
            result["summary_length"],
            said(&result, "summary")
        ));
        Ok(told)
    }

    async fn document_translation(&self) -> Result<Told, Failure> {
        let form = Form::new()
            .text("source_language", "en")
            .text("target_language", "es")
            .part("document_file", file(samples::document()?, "document.docx"));
        let request = self.post("/api/v1/document-translation").multipart(form);
        let title = "Translation of a Word document";
        let (told, result) = self.tell(title, "document-translation", request).await?;
        let text = samples::DOCUMENT.join(" ");
        print(&format!(
            "  text:   {text}\n  result: {}",
            said(&result, "translated_text").replace('\n', " ")
        ));
        Ok(told)
    }

    async fn video_transcription(&self, folder: &Path) -> Result<Told, Failure> {
        let video = file(samples::video(folder).await?, "video.mp4");
        let request = self
            .post("/api/v1/video-transcription")
            .multipart(Form::new().part("video_file", video));
        let title = "Transcription of a video";
        let (told, result) = self.tell(title, "video-transcription", request).await?;
        transcript(&result)?;
        Ok(told)
    }

    /// Submits and follows one task to its verdict; answers its result as well.
    async fn tell(
        &self,
        title: &'static str,
        kind: &str,
        request: RequestBuilder,
    ) -> Result<(Told, Value), Failure> {
        print(&format!("\n── {title}"));
        let started = Instant::now();
        let submitted: Value = answer(request).await?;
        let id = submitted["task_id"].as_str().ok_or("no task id")?.to_owned();
        print(&format!(
            "task {id} accepted in {:.0} ms",
            started.elapsed().as_secs_f64() * 1e3
        ));

        let result = self
            .until(&format!("/api/v1/{kind}/{id}/result"), "answered", |result| {
                result["available"] == true || !result["reason"].is_null()
            })
            .await?;
        if result["available"] != true {
            return Err(format!("nobody answered: {result}").into());
        }
        print(&format!(
            "first answer after {:.2} s, from uid {} ({})",
            started.elapsed().as_secs_f64(),
            result["miner_uid"],
            result["model_id"].as_str().unwrap_or_default()
        ));
        let status = self
            .until(&format!("/api/v1/task/{id}/status"), "judged", |status| {
                !status["settled_at"].is_null()
            })
            .await?;
        let settled = started.elapsed();
        print(&format!(
            "{} after {:.2} s",
            status["status"].as_str().unwrap_or_default(),
            settled.as_secs_f64()
        ));
        if status["verified"] != true {
            let reason = status["reason"].as_str().unwrap_or("unknown");
            return Err(format!("it ended without a verdict, for the reason {reason}: {status}").into());
        }
        print(&story::of(&self.receipt(&id).await?)?);
        let result = self.get(&format!("/api/v1/{kind}/{id}/result")).await?;
        Ok((Told { title, id, settled }, result))
    }

    /// Asks until `is_there`, for as long as a task may take: on a busy machine that is long.
    async fn until(
        &self,
        path: &str,
        what: &str,
        is_there: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let started = Instant::now();
        loop {
            let found = self.get(&format!("{path}?wait=60")).await?;
            if is_there(&found) {
                return Ok(found);
            }
            let waited = started.elapsed();
            if waited > LONGEST {
                return Err(format!("not {what} after {} s: {found}", waited.as_secs()).into());
            }
            // Whoever has answers may be asked again at once.
            if waited > Duration::from_secs(30) {
                print(&format!(
                    "not {what} yet after {} s; this machine is busy",
                    waited.as_secs()
                ));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn receipt(&self, id: &str) -> Result<Receipt, Failure> {
        let receipt = self.get(&format!("/api/v1/audit/tasks/{id}")).await?;
        Ok(serde_json::from_value(receipt)?)
    }

    /// Checks the receipts of all tasks: the first at length, of the others what it comes to.
    async fn receipts(&self, told: &[Told]) -> Result<(), Failure> {
        print("\n── Receipts, checked as `violet audit verify` does it");
        let width = told.iter().map(|task| task.title.len()).max().unwrap_or_default();
        let mut broken = 0;
        for (number, Told { title, id, .. }) in told.iter().enumerate() {
            let report = verify::receipt(&self.published(id).await?);
            if number == 0 || !report.is_sound() {
                print(&format!("{title}\n{}", shown(&report)));
                print(&format!("  {}\n", verdict(&report)));
            } else {
                print(&format!("{title:width$}  {}", verdict(&report)));
            }
            broken += usize::from(!report.is_sound());
        }
        if broken > 0 {
            return Err(format!("of {} {broken} do not hold", counted(told.len(), "receipt")).into());
        }
        Ok(())
    }

    /// The receipt once the randomness of its draws is published, which may be some seconds later.
    async fn published(&self, id: &str) -> Result<Receipt, Failure> {
        let started = Instant::now();
        let mut said = false;
        loop {
            let receipt = self.receipt(id).await?;
            if story::is_published(&receipt)? {
                return Ok(receipt);
            }
            if !std::mem::replace(&mut said, true) {
                print(
                    "waiting for the randomness of the draw, which is published two snapshots after it: up to 15 s",
                );
            }
            if started.elapsed() > REVEAL_PATIENCE {
                return Err(format!("the randomness of task {id} was not published in time").into());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
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
