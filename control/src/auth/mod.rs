//! Who may do what: passwords of users, tokens of clients, secrets of the operator.
//!
//! API keys are compared by web's gate; tokens are checked by the gateway's shards.

pub mod password;
pub mod secret;
pub mod token;
