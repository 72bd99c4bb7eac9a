//! What a run does once all are logged in, one step after the other: the scenarios.

mod parse;
mod perform;
mod storm;
mod upstream;

pub use parse::HELP;
pub use perform::{Context, perform};

use crate::offer::Audience;
use crate::plan::Plan;

/// A step. [`str::parse`] reads one as it stands on the command line.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing but heartbeats: nobody may be lost.
    Hold {
        /// For how long.
        seconds: f64,
    },
    /// Pushes.
    Push(Pushes),
    /// Single pushes alone, then while everybody gets one broadcast after the other.
    Busy {
        /// The single pushes, twice.
        measured: Pushes,
        /// The broadcasts.
        background: Pushes,
    },
    /// Pushes alone, then while some connections read nothing.
    Slow {
        /// Share of the connections that do not read.
        share: f64,
        /// The pushes, twice.
        measured: Pushes,
    },
    /// Connections end and come back.
    Churn {
        /// How many a second.
        rate: f64,
        /// For how long.
        seconds: f64,
        /// Kept pushes meanwhile, of which none may be lost.
        kept: Pushes,
    },
    /// All connections but those of the first thread end and come back at once; single pushes to these alone, and meanwhile.
    Storm {
        /// The single pushes: so many alone, then until all are back.
        measured: Pushes,
    },
    /// The gateway is killed with SIGKILL and started again; all come back.
    Crash {
        /// Kept pushes meanwhile, of which none may be lost.
        kept: Pushes,
    },
    /// Clients publish; what arrives at the application is counted.
    Upstream {
        /// Messages a second, of all clients together.
        rate: f64,
        /// How many.
        count: u32,
        /// Bytes of each, at least.
        size: usize,
    },
}

/// Pushes of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushes {
    /// To whom.
    pub target: Target,
    /// How many a second; infinite: as fast as they are accepted.
    pub rate: f64,
    /// How many.
    pub count: u32,
    /// Bytes of content, at least.
    pub size: usize,
    /// Whether they are kept for who is not connected.
    pub kept: bool,
    /// Pushes that share a request.
    pub batch: u32,
    /// Connections that requests are spread over.
    pub lines: u32,
    /// Pushes that may be on their way to all receivers at once; 0: any number.
    pub window: u32,
    /// Whether the server is asked in the end what became of each push.
    pub receipts: bool,
}

/// Receivers of a step's pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// One client after the other.
    User,
    /// One after the other of the few clients that have a thread for themselves.
    Probe,
    /// Every client of the app.
    App,
    /// Every client of every app.
    Everyone,
    /// One topic after the other.
    Topic,
}

impl Target {
    fn audience(self, plan: &Plan, probes: u32) -> Audience {
        match self {
            Self::User => Audience::Users(plan.count),
            Self::Probe => Audience::Users(probes),
            Self::App => Audience::App,
            Self::Everyone => Audience::Everyone,
            Self::Topic => Audience::Topics(plan.account.topics),
        }
    }
}
