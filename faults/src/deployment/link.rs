//! The network between logic and a gateway: a proxy that can stop carrying bytes without closing anything, as a cut cable does.

use anyhow::{Context, Result};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const BUFFER_BYTES: usize = 64 << 10;

/// A link to one gateway.
#[derive(Debug)]
pub(super) struct Link {
    whole: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Link {
    /// Carries connections from `told` to the gateway.
    pub(super) async fn open(told: SocketAddr, gateway: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(told).await;
        let listener = listener.with_context(|| format!("cannot listen on {told}"))?;
        let (whole, state) = watch::channel(true);
        let task = tokio::spawn(accept(listener, gateway, state));
        Ok(Self { whole, task })
    }

    /// From now on nothing gets through, or everything again, with what waited.
    pub(super) fn set_whole(&self, whole: bool) {
        self.whole.send_replace(whole);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, gateway: SocketAddr, state: watch::Receiver<bool>) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(carry(near, gateway, state.clone()));
    }
}

/// Ends with an error of any of the four directions; both sides then see the end.
async fn carry(
    near: TcpStream,
    gateway: SocketAddr,
    mut state: watch::Receiver<bool>,
) -> io::Result<()> {
    wait_until_whole(&mut state).await?;
    let far = TcpStream::connect(gateway).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        ended = one_way(near_read, far_write, state.clone()) => ended,
        ended = one_way(far_read, near_write, state) => ended,
    }
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        wait_until_whole(&mut state).await?;
        let count = from.read(&mut buffer).await?;
        wait_until_whole(&mut state).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}

async fn wait_until_whole(state: &mut watch::Receiver<bool>) -> io::Result<()> {
    let whole = state.wait_for(|&whole| whole).await;
    whole.map(drop).map_err(|_| io::ErrorKind::BrokenPipe.into())
}
