//! Which models there are, and who serves them right now.
use std::collections::BTreeMap;

use crate::{
    app::App,
    domain::{
        TaskType,
        capability::Offer,
        catalogue::{self, Model},
    },
};

/// What a number of miners offers alike.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What runs.
    pub model_id: String,
    /// The program that runs it.
    pub engine: String,
    /// Languages that one of them takes.
    pub languages: Vec<String>,
    /// Pairs of source and target that one of them takes.
    pub pairs: Vec<(String, String)>,
    /// How many.
    pub miners: usize,
}

/// A model in a type of task.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What `model_id` names it by.
    pub id: String,
    /// The type of task.
    pub task_type: TaskType,
    /// What the catalogue says; `None` for a model that only miners named.
    pub known: Option<&'static Model>,
    /// Miners that offer this very model.
    pub miners: usize,
}

/// A type of task with its models.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Which.
    pub task_type: TaskType,
    /// Those of the catalogue, then those that only miners named.
    pub models: Vec<Listed>,
    /// What does such tasks right now, whatever model was asked for.
    pub served_by: Vec<Serving>,
}

/// All types of task with their models, from what miners declared that can be drawn right now.
pub fn list(app: &App) -> Vec<Kind> {
    let miners = app.roster.miners();
    let mut serving: BTreeMap<TaskType, BTreeMap<(&str, &str), Serving>> = BTreeMap::new();
    let mut exact: BTreeMap<(TaskType, &str), usize> = BTreeMap::new();
    for miner in miners.values().filter(|miner| miner.available) {
        // A miner counts once for what it declares twice.
        let mut engines: BTreeMap<(TaskType, &str, &str), Vec<&Offer>> = BTreeMap::new();
        for offer in miner.offers.iter() {
            let key = (offer.task_type, offer.model_id.as_str(), offer.engine.as_str());
            engines.entry(key).or_default().push(offer);
        }
        let mut models: Vec<(TaskType, &str)> = Vec::new();
        for ((task_type, model, engine), offers) in engines {
            models.push((task_type, model));
            let serving = serving
                .entry(task_type)
                .or_default()
                .entry((model, engine))
                .or_insert_with(|| Serving {
                    model_id: model.into(),
                    engine: engine.into(),
                    languages: Vec::new(),
                    pairs: Vec::new(),
                    miners: 0,
                });
            serving.miners += 1;
            for offer in offers {
                serving.languages.extend(offer.languages.iter().cloned());
                serving.pairs.extend(offer.pairs.iter().cloned());
            }
        }
        models.dedup();
        for model in models {
            *exact.entry(model).or_default() += 1;
        }
    }
    TaskType::ALL
        .iter()
        .map(|&task_type| {
            let served_by = serving.remove(&task_type).unwrap_or_default();
            let listed = |id: &str, known| Listed {
                id: id.into(),
                task_type,
                known,
                miners: exact.get(&(task_type, id)).copied().unwrap_or(0),
            };
            let mut models: Vec<Listed> = catalogue::known(task_type)
                .map(|model| listed(model.id, Some(model)))
                .collect();
            let mut others: Vec<&str> = served_by.keys().map(|(model, _)| *model).collect();
            others.dedup();
            others.retain(|other| catalogue::known(task_type).all(|model| model.id != *other));
            models.extend(others.into_iter().map(|other| listed(other, None)));
            let served_by = served_by.into_values().map(in_order).collect();
            Kind {
                task_type,
                models,
                served_by,
            }
        })
        .collect()
}

fn in_order(mut serving: Serving) -> Serving {
    serving.languages.sort_unstable();
    serving.languages.dedup();
    serving.pairs.sort_unstable();
    serving.pairs.dedup();
    serving
}
