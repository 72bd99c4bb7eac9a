//! The secret that message and its callers share, as a bearer token.

use crate::auth::Secret;
use crate::error::{Code, Error, Result};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

const HEADER: &str = "authorization";

/// Turns callers without the secret away.
#[derive(Clone)]
pub(super) struct CheckSecret {
    expected: Option<Arc<str>>,
}

impl CheckSecret {
    /// Without a secret, everybody is let in.
    pub(super) fn new(secret: Option<Secret>) -> Self {
        Self { expected: secret.map(|secret| format!("Bearer {}", secret.reveal()).into()) }
    }
}

impl Interceptor for CheckSecret {
    fn call(&mut self, request: Request<()>) -> std::result::Result<Request<()>, Status> {
        let Some(expected) = &self.expected else { return Ok(request) };
        let given = request.metadata().get(HEADER).map_or(&[][..], MetadataValue::as_bytes);
        if given.ct_eq(expected.as_bytes()).into() {
            return Ok(request);
        }
        Err(Status::unauthenticated("the shared secret is missing or wrong"))
    }
}

/// Presents the secret.
#[derive(Clone)]
pub(crate) struct PresentSecret {
    header: Option<MetadataValue<Ascii>>,
}

impl PresentSecret {
    pub(super) fn new(secret: Option<&Secret>) -> Result<Self> {
        let header = secret.map(|secret| format!("Bearer {}", secret.reveal()).parse()).transpose();
        let header = header
            .map_err(|_| Error::new(Code::Invalid, "the shared secret has to be visible ASCII"))?;
        Ok(Self { header })
    }
}

impl Interceptor for PresentSecret {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        if let Some(header) = &self.header {
            request.metadata_mut().insert(HEADER, header.clone());
        }
        Ok(request)
    }
}
