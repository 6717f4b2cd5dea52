//! What a task needs and what an engine offers.
use codec::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::TaskType;

/// The longest language tag that is taken.
pub const LONGEST_LANGUAGE: usize = 10;
/// The longest model id that is taken.
pub const LONGEST_MODEL: usize = 255;

/// What a miner must be able to do to be eligible for a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
pub struct Capability {
    /// The type of the task.
    pub task_type: TaskType,
    /// The language of the input.
    pub source_language: String,
    /// The language of the output, for translations.
    pub target_language: Option<String>,
    /// Only this model will do; `None` when any will.
    pub model: Option<String>,
}

/// One engine of a miner, as its heartbeat declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Offer {
    /// The program that does the work.
    pub engine: String,
    /// What it runs; results name it.
    pub model_id: String,
    /// The type of task that it does.
    pub task_type: TaskType,
    /// Languages, for types with one language.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Pairs of source and target language, for translations.
    #[serde(default)]
    pub pairs: Vec<(String, String)>,
    /// The largest input it takes, in bytes.
    pub max_input_bytes: u64,
}

impl Offer {
    /// Whether this engine can do a task that needs `capability` with an input of `input_bytes`.
    pub fn serves(&self, capability: &Capability) -> bool {
        let Capability {
            task_type,
            source_language,
            target_language,
            model,
        } = capability;
        let languages = match target_language {
            Some(target) => self
                .pairs
                .iter()
                .any(|(from, to)| from == source_language && to == target),
            None => self.languages.iter().any(|language| language == source_language),
        };
        *task_type == self.task_type
            && languages
            && model.as_ref().is_none_or(|model| *model == self.model_id)
    }
}

/// The most engines that a miner may declare.
const MOST_ENGINES: usize = 256;
/// Languages and pairs of all engines of a miner together.
const MOST_LANGUAGES: usize = 10_000;
const LONGEST_NAME: usize = 255;
/// What [`is_name`] asks for.
pub const NAMES: &str = "must have 1 to 255 bytes and no NUL character";

/// Whether this can be stored as a name of something.
pub fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && !text.contains('\0')
}

/// Checks what a miner says that it can do.
///
/// # Errors
/// Says what is too much, or no name.
pub fn check(engines: &[Offer]) -> Result<(), String> {
    if engines.len() > MOST_ENGINES {
        return Err(format!("at most {MOST_ENGINES} may be declared"));
    }
    let languages: usize = engines
        .iter()
        .map(|offer| offer.languages.len() + offer.pairs.len())
        .sum();
    if languages > MOST_LANGUAGES {
        return Err(format!(
            "at most {MOST_LANGUAGES} languages and pairs may be declared, has {languages}"
        ));
    }
    let all_well = engines.iter().all(|offer| {
        let Offer {
            engine,
            model_id,
            task_type: _,
            languages,
            pairs,
            max_input_bytes: _,
        } = offer;
        let tags = || {
            languages
                .iter()
                .chain(pairs.iter().flat_map(|(from, to)| [from, to]))
        };
        is_name(engine) && is_name(model_id) && tags().all(|tag| is_name(tag))
    });
    if all_well {
        Ok(())
    } else {
        Err(format!("all names {NAMES}"))
    }
}

/// Whether `tag` looks like a language tag: 2 or 3 letters, then subtags; `en`, `pt-br`.
pub fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let primary = parts.next().unwrap_or_default();
    tag.len() <= LONGEST_LANGUAGE
        && matches!(primary.len(), 2 | 3)
        && primary.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags() {
        for good in ["en", "es", "haw", "pt-BR", "zh-hant"] {
            assert!(is_language(good), "{good}");
        }
        for bad in [
            "",
            "e",
            "EN",
            "english",
            "en-",
            "en_US",
            "en-waytoolong",
            "e\0",
            "en es",
        ] {
            assert!(!is_language(bad), "{bad}");
        }
    }

    fn offer(languages: usize, pairs: usize) -> Offer {
        Offer {
            engine: "apertium".into(),
            model_id: "apertium/eng-spa".into(),
            task_type: TaskType::TextTranslation,
            languages: vec!["en".into(); languages],
            pairs: vec![("en".into(), "es".into()); pairs],
            max_input_bytes: 1000,
        }
    }

    #[test]
    fn a_miner_may_declare_so_many_engines_and_languages() {
        assert_eq!(check(&vec![offer(0, 1); 256]), Ok(()));
        let error = check(&vec![offer(0, 1); 257]).unwrap_err();
        assert_eq!(error, "at most 256 may be declared");

        // Of all engines together, and pairs count like languages.
        assert_eq!(check(&[offer(4000, 2000), offer(1000, 3000)]), Ok(()));
        for beyond in [
            [offer(4001, 2000), offer(1000, 3000)],
            [offer(4000, 2000), offer(1000, 3001)],
        ] {
            let error = check(&beyond).unwrap_err();
            assert_eq!(
                error,
                "at most 10000 languages and pairs may be declared, has 10001"
            );
        }
    }

    #[test]
    fn an_offer_serves_its_pairs_only() {
        let offer = Offer {
            engine: "apertium".into(),
            model_id: "apertium/eng-spa".into(),
            task_type: TaskType::TextTranslation,
            languages: vec![],
            pairs: vec![("en".into(), "es".into())],
            max_input_bytes: 1000,
        };
        let wanted = Capability {
            task_type: TaskType::TextTranslation,
            source_language: "en".into(),
            target_language: Some("es".into()),
            model: None,
        };
        assert!(offer.serves(&wanted));
        assert!(!offer.serves(&Capability {
            target_language: Some("fr".into()),
            ..wanted.clone()
        }));
        assert!(!offer.serves(&Capability {
            source_language: "es".into(),
            ..wanted.clone()
        }));
        assert!(offer.serves(&Capability {
            model: Some("apertium/eng-spa".into()),
            ..wanted.clone()
        }));
        assert!(!offer.serves(&Capability {
            model: Some("t5-small".into()),
            ..wanted
        }));
    }
}
