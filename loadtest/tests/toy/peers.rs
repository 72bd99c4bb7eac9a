//! Servers of other protocols, as small as the specifications allow: who subscribed to a name gets what is published to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Subscriptions of all connections, and what was counted.
#[derive(Default)]
pub(crate) struct Hub {
    subscriptions: Mutex<Vec<Subscription>>,
    /// Messages that clients acknowledged, and pings that they answered.
    pub(crate) answered: AtomicU64,
}

struct Subscription {
    name: String,
    /// As the client chose it.
    id: String,
    client: Arc<Mutex<TcpStream>>,
}

/// What a connection is served by; it ends when this returns.
type Serve = fn(&Hub, TcpStream) -> std::io::Result<()>;

/// Listens; threads end with their connections.
pub(crate) fn listen(hub: &Arc<Hub>, serve: Serve) -> SocketAddrV4 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!("it is v4") };
    let hub = hub.clone();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let hub = hub.clone();
            thread::spawn(move || serve(&hub, stream));
        }
    });
    address
}

impl Hub {
    fn subscribe(&self, name: &str, id: &str, client: &Arc<Mutex<TcpStream>>) {
        let subscription =
            Subscription { name: name.to_owned(), id: id.to_owned(), client: client.clone() };
        self.subscriptions.lock().unwrap().push(subscription);
    }

    /// Sends each subscriber what `frame` makes of its id.
    fn publish(&self, name: &str, frame: impl Fn(&str) -> Vec<u8>) {
        for subscription in self.subscriptions.lock().unwrap().iter() {
            if subscription.name == name {
                // Who has left gets nothing.
                let _ = subscription.client.lock().unwrap().write_all(&frame(&subscription.id));
            }
        }
    }
}

pub(crate) fn nats(hub: &Hub, stream: TcpStream) -> std::io::Result<()> {
    let client = Arc::new(Mutex::new(stream.try_clone()?));
    let say = |text: &str| client.lock().unwrap().write_all(text.as_bytes());
    say("INFO {\"server_id\":\"toy\",\"max_payload\":1048576}\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["CONNECT", ..] => say("PING\r\n")?,
            ["PONG"] => _ = hub.answered.fetch_add(1, Ordering::Relaxed),
            ["PING"] => say("PONG\r\n")?,
            ["SUB", subject, id] => hub.subscribe(subject, id, &client),
            ["PUB", subject, bytes] => {
                let mut payload = vec![0; bytes.parse::<usize>().unwrap() + 2];
                reader.read_exact(&mut payload)?;
                let head = |id: &str| format!("MSG {subject} {id} {bytes}\r\n").into_bytes();
                hub.publish(subject, |id| [&head(id)[..], &payload].concat());
            }
            _ => say("-ERR 'Unknown Protocol Operation'\r\n")?,
        }
        line.clear();
    }
    Ok(())
}

pub(crate) fn mqtt(hub: &Hub, mut stream: TcpStream) -> std::io::Result<()> {
    let client = Arc::new(Mutex::new(stream.try_clone()?));
    let say = |bytes: &[u8]| client.lock().unwrap().write_all(bytes);
    loop {
        let [first] = read(&mut stream)?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let [byte] = read(&mut stream)?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        match first {
            0x10 => say(&[0x20, 2, 0, 0])?,
            0xc0 => say(&[0xd0, 0])?,
            0x40 => _ = hub.answered.fetch_add(1, Ordering::Relaxed),
            0x82 => {
                let (mut rest, mut granted) = (&body[2..], Vec::new());
                while let Some((bytes, after)) = rest.split_first_chunk() {
                    let (name, after) = after.split_at(usize::from(u16::from_be_bytes(*bytes)));
                    hub.subscribe(std::str::from_utf8(name).unwrap(), "", &client);
                    granted.push(after[0]);
                    rest = &after[1..];
                }
                let length = u8::try_from(granted.len() + 2).unwrap();
                say(&[&[0x90, length, body[0], body[1]][..], &granted].concat())?;
            }
            0x30 | 0x32 => {
                let after = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                let name = std::str::from_utf8(&body[2..after]).unwrap();
                // Short enough for a length of one byte, as all that the tests publish.
                let packet = [&[first, u8::try_from(length).unwrap()][..], &body].concat();
                hub.publish(name, |_| packet.clone());
                if first == 0x32 {
                    say(&[0x40, 2, body[after], body[after + 1]])?;
                }
            }
            _ => return Ok(()),
        }
    }
}

/// Where goim's clients are.
pub(crate) fn comet(hub: &Hub, mut stream: TcpStream) -> std::io::Result<()> {
    let client = Arc::new(Mutex::new(stream.try_clone()?));
    loop {
        let header: [u8; 16] = read(&mut stream)?;
        let length = u32::from_be_bytes(*header.first_chunk().unwrap()) as usize;
        let mut body = vec![0; length - header.len()];
        stream.read_exact(&mut body)?;
        let answer = match header[11] {
            2 => packet(3, &[0, 0, 0, 1]),
            7 => {
                let token: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(token["accepts"], serde_json::json!([1000]));
                let room = token["room_id"].as_str().unwrap();
                for name in ["all", &format!("mid {}", token["mid"]), &format!("room {room}")] {
                    hub.subscribe(name, "", &client);
                }
                packet(8, b"")
            }
            _ => return Ok(()),
        };
        client.lock().unwrap().write_all(&answer)?;
    }
}

/// Where goim takes pushes.
pub(crate) fn logic(hub: &Hub, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut first, mut length) = (String::new(), 0);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(digits) = line.strip_prefix("Content-Length: ") {
                length = digits.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut content = vec![0; length];
        reader.read_exact(&mut content)?;
        let Some(path) = first.split(' ').nth(1) else { return Ok(()) };
        let value = |key: &str| {
            let (_, query) = path.split_once('?')?;
            query.split('&').find_map(|field| field.strip_prefix(key))
        };
        assert_eq!(value("operation="), Some("1000"));
        let name = match path.split('?').next() {
            Some("/goim/push/all") => "all".to_owned(),
            Some("/goim/push/mids") => format!("mid {}", value("mids=").unwrap()),
            Some("/goim/push/room") => {
                format!("room {}://{}", value("type=").unwrap(), value("room=").unwrap())
            }
            other => panic!("goim has no {other:?}"),
        };
        hub.publish(&name, |_| packet(1000, &content));
        let body = "{\"code\":0,\"message\":\"\"}";
        // In one write: a second one would wait for the first one's acknowledgement.
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes())?;
    }
}

fn packet(operation: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let mut out = [length, 16 << 16 | 1, operation, 0].map(u32::to_be_bytes).concat();
    out.extend_from_slice(body);
    out
}

fn read<const BYTES: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
