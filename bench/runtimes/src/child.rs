//! A server in a process of its own, and what the system says about it.

use crate::contender::Contender;
use anyhow::{Context, Result, anyhow, ensure};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Child, Command, Stdio};

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddrV4,
}

/// What it has used up to now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// By all its threads, in user and kernel mode.
    pub(crate) cpu_ns: u64,
    /// Its own memory, without what is mapped from files.
    pub(crate) memory_bytes: u64,
}

impl Server {
    /// Starts this very binary as that server.
    ///
    /// # Errors
    /// With what the server says is the matter.
    pub(crate) fn start(contender: Contender) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let value = clap::ValueEnum::to_possible_value(&contender).expect("none is hidden");
        command.args(["--serve", value.get_name()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().context("cannot start a server")?;
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(port) => Ok(Self { process, address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port) }),
            Err(_) => {
                let _ = process.kill();
                let mut reason = String::new();
                process.stderr.take().expect("it is piped").read_to_string(&mut reason)?;
                process.wait()?;
                Err(anyhow!("{} does not serve: {}", contender.name(), reason.trim()))
            }
        }
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let folder = format!("/proc/{}", self.process.id());
        let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
        let mut cpu_ns = 0;
        for task in std::fs::read_dir(format!("{folder}/task"))? {
            let path = task?.path().join("schedstat");
            let text = read(path.to_str().expect("digits"))?;
            let spent = text.split(' ').next().and_then(|word| word.parse::<u64>().ok());
            cpu_ns += spent.context("schedstat does not begin with a number")?;
        }
        ensure!(cpu_ns > 0, "the kernel does not keep schedstat");
        Ok(Usage {
            cpu_ns,
            memory_bytes: kibibytes(&read(&format!("{folder}/status"))?, "RssAnon:")? << 10,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn kibibytes(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("no {name}"))
}

/// Ends this process with the one that started it, however that ends.
pub(crate) fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
