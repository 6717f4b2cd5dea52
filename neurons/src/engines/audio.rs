//! Sound as the recognisers want it, and as the synthesisers leave it: WAV files on disk.
//! Whatever comes in goes through `ffmpeg`, which may open the given file and nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::EngineError;
use super::command::{Limits, Program, Tools};
use super::wav::duration;

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
        let run = self.ffmpeg.run(&args, folder, b"", &LIMITS).await;
        run.map_err(|error| EngineError::reading("sound", error))?;
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

#[cfg(test)]
mod tests {
    use super::super::wav::tests::wav;
    use super::*;

    #[tokio::test]
    async fn play_lists_open_no_other_file_and_text_is_no_sound() {
        let folder = tempfile::tempdir().unwrap();
        let sound = folder.path().join("a.wav");
        std::fs::write(&sound, wav(16_000, 32_000, &vec![0; 32_000])).unwrap();
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
