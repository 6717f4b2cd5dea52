//! The engines of this machine, found by probing, and the choice among them.
//! What is not installed is not offered; nothing is downloaded.

use std::collections::HashSet;
use std::sync::Arc;

use super::command::Tools;
use super::document::DocumentReader;
use super::{Engine, Kind, Profile, TaskType, apertium, espeak, flite, pocketsphinx, textrank};

/// What may be asked of a [`Catalogue`].
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub task_type: TaskType,
    /// For translation the source; otherwise the language of the input.
    pub language: Option<&'a str>,
    /// For translation only.
    pub target_language: Option<&'a str>,
    /// A preference, or a condition when `require_model` is set.
    pub model_id: Option<&'a str>,
    pub require_model: bool,
    /// A preference for the model that ends in `/` and this name, behind the one for a model.
    pub voice: Option<&'a str>,
}

impl Wanted<'_> {
    /// The same without a wish for a model or a voice.
    #[must_use]
    pub fn any_model(self) -> Self {
        Self {
            model_id: None,
            require_model: false,
            voice: None,
            ..self
        }
    }
}

/// The engines of this machine.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    engines: Vec<Arc<Engine>>,
}

impl Catalogue {
    /// Probes what is installed in the usual folders.
    pub async fn discover() -> Self {
        Self::discover_with(&Tools::default()).await
    }

    /// Probes what is installed in the folders of `tools`. A program that is absent or does not answer its
    /// probe is logged and left out.
    pub async fn discover_with(tools: &Tools) -> Self {
        let mut catalogue = Self::default();
        let reader = DocumentReader::find(tools);
        catalogue.add(apertium::discover(tools).await, Kind::Translator);
        catalogue.add(apertium::discover_for_documents(tools).await, |apertium| {
            Kind::DocumentTranslator(apertium, reader.clone())
        });
        catalogue.add(flite::discover(tools).await, Kind::Flite);
        catalogue.add(espeak::discover(tools).await, Kind::Espeak);
        catalogue.add(pocketsphinx::discover(tools), Kind::Pocketsphinx);
        catalogue.add(textrank::discover(), Kind::TextRank);
        // One model may do two types of task.
        let mut found: Vec<&str> = Vec::new();
        for engine in &catalogue.engines {
            let model = engine.profile.model_id.as_str();
            if !found.contains(&model) {
                found.push(model);
            }
        }
        tracing::info!(models = %found.join(" "), "engines found");
        catalogue
    }

    fn add<T>(&mut self, found: Vec<(Profile, T)>, kind: impl Fn(T) -> Kind) {
        let engines = found.into_iter().map(|(profile, of)| {
            Arc::new(Engine {
                profile,
                kind: kind(of),
            })
        });
        self.engines.extend(engines);
    }

    /// The same catalogue with only the engines of these task types.
    #[must_use]
    pub fn only(mut self, task_types: &[TaskType]) -> Self {
        let kept: HashSet<_> = task_types.iter().copied().collect();
        self.engines
            .retain(|engine| kept.contains(&engine.profile.task_type));
        self
    }

    /// All engines, in the order in which they were found.
    pub fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.engines.is_empty()
    }

    /// The engine for a task: the wanted model when it is here, else (unless it is required) the wanted voice, then
    /// the closest languages, then the better tier, then the first found. An offer of `en` serves `en-GB`, not the
    /// other way round.
    pub fn find(&self, wanted: &Wanted<'_>) -> Option<&Arc<Engine>> {
        let rank = |engine: &Arc<Engine>| {
            let profile = &engine.profile;
            if profile.task_type != wanted.task_type {
                return None;
            }
            let fit = if profile.pairs.is_empty() {
                language_fit(&profile.languages, wanted.language)?
            } else {
                pair_fit(&profile.pairs, wanted.language?, wanted.target_language?)?
            };
            let other_model = wanted.model_id.is_some_and(|model| model != profile.model_id);
            if other_model && wanted.require_model {
                return None;
            }
            let other_voice = wanted.voice.is_some_and(|voice| !has_voice(profile, voice));
            Some((other_model, other_voice, fit, profile.quality_tier))
        };
        let ranked = self
            .engines
            .iter()
            .filter_map(|engine| Some((rank(engine)?, engine)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, engine)| engine)
    }
}

