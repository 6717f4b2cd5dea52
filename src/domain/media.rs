//! What a file is, by its content: names and declared types are not believed.
use super::task::{InputKind, TaskType};

/// What files are listed and counted by.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    sqlx::Type,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "file_kind", rename_all = "snake_case")]
pub enum FileKind {
    /// A recording to be transcribed.
    Audio,
    /// A video to be transcribed.
    VideoTranscription,
    /// A document to be translated.
    DocumentTranslation,
    /// Speech, made by a miner.
    Tts,
    /// The sample of a voice.
    TtsSpeaker,
}

impl FileKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Audio,
        Self::VideoTranscription,
        Self::DocumentTranslation,
        Self::Tts,
        Self::TtsSpeaker,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::VideoTranscription => "video_transcription",
            Self::DocumentTranslation => "document_translation",
            Self::Tts => "tts",
            Self::TtsSpeaker => "tts_speaker",
        }
    }

    /// What a file of a task of this type is.
    pub const fn of(task_type: TaskType) -> Self {
        match task_type {
            TaskType::Transcription => Self::Audio,
            TaskType::VideoTranscription => Self::VideoTranscription,
            TaskType::Tts => Self::Tts,
            // What the first two are given and give is text; a file of theirs would be a document.
            TaskType::Summarization | TaskType::TextTranslation | TaskType::DocumentTranslation => {
                Self::DocumentTranslation
            }
        }
    }
}

/// So many bytes of the beginning are looked at.
pub const HEAD: usize = 8192;

/// The media type of a file that begins with `head`, if it is one that a task of this kind takes.
///
/// # Errors
/// Says what it looks like instead.
pub fn recognise(kind: InputKind, head: &[u8]) -> Result<&'static str, String> {
    let found = infer::get(head).map(|found| found.mime_type());
    let found = match found {
        Some("application/zip") if is_docx(head) => Some(DOCX),
        // Two letters are enough for some kinds of files, and texts begin with any. These two say what they are.
        Some("application/zip" | "application/pdf") => found,
        _ if kind == InputKind::Document && is_text(head) => Some(TEXT),
        found => found,
    };
    let fits = |mime: &str| match kind {
        InputKind::Text => false,
        // Containers that hold sound alone as often as pictures.
        InputKind::Audio => {
            mime.starts_with("audio/") || matches!(mime, "application/ogg" | "video/webm" | "video/mp4")
        }
        InputKind::Video => mime.starts_with("video/"),
        InputKind::Document => matches!(mime, "application/pdf" | DOCX | TEXT),
    };
    match found {
        Some(mime) if fits(mime) => Ok(usual(mime)),
        Some(mime) => Err(format!("is {mime}")),
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

/// Whether a WAV file that comes in pieces has the sound that its header promises, wherever in it the sound begins.
///
/// A length of 0 or nearly 2^32 is what programs write that do not know it yet (a pipe): such sound lasts to the end.
#[derive(Debug)]
pub struct WholeWav {
    next: Next,
    /// The beginning of a header whose end has not come.
    begun: Vec<u8>,
}

/// What the next bytes of a WAV file are.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The name of a chunk and its length.
    Header,
    /// So many bytes of something else than sound.
    Other(u64),
    /// So many bytes of sound.
    Sound(u64),
    /// Whatever they are: the sound is whole.
    Any,
}

impl Default for WholeWav {
    fn default() -> Self {
        Self {
            // `RIFF`, a length that nobody needs, `WAVE`: who asks has recognised them.
            next: Next::Other(12),
            begun: Vec::new(),
        }
    }
}

impl WholeWav {
    /// Takes the next piece.
    pub fn add(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            self.next = match self.next {
                Next::Any => return,
                Next::Header => {
                    let missing = piece.len().min(8 - self.begun.len());
                    self.begun.extend(piece.split_off(..missing).unwrap_or_default());
                    let next = chunk(&self.begun);
                    if next.is_some() {
                        self.begun.clear();
                    }
                    next.unwrap_or(Next::Header)
                }
                Next::Other(length) => match skip(&mut piece, length) {
                    0 => Next::Header,
                    left => Next::Other(left),
                },
                Next::Sound(length) => match skip(&mut piece, length) {
                    0 => Next::Any,
                    left => Next::Sound(left),
                },
            };
        }
    }

    /// Whether all that was added is one.
    pub fn holds(&self) -> bool {
        matches!(self.next, Next::Any)
    }
}

/// Bytes a second of sound, and of video, where only the size is known: 128 kbit/s and 1 Mbit/s.
const SOUND: u64 = 16_000;
const VIDEO: u64 = 125_000;

/// How long a file sounds, in milliseconds: of WAV what its header says, otherwise what is usual for its size.
pub fn millis(kind: InputKind, media_type: &str, head: &[u8], size: u64) -> u64 {
    let rate = match kind {
        InputKind::Audio if media_type == WAV => byte_rate(head).unwrap_or(SOUND),
        InputKind::Audio => SOUND,
        InputKind::Video => VIDEO,
        InputKind::Document | InputKind::Text => return 0,
    };
    size.saturating_mul(1000) / rate
}

/// Bytes of a second of WAV.
fn byte_rate(head: &[u8]) -> Option<u64> {
    let mut rest = head.get(12..)?;
    loop {
        let (header, chunk) = rest.split_first_chunk::<8>()?;
        let (name, length) = header.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        if name == b"fmt " {
            let rate = u32::from_le_bytes(chunk.get(8..12)?.try_into().ok()?);
            return Some(u64::from(rate)).filter(|rate| *rate > 0);
        }
        rest = chunk.get(usize::try_from(length).ok()?.next_multiple_of(2)..)?;
    }
}

