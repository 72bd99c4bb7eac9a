//! Sockets that were accepted and wait for the shard's word.

use crate::driver::Socket;

/// Descriptors by a number of our own, so that no caller can name a descriptor it was not given.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    handles: Vec<Option<u32>>,
    free: Vec<u32>,
}

impl Accepted {
    pub(crate) fn put(&mut self, handle: u32) -> Socket {
        if let Some(index) = self.free.pop() {
            self.handles[index as usize] = Some(handle);
            return Socket(index);
        }
        self.handles.push(Some(handle));
        Socket(self.handles.len() as u32 - 1)
    }

    pub(crate) fn take(&mut self, socket: Socket) -> u32 {
        let handle = self.handles.get_mut(socket.0 as usize).and_then(Option::take);
        let handle = handle.expect("a socket that was not accepted, or was answered for already");
        self.free.push(socket.0);
        handle
    }

    /// What is left when a driver ends.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = u32> {
        self.free.clear();
        std::mem::take(&mut self.handles).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_is_answered_for_once() {
        let mut accepted = Accepted::default();
        let (first, second) = (accepted.put(10), accepted.put(11));
        assert_eq!(accepted.take(second), 11);
        assert_eq!(accepted.put(12), second);
        assert_eq!(accepted.take(first), 10);
        assert_eq!(accepted.drain().collect::<Vec<_>>(), [12]);
    }
}
