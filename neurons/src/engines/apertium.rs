//! Rule-based translation by Apertium, one engine per installed pair.
//! Keeps lines and paragraphs as they are; control characters never reach the program.

use std::time::Duration;

use super::command::{Limits, Program, Tools};
use super::document::pieces;
use super::{EngineError, Profile, QualityTier, TaskType, probe_folder, working_folder};

/// The largest text taken; about half a minute of work on a small machine.
const MAX_INPUT_BYTES: u64 = 16 * 1024;

/// The largest document taken, packed and with its pictures; its text is limited apart.
const MAX_DOCUMENT_BYTES: u64 = 50 << 20;

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(60),
    cpu: Duration::from_secs(60),
    memory_bytes: 1 << 30,
    output_bytes: 1 << 20,
    file_bytes: 16 << 20,
};

const PROBE_LIMITS: Limits = Limits {
    wall: Duration::from_secs(10),
    ..LIMITS
};

/// One installed direction.
#[derive(Debug)]
pub(super) struct Apertium {
    program: Program,
    mode: String,
}

/// One engine per direction that `apertium -l` lists and whose languages we can name.
pub(super) async fn discover(tools: &Tools) -> Vec<(Profile, Apertium)> {
    let Some(program) = tools.find("apertium") else {
        return Vec::new();
    };
    let listed = match program.run(&["-l"], probe_folder(), b"", &PROBE_LIMITS).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "apertium is installed but lists no pairs");
            return Vec::new();
        }
    };
    let listed = String::from_utf8_lossy(&listed);
    let modes = listed.lines().map(str::trim).filter(|mode| !mode.is_empty());
    modes.filter_map(|mode| engine(&program, mode)).collect()
}

/// The same engines for the text of documents.
pub(super) async fn discover_for_documents(tools: &Tools) -> Vec<(Profile, Apertium)> {
    let mut engines = discover(tools).await;
    for (profile, _) in &mut engines {
        profile.task_type = TaskType::DocumentTranslation;
        profile.max_input_bytes = MAX_DOCUMENT_BYTES;
    }
    engines
}

fn engine(program: &Program, mode: &str) -> Option<(Profile, Apertium)> {
    let Some(pair) = pair(mode) else {
        tracing::debug!(mode, "apertium mode with languages that we cannot name");
        return None;
    };
    let profile = Profile {
        engine: "apertium".into(),
        model_id: format!("apertium/{mode}"),
        task_type: TaskType::TextTranslation,
        languages: Vec::new(),
        pairs: vec![pair],
        max_input_bytes: MAX_INPUT_BYTES,
        quality_tier: QualityTier::Rule,
    };
    Some((
        profile,
        Apertium {
            program: program.clone(),
            mode: mode.to_owned(),
        },
    ))
}

impl Apertium {
    /// Translates a text of any length, piece by piece between its lines.
    pub(super) async fn translate_long(&self, text: &str) -> Result<String, EngineError> {
        let limit = usize::try_from(MAX_INPUT_BYTES).unwrap_or(usize::MAX);
        let mut translated = String::new();
        for piece in pieces(text, limit) {
            if piece.trim().is_empty() {
                translated.push_str(piece);
            } else {
                translated.push_str(&self.translate(piece).await?);
            }
        }
        Ok(translated)
    }

    pub(super) async fn translate(&self, text: &str) -> Result<String, EngineError> {
        let text = printable(text);
        let folder = working_folder()?;
        // -u: an unknown word comes through as it is, without a mark.
        let output = self
            .program
            .run(&["-u", &self.mode], folder.path(), text.as_bytes(), &LIMITS)
            .await?;
        let output = String::from_utf8(output).map_err(|_| EngineError::Output("not UTF-8"))?;
        if output.trim().is_empty() {
            return Err(EngineError::Output("empty"));
        }
        Ok(with_margins_of(&text, &output))
    }
}

/// The text without control characters but tab and newline; NUL in particular is a command to Apertium.
fn printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars()
        .filter(|&c| c == '\n' || c == '\t' || !c.is_control())
        .collect()
}

