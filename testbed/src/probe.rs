//! Whether a server answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);

/// Whether somebody listens.
pub(crate) fn listens(port: u16) -> bool {
    connect(port).is_some()
}

/// Whether the answer to `question` contains `answer`.
pub(crate) fn answers(port: u16, question: &str, answer: &str) -> bool {
    let Some(mut stream) = connect(port) else { return false };
    if stream.write_all(question.as_bytes()).is_err() {
        return false;
    }
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        heard.extend_from_slice(&buffer[..bytes]);
        if String::from_utf8_lossy(&heard).contains(answer) {
            return true;
        }
    }
    false
}

fn connect(port: u16) -> Option<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}
