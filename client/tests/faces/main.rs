//! The faces, the command line and the Python example against a small server made of the gateway's own session: messages arrive once and
//! in order over a cut connection, sends and joins are answered, and what was taken is acknowledged.

mod command;
mod python;
mod rust;
mod server;
