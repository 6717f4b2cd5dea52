//! What a file is, by its content: names and declared types are not believed.
use super::task::InputKind;

/// So many bytes of the beginning are looked at.
pub const HEAD: usize = 8192;

/// The media type of a file that begins with `head`, if it is one that a task of this kind takes.
///
/// # Errors
/// Says what it looks like instead.
pub fn recognise(kind: InputKind, head: &[u8]) -> Result<&'static str, String> {
    let found = infer::get(head).map(|found| found.mime_type());
    let found = if found == Some("application/zip") && is_docx(head) {
        Some(DOCX)
    } else {
        found
    };
    let fits = |mime: &str| match kind {
        InputKind::Text => false,
        // Containers that hold sound alone as often as pictures.
        InputKind::Audio => {
            mime.starts_with("audio/") || matches!(mime, "application/ogg" | "video/webm" | "video/mp4")
        }
        InputKind::Video => mime.starts_with("video/"),
        InputKind::Document => matches!(mime, "application/pdf" | DOCX),
    };
    match found {
        Some(mime) if fits(mime) => Ok(usual(mime)),
        Some(mime) => Err(format!("is {mime}")),
        None if kind == InputKind::Document && is_text(head) => Ok(TEXT),
        None => Err("is of no known type".into()),
    }
}

/// The media type of a WAV file.
pub const WAV: &str = "audio/wav";
/// The media type of a text.
pub const TEXT: &str = "text/plain";
/// The media type of a Word document.
pub const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// What files of this kind may be, for an error that helps.
pub fn accepted(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Text => "no file",
        InputKind::Audio => "an audio file such as WAV, MP3, FLAC, OGG or M4A",
        InputKind::Video => "a video file such as MP4, WebM, MKV, AVI or MOV",
        InputKind::Document => "a PDF, a DOCX or a text in UTF-8",
    }
}

/// The name that everybody else uses for a media type.
fn usual(mime: &'static str) -> &'static str {
    match mime {
        "audio/x-wav" => WAV,
        "audio/x-flac" => "audio/flac",
        mime => mime,
    }
}

/// Whether a ZIP archive that begins with `head` is a Word document: Office's first part, and nothing of its siblings.
///
/// The order of parts is free, and what lies behind the head is not seen: an engine that cannot read it refuses it.
fn is_docx(head: &[u8]) -> bool {
    let has = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    let first = head.get(30..).unwrap_or_default();
    let office = [&b"[Content_Types].xml"[..], b"_rels/", b"docProps/", b"word/"];
    office.iter().any(|name| first.starts_with(name)) && (has(b"word/") || !(has(b"xl/") || has(b"ppt/")))
}

/// Whether `head` is the beginning of a text in UTF-8. The last character may be cut.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && head.len() - error.valid_up_to() < 4,
    };
    valid && !head.contains(&0)
}

/// Whether bytes that come in pieces are a text in UTF-8 all through: a head says nothing of what follows.
#[derive(Debug, Default)]
pub struct WholeText {
    /// The beginning of a character whose end has not come.
    begun: Vec<u8>,
    failed: bool,
}

impl WholeText {
    /// Takes the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        if self.failed {
            return;
        }
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(piece);
        self.failed = bytes.contains(&0);
        if let Err(error) = std::str::from_utf8(&bytes) {
            self.failed |= error.error_len().is_some();
            self.begun = bytes.split_off(error.valid_up_to());
        }
    }

    /// Whether all that was added is one.
    pub fn holds(&self) -> bool {
        !self.failed && self.begun.is_empty()
    }
}

