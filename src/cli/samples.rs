//! Real input for the demo, made on this machine: speech by flite, a video by ffmpeg, a Word document.
use std::{
    io::{Cursor, Write as _},
    path::Path,
};

use tokio::process::Command;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::Failure;

/// What is spoken in the recording and in the video.
pub(super) const SPOKEN: &str = "The weather is nice today and we will go to the park after lunch.";

/// What the document says.
pub(super) const DOCUMENT: &[&str] = &[
    "The book is on the table.",
    "My sister works in a hospital.",
    "Water is important for life.",
];

/// A text that is long enough to be summarized.
pub(super) const LONG: &str = "Rivers have shaped where people live for as long as there have been people. \
    A river gives water for drinking and for fields, and fields near a river give food every year. \
    Many of the first cities grew on the banks of great rivers, because boats could carry grain and stone to them. \
    The same rivers also flood, and a flood can destroy in one night what was built in a hundred years. \
    People answered with walls of earth, with canals, and with calendars that told them when the water would rise. \
    In some places the flood itself was welcome, since it left rich soil on the fields when it went back. \
    Today rivers are used to make electricity, and dams hold back their water for dry months. \
    Dams help cities far away, but fish can no longer swim up the rivers, and the soil no longer reaches the fields. \
    Engineers therefore look for ways to let some of the water, the fish and the soil pass. \
    Whoever plans for a river plans for everybody who lives along it, from the mountains to the sea.";

/// A recording of [`SPOKEN`] (WAV).
pub(super) async fn speech(folder: &Path) -> Result<Vec<u8>, Failure> {
    let file = folder.join("speech.wav");
    let out = file.to_string_lossy();
    run("flite", &["-voice", "slt", "-t", SPOKEN, "-o", &out]).await?;
    Ok(tokio::fs::read(&file).await?)
}

/// A video of a plain picture in which [`SPOKEN`] is said (MP4); needs [`speech`] in the folder.
pub(super) async fn video(folder: &Path) -> Result<Vec<u8>, Failure> {
    let (sound, file) = (folder.join("speech.wav"), folder.join("video.mp4"));
    let picture = "color=c=steelblue:s=320x180:r=10";
    let (sound, out) = (sound.to_string_lossy(), file.to_string_lossy());
    run(
        "ffmpeg",
        &[
            "-loglevel",
            "error",
            "-nostdin",
            "-y",
            "-f",
            "lavfi",
            "-i",
            picture,
            "-i",
            &sound,
            "-shortest",
            "-c:v",
            "mpeg4",
            "-c:a",
            "aac",
            "-ar",
            "16000",
            &out,
        ],
    )
    .await?;
    Ok(tokio::fs::read(&file).await?)
}

/// A Word document with a paragraph for each line of [`DOCUMENT`].
pub(super) fn document() -> Result<Vec<u8>, Failure> {
    let paragraphs: Vec<String> = DOCUMENT
        .iter()
        .map(|line| format!("<w:p><w:r><w:t>{line}</w:t></w:r></w:p>"))
        .collect();
    let paragraphs = paragraphs.concat();
    let parts = [
        (
            "[Content_Types].xml",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Types \
             xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"rels\" \
             ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Default Extension=\"xml\" \
             ContentType=\"application/xml\"/><Override PartName=\"/word/document.xml\" \
             ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml\"/>\
             </Types>"
                .to_owned(),
        ),
        (
            "_rels/.rels",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Relationships \
             xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" \
             Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
             Target=\"word/document.xml\"/></Relationships>"
                .to_owned(),
        ),
        (
            "word/document.xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document \
                 xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body>{paragraphs}\
                 </w:body></w:document>"
            ),
        ),
    ];
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in parts {
        archive.start_file(name, stored)?;
        archive.write_all(content.as_bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}

async fn run(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let output = Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("{program} cannot be run ({error}); `make run` installs it"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )
    .into())
}
