//! WAV files as they lie on the disk: how long they sound, how loud they are, and whether they are clipped.
//! Reads plain samples (8 to 32 bits, or 32-bit floats) and believes no header beyond what the file holds.

use std::io::{Read, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::EngineError;

/// The chunks before the samples are small; this much holds them all.
const HEAD_BYTES: u64 = 64 << 10;
/// Loudness is looked at in frames of this length.
const FRAMES_PER_SECOND: u64 = 50;
/// A frame is loud from 1/128 of the full scale on (root of the mean square): −42 dB.
const LOUD: u64 = 32_768 / 128;
/// A sample is clipped from 99 % of the full scale on.
const CLIPPED: u64 = 32_440;

/// What can be measured of a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) duration: Duration,
    /// Frames of 20 ms, and how many of them are loud.
    pub(crate) frames: u64,
    pub(crate) loud_frames: u64,
    /// Samples, and how many of them are at the end of the scale.
    pub(crate) samples: u64,
    pub(crate) clipped_samples: u64,
}

/// How long a WAV file sounds, by its `fmt ` and `data` chunks and its real size.
pub(super) fn duration(path: &Path) -> Result<Duration, EngineError> {
    let (_, layout) = open(path)?;
    Ok(layout.ok_or(EngineError::Output("not a WAV file"))?.duration())
}

/// Measures a WAV file; [`EngineError::Unfit`] when it is none, or has no plain samples.
pub(crate) async fn measure(path: &Path) -> Result<Sound, EngineError> {
    let path = path.to_owned();
    let measured = tokio::task::spawn_blocking(move || {
        let (mut file, layout) = open(&path)?;
        let layout = layout.ok_or(EngineError::Unfit("not a WAV file"))?;
        let format = layout
            .format()
            .ok_or(EngineError::Unfit("no samples that can be read"))?;
        file.seek(SeekFrom::Start(layout.at))
            .map_err(EngineError::Folder)?;
        let samples = std::io::BufReader::with_capacity(256 << 10, file.take(layout.bytes));
        layout.measure(samples, format).map_err(EngineError::Folder)
    });
    measured
        .await
        .map_err(|_| EngineError::Output("measuring broke"))?
}

fn open(path: &Path) -> Result<(std::fs::File, Option<Layout>), EngineError> {
    let mut file = std::fs::File::open(path).map_err(|_| EngineError::Output("no file"))?;
    let size = file.metadata().map_err(EngineError::Folder)?.len();
    let mut head = Vec::new();
    (&mut file)
        .take(HEAD_BYTES)
        .read_to_end(&mut head)
        .map_err(EngineError::Folder)?;
    Ok((file, Layout::of(&head, size)))
}

/// Where the samples of a WAV file lie, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// 1: whole numbers, 3: floats.
    code: u16,
    channels: u64,
    rate: u64,
    /// Bytes of one sample in all channels.
    block: u64,
    /// Where the samples begin, and how many bytes of them are there.
    at: u64,
    bytes: u64,
}

#[derive(Clone, Copy)]
enum Format {
    Unsigned8,
    /// Whole numbers of this many bytes; the upper 16 bits are looked at.
    Signed(usize),
    Float32,
}

impl Format {
    fn bytes(self) -> usize {
        match self {
            Self::Unsigned8 => 1,
            Self::Signed(bytes) => bytes,
            Self::Float32 => 4,
        }
    }

    /// How far the sample is from silence, on the scale of 16 bits.
    fn amplitude(self, sample: &[u8]) -> u64 {
        match (self, sample) {
            (Self::Unsigned8, &[byte]) => u64::from(byte.abs_diff(128)) << 8,
            (Self::Float32, &[a, b, c, d]) => {
                let scaled = f32::from_le_bytes([a, b, c, d]).abs() * 32_768.0;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "never negative; what is beyond the scale is meant to stop there, no number to be 0"
                )]
                let whole = scaled as u16;
                u64::from(whole)
            }
            (Self::Signed(_), [.., low, high]) => u64::from(i16::from_le_bytes([*low, *high]).unsigned_abs()),
            _ => 0,
        }
    }
}

