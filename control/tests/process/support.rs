//! A running `gpusher-control`, an HTTP caller, and a client of wire version 0, written from `proto/WIRE.md`.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes long; what does not come within this never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program with its arguments, environment variables below `GPUSHER_CONTROL__`, and quiet logs.
pub(crate) fn command(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpusher-control"));
    command.args(arguments).env("RUST_LOG", "warn");
    for (name, value) in settings {
        command.env(format!("GPUSHER_CONTROL__{name}"), value);
    }
    command
}

/// Runs it to its end.
pub(crate) fn output(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    command(arguments, settings).output().unwrap()
}

/// A process that prints its summary when it works. Killed when dropped.
pub(crate) struct Control {
    child: Child,
    places: BTreeMap<String, String>,
}

impl Control {
    /// Everything in one process, on ports of the kernel's choice.
    pub(crate) fn dev(data: &Path) -> Self {
        let settings = [
            ("WEB__LISTEN", "127.0.0.1:0"),
            ("GATEWAY__LISTEN", "127.0.0.1:0"),
            ("GATEWAY__ADMIN_LISTEN", "127.0.0.1:0"),
        ];
        Self::spawn(&["dev", "--data", data.to_str().unwrap()], &settings).wait_until_up()
    }

    /// Starts it, without waiting.
    pub(crate) fn spawn(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let child = command(arguments, settings).stdout(Stdio::piped()).spawn().unwrap();
        Self { child, places: BTreeMap::new() }
    }

    /// Reads the summary.
    pub(crate) fn wait_until_up(mut self) -> Self {
        let lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        let mut up = false;
        for line in lines.map_while(Result::ok) {
            up |= line.contains(" is up: ");
            if let Some((name, place)) = line.strip_prefix("  ").and_then(|l| l.split_once("  ")) {
                self.places.insert(name.trim().to_owned(), place.trim().to_owned());
            }
            if up && line.is_empty() && !self.places.is_empty() {
                return self;
            }
        }
        panic!("it ended before it was up: {:?}", self.child.wait());
    }

    /// An address of the summary, by its name there.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let place = self.places.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.places));
        place.trim_start_matches("http://").parse().unwrap()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGINT, and what it ended with.
    pub(crate) fn interrupt(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Pushes a kept message to a user; returns status and body of the answer.
    pub(crate) fn push(&self, key: Option<&str>, user: &str, content: &str) -> (u16, Value) {
        let push = json!({"type": 1, "uuid": user, "content": content, "offlinePush": true});
        let body = json!({"tag": "app_gpusher", "body": push}).to_string();
        let key = key.map_or_else(String::new, |key| format!("X-API-Key: {key}\r\n"));
        let length = body.len();
        let head = format!(
            "POST /v1/push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{key}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(self.address("HTTP API")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    /// As [`Control::push`], until it is accepted: for the time in which something is away.
    pub(crate) fn push_until_accepted(&self, key: &str, user: &str, content: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.push(Some(key), user, content);
            if status == 200 {
                return;
            }
            assert!(status == 503 && Instant::now() < deadline, "{status}: {body}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of wire version 0.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Logs in; the answer must be a heartbeat.
    pub(crate) fn login(gateway: SocketAddr, user: &str, token: &str) -> Self {
        let mut client = Self { stream: TcpStream::connect(gateway).unwrap() };
        client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let login = json!({"appId": 1000, "uuid": user, "key": "app_gpusher", "token": token});
        client.send(1, login.to_string().as_bytes());
        let (kind, body) = client.frame();
        assert_eq!(kind, 1, "refused: {}", String::from_utf8_lossy(&body));
        client
    }

    /// The content of the next push.
    pub(crate) fn push(&mut self) -> String {
        let (kind, body) = self.frame();
        assert_eq!(kind, 0);
        let body: Value = serde_json::from_slice(&body).unwrap();
        body["content"].as_str().unwrap().to_owned()
    }

    /// The connection.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        let mut frame = vec![0x45, 0, kind, 0, 0];
        frame.extend_from_slice(&7u64.to_be_bytes());
        frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(body);
        self.stream.write_all(&frame).unwrap();
    }

    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 21];
        self.stream.read_exact(&mut header).unwrap();
        assert_eq!(header[..2], [0x45, 0]);
        let length = u32::from_be_bytes(header[13..17].try_into().unwrap());
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body).unwrap();
        (header[2], body)
    }
}
