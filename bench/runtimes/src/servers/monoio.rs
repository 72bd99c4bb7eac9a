//! On monoio: a task per connection that lends its own buffer to the kernel; writes lend theirs, so a broadcast keeps many under way at once.

use super::{BROADCAST, MESSAGE_BYTES_MAX};
use anyhow::Result;
use bytes::Bytes;
use futures_util::future::join_all;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::io::Result as IoResult;
use std::rc::Rc;

/// Entries of the submission queue, and writes of a broadcast under way at once.
const WRITES_MAX: u32 = 1024;

#[derive(Default)]
struct Server {
    held: RefCell<Slab<Rc<Writer>>>,
}

/// The writing half, when nobody is writing, and what is to be written when whoever does has done so.
struct Writer {
    half: Cell<Option<OwnedWriteHalf<TcpStream>>>,
    waiting: RefCell<Vec<Bytes>>,
}

pub(super) fn serve_uring(listener: std::net::TcpListener) -> Result<()> {
    let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(WRITES_MAX);
    builder.build()?.block_on(serve(listener))
}

pub(super) fn serve_epoll(listener: std::net::TcpListener) -> Result<()> {
    let builder = RuntimeBuilder::<LegacyDriver>::new();
    builder.build()?.block_on(serve(listener))
}

async fn serve(listener: std::net::TcpListener) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let server = Rc::<Server>::default();
    loop {
        let (read, write) = listener.accept().await?.0.into_split();
        let waiting = RefCell::default();
        let writer = Rc::new(Writer { half: Cell::new(Some(write)), waiting });
        let key = server.held.borrow_mut().insert(writer.clone());
        let server = server.clone();
        monoio::spawn(async move {
            let _ended = server.hold(read, &writer).await;
            server.held.borrow_mut().remove(key);
        });
    }
}

impl Server {
    /// Until it ends.
    async fn hold(&self, mut read: OwnedReadHalf<TcpStream>, writer: &Writer) -> IoResult<()> {
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        loop {
            let (count, returned) = read.read(buffer).await;
            buffer = returned;
            let message = Bytes::copy_from_slice(&buffer[..count?]);
            match message.first() {
                None => return Ok(()),
                Some(&BROADCAST) => self.broadcast(&message).await,
                Some(_) => writer.send(message).await?,
            }
        }
    }

    async fn broadcast(&self, message: &Bytes) {
        let held: Vec<_> = self.held.borrow().iter().map(|(_, writer)| writer.clone()).collect();
        for writers in held.chunks(WRITES_MAX as usize) {
            // Whoever does not take it is found out by its own task.
            join_all(writers.iter().map(|writer| writer.send(message.clone()))).await;
        }
    }
}

impl Writer {
    async fn send(&self, message: Bytes) -> IoResult<()> {
        let Some(mut half) = self.half.take() else {
            self.waiting.borrow_mut().push(message);
            return Ok(());
        };
        let mut outcome = half.write_all(message).await.0;
        while outcome.is_ok() && !self.waiting.borrow().is_empty() {
            let next = self.waiting.borrow_mut().remove(0);
            outcome = half.write_all(next).await.0;
        }
        self.half.set(Some(half));
        outcome.map(|_| ())
    }
}
