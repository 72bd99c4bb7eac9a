//! `gpusher-control`: web, logic, message and gateway, one, several or all of them in one process.
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | stopped by SIGINT or SIGTERM, or did what was asked |
//! | 1 | `doctor` found something |
//! | 64 | the command line or the configuration is wrong |
//! | 69 | the configuration is right, but the host does not let the process start |
//! | 70 | a part failed while running |

#![forbid(unsafe_code)]

mod cli;

use gpusher_gateway::heap::Counted;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Counted<Jemalloc> = Counted(Jemalloc);

fn main() -> ExitCode {
    cli::main()
}
