//! Whether a server answers.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);

/// Whether somebody listens.
pub(crate) fn listens(at: SocketAddrV4) -> bool {
    connect(at).is_some()
}

/// Whether the answer to `question` contains `answer`.
pub(crate) fn answers(at: SocketAddrV4, question: &str, answer: &str) -> bool {
    let Some(mut stream) = connect(at) else { return false };
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

fn connect(at: SocketAddrV4) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&at.into(), PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}
