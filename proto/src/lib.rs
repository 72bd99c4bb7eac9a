//! The wire, and nothing else: client frames, protobuf messages and generated gRPC. No I/O.

#![forbid(unsafe_code)]

pub mod conn_id;
pub mod wire;

/// What prost and tonic made of `proto/*.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/gpusher.rs"));
}

/// Store, routes and queue: the data layer's vocabulary (`proto/data.proto`).
pub use generated::gpusher::data::v1 as data;
/// The link between logic and a gateway (`proto/gateway.proto`).
pub use generated::gpusher::gateway::v1 as gateway;