fn has_voice(profile: &Profile, voice: &str) -> bool {
    let own = profile.model_id.rsplit_once('/').map(|(_, own)| own);
    own.is_some_and(|own| own.eq_ignore_ascii_case(voice))
}

/// 0 when the offer is what was wanted, 1 when it covers it by its primary language; `None` when not at all.
fn fit(offered: &str, wanted: &str) -> Option<u8> {
    if offered.eq_ignore_ascii_case(wanted) {
        return Some(0);
    }
    let primary = wanted.split(['-', '_']).next()?;
    offered.eq_ignore_ascii_case(primary).then_some(1)
}

/// The offer that fits best.
pub(super) fn best_offer<'a>(offered: &'a [String], wanted: &str) -> Option<&'a str> {
    let fitting = offered
        .iter()
        .filter_map(|offer| Some((fit(offer, wanted)?, offer)));
    fitting
        .min_by_key(|(fit, _)| *fit)
        .map(|(_, offer)| offer.as_str())
}

fn language_fit(offered: &[String], wanted: Option<&str>) -> Option<u8> {
    let Some(wanted) = wanted else { return Some(2) };
    offered.iter().filter_map(|offer| fit(offer, wanted)).min()
}

pub(super) fn pair_fit(offered: &[(String, String)], source: &str, target: &str) -> Option<u8> {
    offered
        .iter()
        .filter_map(|(from, to)| Some(fit(from, source)? + fit(to, target)?))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broad_offer_covers_a_narrow_wish_only() {
        assert_eq!(fit("en", "EN"), Some(0));
        assert_eq!(fit("en", "en-GB"), Some(1));
        assert_eq!(fit("en-US", "en"), None);
        assert_eq!(fit("en", "eng"), None);
    }

    #[tokio::test]
    async fn nothing_installed_offers_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::discover_with(&Tools::in_folders([folder.path().into()])).await;
        assert!(
            catalogue
                .engines()
                .iter()
                .all(|engine| engine.profile().engine == "textrank")
        );
    }

    fn wanted<'a>(task_type: TaskType, language: &'a str, model_id: Option<&'a str>) -> Wanted<'a> {
        Wanted {
            task_type,
            language: Some(language),
            target_language: None,
            model_id,
            require_model: false,
            voice: None,
        }
    }

    #[tokio::test]
    async fn the_wish_for_a_model_comes_first_then_the_language_then_the_tier() {
        let catalogue = Catalogue::discover().await;
        let found = |wanted: &Wanted<'_>| {
            catalogue
                .find(wanted)
                .map(|engine| engine.profile().model_id.clone())
        };
        let model =
            |wanted: &Wanted<'_>| found(wanted).expect("these tests need the packages flite and espeak-ng");
        assert_eq!(model(&wanted(TaskType::Tts, "en", None)), "flite/slt");
        assert_eq!(
            model(&wanted(TaskType::Tts, "en", Some("flite/awb"))),
            "flite/awb"
        );
        assert_eq!(
            model(&wanted(TaskType::Tts, "en", Some("neural/best"))),
            "flite/slt"
        );
        assert_eq!(model(&wanted(TaskType::Tts, "en-us", None)), "espeak-ng/default");
        assert_eq!(
            model(&wanted(TaskType::Tts, "de", Some("flite/awb"))),
            "espeak-ng/default"
        );
        assert_eq!(found(&wanted(TaskType::Transcription, "de", None)), None);
        let voice = |voice, language, model_id| Wanted {
            voice: Some(voice),
            ..wanted(TaskType::Tts, language, model_id)
        };
        assert_eq!(model(&voice("rms", "en-us", None)), "flite/rms");
        assert_eq!(model(&voice("rms", "en", Some("flite/awb"))), "flite/awb");
        assert_eq!(model(&voice("english_alice", "en", None)), "flite/slt");
        assert_eq!(model(&voice("rms", "de", None)), "espeak-ng/default");
        let exact = Wanted {
            require_model: true,
            ..wanted(TaskType::Tts, "en", Some("neural/best"))
        };
        assert_eq!(found(&exact), None);
        assert_eq!(model(&exact.any_model()), "flite/slt");
    }

    #[tokio::test]
    async fn only_keeps_the_named_types() {
        let catalogue = Catalogue::discover().await.only(&[TaskType::Summarization]);
        assert_eq!(catalogue.engines().len(), 1);
        assert!(catalogue.only(&[]).is_empty());
    }
}
