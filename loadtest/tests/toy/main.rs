//! Runs of the generator at toy size against the whole system in this process: what it reports must hold, and what it is to find must be found.

mod others;
mod peers;
mod refused;
mod steps;
mod system;