/// What follows the header of a chunk, once that is whole.
fn chunk(header: &[u8]) -> Option<Next> {
    let (name, length) = header.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    Some(match (name, length) {
        (b"data", 0 | 0xffff_f000..) => Next::Any,
        (b"data", length) => Next::Sound(length.into()),
        // Chunks are padded to even lengths.
        (_, length) => Next::Other(u64::from(length).next_multiple_of(2)),
    })
}

/// Takes up to `length` bytes off the beginning of `piece`, and says how many of them are still to come.
fn skip(piece: &mut &[u8], length: u64) -> u64 {
    let taken = usize::try_from(length).map_or(piece.len(), |length| piece.len().min(length));
    *piece = &piece[taken..];
    length - taken as u64
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
    fn a_text_may_begin_like_another_medium() {
        for text in [
            "BMW builds cars.",
            "MZ was a maker of motorcycles.",
            "%! is what PostScript begins with.",
            "GIF is pronounced in two ways.",
            "ID3 tags name songs.",
            "CWS and FWS are Flash.",
            "FWS is the Fish and Wildlife Service.",
            "SQLite format 3 is stable.",
            "<!DOCTYPE html><html><body>A page</body></html>",
            "<html><body>A page</body></html>",
            "<?xml version=\"1.0\"?><a/>",
            "#!/bin/sh\necho hello\n",
            "RIFF of the guitar: WAVE after wave",
        ] {
            assert_eq!(
                recognise(InputKind::Document, text.as_bytes()),
                Ok(TEXT),
                "{text}"
            );
            // Bytes that no text has make it what it begins like, or nothing.
            let bytes = [text.as_bytes(), &[0, 0xff]].concat();
            assert!(recognise(InputKind::Document, &bytes).is_err(), "{text}");
            assert_ne!(recognise(InputKind::Audio, text.as_bytes()), Ok(TEXT), "{text}");
        }
        assert_eq!(
            recognise(InputKind::Document, b"%PDF-1.4 and nothing but text"),
            Ok("application/pdf")
        );
        assert!(recognise(InputKind::Document, b"PK\x03\x04 and nothing but text").is_err());
        assert!(recognise(InputKind::Document, &wav(4, 4)).is_err());
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

    /// Whether this WAV is whole, in pieces of `size`.
    fn whole(file: &[u8], size: usize) -> bool {
        let mut whole = WholeWav::default();
        file.chunks(size).for_each(|piece| whole.add(piece));
        whole.holds()
    }

    #[test]
    fn how_long_a_file_sounds_is_known_of_wav_and_estimated_of_others() {
        // 16 kHz, mono, 16 bits.
        let file = wav(0, 32_000);
        let of = |kind, media_type: &str, head: &[u8]| millis(kind, media_type, head, 32_000);
        assert_eq!(of(InputKind::Audio, WAV, &file[..100]), 1000);
        assert_eq!(of(InputKind::Audio, WAV, &file[..20]), 2000);
        assert_eq!(of(InputKind::Audio, "audio/mpeg", &[]), 2000);
        assert_eq!(of(InputKind::Video, "video/mp4", &[]), 256);
        assert_eq!(of(InputKind::Document, TEXT, &[]), 0);
        // A rate of nothing, and a chunk that goes on for ever.
        let mut broken = file.clone();
        broken[28..32].fill(0);
        assert_eq!(of(InputKind::Audio, WAV, &broken), 2000);
        broken[12..20].copy_from_slice(b"LIST\xff\xff\xff\xff");
        assert_eq!(of(InputKind::Audio, WAV, &broken), 2000);
    }

    #[test]
    fn a_wav_must_have_the_sound_that_it_promises() {
        for (declared, bytes, expected) in [
            (100, 100, true),
            (101, 100, false),
            (99, 100, true),
            (0, 100, true),
            (u32::MAX, 100, true),
            (u32::MAX - 36, 100, true),
            (1 << 30, 100, false),
            (20_000, 20_000, true),
            (20_001, 20_000, false),
        ] {
            for size in [1, 7, 44, 45, 8192, 30_000] {
                assert_eq!(
                    whole(&wav(declared, bytes), size),
                    expected,
                    "{declared} of {bytes} by {size}"
                );
            }
        }
    }

    #[test]
    fn the_sound_of_a_wav_may_come_late_but_must_come() {
        let with = |name: &[u8; 4], length: usize, padded: usize| {
            let mut file = wav(100, 100);
            let sound = file.split_off(36);
            file.extend(name);
            file.extend(u32::try_from(length).unwrap().to_le_bytes());
            // What looks like sound within another chunk is none.
            file.extend(b"data".iter().cycle().take(padded));
            (file, sound)
        };
        for length in [0, 1, 2, 7, 8, HEAD - 44, HEAD - 43, 100_001] {
            let (head, sound) = with(b"LIST", length, length.next_multiple_of(2));
            let file = [&head[..], &sound].concat();
            for size in [1, 5, HEAD, file.len()] {
                assert!(whole(&file, size), "{length} by {size}");
                assert!(!whole(&file[..file.len() - 1], size), "{length} by {size}");
                assert!(!whole(&head, size), "{length} by {size}");
                assert!(!whole(&head[..head.len() - length.min(1)], size));
            }
        }
        // Without the pad of an odd length the next header is read off by one.
        let (head, sound) = with(b"LIST", 7, 7);
        assert!(!whole(&[&head[..], &sound].concat(), 16));
    }
}
