//! The forerunner's envelope: `{"Code": 1, "Msg": "ok", "Data": {…}}`, and its errors with the right HTTP status.

use crate::error::{Code, Error};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What every answer looks like. `Code` 1 is success.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Envelope<T> {
    /// 1 success, 0 error.
    #[schema(example = 1)]
    code: u8,
    /// `ok` or `error`.
    #[schema(example = "ok")]
    msg: &'static str,
    /// The answer; an error has a code and a sentence in here.
    data: T,
}

/// What an error has in `Data`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Problem {
    /// 100 to 153: see the description. Any other: the HTTP status.
    #[schema(example = 101)]
    pub(super) code: u16,
    /// What is wrong.
    #[schema(example = "tag is missing")]
    pub(super) msg: String,
    /// Which field of the body or query it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "body.expireTime")]
    pub(super) field: Option<String>,
}

/// A 64-bit number that JSON readers keep exact because it is a string of decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "7308123456789012480")]
pub(super) struct Decimal(pub(super) u64);

impl Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Numbers of the forerunner (100 to 105, 150 to 153) and one that it lacks.
pub(super) mod number {
    pub(crate) const BAD_BODY: u16 = 100;
    pub(crate) const TAG_MISSING: u16 = 101;
    pub(crate) const UUID_MISSING: u16 = 102;
    pub(crate) const TYPE_UNKNOWN: u16 = 103;
    pub(crate) const CONTENT_MISSING: u16 = 104;
    pub(crate) const EXPIRE_TIME_OVER: u16 = 105;
    pub(crate) const TOPIC_MISSING: u16 = 106;
    pub(crate) const TOKEN_NOT_SIGNED: u16 = 150;
    pub(crate) const USER_UNKNOWN: u16 = 151;
    pub(crate) const TOKEN_NOT_SAVED: u16 = 152;
    pub(crate) const GATEWAY_NONE: u16 = 153;
}

/// An error on its way to the caller.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    /// HTTP status.
    pub(super) status: StatusCode,
    /// What the body says.
    pub(super) problem: Problem,
}

impl ApiError {
    /// An error with one of the numbers above.
    pub(super) fn new(status: StatusCode, code: u16, msg: impl Into<String>) -> Self {
        Self { status, problem: Problem { code, msg: msg.into(), field: None } }
    }

    /// An error whose number is its HTTP status.
    pub(super) fn plain(status: StatusCode, msg: impl Into<String>) -> Self {
        Self::new(status, status.as_u16(), msg)
    }

    /// A request that says something wrong, with the field it is about.
    pub(super) fn invalid(code: u16, field: &str, msg: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, msg).with_field(field)
    }

    pub(super) fn not_found(msg: impl Into<String>) -> Self {
        Self::plain(StatusCode::NOT_FOUND, msg)
    }

    pub(super) fn with_field(mut self, field: &str) -> Self {
        self.problem.field = Some(field.to_owned());
        self
    }

    /// The same error under one of the forerunner's numbers.
    pub(super) fn numbered(mut self, code: u16) -> Self {
        self.problem.code = code;
        self
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status =
            StatusCode::from_u16(error.code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if error.code == Code::Internal {
            tracing::error!(error = %error, "request failed");
        }
        Self::plain(status, error.text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = failure(self.status, self.problem);
        let headers = response.headers_mut();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What handlers return.
pub(super) type Answer = Result<Response, ApiError>;

/// 200 with data.
pub(super) fn ok<T: Serialize>(data: T) -> Answer {
    Ok(success(StatusCode::OK, data))
}

/// Another success with data.
pub(super) fn success<T: Serialize>(status: StatusCode, data: T) -> Response {
    reply(status, &Envelope { code: 1, msg: "ok", data })
}

/// JSON of a successful envelope, for answers that are kept to be repeated.
pub(super) fn encode_ok<T: Serialize>(data: T) -> bytes::Bytes {
    encode(&Envelope { code: 1, msg: "ok", data })
}

/// 200 with a body that is JSON already.
pub(super) fn ok_encoded(body: bytes::Bytes) -> Response {
    encoded(StatusCode::OK, body)
}

/// An error that says more than a `Problem`.
pub(super) fn failure<T: Serialize>(status: StatusCode, data: T) -> Response {
    reply(status, &Envelope { code: 0, msg: "error", data })
}

fn reply<T: Serialize>(status: StatusCode, envelope: &Envelope<T>) -> Response {
    encoded(status, encode(envelope))
}

fn encode<T: Serialize>(envelope: &Envelope<T>) -> bytes::Bytes {
    // Only a map with keys that are no strings, or an impl that refuses, can fail: neither is in here.
    serde_json::to_vec(envelope).expect("answers serialise").into()
}

fn encoded(status: StatusCode, body: bytes::Bytes) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_has_the_forerunners_shape() {
        let body = encode_ok(serde_json::json!({"id": Decimal(u64::MAX)}));
        assert_eq!(&body[..], br#"{"Code":1,"Msg":"ok","Data":{"id":"18446744073709551615"}}"#);
        let problem = Problem { code: 101, msg: "tag is missing".into(), field: None };
        let body = encode(&Envelope { code: 0, msg: "error", data: problem });
        assert_eq!(
            &body[..],
            br#"{"Code":0,"Msg":"error","Data":{"code":101,"msg":"tag is missing"}}"#
        );
    }
}
