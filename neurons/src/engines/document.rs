//! The text of documents: plain text, DOCX and PDF, told apart by their first bytes, not by their names.
//! Reads text only; layout, pictures and macros are left behind.

use std::ffi::OsStr;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;

use super::command::{Limits, Program, Tools};
use super::{EngineError, working_folder};

/// The largest text that is taken out of a document; also what a packed document may unpack to.
pub(super) const MAX_TEXT_BYTES: u64 = 256 * 1024;
/// The XML around that text.
const MAX_XML_BYTES: u64 = 32 << 20;

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(60),
    cpu: Duration::from_secs(60),
    memory_bytes: 1 << 30,
    output_bytes: 4 << 20,
    file_bytes: 1 << 20,
};

/// Reads documents, PDF only when `pdftotext` is installed.
#[derive(Clone, Debug)]
pub(super) struct DocumentReader {
    pdftotext: Option<Program>,
}

impl DocumentReader {
    pub(super) fn find(tools: &Tools) -> Self {
        Self {
            pdftotext: tools.find("pdftotext"),
        }
    }

    /// The text of `file`, one line per paragraph where the format knows paragraphs.
    pub(super) async fn text(&self, file: &Path) -> Result<String, EngineError> {
        let path = file.to_owned();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let text = match read.map_err(|_| EngineError::Output("reading the document broke"))?? {
            Found::Text(text) => text,
            Found::Pdf => self.pdf(file).await?,
        };
        let bytes = text.len() as u64;
        if bytes > MAX_TEXT_BYTES {
            return Err(EngineError::TooLarge {
                bytes,
                limit: MAX_TEXT_BYTES,
            });
        }
        if text.trim().is_empty() {
            return Err(EngineError::Empty);
        }
        Ok(text)
    }

    async fn pdf(&self, file: &Path) -> Result<String, EngineError> {
        let program = self
            .pdftotext
            .as_ref()
            .ok_or(EngineError::Unfit("PDF cannot be read here"))?;
        let folder = working_folder()?;
        let file = std::path::absolute(file).map_err(EngineError::Folder)?;
        let args: [&OsStr; 6] = [
            "-q".as_ref(),
            "-enc".as_ref(),
            "UTF-8".as_ref(),
            "-nopgbrk".as_ref(),
            file.as_ref(),
            "-".as_ref(),
        ];
        let text = program.run(&args, folder.path(), b"", &LIMITS).await;
        let text = text.map_err(|error| EngineError::reading("PDF", error))?;
        String::from_utf8(text).map_err(|_| EngineError::Output("not UTF-8"))
    }
}

enum Found {
    Text(String),
    Pdf,
}

fn read(path: &Path) -> Result<Found, EngineError> {
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(EngineError::Folder)?;
    file.take(8).read_to_end(&mut head).map_err(EngineError::Folder)?;
    if head.starts_with(b"%PDF-") {
        return Ok(Found::Pdf);
    }
    let file = std::fs::File::open(path).map_err(EngineError::Folder)?;
    if head.starts_with(b"PK\x03\x04") {
        return docx(file).map(Found::Text);
    }
    let mut bytes = Vec::new();
    file.take(MAX_TEXT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(EngineError::Folder)?;
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        return Err(EngineError::TooLarge {
            bytes: bytes.len() as u64,
            limit: MAX_TEXT_BYTES,
        });
    }
    let text =
        String::from_utf8(bytes).map_err(|_| EngineError::Unfit("neither PDF, DOCX nor UTF-8 text"))?;
    Ok(Found::Text(text.trim_start_matches('\u{feff}').to_owned()))
}

fn docx(file: std::fs::File) -> Result<String, EngineError> {
    const NOT_DOCX: EngineError = EngineError::Unfit("the archive is no DOCX document");
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|_| NOT_DOCX)?;
    let document = archive.by_name("word/document.xml").map_err(|_| NOT_DOCX)?;
    // What an archive says of its sizes is not believed.
    paragraphs(document.take(MAX_XML_BYTES)).ok_or(EngineError::Unfit("the DOCX document cannot be read"))
}

/// The text runs (`w:t`) of each paragraph (`w:p`), with tabs and breaks; `None` for XML that is broken or cut off.
fn paragraphs(xml: impl Read) -> Option<String> {
    let mut reader = Reader::from_reader(BufReader::new(xml));
    let (mut buffer, mut text, mut in_run, mut depth) = (Vec::new(), String::new(), false, 0_usize);
    loop {
        if text.len() as u64 > MAX_TEXT_BYTES {
            return Some(text);
        }
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(tag) => {
                depth += 1;
                in_run = tag.local_name().as_ref() == "t";
            }
            Event::End(tag) => {
                depth = depth.checked_sub(1)?;
                in_run = false;
                if tag.local_name().as_ref() == "p" {
                    text.push('\n');
                }
            }
            Event::Empty(tag) => match tag.local_name().as_ref() {
                "tab" => text.push('\t'),
                "br" | "cr" | "p" => text.push('\n'),
                _ => {}
            },
            Event::Text(run) if in_run => text.push_str(&run),
            Event::GeneralRef(entity) if in_run => text.push(character(&entity)?),
            Event::Eof => return (depth == 0).then_some(text),
            _ => {}
        }
        buffer.clear();
    }
}

