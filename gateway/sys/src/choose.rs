//! Which driver to use, settled once at start.

use crate::Waker;
use crate::driver::Driver;
use crate::epoll::Epoll;
use crate::selftest;
use crate::socket::Listener;
use crate::uring::{Descriptors, RingFlags, Uring, UringError, UringOptions};
use std::io;
use std::str::FromStr;

/// What the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IoChoice {
    /// io_uring, or a refusal that names the remedy.
    #[default]
    Uring,
    /// epoll.
    Epoll,
    /// io_uring, or epoll where that cannot be.
    Auto,
}

impl FromStr for IoChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "uring" => Ok(Self::Uring),
            "epoll" => Ok(Self::Epoll),
            "auto" => Ok(Self::Auto),
            _ => Err(format!("unknown io {text:?}: one of uring, epoll, auto")),
        }
    }
}

/// What it came to.
#[derive(Debug)]
pub enum IoDriver {
    /// The self-test passed.
    Uring(RingFlags),
    /// As asked for, or because io_uring cannot be: `instead_of` says why, and is worth a warning.
    Epoll {
        /// Why not io_uring, if that was tried.
        instead_of: Option<UringError>,
    },
}

impl IoDriver {
    /// For logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uring(_) => "io_uring",
            Self::Epoll { .. } => "epoll",
        }
    }

    /// Makes a driver on the thread that will use it.
    ///
    /// # Errors
    /// When the process or the kernel has run out of something.
    pub fn open(
        &self,
        options: &UringOptions,
        listener: Option<Listener>,
        waker: Waker,
    ) -> Result<Box<dyn Driver>, OpenError> {
        Ok(match self {
            Self::Uring(_) => Box::new(Uring::new(options, listener, waker)?),
            Self::Epoll { .. } => Box::new(Epoll::new(listener, waker)?),
        })
    }
}

/// Why a driver could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The ring's driver.
    #[error(transparent)]
    Uring(#[from] UringError),
    /// The epoll driver.
    #[error("cannot set up epoll: raise LimitNOFILE or fs.epoll.max_user_watches")]
    Epoll(#[from] io::Error),
}

/// Settles what to use; runs the self-test unless epoll is asked for.
///
/// # Errors
/// When io_uring is asked for and cannot be.
pub fn choose(choice: IoChoice, descriptors: Descriptors) -> Result<IoDriver, UringError> {
    if choice == IoChoice::Epoll {
        return Ok(IoDriver::Epoll { instead_of: None });
    }
    match selftest::run(descriptors) {
        Ok(flags) => Ok(IoDriver::Uring(flags)),
        Err(error) if choice == IoChoice::Auto => Ok(IoDriver::Epoll { instead_of: Some(error) }),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_parsed() {
        assert_eq!("uring".parse(), Ok(IoChoice::Uring));
        assert_eq!("epoll".parse(), Ok(IoChoice::Epoll));
        assert_eq!("auto".parse(), Ok(IoChoice::Auto));
        assert!("kqueue".parse::<IoChoice>().unwrap_err().contains("one of"));
    }

    #[test]
    fn epoll_is_what_was_asked_for() {
        let driver = choose(IoChoice::Epoll, Descriptors::Plain).unwrap();
        assert!(matches!(driver, IoDriver::Epoll { instead_of: None }));
        driver.open(&UringOptions::default(), None, Waker::new().unwrap()).unwrap();
    }

    #[test]
    fn what_cannot_be_is_refused_or_replaced() {
        let impossible = Descriptors::Direct { table: 1 << 21 };
        assert!(choose(IoChoice::Uring, impossible).is_err());
        let driver = choose(IoChoice::Auto, impossible).unwrap();
        assert!(matches!(driver, IoDriver::Epoll { instead_of: Some(_) }));
        assert_eq!(driver.name(), "epoll");
    }
}
