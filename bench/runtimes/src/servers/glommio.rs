//! On glommio: a task per connection; its streams wait for readiness in the ring and then read and write by system call, so one buffer does for all.

use super::{BROADCAST, MESSAGE_BYTES_MAX, announce};
use anyhow::{Result, anyhow};
use futures_util::io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement, spawn_local};
use slab::Slab;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::pin::Pin;
use std::rc::Rc;

/// For reads and writes of files, of which there are none: its own default does not fit where little memory may be locked.
const IO_MEMORY_BYTES: usize = 64 << 10;

struct Server {
    held: RefCell<Slab<Rc<RefCell<TcpStream>>>>,
    scratch: RefCell<[u8; MESSAGE_BYTES_MAX]>,
}

pub(super) fn serve(core: usize) -> Result<()> {
    let builder = LocalExecutorBuilder::new(Placement::Fixed(core)).io_memory(IO_MEMORY_BYTES);
    let executor = builder.make().map_err(|error| {
        anyhow!("glommio does not start: {error}; it wants RLIMIT_MEMLOCK to be at least 512 KiB")
    })?;
    executor.run(async {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(refused)?;
        announce(listener.local_addr().map_err(refused)?)?;
        let held = RefCell::default();
        let server = Rc::new(Server { held, scratch: RefCell::new([0; MESSAGE_BYTES_MAX]) });
        loop {
            let stream = listener.accept().await.map_err(refused)?;
            stream.set_nodelay(true).map_err(refused)?;
            let stream = Rc::new(RefCell::new(stream));
            let key = server.held.borrow_mut().insert(stream.clone());
            let server = server.clone();
            spawn_local(async move {
                let _ended = server.hold(&stream).await;
                server.held.borrow_mut().remove(key);
            })
            .detach();
        }
    })
}

fn refused(error: glommio::GlommioError<()>) -> anyhow::Error {
    anyhow!("{error}")
}

impl Server {
    /// Until it ends.
    async fn hold(&self, stream: &RefCell<TcpStream>) -> IoResult<()> {
        loop {
            let message = poll_fn(|context| {
                let mut scratch = self.scratch.borrow_mut();
                let read = Pin::new(&mut *stream.borrow_mut()).poll_read(context, &mut *scratch);
                read.map_ok(|count| scratch[..count].to_vec())
            });
            let message = message.await?;
            match message.first() {
                None => return Ok(()),
                Some(&BROADCAST) => self.broadcast(&message).await,
                Some(_) => send(stream, &message).await?,
            }
        }
    }

    async fn broadcast(&self, message: &[u8]) {
        let held: Vec<_> = self.held.borrow().iter().map(|(_, stream)| stream.clone()).collect();
        for stream in held {
            // Whoever does not take it is found out by its own task.
            let _ = send(&stream, message).await;
        }
    }
}

async fn send(stream: &RefCell<TcpStream>, message: &[u8]) -> IoResult<()> {
    let write = poll_fn(|context| Pin::new(&mut *stream.borrow_mut()).poll_write(context, message));
    match write.await? {
        count if count == message.len() => Ok(()),
        _ => Err(Error::from(ErrorKind::WouldBlock)),
    }
}
