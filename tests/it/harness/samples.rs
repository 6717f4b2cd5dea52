//! Small files of every kind, as far as the server looks at them: their beginnings are right, the rest is filler.

/// A WAV of 16 kHz mono whose header promises `declared` bytes of sound, with `bytes` of them.
pub(crate) fn wav_of(declared: u32, bytes: usize) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend(declared.saturating_add(36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    file.extend(declared.to_le_bytes());
    // Not silence: bytes that are lost or doubled shall show.
    file.extend((0..bytes).map(|at| u8::try_from(at * 7 % 251).expect("below 251")));
    file
}

/// A whole WAV with so many bytes of sound.
pub(crate) fn wav(bytes: usize) -> Vec<u8> {
    wav_of(u32::try_from(bytes).expect("a small file"), bytes)
}

/// An MP4.
pub(crate) fn mp4() -> Vec<u8> {
    let mut file = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
    file.resize(30_000, 7);
    file
}

/// A PDF.
pub(crate) fn pdf() -> Vec<u8> {
    b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n".to_vec()
}

/// A PNG.
pub(crate) fn png() -> Vec<u8> {
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".to_vec()
}

/// An MP3.
pub(crate) fn mp3() -> Vec<u8> {
    let mut file = b"ID3\x04\0\0\0\0\0\0".to_vec();
    file.extend([0xff, 0xfb, 0x90, 0x64]);
    file.extend([0; 400]);
    file
}

/// A ZIP archive of empty files with these names, without its directory.
pub(crate) fn zip(names: &[&str]) -> Vec<u8> {
    let mut archive = Vec::new();
    for name in names {
        archive.extend(b"PK\x03\x04\x14");
        archive.extend([0; 21]);
        archive.extend(u16::try_from(name.len()).expect("a short name").to_le_bytes());
        archive.extend([0, 0]);
        archive.extend(name.as_bytes());
    }
    archive
}

/// A Word document.
pub(crate) fn docx() -> Vec<u8> {
    zip(&["[Content_Types].xml", "_rels/.rels", "word/document.xml"])
}
