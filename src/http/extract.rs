//! axum's extractors, answering with our problems when they reject; and the fields of a form, however it is sent.
use std::{collections::HashMap, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, FromRequest, FromRequestParts, Multipart, Request, rejection::JsonRejection,
    },
    http::{HeaderMap, StatusCode, header},
};
use percent_encoding::percent_decode;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

use super::problem::ApiError;
use crate::{app::App, error::Error};

pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let limit = app.config.identity.signed_body_bytes;
        let request = with_limit(request, limit)?;
        match axum::Json::from_request(request, app).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::BytesRejection(rejection)) => Err(not_whole(rejection.status(), limit)),
            Err(rejection) => Err(rejection.into()),
        }
    }
}

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(crate) struct Path<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

/// How long a request may be held until there is something to answer.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wait {
    /// Seconds to wait at most; 0 answers at once.
    #[serde(default, deserialize_with = "bounded::<0, 60, _>")]
    #[param(minimum = 0, maximum = 60)]
    wait: u16,
}

impl Wait {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.wait.into())
    }
}

/// Which page of a list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page<T: utoipa::ToSchema> {
    /// Where the page before ended: its `next`, or the id of its last item. Without it the first page.
    pub(crate) before: Option<T>,
    /// How many, newest first.
    #[serde(default = "usual_limit", deserialize_with = "bounded::<1, 1000, _>")]
    #[param(minimum = 1, maximum = 1000)]
    limit: u16,
}

/// A number of a query within its bounds; who asks for more than there is should know that it did not get it.
fn bounded<'de, const LEAST: u16, const MOST: u16, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u16, D::Error> {
    let number = u16::deserialize(deserializer)?;
    if (LEAST..=MOST).contains(&number) {
        Ok(number)
    } else {
        Err(D::Error::custom(format_args!(
            "{number} is not from {LEAST} to {MOST}"
        )))
    }
}

fn usual_limit() -> u16 {
    100
}

impl<T: utoipa::ToSchema> Page<T> {
    pub(crate) fn limit(&self) -> u16 {
        self.limit
    }
}

/// The fields of a form: urlencoded, multipart, or the members of a JSON object.
#[derive(Debug)]
pub(crate) struct Fields(HashMap<String, Value>);

/// What a field holds. One that is no text matters only when it is asked for: unknown fields are ignored.
enum Value {
    Text(String),
    NotUtf8,
    NotScalar,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may be a password.
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::NotUtf8 => "NotUtf8",
            Self::NotScalar => "NotScalar",
        })
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or(Self::NotUtf8, Self::Text)
    }
}

/// What a form may need besides its texts.
const OVERHEAD: usize = 64 * 1024;

impl FromRequest<App> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        // Percent-encoding takes three bytes for one, JSON up to six.
        Self::within(request, 6 * app.config.tasks.text_bytes + OVERHEAD).await
    }
}

impl Fields {
    /// Those of a body of at most `limit` bytes.
    pub(super) async fn within(request: Request, limit: usize) -> Result<Self, ApiError> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let request = with_limit(request, limit)?;
        let fields = if kind.starts_with("multipart/form-data") {
            multipart(request, limit).await?
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            urlencoded(&whole(request.into_body(), limit).await?)?
        } else if kind.starts_with("application/json") {
            json(&whole(request.into_body(), limit).await?)?
        } else {
            return Err(ApiError::malformed(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send multipart/form-data, application/x-www-form-urlencoded or application/json",
            ));
        };
        Ok(Self(fields))
    }
}

/// The same of a small form.
#[derive(Debug)]
pub(crate) struct FewFields(pub(crate) Fields);

/// Of a small form, in bytes.
const SMALL: usize = 8 * 1024;

impl FromRequest<App> for FewFields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        Fields::within(request, SMALL).await.map(Self)
    }
}

/// Refuses a declared length over the limit, before anything is read.
pub(crate) fn check_declared_length(headers: &HeaderMap, limit: usize) -> Result<(), ApiError> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(too_long(limit));
    }
    Ok(())
}