impl Layout {
    fn of(head: &[u8], size: u64) -> Option<Self> {
        if head.get(..4)? != b"RIFF" || head.get(8..12)? != b"WAVE" {
            return None;
        }
        let long = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let short = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
        let (mut at, mut format) = (12_usize, None);
        loop {
            let (kind, length) = (head.get(at..at + 4)?, long(at + 4)?);
            let body = at + 8;
            match kind {
                b"fmt " => {
                    // The extensible form keeps the true code at the beginning of its sub-format.
                    let code = match short(body)? {
                        0xfffe => short(body + 24)?,
                        code => code,
                    };
                    format = Some((code, short(body + 2)?, long(body + 4)?, short(body + 12)?));
                }
                b"data" => {
                    let (code, channels, rate, block) = format?;
                    // Rate and block size, not the header's product of them: Flite writes a wrong one for its
                    // 8 kHz voice.
                    if rate == 0 || block == 0 {
                        return None;
                    }
                    return Some(Self {
                        code,
                        channels: u64::from(channels),
                        rate: u64::from(rate),
                        block: u64::from(block),
                        at: body as u64,
                        bytes: samples_bytes(length, size.saturating_sub(body as u64)),
                    });
                }
                _ => {}
            }
            // Chunks are padded to an even length.
            at = body + usize::try_from(length).ok()?.checked_next_multiple_of(2)?;
        }
    }

    fn duration(&self) -> Duration {
        Duration::from_millis(self.bytes * 1000 / (self.rate * self.block))
    }

    fn format(&self) -> Option<Format> {
        let bytes = self.block.checked_div(self.channels)?;
        if bytes * self.channels != self.block {
            return None;
        }
        match (self.code, bytes) {
            (1, 1) => Some(Format::Unsigned8),
            (1, 2..=4) => Some(Format::Signed(usize::try_from(bytes).ok()?)),
            (3, 4) => Some(Format::Float32),
            _ => None,
        }
    }

    /// All channels are looked at as if they were one.
    fn measure(&self, mut samples: impl Read, format: Format) -> std::io::Result<Sound> {
        let per_frame = (self.rate * self.channels / FRAMES_PER_SECOND).max(1);
        let mut sound = Sound {
            duration: self.duration(),
            frames: 0,
            loud_frames: 0,
            samples: 0,
            clipped_samples: 0,
        };
        let (mut squares, mut in_frame) = (0_u64, 0_u64);
        let mut sample = [0; 4];
        let sample = &mut sample[..format.bytes()];
        for _ in 0..self.bytes / format.bytes() as u64 {
            samples.read_exact(sample)?;
            let amplitude = format.amplitude(sample);
            squares += amplitude * amplitude;
            in_frame += 1;
            sound.samples += 1;
            sound.clipped_samples += u64::from(amplitude >= CLIPPED);
            if in_frame == per_frame {
                sound.frames += 1;
                sound.loud_frames += u64::from(squares >= LOUD * LOUD * in_frame);
                (squares, in_frame) = (0, 0);
            }
        }
        Ok(sound)
    }
}

