//! What goes wrong, in the one form in which every endpoint says it.

use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderValue, StatusCode, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sotto_store::StoreError;
use utoipa::ToSchema;

use crate::hub::FollowError;

/// An answer other than the one that was asked for: `{"error":{"code","message"}}`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_s: Option<u64>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub struct ErrorDetail {
    /// For programs.
    code: &'static str,
    /// For people.
    message: String,
}

impl ApiError {
    /// An error that says `message` to people and `code` to programs.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None }
    }

    /// What it says to people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// 401: nobody is signed in.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "sign in first")
    }

    /// 403: not this user, or not by this way.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// 409: what is there cannot become what was asked for.
    pub fn not_possible(what: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "not_possible", format!("the {what} cannot become that"))
    }

    /// 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// 429, to be tried again after so many seconds.
    pub fn too_many(retry_after_s: u64) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "too many attempts");
        Self { retry_after_s: Some(retry_after_s), ..error }
    }

    /// 503.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        Self { retry_after_s: Some(2), ..error }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: ErrorDetail { code: self.code, message: self.message } };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NameTaken(_) => Self::new(StatusCode::CONFLICT, "name_taken", error.to_string()),
            StoreError::NumberTaken(_) => Self::new(StatusCode::CONFLICT, "number_taken", error.to_string()),
            StoreError::ReferenceTaken(_) => {
                Self::new(StatusCode::CONFLICT, "reference_taken", error.to_string())
            }
            StoreError::NoCompany => Self::invalid(error.to_string()),
            StoreError::Stale => Self::new(StatusCode::CONFLICT, "changed_meanwhile", error.to_string()),
            StoreError::LastAdmin => Self::new(StatusCode::CONFLICT, "last_admin", error.to_string()),
            // What a database says is for the log, not for strangers.
            _ => {
                tracing::error!(%error, "the store failed a request");
                Self::unavailable("store", "the database does not answer")
            }
        }
    }
}

impl From<FollowError> for ApiError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Unknown(_) => Self::not_found("call"),
            FollowError::Slow => Self::unavailable("slow", error.to_string()),
            FollowError::Store(error) => error.into(),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "invalid_body", rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        // A path that cannot be one of ours names nothing.
        Self::not_found("thing")
    }
}

/// A text has U+0000. Nobody means it, PostgreSQL keeps none, and what is looked for by it would be found nowhere: so it is
/// refused where requests are read, in addresses ([`without_nul`]) as in JSON ([`Json`]).
fn nul() -> ApiError {
    ApiError::invalid("a text has the character U+0000")
}

/// Refuses addresses with U+0000, which no address has but as `%00`.
pub async fn without_nul(request: Request, next: Next) -> Response {
    let has_nul = request.uri().path_and_query().is_some_and(|address| address.as_str().contains("%00"));
    if has_nul { nul().into_response() } else { next.run(request).await }
}

/// Whether a text in this JSON has U+0000, which JSON has only as an escape.
fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = rest.get(at + 1..).unwrap_or_default();
        if escape.starts_with(b"u0000") {
            return true;
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

/// A JSON body; what is wrong with one is said as an [`ApiError`].
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(head.clone(), body), state).await;
        let bytes = bytes.map_err(JsonRejection::from)?;
        if has_nul(&bytes) {
            return Err(nul());
        }
        let request = Request::from_parts(head, Body::from(bytes));
        let axum::Json(body) = axum::Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// Parameters after the question mark.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, ApiError> {
        let axum::extract::Query(parameters) = axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(parameters))
    }
}

/// A parameter in the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, ApiError> {
        let axum::extract::Path(parameter) = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(parameter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_in_json_is_told_from_what_looks_like_one() {
        let has = [r#"{"a":"\u0000"}"#, r#"["x\\\u0000"]"#, r#"{"\u0000":1}"#];
        let has_not = ["", "\\", r#"{"a":"\\u0000"}"#, r#"["\u0001", "u0000", "\"u0000"]"#, r#""\\\\u0000""#];
        assert!(has.iter().all(|json| has_nul(json.as_bytes())));
        assert!(has_not.iter().all(|json| !has_nul(json.as_bytes())));
    }
}
