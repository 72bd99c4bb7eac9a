//! Reads bodies and queries, and says which field is wrong.

use super::envelope::{ApiError, number};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::{StatusCode, request::Parts};
use bytes::Bytes;
use serde::de::DeserializeOwned;

/// The bytes of a body within the route's limit.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, number::BAD_BODY, "body is too large"),
            ),
            Err(rejection) => Err(bad_body(rejection.body_text())),
        }
    }
}

/// A JSON body, whatever its content type says: the forerunner did not ask either.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Body(bytes) = Body::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// Query parameters.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(bad_body(rejection.body_text())),
        }
    }
}

/// Parses a JSON object. Without the first check an array would do: its elements would be taken for the fields in order.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(bad_body("an object was expected, not an array".to_owned()));
    }
    parse_any(bytes)
}

/// Parses JSON. The path of a field costs time, so it is looked for only when something is wrong.
pub(super) fn parse_any<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| locate::<T>(bytes, error))
}

#[cold]
fn locate<T: DeserializeOwned>(bytes: &[u8], error: serde_json::Error) -> ApiError {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(located) => at_path(located),
        Ok(_) => bad_body(error.to_string()),
    }
}

/// Takes a value apart that is JSON already.
pub(super) fn parse_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(at_path)
}

fn at_path(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let problem = bad_body(error.into_inner().to_string());
    // "?" is a place that has no name yet: the input ended in it.
    if path == "." || path == "?" { problem } else { problem.with_field(&path) }
}

fn bad_body(text: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, number::BAD_BODY, text)
}

/// Reads a number of 64 bits from a path or query.
pub(super) fn decimal(field: &str, text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::invalid(number::BAD_BODY, field, "must be a decimal number of 64 bits")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    struct Outer {
        #[allow(dead_code, reason = "only its path is looked at")]
        inner: Vec<u8>,
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        let error = parse::<Outer>(br#"{"inner": [1, "x"]}"#).unwrap_err();
        assert_eq!(error.problem.code, 100);
        assert_eq!(error.problem.field.as_deref(), Some("inner[1]"));
        let error = parse::<Outer>(b"{").unwrap_err();
        assert_eq!(error.problem.field, None);
    }
}
