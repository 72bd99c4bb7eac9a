//! What every measurement leaves behind: figures with their units, what they have to be read with, and a history of them.

#![forbid(unsafe_code)]

pub mod environment;
pub mod figure;
pub mod history;
pub mod plot;