/// How many bytes of samples there are, by the header's claim and the file's rest. Programs that write into a pipe
/// do not know the length yet and claim none, or as much as can be written: then it is the rest.
fn samples_bytes(claimed: u32, rest: u64) -> u64 {
    if claimed == 0 {
        rest
    } else {
        u64::from(claimed).min(rest)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// 16 bits, one channel; `claimed` is what the header says of the length of the samples.
    pub(in super::super) fn wav(rate: u32, claimed: u32, data: &[u8]) -> Vec<u8> {
        wav_of(1, 2, rate, claimed, data)
    }

    fn wav_of(code: u8, bytes: u8, rate: u32, claimed: u32, data: &[u8]) -> Vec<u8> {
        let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        wav.extend([code, 0, 1, 0]);
        wav.extend(rate.to_le_bytes());
        wav.extend(b"\0\x7d\0\0");
        wav.extend([bytes, 0, bytes * 8, 0]);
        wav.extend(b"junk\x03\0\0\0abc\0data");
        wav.extend(claimed.to_le_bytes());
        wav.extend(data);
        wav
    }

    #[test]
    fn the_duration_is_in_the_header_but_never_more_than_the_file_holds() {
        let of = |wav: &[u8]| Layout::of(wav, wav.len() as u64).map(|layout| layout.duration());
        let silence = |rate, claimed, bytes| wav(rate, claimed, &vec![0; bytes]);
        assert_eq!(
            of(&silence(16_000, 16_000, 16_000)),
            Some(Duration::from_millis(500))
        );
        assert_eq!(of(&silence(8_000, 16_000, 16_000)), Some(Duration::from_secs(1)));
        assert_eq!(
            of(&silence(16_000, u32::MAX, 3_200)),
            Some(Duration::from_millis(100))
        );
        assert_eq!(of(&silence(16_000, 0, 3_200)), Some(Duration::from_millis(100)));
        assert_eq!(of(&silence(16_000, 0, 0)), Some(Duration::ZERO));
        assert_eq!(of(&silence(0, 16_000, 16_000)), None);
        assert_eq!(of(b"RIFF\0\0\0\0WAVEfmt "), None);
        assert_eq!(of(b"ID3\x03"), None);
    }

    async fn measured(bytes: &[u8]) -> Result<Sound, EngineError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        measure(file.path()).await
    }

    #[tokio::test]
    async fn loud_and_clipped_is_counted_in_every_format() {
        // A tenth of a second at 1000 Hz: 100 samples, 5 frames of 20; one loud frame, of which ten clip.
        let loud = |index: usize| match index {
            20..30 => 1.0,
            30..40 => -0.5,
            _ => 0.0,
        };
        let samples: Vec<f32> = (0..100).map(loud).collect();
        #[expect(clippy::cast_possible_truncation, reason = "test samples fit by construction")]
        let whole = |bits: u32| {
            let scale = f64::from(2_u32.pow(bits - 1));
            let scaled = samples
                .iter()
                .map(move |sample| (f64::from(*sample) * scale).min(scale - 1.0) as i64);
            scaled.flat_map(move |number| number.to_le_bytes().into_iter().take(bits as usize / 8))
        };
        let files = [
            wav_of(
                1,
                1,
                1000,
                100,
                &whole(8).map(|byte| byte ^ 0x80).collect::<Vec<_>>(),
            ),
            wav_of(1, 2, 1000, 200, &whole(16).collect::<Vec<_>>()),
            wav_of(1, 3, 1000, 300, &whole(24).collect::<Vec<_>>()),
            wav_of(1, 4, 1000, 400, &whole(32).collect::<Vec<_>>()),
            wav_of(
                3,
                4,
                1000,
                400,
                &samples
                    .iter()
                    .flat_map(|sample| sample.to_le_bytes())
                    .collect::<Vec<_>>(),
            ),
        ];
        for file in files {
            let sound = measured(&file).await.unwrap();
            let wanted = Sound {
                duration: Duration::from_millis(100),
                frames: 5,
                loud_frames: 1,
                samples: 100,
                clipped_samples: 10,
            };
            assert_eq!(sound, wanted);
        }
    }

    #[tokio::test]
    async fn other_files_are_unfit() {
        for odd in [&b"ID3\x03"[..], &wav_of(7, 1, 8000, 100, &[0; 100]), b""] {
            assert!(matches!(measured(odd).await, Err(EngineError::Unfit(_))));
        }
    }
}