/// Refuses a declared length over the limit, and a longer body while it is read.
fn with_limit(mut request: Request, limit: usize) -> Result<Request, ApiError> {
    check_declared_length(request.headers(), limit)?;
    // axum's own limit, replaced: of a limit within a limit it does not recognise the error.
    DefaultBodyLimit::max(limit).apply(&mut request);
    Ok(request)
}

fn too_long(limit: usize) -> ApiError {
    Error::TooLarge {
        field: "body",
        detail: format!("must have at most {limit} bytes"),
    }
    .into()
}

/// Why a body could not be read to its end.
fn not_whole(status: StatusCode, limit: usize) -> ApiError {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => too_long(limit),
        _ => ApiError::malformed(StatusCode::BAD_REQUEST, "the body did not arrive whole"),
    }
}

/// A whole body of at most `limit` bytes.
pub(crate) async fn whole(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut request = Request::new(body);
    DefaultBodyLimit::max(limit).apply(&mut request);
    Bytes::from_request(request, &())
        .await
        .map_err(|rejection| not_whole(rejection.status(), limit))
}

async fn multipart(request: Request, limit: usize) -> Result<HashMap<String, Value>, ApiError> {
    let malformed = |error: axum::extract::multipart::MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_long(limit),
        // To axum a body that breaks off is an error of the server.
        _ => ApiError::malformed(
            StatusCode::BAD_REQUEST,
            format!("multipart body: {}", error.body_text()),
        ),
    };
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| ApiError::malformed(rejection.status(), rejection.body_text()))?;
    let mut fields = HashMap::new();
    while let Some(field) = parts.next_field().await.map_err(malformed)? {
        let Some(name) = field.name().map(ToOwned::to_owned) else {
            continue;
        };
        let value = field.bytes().await.map_err(malformed)?;
        fields.insert(name, value.to_vec().into());
    }
    Ok(fields)
}

fn urlencoded(body: &[u8]) -> Result<HashMap<String, Value>, ApiError> {
    let decoded = |raw: &[u8]| -> Vec<u8> {
        let spaced: Vec<u8> = raw
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        percent_decode(&spaced).collect()
    };
    let mut fields = HashMap::new();
    for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = String::from_utf8(decoded(halves.next().unwrap_or_default())).map_err(|_| {
            ApiError::malformed(StatusCode::UNPROCESSABLE_ENTITY, "a field's name: must be UTF-8")
        })?;
        fields.insert(name, decoded(halves.next().unwrap_or_default()).into());
    }
    Ok(fields)
}

fn json(body: &[u8]) -> Result<HashMap<String, Value>, ApiError> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)
        .map_err(|error| ApiError::malformed(StatusCode::BAD_REQUEST, format!("JSON body: {error}")))?;
    Ok(object
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => Value::Text(text),
                serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Value::Text(value.to_string()),
                _ => Value::NotScalar,
            };
            (name, value)
        })
        .collect())
}

impl Fields {
    /// Fields that came with a file.
    pub(crate) fn new(fields: HashMap<String, Vec<u8>>) -> Self {
        Self(
            fields
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect(),
        )
    }

    /// A field that must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<String, ApiError> {
        self.optional(name)?
            .ok_or_else(|| Error::invalid(name, "is required").into())
    }

    /// A field that may be there.
    pub(crate) fn optional(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::NotUtf8) => Err(Error::invalid(name, "must be UTF-8").into()),
            Some(Value::NotScalar) => {
                Err(Error::invalid(name, "must be a text, a number or a boolean").into())
            }
        }
    }

    /// A field that may be there and has a form of its own.
    pub(crate) fn parsed<T: std::str::FromStr>(
        &mut self,
        name: &'static str,
        what: &str,
    ) -> Result<Option<T>, ApiError> {
        self.optional(name)?
            .map(|value| {
                value
                    .trim()
                    .parse()
                    .map_err(|_| Error::invalid(name, format!("must be {what}")).into())
            })
            .transpose()
    }
}
