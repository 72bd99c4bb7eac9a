//! Compiles the protobuf files with a compiler written in Rust: no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["gateway.proto", "data.proto"], ["proto"])?;
    tonic_prost_build::configure().include_file("gpusher.rs").bytes(".").compile_fds(files)?;
    Ok(())
}
