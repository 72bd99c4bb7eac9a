//! What is compared.

/// A base for a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    /// Our driver on io_uring.
    Uring,
    /// Our driver on epoll.
    Epoll,
    /// monoio on io_uring.
    Monoio,
    /// monoio on epoll.
    MonoioEpoll,
    /// glommio (io_uring).
    Glommio,
    /// tokio (epoll), one thread.
    Tokio,
}

impl Contender {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 6] =
        [Self::Uring, Self::Epoll, Self::Monoio, Self::MonoioEpoll, Self::Glommio, Self::Tokio];

    /// As figures have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uring => "gpusher (io_uring)",
            Self::Epoll => "gpusher (epoll)",
            Self::Monoio => "monoio (io_uring)",
            Self::MonoioEpoll => "monoio (epoll)",
            Self::Glommio => "glommio",
            Self::Tokio => "tokio",
        }
    }
}
