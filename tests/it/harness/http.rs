//! Answers, and bodies that no ordinary client would send.
use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::Value;

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Null when it is not JSON.
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("the answer is whole");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self {
            status,
            headers,
            body,
        }
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self.body
    }

    /// The detail of a problem of this status and kind, after a look at the shape of it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, kind: &str) -> &str {
        let Self {
            status: found,
            headers,
            body,
        } = self;
        assert_eq!((*found, body["type"].as_str()), (status, Some(kind)), "{body:?}");
        assert_eq!(headers["content-type"], "application/problem+json", "{body:?}");
        assert_eq!(body["status"], status, "{body:?}");
        assert!(
            body["title"].as_str().is_some_and(|title| !title.is_empty()),
            "{body:?}"
        );
        assert!(headers.contains_key("x-request-id"), "{headers:?}");
        let later = [429, 503].contains(&status);
        assert_eq!(later, headers.contains_key("retry-after"), "{headers:?}");
        body["detail"]
            .as_str()
            .filter(|detail| !detail.is_empty())
            .expect("detail is a text")
    }

    /// The detail of an `invalid-value` problem about this field.
    #[track_caller]
    pub(crate) fn invalid(&self, field: &str) -> &str {
        let detail = self.problem(422, "/problems/invalid-value");
        assert_eq!(self.body["field"], field, "{detail}");
        detail
    }
}

/// A `multipart/form-data` body, written by hand so that it may hold anything.
pub(crate) struct Multipart(Vec<u8>);

const BOUNDARY: &str = "violet-boundary-7f3a";

impl Multipart {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        self.0.extend(head.as_bytes());
        self.0.extend(value.as_ref());
        self.0.extend(b"\r\n");
        self
    }

    /// A file, whose name is written as it is: quotes in it must be escaped already.
    pub(crate) fn file(mut self, field: &str, name: &str, content: &[u8]) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        self.0.extend(head.as_bytes());
        self.0.extend(content);
        self.0.extend(b"\r\n");
        self
    }

    /// The value of the Content-Type header.
    pub(crate) fn kind() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    /// What is written so far; another part may follow.
    pub(crate) fn unfinished(self) -> Vec<u8> {
        self.0
    }

    /// The whole body.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }

    pub(crate) fn put(self, request: RequestBuilder) -> RequestBuilder {
        request.header("content-type", Self::kind()).body(self.bytes())
    }
}