/// Whether a WAV file that begins with `head` and has `size` bytes lacks sound that its header promises.
///
/// A length of 0 or 2^32 − 1 is what programs write that do not know it yet (a pipe); such a file is whole.
pub fn is_truncated_wav(head: &[u8], size: u64) -> bool {
    if head.len() < 12 || &head[..4] != b"RIFF" || &head[8..12] != b"WAVE" {
        return false;
    }
    let mut at = 12;
    while let Some(header) = head.get(at..at + 8) {
        let length = u32::from_le_bytes(header[4..8].try_into().expect("4 of 8 bytes"));
        if &header[..4] == b"data" {
            let unknown = length == 0 || length == u32::MAX || length >= u32::MAX - 4096;
            return !unknown && (at as u64 + 8 + u64::from(length)) > size;
        }
        // Chunks are padded to even lengths.
        at +=
            8 + usize::try_from(length).unwrap_or(usize::MAX / 2) + usize::try_from(length % 2).unwrap_or(0);
    }
    // No sound within the head: a file this short has none at all.
    size <= head.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(declared: u32, bytes: usize) -> Vec<u8> {
        let mut file =
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data".to_vec();
        file.extend(declared.to_le_bytes());
        file.extend(vec![0; bytes]);
        file
    }

    #[test]
    fn content_decides() {
        assert_eq!(recognise(InputKind::Audio, &wav(4, 4)), Ok(WAV));
        assert!(recognise(InputKind::Video, &wav(4, 4)).is_err());
        assert!(recognise(InputKind::Audio, b"this is a text").is_err());
        assert_eq!(
            recognise(InputKind::Document, "ein Text mit Umläuten".as_bytes()),
            Ok("text/plain")
        );
        assert!(recognise(InputKind::Document, b"a\0b").is_err());
        assert!(recognise(InputKind::Document, &[0xff, 0xfe, 0xfd, 0x20, 0x20]).is_err());
        assert_eq!(
            recognise(InputKind::Document, b"%PDF-1.7\n"),
            Ok("application/pdf")
        );
        // A character cut at the end of the head is no reason to refuse.
        assert_eq!(
            recognise(InputKind::Document, &"aä".as_bytes()[..2]),
            Ok("text/plain")
        );
    }

    #[test]
    fn a_text_is_one_to_its_end_however_it_is_cut() {
        let text = "grüße, \u{1f3e0} and 你好";
        let holds = |bytes: &[u8], size| {
            let mut whole = WholeText::default();
            bytes.chunks(size).for_each(|piece| whole.add(piece));
            whole.holds()
        };
        for size in 1..=text.len() {
            assert!(holds(text.as_bytes(), size), "{size}");
            assert!(!holds(b"caf\xe9", size));
            assert!(!holds(b"caf\xe9 noir", size));
            assert!(!holds(b"a\0b", size));
            assert!(!holds(&text.as_bytes()[..text.len() - 1], size));
        }
    }

    #[test]
    fn a_word_document_is_an_office_archive_with_word_parts() {
        let archive = |names: [&str; 2]| {
            let entry = |name: &str| {
                let length = u16::try_from(name.len()).unwrap();
                let mut entry = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
                entry.extend(length.to_le_bytes());
                entry.extend([0, 0]);
                entry.extend(name.as_bytes());
                entry
            };
            names.map(entry).concat()
        };
        let kind = |names| recognise(InputKind::Document, &archive(names));
        assert_eq!(kind(["[Content_Types].xml", "word/document.xml"]), Ok(DOCX));
        assert!(kind(["[Content_Types].xml", "xl/workbook.xml"]).is_err());
        assert!(kind(["readme.txt", "word/document.xml"]).is_err());
    }

    #[test]
    fn a_wav_must_have_the_sound_that_it_promises() {
        let check = |declared, bytes| {
            let file = wav(declared, bytes);
            is_truncated_wav(&file[..file.len().min(HEAD)], file.len() as u64)
        };
        assert!(!check(100, 100));
        assert!(check(101, 100));
        assert!(!check(0, 100));
        assert!(!check(u32::MAX, 100));
        assert!(!check(20_000, 20_000));
        assert!(check(20_001, 20_000));
        assert!(is_truncated_wav(&wav(0, 0)[..30], 30));
    }
}