fn character(entity: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Some(character) = entity.resolve_char_ref().ok()? {
        return Some(character);
    }
    match &**entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// Cuts `text` into pieces of at most `limit` bytes, between lines where that is possible, else between words, else
/// between characters. Joined they are the text again.
pub(super) fn pieces(text: &str, limit: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > limit {
        let window = &rest[..rest.floor_char_boundary(limit)];
        let cut = window
            .rfind('\n')
            .or_else(|| window.rfind(' '))
            .map_or(window.len(), |at| at + 1);
        let (piece, tail) = rest.split_at(cut);
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;

    use super::super::{Catalogue, Input, Output, TaskType};
    use super::*;

    const BODY: &str = "<?xml version=\"1.0\"?><w:document xmlns:w=\"x\"><w:body><w:p><w:r><w:t>The house is \
        </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>red.</w:t></w:r></w:p><w:p/><w:p><w:r><w:instrText>PAGE\
        </w:instrText><w:t>Salt &amp; sugar &#233;</w:t><w:tab/><w:t>end</w:t></w:r></w:p></w:body></w:document>";

    const PDF: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>\
        endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 100]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>\
        endobj\n4 0 obj<</Length 47>>stream\nBT /F 12 Tf 20 50 Td (The house is red.) Tj ET \nendstream endobj\n\
        5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";

    fn docx_of(name: &str, xml: &str) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(xml.as_bytes()).unwrap();
        archive.finish().unwrap().into_inner()
    }

    async fn text_of(bytes: &[u8]) -> Result<String, EngineError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("document");
        std::fs::write(&file, bytes).unwrap();
        DocumentReader::find(&Tools::default()).text(&file).await
    }

    #[tokio::test]
    async fn docx_pdf_and_text_are_read() {
        let docx = text_of(&docx_of("word/document.xml", BODY)).await.unwrap();
        assert_eq!(docx, "The house is red.\n\nSalt & sugar é\tend\n");
        let pdf = text_of(PDF.as_bytes())
            .await
            .expect("this test needs the package poppler-utils");
        assert_eq!(pdf.trim(), "The house is red.");
        assert_eq!(
            text_of("\u{feff}Plain\ntext".as_bytes()).await.unwrap(),
            "Plain\ntext"
        );
    }

    #[tokio::test]
    async fn what_is_no_document_is_refused() {
        assert!(matches!(
            text_of(&[0xff, 0xfe, 1]).await,
            Err(EngineError::Unfit(_))
        ));
        assert!(matches!(
            text_of(b"PK\x03\x04rest").await,
            Err(EngineError::Unfit(_))
        ));
        assert!(matches!(
            text_of(&docx_of("other.xml", BODY)).await,
            Err(EngineError::Unfit(_))
        ));
        assert!(matches!(
            text_of(&docx_of("word/document.xml", &BODY[..BODY.len() / 2])).await,
            Err(EngineError::Unfit(_))
        ));
        assert!(matches!(
            text_of(b"%PDF-1.4 broken").await,
            Err(EngineError::Unreadable { .. })
        ));
        assert!(matches!(text_of(b" \n").await, Err(EngineError::Empty)));
        assert!(matches!(
            text_of(&vec![b'a'; 300_000]).await,
            Err(EngineError::TooLarge { .. })
        ));
    }

    #[tokio::test]
    async fn a_packed_bomb_is_not_unpacked() {
        let bomb = BODY.replace("red.", &"red ".repeat(20_000_000));
        let packed = docx_of("word/document.xml", &bomb);
        assert!(packed.len() < 1 << 20);
        assert!(text_of(&packed).await.is_err());
    }

    #[tokio::test]
    async fn a_document_is_translated() {
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("letter.docx");
        std::fs::write(&document, docx_of("word/document.xml", BODY)).unwrap();
        let catalogue = Catalogue::discover().await.only(&[TaskType::DocumentTranslation]);
        let engine = catalogue
            .engines()
            .iter()
            .find(|engine| engine.profile().model_id == "apertium/eng-spa");
        let engine = engine.expect("this test needs the packages apertium and apertium-eng-spa");
        let input = Input::Document {
            document,
            source_language: "en".into(),
            target_language: "es".into(),
        };
        let Output::Translation { translated_text } = engine.run(&input).await.unwrap() else {
            panic!("a translation was asked for")
        };
        assert!(
            translated_text.starts_with("La casa es roja.\n\nAzúcar"),
            "{translated_text}"
        );
    }

    #[test]
    fn pieces_join_to_the_text() {
        let text = "line one\nline two is longer\n\nééééééééééééééééééé end";
        let cut = pieces(text, 12);
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|piece| piece.len() <= 12));
        assert_eq!(cut[0], "line one\n");
        assert_eq!(pieces("short", 12), ["short"]);
    }
}
