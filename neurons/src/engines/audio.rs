//! Sound as the recognisers want it, and as the synthesisers leave it: WAV files on disk.
//! Whatever comes in goes through `ffmpeg`, which may open the given file and nothing else.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::EngineError;
use super::command::{Limits, Program, Tools};

/// The longest sound that is taken.
pub(super) const MAX_DURATION: Duration = Duration::from_secs(3600);

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(300),
    cpu: Duration::from_secs(300),
    memory_bytes: 2 << 30,
    output_bytes: 1 << 20,
    file_bytes: 256 << 20,
};

/// Containers that name no other files; play lists, which do, are left out.
const CONTAINERS: &str =
    "wav,w64,mp3,flac,ogg,aac,aiff,au,amr,caf,asf,avi,flv,matroska,webm,mov,mp4,m4a,mpeg,mpegts";

/// Takes the sound out of an audio or video file.
#[derive(Clone, Debug)]
pub(super) struct Extractor {
    ffmpeg: Program,
}

impl Extractor {
    pub(super) fn find(tools: &Tools) -> Option<Self> {
        Some(Self {
            ffmpeg: tools.find("ffmpeg")?,
        })
    }

    /// Writes the first sound track of `file` as 16 kHz mono WAV into `folder`. Refuses what has no sound and what
    /// is longer than [`MAX_DURATION`].
    pub(super) async fn extract(&self, file: &Path, folder: &Path) -> Result<PathBuf, EngineError> {
        let output = folder.join("sound.wav");
        let mut input = OsString::from("file:");
        input.push(std::path::absolute(file).map_err(EngineError::Folder)?);
        let seconds = (MAX_DURATION.as_secs() + 1).to_string();
        let mut args: Vec<OsString> = ["-nostdin", "-hide_banner", "-loglevel", "error", "-threads", "1"]
            .into_iter()
            .chain([
                "-protocol_whitelist",
                "file",
                "-format_whitelist",
                CONTAINERS,
                "-i",
            ])
            .map(OsString::from)
            .collect();
        args.push(input);
        let form = [
            "-map",
            "0:a:0",
            "-ac",
            "1",
            "-ar",
            "16000",
            "-c:a",
            "pcm_s16le",
            "-t",
            &seconds,
            "-f",
            "wav",
        ];
        args.extend(form.map(OsString::from));
        args.push(output.clone().into());
        self.ffmpeg.run(&args, folder, b"", &LIMITS).await?;
        if duration(&output)? > MAX_DURATION {
            return Err(EngineError::Unfit("the sound is longer than an hour"));
        }
        Ok(output)
    }
}

/// A WAV file in a folder of its own; both go when it is dropped.
#[derive(Debug)]
pub struct Speech {
    _folder: TempDir,
    path: PathBuf,
    duration: Duration,
}

impl Speech {
    pub(super) fn in_folder(folder: TempDir, path: PathBuf) -> Result<Self, EngineError> {
        let duration = duration(&path)?;
        if duration.is_zero() {
            return Err(EngineError::Output("no sound"));
        }
        Ok(Self {
            _folder: folder,
            path,
            duration,
        })
    }

    /// The file; copy or read it before this value is dropped.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long it sounds.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

/// How long a WAV file sounds, by its `fmt ` and `data` chunks and its real size.
fn duration(path: &Path) -> Result<Duration, EngineError> {
    let file = std::fs::File::open(path).map_err(|_| EngineError::Output("no file"))?;
    let size = file.metadata().map_err(EngineError::Folder)?.len();
    // The chunks before the samples are small; 64 kB hold them all.
    let mut head = Vec::new();
    file.take(64 << 10)
        .read_to_end(&mut head)
        .map_err(EngineError::Folder)?;
    wav_duration(&head, size).ok_or(EngineError::Output("not a WAV file"))
}

fn wav_duration(head: &[u8], size: u64) -> Option<Duration> {
    if head.get(..4)? != b"RIFF" || head.get(8..12)? != b"WAVE" {
        return None;
    }
    let number = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let (mut at, mut bytes_per_second) = (12_usize, None);
    loop {
        let (kind, length) = (head.get(at..at + 4)?, number(at + 4)?);
        let body = at + 8;
        match kind {
            // Rate and frame size, not their product: Flite writes a wrong one for its 8 kHz voice.
            b"fmt " => {
                let frame = u64::from(u16::from_le_bytes(
                    head.get(body + 12..body + 14)?.try_into().ok()?,
                ));
                bytes_per_second = Some(u64::from(number(body + 4)?) * frame).filter(|rate| *rate > 0);
            }
            b"data" => {
                let there = size.saturating_sub(body as u64);
                let millis = u64::from(length).min(there) * 1000 / bytes_per_second?;
                return Some(Duration::from_millis(millis));
            }
            _ => {}
        }
        // Chunks are padded to an even length.
        at = body + usize::try_from(length).ok()?.checked_next_multiple_of(2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(rate: u32, claimed: u32, data: usize) -> Vec<u8> {
        let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend(rate.to_le_bytes());
        wav.extend(b"\0\x7d\0\0\x02\0\x10\0junk\x03\0\0\0abc\0data");
        wav.extend(claimed.to_le_bytes());
        wav.extend(vec![0; data]);
        wav
    }

    #[test]
    fn the_duration_is_in_the_header_but_never_more_than_the_file_holds() {
        let of = |wav: &[u8]| wav_duration(wav, wav.len() as u64);
        assert_eq!(of(&wav(16_000, 16_000, 16_000)), Some(Duration::from_millis(500)));
        assert_eq!(of(&wav(8_000, 16_000, 16_000)), Some(Duration::from_secs(1)));
        assert_eq!(
            of(&wav(16_000, u32::MAX, 3_200)),
            Some(Duration::from_millis(100))
        );
        assert_eq!(of(&wav(0, 16_000, 16_000)), None);
        assert_eq!(of(b"RIFF\0\0\0\0WAVEfmt "), None);
        assert_eq!(of(b"ID3\x03"), None);
    }

    #[tokio::test]
    async fn play_lists_open_no_other_file_and_text_is_no_sound() {
        let folder = tempfile::tempdir().unwrap();
        let sound = folder.path().join("a.wav");
        std::fs::write(&sound, wav(16_000, 32_000, 32_000)).unwrap();
        let extractor = Extractor::find(&Tools::default()).expect("this test needs the package ffmpeg");
        let taken = extractor
            .extract(&sound, tempfile::tempdir().unwrap().path())
            .await;
        assert!(taken.is_ok(), "{taken:?}");

        let list = folder.path().join("list.m3u8");
        let text = format!(
            "#EXTM3U\n#EXTINF:1,\nfile://{}\n#EXT-X-ENDLIST\n",
            sound.display()
        );
        std::fs::write(&list, text).unwrap();
        assert!(extractor.extract(&list, folder.path()).await.is_err());
        std::fs::write(&list, "hello").unwrap();
        assert!(extractor.extract(&list, folder.path()).await.is_err());
    }
}
