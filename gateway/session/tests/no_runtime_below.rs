//! The crate's claim: nothing that it is built from does I/O. Its dependency tree has no runtime, no ring and no system calls.

use std::process::Command;

#[test]
fn the_dependency_tree_has_no_io() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "gpusher-session", "--edges", "normal", "--prefix", "none"])
        .args(["--offline", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("text");
    let crates: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains(&"gpusher-proto"), "{tree}");
    for forbidden in ["tokio", "io-uring", "libc", "rustix", "nix", "mio", "socket2", "tonic"] {
        assert!(!crates.contains(&forbidden), "{forbidden} is in the tree:\n{tree}");
    }
}
