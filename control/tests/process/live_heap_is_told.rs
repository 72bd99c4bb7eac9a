//! A process tells at its pages what it has allocated and not freed, by itself and by SQLite: more once it keeps large messages in memory.

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
    let (web, gateway) = (control.address("HTTP API"), control.address("gateway pages"));
    let before = live_bytes(web, "mimalloc");
    assert!((MEBIBYTE / 16..1024 * MEBIBYTE).contains(&before), "{before}");
    assert!(live_bytes(web, "libc") > 0);
    let content = "m".repeat(900_000);
    (0..4).for_each(|_| assert_eq!(control.push(None, "alice", &content).0, 200));
    let after = live_bytes(gateway, "mimalloc");
    assert!(after > before + 2 * MEBIBYTE, "{before}, then {after}");
}
