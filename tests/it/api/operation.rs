//! The operations of the description of the API, with the errors that it names for each.
use serde_json::Value;

/// An id that nothing has.
pub(super) const UNKNOWN: &str = "0192f0c1-2a3b-7c4d-8e5f-000000000001";

/// Method, path, status, type.
pub(super) type Named = (String, String, u16, String);

/// An operation as the description has it.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) path: String,
    description: Value,
}

pub(super) fn operations() -> Vec<Operation> {
    let description = serde_json::to_value(violet::http::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                description: operation.clone(),
            });
        }
    }
    all
}

impl Operation {
    /// The errors that it names.
    pub(super) fn named(&self) -> Vec<Named> {
        let mut all = Vec::new();
        for (status, response) in self.description["responses"].as_object().unwrap() {
            let problem = &response["content"]["application/problem+json"];
            if problem.is_null() || status == "default" {
                continue;
            }
            assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem");
            let text = response["description"].as_str().unwrap();
            let kinds = text.split('`').filter(|part| part.starts_with("/problems/"));
            let before = all.len();
            all.extend(kinds.map(|kind| self.error(status.parse().unwrap(), kind)));
            assert!(all.len() > before, "{} {status} names no type", self.path);
        }
        all
    }

    pub(super) fn error(&self, status: u16, kind: &str) -> Named {
        (self.method.clone(), self.path.clone(), status, kind.to_owned())
    }

    pub(super) fn asks_for(&self, scheme: &str) -> bool {
        let all = self.description["security"].as_array();
        all.is_some_and(|all| all.iter().any(|one| one.get(scheme).is_some()))
    }

    /// Keys may do it, if they have a permission.
    pub(super) fn asks_keys_for_a_permission(&self) -> bool {
        let all = self.description["security"].as_array().into_iter().flatten();
        all.filter_map(|one| one["api_key"].as_array())
            .any(|all| !all.is_empty())
    }

    pub(super) fn takes(&self, media: &str) -> bool {
        self.description["requestBody"]["content"].get(media).is_some()
    }

    pub(super) fn parameters(&self, place: &str) -> Vec<&str> {
        let all = self.description["parameters"].as_array().into_iter().flatten();
        all.filter(|one| one["in"] == place)
            .map(|one| one["name"].as_str().unwrap())
            .collect()
    }

    /// A form with a file of this operation.
    pub(super) fn file_field(&self) -> Option<&'static str> {
        match self.path.as_str() {
            "/api/v1/transcription" => Some("audio_file"),
            "/api/v1/document-translation" => Some("document_file"),
            "/api/v1/video-transcription" => Some("video_file"),
            "/api/v1/voices" | "/api/v1/voices/{voice_name}"
                if self.method != "GET" && self.method != "DELETE" =>
            {
                Some("audio_file")
            }
            _ => None,
        }
    }

    pub(super) fn is_form(&self) -> bool {
        self.takes("multipart/form-data")
    }

    /// Something to sign.
    pub(super) fn body_of_nobody(&self) -> &'static str {
        if self.method == "POST" { "{}" } else { "" }
    }

    /// Whether it takes the forms of miners with a key, and nothing signed.
    pub(super) fn is_for_keys(&self) -> bool {
        self.asks_for("neuron_key") && !self.asks_for("btauth") && !self.enrols()
    }

    /// Whether it gives keys to neurons.
    pub(super) fn enrols(&self) -> bool {
        self.path.ends_with("/authenticate")
    }

    /// Its path with ids that nothing has.
    pub(super) fn target(&self) -> String {
        let target = self
            .path
            .replace("{task_id}", UNKNOWN)
            .replace("{file_id}", UNKNOWN)
            .replace("{invitation_id}", UNKNOWN)
            .replace("{identity_id}", UNKNOWN)
            .replace("{key_id}", UNKNOWN)
            .replace("{session_id}", UNKNOWN)
            .replace("{user_id}", UNKNOWN)
            .replace("{file_type}", "audio")
            .replace("{voice_name}", "nobody")
            .replace("{uid}", "0")
            .replace("{block}", "4000000000");
        assert!(!target.contains('{'), "{target} has an unknown parameter");
        if self.path == "/api/v1/miner/files" {
            return format!("{target}?task_id={UNKNOWN}");
        }
        target
    }
}
