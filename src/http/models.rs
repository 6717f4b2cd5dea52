//! `/api/v1/models`
use axum::{Json as Body, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{extract::Query, principal::May, problem::ApiError};
use crate::{
    app::App,
    domain::{TaskType, access::may},
    services::models::{self, Kind, Listed, Serving},
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_models))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only models of this type of task.
    task_type: Option<TaskType>,
}

/// A model in a type of task. It is asked for with `model_id`, which is a preference unless `require_model` is true.
#[derive(Debug, Serialize, ToSchema)]
struct Model {
    model_id: String,
    task_type: TaskType,
    /// Null for a model that only miners named.
    description: Option<&'static str>,
    /// Whether it is in the catalogue; other models are known as long as a miner offers them.
    in_catalogue: bool,
    /// What is asked for when no model is named.
    is_default: bool,
    /// Languages that the catalogue names for it; empty when it names none.
    languages: Vec<&'static str>,
    /// Miners that offer this very model right now: `require_model` is refused where there are none.
    miners: usize,
}

impl From<Listed> for Model {
    fn from(listed: Listed) -> Self {
        let Listed {
            id,
            task_type,
            known,
            miners,
        } = listed;
        Self {
            model_id: id,
            task_type,
            description: known.map(|model| model.description),
            in_catalogue: known.is_some(),
            is_default: known.is_some_and(|model| model.default_for.contains(&task_type)),
            languages: known.map_or_else(Vec::new, |model| model.languages.to_vec()),
            miners,
        }
    }
}

/// What does tasks of a type right now.
#[derive(Debug, Serialize, ToSchema)]
struct Engine {
    /// What runs.
    model_id: String,
    /// The program that runs it.
    engine: String,
    /// For types with one language.
    languages: Vec<String>,
    /// Source and target language, for translations.
    pairs: Vec<(String, String)>,
    /// Miners that offer it.
    miners: usize,
}

impl From<Serving> for Engine {
    fn from(serving: Serving) -> Self {
        let Serving {
            model_id,
            engine,
            languages,
            pairs,
            miners,
        } = serving;
        Self {
            model_id,
            engine,
            languages,
            pairs,
            miners,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct TypeOfTask {
    task_type: TaskType,
    models: Vec<Model>,
    /// Empty: nobody does such tasks right now.
    served_by: Vec<Engine>,
}

impl From<Kind> for TypeOfTask {
    fn from(kind: Kind) -> Self {
        let Kind {
            task_type,
            models,
            served_by,
        } = kind;
        Self {
            task_type,
            models: models.into_iter().map(Model::from).collect(),
            served_by: served_by.into_iter().map(Engine::from).collect(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Models {
    task_types: Vec<TypeOfTask>,
}

/// List the models that can be asked for, and what serves each type of task right now, by how many miners.
#[utoipa::path(
    get, path = "/models", tag = "system", params(Which), security(("api_key" = ["network:read"])),
    responses((status = 200, description = "Each type of task with its models", body = Models), ApiError)
)]
async fn list_models(
    State(app): State<App>,
    _client: May<may::ReadNetwork>,
    Query(which): Query<Which>,
) -> Body<Models> {
    let wanted = |kind: &Kind| which.task_type.is_none_or(|wanted| wanted == kind.task_type);
    Body(Models {
        task_types: models::list(&app)
            .into_iter()
            .filter(wanted)
            .map(TypeOfTask::from)
            .collect(),
    })
}
