//! Content in answers: text where it is text, else base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

/// Content: one of the two is there.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Content {
    /// If it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// If it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { content: Some(text.to_owned()), content_base64: None },
            Err(_) => Self { content: None, content_base64: Some(STANDARD.encode(bytes)) },
        }
    }
}
