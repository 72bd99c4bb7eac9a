//! Compiles the protobuf files with a compiler written in Rust: no `protoc` is needed.

/// Messages are for every crate; clients and servers only for those that speak gRPC.
const RPC_ONLY: &str = "#[cfg(feature = \"rpc\")]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["gateway.proto", "data.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .include_file("gpusher.rs")
        .bytes(".")
        .client_mod_attribute(".", RPC_ONLY)
        .server_mod_attribute(".", RPC_ONLY)
        .compile_fds(files)?;
    Ok(())
}
