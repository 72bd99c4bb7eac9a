//! A flood of SYNs whose senders do not exist, so that no connection comes of any. The kernel answers those that a listener has no room to
//! remember with cookies (`net.ipv4.tcp_syncookies`), which is what lets honest clients in meanwhile.

use super::clients::reconnect_some;
use crate::network::Nowhere;
use crate::random::Random;
use crate::stage::Stage;
use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// At most: what is late is not made up for.
const SYNS_PER_TICK: u32 = 100;
const TICK: Duration = Duration::from_millis(2);
/// For those who come back meanwhile, beyond the time that the flood is held.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
const HEADERS_BYTES: usize = 40;
const IP_BYTES: usize = 20;
const TCP_PROTOCOL: u8 = 6;

/// Floods all gateways, while clients come back, who have to be let in before it ends.
pub(super) async fn flood(stage: &Stage, hold: Duration, random: &mut Random) -> Result<()> {
    let nowhere = Nowhere::open()?;
    let gateways = stage.deployment.gateways();
    let gateways: Result<Vec<SocketAddrV4>, _> = gateways.iter().map(|at| at.parse()).collect();
    let cookies = cookies()?;
    let flood = Flood::start(gateways.context("gateways have addresses of IPv4")?, random.fork())?;
    let begun = Instant::now();
    let coming = reconnect_some(stage, random).await;
    let out = || coming.iter().filter(|&&device| !stage.crowd.is_online(device)).count();
    while begun.elapsed() < hold || out() > 0 && begun.elapsed() < hold + PATIENCE {
        tokio::time::sleep(LOOK).await;
    }
    if out() > 0 {
        stage.complain(format!("{} clients were not let in during the flood", out()));
    }
    stage.count("SYNs sent", flood.stop()?);
    stage.count("SYNs answered with cookies", self::cookies()? - cookies);
    drop(nowhere);
    Ok(())
}

/// A thread that sends.
struct Flood {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
}

impl Flood {
    fn start(targets: Vec<SocketAddrV4>, random: Random) -> Result<Self> {
        let kind = (AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC);
        let socket = socket_with(kind.0, kind.1, kind.2, Some(ipproto::RAW));
        let socket = socket.context("a raw socket")?;
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = std::thread::spawn(move || send(&socket, &targets, random, &told));
        Ok(Self { over, thread: Some(thread) })
    }

    /// Returns how many were sent.
    fn stop(mut self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it is stopped once")?;
        thread.join().map_err(|_| anyhow::anyhow!("the flood panicked"))?
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn send(
    socket: &OwnedFd,
    targets: &[SocketAddrV4],
    mut random: Random,
    over: &AtomicBool,
) -> Result<u64> {
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        let next = Instant::now() + TICK;
        for _ in 0..SYNS_PER_TICK {
            let target = *random.pick(targets);
            let packet = syn(target, &mut random);
            sendto(socket, &packet, SendFlags::empty(), &target).context("cannot send a SYN")?;
            sent += 1;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(sent)
}

/// Headers of IP and TCP (RFC 791, RFC 9293); the kernel fills in the checksum of the first.
fn syn(target: SocketAddrV4, random: &mut Random) -> [u8; HEADERS_BYTES] {
    const SYN: u8 = 0x02;
    let (source, bits) = (Nowhere::address(random.bits() as u32), random.bits());
    let mut packet = [0; HEADERS_BYTES];
    let (ip, tcp) = packet.split_at_mut(IP_BYTES);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(HEADERS_BYTES as u16).to_be_bytes());
    ip[8] = 64;
    ip[9] = TCP_PROTOCOL;
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..20].copy_from_slice(&target.ip().octets());
    // An unprivileged port, whatever the bits.
    tcp[..2].copy_from_slice(&(bits as u16 | 0x8000).to_be_bytes());
    tcp[2..4].copy_from_slice(&target.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&((bits >> 32) as u32).to_be_bytes());
    tcp[12] = 0x50;
    tcp[13] = SYN;
    tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    let sum = checksum(source, *target.ip(), tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Of a segment, with the pseudo-header before it.
fn checksum(source: Ipv4Addr, target: Ipv4Addr, segment: &[u8]) -> u16 {
    let length = (segment.len() as u16).to_be_bytes();
    let pseudo = [source.octets(), target.octets(), [0, TCP_PROTOCOL, length[0], length[1]]];
    let bytes = [pseudo.as_flattened(), segment].concat();
    let words = bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded >> 16) + folded) as u16
}

/// How many cookies the kernel has sent in this network.
fn cookies() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/netstat").context("the network's counters")?;
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let mut pairs = names.split(' ').zip(values.split(' '));
        if let Some((_, value)) = pairs.find(|(name, _)| *name == "SyncookiesSent") {
            return value.parse().context("a counter is a number");
        }
    }
    anyhow::bail!("the kernel does not count SYN cookies")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_with_its_checksum_sums_up_to_nothing() {
        let mut random = Random::new(1);
        for port in [1, 8881, u16::MAX] {
            let target = SocketAddrV4::new(Ipv4Addr::new(127, 255, 3, 9), port);
            let packet = syn(target, &mut random);
            let source = Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]);
            assert_eq!(source.octets()[0], 198);
            assert_eq!(checksum(source, *target.ip(), &packet[IP_BYTES..]), 0);
        }
    }

    #[test]
    fn the_kernel_counts_cookies() {
        cookies().unwrap();
    }
}
