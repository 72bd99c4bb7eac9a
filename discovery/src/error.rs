//! What can go wrong.

/// Why services cannot be found or registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The configuration is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The registry is away; it is asked again.
    #[error("{0}")]
    Unavailable(String),
}