/// Gives each line of `output` the surrounding blanks of its source line: a dropped pronoun leaves a blank,
/// and the last newline depends on the mode.
fn with_margins_of(source: &str, output: &str) -> String {
    let body = source.trim_end_matches('\n');
    let lines: Vec<_> = body.split('\n').collect();
    let translated: Vec<_> = output.trim_end_matches('\n').split('\n').collect();
    if lines.len() != translated.len() {
        return output.to_owned();
    }
    let lines = lines.iter().zip(&translated).map(|(line, translated)| {
        let core = line.trim();
        let Some(start) = line.find(core).filter(|_| !core.is_empty()) else {
            return (*line).to_owned();
        };
        format!(
            "{}{}{}",
            &line[..start],
            translated.trim(),
            &line[start + core.len()..]
        )
    });
    let tail = &source[body.len()..];
    lines.collect::<Vec<_>>().join("\n") + tail
}

/// A mode's languages as BCP 47 tags, e.g. `spa-eng_US` → (`es`, `en-US`).
fn pair(mode: &str) -> Option<(String, String)> {
    let (source, target) = mode.split_once('-')?;
    Some((tag(source)?, tag(target)?))
}

fn tag(code: &str) -> Option<String> {
    let (language, variant) = code.split_once('_').map_or((code, None), |(l, v)| (l, Some(v)));
    let language = match language {
        two if two.len() == 2 && two.bytes().all(|b| b.is_ascii_lowercase()) => two,
        three => ISO_639.iter().find(|(long, _)| *long == three)?.1,
    };
    Some(variant.map_or_else(|| language.to_owned(), |variant| format!("{language}-{variant}")))
}

/// ISO 639-3 → BCP 47 for the languages of Debian's pairs; `hbs` and such keep their three letters, since
/// there is no two-letter code in force.
const ISO_639: [(&str, &str); 40] = [
    ("afr", "af"),
    ("ara", "ar"),
    ("arg", "an"),
    ("ast", "ast"),
    ("bel", "be"),
    ("bre", "br"),
    ("bul", "bg"),
    ("cat", "ca"),
    ("crh", "crh"),
    ("cym", "cy"),
    ("dan", "da"),
    ("eng", "en"),
    ("epo", "eo"),
    ("eus", "eu"),
    ("fra", "fr"),
    ("glg", "gl"),
    ("hbs", "sh"),
    ("hin", "hi"),
    ("ind", "id"),
    ("isl", "is"),
    ("ita", "it"),
    ("kaz", "kk"),
    ("mkd", "mk"),
    ("mlt", "mt"),
    ("msa", "ms"),
    ("nld", "nl"),
    ("nno", "nn"),
    ("nob", "nb"),
    ("oci", "oc"),
    ("pol", "pl"),
    ("por", "pt"),
    ("ron", "ro"),
    ("rus", "ru"),
    ("sme", "se"),
    ("spa", "es"),
    ("srd", "sc"),
    ("swe", "sv"),
    ("tat", "tt"),
    ("tur", "tr"),
    ("ukr", "uk"),
];

#[cfg(test)]
mod tests {
    use super::super::{Catalogue, Input, Output, Wanted};
    use super::*;

    const MISSING: &str = "these tests need the packages apertium and apertium-eng-spa";

    async fn translate(text: &str, source: &str, target: &str) -> Result<String, EngineError> {
        let wanted = Wanted {
            task_type: TaskType::TextTranslation,
            language: Some(source),
            target_language: Some(target),
            model_id: None,
            require_model: false,
            voice: None,
        };
        let catalogue = Catalogue::discover().await;
        let engine = catalogue.find(&wanted).expect(MISSING);
        let input = Input::Translation {
            text: text.into(),
            source_language: source.into(),
            target_language: target.into(),
        };
        let Output::Translation { translated_text } = engine.run(&input).await? else {
            panic!("a translation was asked for")
        };
        Ok(translated_text)
    }

    #[tokio::test]
    async fn english_becomes_spanish_and_spanish_english() {
        assert_eq!(
            translate("The house is red.", "en", "es").await.expect(MISSING),
            "La casa es roja."
        );
        assert_eq!(
            translate("La casa es roja.", "es", "en").await.expect(MISSING),
            "The house is red."
        );
    }

