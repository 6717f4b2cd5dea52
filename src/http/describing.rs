//! The errors and the security of each operation in the description of the API, in one place.
//!
//! Most follow from what an operation takes: credentials, parameters, a body. What does not, its annotation names as a
//! status with the last parts of the problems' types for a description: `(status = 409, description = "conflict")`.
use utoipa::openapi::{
    Content, ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, ResponseBuilder,
    path::{Operation, ParameterIn},
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use super::problem::{KINDS, Kind};

/// Names of the security schemes, as annotations spell them.
const API_KEY: &str = "api_key";
const BTAUTH: &str = "btauth";
const SESSION: &str = "session";
const WALLET: &str = "wallet";
const NEURON_KEY: &str = "neuron_key";

/// Adds the errors of every operation that answers problems, and the schemes that they name.
pub(super) fn complete(api: &mut OpenApi) {
    let components = api.components.get_or_insert_default();
    for (name, header, description) in [
        (
            API_KEY,
            "X-API-Key",
            "A user's key; `Authorization: Bearer` takes it as well, the access token of a login, and tokens of OIDC \
             issuers that this server takes. An operation that needs a permission of it names that permission here: \
             the role in the organisation has it, and a key's scopes do not leave it out",
        ),
        (
            BTAUTH,
            "X-Bittensor-Signature",
            "A miner or validator signs method, path with query, and body with its hotkey, for the receiver that \
             `GET /api/v1/network` names, and sends this header with the others of btauth/1. A server may take epistula/2, \
             chutes, fiber and synapse as well; what it does not take, it refuses by name",
        ),
        (
            NEURON_KEY,
            "X-API-Key",
            "A neuron's key, instead of signatures of requests; `POST /api/v1/miner/authenticate` and \
             `/api/v1/validator/authenticate` give one",
        ),
    ] {
        let scheme =
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(header, description)));
        components.add_security_scheme(name, scheme);
    }
    let wallet = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The token of a wallet login (`/api/v1/auth/wallet/login`)"))
        .build();
    components.add_security_scheme(WALLET, SecurityScheme::Http(wallet));
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "The access token of a login (`/api/v1/auth/login`), or a token of an OIDC issuer that this server takes \
             (`GET /api/v1/auth/identities` names them). API keys do not reach operations that ask for it. Some need a \
             permission, which is named here; `admin` is for administrators of the platform",
        ))
        .build();
    components.add_security_scheme(SESSION, SecurityScheme::Http(token));
    for (path, item) in &mut api.paths.paths {
        let all = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in all.into_iter().flatten() {
            if operation.responses.responses.contains_key("default") {
                add_errors(path, operation);
            }
        }
    }
}

fn add_errors(path: &str, operation: &mut Operation) {
    let derived = derived(path, operation);
    let responses = &mut operation.responses.responses;
    for (status, kinds) in derived {
        let kinds = kinds.join(" ");
        if let Some(RefOr::T(response)) = responses.get_mut(status) {
            response.description = format!("{kinds} {}", response.description);
        } else {
            let response = ResponseBuilder::new().description(kinds).build();
            responses.insert(status.to_owned(), response.into());
        }
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            if status.starts_with(['4', '5']) {
                response.description = described(&response.description);
            } else if status != "default" {
                continue;
            }
            response
                .content
                .insert("application/problem+json".into(), problem());
            if ["429", "503"].contains(&status.as_str()) {
                let seconds = HeaderBuilder::new().description(Some("Seconds to wait")).build();
                response.headers.insert("Retry-After".into(), seconds.into());
            }
        }
    }
}

/// The errors that follow from what an operation takes.
fn derived(path: &str, operation: &Operation) -> Vec<(&'static str, &'static [&'static str])> {
    let parameters: Vec<(&str, &ParameterIn)> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some((parameter.name.as_str(), &parameter.parameter_in)),
            RefOr::Ref(_) => None,
        })
        .collect();
    let media: Vec<&str> = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let security = operation.security.as_deref().unwrap_or_default();
    let asks_for = |name: &str| security.iter().any(|one| names(one, name));
    let signed = asks_for(BTAUTH);
    let json_alone = media == ["application/json"];

    let mut errors: Vec<(&'static str, &'static [&'static str])> = Vec::new();
    let parsed = |place: &ParameterIn| matches!(place, ParameterIn::Path | ParameterIn::Query);
    if !media.is_empty() || parameters.iter().any(|(_, place)| parsed(place)) {
        errors.push(("400", &["malformed-request"]));
    }
    let (for_users, logged_in) = (asks_for(API_KEY), asks_for(SESSION));
    if signed || logged_in || for_users || asks_for(WALLET) {
        errors.push(("401", &["unauthenticated"]));
    }
    if signed || logged_in || for_users {
        errors.push(("403", &["forbidden"]));
    }
    if path.starts_with("/api/") {
        errors.push(("429", &["too-many-requests"]));
    }
    if path.contains("_id}") {
        errors.push(("404", &["not-found"]));
    }
    if !media.is_empty() {
        errors.push(("413", &["too-large"]));
        // What a neuron signs is what it says it is.
        if !(signed && json_alone) {
            errors.push(("415", &["unsupported-media"]));
        }
    }
    if json_alone {
        errors.push(("422", &["malformed-request"]));
    }
    if parameters.iter().any(|(name, _)| *name == "Idempotency-Key") {
        errors.push(("422", &["invalid-value", "no-engine", "idempotency-key-reused"]));
        errors.push(("429", &["quota-exceeded"]));
    }
    // Whoever takes something asks the database about it.
    if errors.len() > 1 {
        errors.push(("500", &["internal"]));
        errors.push(("503", &["unavailable"]));
        errors.push(("504", &["timeout"]));
    }
    errors
}

/// Whether this is a requirement of the scheme `name`, with whatever permissions.
fn names(requirement: &SecurityRequirement, name: &str) -> bool {
    serde_json::to_value(requirement).is_ok_and(|requirement| requirement.get(name).is_some())
}

/// The types, each with what it means.
fn described(names: &str) -> String {
    let kind = |name: &str| -> &'static Kind {
        let found = KINDS
            .iter()
            .find(|kind| kind.name.strip_prefix("/problems/") == Some(name));
        found.unwrap_or_else(|| panic!("an annotation names {name}, which is no type of problem"))
    };
    let texts: Vec<String> = names
        .split_whitespace()
        .map(kind)
        .map(|kind| format!("`{}`: {}", kind.name, kind.meaning))
        .collect();
    texts.join("; ")
}

fn problem() -> RefOr<Content> {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build()
        .into()
}
