//! On tokio: a task per connection that waits for readiness, a buffer for all of them.

use super::{BROADCAST, MESSAGE_BYTES_MAX};
use anyhow::Result;
use slab::Slab;
use std::cell::RefCell;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

struct Server {
    held: RefCell<Slab<Rc<TcpStream>>>,
    scratch: RefCell<[u8; MESSAGE_BYTES_MAX]>,
}

pub(super) fn serve(listener: std::net::TcpListener) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::from_std(listener)?;
        let held = RefCell::default();
        let server = Rc::new(Server { held, scratch: RefCell::new([0; MESSAGE_BYTES_MAX]) });
        loop {
            let stream = Rc::new(listener.accept().await?.0);
            let key = server.held.borrow_mut().insert(stream.clone());
            let server = server.clone();
            spawn_local(async move {
                let _ended = server.hold(&stream).await;
                server.held.borrow_mut().remove(key);
            });
        }
    })
}

impl Server {
    /// Until it ends.
    async fn hold(&self, stream: &TcpStream) -> IoResult<()> {
        loop {
            stream.readable().await?;
            let mut scratch = self.scratch.borrow_mut();
            match stream.try_read(&mut *scratch) {
                Ok(0) => return Ok(()),
                Ok(count) => self.on_message(stream, &scratch[..count])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn on_message(&self, from: &TcpStream, message: &[u8]) -> IoResult<()> {
        if message[0] != BROADCAST {
            return send(from, message);
        }
        for (_, stream) in &*self.held.borrow() {
            // Whoever does not take it is found out by its own task.
            let _ = send(stream, message);
        }
        Ok(())
    }
}

fn send(stream: &TcpStream, message: &[u8]) -> IoResult<()> {
    match stream.try_write(message) {
        Ok(count) if count == message.len() => Ok(()),
        Ok(_) => Err(Error::from(ErrorKind::WouldBlock)),
        Err(error) => Err(error),
    }
}
