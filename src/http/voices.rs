//! `/api/v1/voices`: voices that speech can be asked in.
use axum::{
    Json as Body,
    extract::{FromRequest as _, Request, State},
    http::header,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::{Fields, Path},
    files::Base,
    principal::May,
    problem::ApiError,
    upload::{self, Upload},
};
use crate::{
    app::App,
    domain::{FileId, access::may},
    services::{
        quotas,
        voices::{self, Said},
    },
    store::voices::Voice as Kept,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_voices))
        .routes(routes!(delete_voice))
}

/// The ones that receive files take longer than the others.
pub(super) fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_voice))
        .routes(routes!(change_voice))
}

/// A voice of your organisation, or one for everybody.
#[derive(Debug, Serialize, ToSchema)]
struct Voice {
    voice_name: String,
    /// For people.
    display_name: String,
    language: String,
    /// A link to its sample that works for a while and needs no key; null for a voice that engines have themselves.
    public_url: Option<String>,
    file_id: Option<FileId>,
    file_name: Option<String>,
    /// Bytes.
    file_size: Option<i64>,
    /// What its content is.
    file_type: Option<String>,
    /// Whether it is for everybody, and cannot be changed.
    shared: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Voice {
    fn new(app: &App, base: &Base, voice: Kept) -> Self {
        Self {
            voice_name: voice.voice_name,
            display_name: voice.display_name,
            language: voice.language,
            public_url: voice.file_id.map(|id| base.link(app, id)),
            file_id: voice.file_id,
            file_name: voice.file_name,
            file_size: voice.size,
            file_type: voice.media_type,
            shared: voice.organization_id.is_none(),
            created_at: voice.created_at,
            updated_at: voice.updated_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Voices {
    success: bool,
    count: usize,
    voices: Vec<Voice>,
}

/// List the voices that you may ask for, by name.
#[utoipa::path(
    get, path = "/voices", tag = "voices", security(("api_key" = ["voices:read"])),
    responses((status = 200, description = "All of them", body = Voices), ApiError)
)]
async fn list_voices(
    State(app): State<App>,
    client: May<may::ReadVoices>,
    base: Base,
) -> Result<Body<Voices>, ApiError> {
    let voices: Vec<Voice> = voices::list(&app, client.organization)
        .await?
        .into_iter()
        .map(|voice| Voice::new(&app, &base, voice))
        .collect();
    Ok(Body(Voices {
        success: true,
        count: voices.len(),
        voices,
    }))
}

/// A voice to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Upload` reads")]
struct NewVoice {
    /// What tasks ask for: letters, digits, spaces, and any of `.`, `_` and `-`.
    voice_name: String,
    /// For people; the name by default.
    display_name: Option<String>,
    /// What it speaks; `en` by default. A task has a language of its own.
    language: Option<String>,
    /// WAV, MP3, FLAC, OGG and the like, by content; at most 25 MiB by default.
    #[schema(content_media_type = "application/octet-stream", value_type = String, format = Binary)]
    audio_file: Vec<u8>,
}

/// What is to be changed of a voice.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that is read")]
struct ChangedVoice {
    /// For people.
    display_name: Option<String>,
    /// What it speaks.
    language: Option<String>,
    /// Another sample; in `multipart/form-data`.
    #[schema(content_media_type = "application/octet-stream", value_type = Option<String>, format = Binary)]
    audio_file: Option<Vec<u8>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Stored {
    success: bool,
    message: &'static str,
    voice: Voice,
}

fn said(fields: &mut Fields) -> Result<Said, ApiError> {
    Ok(Said {
        display_name: fields.optional("display_name")?,
        language: fields.optional("language")?,
    })
}

/// Make a voice of a sample, for the tasks of your organisation.
#[utoipa::path(
    post, path = "/voices", tag = "voices", security(("api_key" = ["voices:write"])),
    request_body(content((NewVoice = "multipart/form-data"))),
    responses(
        (status = 200, description = "Made", body = Stored),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        (status = 429, description = "quota-exceeded"),
        ApiError
    )
)]
async fn create_voice(
    State(app): State<App>,
    client: May<may::WriteVoices>,
    base: Base,
    request: Request,
) -> Result<Body<Stored>, ApiError> {
    quotas::check_storage(&app, client.organization).await?;
    // Dropped with an error, the sample goes.
    let Upload { mut fields, file } = Upload::receive(&app, request, voices::rules(&app)).await?;
    let name = fields.required("voice_name")?;
    let said = said(&mut fields)?;
    let voice = voices::create(&app, client.organization, &name, said, file).await?;
    Ok(Body(Stored {
        success: true,
        message: "Voice created",
        voice: Voice::new(&app, &base, voice),
    }))
}

#[derive(Debug, Deserialize)]
struct Named {
    voice_name: String,
}

/// Change a voice: what it is called, what it speaks, or its sample.
#[utoipa::path(
    put, path = "/voices/{voice_name}", tag = "voices", security(("api_key" = ["voices:write"])),
    params(("voice_name" = String, Path)),
    request_body(content(
        (ChangedVoice = "multipart/form-data"), (ChangedVoice = "application/x-www-form-urlencoded"),
        (ChangedVoice = "application/json")
    )),
    responses(
        (status = 200, description = "Changed", body = Stored),
        (status = 404, description = "not-found"),
        (status = 409, description = "conflict"),
        (status = 422, description = "invalid-value"),
        (status = 429, description = "quota-exceeded"),
        ApiError
    )
)]
async fn change_voice(
    State(app): State<App>,
    client: May<may::WriteVoices>,
    base: Base,
    Path(Named { voice_name }): Path<Named>,
    request: Request,
) -> Result<Body<Stored>, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_multipart = kind
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data"));
    let (mut fields, sample) = if is_multipart {
        quotas::check_storage(&app, client.organization).await?;
        upload::receive(&app, request, voices::rules(&app)).await?
    } else {
        (Fields::from_request(request, &app).await?, None)
    };
    let said = said(&mut fields)?;
    let voice = voices::change(&app, client.organization, &voice_name, said, sample).await?;
    Ok(Body(Stored {
        success: true,
        message: "Voice changed",
        voice: Voice::new(&app, &base, voice),
    }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Deleted {
    success: bool,
    message: &'static str,
}

/// Delete a voice. Tasks that were submitted with it go on with its sample.
#[utoipa::path(
    delete, path = "/voices/{voice_name}", tag = "voices", security(("api_key" = ["voices:write"])),
    params(("voice_name" = String, Path)),
    responses(
        (status = 200, description = "It is gone", body = Deleted),
        (status = 404, description = "not-found"),
        (status = 409, description = "conflict"),
        ApiError
    )
)]
async fn delete_voice(
    State(app): State<App>,
    client: May<may::WriteVoices>,
    Path(Named { voice_name }): Path<Named>,
) -> Result<Body<Deleted>, ApiError> {
    voices::delete(&app, client.organization, &voice_name).await?;
    Ok(Body(Deleted {
        success: true,
        message: "Voice deleted",
    }))
}