    #[tokio::test]
    async fn lines_paragraphs_and_margins_stay() {
        let text = "I saw the red\nhouse of my friend.\n\n  Second paragraph here.\n";
        let translated = translate(text, "en", "es").await.expect(MISSING);
        assert_eq!(
            translated,
            "Vi la casa\nroja de mi amigo.\n\n  Segundo párrafo aquí.\n"
        );
    }

    #[tokio::test]
    async fn marks_of_apertium_and_control_characters_do_no_harm() {
        let text = "The *house* ^is$ [red] \\ {now} @x <b>#\0\u{1b}[2K\u{7}.";
        let translated = translate(text, "en", "es").await.expect(MISSING);
        assert!(!translated.chars().any(char::is_control), "{translated:?}");
        for kept in ["*casa*", "[", "]", "\\", "{", "}", "<b>", "#"] {
            assert!(translated.contains(kept), "{kept} is lost in {translated:?}");
        }
        assert_eq!(printable("a\r\nb\rc\0\u{85}\td"), "a\nb\nc\td");
    }

    #[tokio::test]
    async fn unknown_words_come_through_without_a_mark() {
        let translated = translate("The zorbly house.", "en", "es").await.expect(MISSING);
        assert!(
            translated.contains("zorbly") && !translated.contains('*'),
            "{translated}"
        );
    }

    #[tokio::test]
    async fn empty_too_large_and_foreign_inputs_are_refused() {
        assert!(matches!(
            translate(" \n ", "en", "es").await,
            Err(EngineError::Empty)
        ));
        let large = "word ".repeat(4000);
        assert!(matches!(
            translate(&large, "en", "es").await,
            Err(EngineError::TooLarge { .. })
        ));
        let catalogue = Catalogue::discover().await;
        let engine = catalogue
            .engines()
            .iter()
            .find(|e| e.profile().model_id == "apertium/eng-spa");
        let input = Input::Translation {
            text: "Haus".into(),
            source_language: "de".into(),
            target_language: "es".into(),
        };
        let refused = engine.expect(MISSING).run(&input).await;
        assert!(matches!(refused, Err(EngineError::NotServed { .. })));
    }

    #[tokio::test]
    async fn the_largest_text_stays_within_the_limits() {
        let sentence = "The old teacher reads a long book about the history of the city. ";
        let large = sentence.repeat(usize::try_from(MAX_INPUT_BYTES).unwrap() / sentence.len());
        let translated = translate(&large, "en", "es").await.expect(MISSING);
        assert!(translated.len() > large.len() / 2);
    }

    #[tokio::test]
    async fn the_profile_names_model_and_pair() {
        let found = discover(&Tools::default()).await;
        let profile = found
            .iter()
            .map(|(profile, _)| profile)
            .find(|p| p.model_id == "apertium/eng-spa");
        let profile = profile.expect(MISSING);
        assert_eq!(profile.pairs, [("en".to_owned(), "es".to_owned())]);
        assert_eq!(
            (profile.engine.as_str(), profile.task_type),
            ("apertium", TaskType::TextTranslation)
        );
    }

    #[test]
    fn modes_become_tags() {
        let named = |mode| pair(mode).map(|(source, target)| format!("{source} {target}"));
        assert_eq!(named("eng-spa").as_deref(), Some("en es"));
        assert_eq!(named("spa-eng_US").as_deref(), Some("es en-US"));
        assert_eq!(named("fr-es").as_deref(), Some("fr es"));
        assert_eq!(named("cat-oci_aran").as_deref(), Some("ca oc-aran"));
        assert_eq!(named("eng-xyz"), None);
        assert_eq!(named("nonsense"), None);
    }

    #[test]
    fn margins_are_the_source_s_unless_lines_differ() {
        assert_eq!(with_margins_of("  a b \n\nc", " x  y\n\nz\n"), "  x  y \n\nz");
        assert_eq!(with_margins_of("a\nb", "x y"), "x y");
    }
}
