//! A process tells at its pages what it has allocated and not freed, by itself and by SQLite.

use crate::support::Control;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const MEBIBYTE: u64 = 1 << 20;

fn live_bytes(page: SocketAddr, allocator: &str) -> u64 {
    let mut stream = TcpStream::connect(page).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let name = format!("gpusher_process_heap_bytes{{allocator=\"{allocator}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[test]
fn live_heap_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control::dev(folder.path());
    for page in ["HTTP API", "gateway pages"] {
        let live = live_bytes(control.address(page), "jemalloc");
        assert!((MEBIBYTE / 16..1024 * MEBIBYTE).contains(&live), "{page}: {live}");
        assert!(live_bytes(control.address(page), "libc") > 0, "{page}");
    }
}
